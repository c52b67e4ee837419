//! Insiders: between us and the bank, at the table without its keys or with a few of them, at the stream function.

use crate::{Item, NAME, OTHER, POLICY, ask, item_of, kept_of, put_item, refused};
use api::event::Request;
use application::crypto::{HashPurpose, Keys};
use application::ports::HashKey;
use aws_sdk_dynamodb::types::AttributeValue;
use bank::signature::{SIGNATURE_HEADER, TIME_HEADER, sign_reply, sign_request};
use bank::{BankClient, BankKey};
use domain::error_code::ErrorCode;
use domain::history::canonical;
use jose::receiver::Receiver;
use proof::export::{ChainHead, Export, ExportedEvent, Why, verify};
use sandbox_bank::handler::Bank;
use sandbox_bank::keys::BankKeys;
use sandbox_bank::rule::CardBook;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tests::anchoring::LOG_NAME;
use tests::iam_policy::Context;
use tests::in_process::{App, InProcess, RECORD_TABLE, table_of};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, merchant};
use tests::scenario;
use transparency::history::Entry;
use verification::Verification;

/// The functions with a role of their own.
const FUNCTIONS: [&str; 12] = [
    "login",
    "cards",
    "rebind-request",
    "verification",
    "agreement",
    "settlement",
    "freezes",
    "payouts",
    "confirmation-notice",
    "events",
    "cooldown-cleanup",
    "anchor",
];

/// The forgeries that an attacker between us and the bank can make of a reply.
#[derive(Clone, Copy, Debug)]
enum Forgery {
    Unsigned,
    OtherKey,
    OfAnotherRequest,
    OverAnotherBody,
    TheRequestsOwn,
    OtherStatus,
    OtherSerial,
    Garbled,
    TooLong,
    Nested,
    /// The bank's own reply, which is accepted.
    None,
}

/// A bank behind an attacker who forges its replies.
struct Forger {
    url: String,
    forgery: Arc<Mutex<Forgery>>,
}

impl Forger {
    fn start(key: BankKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let forgery = Arc::new(Mutex::new(Forgery::Unsigned));
        let now = Arc::clone(&forgery);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let forgery = *now.lock().unwrap();
                // The client may hang up on a forged reply.
                let _ = reply(stream.unwrap(), &key, forgery);
            }
        });
        Self { url, forgery }
    }
}

fn reply(mut stream: TcpStream, key: &BankKey, forgery: Forgery) -> std::io::Result<()> {
    let (head, request) = read_request(&mut stream)?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let asked = header(SIGNATURE_HEADER);
    let serial = match forgery {
        Forgery::OtherSerial => "rbd_000001bbbbbbbbbbbbbbbb-1",
        _ => request["serial"].as_str().unwrap(),
    };
    let body = match forgery {
        Forgery::Garbled => "{\"serial\":".to_owned(),
        Forgery::TooLong => format!(
            "{}{}",
            json!({"serial": serial, "outcome": "match"}),
            " ".repeat(8_192)
        ),
        Forgery::Nested => "[".repeat(4_000),
        _ => json!({"serial": serial, "outcome": "match"}).to_string(),
    };
    let sign = |request: &str, body: &str| sign_reply(key, request, 200, body.as_bytes());
    let other = BankKey::from_secret_text(&"o".repeat(64)).unwrap();
    let signature = match forgery {
        Forgery::Unsigned => String::new(),
        Forgery::OtherKey => sign_reply(&other, &asked, 200, body.as_bytes()),
        Forgery::OfAnotherRequest => sign(&"0".repeat(64), &body),
        Forgery::OverAnotherBody => sign(
            &asked,
            &json!({"serial": serial, "outcome": "mismatch"}).to_string(),
        ),
        Forgery::TheRequestsOwn => asked.clone(),
        _ => sign(&asked, &body),
    };
    let status = match forgery {
        Forgery::OtherStatus => "201 Created",
        _ => "200 OK",
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Value)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        let read = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return Ok((head.to_owned(), body));
        }
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[tokio::test]
async fn forged_bank_replies() {
    let (world, app) = InProcess::with(NAME).await;
    let key = BankKey::from_secret_text(&"k".repeat(64)).unwrap();
    let forger = Forger::start(key.clone());
    let client = BankClient::new(&forger.url, key).unwrap();
    let function = Verification::new(world.store(), world.keys(), world.sms.clone(), client);
    let rebind = app.to_card_pending(GOOD_CARD).await;
    let path = format!("{rebind}/card-check");
    for forgery in [
        Forgery::Unsigned,
        Forgery::OtherKey,
        Forgery::OfAnotherRequest,
        Forgery::OverAnotherBody,
        Forgery::TheRequestsOwn,
        Forgery::OtherStatus,
        Forgery::OtherSerial,
        Forgery::Garbled,
        Forgery::TooLong,
        Forgery::Nested,
    ] {
        *forger.forgery.lock().unwrap() = forgery;
        let answer = ask(&function, &app, &path, Value::Null).await;
        let got = (answer.status, answer.code());
        assert_eq!(
            got,
            (502, "UPSTREAM_UNKNOWN"),
            "{forgery:?}: {:?}",
            answer.body
        );
        assert!(world.sms.to(RESERVED_PHONE).is_empty(), "{forgery:?}");
        assert!(
            world.stored(NAME).await.state.bank_calls.is_empty(),
            "{forgery:?}"
        );
    }
    *forger.forgery.lock().unwrap() = Forgery::None;
    ask(&function, &app, &path, Value::Null)
        .await
        .has("/challenge/method", "bank_code");
    // No bank URL is accepted on which others could listen.
    for url in [
        "http://bank.example",
        "http://203.0.113.1/check",
        "ftp://127.0.0.1",
        "https://bank.example/?a=b",
    ] {
        let key = BankKey::from_secret_text(&"k".repeat(64)).unwrap();
        assert!(BankClient::new(url, key).is_err(), "{url}");
    }
}

