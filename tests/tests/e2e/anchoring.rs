//! The log on the running system: real events are anchored, and nobody else can sign or write.

use aws::s3::LogBucket;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::MerchantId;
use domain::policy::Policy;
use http::Method;
use proof::export::verify;
use proof::reader::LogReader;
use rebindctl::export::{Read, export};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use store::{Store, Tables};
use tests::aws::{KMS, SQS, element};
use tests::history;
use tests::local_cloud::LocalCloud;
use tests::operators::call;
use tests::transport::Transport as _;
use transparency::history::Entry;
use transparency::key::LogKey;
use transparency::merkle::leaf_hash;

/// The time for a batch to be anchored. The other cases fill the queue meanwhile.
const LIMIT: Duration = Duration::from_secs(150);

/// An entry of the tests.
pub fn event(merchant: &str, seq: u64) -> Entry {
    Entry {
        hash: leaf_hash(format!("{merchant} {seq}").as_bytes()),
        pseudonym: leaf_hash(merchant.as_bytes()),
        seq,
    }
}

/// Puts entries on the queue.
pub async fn queue(live: &LocalCloud, entries: &[Entry]) {
    for entry in entries {
        send(live, entry.canonical()).await;
    }
}

async fn send(live: &LocalCloud, message: String) {
    let queue = live.system.resource("AnchorQueue").unwrap();
    let body = json!({"QueueUrl": queue, "MessageBody": message});
    live.root.json(&SQS, "SendMessage", &body).await.unwrap();
}

/// Runs the function. A run of the schedule may meet it.
async fn run(live: &LocalCloud) -> Value {
    live.invoke("anchor", &json!({})).await.unwrap()
}

fn bucket(live: &LocalCloud) -> LogBucket {
    let endpoints = live.system.endpoints();
    let bucket = live.system.resource("LogBucket").unwrap();
    let credentials = Credentials::new(
        &endpoints.access_key,
        &endpoints.secret_key,
        None,
        None,
        "tests",
    );
    LogBucket::new(
        format!("{}/{bucket}", endpoints.cloud_url),
        endpoints.region.clone(),
        SharedCredentialsProvider::new(credentials),
    )
}

async fn public_key(live: &LocalCloud) -> LogKey {
    let key = live.system.resource("AnchorSigningKey").unwrap();
    let reply = live
        .root
        .json(&KMS, "GetPublicKey", &json!({"KeyId": key}))
        .await
        .unwrap();
    let der = STANDARD.decode(reply["PublicKey"].as_str().unwrap());
    LogKey::from_der(&der.unwrap()).unwrap()
}

fn log_name(live: &LocalCloud) -> String {
    let endpoints = live.system.endpoints();
    let account = endpoints.events_topic.split(':').nth(4).unwrap();
    format!("{}/{account}/{}", endpoints.stack, endpoints.region)
}

/// The tables, without a role.
pub fn store(live: &LocalCloud) -> Store {
    let endpoints = live.system.endpoints();
    let tables = Tables::new(&endpoints.table, &endpoints.record_table);
    Store::new(live.table.clone(), tables, &Policy::CURRENT)
}

/// The operator's API, as an auditor's reader.
struct Support<'a>(&'a LocalCloud);

impl Read for Support<'_> {
    async fn read(&self, path: &str) -> Result<Value, String> {
        Ok(self.0.operate("support", call("GET", path)).await.ok(200))
    }
}

