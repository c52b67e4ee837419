//! Standby cards: added, switched to, removed; with lost replies, wrong OTPs and concurrent requests.

#![allow(clippy::unwrap_used, missing_docs)]

use domain::policy::{DAY_S, Policy};
use serde_json::{Value, json};
use tests::in_process::InProcess;
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, wrong_otp};
use tests::scenario;
use tests::table_faults::Fault;
use tests::transport::freeze_code_in;

const POLICY: &Policy = &Policy::CURRENT;
const NAME: &str = "plain_1";

fn wrong(right: &Value) -> Value {
    json!({"code": wrong_otp(right["code"].as_str().unwrap())})
}

#[tokio::test]
async fn standby_card_life_cycle() {
    let (world, app) = InProcess::with(NAME).await;
    let rebind = app
        .request_with(GOOD_CARD, json!({"activate": false}))
        .await;
    let done = app
        .finish(&rebind)
        .await
        .is(200, "completed")
        .has("purpose", "standby");
    let usable_at = world
        .now()
        .plus_s(POLICY.standby_wait_s)
        .to_rfc3339_shanghai();
    assert_eq!(done.body["new_card"]["status"], "standby");
    assert_eq!(done.body["new_card"]["usable_at"], json!(usable_at));
    let before = [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
    world.deliver_due().await;
    let texts = world.sms.to(&app.profile.phone);
    assert_eq!(texts.len(), before[0] + 1);
    assert!(
        texts
            .last()
            .is_some_and(|text| freeze_code_in(text).is_some())
    );
    assert_eq!(world.sms.to(RESERVED_PHONE).len(), before[1] + 1);
    let cards = app.get("/v1/cards").await;
    assert_eq!(cards.body["standby"].as_array().unwrap().len(), 1);
    assert_eq!(
        cards.body["can_rebind"], true,
        "a standby card starts no cooldown"
    );

    let card = format!(
        "/v1/cards/{}",
        done.body["new_card"]["card_id"].as_str().unwrap()
    );
    let activate = format!("{card}/activate");
    world.pass_s(POLICY.standby_wait_s - 1);
    let app = app.again().await;
    app.post(&activate, ())
        .await
        .is(409, "STANDBY_NOT_READY")
        .has("retry_after_s", 1);
    world.pass_s(1);
    let switched = app.switch(&card).await;
    assert_eq!(switched.body["rebind_id"], done.body["rebind_id"]);
    assert_eq!(switched.body["purpose"], "standby");
    assert_eq!(switched.body["effective_at"], switched.body["activated_at"]);
    assert_eq!(switched.body["old_card"]["status"], "retiring");
    let until = world.now().plus_s(POLICY.cooldown_s).to_rfc3339_shanghai();
    assert_eq!(switched.body["cooldown_until"], json!(until));
    app.get("/v1/cards")
        .await
        .has("/active/last4", "1009")
        .has("hold", ())
        .has("standby", json!([]));
    app.post(&activate, ()).await.is(409, "STEP_OUT_OF_ORDER");
    world.pass_s(1);
    assert_eq!(world.clean_up().await.completed, 1);
    world.history(NAME).await;
}

#[tokio::test]
async fn lost_switch_reply_is_replayed() {
    for (n, fault) in [
        (3, Fault::RequestLost),
        (3, Fault::ReplyLost),
        (4, Fault::RequestLost),
        (4, Fault::ReplyLost),
    ] {
        let (world, app, card) = scenario::standby_ready(NAME).await;
        let code = app.switch_code(&card).await;
        let path = format!("{card}/activate");
        world.boundary.fail(n, fault);
        let lost = app.keyed("k", &path, code.clone()).await;
        assert_eq!(lost.status, 500, "{n} {fault:?}: {:?}", lost.body);
        let again = app.keyed("k", &path, code.clone()).await;
        assert_eq!(
            (again.status, again.state()),
            (200, "activated"),
            "{n} {fault:?}: {:?}",
            again.body
        );
        let replayed = app.keyed("k", &path, code).await;
        assert_eq!(
            (replayed.status, &replayed.body),
            (200, &again.body),
            "{n} {fault:?}"
        );
        assert_eq!(world.count(NAME, "activated").await, 1, "{n} {fault:?}");
    }
}

#[tokio::test]
async fn switch_code_is_sent_after_a_lost_reply() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let path = format!("{card}/activate");
    let before = world.sms.to(&app.profile.phone).len();
    // The merchant is read, in parallel the key; then comes the write.
    world.boundary.fail(3, Fault::ReplyLost);
    let answer = app
        .keyed("k", &path, ())
        .await
        .with_status(200)
        .has("/challenge/purpose", "activate");
    assert_eq!(world.sms.to(&app.profile.phone).len(), before + 1);
    let again = app.keyed("k", &path, ()).await;
    assert_eq!(
        (again.status, &again.body["challenge"]),
        (200, &answer.body["challenge"])
    );
    assert_eq!(world.sms.to(&app.profile.phone).len(), before + 1);
    let code = json!({"code": world.sms.code(&app.profile.phone)});
    app.post(&path, code).await.is(200, "activated");
}

