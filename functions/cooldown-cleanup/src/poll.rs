//! Queries to the bank about answers that were lost and transfers that may still be returned.

use crate::run::Run;
use crate::{Bank, CooldownCleanup};
use application::ports::QueryOutcome;
use domain::decide::{BankAnswer, BankReply, Command};
use domain::merchant::Merchant;
use domain::rebind::{BankReference, Rebind};
use domain::transfer::TransferAnswer;
use std::sync::atomic::{AtomicU32, Ordering};
use store::client::Table;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A question to the bank, by bank reference.
enum Question {
    Check(u16, String),
    Deposit(String),
    Test(String),
}

impl Question {
    fn of(rebind: &Rebind, reference: BankReference) -> Self {
        let serial = rebind.serial(reference);
        match reference {
            BankReference::Check(number) => Self::Check(number, serial),
            BankReference::Deposit(_) => Self::Deposit(serial),
            BankReference::Test => Self::Test(serial),
        }
    }
}

impl<T: Table, B: Bank> CooldownCleanup<T, B> {
    /// Queries the bank about the rebind's bank reference with an unknown or changeable outcome. `None`: the rebind has
    /// no such reference, the bank left too many queries of this run unanswered, or the run has to stop.
    pub(crate) async fn poll_bank(&self, merchant: &Merchant, run: &Run) -> Option<PollResult> {
        let rebind = merchant.rebind.as_ref()?;
        let open = rebind.bank_question(run.now)?;
        let question = Question::of(rebind, open.reference);
        let turn = run.bank().turn().await?;
        if run.is_late() {
            return None;
        }
        let result = match question {
            Question::Check(number, serial) => {
                PollResult::Check(number, self.bank.check_outcome(&serial).await)
            }
            Question::Deposit(serial) => {
                PollResult::Deposit(self.bank.transfer_outcome(&serial).await)
            }
            Question::Test(serial) => PollResult::Test(self.bank.transfer_outcome(&serial).await),
        };
        if result.is_unanswered() {
            run.bank().unanswered(turn);
        }
        if open.concerns_operators(run.now) && !result.decides(Some(rebind)) {
            tracing::warn!("bank.outcome_unknown");
        }
        Some(result)
    }
}

/// Limits the queries to the bank: `Policy::bank_silence_max` at once, and none after as many without an answer. The bank
/// is down then, and other due work must not wait for it.
pub(crate) struct BankLimit {
    turns: Semaphore,
    left: AtomicU32,
}

impl BankLimit {
    pub(crate) fn new(silence_max: u32) -> Self {
        Self {
            turns: Semaphore::new(silence_max.try_into().unwrap_or(Semaphore::MAX_PERMITS)),
            left: AtomicU32::new(silence_max),
        }
    }

    /// Waits for the turn to ask. `None` after too many queries without an answer.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Uses up the turn of an unanswered query.
    fn unanswered(&self, turn: SemaphorePermit<'_>) {
        turn.forget();
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.turns.close();
        }
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
