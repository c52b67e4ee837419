//! The freeze: the effect of the freeze code from a notification, and the attempts that must fail.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S};
use domain::sms::Sms;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::Profile;
use tests::transport::{Reply, Transport as _};

use crate::payouts::{create, pay_out, report};
use crate::requests::STEPS;
use crate::see::{last4, zh};

/// The reply to every freeze request.
fn received(reply: Reply) {
    assert!(!reply.is_replayed());
    assert_eq!(reply.ok(202), json!({"status": "received"}));
}

/// Returns true if a new login reports the account as frozen.
async fn is_frozen(live: &LocalCloud, merchant: &Profile) -> bool {
    let app = live.app(merchant).await;
    let cards = app.get("/v1/cards").await.ok(200);
    cards["blocked_by"] == "ACCOUNT_FROZEN"
}

/// A merchant who has just changed the card, with the freeze code that can stop it.
async fn changed(live: &LocalCloud) -> (Profile, String, String) {
    let merchant = live.merchant().await;
    let path = live.app(&merchant).await.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    live.notifications(&merchant.phone, 1).await;
    let code = live.freeze_code(&merchant.phone).await;
    (merchant, path, code)
}

/// Every kind of change.
pub async fn nothing_moves(app: &App<'_>, rebind: &str, card: &Value) {
    let card_id = card["card_id"].as_str().unwrap();
    let mut posts: Vec<String> = STEPS
        .iter()
        .map(|step| format!("{rebind}/{step}"))
        .collect();
    posts.push(format!("/v1/cards/{card_id}/unbind"));
    posts.push(format!("/v1/cards/{card_id}/activate"));
    for path in posts {
        let problem = app.post(&path, ()).await.refused(ErrorCode::AccountFrozen);
        assert_eq!(
            problem["next_actions"],
            json!(["contact_support"]),
            "{path}"
        );
    }
    let switch = format!("/v1/cards/{card_id}/activate");
    app.post(&switch, json!({"code": "123456"}))
        .await
        .refused(ErrorCode::AccountFrozen);
    for activate in [true, false] {
        let mut body = app.request_body(&app.system.card());
        body["activate"] = json!(activate);
        app.post("/v1/rebinds", body)
            .await
            .refused(ErrorCode::AccountFrozen);
    }
    let settings = app.get("/v1/settlement").await.ok(200);
    app.put("/v1/settlement", settings)
        .await
        .refused(ErrorCode::AccountFrozen);
    let target = json!({"platform": "fcm", "token": "t"});
    app.put("/v1/push-targets/new", target)
        .await
        .refused(ErrorCode::AccountFrozen);
}

/// Before the change takes effect, a freeze undoes it.
pub async fn freeze_in_hold_reverts_change(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let first = live.app(&merchant).await;
    first
        .put(
            "/v1/push-targets/phone",
            json!({"platform": "fcm", "token": "a_device_to_notify"}),
        )
        .await
        .ok(204);
    let old = first.get("/v1/cards").await.ok(200)["active"].clone();
    let path = first.activate(&live.card()).await;
    let second = live.app_on(&merchant, "a thief's phone").await;
    // The push target, the activation, and the new device.
    live.notifications(&merchant.phone, 3).await;
    let code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(600);
    // As typed in a hurry.
    let typed = format!(" {} {} ", code[..4].to_lowercase(), &code[4..]);
    received(live.freeze(merchant.now(), &merchant.account, &typed).await);
    for app in [&first, &second] {
        app.get("/v1/cards")
            .await
            .refused(ErrorCode::SessionExpired);
        app.post("/v1/rebinds", app.request_body(&live.card()))
            .await
            .refused(ErrorCode::SessionExpired);
    }
    let texts = live.notifications(&merchant.phone, 4).await;
    assert_eq!(texts[3], zh(&Sms::Frozen));
    live.notifications(&merchant.reserved_phone, 1).await;

    // Login and reads still work.
    let app = live.app(&merchant).await;
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (
            &rebind["state"],
            &rebind["new_card"]["status"],
            &rebind["old_card"]["status"]
        ),
        (&json!("frozen"), &json!("removed"), &json!("active"))
    );
    assert_eq!(
        app.get("/v1/cards").await.ok(200),
        json!({
            "active": old, "standby": [], "open_rebind": null, "hold": null,
            "can_rebind": false, "blocked_by": "ACCOUNT_FROZEN",
        })
    );
    for read in [
        "/v1/rebinds",
        "/v1/payouts",
        "/v1/settlement",
        "/v1/history",
    ] {
        app.get(read).await.ok(200);
    }
    let events = app.history().await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["data"]["undone"]),
        (&json!("frozen"), &json!(true))
    );
    nothing_moves(&app, &path, &old).await;
    app.delete("/v1/push-targets/phone")
        .await
        .refused(ErrorCode::AccountFrozen);

    // The right card is known, so payouts to it continue.
    let payout = create(live, &merchant, "p", merchant.now()).await;
    assert_eq!(
        (&payout["card"]["last4"], &payout["held"]),
        (&old["last4"], &json!(false))
    );
    let sent = pay_out(live, &payout, merchant.now()).await;
    assert_eq!(sent.unwrap()["status"], "sent");

    // The code works once.
    received(live.freeze(merchant.now(), &merchant.account, &code).await);
    app.get("/v1/cards").await.ok(200);
    assert_eq!(live.notifications(&merchant.phone, 4).await, texts);
    assert_eq!(
        app.history().await.len(),
        events.len() + 3,
        "only the payout's three events"
    );
}

