//! Tests the client against a minimal bank on a socket, which produces each fault exactly.

use super::*;
use crate::BankKey;
use crate::protocol::{CheckOutcome, ReturnReason};
use crate::signature::{SIGNATURE_HEADER, TIME_HEADER, sign_reply, verify_request};
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use partner::client::MAX_REPLY_BYTES;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[path = "port_tests.rs"]
mod port;

const SERIAL: &str = "rbd_1-1";
const SHORT: Limits = Limits {
    connect: Duration::from_millis(300),
    ask: Duration::from_millis(300),
    query: Duration::from_millis(300),
};

fn key() -> BankKey {
    BankKey::from_secret_text(&"k".repeat(64)).unwrap()
}

fn check_request() -> CheckRequest {
    let (card, holder) = payee();
    let id_number = IdNumber::parse(DocumentType::ResidentId, "110105196302111073").unwrap();
    let phone = Phone::parse("13900000001").unwrap();
    CheckRequest::new(SERIAL, &card, &holder, &id_number, &phone)
}

fn payee() -> (CardNumber, PersonName) {
    let card = CardNumber::parse("6222020000009001009").unwrap();
    (card, PersonName::new("测试商户一"))
}

/// How the bank reacts to a complete request.
#[derive(Clone)]
enum Behavior {
    /// Status and body with a valid signature.
    Signed(u16, String),
    /// Exactly these bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Signed with another key.
    SignedBy(BankKey, String),
    /// A reply signed for another request.
    SignedForAnother(String),
    /// No reply, and the connection stays open.
    Silence,
    /// The head of a reply, then no more bytes.
    HeadOnly,
}

struct ReceivedRequest {
    path: String,
    time: String,
    signature: String,
    body: Vec<u8>,
}

struct FakeBank {
    url: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl FakeBank {
    async fn start(behavior: Behavior) -> Self {
        Self::start_with(behavior.clone(), behavior).await
    }

    /// Starts a bank with a separate behavior for queries by serial.
    async fn start_with(behavior: Behavior, query: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stage", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let behaviors = (behavior.clone(), query.clone());
                tokio::spawn(serve(stream, behaviors, Arc::clone(&log)));
            }
        });
        Self { url, received }
    }

    fn client(&self) -> BankClient {
        BankClient::with_limits(&self.url, KeyRing::fixed(key()), SHORT).unwrap()
    }

    fn requests(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    (behavior, query): (Behavior, Behavior),
    log: Arc<Mutex<Vec<ReceivedRequest>>>,
) {
    let request = read_request(&mut stream).await;
    let behavior = if request.path.ends_with("/query") {
        query
    } else {
        behavior
    };
    let request_signature = request.signature.clone();
    log.lock().unwrap().push(request);
    let reply = match behavior {
        Behavior::Signed(status, body) => {
            let signature = sign_reply(&key(), &request_signature, status, body.as_bytes());
            http_reply(status, &signature, &body)
        }
        Behavior::SignedBy(key, body) => {
            let signature = sign_reply(&key, &request_signature, 200, body.as_bytes());
            http_reply(200, &signature, &body)
        }
        Behavior::SignedForAnother(body) => {
            let signature = sign_reply(&key(), &"0".repeat(64), 200, body.as_bytes());
            http_reply(200, &signature, &body)
        }
        Behavior::Raw(bytes) => bytes,
        Behavior::Silence => return std::future::pending().await,
        Behavior::HeadOnly => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{";
            stream.write_all(head).await.unwrap();
            return std::future::pending().await;
        }
    };
    // A client may close the connection before it has read everything.
    let _ = stream.write_all(&reply).await;
}

