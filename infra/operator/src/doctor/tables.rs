//! The tables, the streams' readers and the queues.

use super::{Finding, Findings};
use serde_json::Value;

/// Write units of the most expensive request, the card check (tests/bench/results.md).
const WRITE_UNITS_A_REQUEST: u64 = 16;

/// What is asked about one table.
pub(super) struct TableAnswers<'a> {
    pub(super) logical_id: &'a str,
    /// `DescribeTable`
    pub(super) table: &'a Value,
    /// `DescribeTimeToLive`
    pub(super) ttl: &'a Value,
    /// `DescribeContinuousBackups`
    pub(super) backups: &'a Value,
}

/// Judges a table. `requests`: the parameter RequestsPerSecond.
pub(super) fn table(answers: &TableAnswers<'_>, is_durable: bool, requests: u64) -> Vec<Finding> {
    let TableAnswers {
        logical_id,
        table,
        ttl,
        backups,
    } = answers;
    let table = &table["Table"];
    let mut found = Findings::about(logical_id);
    let status = table["TableStatus"].as_str().unwrap_or_default();
    found.problem_unless(
        status == "ACTIVE",
        format!("its status is {status}: wait, or see its events"),
    );
    for index in table["GlobalSecondaryIndexes"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let status = index["IndexStatus"].as_str().unwrap_or("ACTIVE");
        let name = index["IndexName"].as_str().unwrap_or_default();
        found.problem_unless(
            status == "ACTIVE",
            format!("its index {name} is {status}: the clean-up waits for it"),
        );
    }
    let has_stream = *logical_id == "Table";
    if has_stream {
        let stream = &table["StreamSpecification"];
        found.problem_unless(
            stream["StreamEnabled"] == true && stream["StreamViewType"] == "NEW_IMAGE",
            "it has no stream of new images, so no notification is sent: deploy the template again",
        );
        found.problem_unless(
            ["ENABLED", "ENABLING"]
                .map(Value::from)
                .contains(&ttl["TimeToLiveDescription"]["TimeToLiveStatus"]),
            "expired items stay: enable time to live for the attribute ttl",
        );
    }
    if is_durable {
        let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
        found.problem_unless(
            recovery["PointInTimeRecoveryStatus"] == "ENABLED",
            "it cannot be restored to a point in time: enable point-in-time recovery",
        );
        found.problem_unless(
            table["DeletionProtectionEnabled"] == true,
            "it can be deleted: enable deletion protection",
        );
        found.problem_unless(
            table["SSEDescription"]["SSEType"] == "KMS",
            "it is not encrypted under the stack's key: deploy the template again",
        );
    }
    // The local cloud says 0.
    let warm = table["WarmThroughput"]["WriteUnitsPerSecond"].as_u64();
    if let Some(warm) = warm.filter(|warm| *warm > 0) {
        let needed = requests.saturating_mul(WRITE_UNITS_A_REQUEST);
        found.warning_unless(
            warm >= needed,
            format!(
                "it takes {warm} write units a second at once, and RequestsPerSecond permits {needed}: \
                 raise its warm throughput, or lower the parameter"
            ),
        );
    }
    found.or_ok("active, with what its stage demands")
}

/// Judges a reader of the stream, from `GetEventSourceMapping`.
pub(super) fn mapping(logical_id: &str, answer: &Value) -> Vec<Finding> {
    let mut found = Findings::about(logical_id);
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let (state, last) = (text("State"), text("LastProcessingResult"));
    found.problem_unless(
        state == "Enabled",
        format!(
            "it is {state}: `aws lambda update-event-source-mapping --enabled --uuid {}`",
            text("UUID")
        ),
    );
    found.problem_unless(
        !last.starts_with("PROBLEM"),
        format!("{last}: see the function's log; the records behind wait"),
    );
    found.or_ok("reads the stream")
}

/// Judges a queue, from `GetQueueAttributes`.
pub(super) fn queue(logical_id: &str, answer: &Value) -> Vec<Finding> {
    /// A run anchors as many.
    const BACKLOG_MAX: u64 = 10_000;
    let mut found = Findings::about(logical_id);
    let waiting = answer["Attributes"]["ApproximateNumberOfMessages"].as_str();
    let waiting: u64 = waiting
        .and_then(|text| text.parse().ok())
        .unwrap_or(u64::MAX);
    if logical_id.ends_with("Failures") {
        found.problem_unless(
            waiting == 0,
            format!("{waiting} messages failed for good: read them, mend the cause, and redrive or delete them"),
        );
        return found.or_ok("empty");
    }
    found.warning_unless(
        waiting <= BACKLOG_MAX,
        format!("{waiting} messages wait, more than a run handles: see the log of its reader"),
    );
    found.or_ok(format!("{waiting} messages wait"))
}
