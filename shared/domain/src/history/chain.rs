//! The chain: one event for each transition, with the hash of the previous event.
//!
//! A hash is the SHA-256 of the canonical JSON ([`canonical`], RFC 8785) of
//! `{"at","data","kind","merchant_id","personal_sha256","policy","prev_hash","seq"}`, with times as epoch seconds and hashes
//! as lower-case hex. `personal_sha256` is the hash of the *ciphertext* of the personal data, or null. Erasing the
//! decryption key therefore leaves the chain intact, but the ciphertext must be kept.

use super::canonical_json::canonical;
use super::event::{Event, Recorded};
use crate::event_kind::EventKind;
use crate::ids::MerchantId;
use crate::merchant::MerchantState;
use crate::notification::Notification;
use crate::policy::Policy;
use crate::rebind::Sealed;
use crate::time::Timestamp;
use crate::transition::NewEvent;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `prev_hash` of a merchant's first event.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An event at its position in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainedEvent {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The position, from 1 without gaps.
    pub seq: u64,
    /// The time of the event.
    pub at: Timestamp,
    /// The version of the policy that was in force.
    pub policy: u32,
    /// The kind and the facts, without personal data.
    pub recorded: Recorded,
    /// Personal data, encrypted under the merchant's history key.
    pub personal: Option<Sealed>,
    /// The hash of the previous event.
    pub prev_hash: String,
    /// The hash of this event.
    pub hash: String,
    /// The messages to send; not part of the chain.
    pub notifications: Vec<Notification>,
}

impl ChainedEvent {
    /// The kind of the event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.recorded.event().kind()
    }

    /// The typed facts.
    #[must_use]
    pub const fn event(&self) -> &Event {
        self.recorded.event()
    }

    /// The facts as the JSON that is stored, shown and hashed.
    #[must_use]
    pub const fn data(&self) -> &Map<String, Value> {
        self.recorded.data()
    }

    /// The SHA-256 of the ciphertext of the personal data, in hex; part of the canonical form.
    #[must_use]
    pub fn personal_sha256(&self) -> Option<String> {
        let personal = self.personal.as_ref()?;
        Some(hex::encode(Sha256::digest(&personal.0)))
    }
}

/// Appends `event` to the chain whose end `state` records, and records the new end there.
#[must_use]
pub fn chain(
    merchant_id: &MerchantId,
    state: &mut MerchantState,
    event: NewEvent,
    personal: Option<Sealed>,
    policy: &Policy,
) -> ChainedEvent {
    let mut chained = ChainedEvent {
        merchant_id: merchant_id.clone(),
        seq: state.last_seq + 1,
        at: event.at,
        policy: policy.version,
        recorded: Recorded::new(event.event),
        personal,
        prev_hash: state.last_hash.clone(),
        hash: String::new(),
        notifications: event.notifications,
    };
    chained.hash = hash(&chained);
    state.last_seq = chained.seq;
    state.last_hash.clone_from(&chained.hash);
    chained
}

/// The hash of an event's canonical form, in hex.
#[must_use]
pub fn hash(event: &ChainedEvent) -> String {
    let event = json!({
        "at": event.at.epoch_s(),
        "data": event.data(),
        "kind": event.kind().as_str(),
        "merchant_id": event.merchant_id.as_str(),
        "personal_sha256": event.personal_sha256(),
        "policy": event.policy,
        "prev_hash": event.prev_hash,
        "seq": event.seq,
    });
    hex::encode(Sha256::digest(canonical(&event).as_bytes()))
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
