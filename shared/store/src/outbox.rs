//! The outbox of notifications, stored in the event items. A notification is leased, sent and marked. If it is not
//! sent in time, the clean-up arms it again.

mod step;

pub use step::NotificationStep;

use super::Store;
use super::client::{Get, SingleUpdate, Table, Updated};
use super::item::{Item, opt_n, opt_s, opt_time};
use super::keys::{event_sk, key, merchant_of, merchant_pk};
use super::records::event;
use application::ports::PortError;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::reminder::Reminder;
use domain::time::Timestamp;
use step::{ARMED_AT, REMINDER, pause_name};

/// Duration of a lease by the store's wall clock: longer than the function may run.
pub const LEASE_S: i64 = 90;

const _: () = assert!(
    LEASE_S < Policy::CURRENT.notification_retry_s,
    "a leased notification must not be armed again"
);

/// The result of the clean-up's visit to an unsent notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rearmed {
    /// Armed: the stream delivers it again.
    Armed,
    /// It is being sent, and stays due until it was.
    UnderWay,
    /// It was sent.
    NotNeeded,
    /// Armed after more than a day: a change waits for it, so that it is never given up.
    Waits,
    /// It has failed for too long and needs an operator.
    GivenUp,
    /// It was sent, and a reminder of it is due.
    ReminderDue {
        /// The reminder.
        reminder: Reminder,
        /// The number of the announced rebind.
        rebind: u32,
    },
}

/// A notification that this invocation may send.
#[derive(Clone, Debug)]
pub struct LeasedNotification {
    /// The event with its unsent messages.
    pub event: ChainedEvent,
    /// The clock of the business rules: the time of the event, or of the clean-up's run that armed the notification.
    pub armed_at: Timestamp,
    /// The reminder that is sent; `None` for the first message.
    pub reminder: Option<Reminder>,
    /// The recipients whose phone was refused, with the end of their pause.
    refused: Vec<(Recipient, Timestamp)>,
}

impl LeasedNotification {
    fn read(item: &Item) -> Result<Self, PortError> {
        let event = event::read(item)?;
        let phones = [Recipient::OnFile, Recipient::Previous, Recipient::Reserved];
        let refused = phones.into_iter();
        let refused = refused.filter_map(|to| Some((to, opt_time(item, pause_name(to)?)?)));
        Ok(Self {
            armed_at: opt_time(item, ARMED_AT).unwrap_or(event.at),
            reminder: opt_s(item, REMINDER).and_then(Reminder::parse),
            refused: refused.collect(),
            event,
        })
    }

    /// The end of the last pause of this recipient.
    #[must_use]
    pub fn paused_until(&self, to: Recipient) -> Option<Timestamp> {
        let mut refused = self.refused.iter();
        refused
            .find(|(refused, _)| *refused == to)
            .map(|(_, until)| *until)
    }
}

