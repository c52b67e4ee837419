//! Notifications over a stream that behaves as AWS documents it: poison records, duplicates, shards in any order, SNS that is
//! down, throttled or slow, a function that dies anywhere. Records are real (a table with a stream), handlers are real, time is
//! virtual; the clean-up runs every five minutes of that time. Every recipient is notified, no notification waits behind an
//! undeliverable record, and a notification is repeated only after a crash between publish and mark.

#![allow(clippy::unwrap_used, missing_docs)]

mod crashes;
mod poison;
mod scene;
mod seen;
mod sns;
mod stream;

use confirmation_notice::SEND_UNTIL_S;
use domain::policy::{HOUR_S, MINUTE_S, Policy};
use scene::{BOTH, FUNCTION, MERCHANTS, REARMED_WITHIN_S, RETRIED_WITHIN_S, Scene};
use sns::Weather;
use std::collections::BTreeSet;
use store::outbox::LEASE_S;
use tests::metrics::metric;
use tests::stream_host::{Mapping, Retries};

#[tokio::test]
async fn each_notification_is_sent_once_in_any_shard_order() {
    let mut scene = Scene::start(&MERCHANTS).await;
    scene.settle(HOUR_S).await;
    let mut messages = scene.assert_done(0).await;
    let mut orders = BTreeSet::new();
    for retries in BOTH {
        for seed in 0..4 {
            scene.again(retries, 1 << seed, seed).await;
            scene.feed().await;
            scene.host.split();
            scene.pass_s(2).await;
            scene.host.split();
            scene.settle(HOUR_S).await;
            messages += scene.assert_done(0).await;
            assert!(scene.longest_wait_s() < MINUTE_S);
            let messages = scene.sns.messages.lock().unwrap();
            orders.insert(
                messages
                    .iter()
                    .map(|(_, to, _)| to.clone())
                    .collect::<Vec<_>>(),
            );
        }
    }
    assert!(orders.len() > 1, "the seeds produce only one order");
    metric("notifications: shards in any order", messages, 0);
}

#[tokio::test]
async fn redelivered_records_notify_once() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let (mut messages, mut invocations) = (0, 0);
    for retries in BOTH {
        for every in [1, 2] {
            scene.again(retries, 2, 1).await;
            scene.host.repeat_every = Some(every);
            scene.settle(HOUR_S).await;
            // The event source mapping is created again and starts at the oldest record.
            for _ in 0..2 {
                scene.host.forget();
                scene.settle(HOUR_S).await;
            }
            messages += scene.assert_done(0).await;
            invocations += scene.host.invocations;
        }
    }
    assert!(invocations > 24, "{invocations}");
    metric(
        "notifications: records delivered up to six times",
        messages,
        0,
    );
}

#[tokio::test]
async fn long_sns_outage_loses_no_notification() {
    let mut scene = Scene::start(&MERCHANTS[..3]).await;
    scene.sns.set(Weather::Down);
    scene.pass_s(90 * MINUTE_S).await;
    assert_eq!(scene.outcome().unsent, scene.outcome().messages);
    assert!(!scene.host.given_up.is_empty());
    scene.sns.set(Weather::Fine);
    let up = scene.clock.now();
    scene.settle(HOUR_S).await;
    let messages = scene.assert_done(0).await;
    let wait_s = scene.longest_wait_s() - scene.since.age_s_at(up);
    assert!(wait_s <= REARMED_WITHIN_S, "{wait_s}");
    metric("notifications: SNS down for 90 minutes", messages, 0);
}

#[tokio::test]
async fn sns_throttling_loses_nothing() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut messages = 0;
    for retries in BOTH {
        for every in [2, 3, 5, 7] {
            scene.again(retries, 1, 1).await;
            scene.sns.set(Weather::Throttled(every));
            scene.settle(HOUR_S).await;
            messages += scene.assert_done(0).await;
            // With every second publish refused, each retry sends half of the rest.
            assert_eq!(scene.host.given_up.len(), 0, "{retries:?}, every {every}");
            assert!(scene.longest_wait_s() <= RETRIED_WITHIN_S);
        }
    }
    metric(
        "notifications: SNS throttles every 2nd to 7th publish",
        messages,
        0,
    );
}

