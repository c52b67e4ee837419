//! Each function's role permits exactly its listed calls: every call below is made with every role, on the running system.
//!
//! A function's own log and the table's stream are left out, because the local cloud evaluates them with ARNs that differ from
//! AWS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error_code::ErrorCode;
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::aws::{Caller, DYNAMODB, KMS, LOGS, SECRETS, SQS};
use tests::local_cloud::LocalCloud;
use tests::metrics::metric;

/// The calls of [`CALLS`] that each role permits, by the role's name in the template.
const MAY: [(&str, &[&str]); 16] = [
    (
        "LoginRole",
        &[
            "record GetItem",
            "table Query",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
        ],
    ),
    (
        "CardsRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
        ],
    ),
    (
        "RebindRequestRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
            "card-and-id GenerateMac",
            "card GenerateDataKey",
        ],
    ),
    (
        "VerificationRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "table DeleteItem",
            "table ConditionCheckItem",
            "look-up GenerateMac",
            "card-and-id GenerateMac",
            "codes GenerateMac",
            "card Decrypt",
            "identity Decrypt",
            "bank's secret",
            "SMS",
        ],
    ),
    (
        "AgreementRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
            "history Decrypt",
        ],
    ),
    (
        "SettlementRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
            "history Decrypt",
            "log ListBucket",
            "log GetObject",
            "anchor GetPublicKey",
        ],
    ),
    (
        "FreezesRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table PutItem",
            "table UpdateItem",
            "look-up GenerateMac",
            "freeze GenerateMac",
        ],
    ),
    (
        "PayoutsRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "table DeleteItem",
            "card Decrypt",
            "payout Sign",
        ],
    ),
    (
        "OperatorRole",
        &[
            "record GetItem",
            "record PutItem",
            "record UpdateItem",
            "record DeleteItem",
            "record ConditionCheckItem",
            "table Query",
            "index Query",
            "table GetItem",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "table DeleteItem",
            "table ConditionCheckItem",
            "look-up GenerateMac",
            "card-and-id GenerateMac",
            "card GenerateDataKey",
            "identity GenerateDataKey",
            "history GenerateDataKey",
            "history Decrypt",
            "log ListBucket",
            "log GetObject",
            "anchor GetPublicKey",
        ],
    ),
    (
        "ConfirmationNoticeRole",
        &[
            "record GetItem",
            "table Query",
            "table GetItem",
            "table PutItem",
            "table UpdateItem",
            "freeze GenerateMac",
            "history Decrypt",
            "SMS",
            "notices' queue",
        ],
    ),
    (
        "EventsRole",
        &[
            "table GetItem",
            "table UpdateItem",
            "the events' topic",
            "queue events",
        ],
    ),
    (
        "CooldownCleanupRole",
        &[
            "record GetItem",
            "table Query",
            "index Query",
            "table GetItem",
            "table BatchGetItem",
            "table PutItem",
            "table UpdateItem",
            "table DeleteItem",
            "bank's query secret",
            "clean-up's queue",
        ],
    ),
    (
        "AnchorRole",
        &[
            "receive events",
            "delete events",
            "log ListBucket",
            "log GetObject",
            "log PutObject",
            "anchor Sign",
            "anchor GetPublicKey",
        ],
    ),
    (
        "SandboxBankRole",
        &[
            "bank Query",
            "bank GetItem",
            "bank PutItem",
            "bank UpdateItem",
            "bank's secret",
            "bank's query secret",
        ],
    ),
    (
        "CleanupScheduleRole",
        &["run the clean-up", "clean-up's queue"],
    ),
    ("AnchorScheduleRole", &["run the anchor"]),
];

/// Every call that is tried with every role.
const CALLS: [&str; 74] = [
    "table Query",
    "index Query",
    "table GetItem",
    "table BatchGetItem",
    "table PutItem",
    "table UpdateItem",
    "table DeleteItem",
    "table ConditionCheckItem",
    "table Scan",
    "index Scan",
    "table PartiQL",
    "table Describe",
    "record Query",
    "record GetItem",
    "record BatchGetItem",
    "record PutItem",
    "record UpdateItem",
    "record DeleteItem",
    "record ConditionCheckItem",
    "record Scan",
    "bank Query",
    "bank GetItem",
    "bank PutItem",
    "bank UpdateItem",
    "bank DeleteItem",
    "bank Scan",
    "look-up GenerateMac",
    "card-and-id GenerateMac",
    "codes GenerateMac",
    "freeze GenerateMac",
    "look-up VerifyMac",
    "payout Sign",
    "anchor Sign",
    "anchor GetPublicKey",
    "card GenerateDataKey",
    "card Encrypt",
    "card Decrypt",
    "identity GenerateDataKey",
    "identity Encrypt",
    "identity Decrypt",
    "history GenerateDataKey",
    "history Encrypt",
    "history Decrypt",
    "events' GenerateDataKey",
    "events' Decrypt",
    "table's key Decrypt",
    "any key Decrypt",
    "keys' grants",
    "bank's secret",
    "bank's query secret",
    "change the secret",
    "SMS",
    "a topic",
    "the events' topic",
    "subscribe to events",
    "notices' queue",
    "clean-up's queue",
    "read the queue",
    "queue events",
    "receive events",
    "delete events",
    "log ListBucket",
    "log GetObject",
    "log PutObject",
    "log DeleteObject",
    "another log",
    "read a log",
    "run a function",
    "run the clean-up",
    "run the settlement",
    "run the anchor",
    "a push endpoint",
    "a push",
    "another role",
];

