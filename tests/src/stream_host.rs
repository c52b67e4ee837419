//! Lambda's event source mapping for a DynamoDB stream, as a state machine with a virtual clock. It yields the next batch and
//! receives the result of the invocation. The local cloud's mapping implements none of the failure rules.
//!
//! # Documented rules (AWS Lambda Developer Guide, unless stated otherwise)
//! - Order: a shard has one batch in progress at a time. A failing batch blocks its own shard only (Process DynamoDB records
//!   with Lambda).
//! - Split: a shard's children are read after the shard itself. Each record is in the stream once; an item's records are in
//!   order (DynamoDB Developer Guide: Change data capture for DynamoDB Streams).
//! - Filters: a record that matches no filter is dropped before the invocation. Filters are ORed
//!   (Control which events Lambda sends to your function; Using event filtering with a DynamoDB event source).
//! - Partial failure: no failures, null or an empty reply mean success. The lowest of several sequence numbers is the
//!   checkpoint, and the records from it on are retried. An empty, null or unknown id fails the whole batch (Configuring
//!   partial batch response with DynamoDB and Lambda).
//! - Error: an invocation error fails the whole batch. With bisection, the batch is retried in two halves. With both options,
//!   the batch is cut at the reported id and the rest is retried (the same page).
//! - Retries: bisection does not consume a retry (Retaining discarded records for a DynamoDB event source in Lambda).
//! - Discarding: after the last retry or the maximum age, a description of the records is sent to the destination and the
//!   shard continues. Only an S3 destination receives the records themselves (the same page).
//! - Duplicates: a record can be delivered more than once (Process DynamoDB records with Lambda).
//! - TTL: a record of an expired item has the service as its `userIdentity` (Amazon DynamoDB API Reference: Record).
//!
//! # Undocumented behaviour
//! AWS does not document the number of retries left after a checkpoint. [`Retries`] models both answers, and a function must
//! handle either. AWS does not document the retry delay either: here it starts at one second and doubles.

use crate::iam_policy::template;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// The longest pause before a retry.
const PAUSE_MAX_S: i64 = 60;

/// The settings of a function and its stream, as in the template.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The maximum number of records in an invocation.
    pub batch_size: usize,
    /// A record is delivered if any filter matches, or if there are no filters.
    pub filters: Vec<Value>,
    /// True if the function reports partial batch failures.
    pub reports_failures: bool,
    /// True if a failed batch is bisected.
    pub bisects: bool,
    /// The retries of a batch; `None`: until its records expire.
    pub retries_max: Option<u32>,
    /// The maximum age of a record.
    pub age_max_s: Option<i64>,
    /// The kind of the failure destination.
    pub destination: Option<String>,
    /// The timeout of an invocation.
    pub timeout_s: i64,
    /// The item images in a record.
    pub view: String,
}

impl Mapping {
    /// The settings of a function in `infra/template.yaml`.
    #[must_use]
    pub fn of(function: &str) -> Self {
        Self::read(template(), function)
    }

    /// The settings of a function in a template. Omitted settings have Lambda's defaults.
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
        // `!If [Restored, !Ref RestoredTableStreamArn, !GetAtt Table.StreamArn]`: short forms are read as their arguments.
        let arn = stream["Stream"].as_str();
        let arn = arn.or(stream["Stream"][2].as_str()).unwrap();
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

    /// Returns true if a filter lets a record through.
    #[must_use]
    pub fn admits(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| fits(filter, Some(record)))
    }

    /// The index at which a batch with these sequence numbers is retried after a reply; `None`: no retry.
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

/// The failed part of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// This record, and therefore all after it.
    At(usize),
    /// All of it; the failing record is unknown.
    Nowhere,
}

