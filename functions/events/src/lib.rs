//! Publishes history events to other systems. The table's stream invokes this function, which reads no table: a record of
//! the stream holds the whole event.
//!
//! # A failed record delays the records behind it
//! The function stops at the first failure, and the stream redelivers that record and all behind it until it expires. So the
//! events of a merchant are published in order, and each at least once. A repetition carries the same id.

use api::cloud_event::CloudEvent;
use application::ports::{PortError, PublishEvent};
use application::stream::{BatchReply, InvocationBudget, StreamEvent, sequence_number};
use application::usage::whole_ms;
use domain::time::Timestamp;
use serde_json::Value;
use std::time::Instant;
use store::stream::event_of_image;

/// Publishes events.
pub struct Events<P> {
    publisher: P,
    source: String,
}

/// Seconds after which no new publish starts, so that a slow one can still finish before the function's timeout.
pub const PUBLISH_UNTIL_S: i64 = 20;

/// What became of the records of a batch.
#[derive(Default)]
struct Counts {
    published: u32,
    unpublished: u32,
    skipped: u32,
}

/// The end of one record.
enum Handled {
    Published,
    /// Not a new event, or of a kind that is not public.
    Unpublished,
    /// Of an unknown shape.
    Skipped,
}

impl<P: PublishEvent> Events<P> {
    /// `source` names this deployment in every event.
    pub const fn new(publisher: P, source: String) -> Self {
        Self { publisher, source }
    }

    /// Handles a batch in order, up to the first record that failed or did not fit into the time budget. The stream resumes
    /// there.
    ///
    /// A record of an unknown shape is skipped with an error in the log, since a retry would see the same record. A record
    /// of a later format fails: a retry may meet the release that reads it.
    pub async fn handle(&self, batch: StreamEvent, wall: impl Fn() -> Timestamp) -> BatchReply {
        let started = Instant::now();
        let budget = InvocationBudget::begin(&wall, PUBLISH_UNTIL_S);
        let (mut counts, mut failed) = (Counts::default(), None);
        for record in batch.records() {
            match self.publish(record, &budget).await {
                Ok(Handled::Published) => counts.published += 1,
                Ok(Handled::Unpublished) => counts.unpublished += 1,
                Ok(Handled::Skipped) => counts.skipped += 1,
                Err(error) => {
                    tracing::error!(event.cause = error.to_string(), "event.failed");
                    // An empty number makes the stream redeliver the whole batch.
                    failed = Some(sequence_number(record).unwrap_or_default());
                    break;
                }
            }
        }
        tracing::info!(
            events.published = counts.published,
            events.unpublished = counts.unpublished,
            events.skipped = counts.skipped,
            duration_ms = whole_ms(started.elapsed()),
            "events.handled"
        );
        BatchReply::failed_at(failed)
    }

    async fn publish(
        &self,
        record: &Value,
        budget: &InvocationBudget<'_, impl Fn() -> Timestamp>,
    ) -> Result<Handled, PortError> {
        // Later writes of the item only mark its notifications. The stream mapping filters them out too.
        if record.get("eventName").and_then(Value::as_str) != Some("INSERT") {
            return Ok(Handled::Unpublished);
        }
        let image = record.pointer("/dynamodb/NewImage");
        let event = match event_of_image(image.unwrap_or(&Value::Null)) {
            Ok(event) => event,
            Err(error @ PortError::TooNew(_)) => return Err(error),
            Err(error) => {
                tracing::error!(event.cause = error.to_string(), "event.record_skipped");
                return Ok(Handled::Skipped);
            }
        };
        let Some(event) = CloudEvent::of(&event, &self.source) else {
            return Ok(Handled::Unpublished);
        };
        if budget.is_over() {
            let used_up = "the time budget is used up".to_owned();
            return Err(PortError::Transient("this invocation", used_up));
        }
        self.publisher.publish(&event).await?;
        Ok(Handled::Published)
    }
}
