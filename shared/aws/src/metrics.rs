//! Metrics in CloudWatch's [embedded format][emf]: lines in the log of a function, which CloudWatch turns into metrics. A function needs
//! no permission and makes no call for them.
//!
//! They are read off the events of the log: [`Metrics`] counts what passes, and no other code knows of it. The event that ends an
//! invocation, or an error, writes what was counted. An event of the target [`COUNTED`](application::COUNTED) is counted only, and is not written to the log.
//!
//! [emf]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

use application::clock::wall_clock_ms;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "CardRebind";
/// Each metric has this dimension, for the stage; some have one more.
pub const STAGE: &str = "Stage";
/// CloudWatch takes at most this many values of a metric from one line.
const VALUES_MAX: usize = 100;

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit in CloudWatch.
    pub unit: &'static str,
    /// Its second dimension: the name, and all values.
    pub dimension: Option<(&'static str, &'static [&'static str])>,
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])* $constant:ident: $name:literal, $unit:literal $(, $dimension:literal of $values:expr)?;)+) => {
        $($(#[doc = $doc])* const $constant: Metric = Metric {
            name: $name,
            unit: $unit,
            dimension: metrics!(@dimension $($dimension, $values)?),
        };)+

        /// All metrics.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
    (@dimension) => { None };
    (@dimension $name:literal, $values:expr) => { Some(($name, &$values)) };
}

metrics! {
    /// Answered requests, by the class of their status.
    REQUESTS: "Requests", "Count", "Class" of CLASSES;
    /// Refused requests, by code; those of `CODES` and the others.
    REJECTIONS: "Rejections", "Count", "Code" of CODES;
    /// Requests and calls of the core system that were answered with `INTERNAL`.
    OPERATION_FAILED: "OperationFailed", "Count";
    /// Published events of merchants' histories, by kind.
    HISTORY_EVENTS: "HistoryEvents", "Count", "Kind" of KINDS;
    /// SMS that were handed to the channel.
    SMS_TRIED: "SmsTried", "Count", "Purpose" of PURPOSES;
    /// SMS that the channel did not take.
    SMS_FAILED: "SmsFailed", "Count", "Purpose" of PURPOSES;
    /// Notifications of an event that were sent to all recipients.
    NOTICES_SENT: "NoticesSent", "Count";
    /// The time from an event to its notification.
    NOTICE_AGE: "NoticeAgeSeconds", "Seconds";
    /// Changes that wait because their notification could not be sent.
    NOTICES_WAITING: "NoticesWaiting", "Count";
    /// Notifications that were given up: somebody was not told.
    NOTICES_GIVEN_UP: "NoticesGivenUp", "Count";
    /// Wrong freeze codes.
    FREEZE_WRONG: "FreezeWrong", "Count";
    /// Questions and orders to the bank.
    BANK_ASKED: "BankAsked", "Count";
    /// Those without an answer.
    BANK_UNKNOWN: "BankUnknown", "Count";
    /// The duration of the bank's answers.
    BANK_MS: "BankMs", "Milliseconds";
    /// Replies of the bank that point to a defect or an attack.
    BANK_REJECTED: "BankRejected", "Count";
    /// References whose outcome the bank has not told for an hour.
    BANK_OUTCOME_UNKNOWN: "BankOutcomeUnknown", "Count";
    /// Finished runs of the clean-up.
    CLEANUP_RUNS: "CleanupRuns", "Count";
    /// How long the oldest entry of a run was due.
    DUE_LAG: "DueLagSeconds", "Seconds";
    /// Entries that failed.
    CLEANUP_ENTRIES_FAILED: "CleanupEntriesFailed", "Count";
    /// Runs that ran out of time.
    CLEANUP_STOPPED: "CleanupStoppedEarly", "Count";
    /// Calls of the core system, by operation.
    PAYOUT_CALLS: "PayoutCalls", "Count", "Operation" of OPERATIONS;
    /// The core system asked for a card number more often than a day allows.
    RELEASE_LIMIT: "ReleaseLimit", "Count";
    /// The core system has no valid encryption key.
    CORE_KEY_INVALID: "CoreKeyInvalid", "Count";
    /// Calls of operators, without those of the registry.
    OPERATOR_CALLS: "OperatorCalls", "Count";
    /// Calls of the registry.
    REGISTRY_CALLS: "RegistryCalls", "Count";
    /// Calls of persons who call more often than a person usually does.
    PERSON_CALLS: "PersonManyCalls", "Count";
    /// Calls by something other than an operator's session.
    OPERATOR_UNKNOWN: "OperatorUnknown", "Count";
    /// Records of the stream that could not be read.
    RECORDS_SKIPPED: "RecordsSkipped", "Count";
    /// Events that the log holds with another hash: a rewritten history.
    ANCHOR_CONFLICTS: "AnchorConflicts", "Count";
    /// The log was forked.
    ANCHOR_FORKED: "AnchorForked", "Count";
    /// Capacity units of writes.
    WRITE_UNITS: "WriteUnits", "Count";
}

