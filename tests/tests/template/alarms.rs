//! The alarms: each watches a metric that the code writes, has a page in the runbook, and goes to the right topic.

mod expression;

use aws::metrics::{ALL, NAMESPACE, STAGE};
use expression::{Series, evaluate};
use local::cost::Month;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::iam_policy::template;
use tests::metrics::metric;

const RUNBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/runbook");

/// A value with the variable of a loop replaced: `${X}`, `&{X}` without punctuation, and `X` alone, which is `!Ref X`.
fn replaced(value: &Value, variable: &str, with: &str) -> Value {
    let text = |text: &str| {
        let letters: String = with.chars().filter(char::is_ascii_alphanumeric).collect();
        let text = text.replace(&format!("${{{variable}}}"), with);
        text.replace(&format!("&{{{variable}}}"), &letters)
    };
    match value {
        Value::String(name) if name == variable => json!(with),
        Value::String(other) => json!(text(other)),
        Value::Array(values) => values
            .iter()
            .map(|value| replaced(value, variable, with))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (text(name), replaced(value, variable, with)))
            .collect(),
        other => other.clone(),
    }
}

/// The resources with all loops unrolled.
fn resources() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (name, resource) in template()["Resources"].as_object().unwrap() {
        if !name.starts_with("Fn::ForEach::") {
            all.insert(name.clone(), resource.clone());
            continue;
        }
        let variable = resource[0].as_str().unwrap();
        for one in resource[1].as_array().unwrap() {
            let body = replaced(&resource[2], variable, one.as_str().unwrap());
            let body = body.as_object().unwrap().iter();
            all.extend(body.map(|(name, resource)| (name.clone(), resource.clone())));
        }
    }
    all
}

/// The properties of every alarm, and of the rule that acts as one.
fn alarms() -> BTreeMap<String, Map<String, Value>> {
    let kinds = [
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::Events::Rule",
    ];
    let is_alarm = |resource: &Value| kinds.iter().any(|kind| resource["Type"] == *kind);
    let alarms = resources().into_iter().filter(|(_, one)| is_alarm(one));
    alarms
        .map(|(name, one)| (name, one["Properties"].as_object().unwrap().clone()))
        .collect()
}

/// Whom an alarm calls, and its page: `Page. infra/runbook/Errors.md`.
fn called(alarm: &Map<String, Value>) -> Option<(&str, &str)> {
    let description = alarm.get("AlarmDescription").or(alarm.get("Description"));
    let (kind, page) = description?.as_str()?.split_once(". infra/runbook/")?;
    Some((kind, page))
}

#[test]
fn each_alarm_has_a_page_and_calls_somebody() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut pages, mut tickets) = (0, 0);
    for (name, alarm) in alarms() {
        let Some((kind, page)) = called(&alarm) else {
            let whole = alarm["AlarmDescription"].as_str().unwrap();
            let whole = whole.strip_prefix("Part of ").unwrap();
            assert!(alarms().contains_key(whole.trim_end_matches('.')), "{name}");
            assert!(!alarm.contains_key("AlarmActions"), "{name}");
            continue;
        };
        let (topic, count) = match kind {
            "Page" => (
                json!(["Paged", "AlarmTopicArn", "AWS::NoValue"]),
                &mut pages,
            ),
            "Ticket" => (
                json!(["Ticketed", "TicketTopicArn", "AWS::NoValue"]),
                &mut tickets,
            ),
            other => panic!("{name}: {other}"),
        };
        *count += 1;
        match alarm.get("AlarmActions") {
            Some(actions) => assert_eq!(*actions, json!([topic]), "{name}"),
            None => assert_eq!(alarm["Targets"][0]["Arn"], "AlarmTopicArn", "{name}"),
        }
        let label = format!("`{name}` ({})", kind.to_lowercase());
        named.entry(page.to_owned()).or_default().insert(label);
    }
    let files = std::fs::read_dir(RUNBOOK).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name != "README.md").collect();
    assert_eq!(files, named.keys().cloned().collect());
    for (page, labels) in named {
        let text = std::fs::read_to_string(format!("{RUNBOOK}/{page}")).unwrap();
        let (head, _) = text.split_once("\n## ").unwrap();
        let (_, listed) = head.split_once("Alarms: ").unwrap();
        let listed: BTreeSet<String> = listed.split(',').map(|one| one.trim().to_owned()).collect();
        assert_eq!(listed, labels, "{page}");
        for part in [
            "What it means",
            "How to look",
            "What to do",
            "How to test it",
        ] {
            assert!(text.contains(&format!("\n## {part}\n")), "{page}: {part}");
        }
    }
    metric("alarms: pages, tickets", pages, tickets);
}

