//! An account: a merchant's login data.

use super::{Attributes, check_version, version};
use crate::item::{Item, broken, get_json, get_n, get_s, json, n, s};
use application::ports::PortError;
use domain::format::DocumentExpiry;
use domain::ids::MerchantId;
use domain::login::Account;
use domain::merchant::EntityType;

/// The account's attributes.
pub fn attributes(account: &Account) -> Result<Attributes, PortError> {
    let Account {
        merchant_id,
        password_hash,
        version: revision,
        next_slot,
        legal_name_masked,
        entity_type,
        id_expires_on,
        known_devices,
    } = account;
    let mut attributes = after_login(*revision, *next_slot, known_devices)?;
    attributes.extend([
        ("merchant_id", Some(s(merchant_id.as_str()))),
        ("password_hash", Some(s(password_hash))),
        ("name", Some(s(legal_name_masked))),
        ("entity_type", Some(s(entity_type.as_str()))),
        ("id_expires_on", Some(s(id_expires_on.to_text()))),
    ]);
    Ok(attributes)
}

/// The attributes that a login changes.
pub(crate) fn after_login(
    revision: u64,
    next_slot: u8,
    known_devices: &[String],
) -> Result<Attributes, PortError> {
    Ok(vec![
        version(),
        ("version", Some(n(revision))),
        ("next_slot", Some(n(next_slot))),
        ("devices", Some(json(&known_devices)?)),
    ])
}

/// An account, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Account, PortError> {
    check_version(item, "an account")?;
    Ok(Account {
        merchant_id: merchant_id(item).ok_or_else(|| broken("merchant_id"))?,
        password_hash: get_s(item, "password_hash")?.to_owned(),
        version: get_n(item, "version")?,
        next_slot: get_n(item, "next_slot")?,
        legal_name_masked: get_s(item, "name")?.to_owned(),
        entity_type: EntityType::parse(get_s(item, "entity_type")?)
            .ok_or_else(|| broken("entity_type"))?,
        id_expires_on: DocumentExpiry::parse(get_s(item, "id_expires_on")?)
            .map_err(|_| broken("id_expires_on"))?,
        known_devices: get_json(item, "devices")?,
    })
}

/// The merchant of an account.
pub(crate) fn merchant_id(item: &Item) -> Option<MerchantId> {
    MerchantId::parse(get_s(item, "merchant_id").ok()?)
}
