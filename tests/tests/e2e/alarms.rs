//! The alarms over single metrics. The local cloud makes no metrics out of log lines, so the test puts what the lines say.

use application::COUNTED;
use application::clock::wall_clock;
use aws::metrics::Metrics;
use domain::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::local_cloud::LocalCloud;
use tests::metrics::metric;
use tracing_subscriber::layer::SubscriberExt as _;

/// The sums of a metric, by its name and its dimensions.
type Sums = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Adds the values of a line in the embedded metric format.
fn add(sums: &mut Sums, line: &Value) {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    let names = directive["Dimensions"][0].as_array().unwrap();
    let dimensions = names.iter().map(|name| {
        let name = name.as_str().unwrap();
        (name.to_owned(), line[name].as_str().unwrap().to_owned())
    });
    let dimensions: Vec<_> = dimensions.collect();
    for metric in directive["Metrics"].as_array().unwrap() {
        let name = metric["Name"].as_str().unwrap();
        let values = line[name].as_array().cloned();
        let values = values.unwrap_or_else(|| vec![line[name].clone()]);
        // The alarms take the sum of counts and the maximum of times.
        let sum = sums
            .entry((name.to_owned(), dimensions.clone()))
            .or_default();
        for value in values.iter().map(|value| value.as_f64().unwrap()) {
            *sum = match metric["Unit"].as_str() {
                Some("Count") => *sum + value,
                _ => sum.max(value),
            };
        }
    }
}

/// Puts sums as of so many seconds ago.
async fn put(live: &LocalCloud, sums: &Sums, ago_s: i64) {
    let at = Timestamp::from_epoch_s(wall_clock().epoch_s() - ago_s);
    for ((name, dimensions), sum) in sums {
        let mut fields = vec![
            ("Namespace".to_owned(), aws::metrics::NAMESPACE.to_owned()),
            ("MetricData.member.1.MetricName".to_owned(), name.clone()),
            ("MetricData.member.1.Value".to_owned(), sum.to_string()),
            (
                "MetricData.member.1.Timestamp".to_owned(),
                at.to_rfc3339_shanghai(),
            ),
        ];
        for (number, (name, value)) in (1..).zip(dimensions) {
            let field = format!("MetricData.member.1.Dimensions.member.{number}");
            fields.push((format!("{field}.Name"), name.clone()));
            fields.push((format!("{field}.Value"), value.clone()));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let put = live
            .root
            .query("monitoring", "2010-08-01", "PutMetricData", &fields);
        put.await.unwrap();
    }
}

/// Waits until an alarm has gone off.
async fn goes_off(live: &LocalCloud, alarm: &str) {
    let name = live.system.resource(alarm).unwrap();
    let fields = [("AlarmNames.member.1", name)];
    for _ in 0..120 {
        let alarms = live
            .root
            .query("monitoring", "2010-08-01", "DescribeAlarms", &fields);
        if alarms
            .await
            .unwrap()
            .contains("<StateValue>ALARM</StateValue>")
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("{alarm} did not go off");
}

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

/// The sums of what the code writes for these events.
fn written_for(events: impl FnOnce()) -> Sums {
    let output = Output::default();
    let metrics = Metrics::new("sandbox".to_owned(), output.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(metrics), || {
        events();
        tracing::info!("events.handled");
    });
    let written = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let mut sums = Sums::new();
    for line in written.lines() {
        add(&mut sums, &serde_json::from_str(line).unwrap());
    }
    sums
}

/// Events, each with the alarm that must follow.
fn provoked() -> Vec<(&'static str, Sums)> {
    macro_rules! event {
        ($alarm:literal, $($field:tt)*) => {
            ($alarm, written_for(|| tracing::warn!($($field)*)))
        };
    }
    let many = |times: u32, event: fn()| written_for(|| (0..times).for_each(|_| event()));
    vec![
        event!(
            "OperationFailedAlarm",
            problem.code = "INTERNAL",
            "request.answered"
        ),
        event!("ReleaseLimitAlarm", "payout.release_limit"),
        event!("NoticesGivenUpAlarm", "notification.given_up"),
        event!("NoticesWaitingAlarm", "notification.waiting"),
        event!("BankRejectedAlarm", "bank_reply.rejected"),
        event!("BankOutcomeUnknownAlarm", "bank.outcome_unknown"),
        event!("CoreKeyInvalidAlarm", "payout.core_key_invalid"),
        event!("OperatorUnknownAlarm", "operator.unknown"),
        event!("PersonManyCallsAlarm", "operator.many_calls"),
        event!("RecordsSkippedAlarm", "event.record_skipped"),
        event!("AnchorConflictsAlarm", "anchor.conflict"),
        event!("AnchorForkedAlarm", "anchor.forked"),
        event!("DueLagAlarm", cleanup.lag_s = 901, "cleanup.finished"),
        event!("DueLagLongAlarm", cleanup.lag_s = 3_601, "cleanup.finished"),
        (
            "OperatorCallsAlarm",
            many(201, || tracing::info!("operator.called")),
        ),
        (
            "RegistryCallsAlarm",
            many(1_001, || {
                tracing::info!(operator.of_registry = true, "operator.called")
            }),
        ),
        (
            "FreezesManyAlarm",
            many(
                10,
                || tracing::info!(target: COUNTED, { event.kind = "frozen" }, "event.handled"),
            ),
        ),
    ]
}

/// Puts what the functions wrote, then what the code writes for the event of each alarm.
pub async fn alarms_follow_what_was_written(live: &LocalCloud) {
    let mut written = Sums::new();
    for line in live.log_lines().await {
        if line.contains("\"_aws\"") {
            add(&mut written, &serde_json::from_str(&line).unwrap());
        }
    }
    let total = written.len();
    let one_run = written_for(|| tracing::info!("cleanup.finished"));
    put(live, &one_run, 0).await;
    goes_off(live, "CleanupRunsAlarm").await;
    put(live, &written, 0).await;
    let provoked = provoked();
    for (_, sums) in &provoked {
        put(live, sums, 0).await;
    }
    let failing = written_for(|| {
        tracing::info!(
            cleanup.failed = 1_u32,
            cleanup.stopped_early = true,
            "cleanup.finished"
        );
    });
    for ago_s in [600, 300, 0] {
        put(live, &failing, ago_s).await;
    }
    for alarm in ["CleanupEntriesFailedAlarm", "CleanupStoppedEarlyAlarm"] {
        goes_off(live, alarm).await;
    }
    for (alarm, _) in &provoked {
        goes_off(live, alarm).await;
    }
    metric(
        "alarms: sums of metrics that the functions wrote, alarms that went off",
        total,
        provoked.len() + 3,
    );
}
