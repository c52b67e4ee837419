//! Queries to the bank about answers that were lost and transfers that may still be returned.

use crate::{Bank, CooldownCleanup, Run};
use application::ports::QueryOutcome;
use domain::decide::{BankAnswer, BankReply, Command};
use domain::merchant::Merchant;
use domain::rebind::{BankReference, CardCheck, Rebind, RebindState, TestTransfer};
use domain::transfer::TransferAnswer;
use store::client::Table;

impl<T: Table, B: Bank> CooldownCleanup<T, B> {
    /// Queries the bank about the rebind's bank reference with an unknown or changeable outcome. `None`: the rebind has
    /// no such reference, or the bank left too many queries of this run unanswered.
    pub(crate) async fn poll_bank(&self, merchant: &Merchant, run: &mut Run) -> Option<PollResult> {
        let rebind = merchant.rebind.as_ref()?;
        if run.unanswered >= self.store.policy().bank_silence_max {
            return None;
        }
        let result = match &rebind.stage {
            RebindState::CardPending {
                check: CardCheck::Asking { number, .. },
                ..
            } => {
                let serial = rebind.serial(BankReference::Check(*number));
                PollResult::Check(*number, self.bank.check_outcome(&serial).await)
            }
            RebindState::CardPending {
                check: CardCheck::Deposit { number, .. },
                ..
            } => {
                let serial = rebind.serial(BankReference::Deposit(*number));
                PollResult::Deposit(self.bank.transfer_outcome(&serial).await)
            }
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                match activated_card.test {
                    TestTransfer::Sent { .. } | TestTransfer::Arrived { .. } => {
                        let serial = rebind.serial(BankReference::Test);
                        PollResult::Test(self.bank.transfer_outcome(&serial).await)
                    }
                    TestTransfer::NotSent
                    | TestTransfer::CameBack
                    | TestTransfer::Closed { .. } => return None,
                }
            }
            _ => return None,
        };
        if result.is_unanswered() {
            run.unanswered += 1;
        }
        Some(result)
    }
}

/// The outcome of a query about a bank reference.
pub(crate) enum PollResult {
    Check(u16, QueryOutcome<BankAnswer>),
    Deposit(QueryOutcome<TransferAnswer>),
    Test(QueryOutcome<TransferAnswer>),
}

impl PollResult {
    const fn is_unanswered(&self) -> bool {
        match self {
            Self::Check(_, outcome) => matches!(outcome, QueryOutcome::Unknown),
            Self::Deposit(outcome) | Self::Test(outcome) => {
                matches!(outcome, QueryOutcome::Unknown)
            }
        }
    }

    /// True for an answer that decides something.
    pub(crate) fn decides(&self, rebind: Option<&Rebind>) -> bool {
        match self {
            Self::Check(_, QueryOutcome::Answer(answer)) => {
                rebind.is_some_and(|rebind| answer.decides(&rebind.new_card))
            }
            Self::Check(..) => false,
            Self::Deposit(outcome) | Self::Test(outcome) => matches!(
                outcome,
                QueryOutcome::Answer(TransferAnswer::Succeeded | TransferAnswer::Returned)
            ),
        }
    }

    /// The command that settles the outcome. A bank reference that the bank has never seen is sent again only by the
    /// merchant's own request, which has the card. A match sends no OTP here, because no user is waiting for one; the
    /// merchant requests it.
    pub(crate) fn command(self) -> Command {
        match self {
            Self::Check(number, outcome) => {
                let answer = outcome.answer();
                Command::SettleCardCheck(BankReply { number, answer }, None)
            }
            Self::Deposit(outcome) => Command::SettleDeposit(outcome.answer()),
            Self::Test(outcome) => Command::SettleTestTransfer(outcome.answer()),
        }
    }
}
