//! Notifications: refused phones, hand-overs and reminders, in one process.

#![allow(clippy::unwrap_used, missing_docs)]

use domain::ids::MerchantId;
use domain::policy::{DAY_S, HOUR_S, Policy};
use serde_json::{Value, json};
use std::sync::Arc;
use store::outbox::Rearmed;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE};
use tests::scenario;
use tests::transport::freeze_code_in;

const POLICY: &Policy = &Policy::CURRENT;

/// A merchant with a notification of another kind than a change, not sent yet.
async fn changed_settings() -> (Arc<InProcess>, App, u64) {
    let (world, app) = InProcess::with("plain_1").await;
    world.stop_stream();
    let settings = json!({
        "cycle": "D1", "payout_time": "18:30", "retained_fen": 100, "daily_limit_fen": 1_500_000,
    });
    app.put("/v1/settlement", settings).await.with_status(200);
    let seq = world.stored("plain_1").await.state.last_seq;
    (world, app, seq)
}

/// An activation whose notification was not sent yet.
async fn unnotified() -> (Arc<InProcess>, App, String) {
    let (world, app, path) = scenario::activated("plain_1").await;
    world.stop_stream();
    (world, app, path)
}

async fn deliver(world: &InProcess) -> Value {
    world.deliver_due().await
}

fn done() -> Value {
    json!({"batchItemFailures": []})
}

fn merchant_id() -> MerchantId {
    MerchantId::parse("mer_plain_1").unwrap()
}

/// The notifications with a freeze code that the phone on file has received.
fn announcements(world: &InProcess, app: &App) -> Vec<String> {
    let texts = world.sms.to(&app.profile.phone).into_iter();
    texts
        .filter(|text| freeze_code_in(text).is_some())
        .collect()
}

/// Runs the clean-up every two hours for so long, and delivers what it arms.
async fn pass_with_clean_up(world: &InProcess, seconds: i64) {
    let mut left_s = seconds;
    while left_s > 0 {
        let step_s = left_s.min(2 * HOUR_S);
        world.pass_s(step_s);
        left_s -= step_s;
        Box::pin(world.clean_up()).await;
        deliver(world).await;
    }
}

#[tokio::test]
async fn notification_to_a_refused_phone_pauses_for_a_day() {
    let (world, app, _) = changed_settings().await;
    let phone = app.profile.phone.clone();
    world.sms.refuse(Some(&phone));
    assert_eq!(deliver(&world).await, done(), "no retry by the stream");
    assert!(world.sms.to(&phone).is_empty());
    world.sms.refuse(None);
    world.pass_s(POLICY.notification_pause_s - 1);
    assert_eq!(world.clean_up().await.notices_rearmed, 0);
    world.pass_s(1);
    assert_eq!(world.clean_up().await.notices_rearmed, 1);
    assert_eq!(deliver(&world).await, done());
    assert_eq!(world.sms.to(&phone).len(), 1);
    assert_eq!(world.clean_up().await.notices_rearmed, 0);
}

#[tokio::test]
async fn phone_refused_again_is_given_up() {
    let (world, app, _) = changed_settings().await;
    world.sms.refuse(Some(&app.profile.phone));
    for given_up in [0, 1] {
        deliver(&world).await;
        world.pass_s(POLICY.notification_pause_s);
        let summary = world.clean_up().await;
        let counts = (summary.notices_rearmed, summary.notices_given_up);
        assert_eq!(counts, (1 - given_up, given_up));
    }
}

#[tokio::test]
async fn undeliverable_notification_is_given_up_after_a_day() {
    let (world, _, seq) = changed_settings().await;
    for _ in 0..POLICY.notification_retries_max {
        world.pass_s(POLICY.notification_retry_s + 1);
        let (store, id, now) = (world.store(), merchant_id(), world.now());
        let rearmed = store.rearm_notification(&id, seq, now, now).await;
        assert_eq!(rearmed.unwrap(), Rearmed::Armed);
    }
    for given_up in [1, 0] {
        world.pass_s(POLICY.notification_retry_s + 1);
        let summary = world.clean_up().await;
        let counts = (summary.notices_rearmed, summary.notices_given_up);
        assert_eq!(counts, (0, given_up));
    }
}

#[tokio::test]
async fn change_waits_for_its_notification() {
    let (world, app, path) = unnotified().await;
    let shown = app.get(&path).await.ok(200);
    assert_eq!(shown["waiting_for_notification"], true);
    let planned = shown["effective_at"].clone();
    world.sms.set_down(true);
    pass_with_clean_up(&world, 2 * DAY_S).await;
    let app = app.again().await;
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["effective_at"]),
        (&json!("activated"), &planned)
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_ne!(
        cards["hold"]["paying_card"],
        Value::Null,
        "the old card is paid"
    );
    // The provider is back: the effect comes 12 h after the hand-over, and the SMS states that time.
    world.sms.set_down(false);
    pass_with_clean_up(&world, 6 * HOUR_S).await;
    let shown = app.again().await.get(&path).await.ok(200);
    assert_eq!(shown["waiting_for_notification"], Value::Null);
    let effective_at = shown["effective_at"].as_str().unwrap();
    assert!(effective_at > planned.as_str().unwrap());
    let announced = announcements(&world, &app);
    assert!(
        announced[0].contains(&effective_at[11..16]),
        "{announced:?} {effective_at}"
    );
    assert_eq!(world.count("plain_1", "change_notified").await, 1);
    pass_with_clean_up(&world, 12 * HOUR_S).await;
    let shown = app.again().await.get(&path).await.ok(200);
    assert_eq!(shown["state"], "completed");
}

