//! Hundreds of concurrent requests for the same step, from one device and from two, on the running system. Some order of the
//! requests must explain the replies, the history and the later reads.
//!
//! These cases run one after the other when all others are over, because each uses the whole machine.

use crate::cleanup::in_year;
use crate::see::last4;
use domain::policy::{DAY_S, HOUR_S};
use futures::StreamExt as _;
use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::{Profile, wrong_otp};
use tests::metrics::metric;
use tests::transport::{Reply, Transport as _, freeze_code_in};

/// Maximum number of concurrent requests. Each needs a separate process, so more would slow the local cloud without tighter
/// races.
const IN_FLIGHT: usize = 40;

/// Sends the requests concurrently, up to the limit. Replies come in the order of the requests.
async fn flood<'l, R: 'l>(requests: Vec<BoxFuture<'l, R>>) -> Vec<R> {
    futures::stream::iter(requests)
        .buffered(IN_FLIGHT)
        .collect()
        .await
}

/// A POST with a key of its own.
fn post<'l>(app: &'l App<'l>, path: &str, body: Value) -> BoxFuture<'l, Reply> {
    let path = path.to_owned();
    Box::pin(async move { app.post(&path, body).await })
}

/// A POST with the given key.
fn keyed<'l>(app: &'l App<'l>, key: String, path: &str, body: Value) -> BoxFuture<'l, Reply> {
    let path = path.to_owned();
    Box::pin(async move { app.keyed(&key, &path, body).await })
}

/// Successes that are not replays.
fn done(replies: &[Reply]) -> Vec<&Reply> {
    replies
        .iter()
        .filter(|reply| reply.status < 300 && !reply.is_replayed())
        .collect()
}

/// Every refusal has one of these codes.
fn refusals(replies: &[Reply], known: &[&str]) {
    for reply in replies.iter().filter(|reply| reply.status >= 300) {
        let code = reply.body["code"].as_str().unwrap();
        assert!(known.contains(&code), "{}: {code}", reply.what);
    }
}

async fn count(app: &App<'_>, kind: &str) -> usize {
    app.kinds().await.iter().filter(|of| *of == kind).count()
}

/// Two devices request cards, each with forty keys, three times each: one rebind.
pub async fn concurrent_requests_make_one_rebind(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let devices = [
        live.app(&merchant).await,
        live.app_on(&merchant, "another device").await,
    ];
    // Warm up one environment per request: a request that first starts one comes too late to race.
    let looks = (0..2 * IN_FLIGHT).map(|_| -> BoxFuture<'_, Reply> {
        let look = devices[0].get("/v1/rebinds");
        Box::pin(look)
    });
    flood(looks.collect()).await;
    let mut requests = Vec::new();
    for _ in 0..3 {
        for key in 0..40 {
            for (device, app) in devices.iter().enumerate() {
                let body = app.request_body(merchant.active_card.as_ref().unwrap());
                let mut body = body;
                body["card_number"] = json!(tests::merchant::luhn(&format!(
                    "62220200009{device}{key:06}"
                )));
                requests.push(keyed(app, format!("{device}-{key}"), "/v1/rebinds", body));
            }
        }
    }
    let tried = requests.len();
    let replies = flood(requests).await;
    let made = done(&replies);
    assert_eq!(made.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status == 201) {
        assert_eq!(reply.body, made[0].body, "the same request again");
    }
    refusals(&replies, &["REQUEST_IN_PROGRESS", "VERSION_CONFLICT"]);
    assert_eq!(count(&devices[0], "rebind_requested").await, 1);
    let list = devices[1].get("/v1/rebinds").await.ok(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["rebind_id"], made[0].body["rebind_id"]);
    metric(
        "races, running system: concurrent rebind requests from two devices, created twice",
        tried,
        0,
    );
}