/// The filter rules that the template uses. Any other rule panics, so that none is silently ignored.
fn fits(filter: &Value, value: Option<&Value>) -> bool {
    match filter {
        Value::Object(members) => members
            .iter()
            .all(|(name, wanted)| fits(wanted, value.and_then(|value| value.get(name)))),
        Value::Array(choices) => choices.iter().any(|choice| match choice {
            Value::Object(rule) if rule.keys().eq(["exists"]) => rule["exists"] == value.is_some(),
            Value::Object(rule) if rule.keys().eq(["prefix"]) => {
                let prefix = rule["prefix"].as_str().unwrap();
                let text = value.and_then(Value::as_str);
                text.is_some_and(|text| text.starts_with(prefix))
            }
            Value::Object(_) | Value::Array(_) => panic!("unsupported filter rule: {choice}"),
            exactly => Some(exactly) == value,
        }),
        _ => panic!("unsupported filter rule: {filter}"),
    }
}

/// The remaining retries of a shortened batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// All retries: it counts as a new batch.
    Reset,
    /// One fewer: this attempt counts.
    Decremented,
}

/// The end of an invocation.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The function replied.
    Replied(Value),
    /// No reply: an error, a crash or a timeout.
    Failed,
}

/// Records that are delivered together.
#[derive(Clone, Debug)]
struct Batch {
    records: Vec<Value>,
    failures: u32,
    invocations: u32,
    not_before: Timestamp,
    /// The batch was completed before.
    again: bool,
}

/// An invocation in progress.
#[derive(Debug)]
pub struct Delivery {
    shard: usize,
    batch: Batch,
}

impl Delivery {
    /// The event for the function.
    #[must_use]
    pub fn event(&self) -> Value {
        json!({"Records": self.batch.records})
    }
}

#[derive(Debug, Default)]
struct Shard {
    parent: Option<usize>,
    records: Vec<Value>,
    /// The number of records read.
    read: usize,
    waiting: VecDeque<Batch>,
    busy: bool,
}

impl Shard {
    fn is_done(&self) -> bool {
        self.read == self.records.len() && self.waiting.is_empty() && !self.busy
    }
}

/// The running mapping.
#[derive(Debug)]
pub struct Host {
    /// The settings.
    pub mapping: Mapping,
    /// The descriptions sent to the destination.
    pub given_up: Vec<Value>,
    /// The number of invocations started.
    pub invocations: usize,
    /// The number of records dropped by filters.
    pub dropped: usize,
    /// Redelivers every n-th completed batch.
    pub repeat_every: Option<usize>,
    retries: Retries,
    shards: Vec<Shard>,
    /// The open shards.
    open: Vec<usize>,
    done: usize,
    dice: u64,
}

impl Host {
    /// A mapping with this many shards. `seed` determines the order of the shards.
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

    /// Appends a record to the shard of its item's partition.
    pub fn add(&mut self, record: Value) {
        let digest = Sha256::digest(record["dynamodb"]["Keys"]["pk"].to_string());
        let place = digest
            .iter()
            .take(4)
            .fold(0, |place, byte| place << 8 | usize::from(*byte));
        let shard = self.open[place % self.open.len()];
        self.shards[shard].records.push(record);
    }

    /// Closes every open shard and opens two children for each.
    pub fn split(&mut self) {
        let parents = std::mem::take(&mut self.open);
        // Partition p is in shard p modulo n, and after the split in shard p modulo 2n: one of the two children.
        for parent in parents.iter().chain(&parents) {
            self.open.push(self.shards.len());
            self.shards.push(Shard {
                parent: Some(*parent),
                ..Shard::default()
            });
        }
    }

    /// Loses the checkpoints: everything still in the stream is redelivered.
    pub fn forget(&mut self) {
        for shard in &mut self.shards {
            shard.read = 0;
            shard.waiting.clear();
        }
    }

    /// The next invocation, if one can start now.
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

    /// The earliest time at which a waiting batch can start.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let waiting = self.shards.iter().filter_map(|shard| shard.waiting.front());
        waiting.map(|batch| batch.not_before).min()
    }

    /// Ends an invocation.
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
                    Retries::Reset => batch.failures = 0,
                    Retries::Decremented => batch.failures += 1,
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

    /// The next batch of a ready shard; `None` if no record passed the filters.
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

    /// A pseudo-random number below `sides`, determined by the seed.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's constants. The high bits have the better distribution.
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
