//! Lambda's event source mapping for a DynamoDB stream, as a state machine with a virtual clock: it is asked for the next
//! batch and told how the invocation ended. The local cloud's mapping knows none of the rules that matter when something fails.
//!
//! # What is documented (AWS Lambda Developer Guide, unless said otherwise)
//! | rule | page |
//! |---|---|
//! | One batch of a shard is under way at a time, in order; while it fails, its shard stands still and the others go on | Process DynamoDB records with Lambda |
//! | A shard's children wait until it is read to its end; a record is in the stream once, an item's records in order | DynamoDB Developer Guide: Change data capture for DynamoDB Streams |
//! | A record that fits no filter is dropped before the function sees it; filters are ORed, only `dynamodb` can be asked about | Control which events Lambda sends to your function; Using event filtering with a DynamoDB event source |
//! | No failures, null or an empty reply: all is done. The lowest sequence number of several is the checkpoint, and everything from it on comes again. An empty or null id, or one of no record of the batch: all of it failed | Configuring partial batch response with DynamoDB and Lambda |
//! | An invocation that ends in an error fails all of its batch; with bisection on, it comes again in two halves. With both on, a reported id is where it is cut, and the rest comes again | the same |
//! | To cut a batch takes nothing off the retries | Retaining discarded records for a DynamoDB event source in Lambda |
//! | After the last retry, or once they are too old, records are described to the destination and the shard goes on. The description holds no record, but with an S3 bucket | the same |
//! | A record can come more than once | Process DynamoDB records with Lambda |
//! | What expiry removes has the service as its `userIdentity` | Amazon DynamoDB API Reference: Record |
//!
//! # What is not
//! Whether what is left after a checkpoint has all its retries again is not said: [`Retries`] is both answers, and a
//! function must do well with either. How long a retry waits is not said: here one second, then twice as long each time.

use crate::iam_policy::template;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// The longest pause before a retry.
const PAUSE_MAX_S: i64 = 60;

/// What the template says of a function and its stream.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Records of an invocation, at most.
    pub batch_size: usize,
    /// A record comes when one of them fits; all do when there are none.
    pub filters: Vec<Value>,
    /// Whether the function's reply is read.
    pub reports_failures: bool,
    /// Whether a batch that failed is cut.
    pub bisects: bool,
    /// Retries of a batch; `None`: until its records are gone.
    pub retries_max: Option<u32>,
    /// Older records are given up.
    pub age_max_s: Option<i64>,
    /// What kind of destination is told about records that are given up.
    pub destination: Option<String>,
    /// How long an invocation may take.
    pub timeout_s: i64,
    /// Which images of an item its records hold.
    pub view: String,
}

impl Mapping {
    /// Of a function in `infra/template.yaml`.
    #[must_use]
    pub fn of(function: &str) -> Self {
        Self::read(template(), function)
    }

    /// Of a function in a template. What is left out has Lambda's default.
    #[must_use]
    pub fn read(template: &Value, function: &str) -> Self {
        let properties = &template["Resources"][function]["Properties"];
        let events = properties["Events"].as_object().unwrap();
        let mut streams = events.values().filter(|event| event["Type"] == "DynamoDB");
        let stream = &streams.next().expect("a stream")["Properties"];
        assert!(streams.next().is_none(), "one stream");
        let given = |name: &str| stream[name].as_i64().filter(|value| *value >= 0);
        let filters = stream["FilterCriteria"]["Filters"].as_array();
        let filters = filters.into_iter().flatten().map(|filter| {
            let pattern = filter["Pattern"].as_str().unwrap();
            serde_json::from_str(pattern).unwrap()
        });
        let types = stream["FunctionResponseTypes"].as_array();
        let destination = &stream["DestinationConfig"]["OnFailure"]["Type"];
        // `!GetAtt Table.StreamArn` reads as what it is applied to.
        let arn = stream["Stream"].as_str().unwrap();
        let table = &template["Resources"][arn.split('.').next().unwrap()]["Properties"];
        Self {
            batch_size: given("BatchSize").map_or(100, |size| usize::try_from(size).unwrap()),
            filters: filters.collect(),
            reports_failures: types
                .is_some_and(|types| types.contains(&json!("ReportBatchItemFailures"))),
            bisects: stream["BisectBatchOnFunctionError"] == true,
            retries_max: given("MaximumRetryAttempts").map(|max| u32::try_from(max).unwrap()),
            age_max_s: given("MaximumRecordAgeInSeconds"),
            destination: destination.as_str().map(str::to_owned),
            timeout_s: properties["Timeout"].as_i64().unwrap_or(3),
            view: table["StreamSpecification"]["StreamViewType"]
                .as_str()
                .unwrap()
                .to_owned(),
        }
    }