/// Wrong OTPs, right ones, and right ones from a device that did not request them: at most five are compared, and a right one
/// that is compared wins.
pub async fn concurrent_guesses_are_capped_at_five(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    let code = live.code(&merchant.phone).await;
    let stranger = live.app_on(&merchant, "another device").await;
    let confirm = format!("{path}/identity/confirm");
    let requests = (0..200).map(|number| match number % 10 {
        3 => post(&app, &confirm, json!({"code": code})),
        7 => post(&stranger, &confirm, json!({"code": code})),
        _ => post(&app, &confirm, json!({"code": wrong_otp(&code)})),
    });
    let requests: Vec<_> = requests.collect();
    let tried = requests.len();
    let replies = flood(requests).await;
    let right = done(&replies);
    assert!(right.len() <= 1, "{}", right.len());
    let looked_at = replies
        .iter()
        .filter(|reply| reply.body["counts_toward_limit"] == true && !reply.is_replayed());
    let left: Vec<i64> = looked_at
        .clone()
        .filter_map(|reply| reply.body["attempts_left"].as_i64())
        .collect();
    assert!(left.len() + right.len() <= 5, "{left:?}");
    // Attempts that are still reserved do not count as left, so several replies may show the same number. At most five
    // less this number had been reserved then.
    for number in 0..5 {
        let as_many = left.iter().filter(|left| **left >= number).count();
        assert!(i64::try_from(as_many).unwrap() <= 5 - number, "{left:?}");
    }
    for (number, reply) in replies
        .iter()
        .enumerate()
        .filter(|(_, reply)| reply.status == 200)
    {
        assert_eq!(number % 10, 3, "{}", reply.what);
    }
    // Confirmed by a right one, ended by the fifth wrong one, or still open because all attempts were reserved.
    let state = app.get(&path).await.ok(200)["state"].clone();
    let ends = [
        count(&app, "identity_confirmed").await,
        count(&app, "rejected").await,
    ];
    let expected = match ends {
        [1, 0] => "agreement_pending",
        [0, 1] => "rejected",
        _ => "identity_pending",
    };
    assert_eq!((state, ends[0]), (json!(expected), right.len()));
    // A wrong code may show no attempt left while the last one is still compared. Only the last one ends the rebind.
    let ended = looked_at.filter(|reply| reply.body["code"] == "OTP_TOO_MANY");
    assert_eq!(ends[1], ended.count());
    metric(
        "races, running system: concurrent OTP attempts, compared more than five times",
        tried,
        0,
    );
}

/// The right OTP many times, a third of them the same request: one activation, one event, one notification per phone.
pub async fn concurrent_confirms_activate_once(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let code = json!({"code": live.code(&merchant.reserved_phone).await});
    let stranger = live.app_on(&merchant, "another device").await;
    let confirm = format!("{path}/card-check/confirm");
    let requests = (0..210).map(|number| match number % 3 {
        0 => keyed(&app, "the same".to_owned(), &confirm, code.clone()),
        1 => post(&app, &confirm, code.clone()),
        _ => post(&stranger, &confirm, code.clone()),
    });
    let requests: Vec<_> = requests.collect();
    let tried = requests.len();
    let replies = flood(requests).await;
    let activated = done(&replies);
    assert_eq!(activated.len(), 1);
    for reply in replies.iter().filter(|reply| reply.status == 200) {
        assert_eq!(reply.body, activated[0].body);
    }
    assert_eq!(app.get(&path).await.ok(200)["state"], "activated");
    assert_eq!(count(&app, "activated").await, 1);
    // The stranger's device, and the activation.
    let texts = live.notifications(&merchant.phone, 2).await;
    let activations = texts.iter().filter(|text| freeze_code_in(text).is_some());
    assert_eq!(activations.count(), 1, "{texts:?}");
    live.notifications(&merchant.reserved_phone, 1).await;
    metric(
        "races, running system: concurrent right OTPs from two devices, activated twice",
        tried,
        0,
    );
}

