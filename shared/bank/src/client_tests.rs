//! The client against a bank that is a few lines over a socket, so that each way of going wrong is exact.

use super::*;
use crate::protocol::ReturnReason;
use crate::signature::{sign_reply, verify_request};
use domain::pii::{CardNumber, IdNumber, PersonName, Phone};
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
    let id_number = IdNumber::parse("110105196302111073").unwrap();
    let phone = Phone::parse("13900000001").unwrap();
    CheckRequest::new(SERIAL, &card, &holder, &id_number, &phone)
}

fn payee() -> (CardNumber, PersonName) {
    let card = CardNumber::parse("6222020000009001009").unwrap();
    (card, PersonName::new("测试商户一"))
}

/// What a connection does once the request is in.
#[derive(Clone)]
enum Act {
    /// Status and body, signed as the bank does.
    Signed(u16, String),
    /// These very bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Signed with another key.
    SignedBy(BankKey, String),
    /// A signed reply to another request.
    SignedForAnother(String),
    /// Nothing, and the connection stays open.
    Silence,
    /// The head of a reply, then nothing.
    HeadOnly,
}

struct Heard {
    path: String,
    time: String,
    signature: String,
    body: Vec<u8>,
}

struct FakeBank {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl FakeBank {
    async fn start(act: Act) -> Self {
        Self::start_with(act.clone(), act).await
    }