/// Replaces an item's ciphertext with another one.
fn with_sealed(mut item: Item, name: &str, sealed: &AttributeValue) -> Item {
    item.insert(name.to_owned(), sealed.clone());
    item
}

#[tokio::test]
async fn ciphertext_swapped_between_merchants() {
    const FIRST: &str = "R#000001";
    let world = InProcess::start().await;
    let victim = world.log_in(NAME).await;
    let thief = world.log_in(OTHER).await;
    let rebind = victim.to_card_pending(GOOD_CARD).await;
    thief.to_card_pending(SECOND_CARD).await;
    let own = item_of(&world, NAME, FIRST).await;
    let of_thief = item_of(&world, OTHER, FIRST).await["number"].clone();
    let check = async |app: &App| app.check_card(&rebind).await;
    // The thief's card in the victim's rebind, so that the victim's agreement and OTPs would activate it. Also one of the
    // victim's own cards in place of another.
    let cards = kept_of(&world, NAME).await;
    let is_card = |item: &&Item| item["sk"].as_s().unwrap().starts_with("C#");
    let active = cards.iter().find(is_card).unwrap()["number"].clone();
    for sealed in [of_thief, active, AttributeValue::B(vec![1; 64].into())] {
        put_item(&world, with_sealed(own.clone(), "number", &sealed)).await;
        refused(&check(&victim).await, 500, "INTERNAL");
    }
    put_item(&world, own).await;
    // The thief's ID number in the victim's profile.
    let profile = item_of(&world, NAME, "Z").await;
    let papers = item_of(&world, OTHER, "Z").await["id_sealed"].clone();
    put_item(&world, with_sealed(profile.clone(), "id_sealed", &papers)).await;
    refused(&check(&victim).await, 500, "INTERNAL");
    put_item(&world, profile).await;
    assert!(world.bank.serials().is_empty(), "the bank is not called");
    assert!(
        world.stored(NAME).await.state.bank_calls.is_empty(),
        "no bank call is counted"
    );
    check(&victim).await.ok(200);
}

#[tokio::test]
async fn phone_on_file_rewritten_by_a_function() {
    let (world, app) = InProcess::with(NAME).await;
    let (pk, sk) = (format!("M#mer_{NAME}"), "Z".to_owned());
    let key = [("pk", &pk), ("sk", &sk)];
    let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())));
    let record = world.item(key.into()).await;
    let state = record["state"].as_s().unwrap();
    assert!(state.contains(&app.profile.phone), "the phone on file");
    // A function in the thief's hands can send whatever its role permits, here also for the password in the account.
    for (pk, sk) in [(pk, sk), ("A#account".to_owned(), "A".to_owned())] {
        let table = match table_of(&pk, &sk) {
            RECORD_TABLE => "RecordTableArn.Value",
            _ => "MainTableArn.Value",
        };
        let context = Context {
            leading_keys: vec![pk],
            ..Context::default()
        };
        for function in FUNCTIONS {
            for action in ["PutItem", "UpdateItem", "DeleteItem"] {
                let action = format!("dynamodb:{action}");
                let may = world.iam.authorize(function, &action, table, &context);
                assert!(may.is_err(), "{function} {action}");
            }
        }
    }
}

