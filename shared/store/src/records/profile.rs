//! A merchant's profile, as the acquirer provided it.

use super::stored::{Stored, stored};
use super::{Attributes, check_version, version};
use crate::item::{Item, b, get_json, get_n, json, n, opt_b, opt_s, s, time};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::merchant::{EntityType, PreviousPhone, Profile};
use domain::pii::DocumentType;
use domain::rebind::{Mac, Sealed};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

stored! {
    /// The attribute `state`. Encrypted values are attributes of their own.
    struct ProfileV1 of Profile {
        #[serde(rename = "id")]
        merchant_id: String,
        #[serde(rename = "acc")]
        account: String,
        #[serde(rename = "kind")]
        entity_type: EntityType,
        #[serde(rename = "name")]
        legal_name: String,
        #[serde(rename = "sname", skip_serializing_if = "Option::is_none")]
        settlement_name: Option<String>,
        #[serde(rename = "idm")]
        id_number_mac: String,
        #[serde(rename = "idt", default, skip_serializing_if = "is_resident_id")]
        document_type: DocumentType,
        #[serde(rename = "idx")]
        id_expires_on: String,
        #[serde(rename = "tel")]
        phone_on_file: String,
        #[serde(rename = "ptel", skip_serializing_if = "Option::is_none")]
        previous_phone: Option<PreviousPhoneV1>,
        #[serde(rename = "since")]
        opened_at: i64,
        #[serde(rename = "tier")]
        daily_limit_max_fen: u64,
        #[serde(rename = "fee")]
        fee_rate_bp: u32,
    }
    but {
        version: 0,
        sealed_id_number: None,
        history_key: None,
    }
}

/// Most records have the default kind, which is not stored.
fn is_resident_id(kind: &DocumentType) -> bool {
    *kind == DocumentType::default()
}

/// The phone, and the end of its notifications.
#[derive(Serialize, Deserialize)]
struct PreviousPhoneV1(String, i64);

impl Stored<PreviousPhone> for PreviousPhoneV1 {
    fn of(PreviousPhone { phone, until }: &PreviousPhone) -> Self {
        Self(Stored::of(phone), until.epoch_s())
    }

    fn back(self) -> Result<PreviousPhone, PortError> {
        let Self(phone, until) = self;
        Ok(PreviousPhone {
            phone: phone.back()?,
            until: until.back()?,
        })
    }
}

/// The merchant's wrapped history key.
pub(crate) const HISTORY_KEY: &str = "history_key";

/// The attribute of an erased profile, which has no other: the time of the erasure.
const ERASED: &str = "erased";

/// Leaves nothing of a profile but the time of its erasure.
pub(crate) fn erased(at: Timestamp) -> Attributes {
    let nothing = ["version", "state", "id_sealed", HISTORY_KEY, CREATED_AS];
    let nothing = nothing.into_iter().map(|name| (name, None));
    let mark = [version(), (ERASED, Some(time(at)))];
    mark.into_iter().chain(nothing).collect()
}

/// True for a profile that an erasure has left.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub(crate) fn is_erased(item: &Item) -> Result<bool, PortError> {
    check_version(item, "a profile")?;
    Ok(item.contains_key(ERASED))
}

/// The keyed hash of what the merchant was created from. A change of the profile keeps it.
const CREATED_AS: &str = "created_as";

/// The attribute of a new profile beside [`attributes`].
#[must_use]
pub fn creation(content: &Mac) -> (&'static str, Option<AttributeValue>) {
    (CREATED_AS, Some(s(&content.0)))
}

/// What the merchant was created from; `None` for a merchant of the test world.
pub(crate) fn created_as(item: &Item) -> Option<Mac> {
    opt_s(item, CREATED_AS).map(|hash| Mac(hash.to_owned()))
}

/// The profile's attributes.
pub fn attributes(profile: &Profile) -> Result<Attributes, PortError> {
    let sealed = |value: &Option<Sealed>| value.as_ref().map(|sealed| b(&sealed.0));
    Ok(vec![
        version(),
        ("version", Some(n(profile.version))),
        ("state", Some(json(&ProfileV1::of(profile))?)),
        ("id_sealed", sealed(&profile.sealed_id_number)),
        (HISTORY_KEY, sealed(&profile.history_key)),
    ])
}

/// The wrapped history key of an item, or of a part of it.
pub(crate) fn history_key(item: &Item) -> Option<Sealed> {
    opt_b(item, HISTORY_KEY).map(Sealed)
}

/// The profile of a merchant, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Profile, PortError> {
    check_version(item, "a profile")?;
    let record: ProfileV1 = get_json(item, "state")?;
    let mut profile = record.back()?;
    profile.version = get_n(item, "version")?;
    profile.sealed_id_number = opt_b(item, "id_sealed").map(Sealed);
    profile.history_key = history_key(item);
    Ok(profile)
}
