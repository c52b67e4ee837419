//! Example events: one chain with every kind of event and every form of its facts. Their hashes come from another program
//! (`vectors.py`). Vectors are only appended, because stored and published histories have this form.

#![allow(
    clippy::expect_used,
    reason = "malformed vectors are a mistake in this crate; no function links this module"
)]

use super::chain::{ChainedEvent, GENESIS};
use super::event::Recorded;
use crate::event_kind::EventKind;
use crate::ids::MerchantId;
use crate::rebind::Sealed;
use crate::time::Timestamp;
use serde_json::Value;

/// The chain of one merchant.
///
/// # Panics
/// When the file does not hold such events.
#[must_use]
pub fn vectors() -> Vec<ChainedEvent> {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("vectors.json")).expect("a list of events");
    let merchant_id = MerchantId::parse("mer_plain_1").expect("an id");
    let mut prev_hash = GENESIS.to_owned();
    let numbered = (1..).zip(&vectors);
    let events = numbered.map(|(seq, vector)| {
        let text = |name: &str| vector[name].as_str();
        let kind = text("kind").and_then(EventKind::parse).expect("a kind");
        let data = vector["data"].as_object().expect("facts").clone();
        let hash = text("hash").expect("a hash").to_owned();
        let personal = text("personal").map(|bytes| hex::decode(bytes).expect("hex"));
        ChainedEvent {
            merchant_id: merchant_id.clone(),
            seq,
            at: Timestamp::from_epoch_s(vector["at"].as_i64().expect("a time")),
            policy: 1,
            recorded: Recorded::read(kind, data).expect("the facts of this kind"),
            personal: personal.map(Sealed),
            prev_hash: std::mem::replace(&mut prev_hash, hash.clone()),
            hash,
            notifications: Vec::new(),
        }
    });
    events.collect()
}
