//! Payouts, reduced to the choice of the card. Amounts and days belong to the acquirer's core.

use super::card::Card;
use super::ids::PayoutId;
use super::time::Timestamp;
use super::vocabulary::vocabulary;
use super::window::Window;

vocabulary! {
    /// The state of a payout.
    pub enum PayoutState {
        /// Created; with its card, or held.
        Unsent = "unsent",
        /// Being paid: the acquirer's core has begun the payment and not reported it yet.
        Sending = "sending",
        /// Handed to the bank.
        Sent = "sent",
        /// The bank has returned it: final; a new payout replaces it.
        Returned = "returned",
    }
}

/// One payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The id from the acquirer's core.
    pub payout_id: PayoutId,
    /// The amount in fen, at least 1.
    pub amount_fen: u64,
    /// When it was created, by the clock of the write.
    pub created_at: Timestamp,
    /// The card that it goes to; `None` while the payout is held without a card. It changes only if an operator decides
    /// against the card before the payout is paid.
    pub card: Option<Card>,
    /// The state of the payout.
    pub state: PayoutState,
    /// The releases of the card number to the acquirer's core.
    pub releases: Releases,
}

/// The releases of a card number for one payout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    /// All of them. Also the number of the last one, from 1.
    pub number: u64,
    /// Those of the last day.
    pub lately: Window,
}

impl Payout {
    /// True until the payout is reported as sent or returned.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, PayoutState::Unsent | PayoutState::Sending)
    }
}
