//! An account: the acquirer's record of a merchant's login.

use super::{Attributes, check_version, version};
use crate::item::{Item, Update, broken, get_n, get_s, n, s};
use application::ports::PortError;
use domain::contact::RecordChange;
use domain::format::DocumentExpiry;
use domain::ids::MerchantId;
use domain::login::Account;
use domain::merchant::EntityType;

/// The attribute that a change of the password increments.
pub(crate) const REVISION: &str = "version";

/// The account's attributes.
#[must_use]
pub fn attributes(account: &Account) -> Attributes {
    let Account {
        merchant_id,
        password_hash,
        version: revision,
        legal_name_masked,
        entity_type,
        id_expires_on,
    } = account;
    vec![
        version(),
        (REVISION, Some(n(revision))),
        ("merchant_id", Some(s(merchant_id.as_str()))),
        ("password_hash", Some(s(password_hash))),
        ("name", Some(s(legal_name_masked))),
        ("entity_type", Some(s(entity_type.as_str()))),
        ("id_expires_on", Some(s(id_expires_on.to_text()))),
    ]
}

/// Changes the attributes that the acquirer's record determines; a new password also counts as a version.
pub(crate) fn of_record(record: &RecordChange) -> Update {
    let profile = &record.profile;
    let mut update = Update::default();
    update.put("name", Some(s(profile.legal_name.masked())));
    update.put("id_expires_on", Some(s(profile.id_expires_on.to_text())));
    if let Some(hash) = &record.password_hash {
        update.put("password_hash", Some(s(hash.expose())));
    }
    update.name("version");
    update.set_raw("#version = #version + :one");
    update.value("one", n(1));
    update.when("attribute_exists(pk)");
    update
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
        version: get_n(item, REVISION)?,
        legal_name_masked: get_s(item, "name")?.to_owned(),
        entity_type: EntityType::parse(get_s(item, "entity_type")?)
            .ok_or_else(|| broken("entity_type"))?,
        id_expires_on: DocumentExpiry::parse(get_s(item, "id_expires_on")?)
            .map_err(|_| broken("id_expires_on"))?,
    })
}

/// The merchant of an account.
pub(crate) fn merchant_id(item: &Item) -> Option<MerchantId> {
    MerchantId::parse(get_s(item, "merchant_id").ok()?)
}
