//! The history: one event per transition, each carrying the hash of the one before it.
//!
//! Canonical form, of which the hash is the SHA-256: the JSON object
//! `{"at","data","kind","merchant_id","personal_sha256","policy","prev_hash","seq"}` with its keys in this (alphabetic)
//! order at every level, no white space, strings escaped as `serde_json` does (RFC 8259, nothing but `"`, `\` and control
//! characters), times as epoch seconds, hashes as lower-case hex. `personal_sha256` is the hash of the *ciphertext* of the
//! personal data, or null: erasing the key that opens it leaves the chain whole; the ciphertext itself must stay.

use super::event_kind::EventKind;
use super::ids::MerchantId;
use super::merchant::MerchantState;
use super::policy::Policy;
use super::rebind::Sealed;
use super::time::Timestamp;
use super::transition::{NewEvent, Notification};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// `prev_hash` of a merchant's first event.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An event in its place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose.
    pub merchant_id: MerchantId,
    /// From 1, without a gap.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Under which policy.
    pub policy: u32,
    /// Facts without personal data.
    pub data: Map<String, Value>,
    /// Personal data, encrypted under the merchant's history key.
    pub personal: Option<Sealed>,
    /// The hash of the event before.
    pub prev_hash: String,
    /// The hash of this one.
    pub hash: String,
    /// Who is told; not part of the chain, and gone once everybody was.
    pub notices: Vec<Notification>,
}

impl Event {
    /// The hash of the ciphertext of its personal data, hex; part of the canonical form.
    #[must_use]
    pub fn personal_sha256(&self) -> Option<String> {
        let personal = self.personal.as_ref()?;
        Some(hex::encode(Sha256::digest(&personal.0)))
    }
}

/// Puts `event` at the end of the chain that `head` ends, and moves the head's end.
#[must_use]
pub fn chain(
    merchant_id: &MerchantId,
    head: &mut MerchantState,
    event: NewEvent,
    personal: Option<Sealed>,
    policy: &Policy,
) -> Event {
    let mut chained = Event {
        merchant_id: merchant_id.clone(),
        seq: head.last_seq + 1,
        at: event.at,
        kind: event.kind,
        policy: policy.version,
        data: event.data,
        personal,
        prev_hash: head.last_hash.clone(),
        hash: String::new(),
        notices: event.notices,
    };
    chained.hash = hash(&chained);
    head.last_seq = chained.seq;
    head.last_hash.clone_from(&chained.hash);
    chained
}

/// The hash of an event's canonical form, hex.
#[must_use]
pub fn hash(event: &Event) -> String {
    let event = json!({
        "at": event.at.epoch_s(),
        "data": event.data,
        "kind": event.kind.as_str(),
        "merchant_id": event.merchant_id.as_str(),
        "personal_sha256": event.personal_sha256(),
        "policy": event.policy,
        "prev_hash": event.prev_hash,
        "seq": event.seq,
    });
    hex::encode(Sha256::digest(canonical(&event).as_bytes()))
}

/// JSON in one spelling: keys sorted at every level, no white space.
///
/// Not left to `serde_json`, whose map keeps another order as soon as any crate of the build asks for one.
#[must_use]
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, member)| format!("{}:{}", Value::from(key.as_str()), canonical(member)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(canonical).collect::<Vec<_>>().join(",")
        ),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
