//! The operations of a rebind at the bank.

use super::{CardCheck, Rebind, RebindState, TestTransfer};
use crate::time::Timestamp;

/// A bank operation whose outcome is unknown, or can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankQuestion {
    /// The operation.
    pub reference: BankReference,
    /// When it began, or when its money arrived.
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
        let (reference, since, asked_at) = match &self.stage {
            RebindState::CardPending {
                check:
                    CardCheck::Asking {
                        number,
                        since,
                        asked_at,
                        ..
                    },
                ..
            } => (BankReference::Check(*number), *since, *asked_at),
            RebindState::CardPending {
                check:
                    CardCheck::Deposit {
                        number,
                        sent_at,
                        checked_at,
                        ..
                    },
                ..
            } => (BankReference::Deposit(*number), *sent_at, *checked_at),
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                match &activated_card.test {
                    TestTransfer::Sent {
                        sent_at,
                        checked_at,
                    } => (BankReference::Test, *sent_at, *checked_at),
                    TestTransfer::Arrived { at, checked_at } => {
                        (BankReference::Test, *at, *checked_at)
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
