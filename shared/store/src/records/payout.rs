//! A payout: its record under the acquirer's id, and while it is unsent its entry among the merchant's items.

use super::card::CardV1;
use super::{Attributes, check_version, version};
use crate::item::{Item, broken, get_json, get_s, json, s};
use application::ports::{OwnedPayout, PortError};
use domain::card::Card;
use domain::ids::{MerchantId, PayoutId};
use domain::payout::{Payout, PayoutState};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The attribute `state`.
#[derive(Serialize, Deserialize)]
struct PayoutV1 {
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

/// Tells apart two changes of one payout that meet: the condition of a change.
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
    let state = json(&PayoutV1::from(payout))?;
    Ok(vec![version(), ("state", Some(state))])
}

/// A payout, from its entry.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read_entry(item: &Item) -> Result<Payout, PortError> {
    check_version(item, "a payout")?;
    let record: PayoutV1 = get_json(item, "state")?;
    record.try_into()
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

impl From<&Payout> for PayoutV1 {
    fn from(payout: &Payout) -> Self {
        let Payout {
            payout_id,
            amount_fen,
            created_at,
            card,
            state,
        } = payout;
        Self {
            payout_id: payout_id.as_str().to_owned(),
            amount_fen: *amount_fen,
            created_at: created_at.epoch_s(),
            card: card.as_ref().map(CardV1::from),
            state: *state,
        }
    }
}

impl TryFrom<PayoutV1> for Payout {
    type Error = PortError;

    fn try_from(record: PayoutV1) -> Result<Self, PortError> {
        Ok(Self {
            payout_id: PayoutId::parse(&record.payout_id).ok_or_else(|| broken("a payout's id"))?,
            amount_fen: record.amount_fen,
            created_at: Timestamp::from_epoch_s(record.created_at),
            card: record.card.map(Card::try_from).transpose()?,
            state: record.state,
        })
    }
}