    /// Whether the function gets to see a record.
    #[must_use]
    pub fn admits(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| fits(filter, Some(record)))
    }

    /// Where a batch of these sequence numbers begins again after such a reply; `None`: nowhere.
    fn begins_again(&self, reply: &Value, numbers: &[&str]) -> Option<Cut> {
        if !self.reports_failures {
            return None;
        }
        let failures = reply["batchItemFailures"].as_array()?;
        let places = failures.iter().map(|failure| {
            let id = failure["itemIdentifier"].as_str()?;
            numbers.iter().position(|number| *number == id)
        });
        let places: Option<Vec<usize>> = places.collect();
        match places {
            Some(places) => places.into_iter().min().map(Cut::At),
            None => Some(Cut::Nowhere),
        }
    }
}

/// What failed of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// This record, and so all after it.
    At(usize),
    /// All of it, and nobody knows because of which.
    Nowhere,
}

/// The part of the filter rules that templates here use; anything else is refused, so that it is not overlooked.
fn fits(filter: &Value, value: Option<&Value>) -> bool {
    match filter {
        Value::Object(members) => members
            .iter()
            .all(|(name, wanted)| fits(wanted, value.and_then(|value| value.get(name)))),
        Value::Array(choices) => choices.iter().any(|choice| match choice {
            Value::Object(rule) if rule.keys().eq(["exists"]) => rule["exists"] == value.is_some(),
            Value::Object(_) | Value::Array(_) => panic!("a rule that is not known here: {choice}"),
            exactly => Some(exactly) == value,
        }),
        _ => panic!("a rule that is not known here: {filter}"),
    }
}

/// What a batch that got shorter has left of its retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// All of them: it is another batch.
    Anew,
    /// One less: it was tried.
    UsedUp,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The function replied.
    Replied(Value),
    /// It said no more: an error, a crash, its time was up.
    Failed,
}

/// Records that are delivered together.
#[derive(Clone, Debug)]
struct Batch {
    records: Vec<Value>,
    failures: u32,
    invocations: u32,
    not_before: Timestamp,
    /// It was done before.
    again: bool,
}

/// An invocation that is under way.
#[derive(Debug)]
pub struct Delivery {
    shard: usize,
    batch: Batch,
}

impl Delivery {
    /// The function's event.
    #[must_use]
    pub fn event(&self) -> Value {
        json!({"Records": self.batch.records})
    }
}

#[derive(Debug, Default)]
struct Shard {
    parent: Option<usize>,
    records: Vec<Value>,
    /// How many of them were read.
    read: usize,
    waiting: VecDeque<Batch>,
    busy: bool,
}

impl Shard {
    fn is_done(&self) -> bool {
        self.read == self.records.len() && self.waiting.is_empty() && !self.busy
    }
}

/// The mapping at work.
#[derive(Debug)]
pub struct Host {
    /// Its settings.
    pub mapping: Mapping,
    /// What the destination has got.
    pub given_up: Vec<Value>,
    /// Invocations that were begun.
    pub invocations: usize,
    /// Records that no filter let through.
    pub dropped: usize,
    /// Every so many batches, one that is done comes again.
    pub repeat_every: Option<usize>,
    retries: Retries,
    shards: Vec<Shard>,
    /// Those that still grow.
    open: Vec<usize>,
    done: usize,
    dice: u64,
}

