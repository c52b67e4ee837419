//! Tests the bank through its handler, on a real DynamoDB API (the AWS SDK with dynoxide).

use super::*;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_dynamodb::{Client, Config};
use bank::sandbox::{SANDBOX_JSON, card_item, person_items};
use bank::signature::{is_reply, sign_request};
use bank::{BankClient, QueryOutcome, Reply};
use domain::pii::{DocumentType, IdNumber, PersonName};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TABLE: &str = "bank";
const NAME: &str = "测试商户一";
const ID: &str = "110105196302111073";
/// An unlisted card number with a valid check digit.
const UNLISTED: &str = "6222020000008000010";
const OTHER_UNLISTED: &str = "6222020000008000028";

fn key() -> BankKey {
    BankKey::from_secret_text(&"k".repeat(64)).unwrap()
}

fn query_key() -> BankKey {
    BankKey::from_secret_text(&"q".repeat(64)).unwrap()
}

async fn dynamodb() -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let db = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_on(listener, db));
    let client = Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(url)
            .build(),
    );
    let mut create = client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, key_type) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let key = KeySchemaElement::builder().attribute_name(name);
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S);
        create = create
            .key_schema(key.key_type(key_type).build().unwrap())
            .attribute_definitions(attribute.build().unwrap());
    }
    create.send().await.unwrap();
    client
}

struct Sandbox {
    bank: Bank,
    client: Client,
}

impl Sandbox {
    /// A bank with one seeded person.
    async fn new() -> Self {
        let client = dynamodb().await;
        let store = Store::new(client.clone(), TABLE.to_owned());
        let bank = Bank::new(
            CardBook::sandbox().unwrap(),
            BankKeys {
                ask: vec![key()],
                query: vec![query_key()],
                hashes: key(),
            },
            store,
        );
        let sandbox = Self { bank, client };
        for item in person_items(NAME, DocumentType::ResidentId, ID) {
            sandbox.put(item).await;
        }
        sandbox
    }

    async fn put(&self, item: bank::sandbox::Item) {
        let put = self.client.put_item().table_name(TABLE);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Sends a signed request. Checks that the reply is signed exactly when its status is 200.
    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let body = body.to_string();
        let event = signed(path, path, &now(), &body);
        let request_signature = event.headers[SIGNATURE_HEADER].clone();
        let reply = self.bank.handle(&event).await.unwrap();
        let signature = reply.headers.get(SIGNATURE_HEADER).map(String::as_str);
        if reply.status_code == 200 {
            let body = reply.body.as_bytes();
            assert!(is_reply(&key(), &request_signature, 200, signature, body));
        } else {
            assert_eq!(signature, None);
        }
        let body = serde_json::from_str(&reply.body).unwrap_or(Value::String(reply.body));
        (reply.status_code, body)
    }

    async fn check(&self, serial: &str, card_number: &str) -> Value {
        let (status, body) = self.post("/check", check_body(serial, card_number)).await;
        assert_eq!(status, 200);
        assert!(body.is_string() || body["serial"] == serial);
        body
    }

    async fn transfer(&self, serial: &str, card_number: &str, name: &str) -> Value {
        let body = transfer_body(serial, card_number, name);
        let (status, body) = self.post("/transfer", body).await;
        assert_eq!((status, &body["serial"]), (200, &json!(serial)));
        body
    }

    async fn query(&self, path: &str, serial: &str) -> Value {
        let (status, body) = self.post(path, json!({ "serial": serial })).await;
        assert_eq!(status, 200);
        body
    }

