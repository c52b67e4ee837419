//! Sends the notifications of history events. The table's stream invokes this function.
//!
//! A notification is leased by a conditional write, sent through SNS, and marked as sent. If a record is delivered
//! twice, only one delivery gets the lease. A message is sent twice only if its mark is missing: the function stopped
//! between the two calls, or the write of the mark failed.
//!
//! # A failed record does not delay the records behind it
//! The stream resumes at the reported record, and the leases prevent duplicates. All records of a batch are tried,
//! because the stream redelivers everything behind the first failure: records left for later would share the failed
//! record's retries, and are discarded with it after five retries or an hour.

mod change;

use application::backoff::{Limits, retry};
use application::correlation;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{
    KeptPushTarget, KeyService, ListPushTargets, PortError, Pushed, SendPush, SendSms, SmsAnswer,
};
use application::stream::{BatchReply, InvocationBudget, StreamEvent, sequence_number};
use application::usage::{Usage, whole_ms};
use change::Announced;
use domain::decide::NotifiedBy;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::lang::Lang;
use domain::notification::{Notification, Recipient, is_for_trusted_devices, notification};
use domain::rebind::Sealed;
use domain::sms::{self, Message};
use domain::time::Timestamp;
use serde_json::Value;
use std::time::Instant;
use store::Store;
use store::client::Table;
use store::outbox::{LeasedNotification, notification_of_keys};
use tracing::Instrument as _;

/// Sends notifications by SMS and push.
pub struct ConfirmationNotice<T, K, M, P> {
    store: Store<T>,
    keys: Keys<K>,
    sms: M,
    push: P,
    sandbox: bool,
}

/// Seconds after which no new send starts, so that a slow publish, its hand-over and its mark can still finish before the
/// function's timeout. A send that is cut off in between would be repeated.
pub const SEND_UNTIL_S: i64 = 24;

impl<T: Table, K: KeyService, M: SendSms, P: SendPush> ConfirmationNotice<T, K, M, P> {
    /// Creates the function from its store, keys, SMS and push ports. In the sandbox a notification has the clock of its
    /// event.
    pub const fn new(store: Store<T>, keys: Keys<K>, sms: M, push: P, sandbox: bool) -> Self {
        Self {
            store,
            keys,
            sms,
            push,
            sandbox,
        }
    }

    /// What this function used since the last call.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }

    /// Handles a batch in order. Reports the first record that failed or did not fit into the time budget; the stream
    /// resumes there.
    ///
    /// A record of an unknown shape is skipped with a warning, since a retry would see the same record. A
    /// notification still unsent when the stream discards its record is armed again by the clean-up.
    pub async fn handle(&self, batch: StreamEvent, wall: impl Fn() -> Timestamp) -> BatchReply {
        let started = Instant::now();
        let budget = InvocationBudget::begin(&wall, SEND_UNTIL_S);
        let mut first = None;
        for record in batch.records() {
            let Some((merchant, seq)) = event_of(record) else {
                tracing::warn!("notification.record_skipped");
                continue;
            };
            let span = correlation::event(&merchant, seq);
            let is_over = budget.is_over();
            let handled = if is_over {
                Err(out_of_time())
            } else {
                // A redelivered record is the same owner, so it can continue a lease that a crashed invocation left behind.
                let owner = record.get("eventID").and_then(Value::as_str);
                let owner = owner.unwrap_or("a record without an id");
                let notified = self.notify(&merchant, seq, owner, &budget);
                notified.instrument(span.clone()).await
            };
            let Err(error) = handled else {
                continue;
            };
            span.in_scope(|| {
                tracing::error!(
                    notification.cause = error.to_string(),
                    "notification.failed"
                );
            });
            first = first.or_else(|| sequence_number(record));
            if is_over {
                break;
            }
        }
        let usage = self.usage();
        tracing::info!(
            store.calls = usage.calls,
            store.rru = usage.rru,
            store.wru = usage.wru,
            keys.calls = usage.key_calls,
            duration_ms = whole_ms(started.elapsed()),
            "notifications.handled"
        );
        BatchReply::failed_at(first)
    }

