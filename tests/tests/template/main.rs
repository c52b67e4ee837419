//! Compares `infra/template.yaml` with the actual calls of the functions. One walk in one process takes every step of every
//! flow. The calls of each function to the table and to the keys match its role exactly: a missing grant would stop the walk,
//! and an unused one fails the test. No secret is logged, pushed or published. All other tests of the handlers run under the same roles.
//!
//! Grants beyond the table and the keys are listed here, with the place that shows the need for each.

#![allow(clippy::unwrap_used, missing_docs)]

mod alarms;
mod log;
mod operators;
mod policies;
mod versions;
mod walk;

use domain::error_code::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::iam_policy::{Use, granted, logical_name, template};
use tests::in_process::InProcess;
use tests::log::Log;
use tests::metrics::metric;
use tests::published::TOPIC;
use tracing_subscriber::EnvFilter;
use walk::Walk;

/// The table with the acquirer's record.
const RECORD: &str = "RecordTableArn.Value";
/// The key of the topic of events.
const TOPIC_KEY: &str = "EventsKey.Arn";

const FUNCTIONS: [&str; 13] = [
    "login",
    "cards",
    "rebind-request",
    "verification",
    "agreement",
    "settlement",
    "freezes",
    "payouts",
    "operator",
    "confirmation-notice",
    "events",
    "cooldown-cleanup",
    "anchor",
];
/// The functions that read the acquirer's record: all but `events` and the log's.
const WITH_TABLES: usize = FUNCTIONS.len() - 2;

/// A single test, because the log of the walk is the log of the process.
#[tokio::test]
async fn granted_permissions_equal_those_used() {
    let log = capture();
    let walk = Walk::through_everything().await;
    let mut uses = walk.world.iam.all();
    uses.extend(used_outside_the_sandbox().await);
    each_role_is_no_wider_than_the_walk(&uses);
    walk.nothing_secret_is_output(&log.text());
}

/// The registered keys of the core system are read outside the sandbox only.
async fn used_outside_the_sandbox() -> BTreeSet<Use> {
    let world = InProcess::staged("production").await;
    let paying = json!({"operation": "payout_sending", "payout_id": "pay_1"});
    let refused = world.core(paying).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::CoreKeyInvalid);
    world.iam.all()
}

fn each_role_is_no_wider_than_the_walk(uses: &BTreeSet<Use>) {
    let (mut pairs, mut wide) = (0, Vec::new());
    for function in FUNCTIONS {
        let (in_reach, elsewhere): (BTreeSet<Use>, BTreeSet<Use>) =
            granted(function).into_iter().partition(is_in_reach);
        pairs += in_reach.len();
        wide.extend(in_reach.difference(uses).cloned());
        let elsewhere: BTreeSet<String> = elsewhere
            .iter()
            .map(|granted| format!("{} {}", granted.action, granted.resource))
            .collect();
        assert_eq!(elsewhere, granted_elsewhere(function), "{function}");
    }
    assert!(wide.is_empty(), "granted but never used: {wide:#?}");
    // A missing grant would have stopped the walk, so every call had its grant.
    assert_eq!(uses.len(), pairs);
    metric(
        "IAM, in process: granted permissions, unused",
        pairs,
        wide.len(),
    );
}

/// The tables with their index, the keys, the topic, and the peers of the log. SNS uses the topic's own key in the name of the function.
fn is_in_reach(granted: &Use) -> bool {
    let tables = [
        "MainTableArn.Value",
        "${MainTableArn.Value}/index/due",
        RECORD,
    ];
    granted.resource == TOPIC
        || is_of_the_log(granted)
        || (granted.action.starts_with("kms:") && granted.resource != TOPIC_KEY)
        || (tables.contains(&granted.resource.as_str())
            && granted.action != "dynamodb:ConditionCheckItem")
}

/// The queue and the bucket of the log.
fn is_of_the_log(granted: &Use) -> bool {
    let log = ["AnchorQueue.Arn", "LogBucket.Arn", "${LogBucket.Arn}/*"];
    log.contains(&granted.resource.as_str())
}

