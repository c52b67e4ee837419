//! The attributes of the items, one file for each kind of item. Attribute names are defined here, except that
//! conditions repeat the names they compare, and that the outbox defines the attributes of its leases and retries.
//!
//! # Versions
//! Each item has the version of its format in the attribute `v`. A value inside an attribute has no version of its own.
//! - A reader rejects an item of a later version with [`PortError::TooNew`] before anything is written; the caller gets
//!   a 503. So the release that writes version n + 1 must follow one that reads it.
//! - From the first release on, a stored format never changes; until then version 1 may. `golden/v1` holds an item of
//!   each kind as this release writes it; a test compares both directions.
//! - A new attribute that earlier releases may ignore requires no new version. Earlier releases preserve it, because
//!   they change existing items by attribute. Only events (written once), idempotency rows and counts of failed logins
//!   (kept for two days) are put as a whole.
//! - An optional member inside an attribute (for example of a rebind's `state`) requires a new version, because an
//!   earlier release that rewrites the attribute drops the member. It requires none if dropping it is harmless.
//! - Any other change inside an attribute requires a new version: a struct `…V2` with a conversion, and files in
//!   `golden/v2`.
//! - Each new value has a golden record that contains it; the existing records only show that it may be absent.
//!
//! Names are short: an item below 1 KiB costs one write unit.

pub mod account;
pub mod audit;
pub mod card;
pub mod card_holders;
pub mod claim;
mod device_counts;
pub mod event;
pub mod freeze_counter;
pub mod idempotency;
pub mod login_failures;
pub mod logins;
pub mod merchant_state;
pub mod otp_counter;
pub mod payout;
pub mod profile;
pub mod proposal;
pub mod push_target;
pub mod rebind;
pub mod salt;
pub mod session;
mod stored;
pub mod window;

#[cfg(test)]
mod golden;

use super::item::{Item, Update, broken, n, opt_n, s, time};
use super::shards::DueShards;
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::MerchantId;
use domain::policy::DAY_S;
use domain::time::Timestamp;

/// The version of every format that this release writes.
const V1: u32 = 1;

/// The attribute of the version.
const VERSION: &str = "v";

/// Attributes to set; `None` removes one.
pub type Attributes = Vec<(&'static str, Option<AttributeValue>)>;

/// Age at which `ttl` may delete garbage: longer than the period of any limit.
const GARBAGE_AFTER_S: i64 = 2 * DAY_S;

/// The version of an item.
fn version() -> (&'static str, Option<AttributeValue>) {
    (VERSION, Some(n(V1)))
}

/// Rejects an item that a later release wrote. `kind` names the item in the log.
fn check_version(item: &Item, kind: &'static str) -> Result<(), PortError> {
    match opt_n::<u32>(item, VERSION) {
        Some(V1) => Ok(()),
        Some(later) if later > V1 => Err(PortError::TooNew(kind)),
        _ => Err(broken(VERSION)),
    }
}

/// Sets the version of an item that is created or changed without a read. The condition rejects an item of a later
/// release.
fn stamp(update: &mut Update) {
    update.put(VERSION, Some(n(V1)));
    update.when("(attribute_not_exists(#v) OR #v <= :v)");
}

/// The attributes of an item's entry in the due index.
pub(super) const DUE: [&str; 2] = ["due_bucket", "due_at"];

/// The index entry of an item; empty when no time-driven transition is ahead.
pub(super) fn due(shards: DueShards, merchant: &MerchantId, at: Option<Timestamp>) -> Attributes {
    let [bucket, time_name] = DUE;
    vec![
        (bucket, at.map(|at| s(shards.bucket(merchant, at)))),
        (time_name, at.map(time)),
    ]
}

/// A new item.
pub(super) fn item_of(key: Item, attributes: Attributes) -> Item {
    let mut item = key;
    for (name, value) in attributes {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    }
    item
}

/// Approximate size of an item as DynamoDB counts it: names and values.
#[must_use]
pub fn size_bytes(item: &Item) -> usize {
    let value_bytes = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::Ss(texts) => 3 + texts.iter().map(|text| text.len() + 1).sum::<usize>(),
        _ => 1,
    };
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

/// True for a count that is omitted from its record.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
const fn is_zero(count: &u32) -> bool {
    *count == 0
}
