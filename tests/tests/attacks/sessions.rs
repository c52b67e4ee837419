//! Another person's session: stolen, left open, frozen, forged.

use crate::{NAME, OTHER, POLICY, active_card, ask, doors, with_token};
use application::ports::{
    CardQuestion, CheckCard, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
use domain::decide::BankAnswer;
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, merchant_id, wrong_otp};
use tests::scenario;
use verification::Verification;

/// Every endpoint refuses the session.
async fn is_shut_out(app: &App, rebind: &str, card: &str) {
    for (method, path, body) in doors(rebind, card) {
        let answer = app.call_keyed("a key", method, &path, body).await;
        let got = (answer.status, answer.code());
        assert_eq!(got, (401, "SESSION_EXPIRED"), "{method} {path}");
    }
}

#[tokio::test]
async fn stolen_session() {
    let world = InProcess::start().await;
    let card = world.log_in(NAME).await.standby(GOOD_CARD).await;
    world.pass_s(POLICY.standby_wait_s);
    let app = world.log_in(NAME).await;
    let push = "/v1/push-targets/phone";
    let target = |token: &str| json!({"platform": "apns", "token": token});
    world.pass_s(POLICY.fresh_login_s - 60);
    app.put(push, target("merchants")).await.ok(204);
    world.pass_s(60);

    // Stolen from a merchant at work: the session is valid and can change nothing that matters.
    let mut settings = app.get("/v1/settlement").await.body;
    settings["payout_time"] = json!("09:00");
    let mut standby = app.request_body(SECOND_CARD);
    standby["activate"] = json!(false);
    for (method, path, body) in [
        (
            "POST",
            "/v1/rebinds".to_owned(),
            app.request_body(SECOND_CARD),
        ),
        ("POST", "/v1/rebinds".to_owned(), standby),
        ("POST", format!("{card}/activate"), Value::Null),
        (
            "POST",
            format!("{card}/activate"),
            json!({"code": "123456"}),
        ),
        ("POST", format!("{card}/unbind"), Value::Null),
        ("PUT", "/v1/settlement".to_owned(), settings),
        (
            "PUT",
            "/v1/push-targets/thiefs".to_owned(),
            target("thiefs"),
        ),
        ("DELETE", push.to_owned(), Value::Null),
    ] {
        app.call_keyed(&path, method, &path, body)
            .await
            .is(403, "STEP_UP_REQUIRED");
    }

    // Stolen while the login is fresh, by a thief who knows the document too: the OTP to the phone on file stops the change.
    let app = app.again().await;
    let rebind = app.request(SECOND_CARD).await;
    let shown = app
        .post(&format!("{rebind}/identity"), app.document())
        .await;
    let code = world.sms.code(&app.profile.phone);
    assert!(!shown.body.to_string().contains(&code));
    let confirm = format!("{rebind}/identity/confirm");
    app.post(&confirm, json!({"code": wrong_otp(&code)}))
        .await
        .is(422, "OTP_WRONG");

    // The session expires although the thief keeps reading, because reads do not extend it.
    world.pass_s(POLICY.session_idle_s - 1);
    app.get(&rebind).await.ok(200);
    world.pass_s(1);
    is_shut_out(&app, &rebind, &card).await;
}

#[tokio::test]
async fn otp_read_out_to_another_session() {
    let (world, app) = InProcess::with(NAME).await;
    let thief = world.log_in_on(NAME, "a thief's phone").await;
    let rebind = app.request(GOOD_CARD).await;
    app.post(&format!("{rebind}/identity"), app.document())
        .await;
    // "This is your acquirer. Please read us the code that you have just been sent."
    let code = json!({"code": world.sms.code(&app.profile.phone)});
    let confirm = format!("{rebind}/identity/confirm");
    thief
        .post(&confirm, code.clone())
        .await
        .is(403, "STEP_UP_REQUIRED");
    app.post(&confirm, code).await.is(200, "agreement_pending");
    app.sign(&rebind).await;
    app.check_card(&rebind).await;
    let code = world.sms.code(RESERVED_PHONE);
    thief
        .try_card_code(&rebind, &code)
        .await
        .is(403, "STEP_UP_REQUIRED");
    app.try_card_code(&rebind, &code).await.is(200, "activated");
}