/// The other grants of a policy: action and resource.
fn granted_elsewhere(function: &str) -> BTreeSet<String> {
    // A phone number has no ARN.
    const PHONES: &str = "sns:Publish not arn:${AWS::Partition}:sns:*:*:*";
    const CHECK: &str = "dynamodb:ConditionCheckItem MainTableArn.Value";
    const SECRET: &str = "secretsmanager:GetSecretValue BankSecret.Id";
    const QUERY_SECRET: &str = "secretsmanager:GetSecretValue BankQuerySecret.Id";
    // AWS requires these four actions of a role whose function reads a stream; the local cloud reads the stream without the
    // role.
    const STREAM: [&str; 4] = [
        "DescribeStream",
        "GetShardIterator",
        "GetRecords",
        "ListStreams",
    ];
    let mut granted: Vec<String> = Vec::new();
    let mut and = |lines: &[&str]| granted.extend(lines.iter().map(|line| (*line).to_owned()));
    match function {
        // Shown to be needed on the running system (`tests/e2e/needed.rs`); the condition check by `tests/tests/rotation.rs`.
        "verification" => and(&[CHECK, SECRET, PHONES]),
        // Used during a rotation only (`shared/store/src/onboard.rs`).
        "operator" => {
            and(&[CHECK, "dynamodb:ConditionCheckItem RecordTableArn.Value"]);
            for line in of_push(&[
                "CreatePlatformEndpoint",
                "SetEndpointAttributes",
                "DeleteEndpoint",
            ]) {
                and(&[&line]);
            }
        }
        // Shown to be needed as well. Lambda stores permanently failed events with the function's role; the local cloud does it
        // without the role.
        "cooldown-cleanup" => and(&[QUERY_SECRET, "sqs:SendMessage CleanupFailures.Arn"]),
        "confirmation-notice" => {
            and(&[PHONES, "sqs:SendMessage NoticeFailures.Arn"]);
            for action in STREAM {
                and(&[&format!(
                    "dynamodb:{action} ${{MainTableArn.Value}}/stream/*"
                )]);
            }
            for line in of_push(&[
                "CreatePlatformEndpoint",
                "Publish",
                "SetEndpointAttributes",
                "DeleteEndpoint",
            ]) {
                and(&[&line]);
            }
        }
        "events" => {
            for action in STREAM {
                and(&[&format!(
                    "dynamodb:{action} ${{MainTableArn.Value}}/stream/*"
                )]);
            }
            // AWS requires both of a publisher to an encrypted topic; the local cloud does not encrypt.
            for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
                and(&[&format!("{action} {TOPIC_KEY}")]);
            }
        }
        _ => {}
    }
    granted.into_iter().collect()
}

/// The calls of the push service. No stack here has push applications; the unit tests of `shared/aws/src/push.rs` cover them.
fn of_push(actions: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for application in ["ApnsApplicationArn", "FcmApplicationArn"] {
        let endpoints =
            json!(["${Endpoints}/*", {"Endpoints": [":endpoint/", [":app/", application]]}]);
        for action in actions {
            lines.push(format!("sns:{action} {application}"));
            lines.push(format!("sns:{action} {endpoints}"));
        }
    }
    lines
}