    /// Sends an unsigned request for a statement, as a tester does.
    async fn statement(&self, card_number: &str) -> Vec<Value> {
        let body = json!({ "card_number": card_number }).to_string();
        // The bank must not sign its reply, even if the caller sends a signature.
        let mut request = unsigned("/statement", &body);
        request
            .headers
            .insert(SIGNATURE_HEADER.to_owned(), "0".repeat(64));
        let reply = self.bank.handle(&request).await.unwrap();
        assert_eq!(reply.status_code, 200);
        assert!(!reply.headers.contains_key(SIGNATURE_HEADER));
        let mut body: Value = serde_json::from_str(&reply.body).unwrap();
        serde_json::from_value(body["transfers"].take()).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the bank uses wall-clock time")]
fn now() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since_epoch.as_secs().to_string()
}

fn unsigned(path: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: path.to_owned(),
        body: Some(body.as_bytes().to_vec()),
        ..Request::default()
    }
}

fn signed(path: &str, signed_path: &str, time: &str, body: &str) -> Request {
    let signature = sign_request(&key(), signed_path, time, body.as_bytes());
    let mut request = unsigned(path, body);
    request
        .headers
        .insert(TIME_HEADER.to_owned(), time.to_owned());
    request
        .headers
        .insert(SIGNATURE_HEADER.to_owned(), signature);
    request
}

fn check_body(serial: &str, card_number: &str) -> Value {
    json!({
        "serial": serial, "card_number": card_number, "holder_name": NAME, "id_number": ID,
        "document_type": "resident_id", "phone": "+8613900000001",
    })
}

fn transfer_body(serial: &str, card_number: &str, name: &str) -> Value {
    json!({
        "serial": serial, "card_number": card_number, "holder_name": name, "amount_fen": 1,
        "descriptor": format!("REBIND {serial}"), "check_name": true,
    })
}

/// The cards of `sandbox.json`: number, behaviour and type.
fn cards() -> Vec<(String, String, String)> {
    let file: Value = serde_json::from_str(SANDBOX_JSON).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cards = file["cards"].as_array().unwrap().iter();
    cards
        .map(|card| {
            let card_type = card["card_type"].as_str().unwrap_or("debit");
            let number = text(&card["card_number"]);
            (number, text(&card["outcome"]), card_type.to_owned())
        })
        .collect()
}

fn card(outcome: &str) -> String {
    let card = cards().into_iter().find(|(_, word, _)| word == outcome);
    card.unwrap().0
}

#[tokio::test]
async fn listed_card_answers_as_defined() {
    let sandbox = Sandbox::new().await;
    for (index, (number, word, card_type)) in cards().into_iter().enumerate() {
        let serial = format!("rbd_{index}-1");
        let expected = match word.as_str() {
            "slow" | "match_transfer_returned" | "match_transfer_pending" => "match",
            "deposit_returned" => "issuer_unsupported",
            "busy_once" => "busy",
            "reply_lost" => {
                let event = signed(
                    "/check",
                    "/check",
                    &now(),
                    &check_body(&serial, &number).to_string(),
                );
                assert!(sandbox.bank.handle(&event).await.is_err());
                // A query and a repeated check both return the lost answer.
                assert_eq!(
                    sandbox.query("/check/query", &serial).await["outcome"],
                    "match"
                );
                assert_eq!(sandbox.check(&serial, &number).await["outcome"], "match");
                continue;
            }
            "garbage" => {
                assert!(sandbox.check(&serial, &number).await.is_string());
                assert!(sandbox.check(&serial, &number).await.is_string());
                assert!(sandbox.query("/check/query", &serial).await.is_string());
                continue;
            }
            plain => plain,
        };
        let started = Instant::now();
        assert_eq!(
            sandbox.check(&serial, &number).await["outcome"],
            expected,
            "{word}"
        );
        let is_slow = started.elapsed() >= Duration::from_millis(1_500);
        assert_eq!(is_slow, word == "slow", "{word}");
        let queried = sandbox.query("/check/query", &serial).await;
        let mut wanted = json!({ "serial": serial, "outcome": expected });
        if expected == "match" {
            wanted["card_type"] = json!(card_type);
        }
        assert_eq!(queried, wanted, "{word}");
    }
}

