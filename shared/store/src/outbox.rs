//! The outbox of notifications, which lies in the event items: a notification is claimed, sent and marked. One that was not
//! sent in time is armed again.

use super::Store;
use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, n, s, time, update_item};
use super::keys::{bucket, event_sk, key, merchant_of, merchant_pk};
use super::records::event::{self, NOTICE_DUE, recipient_name, tags_text};
use application::ports::PortError;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::time::Timestamp;

/// How long a claim keeps others away, by the store's own clock: longer than the function may run.
pub const CLAIM_S: i64 = 90;

const _: () = assert!(
    CLAIM_S < Policy::CURRENT.notice_retry_s,
    "a notification that somebody holds must not be armed again"
);

/// What became of a notice that the clean-up found unsent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearmed {
    /// It goes through the stream again.
    Armed,
    /// It was sent, or is being sent.
    NotNeeded,
    /// It has been tried for long enough: somebody has to look.
    GivenUp,
}

/// The value of `notice` after a try that failed.
const NOTICE_RELEASED: &str = "released";

/// One step of telling people about an event: what is written, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub enum NoticeStep<'a> {
    /// This invocation takes the notice, unless another one holds it, or it was sent.
    Claim {
        /// The stream record that asks.
        claimant: &'a str,
        /// The store's own clock.
        wall: Timestamp,
    },
    /// One message of it was handed over: its phone is forgotten.
    Sent {
        /// Who was told.
        to: Recipient,
        /// Nobody else is left.
        last: bool,
        /// Who holds the notice.
        claimant: &'a str,
    },
    /// These devices were told.
    Pushed {
        /// By their tags.
        tags: &'a [String],
        /// Who holds the notice.
        claimant: &'a str,
    },
    /// The try failed: the stream, or the clean-up, tries again.
    Release {
        /// Who holds the notice.
        claimant: &'a str,
    },
    /// Unsent for long: it goes through the stream again.
    Rearm {
        /// The store's own clock.
        wall: Timestamp,
        /// The clock of the rules.
        now: Timestamp,
    },
    /// Armed [`Policy::notice_retries_max`] times: its row keeps whom to tell, the index forgets it.
    GiveUp {
        /// The store's own clock.
        wall: Timestamp,
        /// The clock of the rules.
        now: Timestamp,
    },
}