/// Once the change is effective, the right card is no longer known: every payout is held, and the active card stays.
pub async fn freeze_after_hold_holds_payouts(live: &LocalCloud) {
    let (merchant, path, code) = changed(live).await;
    merchant.pass_s(2 * DAY_S);
    let routed = create(live, &merchant, "routed", merchant.now()).await;
    assert_eq!(routed["held"], false);
    let begun = create(live, &merchant, "begun", merchant.now().plus_s(-1)).await;
    report(live, "payout_sending", &begun, merchant.now())
        .await
        .unwrap();
    let before = live.app(&merchant).await;
    let active = before.get("/v1/cards").await.ok(200)["active"].clone();
    let open = before.get("/v1/cards").await.ok(200);
    assert_eq!(open["blocked_by"], "REBIND_COOLDOWN");
    received(
        live.freeze(merchant.now(), &merchant.account, &code.to_lowercase())
            .await,
    );
    before.get(&path).await.refused(ErrorCode::SessionExpired);
    let app = live.app(&merchant).await;
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (&rebind["state"], &rebind["new_card"]["status"]),
        (&json!("completed"), &json!("active"))
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["active"], &cards["blocked_by"]),
        (&active, &json!("ACCOUNT_FROZEN"))
    );
    assert_eq!(
        cards.get("cooldown_until"),
        None,
        "the freeze cancels the cooldown"
    );

    let now = merchant.now();
    let new = create(live, &merchant, "new", now.plus_s(1)).await;
    assert_eq!((&new["card"], &new["held"]), (&Value::Null, &json!(true)));
    let list = app.get("/v1/payouts").await.ok(200);
    assert_eq!(
        (&list["items"][0]["held"], &list["items"][1]["held"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        (
            &list["items"][0]["card"],
            &list["items"][1]["card"]["card_id"]
        ),
        (&Value::Null, &active["card_id"])
    );
    // A payment under way is not stopped, and its report is accepted.
    assert_eq!(
        (&list["items"][2]["status"], &list["items"][2]["held"]),
        (&json!("sending"), &json!(false))
    );
    let sent = report(live, "payout_sent", &begun, now).await;
    assert_eq!(sent.unwrap()["status"], "sent");
    assert_eq!(
        report(live, "payout_sending", &routed, now).await,
        Err("ACCOUNT_FROZEN".to_owned())
    );
    assert!(report(live, "payout_sending", &new, now).await.is_err());
    // The core can still take one back.
    let back = report(live, "payout_returned", &routed, now).await;
    assert_eq!(back.unwrap()["status"], "returned");
    nothing_moves(&app, &path, &active).await;
    live.notifications(&merchant.phone, 3).await;
}

/// Possible until seven days after the change took effect, to the second.
pub async fn freeze_code_ends_7_days_after_effect(live: &LocalCloud) {
    for (after_s, frozen) in [(8 * DAY_S - 1, true), (8 * DAY_S, false)] {
        let (merchant, _, code) = changed(live).await;
        merchant.pass_s(after_s);
        live.freeze_from(
            &format!("198.51.100.{}", u8::from(frozen)),
            merchant.now(),
            &merchant.account,
            &code,
        )
        .await;
        assert_eq!(is_frozen(live, &merchant).await, frozen, "{after_s}");
    }
}

/// A mismatch gets the same answer after the same time, and freezes nothing.
pub async fn wrong_freeze_code_looks_the_same(live: &LocalCloud) {
    let (merchant, path, code) = changed(live).await;
    let (other, _, foreign) = changed(live).await;
    let wrong = {
        let first = if code.starts_with('A') { 'B' } else { 'A' };
        format!("{first}{}", &code[1..])
    };
    let at = merchant.now();
    for (account, typed) in [
        (merchant.account.as_str(), wrong.as_str()),
        (merchant.account.as_str(), &foreign),
        ("nobody@example.com", &code),
    ] {
        let started = Instant::now();
        received(live.freeze(at, account, typed).await);
        assert!(started.elapsed() >= Duration::from_millis(800));
    }
    // A text that cannot be a code is refused at once.
    for no_code in [&code[..7], "一二三四五六七八"] {
        let refused = live.freeze(at, &merchant.account, no_code).await;
        refused.refused(ErrorCode::FreezeCodeFormat);
    }
    assert!(!is_frozen(live, &merchant).await && !is_frozen(live, &other).await);
    // The session and the idempotency key of the sender do not matter.
    let ask = || {
        let ask = live
            .ask("POST", "/v1/freezes")
            .at(at)
            .token("mer_x.0.x")
            .key("k");
        ask.json(&json!({"account": other.account, "freeze_code": foreign}))
            .send()
    };
    let started = Instant::now();
    received(ask().await);
    assert!(started.elapsed() >= Duration::from_millis(800));
    assert!(is_frozen(live, &other).await);
    assert!(!is_frozen(live, &merchant).await);
    let app = live.app(&merchant).await;
    assert_eq!(app.get(&path).await.ok(200)["state"], "activated");

    for (body, fields) in [
        (json!({}), json!(["account", "freeze_code"])),
        (json!({"account": merchant.account}), json!(["freeze_code"])),
    ] {
        let reply = live.ask("POST", "/v1/freezes").at(at).json(&body);
        let problem = reply.send().await.refused(ErrorCode::RequestMalformed);
        let errors = problem["errors"].as_array().unwrap();
        let seen: Vec<&Value> = errors.iter().map(|error| &error["field"]).collect();
        assert_eq!(json!(seen), fields);
    }
    for body in [
        json!([]),
        json!({"account": 1, "freeze_code": code}),
        json!({"account": merchant.account, "freeze_code": null, "x": 1}),
    ] {
        let reply = live.ask("POST", "/v1/freezes").at(at).json(&body);
        reply.send().await.refused(ErrorCode::RequestMalformed);
    }
    live.notifications(&other.phone, 2).await;
}

/// The tenth wrong code notifies the owner, and the right one freezes after any number of wrong ones from the same address.
pub async fn right_freeze_code_works_after_wrong_ones(live: &LocalCloud) {
    let (merchant, _, code) = changed(live).await;
    let (source, at) = ("203.0.113.7", merchant.now());
    for _ in 0..11 {
        live.freeze_from(source, at, &merchant.account, "AAAAAAAA")
            .await;
    }
    assert!(!is_frozen(live, &merchant).await);
    live.notifications(&merchant.phone, 2).await;
    live.freeze_from(source, at, &merchant.account, &code).await;
    assert!(is_frozen(live, &merchant).await);
    live.notifications(&merchant.phone, 3).await;
}

/// The same code from two places at once: one freeze.
pub async fn concurrent_freezes_act_once(live: &LocalCloud) {
    let (merchant, path, code) = changed(live).await;
    let at = merchant.now();
    let account = merchant.account.as_str();
    let freezes = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
        .map(|source| live.freeze_from(source, at, account, &code));
    futures::future::join_all(freezes).await;
    let app = live.app(&merchant).await;
    assert_eq!(app.get(&path).await.ok(200)["state"], "frozen");
    let kinds = app.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "frozen").count(), 1);
    live.notifications(&merchant.phone, 2).await;
}