#[tokio::test]
async fn undeliverable_switch_code_is_not_counted() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let path = format!("{card}/activate");
    world.sms.set_down(true);
    for _ in 0..7 {
        app.keyed("k", &path, ()).await.is(503, "OTP_CHANNEL_DOWN");
    }
    world.sms.set_down(false);
    app.switch(&card).await;
}

#[tokio::test]
async fn parallel_switch_guesses_are_five() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let right = app.switch_code(&card).await;
    let path = format!("{card}/activate");
    let guesses = (0..20).map(|_| app.post(&path, wrong(&right)));
    let answers = futures::future::join_all(guesses).await;
    let counted = answers
        .iter()
        .filter(|answer| answer.body["counts_toward_limit"] == true);
    assert!(counted.count() <= 5);
    world.pass_s(POLICY.code_deciding_s + 1);
    for _ in 0..2 {
        let locked = app.post(&path, wrong(&right)).await;
        let code = locked.code();
        assert!(
            ["OTP_TOO_MANY", "STEP_OUT_OF_ORDER"].contains(&code),
            "{:?}",
            locked.body
        );
    }
    world.pass_s(POLICY.code_gap_s);
    let locked = app.post(&path, ()).await.is(422, "OTP_TOO_MANY");
    assert!(locked.body["retry_after_s"].as_i64().unwrap() > 0);
    let cards = app.get("/v1/cards").await;
    assert_eq!(cards.body["standby"].as_array().unwrap().len(), 1);
    // The guesses notify the phone on file.
    let before = world.sms.to(&app.profile.phone).len();
    world.deliver_due().await;
    assert_eq!(world.sms.to(&app.profile.phone).len(), before + 1);
    world.pass_s(DAY_S);
    app.again().await.switch(&card).await;
    world.history(NAME).await;
}

#[tokio::test]
async fn fifth_wrong_switch_code_locks_for_a_day() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let right = app.switch_code(&card).await;
    let path = format!("{card}/activate");
    for left in [4, 3, 2, 1] {
        app.post(&path, wrong(&right))
            .await
            .is(422, "OTP_WRONG")
            .has("attempts_left", json!(left));
    }
    let last = app
        .keyed("k", &path, wrong(&right))
        .await
        .is(422, "OTP_TOO_MANY")
        .has("attempts_left", 0)
        .has("retry_after_s", json!(DAY_S));
    let again = app.keyed("k", &path, wrong(&right)).await;
    assert_eq!((again.status, &again.body), (422, &last.body));
    // The right one comes too late.
    app.post(&path, right).await.is(422, "OTP_TOO_MANY");
    assert_eq!(world.count(NAME, "activated").await, 0);
}

