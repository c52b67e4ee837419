//! The freeze: a code that anyone may try. Wrong attempts count, and every attempt gets the same reply.

#![allow(clippy::unwrap_used, missing_docs)]

use application::crypto::HashPurpose;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::lang::Lang;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::sms::{Sms, render};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD};
use tests::table_faults::Fault;
use tests::transport::Reply;

const POLICY: &Policy = &Policy::CURRENT;
const WRONG: &str = "AAAAAAAA";
const NAME: &str = "plain_1";

/// An activated merchant and the freeze code of the notification.
async fn announced(world: &Arc<InProcess>) -> (App, String, String) {
    let app = world.log_in(NAME).await;
    let rebind = app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    (app, rebind, code)
}

/// Every attempt gets the same reply.
fn received(answer: &Reply) {
    assert_eq!(
        (answer.status, &answer.body),
        (202, &json!({"status": "received"}))
    );
}

async fn frozen(world: &Arc<InProcess>) -> bool {
    world.stored(NAME).await.state.frozen.is_some()
}

fn source(number: usize) -> String {
    format!("198.51.100.{number}")
}

/// The item that counts the attempts for an account or an address.
async fn counter(
    world: &Arc<InProcess>,
    purpose: HashPurpose,
    of: &str,
) -> HashMap<String, AttributeValue> {
    let mac = world.keys().mac(purpose, &[of]).await.unwrap().0;
    let kind = if purpose == HashPurpose::Account {
        "A"
    } else {
        "S"
    };
    let text = |text: String| AttributeValue::S(text);
    HashMap::from([
        ("pk".to_owned(), text(format!("{kind}#{mac}"))),
        ("sk".to_owned(), text("Q".to_owned())),
    ])
}

/// The number of attempts counted.
async fn counted(world: &Arc<InProcess>, purpose: HashPurpose, of: &str) -> i64 {
    let key = counter(world, purpose, of).await;
    let item = world.client.get_item().table_name(&world.table);
    let item = item
        .set_key(Some(key))
        .send()
        .await
        .unwrap()
        .item
        .unwrap_or_default();
    let hours = item.iter().filter(|(name, _)| name.starts_with('h'));
    hours
        .map(|(_, count)| count.as_n().unwrap().parse::<i64>().unwrap())
        .sum()
}

/// Stores this number of attempts, an hour ago.
async fn set_counted(world: &Arc<InProcess>, purpose: HashPurpose, of: &str, count: i64) {
    let mut item = counter(world, purpose, of).await;
    let hour = world.now().epoch_s().div_euclid(HOUR_S) - 1;
    item.insert(format!("h{hour}"), AttributeValue::N(count.to_string()));
    let put = world.client.put_item().table_name(&world.table);
    put.set_item(Some(item)).send().await.unwrap();
}

#[tokio::test]
async fn typed_account_and_code_are_folded() {
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    let wide: String = code
        .chars()
        .map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap())
        .collect();
    let typed = format!("【{}-{}】\r\n", &wide[..12], wide[12..].to_lowercase());
    let account = format!("(+86)\u{A0}{}\u{200E}", app.profile.account);
    received(&world.freeze(&account, &typed, &source(1)).await);
    assert!(frozen(&world).await);
}

#[tokio::test]
async fn parallel_right_codes_freeze_once() {
    let world = InProcess::start().await;
    let (app, rebind, code) = announced(&world).await;
    let old = world.history(NAME).await.len();
    let sources: Vec<String> = (0..30).map(|number| source(number % 5)).collect();
    let attempts = sources
        .iter()
        .map(|from| world.freeze(&app.profile.account, &code, from));
    for answer in futures::future::join_all(attempts).await {
        received(&answer);
    }
    assert!(frozen(&world).await);
    assert_eq!(world.count(NAME, "frozen").await, 1);
    assert_eq!(world.history(NAME).await.len(), old + 1);
    assert_eq!(app.get(&rebind).await.status, 401, "sessions die");
    world.deliver_due().await;
    let texts = world.sms.to(&app.profile.phone);
    let frozen = render(&Sms::Frozen, Lang::ZhCn);
    let notifications = texts.iter().filter(|text| **text == frozen);
    assert_eq!(notifications.count(), 1, "{texts:?}");
}

