//! A merchant's profile, as the acquirer gave it.

use super::{Attributes, check_version, version};
use crate::item::{Item, b, broken, get_json, json, opt_b};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::format::DocumentExpiry;
use domain::ids::MerchantId;
use domain::merchant::{EntityType, Profile};
use domain::pii::{PersonName, Phone};
use domain::rebind::{Mac, Sealed};
use domain::settlement::{Cycle, PayoutTime, Settlement};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The attribute `state`.
#[derive(Serialize, Deserialize)]
struct ProfileV1 {
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

#[derive(Serialize, Deserialize)]
struct SettlementV1 {
    cycle: Cycle,
    payout_time: String,
    retained_fen: u64,
    daily_limit_fen: u64,
}

/// The settings that the merchant has chosen; until then those inside the profile hold.
pub(crate) const SETTLEMENT: &str = "settlement";
/// The merchant's wrapped history key.
pub(crate) const HISTORY_KEY: &str = "history_key";

/// The profile's attributes.
pub fn attributes(profile: &Profile) -> Result<Attributes, PortError> {
    let sealed = |value: &Option<Sealed>| value.as_ref().map(|sealed| b(&sealed.0));
    Ok(vec![
        version(),
        ("state", Some(json(&ProfileV1::from(profile))?)),
        ("id_sealed", sealed(&profile.sealed_id_number)),
        (HISTORY_KEY, sealed(&profile.history_key)),
    ])
}

/// The value of [`SETTLEMENT`].
pub(crate) fn settlement(settlement: &Settlement) -> Result<AttributeValue, PortError> {
    json(&SettlementV1::from(settlement))
}

/// The wrapped history key in an item, or in that part of it.
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
    let mut profile = Profile::try_from(record)?;
    profile.sealed_id_number = opt_b(item, "id_sealed").map(Sealed);
    profile.history_key = history_key(item);
    if item.contains_key(SETTLEMENT) {
        let chosen: SettlementV1 = get_json(item, SETTLEMENT)?;
        profile.settlement = chosen.try_into()?;
    }
    Ok(profile)
}

impl From<&Profile> for ProfileV1 {
    fn from(profile: &Profile) -> Self {
        let Profile {
            merchant_id,
            entity_type,
            legal_name,
            settlement_name,
            id_number_mac,
            id_expires_on,
            phone_on_file,
            opened_at,
            daily_limit_max_fen,
            fee_rate_bp,
            settlement,
            sealed_id_number: _,
            history_key: _,
        } = profile;
        Self {
            merchant_id: merchant_id.as_str().to_owned(),
            entity_type: *entity_type,
            legal_name: legal_name.expose().to_owned(),
            settlement_name: settlement_name
                .as_ref()
                .map(|name| name.expose().to_owned()),
            id_number_mac: id_number_mac.0.clone(),
            id_expires_on: id_expires_on.to_text().into_owned(),
            phone_on_file: phone_on_file.e164().to_owned(),
            opened_at: opened_at.epoch_s(),
            daily_limit_max_fen: *daily_limit_max_fen,
            fee_rate_bp: *fee_rate_bp,
            settlement: settlement.into(),
        }
    }
}

impl TryFrom<ProfileV1> for Profile {
    type Error = PortError;

    fn try_from(record: ProfileV1) -> Result<Self, PortError> {
        Ok(Self {
            merchant_id: MerchantId::parse(&record.merchant_id)
                .ok_or_else(|| broken("a merchant's id"))?,
            entity_type: record.entity_type,
            legal_name: PersonName::new(&record.legal_name),
            settlement_name: record.settlement_name.as_deref().map(PersonName::new),
            id_number_mac: Mac(record.id_number_mac),
            id_expires_on: DocumentExpiry::parse(&record.id_expires_on)
                .map_err(|_| broken("a document's expiry"))?,
            phone_on_file: Phone::parse(&record.phone_on_file)
                .map_err(|_| broken("the phone on file"))?,
            opened_at: Timestamp::from_epoch_s(record.opened_at),
            daily_limit_max_fen: record.daily_limit_max_fen,
            fee_rate_bp: record.fee_rate_bp,
            settlement: record.settlement.try_into()?,
            sealed_id_number: None,
            history_key: None,
        })
    }
}

impl From<&Settlement> for SettlementV1 {
    fn from(settlement: &Settlement) -> Self {
        let Settlement {
            cycle,
            payout_time,
            retained_fen,
            daily_limit_fen,
        } = settlement;
        Self {
            cycle: *cycle,
            payout_time: payout_time.to_string(),
            retained_fen: *retained_fen,
            daily_limit_fen: *daily_limit_fen,
        }
    }
}

impl TryFrom<SettlementV1> for Settlement {
    type Error = PortError;

    fn try_from(record: SettlementV1) -> Result<Self, PortError> {
        Ok(Self {
            cycle: record.cycle,
            payout_time: PayoutTime::parse(&record.payout_time)
                .ok_or_else(|| broken("a payout time"))?,
            retained_fen: record.retained_fen,
            daily_limit_fen: record.daily_limit_fen,
        })
    }
}
