//! The operations of a rebind at the bank.

use super::{CardCheck, Rebind, RebindState, TestTransfer};
use crate::policy::{HOUR_S, Policy};
use crate::time::Timestamp;

/// The age from which an unknown outcome concerns the operators.
const UNKNOWN_FOR_S: i64 = HOUR_S;

/// A bank operation whose outcome is unknown, or can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankQuestion {
    /// The operation.
    pub reference: BankReference,
    /// True if the outcome is unknown, false if it is known and can still change.
    pub is_unknown: bool,
    /// When the operation began; for a test transfer that arrived, when the bank reported it.
    pub since: Timestamp,
    /// When the bank was last asked about it.
    pub asked_at: Timestamp,
}

/// A bank operation with its own bank reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankReference {
    /// The four-element check with this number.
    Check(u16),
    /// The deposit that replaces this check if the bank cannot check the card.
    Deposit(u16),
    /// The only test transfer.
    Test,
}

impl BankQuestion {
    /// When the clean-up asks the bank next.
    pub(crate) fn asks_at(&self, policy: &Policy) -> Timestamp {
        policy.asks_bank_at(self.since, self.asked_at, !self.is_unknown)
    }

    /// True if the outcome has been unknown for so long that operators must act.
    #[must_use]
    pub fn concerns_operators(&self, now: Timestamp) -> bool {
        self.is_unknown && self.since.age_s_at(now) >= UNKNOWN_FOR_S
    }
}

impl CardCheck {
    pub(super) fn bank_question(&self) -> Option<BankQuestion> {
        match *self {
            Self::Asking {
                number,
                since,
                asked_at,
                ..
            } => Some(BankQuestion {
                reference: BankReference::Check(number),
                is_unknown: true,
                since,
                asked_at,
            }),
            Self::Deposit {
                number,
                sent_at,
                arrived,
                checked_at,
            } => Some(BankQuestion {
                reference: BankReference::Deposit(number),
                is_unknown: !arrived,
                since: sent_at,
                asked_at: checked_at,
            }),
            Self::NotAsked { .. } | Self::Matched { .. } => None,
        }
    }
}

impl TestTransfer {
    pub(crate) fn bank_question(&self) -> Option<BankQuestion> {
        let (is_unknown, since, asked_at) = match *self {
            Self::Sent {
                sent_at,
                checked_at,
            } => (true, sent_at, checked_at),
            Self::Arrived { at, checked_at } => (false, at, checked_at),
            Self::NotSent | Self::CameBack | Self::Closed { .. } => return None,
        };
        Some(BankQuestion {
            reference: BankReference::Test,
            is_unknown,
            since,
            asked_at,
        })
    }
}

impl Rebind {
    /// The bank operation with an unknown or changeable outcome. An overdue rebind ends without a question.
    #[must_use]
    pub fn bank_question(&self, now: Timestamp) -> Option<BankQuestion> {
        match &self.stage {
            _ if self.is_overdue(now) => None,
            RebindState::CardPending { check, .. } => check.bank_question(),
            _ => self.activated_card()?.test.bank_question(),
        }
    }

    /// The bank reference of a call. A repeated call always has the same reference.
    #[must_use]
    pub fn serial(&self, serial: BankReference) -> String {
        match serial {
            BankReference::Check(number) => format!("{}-{number}", self.rebind_id),
            BankReference::Deposit(number) => format!("{}-d{number}", self.rebind_id),
            BankReference::Test => format!("{}-t1", self.rebind_id),
        }
    }
}
