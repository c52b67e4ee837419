//! Step order and ownership: steps that are skipped, left half done, of another merchant, or repeated.

use crate::{Item, NAME, OTHER, POLICY, active_card, doors, kept_of};
use domain::decide::BankAnswer;
use domain::policy::HOUR_S;
use serde_json::{Value, json};
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, wrong_otp};
use tests::scenario;
use tests::transport::Reply;

/// Every step on a rebind and its card is refused as out of order and has no effect.
async fn out_of_order(app: &App, rebind: &str, steps: &[(&str, Value)]) {
    let world = &app.system;
    let shown = app.get(rebind).await;
    let card = shown.body["new_card"]["card_id"].as_str().unwrap();
    let switch = format!("/v1/cards/{card}/activate");
    let asked = async || {
        let phones = [RESERVED_PHONE, &app.profile.phone];
        let texts = phones.map(|phone| world.sms.to(phone).len());
        (kept_of(world, NAME).await, texts, world.bank.serials())
    };
    let before = asked().await;
    for (step, body) in steps {
        let method = if step.ends_with('?') { "GET" } else { "POST" };
        let path = format!("{rebind}/{step}");
        let answer = app.call_keyed("k", method, &path, body.clone()).await;
        let got = (answer.status, answer.code());
        assert_eq!(got, (409, "STEP_OUT_OF_ORDER"), "{path}: {:?}", answer.body);
    }
    for body in [Value::Null, json!({"code": "123456"})] {
        let answer = app.post(&switch, body).await;
        // The card of a cancelled rebind no longer exists.
        let known = ["STEP_OUT_OF_ORDER", "NOT_FOUND"].contains(&answer.code());
        assert!(known, "{:?}", answer.body);
    }
    assert!(asked().await == before, "a refused step had an effect");
}

#[tokio::test]
async fn steps_skipped() {
    let (_, app) = InProcess::with(NAME).await;
    let code = json!({"code": "123456"});
    let signature = json!({"version": "1", "sha256": "0", "reading_token": "AAAA", "signed_name": app.profile.holder_name, "consents": []});
    let late = [
        ("card-check", Value::Null),
        ("card-check/code", Value::Null),
        ("card-check/confirm", code.clone()),
        ("test-transaction", Value::Null),
    ];
    let rebind = app.request(GOOD_CARD).await;
    let mut steps = vec![
        // Without the document: straight to the OTP, or past it.
        ("identity/code", Value::Null),
        ("identity/confirm", code.clone()),
        ("agreement?", Value::Null),
        ("agreement", signature),
    ];
    steps.extend(late.clone());
    out_of_order(&app, &rebind, &steps).await;
    app.identify(&rebind).await;
    let again = [("identity", app.document()), ("identity/code", Value::Null)];
    let again = again
        .into_iter()
        .chain([("identity/confirm", code.clone())]);
    let steps: Vec<_> = again.chain(late.clone()).collect();
    out_of_order(&app, &rebind, &steps).await;
    app.sign(&rebind).await;
    let [_, resend, confirm, test] = late.clone();
    out_of_order(&app, &rebind, &[resend, confirm, test]).await;
    app.cancel(&rebind).await;
    let steps: Vec<_> = again_after_the_end(&app).chain(late).collect();
    out_of_order(&app, &rebind, &steps).await;
}

fn again_after_the_end(app: &App) -> impl Iterator<Item = (&'static str, Value)> {
    let steps = [
        ("identity", app.document()),
        ("identity/code", Value::Null),
        ("identity/confirm", json!({"code": "123456"})),
        ("agreement?", Value::Null),
        ("cancel", Value::Null),
    ];
    steps.into_iter()
}

#[tokio::test]
async fn agreement_signed_unread() {
    let (world, app) = InProcess::with(NAME).await;
    let other = world.log_in(OTHER).await;
    let rebind = app.request(GOOD_CARD).await;
    app.identify(&rebind).await;
    let elsewhere = other.request(GOOD_CARD).await;
    other.identify(&elsewhere).await;
    // Read at another rebind for long enough. The text is the same, because it names the same card.
    let foreign = other.signature(&elsewhere).await;
    let sign = format!("{rebind}/agreement");
    let text = app.get(&format!("{sign}?lang=zh-CN")).await;
    let mut signature = foreign.clone();
    signature["signed_name"] = json!(app.profile.holder_name);
    assert_eq!(signature["sha256"], text.body["sha256"]);
    for token in [
        signature["reading_token"].clone(),
        json!(""),
        json!("AAAA"),
        text.body["reading_token"].clone(),
    ] {
        signature["reading_token"] = token;
        app.post(&sign, signature.clone())
            .await
            .is(422, "AGREEMENT_NOT_READ");
    }
    world.pass_s(POLICY.agreement_min_read_s - 1);
    app.post(&sign, signature.clone())
        .await
        .is(422, "AGREEMENT_NOT_READ");
    world.pass_s(1);
    app.post(&sign, signature.clone())
        .await
        .is(200, "card_pending");
    // A token is valid for one signature.
    app.post(&sign, signature)
        .await
        .is(409, "STEP_OUT_OF_ORDER");
}

