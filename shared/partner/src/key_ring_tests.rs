//! Tests the key ring against a small Secrets Manager on a socket.

use super::*;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use std::sync::{Arc, Mutex as StdMutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The versions of a secret, and how often one was read.
#[derive(Clone, Default)]
struct Secrets {
    current: Arc<StdMutex<Option<&'static str>>>,
    previous: Arc<StdMutex<Option<&'static str>>>,
    reads: Arc<StdMutex<u32>>,
}

impl Secrets {
    async fn ring(&self) -> KeyRing {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let secrets = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(secrets.clone().answer(stream));
            }
        });
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "tests"))
            .endpoint_url(url)
            .build();
        KeyRing::of_secret(Client::from_conf(config), "bank".to_owned())
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let is_whole = |request: &[u8]| request.ends_with(b"}");
        while !is_whole(&request) {
            let mut chunk = [0; 4096];
            let length = stream.read(&mut chunk).await.unwrap();
            assert!(length > 0, "the request ended early");
            request.extend_from_slice(&chunk[..length]);
        }
        let request = String::from_utf8(request).unwrap();
        *self.reads.lock().unwrap() += 1;
        let version = match request.contains("AWSPREVIOUS") {
            true => *self.previous.lock().unwrap(),
            false => *self.current.lock().unwrap(),
        };
        let (status, body) = match version {
            Some(fill) => {
                let text = fill.repeat(64);
                (200, format!(r#"{{"Name":"bank","SecretString":"{text}"}}"#))
            }
            None => (400, r#"{"__type":"ResourceNotFoundException"}"#.to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close\r\ncontent-length: {}",
            body.len()
        );
        let reply = format!("{head}\r\n\r\n{body}");
        stream.write_all(reply.as_bytes()).await.unwrap();
    }

    fn set(&self, current: Option<&'static str>, previous: Option<&'static str>) {
        *self.current.lock().unwrap() = current;
        *self.previous.lock().unwrap() = previous;
    }

    fn reads(&self) -> u32 {
        *self.reads.lock().unwrap()
    }
}

fn key(fill: &str) -> PartnerKey {
    PartnerKey::from_secret_text(&fill.repeat(64)).unwrap()
}

/// Lets the held key look this old.
async fn age(ring: &KeyRing, seconds: i64) {
    let mut held = ring.held.lock().await;
    let held = held.as_mut().unwrap();
    held.read_at = held.read_at.plus_s(-seconds);
    held.reread_at = held.reread_at.map(|at| at.plus_s(-seconds));
}

#[tokio::test]
async fn key_is_read_when_needed_and_again_after_a_time() {
    let secrets = Secrets::default();
    let ring = secrets.ring().await;
    assert!(ring.key().await.is_err());
    secrets.set(Some("a"), None);
    assert!(ring.key().await.unwrap().is_same(&key("a")));
    secrets.set(Some("b"), Some("a"));
    let reads = secrets.reads();
    assert!(ring.key().await.unwrap().is_same(&key("a")));
    assert_eq!(secrets.reads(), reads);
    age(&ring, KEY_TTL_S).await;
    assert!(ring.key().await.unwrap().is_same(&key("b")));
    // Secrets Manager is down: the key stays in use.
    secrets.set(None, None);
    age(&ring, KEY_TTL_S).await;
    assert!(ring.key().await.unwrap().is_same(&key("b")));
}

#[tokio::test]
async fn refused_key_is_replaced_by_the_newest_or_by_the_previous() {
    let secrets = Secrets::default();
    let ring = secrets.ring().await;
    secrets.set(Some("a"), None);
    let first = ring.key().await.unwrap();
    // The bank has changed its key, and the secret too.
    secrets.set(Some("b"), Some("a"));
    let newest = ring.instead_of(&first).await.unwrap();
    assert!(newest.is_same(&key("b")));
    // Another call that still had the old one gets the same answer without a read.
    let reads = secrets.reads();
    assert!(ring.instead_of(&first).await.unwrap().is_same(&key("b")));
    assert_eq!(secrets.reads(), reads);
    // The secret is ahead of the bank.
    age(&ring, REREAD_S).await;
    secrets.set(Some("c"), Some("b"));
    age(&ring, KEY_TTL_S).await;
    let ahead = ring.key().await.unwrap();
    assert!(ahead.is_same(&key("c")));
    assert!(ring.instead_of(&ahead).await.unwrap().is_same(&key("b")));
}

#[tokio::test]
async fn wrong_key_is_not_read_again_and_again() {
    let secrets = Secrets::default();
    let ring = secrets.ring().await;
    secrets.set(Some("a"), None);
    let wrong = ring.key().await.unwrap();
    assert!(ring.instead_of(&wrong).await.is_none());
    let reads = secrets.reads();
    assert!(ring.instead_of(&wrong).await.is_none());
    assert_eq!(secrets.reads(), reads);
    age(&ring, REREAD_S).await;
    assert!(ring.instead_of(&wrong).await.is_none());
    assert!(secrets.reads() > reads);
}
