//! A card inside a record, and the item of a card that came with the merchant.

use super::{Attributes, check_version, version};
use crate::item::{Item, b, broken, opt_b};
use application::ports::PortError;
use domain::card::{Card, CardType};
use domain::ids::CardId;
use domain::rebind::Sealed;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Id, bank code, type, last four digits, bound at. A list, since a merchant's state can hold five cards.
#[derive(Serialize, Deserialize)]
pub(super) struct CardV1(String, Option<String>, CardType, String, i64);

impl From<&Card> for CardV1 {
    fn from(card: &Card) -> Self {
        let Card {
            card_id,
            bank_code,
            card_type,
            last4,
            bound_at,
        } = card;
        Self(
            card_id.as_str().to_owned(),
            bank_code.clone(),
            *card_type,
            last4.clone(),
            bound_at.epoch_s(),
        )
    }
}

impl TryFrom<CardV1> for Card {
    type Error = PortError;

    fn try_from(CardV1(id, bank_code, card_type, last4, at): CardV1) -> Result<Self, PortError> {
        Ok(Self {
            card_id: CardId::parse(&id).ok_or_else(|| broken("a card's id"))?,
            bank_code,
            card_type,
            last4,
            bound_at: Timestamp::from_epoch_s(at),
        })
    }
}

/// The attribute of an encrypted card number, here and in a rebind.
pub(super) const NUMBER: &str = "number";

/// The item of a card that came with the merchant.
pub fn attributes(number: &Sealed) -> Attributes {
    vec![version(), (NUMBER, Some(b(&number.0)))]
}

/// The encrypted number of a card that came with the merchant.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Sealed, PortError> {
    check_version(item, "a card")?;
    opt_b(item, NUMBER)
        .map(Sealed)
        .ok_or_else(|| broken(NUMBER))
}
