//! A payout: its record under the acquirer's id and, while unsent, its entry in the merchant's partition.

use super::card::CardV1;
use super::stored::{Stored, stored};
use super::{Attributes, check_version, version};
use crate::item::{Item, broken, get_json, get_s, json, s};
use application::ports::{OwnedPayout, PortError};
use domain::ids::MerchantId;
use domain::payout::{Payout, PayoutState};

stored! {
    /// The attribute `state`.
    struct PayoutV1 of Payout {
        #[serde(rename = "id")]
        payout_id: String,
        #[serde(rename = "fen")]
        amount_fen: u64,
        #[serde(rename = "at")]
        created_at: i64,
        #[serde(rename = "card", skip_serializing_if = "Option::is_none")]
        card: Option<CardV1>,
        #[serde(rename = "st")]
        state: PayoutState,
    }
}

/// Optimistic-lock tag of a payout.
pub(crate) const TAG: &str = "tag";

/// The value of [`TAG`].
pub(crate) const fn tag(payout: &Payout) -> &'static str {
    match (payout.state, &payout.card) {
        (PayoutState::Unsent, None) => "held",
        (state, _) => state.as_str(),
    }
}

/// The attributes of a payout's record.
pub fn attributes(merchant: &MerchantId, payout: &Payout) -> Result<Attributes, PortError> {
    let mut attributes = entry_attributes(payout)?;
    attributes.push(("merchant", Some(s(merchant.as_str()))));
    attributes.push((TAG, Some(s(tag(payout)))));
    Ok(attributes)
}

/// The attributes of a payout's entry.
pub fn entry_attributes(payout: &Payout) -> Result<Attributes, PortError> {
    let state = json(&PayoutV1::of(payout))?;
    Ok(vec![version(), ("state", Some(state))])
}

/// A payout, from its entry.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read_entry(item: &Item) -> Result<Payout, PortError> {
    check_version(item, "a payout")?;
    let record: PayoutV1 = get_json(item, "state")?;
    record.back()
}

/// A payout and its merchant, from its record.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<OwnedPayout, PortError> {
    let payout = read_entry(item)?;
    let merchant = MerchantId::parse(get_s(item, "merchant")?);
    Ok(OwnedPayout {
        merchant_id: merchant.ok_or_else(|| broken("merchant"))?,
        payout,
    })
}