#[tokio::test]
async fn unlisted_card_matches_a_seeded_person() {
    let sandbox = Sandbox::new().await;
    sandbox
        .put(person_items("另一人", DocumentType::ResidentId, "110105196603121144")[0].clone())
        .await;
    let cases = [
        ("holder_name", NAME, "match"),
        ("holder_name", " 测试商户一 ", "match"),
        ("holder_name", "测试商户二", "mismatch"),
        ("holder_name", "另一人", "mismatch"),
        ("id_number", "110105196603121144", "mismatch"),
        ("phone", "+8619900000001", "match"),
        ("phone", "13900000001", "match"),
        ("phone", "+861012345678", "mismatch"),
        ("phone", "+8521390000", "mismatch"),
        ("card_number", OTHER_UNLISTED, "match"),
        // The check digit does not matter, because some real cards lack a valid one.
        ("card_number", "6222020000008000011", "match"),
        ("card_number", "62220200", "malformed"),
        ("card_number", "", "malformed"),
        ("holder_name", "", "malformed"),
        ("id_number", "", "malformed"),
    ];
    for (index, (field, value, expected)) in cases.into_iter().enumerate() {
        let mut body = check_body(&format!("rbd_{index}-1"), UNLISTED);
        body[field] = json!(value);
        let (status, answer) = sandbox.post("/check", body).await;
        assert_eq!(
            (status, &answer["outcome"]),
            (200, &json!(expected)),
            "{field} {value}"
        );
    }
}

#[tokio::test]
async fn busy_once_is_busy_once_per_rebind() {
    let sandbox = Sandbox::new().await;
    let card = card("busy_once");
    // `busy` decides nothing: the same serial is checked again, and the second answer is final.
    assert_eq!(sandbox.check("rbd_a-1", &card).await["outcome"], "busy");
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "busy"
    );
    assert_eq!(sandbox.check("rbd_a-1", &card).await["outcome"], "match");
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "match"
    );
    assert_eq!(sandbox.check("rbd_a-1", &card).await["outcome"], "match");
    // The next serial of the rebind is not its first call; the first serial of another rebind is.
    assert_eq!(sandbox.check("rbd_a-2", &card).await["outcome"], "match");
    assert_eq!(sandbox.check("rbd_b-1", &card).await["outcome"], "busy");
    assert_eq!(sandbox.check("rbd_b-2", &card).await["outcome"], "match");
    // `busy` and `quota` cards give the same answer every time.
    for _ in 0..3 {
        assert_eq!(
            sandbox.check("rbd_c-1", &self::card("busy")).await["outcome"],
            "busy"
        );
        assert_eq!(
            sandbox.check("rbd_d-1", &self::card("quota")).await["outcome"],
            "quota"
        );
    }
}

#[tokio::test]
async fn serial_identifies_one_request_forever() {
    let sandbox = Sandbox::new().await;
    let (matches, busy) = (card("match"), card("busy"));
    assert_eq!(sandbox.check("rbd_a-1", &matches).await["outcome"], "match");
    // The order of members and white space make no difference.
    let reordered = format!(
        r#"{{ "phone":"+8613900000001", "id_number":"{ID}", "holder_name":"{NAME}",
            "card_number":"{matches}", "document_type":"resident_id", "serial":"rbd_a-1" }}"#
    );
    let reply = sandbox
        .bank
        .handle(&signed("/check", "/check", &now(), &reordered))
        .await;
    assert_eq!(reply.unwrap().status_code, 200);
    // Any other request under the serial is refused and changes nothing.
    let conflict = (409, json!({ "error": "serial_conflict" }));
    assert_eq!(
        sandbox.post("/check", check_body("rbd_a-1", &busy)).await,
        conflict
    );
    let transfer = transfer_body("rbd_a-1", &matches, NAME);
    assert_eq!(sandbox.post("/transfer", transfer).await, conflict);
    assert!(sandbox.statement(&matches).await.is_empty());
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "match"
    );
    // The same holds while the check is undecided.
    assert_eq!(sandbox.check("rbd_b-1", &busy).await["outcome"], "busy");
    assert_eq!(
        sandbox
            .post("/check", check_body("rbd_b-1", &matches))
            .await,
        conflict
    );
    // A check cannot use the serial of a transfer.
    sandbox.transfer("rbd_c-1", &matches, NAME).await;
    assert_eq!(
        sandbox
            .post("/check", check_body("rbd_c-1", &matches))
            .await,
        conflict
    );
    let mut body = transfer_body("rbd_c-1", &matches, NAME);
    body["descriptor"] = json!("another");
    assert_eq!(sandbox.post("/transfer", body).await, conflict);
    assert_eq!(
        sandbox.query("/check/query", "rbd_c-1").await["outcome"],
        "unknown_serial"
    );
    assert_eq!(
        sandbox.query("/transfer/query", "rbd_a-1").await["status"],
        "unknown_serial"
    );
    assert_eq!(
        sandbox.query("/check/query", "rbd_z-1").await["outcome"],
        "unknown_serial"
    );
}