/// Exactly one of confirmation and cancellation happens, and the reply names the right one.
pub async fn confirm_and_cancel_exclude_each_other(live: &LocalCloud) {
    let merchants: Vec<Profile> = join_all((0..4).map(|_| live.merchant())).await;
    let scenes = join_all(merchants.iter().map(async |merchant| {
        let app = live.app(merchant).await;
        let path = app.to_card_pending(&live.card()).await;
        app.check_card(&path).await.ok(200);
        let code = live.code(&merchant.reserved_phone).await;
        let other = live.app_on(merchant, "another device").await;
        (app, other, path, json!({"code": code}))
    }))
    .await;
    let mut tried = 0;
    for (app, other, path, code) in &scenes {
        let (confirm, cancel) = (
            format!("{path}/card-check/confirm"),
            format!("{path}/cancel"),
        );
        let requests = (0..60).map(|number| match number % 4 {
            0 | 1 => post(app, &confirm, code.clone()),
            2 => post(app, &cancel, Value::Null),
            _ => post(other, &cancel, Value::Null),
        });
        let replies = flood(requests.collect()).await;
        tried += replies.len();
        let happened = done(&replies);
        assert_eq!(happened.len(), 1);
        let state = app.get(path).await.ok(200)["state"].clone();
        assert_eq!(happened[0].body["state"], state);
        let kinds = [count(app, "activated").await, count(app, "cancelled").await];
        assert_eq!(kinds, if state == "activated" { [1, 0] } else { [0, 1] });
    }
    metric(
        "races, running system: confirmations against cancellations, both successful",
        tried,
        0,
    );
}

/// A freeze before the change takes effect always ends with the old card, whatever the confirmation does.
pub async fn freeze_racing_confirm_keeps_old_card(live: &LocalCloud) {
    let merchants: Vec<Profile> = join_all((0..3).map(|_| live.merchant())).await;
    let scenes = join_all(merchants.iter().map(async |merchant| {
        live.app(merchant).await.standby_rebind(&live.card()).await;
        live.handed_over(merchant).await;
        live.notifications(&merchant.phone, 1).await;
        let freeze = live.freeze_code(&merchant.phone).await;
        merchant.pass_s(HOUR_S);
        let app = live.app(merchant).await;
        let path = app.to_card_pending(&live.card()).await;
        app.check_card(&path).await.ok(200);
        let code = live.code(&merchant.reserved_phone).await;
        (app, path, json!({"code": code}), freeze)
    }))
    .await;
    let mut tried = 0;
    for (number, (app, path, code, freeze)) in scenes.iter().enumerate() {
        let merchant = &app.profile;
        let confirm = format!("{path}/card-check/confirm");
        // A new address for each, because at most ten attempts a day from one address are compared.
        let requests = (0..60).map(|step| -> BoxFuture<'_, Option<Reply>> {
            if step % 4 != 3 {
                let confirmed = post(app, &confirm, code.clone());
                return Box::pin(async move { Some(confirmed.await) });
            }
            let source = format!("203.0.113.{}", 100 + 20 * number + step / 4);
            Box::pin(async move {
                live.freeze_from(&source, merchant.now(), &merchant.account, freeze)
                    .await;
                None
            })
        });
        let replies = flood(requests.collect()).await;
        tried += replies.len();
        let confirmed = done_of(replies.iter().flatten());
        assert!(confirmed <= 1, "{confirmed}");
        let app = live.app(merchant).await;
        assert_eq!(app.get(path).await.ok(200)["state"], "frozen");
        let cards = app.get("/v1/cards").await.ok(200);
        let old = merchant.active_card.as_deref().unwrap();
        assert_eq!(cards["active"]["last4"], last4(old), "the old card");
        assert_eq!(
            (&cards["standby"], &cards["hold"]),
            (&json!([]), &Value::Null)
        );
        let kinds = [count(&app, "activated").await, count(&app, "frozen").await];
        assert_eq!(kinds, [confirmed, 1]);
    }
    metric(
        "races, running system: confirmations against freezes, ended with the new card",
        tried,
        0,
    );
}

fn done_of<'r>(replies: impl Iterator<Item = &'r Reply>) -> usize {
    replies
        .filter(|reply| reply.status < 300 && !reply.is_replayed())
        .count()
}

