//! The steps of a notification: each is one write with its condition.

use super::LEASE_S;
use crate::item::{Item, Update, n, opt_s, opt_time, s, time};
use crate::records::event::{self, NOTIFICATION_DUE, OF_RECORD, recipient_name, tags_text};
use crate::shards::DueShards;
use domain::ids::MerchantId;
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::reminder::Reminder;
use domain::time::Timestamp;

/// The value of `notice` after a failed delivery.
const NOTIFICATION_RELEASED: &str = "released";

/// The value of `notice` after the last retry.
const NOTIFICATION_GIVEN_UP: &str = "given up";

/// The attribute with the end of a recipient's pause; `None` for push.
pub(super) const fn pause_name(to: Recipient) -> Option<&'static str> {
    match to {
        Recipient::OnFile => Some("until_on_file"),
        Recipient::Previous => Some("until_previous"),
        Recipient::Reserved => Some("until_reserved"),
        Recipient::Push => None,
    }
}

/// The attribute with the reminder that is due or sent.
pub(super) const REMINDER: &str = "reminder";

/// The attribute with the time of the clean-up's run that armed the notification.
pub(super) const ARMED_AT: &str = "armed_at";

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
    /// Arms a notification that failed or was given up, because an operator asks for it.
    Resend {
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
    /// Ends notification and reminders for good, and removes the recipients.
    Forget,
    /// Gives up after [`Policy::notification_retries_max`] retries: the row keeps the recipients, the index entry is removed.
    GiveUp {
        /// The store's wall clock.
        wall: Timestamp,
        /// The clock of the business rules.
        now: Timestamp,
    },
}

impl NotificationStep<'_> {
    pub(super) fn as_update(
        &self,
        merchant: &MerchantId,
        policy: &Policy,
        shards: DueShards,
    ) -> Update {
        let bucket = |merchant, at| shards.bucket(merchant, at);
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
                require_unsent_and_due(&mut update, policy, wall, now);
                update.value("max", n(policy.notification_retries_max));
                update.when("(attribute_not_exists(armed) OR armed < :max)");
            }
            Self::RearmLate { wall, now } => {
                let retry_at = now.plus_s(policy.notification_late_retry_s);
                update.put("notice", Some(s(NOTIFICATION_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.put(ARMED_AT, Some(time(now)));
                require_unsent_and_due(&mut update, policy, wall, now);
                update.when(format!("attribute_exists({})", event::AWAITED));
            }
            Self::Resend { now } => {
                let retry_at = now.plus_s(policy.notification_retry_s);
                update.put("notice", Some(s(NOTIFICATION_DUE)));
                update.put("due_bucket", Some(s(bucket(merchant, retry_at))));
                update.put("due_at", Some(time(retry_at)));
                update.put(ARMED_AT, Some(time(now)));
                update.put("armed", Some(n(0)));
                update.value("released", s(NOTIFICATION_RELEASED));
                update.value("given_up", s(NOTIFICATION_GIVEN_UP));
                update.when("#notice IN (:released, :given_up)");
            }
            Self::Remind {
                reminder,
                is_pushed,
                has_previous,
                now,
            } => {
                // The due time stays, because a move in the index costs two writes more. Until the retry, the time of this run
                // keeps the notification from being armed again.
                update.put("notice", Some(s(NOTIFICATION_DUE)));
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
            Self::Forget => {
                for to in Recipient::ALL {
                    update.put(recipient_name(to), None);
                    if let Some(name) = pause_name(to) {
                        update.put(name, None);
                    }
                }
                for name in ["notice", event::AWAITED, REMINDER, "due_bucket", "due_at"] {
                    update.put(name, None);
                }
            }
            Self::GiveUp { wall, now } => {
                update.put("notice", Some(s(NOTIFICATION_GIVEN_UP)));
                update.put("due_bucket", None);
                update.put("due_at", None);
                update.value("max", n(policy.notification_retries_max));
                update.when("armed >= :max");
                update.when(format!("attribute_not_exists({})", event::AWAITED));
                require_unsent_and_due(&mut update, policy, wall, now);
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

/// True if an invocation holds the lease, or the stream still has to deliver the last arming.
pub(super) fn is_being_sent(
    event: &Item,
    policy: &Policy,
    wall: Timestamp,
    now: Timestamp,
) -> bool {
    let is_later = |name, than| opt_time(event, name).is_some_and(|at| at > than);
    let is_leased =
        opt_s(event, "notice") == Some("claimed") && is_later("claimed_at", wall.plus_s(-LEASE_S));
    is_leased || is_later(ARMED_AT, now.plus_s(-policy.notification_retry_s))
}

/// Requires a due, unsent notification without a live lease, which was not armed lately. An arming whose answer was lost has
/// set `armed_at`, so its repetition fails here.
fn require_unsent_and_due(update: &mut Update, policy: &Policy, wall: Timestamp, now: Timestamp) {
    update.value("sent", s("sent"));
    update.value("claimed", s("claimed"));
    update.value("stale", time(wall.plus_s(-LEASE_S)));
    update.value("now", time(now));
    update.name("claimed_at");
    update.when("#notice <> :sent");
    update.when("(#notice <> :claimed OR #claimed_at <= :stale)");
    update.when("due_at <= :now");
    update.value("idle", time(now.plus_s(-policy.notification_retry_s)));
    update.when(format!(
        "(attribute_not_exists({ARMED_AT}) OR {ARMED_AT} <= :idle)"
    ));
}