#[test]
fn roles_hold_only_policy_and_log() {
    let resources = template()["Resources"].as_object().unwrap();
    let of_kind = |kind: &str| -> BTreeSet<&str> {
        let found = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind);
        found.map(|(name, _)| name.as_str()).collect()
    };
    let policies: BTreeSet<String> = FUNCTIONS
        .iter()
        .map(|function| logical_name(function) + "Policy")
        .collect();
    assert_eq!(
        of_kind("AWS::IAM::Policy"),
        policies.iter().map(String::as_str).collect()
    );
    for kind in [
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::RolePolicy",
        "AWS::IAM::User",
        "AWS::KMS::Grant",
    ] {
        assert!(of_kind(kind).is_empty(), "{kind}");
    }

    // The roles of the loop, one per function: each trusts only Lambda and may write only to its own log.
    let roles = &template()["Resources"]["Fn::ForEach::Roles"];
    let names: BTreeSet<String> = FUNCTIONS
        .iter()
        .map(|function| logical_name(function))
        .collect();
    let looped = roles[1]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned());
    assert_eq!(looped.collect::<BTreeSet<_>>(), names);
    let role = &roles[2]["${Function}Role"];
    let document = |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]});
    let denied = [
        "Query",
        "GetItem",
        "BatchGetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "ConditionCheckItem",
    ];
    let denied = denied.map(|action| format!("dynamodb:{action}"));
    let guard = json!({"PolicyName": "leading-keys", "PolicyDocument": document(json!({
        "Effect": "Deny",
        "Action": denied,
        "Resource": "*",
        "Condition": {"Null": {"dynamodb:LeadingKeys": "true"}},
    }))});
    assert_eq!(
        role["Properties"],
        json!({
            "AssumeRolePolicyDocument": document(json!({
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            })),
            "Policies": [
                {"PolicyName": "logs", "PolicyDocument": document(json!({
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": ["${Function}Logs", "Arn"],
                }))},
                ["LeadingKeysDemanded", guard, "AWS::NoValue"],
            ],
        })
    );
    // Four more roles stand outside the loop: those of the simulated services and of the schedules.
    assert_eq!(
        of_kind("AWS::IAM::Role"),
        [
            "AnchorScheduleRole",
            "CleanupScheduleRole",
            "SandboxBankRole",
            "SandboxGatewayRole"
        ]
        .into()
    );
    // Each schedule may do little, every five minutes. The bank's grants are probed on the running system.
    let schedule = &resources["CleanupScheduleRole"]["Properties"]["Policies"];
    let may = |action: &str, on: &str| json!({"Effect": "Allow", "Action": action, "Resource": on});
    assert_eq!(
        *schedule,
        json!([{"PolicyName": "cleanup-schedule", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            may("lambda:InvokeFunction", "CooldownCleanupFunction.Alias"),
            may("sqs:SendMessage", "CleanupFailures.Arn"),
        ]}}])
    );
    let schedule = &resources["AnchorScheduleRole"]["Properties"]["Policies"];
    assert_eq!(
        *schedule,
        json!([{"PolicyName": "anchor-schedule", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
            may("lambda:InvokeFunction", "AnchorFunction.Alias"),
        ]}}])
    );
    for function in FUNCTIONS {
        let properties = &resources[&(logical_name(function) + "Function")]["Properties"];
        assert_eq!(properties["Role"], logical_name(function) + "Role.Arn");
        assert!(properties["Policies"].is_null(), "{function}");
    }
}

/// Nobody who takes over a function that serves merchants can change a merchant's phone, names, document, tier or password.
#[test]
fn only_the_operators_function_writes_the_record() {
    let mut readers = 0;
    for function in FUNCTIONS {
        for granted in granted(function) {
            if granted.resource == RECORD {
                let operators = [
                    "dynamodb:UpdateItem",
                    "dynamodb:PutItem",
                    "dynamodb:DeleteItem",
                    "dynamodb:ConditionCheckItem",
                ];
                let writes = function == "operator" && operators.contains(&granted.action.as_str());
                assert!(writes || granted.action == "dynamodb:GetItem", "{function}");
                readers += 1;
            } else {
                // No pattern or account-wide resource reaches the record table.
                assert!(!granted.action.starts_with("dynamodb:") || is_main(&granted));
                assert!(!granted.action.starts_with("dynamodb:") || function != "anchor");
            }
        }
    }
    assert!(readers >= WITH_TABLES, "these functions read the record");
}

fn is_main(granted: &Use) -> bool {
    let main = [
        "MainTableArn.Value",
        "${MainTableArn.Value}/index/due",
        "${MainTableArn.Value}/stream/*",
    ];
    main.contains(&granted.resource.as_str())
}

