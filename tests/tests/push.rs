//! Push targets: the recipients, the time for which a removed device is still notified, and undeliverable pushes.

#![allow(clippy::unwrap_used, missing_docs)]

use application::ports::{PortError, Pushed};
use domain::policy::{DAY_S, Policy};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE};
use tests::table_faults::Fault;
use tests::transport::{Reply, freeze_code_in};

const POLICY: &Policy = &Policy::CURRENT;
const NAME: &str = "plain_1";

async fn put_alone(app: &App, id: &str, token: &str) -> Reply {
    let path = format!("/v1/push-targets/{id}");
    app.put(&path, json!({"platform": "apns", "token": token}))
        .await
}

async fn remove_alone(app: &App, id: &str) -> Reply {
    let path = format!("/v1/push-targets/{id}");
    app.delete(&path).await
}

/// Registers a device, and delivers the notification of that.
async fn put(app: &App, id: &str, token: &str) -> Reply {
    settled(app, put_alone(app, id, token).await).await
}

/// Removes a device, and delivers the notification of that.
async fn remove(app: &App, id: &str) -> Reply {
    settled(app, remove_alone(app, id).await).await
}

async fn settled(app: &App, reply: Reply) -> Reply {
    if reply.status == 204 {
        delivered(&app.system).await;
    }
    reply
}

/// Changes the settings, which notifies. Returns the tokens that received a push, sorted.
async fn notified(app: &App, minute: u32) -> Vec<String> {
    let mut settings = app.get("/v1/settlement").await.body;
    settings["payout_time"] = json!(format!("12:{minute:02}"));
    app.put("/v1/settlement", settings).await.ok(200);
    delivered(&app.system).await
}

async fn delivered(world: &Arc<InProcess>) -> Vec<String> {
    let reply = world.deliver_due().await;
    assert_eq!(reply, json!({"batchItemFailures": []}));
    let mut tokens = world.push.take_tokens();
    tokens.sort();
    tokens
}

#[tokio::test]
async fn pushes_never_hold_the_freeze_code() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await.ok(204);
    let fcm = json!({"platform": "fcm", "token": "token-b"});
    app.put("/v1/push-targets/tablet", fcm).await.ok(204);
    delivered(&world).await;
    app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    let pushes = world.push.all();
    let targets: Vec<(&str, &str)> = pushes
        .iter()
        .map(|(platform, token, _)| (platform.as_str(), token.as_str()))
        .collect();
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert!(targets.contains(&("apns", "token-a")) && targets.contains(&("fcm", "token-b")));
    for (_, _, text) in &pushes {
        assert!(text.contains("1009"), "{text}");
        assert!(
            !text.contains(&code) && freeze_code_in(text).is_none(),
            "{text}"
        );
    }
    // The same applies to every other notification.
    let _ = world.push.take_tokens();
    world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await;
    assert_eq!(delivered(&world).await, ["token-a", "token-b"]);
    for item in world.items().await {
        let text = format!("{item:?}");
        assert!(
            !text.contains("token-a") && !text.contains("token-b"),
            "tokens are stored encrypted"
        );
    }
    world.history(NAME).await;
}

#[tokio::test]
async fn standby_push_holds_no_freeze_code() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await;
    app.standby(GOOD_CARD).await;
    let code = app.freeze_code().await;
    let pushes = world.push.all();
    assert_eq!(pushes.len(), 1);
    assert!(!pushes[0].2.contains(&code) && freeze_code_in(&pushes[0].2).is_none());
}

#[tokio::test]
async fn removed_device_is_notified_for_seven_days() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await;
    put(&app, "tablet", "token-b").await;
    assert_eq!(notified(&app, 1).await, ["token-a", "token-b"]);
    remove(&app, "phone").await.ok(204);
    assert_eq!(notified(&app, 2).await, ["token-a", "token-b"]);
    remove(&app, "phone").await.is(404, "NOT_FOUND");
    world.pass_s(POLICY.push_after_removal_s - 1);
    let app = app.again().await;
    assert_eq!(notified(&app, 3).await, ["token-a", "token-b"]);
    world.pass_s(1);
    assert_eq!(notified(&app, 4).await, ["token-b"]);
    // The last one too, when no device is registered any more.
    remove(&app, "tablet").await.ok(204);
    world.pass_s(POLICY.push_after_removal_s - 1);
    let app = app.again().await;
    assert_eq!(notified(&app, 5).await, ["token-b"]);
    world.pass_s(1);
    let app = app.again().await;
    assert!(notified(&app, 6).await.is_empty());
}

