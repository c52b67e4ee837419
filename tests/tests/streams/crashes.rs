//! A function that dies at any point.

use crate::scene::{BOTH, MERCHANTS, Scene};
use crate::sns::{Moment, Weather};
use domain::policy::{HOUR_S, MINUTE_S};
use domain::time::Timestamp;
use std::collections::HashSet;
use tests::metrics::metric;
use tests::stream_host::{Ended, Retries};
use tests::table_faults::{Call, Fault};

/// One merchant, so that one batch holds everything.
#[tokio::test]
async fn crash_repeats_only_unmarked_notifications() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    let all = scene.outcome().messages;
    assert_eq!(
        all, 7,
        "a new card notifies two phones and two devices, a setting one phone and two devices"
    );
    let (mut crashes, mut twice) = (0, 0);
    for number in 1..=all {
        for (moment, doubled) in [(Moment::Before, 0), (Moment::After, 1)] {
            scene.again(BOTH[number % 2], 1, 1).await;
            scene.sns.set(Weather::Deadly(number, moment));
            scene.settle(HOUR_S).await;
            scene.assert_done(doubled).await;
            assert!(
                scene.longest_wait_s() <= MINUTE_S,
                "the stream's own retry is enough"
            );
            crashes += 1;
            twice += doubled;
        }
    }
    metric(
        "notifications: crashes before and after each publish",
        crashes,
        0,
    );
    metric(
        "notifications: sent twice after a crash between publish and mark",
        twice,
        0,
    );
}

#[tokio::test]
async fn endless_crashes_lose_nothing() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut crashes = 0;
    for retries in BOTH {
        for moment in [Moment::Before, Moment::After] {
            scene.again(retries, 2, 3).await;
            scene.sns.set(Weather::AlwaysDeadly(moment));
            scene.settle(3 * HOUR_S).await;
            let doubled = if moment == Moment::After {
                scene.outcome().messages
            } else {
                0
            };
            crashes += scene.assert_done(doubled).await;
        }
    }
    metric("notifications: a crash at every publish", crashes, 0);
}

/// The success reply is lost: the whole batch is delivered again after its notifications were sent.
#[tokio::test]
async fn lost_reply_repeats_nothing() {
    let mut scene = Scene::start(&MERCHANTS[..2]).await;
    scene.feed().await;
    for _ in 0..3 {
        scene.clock.pass_s(30);
        let delivery = scene.next().unwrap();
        let _ = scene.handle(&delivery).await;
        scene
            .host
            .finish(delivery, &Ended::Failed, scene.clock.now());
    }
    scene.settle(HOUR_S).await;
    scene.assert_done(0).await;
}

/// For each table call of a batch, true if the call marks a recipient as notified.
async fn calls_of_a_batch(scene: &mut Scene) -> Vec<bool> {
    let delivery = scene.next().unwrap();
    let _ = scene.world.boundary.take();
    let ended = scene.handle(&delivery).await;
    let calls = scene.world.boundary.take();
    scene.host.finish(delivery, &ended, scene.clock.now());
    calls.iter().map(is_mark).collect()
}

fn is_mark(call: &Call) -> bool {
    let update = call.body["UpdateExpression"].as_str().unwrap_or("");
    ["REMOVE #to_on_file", "REMOVE #to_reserved", "SET #to_push"]
        .iter()
        .any(|mark| update.contains(mark))
}

/// A table call is lost, or its reply is. A sent notification whose mark failed is marked by another call.
#[tokio::test]
async fn failed_table_call_repeats_nothing() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    scene.feed().await;
    let calls = calls_of_a_batch(&mut scene).await;
    assert!(calls.contains(&true));
    let mut faults = 0;
    for place in 1..=calls.len() {
        for fault in [Fault::RequestLost, Fault::ReplyLost] {
            scene.again(Retries::Decremented, 1, 1).await;
            scene.feed().await;
            let delivery = scene.next().unwrap();
            scene.world.boundary.fail(place, fault);
            scene.invoke(delivery).await;
            scene.settle(HOUR_S).await;
            assert_eq!(scene.outcome().twice, 0, "{place} {fault:?}");
            scene.assert_done(0).await;
            faults += 1;
        }
    }
    metric(
        "notifications: lost table calls and lost replies, sent twice",
        faults,
        0,
    );
}

async fn effective_at(scene: &Scene) -> Timestamp {
    let state = scene.world.stored("plain_1").await.state;
    state.last_activation.unwrap().times.effective_at
}

/// The reply to a late hand-over is lost. Every recipient learns the time from which the card is paid, which has moved.
#[tokio::test]
async fn lost_hand_over_reply_tells_the_moved_time() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    scene.feed().await;
    let delivery = scene.next().unwrap();
    let _ = scene.world.boundary.take();
    let _ = scene.handle(&delivery).await;
    let calls = scene.world.boundary.take();
    let hand_over = calls
        .iter()
        .position(|call| call.operation == "TransactWriteItems");
    let planned = effective_at(&scene).await;
    scene.clock.wait_until(planned.plus_s(-HOUR_S));
    scene.again(Retries::Decremented, 1, 1).await;
    scene.feed().await;
    let delivery = scene.next().unwrap();
    let place = hand_over.unwrap() + 1;
    scene.world.boundary.fail(place, Fault::ReplyLost);
    scene.invoke(delivery).await;
    assert!(scene.world.boundary.calm() > 0);
    scene.settle(HOUR_S).await;
    scene.assert_done(0).await;
    let moved = effective_at(&scene).await;
    assert!(planned < moved, "{planned:?} {moved:?}");
    let time = &moved.to_rfc3339_shanghai()[11..16];
    let messages = scene.sns.messages.lock().unwrap();
    let activated = messages
        .iter()
        .filter(|(_, _, text)| text.contains("结算卡"));
    let told: Vec<bool> = activated.map(|(_, _, text)| text.contains(time)).collect();
    assert_eq!(told, [true; 4], "{messages:?}");
}

/// The table fails right after a send: the mark is tried twice, and the batch is returned.
#[tokio::test]
async fn table_outage_ends_the_invocation() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    scene.feed().await;
    let calls = calls_of_a_batch(&mut scene).await;
    let first_mark = calls.iter().position(|is_mark| *is_mark).unwrap() + 1;
    scene.again(Retries::Decremented, 1, 1).await;
    scene.feed().await;
    let delivery = scene.next().unwrap();
    scene
        .world
        .boundary
        .fail_from(first_mark, Fault::RequestLost);
    scene.invoke(delivery).await;
    let marks = scene.world.boundary.take();
    let marks: HashSet<&str> = marks
        .iter()
        .filter(|call| is_mark(call))
        .map(|call| call.id.as_str())
        .collect();
    assert_eq!(marks.len(), 2, "{marks:?}");
    assert!(scene.world.boundary.calm() > 0);
    scene.settle(HOUR_S).await;
    scene.assert_done(1).await;
}

/// AWS processes one batch of a shard at a time unless AWS itself fails. In that case a lease cannot tell the two deliveries
/// apart, since both carry the same record: everything is sent, some of it twice.
#[tokio::test]
async fn batch_delivered_twice_at_once_loses_nothing() {
    let mut scene = Scene::start(&MERCHANTS[..2]).await;
    scene.feed().await;
    let delivery = scene.next().unwrap();
    let (ended, _) = tokio::join!(scene.handle(&delivery), scene.handle(&delivery));
    scene.host.finish(delivery, &ended, scene.clock.now());
    scene.settle(HOUR_S).await;
    let twice = scene.outcome().twice;
    scene.assert_done(twice).await;
    assert!(twice <= scene.outcome().messages);
}
