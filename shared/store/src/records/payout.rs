//! A payout: its record under the acquirer's id and, while unsent, its entry in the merchant's partition.

use super::card::CardV1;
use super::stored::{Stored, stored};
use super::window::WindowV1;
use super::{Attributes, check_version, version};
use crate::item::{Item, broken, get_json, get_s, json, s};
use application::ports::{OwnedPayout, PortError};
use domain::ids::MerchantId;
use domain::payout::{Payout, PayoutState, Releases};
use serde::{Deserialize, Serialize};

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
        #[serde(rename = "rel", default, skip_serializing_if = "ReleasesV1::is_none")]
        releases: ReleasesV1,
    }
}

/// The number of releases, and the times of those of the last day.
#[derive(Default, Serialize, Deserialize)]
struct ReleasesV1(u64, WindowV1);

impl ReleasesV1 {
    const fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl Stored<Releases> for ReleasesV1 {
    fn of(releases: &Releases) -> Self {
        Self(releases.number, WindowV1::of(&releases.lately))
    }

    fn back(self) -> Result<Releases, PortError> {
        let Self(number, lately) = self;
        Ok(Releases {
            number,
            lately: lately.back()?,
        })
    }
}

/// Optimistic-lock tag of a payout.
pub(crate) const TAG: &str = "tag";

/// The value of [`TAG`]. Every change of a payout changes it: its state, its card or the number of its releases.
pub(crate) fn tag(payout: &Payout) -> String {
    match (payout.state, &payout.card, payout.releases.number) {
        (PayoutState::Unsent, None, _) => "held".to_owned(),
        (state @ PayoutState::Sending, _, 1..) => format!("{state} {}", payout.releases.number),
        (state, ..) => state.as_str().to_owned(),
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
