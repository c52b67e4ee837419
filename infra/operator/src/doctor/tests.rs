use super::stack::Stack;
use super::*;
use crate::account::Account;
use aws_credential_types::Credentials;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

fn levels(findings: &[Finding]) -> Vec<Level> {
    findings.iter().map(|one| one.level).collect()
}

fn stack(stage: &str) -> Stack {
    let parameter = |key, value| json!({"ParameterKey": key, "ParameterValue": value});
    Stack::described(&json!({
        "StackId": "arn:aws:cloudformation:r:123456789012:stack/s/1",
        "StackStatus": "UPDATE_COMPLETE",
        "EnableTerminationProtection": "true",
        "Parameters": [
            parameter("Stage", stage), parameter("Architecture", "arm64"),
            parameter("AlarmTopicArn", "arn:aws:sns:r:123456789012:alarms"),
        ],
        "Outputs": [{"OutputKey": "Version", "OutputValue": "1.0.0"}],
    }))
}

#[test]
fn stack_must_be_complete_watched_and_of_this_release() {
    use Level::{Ok, Problem, Warning};
    let right = stack("production");
    assert_eq!(levels(&right.judged("1.0.0")), [Ok, Ok, Ok]);
    assert_eq!(levels(&right.judged("1.1.0")), [Ok, Warning, Ok]);
    let mut wrong = stack("production");
    wrong.status = "UPDATE_ROLLBACK_COMPLETE".to_owned();
    wrong.is_protected = false;
    assert_eq!(levels(&wrong.judged("1.0.0")), [Problem, Warning, Ok, Ok]);
    let unwatched = Stack::described(&json!({"StackStatus": "CREATE_COMPLETE"}));
    let found = unwatched.judged("1.0.0");
    let alarms = found.iter().find(|one| one.subject == "AlarmTopicArn");
    assert_eq!(alarms.unwrap().level, Problem);
}