impl NoticeStep<'_> {
    fn update(&self, merchant: &MerchantId, policy: &Policy) -> Update {
        let mut update = Update::default();
        let mine = |update: &mut Update, claimant: &str| {
            update.name("claimed_by");
            update.value("me", s(claimant));
            update.when("#claimed_by = :me");
        };
        // Nobody is at it. Somebody who has just armed it, this very step before its answer was lost, has put that off.
        let is_unsent_and_due = |update: &mut Update, wall: Timestamp, now: Timestamp| {
            update.value("sent", s("sent"));
            update.value("claimed", s("claimed"));
            update.value("stale", time(wall.plus_s(-CLAIM_S)));
            update.value("now", time(now));
            update.name("claimed_at");
            update.when("#notice <> :sent");
            update.when("(#notice <> :claimed OR #claimed_at <= :stale)");
            update.when("due_at <= :now");
        };
        match *self {
            Self::Claim { claimant, wall } => {
                update.put("notice", Some(s("claimed")));
                update.put("claimed_at", Some(time(wall)));
                update.put("claimed_by", Some(s(claimant)));
                update.value("due", s(NOTICE_DUE));
                update.value("stale", time(wall.plus_s(-CLAIM_S)));
                update.value("claimed", s("claimed"));
                update.value("released", s(NOTICE_RELEASED));
                let foreign = "#claimed_by <> :claimed_by AND #claimed_at > :stale";
                update.when(format!(
                    "#notice IN (:due, :released, :claimed) AND NOT (#notice = :claimed AND {foreign})"
                ));
            }
            Self::Sent { to, last, claimant } => {
                update.put(recipient_name(to), None);
                if last {
                    update.put("notice", Some(s("sent")));
                    for name in ["claimed_at", "due_bucket", "due_at"] {
                        update.put(name, None);
                    }
                }
                mine(&mut update, claimant);
            }
            Self::Pushed { tags, claimant } => {
                let to = recipient_name(Recipient::Push);
                update.put(to, Some(s(tags_text(tags))));
                // One that comes late, after the mark that all are told, would say that some are not.
                update.when(format!("attribute_exists(#{to})"));
                mine(&mut update, claimant);
            }
            Self::Release { claimant } => {
                // Not "due": that would send the event through the stream again at once, and again, while SNS is down.
                update.put("notice", Some(s(NOTICE_RELEASED)));
                // The mark whose answer was lost may have been the last one.
                update.value("claimed", s("claimed"));
                update.when("#notice = :claimed");
                mine(&mut update, claimant);
            }
            Self::Rearm { wall, now } => {
                let retry_at = now.plus_s(policy.notice_retry_s);
                update.put("notice", Some(s(NOTICE_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.set_raw("armed = if_not_exists(armed, :zero) + :one");
                update.value("zero", n(0));
                update.value("one", n(1));
                is_unsent_and_due(&mut update, wall, now);
                update.value("max", n(policy.notice_retries_max));
                update.when("(attribute_not_exists(armed) OR armed < :max)");
            }
            Self::GiveUp { wall, now } => {
                update.put("notice", Some(s("given up")));
                update.put("due_bucket", None);
                update.put("due_at", None);
                update.value("max", n(policy.notice_retries_max));
                update.when("armed >= :max");
                is_unsent_and_due(&mut update, wall, now);
            }
        }
        update
    }
}

impl<T: Table> Store<T> {
    /// A step of telling people as the table gets it; nothing is sent.
    ///
    /// # Errors
    /// `Permanent`, when it cannot be written down.
    pub fn notice_write(
        &self,
        merchant: &MerchantId,
        seq: u64,
        step: NoticeStep<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        let event = key(merchant_pk(merchant), event_sk(seq));
        update_item(self.table.name(), event, step.update(merchant, self.policy))
    }

    /// Takes an event's notice for this invocation. `None`: another one holds it, or it was sent.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn claim_notice(
        &self,
        merchant: &MerchantId,
        seq: u64,
        claimant: &str,
        wall: Timestamp,
    ) -> Result<Option<ChainedEvent>, PortError> {
        let step = NoticeStep::Claim { claimant, wall };
        match self
            .update_event(merchant, seq, step, ReturnValue::AllNew)
            .await
        {
            Ok(item) => {
                let event = item.as_ref().map(event::read).transpose();
                if event.is_err() {
                    self.release_notice(merchant, seq, claimant).await?;
                }
                event
            }
            Err(PortError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Marks one message of a claimed notice as sent: its phone is forgotten. With `last`, the notice is done.
    ///
    /// # Errors
    /// When the table cannot be written, or the claim was lost.
    pub async fn mark_sent(
        &self,
        merchant: &MerchantId,
        seq: u64,
        to: Recipient,
        last: bool,
        claimant: &str,
    ) -> Result<(), PortError> {
        let step = NoticeStep::Sent { to, last, claimant };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Notes which devices a claimed notice was pushed to, by their tags: those are not told again.
    ///
    /// # Errors
    /// When the table cannot be written, or the claim was lost.
    pub async fn mark_pushed(
        &self,
        merchant: &MerchantId,
        seq: u64,
        tags: &[String],
        claimant: &str,
    ) -> Result<(), PortError> {
        let step = NoticeStep::Pushed { tags, claimant };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Gives a claim back: the stream, or the clean-up, tries again.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn release_notice(
        &self,
        merchant: &MerchantId,
        seq: u64,
        claimant: &str,
    ) -> Result<(), PortError> {
        let step = NoticeStep::Release { claimant };
        match self
            .update_event(merchant, seq, step, ReturnValue::None)
            .await
        {
            Ok(_) | Err(PortError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Arms a notice again that was never sent: the write itself goes through the stream. After
    /// [`Policy::notice_retries_max`] times it is given up: its row keeps whom to tell, the index forgets it.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn rearm_notice(
        &self,
        merchant: &MerchantId,
        seq: u64,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<Rearmed, PortError> {
        for (step, done) in [
            (NoticeStep::Rearm { wall, now }, Rearmed::Armed),
            (NoticeStep::GiveUp { wall, now }, Rearmed::GivenUp),
        ] {
            match self
                .update_event(merchant, seq, step, ReturnValue::None)
                .await
            {
                Ok(_) => return Ok(done),
                Err(PortError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Rearmed::NotNeeded)
    }

    async fn update_event(
        &self,
        merchant: &MerchantId,
        seq: u64,
        step: NoticeStep<'_>,
        returned: ReturnValue,
    ) -> Result<Option<Item>, PortError> {
        let event = key(merchant_pk(merchant), event_sk(seq));
        let update = step.update(merchant, self.policy);
        let update = SingleUpdate::new(event, update, returned);
        match self.table.update(update).await? {
            Updated::Done(attributes) => Ok(attributes),
            Updated::ConditionFailed(_) => Err(PortError::Conflict),
        }
    }
}

/// The part of a stream record's new image that says which notice it is about: merchant and sequence number.
#[must_use]
pub fn notice_of_keys(pk: &str, sk: &str) -> Option<(MerchantId, u64)> {
    Some((merchant_of(pk)?, sk.strip_prefix("E#")?.parse().ok()?))
}