#[tokio::test]
async fn freeze_in_the_hold_removes_the_new_card() {
    let (world, app) = InProcess::with(NAME).await;
    let old = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let (_, rebind, code) = announced(&world).await;
    // Case and spaces do not matter.
    let spaced = format!(" {} {}", code[..4].to_lowercase(), &code[4..]);
    received(
        &world
            .freeze(&app.profile.account, &spaced, &source(1))
            .await,
    );
    let app = app.again().await;
    app.get(&rebind)
        .await
        .is(200, "frozen")
        .has("/new_card/status", "removed")
        .has("/old_card/status", "active");
    let cards = app.get("/v1/cards").await;
    assert_eq!(cards.body["active"]["card_id"], old.as_str());
    assert_eq!(cards.body["blocked_by"], "ACCOUNT_FROZEN");
    assert_eq!(cards.body.get("cooldown_until"), None);
    // Payouts to the old card continue: nothing is held.
    let create = json!({"operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": "pay_1", "amount_fen": 1});
    let payout = world.core(create).await.unwrap();
    assert_eq!(
        (&payout["held"], &payout["card"]["card_id"]),
        (&json!(false), &json!(old.as_str()))
    );
    world.history(NAME).await;
}

#[tokio::test]
async fn freeze_after_the_hold_holds_payouts() {
    let world = InProcess::start().await;
    let (app, rebind, code) = announced(&world).await;
    world.pass_s(POLICY.hold_s + POLICY.freeze_after_effective_s - 1);
    let create = |id: &str| json!({"operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": id, "amount_fen": 1});
    let before = world.core(create("pay_1")).await.unwrap();
    assert_eq!(before["held"], false);
    received(&world.freeze(&app.profile.account, &code, &source(1)).await);
    assert!(frozen(&world).await);
    let after = world.core(create("pay_2")).await.unwrap();
    assert_eq!(
        (&after["held"], &after["card"]),
        (&json!(true), &Value::Null)
    );
    for id in ["pay_1", "pay_2"] {
        let sending = json!({"operation": "payout_sending", "payout_id": id});
        let refused = world.core(sending).await.unwrap_err();
        let expected = [ErrorCode::AccountFrozen, ErrorCode::StepOutOfOrder];
        assert!(expected.contains(&refused.code), "{refused:?}");
    }
    let app = app.again().await;
    let listed = app.get("/v1/payouts").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    assert!(
        listed.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|payout| payout["held"] == true)
    );
    // A change in effect is not undone.
    app.get(&rebind).await.is(200, "completed");
    assert_eq!(world.clean_up().await.payouts_assigned, 0);
    // A held payout can still be returned.
    let returned = json!({"operation": "payout_returned", "payout_id": "pay_1"});
    assert_eq!(world.core(returned).await.unwrap()["status"], "returned");
    world.history(NAME).await;
}

#[tokio::test]
async fn freeze_code_works_once_for_a_week() {
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    world.pass_s(POLICY.hold_s + POLICY.freeze_after_effective_s);
    received(&world.freeze(&app.profile.account, &code, &source(1)).await);
    assert!(!frozen(&world).await, "the freeze code has expired");

    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    for _ in 0..2 {
        received(&world.freeze(&app.profile.account, &code, &source(1)).await);
    }
    assert_eq!(world.count(NAME, "frozen").await, 1);
    assert_eq!(
        counted(&world, HashPurpose::Source, &source(1)).await,
        1,
        "a used code counts as wrong"
    );
}

