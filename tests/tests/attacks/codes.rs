//! OTPs: guessed, taken from another rebind, relayed to another phone, attempts exhausted.

use crate::{Item, NAME, OTHER, POLICY, change_json, item_of, put_item, refused};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD, merchant, wrong_otp};
use tests::table_faults::Fault;
use tests::transport::Reply;

/// Requests a card and sends the document; returns the rebind and the OTP of the phone on file.
async fn identity_otp(app: &App, card: &str) -> (String, String) {
    let rebind = app.request(card).await;
    let path = format!("{rebind}/identity");
    app.post(&path, app.document()).await.ok(200);
    (rebind, app.system.sms.code(&app.profile.phone))
}

/// Tries an OTP of the phone on file.
async fn confirm(app: &App, rebind: &str, code: &str) -> Reply {
    let path = format!("{rebind}/identity/confirm");
    app.post(&path, json!({"code": code})).await
}

/// The stored OTP: the first object in the rebind's state that has an OTP's fields.
fn kept_code(state: &mut Value) -> Option<&mut Value> {
    let is_code = state.get("m").is_some() && state.get("by").is_some();
    if is_code {
        return Some(state);
    }
    let fields = state.as_object_mut()?;
    fields.values_mut().find_map(kept_code)
}

/// An attacker with write access to the table replaces one rebind's OTP with another's.
async fn move_code(world: &Arc<InProcess>, from: &Item, to: &str) {
    let mut state: Value = serde_json::from_str(from["state"].as_s().unwrap()).unwrap();
    let code = kept_code(&mut state).unwrap().clone();
    let mut item = item_of(world, NAME, to).await;
    change_json(&mut item, "state", |state| {
        *kept_code(state).unwrap() = code;
    });
    put_item(world, item).await;
}

#[tokio::test]
async fn otp_guessed_in_parallel() {
    let (world, app) = InProcess::with(NAME).await;
    let (rebind, right) = identity_otp(&app, GOOD_CARD).await;
    let path = format!("{rebind}/identity/confirm");
    let mut codes: BTreeSet<String> = (0..31).map(|guess| format!("{guess:06}")).collect();
    codes.remove(&right);
    let guesses = codes.iter().enumerate().map(|(number, code)| {
        let (app, path) = (&app, path.as_str());
        async move {
            let body = json!({"code": code});
            // Some with keys of their own, some with a shared one, some without.
            match number % 3 {
                0 => app.keyed(&format!("k{number}"), path, body).await,
                1 => app.keyed("k", path, body).await,
                _ => app.post(path, body).await,
            }
        }
    });
    let answers = futures::future::join_all(guesses).await;
    let counted = answers
        .iter()
        .filter(|answer| ["OTP_WRONG", "OTP_TOO_MANY"].contains(&answer.code()));
    assert!(counted.count() <= usize::from(POLICY.code_attempts));
    world.pass_s(POLICY.code_deciding_s);
    let late = confirm(&app, &rebind, &right).await;
    assert_ne!(late.status, 200, "{:?}", late.body);
    app.get(&rebind).await.is(200, "rejected");
}

#[tokio::test]
async fn guesses_aborted_before_answer() {
    let (world, app) = InProcess::with(NAME).await;
    let (rebind, right) = identity_otp(&app, GOOD_CARD).await;
    for _ in 0..POLICY.code_attempts {
        // Read, reserved, compared; the result is never written.
        world.boundary.fail(3, Fault::RequestLost);
        confirm(&app, &rebind, wrong_otp(&right)).await.ok(500);
    }
    world.pass_s(POLICY.code_deciding_s);
    confirm(&app, &rebind, &right).await.is(422, "OTP_TOO_MANY");
    app.get(&rebind).await.is(200, "rejected");
}

#[tokio::test]
async fn otp_guessed_over_resends() {
    let (world, app) = InProcess::with(NAME).await;
    let (rebind, mut right) = identity_otp(&app, GOOD_CARD).await;
    for guess in 1..POLICY.code_attempts {
        let left = i64::from(POLICY.code_attempts - guess);
        let answer = confirm(&app, &rebind, wrong_otp(&right))
            .await
            .is(422, "OTP_WRONG");
        assert_eq!(answer.body["attempts_left"], left);
        world.pass_s(POLICY.code_gap_s);
        let again = app.resend_identity_code(&rebind).await.ok(200);
        assert_eq!(again["challenge"]["attempts_left"], left);
        right = world.sms.code(&app.profile.phone);
    }
    confirm(&app, &rebind, wrong_otp(&right))
        .await
        .is(422, "OTP_TOO_MANY");
    confirm(&app, &rebind, &right)
        .await
        .is(409, "STEP_OUT_OF_ORDER");
}

