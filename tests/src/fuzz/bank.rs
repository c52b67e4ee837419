//! The bank: its replies to the bank client over a real connection, its authentication of requests, and the sandbox's bank.

use super::text;
use crate::dynamodb_table::{Items, Table};
use api::event::Request;
use application::clock::wall_clock;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_dynamodb::{Client, Config};
use bank::protocol::path;
use bank::sandbox::person_items;
use bank::signature::{
    MAX_SKEW_S, SIGNATURE_HEADER, TIME_HEADER, sign_reply, sign_request, verify_request,
};
use bank::{
    BankClient, BankKey, CheckRequest, QueryOutcome, Reply, TransferOutcome, TransferRequest,
};
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sandbox_bank::handler::Bank;
use sandbox_bank::keys::BankKeys;
use sandbox_bank::rule::CardBook;
use sandbox_bank::store::Store;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const KEY: [u8; 64] = [b'k'; 64];
const SERIAL: &str = "rbd_1-1";
const NAME: &str = "测试商户一";
const ID_NUMBER: &str = "110105196302111073";
/// The maximum length of a reply that the client reads.
const REPLY_MAX_BYTES: usize = 4 * 1024;

fn key() -> BankKey {
    BankKey::from_secret_text(std::str::from_utf8(&KEY).unwrap()).unwrap()
}

thread_local! {
    static CLIENT: Line = Line::new();
    static SANDBOX: Sandbox = Sandbox::new();
}

/// The bank client, and the reply of its peer.
struct Line {
    runtime: Runtime,
    client: BankClient,
    next: Arc<Mutex<Vec<u8>>>,
}

impl Line {
    fn new() -> Self {
        // A real clock: a paused one would expire timeouts while bytes are in transit.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let next: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reply = Arc::clone(&next);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let reply = reply.lock().unwrap().clone();
                // The client closes the connection once it has read enough.
                let _ = answer(stream, &reply).await;
            }
        });
        Self {
            runtime,
            client: BankClient::new(&url, key()).unwrap(),
            next,
        }
    }
}

/// The structure of a reply. The first byte selects it; the rest is the body, or the whole reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// A 200 with a signature for this request.
    Signed,
    /// A 200 with a signature for another request.
    SignedForAnother,
    /// Raw bytes.
    Raw,
}

impl How {
    const fn of(byte: u8) -> Self {
        match byte / 4 % 4 {
            0 => Self::Raw,
            1 => Self::SignedForAnother,
            _ => Self::Signed,
        }
    }
}