const PURPOSES: [&str; 2] = ["code", "notice"];
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];
/// The codes that are counted on their own: what thieves cause, and what this system or a partner does. All others are [`OTHER`].
const CODES: [&str; 16] = [
    "ACCOUNT_FROZEN",
    "AUTH_BAD_CREDENTIALS",
    "AUTH_THROTTLED",
    "CARD_BOUND_ELSEWHERE",
    "ELEMENTS_MISMATCH",
    "FRONT_DOOR_REQUIRED",
    "ID_MISMATCH",
    "INTERNAL",
    "OTP_CHANNEL_DOWN",
    "OTP_TRY_LIMIT",
    "OTP_WRONG",
    "UPSTREAM_BUSY",
    "UPSTREAM_QUOTA",
    "UPSTREAM_UNKNOWN",
    "VERSION_CONFLICT",
    OTHER,
];
const OTHER: &str = "other";
const KINDS: [&str; EventKind::ALL.len()] = {
    let mut words = [""; EventKind::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = EventKind::ALL[at].as_str();
        at += 1;
    }
    words
};
const OPERATIONS: [&str; 5] = [
    "create_payout",
    "payout_sending",
    "payout_sent",
    "payout_returned",
    "payouts_unfinished",
];

/// Counts what the events of the log say. `W` takes the lines.
#[derive(Debug)]
pub struct Metrics<W> {
    stage: String,
    kept: Mutex<Kept<W>>,
}

#[derive(Debug)]
struct Kept<W> {
    values: BTreeMap<(Metric, Option<&'static str>), Vec<f64>>,
    output: W,
}

impl<W> Metrics<W> {
    /// Metrics of a stage.
    pub fn new(stage: String, output: W) -> Self {
        let kept = Kept {
            values: BTreeMap::new(),
            output,
        };
        Self {
            stage,
            kept: Mutex::new(kept),
        }
    }
}

impl<S: Subscriber, W: Write + 'static> Layer<S> for Metrics<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count(&fields);
        // An invocation may end with an error before its last line.
        if fields.ends_invocation() || *event.metadata().level() == Level::ERROR {
            kept.write(&self.stage, wall_clock_ms());
        }
    }
}

impl<W: Write> Kept<W> {
    /// What an event says. The names of events and fields are those of the log.
    fn count(&mut self, event: &Fields) {
        self.add(WRITE_UNITS, event.number("store.wru"));
        match event.message.as_str() {
            "request.answered" => {
                let class = match event.number("http.status") {
                    status if status >= 500.0 => "5xx",
                    status if status >= 400.0 => "4xx",
                    _ => "2xx",
                };
                self.add_of(REQUESTS, class);
                self.refused(event);
            }
            "payout.handled" => {
                if let Some(operation) = event.text("payout.operation") {
                    self.add_of(PAYOUT_CALLS, operation);
                }
                self.refused(event);
            }
            "event.handled" => {
                if let Some(kind) = event.text("event.kind") {
                    self.add_of(HISTORY_EVENTS, kind);
                }
            }
            "sms.tried" => self.add_of(SMS_TRIED, purpose(event)),
            "sms.failed" => self.add_of(SMS_FAILED, purpose(event)),
            "notification.sent" => {
                self.add(NOTICES_SENT, 1.0);
                self.observe(NOTICE_AGE, event.number("event.age_s"));
            }
            "notification.waiting" => self.add(NOTICES_WAITING, 1.0),
            "notification.given_up" => self.add(NOTICES_GIVEN_UP, 1.0),
            "freeze.wrong_code" => self.add(FREEZE_WRONG, 1.0),
            "bank_reply.accepted" => {
                self.add(BANK_ASKED, 1.0);
                self.observe(BANK_MS, event.number("bank.duration_ms"));
            }
            "bank_reply.missing" => self.bank_unknown(),
            "bank_reply.rejected" => {
                self.bank_unknown();
                self.add(BANK_REJECTED, 1.0);
            }
            "bank.outcome_unknown" => self.add(BANK_OUTCOME_UNKNOWN, 1.0),
            "cleanup.finished" => {
                self.add(CLEANUP_RUNS, 1.0);
                self.observe(DUE_LAG, event.number("cleanup.lag_s"));
                self.add(CLEANUP_ENTRIES_FAILED, event.number("cleanup.failed"));
                self.add(CLEANUP_STOPPED, event.number("cleanup.stopped_early"));
            }
            "payout.release_limit" => self.add(RELEASE_LIMIT, 1.0),
            "payout.core_key_invalid" => self.add(CORE_KEY_INVALID, 1.0),
            "operator.called" if event.number("operator.of_registry") > 0.0 => {
                self.add(REGISTRY_CALLS, 1.0);
            }
            "operator.called" => self.add(OPERATOR_CALLS, 1.0),
            "operator.many_calls" => self.add(PERSON_CALLS, 1.0),
            "operator.unknown" => self.add(OPERATOR_UNKNOWN, 1.0),
            "event.record_skipped" => self.add(RECORDS_SKIPPED, 1.0),
            "anchor.conflict" => self.add(ANCHOR_CONFLICTS, 1.0),
            "anchor.forked" => self.add(ANCHOR_FORKED, 1.0),
            _ => {}
        }
    }