/// A push application that this stack does not have.
const APPLICATION: &str = "arn:aws:sns:us-east-1:000000000000:app/GCM/another";

/// The resources that the calls use.
struct Targets {
    table: String,
    record: String,
    bank: String,
    keys: BTreeMap<&'static str, String>,
    secret: String,
    query_secret: String,
    topic: String,
    events_topic: String,
    log: String,
    /// Of notifications, of the clean-up, of events to anchor.
    queues: [String; 3],
    bucket: String,
    role: String,
    functions: [String; 4],
    /// A ciphertext of each kind of key.
    sealed: BTreeMap<&'static str, Value>,
}

/// Each role, each call.
pub async fn roles_allow_exactly_their_calls(live: &LocalCloud) {
    let targets = Targets::of(live).await;
    let known: BTreeSet<&str> = CALLS.into_iter().collect();
    assert_eq!(known.len(), CALLS.len());
    for (role, allowed) in MAY {
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(allowed.is_subset(&known), "{role}");
        let caller = live.root.assume(live.system.resource(role).unwrap()).await;
        let mut may = BTreeSet::new();
        for call in CALLS {
            if targets.may(&caller, call).await {
                may.insert(call);
            }
        }
        assert_eq!(may, allowed, "{role}");
    }
    metric(
        "IAM, running system: calls with every role, wrongly allowed or denied",
        MAY.len() * CALLS.len(),
        0,
    );
}

/// A key opens a value that was sealed for this merchant, and refuses another's.
pub async fn sealed_number_is_bound_to_merchant(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let other = live.merchant().await;
    live.app(&other).await.to_card_pending(&live.card()).await;
    app.identify(&path).await;
    app.sign(&path).await;
    // Another merchant's sealed card number in this merchant's rebind.
    let foreign = live.item(&other.pk(), "R#000001").await["number"].clone();
    let own = live.item(&merchant.pk(), "R#000001").await["number"].clone();
    live.edit(&merchant.pk(), "R#000001", "number", foreign)
        .await;
    app.check_card(&path).await.refused(ErrorCode::Internal);
    live.edit(&merchant.pk(), "R#000001", "number", own).await;
    app.check_card(&path).await.ok(200);
}