/// Concurrent clean-ups race each other, merchants and the acquirer's core. Each due entry is processed once, and no earlier
/// write is undone.
pub async fn cleanup_racing_other_writes_acts_once(live: &LocalCloud) {
    const YEAR: u16 = 1977;
    let merchants: Vec<Profile> = join_all((0..8).map(|_| in_year(live, YEAR))).await;
    let apps: Vec<App<'_>> = join_all(merchants.iter().map(|merchant| live.app(merchant))).await;
    let paths = join_all(apps.iter().map(async |app| app.request(&live.card()).await)).await;
    let late = merchants[0].now().plus_s(DAY_S);
    let overdue = json!({"time": late.to_rfc3339_shanghai()});
    // The merchants' clock is one day behind the clean-up's, so their requests are in time.
    for merchant in &merchants {
        merchant.pass_s(60);
    }
    let mut requests: Vec<BoxFuture<'_, Happened>> = Vec::new();
    for round in 0..12 {
        for (app, path) in apps.iter().zip(&paths) {
            let merchant = &app.profile;
            requests.push(match round % 3 {
                0 => {
                    let cancel = post(app, &format!("{path}/cancel"), Value::Null);
                    Box::pin(async move { Happened::Reply(Box::new(cancel.await)) })
                }
                1 => {
                    let event = json!({
                        "operation": "create_payout", "merchant_id": merchant.id, "amount_fen": 100,
                        "payout_id": format!("pay_race_{}_{round}", merchant.id), "time": late.to_rfc3339_shanghai(),
                    });
                    Box::pin(async move {
                        let made = live.core(&event).await;
                        let payout = made.unwrap_or_else(|(code, _)| json!({"code": code}));
                        Happened::Payout(payout)
                    })
                }
                _ => {
                    let shown = app.get(path);
                    Box::pin(async move { Happened::Reply(Box::new(shown.await)) })
                }
            });
        }
        for _ in 0..2 {
            let overdue = overdue.clone();
            requests.push(Box::pin(async move {
                let run = live.system.invoke("cooldown-cleanup", &overdue).await;
                Happened::CleanUp(run.unwrap())
            }));
        }
    }
    let tried = requests.len();
    let happened = flood(requests).await;
    let (mut expired, mut cancelled, mut routed) = (0, 0, 0);
    for one in &happened {
        match one {
            Happened::CleanUp(run) => {
                assert_eq!(run["failed"], 0, "{run}");
                expired += run["expired"].as_u64().unwrap();
            }
            Happened::Payout(payout) => {
                // The core repeats a request that lost six conflicts.
                let again = payout["code"] == "VERSION_CONFLICT";
                assert!(again || payout["card"]["card_id"].is_string(), "{payout}");
                routed += usize::from(!again);
            }
            Happened::Reply(reply) if reply.what.starts_with("POST") => {
                cancelled += u64::from(reply.status == 200);
                refusals(
                    std::slice::from_ref(reply),
                    &["STEP_OUT_OF_ORDER", "REQUEST_EXPIRED", "VERSION_CONFLICT"],
                );
            }
            Happened::Reply(reply) => assert_eq!(reply.status, 200, "{}", reply.what),
        }
    }
    // Each rebind ended once.
    let mut ends = 0;
    for (app, path) in apps.iter().zip(&paths) {
        let kinds = app.kinds().await;
        let of = |kind: &str| kinds.iter().filter(|of| *of == kind).count();
        assert_eq!(of("expired") + of("cancelled"), 1, "{kinds:?}");
        ends += u64::try_from(of("expired")).unwrap();
        let state = app.get(path).await.ok(200)["state"].clone();
        assert_eq!(
            state,
            if of("expired") == 1 {
                "expired"
            } else {
                "cancelled"
            }
        );
    }
    assert_eq!((ends, ends + cancelled), (expired, 8));
    assert!(routed > 8, "{routed} payouts");
    metric(
        "races, running system: concurrent clean-ups, merchants and the core, repeated or undone writes",
        tried,
        0,
    );
}

/// The result of a request.
enum Happened {
    Reply(Box<Reply>),
    CleanUp(Value),
    Payout(Value),
}
