//! The function `events`, in process: what it publishes of each event, in which order, and what happens when a publish fails.

#![allow(clippy::unwrap_used, missing_docs)]

use api::cloud_event::CloudEvent;
use domain::history::{ChainedEvent, vectors};
use domain::ids::MerchantId;
use domain::integration::integration;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::time::Timestamp;
use events::PUBLISH_UNTIL_S;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::records::event;
use store::shards::DueShards;
use tests::in_process::InProcess;
use tests::peer_faults::DroppedPart;
use tests::published::{image, insertion};
use tests::scenario;
use tests::stream_host::{Ended, Host, Mapping, Retries};
use transparency::history::Entry;

/// Every member that an event may have.
const MEMBERS: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "sequence",
    "data",
];
const DATA: [&str; 11] = [
    "merchant_id",
    "event_id",
    "sequence",
    "kind",
    "policy_version",
    "state",
    "rebind_id",
    "card_id",
    "payout_id",
    "prev_hash",
    "hash",
];

/// The function in a new system, at a fixed time.
struct Publisher(Arc<InProcess>);

impl Publisher {
    async fn new() -> Self {
        Self(InProcess::start().await)
    }

    async fn handle(&self, records: &[Value], wall: impl Fn() -> Timestamp) -> Value {
        self.0.publish_at(json!({"Records": records}), wall).await
    }

    async fn publish(&self, records: &[Value]) -> Value {
        self.handle(records, || Timestamp::from_epoch_s(0)).await
    }

    fn published(&self) -> Vec<Value> {
        self.0.topic.published()
    }

    /// The sequence numbers on the queue of the log.
    fn queued(&self) -> Vec<u64> {
        let messages = self.0.log.queue.messages();
        let entries = messages
            .iter()
            .map(|message| serde_json::from_str(message).unwrap());
        entries.map(|entry: Entry| entry.seq).collect()
    }
}

/// The call that fails, if the batch is read: the first one queues its entries, and each other one publishes an event.
const QUEUE: usize = 1;

/// The stream record of an event, with the messages to its recipients.
fn record(event: &ChainedEvent) -> Value {
    let stored = event::attributes(event, &Policy::CURRENT, DueShards::DEFAULT).unwrap();
    let attributes = stored
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut item = image(&attributes.collect());
    item["pk"] = json!({"S": format!("M#{}", event.merchant_id)});
    item["sk"] = json!({"S": format!("E#{:010}", event.seq)});
    item["to_reserved"] = json!({"S": "+8613700000001"});
    insertion(&item)
}

fn records() -> Vec<Value> {
    vectors().iter().map(record).collect()
}

fn public() -> Vec<Value> {
    let is_public = |event: &ChainedEvent| integration(event.event()).is_some();
    let events = vectors().into_iter().filter(is_public);
    events.map(|event| record(&event)).collect()
}

fn ids(published: &[Value]) -> Vec<&str> {
    let ids = published.iter().map(|event| event["id"].as_str());
    ids.map(Option::unwrap).collect()
}

fn number(record: &Value) -> &Value {
    &record["dynamodb"]["SequenceNumber"]
}

fn failed_at(record: &Value) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": number(record)}]})
}

fn succeeded() -> Value {
    json!({"batchItemFailures": []})
}

/// Every form of every kind, stored with personal data and phones.
#[tokio::test]
async fn only_public_members_are_published() {
    let publisher = Publisher::new().await;
    assert_eq!(publisher.publish(&records()).await, succeeded());
    let published = publisher.published();
    assert_eq!(published.len(), public().len());
    let names = |object: &Value| -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    };
    for event in &published {
        assert_eq!(names(event), MEMBERS.map(str::to_owned).into());
        let data = names(&event["data"]);
        assert!(data.is_subset(&DATA.map(str::to_owned).into()), "{data:?}");
    }
    let text = json!(published).to_string();
    for private in [
        "小明",
        "😀",
        "ICBC",
        "operator-17",
        "SIM card",
        "owner called",
        "+86137",
        "AQID",
        "12345",
        "last4",
    ] {
        assert!(!text.contains(private), "{private}");
    }
}