impl<T: Table> Store<T> {
    /// Leases an event's notification to this invocation. `None`: another invocation holds the lease, or it was sent.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn lease_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        owner: &str,
        wall: Timestamp,
    ) -> Result<Option<LeasedNotification>, PortError> {
        let step = NotificationStep::Lease { owner, wall };
        match self
            .update_event(merchant, seq, step, ReturnValue::AllNew)
            .await
        {
            Ok(item) => {
                let leased = item.as_ref().map(LeasedNotification::read).transpose();
                if leased.is_err() {
                    self.release_notification(merchant, seq, owner).await?;
                }
                leased
            }
            Err(PortError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Marks one message of a leased notification as sent, and deletes its phone. `last` completes the notification, with the
    /// reminder that follows.
    ///
    /// # Errors
    /// When the table cannot be written, or the lease was lost.
    pub async fn mark_sent(
        &self,
        merchant: &MerchantId,
        seq: u64,
        to: Recipient,
        last: Option<Option<(Reminder, Timestamp)>>,
        owner: &str,
    ) -> Result<(), PortError> {
        let step = NotificationStep::Sent { to, last, owner };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Records the tags of the devices that a leased notification was pushed to, so that they are not notified again.
    ///
    /// # Errors
    /// When the table cannot be written, or the lease was lost.
    pub async fn mark_pushed(
        &self,
        merchant: &MerchantId,
        seq: u64,
        tags: &[String],
        owner: &str,
    ) -> Result<(), PortError> {
        let step = NotificationStep::Pushed { tags, owner };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Pauses the messages to a phone that the provider refused at `now`; returns the end of the pause.
    ///
    /// # Errors
    /// When the table cannot be written, or the lease was lost.
    pub async fn pause_recipient(
        &self,
        merchant: &MerchantId,
        seq: u64,
        to: Recipient,
        now: Timestamp,
        owner: &str,
    ) -> Result<Timestamp, PortError> {
        let until = now.plus_s(self.policy.notification_pause_s);
        let step = NotificationStep::Refused { to, until, owner };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await?;
        Ok(until)
    }

    /// Ends the lease of a notification with only paused recipients left. `again`: a recipient was refused after its pause.
    ///
    /// # Errors
    /// When the table cannot be written, or the lease was lost.
    pub async fn pause_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        until: Timestamp,
        again: bool,
        owner: &str,
    ) -> Result<(), PortError> {
        let step = NotificationStep::Pause {
            until,
            again,
            owner,
        };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Ends a lease. The stream or the clean-up retries.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn release_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        owner: &str,
    ) -> Result<(), PortError> {
        let step = NotificationStep::Release { owner };
        match self
            .update_event(merchant, seq, step, ReturnValue::None)
            .await
        {
            Ok(_) | Err(PortError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Arms an unsent notification again: the write itself goes through the stream. After
    /// [`Policy::notification_retries_max`] retries it is given up: the row keeps the recipients, the index entry is removed.
    ///
    /// A read selects the write, because a failed condition costs as much as a write. An outdated read leads to a write whose
    /// condition fails, and the next run continues.
    ///
    /// # Errors
    /// When the table cannot be read or written.
    pub async fn rearm_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<Rearmed, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), event_sk(seq)),
            only: None,
            consistent: false,
        };
        let Some(item) = self.table.get(get).await? else {
            return Ok(Rearmed::NotNeeded);
        };
        let is_due = opt_time(&item, "due_at").is_some_and(|at| at <= now);
        if opt_s(&item, "notice") == Some("sent") {
            let reminder = opt_s(&item, REMINDER).and_then(Reminder::parse);
            let rebind = event::read(&item)?.event().announces();
            return Ok(match reminder.zip(rebind).filter(|_| is_due) {
                Some((reminder, rebind)) => Rearmed::ReminderDue { reminder, rebind },
                None => Rearmed::NotNeeded,
            });
        }
        if !is_due {
            return Ok(Rearmed::NotNeeded);
        }
        if step::is_being_sent(&item, self.policy, wall, now) {
            return Ok(Rearmed::UnderWay);
        }
        let armed: u32 = opt_n(&item, "armed").unwrap_or(0);
        let (step, done) = if armed < self.policy.notification_retries_max {
            (NotificationStep::Rearm { wall, now }, Rearmed::Armed)
        } else if item.contains_key(event::AWAITED) {
            (NotificationStep::RearmLate { wall, now }, Rearmed::Waits)
        } else {
            (NotificationStep::GiveUp { wall, now }, Rearmed::GivenUp)
        };
        match self
            .update_event(merchant, seq, step, ReturnValue::None)
            .await
        {
            Ok(_) => Ok(done),
            Err(PortError::Conflict) => Ok(Rearmed::NotNeeded),
            Err(error) => Err(error),
        }
    }

    /// Arms a reminder of a sent notification for the phone on file, and for push if devices receive any.
    ///
    /// # Errors
    /// `Conflict` when it was armed or ended already; otherwise when the table cannot be written.
    pub async fn remind(
        &self,
        merchant: &Merchant,
        seq: u64,
        reminder: Reminder,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let step = NotificationStep::Remind {
            reminder,
            is_pushed: merchant.state.receives_pushes(self.policy, now),
            has_previous: merchant.profile.notified_previous_phone(now).is_some(),
            now,
        };
        let merchant_id = &merchant.profile.merchant_id;
        self.update_event(merchant_id, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Arms a notification that failed or was given up, for an operator. It goes to the recipients that it had, whose phones come
    /// from the record. False for one that was sent, or is on its way.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn resend_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let step = NotificationStep::Resend { now };
        let armed = self.update_event(merchant, seq, step, ReturnValue::None);
        match armed.await {
            Ok(_) => Ok(true),
            Err(PortError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends the reminders of a notification whose change has taken effect or was stopped.
    ///
    /// # Errors
    /// `Conflict` when they were armed or ended already; otherwise when the table cannot be written.
    pub async fn end_reminders(
        &self,
        merchant: &MerchantId,
        seq: u64,
        reminder: Reminder,
    ) -> Result<(), PortError> {
        let step = NotificationStep::EndReminders { reminder };
        self.update_event(merchant, seq, step, ReturnValue::None)
            .await
            .map(|_| ())
    }

    /// Ends the notification of an event for good, and removes its recipients.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub(super) async fn forget_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
    ) -> Result<(), PortError> {
        self.update_event(merchant, seq, NotificationStep::Forget, ReturnValue::None)
            .await
            .map(|_| ())
    }

    async fn update_event(
        &self,
        merchant: &MerchantId,
        seq: u64,
        step: NotificationStep<'_>,
        returned: ReturnValue,
    ) -> Result<Option<Item>, PortError> {
        let event = key(merchant_pk(merchant), event_sk(seq));
        let update = step.as_update(merchant, self.policy, self.due_shards);
        let update = SingleUpdate::new(event, update, returned);
        match self.table.update(update).await? {
            Updated::Done(attributes) => Ok(attributes),
            Updated::ConditionFailed(_) => Err(PortError::Conflict),
        }
    }
}

/// Identifies the notification of a stream record by its keys: merchant and sequence number.
#[must_use]
pub fn notification_of_keys(pk: &str, sk: &str) -> Option<(MerchantId, u64)> {
    Some((merchant_of(pk)?, sk.strip_prefix("E#")?.parse().ok()?))
}