async fn answer(mut stream: TcpStream, reply: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head_end = loop {
        if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&request[..head_end]).to_ascii_lowercase();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while request.len() < head_end + length {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let (first, body) = reply.split_first().unwrap_or((&0, &[]));
    let signature = header(SIGNATURE_HEADER).unwrap_or_default();
    let signature = match How::of(*first) {
        How::Raw => {
            stream.write_all(body).await?;
            return stream.shutdown().await;
        }
        How::Signed => sign_reply(&key(), &signature, 200, body),
        How::SignedForAnother => sign_reply(&key(), "another", 200, body),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{SIGNATURE_HEADER}: {signature}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.shutdown().await
}

/// The bank's reply to the bank client: accepted only if the bank signed it for this very request.
pub fn bank_reply(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let accepted = CLIENT.with(|line| {
        *line.next.lock().unwrap() = data.to_vec();
        line.runtime.block_on(ask(&line.client, first % 4))
    });
    // An unread member may contain invalid text.
    let reply: Value = serde_json::from_str(&String::from_utf8_lossy(body)).unwrap_or_default();
    let member = |name: &str, at: usize| {
        reply
            .get(name)
            .or_else(|| reply.get(at))
            .and_then(Value::as_str)
    };
    let Some(accepted) = accepted else { return };
    assert!(How::of(*first) == How::Signed, "a forged reply is accepted");
    assert!(body.len() <= REPLY_MAX_BYTES);
    assert_eq!(
        member("serial", 0),
        Some(SERIAL),
        "the reply to another request is accepted"
    );
    let word = member(if first % 4 < 2 { "outcome" } else { "status" }, 1);
    assert_eq!(word, Some(accepted.as_str()));
}

/// The answer that the client accepted, as the wire word.
async fn ask(client: &BankClient, operation: u8) -> Option<String> {
    let card = CardNumber::parse("6222020000009001009").unwrap();
    let holder = PersonName::new(NAME);
    match operation {
        0 => {
            let id_number = IdNumber::parse(DocumentType::ResidentId, ID_NUMBER).unwrap();
            let phone = Phone::parse("13900000001").unwrap();
            let check = CheckRequest::new(SERIAL, &card, &holder, &id_number, &phone);
            match client.check(&check).await {
                Reply::Answer(result) => Some(word(result.outcome)),
                Reply::Unknown => None,
            }
        }
        1 => match client.query_check(SERIAL).await {
            QueryOutcome::Answer(result) => Some(word(result.outcome)),
            QueryOutcome::NeverSeen => Some("unknown_serial".to_owned()),
            QueryOutcome::Unknown => None,
        },
        2 => {
            let transfer = TransferRequest::one_fen(SERIAL, &card, &holder, "BIND ABC234", true);
            match client.transfer(&transfer).await {
                Reply::Answer(outcome) => Some(status(outcome)),
                Reply::Unknown => None,
            }
        }
        _ => match client.query_transfer(SERIAL).await {
            QueryOutcome::Answer(outcome) => Some(status(outcome)),
            QueryOutcome::NeverSeen => Some("unknown_serial".to_owned()),
            QueryOutcome::Unknown => None,
        },
    }
}

fn word(outcome: impl serde::Serialize) -> String {
    serde_json::to_value(outcome)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

fn status(outcome: TransferOutcome) -> String {
    word(outcome.parts().0)
}

/// The bank's authentication of a request: `time`, `signature` and `path`, one per line, then the body. `$good` in place of a
/// signature stands for the right one.
pub fn bank_signature(data: &[u8]) {
    const NOW_EPOCH_S: i64 = 1_795_000_000;
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || {
        text(lines.next().unwrap_or_default())
            .unwrap_or_default()
            .to_owned()
    };
    let (time, claimed, path) = (line(), line(), line());
    let body = data
        .splitn(4, |byte| *byte == b'\n')
        .nth(3)
        .unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(
        format!(
            "POST\n{path}\n{time}\n{}",
            hex::encode(Sha256::digest(body))
        )
        .as_bytes(),
    );
    let right = hex::encode(mac.finalize().into_bytes());
    assert_eq!(sign_request(&key(), &path, &time, body), right);
    let claimed = if claimed == "$good" {
        right.clone()
    } else {
        claimed
    };
    let verified = verify_request(
        &key(),
        &path,
        Some(&time),
        Some(&claimed),
        body,
        NOW_EPOCH_S,
    );
    let near = time
        .parse::<i64>()
        .is_ok_and(|at| at.abs_diff(NOW_EPOCH_S) <= MAX_SKEW_S);
    assert_eq!(verified.is_ok(), near && claimed == right);
}

/// The sandbox's bank.
struct Sandbox {
    runtime: Runtime,
    table: Table,
    begin: Arc<Items>,
    bank: Bank,
}

impl Sandbox {
    fn new() -> Self {
        const TABLE: &str = "bank";
        let runtime = super::runtime();
        let table = Table::new(|_, _| TABLE);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests());
        let client = Client::from_conf(table.configure(config).build());
        runtime.block_on(async {
            let mut create = client
                .create_table()
                .table_name(TABLE)
                .billing_mode(BillingMode::PayPerRequest);
            for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
                let key = KeySchemaElement::builder()
                    .attribute_name(name)
                    .key_type(kind);
                let attribute = AttributeDefinition::builder().attribute_name(name);
                let attribute = attribute.attribute_type(ScalarAttributeType::S);
                create = create
                    .key_schema(key.build().unwrap())
                    .attribute_definitions(attribute.build().unwrap());
            }
            create.send().await.unwrap();
            for item in person_items(NAME, DocumentType::ResidentId, ID_NUMBER) {
                client
                    .put_item()
                    .table_name(TABLE)
                    .set_item(Some(item))
                    .send()
                    .await
                    .unwrap();
            }
        });
        let bank = Bank::new(
            CardBook::sandbox().unwrap(),
            BankKeys {
                ask: vec![key()],
                query: vec![key()],
                hashes: key(),
            },
            Store::new(client, TABLE.to_owned()),
        );
        Self {
            runtime,
            begin: table.items(),
            table,
            bank,
        }
    }
}

/// Requests to the sandbox's bank: the path on a line (after `!`, unsigned), then the body, up to a line with `%%`.
pub fn sandbox_bank(data: &[u8]) {
    let Some(text) = text(data) else { return };
    SANDBOX.with(|sandbox| {
        for request in text.split("\n%%\n").take(3) {
            let (path, body) = request.split_once('\n').unwrap_or((request, ""));
            sandbox.ask(path, body);
        }
        sandbox.table.reset_to(&sandbox.begin);
    });
}

impl Sandbox {
    fn ask(&self, target: &str, body: &str) {
        let (target, is_signed) = target
            .strip_prefix('!')
            .map_or((target, true), |target| (target, false));
        let mut request = Request {
            method: "POST".to_owned(),
            path: target.to_owned(),
            body: Some(body.as_bytes().to_vec()),
            ..Request::default()
        };
        let time = wall_clock().epoch_s().to_string();
        let signature = sign_request(&key(), target, &time, body.as_bytes());
        if is_signed {
            request.headers.insert(TIME_HEADER.to_owned(), time);
            request
                .headers
                .insert(SIGNATURE_HEADER.to_owned(), signature.clone());
        }
        let Ok(reply) = self.runtime.block_on(self.bank.handle(&request)) else {
            // The sandbox loses the reply of this card on purpose.
            assert!(is_signed && target.ends_with(path::CHECK));
            return;
        };
        let signed = reply.headers.get(SIGNATURE_HEADER);
        let statement = target.ends_with(path::STATEMENT);
        match reply.status_code {
            200 if statement => assert_eq!(signed, None),
            200 => {
                assert!(is_signed, "{target} accepts an unauthenticated request");
                let right = sign_reply(&key(), &signature, 200, reply.body.as_bytes());
                assert_eq!(signed, Some(&right));
            }
            400 | 401 | 404 | 409 | 413 => {
                assert_eq!(signed, None);
                let error: Value = serde_json::from_str(&reply.body).unwrap();
                assert!(error["error"].is_string());
            }
            other => panic!("{target}: {other}"),
        }
    }
}
