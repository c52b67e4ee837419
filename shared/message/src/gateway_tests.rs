//! Tests the client against a small gateway on a socket.

use super::*;
use crate::protocol::SIGNATURE_HEADER;
use partner::PartnerKey;
use partner::signature::sign_reply;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the gateway does with a request.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Answers, with this word as status.
    Says(&'static str),
    /// Answers to another id.
    SaysForAnother,
    /// Answers without a valid signature.
    Forges,
    /// Answers with this HTTP status.
    Refuses(u16),
    /// Takes the request, and loses the reply.
    LosesReply,
}

type Received = Arc<Mutex<Vec<SendRequest>>>;

fn key() -> PartnerKey {
    PartnerKey::from_secret_text(&"k".repeat(64)).unwrap()
}

async fn gateway(script: &[Behaviour]) -> (Gateway, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (received, mut script) = (Received::default(), VecDeque::from(script.to_vec()));
    let log = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, script.pop_front().unwrap(), &log).await;
        }
    });
    let signature = SmsSignature::parse("示例收单").unwrap();
    let gateway = Gateway::new(&url, KeyRing::fixed(key()), signature).unwrap();
    (gateway, received)
}

async fn answer(mut stream: TcpStream, behaviour: Behaviour, log: &Received) {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        assert!(length > 0, "the request ended early");
        request.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8(request.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.ends_with('}')
        {
            break (head.to_ascii_lowercase(), body.to_owned());
        }
    };
    assert!(head.starts_with("post /messages http/1.1"), "{head}");
    let signed = head
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{SIGNATURE_HEADER}: ")))
        .unwrap();
    let sent: SendRequest = serde_json::from_str(&body).unwrap();
    let reply = |id: &str, word: &str| format!(r#"{{"id":"{id}","status":"{word}"}}"#);
    let (status, body, key) = match behaviour {
        Behaviour::Says(word) => (200, reply(&sent.id, word), key()),
        Behaviour::SaysForAnother => (200, reply(&"0".repeat(32), "accepted"), key()),
        Behaviour::Forges => {
            let other = PartnerKey::from_secret_text(&"x".repeat(64)).unwrap();
            (200, reply(&sent.id, "accepted"), other)
        }
        Behaviour::Refuses(status) => (status, "{}".to_owned(), key()),
        Behaviour::LosesReply => (0, String::new(), key()),
    };
    log.lock().unwrap().push(sent);
    if status == 0 {
        return;
    }
    let signature = sign_reply(&key, signed, status, body.as_bytes());
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status} X\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(reply.as_bytes()).await.unwrap();
}

async fn sent(gateway: &Gateway) -> Result<SmsAnswer, PortError> {
    let message = Message {
        template: "otp_card",
        values: vec![
            ("code", "880088".to_owned()),
            ("bank", "工商银行".to_owned()),
        ],
        text: "验证码880088".to_owned(),
    };
    let phone = Phone::parse("+8613900000001").unwrap();
    gateway.send(&phone, &message).await
}

#[tokio::test]
async fn template_and_values_are_sent_instead_of_the_text() {
    let (gateway, received) = gateway(&[Behaviour::Says("accepted")]).await;
    assert_eq!(sent(&gateway).await.unwrap(), SmsAnswer::Accepted);
    let received = received.lock().unwrap();
    let request = serde_json::to_value(&received[0]).unwrap();
    assert_eq!(request["phone"], "+8613900000001");
    assert_eq!(request["sign_name"], "示例收单");
    assert_eq!(request["template"], "otp_card");
    assert_eq!(
        request["parameters"],
        serde_json::json!([{"name": "code", "value": "880088"}, {"name": "bank", "value": "工商银行"}])
    );
    assert_eq!(request["id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn lost_reply_is_asked_for_once_more_under_the_same_id() {
    let (gateway, received) = gateway(&[Behaviour::LosesReply, Behaviour::Says("accepted")]).await;
    assert_eq!(sent(&gateway).await.unwrap(), SmsAnswer::Accepted);
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].id, received[1].id);
}

#[tokio::test]
async fn each_answer_is_understood() {
    let (gateway, _) = gateway(&[
        Behaviour::Says("phone_refused"),
        Behaviour::Says("busy"),
        Behaviour::Says("delivered"),
        Behaviour::SaysForAnother,
        Behaviour::Forges,
        Behaviour::Refuses(400),
        Behaviour::Refuses(500),
    ])
    .await;
    assert_eq!(sent(&gateway).await.unwrap(), SmsAnswer::PhoneRefused);
    for _ in 0..6 {
        let failed = sent(&gateway).await.unwrap_err();
        assert!(matches!(failed, PortError::Transient("SMS", _)), "{failed}");
        assert!(!failed.to_string().contains("880088"), "{failed}");
    }
}
