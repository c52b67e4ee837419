//! The visibility of stream records: the function gets only due notifications, and the failure destination gets only their
//! positions.

use crate::scene::{Item, MERCHANTS, RETRIED_WITHIN_S, Scene};
use crate::sns::Weather;
use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};
use domain::policy::{HOUR_S, MINUTE_S};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::metrics::metric;
use tests::stream_host::Retries;

#[tokio::test]
async fn filtered_records_reach_no_function() {
    let mut scene = Scene::start(&MERCHANTS[..2]).await;
    scene.again(Retries::Decremented, 1, 1).await;
    scene.feed().await;
    scene.settle(HOUR_S).await;
    scene.assert_done(0).await;
    let sent = scene.sns.messages.lock().unwrap().len();
    let (dropped, invocations) = (scene.host.dropped, scene.host.invocations);
    let n = |number: u64| AttributeValue::N(number.to_string());
    for number in 0..300_u64 {
        let mut item = Item::from([
            ("pk".to_owned(), AttributeValue::S(format!("I#{number}"))),
            ("sk".to_owned(), AttributeValue::S("I".to_owned())),
            ("ttl".to_owned(), n(1)),
        ]);
        if number % 3 == 0 {
            item = scene.events[0].clone();
            item.insert("notice".to_owned(), AttributeValue::S("sent".to_owned()));
            item.insert("count".to_owned(), n(number));
        }
        scene.put(item).await;
    }
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name("ttl")
        .enabled(true)
        .build();
    let table = scene
        .world
        .client
        .update_time_to_live()
        .table_name(&scene.world.table);
    table
        .time_to_live_specification(ttl.unwrap())
        .send()
        .await
        .unwrap();
    let removed = scene.database.sweep_ttl().unwrap();
    assert_eq!(removed, 200);
    let records = scene.stream.read(scene.clock.now()).await;
    let expired = records.iter().filter(|record| {
        record["eventName"] == "REMOVE"
            && record["userIdentity"]
                == json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"})
    });
    assert_eq!((expired.count(), records.len()), (200, 500));
    for record in records {
        scene.host.add(record);
    }
    scene.pass_s(MINUTE_S).await;
    assert_eq!(scene.host.dropped - dropped, 500);
    assert_eq!(
        scene.host.invocations, invocations,
        "the function is not invoked"
    );
    // Without the filter every record arrives, and none has an effect.
    scene.host.mapping.filters.clear();
    scene.host.forget();
    scene.pass_s(MINUTE_S).await;
    assert!(scene.host.invocations > invocations + 50);
    assert_eq!(scene.sns.messages.lock().unwrap().len(), sent);
    assert!(scene.host.given_up.is_empty());
    metric(
        "notifications: filtered records, 200 of them TTL expiries",
        500,
        0,
    );
}

/// Every string anywhere in a value.
fn texts<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) => {
            found.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

/// The strings of the records' keys and images that occur in a message.
fn leaked<'r>(message: &Value, records: &'r [Value]) -> BTreeSet<&'r str> {
    let mut secret = BTreeSet::new();
    for record in records {
        texts(&record["dynamodb"]["Keys"], &mut secret);
        texts(&record["dynamodb"]["NewImage"], &mut secret);
    }
    // These are positions. By chance one holds the digits of a stored time; the stream's name holds the time of its creation.
    let mut message = message.clone();
    for position in ["startSequenceNumber", "endSequenceNumber", "streamArn"] {
        message["DDBStreamBatchInfo"][position] = Value::Null;
    }
    // Short ones, such as "due" or "1", also occur in numbers.
    let message = message.to_string();
    secret.retain(|text| text.len() > 3 && message.contains(text));
    secret
}

#[tokio::test]
async fn failure_records_hold_only_positions() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut messages = 0;
    for (kind, leaks) in [(None, false), (Some("S3"), true)] {
        scene.again(Retries::Decremented, 8, 1).await;
        if let Some(kind) = kind {
            scene.host.mapping.destination = Some(kind.to_owned());
        }
        let records = scene.stream.read(scene.clock.now()).await;
        for record in &records {
            scene.host.add(record.clone());
        }
        scene.sns.set(Weather::Down);
        scene.pass_s(RETRIED_WITHIN_S).await;
        assert!(!scene.host.given_up.is_empty());
        for message in &scene.host.given_up {
            let leaked = leaked(message, &records);
            assert_eq!(!leaked.is_empty(), leaks, "{kind:?}: {leaked:?}");
        }
        if !leaks {
            messages += scene.host.given_up.len();
        }
        scene.sns.set(Weather::Fine);
        scene.settle(HOUR_S).await;
        scene.assert_done(0).await;
    }
    metric(
        "notifications: failure messages searched for record contents",
        messages,
        0,
    );
}