/// Ids, hashes and times are those of the history.
#[tokio::test]
async fn published_facts_are_those_of_the_history() {
    let publisher = Publisher::new().await;
    publisher.publish(&records()).await;
    let mut published = publisher.published().into_iter();
    for event in vectors() {
        let Some(public) = integration(event.event()) else {
            continue;
        };
        let mut data = Map::from_iter([
            ("merchant_id".to_owned(), json!("mer_plain_1")),
            ("event_id".to_owned(), json!(format!("evt_{}", event.seq))),
            ("sequence".to_owned(), json!(event.seq)),
            ("kind".to_owned(), json!(event.kind())),
            ("policy_version".to_owned(), json!(1)),
            ("prev_hash".to_owned(), json!(event.prev_hash)),
            ("hash".to_owned(), json!(event.hash)),
        ]);
        let optional = [
            ("state", public.state.map(|state| state.to_string())),
            ("rebind_id", public.rebind_id.map(ToString::to_string)),
            ("card_id", public.card_id.map(ToString::to_string)),
            ("payout_id", public.payout_id.map(ToString::to_string)),
        ];
        for (name, value) in optional {
            data.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        let expected = json!({
            "specversion": "1.0",
            "id": format!("mer_plain_1.evt_{}", event.seq),
            "source": "/card-rebind/tests",
            "type": format!("card-rebind.{}", event.kind()),
            "subject": "mer_plain_1",
            "time": event.at.to_rfc3339_shanghai(),
            "datacontenttype": "application/json",
            "sequence": format!("{:016}", event.seq),
            "data": data,
        });
        assert_eq!(published.next(), Some(expected));
    }
    assert_eq!(published.next(), None);
}

#[tokio::test]
async fn failed_publish_stops_and_is_reported() {
    let records = public();
    for (lost, received) in [(DroppedPart::Request, 1), (DroppedPart::Reply, 2)] {
        let publisher = Publisher::new().await;
        publisher.0.peer_calls.fail(QUEUE + 2, lost);
        let reply = publisher.publish(&records[..3]).await;
        assert_eq!(reply, failed_at(&records[1]), "{lost:?}");
        assert_eq!(publisher.published().len(), received);
        // The stream resumes at the failed record. A second copy is the same event.
        let _ = publisher.0.peer_calls.take();
        assert_eq!(publisher.publish(&records[1..3]).await, succeeded());
        let published = publisher.published();
        let mut ids = ids(&published);
        assert_eq!(ids.len(), received + 2);
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}

/// Every event is queued for the log, public or not, under the pseudonym of its merchant.
#[tokio::test]
async fn every_event_is_queued_for_the_log() {
    let publisher = Publisher::new().await;
    assert_eq!(publisher.publish(&records()).await, succeeded());
    let merchant = MerchantId::parse("mer_plain_1").unwrap();
    let store = publisher.0.store();
    let pseudonym = store.pseudonym(&merchant).await.unwrap().unwrap();
    let expected: Vec<String> = vectors()
        .iter()
        .map(|event| {
            let entry = Entry {
                hash: event.hash.parse().unwrap(),
                pseudonym,
                seq: event.seq,
            };
            entry.canonical()
        })
        .collect();
    assert_eq!(publisher.0.log.queue.messages(), expected);
}

/// Without its entries on the queue, no event of a batch is published.
#[tokio::test]
async fn failed_queue_publishes_nothing() {
    let records = public();
    let batch = [Value::Null, records[0].clone(), records[1].clone()];
    for (lost, queued) in [(DroppedPart::Request, 0), (DroppedPart::Reply, 2)] {
        let publisher = Publisher::new().await;
        publisher.0.peer_calls.fail(QUEUE, lost);
        assert_eq!(publisher.publish(&batch).await, failed_at(&records[0]));
        assert_eq!(publisher.published(), Vec::<Value>::new());
        assert_eq!(publisher.queued().len(), queued, "{lost:?}");
        let _ = publisher.0.peer_calls.take();
        assert_eq!(publisher.publish(&batch).await, succeeded());
        assert_eq!(publisher.published().len(), 2);
        assert_eq!(publisher.queued().len(), queued + 2);
    }
}

/// An erased merchant cannot be named in the log. The events still reach the other systems.
#[tokio::test]
async fn erased_merchant_is_not_queued() {
    let publisher = Publisher::new().await;
    let merchant = MerchantId::parse("mer_plain_1").unwrap();
    let now = Timestamp::from_epoch_s(0);
    let store = publisher.0.store();
    store.erase_pseudonym(&merchant, now).await.unwrap();
    assert_eq!(publisher.publish(&public()[..1]).await, succeeded());
    assert_eq!(publisher.published().len(), 1);
    assert_eq!(publisher.queued(), Vec::<u64>::new());
}

#[tokio::test]
async fn unreadable_records_are_skipped() {
    let good = public().remove(0);
    let with = |pointer: &str, value: Value| {
        let mut record = good.clone();
        *record.pointer_mut(pointer).unwrap() = value;
        record
    };
    let image = "/dynamodb/NewImage";
    let batch = [
        Value::Null,
        json!([]),
        json!({"eventName": "INSERT"}),
        json!({"eventName": "INSERT", "dynamodb": 1}),
        with(image, Value::Null),
        with(image, json!({"pk": {"S": "M#mer_plain_1"}})),
        with("/dynamodb/NewImage/kind/S", json!("unheard_of")),
        with("/dynamodb/NewImage/data/S", json!("{")),
        with("/dynamodb/NewImage/hash/S", json!("00")),
        with("/dynamodb/NewImage/sk/S", json!("R#000001")),
        with("/dynamodb/NewImage/pk/S", json!("A#x")),
        good.clone(),
    ];
    let publisher = Publisher::new().await;
    assert_eq!(publisher.publish(&batch).await, succeeded());
    assert_eq!(publisher.published().len(), 1);
}

/// A retry may meet the release that reads the format.
#[tokio::test]
async fn later_format_is_retried() {
    let mut records = public();
    records[1]["dynamodb"]["NewImage"]["v"] = json!({"N": "2"});
    let publisher = Publisher::new().await;
    let reply = publisher.publish(&records[..3]).await;
    assert_eq!(reply, failed_at(&records[1]));
    assert_eq!(publisher.published().len(), 1);
}

/// Marks of notifications are later writes of the same items.
#[tokio::test]
async fn only_insertions_are_published() {
    let mut records = public();
    records.truncate(3);
    records[0]["eventName"] = json!("MODIFY");
    records[1]["eventName"] = json!("REMOVE");
    let publisher = Publisher::new().await;
    assert_eq!(publisher.publish(&records).await, succeeded());
    let published = publisher.published();
    assert_eq!(published.len(), 1);
    let mapping = Mapping::of("EventsFunction");
    let admitted: Vec<bool> = records
        .iter()
        .map(|record| mapping.admits(record))
        .collect();
    assert_eq!(admitted, [false, false, true]);
    for (name, other) in [("pk", "A#x"), ("sk", "R#000001")] {
        let mut record = records[2].clone();
        record["dynamodb"]["Keys"][name]["S"] = json!(other);
        assert!(!mapping.admits(&record), "{name}");
    }
}

#[tokio::test]
async fn used_up_time_is_reported() {
    let records = public();
    let clock = Cell::new(0);
    let each_look_takes_s = PUBLISH_UNTIL_S / 2;
    let wall = || {
        clock.set(clock.get() + each_look_takes_s);
        Timestamp::from_epoch_s(clock.get())
    };
    let publisher = Publisher::new().await;
    let reply = publisher.handle(&records[..5], wall).await;
    assert_eq!(reply, failed_at(&records[1]));
    assert_eq!(publisher.published().len(), 1);
}

/// A failed record without a number: the stream redelivers the whole batch.
#[tokio::test]
async fn failure_without_a_number_repeats_the_batch() {
    let mut record = public().remove(0);
    record["dynamodb"]["SequenceNumber"] = Value::Null;
    let publisher = Publisher::new().await;
    publisher.0.peer_calls.fail(QUEUE, DroppedPart::Request);
    let reply = publisher.publish(&[record]).await;
    assert_eq!(
        reply,
        json!({"batchItemFailures": [{"itemIdentifier": ""}]})
    );
}

/// The mapping of the template, over an SNS that fails for hours, with duplicates: each merchant's events are published in
/// order, and each at least once.
#[tokio::test]
async fn long_outage_loses_no_event() {
    let mut records = Vec::new();
    for name in ["mer_a", "mer_b", "mer_c"] {
        for mut record in public() {
            let pk = json!({"S": format!("M#{name}")});
            record["dynamodb"]["Keys"]["pk"] = pk.clone();
            record["dynamodb"]["NewImage"]["pk"] = pk;
            record["dynamodb"]["SequenceNumber"] = json!(records.len().to_string());
            records.push(record);
        }
    }
    for retries in [Retries::Reset, Retries::Decremented] {
        let publisher = Publisher::new().await;
        let mut host = Host::new(Mapping::of("EventsFunction"), retries, 2, 7);
        host.repeat_every = Some(3);
        records.iter().for_each(|record| host.add(record.clone()));
        let mut now = Timestamp::from_epoch_s(0);
        let (mut call, ends_at) = (0, now.plus_s(20 * HOUR_S));
        loop {
            while let Some(delivery) = host.next(now) {
                call += 1;
                // Down for 20 hours, then every third publish fails; every tenth invocation dies.
                let lost = QUEUE + if now < ends_at { 1 } else { 3 };
                publisher.0.peer_calls.fail(lost, DroppedPart::Request);
                let event = delivery.event();
                let reply = publisher
                    .publish(event["Records"].as_array().unwrap())
                    .await;
                let ended = match call % 10 {
                    0 => Ended::Failed,
                    _ => Ended::Replied(reply),
                };
                host.finish(delivery, &ended, now);
            }
            match host.wakes_at() {
                Some(next) => now = next,
                None => break,
            }
            assert!(now < ends_at.plus_s(DAY_S), "the events are published");
        }
        assert!(host.given_up.is_empty());
        let published = publisher.published();
        let mut first: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for event in &published {
            let seen = first.entry(event["subject"].as_str().unwrap()).or_default();
            let number = event["sequence"].as_str().unwrap();
            if !seen.contains(&number) {
                seen.push(number);
            }
        }
        assert_eq!(first.len(), 3);
        for numbers in first.values() {
            assert_eq!(numbers.len(), public().len());
            assert!(numbers.is_sorted(), "{numbers:?}");
        }
    }
}

/// A rebind through the real functions: the events of the stream are those of the history.
#[tokio::test]
async fn rebind_is_published_from_the_table() {
    let (world, app, _) = scenario::activated("plain_1").await;
    let records = world.event_records().await;
    assert_eq!(world.publish(records).await, succeeded());
    for call in world.boundary.take() {
        let pk = call.body["Key"]["pk"]["S"].as_str();
        assert!(pk.is_some_and(|pk| pk.starts_with("X#")), "{call:?}");
    }
    let history = world.history("plain_1").await;
    let expected: Vec<Value> = history
        .iter()
        .filter_map(|event| CloudEvent::of(event, "/card-rebind/tests"))
        .map(|event| json!(event))
        .collect();
    let own = |event: &Value| event["subject"] == json!("mer_plain_1");
    let mut published = world.topic.published();
    published.retain(own);
    assert_eq!(published, expected);
    assert!(
        expected
            .iter()
            .any(|event| event["data"]["state"] == "activated")
    );
    let text = json!(published).to_string();
    assert!(!text.contains(&app.profile.phone));
}
