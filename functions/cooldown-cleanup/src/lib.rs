//! Runs every five minutes: persists time-driven transitions and queues their notifications.
//!
//! No request depends on a run, because readers compute the same result from the stored times. A run is idempotent,
//! costs only what is due, and stops before its deadline; the next run continues.

mod poll;
mod run;
mod summary;

pub use run::ENTRIES_AT_ONCE;
pub use summary::Summary;

use application::backoff::Limits;
use application::error::HandlerError;
use application::ports::{
    LoadMerchant, PortError, QueryCheck, QueryTransfer, ReadPayouts, Selector,
};
use application::transact::{Loaded, Transactor};
use application::usage::Usage;
use domain::decide::Command;
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::rebind::RebindState;
use domain::reminder::Reminder;
use domain::time::Timestamp;
use run::Run;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use store::Store;
use store::client::Table;
use store::due::{DueItem, DueKind};
use store::outbox::Rearmed;
use store::payout::place;

/// Persists the transitions that are due.
pub struct CooldownCleanup<T, B> {
    store: Store<T>,
    bank: B,
    sandbox: bool,
}

/// The schedule's event. Other fields are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ScheduleEvent {
    /// The scheduled time, RFC 3339.
    time: Value,
}

/// The placeholder that the scheduler replaces with its time.
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";
/// Maximum time for one entry. A run stops this long before its deadline.
pub const RESERVE: Duration = Duration::from_secs(10);

/// The clean-up's bank capability: it queries bank references, and starts nothing new.
pub trait Bank: QueryCheck + QueryTransfer {}

impl<B: QueryCheck + QueryTransfer> Bank for B {}

impl<T: Table, B: Bank> CooldownCleanup<T, B> {
    /// Creates the clean-up from its store and bank. The sandbox accepts any time in the event.
    pub const fn new(store: Store<T>, bank: B, sandbox: bool) -> Self {
        Self {
            store,
            bank,
            sandbox,
        }
    }

