//! A thief who has the password and a device of their own: to push out the owner's device, to hide, to beat the hold, to
//! silence the owner's push devices.

use crate::contact::change_password;
use crate::logins::log_in;
use crate::{NAME, POLICY, active_card, doors, refused};
use domain::policy::DAY_S;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{DEVICE, GOOD_CARD, merchant};
use tests::transport::Reply;

/// The thief's device.
const THIEF: &str = "a thief's phone";

/// The thief, logged in for the first time.
async fn thief(world: &Arc<InProcess>) -> App {
    world.log_in_on(NAME, THIEF).await
}

async fn register(app: &App, id: &str, token: &str) -> Reply {
    let path = format!("/v1/push-targets/{id}");
    let target = json!({"platform": "apns", "token": token});
    app.put(&path, target).await
}

/// The owner, with a push device that is registered, and whose registration was announced.
async fn owner_with_tablet(world: &Arc<InProcess>) -> App {
    let owner = world.log_in(NAME).await;
    register(&owner, "tablet", "owner-token").await.ok(204);
    news(world, &owner).await;
    owner
}

/// The SMS and the pushes that have come for the owner since the last call.
async fn news(world: &Arc<InProcess>, owner: &App) -> (usize, Vec<String>) {
    let before = world.sms.to(&owner.profile.phone).len();
    world.deliver_due().await;
    let mut tokens = world.push.take_tokens();
    tokens.sort();
    (world.sms.to(&owner.profile.phone).len() - before, tokens)
}

/// The hold of the last activation.
async fn hold_s(world: &Arc<InProcess>) -> i64 {
    let last = world.stored(NAME).await.state.last_activation.unwrap();
    last.times.activated_at.age_s_at(last.times.effective_at)
}

/// Tries a wrong password for the account on a device that never logged in to it, until such devices must wait.
async fn throttle_strangers(world: &Arc<InProcess>) {
    let account = merchant(NAME).account;
    for guess in 0..=POLICY.login_wait_from_failure {
        let device = format!("an invented device {guess}");
        log_in(world, &account, "guess", &device, "198.51.100.1").await;
    }
}

/// Then the owner's phone counts as a stranger's, and wrong passwords lock it out.
#[tokio::test]
async fn owners_device_pushed_out_over_two_weeks() {
    let (world, owner) = InProcess::with(NAME).await;
    for number in 0..2 * POLICY.known_devices_max {
        world
            .log_in_on(NAME, &format!("a thief's phone {number}"))
            .await;
        if number % POLICY.new_devices_per_day == 1 {
            world.pass_s(DAY_S);
        }
    }
    throttle_strangers(&world).await;
    let profile = &owner.profile;
    let login = log_in(
        &world,
        &profile.account,
        &profile.password,
        DEVICE,
        "203.0.113.7",
    )
    .await;
    assert_eq!(login.status, 201, "{:?}", login.body);
}

#[tokio::test]
async fn session_slots_filled_to_end_the_owners_session() {
    let (world, owner) = InProcess::with(NAME).await;
    for number in 0..POLICY.sessions_max {
        let device = format!("a thief's phone {number}");
        world.log_in_on(NAME, &device).await;
    }
    owner.get("/v1/cards").await.ok(200);
}

/// All five of the owner's devices are logged in.
#[tokio::test]
async fn session_of_the_owners_youngest_device_taken() {
    let world = InProcess::start().await;
    let devices: Vec<String> = (1..=POLICY.sessions_max)
        .map(|number| format!("dev-{number}"))
        .collect();
    for two in devices[1..].chunks(POLICY.new_devices_per_day) {
        for device in two {
            world.log_in_on(NAME, device).await;
        }
        world.pass_s(DAY_S);
    }
    let mut sessions = Vec::new();
    for device in &devices {
        sessions.push(world.log_in_on(NAME, device).await);
    }
    let profile = merchant(NAME);
    log_in(
        &world,
        &profile.account,
        &profile.password,
        THIEF,
        "198.51.100.1",
    )
    .await;
    for session in &sessions {
        let read = session.get("/v1/cards").await;
        assert_eq!(read.status, 200, "{:?}", read.body);
    }
}