/// Every metric that an alarm of this system watches, with the dimensions that it demands.
fn watched(alarm: &Map<String, Value>) -> Vec<Value> {
    match alarm.get("Metrics").and_then(Value::as_array) {
        Some(metrics) => metrics
            .iter()
            .filter_map(|one| one.pointer("/MetricStat/Metric").cloned())
            .collect(),
        None => vec![Value::Object(alarm.clone())],
    }
}

#[test]
fn alarms_watch_metrics_that_the_code_writes() {
    let mut seen = BTreeSet::new();
    for (name, alarm) in alarms() {
        for metric in watched(&alarm) {
            if metric["Namespace"] != NAMESPACE {
                continue;
            }
            let known = ALL.iter().find(|known| metric["MetricName"] == known.name);
            let known = known.unwrap_or_else(|| panic!("{name}: no such metric"));
            let dimensions = metric["Dimensions"].as_array().unwrap();
            assert_eq!(dimensions[0], json!({"Name": STAGE, "Value": "Stage"}));
            match (known.dimension, &dimensions[1..]) {
                (None, []) => {}
                (Some((second, values)), [given]) => {
                    assert_eq!(given["Name"], second, "{name}");
                    assert!(
                        values.iter().any(|value| given["Value"] == *value),
                        "{name}"
                    );
                }
                _ => panic!("{name}: other dimensions than the metric's"),
            }
            seen.insert(known.name);
        }
    }
    // The others are for the dashboard only.
    let unwatched = ALL.iter().map(|metric| metric.name);
    let unwatched: Vec<&str> = unwatched.filter(|name| !seen.contains(name)).collect();
    assert_eq!(
        unwatched,
        [
            "Requests",
            "NoticesSent",
            "NoticeAgeSeconds",
            "BankMs",
            "PayoutCalls",
            "WriteUnits"
        ]
    );
}

/// Whether an alarm over metric math goes off with these sums.
fn goes_off(name: &str, sums: &[(&str, f64)]) -> bool {
    let alarm = &alarms()[name];
    let metrics = alarm["Metrics"].as_array().unwrap();
    let series = metrics.iter().filter(|one| one["ReturnData"] == false);
    let series: Series = series
        .map(|one| {
            let id = one["Id"].as_str().unwrap();
            let sum = sums.iter().find(|(name, _)| *name == id);
            (id.to_owned(), sum.map(|(_, sum)| *sum))
        })
        .collect();
    let returned: Vec<&Value> = metrics
        .iter()
        .filter(|one| one["ReturnData"] != false)
        .collect();
    assert_eq!(returned.len(), 1, "{name}");
    let share = evaluate(returned[0]["Expression"].as_str().unwrap(), &series).unwrap();
    assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
    let threshold = &alarm["Threshold"];
    let threshold = threshold
        .as_f64()
        .or_else(|| threshold.as_str()?.parse().ok());
    share.is_some_and(|share| share > threshold.unwrap())
}

/// The local cloud has no metric math, so an evaluator of the tests takes its place.
#[test]
fn expressions_alarm_when_they_should() {
    let burn = "ApiBurn300Alarm";
    for (name, sums, expected) in [
        ("SmsFailedAlarm", &[][..], false),
        ("SmsFailedAlarm", &[("tried", 9.0), ("failed", 9.0)], false),
        ("SmsFailedAlarm", &[("tried", 20.0), ("failed", 1.0)], false),
        ("SmsFailedAlarm", &[("tried", 20.0), ("failed", 2.0)], true),
        ("SmsFailedAlarm", &[("notices", 10.0), ("lost", 1.0)], true),
        ("BankUnknownAlarm", &[], false),
        ("BankUnknownAlarm", &[("asked", 10.0)], false),
        (
            "BankUnknownAlarm",
            &[("asked", 10.0), ("unknown", 1.0)],
            false,
        ),
        (
            "BankUnknownAlarm",
            &[("asked", 10.0), ("unknown", 2.0)],
            true,
        ),
        ("BankDownAlarm", &[("asked", 4.0), ("unknown", 4.0)], false),
        ("BankDownAlarm", &[("asked", 9.0), ("unknown", 5.0)], true),
        ("BankDownAlarm", &[("asked", 10.0), ("unknown", 5.0)], false),
        (burn, &[], false),
        (burn, &[("requests", 1000.0)], false),
        (burn, &[("requests", 1000.0), ("failures", 14.0)], false),
        (burn, &[("requests", 1000.0), ("failures", 15.0)], true),
        (
            "ApiBurn21600Alarm",
            &[("requests", 1000.0), ("failures", 7.0)],
            true,
        ),
    ] {
        assert_eq!(goes_off(name, sums), expected, "{name}: {sums:?}");
    }
}

