//! A merchant's profile, as the acquirer provided it.

use super::stored::{Stored, stored};
use super::{Attributes, check_version, version};
use crate::item::{Item, b, get_json, json, opt_b};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::merchant::{EntityType, Profile};
use domain::rebind::Sealed;
use domain::settlement::{Cycle, Settlement};

stored! {
    /// The attribute `state`. Encrypted values are attributes of their own.
    struct ProfileV1 of Profile {
        #[serde(rename = "id")]
        merchant_id: String,
        #[serde(rename = "kind")]
        entity_type: EntityType,
        #[serde(rename = "name")]
        legal_name: String,
        #[serde(rename = "sname", skip_serializing_if = "Option::is_none")]
        settlement_name: Option<String>,
        #[serde(rename = "idm")]
        id_number_mac: String,
        #[serde(rename = "idx")]
        id_expires_on: String,
        #[serde(rename = "tel")]
        phone_on_file: String,
        #[serde(rename = "since")]
        opened_at: i64,
        #[serde(rename = "tier")]
        daily_limit_max_fen: u64,
        #[serde(rename = "fee")]
        fee_rate_bp: u32,
        #[serde(rename = "set")]
        settlement: SettlementV1,
    }
    but {
        sealed_id_number: None,
        history_key: None,
    }
}

stored! {
    struct SettlementV1 of Settlement {
        #[serde(rename = "cycle")]
        cycle: Cycle,
        #[serde(rename = "payout_time")]
        payout_time: String,
        #[serde(rename = "retained_fen")]
        retained_fen: u64,
        #[serde(rename = "daily_limit_fen")]
        daily_limit_fen: u64,
    }
}

/// The settings chosen by the merchant. They override those inside the profile.
pub(crate) const SETTLEMENT: &str = "settlement";
/// The merchant's wrapped history key.
pub(crate) const HISTORY_KEY: &str = "history_key";

/// The profile's attributes.
pub fn attributes(profile: &Profile) -> Result<Attributes, PortError> {
    let sealed = |value: &Option<Sealed>| value.as_ref().map(|sealed| b(&sealed.0));
    Ok(vec![
        version(),
        ("state", Some(json(&ProfileV1::of(profile))?)),
        ("id_sealed", sealed(&profile.sealed_id_number)),
        (HISTORY_KEY, sealed(&profile.history_key)),
    ])
}

/// The value of [`SETTLEMENT`].
pub(crate) fn settlement(settlement: &Settlement) -> Result<AttributeValue, PortError> {
    json(&SettlementV1::of(settlement))
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
    profile.sealed_id_number = opt_b(item, "id_sealed").map(Sealed);
    profile.history_key = history_key(item);
    if item.contains_key(SETTLEMENT) {
        let chosen: SettlementV1 = get_json(item, SETTLEMENT)?;
        profile.settlement = chosen.back()?;
    }
    Ok(profile)
}
