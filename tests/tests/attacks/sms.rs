//! SMS at the merchant's cost, and the merchant's limits used up by others.

use crate::{NAME, OTHER, POLICY, active_card, doors, kept_of, refused, with_token};
use domain::policy::HOUR_S;
use serde_json::json;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD, merchant, merchant_id};
use tests::scenario;
use tests::transport::freeze_code_in;

/// Requests a card and an OTP, then cancels. Returns true if an OTP was sent.
async fn pump(app: &App, card: &str) -> bool {
    let rebind = app.request(card).await;
    let path = format!("{rebind}/identity");
    let sent = app.post(&path, app.document()).await;
    if sent.status != 200 {
        refused(&sent, 429, "OTP_SEND_LIMIT");
    }
    let again = app.post(&format!("{path}/code"), ()).await;
    assert!(
        ["OTP_SEND_LIMIT", "STEP_OUT_OF_ORDER"].contains(&again.code()),
        "{:?}",
        again.body
    );
    app.cancel(&rebind).await.ok(200);
    sent.status == 200
}

#[tokio::test]
async fn sms_pumped_to_one_phone() {
    let world = InProcess::start().await;
    let victim = merchant(NAME);
    let [an_hour, a_day] = [POLICY.codes_per_phone_hour, POLICY.codes_per_phone_day];
    let mut sent = 0;
    for hour in 1..=3 {
        let app = world.log_in(NAME).await;
        // Once more than the limit allows, and within the limit of created rebinds.
        for _ in 0..=an_hour {
            world.pass_s(POLICY.code_gap_s);
            sent += usize::from(pump(&app, GOOD_CARD).await);
            if sent == 1 {
                // Another rebind in the same minute gets no further OTP.
                assert!(!pump(&app, SECOND_CARD).await);
            }
        }
        assert_eq!(sent, a_day.min(hour * an_hour));
        world.pass_s(HOUR_S);
    }
    assert_eq!(world.sms.to(&victim.phone).len(), a_day);
    // Another merchant who names the phone as a card's phone gets none either, in any spelling.
    let app = world.log_in(OTHER).await;
    for reserved in ["139-0000 0001", "＋８６ 13900000001"] {
        let rebind = app
            .request_with(SECOND_CARD, json!({"reserved_phone": reserved}))
            .await;
        app.identify(&rebind).await;
        app.sign(&rebind).await;
        app.check_card(&rebind).await.is(429, "OTP_SEND_LIMIT");
        app.cancel(&rebind).await;
        world.pass_s(POLICY.code_gap_s);
    }
    assert_eq!(world.sms.to(&victim.phone).len(), a_day);
}

#[tokio::test]
async fn sms_pumped_to_many_phones() {
    let world = InProcess::start().await;
    let cards = [GOOD_CARD, SECOND_CARD, "6228480000009001744"];
    let phones: Vec<String> = (0..8).map(|n| format!("+86135123456{n:02}")).collect();
    for (phone, card) in phones.iter().zip(cards.iter().cycle()) {
        // Each is cancelled once the card's reserved phone has received its OTP.
        let app = world.log_in(NAME).await;
        let mut body = app.request_body(card);
        body["reserved_phone"] = json!(phone);
        let created = app.keyed(phone, "/v1/rebinds", body).await;
        if created.status == 201 {
            let id = created.body["rebind_id"].as_str().unwrap();
            let rebind = format!("/v1/rebinds/{id}");
            app.identify(&rebind).await;
            app.sign(&rebind).await;
            for step in ["card-check", "cancel"] {
                app.post(&format!("{rebind}/{step}"), ()).await;
            }
        } else {
            refused(&created, 429, "DAILY_REQUEST_LIMIT");
        }
        world.pass_s(POLICY.fresh_login_s);
    }
    let reached = phones
        .iter()
        .filter(|phone| !world.sms.to(phone).is_empty());
    assert_eq!(reached.count(), POLICY.bank_calls_per_day);
}

