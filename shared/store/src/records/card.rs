//! A card inside a record, and the item of a card from onboarding.

use super::stored::Stored;
use super::{Attributes, check_version, version};
use crate::item::{Item, b, opt_b};
use application::ports::PortError;
use domain::card::{Card, CardType};
use domain::rebind::Sealed;
use serde::{Deserialize, Serialize};

/// Id, bank code, type, last four digits, time of binding. A list, because a merchant's state can hold five cards.
#[derive(Serialize, Deserialize)]
pub(super) struct CardV1(String, Option<String>, CardType, String, i64);

impl Stored<Card> for CardV1 {
    fn of(value: &Card) -> Self {
        let Card {
            card_id,
            bank_code,
            card_type,
            last4,
            bound_at,
        } = value;
        Self(
            Stored::of(card_id),
            bank_code.clone(),
            *card_type,
            last4.clone(),
            Stored::of(bound_at),
        )
    }

    fn back(self) -> Result<Card, PortError> {
        let Self(card_id, bank_code, card_type, last4, bound_at) = self;
        Ok(Card {
            card_id: card_id.back()?,
            bank_code,
            card_type,
            last4,
            bound_at: bound_at.back()?,
        })
    }
}

/// The attribute of an encrypted card number, here and in a rebind.
pub(super) const NUMBER: &str = "number";

/// The item of a card from onboarding.
pub fn attributes(number: &Sealed) -> Attributes {
    vec![version(), (NUMBER, Some(b(&number.0)))]
}

/// The encrypted number in the item of a card from onboarding or of a rebind. `None` once it is deleted.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub fn read(item: &Item) -> Result<Option<Sealed>, PortError> {
    check_version(item, "a card")?;
    Ok(opt_b(item, NUMBER).map(Sealed))
}
