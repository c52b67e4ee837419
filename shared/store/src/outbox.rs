//! The outbox of notifications, stored in the event items. A notification is leased, sent and marked. If it is not
//! sent in time, the clean-up arms it again.

use super::Store;
use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, n, opt_s, opt_time, s, time};
use super::keys::{bucket, event_sk, key, merchant_of, merchant_pk};
use super::records::event::{self, NOTIFICATION_DUE, OF_RECORD, recipient_name, tags_text};
use application::ports::PortError;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::reminder::Reminder;
use domain::time::Timestamp;

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
    /// It was sent, or is being sent.
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

/// The value of `notice` after a failed delivery.
const NOTIFICATION_RELEASED: &str = "released";

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

/// The attribute with the end of a recipient's pause; `None` for push.
const fn pause_name(to: Recipient) -> Option<&'static str> {
    match to {
        Recipient::OnFile => Some("until_on_file"),
        Recipient::Previous => Some("until_previous"),
        Recipient::Reserved => Some("until_reserved"),
        Recipient::Push => None,
    }
}

/// The attribute with the reminder that is due or sent.
const REMINDER: &str = "reminder";

/// The attribute with the time of the clean-up's run that armed the notification.
const ARMED_AT: &str = "armed_at";

/// One step of a notification: its write and its condition.
#[derive(Clone, Copy, Debug)]
pub enum NotificationStep<'a> {
    /// Leases the notification, unless another invocation holds the lease or it was sent.
    Lease {
        /// The stream record that takes the lease.
        owner: &'a str,
        /// The store's wall clock.
        wall: Timestamp,
    },
    /// Marks one message as handed over, and deletes its phone.
    Sent {
        /// The recipient.
        to: Recipient,
        /// `Some` if no recipient is left, with the reminder that follows.
        last: Option<Option<(Reminder, Timestamp)>>,
        /// The stream record that holds the lease.
        owner: &'a str,
    },
    /// Marks these devices as notified.
    Pushed {
        /// The tags of the devices.
        tags: &'a [String],
        /// The stream record that holds the lease.
        owner: &'a str,
    },
    /// Pauses a refused recipient.
    Refused {
        /// The recipient.
        to: Recipient,
        /// The end of the pause.
        until: Timestamp,
        /// The stream record that holds the lease.
        owner: &'a str,
    },
    /// Ends the lease while only paused recipients are left. The clean-up arms the notification once more.
    Pause {
        /// The end of the pause.
        until: Timestamp,
        /// True if a recipient was refused again after a pause: the clean-up gives the notification up.
        again: bool,
        /// The stream record that holds the lease.
        owner: &'a str,
    },
    /// Ends the lease after a failed delivery. The stream or the clean-up retries.
    Release {
        /// The stream record that holds the lease.
        owner: &'a str,
    },
    /// Arms a notification that was unsent for long, so that the stream delivers it again.
    Rearm {
        /// The store's wall clock.
        wall: Timestamp,
        /// The clock of the business rules.
        now: Timestamp,
    },
    /// Arms a notification that a change waits for, after [`Policy::notification_retries_max`] retries.
    RearmLate {
        /// The store's wall clock.
        wall: Timestamp,
        /// The clock of the business rules.
        now: Timestamp,
    },
    /// Arms a reminder of a sent notification.
    Remind {
        /// The reminder.
        reminder: Reminder,
        /// True if devices receive pushes.
        is_pushed: bool,
        /// True if the previous phone on file still receives notifications.
        has_previous: bool,
        /// The clock of the business rules.
        now: Timestamp,
    },
    /// Ends the reminders, because the change has taken effect or was stopped.
    EndReminders {
        /// The reminder that was due.
        reminder: Reminder,
    },
    /// Gives up after [`Policy::notification_retries_max`] retries: the row keeps the recipients, the index entry is removed.
    GiveUp {
        /// The store's wall clock.
        wall: Timestamp,
        /// The clock of the business rules.
        now: Timestamp,
    },
}