#[tokio::test]
async fn quotas_used_up_without_session() {
    let (world, app, rebind) = scenario::requested(NAME).await;
    app.post(&format!("{rebind}/identity"), app.document())
        .await;
    let card = active_card(&world, NAME).await;
    let account = &app.profile.account;
    let (before, texts) = (
        kept_of(&world, NAME).await,
        world.sms.to(&app.profile.phone),
    );
    // Requests that need no session.
    for guess in 0..8 {
        let body =
            json!({"account": account, "password": "guess", "device_id": format!("{guess}")});
        world
            .send(world.event("POST", "/v1/sessions", &[], &body))
            .await;
    }
    let freezes = (0..12).map(|_| world.freeze(account, "AAAAAAAA", "198.51.100.1"));
    futures::future::join_all(freezes).await;
    // Requests that need one, on a rebind whose id has leaked, with invalid tokens.
    let victim = merchant_id(NAME);
    for token in [
        "",
        "x",
        &format!("{victim}.0.AAAA"),
        &format!("{victim}.0."),
    ] {
        let stranger = with_token(&app, token);
        for (method, path, body) in doors(&rebind, &card) {
            stranger.call_keyed("k", method, &path, body).await;
        }
    }
    assert!(kept_of(&world, NAME).await == before, "the merchant's own");
    assert_eq!(world.sms.to(&app.profile.phone), texts);
    // The merchant continues undisturbed.
    let code = json!({"code": world.sms.code(&app.profile.phone)});
    app.post(&format!("{rebind}/identity/confirm"), code)
        .await
        .is(200, "agreement_pending");
}

/// A thief activates a card late in the evening. The owner sleeps through the first SMS.
#[tokio::test]
async fn notification_overlooked_at_night() {
    let (world, app, _) = scenario::activated(NAME).await;
    world.deliver_due().await;
    let heard = world.sms.to(&app.profile.phone).len();
    // The rest of the day, with a clean-up every hour.
    for _ in 0..23 {
        world.pass_s(HOUR_S);
        world.clean_up().await;
        world.deliver_due().await;
    }
    let texts = world.sms.to(&app.profile.phone).split_off(heard);
    assert_eq!(texts.len(), 2, "two more chances to hear of it");
    let code = freeze_code_in(&texts[1]).unwrap();
    world
        .freeze(&app.profile.account, &code, "1.1.1.1")
        .await
        .with_status(202);
    let state = world.stored(NAME).await.state;
    assert!(
        state.frozen.is_some() && state.last_activation.is_none(),
        "the old card is back"
    );
}

/// A thief has the phone on file for some minutes. The owner's tablet still hears of the rebind at once.
#[tokio::test]
async fn rebind_begun_behind_the_owners_device() {
    let (world, owner) = InProcess::with(NAME).await;
    let device = |token: &str| json!({"platform": "apns", "token": token});
    owner
        .put("/v1/push-targets/tablet", device("owner-token"))
        .await
        .ok(204);
    world.deliver_due().await;
    world.pass_s(POLICY.push_trusted_age_s + 1);
    let thief = world.log_in_on(NAME, "a device of the thief").await;
    thief
        .put("/v1/push-targets/mine", device("thief-token"))
        .await
        .ok(204);
    world.deliver_due().await;
    let _ = world.push.take_tokens();
    let rebind = thief.request(GOOD_CARD).await;
    thief.identify(&rebind).await;
    world.deliver_due().await;
    // A code was asked for, and the identity was confirmed.
    assert_eq!(world.push.take_tokens(), ["owner-token", "owner-token"]);
}

/// The provider is down, or the quota is used up with an error: nobody was notified, so nothing is paid to the new card.
#[tokio::test]
async fn change_without_a_notification() {
    let (world, app, _) = scenario::activated(NAME).await;
    world.sms.set_down(true);
    let old = world
        .stored(NAME)
        .await
        .state
        .last_activation
        .unwrap()
        .old_card;
    world.pass_s(3 * 24 * HOUR_S);
    let operation = app.profile.payout("create_payout", "pay_unseen");
    let payout = world.core(operation).await.unwrap();
    assert_eq!(payout["card"]["card_id"], old.unwrap().as_str());
}