#[tokio::test]
async fn session_reused_after_logout() {
    let (world, app) = InProcess::with(NAME).await;
    let tablet = world.log_in_on(NAME, "tablet").await;
    let rebind = app.request(GOOD_CARD).await;
    let card = active_card(&world, NAME).await;
    let left = app.delete("/v1/sessions/current").await;
    is_shut_out(&app, &rebind, &card).await;
    assert_eq!(left.status, 204);
    // Nothing changed.
    tablet.get(&rebind).await.is(200, "identity_pending");
}

/// A bank that answers only after the merchant has logged out.
struct Leaving<'w>(&'w App);

impl CheckCard for Leaving<'_> {
    async fn check(&self, _: &CardQuestion) -> Option<BankAnswer> {
        let path = "/v1/sessions/current";
        self.0.delete(path).await.ok(204);
        Some(BankAnswer::DEBIT_MATCH)
    }
}

impl SendTransfer for Leaving<'_> {
    async fn transfer(&self, _: &Transfer) -> Option<TransferAnswer> {
        None
    }
}

impl QueryTransfer for Leaving<'_> {
    async fn transfer_outcome(&self, _: &str) -> QueryOutcome<TransferAnswer> {
        QueryOutcome::Unknown
    }
}

#[tokio::test]
async fn step_in_flight_when_session_ends() {
    let (world, app, rebind) = scenario::card_pending(NAME).await;
    let (bank, sms) = (Leaving(&app), world.sms.clone());
    let function = Verification::new(world.store(), world.keys(), sms, bank);
    let path = format!("{rebind}/card-check");
    ask(&function, &app, &path, Value::Null)
        .await
        .is(401, "SESSION_EXPIRED");
    assert!(world.sms.to(RESERVED_PHONE).is_empty(), "no OTP is sent");
    app.get("/v1/cards").await.is(401, "SESSION_EXPIRED");
}

#[tokio::test]
async fn session_reused_after_freeze() {
    let (world, app) = InProcess::with(NAME).await;
    let thief = world.log_in_on(NAME, "a thief's phone").await;
    let rebind = thief.activate(GOOD_CARD).await;
    let card = active_card(&world, NAME).await;
    let code = app.freeze_code().await;
    world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await
        .ok(202);
    for app in [&app, &thief] {
        is_shut_out(app, &rebind, &card).await;
    }
    // With the password the thief can log in again, but only read.
    let thief = world.log_in_on(NAME, "a thief's phone").await;
    thief.get("/v1/cards").await.ok(200);
    let mut settings = thief.get("/v1/settlement").await.body;
    settings["payout_time"] = json!("09:00");
    for (method, path, body) in [
        (
            "POST",
            "/v1/rebinds".to_owned(),
            thief.request_body(SECOND_CARD),
        ),
        ("POST", format!("{rebind}/test-transaction"), Value::Null),
        ("PUT", "/v1/settlement".to_owned(), settings),
    ] {
        thief
            .call_keyed("k", method, &path, body)
            .await
            .is(423, "ACCOUNT_FROZEN");
    }
}

#[tokio::test]
async fn forged_session_token() {
    let (world, app) = InProcess::with(NAME).await;
    let own = world.log_in(OTHER).await;
    let rebind = app.request(GOOD_CARD).await;
    let card = active_card(&world, NAME).await;
    let victim = merchant_id(NAME).to_string();
    let (place, secret) = app.token.rsplit_once('.').unwrap();
    let mut near = secret.to_owned();
    near.replace_range(..1, if secret.starts_with('A') { "B" } else { "A" });
    let slot = |slot: &str| format!("{victim}.{slot}.{secret}");
    for token in [
        format!("{place}."),
        format!("{place}.{near}"),
        format!("{place}.{}", &secret[1..]),
        // The thief's own token with the victim's merchant id.
        own.token
            .replacen(&merchant_id(OTHER).to_string(), &victim, 1),
        slot("1"),
        slot("+0"),
        slot("00"),
        slot("５"),
    ] {
        is_shut_out(&with_token(&app, &token), &rebind, &card).await;
    }
    app.get(&rebind).await.is(200, "identity_pending");
}