#[tokio::test]
async fn new_device_logged_in_silently() {
    let world = InProcess::start().await;
    let owner = owner_with_tablet(&world).await;
    thief(&world).await;
    let heard = news(&world, &owner).await;
    assert_eq!(heard, (1, vec!["owner-token".to_owned()]));
}

/// The first two new devices of the day have been announced, perhaps because they are the owner's.
#[tokio::test]
async fn changes_made_on_the_third_new_device_of_a_day() {
    let world = InProcess::start().await;
    let owner = world.log_in(NAME).await;
    register(&owner, "phone", "owner-token").await.ok(204);
    let rebind = owner.activate(GOOD_CARD).await;
    for number in 0..POLICY.new_devices_per_day {
        let device = format!("a new phone {number}");
        world.log_in_on(NAME, &device).await;
    }
    let thief = thief(&world).await;
    let card = active_card(&world, NAME).await;
    let mut changes = doors(&rebind, &card);
    changes.retain(|(method, path, _)| *method != "GET" && path != "/v1/sessions/current");
    changes.extend([
        ("DELETE", "/v1/sessions".to_owned(), Value::Null),
        ("POST", format!("{rebind}/freeze"), Value::Null),
    ]);
    for (method, path, body) in changes {
        let answer = thief.call_keyed(&path, method, &path, body).await;
        let got = (answer.status, answer.code());
        assert_eq!(got, (403, "DEVICE_TOO_NEW"), "{method} {path}");
    }
}

#[tokio::test]
async fn card_changed_from_a_new_device() {
    let (world, _) = InProcess::with(NAME).await;
    thief(&world).await.activate(GOOD_CARD).await;
    assert_eq!(hold_s(&world).await, POLICY.hold_new_device_s);
}

#[tokio::test]
async fn standby_card_added_from_a_new_device() {
    let (world, _) = InProcess::with(NAME).await;
    let card = thief(&world).await.standby(GOOD_CARD).await;
    world.deliver_due().await;
    world.pass_s(POLICY.standby_wait_s);
    let switch = thief(&world)
        .await
        .post(&format!("{card}/activate"), ())
        .await;
    refused(&switch, 409, "STANDBY_NOT_READY");
}

/// The owner is talked into the rest: "please confirm the change in your app".
#[tokio::test]
async fn rebind_begun_on_a_new_device() {
    let (world, owner) = InProcess::with(NAME).await;
    let rebind = thief(&world).await.request(GOOD_CARD).await;
    owner.finish(&rebind).await.ok(200);
    assert_eq!(hold_s(&world).await, POLICY.hold_new_device_s);
}

/// The thief takes part in a rebind that the owner began, with the owner's phone in their hands for a minute.
#[tokio::test]
async fn identity_confirmed_on_a_new_device() {
    let (world, owner) = InProcess::with(NAME).await;
    let rebind = owner.request(GOOD_CARD).await;
    thief(&world).await.identify(&rebind).await;
    owner.sign(&rebind).await;
    owner.check_card(&rebind).await.ok(200);
    owner.confirm_card(&rebind).await.ok(200);
    assert_eq!(hold_s(&world).await, POLICY.hold_new_device_s);
}

#[tokio::test]
async fn card_confirmed_on_a_new_device() {
    let (world, owner) = InProcess::with(NAME).await;
    let rebind = owner.to_card_pending(GOOD_CARD).await;
    let thief = thief(&world).await;
    thief.check_card(&rebind).await.ok(200);
    thief.confirm_card(&rebind).await.ok(200);
    assert_eq!(hold_s(&world).await, POLICY.hold_new_device_s);
}

/// No money for the thief, but the owner cannot change anything until an operator ends the freeze.
#[tokio::test]
async fn account_frozen_from_a_new_device() {
    let (world, owner) = InProcess::with(NAME).await;
    thief(&world).await;
    world.pass_s(POLICY.freeze_device_age_s - 1);
    let rebind = owner.again().await.activate(GOOD_CARD).await;
    let path = format!("{rebind}/freeze");
    let freeze = thief(&world).await.post(&path, ()).await;
    refused(&freeze, 403, "DEVICE_TOO_NEW");
}