#[tokio::test]
async fn stale_proofs_reused() {
    let (world, app, rebind) = scenario::card_pending(NAME).await;
    // The merchant passes the identity step and leaves the phone unattended.
    world.pass_s(POLICY.session_idle_s - 60);
    app.check_card(&rebind).await.ok(200);
    world.pass_s(120);
    let code = world.sms.code(RESERVED_PHONE);
    for code in [&code, wrong_otp(&code)] {
        app.try_card_code(&rebind, code)
            .await
            .is(403, "STEP_UP_REQUIRED");
    }
    app.get(&rebind).await.is(200, "card_pending");
}

#[tokio::test]
async fn stale_answer_recalled_hours_later() {
    let (world, app, rebind) = scenario::card_pending(NAME).await;
    // The answer is lost. The bank has decided, and its decision waits under the reference.
    world.bank.script([None]);
    app.check_card(&rebind).await.is(502, "UPSTREAM_UNKNOWN");
    let serial = world.bank.serials().pop().unwrap();
    world.bank.decide(&serial, BankAnswer::DEBIT_MATCH);
    world.pass_s(5 * HOUR_S);
    let app = world.log_in(NAME).await;
    app.post(&format!("{rebind}/identity/code"), json!({}))
        .await
        .ok(200);
    app.confirm_identity(&rebind).await;
    // The recalled answer is five hours old: no code is sent for it.
    let recalled = app.check_card(&rebind).await;
    recalled.ok(200);
    assert!(world.sms.to(RESERVED_PHONE).is_empty());
    let guess = app.try_card_code(&rebind, "123456").await;
    assert_ne!(guess.status, 200, "{:?}", guess.body);
    assert_eq!(world.bank.serials().last(), Some(&serial));
    // The bank is asked again, under another reference.
    app.check_card(&rebind).await.ok(200);
    assert_ne!(world.bank.serials().last(), Some(&serial));
    app.confirm_card(&rebind).await.ok(200);
}

/// Status and body of a reply, without the headers of its request.
fn outcome(answer: &Reply) -> (u16, Value) {
    (answer.status, answer.body.clone())
}

#[tokio::test]
async fn ids_of_another_merchant() {
    let world = InProcess::start().await;
    let victim = world.log_in(OTHER).await;
    let thief = world.log_in(NAME).await;
    // One of each merchant, with the same numbers in the ids.
    let theirs = victim.to_card_pending(GOOD_CARD).await;
    let own = thief.to_card_pending(SECOND_CARD).await;
    assert_eq!(theirs[..22], own[..22], "an id begins with its number");
    let card = active_card(&world, OTHER).await;
    let nothing = ["/v1/rebinds/rbd_000001", "/v1/cards/card_000000"]
        .map(|start| format!("{start}bbbbbbbbbbbbbbbb"));
    let before: [Vec<Item>; 2] = [kept_of(&world, OTHER).await, kept_of(&world, NAME).await];
    let of_theirs = doors(&theirs, &card);
    let of_nothing = doors(&nothing[0], &nothing[1]);
    let mut tried = 0;
    for ((method, path, body), (_, none, _)) in of_theirs.into_iter().zip(of_nothing) {
        if path == none {
            continue;
        }
        let answer = thief
            .call_keyed("k", method, &path, body.clone())
            .await
            .is(404, "NOT_FOUND");
        // The reply equals that for an unknown id, so it does not reveal that the id exists.
        let of_none = thief.call_keyed("k", method, &none, body).await;
        assert_eq!(outcome(&answer), outcome(&of_none), "{method} {path}");
        tried += 1;
    }
    assert_eq!(tried, 14);
    // A cursor of another merchant's list reveals nothing.
    let listed = victim.get("/v1/payouts").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    for path in [
        "/v1/payouts?cursor=OTk5OTk5OTk5OTk5I3BheV9zYW5kYm94XzI".to_owned(),
        "/v1/history?cursor=1000000".to_owned(),
        "/v1/rebinds?cursor=ffffff".to_owned(),
    ] {
        let answer = thief.get(&path).await;
        let text = answer.body.to_string();
        assert!([200, 400].contains(&answer.status), "{path}: {text}");
        assert!(!text.contains("pay_sandbox") && !text.contains(&theirs[12..]));
    }
    let after = [kept_of(&world, OTHER).await, kept_of(&world, NAME).await];
    assert!(after == before, "neither merchant's items changed");
}