/// A grant needs a condition on its part of the table or on the encryption context. Without one it would be wider than it
/// reads.
#[test]
fn no_role_has_the_whole_table() {
    for function in FUNCTIONS {
        for granted in granted(function)
            .iter()
            .filter(|granted| is_in_reach(granted))
        {
            // Neither an HMAC key nor a signing key has an encryption context, nor has a topic, and the log has no parts.
            let plain = [
                "kms:GenerateMac",
                "kms:GetPublicKey",
                "kms:Sign",
                "sns:Publish",
            ];
            let has_none = plain.contains(&granted.action.as_str()) || is_of_the_log(granted);
            assert_eq!(granted.what.is_empty(), has_none, "{granted:?}");
            assert!(!granted.action.contains('*'), "{granted:?}");
        }
    }
}

/// The local gateway writes no access log, so its format is checked here: numbers, route names, an address, and nothing that a
/// user typed.
#[test]
fn access_log_holds_no_input() {
    let format = &template()["Resources"]["ApiStage"]["Properties"]["AccessLogSettings"]["Format"];
    let format: Value = serde_json::from_str(format.as_str().unwrap()).unwrap();
    let logged: BTreeSet<&str> = format
        .as_object()
        .unwrap()
        .values()
        .map(|value| value.as_str().unwrap())
        .collect();
    let harmless = [
        "$context.requestId",
        "$context.requestTime",
        "$context.routeKey",
        "$context.status",
        "$context.identity.sourceIp",
        "$context.protocol",
        "$context.responseLength",
        "$context.responseLatency",
        "$context.integration.latency",
        "$context.integration.requestId",
        "$context.error.responseType",
        "$context.integration.error",
    ];
    assert_eq!(logged, harmless.into());
}

/// Captures all log output of the functions at any level, and of other crates at the levels that a deployment can choose.
fn capture() -> Log {
    let levels = template()["Parameters"]["LogLevel"]["AllowedValues"].clone();
    assert_eq!(
        levels,
        json!(["error", "warn", "info"]),
        "no level logs the SDK's requests"
    );
    let crates = FUNCTIONS
        .map(|function| function.replace('-', "_") + "=trace")
        .join(",");
    let log = Log::default();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new(format!("info,shared=trace,{crates}")))
        .with_writer(log.clone())
        .init();
    log
}

/// Only the function publishes to the topic, and only systems subscribe to it.
#[test]
fn topic_admits_its_function_and_systems() {
    let resources = &template()["Resources"];
    assert_eq!(
        resources["EventsTopic"]["Properties"],
        json!({"KmsMasterKeyId": "EventsKey", "SignatureVersion": "2"})
    );
    let policy = &resources["EventsTopicPolicy"]["Properties"];
    assert_eq!(policy["Topics"], json!([TOPIC]));
    let deny = |sid: &str, action: &str, condition: Value| json!({"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": TOPIC, "Condition": condition});
    let session = "arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role/${EventsRole}/*";
    let publishers = json!({"ArnNotLike": {"aws:PrincipalArn": ["EventsRole.Arn", session]}});
    let protocols = json!({
        "StringNotEquals": {"sns:Protocol": ["sqs", "lambda", "firehose", "https"]},
        "Null": {"sns:Protocol": "false"},
    });
    let others = json!({
        "Sid": "SubscribedFromOtherAccounts",
        "Effect": "Allow",
        "Principal": {"AWS": "EventSubscriberAccounts"},
        "Action": "sns:Subscribe",
        "Resource": TOPIC,
    });
    assert_eq!(
        policy["PolicyDocument"]["Statement"],
        json!([
            deny("PublishedByTheFunctionOnly", "sns:Publish", publishers),
            deny("DeliveredToSystemsOnly", "sns:Subscribe", protocols),
            ["SubscribersElsewhere", others, "AWS::NoValue"],
        ])
    );
}
