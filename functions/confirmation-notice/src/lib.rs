//! Fed by the table's stream: whoever a history event concerns is told.
//!
//! A notice is claimed by a conditional write, handed to SNS, and marked. Two deliveries of the same record meet at the
//! claim; a message is sent twice only where its mark is missing: the function has died between the two, or the table could
//! not be written.
//!
//! # A record that fails does not hold up those after it
//! The stream begins again at the record that is reported, and what comes again is known by its claim. It cuts a batch nowhere
//! but before that record: were those behind it left for later, they would be set aside with it, armed again behind it, and
//! given up with it after a day.

use application::backoff::{Limits, retry};
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{
    KeptPushTarget, KeyService, ListPushTargets, PortError, SendPush, SendSms,
};
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::lang::Lang;
use domain::notification::{Notification, Recipient, notification};
use domain::rebind::Sealed;
use domain::sms::render;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Store;
use store::client::Table;
use store::outbox::notice_of_keys;

/// Tells people.
pub struct ConfirmationNotice<T, K, M, P> {
    store: Store<T>,
    keys: Keys<K>,
    sms: M,
    push: P,
}

/// For how long of an invocation something new is begun: what was begun, a publish that nobody answers and the note of it, is
/// to be over before the function's 60 s are. Whoever is being told when it is cut off is told twice.
pub const BEGIN_FOR_S: i64 = 30;

/// The clock of an invocation.
struct InvocationBudget<'c, C> {
    clock: &'c C,
    began: Timestamp,
}

impl<C: Fn() -> Timestamp> InvocationBudget<'_, C> {
    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn is_over(&self) -> bool {
        self.began.age_s_at(self.now()) >= BEGIN_FOR_S
    }
}

/// A batch of stream records, as far as it is used; other shapes read as empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

/// Which records were not handled: the stream begins again at the lowest of them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchReply {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

/// One record.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    #[serde(rename = "itemIdentifier")]
    sequence_number: String,
}

impl<T: Table, K: KeyService, M: SendSms, P: SendPush> ConfirmationNotice<T, K, M, P> {
    /// With this function's store, keys, SMS and push.
    pub const fn new(store: Store<T>, keys: Keys<K>, sms: M, push: P) -> Self {
        Self {
            store,
            keys,
            sms,
            push,
        }
    }

    /// Handles a batch in order and reports the first record that failed, or that there was no time for: there the stream
    /// begins again.
    ///
    /// A record of a shape that is not ours is skipped with a warning; it would be the same the next time. What is not
    /// sent when the stream gives up is armed again by the clean-up.
    pub async fn handle(&self, batch: StreamEvent, wall: impl Fn() -> Timestamp) -> BatchReply {
        let shift = InvocationBudget {
            clock: &wall,
            began: wall(),
        };
        let mut first = None;
        for record in &batch.records {
            let Some((merchant, seq)) = event_of(record) else {
                tracing::warn!("a stream record that is no event was skipped");
                continue;
            };
            let is_over = shift.is_over();
            let handled = if is_over {
                Err(out_of_time())
            } else {
                // A record that comes again is the same claimant: what it died over is its own to finish.
                let claimant = record.get("eventID").and_then(Value::as_str);
                let claimant = claimant.unwrap_or("a record without an id");
                self.notify(&merchant, seq, claimant, &shift).await
            };
            let Err(error) = handled else {
                continue;
            };
            tracing::error!(
                event.seq = seq,
                notice.cause = error.to_string(),
                "a notice was not sent"
            );
            let number = record.pointer("/dynamodb/SequenceNumber");
            first = first.or_else(|| number.and_then(Value::as_str));
            if is_over {
                break;
            }
        }
        let first = first.map(|number| Failure {
            sequence_number: number.to_owned(),
        });
        BatchReply {
            failures: first.into_iter().collect(),
        }
    }

