//! The keys of the table: partitions, sort keys, and the buckets of the index.

use super::item::{Item, s};
use domain::ids::{CardId, MerchantId, PayoutId};
use domain::rebind::Mac;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};

/// The key of an item.
pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    Item::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

/// The partition of a merchant.
pub(super) fn merchant_pk(merchant: &MerchantId) -> String {
    format!("M#{merchant}")
}

/// The merchant of a partition.
pub(super) fn merchant_of(pk: &str) -> Option<MerchantId> {
    MerchantId::parse(pk.strip_prefix("M#")?)
}

/// The sort key of a merchant's state.
pub(super) const STATE: &str = "Y";
/// The sort key of the profile.
pub(super) const PROFILE: &str = "Z";
/// The sort key of a payout's record.
pub(super) const PAYOUT: &str = "O";

/// The sort key of a rebind.
pub(super) fn rebind_sk(number: u32) -> String {
    format!("R#{number:06x}")
}

/// The sort key of an event.
pub(super) fn event_sk(seq: u64) -> String {
    format!("E#{seq:010}")
}

/// The sort key of a card from onboarding.
pub(super) fn card_sk(card_id: &CardId) -> String {
    format!("C#{card_id}")
}

/// The key of the times of a phone's OTPs.
pub(super) fn phone_key(phone_hash: &Mac) -> Item {
    key(format!("P#{}", phone_hash.0), "P")
}

/// The key of a payout's record.
pub(super) fn payout_key(payout_id: &PayoutId) -> Item {
    key(format!("O#{payout_id}"), PAYOUT)
}

/// Shards of a month's index entries. A shard takes 1,000 index writes a second.
pub const SHARDS: u8 = 4;

/// The hash key of an entry in the index: month and shard.
pub(super) fn bucket(merchant: &MerchantId, at: Timestamp) -> String {
    let shard = Sha256::digest(merchant.as_str().as_bytes())
        .first()
        .copied()
        .unwrap_or(0)
        % SHARDS;
    format!("{}#{shard}", at.yyyymm_utc())
}
