//! An activation: its schedule, and the test transfer that can still undo it.

use super::policy::Policy;
use super::time::Timestamp;

/// The schedule of an activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// When the active card changed.
    pub activated_at: Timestamp,
    /// The time from which payouts are created for the new card.
    pub effective_at: Timestamp,
    /// The end of the cooldown. No rebind can be requested before it.
    pub cooldown_until: Timestamp,
    /// True until the owner's notification is handed over. Until then `effective_at` is only planned.
    pub waits: bool,
}

impl Activation {
    /// True if payouts that are created at `now` go to the new card.
    #[must_use]
    pub fn is_effective(&self, now: Timestamp) -> bool {
        !self.waits && now >= self.effective_at
    }

    /// When the activation takes effect if its notification is handed over at `now`.
    #[must_use]
    pub fn effective_if_notified(&self, policy: &Policy, now: Timestamp) -> Timestamp {
        if self.waits {
            self.effective_at.max(now.plus_s(policy.notified_hold_s))
        } else {
            self.effective_at
        }
    }

    /// The time from which a returned test transfer no longer undoes the activation; `None` while it waits.
    fn revertible_until(&self, policy: &Policy) -> Option<Timestamp> {
        let until = self.effective_at.plus_s(policy.revert_after_effective_s);
        (!self.waits).then_some(until)
    }

    /// True if the hold is over. An activation without a hold (of a standby card) counts as over one second after it.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_effective(now) && now > self.activated_at
    }
}

/// The only transfer of ¥0.01, which shows the merchant that the new card can receive payouts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TestTransfer {
    /// Not requested.
    #[default]
    NotSent,
    /// Pending, or its answer was lost. The bank is queried by the bank reference.
    Sent {
        /// When the transfer was requested.
        sent_at: Timestamp,
        /// When the bank was last queried.
        checked_at: Timestamp,
    },
    /// Arrived. It can still be returned.
    Arrived {
        /// When the bank first confirmed its arrival.
        at: Timestamp,
        /// When the bank last answered about it.
        checked_at: Timestamp,
    },
    /// Returned too late to undo the activation.
    CameBack,
    /// The activation is final by an operator's decision, so the bank is not asked about the transfer any more.
    Closed {
        /// When the bank first confirmed its arrival, if it did.
        arrived_at: Option<Timestamp>,
    },
}

impl TestTransfer {
    /// The transfer of a final activation; `None` if nothing changes.
    pub(crate) const fn closed(&self) -> Option<Self> {
        let arrived_at = match self {
            Self::Sent { .. } => None,
            Self::Arrived { at, .. } => Some(*at),
            Self::NotSent | Self::CameBack | Self::Closed { .. } => return None,
        };
        Some(Self::Closed { arrived_at })
    }
}

/// An activation with the test transfer to its card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatedCard {
    /// The schedule.
    pub times: Activation,
    /// The test transfer.
    pub test: TestTransfer,
}

impl ActivatedCard {
    /// True if a transfer that is returned at `now` still undoes the activation.
    #[must_use]
    pub fn can_be_reverted(&self, policy: &Policy, now: Timestamp) -> bool {
        let until = self.times.revertible_until(policy);
        until.is_none_or(|until| now < until)
    }

    /// When to query the bank about the test transfer; `None` once its answer has no effect.
    pub(crate) fn asks_at(&self, policy: &Policy) -> Option<Timestamp> {
        let question = self.test.bank_question()?;
        let next = question.asks_at(policy);
        // The last query comes just before the revert period ends, even if the interval ends later.
        let Some(until) = self.times.revertible_until(policy) else {
            return Some(next);
        };
        let last_chance = until.plus_s(-1);
        (question.asked_at < last_chance).then(|| next.min(last_chance))
    }
}