#[tokio::test]
async fn event_injected_into_stream_function() {
    let (world, app, _) = scenario::activated(NAME).await;
    world.deliver_due().await;
    let texts = world.sms.to(&app.profile.phone);
    let other = world.log_in(OTHER).await;
    other.request(SECOND_CARD).await;
    let keys = |pk: &str, sk: &str| json!({"pk": {"S": pk}, "sk": {"S": sk}});
    let record = |keys: Value| {
        // Every field that a notification's record can have, all forged.
        let image = json!({
            "pk": keys["pk"], "sk": keys["sk"], "kind": {"S": "activated"}, "notice": {"S": "due"},
            "to_on_file": {"S": "+8613812345678"}, "to_reserved": {"S": "+8613812345678"}, "to_push": {"S": ""},
            "data": {"S": "{\"bank_code\":\"ICBC\",\"last4\":\"6666\",\"effective_at\":\"2030-01-01T00:00:00Z\",\"rebind_id\":\"rbd_000001bbbbbbbbbbbbbbbb\"}"},
        });
        json!({"eventID": "made up", "eventName": "INSERT", "eventSource": "thief", "dynamodb": {
            "SequenceNumber": "1", "Keys": keys, "NewImage": image,
        }})
    };
    let sent = world.history(NAME).await.len();
    let injected = [
        // Sent already, unknown, of an unknown merchant, without a notification, not an event.
        record(keys("M#mer_plain_1", &format!("E#{sent:010}"))),
        record(keys("M#mer_plain_1", "E#0000009999")),
        record(keys("M#mer_plain_1", "E#+1")),
        record(keys("M#mer_plain_1", "E#1")),
        record(keys("M#mer_plain_1", "E#18446744073709551615")),
        record(keys("M#mer_nobody", "E#0000000001")),
        record(keys("M#mer_plain_2", "E#0000000001")),
        record(keys("M#mer_plain_1", "Y")),
        record(keys("M#mer_plain_1", "R#000001")),
        record(keys("A#mer_plain_1", "E#0000000001")),
        record(keys("M#mer_a#b", "E#0000000001")),
        record(json!({"pk": {"N": "1"}, "sk": {"S": "E#0000000001"}})),
        record(json!(["M#mer_plain_1", "E#0000000001"])),
        record(Value::Null),
        json!({"eventName": "REMOVE", "userIdentity": {"type": "Service"}, "dynamodb": {"Keys": keys("M#mer_plain_1", "E#0000000001")}}),
        json!({"body": record(keys("M#mer_plain_1", "E#0000000001")).to_string(), "eventSource": "aws:sqs"}),
        json!({"Sns": {"Message": "{}"}}),
        json!([[[]]]),
        json!("record"),
        Value::Null,
    ];
    let before = world.items().await;
    for one in &injected {
        let reply = world.deliver(json!({"Records": [one]}), world.now()).await;
        assert_eq!(reply, json!({"batchItemFailures": []}), "{one}");
    }
    let same = |mut items: Vec<Item>| {
        items.sort_by_key(|item| {
            (
                item["pk"].as_s().cloned().ok(),
                item["sk"].as_s().cloned().ok(),
            )
        });
        items
    };
    assert!(
        same(world.items().await) == same(before),
        "injected records cause no write"
    );
    assert_eq!(
        world.sms.to(&app.profile.phone),
        texts,
        "no notification is repeated"
    );
    assert!(world.sms.to("+8613812345678").is_empty());
    // Among these records, a real due notification is sent once, to its recipient.
    let mut batch = injected.to_vec();
    let settings = other.get("/v1/settlement").await;
    let mut settings = settings.body;
    settings["payout_time"] = json!("09:00");
    other.put("/v1/settlement", settings).await.ok(200);
    let due = world.due_notifications().await["Records"][0].clone();
    batch.insert(10, due);
    world.deliver(json!({"Records": batch}), world.now()).await;
    assert_eq!(world.sms.to(&other.profile.phone).len(), 1);
}

