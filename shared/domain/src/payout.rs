//! Payouts, as far as cards are concerned: which one is paid to which card. Amounts and days are the acquirer's core's.

use super::card::Card;
use super::ids::PayoutId;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a payout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    /// Created; with its card, or held.
    Unsent,
    /// Handed to the bank.
    Sent,
    /// The bank has returned it: it is over, a new one takes its place.
    Returned,
}

impl PayoutState {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Sent => "sent",
            Self::Returned => "returned",
        }
    }
}

/// One payout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    /// The acquirer's id.
    #[serde(rename = "id")]
    pub payout_id: PayoutId,
    /// How much, fen; at least 1.
    #[serde(rename = "fen")]
    pub amount_fen: u64,
    /// When it was created, by the clock of the write.
    #[serde(rename = "at")]
    pub created_at: Timestamp,
    /// The card that it goes to: chosen once, never changed. `None` while it is held without one.
    #[serde(rename = "card", skip_serializing_if = "Option::is_none", default)]
    pub card: Option<Card>,
    /// How far it is.
    #[serde(rename = "st")]
    pub state: PayoutState,
}
