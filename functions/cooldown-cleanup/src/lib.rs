//! Every five minutes: writes down what time has brought about, and has it announced.
//!
//! Nothing waits for it: whoever reads computes the same from the times. It is idempotent, costs what is due, and stops in
//! time; the next run carries on.

use application::backoff::Limits;
use application::error::HandlerError;
use application::ports::{
    LoadMerchant, PortError, QueryCheck, QueryOutcome, QueryTransfer, ReadPayouts, Selector,
};
use application::transact::{Learned, Loaded, Transactor, nothing_to_seal};
use domain::decide::{BankAnswer, BankReply, Command};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::policy::MINUTE_S;
use domain::rebind::{BankReference, CardCheck, RebindState, SessionTag, TestTransfer};
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, Instant};
use store::Store;
use store::client::Table;
use store::due::{Due, DueItem, buckets};
use store::outbox::Rearmed;
use store::payout::place;

/// Writes down what is due.
pub struct CooldownCleanup<T, B> {
    store: Store<T>,
    bank: B,
    sandbox: bool,
}

/// The schedule's event; other fields do not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleEvent {
    /// RFC 3339.
    time: Value,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rebinds that were overdue.
    pub expired: u32,
    /// Rebinds whose hold was over.
    pub completed: u32,
    /// Cooldowns whose end is announced.
    pub cooldowns_ended: u32,
    /// Cards that were taken off the record.
    pub cards_removed: u32,
    /// Held payouts that got their card.
    pub payouts_assigned: u32,
    /// Answers of the bank that were unknown, or can still change, and were heard.
    pub bank_answers: u32,
    /// Notices that were never sent, armed again.
    pub notices_rearmed: u32,
    /// Notices that could not be sent for a day.
    pub notices_given_up: u32,
    /// Entries that were done already, or that a concurrent write took.
    pub skipped: u32,
    /// Entries that failed; they stay due.
    pub failed: u32,
    /// Time ran out: the next run carries on.
    pub stopped_early: bool,
}

/// What the scheduler replaces with its time.
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";
/// How far the schedule's clock may be ahead of ours.
const AHEAD_MAX_S: i64 = 5 * MINUTE_S;
/// What one entry may take at most, and so when to stop before the deadline.
pub const RESERVE: Duration = Duration::from_secs(10);

/// What the clean-up asks of a bank: what became of a serial, and never anything new.
pub trait Bank: QueryCheck + QueryTransfer {}

impl<B: QueryCheck + QueryTransfer> Bank for B {}

impl<T: Table, B: Bank> CooldownCleanup<T, B> {
    /// With this function's store and bank. In the sandbox the event's clock is taken as it is.
    pub const fn new(store: Store<T>, bank: B, sandbox: bool) -> Self {
        Self {
            store,
            bank,
            sandbox,
        }
    }

    /// One run.
    ///
    /// # Errors
    /// Outside the sandbox, for an event without a time or with one that is more than five minutes ahead; and when the
    /// index cannot be read in part: what can be read is done first.
    pub async fn run(
        &self,
        event: &ScheduleEvent,
        wall: Timestamp,
        deadline: Instant,
    ) -> Result<Summary, PortError> {
        let now = self.now(event, wall)?;
        let mut run = Run {
            summary: Summary::default(),
            wall,
            now,
            deadline,
            silences: 0,
        };
        let mut unreadable = None;
        for bucket in buckets(now) {
            let mut page = None;
            // On from page to page, never back: an entry that fails stays due and is met again by the next run.
            loop {
                if run.is_late() {
                    return Ok(run.summary);
                }
                let next = match self.store.due_in(&bucket, now, page.as_ref()).await {
                    Ok(next) => next,
                    Err(error) => {
                        // The other buckets are not to wait for this one; the run still fails, at its end.
                        tracing::error!(
                            due.bucket = bucket,
                            due.cause = error.to_string(),
                            "a bucket cannot be read"
                        );
                        unreadable = Some(error);
                        break;
                    }
                };
                for due in &next.due {
                    if run.is_late() {
                        return Ok(run.summary);
                    }
                    self.handle(due, &mut run).await;
                }
                if next.is_last() {
                    break;
                }
                page = Some(next);
            }
        }
        unreadable.map_or(Ok(run.summary), Err)
    }

    fn now(&self, event: &ScheduleEvent, wall: Timestamp) -> Result<Timestamp, PortError> {
        let refused = |what: &str| PortError::Permanent("the schedule's event", what.to_owned());
        // The local cloud's scheduler leaves its placeholder as it is.
        let unfilled = self.sandbox && event.time.as_str() == Some(SCHEDULED_TIME);
        let text = event.time.as_str().filter(|_| !unfilled);
        match text.map(Timestamp::parse_rfc3339) {
            Some(Some(time)) if self.sandbox || time <= wall.plus_s(AHEAD_MAX_S) => Ok(time),
            Some(Some(_)) => Err(refused("its time is more than five minutes ahead")),
            Some(None) => Err(refused("its time is not RFC 3339")),
            None if unfilled || (self.sandbox && event.time.is_null()) => Ok(wall),
            None => Err(refused("it has no time")),
        }
    }

