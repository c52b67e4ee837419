//! Payouts, as far as cards are concerned: which one is paid to which card. Amounts and days are the acquirer's core's.

use super::card::Card;
use super::ids::PayoutId;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

vocabulary! {
    /// How far a payout is.
    pub enum PayoutState {
        /// Created; with its card, or held.
        Unsent = "unsent",
        /// Handed to the bank.
        Sent = "sent",
        /// The bank has returned it: it is over, a new one takes its place.
        Returned = "returned",
    }
}

/// One payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The acquirer's id.
    pub payout_id: PayoutId,
    /// How much, fen; at least 1.
    pub amount_fen: u64,
    /// When it was created, by the clock of the write.
    pub created_at: Timestamp,
    /// The card that it goes to: chosen once, never changed. `None` while it is held without one.
    pub card: Option<Card>,
    /// How far it is.
    pub state: PayoutState,
}