/// Guesses until no code is compared any more, at most four times in a rebind. Returns the number of guesses, and the last
/// rebind with its right OTP.
async fn guess_over_rebinds(app: &App) -> (usize, String, String) {
    let mut guesses = 0;
    loop {
        let (rebind, right) = identity_otp(app, GOOD_CARD).await;
        for _ in 1..POLICY.code_attempts {
            let answer = confirm(app, &rebind, wrong_otp(&right)).await;
            if answer.code() == "OTP_TRY_LIMIT" {
                return (guesses, rebind, right);
            }
            refused(&answer, 422, "OTP_WRONG");
            guesses += 1;
            assert!(guesses <= POLICY.wrong_codes_per_day, "{guesses}");
        }
        app.cancel(&rebind).await;
        app.system.pass_s(POLICY.code_gap_s);
    }
}

#[tokio::test]
async fn four_wrong_codes_and_a_cancel_again_and_again() {
    let (world, app) = InProcess::with(NAME).await;
    let (guesses, rebind, right) = guess_over_rebinds(&app).await;
    assert_eq!(guesses, POLICY.wrong_codes_per_day);
    // The thief does not learn which code is right, and the rebind stays open for the owner.
    refused(&confirm(&app, &rebind, &right).await, 429, "OTP_TRY_LIMIT");
    app.get(&rebind).await.is(200, "identity_pending");
    assert_eq!(world.count(NAME, "code_guessed").await, 1);

    // A single wrong code and a cancellation do not bring new attempts either.
    let (_, app) = InProcess::with(OTHER).await;
    for _ in 0..POLICY.rebinds_per_day {
        let (rebind, right) = identity_otp(&app, GOOD_CARD).await;
        confirm(&app, &rebind, wrong_otp(&right)).await.ok(422);
        app.cancel(&rebind).await;
        app.system.pass_s(POLICY.code_gap_s);
    }
    let body = app.request_body(GOOD_CARD);
    let further = app.keyed("k", "/v1/rebinds", body).await;
    refused(&further, 429, "DAILY_REQUEST_LIMIT");
}

#[tokio::test]
async fn strangers_guesses_use_up_the_owners_codes() {
    let (world, app) = InProcess::with(NAME).await;
    let thief = world.log_in_on(NAME, "a thief's phone").await;
    let (_, rebind, _) = guess_over_rebinds(&thief).await;
    thief.cancel(&rebind).await;
    world.pass_s(POLICY.code_gap_s);
    let (rebind, right) = identity_otp(&app, GOOD_CARD).await;
    confirm(&app, &rebind, &right)
        .await
        .is(200, "agreement_pending");
}

#[tokio::test]
async fn document_guessed_over_rebinds() {
    let (world, app) = InProcess::with(NAME).await;
    // Plausible numbers, each of another person. Ten at once for each rebind.
    let others = ["plain_2", "plain_3", "plain_4", "plain_5", "young"];
    let guesses = others.map(|name| merchant(name).document_number);
    let mut mismatches = 0;
    for _ in 0..3 {
        let rebind = app.request(GOOD_CARD).await;
        let path = format!("{rebind}/identity");
        let attempts = guesses.iter().chain(&guesses).map(|number| {
            let body = json!({"document_number": number, "document_expires_on": "long_term"});
            app.post(&path, body)
        });
        let answers = futures::future::join_all(attempts).await;
        let counted = |answer: &&Reply| answer.body["counts_toward_limit"] == true;
        mismatches += answers.iter().filter(counted).count();
        // Requests that lost the race get a conflict or a step error and do not count.
        while app.get(&rebind).await.state() == "identity_pending" {
            let body = json!({"document_number": guesses[0], "document_expires_on": "long_term"});
            let answer = app.post(&path, body).await.is(422, "ID_MISMATCH");
            mismatches += usize::from(answer.body["counts_toward_limit"] == true);
        }
        world.pass_s(POLICY.code_gap_s);
    }
    assert_eq!(mismatches, POLICY.id_mismatches_per_day);
    // After that not even the right one is compared.
    let rebind = app.request(GOOD_CARD).await;
    app.post(&format!("{rebind}/identity"), app.document())
        .await
        .is(422, "ID_MISMATCH");
    assert!(world.sms.to(&app.profile.phone).is_empty());
}

