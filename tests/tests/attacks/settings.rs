//! Settlement settings as a way to the payouts: stop them, or pile them up until the thief's card takes effect.

use crate::{NAME, POLICY};
use domain::policy::DAY_S;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::GOOD_CARD;
use tests::transport::freeze_code_in;

/// Settings by which nothing is paid out.
async fn nothing_paid_out(app: &App) -> Value {
    let mut settings = app.get("/v1/settlement").await.ok(200);
    settings["retained_fen"] = settings["daily_limit_fen"].clone();
    settings
}

/// The settings in force, shown to the owner and recorded by the clean-up.
async fn retained_fen(world: &Arc<InProcess>) -> [u64; 2] {
    world.clean_up().await;
    let app = world.log_in(NAME).await;
    let shown = app.get("/v1/settlement").await.ok(200);
    let stored = world.stored(NAME).await.state.settlement.retained_fen;
    [shown["retained_fen"].as_u64().unwrap(), stored]
}

/// A thief with the password stops the payouts. The owner has a day to freeze with the code of the announcement.
#[tokio::test]
async fn payouts_stopped_with_the_password() {
    let world = InProcess::start().await;
    let thief = world.log_in_on(NAME, "the thief's phone").await;
    let settings = nothing_paid_out(&thief).await;
    thief.put("/v1/settlement", settings).await.ok(200);
    let code = thief.freeze_code().await;
    world.pass_s(DAY_S - 60);
    let source = "198.51.100.1";
    let account = &thief.profile.account;
    world.freeze(account, &code, source).await.ok(202);
    world.pass_s(DAY_S);
    assert_eq!(retained_fen(&world).await, [0, 0]);
}

/// The thief first uses up the day's SMS about devices, so that the announcement with the freeze code is not sent.
#[tokio::test]
async fn freeze_code_crowded_out_by_notices() {
    let (world, thief) = InProcess::with(NAME).await;
    for number in 0..POLICY.notice_sms_per_day {
        let target = json!({"platform": "fcm", "token": format!("token-{number}")});
        let path = format!("/v1/push-targets/{number}");
        thief.put(&path, target).await.ok(204);
        thief.delete(&path).await.ok(204);
    }
    world.deliver_due().await;
    let before = world.sms.to(&thief.profile.phone).len();
    let settings = nothing_paid_out(&thief).await;
    thief.put("/v1/settlement", settings).await.ok(200);
    world.deliver_due().await;
    let texts = world.sms.to(&thief.profile.phone);
    assert!(
        texts[before..]
            .iter()
            .any(|text| freeze_code_in(text).is_some())
    );
}

/// The settings are accepted just before the activation, and would take effect during its hold.
#[tokio::test]
async fn payouts_piled_up_from_before_the_hold() {
    let (world, thief) = InProcess::with(NAME).await;
    let settings = nothing_paid_out(&thief).await;
    thief.put("/v1/settlement", settings).await.ok(200);
    thief
        .activate_with(GOOD_CARD, json!({"reason": "lost"}))
        .await;
    world.pass_s(2 * DAY_S);
    assert_eq!(retained_fen(&world).await, [0, 0]);
}

/// The hold lasts three days, longer than settings wait.
#[tokio::test]
async fn payouts_piled_up_during_the_hold() {
    let (world, thief) = InProcess::with(NAME).await;
    thief
        .activate_with(GOOD_CARD, json!({"reason": "lost"}))
        .await;
    let settings = nothing_paid_out(&thief).await;
    let refused = thief.put("/v1/settlement", settings).await;
    refused.is(409, "HOLD_RUNNING");
    world.pass_s(2 * DAY_S);
    assert_eq!(retained_fen(&world).await, [0, 0]);
}