#[test]
fn table_needs_what_its_stage_demands() {
    let table = json!({"Table": {
        "TableStatus": "ACTIVE",
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        "GlobalSecondaryIndexes": [{"IndexName": "due", "IndexStatus": "ACTIVE"}],
        "DeletionProtectionEnabled": true,
        "SSEDescription": {"SSEType": "KMS"},
        "WarmThroughput": {"WriteUnitsPerSecond": 4000},
    }});
    let ttl = json!({"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}});
    let recovery = json!({"PointInTimeRecoveryStatus": "ENABLED"});
    let backups =
        json!({"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": recovery}});
    let judged = |table: &Value, ttl: &Value, backups: &Value, is_durable, requests| {
        let answers = tables::TableAnswers {
            logical_id: "Table",
            table,
            ttl,
            backups,
        };
        levels(&tables::table(&answers, is_durable, requests))
    };
    let nothing = json!({});
    assert_eq!(judged(&table, &ttl, &backups, true, 50), [Level::Ok]);
    assert_eq!(judged(&table, &ttl, &nothing, false, 50), [Level::Ok]);
    assert_eq!(judged(&table, &ttl, &nothing, true, 50), [Level::Problem]);
    assert_eq!(
        judged(&table, &nothing, &backups, true, 50),
        [Level::Problem]
    );
    assert_eq!(
        judged(&table, &ttl, &backups, true, 5_000),
        [Level::Warning]
    );
    for member in [
        "TableStatus",
        "StreamSpecification",
        "DeletionProtectionEnabled",
        "SSEDescription",
    ] {
        let mut wrong = table.clone();
        wrong["Table"][member] = Value::Null;
        assert_eq!(
            judged(&wrong, &ttl, &backups, true, 50),
            [Level::Problem],
            "{member}"
        );
    }
    let mut wrong = table.clone();
    wrong["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] = "CREATING".into();
    assert_eq!(judged(&wrong, &ttl, &backups, true, 50), [Level::Problem]);
}

#[test]
fn readers_and_queues_must_work() {
    let mapping = |state: &str, last: &str| {
        let answer = json!({"UUID": "u", "State": state, "LastProcessingResult": last});
        levels(&tables::mapping("Notices", &answer))
    };
    assert_eq!(mapping("Enabled", "OK"), [Level::Ok]);
    assert_eq!(mapping("Disabled", "OK"), [Level::Problem]);
    assert_eq!(
        mapping("Enabled", "PROBLEM: Function call failed"),
        [Level::Problem]
    );

    let queue = |name, waiting: &str| {
        let answer = json!({"Attributes": {"ApproximateNumberOfMessages": waiting}});
        levels(&tables::queue(name, &answer))
    };
    assert_eq!(queue("NoticeFailures", "0"), [Level::Ok]);
    assert_eq!(queue("NoticeFailures", "1"), [Level::Problem]);
    assert_eq!(queue("AnchorQueue", "10000"), [Level::Ok]);
    assert_eq!(queue("AnchorQueue", "10001"), [Level::Warning]);
    assert_eq!(
        levels(&tables::queue("AnchorQueue", &json!({}))),
        [Level::Warning]
    );
}

#[test]
fn keys_and_secrets_must_be_usable() {
    let key = |state: &str, rotation: Option<bool>| {
        let answer = json!({"KeyMetadata": {"KeyState": state, "KeySpec": "SYMMETRIC_DEFAULT"}});
        let rotation = rotation.map(|on| json!({ "KeyRotationEnabled": on }));
        assert_eq!(keys::rotates(&answer), state == "Enabled");
        levels(&keys::kms_key("CardKey", &answer, rotation.as_ref()))
    };
    assert_eq!(key("Enabled", Some(true)), [Level::Ok]);
    assert_eq!(key("Enabled", None), [Level::Ok]);
    assert_eq!(key("Enabled", Some(false)), [Level::Warning]);
    assert_eq!(key("PendingDeletion", None), [Level::Problem]);

    let secret =
        |answer: Value, is_bank_real| levels(&keys::secret("BankSecret", &answer, is_bank_real));
    let generated = json!({"CreatedDate": 5.0, "LastChangedDate": 5.5, "VersionIdsToStages": {"a": ["AWSCURRENT"]}});
    assert_eq!(secret(generated.clone(), false), [Level::Ok]);
    assert_eq!(secret(generated, true), [Level::Problem]);
    let replaced = json!({
        "CreatedDate": 5.0, "LastChangedDate": 500.0,
        "VersionIdsToStages": {"a": ["AWSPREVIOUS"], "b": ["AWSCURRENT"]},
    });
    assert_eq!(secret(replaced.clone(), true), [Level::Ok]);
    let mut deleted = replaced;
    deleted["DeletedDate"] = 900.0.into();
    assert_eq!(secret(deleted, true), [Level::Problem]);
    assert_eq!(secret(json!({}), false), [Level::Problem]);
}

#[test]
fn core_keys_must_be_public_and_registered() {
    /// The set {"keys": [{"kty": "EC", "crv": "P-256", "kid": "core-1", …}]} with the point of RFC 7517, appendix A.1.
    const SET: &str = "eyJrZXlzIjpbeyJrdHkiOiJFQyIsImNydiI6IlAtMjU2Iiwia2lkIjoiY29yZS0xIiwieCI6Ik1LQkNUTkljS1VTRGlpMTF5U3MzNTI2aURaOEFpVG83VHU2S1BBcXY3RDQiLCJ5IjoiNEV0bDZTUlcyWWlMVXJONXZmdlZIdWhwN3g4UHhsdG1XV2xiYk00SUZ5TSJ9XX0";
    let parsed = jose::jwk::EncryptionKey::read_set(SET).unwrap();
    let thumbprint = parsed[0].thumbprint().to_owned();
    let judged = |set, registered: &[String], is_durable| {
        levels(&keys::core_keys(set, registered, is_durable))
    };
    assert_eq!(judged(SET, &[], false), [Level::Ok]);
    assert_eq!(
        judged(SET, std::slice::from_ref(&thumbprint), true),
        [Level::Ok]
    );
    assert_eq!(judged(SET, &[], true), [Level::Problem]);
    let other = [thumbprint, "other".to_owned()];
    assert_eq!(judged(SET, &other, true), [Level::Warning]);
    assert_eq!(judged("", &[], false), [Level::Problem]);
    assert_eq!(judged("e30", &[], false), [Level::Problem]);
}

#[test]
fn functions_run_as_they_were_deployed() {
    let stack = stack("production");
    let right = json!({
        "State": "Active", "LastUpdateStatus": "Successful", "Architectures": ["arm64"],
        "Environment": {"Variables": {"STAGE": "production"}},
    });
    let judged = |answer: &Value| levels(&compute::function("LoginFunction", answer, &stack, None));
    assert_eq!(judged(&right), [Level::Ok]);
    let changes = [
        ("/State", "Failed"),
        ("/LastUpdateStatus", "Failed"),
        ("/Architectures/0", "x86_64"),
        ("/Environment/Variables/STAGE", "sandbox"),
    ];
    for (place, value) in changes {
        let mut wrong = right.clone();
        *wrong.pointer_mut(place).unwrap() = value.into();
        assert_eq!(judged(&wrong), [Level::Problem], "{place}");
    }
    let listed = |function: &str, digest: &str| {
        let list = json!({"functions": {"login": {"code_sha256": digest}, "rebind-request": {"code_sha256": "b="}}});
        let packages: Packages = serde_json::from_value(list).unwrap();
        let mut answer = right.clone();
        answer["CodeSha256"] = "b=".into();
        levels(&compute::function(
            function,
            &answer,
            &stack,
            Some(&packages),
        ))
    };
    assert_eq!(listed("LoginFunction", "b="), [Level::Ok]);
    assert_eq!(listed("RebindRequestFunction", "a="), [Level::Ok]);
    assert_eq!(listed("LoginFunction", "a="), [Level::Problem]);
    assert_eq!(listed("CardsFunction", "b="), [Level::Problem]);
    let schedule = |state: &str| levels(&compute::schedule("S", &json!({ "State": state })));
    assert_eq!(schedule("ENABLED"), [Level::Ok]);
    assert_eq!(schedule("DISABLED"), [Level::Problem]);
}

#[test]
fn clock_must_agree() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_000_000);
    let judged = |ahead: u64| {
        let date = httpdate::fmt_http_date(now + Duration::from_secs(ahead));
        levels(&compute::clock(Some(&date), now))
    };
    assert_eq!(judged(0), [Level::Ok]);
    assert_eq!(judged(30), [Level::Ok]);
    assert_eq!(judged(31), [Level::Warning]);
    let found = compute::clock(Some("Thu, 01 Jan 1970 00:00:00 GMT"), now);
    assert!(found[0].message.contains("ahead"), "{found:?}");
}