/// Reproduces a race without concurrency: a late `busy` never replaces a decided answer.
#[tokio::test]
async fn decided_answer_is_never_overwritten() {
    let sandbox = Sandbox::new().await;
    let put = async |fingerprint: &str, outcome| {
        let record = CheckRecord {
            result: CheckResult::new(outcome, Some(USUAL_TYPE)),
            is_garbled: false,
        };
        sandbox
            .bank
            .store
            .put_check("rbd_a-1", fingerprint, record)
            .await
            .unwrap()
    };
    assert_eq!(put("one", CheckOutcome::Busy).await, PutResult::Stored);
    assert_eq!(
        put("other", CheckOutcome::Match).await,
        PutResult::SerialInUse
    );
    assert_eq!(put("one", CheckOutcome::Quota).await, PutResult::Stored);
    assert_eq!(put("one", CheckOutcome::Match).await, PutResult::Stored);
    assert_eq!(put("one", CheckOutcome::Busy).await, PutResult::SerialInUse);
    assert_eq!(
        put("one", CheckOutcome::Mismatch).await,
        PutResult::SerialInUse
    );
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "match"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_share_one_effect() {
    let sandbox = Arc::new(Sandbox::new().await);
    let (pays, once) = (card("match"), card("busy_once"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (sandbox, pays, once) = (Arc::clone(&sandbox), pays.clone(), once.clone());
        tasks.spawn(async move {
            let transfer = sandbox.transfer("rbd_a-1", &pays, NAME).await;
            let check = sandbox.check("rbd_b-1", &once).await;
            (transfer["status"].clone(), check["outcome"].clone())
        });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == "succeeded"));
    assert_eq!(sandbox.statement(&pays).await.len(), 1);
    // At most one call was the first of its rebind. All others match, and the match is final.
    assert!(
        answers
            .iter()
            .filter(|(_, outcome)| *outcome == "busy")
            .count()
            <= 1
    );
    assert_eq!(
        sandbox.query("/check/query", "rbd_b-1").await["outcome"],
        "match"
    );
}

#[tokio::test]
async fn transfer_follows_the_card_behaviour() {
    let sandbox = Sandbox::new().await;
    let returned = json!({ "serial": "t-0", "status": "returned", "reason": "account_unusable" });
    for (word, status) in [
        ("match", "succeeded"),
        ("not_enabled", "succeeded"),
        ("issuer_unsupported", "succeeded"),
        ("match_transfer_pending", "pending"),
    ] {
        let answer = sandbox
            .transfer(&format!("t-{word}"), &card(word), NAME)
            .await;
        assert_eq!(
            answer,
            json!({ "serial": format!("t-{word}"), "status": status })
        );
    }
    for word in [
        "match_transfer_returned",
        "deposit_returned",
        "blocked",
        "class_ii",
    ] {
        let mut answer = sandbox
            .transfer(&format!("t-{word}"), &card(word), NAME)
            .await;
        answer["serial"] = json!("t-0");
        assert_eq!(answer, returned, "{word}");
    }
    // Pending until the second query. A repeated transfer or a statement does not count as a query.
    let pending = card("match_transfer_pending");
    let serial = "t-match_transfer_pending";
    for _ in 0..3 {
        assert_eq!(
            sandbox.transfer(serial, &pending, NAME).await["status"],
            "pending"
        );
        assert_eq!(sandbox.statement(&pending).await[0]["status"], "pending");
    }
    for expected in ["pending", "succeeded", "succeeded"] {
        assert_eq!(
            sandbox.query("/transfer/query", serial).await["status"],
            expected
        );
    }
    assert_eq!(
        sandbox.transfer(serial, &pending, NAME).await["status"],
        "succeeded"
    );
    assert_eq!(sandbox.statement(&pending).await[0]["status"], "succeeded");
    let answer = sandbox.query("/transfer/query", "t-deposit_returned").await;
    assert_eq!(
        (&answer["status"], &answer["reason"]),
        (&json!("returned"), &json!("account_unusable"))
    );
}

#[tokio::test]
async fn name_check_returns_transfer_to_other_person() {
    let sandbox = Sandbox::new().await;
    let name_mismatch =
        |serial: &str| json!({ "serial": serial, "status": "returned", "reason": "name_mismatch" });
    let not_enabled = card("not_enabled");
    // No person with this name was seeded.
    assert_eq!(
        sandbox.transfer("n-1", &not_enabled, "无名氏").await,
        name_mismatch("n-1")
    );
    let mut unchecked = transfer_body("n-2", &not_enabled, "无名氏");
    unchecked["check_name"] = json!(false);
    assert_eq!(
        sandbox.post("/transfer", unchecked).await.1["status"],
        "succeeded"
    );
    // The card of a money mule: the bank cannot check it, but the deposit is returned.
    for item in person_items("骡子", DocumentType::ResidentId, "110105196603121144") {
        sandbox.put(item).await;
    }
    sandbox
        .put(card_item(&key(), UNLISTED, "not_enabled", "骡子"))
        .await;
    assert_eq!(
        sandbox.check("n-3", UNLISTED).await["outcome"],
        "not_enabled"
    );
    assert_eq!(
        sandbox.transfer("n-4", UNLISTED, NAME).await,
        name_mismatch("n-4")
    );
    assert_eq!(
        sandbox.transfer("n-5", UNLISTED, "骡子").await["status"],
        "succeeded"
    );
    // A card that the bank can check does not match under another name.
    sandbox
        .put(card_item(&key(), OTHER_UNLISTED, "match", "骡子"))
        .await;
    assert_eq!(
        sandbox.check("n-6", OTHER_UNLISTED).await["outcome"],
        "mismatch"
    );
}

#[tokio::test]
async fn statement_lists_transfers_newest_first() {
    let sandbox = Sandbox::new().await;
    let (card_number, other) = (card("not_enabled"), card("match"));
    assert!(sandbox.statement(&card_number).await.is_empty());
    for serial in ["s-1", "s-2"] {
        sandbox.transfer(serial, &card_number, NAME).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sandbox.transfer("s-3", &other, NAME).await;
    let line = |serial: &str| {
        json!({
            "serial": serial, "amount_fen": 1, "descriptor": format!("REBIND {serial}"),
            "status": "succeeded",
        })
    };
    assert_eq!(
        sandbox.statement(&card_number).await,
        [line("s-2"), line("s-1")]
    );
    assert_eq!(sandbox.statement(&other).await, [line("s-3")]);
}

/// The clean-up's key reads outcomes. It neither checks a card nor sends money.
#[tokio::test]
async fn query_key_permits_queries_only() {
    let sandbox = Sandbox::new().await;
    sandbox.check("rbd_a-1", &card("match")).await;
    sandbox.transfer("rbd_a-d1", UNLISTED, NAME).await;
    let ask = async |path: &str, body: Value| {
        let body = body.to_string();
        let mut event = unsigned(path, &body);
        let time = now();
        let signature = sign_request(&query_key(), path, &time, body.as_bytes());
        event.headers.insert(TIME_HEADER.to_owned(), time);
        event
            .headers
            .insert(SIGNATURE_HEADER.to_owned(), signature.clone());
        let reply = sandbox.bank.handle(&event).await.unwrap();
        let own = reply.headers.get(SIGNATURE_HEADER).map(String::as_str);
        let is_signed = is_reply(&query_key(), &signature, 200, own, reply.body.as_bytes());
        (reply.status_code, is_signed)
    };
    for (path, body) in [
        ("/check", check_body("rbd_b-1", UNLISTED)),
        ("/transfer", transfer_body("rbd_b-d1", UNLISTED, NAME)),
        // Not even a repetition of a transfer.
        ("/transfer", transfer_body("rbd_a-d1", UNLISTED, NAME)),
    ] {
        assert_eq!(ask(path, body).await, (401, false), "{path}");
    }
    for (path, serial) in [("/check/query", "rbd_a-1"), ("/transfer/query", "rbd_a-d1")] {
        assert_eq!(
            ask(path, json!({ "serial": serial })).await,
            (200, true),
            "{path}"
        );
    }
    let new = sandbox.query("/transfer/query", "rbd_b-d1").await;
    assert_eq!(new["status"], "unknown_serial");
}

#[tokio::test]
async fn unsigned_request_is_refused() {
    let sandbox = Sandbox::new().await;
    let card = card("match");
    let body = check_body("rbd_a-1", &card).to_string();
    let stale = (now().parse::<u64>().unwrap() - 301).to_string();
    let stranger = {
        let mut event = signed("/check", "/check", &now(), &body);
        let other = BankKey::from_secret_text(&"x".repeat(64)).unwrap();
        let time = event.headers[TIME_HEADER].clone();
        let signature = sign_request(&other, "/check", &time, body.as_bytes());
        event.headers.insert(SIGNATURE_HEADER.to_owned(), signature);
        event
    };
    let changed_body = {
        let mut event = signed("/check", "/check", &now(), &body);
        event.body = Some(body.replace("0001\"", "0002\"").into_bytes());
        event
    };
    let refused = [
        unsigned("/check", &body),
        unsigned("/check/query", "{}"),
        unsigned("/transfer", "{}"),
        unsigned("/transfer/query", "{}"),
        signed("/check", "/check", &stale, &body),
        // Signed for another operation, or with the gateway's prefix in the signed path.
        signed("/check", "/check/query", &now(), &body),
        signed("/check", "/transfer", &now(), &body),
        signed("/prod/check", "/prod/check", &now(), &body),
        stranger,
        changed_body,
    ];
    for (index, event) in refused.into_iter().enumerate() {
        let reply = sandbox.bank.handle(&event).await.unwrap();
        assert_eq!(
            (reply.status_code, reply.body.as_str()),
            (401, r#"{"error":"signature"}"#),
            "{index}"
        );
    }
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "unknown_serial"
    );
    // A prefix of the protocol's path makes no difference.
    let event = signed("/prod/bank/check", "/check", &now(), &body);
    let again = signed("/check", "/check", &now(), &body);
    for event in [event, again] {
        let reply = sandbox.bank.handle(&event).await.unwrap();
        assert_eq!(
            (reply.status_code, reply.body.contains("match")),
            (200, true)
        );
    }
}

#[tokio::test]
async fn invalid_request_is_refused_without_a_trace() {
    let sandbox = Sandbox::new().await;
    let good = check_body("rbd_a-1", UNLISTED);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let mut without_phone = good.clone();
    without_phone.as_object_mut().unwrap().remove("phone");
    let mut no_amount = transfer_body("t-1", UNLISTED, NAME);
    no_amount["amount_fen"] = json!(0);
    let mut two = transfer_body("t-1", UNLISTED, NAME);
    two["amount_fen"] = json!(2);
    let mut negative = transfer_body("t-1", UNLISTED, NAME);
    negative["amount_fen"] = json!(-1);
    let mut long = transfer_body("t-1", UNLISTED, NAME);
    long["descriptor"] = json!("x".repeat(65));
    let cases = [
        ("/check", String::new(), 400),
        ("/check", "[".repeat(5_000), 400),
        ("/check", "null".to_owned(), 400),
        ("/check", without_phone.to_string(), 400),
        ("/check", with("cvv", json!("123")), 400),
        (
            "/check",
            with("card_number", json!(6_222_020_000_008_000_010_u64)),
            400,
        ),
        ("/check", with("serial", json!("")), 400),
        ("/check", with("serial", json!("a b")), 400),
        ("/check", with("serial", json!("x".repeat(65))), 400),
        (
            "/check",
            with("holder_name", json!("x".repeat(20_000))),
            413,
        ),
        ("/check/query", "{}".to_owned(), 400),
        ("/check/query", json!({ "serial": "a#b" }).to_string(), 400),
        ("/transfer", no_amount.to_string(), 400),
        ("/transfer", two.to_string(), 400),
        ("/transfer", negative.to_string(), 400),
        ("/transfer", long.to_string(), 400),
        (
            "/transfer",
            transfer_body("t-1", "62220200", NAME).to_string(),
            400,
        ),
        (
            "/transfer/query",
            json!({ "serial": null }).to_string(),
            400,
        ),
        ("/", good.to_string(), 404),
        ("/checks", good.to_string(), 404),
    ];
    for (path, body, status) in cases {
        let reply = sandbox
            .bank
            .handle(&signed(path, path, &now(), &body))
            .await
            .unwrap();
        assert_eq!(reply.status_code, status, "{path} {body:.80}");
        assert!(reply.body.contains("error"));
    }
    let mut get = signed("/check", "/check", &now(), &good.to_string());
    get.method = "GET".to_owned();
    assert_eq!(sandbox.bank.handle(&get).await.unwrap().status_code, 404);
    let mut not_base64 = signed("/check", "/check", &now(), "%");
    not_base64.body = None;
    assert_eq!(
        sandbox.bank.handle(&not_base64).await.unwrap().status_code,
        400
    );
    assert_eq!(
        sandbox
            .bank
            .handle(&Request::default())
            .await
            .unwrap()
            .status_code,
        404
    );
    assert_eq!(
        sandbox.query("/check/query", "rbd_a-1").await["outcome"],
        "unknown_serial"
    );
    assert_eq!(
        sandbox.query("/transfer/query", "t-1").await["status"],
        "unknown_serial"
    );
}

#[tokio::test]
async fn table_contains_no_personal_data() {
    let sandbox = Sandbox::new().await;
    let card_number = card("busy_once");
    sandbox.check("rbd_a-1", &card_number).await;
    sandbox.transfer("rbd_a-2", &card_number, NAME).await;
    sandbox
        .put(card_item(&key(), UNLISTED, "match", NAME))
        .await;
    let items = sandbox
        .client
        .scan()
        .table_name(TABLE)
        .send()
        .await
        .unwrap();
    assert!(items.count() >= 7);
    let dump = format!("{:?}", items.items());
    for secret in [card_number.as_str(), UNLISTED, NAME, ID, "13900000001"] {
        assert!(!dump.contains(secret), "{dump}");
    }
    // Every item expires except the seeded ones.
    let expires = |pk: &str| {
        !["PERSON#", "HOLDER#"]
            .iter()
            .any(|seeded| pk.starts_with(seeded))
    };
    for item in items.items() {
        let is_card =
            item["sk"].as_s().unwrap() == "-" && item["pk"].as_s().unwrap().starts_with("CARD#");
        let wanted = expires(item["pk"].as_s().unwrap()) && !is_card;
        assert_eq!(item.contains_key("ttl"), wanted, "{item:?}");
    }
}

#[tokio::test]
async fn store_failure_is_500_and_unsigned() {
    let sandbox = Sandbox::new().await;
    sandbox
        .client
        .delete_table()
        .table_name(TABLE)
        .send()
        .await
        .unwrap();
    let (status, body) = sandbox
        .post("/check", check_body("rbd_a-1", UNLISTED))
        .await;
    assert_eq!((status, body), (500, json!({ "error": "internal" })));
}

/// Connects the product's client to this bank over a socket.
#[tokio::test]
async fn client_and_bank_interoperate() {
    let sandbox = Arc::new(Sandbox::new().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sandbox", listener.local_addr().unwrap());
    let server = Arc::clone(&sandbox);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(gateway(stream, Arc::clone(&server)));
        }
    });
    let client = BankClient::new(&url, key()).unwrap();
    let holder = PersonName::new(NAME);
    let id_number = IdNumber::parse(DocumentType::ResidentId, ID).unwrap();
    let phone = Phone::parse("13900000001").unwrap();
    for (index, (number, word, card_type)) in cards().into_iter().enumerate() {
        let card_number = CardNumber::parse(&number).unwrap();
        let serial = format!("rbd_{index}-1");
        let request = CheckRequest::new(&serial, &card_number, &holder, &id_number, &phone);
        assert_eq!(client.query_check(&serial).await, QueryOutcome::NeverSeen);
        let reply = client.check(&request).await;
        let queried = client.query_check(&serial).await;
        match (word.as_str(), reply) {
            ("reply_lost", Reply::Unknown) => {
                let debit = CheckResult::new(CheckOutcome::Match, Some(BankCardType::Debit));
                assert_eq!(queried, QueryOutcome::Answer(debit));
            }
            ("garbage", Reply::Unknown) => assert_eq!(queried, QueryOutcome::Unknown),
            (_, Reply::Answer(result)) => {
                assert_eq!(queried, QueryOutcome::Answer(result));
                if let Some(stated) = result.stated_type() {
                    assert_eq!(stated.as_str(), card_type);
                }
            }
            _ => panic!("{word}: {reply:?}"),
        }
    }
    let number = CardNumber::parse(&card("match_transfer_pending")).unwrap();
    let request = TransferRequest::one_fen("rbd_t-1", &number, &holder, "REBIND ABC234", true);
    assert_eq!(
        client.query_transfer("rbd_t-1").await,
        QueryOutcome::NeverSeen
    );
    assert_eq!(
        client.transfer(&request).await,
        Reply::Answer(TransferOutcome::Pending)
    );
    assert_eq!(
        client.query_transfer("rbd_t-1").await,
        QueryOutcome::Answer(TransferOutcome::Pending)
    );
    assert_eq!(
        client.query_transfer("rbd_t-1").await,
        QueryOutcome::Answer(TransferOutcome::Succeeded)
    );
}

/// A minimal gateway that serves one request. It answers a lost reply with 502.
async fn gateway(mut stream: TcpStream, sandbox: Arc<Sandbox>) {
    let mut bytes = Vec::new();
    let (head, body_at, length) = loop {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0);
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            break (head, end + 4, length);
        }
    };
    let mut event = unsigned(
        head.split(' ').nth(1).unwrap(),
        std::str::from_utf8(&bytes[body_at..body_at + length]).unwrap(),
    );
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    event.headers = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let reply = match sandbox.bank.handle(&event).await {
        Ok(reply) => format!(
            "HTTP/1.1 {} X\r\n{SIGNATURE_HEADER}: {}\r\ncontent-length: {}\r\n\r\n{}",
            reply.status_code,
            reply.headers[SIGNATURE_HEADER],
            reply.body.len(),
            reply.body
        ),
        Err(ReplyLost) => "HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(reply.as_bytes()).await.unwrap();
}