/// Each hash that a role with the look-up key alone can compute of a guess, over every purpose.
async fn hashes_of(world: &Arc<InProcess>, guess: &[&str]) -> Vec<String> {
    let insider = Keys::new(world.key_service().with_only(&[HashKey::LookUp]));
    let mut hashes = Vec::new();
    for purpose in HashPurpose::ALL {
        if let Ok(mac) = insider.mac(purpose, guess).await {
            hashes.push(mac.0.split_once('.').unwrap().1.to_owned());
        }
    }
    hashes
}

/// Whether the table holds one of these hashes.
async fn is_stored(world: &Arc<InProcess>, hashes: &[String]) -> bool {
    let table = format!("{:?}", world.items().await);
    hashes.iter().any(|hash| table.contains(hash))
}

#[tokio::test]
async fn numbers_computed_with_the_look_up_key() {
    const ACTIVE_CARD: &str = "6222020000008000010";
    let (world, app) = InProcess::with(NAME).await;
    app.to_card_pending(GOOD_CARD).await;
    let document = app.profile.document_number.clone();
    let phone = app.profile.phone.clone();
    let known = world.keys().mac(HashPurpose::Card, &[ACTIVE_CARD]).await;
    let known = known.unwrap().0;
    assert!(is_stored(&world, &[known]).await, "the hash is there");
    for guess in [ACTIVE_CARD, GOOD_CARD, &document, &phone] {
        let hashes = hashes_of(&world, &[guess]).await;
        assert!(
            !hashes.is_empty() && !is_stored(&world, &hashes).await,
            "{guess}"
        );
    }
    // What the key is for.
    let accounts = hashes_of(&world, &[&app.profile.account]).await;
    assert!(is_stored(&world, &accounts).await);
}

#[tokio::test]
async fn body_guessed_from_its_stored_fingerprint() {
    let (world, app) = InProcess::with(NAME).await;
    let id = merchant(NAME).merchant_id();
    let body = app.request_body(GOOD_CARD);
    let created = app.keyed("a", "/v1/rebinds", body.clone()).await.ok(201);
    let rebind = tests::merchant::rebind_path(&created);
    let document = app.document();
    let identity = format!("{rebind}/identity");
    app.keyed("b", &identity, document.clone()).await.ok(200);
    let otp = json!({"code": world.sms.code(&app.profile.phone)});
    let confirm = format!("{rebind}/identity/confirm");
    app.keyed("c", &confirm, otp.clone()).await.ok(200);
    for guess in [body, document, otp] {
        let hashes = hashes_of(&world, &[id.as_str(), &canonical(&guess)]).await;
        assert!(
            !hashes.is_empty() && !is_stored(&world, &hashes).await,
            "{guess}"
        );
    }
    // A body without a secret is under the look-up key.
    let settings = app.get("/v1/settlement").await.ok(200);
    let path = "/v1/settlement";
    app.call_keyed("d", "PUT", path, settings.clone())
        .await
        .ok(200);
    let hashes = hashes_of(&world, &[id.as_str(), &canonical(&settings)]).await;
    assert!(is_stored(&world, &hashes).await);
}