    async fn handle(&self, due: &Due, run: &mut Run) {
        let done = match due.what {
            DueItem::Rebind(number) => self.rebind(&due.merchant_id, number, run).await,
            DueItem::MerchantState => self.head(&due.merchant_id, run).await,
            DueItem::Notice(seq) => self.notice(&due.merchant_id, seq, run).await,
        };
        match done {
            Ok(()) => {}
            Err(PortError::Conflict) => run.summary.skipped += 1,
            Err(error) => {
                run.summary.failed += 1;
                tracing::error!(
                    merchant.id = due.merchant_id.as_str(), due.what = ?due.what, due.cause = error.to_string(),
                    "an entry stays due"
                );
            }
        }
    }

    async fn notice(
        &self,
        merchant: &MerchantId,
        seq: u64,
        run: &mut Run,
    ) -> Result<(), PortError> {
        let rearmed = self
            .store
            .rearm_notice(merchant, seq, run.wall, run.now)
            .await?;
        match rearmed {
            Rearmed::Armed => run.summary.notices_rearmed += 1,
            Rearmed::NotNeeded => run.summary.skipped += 1,
            Rearmed::GivenUp => {
                run.summary.notices_given_up += 1;
                tracing::error!(
                    merchant.id = merchant.as_str(),
                    event.seq = seq,
                    "a notice is given up"
                );
            }
        }
        Ok(())
    }