#[tokio::test]
async fn rebinds_created_and_cancelled_without_end() {
    let (world, app) = InProcess::with(NAME).await;
    let mut created = 0;
    loop {
        let body = app.request_body(GOOD_CARD);
        let answer = app.keyed(&format!("k{created}"), "/v1/rebinds", body).await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "DAILY_REQUEST_LIMIT");
            break;
        }
        created += 1;
        assert!(created <= POLICY.creations_per_day, "{created}");
        let id = answer.body["rebind_id"].as_str().unwrap();
        app.cancel(&format!("/v1/rebinds/{id}")).await;
    }
    assert_eq!(created, POLICY.creations_per_day);
    assert_eq!(world.count(NAME, "rebind_requested").await, created);
}

#[tokio::test]
async fn requests_replayed() {
    let (world, app) = InProcess::with(NAME).await;
    let phone = app.profile.phone.clone();
    let create = |key: &'static str| app.keyed(key, "/v1/rebinds", app.request_body(GOOD_CARD));
    let first = create("one").await;
    let path_of =
        |answer: &Reply| format!("/v1/rebinds/{}", answer.body["rebind_id"].as_str().unwrap());
    let cancelled = path_of(&first);
    app.cancel(&cancelled).await;
    // A recorded request, sent again after the cancellation: the old reply, and no new rebind.
    let again = create("one").await;
    assert_eq!(outcome(&again), outcome(&first));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(world.count(NAME, "rebind_requested").await, 1);

    let rebind = path_of(&create("two").await);
    let identity = format!("{rebind}/identity");
    let sent = app.keyed("three", &identity, app.document()).await;
    let code = json!({"code": world.sms.code(&phone)});
    let confirm = format!("{identity}/confirm");
    let done = app
        .keyed("four", &confirm, code.clone())
        .await
        .is(200, "agreement_pending");
    // From the same session, and from another of the same merchant.
    let tablet = world.log_in_on(NAME, "tablet").await;
    let before = kept_of(&world, NAME).await;
    world.pass_s(POLICY.code_gap_s);
    for app in [&app, &tablet] {
        let answer = app.keyed("three", &identity, app.document()).await;
        assert_eq!(outcome(&answer), outcome(&sent));
        let answer = app.keyed("four", &confirm, code.clone()).await;
        assert_eq!(outcome(&answer), outcome(&done));
        // Without the key it is a new request, and its step is over.
        for (path, body) in [(&identity, app.document()), (&confirm, code.clone())] {
            app.post(path, body).await.is(409, "STEP_OUT_OF_ORDER");
        }
    }
    let kept = |items: Vec<Item>| -> Vec<Item> {
        // The tablet's login is in the merchant state; nothing else is new.
        items
            .into_iter()
            .filter(|item| item["sk"].as_s().unwrap() != "Y")
            .collect()
    };
    assert!(kept(kept_of(&world, NAME).await) == kept(before));
    assert_eq!(world.sms.to(&phone).len(), 1);
    app.cancel(&rebind).await;
    let answer = app.keyed("four", &confirm, code.clone()).await;
    assert_eq!(outcome(&answer), outcome(&done));
    // A replayed reply changes nothing.
    app.get(&rebind).await.is(200, "cancelled");
    // Without a valid session a recorded request does not even get the replay.
    app.delete("/v1/sessions/current").await;
    app.keyed("four", &confirm, code)
        .await
        .is(401, "SESSION_EXPIRED");
}

#[tokio::test]
async fn idempotency_key_of_another_merchant() {
    let world = InProcess::start().await;
    let victim = world.log_in(NAME).await;
    let thief = world.log_in(OTHER).await;
    let settings = "/v1/settlement";
    let mut body = victim.get(settings).await.body;
    body["payout_time"] = json!("09:00");
    let of_victim = [
        victim
            .keyed("k", "/v1/rebinds", victim.request_body(GOOD_CARD))
            .await,
        victim.call_keyed("k", "PUT", settings, body.clone()).await,
    ];
    // The same request except for the session; and one that also differs in the holder's name.
    let changed = thief.call_keyed("k", "PUT", settings, body).await;
    let created = thief
        .keyed("k", "/v1/rebinds", thief.request_body(GOOD_CARD))
        .await;
    assert_eq!((created.status, changed.status), (201, 200));
    for answer in [&created, &changed] {
        assert_eq!(answer.headers.get("idempotent-replayed"), None);
    }
    assert_ne!(created.body["rebind_id"], of_victim[0].body["rebind_id"]);
    for name in [NAME, OTHER] {
        assert_eq!(world.count(name, "settlement_changed").await, 1, "{name}");
    }
}