/// What the tests' evaluator knows is listed here: all expressions but the bands, which CloudWatch learns.
#[test]
fn every_expression_is_evaluated_or_a_band() {
    for (name, alarm) in alarms() {
        let metrics = alarm.get("Metrics").and_then(Value::as_array);
        for one in metrics.into_iter().flatten() {
            let Some(text) = one["Expression"].as_str() else {
                continue;
            };
            let ids = metrics
                .into_iter()
                .flatten()
                .map(|one| one["Id"].as_str().unwrap());
            match text.strip_prefix("ANOMALY_DETECTION_BAND(") {
                Some(band) => {
                    let (of, width) = band.trim_end_matches(')').split_once(", ").unwrap();
                    assert!(ids.clone().any(|id| id == of), "{name}");
                    assert_eq!(width, "3");
                    assert_eq!(alarm["ThresholdMetricId"], one["Id"]);
                }
                None => {
                    let series = ids.map(|id| (id.to_owned(), None)).collect();
                    evaluate(text, &series).unwrap_or_else(|error| panic!("{name}: {error}"));
                }
            }
        }
        // A composite alarm names alarms that exist.
        let rule = alarm
            .get("AlarmRule")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for part in rule.split("ALARM(\"${").skip(1) {
            let (part, _) = part.split_once('}').unwrap();
            assert!(alarms().contains_key(part), "{name}: {part}");
        }
    }
}

/// The metrics of this system in the dashboard. `...` repeats the metric before, `.` a part of it.
#[test]
fn dashboard_shows_metrics_that_the_code_writes() {
    let body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"].as_str();
    let body: Value = serde_json::from_str(body.unwrap()).unwrap();
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().unwrap() {
        let mut before: Vec<String> = Vec::new();
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            let words = metric.as_array().unwrap().iter().filter_map(Value::as_str);
            let mut words: Vec<String> = words.map(str::to_owned).collect();
            if words.first().is_some_and(|word| word == "...") {
                let rest = before.len() - (words.len() - 1);
                words.splice(..1, before[..rest].to_vec());
            }
            for (word, same) in words.iter_mut().zip(&before) {
                if word == "." {
                    word.clone_from(same);
                }
            }
            if words.first().is_some_and(|word| word == NAMESPACE) {
                let known = ALL.iter().find(|known| known.name == words[1]).unwrap();
                assert_eq!(words[2..4], [STAGE, "${Stage}"], "{words:?}");
                match (known.dimension, words.get(4..6)) {
                    (None, None) => {}
                    (Some((name, values)), Some([given, value])) => {
                        assert!(
                            given == name && values.contains(&value.as_str()),
                            "{words:?}"
                        );
                    }
                    _ => panic!("{words:?}"),
                }
                shown.insert(known.name);
            }
            before = words;
        }
    }
    assert!(shown.len() >= 8, "{shown:?}");
}

/// What the stack is billed for each month, whatever its merchants do.
#[test]
fn month_counts_what_the_stack_is_billed_for() {
    let system = Month::load().unwrap().system;
    let resources = resources();
    let of = |kind: &'static str| resources.values().filter(move |one| one["Type"] == kind);
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    let values = |metric: &aws::metrics::Metric| metric.dimension.map_or(1, |(_, all)| all.len());
    let watched = of("AWS::CloudWatch::Alarm").map(|alarm| {
        let alarm = alarm["Properties"].as_object().unwrap();
        watched(alarm).len()
    });
    let counted = [
        number(of("AWS::KMS::Key").count()),
        number(of("AWS::SecretsManager::Secret").count()),
        number(ALL.iter().map(values).sum()),
        number(watched.sum()),
        number(of("AWS::CloudWatch::Dashboard").count()),
    ];
    let written = [
        system.keys,
        system.secrets,
        system.custom_metrics,
        system.alarm_metrics,
        system.dashboards,
    ];
    assert_eq!(
        counted, written,
        "keys, secrets, metrics, watched, dashboards"
    );
}
