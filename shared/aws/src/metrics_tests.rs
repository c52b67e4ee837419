//! Tests metrics through a subscriber, as a function writes them.

use super::*;
use application::COUNTED;
use std::collections::BTreeSet;
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that these events lead to, without their times.
fn lines(events: impl FnOnce()) -> Vec<Value> {
    let output = Output::default();
    let metrics = Metrics::new("production".to_owned(), output.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(metrics), events);
    let written = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let lines = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let without_time = lines.map(|mut line: Value| {
        let time = line["_aws"].as_object_mut().unwrap().remove("Timestamp");
        assert!(time.unwrap().as_i64().unwrap() > 1_700_000_000_000);
        line
    });
    without_time.collect()
}

fn described(dimensions: &[&str], metrics: &[(&str, &str)]) -> Value {
    let metrics = metrics
        .iter()
        .map(|(name, unit)| json!({"Name": name, "Unit": unit}));
    json!({"CloudWatchMetrics": [{
        "Namespace": "CardRebind",
        "Dimensions": [dimensions],
        "Metrics": metrics.collect::<Vec<_>>(),
    }]})
}

#[test]
fn metrics_of_an_invocation_are_in_the_embedded_format() {
    let lines = lines(|| {
        tracing::info!(target: COUNTED, { bank.duration_ms = 120_u64 }, "bank_reply.accepted");
        tracing::info!(target: COUNTED, { bank.duration_ms = 80_u64 }, "bank_reply.accepted");
        tracing::info!(http.status = 200_u16, store.wru = 6.0, "request.answered");
    });
    let of_stage = json!({
        "_aws": described(
            &["Stage"],
            &[("BankAsked", "Count"), ("BankMs", "Milliseconds"), ("WriteUnits", "Count")],
        ),
        "Stage": "production",
        "BankAsked": 2.0,
        "BankMs": [120.0, 80.0],
        "WriteUnits": 6.0,
    });
    let of_class = json!({
        "_aws": described(&["Stage", "Class"], &[("Requests", "Count")]),
        "Stage": "production",
        "Class": "2xx",
        "Requests": 1.0,
    });
    assert_eq!(lines, [of_stage, of_class]);
}

#[test]
fn each_value_is_written_once() {
    let lines = lines(|| {
        tracing::info!("freeze.wrong_code");
        tracing::info!(
            http.status = 404_u16,
            problem.code = "NOT_FOUND",
            "request.answered"
        );
        tracing::info!(
            http.status = 500_u16,
            problem.code = "INTERNAL",
            "request.answered"
        );
    });
    let sum = |name: &str| {
        lines
            .iter()
            .filter_map(|line| line[name].as_f64())
            .sum::<f64>()
    };
    assert_eq!(
        sum("FreezeWrong").total_cmp(&1.0),
        std::cmp::Ordering::Equal
    );
    assert_eq!(
        sum("OperationFailed").total_cmp(&1.0),
        std::cmp::Ordering::Equal
    );
    let codes = lines.iter().filter_map(|line| line["Code"].as_str());
    assert_eq!(codes.collect::<Vec<_>>(), ["other", "INTERNAL"]);
}

#[test]
fn unfinished_invocation_writes_only_with_an_error() {
    assert!(lines(|| tracing::info!("freeze.wrong_code")).is_empty());
    let lines = lines(|| tracing::error!("anchor.forked"));
    assert!(lines[0]["AnchorForked"].is_number());
}

#[test]
fn call_of_the_registry_is_no_call_of_an_operator() {
    let lines = lines(|| {
        tracing::info!(operator.of_registry = true, "operator.called");
        tracing::info!(http.status = 200_u16, "request.answered");
    });
    assert!(lines[0]["RegistryCalls"].is_number());
    assert!(lines[0]["OperatorCalls"].is_null());
}

#[test]
fn metrics_are_few_enough_to_pay_for() {
    let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len(), "a name twice");
    let values = |metric: &Metric| metric.dimension.map_or(1, |(_, values)| values.len());
    let custom: usize = ALL.iter().map(values).sum();
    assert!(custom <= 120, "{custom} custom metrics");
    for code in CODES.iter().filter(|code| **code != OTHER) {
        assert!(ErrorCode::parse(code).is_some(), "{code}");
    }
}
