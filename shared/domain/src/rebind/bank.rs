//! The operations of a rebind at the bank.

use super::{CardCheck, Rebind, RebindState, TestTransfer};
use crate::time::Timestamp;

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

impl Rebind {
    /// The bank operation with an unknown or changeable outcome.
    #[must_use]
    pub const fn bank_question(&self) -> Option<BankQuestion> {
        let (reference, is_unknown, since, asked_at) = match &self.stage {
            RebindState::CardPending {
                check:
                    CardCheck::Asking {
                        number,
                        since,
                        asked_at,
                        ..
                    },
                ..
            } => (BankReference::Check(*number), true, *since, *asked_at),
            RebindState::CardPending {
                check:
                    CardCheck::Deposit {
                        number,
                        sent_at,
                        arrived,
                        checked_at,
                    },
                ..
            } => (
                BankReference::Deposit(*number),
                !*arrived,
                *sent_at,
                *checked_at,
            ),
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                match &activated_card.test {
                    TestTransfer::Sent {
                        sent_at,
                        checked_at,
                    } => (BankReference::Test, true, *sent_at, *checked_at),
                    TestTransfer::Arrived { at, checked_at } => {
                        (BankReference::Test, false, *at, *checked_at)
                    }
                    TestTransfer::NotSent
                    | TestTransfer::CameBack
                    | TestTransfer::Closed { .. } => return None,
                }
            }
            _ => return None,
        };
        Some(BankQuestion {
            reference,
            is_unknown,
            since,
            asked_at,
        })
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