impl Host {
    /// With so many shards; `seed` decides whose turn it is.
    #[must_use]
    pub fn new(mapping: Mapping, retries: Retries, shards: usize, seed: u64) -> Self {
        Self {
            mapping,
            given_up: Vec::new(),
            invocations: 0,
            dropped: 0,
            repeat_every: None,
            retries,
            shards: (0..shards).map(|_| Shard::default()).collect(),
            open: (0..shards).collect(),
            done: 0,
            dice: seed.wrapping_mul(2).wrapping_add(1),
        }
    }

    /// A record joins the shard of its item's partition.
    pub fn add(&mut self, record: Value) {
        let digest = Sha256::digest(record["dynamodb"]["Keys"]["pk"].to_string());
        let place = digest
            .iter()
            .take(4)
            .fold(0, |place, byte| place << 8 | usize::from(*byte));
        let shard = self.open[place % self.open.len()];
        self.shards[shard].records.push(record);
    }

    /// Every open shard is closed and has two children.
    pub fn split(&mut self) {
        let parents = std::mem::take(&mut self.open);
        // A partition of place p is in the shard p modulo n, and after that modulo 2n: one of these two.
        for parent in parents.iter().chain(&parents) {
            self.open.push(self.shards.len());
            self.shards.push(Shard {
                parent: Some(*parent),
                ..Shard::default()
            });
        }
    }

    /// The checkpoints are lost: everything that is still in the stream comes again.
    pub fn forget(&mut self) {
        for shard in &mut self.shards {
            shard.read = 0;
            shard.waiting.clear();
        }
    }

    /// The next invocation, if one can begin now.
    pub fn next(&mut self, now: Timestamp) -> Option<Delivery> {
        loop {
            let ready: Vec<usize> = (0..self.shards.len())
                .filter(|shard| self.is_ready(*shard, now))
                .collect();
            if ready.is_empty() {
                return None;
            }
            let shard = ready[self.roll(ready.len())];
            let Some(mut batch) = self.take(shard, now) else {
                continue;
            };
            let old = batch.records.iter().take_while(|record| {
                let age_s = now.epoch_s() - arrival(record).epoch_s();
                self.mapping.age_max_s.is_some_and(|max_s| age_s > max_s)
            });
            let old = old.count();
            if old > 0 {
                let rest = batch.records.split_off(old);
                self.give_up(shard, &batch, "RecordAgeExceeded", now);
                if !rest.is_empty() {
                    batch.records = rest;
                    self.shards[shard].waiting.push_front(batch);
                }
                continue;
            }
            self.invocations += 1;
            batch.invocations += 1;
            self.shards[shard].busy = true;
            return Some(Delivery { shard, batch });
        }
    }