#[tokio::test]
async fn only_wrong_freeze_codes_count() {
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    let account = &app.profile.account;
    for no_code in [
        "short",
        "",
        "00000000",
        "far too long to be a code of eight",
        "一二三四五六七八",
    ] {
        let refused = world.freeze(account, no_code, &source(1)).await;
        refused
            .is(422, "FREEZE_CODE_FORMAT")
            .has("/errors/0/field", "freeze_code");
    }
    for (purpose, of) in [
        (HashPurpose::Source, source(1)),
        (HashPurpose::Account, account.clone()),
    ] {
        assert_eq!(counted(&world, purpose, &of).await, 0);
    }
    for wrong in [WRONG, "aaaa aaaa"] {
        received(&world.freeze(account, wrong, &source(1)).await);
    }
    for (purpose, of) in [
        (HashPurpose::Source, source(1)),
        (HashPurpose::Account, account.clone()),
    ] {
        assert_eq!(counted(&world, purpose, &of).await, 2);
    }
    assert!(!frozen(&world).await);
    // An unknown account is counted as well.
    received(&world.freeze("nobody", WRONG, &source(1)).await);
    assert_eq!(counted(&world, HashPurpose::Source, &source(1)).await, 3);
    assert_eq!(counted(&world, HashPurpose::Account, "nobody").await, 1);
    received(&world.freeze(account, &code, &source(1)).await);
    assert!(frozen(&world).await);
    assert_eq!(counted(&world, HashPurpose::Source, &source(1)).await, 3);
    assert_eq!(counted(&world, HashPurpose::Account, account).await, 2);
}

/// The number of notifications about wrong codes that the owner received.
async fn warned(world: &Arc<InProcess>, phone: &str) -> usize {
    world.deliver_due().await;
    let text = render(&Sms::FreezeCodeGuessed, Lang::ZhCn);
    let sent = world.sms.to(phone);
    sent.iter().filter(|sms| sms.contains(&text)).count()
}

#[tokio::test]
async fn tenth_wrong_freeze_code_notifies_once_a_day() {
    let world = InProcess::start().await;
    let (app, _, _) = announced(&world).await;
    let (account, phone) = (&app.profile.account, &app.profile.phone);
    let before = i64::try_from(POLICY.freeze_guesses_notified_from).unwrap() - 2;
    set_counted(&world, HashPurpose::Account, account, before).await;
    for (warnings, number) in [(0, 1), (1, 2), (1, 3)] {
        received(&world.freeze(account, WRONG, &source(number)).await);
        assert_eq!(warned(&world, phone).await, warnings);
    }
    world.pass_s(POLICY.freeze_guesses_notified_every_s - 1);
    set_counted(&world, HashPurpose::Account, account, 1_000).await;
    received(&world.freeze(account, WRONG, &source(4)).await);
    assert_eq!(warned(&world, phone).await, 1);
    world.pass_s(1);
    received(&world.freeze(account, WRONG, &source(5)).await);
    assert_eq!(warned(&world, phone).await, 2);
    assert_eq!(world.count(NAME, "freeze_code_guessed").await, 2);
    // Once no code of the account works, guesses are harmless.
    world.pass_s(POLICY.hold_s + POLICY.freeze_after_effective_s);
    set_counted(&world, HashPurpose::Account, account, 1_000).await;
    received(&world.freeze(account, WRONG, &source(6)).await);
    assert_eq!(warned(&world, phone).await, 2);
}

#[tokio::test]
async fn parallel_freeze_guesses_are_all_counted() {
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    let account = &app.profile.account;
    let sources: Vec<String> = (0..20).map(source).collect();
    let attempts = sources
        .iter()
        .map(|from| world.freeze(account, WRONG, from));
    // A right code among them is still compared.
    let (answers, right) = futures::join!(
        futures::future::join_all(attempts),
        world.freeze(account, &code, &sources[3]),
    );
    for answer in answers.iter().chain([&right]) {
        received(answer);
    }
    assert!(frozen(&world).await);
    assert_eq!(counted(&world, HashPurpose::Account, account).await, 20);
}

#[tokio::test]
async fn rejects_malformed_freeze_requests() {
    let world = InProcess::start().await;
    for body in [
        json!({}),
        json!({"account": "x"}),
        json!({"freeze_code": WRONG}),
        json!({"account": 1, "freeze_code": WRONG}),
        json!({"account": "x", "freeze_code": WRONG, "more": 1}),
        json!([]),
    ] {
        let answer = world
            .send(world.event("POST", "/v1/freezes", &[], &body))
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "REQUEST_MALFORMED"),
            "{body}"
        );
    }
}

/// The items of the merchant, which a freeze changes and the test restores.
async fn snapshot(world: &Arc<InProcess>) -> Vec<HashMap<String, AttributeValue>> {
    let mut items = world.items().await;
    items.retain(|item| item["pk"].as_s().unwrap() == "M#mer_plain_1");
    items
}

