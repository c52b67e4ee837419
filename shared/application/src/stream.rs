//! A batch of a table's stream, the time budget of its invocation, and the reply that names the failed record.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A batch of stream records. Any other shape reads as empty.
#[derive(Debug, Deserialize)]
pub struct StreamEvent(Value);

impl StreamEvent {
    /// The records, in the order of the stream.
    pub fn records(&self) -> impl Iterator<Item = &Value> {
        let records = self.0.get("Records").and_then(Value::as_array);
        records.into_iter().flatten()
    }
}

/// The sequence number of a record, by which a failure is reported.
#[must_use]
pub fn sequence_number(record: &Value) -> Option<&str> {
    record.pointer("/dynamodb/SequenceNumber")?.as_str()
}

/// The failed record. The stream resumes at the lowest sequence number in the reply.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchReply {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

impl BatchReply {
    /// `None`: the whole batch succeeded.
    #[must_use]
    pub fn failed_at(sequence_number: Option<&str>) -> Self {
        let failure = sequence_number.map(|number| Failure {
            sequence_number: number.to_owned(),
        });
        Self {
            failures: failure.into_iter().collect(),
        }
    }
}

/// The sequence number of one failed record.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    #[serde(rename = "itemIdentifier")]
    sequence_number: String,
}

/// The time budget of one invocation.
#[derive(Debug)]
pub struct InvocationBudget<'c, C> {
    clock: &'c C,
    began: Timestamp,
    seconds: i64,
}

impl<'c, C: Fn() -> Timestamp> InvocationBudget<'c, C> {
    /// A budget of this many seconds from now on.
    pub fn begin(clock: &'c C, seconds: i64) -> Self {
        Self {
            clock,
            began: clock(),
            seconds,
        }
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// True if nothing new may start.
    pub fn is_over(&self) -> bool {
        self.began.age_s_at(self.now()) >= self.seconds
    }
}