    /// When something can begin that cannot yet.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let waiting = self.shards.iter().filter_map(|shard| shard.waiting.front());
        waiting.map(|batch| batch.not_before).min()
    }

    /// An invocation is over.
    pub fn finish(&mut self, delivery: Delivery, ended: &Ended, now: Timestamp) {
        let Delivery { shard, mut batch } = delivery;
        self.shards[shard].busy = false;
        let numbers: Vec<&str> = batch.records.iter().map(sequence_number).collect();
        let cut = match ended {
            Ended::Replied(reply) => self.mapping.begins_again(reply, &numbers),
            Ended::Failed => Some(Cut::Nowhere),
        };
        match cut {
            None => {
                self.done += 1;
                let repeats = self
                    .repeat_every
                    .is_some_and(|n| self.done.is_multiple_of(n));
                if repeats && !batch.again {
                    batch.again = true;
                    self.shards[shard].waiting.push_front(batch);
                }
            }
            Some(Cut::At(place)) if place > 0 => {
                batch.records.drain(..place);
                match self.retries {
                    Retries::Anew => batch.failures = 0,
                    Retries::UsedUp => batch.failures += 1,
                }
                self.retry(shard, batch, now);
            }
            Some(Cut::Nowhere) if self.mapping.bisects && batch.records.len() > 1 => {
                let mut second = batch.clone();
                second.records = batch.records.split_off(batch.records.len() / 2);
                self.shards[shard].waiting.push_front(second);
                self.retry(shard, batch, now);
            }
            Some(_) => {
                batch.failures += 1;
                self.retry(shard, batch, now);
            }
        }
    }

    fn retry(&mut self, shard: usize, mut batch: Batch, now: Timestamp) {
        let max = self.mapping.retries_max;
        if max.is_some_and(|max| batch.failures > max) {
            self.give_up(shard, &batch, "RetryAttemptsExhausted", now);
            return;
        }
        let pause_s = 1_i64 << batch.failures.saturating_sub(1).min(16);
        batch.not_before = now.plus_s(pause_s.min(PAUSE_MAX_S));
        self.shards[shard].waiting.push_front(batch);
    }

    fn is_ready(&self, shard: usize, now: Timestamp) -> bool {
        let shard = &self.shards[shard];
        let free = !shard.busy
            && shard
                .parent
                .is_none_or(|parent| self.shards[parent].is_done());
        let next = shard.waiting.front();
        free && next.map_or(shard.read < shard.records.len(), |batch| {
            batch.not_before <= now
        })
    }

    /// What is next of a shard that is ready; `None` when nothing of what it read is let through.
    fn take(&mut self, shard: usize, now: Timestamp) -> Option<Batch> {
        let shard = &mut self.shards[shard];
        if let Some(batch) = shard.waiting.pop_front() {
            return Some(batch);
        }
        let mut records = Vec::new();
        while records.len() < self.mapping.batch_size && shard.read < shard.records.len() {
            let record = &shard.records[shard.read];
            shard.read += 1;
            if self.mapping.admits(record) {
                records.push(record.clone());
            } else {
                self.dropped += 1;
            }
        }
        let batch = Batch {
            records,
            failures: 0,
            invocations: 0,
            not_before: now,
            again: false,
        };
        (!batch.records.is_empty()).then_some(batch)
    }

    fn give_up(&mut self, shard: usize, batch: &Batch, condition: &str, now: Timestamp) {
        let Some(kind) = &self.mapping.destination else {
            return;
        };
        let (Some(first), Some(last)) = (batch.records.first(), batch.records.last()) else {
            return;
        };
        let text = Timestamp::to_rfc3339_shanghai;
        let mut message = json!({
            "requestContext": {
                "requestId": format!("request-{}", self.invocations),
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:confirmation-notice",
                "condition": condition,
                "approximateInvokeCount": batch.invocations,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": null},
            "version": "1.0",
            "timestamp": text(now),
            "DDBStreamBatchInfo": {
                "shardId": format!("shardId-{shard:020}"),
                "startSequenceNumber": sequence_number(first),
                "endSequenceNumber": sequence_number(last),
                "approximateArrivalOfFirstRecord": text(arrival(first)),
                "approximateArrivalOfLastRecord": text(arrival(last)),
                "batchSize": batch.records.len(),
                "streamArn": first["eventSourceARN"],
            },
        });
        if kind == "S3" {
            message["payload"] = json!({"Records": batch.records}).to_string().into();
        }
        self.given_up.push(message);
    }

    /// A number below `sides`, the same for the same seed.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's constants; the high bits are the good ones.
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.dice >> 33).unwrap() % sides
    }
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or("")
}

fn arrival(record: &Value) -> Timestamp {
    let at = &record["dynamodb"]["ApproximateCreationDateTime"];
    Timestamp::from_epoch_s(at.as_i64().unwrap_or(0))
}

#[cfg(test)]
#[path = "stream_host_tests.rs"]
mod tests;