    /// What the runs used since the last call of this function.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.store.meter().take()
    }

    fn now(&self, event: &ScheduleEvent, wall: Timestamp) -> Result<Timestamp, PortError> {
        let refused = |what: &str| PortError::Permanent("the schedule's event", what.to_owned());
        // The local cloud's scheduler sends its placeholder unreplaced.
        let unfilled = self.sandbox && event.time.as_str() == Some(SCHEDULED_TIME);
        let text = event.time.as_str().filter(|_| !unfilled);
        let latest = wall.plus_s(self.store.policy().schedule_ahead_max_s);
        match text.map(Timestamp::parse_rfc3339) {
            Some(Some(time)) if self.sandbox || time <= latest => Ok(time),
            Some(Some(_)) => Err(refused("the time is too far ahead of the clock")),
            Some(None) => Err(refused("the time is not RFC 3339")),
            None if unfilled || (self.sandbox && event.time.is_null()) => Ok(wall),
            None => Err(refused("the time is missing")),
        }
    }

    async fn handle(&self, due: &DueItem, run: &mut Run) {
        let done = match due.kind {
            DueKind::Rebind(number) => self.rebind(&due.merchant_id, number, run).await,
            DueKind::MerchantState => self.merchant(&due.merchant_id, run).await,
            DueKind::Notification(seq) => self.notification(&due.merchant_id, seq, run).await,
        };
        match done {
            Ok(()) => {}
            Err(PortError::Conflict) => run.summary.skipped += 1,
            Err(error) => {
                run.summary.failed += 1;
                tracing::error!(due.cause = error.to_string(), "cleanup.entry_failed");
            }
        }
    }

    async fn notification(
        &self,
        merchant_id: &MerchantId,
        seq: u64,
        run: &mut Run,
    ) -> Result<(), PortError> {
        let rearmed = self
            .store
            .rearm_notification(merchant_id, seq, run.wall, run.now)
            .await?;
        match rearmed {
            Rearmed::Armed => run.summary.notices_rearmed += 1,
            Rearmed::UnderWay => {}
            Rearmed::NotNeeded => run.summary.skipped += 1,
            Rearmed::Waits => {
                run.summary.notices_rearmed += 1;
                tracing::error!("notification.waiting");
            }
            Rearmed::ReminderDue { reminder, rebind } => {
                let due = (seq, reminder, rebind);
                self.remind(merchant_id, due, run).await?;
            }
            Rearmed::GivenUp => {
                run.summary.notices_given_up += 1;
                tracing::error!("notification.given_up");
            }
        }
        Ok(())
    }

    /// Arms the due reminder of a change, unless the change has taken effect or was stopped.
    async fn remind(
        &self,
        merchant_id: &MerchantId,
        (seq, reminder, rebind): (u64, Reminder, u32),
        run: &mut Run,
    ) -> Result<(), PortError> {
        let merchant = self.store.load(merchant_id, Selector::Latest).await?;
        let is_ahead = |merchant: &Merchant| merchant.state.change_ahead(rebind, run.now).is_some();
        let ahead = merchant.filter(is_ahead);
        match ahead {
            Some(merchant) => {
                self.store.remind(&merchant, seq, reminder, run.now).await?;
                run.summary.reminders += 1;
            }
            None => self.store.end_reminders(merchant_id, seq, reminder).await?,
        }
        Ok(())
    }

    /// Processes one rebind: asks the bank about a pending outcome, then completes or expires the rebind.
    async fn rebind(
        &self,
        merchant_id: &MerchantId,
        number: u32,
        run: &mut Run,
    ) -> Result<(), PortError> {
        let mut merchant = match self
            .store
            .load(merchant_id, Selector::Number(number))
            .await?
        {
            Some(merchant) if merchant.rebind.is_some() => merchant,
            _ => return Ok(()),
        };
        let mut is_polled = false;
        if let Some(result) = self.poll_bank(&merchant, run).await {
            is_polled = true;
            let decides = result.decides(merchant.rebind.as_ref());
            let after = self.write(&merchant, result.command(), run.now).await?;
            if decides {
                count(
                    after.is_some(),
                    &mut run.summary.bank_answers,
                    &mut run.summary.skipped,
                );
            }
            merchant = after.unwrap_or(merchant);
        }
        let Some(rebind) = &merchant.rebind else {
            return Ok(());
        };
        let summary = &mut run.summary;
        match &rebind.stage {
            RebindState::Activated(activated_card) if activated_card.times.is_over(run.now) => {
                let done = self
                    .write(&merchant, Command::Complete, run.now)
                    .await?
                    .is_some();
                count(done, &mut summary.completed, &mut summary.skipped);
            }
            _ if rebind.is_overdue(run.now) => {
                let done = self
                    .write(&merchant, Command::Expire, run.now)
                    .await?
                    .is_some();
                count(done, &mut summary.expired, &mut summary.skipped);
            }
            // A request has left an early entry in place. A question that this run could not ask stays for the next one.
            _ if !is_polled
                && rebind.bank_question(run.now).is_none()
                && rebind
                    .due_at(self.store.policy())
                    .is_none_or(|at| at > run.now) =>
            {
                self.store.correct_entry(merchant_id, rebind).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Processes one merchant: announces the end of a cooldown, applies settlement settings, removes replaced cards, assigns
    /// held payouts.
    async fn merchant(&self, merchant_id: &MerchantId, run: &mut Run) -> Result<(), PortError> {
        let Some(mut merchant) = self.store.load(merchant_id, Selector::Latest).await? else {
            return Ok(());
        };
        let mut is_written = false;
        let summary = &mut run.summary;
        for (command, counted) in [
            (Command::EndCooldown, &mut summary.cooldowns_ended),
            (Command::ApplySettlement, &mut summary.settlements_applied),
        ] {
            if let Some(after) = self.write(&merchant, command, run.now).await? {
                *counted += 1;
                merchant = after;
                is_written = true;
            }
        }
        for replaced in &merchant.state.replaced {
            if run.is_late() {
                return Ok(());
            }
            let card_id = &replaced.bound.card.card_id;
            // Loads the rebind that the card came with, because it holds the card's number.
            let Some(merchant) = self
                .store
                .load(merchant_id, Selector::Card(card_id))
                .await?
            else {
                continue;
            };
            let command = Command::RemoveCard(card_id.clone());
            let removed = self.write(&merchant, command, run.now).await?;
            run.summary.cards_removed += u32::from(removed.is_some());
            is_written |= removed.is_some();
        }
        if merchant.state.waiting_payouts() > 0 {
            return self.assign(&merchant, run).await;
        }
        let due_at = merchant.state.due_at(run.now);
        if !is_written && due_at.is_none_or(|at| at > run.now) {
            self.store
                .correct_entry_of_state(&merchant, run.now)
                .await?;
            run.summary.skipped += 1;
        }
        Ok(())
    }

    /// Assigns a card to each waiting payout, one write each. The next run retries failures.
    async fn assign(&self, waiting: &Merchant, run: &mut Run) -> Result<(), PortError> {
        let merchant_id = &waiting.profile.merchant_id;
        let mut before = None;
        loop {
            let page = self
                .store
                .unsent_payouts(merchant_id, before.as_deref(), PAYOUTS)
                .await?;
            for payout in page
                .iter()
                .filter(|payout| waiting.state.awaits_card(payout))
            {
                if run.is_late() {
                    return Ok(());
                }
                let Some(merchant) = self.store.load(merchant_id, Selector::Latest).await? else {
                    return Ok(());
                };
                let command = Command::AssignPayout(payout.clone());
                if self.write(&merchant, command, run.now).await?.is_none() {
                    // Assignment is not possible yet, or the account is frozen. Either applies to all held payouts.
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

    /// Decides and writes one command as the system. `None` if the command was done already or is not due.
    async fn write(
        &self,
        before: &Merchant,
        command: Command,
        now: Timestamp,
    ) -> Result<Option<Merchant>, PortError> {
        let merchant_id = before.profile.merchant_id.clone();
        let (policy, limits) = (self.store.policy(), Limits::ONCE);
        let system = Transactor::system(&self.store, policy, merchant_id, now, limits);
        let loaded = Loaded::by_system(before.clone());
        match system.execute_once(loaded, command).await {
            Ok(written) => Ok(written.is_written.then_some(written.after.merchant)),
            Err(HandlerError::Rejected(_)) => Ok(None),
            Err(error) => Err(error.into_port_error()),
        }
    }
}

/// Page size for unsent payouts.
const PAYOUTS: u8 = 50;

const fn count(done: bool, counted: &mut u32, skipped: &mut u32) {
    *if done { counted } else { skipped } += 1;
}
