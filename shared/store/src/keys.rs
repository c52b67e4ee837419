//! The keys of the tables: partitions and sort keys. [`crate::shards`] has the hash keys of the index.

use super::item::{Item, s};
use application::ports::IdempotencyKey;
use domain::ids::{CardId, MerchantId, PayoutId, ProposalId};
use domain::merchant::PushTarget;
use domain::operator::Actor;
use domain::rebind::Mac;

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
/// The sort key of an account.
const ACCOUNT: &str = "A";

/// The partition and sort key of the registered keys of the core system.
const CORE_KEYS: (&str, &str) = ("K#core", "K");

/// The partition and sort key of the stage that the tables belong to. Every function may read this partition: it is that of a
/// merchant without an id.
pub const STAGE: (&str, &str) = ("M#", "STAGE");

/// True for the key of an item of the record table: a profile, an account, the registered keys of the core system, the stage.
#[must_use]
pub fn is_record(pk: &str, sk: &str) -> bool {
    (sk == PROFILE && pk.starts_with("M#"))
        || (sk == ACCOUNT && pk.starts_with("A#"))
        || [CORE_KEYS, STAGE].contains(&(pk, sk))
}

/// The key of the registered keys of the core system.
pub(super) fn core_keys_key() -> Item {
    key(CORE_KEYS.0, CORE_KEYS.1)
}

/// The key of the stage that the tables belong to.
pub(super) fn stage_key() -> Item {
    key(STAGE.0, STAGE.1)
}

/// The partition of the proposals. There are few, and they are listed by time.
pub(super) const PROPOSALS: &str = "V#proposals";

/// The key of a proposal.
pub(super) fn proposal_key(proposal_id: &ProposalId) -> Item {
    key(PROPOSALS, proposal_id.as_str())
}

/// The partition of an operator's audit chain.
pub(super) fn audit_pk(actor: &Actor) -> String {
    format!("U#{}#{}", actor.account(), actor.person())
}

/// The key of the end of an operator's audit chain.
pub(super) fn audit_end_key(actor: &Actor) -> Item {
    key(audit_pk(actor), STATE)
}

/// The key of an entry of an operator's audit chain.
pub(super) fn audit_key(actor: &Actor, seq: u64) -> Item {
    key(audit_pk(actor), event_sk(seq))
}

/// The sort key of a payout's record.
pub(super) const PAYOUT: &str = "O";

/// The sort key of a rebind.
pub(super) fn rebind_sk(number: u32) -> String {
    format!("R#{number:06x}")
}

/// True for the sort key of a rebind.
pub(super) fn is_rebind_sk(sk: &str) -> bool {
    sk.starts_with("R#")
}

/// The ranges of sort keys that an erasure removes from a merchant's partition: encrypted card numbers, push targets and
/// rebinds.
pub(super) fn removed_ranges() -> [(String, String); 3] {
    ["C#", "N#", "R#"].map(|kind| (kind.to_owned(), format!("{kind}~")))
}

/// The sort key of an event.
pub(super) fn event_sk(seq: u64) -> String {
    format!("E#{seq:010}")
}

/// The sort key of a card from onboarding.
pub(super) fn card_sk(card_id: &CardId) -> String {
    format!("C#{card_id}")
}

/// The sort key of a push target.
pub(super) fn push_target_sk(target: &PushTarget) -> String {
    format!("N#{}#{}", target.id, target.token_tag)
}

/// The partition of an account, by the keyed hash of its name.
pub(super) fn account_pk(account_hash: &str) -> String {
    format!("A#{account_hash}")
}

/// The key of an account.
pub(super) fn account_key(account_hash: &str) -> Item {
    key(account_pk(account_hash), ACCOUNT)
}

/// The key of an account's logins.
pub(super) fn logins_key(account_hash: &str) -> Item {
    key(account_pk(account_hash), "L")
}

/// The partition of a source address, by its keyed hash.
pub(super) fn source_pk(source_hash: &str) -> String {
    format!("S#{source_hash}")
}

/// The key of the failed logins from a source address.
pub(super) fn source_key(source_hash: &str) -> Item {
    key(source_pk(source_hash), "S")
}

/// The key of a verified card number.
pub(super) fn card_number_key(fingerprint: &Mac) -> Item {
    key(format!("F#{}", fingerprint.0), "F")
}

/// The key of an idempotency row.
pub(super) fn idempotency_key(wanted: &IdempotencyKey) -> Item {
    key(format!("I#{}", wanted.scope), "I")
}

/// The key of the times of a phone's OTPs.
pub(super) fn phone_key(phone_hash: &Mac) -> Item {
    key(format!("P#{}", phone_hash.0), "P")
}

/// The key of the salt of a merchant's pseudonym. The partition is its own, so that a role can be limited to salts.
pub(super) fn salt_key(merchant: &MerchantId) -> Item {
    key(format!("X#{merchant}"), "X")
}

/// The key of a payout's record.
pub(super) fn payout_key(payout_id: &PayoutId) -> Item {
    key(format!("O#{payout_id}"), PAYOUT)
}
