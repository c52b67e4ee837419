//! The acquirer's record: a phone or password changed to take over an account, and what a change must not leave open.

use crate::{NAME, POLICY, refused};
use domain::contact::{ContactChange, ContactValue, PreviousPhoneRule};
use domain::pii::Phone;
use domain::policy::DAY_S;
use domain::secret::Secret;
use serde_json::Value;
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, Profile, merchant_id};
use tests::scenario;
use tests::transport::{HttpCall, Transport, freeze_code_in};

const PHONE_OF_THIEF: &str = "+8613812345678";

/// The operator makes a change. Returns the code of a refusal.
async fn change(world: &Arc<InProcess>, value: ContactValue) -> Option<String> {
    let change = ContactChange {
        value,
        by: "hotline".to_owned(),
        reason: "asked on the phone".to_owned(),
        previous_phone: PreviousPhoneRule::Keep,
    };
    let (store, merchant) = (world.store(), merchant_id(NAME));
    let changed = store.change_contact(&merchant, change, world.now()).await;
    let _ = world.boundary.take();
    changed.err().map(|error| format!("{error:?}"))
}

async fn change_phone(world: &Arc<InProcess>, phone: &str) -> Option<String> {
    change(world, ContactValue::Phone(Phone::parse(phone).unwrap())).await
}

pub(crate) async fn change_password(world: &Arc<InProcess>, password: &str) {
    let hash = application::crypto::password::hash(&Secret::new(password.to_owned())).unwrap();
    let changed = change(world, ContactValue::Password(hash)).await;
    assert_eq!(changed, None);
}

/// The merchant's account in the hands of someone with this phone.
fn with_phone(app: &App, phone: &str) -> App {
    let mut app = app.clone();
    app.profile = Profile {
        phone: phone.to_owned(),
        ..app.profile
    };
    app
}

/// The owner, at the previous phone, freezes the account with the last code that was sent there.
async fn owner_freezes(world: &Arc<InProcess>, app: &App) {
    world.deliver_due().await;
    let texts = world.sms.to(&app.profile.phone);
    let code = texts.iter().rev().find_map(|text| freeze_code_in(text));
    let code = code.unwrap();
    let frozen = world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await;
    assert_eq!(frozen.status, 202);
    assert!(world.stored(NAME).await.state.frozen.is_some());
}

#[tokio::test]
async fn phone_changed_by_a_talked_over_hotline() {
    let (world, owner) = InProcess::with(NAME).await;
    assert_eq!(change_phone(&world, PHONE_OF_THIEF).await, None);
    // The thief has the password and waits for the quiet period to end; the owner has been warned.
    let thief = with_phone(&owner, PHONE_OF_THIEF);
    world.deliver_due().await;
    assert_eq!(world.sms.to(PHONE_OF_THIEF).len(), 1);
    owner_freezes(&world, &owner).await;
    world.pass_s(POLICY.quiet_period_s);
    let thief = thief.again().await;
    let body = thief.request_body(GOOD_CARD);
    let request = thief.keyed("k-1", "/v1/rebinds", body).await;
    refused(&request, 423, "ACCOUNT_FROZEN");
}

#[tokio::test]
async fn card_changed_weeks_after_the_phone() {
    let (world, owner) = InProcess::with(NAME).await;
    change_phone(&world, PHONE_OF_THIEF).await;
    world.deliver_due().await;
    // The thief waits as long as the owner might overlook the first message.
    world.pass_s(POLICY.previous_phone_s - DAY_S);
    let thief = with_phone(&owner, PHONE_OF_THIEF).again().await;
    let rebind = thief.activate(GOOD_CARD).await;
    owner_freezes(&world, &owner).await;
    let shown = thief.again().await.get(&rebind).await;
    assert_eq!(shown.body["state"], "frozen");
    let state = world.stored(NAME).await.state;
    let active = state.active.unwrap().card;
    assert_eq!(active.card_id.number(), 0, "the owner's card");
}

#[tokio::test]
async fn phone_changed_twice_to_silence_the_owner() {
    let (world, owner) = InProcess::with(NAME).await;
    change_phone(&world, PHONE_OF_THIEF).await;
    world.pass_s(POLICY.quiet_period_s);
    let again = change_phone(&world, "+8613812345679").await;
    assert!(again.unwrap().contains("StepOutOfOrder"));
    let record = world.stored(NAME).await.profile;
    let previous = record.previous_phone.unwrap().phone;
    assert_eq!(previous.e164(), owner.profile.phone);
}

#[tokio::test]
async fn session_kept_beyond_a_password_change() {
    let (world, thief) = InProcess::with(NAME).await;
    // The owner finds out and has the acquirer change the password.
    change_password(&world, "only the owner knows this").await;
    for path in ["/v1/cards", "/v1/history"] {
        refused(&thief.get(path).await, 401, "SESSION_EXPIRED");
    }
    let request = HttpCall::new("POST", "/v1/sessions").at(world.now());
    let request = request.json(&thief.profile.credentials("device-1"));
    let login = world.http_login(request).await;
    refused(&login, 401, "AUTH_BAD_CREDENTIALS");
}

#[tokio::test]
async fn rebind_continued_after_a_contact_change() {
    let (world, thief, rebind) = scenario::card_pending(NAME).await;
    // The owner reports the theft; the thief logs in again with the password, which stays.
    change_phone(&world, "+8613812345679").await;
    let thief = thief.again().await;
    let path = format!("{rebind}/card-check");
    let step = thief.post(&path, Value::Null).await;
    refused(&step, 409, "STEP_OUT_OF_ORDER");
    let shown = thief.get(&rebind).await;
    assert_eq!(shown.body["state"], "cancelled");
    assert_eq!(shown.body["ended_reason"], "QUIET_PERIOD");
}
