//! The salt of a merchant's pseudonym in the log. Erasure leaves an item without a salt, so that no new one is made.

use super::{Attributes, check_version, stamp, version};
use crate::item::{Item, Update, b, broken, opt_b, opt_time, time};
use application::ports::PortError;
use domain::secret::Secret;
use domain::time::Timestamp;
use transparency::hash::HASH_BYTES;

/// A salt.
pub type Salt = Secret<[u8; HASH_BYTES]>;

/// Creates the item, unless it exists.
pub(crate) fn created(salt: &[u8; HASH_BYTES]) -> Update {
    let mut update = Update::default();
    stamp(&mut update);
    update.put("salt", Some(b(salt)));
    update.when("attribute_not_exists(pk)");
    update
}

/// The attributes of an erased salt.
pub(crate) fn erased(now: Timestamp) -> Attributes {
    vec![version(), ("salt", None), ("erased", Some(time(now)))]
}

/// The salt; `None` once it was erased.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Option<Salt>, PortError> {
    check_version(item, "a salt")?;
    if opt_time(item, "erased").is_some() {
        return Ok(None);
    }
    let salt = opt_b(item, "salt").ok_or_else(|| broken("salt"))?;
    let salt: [u8; HASH_BYTES] = salt.try_into().map_err(|_| broken("salt"))?;
    Ok(Some(Secret::new(salt)))
}
