//! Every five minutes: writes down what time has brought about, and has it announced.
//!
//! Nothing waits for it: whoever reads computes the same from the times. It is idempotent, costs what is due, and stops in
//! time; the next run carries on.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::domain::decide::{Act, Command, decide};
use shared::domain::policy::{MINUTE_S, Policy};
use shared::domain::rebind::Stage;
use shared::domain::time::Timestamp;
use shared::ports::{
    Commit, CommitTransition, Committed, LoadMerchant, PortError, Remember, Wanted,
};
use shared::store::Store;
use shared::store::due::{Due, What, buckets};
use shared::store::history::Rearmed;
use std::time::{Duration, Instant};

/// Writes down what is due.
pub struct CooldownCleanup {
    store: Store,
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
const RESERVE: Duration = Duration::from_secs(10);

impl CooldownCleanup {
    /// With this function's store. In the sandbox the event's clock is taken as it is.
    #[must_use]
    pub const fn new(store: Store, sandbox: bool) -> Self {
        Self { store, sandbox }
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
        let mut summary = Summary::default();
        let mut unreadable = None;
        for bucket in buckets(now) {
            let mut page = None;
            // On from page to page, never back: an entry that fails stays due and is met again by the next run.
            loop {
                if Instant::now() + RESERVE >= deadline {
                    summary.stopped_early = true;
                    return Ok(summary);
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
                    if Instant::now() + RESERVE >= deadline {
                        summary.stopped_early = true;
                        return Ok(summary);
                    }
                    self.handle(due, &mut summary, wall, now).await;
                }
                if next.is_last() {
                    break;
                }
                page = Some(next);
            }
        }
        unreadable.map_or(Ok(summary), Err)
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

    async fn handle(&self, due: &Due, summary: &mut Summary, wall: Timestamp, now: Timestamp) {
        let done = match due.what {
            What::Rebind(number) => self.commit(due, Some(number), now).await,
            What::Cooldown => self.commit(due, None, now).await,
            What::Notice(seq) => {
                let rearmed = self
                    .store
                    .rearm_notice(&due.merchant_id, seq, wall, now)
                    .await;
                rearmed.map(|rearmed| match rearmed {
                    Rearmed::Armed => Some(Done::NoticeRearmed),
                    Rearmed::NotNeeded => None,
                    Rearmed::GivenUp => Some(Done::NoticeGivenUp),
                })
            }
        };
        match done {
            Ok(Some(Done::Expired)) => summary.expired += 1,
            Ok(Some(Done::Completed)) => summary.completed += 1,
            Ok(Some(Done::CooldownEnded)) => summary.cooldowns_ended += 1,
            Ok(Some(Done::NoticeRearmed)) => summary.notices_rearmed += 1,
            Ok(Some(Done::NoticeGivenUp)) => {
                summary.notices_given_up += 1;
                tracing::error!(merchant.id = due.merchant_id.as_str(), due.what = ?due.what, "a notice is given up");
            }
            Ok(None) | Err(PortError::Conflict) => summary.skipped += 1,
            Err(error) => {
                summary.failed += 1;
                tracing::error!(
                    merchant.id = due.merchant_id.as_str(), due.what = ?due.what, due.cause = error.to_string(),
                    "an entry stays due"
                );
            }
        }
    }

    /// Loads, decides, writes: the way of every step, without a caller.
    async fn commit(
        &self,
        due: &Due,
        number: Option<u32>,
        now: Timestamp,
    ) -> Result<Option<Done>, PortError> {
        let wanted = number.map_or(Wanted::Latest, Wanted::Number);
        let Some(before) = self.store.load(&due.merchant_id, wanted).await? else {
            return Ok(None);
        };
        let (act, done) = match (number, before.rebind.as_ref().map(|rebind| &rebind.stage)) {
            (None, _) => (Act::EndCooldown, Done::CooldownEnded),
            (Some(_), Some(Stage::Activated(_))) => (Act::Complete, Done::Completed),
            (Some(_), Some(_)) => (Act::Expire, Done::Expired),
            (Some(_), None) => return Ok(None),
        };
        let policy = &Policy::CURRENT;
        // Refused means done already, or not due yet by a clock that went back.
        let Ok(mut transition) = decide(&before, &Command { by: None, act }, policy, now) else {
            return Ok(None);
        };
        let event = transition.chained(&before, None, policy);
        let commit = Commit {
            before: &before,
            transition: &transition,
            event: event.as_ref(),
            phone_key: None,
            session: None,
            remember: Remember::Nothing,
            now,
        };
        match self.store.commit(commit).await? {
            Committed::Written => Ok(Some(done)),
            _ => Err(PortError::Conflict),
        }
    }
}

enum Done {
    Expired,
    Completed,
    CooldownEnded,
    NoticeRearmed,
    NoticeGivenUp,
}