/// The longest last send: one publish without an answer (6 s); its hand-over, whose last retry starts within 6 s; the key service
/// before them, the read of a refused hand-over, the mark, its retry and the release. Each call takes at most 4 s.
const ONE_MORE_S: i64 = 6 + (6 + 4) + 5 * 4;

#[test]
fn function_ends_before_its_leases() {
    let timeout_s = Mapping::of(FUNCTION).timeout_s;
    assert!(SEND_UNTIL_S + ONE_MORE_S <= timeout_s);
    assert!(timeout_s < LEASE_S);
}

#[tokio::test]
async fn slow_sns_loses_nothing() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut messages = 0;
    for retries in BOTH {
        for (slow, then) in [
            (Weather::Slow(5), Weather::Slow(5)),
            (Weather::Silent(6), Weather::Fine),
        ] {
            scene.again(retries, 1, 1).await;
            scene.sns.set(slow);
            scene.pass_s(20 * MINUTE_S).await;
            scene.sns.set(then);
            scene.settle(2 * HOUR_S).await;
            messages += scene.assert_done(0).await;
        }
    }
    metric("notifications: SNS slow or silent", messages, 0);
}

#[tokio::test]
async fn expired_records_are_rearmed() {
    let mut scene = Scene::start(&MERCHANTS).await;
    let mut messages = 0;
    for retries in BOTH {
        scene.again(retries, 2, 1).await;
        scene.feed().await;
        scene.is_stalled = true;
        scene.pass_s(HOUR_S + 5 * MINUTE_S).await;
        scene.is_stalled = false;
        let since = scene.clock.now();
        scene.settle(HOUR_S).await;
        messages += scene.assert_done(0).await;
        assert!(
            scene.longest_wait_s() - scene.since.age_s_at(since) < MINUTE_S,
            "the rearmed records are delivered at once"
        );
        let conditions = scene
            .host
            .given_up
            .iter()
            .map(|message| &message["requestContext"]["condition"]);
        assert!(
            conditions.clone().count() > 0
                && conditions
                    .clone()
                    .all(|condition| condition == "RecordAgeExceeded")
        );
    }
    metric("notifications: expired records", messages, 0);
}

#[tokio::test]
async fn cleanup_during_a_delivery_repeats_nothing() {
    let mut scene = Scene::start(&MERCHANTS[..1]).await;
    let mut clean_ups = 0;
    for message in 0..7 {
        scene.again(Retries::Decremented, 1, 1).await;
        scene.feed().await;
        // Overdue.
        scene
            .clock
            .pass_s(Policy::CURRENT.notification_retry_s + MINUTE_S);
        scene.sns.set(Weather::Waits);
        let delivery = scene.next().unwrap();
        let sns = scene.sns.clone();
        let others = async {
            for other in 0..7 {
                sns.reached.notified().await;
                if other == message {
                    let summary = scene.run_clean_up().await;
                    // A sent notification is no longer due, and one in delivery is left alone.
                    assert_eq!(
                        summary.notices_rearmed,
                        1 - u32::from(message >= 3),
                        "{message}"
                    );
                }
                sns.go_on.notify_one();
            }
        };
        let (ended, ()) = tokio::join!(scene.handle(&delivery), others);
        scene.sns.set(Weather::Fine);
        scene.host.finish(delivery, &ended, scene.clock.now());
        scene.settle(HOUR_S).await;
        scene.assert_done(0).await;
        clean_ups += 1;
    }
    metric("notifications: clean-ups during a delivery", clean_ups, 0);
}
