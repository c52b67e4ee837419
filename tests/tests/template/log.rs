//! The log's key and bucket as the template describes them. The local cloud ignores the lock of a bucket.

use serde_json::{Value, json};
use tests::iam_policy::template;

fn properties(resource: &str) -> &'static Value {
    &template()["Resources"][resource]["Properties"]
}

/// Everybody but the role of `anchor`. The local cloud has the ARN of a session where AWS has that of the role.
fn by_others() -> Value {
    let session = "arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role/${AnchorRole}/*";
    let local = json!(["Durable", "AWS::NoValue", session]);
    json!({"ArnNotLike": {"aws:PrincipalArn": ["AnchorRole.Arn", local]}})
}

/// An explicit denial holds against everybody whom IAM or a grant allows to sign.
#[test]
fn only_the_anchor_role_signs_checkpoints() {
    let key = properties("AnchorSigningKey");
    assert_eq!(key["KeySpec"], "ECC_NIST_P256");
    let statements = key["KeyPolicy"]["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 2);
    assert_eq!(
        statements[1],
        json!({
            "Sid": "SignedByAnchorOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "kms:Sign",
            "Resource": "*",
            "Condition": by_others(),
        })
    );
}

#[test]
fn log_is_locked_outside_the_sandbox() {
    let bucket = properties("LogBucket");
    assert_eq!(bucket["VersioningConfiguration"]["Status"], "Enabled");
    assert_eq!(
        bucket["ObjectLockEnabled"],
        json!(["Durable", true, "AWS::NoValue"])
    );
    let [condition, lock, none] = bucket["ObjectLockConfiguration"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("no condition");
    };
    assert_eq!(
        (condition, none),
        (&json!("Durable"), &json!("AWS::NoValue"))
    );
    let retention = json!({
        "Mode": ["Production", "COMPLIANCE", "GOVERNANCE"],
        "Years": "LogRetentionYears",
    });
    assert_eq!(
        *lock,
        json!({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}})
    );
    let production = &template()["Conditions"]["Production"];
    assert_eq!(*production, json!(["Stage", "production"]));
    let years = &template()["Parameters"]["LogRetentionYears"];
    assert!(years["MinValue"].as_u64() >= Some(1));
}

#[test]
fn log_is_private_and_written_by_anchor_only() {
    let bucket = properties("LogBucket");
    let blocked = bucket["PublicAccessBlockConfiguration"]
        .as_object()
        .unwrap();
    assert_eq!(blocked.len(), 4);
    assert!(blocked.values().all(|value| *value == true));
    assert!(!bucket["BucketEncryption"].is_null());
    let policy = properties("LogBucketPolicy");
    assert_eq!(policy["Bucket"], "LogBucket");
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    let deny = |sid: &str, action: Value, resource: Value, condition: Value| {
        let mut statement = json!({
            "Sid": sid, "Effect": "Deny", "Principal": "*", "Action": action, "Resource": resource,
        });
        if !condition.is_null() {
            statement["Condition"] = condition;
        }
        statement
    };
    let objects = "${LogBucket.Arn}/*";
    let expected = [
        json!([
            "Durable",
            deny(
                "EncryptedTransportOnly",
                json!("s3:*"),
                json!(["LogBucket.Arn", objects]),
                json!({"Bool": {"aws:SecureTransport": "false"}}),
            ),
            "AWS::NoValue"
        ]),
        deny(
            "WrittenByAnchorOnly",
            json!("s3:PutObject"),
            json!(objects),
            by_others(),
        ),
        json!([
            "Durable",
            deny(
                "NothingIsDeleted",
                json!(["s3:DeleteObject", "s3:DeleteObjectVersion"]),
                json!(objects),
                Value::Null,
            ),
            "AWS::NoValue"
        ]),
    ];
    assert_eq!(*statements, expected);
}

/// An unanchored event is reported before a day's worth of them has gathered.
#[test]
fn waiting_events_raise_an_alarm() {
    let alarm = properties("AnchorAgeAlarm");
    assert_eq!(alarm["MetricName"], "ApproximateAgeOfOldestMessage");
    assert_eq!(alarm["Dimensions"][0]["Value"], "AnchorQueue.QueueName");
    assert!(alarm["Threshold"].as_u64() <= Some(3_600));
    let queue = properties("AnchorQueue");
    assert_eq!(queue["MessageRetentionPeriod"], 1_209_600);
    assert_eq!(queue["SqsManagedSseEnabled"], true);
}