impl Targets {
    async fn of(live: &LocalCloud) -> Self {
        let resource = |name: &str| live.system.resource(name).unwrap().to_owned();
        let keys: BTreeMap<&'static str, String> = [
            ("look-up", "LookUpKey1"),
            ("card-and-id", "CardAndIdKey1"),
            ("codes", "CodesKey1"),
            ("freeze", "FreezeKey1"),
            ("card", "CardKey"),
            ("payout", "PayoutSigningKey"),
            ("anchor", "AnchorSigningKey"),
            ("identity", "IdentityKey"),
            ("history", "HistoryKey"),
            ("events'", "EventsKey"),
            ("table's", "TableKey"),
        ]
        .into_iter()
        .map(|(name, id)| (name, resource(id)))
        .collect();
        let mut sealed = BTreeMap::new();
        for name in ["card", "identity", "history", "events'", "table's"] {
            let body = json!({"KeyId": keys[name], "Plaintext": STANDARD.encode("something")});
            let reply = live.root.json(&KMS, "Encrypt", &body).await.unwrap();
            sealed.insert(name, reply["CiphertextBlob"].clone());
        }
        let topic = live
            .root
            .query("sns", "2010-03-31", "CreateTopic", &[("Name", "a-topic")])
            .await
            .unwrap();
        let topic = tests::aws::element(&topic, "TopicArn").unwrap().to_owned();
        let table = live.system.endpoints().table.clone();
        let functions = &live.system.endpoints().functions;
        Self {
            table,
            record: live.system.endpoints().record_table.clone(),
            bank: resource("SandboxBankTable"),
            keys,
            secret: resource("BankSecret"),
            query_secret: resource("BankQuerySecret"),
            topic,
            events_topic: live.system.endpoints().events_topic.clone(),
            log: resource("AccessLogs"),
            queues: ["NoticeFailures", "CleanupFailures", "AnchorQueue"].map(resource),
            bucket: resource("LogBucket"),
            role: resource("VerificationRole"),
            functions: [
                functions["cards"].clone(),
                functions["cooldown-cleanup"].clone(),
                functions["payouts"].clone(),
                functions["anchor"].clone(),
            ],
            sealed,
        }
    }

    /// Returns true if the caller is permitted to make the call: any result except a refusal for lack of a permission.
    async fn may(&self, caller: &Caller, call: &str) -> bool {
        let (what, operation) = call.split_once(' ').unwrap_or((call, ""));
        let outcome = match call {
            "any key Decrypt" => {
                // Without a key id, the ciphertext determines the key. A role without decrypt permission gets nothing.
                let body = json!({"CiphertextBlob": self.sealed["table's"]});
                caller.json(&KMS, "Decrypt", &body).await.map(drop)
            }
            "keys' grants" => {
                let body = json!({"KeyId": self.keys["card"], "GranteePrincipal": "*", "Operations": ["Decrypt"]});
                caller.json(&KMS, "CreateGrant", &body).await.map(drop)
            }
            "bank's query secret" => caller
                .json(
                    &SECRETS,
                    "GetSecretValue",
                    &json!({"SecretId": self.query_secret}),
                )
                .await
                .map(drop),
            "bank's secret" => caller
                .json(
                    &SECRETS,
                    "GetSecretValue",
                    &json!({"SecretId": self.secret}),
                )
                .await
                .map(drop),
            "change the secret" => {
                let body = json!({"SecretId": self.secret, "SecretString": "x".repeat(64)});
                caller
                    .json(&SECRETS, "PutSecretValue", &body)
                    .await
                    .map(drop)
            }
            "SMS" => {
                let fields = [
                    ("PhoneNumber", "+8613699999999"),
                    ("Message", "a test of permissions"),
                ];
                caller
                    .query("sns", "2010-03-31", "Publish", &fields)
                    .await
                    .map(drop)
            }
            "a topic" => self.publish(caller, &self.topic).await,
            "the events' topic" => self.publish(caller, &self.events_topic).await,
            "subscribe to events" => {
                let fields = [
                    ("TopicArn", self.events_topic.as_str()),
                    ("Protocol", "email"),
                    ("Endpoint", "nobody@example.com"),
                ];
                caller
                    .query("sns", "2010-03-31", "Subscribe", &fields)
                    .await
                    .map(drop)
            }
            "notices' queue" => self.send(caller, 0).await,
            "clean-up's queue" => self.send(caller, 1).await,
            "read the queue" => {
                let body = json!({"QueueUrl": self.queues[0]});
                caller.json(&SQS, "ReceiveMessage", &body).await.map(drop)
            }
            "queue events" => self.send(caller, 2).await,
            "receive events" => {
                // Leaves the messages visible.
                let body = json!({"QueueUrl": self.queues[2], "VisibilityTimeout": 0});
                caller.json(&SQS, "ReceiveMessage", &body).await.map(drop)
            }
            "delete events" => {
                let entry = json!({"Id": "1", "ReceiptHandle": "of no message"});
                let body = json!({"QueueUrl": self.queues[2], "Entries": [entry]});
                caller
                    .json(&SQS, "DeleteMessageBatch", &body)
                    .await
                    .map(drop)
            }
            "another log" => {
                let body =
                    json!({"logGroupName": self.log, "logStreamName": "a test of permissions"});
                caller.json(&LOGS, "CreateLogStream", &body).await.map(drop)
            }
            "read a log" => {
                let body = json!({"logGroupName": self.log});
                caller.json(&LOGS, "FilterLogEvents", &body).await.map(drop)
            }
            "run a function" => caller.invoke(&self.functions[0]).await,
            "run the clean-up" => caller.invoke(&self.functions[1]).await,
            // Only the acquirer's core may create payouts: any other caller could redirect money.
            "run the settlement" => caller.invoke(&self.functions[2]).await,
            "run the anchor" => caller.invoke(&self.functions[3]).await,
            "a push endpoint" => {
                let fields = [
                    ("PlatformApplicationArn", APPLICATION),
                    ("Token", "a test of permissions"),
                ];
                caller
                    .query("sns", "2010-03-31", "CreatePlatformEndpoint", &fields)
                    .await
                    .map(drop)
            }
            "a push" => {
                let endpoint = format!("{}/x", APPLICATION.replacen(":app/", ":endpoint/", 1));
                let fields = [("TargetArn", endpoint.as_str()), ("Message", "x")];
                caller
                    .query("sns", "2010-03-31", "Publish", &fields)
                    .await
                    .map(drop)
            }
            "another role" => {
                let fields = [("RoleName", self.role.as_str())];
                caller
                    .query("iam", "2010-05-08", "GetRole", &fields)
                    .await
                    .map(drop)
            }
            _ if ["table", "index", "record", "bank"].contains(&what) => {
                self.dynamodb(caller, what, operation).await
            }
            _ if what == "log" => self.s3(caller, operation).await,
            _ => self.kms(caller, what, operation).await,
        };
        match outcome {
            Ok(()) => true,
            Err(code) if code.starts_with("AccessDenied") || code == "AuthorizationError" => false,
            Err(code) => panic!("{call}: {code}"),
        }
    }

    async fn dynamodb(&self, caller: &Caller, what: &str, operation: &str) -> Result<(), String> {
        let table = match what {
            "bank" => &self.bank,
            "record" => &self.record,
            _ => &self.table,
        };
        let key = json!({"pk": {"S": "IAM"}, "sk": {"S": "IAM"}});
        let mut body = json!({"TableName": table});
        let operation = match operation {
            "Query" => {
                body["KeyConditionExpression"] = json!(if what == "index" {
                    "due_bucket = :k"
                } else {
                    "pk = :k"
                });
                body["ExpressionAttributeValues"] = json!({":k": {"S": "IAM"}});
                "Query"
            }
            "PutItem" => {
                body["Item"] = key;
                "PutItem"
            }
            "GetItem" | "UpdateItem" | "DeleteItem" => {
                body["Key"] = key;
                operation
            }
            "BatchGetItem" => {
                body = json!({"RequestItems": {table: {"Keys": [key]}}});
                operation
            }
            "ConditionCheckItem" => {
                let check = json!({"TableName": table, "Key": key, "ConditionExpression": "attribute_not_exists(nothing)"});
                body = json!({"TransactItems": [{"ConditionCheck": check}]});
                "TransactWriteItems"
            }
            "PartiQL" => {
                body = json!({"Statement": format!("SELECT * FROM \"{table}\" WHERE pk = 'IAM'")});
                "ExecuteStatement"
            }
            "Describe" => "DescribeTable",
            other => other,
        };
        if what == "index" {
            body["IndexName"] = json!("due");
        }
        caller.json(&DYNAMODB, operation, &body).await.map(drop)
    }

    async fn kms(&self, caller: &Caller, what: &str, operation: &str) -> Result<(), String> {
        // "table's key Decrypt"
        let operation = operation.trim_start_matches("key ");
        let mut body = json!({"KeyId": self.keys[what]});
        match operation {
            "GenerateMac" | "VerifyMac" => {
                body["Message"] = json!(STANDARD.encode("x"));
                body["MacAlgorithm"] = json!("HMAC_SHA_256");
            }
            "GenerateDataKey" => body["KeySpec"] = json!("AES_256"),
            "Sign" => {
                body["Message"] = json!(STANDARD.encode("x"));
                body["SigningAlgorithm"] = json!("ECDSA_SHA_256");
            }
            "Encrypt" => body["Plaintext"] = json!(STANDARD.encode("x")),
            "GetPublicKey" => {}
            _ => body["CiphertextBlob"] = self.sealed[what].clone(),
        }
        if operation == "VerifyMac" {
            body["Mac"] = json!(STANDARD.encode([0; 32]));
        }
        caller.json(&KMS, operation, &body).await.map(drop)
    }

    async fn publish(&self, caller: &Caller, topic: &str) -> Result<(), String> {
        let fields = [("TopicArn", topic), ("Message", "a test of permissions")];
        caller
            .query("sns", "2010-03-31", "Publish", &fields)
            .await
            .map(drop)
    }

    async fn s3(&self, caller: &Caller, operation: &str) -> Result<(), String> {
        let bucket = &self.bucket;
        let object = format!("/{bucket}/a-test-of-permissions");
        let (method, path) = match operation {
            "ListBucket" => (Method::GET, format!("/{bucket}?list-type=2")),
            "GetObject" => (Method::GET, object),
            "PutObject" => (Method::PUT, object),
            _ => (Method::DELETE, object),
        };
        let reply = caller.rest("s3", &method, &path, &Value::Null).await;
        match reply.status {
            403 => Err(tests::aws::element(&reply.text(), "Code")
                .unwrap_or_default()
                .to_owned()),
            _ => Ok(()),
        }
    }

    async fn send(&self, caller: &Caller, queue: usize) -> Result<(), String> {
        let body = json!({"QueueUrl": self.queues[queue], "MessageBody": "a test of permissions"});
        caller.json(&SQS, "SendMessage", &body).await.map(drop)
    }
}
