//! The verified cards of a merchant: active, standby and formerly active ones.

use super::card::Card;
use super::rebind::Mac;
use super::time::Timestamp;

/// A verified card of the merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundCard {
    /// The card.
    pub card: Card,
    /// Keyed hash of its number, which finds duplicates.
    pub fingerprint: Mac,
    /// The number of unsent payouts to it.
    pub unsent: u32,
    /// The number of payouts to it that are being paid.
    pub sending: u32,
}

impl BoundCard {
    /// True if a payout to the card is not reported as sent yet.
    #[must_use]
    pub const fn has_pending_payout(&self) -> bool {
        self.unsent > 0 || self.sending > 0
    }
}

/// A formerly active card. It stays on record until it can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedCard {
    /// The card, with its number of unsent payouts.
    pub bound: BoundCard,
    /// The earliest time of its removal, which also waits for its last payout.
    pub removable_at: Timestamp,
    /// Its condition, which determines if it can receive payouts.
    pub state: Replaced,
}

/// The condition of a formerly active card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The card can receive payouts.
    Usable,
    /// The merchant has reported it lost. It receives no new payouts.
    Lost,
    /// Frozen, reverted after a returned test transfer, or unbound. It only waits for its removal.
    Out,
    /// An operator decided against it. Its unsent payouts wait for another card, then it is removed.
    Barred,
}

impl Replaced {
    /// True if the card can never be the active card again.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Out | Self::Barred)
    }
}

impl ReplacedCard {
    /// True if the card counts as removed at `now`: it receives no new payouts and its last payout was sent.
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        let may_go = self.state.is_out() || now >= self.removable_at;
        may_go && !self.bound.has_pending_payout()
    }
}

/// A standby card: verified, and not yet switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyCard {
    /// The card.
    pub bound: BoundCard,
    /// The earliest time of its activation.
    pub usable_at: Timestamp,
    /// True until the owner's notification of its completion is handed over. A switch to it then waits for its own.
    pub waits: bool,
}