#[tokio::test]
async fn owners_push_device_removed_silently() {
    let world = InProcess::start().await;
    let owner = owner_with_tablet(&world).await;
    let thief = thief(&world).await;
    news(&world, &owner).await;
    thief.delete("/v1/push-targets/tablet").await.ok(204);
    let heard = news(&world, &owner).await;
    assert_eq!(heard, (1, vec!["owner-token".to_owned()]));
}

#[tokio::test]
async fn owners_push_token_replaced_silently() {
    let world = InProcess::start().await;
    let owner = owner_with_tablet(&world).await;
    let thief = thief(&world).await;
    news(&world, &owner).await;
    register(&thief, "tablet", "thief-token").await.ok(204);
    let both = ["owner-token", "thief-token"].map(str::to_owned);
    assert_eq!(news(&world, &owner).await, (1, both.to_vec()));
}

/// Each replaced token is notified for a week. With thousands of them no notification reaches every device in time, and its
/// reminders never start.
#[tokio::test]
async fn push_tokens_refreshed_to_hold_up_notifications() {
    let world = InProcess::start().await;
    let owner = owner_with_tablet(&world).await;
    let thief = thief(&world).await;
    register(&thief, "mine", "thief-token").await.ok(204);
    let refreshes = POLICY.push_refreshes_per_day;
    for number in 0..3 * refreshes {
        // Each refresh keeps the session alive, but the login is not fresh any more.
        world.pass_s(POLICY.fresh_login_s - 1);
        register(&thief, "mine", &format!("thief-token-{number}")).await;
    }
    news(&world, &owner).await;
    owner.again().await.activate(GOOD_CARD).await;
    let (_, pushed) = news(&world, &owner).await;
    // Two registered tokens, and the replaced ones.
    assert!(pushed.len() <= 2 + refreshes, "{}", pushed.len());
}

/// The provider refuses the phone on file. A push to an old device of the owner would do.
#[tokio::test]
async fn change_handed_over_to_the_thiefs_push_device() {
    let (world, owner) = InProcess::with(NAME).await;
    let old = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let device = thief(&world).await;
    register(&device, "mine", "thief-token").await.ok(204);
    news(&world, &owner).await;
    world.pass_s(POLICY.push_trusted_age_s - 60);
    thief(&world).await.activate(GOOD_CARD).await;
    world.sms.set_down(true);
    let (_, pushed) = news(&world, &owner).await;
    assert!(pushed.contains(&"thief-token".to_owned()));
    world.pass_s(POLICY.hold_new_device_s);
    let operation = owner.profile.payout("create_payout", "pay_unseen");
    let payout = world.core(operation).await.unwrap();
    assert_eq!(payout["card"]["card_id"], old.as_str());
}

/// A known device has attempts of its own, whatever others fail.
#[tokio::test]
async fn device_known_beyond_a_change_of_the_password() {
    let (world, owner) = InProcess::with(NAME).await;
    thief(&world).await;
    change_password(&world, "only the owner knows this").await;
    throttle_strangers(&world).await;
    let account = &owner.profile.account;
    let guess = log_in(&world, account, "guess", THIEF, "198.51.100.1").await;
    refused(&guess, 429, "AUTH_THROTTLED");
}

/// The thief has the owner's token only: the login is not fresh.
#[tokio::test]
async fn owners_sessions_ended_with_a_stolen_token() {
    let world = InProcess::start().await;
    let stolen = owner_with_tablet(&world).await;
    world.pass_s(POLICY.fresh_login_s - 60);
    register(&stolen, "tablet", "token-2").await.ok(204);
    world.pass_s(60);
    let owner = world.log_in_on(NAME, "the owner's tablet").await;
    let ended = stolen.delete("/v1/sessions").await;
    refused(&ended, 403, "STEP_UP_REQUIRED");
    owner.get("/v1/cards").await.ok(200);
}