/// A freeze meets the confirmation of a switch: one comes first, and the account is frozen after both.
pub async fn freeze_racing_confirm_still_freezes(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    live.notifications(&merchant.phone, 1).await;
    let freeze_code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let path = crate::standby::switch_path(&ready);
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let (switched, ()) = futures::future::join(
        app.post(&path, json!({"code": code})),
        live.freeze_from("192.0.2.9", merchant.now(), &merchant.account, &freeze_code),
    )
    .await;
    assert!(is_frozen(live, &merchant).await);
    let app = live.app(&merchant).await;
    app.get("/v1/cards").await.ok(200);
    assert!(
        switched.status == 200 || [401, 404, 409, 423].contains(&switched.status),
        "{}",
        switched.status
    );
}

/// The freeze code of a standby card removes that card. Its change has not happened yet, so payouts continue.
pub async fn standby_freeze_code_removes_card(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    let path = crate::see::rebind_path(&ready);
    live.notifications(&merchant.phone, 1).await;
    let code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(3 * DAY_S);
    received(live.freeze(merchant.now(), &merchant.account, &code).await);
    let app = live.app(&merchant).await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["standby"], &cards["blocked_by"]),
        (&json!([]), &json!("ACCOUNT_FROZEN"))
    );
    let active = cards["active"].clone();
    assert_eq!(
        active["last4"],
        last4(merchant.active_card.as_ref().unwrap())
    );
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (&rebind["state"], &rebind["new_card"]["status"]),
        (&json!("frozen"), &json!("removed"))
    );
    app.post(&crate::standby::switch_path(&ready), ())
        .await
        .refused(ErrorCode::NotFound);
    let payout = create(live, &merchant, "p", merchant.now().plus_s(HOUR_S)).await;
    assert_eq!(
        (&payout["card"]["card_id"], &payout["held"]),
        (&active["card_id"], &json!(false))
    );
    live.notifications(&merchant.phone, 2).await;
}