    fn refused(&mut self, event: &Fields) {
        if let Some(code) = event.text("problem.code") {
            self.add_of(REJECTIONS, code);
            if code == ErrorCode::Internal.as_str() {
                self.add(OPERATION_FAILED, 1.0);
            }
        }
    }

    fn bank_unknown(&mut self) {
        self.add(BANK_ASKED, 1.0);
        self.add(BANK_UNKNOWN, 1.0);
    }

    /// Adds to a sum. Zero adds no metric.
    fn add(&mut self, metric: Metric, more: f64) {
        self.add_to((metric, None), more);
    }

    /// Counts one under a value of the second dimension. A value that the metric does not have is [`OTHER`].
    fn add_of(&mut self, metric: Metric, value: &str) {
        let values = metric.dimension.map_or(&[][..], |(_, values)| values);
        let known = values.iter().find(|known| **known == value);
        self.add_to((metric, Some(known.copied().unwrap_or(OTHER))), 1.0);
    }

    fn add_to(&mut self, key: (Metric, Option<&'static str>), more: f64) {
        if more > 0.0 {
            let values = self.values.entry(key).or_insert_with(|| vec![0.0]);
            values.iter_mut().for_each(|sum| *sum += more);
        }
    }

    /// Keeps a value of a distribution.
    fn observe(&mut self, metric: Metric, value: f64) {
        let values = self.values.entry((metric, None)).or_default();
        if values.len() < VALUES_MAX {
            values.push(value);
        }
    }

    /// Writes a line for each set of dimensions, and begins again. `now_ms`: milliseconds since 1970.
    fn write(&mut self, stage: &str, now_ms: i64) {
        let mut lines: BTreeMap<Option<(&str, &str)>, Vec<Counted>> = BTreeMap::new();
        for ((metric, value), values) in std::mem::take(&mut self.values) {
            let dimension = metric.dimension.map(|(name, _)| name).zip(value);
            let counted = Counted { metric, values };
            lines.entry(dimension).or_default().push(counted);
        }
        for (dimension, metrics) in lines {
            // A closed output ends the process anyway.
            let _ = writeln!(self.output, "{}", line(stage, dimension, metrics, now_ms));
        }
    }
}

/// The values of a metric in an invocation.
struct Counted {
    metric: Metric,
    values: Vec<f64>,
}

fn purpose(event: &Fields) -> &'static str {
    match event.text("sms.template") {
        Some(template) if template.starts_with("otp_") => "code",
        _ => "notice",
    }
}

fn line(stage: &str, dimension: Option<(&str, &str)>, metrics: Vec<Counted>, now_ms: i64) -> Value {
    let mut names = vec![STAGE];
    let mut line = Map::from_iter([(STAGE.to_owned(), json!(stage))]);
    if let Some((name, value)) = dimension {
        names.push(name);
        line.insert(name.to_owned(), json!(value));
    }
    let mut described = Vec::new();
    for Counted { metric, values } in metrics {
        described.push(json!({"Name": metric.name, "Unit": metric.unit}));
        let value = match values.as_slice() {
            [value] => json!(value),
            values => json!(values),
        };
        line.insert(metric.name.to_owned(), value);
    }
    let directive = json!([{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": described}]);
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now_ms, "CloudWatchMetrics": directive}),
    );
    Value::Object(line)
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    texts: Vec<(&'static str, String)>,
    numbers: Vec<(&'static str, f64)>,
}

impl Fields {
    fn text(&self, name: &str) -> Option<&str> {
        let mut texts = self.texts.iter();
        texts.find_map(|(known, text)| (*known == name).then_some(text.as_str()))
    }

    /// Zero if there is no such number.
    fn number(&self, name: &str) -> f64 {
        let found = self.numbers.iter().find(|(known, _)| *known == name);
        found.map_or(0.0, |(_, number)| *number)
    }

    /// Each function writes one such event at the end of every invocation.
    fn ends_invocation(&self) -> bool {
        [
            "request.answered",
            "payout.handled",
            "events.handled",
            "notifications.handled",
            "cleanup.finished",
            "anchor.finished",
        ]
        .contains(&self.message.as_str())
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.texts.push((field.name(), value.to_owned()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.numbers.push((field.name(), value));
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds")]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_f64(field, value as f64);
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds")]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_f64(field, value as f64);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record_f64(field, f64::from(u8::from(value)));
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