#[tokio::test]
async fn right_switch_code_wins_among_guesses() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let right = app.switch_code(&card).await;
    let path = format!("{card}/activate");
    let codes = [
        wrong(&right),
        wrong(&right),
        right.clone(),
        wrong(&right),
        wrong(&right),
    ];
    let attempts = codes.map(|code| app.post(&path, code));
    let answers = futures::future::join_all(attempts).await;
    let won = answers
        .iter()
        .filter(|answer| answer.state() == "activated")
        .count();
    assert_eq!(won, 1);
    assert_eq!(world.count(NAME, "activated").await, 1);
}

#[tokio::test]
async fn parallel_right_otps_switch_once() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let right = app.switch_code(&card).await;
    let path = format!("{card}/activate");
    let attempts = (0..5).map(|_| app.keyed("same", &path, right.clone()));
    let others = (0..5).map(|_| app.post(&path, right.clone()));
    let (same, others) = futures::join!(
        futures::future::join_all(attempts),
        futures::future::join_all(others),
    );
    assert!(
        same.iter()
            .chain(&others)
            .any(|answer| answer.state() == "activated")
    );
    for answer in same
        .iter()
        .chain(&others)
        .filter(|answer| answer.status != 200)
    {
        let known = ["STEP_OUT_OF_ORDER", "VERSION_CONFLICT"];
        assert!(known.contains(&answer.code()), "{:?}", answer.body);
    }
    assert_eq!(world.count(NAME, "activated").await, 1);
}

#[tokio::test]
async fn switch_checks_owner_then_card_then_login() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let active = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let code = json!({"code": "123456"});
    for (path, status, expected) in [
        (
            "/v1/cards/card_0000010000000000000000/activate".to_owned(),
            404,
            "NOT_FOUND",
        ),
        ("/v1/cards/strange/activate".to_owned(), 404, "NOT_FOUND"),
        (
            format!("/v1/cards/{active}/activate"),
            409,
            "STEP_OUT_OF_ORDER",
        ),
    ] {
        for body in [Value::Null, code.clone()] {
            let answer = app.post(&path, body.clone()).await;
            assert_eq!(
                (answer.status, answer.code()),
                (status, expected),
                "{path} {body}"
            );
        }
    }
    let other = world.log_in("plain_2").await;
    for body in [Value::Null, code.clone()] {
        // Another merchant's.
        other
            .post(&format!("{card}/activate"), body)
            .await
            .is(404, "NOT_FOUND");
    }
    world.pass_s(POLICY.fresh_login_s - 1);
    let target = json!({"platform": "apns", "token": "t"});
    app.put("/v1/push-targets/phone", target).await;
    world.pass_s(1);
    for body in [Value::Null, code] {
        app.post(&format!("{card}/activate"), body)
            .await
            .is(403, "STEP_UP_REQUIRED");
    }
}

#[tokio::test]
async fn allows_two_standby_cards() {
    let (world, app) = InProcess::with(NAME).await;
    let first = app.standby(GOOD_CARD).await;
    world.pass_s(61);
    app.standby(SECOND_CARD).await;
    let mut body = app.request_body("6222020000009002007");
    body["activate"] = json!(false);
    app.keyed("k", "/v1/rebinds", body)
        .await
        .is(409, "STEP_OUT_OF_ORDER")
        .has("next_actions", json!(["activate_standby", "unbind_card"]));
    app.keyed("k-2", "/v1/rebinds", app.request_body(GOOD_CARD))
        .await
        .is(409, "CARD_SAME_AS_CURRENT")
        .has("next_actions", json!(["activate_standby", "unbind_card"]));
    app.unbind(&first).await.ok(204);
    assert_eq!(world.stored(NAME).await.state.standby.len(), 1);
    world.history(NAME).await;
}