    /// One that does something else when it is asked by serial.
    async fn start_with(act: Act, query: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/stage", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acts = (act.clone(), query.clone());
                tokio::spawn(serve(stream, acts, Arc::clone(&log)));
            }
        });
        Self { url, heard }
    }

    fn client(&self) -> BankClient {
        BankClient::with_limits(&self.url, key(), SHORT).unwrap()
    }

    fn requests(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

async fn serve(mut stream: TcpStream, (act, query): (Act, Act), log: Arc<Mutex<Vec<Heard>>>) {
    let heard = read_request(&mut stream).await;
    let act = if heard.path.ends_with("/query") {
        query
    } else {
        act
    };
    let request_signature = heard.signature.clone();
    log.lock().unwrap().push(heard);
    let reply = match act {
        Act::Signed(status, body) => {
            let signature = sign_reply(&key(), &request_signature, status, body.as_bytes());
            http_reply(status, &signature, &body)
        }
        Act::SignedBy(key, body) => {
            let signature = sign_reply(&key, &request_signature, 200, body.as_bytes());
            http_reply(200, &signature, &body)
        }
        Act::SignedForAnother(body) => {
            let signature = sign_reply(&key(), &"0".repeat(64), 200, body.as_bytes());
            http_reply(200, &signature, &body)
        }
        Act::Raw(bytes) => bytes,
        Act::Silence => return std::future::pending().await,
        Act::HeadOnly => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{";
            stream.write_all(head).await.unwrap();
            return std::future::pending().await;
        }
    };
    // A client that has had enough closes first; that is not this side's business.
    let _ = stream.write_all(&reply).await;
}

fn http_reply(status: u16, signature: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} X\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn read_request(stream: &mut TcpStream) -> Heard {
    let mut bytes = Vec::new();
    let head_end = loop {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(read > 0, "the request ended in its head");
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
    Heard {
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
async fn an_answer_is_believed_and_the_request_is_signed_over_the_protocols_path() {
    let bank = FakeBank::start(Act::Signed(200, outcome("match"))).await;
    let client = bank.client();
    assert_eq!(
        client.check(&check_request()).await,
        CheckReply::Answer(CheckOutcome::Match)
    );
    let heard = bank.heard.lock().unwrap().pop().unwrap();
    assert_eq!(heard.path, "/stage/check");
    let now: i64 = heard.time.parse().unwrap();
    verify_request(
        &key(),
        "/check",
        Some(&heard.time),
        Some(&heard.signature),
        &heard.body,
        now,
    )
    .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!(body["card_number"], "6222020000009001009");
    assert_eq!(body["holder_name"], "测试商户一");
}

#[tokio::test]
async fn each_operation_reads_its_own_answer() {
    let bank = FakeBank::start(Act::Signed(200, outcome("unknown_serial"))).await;
    assert_eq!(
        bank.client().query_check(SERIAL).await,
        QueryReply::NeverSeen
    );
    // The same words are no answer to the check itself.
    assert_eq!(bank.client().check(&check_request()).await, Reply::Unknown);

    let bank = FakeBank::start(Act::Signed(200, outcome("busy"))).await;
    assert_eq!(
        bank.client().query_check(SERIAL).await,
        QueryReply::Answer(CheckOutcome::Busy)
    );

    let returned = r#"{"serial":"rbd_1-1","status":"returned","reason":"name_mismatch"}"#;
    let bank = FakeBank::start(Act::Signed(200, returned.to_owned())).await;
    let (card, holder) = payee();
    let request = TransferRequest::one_fen(SERIAL, &card, &holder, "ABC234", true);
    let expected = TransferOutcome::Returned(ReturnReason::NameMismatch);
    assert_eq!(
        bank.client().transfer(&request).await,
        Reply::Answer(expected)
    );
    assert_eq!(
        bank.client().query_transfer(SERIAL).await,
        QueryReply::Answer(expected)
    );
    assert_eq!(bank.client().query_check(SERIAL).await, QueryReply::Unknown);

    let unknown = r#"{"serial":"rbd_1-1","status":"unknown_serial"}"#;
    let bank = FakeBank::start(Act::Signed(200, unknown.to_owned())).await;
    assert_eq!(
        bank.client().query_transfer(SERIAL).await,
        QueryReply::NeverSeen
    );
    assert_eq!(bank.client().transfer(&request).await, Reply::Unknown);
}

#[tokio::test]
async fn whatever_cannot_be_believed_is_unknown_and_is_asked_once() {
    let stranger = BankKey::from_secret_text(&"x".repeat(64)).unwrap();
    let matched = outcome("match");
    let signed = |body: &str| Act::Signed(200, body.to_owned());
    let status = |status| Act::Signed(status, outcome("match"));
    let raw = |text: &str| Act::Raw(text.as_bytes().to_vec());
    let unsigned = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{matched}",
        matched.len()
    );
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /stage/check\r\ncontent-length: 0\r\n\r\n";
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("400\r\n{}\r\n", "x".repeat(1024)).repeat(64)
    );
    let (garbled, dropped) = ("not an answer", "no connection");
    let cases = [
        (garbled, signed("<html>busy</html>")),
        (garbled, signed("{}")),
        (garbled, signed(&outcome("approved"))),
        (garbled, signed("")),
        (
            "the answer to another",
            signed(&matched.replace("-1", "-2")),
        ),
        ("not signed", raw(&unsigned)),
        ("not signed", Act::SignedBy(stranger, matched.clone())),
        ("not signed", Act::SignedForAnother(matched.clone())),
        ("status 201", status(201)),
        ("status 302", raw(redirect)),
        ("status 400", status(400)),
        ("status 401", status(401)),
        ("status 404", Act::Signed(404, outcome("unknown_serial"))),
        ("status 500", status(500)),
        ("status 502", Act::Signed(502, String::new())),
        (
            "more than",
            signed(&format!("{matched}{}", " ".repeat(MAX_REPLY_BYTES))),
        ),
        ("more than", Act::Raw(endless.into_bytes())),
        (dropped, raw("")),
        (dropped, raw("HTTP/1.1 200 OK\r\nconte")),
        (
            dropped,
            raw("HTTP/1.1 200 OK\r\ncontent-length: 39\r\n\r\n{\"serial\""),
        ),
        (dropped, raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("silence", Act::Silence),
        ("half a reply, then silence", Act::HeadOnly),
    ];
    for (name, act) in cases {
        let is_silent = matches!(act, Act::Silence | Act::HeadOnly);
        let bank = FakeBank::start(act).await;
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
            QueryReply::Unknown,
            "{name}"
        );
        assert_eq!(bank.requests(), 2, "{name}: sent more than once");
        assert!(started.elapsed() < Duration::from_secs(3), "{name}");
        if !is_silent {
            // Unknown for the reason that the case is about, not for another.
            let request = check_request();
            let exchange = client.exchange::<CheckAnswer>("/check", SERIAL, &request);
            let fault = exchange.await.unwrap_err();
            assert!(fault.to_string().starts_with(name), "{name}: {fault}");
            let is_alarm = ["status 40", "not signed", "the answer to another"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            assert_eq!(fault.is_alarm(), is_alarm, "{name}");
        }
    }
}

#[tokio::test]
async fn no_bank_at_all_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = BankClient::with_limits(&url, key(), SHORT).unwrap();
    assert_eq!(client.check(&check_request()).await, Reply::Unknown);
}

#[test]
fn card_numbers_go_over_tls_or_nowhere() {
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
async fn https_is_tls_from_the_first_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1024];
        let read = stream.read(&mut first).await.unwrap();
        first[..read].to_vec()
    });
    let client = BankClient::with_limits(&url, key(), SHORT).unwrap();
    assert_eq!(client.check(&check_request()).await, Reply::Unknown);
    // A handshake record, version 3.x.
    assert_eq!(server.await.unwrap()[..2], [0x16, 0x03]);
}

#[test]
fn the_client_does_not_print_its_key() {
    let client = BankClient::new("https://bank.example", key()).unwrap();
    assert!(!format!("{client:?}").contains("kkk"));
}