#[tokio::test]
async fn replaced_device_is_notified_for_seven_days() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await;
    put(&app, "phone", "token-b").await.ok(204);
    assert_eq!(notified(&app, 1).await, ["token-a", "token-b"]);
    // A repetition changes nothing.
    put(&app, "phone", "token-b").await.ok(204);
    assert_eq!(world.count(NAME, "push_target_changed").await, 1);
    assert_eq!(world.count(NAME, "push_target_refreshed").await, 1);
    world.pass_s(POLICY.push_after_removal_s);
    let app = app.again().await;
    assert_eq!(notified(&app, 2).await, ["token-b"]);
    // A device that is registered again is notified like any other.
    put(&app, "phone", "token-a").await.ok(204);
    world.pass_s(2 * POLICY.push_after_removal_s);
    assert_eq!(notified(&app.again().await, 3).await, ["token-a"]);
}

#[tokio::test]
async fn late_push_goes_to_devices_of_the_event() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await;
    app.activate(GOOD_CARD).await;
    remove_alone(&app.again().await, "phone").await.ok(204);
    // SNS was down for longer than a removed device is notified. The removal is pushed too.
    world.pass_s(POLICY.push_after_removal_s + DAY_S);
    assert_eq!(delivered(&world).await, ["token-a", "token-a"]);
}

#[tokio::test]
async fn device_above_the_limit_is_refused() {
    let (world, app) = InProcess::with(NAME).await;
    for number in 0..POLICY.push_targets_max {
        let id = format!("phone-{number}");
        put(&app, &id, &id).await.ok(204);
    }
    let _ = world.peer_calls.take();
    put(&app, "another", "another")
        .await
        .is(409, "STEP_OUT_OF_ORDER");
    let calls = world.peer_calls.take();
    assert!(calls.is_empty(), "a refusal seals nothing: {calls:?}");
    remove(&app, "phone-0").await.ok(204);
    put(&app, "another", "another").await.ok(204);
    assert_eq!(
        notified(&app, 1).await.len(),
        POLICY.push_targets_max + 1,
        "the removed device is still notified"
    );
}

#[tokio::test]
async fn parallel_registrations_keep_the_limit() {
    let (world, app) = InProcess::with(NAME).await;
    let ids: Vec<String> = (0..POLICY.push_targets_max + 4)
        .map(|number| format!("phone-{number}"))
        .collect();
    let puts = ids.iter().map(|id| put_alone(&app, id, id));
    let answers = futures::future::join_all(puts).await;
    delivered(&world).await;
    for answer in &answers {
        let known = answer.status == 204
            || ["STEP_OUT_OF_ORDER", "VERSION_CONFLICT"].contains(&answer.code());
        assert!(known, "{:?}", answer.body);
    }
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    let state = world.stored(NAME).await.state;
    assert!(done <= POLICY.push_targets_max);
    assert_eq!(state.push_targets.len(), done);
    assert_eq!(notified(&app, 1).await.len(), done);
    world.history(NAME).await;
}