    async fn notify(
        &self,
        merchant: &MerchantId,
        seq: u64,
        claimant: &str,
        shift: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<(), PortError> {
        let Some(event) = self
            .store
            .claim_notice(merchant, seq, claimant, shift.now())
            .await?
        else {
            return Ok(());
        };
        match self.publish(&event, claimant, shift).await {
            Ok(sent) => {
                tracing::info!(
                    event.kind = event.kind().as_str(),
                    notice.sent = sent,
                    "notice"
                );
                Ok(())
            }
            Err(error) => {
                self.store.release_notice(merchant, seq, claimant).await?;
                Err(error)
            }
        }
    }

    /// Tells everybody, also when one of them cannot be told; who was told is not told again.
    async fn publish(
        &self,
        event: &ChainedEvent,
        claimant: &str,
        shift: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<usize, PortError> {
        let mut failed = None;
        for (index, notice) in event.notices.iter().enumerate() {
            if let Err(error) = self.tell(event, notice, claimant, shift).await {
                failed = failed.or(Some(error));
                continue;
            }
            let last = failed.is_none() && index + 1 == event.notices.len();
            let (merchant, seq) = (&event.merchant_id, event.seq);
            insist(async || {
                self.store
                    .mark_sent(merchant, seq, notice.to(), last, claimant)
                    .await
            })
            .await?;
        }
        failed.map_or(Ok(event.notices.len()), Err)
    }

    async fn tell(
        &self,
        event: &ChainedEvent,
        notice: &Notification,
        claimant: &str,
        shift: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<(), PortError> {
        if shift.is_over() {
            return Err(out_of_time());
        }
        let text = self.text(event, notice.to()).await?;
        match notice {
            Notification::Push { delivered } => {
                self.push_all(event, delivered, &text, claimant, shift)
                    .await
            }
            Notification::OnFile(phone) | Notification::Reserved(phone) => {
                self.sms.send(phone.e164(), &text).await
            }
        }
    }

    /// Every device that is registered, and those that were until lately: who takes over an account would begin by
    /// silencing it. Each is noted once it was told; one that cannot be told for good keeps nobody else from it.
    async fn push_all(
        &self,
        event: &ChainedEvent,
        delivered: &[String],
        text: &str,
        claimant: &str,
        shift: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<(), PortError> {
        let merchant = &event.merchant_id;
        let mut delivered = delivered.to_vec();
        // Either clock: the event's may be a sandbox's, the wall's goes on while a notice waits.
        let now = event.at.min(shift.now());
        let told_s = self.store.policy().push_after_removal_s;
        let mut targets = self.store.push_targets(merchant).await?;
        targets.retain(|target| {
            let removed_at = target.removed_at;
            removed_at.is_none_or(|at| at.age_s_at(now) < told_s)
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
            if shift.is_over() {
                return Err(failed.unwrap_or_else(out_of_time));
            }
            match self.push_one(merchant, &history_key, &target, text).await {
                Ok(()) => {
                    delivered.push(target.tag);
                    insist(async || {
                        self.store
                            .mark_pushed(merchant, event.seq, &delivered, claimant)
                            .await
                    })
                    .await?;
                }
                Err(error @ PortError::Permanent(..)) => {
                    tracing::error!(push.cause = error.to_string(), "a push is refused for good");
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
    ) -> Result<(), PortError> {
        let sealed = &target.sealed_token;
        let token = self
            .keys
            .open_personal(merchant.as_str(), history_key, sealed)
            .await?;
        let pushed = self.push.push(target.platform, &token, text).await?;
        tracing::info!(push.result = ?pushed, "push");
        Ok(())
    }

    async fn text(&self, event: &ChainedEvent, to: Recipient) -> Result<String, PortError> {
        let unfit = |what: &str| PortError::Permanent("the event", what.to_owned());
        let message = notification(event.event(), event.at, to)
            .ok_or_else(|| unfit("no message for this recipient"))?;
        let freeze_code = match message.freeze_code_of() {
            None => None,
            Some(rebind_id) => {
                let merchant = event.merchant_id.as_str();
                Some(self.keys.freeze_code(merchant, rebind_id.number()).await?)
            }
        };
        let sms = message.sms(freeze_code.as_ref());
        let sms = sms.ok_or_else(|| unfit("no freeze code for this message"))?;
        Ok(render(&sms, Lang::default()))
    }
}

fn out_of_time() -> PortError {
    PortError::Transient("this invocation", "its time is up".to_owned())
}

/// A message that was sent but not marked would be sent twice, so the mark is retried.
async fn insist(mark: impl AsyncFn() -> Result<(), PortError>) -> Result<(), PortError> {
    let marked = retry(Limits::MARK, async || Ok(mark().await?)).await;
    marked.map_err(HandlerError::into_port_error)
}

/// The event that a stream record is about.
fn event_of(record: &Value) -> Option<(MerchantId, u64)> {
    let key = |name: &str| {
        record
            .pointer("/dynamodb/Keys")?
            .get(name)?
            .get("S")?
            .as_str()
    };
    notice_of_keys(key("pk")?, key("sk")?)
}