fn http_reply(status: u16, signature: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn read_request(stream: &mut TcpStream) -> ReceivedRequest {
    let mut bytes = Vec::new();
    let head_end = loop {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(read > 0, "the request ended inside its head");
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap()
    };
    let length: usize = header("content-length").parse().unwrap();
    while bytes.len() < head_end + length {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
    }
    ReceivedRequest {
        path: head.split(' ').nth(1).unwrap().to_owned(),
        time: header(TIME_HEADER),
        signature: header(SIGNATURE_HEADER),
        body: bytes[head_end..].to_vec(),
    }
}

fn outcome(name: &str) -> String {
    format!(r#"{{"serial":"{SERIAL}","outcome":"{name}"}}"#)
}

#[tokio::test]
async fn request_is_signed_and_signed_answer_is_accepted() {
    let bank = FakeBank::start(Behavior::Signed(200, outcome("match"))).await;
    let client = bank.client();
    assert_eq!(
        client.check(&check_request()).await,
        Reply::Answer(CheckResult::new(CheckOutcome::Match, None))
    );
    let request = bank.received.lock().unwrap().pop().unwrap();
    assert_eq!(request.path, "/stage/check");
    let now: i64 = request.time.parse().unwrap();
    verify_request(
        &key(),
        "/check",
        Some(&request.time),
        Some(&request.signature),
        &request.body,
        now,
    )
    .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["card_number"], "6222020000009001009");
    assert_eq!(body["holder_name"], "测试商户一");
}

#[tokio::test]
async fn each_operation_accepts_its_own_answer_only() {
    let bank = FakeBank::start(Behavior::Signed(200, outcome("unknown_serial"))).await;
    assert_eq!(
        bank.client().query_check(SERIAL).await,
        QueryOutcome::NeverSeen
    );
    // The same body is not a valid answer to the check itself.
    assert_eq!(bank.client().check(&check_request()).await, Reply::Unknown);

    let bank = FakeBank::start(Behavior::Signed(200, outcome("busy"))).await;
    assert_eq!(
        bank.client().query_check(SERIAL).await,
        QueryOutcome::Answer(CheckResult::new(CheckOutcome::Busy, None))
    );

    let returned = r#"{"serial":"rbd_1-1","status":"returned","reason":"name_mismatch"}"#;
    let bank = FakeBank::start(Behavior::Signed(200, returned.to_owned())).await;
    let (card, holder) = payee();
    let request = TransferRequest::one_fen(SERIAL, &card, &holder, "ABC234", true);
    let expected = TransferOutcome::Returned(ReturnReason::NameMismatch);
    assert_eq!(
        bank.client().transfer(&request).await,
        Reply::Answer(expected)
    );
    assert_eq!(
        bank.client().query_transfer(SERIAL).await,
        QueryOutcome::Answer(expected)
    );
    assert_eq!(
        bank.client().query_check(SERIAL).await,
        QueryOutcome::Unknown
    );

    let unknown = r#"{"serial":"rbd_1-1","status":"unknown_serial"}"#;
    let bank = FakeBank::start(Behavior::Signed(200, unknown.to_owned())).await;
    assert_eq!(
        bank.client().query_transfer(SERIAL).await,
        QueryOutcome::NeverSeen
    );
    assert_eq!(bank.client().transfer(&request).await, Reply::Unknown);
}

#[tokio::test]
async fn faulty_reply_is_unknown_and_sent_once() {
    let stranger = BankKey::from_secret_text(&"x".repeat(64)).unwrap();
    let matched = outcome("match");
    let signed = |body: &str| Behavior::Signed(200, body.to_owned());
    let status = |status| Behavior::Signed(status, outcome("match"));
    let raw = |text: &str| Behavior::Raw(text.as_bytes().to_vec());
    let unsigned = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{matched}",
        matched.len()
    );
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /stage/check\r\ncontent-length: 0\r\n\r\n";
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(64)
    );
    let (garbled, dropped) = ("not a valid answer", "no connection");
    let cases = [
        (garbled, signed("<html>busy</html>")),
        (garbled, signed("{}")),
        (garbled, signed(&outcome("approved"))),
        (garbled, signed("")),
        ("an answer to another", signed(&matched.replace("-1", "-2"))),
        ("not signed", raw(&unsigned)),
        ("not signed", Behavior::SignedBy(stranger, matched.clone())),
        ("not signed", Behavior::SignedForAnother(matched.clone())),
        ("status 201", status(201)),
        ("status 302", raw(redirect)),
        ("status 400", status(400)),
        ("status 401", status(401)),
        (
            "status 404",
            Behavior::Signed(404, outcome("unknown_serial")),
        ),
        ("status 500", status(500)),
        ("status 502", Behavior::Signed(502, String::new())),
        (
            "more than",
            signed(&format!("{matched}{}", " ".repeat(MAX_REPLY_BYTES))),
        ),
        ("more than", Behavior::Raw(endless.into_bytes())),
        (dropped, raw("")),
        (dropped, raw("HTTP/1.1 200 OK\r\nconte")),
        (
            dropped,
            raw("HTTP/1.1 200 OK\r\ncontent-length: 39\r\n\r\n{\"serial\""),
        ),
        (dropped, raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("no reply", Behavior::Silence),
        ("incomplete reply", Behavior::HeadOnly),
    ];
    for (name, behavior) in cases {
        let is_silent = matches!(behavior, Behavior::Silence | Behavior::HeadOnly);
        let bank = FakeBank::start(behavior).await;
        let client = bank.client();
        let started = Instant::now();
        assert_eq!(
            client.check(&check_request()).await,
            Reply::Unknown,
            "{name}"
        );
        assert_eq!(bank.requests(), 1, "{name}: sent more than once");
        assert_eq!(
            client.query_check(SERIAL).await,
            QueryOutcome::Unknown,
            "{name}"
        );
        assert_eq!(bank.requests(), 2, "{name}: sent more than once");
        assert!(started.elapsed() < Duration::from_secs(3), "{name}");
        if !is_silent {
            // Check that the reply was rejected for the expected reason.
            let request = check_request();
            let answer = client.answer::<CheckAnswer>("/check", SERIAL, &request, SHORT.ask);
            let fault = answer.await.err().unwrap();
            assert!(fault.to_string().starts_with(name), "{name}: {fault}");
            let is_alarm = ["status 40", "not signed", "an answer to another"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            assert_eq!(fault.is_alarm(), is_alarm, "{name}");
        }
    }
}

#[tokio::test]
async fn refused_connection_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = BankClient::with_limits(&url, KeyRing::fixed(key()), SHORT).unwrap();
    assert_eq!(client.check(&check_request()).await, Reply::Unknown);
}

#[test]
fn base_url_needs_tls_or_loopback() {
    for good in [
        "https://bank.example",
        "https://bank.example:8443/gateway/v1/",
        "http://127.0.0.1:9000/prod",
        "http://[::1]:9000",
        "http://localhost:9000",
    ] {
        assert!(BankClient::new(good, key()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "bank.example",
        "http://bank.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://127.0.0.1@bank.example",
        "ftp://127.0.0.1",
        "https://bank.example/check?x=1",
        "https://",
    ] {
        assert!(BankClient::new(bad, key()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn https_starts_with_a_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1024];
        let read = stream.read(&mut first).await.unwrap();
        first[..read].to_vec()
    });
    let client = BankClient::with_limits(&url, KeyRing::fixed(key()), SHORT).unwrap();
    assert_eq!(client.check(&check_request()).await, Reply::Unknown);
    // A TLS handshake record, version 3.x.
    assert_eq!(server.await.unwrap()[..2], [0x16, 0x03]);
}

#[test]
fn debug_output_hides_the_key() {
    let client = BankClient::new("https://bank.example", key()).unwrap();
    assert!(!format!("{client:?}").contains("kkk"));
}