#[tokio::test]
async fn failed_push_is_retried_without_an_sms() {
    let (world, app) = InProcess::with(NAME).await;
    put(&app, "phone", "token-a").await;
    put(&app, "tablet", "token-b").await;
    app.activate(GOOD_CARD).await;
    let before = [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
    let sms = || [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
    // One of the two devices is unreachable, twice.
    for _ in 0..2 {
        world
            .push
            .script([Err(PortError::Transient("push", "down".to_owned()))]);
        let batch = world.due_notifications().await;
        let batch = if batch["Records"].as_array().unwrap().is_empty() {
            released(&world).await
        } else {
            batch
        };
        let reply = world.deliver(batch, world.now()).await;
        assert_eq!(reply["batchItemFailures"].as_array().unwrap().len(), 1);
        assert_eq!(sms(), before.map(|count| count + 1));
    }
    let batch = released(&world).await;
    let reply = world.deliver(batch.clone(), world.now()).await;
    assert_eq!(reply, json!({"batchItemFailures": []}));
    assert_eq!(sms(), before.map(|count| count + 1), "one SMS per phone");
    let mut tokens = world.push.take_tokens();
    tokens.sort();
    assert_eq!(tokens, ["token-a", "token-b"], "one push per device");
    // A repeated delivery sends nothing.
    world.deliver(batch, world.now()).await;
    assert_eq!(
        (sms(), world.push.take_tokens().len()),
        (before.map(|count| count + 1), 0)
    );
}

/// The stream's records of notifications that were released.
async fn released(world: &Arc<InProcess>) -> Value {
    let items = world.items().await;
    let records = items.iter().filter(|item| {
        let notification = item
            .get("notice")
            .and_then(|notification| notification.as_s().ok());
        notification.is_some_and(|notification| notification == "released")
    });
    let records: Vec<Value> = records
        .map(|item| {
            let key = |name: &str| json!({"S": item[name].as_s().unwrap()});
            json!({"eventID": item["sk"].as_s().unwrap(), "eventName": "INSERT", "dynamodb": {
                "SequenceNumber": item["sk"].as_s().unwrap(),
                "Keys": {"pk": key("pk"), "sk": key("sk")},
            }})
        })
        .collect();
    assert!(!records.is_empty());
    json!({"Records": records})
}

#[tokio::test]
async fn dead_device_does_not_block_others() {
    for result in [
        Ok(Pushed::Gone),
        Ok(Pushed::NotConfigured),
        Err(PortError::Permanent("push", "InvalidParameter".to_owned())),
    ] {
        let (world, app) = InProcess::with(NAME).await;
        put(&app, "phone", "token-a").await;
        put(&app, "tablet", "token-b").await;
        let text = format!("{result:?}");
        let before = world.sms.to(&app.profile.phone).len();
        world.push.script([result]);
        assert_eq!(notified(&app, 1).await.len(), 1, "{text}");
        let sent = world.sms.to(&app.profile.phone).len() - before;
        assert_eq!(sent, 1, "{text}");
    }
}

#[tokio::test]
async fn lost_reply_changes_target_once() {
    let (world, app) = InProcess::with(NAME).await;
    let path = "/v1/push-targets/phone";
    let target = json!({"platform": "apns", "token": "token-a"});
    world.boundary.fail(2, Fault::ReplyLost);
    app.call_keyed("k-1", "PUT", path, target.clone())
        .await
        .ok(500);
    for _ in 0..2 {
        let again = app.call_keyed("k-1", "PUT", path, target.clone()).await;
        assert_eq!((again.status, &again.body), (204, &Value::Null));
    }
    assert_eq!(world.count(NAME, "push_target_changed").await, 1);
    delivered(&world).await;
    assert_eq!(notified(&app, 1).await, ["token-a"]);

    world.boundary.fail(2, Fault::ReplyLost);
    app.call_keyed("k-2", "DELETE", path, ()).await.ok(500);
    for _ in 0..2 {
        let again = app.call_keyed("k-2", "DELETE", path, ()).await;
        assert_eq!((again.status, again.is_replayed()), (204, true));
    }
    assert_eq!(world.count(NAME, "push_target_removed").await, 1);
    let state = world.stored(NAME).await.state;
    assert!(state.push_targets.is_empty());
}

#[tokio::test]
async fn rejects_malformed_push_targets() {
    let (_, app) = InProcess::with(NAME).await;
    for (id, body, fields) in [
        ("phone", json!({}), vec!["platform", "token"]),
        (
            "phone",
            json!({"platform": "gcm", "token": ""}),
            vec!["platform", "token"],
        ),
        (
            "phone",
            json!({"platform": "apns", "token": "x".repeat(4_097)}),
            vec!["token"],
        ),
        (
            "phone",
            json!({"platform": "apns", "token": "a b"}),
            vec!["token"],
        ),
        (
            &"x".repeat(37),
            json!({"platform": "apns", "token": "t"}),
            vec!["id"],
        ),
        ("a.b", json!({"platform": "apns", "token": "t"}), vec!["id"]),
    ] {
        let path = format!("/v1/push-targets/{id}");
        let answer = app.put(&path, body.clone()).await;
        assert!(
            [400, 422].contains(&answer.status),
            "{body}: {:?}",
            answer.body
        );
        assert_eq!(answer.code(), "REQUEST_MALFORMED", "{body}");
        let named = answer.body["errors"].as_array().unwrap();
        let named: Vec<&str> = named
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    let longest = "x".repeat(4_096);
    put(&app, &"x".repeat(36), &longest).await.ok(204);
    assert_eq!(notified(&app, 1).await, [longest]);
}

#[tokio::test]
async fn removing_a_device_needs_a_fresh_login() {
    let (world, app) = InProcess::with(NAME).await;
    let tablet = app.on("tablet").await;
    put(&app, "phone", "token-a").await;
    world.pass_s(POLICY.fresh_login_s - 1);
    // Activity that keeps the sessions alive does not refresh the login.
    put(&app, "phone", "token-b").await.ok(204);
    put(&tablet, "tablet", "token-c").await.ok(204);
    world.pass_s(1);
    for stale in [
        remove(&app, "phone").await,
        // Another device registered under its id removes it.
        put(&tablet, "phone", "token-d").await,
        put(&app, "watch", "token-e").await,
    ] {
        assert_eq!((stale.status, stale.code()), (403, "STEP_UP_REQUIRED"));
    }
    // The device that registered the target refreshes its token.
    put(&app, "phone", "token-f").await.ok(204);
    remove(&app.again().await, "phone").await.ok(204);
}

#[tokio::test]
async fn daily_changes_are_limited() {
    let (world, app) = InProcess::with(NAME).await;
    // A refresh by the device itself would not count.
    let tablet = app.on("tablet").await;
    let sessions = [&app, &tablet].into_iter().cycle();
    for (number, session) in (0..POLICY.setting_changes_per_day).zip(sessions) {
        let token = format!("token-{number}");
        put(session, "phone", &token).await.ok(204);
    }
    let limited = put(&app, "phone", "token-more")
        .await
        .is(429, "DAILY_REQUEST_LIMIT")
        .has("counts_toward_limit", false);
    assert_eq!(limited.body["retry_after_s"], DAY_S);
    // A request without effect is not counted as a change, and the limit never refuses a removal.
    let last = format!("token-{}", POLICY.setting_changes_per_day - 1);
    put(&app, "phone", &last).await.ok(204);
    remove(&app, "phone").await.ok(204);
    world.pass_s(DAY_S);
    let app = app.again().await;
    put(&app, "phone", "token-more").await.ok(204);
    // Every device that was registered in the last week is notified once.
    let tokens = notified(&app, 1).await;
    assert_eq!(tokens.len(), POLICY.setting_changes_per_day + 1);
}

/// The phone on file and the device concerned learn of each change; a refresh of the token is silent.
#[tokio::test]
async fn push_target_changes_are_notified() {
    let (world, app) = InProcess::with(NAME).await;
    let sms = || world.sms.to(&app.profile.phone).len();
    put_alone(&app, "phone", "token-a").await.ok(204);
    assert_eq!(
        (delivered(&world).await, sms()),
        (vec!["token-a".to_owned()], 1)
    );
    put_alone(&app, "phone", "token-b").await.ok(204);
    assert_eq!((delivered(&world).await.len(), sms()), (0, 1));
    remove_alone(&app, "phone").await.ok(204);
    assert_eq!(
        (delivered(&world).await, sms()),
        (vec!["token-a".to_owned(), "token-b".to_owned()], 2)
    );
}