#[tokio::test]
async fn refused_phone_keeps_the_change_waiting() {
    let (world, app, path) = unnotified().await;
    world.sms.refuse(Some(&app.profile.phone));
    let seq = world.stored("plain_1").await.state.last_seq;
    for _ in 0..POLICY.notification_retries_max {
        world.pass_s(POLICY.notification_retry_s + 1);
        let (store, id, now) = (world.store(), merchant_id(), world.now());
        let rearmed = store.rearm_notification(&id, seq, now, now).await;
        assert_eq!(rearmed.unwrap(), Rearmed::Armed);
    }
    // After the first day it is tried every six hours, and never given up.
    world.pass_s(POLICY.notification_retry_s + 1);
    let summary = world.clean_up().await;
    assert_eq!((summary.notices_rearmed, summary.notices_given_up), (1, 0));
    deliver(&world).await;
    let app = app.again().await;
    assert_eq!(
        app.get(&path).await.ok(200)["waiting_for_notification"],
        true
    );
    world.sms.refuse(None);
    world.pass_s(POLICY.notification_late_retry_s - 1);
    assert_eq!(world.clean_up().await.notices_rearmed, 0);
    world.pass_s(1);
    assert_eq!(world.clean_up().await.notices_rearmed, 1);
    deliver(&world).await;
    assert_eq!(announcements(&world, &app).len(), 1);
    let shown = app.again().await.get(&path).await.ok(200);
    assert_eq!(shown["waiting_for_notification"], Value::Null);
}

#[tokio::test]
async fn owner_is_reminded_twice_before_the_effect() {
    let (world, app, _) = unnotified().await;
    deliver(&world).await;
    let first = announcements(&world, &app);
    assert_eq!(first.len(), 1);
    let reserved = world.sms.to(RESERVED_PHONE).len();
    for (passes_s, count) in [
        (8 * HOUR_S - 1, 1),
        (1, 2),
        (14 * HOUR_S - 1, 2),
        (1, 3),
        (DAY_S, 3),
    ] {
        pass_with_clean_up(&world, passes_s).await;
        assert_eq!(announcements(&world, &app).len(), count, "{passes_s}");
    }
    // The same text with the same freeze code, and none to the reserved phone.
    assert!(
        announcements(&world, &app)
            .iter()
            .all(|text| *text == first[0])
    );
    assert_eq!(world.sms.to(RESERVED_PHONE).len(), reserved);
}

#[tokio::test]
async fn standby_card_is_reminded_of_before_it_is_usable() {
    let (world, app) = InProcess::with("plain_1").await;
    world.stop_stream();
    app.standby(GOOD_CARD).await;
    deliver(&world).await;
    pass_with_clean_up(&world, POLICY.standby_wait_s).await;
    assert_eq!(announcements(&world, &app).len(), 3);
}

#[tokio::test]
async fn overdue_reminders_are_sent_once_and_in_time() {
    let (world, app, _) = unnotified().await;
    deliver(&world).await;
    // No clean-up ran for 23 h: one reminder instead of two.
    world.pass_s(23 * HOUR_S);
    assert_eq!(world.clean_up().await.reminders, 1);
    deliver(&world).await;
    assert_eq!(announcements(&world, &app).len(), 2);
    pass_with_clean_up(&world, DAY_S).await;
    assert_eq!(announcements(&world, &app).len(), 2);

    // None after the effect: neither armed, nor delivered late.
    let (world, app, _) = unnotified().await;
    deliver(&world).await;
    world.pass_s(DAY_S);
    assert_eq!(world.clean_up().await.reminders, 0);
    deliver(&world).await;
    assert_eq!(announcements(&world, &app).len(), 1);
    let (world, app, _) = unnotified().await;
    deliver(&world).await;
    world.pass_s(23 * HOUR_S);
    assert_eq!(world.clean_up().await.reminders, 1);
    world.pass_s(HOUR_S);
    deliver(&world).await;
    assert_eq!(announcements(&world, &app).len(), 1);
}

#[tokio::test]
async fn stopped_change_is_not_reminded_of() {
    let (world, app, _) = unnotified().await;
    deliver(&world).await;
    let code = freeze_code_in(&announcements(&world, &app)[0]).unwrap();
    world.pass_s(9 * HOUR_S);
    // Armed, then frozen before the delivery.
    assert_eq!(world.clean_up().await.reminders, 1);
    world
        .freeze(&app.profile.account, &code, "1.1.1.1")
        .await
        .with_status(202);
    pass_with_clean_up(&world, DAY_S).await;
    assert_eq!(announcements(&world, &app).len(), 1);
    assert_eq!(world.count("plain_1", "frozen").await, 1);
}
