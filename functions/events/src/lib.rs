//! Publishes history events to other systems, and queues their hashes for the log. The table's stream invokes this function. A
//! record of the stream holds the whole event; the function reads nothing but the salt of the merchant's pseudonym.
//!
//! # A failed record delays the records behind it
//! The function stops at the first failure, and the stream redelivers that record and all behind it until it expires. So the
//! events of a merchant are published in order, and each at least once. A repetition carries the same id.
//!
//! The whole batch is queued before its first event is published. After a failure an event may be queued again: the log then
//! has two proofs of it.

use api::cloud_event::CloudEvent;
use application::COUNTED;
use application::correlation;
use application::ports::{PortError, PublishEvent, QueueAnchor};
use application::stream::{BatchReply, InvocationBudget, StreamEvent, sequence_number};
use application::usage::whole_ms;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use store::Store;
use store::client::Table;
use store::stream::event_of_image;
use tracing::Instrument as _;
use transparency::hash::{Hash, NotAHash};
use transparency::history::Entry;

/// Publishes and queues events.
pub struct Events<T, P, Q> {
    store: Store<T>,
    publisher: P,
    queue: Q,
    source: String,
}

/// Seconds after which no new publish starts, so that a slow one can still finish before the function's timeout.
pub const PUBLISH_UNTIL_S: i64 = 20;
/// Salts that are read at the same time.
const READS: usize = 8;

/// What became of the records of a batch.
#[derive(Default)]
struct Counts {
    queued: usize,
    published: u32,
    unpublished: u32,
    skipped: u32,
}

/// A new event of a batch.
struct NewEvent<'a> {
    record: &'a Value,
    event: ChainedEvent,
    hash: Hash,
}

impl<T: Table, P: PublishEvent, Q: QueueAnchor> Events<T, P, Q> {
    /// `source` names this deployment in every event.
    pub const fn new(store: Store<T>, publisher: P, queue: Q, source: String) -> Self {
        Self {
            store,
            publisher,
            queue,
            source,
        }
    }

    /// Handles a batch in order, up to the first record that failed or did not fit into the time budget. The stream resumes
    /// there.
    ///
    /// A record of an unknown shape is skipped with an error in the log, since a retry would see the same record. A record
    /// of a later format fails: a retry may meet the release that reads it.
    pub async fn handle(&self, batch: StreamEvent, wall: impl Fn() -> Timestamp) -> BatchReply {
        let started = Instant::now();
        let budget = InvocationBudget::begin(&wall, PUBLISH_UNTIL_S);
        let mut counts = Counts::default();
        let (events, mut failed) = read(&batch, &mut counts);
        match self.queue(&events).await {
            Ok(queued) => {
                counts.queued = queued;
                for new in &events {
                    let span = correlation::event(&new.event.merchant_id, new.event.seq);
                    let published = self.publish(&new.event, &budget);
                    let published = published.instrument(span.clone()).await;
                    if published.is_ok() {
                        let kind = new.event.event().kind();
                        tracing::info!(target: COUNTED, { event.kind = kind.as_str() }, "event.handled");
                    }
                    match published {
                        Ok(true) => counts.published += 1,
                        Ok(false) => counts.unpublished += 1,
                        Err(error) => {
                            failed = Some(span.in_scope(|| failure(new.record, &error)));
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                let first = events.first();
                failed = first.map(|new| failure(new.record, &error));
            }
        }
        let usage = self.store.meter().take();
        tracing::info!(
            events.queued = counts.queued,
            events.published = counts.published,
            events.unpublished = counts.unpublished,
            events.skipped = counts.skipped,
            store.calls = usage.calls,
            store.rru = usage.rru,
            store.wru = usage.wru,
            duration_ms = whole_ms(started.elapsed()),
            "events.handled"
        );
        BatchReply::failed_at(failed)
    }

    /// Queues all events for the log. An erased merchant has no pseudonym, so the merchant's events are not anchored.
    async fn queue(&self, events: &[NewEvent<'_>]) -> Result<usize, PortError> {
        let merchants: BTreeSet<&MerchantId> =
            events.iter().map(|new| &new.event.merchant_id).collect();
        let pseudonyms = stream::iter(merchants).map(async |merchant| {
            let pseudonym = self.store.pseudonym(merchant).await?;
            Ok::<_, PortError>((merchant, pseudonym))
        });
        let pseudonyms = pseudonyms.buffer_unordered(READS);
        let pseudonyms: BTreeMap<&MerchantId, Option<Hash>> = pseudonyms.try_collect().await?;
        let entries = events.iter().filter_map(|new| {
            let pseudonym = pseudonyms.get(&new.event.merchant_id).copied().flatten();
            Some(Entry {
                hash: new.hash,
                pseudonym: pseudonym?,
                seq: new.event.seq,
            })
        });
        let entries: Vec<Entry> = entries.collect();
        self.queue.queue(&entries).await?;
        Ok(entries.len())
    }

    /// Publishes an event. False for one that is not public.
    async fn publish(
        &self,
        event: &ChainedEvent,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<bool, PortError> {
        let Some(event) = CloudEvent::of(event, &self.source) else {
            return Ok(false);
        };
        if budget.is_over() {
            let used_up = "the time budget is used up".to_owned();
            return Err(PortError::Transient("this invocation", used_up));
        }
        self.publisher.publish(&event).await?;
        Ok(true)
    }
}

/// The new events up to the first record of a later format, and the number of that record.
fn read<'a>(batch: &'a StreamEvent, counts: &mut Counts) -> (Vec<NewEvent<'a>>, Option<&'a str>) {
    let mut events = Vec::new();
    for record in batch.records() {
        // Later writes of the item only mark its notifications. The stream mapping filters them out too.
        if record.get("eventName").and_then(Value::as_str) != Some("INSERT") {
            counts.unpublished += 1;
            continue;
        }
        match new_event(record) {
            Ok(event) => events.push(event),
            Err(error @ PortError::TooNew(_)) => return (events, Some(failure(record, &error))),
            Err(error) => {
                tracing::error!(event.cause = error.to_string(), "event.record_skipped");
                counts.skipped += 1;
            }
        }
    }
    (events, None)
}

fn new_event(record: &Value) -> Result<NewEvent<'_>, PortError> {
    let image = record.pointer("/dynamodb/NewImage");
    let event = event_of_image(image.unwrap_or(&Value::Null))?;
    let hash = event.hash.parse();
    let hash = hash.map_err(|bad: NotAHash| PortError::Permanent("an event", bad.to_string()))?;
    Ok(NewEvent {
        record,
        event,
        hash,
    })
}

/// Logs a failure. Returns the number of the record, from which the stream redelivers.
fn failure<'a>(record: &'a Value, error: &PortError) -> &'a str {
    tracing::error!(event.cause = error.to_string(), "event.failed");
    // An empty number makes the stream redeliver the whole batch.
    sequence_number(record).unwrap_or_default()
}
