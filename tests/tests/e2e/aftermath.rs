//! Checks on the state that all cases together leave behind.

use domain::ids::MerchantId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::{Store, Tables};
use tests::aws::SQS;
use tests::history;
use tests::local_cloud::LocalCloud;

/// Each merchant's event numbers have no gap. Each event carries the hash of its predecessor, each hash matches its event, and
/// the merchant state holds the hash of the last one.
pub async fn every_history_is_unbroken(live: &LocalCloud) {
    let store = Store::new(
        live.table.clone(),
        Tables::new(
            &live.system.endpoints().table,
            &live.system.endpoints().record_table,
        ),
        &domain::policy::Policy::CURRENT,
    );
    let (mut merchants, mut total) = (0, 0);
    for item in live.items().await {
        let merchant = item["pk"].as_s().unwrap().strip_prefix("M#");
        if let (Some(id), "Y") = (merchant, item["sk"].as_s().unwrap().as_str()) {
            let id = MerchantId::parse(id).unwrap();
            total += history::unbroken(&store, &id).await.unwrap().len();
            merchants += 1;
        }
    }
    assert!(
        merchants > 50 && total > 300,
        "{merchants} merchants, {total} events"
    );
}

/// No notification is pending, and the dead-letter queues hold only the messages that the permission tests put there.
pub async fn every_notification_was_sent(live: &LocalCloud) {
    let mut sent = 0;
    for item in live.items().await {
        if let Some(notification) = item.get("notice") {
            assert_eq!(
                notification.as_s().unwrap(),
                "sent",
                "{} {}",
                item["pk"].as_s().unwrap(),
                item["sk"].as_s().unwrap()
            );
            assert!(!item.contains_key("to_on_file") && !item.contains_key("to_reserved"));
            sent += 1;
        }
    }
    assert!(sent > 20, "{sent} notifications");
    for queue in ["NoticeFailures", "CleanupFailures", "AnchorFailures"] {
        let url = live.system.resource(queue).unwrap();
        loop {
            let body = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 60});
            let reply = live.root.json(&SQS, "ReceiveMessage", &body).await.unwrap();
            let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in messages {
                assert_eq!(message["Body"], "a test of permissions", "{queue}");
                live.note("a queue", message.to_string());
            }
        }
    }
}

/// The only errors logged are those that the cases provoke: a silent bank, one damaged record, a schedule with an invalid
/// clock. There is no panic, and each line that the functions write is one JSON object.
pub async fn logs_contain_only_expected_errors(live: &LocalCloud) {
    let (mut errors, mut causes) = (BTreeSet::new(), BTreeSet::new());
    let mut refused = 0;
    for line in live.log_lines().await {
        let is_platform = ["START ", "END ", "REPORT "]
            .iter()
            .any(|word| line.starts_with(word));
        if is_platform {
            continue;
        }
        let parsed: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(!line.contains("panic"), "{line}");
        if parsed["level"] == "ERROR" {
            // A reply's error code. Invocation errors of the sandbox bank carry none.
            let code = parsed["problem.code"]
                .as_str()
                .or(parsed["message"].as_str());
            let code = code.unwrap();
            // Refusals of an operation of the acquirer's core or of a schedule event appear in the runtime's own words, as
            // invocation errors.
            let of_the_core = code.strip_prefix("Diagnostic { error_type: \"");
            if of_the_core.is_some_and(|of| !of.starts_with("INTERNAL")) {
                refused += 1;
                continue;
            }
            errors.insert(code.to_owned());
            causes.extend(parsed["problem.cause"].as_str().map(str::to_owned));
        }
    }
    let known = [
        "INTERNAL",
        "ReplyLost",
        "UPSTREAM_BUSY",
        "UPSTREAM_QUOTA",
        "UPSTREAM_UNKNOWN",
        "payout.release_limit",
    ];
    assert_eq!(errors, known.map(str::to_owned).into(), "{causes:?}");
    assert!(refused > 20, "{refused} refusals of the core");
}
