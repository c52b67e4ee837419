//! The facts of a card.

use crate::card::Card;
use crate::ids::CardId;

/// The facts of a card. They are members of the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCard {
    /// The card's id.
    pub card_id: CardId,
    /// The bank's code; `UNKNOWN` for an unknown prefix.
    pub bank_code: String,
    /// The last four digits.
    pub last4: String,
}

impl From<&Card> for EventCard {
    fn from(card: &Card) -> Self {
        Self {
            card_id: card.card_id.clone(),
            bank_code: card.bank_code().to_owned(),
            last4: card.last4.clone(),
        }
    }
}