impl NotificationStep<'_> {
    fn update(&self, merchant: &MerchantId, policy: &Policy) -> Update {
        let mut update = Update::default();
        match *self {
            Self::Lease { owner, wall } => {
                update.put("notice", Some(s("claimed")));
                update.put("claimed_at", Some(time(wall)));
                update.put("claimed_by", Some(s(owner)));
                update.value("due", s(NOTIFICATION_DUE));
                update.value("stale", time(wall.plus_s(-LEASE_S)));
                update.value("claimed", s("claimed"));
                update.value("released", s(NOTIFICATION_RELEASED));
                let foreign = "#claimed_by <> :claimed_by AND #claimed_at > :stale";
                update.when(format!(
                    "#notice IN (:due, :released, :claimed) AND NOT (#notice = :claimed AND {foreign})"
                ));
            }
            Self::Sent { to, last, owner } => {
                update.put(recipient_name(to), None);
                if let Some(name) = pause_name(to) {
                    update.put(name, None);
                }
                if to == Recipient::OnFile {
                    update.put(event::AWAITED, None);
                }
                if let Some(next) = last {
                    update.put("notice", Some(s("sent")));
                    update.put("claimed_at", None);
                    let at = next.map(|(_, at)| at);
                    update.put("due_bucket", at.map(|at| s(bucket(merchant, at))));
                    update.put("due_at", at.map(time));
                    update.put(REMINDER, next.map(|(next, _)| s(next.as_str())));
                }
                require_owner(&mut update, owner);
            }
            Self::Pushed { tags, owner } => {
                let to = recipient_name(Recipient::Push);
                update.put(to, Some(s(tags_text(tags))));
                // After the final mark, a late write would recreate the attribute, and the sent event would show an
                // unsent push.
                update.when(format!("attribute_exists(#{to})"));
                require_owner(&mut update, owner);
            }
            Self::Refused { to, until, owner } => {
                if let Some(name) = pause_name(to) {
                    update.put(name, Some(time(until)));
                }
                require_owner(&mut update, owner);
            }
            Self::Pause {
                until,
                again,
                owner,
            } => {
                update.put("notice", Some(s(NOTIFICATION_RELEASED)));
                update.put("due_bucket", Some(s(bucket(merchant, until))));
                update.put("due_at", Some(time(until)));
                let last = policy.notification_retries_max;
                let armed = if again { last } else { last.saturating_sub(1) };
                update.put("armed", Some(n(armed)));
                require_owner(&mut update, owner);
            }
            Self::Release { owner } => {
                // Not "due", which would send the event through the stream again at once, in a loop while SNS is down.
                update.put("notice", Some(s(NOTIFICATION_RELEASED)));
                // A mark whose answer was lost may have been the last one.
                update.value("claimed", s("claimed"));
                update.when("#notice = :claimed");
                require_owner(&mut update, owner);
            }
            Self::Rearm { wall, now } => {
                let retry_at = now.plus_s(policy.notification_retry_s);
                update.put("notice", Some(s(NOTIFICATION_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.put(ARMED_AT, Some(time(now)));
                update.set_raw("armed = if_not_exists(armed, :zero) + :one");
                update.value("zero", n(0));
                update.value("one", n(1));
                require_unsent_and_due(&mut update, wall, now);
                update.value("max", n(policy.notification_retries_max));
                update.when("(attribute_not_exists(armed) OR armed < :max)");
            }
            Self::RearmLate { wall, now } => {
                let retry_at = now.plus_s(policy.notification_late_retry_s);
                update.put("notice", Some(s(NOTIFICATION_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.put(ARMED_AT, Some(time(now)));
                require_unsent_and_due(&mut update, wall, now);
                update.when(format!("attribute_exists({})", event::AWAITED));
            }
            Self::Remind {
                reminder,
                is_pushed,
                has_previous,
                now,
            } => {
                let retry_at = now.plus_s(policy.notification_retry_s);
                update.put("notice", Some(s(NOTIFICATION_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.put(ARMED_AT, Some(time(now)));
                update.put("armed", Some(n(0)));
                update.put(recipient_name(Recipient::OnFile), Some(s(OF_RECORD)));
                let previous = has_previous.then(|| s(OF_RECORD));
                update.put(recipient_name(Recipient::Previous), previous);
                let push = is_pushed.then(|| s(tags_text(&[])));
                update.put(recipient_name(Recipient::Push), push);
                require_reminder(&mut update, reminder);
            }
            Self::EndReminders { reminder } => {
                update.put("due_bucket", None);
                update.put("due_at", None);
                require_reminder(&mut update, reminder);
            }
            Self::GiveUp { wall, now } => {
                update.put("notice", Some(s("given up")));
                update.put("due_bucket", None);
                update.put("due_at", None);
                update.value("max", n(policy.notification_retries_max));
                update.when("armed >= :max");
                update.when(format!("attribute_not_exists({})", event::AWAITED));
                require_unsent_and_due(&mut update, wall, now);
            }
        }
        update
    }
}

fn require_owner(update: &mut Update, owner: &str) {
    update.name("claimed_by");
    update.value("me", s(owner));
    update.when("#claimed_by = :me");
}

/// Requires that the notification was sent, and that this reminder of it was not.
fn require_reminder(update: &mut Update, reminder: Reminder) {
    update.value("sent", s("sent"));
    update.value("which", s(reminder.as_str()));
    update.name("notice");
    update.name(REMINDER);
    update.when(format!("#notice = :sent AND #{REMINDER} = :which"));
}

/// Requires a due, unsent notification without a live lease. An arming whose answer was lost has moved `due_at`, so its
/// repetition fails here.
fn require_unsent_and_due(update: &mut Update, wall: Timestamp, now: Timestamp) {
    update.value("sent", s("sent"));
    update.value("claimed", s("claimed"));
    update.value("stale", time(wall.plus_s(-LEASE_S)));
    update.value("now", time(now));
    update.name("claimed_at");
    update.when("#notice <> :sent");
    update.when("(#notice <> :claimed OR #claimed_at <= :stale)");
    update.when("due_at <= :now");
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
    /// # Errors
    /// When the table cannot be written.
    pub async fn rearm_notification(
        &self,
        merchant: &MerchantId,
        seq: u64,
        wall: Timestamp,
        now: Timestamp,
    ) -> Result<Rearmed, PortError> {
        for (step, done) in [
            (NotificationStep::Rearm { wall, now }, Rearmed::Armed),
            (NotificationStep::RearmLate { wall, now }, Rearmed::Waits),
            (NotificationStep::GiveUp { wall, now }, Rearmed::GivenUp),
        ] {
            let event = key(merchant_pk(merchant), event_sk(seq));
            let update = step.update(merchant, self.policy);
            let update = SingleUpdate::new(event, update, ReturnValue::None);
            let Updated::ConditionFailed(item) = self.table.update(update).await? else {
                return Ok(done);
            };
            let sent = item.filter(|item| opt_s(item, "notice") == Some("sent"));
            if let Some(sent) = sent {
                let is_due = opt_time(&sent, "due_at").is_some_and(|at| at <= now);
                let reminder = opt_s(&sent, REMINDER).and_then(Reminder::parse);
                let rebind = event::read(&sent)?.event().announces();
                return Ok(match reminder.zip(rebind).filter(|_| is_due) {
                    Some((reminder, rebind)) => Rearmed::ReminderDue { reminder, rebind },
                    None => Rearmed::NotNeeded,
                });
            }
        }
        Ok(Rearmed::NotNeeded)
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

    async fn update_event(
        &self,
        merchant: &MerchantId,
        seq: u64,
        step: NotificationStep<'_>,
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

/// Identifies the notification of a stream record by its keys: merchant and sequence number.
#[must_use]
pub fn notification_of_keys(pk: &str, sk: &str) -> Option<(MerchantId, u64)> {
    Some((merchant_of(pk)?, sk.strip_prefix("E#")?.parse().ok()?))
}