    async fn notify(
        &self,
        merchant: &MerchantId,
        seq: u64,
        owner: &str,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<(), PortError> {
        let Some(leased) = self
            .store
            .lease_notification(merchant, seq, owner, budget.now())
            .await?
        else {
            return Ok(());
        };
        match Box::pin(self.publish(&leased, owner, budget)).await {
            Ok(sent) => {
                tracing::info!(
                    event.kind = leased.event.kind().as_str(),
                    event.age_s = leased.event.at.age_s_at(budget.now()),
                    notification.sent = sent,
                    "notification.sent"
                );
                Ok(())
            }
            Err(error) => {
                self.store
                    .release_notification(merchant, seq, owner)
                    .await?;
                Err(error)
            }
        }
    }

    /// Sends to every recipient, even after one fails. Recipients that are already marked are skipped. Returns the number
    /// of sent messages.
    async fn publish(
        &self,
        leased: &LeasedNotification,
        owner: &str,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<usize, PortError> {
        let event = &leased.event;
        let (merchant, seq) = (&event.merchant_id, event.seq);
        let mut change = self.announced(leased, budget.now()).await?;
        let stopped = |change: &Announced| leased.reminder.is_some() && !change.is_ahead();
        let is_stopped = change.as_ref().is_some_and(stopped);
        let mut failed = None;
        let mut pauses = Pauses::default();
        let mut sent = 0;
        for (index, notification) in event.notifications.iter().enumerate() {
            let to = notification.to();
            let paused_until = leased.paused_until(to);
            if let Some(until) = paused_until.filter(|until| leased.armed_at < *until) {
                pauses.add(until, false);
                continue;
            }
            let answer = match is_stopped {
                // The change has taken effect or was stopped: nothing to remind of.
                true => Ok(SmsAnswer::Accepted),
                false => {
                    self.notify_recipient(event, change.as_mut(), notification, owner, budget)
                        .await
                }
            };
            match answer {
                Ok(SmsAnswer::Accepted) => {}
                Ok(SmsAnswer::PhoneRefused) if change.as_ref().is_some_and(|c| c.keeps(to)) => {
                    failed = failed.or(Some(refused_phone()));
                    continue;
                }
                Ok(SmsAnswer::PhoneRefused) => {
                    tracing::warn!("notification.phone_refused");
                    // The reminders of a change must not wait for another phone.
                    if change.is_none() {
                        let now = leased.armed_at;
                        let until = self.store.pause_recipient(merchant, seq, to, now, owner);
                        pauses.add(until.await?, paused_until.is_some());
                        continue;
                    }
                }
                Err(error) => {
                    failed = failed.or(Some(error));
                    continue;
                }
            }
            sent += 1;
            let all_sent = failed.is_none() && pauses.first_end.is_none();
            let is_last = all_sent && index + 1 == event.notifications.len();
            let next = change
                .as_ref()
                .and_then(|change| change.next_reminder(leased.reminder, self.store.policy()));
            let last = is_last.then_some(next);
            mark_with_retry(async || self.store.mark_sent(merchant, seq, to, last, owner).await)
                .await?;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(until) = pauses.first_end {
            let (store, again) = (&self.store, pauses.again);
            let paused = store.pause_notification(merchant, seq, until, again, owner);
            paused.await?;
        }
        Ok(sent)
    }

    async fn notify_recipient(
        &self,
        event: &ChainedEvent,
        mut change: Option<&mut Announced>,
        notification: &Notification,
        owner: &str,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<SmsAnswer, PortError> {
        if budget.is_over() {
            return Err(out_of_time());
        }
        let message = self.message(event, change.as_deref(), notification.to());
        let message = message.await?;
        let answer = match notification {
            Notification::Push { delivered } => {
                self.push_all(
                    event,
                    change.as_deref_mut(),
                    delivered,
                    &message.text,
                    owner,
                    budget,
                )
                .await?;
                return Ok(SmsAnswer::Accepted);
            }
            Notification::Reserved(phone) => self.sms.send(phone, &message).await?,
            Notification::OnFile | Notification::Previous => {
                let read = match change.as_deref().and_then(Announced::record) {
                    Some(record) => Some(record),
                    None => self.store.profile(&event.merchant_id).await?,
                };
                let record = read.ok_or_else(|| {
                    PortError::Permanent("the record", "the merchant has none".to_owned())
                })?;
                match notification.phone(&record) {
                    Some(phone) => self.sms.send(phone, &message).await?,
                    // The operator has dropped the previous phone since the event.
                    None => SmsAnswer::Accepted,
                }
            }
        };
        if let (Some(change), SmsAnswer::Accepted, Recipient::OnFile) =
            (change, answer, notification.to())
            && change.waits()
        {
            self.hand_over(&event.merchant_id, change, NotifiedBy::Sms)
                .await?;
        }
        Ok(answer)
    }

    /// Pushes to every registered device, and to those removed lately: an attacker who takes over an account would
    /// first remove its devices. Each delivery is marked at once. A permanent failure of one device does not block the
    /// others.
    async fn push_all(
        &self,
        event: &ChainedEvent,
        mut change: Option<&mut Announced>,
        delivered: &[String],
        text: &str,
        owner: &str,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<(), PortError> {
        let merchant = &event.merchant_id;
        let mut delivered = delivered.to_vec();
        // The earlier of two clocks: the event's can be a sandbox clock, and the wall clock advances while a
        // notification waits.
        let now = event.at.min(budget.now());
        let notified_for_s = self.store.policy().push_after_removal_s;
        let mut targets = self.store.push_targets(merchant).await?;
        let trusted_only = is_for_trusted_devices(event.event());
        let trusted_age_s = self.store.policy().push_trusted_age_s;
        targets.retain(|target| {
            let removed_at = target.removed_at;
            let registered_at = target.registered_at;
            let is_trusted = registered_at.is_none_or(|at| at.age_s_at(event.at) > trusted_age_s);
            removed_at.is_none_or(|at| at.age_s_at(now) < notified_for_s)
                && (is_trusted || !trusted_only)
                && !delivered.contains(&target.tag)
        });
        if targets.is_empty() {
            return Ok(());
        }
        let history_key = self.store.history_key(merchant).await?.ok_or_else(|| {
            PortError::Permanent("the profile", "the merchant has no history key".to_owned())
        })?;
        let mut failed = None;
        for target in targets {
            if budget.is_over() {
                return Err(failed.unwrap_or_else(out_of_time));
            }
            match self.push_one(merchant, &history_key, &target, text).await {
                Ok(pushed) => {
                    if let (Some(change), Pushed::Sent) = (change.as_deref_mut(), pushed)
                        && change.waits()
                        && change.trusts(&target, self.store.policy())
                    {
                        self.hand_over(merchant, change, NotifiedBy::Push).await?;
                    }
                    delivered.push(target.tag);
                    mark_with_retry(async || {
                        self.store
                            .mark_pushed(merchant, event.seq, &delivered, owner)
                            .await
                    })
                    .await?;
                }
                Err(error @ PortError::Permanent(..)) => {
                    tracing::error!(push.cause = error.to_string(), "push.refused");
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn push_one(
        &self,
        merchant: &MerchantId,
        history_key: &Sealed,
        target: &KeptPushTarget,
        text: &str,
    ) -> Result<Pushed, PortError> {
        let sealed = &target.sealed_token;
        let token = self
            .keys
            .open_personal(merchant.as_str(), history_key, sealed)
            .await?;
        let pushed = self.push.push(target.platform, &token, text).await?;
        tracing::info!(push.result = ?pushed, "push.finished");
        Ok(pushed)
    }

    async fn message(
        &self,
        event: &ChainedEvent,
        change: Option<&Announced>,
        to: Recipient,
    ) -> Result<Message, PortError> {
        let shown = change.map(|change| change.event(event, self.store.policy()));
        let unfit = |what: &str| PortError::Permanent("the event", what.to_owned());
        let content = notification(shown.as_ref().unwrap_or(event.event()), event.at, to)
            .ok_or_else(|| unfit("no message for this recipient"))?;
        let freeze_code = if content.names_freeze_code() {
            let merchant = event.merchant_id.as_str();
            let seq = event.event().freeze_code_seq(event.seq);
            Some(self.keys.freeze_code(merchant, seq).await?)
        } else {
            None
        };
        let filled = content.sms(freeze_code.as_ref());
        let filled = filled.ok_or_else(|| unfit("no freeze code for this message"))?;
        Ok(sms::message(&filled, Lang::default()))
    }
}

/// The recipients that are paused because their phone is refused.
#[derive(Default)]
struct Pauses {
    first_end: Option<Timestamp>,
    again: bool,
}

impl Pauses {
    fn add(&mut self, until: Timestamp, again: bool) {
        self.first_end = Some(self.first_end.map_or(until, |first| first.min(until)));
        self.again |= again;
    }
}

fn refused_phone() -> PortError {
    PortError::Transient("the phone on file", "the provider refuses it".to_owned())
}

fn out_of_time() -> PortError {
    PortError::Transient("this invocation", "the time budget is used up".to_owned())
}

/// A message that was sent but not marked would be sent twice, so retry the mark.
async fn mark_with_retry(mark: impl AsyncFn() -> Result<(), PortError>) -> Result<(), PortError> {
    let marked = retry(Limits::MARK, async || Ok(mark().await?)).await;
    marked.map_err(HandlerError::into_port_error)
}

/// The event that a stream record belongs to.
fn event_of(record: &Value) -> Option<(MerchantId, u64)> {
    let key = |name: &str| {
        record
            .pointer("/dynamodb/Keys")?
            .get(name)?
            .get("S")?
            .as_str()
    };
    notification_of_keys(key("pk")?, key("sk")?)
}