/// Each of the freeze codes stops every change that a stranger may have made. Here the code of a standby card is used, once
/// while a change to another card is held and once after it took effect.
pub async fn any_freeze_code_stops_everything(live: &LocalCloud) {
    for later in [false, true] {
        let merchant = live.merchant().await;
        let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
        live.handed_over(&merchant).await;
        live.notifications(&merchant.phone, 1).await;
        let code = live.freeze_code(&merchant.phone).await;
        merchant.pass_s(DAY_S);
        let path = live.app(&merchant).await.activate(&live.card()).await;
        live.handed_over(&merchant).await;
        live.notifications(&merchant.phone, 2).await;
        assert_ne!(live.freeze_code(&merchant.phone).await, code);
        merchant.pass_s(if later { 2 * DAY_S } else { HOUR_S });
        let source = format!("198.51.100.{}", 20 + u8::from(later));
        live.freeze_from(&source, merchant.now(), &merchant.account, &code)
            .await;
        let app = live.app(&merchant).await;
        let cards = app.get("/v1/cards").await.ok(200);
        assert_eq!(
            (&cards["standby"], &cards["blocked_by"]),
            (&json!([]), &json!("ACCOUNT_FROZEN")),
            "later: {later}"
        );
        let standby = app.get(&crate::see::rebind_path(&ready)).await.ok(200);
        assert_eq!(
            (&standby["state"], &standby["new_card"]["status"]),
            (&json!("frozen"), &json!("removed"))
        );
        let state = app.get(&path).await.ok(200)["state"].clone();
        let old = last4(merchant.active_card.as_ref().unwrap());
        let payout = create(live, &merchant, "p", merchant.now()).await;
        if later {
            assert_eq!(
                (&state, &payout["held"]),
                (&json!("completed"), &json!(true))
            );
            assert_ne!(cards["active"]["last4"], old);
        } else {
            assert_eq!((&state, &payout["held"]), (&json!("frozen"), &json!(false)));
            assert_eq!(cards.get("cooldown_until"), None, "undone");
            assert_eq!(
                (&cards["active"]["last4"], &payout["card"]["last4"]),
                (&json!(old), &json!(old))
            );
        }
        live.notifications(&merchant.phone, 3).await;
    }
}

/// A switch takes effect at once, so its freeze code holds every payout.
pub async fn freeze_after_switch_holds_payouts(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let path = crate::standby::switch_path(&ready);
    app.post(&path, ()).await.ok(200);
    let sms = live.code(&merchant.phone).await;
    app.post(&path, json!({"code": sms})).await.ok(200);
    live.notifications(&merchant.phone, 2).await;
    let code = live.freeze_code(&merchant.phone).await;
    let before = create(live, &merchant, "before", merchant.now()).await;
    assert_eq!(
        before["card"]["card_id"], ready["new_card"]["card_id"],
        "no hold"
    );
    merchant.pass_s(60);
    live.freeze_from("198.51.100.30", merchant.now(), &merchant.account, &code)
        .await;
    let sending = report(live, "payout_sending", &before, merchant.now()).await;
    assert_eq!(sending, Err("ACCOUNT_FROZEN".to_owned()));
    let app = live.app(&merchant).await;
    let list = app.get("/v1/payouts").await.ok(200);
    assert_eq!(list["items"][0]["held"], true);
    live.notifications(&merchant.phone, 3).await;
}