async fn put_back(world: &Arc<InProcess>, items: &[HashMap<String, AttributeValue>]) {
    let known: Vec<&str> = items
        .iter()
        .map(|item| item["sk"].as_s().unwrap().as_str())
        .collect();
    for item in snapshot(world).await {
        if !known.contains(&item["sk"].as_s().unwrap().as_str()) {
            let key = item
                .into_iter()
                .filter(|(name, _)| name == "pk" || name == "sk");
            let delete = world.client.delete_item().table_name(&world.table);
            delete.set_key(Some(key.collect())).send().await.unwrap();
        }
    }
    for item in items {
        world.put_item(item.clone()).await;
    }
}

#[tokio::test]
async fn freeze_takes_constant_time() {
    const ROUNDS: usize = 15;
    const APART_MAX: Duration = Duration::from_millis(8);
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    let account = app.profile.account.as_str();
    let before = snapshot(&world).await;
    let kinds = [
        (account, code.as_str()),
        (account, WRONG),
        ("nobody", code.as_str()),
    ];
    let mut times = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        // Concurrent, in rotating order, so that other load affects all three alike.
        let attempts = (0..3).map(|place| {
            let kind = (round + place) % 3;
            let (account, code) = kinds[kind];
            let world = &world;
            async move {
                let started = Instant::now();
                received(&world.freeze(account, code, &source(round)).await);
                (kind, started.elapsed())
            }
        });
        for (kind, time) in futures::future::join_all(attempts).await {
            times[kind].push(time);
        }
        assert!(frozen(&world).await, "a match matches");
        put_back(&world, &before).await;
        assert!(!frozen(&world).await);
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2]
    });
    let apart = *medians.iter().max().unwrap() - *medians.iter().min().unwrap();
    assert!(apart <= APART_MAX, "{medians:?}");
    assert!(medians[0] < Duration::from_millis(1_500), "{medians:?}");
}

#[tokio::test]
async fn frozen_account_is_read_only() {
    let (world, app) = InProcess::with(NAME).await;
    let target = json!({"platform": "apns", "token": "a-token"});
    app.put("/v1/push-targets/phone", target.clone()).await;
    let old = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let (_, rebind, code) = announced(&world).await;
    received(&world.freeze(&app.profile.account, &code, &source(1)).await);
    let app = app.again().await;
    let settings = app.get("/v1/settlement").await;
    let mut changed = settings.body.clone();
    changed["payout_time"] = json!("09:00");
    for path in [
        "/v1/cards",
        "/v1/payouts",
        "/v1/settlement",
        "/v1/history",
        "/v1/rebinds",
        rebind.as_str(),
    ] {
        let read = app.get(path).await;
        assert_eq!(read.status, 200, "{path}: {:?}", read.body);
    }
    let card = format!("/v1/cards/{old}");
    let of = |step: &str| format!("{rebind}/{step}");
    let changes = [
        (
            "POST",
            "/v1/rebinds".to_owned(),
            app.request_body(SECOND_CARD),
        ),
        ("POST", of("cancel"), Value::Null),
        ("POST", of("identity"), app.document()),
        ("POST", of("identity/code"), Value::Null),
        ("POST", of("identity/confirm"), json!({"code": "123456"})),
        ("POST", of("card-check"), Value::Null),
        ("POST", of("card-check/code"), Value::Null),
        ("POST", of("card-check/confirm"), json!({"code": "123456"})),
        ("POST", of("test-transaction"), Value::Null),
        ("POST", format!("{card}/unbind"), Value::Null),
        ("POST", format!("{card}/activate"), Value::Null),
        (
            "POST",
            format!("{card}/activate"),
            json!({"code": "123456"}),
        ),
        ("PUT", "/v1/settlement".to_owned(), changed),
        ("PUT", "/v1/push-targets/phone".to_owned(), target),
        (
            "PUT",
            "/v1/push-targets/other".to_owned(),
            json!({"platform": "fcm", "token": "t"}),
        ),
        ("DELETE", "/v1/push-targets/phone".to_owned(), Value::Null),
    ];
    let before = snapshot(&world).await.len();
    for (method, path, body) in changes {
        let refused = app.call_keyed(&path, method, &path, body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (423, "ACCOUNT_FROZEN"),
            "{method} {path}: {:?}",
            refused.body
        );
        assert_eq!(
            refused.body["next_actions"],
            json!(["contact_support"]),
            "{method} {path}"
        );
    }
    assert_eq!(snapshot(&world).await.len(), before);
    // Logout always works.
    app.delete("/v1/sessions/current").await.ok(204);
}