#[tokio::test]
async fn lost_unbind_reply_is_replayed() {
    for fault in [Fault::RequestLost, Fault::ReplyLost] {
        let (world, app, card) = scenario::standby_ready(NAME).await;
        let path = format!("{card}/unbind");
        world.boundary.fail(2, fault);
        app.keyed("k", &path, ()).await.ok(500);
        for _ in 0..2 {
            let again = app.keyed("k", &path, ()).await;
            assert_eq!(
                (again.status, &again.body),
                (204, &Value::Null),
                "{fault:?}"
            );
        }
        assert_eq!(world.count(NAME, "card_unbound").await, 1);
        app.post(&path, ()).await.is(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn unbound_card_is_free_for_another() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    app.unbind(&card).await.ok(204);
    let summary = world.clean_up().await;
    assert_eq!((summary.cards_removed, summary.failed), (1, 0));
    assert_eq!(world.clean_up().await.cards_removed, 0);
    assert!(
        world
            .stored(NAME)
            .await
            .rebind
            .unwrap()
            .sealed_number
            .is_none()
    );
    assert_eq!(world.count(NAME, "card_removed").await, 1);
    let other = world.log_in("plain_2").await;
    other.activate(GOOD_CARD).await;
}

#[tokio::test]
async fn switch_and_unbind_exclude_each_other() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    let active = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let path = format!("/v1/cards/{active}/unbind");
    app.post(&path, ()).await.is(409, "LAST_CARD_CANNOT_UNBIND");
    let code = app.switch_code(&card).await;
    let (activate, unbind) = (format!("{card}/activate"), format!("{card}/unbind"));
    let (switched, unbound) = futures::join!(app.post(&activate, code), app.post(&unbind, ()),);
    let done = (switched.status == 200, unbound.status == 204);
    assert!(done.0 != done.1, "{:?} {:?}", switched.body, unbound.body);
    let state = world.stored(NAME).await.state;
    assert!(state.active.is_some() && state.standby.is_empty());
    world.history(NAME).await;
}

#[tokio::test]
async fn freeze_removes_standby_card() {
    let (world, app) = InProcess::with(NAME).await;
    let card = app.standby(GOOD_CARD).await;
    let code = app.freeze_code().await;
    world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await
        .ok(202);
    let app = app.again().await;
    app.get("/v1/cards")
        .await
        .has("standby", json!([]))
        .has("blocked_by", "ACCOUNT_FROZEN");
    let switch = app.post(&format!("{card}/activate"), ()).await;
    assert!([404, 423].contains(&switch.status), "{:?}", switch.body);
    // Payouts to the card that was never changed continue.
    let create = json!({"operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": "pay_1", "amount_fen": 1});
    assert_eq!(world.core(create).await.unwrap()["held"], false);
    world.history(NAME).await;
}

#[tokio::test]
async fn freeze_after_a_switch_holds_payouts() {
    let (world, app, card) = scenario::standby_ready(NAME).await;
    app.switch(&card).await;
    let code = app.freeze_code().await;
    world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await;
    // Without a hold the change took effect at once.
    let create = json!({"operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": "pay_1", "amount_fen": 1});
    let payout = world.core(create).await.unwrap();
    assert_eq!(
        (&payout["held"], &payout["card"]),
        (&json!(true), &Value::Null)
    );
    world.history(NAME).await;
}

#[tokio::test]
async fn standby_waits_for_the_cooldown() {
    let (world, app) = InProcess::with(NAME).await;
    let card = app.standby(GOOD_CARD).await;
    world.pass_s(61);
    app.activate(SECOND_CARD).await;
    world.pass_s(POLICY.standby_wait_s);
    let app = app.again().await;
    let path = format!("{card}/activate");
    let refused = app.post(&path, ()).await.is(409, "REBIND_COOLDOWN");
    assert!(refused.body["cooldown_until"].is_string());
    world.pass_s(POLICY.cooldown_s - POLICY.standby_wait_s);
    app.again().await.switch(&card).await;
    // Ninety days after its proof the card must be proven again.
    let (world, app, card) = scenario::standby_ready(NAME).await;
    world.pass_s(POLICY.standby_proof_s - POLICY.standby_wait_s);
    let (app_then, path) = (app.again().await, format!("{card}/activate"));
    app_then.post(&path, ()).await.ok(200);
    world.pass_s(DAY_S);
    app.again()
        .await
        .post(&path, ())
        .await
        .is(403, "STEP_UP_REQUIRED");
}