#[test]
fn sessions_of_a_role_must_name_their_person() {
    let arn = "arn:aws:iam::123456789012:role/support";
    let judged = |statements: Value| {
        let document = json!({ "Statement": statements }).to_string();
        let document =
            percent_encoding::utf8_percent_encode(&document, percent_encoding::NON_ALPHANUMERIC);
        let answer = json!({"Role": {"AssumeRolePolicyDocument": document.to_string()}});
        levels(&operators::role(arn, &answer))
    };
    let fixed = json!({"Effect": "Allow", "Condition": {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}});
    let open =
        json!({"Effect": "Allow", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}});
    let denied = json!({"Effect": "Deny"});
    assert_eq!(judged(json!([fixed, denied])), [Level::Ok]);
    assert_eq!(judged(fixed.clone()), [Level::Ok]);
    assert_eq!(judged(json!([fixed, open])), [Level::Problem]);
    assert_eq!(judged(json!([denied])), [Level::Problem]);
    let loose = json!({"Effect": "Allow", "Condition": {"StringNotEquals": {"sts:RoleSessionName": "root"}}});
    assert_eq!(judged(loose), [Level::Problem]);
    let center =
        "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_support_1";
    assert_eq!(levels(&operators::role(center, &Value::Null)), [Level::Ok]);
    assert_eq!(levels(&operators::listed("", true)), [Level::Problem]);
    assert_eq!(levels(&operators::listed("", false)), [Level::Warning]);
}

#[test]
fn sms_of_a_new_account_reach_nobody() {
    let sandbox = |is_in: &str, is_durable| {
        levels(&sms::sandbox(&json!({ "IsInSandbox": is_in }), is_durable))
    };
    assert_eq!(sandbox("false", true), [Level::Ok]);
    assert_eq!(sandbox("true", true), [Level::Problem]);
    assert_eq!(sandbox("true", false), [Level::Warning]);
    let limit = |value: &str| {
        let answer = json!({"attributes": [{"key": "MonthlySpendLimit", "value": value}]});
        levels(&sms::spend_limit(&answer, true))
    };
    assert_eq!(limit("500"), [Level::Ok]);
    assert_eq!(limit("1"), [Level::Problem]);
    assert_eq!(
        levels(&sms::spend_limit(&json!({"attributes": ""}), true)),
        [Level::Problem]
    );
}

/// A service that does not answer is a finding, except for the stack itself.
#[tokio::test]
async fn unreachable_account_is_an_error() {
    let credentials = Credentials::new("a", "b", None, None, "test");
    let nowhere = Some("http://127.0.0.1:1".to_owned());
    let account = Account::new(nowhere, "us-east-1".to_owned(), credentials);
    let error = examine(&account, "s", "1.0.0", None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("cloudformation:DescribeStacks"), "{error}");
}

#[test]
fn findings_are_printed_one_a_line() {
    let findings = vec![
        Finding::new(Level::Ok, "a", "fine"),
        Finding::new(Level::Problem, "long", "broken: mend it"),
    ];
    let examined = Examined {
        findings,
        problems: 1,
        unknown: 0,
    };
    let mut text = Vec::new();
    print(&mut text, &examined, false).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        text,
        "ok       a     fine\nproblem  long  broken: mend it\n1 problems, 0 unknown\n"
    );
}