/// The history of a merchant, from the stream to a file that verifies with the public key alone.
pub async fn history_is_anchored_and_proven(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.identify(&path).await;
    let id = MerchantId::parse(&merchant.id).unwrap();
    let store = store(live);
    let events = history::unbroken(&store, &id).await.unwrap();
    assert!(events.len() > 1);

    let (key, name, bucket) = (public_key(live).await, log_name(live), bucket(live));
    let reader = LogReader::new(&bucket, &name, &key);
    let deadline = Instant::now() + LIMIT;
    let file = loop {
        run(live).await;
        let file = export(&Support(live), &merchant.id, None, Duration::ZERO).await;
        match file {
            Ok(file) if file.proof.entry.seq == file.head.sequence => break file,
            _ => assert!(Instant::now() < deadline, "{file:?}"),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The function `events` has queued them. Another case may have received them meanwhile: then they are hidden for minutes.
        let pseudonym = store.pseudonym(&id).await.unwrap().unwrap();
        let entries = events.iter().map(|event| Entry {
            hash: event.hash.parse().unwrap(),
            pseudonym,
            seq: event.seq,
        });
        queue(live, &entries.collect::<Vec<_>>()).await;
    };
    assert_eq!(file.events.len(), events.len());
    let verdict = verify(&file, &key, &name, Some(&file.checkpoint)).unwrap();
    assert_eq!((verdict.sequence, verdict.newer), (file.head.sequence, 0));
    let receipt = app.get("/v1/history/receipt").await.ok(200);
    assert_eq!(receipt["head"]["hash"], json!(file.head.hash));
    assert_eq!(receipt["proof"]["entry"], json!(file.proof.entry));
    let log = Support(live).read("log").await.unwrap();
    let shown = LogKey::from_pem(log["public_key"].as_str().unwrap()).unwrap();
    assert_eq!((shown.id(), &log["name"]), (key.id(), &json!(name)));
    let head = verdict.checkpoint;

    // One more batch, and the proof that the log continues the kept checkpoint.
    let entry = event(&merchant.id, 1);
    let newest = loop {
        queue(live, std::slice::from_ref(&entry)).await;
        // It may be another run that receives the message.
        run(live).await;
        let newest = reader.newest(head.size).await.unwrap().unwrap();
        let proofs = reader.proofs(&entry.pseudonym, &newest).await.unwrap();
        if newest.checkpoint.size > head.size && !proofs.is_empty() {
            break newest;
        }
        assert!(Instant::now() < deadline, "not anchored");
    };
    let continued = reader.consistency(head.size, &newest).await;
    let continued = continued.unwrap().unwrap();
    let verified = continued.verify(&head, &newest.checkpoint);
    assert_eq!(verified, Ok(()));
}

/// A role with every right on keys and buckets. The policies of the key and of the bucket deny it.
pub async fn administrator_can_neither_sign_nor_write(live: &LocalCloud) {
    let all = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": ["kms:*", "s3:*"], "Resource": "*",
    }]});
    let caller = live.root.new_role("an-administrator", &all).await;
    let sign = async |key: &str| {
        let body = json!({
            "KeyId": live.system.resource(key).unwrap(),
            "Message": STANDARD.encode("x"), "SigningAlgorithm": "ECDSA_SHA_256",
        });
        caller.json(&KMS, "Sign", &body).await.map(drop)
    };
    assert_eq!(sign("PayoutSigningKey").await, Ok(()));
    let denied = sign("AnchorSigningKey").await.unwrap_err();
    assert!(denied.starts_with("AccessDenied"), "{denied}");
    let bucket = live.system.resource("LogBucket").unwrap();
    let path = format!("/{bucket}/leaf/999999999999");
    let put = caller.rest("s3", &Method::PUT, &path, &json!({})).await;
    let code = element(&put.text(), "Code").map(str::to_owned);
    assert_eq!((put.status, code.as_deref()), (403, Some("AccessDenied")));
    let list = format!("/{bucket}?list-type=2");
    let list = caller.rest("s3", &Method::GET, &list, &Value::Null).await;
    assert_eq!(list.status, 200);
}

/// A defect of the sender stops no other event, and does not get lost.
pub async fn malformed_messages_are_left_on_the_queue(live: &LocalCloud) {
    let malformed = "not an entry";
    send(live, malformed.to_owned()).await;
    let done = run(live).await;
    assert!(done["malformed"].as_u64().is_some(), "{done}");
    let queue = live.system.resource("AnchorQueue").unwrap();
    let names =
        json!({"QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessagesNotVisible"]});
    let count = live.root.json(&SQS, "GetQueueAttributes", &names).await;
    let count = count.unwrap()["Attributes"]["ApproximateNumberOfMessagesNotVisible"].clone();
    assert!(count.as_str().unwrap().parse::<u32>().unwrap() > 0);
}
