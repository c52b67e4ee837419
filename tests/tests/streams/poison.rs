//! Records that cannot be delivered, and the records behind them.

use crate::scene::{BOTH, Item, MERCHANTS, RETRIED_WITHIN_S, Scene};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::policy::{MINUTE_S, Policy};
use serde_json::json;
use tests::metrics::metric;
use tests::stream_host::Retries;

#[tokio::test]
async fn poison_record_does_not_delay_the_next() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut messages = 0;
    // Without a text, of an unknown kind, unreadable; first, in the middle and last of a batch.
    for (name, value) in [
        ("kind", "completed"),
        ("kind", "unknown kind"),
        ("data", "{"),
    ] {
        for (place, retries) in [
            (0, Retries::Decremented),
            (4, Retries::Reset),
            (9, Retries::Decremented),
        ] {
            let mut events = scene.events.clone();
            events[place].insert(name.to_owned(), AttributeValue::S(value.to_owned()));
            scene.again_with(&events, retries, 1, 1).await;
            scene.pass_s(MINUTE_S).await;
            events.remove(place);
            let outcome = scene.outcome_of(&events);
            assert_eq!((outcome.unsent, outcome.twice), (0, 0), "{name} {place}");
            assert!(scene.longest_wait_s() <= 5, "{}", scene.longest_wait_s());
            messages += outcome.messages;
            // Records of a later batch do not wait either, while the first one is retried.
            let late = events.swap_remove(0);
            scene.sns.messages.lock().unwrap().clear();
            scene.since = scene.clock.now();
            scene.put(late.clone()).await;
            scene.pass_s(RETRIED_WITHIN_S).await;
            let outcome = scene.outcome_of([&late]);
            assert_eq!((outcome.unsent, outcome.twice), (0, 0), "{name} {place}");
            assert_eq!(scene.host.given_up.len(), 1);
        }
    }
    metric("notifications: beside an undeliverable one", messages, 0);
}

/// Freeze codes cannot be derived: only their own recipient misses messages.
#[tokio::test]
async fn unreadable_record_does_not_block_others() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    scene.world.lose_hash_keys();
    scene.again(Retries::Decremented, 1, 1).await;
    scene.pass_s(MINUTE_S).await;
    let outcome = scene.outcome();
    assert_eq!((outcome.messages, outcome.unsent, outcome.twice), (7, 2, 0));
    let messages = scene.sns.messages.lock().unwrap();
    assert_eq!(
        messages
            .iter()
            .filter(|(_, to, _)| to == "+8613900000001")
            .count(),
        0
    );
}

/// A damaged event that no change waits for is retried for a day without delaying others, then given up and kept for an
/// operator.
#[tokio::test]
async fn undeliverable_notification_is_kept() {
    let mut scene = Scene::start(&MERCHANTS[..2]).await;
    let mut events = scene.events.clone();
    let is_setting = |event: &Item| event["kind"].as_s().unwrap() == "settlement_changed";
    let setting = events.iter().position(is_setting).unwrap();
    events.swap(0, setting);
    let damaged = AttributeValue::S("{}".to_owned());
    events[0].insert("data".to_owned(), damaged);
    let armed = Policy::CURRENT.notification_retries_max - 3;
    events[0].insert("armed".to_owned(), AttributeValue::N(armed.to_string()));
    scene.again_with(&events, Retries::Decremented, 1, 1).await;
    for round in 0..6 {
        // Each time that the clean-up rearms it, another merchant's event follows it.
        scene.put(events[1].clone()).await;
        scene.sns.messages.lock().unwrap().clear();
        scene.since = scene.clock.now();
        scene.pass_s(Policy::CURRENT.notification_retry_s).await;
        let outcome = scene.outcome_of([&events[1]]);
        assert_eq!((outcome.unsent, outcome.twice), (0, 0), "{round}");
        assert!(scene.longest_wait_s() <= RETRIED_WITHIN_S, "{round}");
    }
    assert_eq!(scene.given_up, 1);
    // The first delivery and three more, each with five retries, and none after that.
    assert_eq!(scene.host.given_up.len(), 4);
    let items = scene.notifications().await;
    let kept = items
        .iter()
        .find(|item| item["sk"] == events[0]["sk"] && item["pk"] == events[0]["pk"]);
    let kept = kept.unwrap();
    assert_eq!(kept["notice"].as_s().unwrap(), "given up");
    assert!(kept.contains_key("to_on_file") && !kept.contains_key("due_at"));
}

#[tokio::test]
async fn foreign_records_do_not_block_others() {
    let mut scene = Scene::start(&MERCHANTS[..2]).await;
    let event = scene.events[0].clone();
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let mut messages = 0;
    let mut strangers = Vec::new();
    for (pk, sk) in [
        ("M#mer_plain_1", "E#one"),
        ("M#mer_plain_1", "E#9999999999"),
        ("M#mer_plain_1", "Q"),
        ("M#", "E#0000000001"),
        ("X#mer_plain_1", "E#0000000001"),
        ("M#mer_nobody", "E#0000000001"),
        ("M#mer_plain_1", "E#99999999999999999999999"),
    ] {
        // In the stream they look due; one even has the form of an event.
        strangers.push(Item::from([
            ("pk".to_owned(), s(pk)),
            ("sk".to_owned(), s(sk)),
            ("notice".to_owned(), s("due")),
        ]));
    }
    for retries in BOTH {
        scene.again(retries, 1, 1).await;
        let _ = scene.stream.read(scene.clock.now()).await;
        for stranger in &strangers {
            scene.put(stranger.clone()).await;
            scene.put(event.clone()).await;
        }
        for event in scene.events.clone() {
            scene.put(event).await;
        }
        scene.pass_s(MINUTE_S).await;
        assert_eq!((scene.outcome().unsent, scene.outcome().twice), (0, 0));
        for stranger in &strangers {
            let delete = scene
                .world
                .client
                .delete_item()
                .table_name(&scene.world.table);
            let keys = ["pk", "sk"].map(|name| (name.to_owned(), stranger[name].clone()));
            delete.set_key(Some(keys.into())).send().await.unwrap();
        }
        // Deleted before they are delivered again, and mixed with values that are not records.
        let given_up = scene.host.given_up.len();
        scene.host.forget();
        scene.host.mapping.filters.clear();
        scene.host.mapping.age_max_s = None;
        for record in [
            json!(1),
            json!(null),
            json!("x"),
            json!([]),
            json!({"dynamodb": {"Keys": 1}}),
        ] {
            scene.host.add(record);
        }
        scene.pass_s(MINUTE_S).await;
        assert_eq!(scene.host.given_up.len(), given_up);
        messages += scene.assert_done(0).await;
    }
    metric("notifications: among foreign records", messages, 0);
}