    /// What is due of one rebind: its time is over, its hold is, or the bank is to be asked about it.
    async fn rebind(
        &self,
        merchant: &MerchantId,
        number: u32,
        run: &mut Run,
    ) -> Result<(), PortError> {
        let mut state = match self.store.load(merchant, Selector::Number(number)).await? {
            Some(state) if state.rebind.is_some() => state,
            _ => return Ok(()),
        };
        let ended_by_time = state
            .rebind
            .as_ref()
            .is_some_and(|rebind| rebind.is_overdue(run.now));
        if !ended_by_time && let Some(act) = self.heard(&state, run).await {
            let news = act.is_news();
            let after = self.write(&state, act.act(), run.now).await?;
            if news {
                count(
                    after.is_some(),
                    &mut run.summary.bank_answers,
                    &mut run.summary.skipped,
                );
            }
            state = after.unwrap_or(state);
        }
        let Some(rebind) = &state.rebind else {
            return Ok(());
        };
        let summary = &mut run.summary;
        match &rebind.stage {
            RebindState::Activated(activated_card) if activated_card.times.is_over(run.now) => {
                let done = self
                    .write(&state, Command::Complete, run.now)
                    .await?
                    .is_some();
                count(done, &mut summary.completed, &mut summary.skipped);
            }
            _ if rebind.is_overdue(run.now) => {
                let done = self
                    .write(&state, Command::Expire, run.now)
                    .await?
                    .is_some();
                count(done, &mut summary.expired, &mut summary.skipped);
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the bank about the one serial of the rebind whose answer is not known, or can still change. `None`: there is
    /// none, or the bank has been silent too often in this run.
    async fn heard(&self, state: &Merchant, run: &mut Run) -> Option<Heard> {
        let rebind = state.rebind.as_ref()?;
        if run.silences >= self.store.policy().bank_silence_max {
            return None;
        }
        let heard = match &rebind.stage {
            RebindState::CardPending {
                check: CardCheck::Asking { number, .. },
                ..
            } => {
                let serial = rebind.serial(BankReference::Check(*number));
                Heard::Check(*number, self.bank.check_outcome(&serial).await)
            }
            RebindState::CardPending {
                check: CardCheck::Deposit { number, .. },
                ..
            } => {
                let serial = rebind.serial(BankReference::Deposit(*number));
                Heard::Deposit(self.bank.transfer_outcome(&serial).await)
            }
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                match activated_card.test {
                    TestTransfer::Sent { .. } | TestTransfer::Arrived { .. } => {
                        let serial = rebind.serial(BankReference::Test);
                        Heard::Test(self.bank.transfer_outcome(&serial).await)
                    }
                    TestTransfer::NotSent | TestTransfer::CameBack => return None,
                }
            }
            _ => return None,
        };
        if heard.is_silence() {
            run.silences += 1;
        }
        Some(heard)
    }

    /// What is due of a merchant: the end of a cooldown to tell, cards to take off the record, held payouts to assign.
    async fn head(&self, merchant: &MerchantId, run: &mut Run) -> Result<(), PortError> {
        let Some(state) = self.store.load(merchant, Selector::Latest).await? else {
            return Ok(());
        };
        if self
            .write(&state, Command::EndCooldown, run.now)
            .await?
            .is_some()
        {
            run.summary.cooldowns_ended += 1;
        }
        for replaced in &state.head.replaced {
            if run.is_late() {
                return Ok(());
            }
            let card_id = &replaced.bound.card.card_id;
            // With the rebind that the card came with, which has its number.
            let Some(state) = self.store.load(merchant, Selector::Card(card_id)).await? else {
                continue;
            };
            let act = Command::RemoveCard(card_id.clone());
            let removed = self.write(&state, act, run.now).await?;
            run.summary.cards_removed += u32::from(removed.is_some());
        }
        if state.head.held_payouts > 0 {
            self.assign(merchant, run).await?;
        }
        Ok(())
    }

    /// Each held payout gets its card in a write of its own; one that fails is met again by the next run.
    async fn assign(&self, merchant: &MerchantId, run: &mut Run) -> Result<(), PortError> {
        let mut before = None;
        loop {
            let page = self
                .store
                .unsent_payouts(merchant, before.as_deref(), PAYOUTS)
                .await?;
            for payout in page.iter().filter(|payout| payout.card.is_none()) {
                if run.is_late() {
                    return Ok(());
                }
                let Some(state) = self.store.load(merchant, Selector::Latest).await? else {
                    return Ok(());
                };
                let act = Command::AssignPayout(payout.clone());
                if self.write(&state, act, run.now).await?.is_none() {
                    // Not yet, or not while the account is frozen: true of all of them.
                    return Ok(());
                }
                run.summary.payouts_assigned += 1;
            }
            match page.last() {
                Some(last) if page.len() == usize::from(PAYOUTS) => before = Some(place(last)),
                _ => return Ok(()),
            }
        }
    }

    /// Decides and writes: the way of every step, without a caller. `None`: done already, or not due yet by a clock that
    /// went back.
    async fn write(
        &self,
        before: &Merchant,
        act: Command,
        now: Timestamp,
    ) -> Result<Option<Merchant>, PortError> {
        let merchant_id = before.profile.merchant_id.clone();
        let (policy, limits) = (self.store.policy(), Limits::ONCE);
        let system = Transactor::system(&self.store, policy, merchant_id, now, limits);
        let loaded = Loaded {
            merchant: before.clone(),
            session: SessionTag(String::new()),
        };
        let plan = async |_: &Loaded, _: &Learned| Ok(act.clone().into());
        let start = (Selector::Latest, loaded);
        match system.transact(start, plan, nothing_to_seal).await {
            Ok(written) => Ok(written.is_written.then_some(written.after.merchant)),
            Err(HandlerError::Rejected(_)) => Ok(None),
            Err(error) => Err(error.into_port_error()),
        }
    }
}

/// One run.
struct Run {
    summary: Summary,
    wall: Timestamp,
    now: Timestamp,
    deadline: Instant,
    /// Questions that the bank did not answer. After some, it is asked nothing more: it is down, and what else is due is
    /// not to wait for it.
    silences: u32,
}

impl Run {
    /// Whether it has to stop; what is left is the next run's.
    fn is_late(&mut self) -> bool {
        let late = Instant::now() + RESERVE >= self.deadline;
        self.summary.stopped_early |= late;
        late
    }
}

/// What came of asking the bank about a serial.
enum Heard {
    Check(u16, QueryOutcome<BankAnswer>),
    Deposit(QueryOutcome<TransferAnswer>),
    Test(QueryOutcome<TransferAnswer>),
}

impl Heard {
    const fn is_silence(&self) -> bool {
        match self {
            Self::Check(_, recalled) => matches!(recalled, QueryOutcome::Unknown),
            Self::Deposit(recalled) | Self::Test(recalled) => {
                matches!(recalled, QueryOutcome::Unknown)
            }
        }
    }

    /// Whether the bank said something that decides.
    const fn is_news(&self) -> bool {
        match self {
            Self::Check(_, QueryOutcome::Answer(answer)) => answer.decides(),
            Self::Check(..) => false,
            Self::Deposit(recalled) | Self::Test(recalled) => matches!(
                recalled,
                QueryOutcome::Answer(TransferAnswer::Succeeded | TransferAnswer::Returned)
            ),
        }
    }

    /// What is decided about. A serial that the bank has never seen is sent again by the merchant's own request only, which
    /// knows the card; a match's code is asked for by the merchant too, for nobody waits for one here.
    fn act(self) -> Command {
        match self {
            Self::Check(number, recalled) => {
                let answer = recalled.answer();
                Command::SettleCardCheck(BankReply { number, answer }, None)
            }
            Self::Deposit(recalled) => Command::SettleDeposit(recalled.answer()),
            Self::Test(recalled) => Command::SettleTestTransfer(recalled.answer()),
        }
    }
}

/// Unsent payouts read at once.
const PAYOUTS: u8 = 50;

const fn count(done: bool, counted: &mut u32, skipped: &mut u32) {
    *if done { counted } else { skipped } += 1;
}