#[tokio::test]
async fn otp_of_another_rebind() {
    let (world, app) = InProcess::with(NAME).await;
    let (first, known) = identity_otp(&app, GOOD_CARD).await;
    let kept = item_of(&world, NAME, "R#000001").await;
    app.cancel(&first).await;
    world.pass_s(POLICY.code_gap_s);
    let (second, right) = identity_otp(&app, SECOND_CARD).await;
    assert_ne!(known, right, "one chance in a million");
    refused(&confirm(&app, &second, &known).await, 422, "OTP_WRONG");
    // Moving the stored hash does not help: it is bound to its rebind.
    move_code(&world, &kept, "R#000002").await;
    refused(&confirm(&app, &second, &known).await, 422, "OTP_WRONG");
}

#[tokio::test]
async fn otp_of_another_purpose() {
    let (world, app) = InProcess::with(NAME).await;
    // The same phone for both, so that only the purpose differs.
    let phone = app.profile.phone.clone();
    let facts = json!({"reserved_phone": phone});
    let rebind = app.request_with(GOOD_CARD, facts).await;
    app.identify(&rebind).await;
    let identity = world.sms.code(&phone);
    app.sign(&rebind).await;
    app.check_card(&rebind).await;
    let card = world.sms.code(&phone);
    let kept = item_of(&world, NAME, "R#000001").await;
    // The identity OTP does not prove the card.
    app.try_card_code(&rebind, &identity)
        .await
        .is(422, "OTP_WRONG");
    // Nor does the card OTP refresh the identity, even if its hash is moved into the place of the identity OTP.
    world.pass_s(POLICY.code_gap_s);
    app.resend_identity_code(&rebind).await;
    refused(&confirm(&app, &rebind, &card).await, 422, "OTP_WRONG");
    let mut state: Value = serde_json::from_str(kept["state"].as_s().unwrap()).unwrap();
    let of_card = kept_code(&mut state).unwrap().clone();
    let mut item = item_of(&world, NAME, "R#000001").await;
    change_json(&mut item, "state", |state| {
        let pending = &mut state["st"]["card_pending"];
        assert!(pending["otp"]["m"].is_string() && pending["otp"] != of_card);
        pending["otp"] = of_card;
    });
    put_item(&world, item).await;
    refused(&confirm(&app, &rebind, &card).await, 422, "OTP_WRONG");
}

#[tokio::test]
async fn otp_relayed_after_phone_change() {
    let (world, app) = InProcess::with(NAME).await;
    let (rebind, known) = identity_otp(&app, GOOD_CARD).await;
    let mut profile = item_of(&world, NAME, "Z").await;
    change_json(&mut profile, "state", |state| {
        assert_eq!(state["tel"], json!(app.profile.phone));
        state["tel"] = json!("+8613812345678");
    });
    put_item(&world, profile).await;
    // The owner of the previous phone reads out the OTP that was sent there.
    refused(&confirm(&app, &rebind, &known).await, 422, "OTP_WRONG");
    app.get(&rebind).await.is(200, "identity_pending");
}

#[tokio::test]
async fn rebind_right_after_phone_change() {
    let world = InProcess::start().await;
    // Three hours ago the attacker talked the acquirer into changing the phone on file.
    let app = world.log_in("phone_changed").await;
    let mut standby = app.request_body(GOOD_CARD);
    standby["activate"] = json!(false);
    let mut settings = app.get("/v1/settlement").await.body;
    settings["payout_time"] = json!("09:00");
    for (method, path, body) in [
        ("POST", "/v1/rebinds", app.request_body(GOOD_CARD)),
        ("POST", "/v1/rebinds", standby),
        ("PUT", "/v1/settlement", settings),
    ] {
        app.call_keyed("k", method, path, body)
            .await
            .is(409, "QUIET_PERIOD");
    }
    assert!(world.sms.to(&app.profile.phone).is_empty());
}

#[tokio::test]
async fn attempts_used_up_from_another_session() {
    let (world, app) = InProcess::with(NAME).await;
    let thief = world.log_in_on(NAME, "a thief's phone").await;
    let (rebind, right) = identity_otp(&app, GOOD_CARD).await;
    for _ in 0..2 * POLICY.code_attempts {
        confirm(&thief, &rebind, wrong_otp(&right))
            .await
            .is(403, "STEP_UP_REQUIRED");
    }
    // Malformed input uses no attempt either, from any session.
    for typed in ["", "12345", "1234567", "12345a", "１２３４５６", "12 345"] {
        refused(&confirm(&app, &rebind, typed).await, 422, "OTP_WRONG");
    }
    confirm(&app, &rebind, &right)
        .await
        .is(200, "agreement_pending");
}
