//! Announced changes: the freeze codes that stop them, and the freeze itself.

use super::merchant::MerchantState;
use super::policy::Policy;
use super::time::Timestamp;

/// A freeze code that an event announced. It works once and is removed when used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreezeCode {
    /// The sequence number of the event that announced the code. The code is derived from it.
    pub seq: u64,
    /// The number of the announced rebind; `None` for a change without one.
    pub rebind: Option<u32>,
    /// The end of its validity; `None` while its card is a standby card.
    pub good_until: Option<Timestamp>,
    /// True if the code belongs to an activation that was not undone before it took effect.
    pub activation: bool,
}

impl FreezeCode {
    /// True if the code is valid at `now`.
    #[must_use]
    pub fn works_at(&self, now: Timestamp) -> bool {
        self.good_until.is_none_or(|until| now < until)
    }
}

/// An announced change that has not taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeAhead {
    /// When it takes effect; planned while it waits.
    pub takes_effect_at: Timestamp,
    /// True until its notification is handed over.
    pub waits: bool,
    /// True for an activation, false for a standby card.
    pub is_activation: bool,
}

impl ChangeAhead {
    /// The change after its notification is handed over at `now`.
    #[must_use]
    pub fn notified(self, policy: &Policy, now: Timestamp) -> Self {
        let planned = self.takes_effect_at;
        let takes_effect_at = match self.waits && self.is_activation {
            true => planned.max(now.plus_s(policy.notified_hold_s)),
            false => planned,
        };
        Self {
            takes_effect_at,
            waits: false,
            ..self
        }
    }
}

/// A freeze of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The start of the freeze.
    pub at: Timestamp,
    /// True if every payout is held: the change had taken effect, so it is unknown which card is right.
    pub holds_payouts: bool,
}

impl MerchantState {
    /// The rebind that a freeze with this code must read, besides the latest one.
    #[must_use]
    pub fn rebind_to_freeze(&self, code: &FreezeCode, now: Timestamp) -> Option<u32> {
        let of_hold = self.hold(now).map(|last| last.number);
        // A switch that waits for its notification is not always the latest rebind.
        let older = of_hold.filter(|number| *number != self.rebinds);
        older.or(code.rebind).or(self.open).or(of_hold)
    }

    /// The rebind that an operator's freeze must read, besides the latest one.
    #[must_use]
    pub fn rebind_to_freeze_by_operator(&self, now: Timestamp) -> Option<u32> {
        let codes = self.freeze_codes.iter();
        let live = codes.filter(|code| code.activation && code.works_at(now));
        match live.max_by_key(|code| code.seq) {
            Some(code) => self.rebind_to_freeze(code, now),
            None => self.hold(now).map(|last| last.number).or(self.open),
        }
    }
}
