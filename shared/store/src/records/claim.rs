//! Claims: the idempotency keys of requests that have begun and were not answered. Each is an attribute of the rebind that
//! the request changes, so that the write that begins the request is the write of one item.

use crate::item::{Item, Update, opt_s, s};
use application::ports::{IdempotencyKey, IdempotencyLookup};
use domain::time::Timestamp;

/// Characters of a hash in a claim. 60 bits of a keyed hash distinguish the few keys of one rebind. More would bring a rebind
/// with an OTP above 1 KiB, and so to another write unit.
const HASH_CHARS: usize = 10;
/// The attribute of the key that was answered last, until the next claim. Its claim has ended, so its row must exist.
const ANSWERED: &str = "answered";

/// The first characters of a hash, without the version of its key: the scope is hashed with the version.
fn short(hash: &str) -> &str {
    let hash = hash.split_once('.').map_or(hash, |(_, hash)| hash);
    hash.get(..HASH_CHARS).unwrap_or(hash)
}

/// The name of the claim's attribute.
fn name(key: &IdempotencyKey) -> String {
    format!("c_{}", short(&key.scope))
}

/// Claims a key until `until`.
pub(crate) fn begin(update: &mut Update, key: &IdempotencyKey, context: &str, until: Timestamp) {
    let (until, fingerprint) = (until.epoch_s(), short(&key.fingerprint));
    let value = s(format!("{until} {fingerprint} {context}"));
    update.put_as("claim", name(key), Some(value));
    update.put(ANSWERED, None);
}

/// Ends the claim of a key that is released.
pub(crate) fn end(update: &mut Update, key: &IdempotencyKey) {
    update.put_as("claim", name(key), None);
}

/// Ends the claim of a key that is answered by the same write.
pub(crate) fn answer(update: &mut Update, key: &IdempotencyKey) {
    end(update, key);
    update.put(ANSWERED, Some(s(short(&key.scope))));
}

/// True if this key was the last one that was answered.
pub(crate) fn was_answered(rebind: &Item, key: &IdempotencyKey) -> bool {
    opt_s(rebind, ANSWERED) == Some(short(&key.scope))
}

/// The claim of a key among the attributes of its rebind.
pub fn read(rebind: &Item, key: &IdempotencyKey, now: Timestamp) -> IdempotencyLookup {
    let claim = opt_s(rebind, &name(key)).map(|claim| claim.splitn(3, ' ').collect::<Vec<_>>());
    let Some(&[until, fingerprint, context]) = claim.as_deref() else {
        return IdempotencyLookup::Nothing;
    };
    let is_valid = until
        .parse()
        .is_ok_and(|until| Timestamp::from_epoch_s(until) > now);
    if !is_valid {
        return IdempotencyLookup::Nothing;
    }
    if fingerprint != short(&key.fingerprint) {
        return IdempotencyLookup::OtherBody;
    }
    IdempotencyLookup::Claimed(context.to_owned())
}