#[tokio::test]
async fn freeze_ends_rebind_and_sessions() {
    let world = InProcess::start().await;
    let (app, first, code) = announced(&world).await;
    world.pass_s(POLICY.hold_s);
    app.again().await.get(&first).await.is(200, "completed");
    world.pass_s(7 * DAY_S - 1);
    // As after an operator lifted the cooldown. Otherwise no rebind can be open while the last one's freeze code is valid.
    let item = [("pk", "M#mer_plain_1"), ("sk", "Y")];
    let key = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
    let update = world.client.update_item().table_name(&world.table);
    let update = update
        .set_key(Some(key.into()))
        .update_expression("REMOVE cooldown_until");
    update.send().await.unwrap();
    let app = app.again().await;
    let open = app.request(SECOND_CARD).await;
    let tablet = app.on("tablet").await;
    received(&world.freeze(&app.profile.account, &code, &source(1)).await);
    for app in [&app, &tablet] {
        app.get("/v1/cards").await.is(401, "SESSION_EXPIRED");
    }
    let app = app.again().await;
    app.get(&open).await.is(200, "frozen");
    let stored = world.stored(NAME).await;
    assert_eq!(stored.state.open, None);
    assert!(stored.rebind.unwrap().sealed_number.is_none());
    assert_eq!(world.count(NAME, "frozen").await, 1);
}

#[tokio::test]
async fn freeze_survives_a_lost_write() {
    // The account and the merchant are read; the third call is the freeze.
    for fault in [Fault::RequestLost, Fault::ReplyLost] {
        let world = InProcess::start().await;
        let (app, _, code) = announced(&world).await;
        let account = &app.profile.account;
        world.boundary.fail(1, Fault::Failed);
        // The freeze failed, and the reply does not claim success.
        world.freeze(account, &code, &source(1)).await.ok(500);
        assert!(!frozen(&world).await);
        world.boundary.fail(3, fault);
        received(&world.freeze(account, &code, &source(1)).await);
        assert!(frozen(&world).await);
        assert!(world.boundary.calm() > 0);
        received(&world.freeze(account, &code, &source(1)).await);
        assert_eq!(world.count(NAME, "frozen").await, 1);
    }
}

/// Gives up before the function's timeout, so that the client may retry.
#[tokio::test]
async fn unwritable_freeze_gives_up_in_time() {
    let world = InProcess::start().await;
    let (app, _, code) = announced(&world).await;
    world.boundary.fail_from(1, Fault::CancelledForThroughput);
    let from = source(1);
    let asked = world.freeze(&app.profile.account, &code, &from);
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status, &answer.body["retryable"]),
        (500, &json!(true))
    );
    assert!(world.boundary.calm() > 2, "the write was retried");
    assert!(!frozen(&world).await);
    assert_eq!(
        counted(&world, HashPurpose::Source, &from).await,
        0,
        "a right code does not count"
    );
    received(&world.freeze(&app.profile.account, &code, &from).await);
    assert!(frozen(&world).await);
}

#[tokio::test]
async fn freeze_races_a_step() {
    let world = InProcess::start().await;
    let (app, rebind, code) = announced(&world).await;
    let account = &app.profile.account;
    let from = source(1);
    let path = format!("{rebind}/test-transaction");
    let (frozen_by, tested) =
        futures::join!(world.freeze(account, &code, &from), app.post(&path, ()),);
    received(&frozen_by);
    assert!(
        [200, 401, 409, 423].contains(&tested.status),
        "{:?}",
        tested.body
    );
    assert!(frozen(&world).await);
    let app = app.again().await;
    app.get(&rebind).await.is(200, "frozen");
    world.history(NAME).await;
}