#[tokio::test]
async fn money_sent_with_a_stolen_bank_key() {
    const CARD: &str = "6222020000009001009";
    let world = InProcess::start().await;
    let key = |text: &str| BankKey::from_secret_text(&text.repeat(64)).unwrap();
    let (ask, query) = (key("a"), key("q"));
    let keys = BankKeys {
        ask: vec![ask.clone()],
        query: vec![query.clone()],
        hashes: ask.clone(),
    };
    let store = sandbox_bank::store::Store::new(world.client.clone(), world.table.clone());
    let bank = Bank::new(CardBook::sandbox().unwrap(), keys, store);
    let send = async |key: &BankKey, path: &str, body: Value| {
        let body = body.to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let time = now.as_secs().to_string();
        let signature = sign_request(key, path, &time, body.as_bytes());
        let request = Request {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: [
                (TIME_HEADER.to_owned(), time),
                (SIGNATURE_HEADER.to_owned(), signature),
            ]
            .into(),
            body: Some(body.into_bytes()),
            ..Request::default()
        };
        bank.handle(&request).await.unwrap().status_code
    };
    let transfer = |serial: &str, amount_fen: u64| {
        json!({
            "serial": serial, "card_number": CARD, "holder_name": "thief",
            "amount_fen": amount_fen, "descriptor": "A", "check_name": false,
        })
    };
    // The clean-up's key: no money and no question about a card.
    for amount_fen in [1, 10_000_000] {
        let status = send(&query, "/transfer", transfer("rbd_1-t1", amount_fen)).await;
        assert_eq!(status, 401, "{amount_fen}");
    }
    let question = json!({
        "serial": "rbd_1-1", "card_number": CARD, "holder_name": "thief",
        "id_number": "110105196302111073", "phone": RESERVED_PHONE,
    });
    assert_eq!(send(&query, "/check", question).await, 401);
    // The key of `verification`: nothing but single fen.
    for amount_fen in [2, 10_000_000, u64::MAX] {
        let status = send(&ask, "/transfer", transfer("rbd_1-t1", amount_fen)).await;
        assert_eq!(status, 400, "{amount_fen}");
    }
    let serial = json!({"serial": "rbd_1-t1"});
    assert_eq!(send(&query, "/transfer/query", serial).await, 200);
    assert_eq!(send(&ask, "/transfer", transfer("rbd_1-t1", 1)).await, 200);
}

/// An operation of the core system on one payout.
fn payout(operation: &str) -> Value {
    json!({"operation": operation, "merchant_id": format!("mer_{NAME}"), "payout_id": "pay_1"})
}

async fn create_payout(world: &InProcess) {
    let mut create = payout("create_payout");
    create["amount_fen"] = json!(1);
    world.core(create).await.unwrap();
}

/// Who deploys the stack sets `CoreEncryptionKeys` to a key of their own, and invokes `payouts`.
#[tokio::test]
async fn card_numbers_redirected_by_a_deployment() {
    let world = InProcess::staged("production").await;
    create_payout(&world).await;
    let own = Receiver::generate("core-1").unwrap().public_set();
    let paid = world.core_with_keys(&own, payout("payout_sending"));
    let refused = paid.await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::CoreKeyInvalid);
    assert_eq!(world.count(NAME, "payout_sending").await, 0);
}

/// Who may invoke `payouts` keeps one payout open, to read its card number whenever needed.
#[tokio::test]
async fn card_number_released_again_and_again() {
    let world = InProcess::start().await;
    create_payout(&world).await;
    for _ in 0..POLICY.releases_per_day {
        world.core(payout("payout_sending")).await.unwrap();
    }
    let refused = world.core(payout("payout_sending")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ReleaseLimit);
    assert_eq!(world.count(NAME, "payout_released").await, 4);
}

#[tokio::test]
async fn history_rewritten_with_all_hashes() {
    let (world, _, _) = scenario::activated(NAME).await;
    let merchant = merchant(NAME).merchant_id();
    let history = world.history(NAME).await;
    let mut events: Vec<ExportedEvent> = history.iter().filter_map(ExportedEvent::of).collect();
    assert!(events.len() > 5);
    let pseudonym = world.store().pseudonym(&merchant).await.unwrap().unwrap();
    for event in &events {
        let entry = Entry {
            hash: event.hash,
            pseudonym,
            seq: event.seq,
        };
        world.log.queue.send(entry.canonical());
    }
    world.anchor().await;
    let key = world.log.key();
    let reader = world.log.reader(&key);
    let head = reader.newest(0).await.unwrap().unwrap();
    let mut proofs = reader.proofs(&pseudonym, &head).await.unwrap();
    // The insider moves an event by a minute, and computes all later hashes again.
    events[2].at += 60;
    let mut previous = events[1].hash;
    for event in &mut events[2..] {
        event.prev_hash = previous;
        event.hash = event.computed_hash(merchant.as_str());
        previous = event.hash;
    }
    let file = Export {
        merchant_id: merchant.to_string(),
        head: ChainHead {
            sequence: events.last().unwrap().seq,
            hash: previous,
        },
        proof: proofs.pop().unwrap(),
        earlier: proofs,
        checkpoint: head.note,
        consistency: None,
        personal: Vec::new(),
        events,
    };
    let broken = verify(&file, &key, LOG_NAME, None).unwrap_err();
    assert_eq!(
        (broken.sequence, broken.why),
        (3, Why::Rewritten { from: 3 })
    );
}
