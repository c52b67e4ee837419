//! A standby card: verified today, active later.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, MINUTE_S};
use domain::secret::Secret;
use domain::sms::Sms;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::{card_path, wrong_otp};
use tests::transport::{Reply, Transport as _};

use crate::see::{label, last4, masked, rebind_path, without, zh};

/// The path that switches to a rebind's card.
pub fn switch_path(rebind: &Value) -> String {
    format!("{}/activate", card_path(rebind))
}

/// Requests a standby card.
async fn ask(app: &App<'_>, card: &str) -> Reply {
    let mut body = app.request_body(card);
    body["activate"] = json!(false);
    app.post("/v1/rebinds", body).await
}

/// Requests the OTP that authorises the switch, and confirms it.
async fn switch(app: &App<'_>, path: &str) -> Value {
    let asked = app.post(path, ()).await.ok(200);
    assert_eq!(asked["challenge"]["purpose"], "activate");
    let code = app.system.code(&app.profile.phone).await;
    app.post(path, json!({"code": code})).await.ok(200)
}

/// From the request to the switch, with the app's view and the SMS that the phones receive.
pub async fn standby_card_is_added_and_switched_to(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let active = app.get("/v1/cards").await.ok(200)["active"].clone();
    let created = ask(&app, &card).await.ok(201);
    assert_eq!(
        (&created["purpose"], &created["state"]),
        (&json!("standby"), &json!("identity_pending"))
    );
    assert_eq!(created["new_card"]["status"], "pending");
    let path = rebind_path(&created);
    app.identify(&path).await;
    let code = &Secret::new(live.code(&merchant.phone).await);
    let label = label(&card);
    assert_eq!(
        live.sms(&merchant.phone).await,
        [zh(&Sms::OtpIdentityStandby { card: label, code })]
    );
    app.sign(&path).await;
    app.check_card(&path).await.ok(200);
    let ready_at = merchant.now();
    let usable_at = ready_at.plus_s(DAY_S);
    let ready = app.confirm_card(&path).await.ok(200);
    assert_eq!(
        (&ready["state"], &ready["purpose"], &ready["challenge"]),
        (&json!("completed"), &json!("standby"), &Value::Null)
    );
    assert_eq!(
        ready["next_actions"],
        json!(["activate_standby", "unbind_card"])
    );
    let standby = &ready["new_card"];
    assert_eq!(
        (
            &standby["status"],
            &standby["usable_at"],
            &standby["bound_at"]
        ),
        (
            &json!("standby"),
            &json!(usable_at.to_rfc3339_shanghai()),
            &json!(ready_at.to_rfc3339_shanghai())
        )
    );
    for name in ["activated_at", "effective_at", "cooldown_until"] {
        assert_eq!(ready.get(name), None, "nothing was activated");
    }
    assert_eq!(app.get(&path).await.ok(200), ready);
    // The active card stays, and another change is possible.
    assert_eq!(
        app.get("/v1/cards").await.ok(200),
        json!({"active": active, "standby": [standby], "open_rebind": null, "hold": null, "can_rebind": true})
    );

    // Announced like an activation: the contact on file can stop it.
    let on_file = live.notifications(&merchant.phone, 1).await;
    let ready_sms = Sms::StandbyReady {
        card: label,
        usable_at,
        freeze_code: &Secret::new(live.freeze_code(&merchant.phone).await),
    };
    assert_eq!(on_file, [zh(&ready_sms)]);
    assert_eq!(
        live.notifications(&merchant.reserved_phone, 1).await,
        [zh(&Sms::StandbyReadyReserved { card: label })]
    );

    // Too early, to the second.
    merchant.set_clock(usable_at.plus_s(-1));
    let app = live.app(&merchant).await;
    let switch_path = switch_path(&ready);
    let problem = app
        .post(&switch_path, ())
        .await
        .refused(ErrorCode::StandbyNotReady);
    assert_eq!(
        (&problem["retry_after_s"], &problem["next_actions"]),
        (&json!(1), &json!(["wait"]))
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 1);

    // An OTP to the phone on file.
    merchant.pass_s(1);
    let asked = app.post(&switch_path, ()).await.ok(200);
    let challenge = json!({
        "purpose": "activate",
        "method": "sms_code",
        "sent_to": masked(&merchant.phone),
        "expires_at": merchant.now().plus_s(5 * MINUTE_S).to_rfc3339_shanghai(),
        "resend_after_s": 60,
        "attempts_left": 5,
    });
    assert_eq!(
        (&asked["state"], &asked["challenge"]),
        (&json!("completed"), &challenge)
    );
    assert_eq!(asked["new_card"]["card_id"], standby["card_id"]);
    let code = live.code(&merchant.phone).await;
    assert_eq!(
        *live.sms(&merchant.phone).await.last().unwrap(),
        zh(&Sms::OtpActivateStandby {
            card: label,
            code: &Secret::new(code.clone()),
        })
    );
    merchant.pass_s(20);
    let again = app.post(&switch_path, ()).await.ok(200);
    assert_eq!(again["challenge"]["resend_after_s"], 40);
    assert_eq!(
        without(&again["challenge"], &["resend_after_s"]),
        without(&challenge, &["resend_after_s"])
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["challenge"], &shown["next_actions"]),
        (&again["challenge"], &json!(["activate_standby"]))
    );

    // The switch: no hold, and the usual cooldown.
    let switched_at = merchant.now();
    let switched = app.post(&switch_path, json!({"code": code})).await.ok(200);
    let cooldown_until = switched_at.plus_s(30 * DAY_S).to_rfc3339_shanghai();
    for (name, value) in [
        ("rebind_id", created["rebind_id"].clone()),
        ("purpose", json!("standby")),
        ("state", json!("activated")),
        ("activated_at", json!(switched_at.to_rfc3339_shanghai())),
        ("effective_at", json!(switched_at.to_rfc3339_shanghai())),
        ("cooldown_until", json!(cooldown_until)),
        ("challenge", Value::Null),
        ("next_actions", json!(["test_transaction"])),
    ] {
        assert_eq!(switched[name], value, "{name}");
    }
    assert_eq!(
        (
            &switched["new_card"]["status"],
            &switched["old_card"]["card_id"],
            &switched["old_card"]["status"]
        ),
        (&json!("active"), &active["card_id"], &json!("retiring"))
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        cards,
        json!({
            "active": switched["new_card"], "standby": [], "open_rebind": null, "hold": null,
            "can_rebind": false, "blocked_by": "REBIND_COOLDOWN", "cooldown_until": cooldown_until,
        })
    );
    app.post(&switch_path, ())
        .await
        .refused(ErrorCode::StepOutOfOrder);
    merchant.pass_s(1);
    assert_eq!(app.get(&path).await.ok(200)["state"], "completed");
    let texts = live.notifications(&merchant.phone, 2).await;
    let activated_sms = Sms::Activated {
        card: label,
        effective_at: switched_at,
        freeze_code: &Secret::new(live.freeze_code(&merchant.phone).await),
    };
    assert_eq!(texts[1], zh(&activated_sms));
    live.notifications(&merchant.reserved_phone, 2).await;
    let kinds = app.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["standby_ready", "code_sent", "activated"]
    );
}

/// At most two, without duplicates, and none of them active.
pub async fn third_standby_card_is_refused(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let (one, two) = (live.card(), live.card());
    let first = app.standby_rebind(&one).await;
    let problem = ask(&app, &one).await.refused(ErrorCode::CardSameAsCurrent);
    assert_eq!(
        (&problem["next_actions"], &problem["errors"]),
        (
            &json!(["activate_standby", "unbind_card"]),
            &json!([{"field": "card_number", "code": "CARD_SAME_AS_CURRENT"}])
        )
    );
    // Nor can a rebind change to it, since the card is verified already.
    app.post("/v1/rebinds", app.request_body(&one))
        .await
        .refused(ErrorCode::CardSameAsCurrent);
    ask(&app, merchant.active_card.as_ref().unwrap())
        .await
        .refused(ErrorCode::CardSameAsCurrent);
    merchant.pass_s(MINUTE_S);
    app.standby_rebind(&two).await;
    let problem = ask(&app, &live.card())
        .await
        .refused(ErrorCode::StepOutOfOrder);
    assert_eq!(
        problem["next_actions"],
        json!(["activate_standby", "unbind_card"])
    );
    let cards = app.get("/v1/cards").await.ok(200);
    let standby = cards["standby"].as_array().unwrap();
    let mut last: Vec<&str> = standby
        .iter()
        .map(|card| card["last4"].as_str().unwrap())
        .collect();
    last.sort_unstable();
    let mut want = [last4(&one), last4(&two)];
    want.sort_unstable();
    assert_eq!(
        (last.as_slice(), &cards["can_rebind"]),
        (&want[..], &json!(true))
    );
    // A card to change to does not count as a third one.
    let path = app.request(&live.card()).await;
    app.cancel(&path).await.ok(200);
    // Room again.
    let card_id = first["new_card"]["card_id"].as_str().unwrap();
    let gone = app.post(&format!("/v1/cards/{card_id}/unbind"), ()).await;
    assert_eq!(gone.ok(204), Value::Null);
    ask(&app, &one).await.ok(201);
}

/// Five wrong OTPs: the card stays, and its switch is blocked for a day.
pub async fn fifth_wrong_otp_locks_switch_for_24_h(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let card = live.card();
    let ready = live.app(&merchant).await.standby_rebind(&card).await;
    live.handed_over(&merchant).await;
    let (path, rebind) = (switch_path(&ready), rebind_path(&ready));
    live.notifications(&merchant.phone, 1).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let typed = async |app: &App<'_>, code: &str| app.post(&path, json!({"code": code})).await;
    // Before an OTP was requested.
    typed(&app, "123456")
        .await
        .refused(ErrorCode::StepOutOfOrder);
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    for nonsense in ["", "12345", "12345a"] {
        let problem = typed(&app, nonsense).await.refused(ErrorCode::OtpWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(5), &json!(false))
        );
        assert_eq!(
            problem["errors"],
            json!([{"field": "code", "code": "OTP_WRONG"}])
        );
    }
    // Only in the session that requested it.
    let other = live.app_on(&merchant, "another device").await;
    let problem = typed(&other, &code)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["activate_standby"]));
    for left in [4, 3, 2] {
        let problem = typed(&app, wrong_otp(&code))
            .await
            .refused(ErrorCode::OtpWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["next_actions"]),
            (&json!(left), &json!(["activate_standby"]))
        );
    }
    // An expired OTP uses no attempt; the count continues with the next.
    merchant.pass_s(5 * MINUTE_S);
    let problem = typed(&app, &code).await.refused(ErrorCode::OtpExpired);
    assert_eq!(
        (&problem["attempts_left"], &problem["next_actions"]),
        (&json!(2), &json!(["activate_standby"]))
    );
    let asked = app.post(&path, ()).await.ok(200);
    assert_eq!(asked["challenge"]["attempts_left"], 2);
    let code = live.code(&merchant.phone).await;
    let problem = typed(&app, wrong_otp(&code))
        .await
        .refused(ErrorCode::OtpWrong);
    assert_eq!(problem["attempts_left"], 1);
    let problem = typed(&app, wrong_otp(&code))
        .await
        .refused(ErrorCode::OtpTooMany);
    assert_eq!(
        (
            &problem["attempts_left"],
            &problem["retry_after_s"],
            &problem["next_actions"]
        ),
        (&json!(0), &json!(DAY_S), &json!(["wait"]))
    );
    let shown = app.get(&rebind).await.ok(200);
    assert_eq!(
        (
            &shown["state"],
            &shown["new_card"]["status"],
            &shown["challenge"]
        ),
        (&json!("completed"), &json!("standby"), &Value::Null)
    );
    // The first login of the other device was announced before.
    let texts = live.notifications(&merchant.phone, 3).await;
    assert_eq!(texts[2], zh(&Sms::Rejected { card: label(&card) }));
    merchant.pass_s(MINUTE_S);
    let problem = app.post(&path, ()).await.refused(ErrorCode::OtpTooMany);
    assert_eq!(
        (&problem["attempts_left"], &problem["retry_after_s"]),
        (&json!(0), &json!(DAY_S - MINUTE_S))
    );
    assert_eq!(problem["counts_toward_limit"], false);
    // Not even the right OTP.
    typed(&app, &code).await.refused(ErrorCode::OtpTooMany);
    merchant.pass_s(DAY_S - MINUTE_S - 1);
    let app = live.app(&merchant).await;
    app.post(&path, ()).await.refused(ErrorCode::OtpTooMany);
    merchant.pass_s(1);
    assert_eq!(switch(&app, &path).await["state"], "activated");
}

/// Every condition that blocks a rebind also blocks the switch and the request of a standby card.
pub async fn switch_is_refused_like_rebind(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let ready = app.standby_rebind(&live.card()).await;
    let path = switch_path(&ready);
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    // A login that is too old.
    let app = live.app(&merchant).await;
    merchant.pass_s(14 * MINUTE_S);
    let target = json!({"platform": "fcm", "token": "keeps_the_session_awake"});
    app.put("/v1/push-targets/phone", target).await.ok(204);
    merchant.pass_s(MINUTE_S);
    let problem = app.post(&path, ()).await.refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["login"]));
    let app = live.app(&merchant).await;
    // The quiet period.
    let pk = merchant.pk();
    let now = merchant.now().epoch_s();
    live.edit_state(&pk, "Y", |state| state["sec"] = json!(now))
        .await;
    let problem = app.post(&path, ()).await.refused(ErrorCode::QuietPeriod);
    assert_eq!(problem["retry_after_s"], DAY_S);
    ask(&app, &live.card())
        .await
        .refused(ErrorCode::QuietPeriod);
    live.edit_state(&pk, "Y", |state| {
        drop(state.as_object_mut().unwrap().remove("sec"))
    })
    .await;
    // An open rebind.
    let open = app.request(&live.card()).await;
    app.post(&path, ())
        .await
        .refused(ErrorCode::RequestInProgress);
    app.cancel(&open).await.ok(200);
    // An OTP that was requested before an obstacle arose does not bypass it.
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let open = app.request(&live.card()).await;
    app.post(&path, json!({"code": code}))
        .await
        .refused(ErrorCode::RequestInProgress);
    app.cancel(&open).await.ok(200);
    // The cooldown of another change.
    merchant.pass_s(5 * MINUTE_S);
    app.activate(&live.card()).await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["standby"][0]["card_id"], ready["new_card"]["card_id"]);
    let problem = app.post(&path, ()).await.refused(ErrorCode::RebindCooldown);
    assert_eq!(problem["cooldown_until"], cards["cooldown_until"]);
    ask(&app, &live.card())
        .await
        .refused(ErrorCode::RebindCooldown);
    live.handed_over(&merchant).await;
    merchant.pass_s(30 * DAY_S);
    let app = live.app(&merchant).await;
    assert_eq!(switch(&app, &path).await["state"], "activated");
}

/// The card's proof may be at most ninety days old, and the document must be valid.
pub async fn stale_proof_or_document_blocks_switch(live: &LocalCloud) {
    let id_document =
        json!({"number": tests::merchant::resident_id(13_100), "expires_on": "2031-06-30"});
    let merchant = live
        .merchant_with(json!({"id_document": id_document}))
        .await;
    let start = "2031-03-01T10:00:00+08:00";
    merchant.set_clock(domain::time::Timestamp::parse_rfc3339(start).unwrap());
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    let ready_at = merchant.now();
    let path = switch_path(&ready);
    merchant.set_clock(ready_at.plus_s(90 * DAY_S + 1));
    let app = live.app(&merchant).await;
    let problem = app.post(&path, ()).await.refused(ErrorCode::StepUpRequired);
    assert_eq!(
        problem["next_actions"],
        json!(["unbind_card", "new_rebind"])
    );
    merchant.set_clock(ready_at.plus_s(122 * DAY_S));
    let app = live.app(&merchant).await;
    assert_eq!(app.login.body["notices"][0]["code"], "ID_EXPIRED");
    let problem = app.post(&path, ()).await.refused(ErrorCode::IdExpired);
    assert_eq!(problem["next_actions"], json!(["contact_support"]));
    merchant.set_clock(ready_at.plus_s(90 * DAY_S));
    let app = live.app(&merchant).await;
    assert_eq!(switch(&app, &path).await["state"], "activated");
}

/// Card ids that are unknown or not switchable; and the switch sent twice.
pub async fn only_own_standby_card_is_switchable(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let ready = app.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    let path = switch_path(&ready);
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let active = app.get("/v1/cards").await.ok(200)["active"]["card_id"].clone();
    let active = format!("/v1/cards/{}/activate", active.as_str().unwrap());
    app.post(&active, ())
        .await
        .refused(ErrorCode::StepOutOfOrder);
    let open = app.request(&live.card()).await;
    let pending = switch_path(&app.get(&open).await.ok(200));
    app.post(&pending, ())
        .await
        .refused(ErrorCode::StepOutOfOrder);
    app.cancel(&open).await.ok(200);
    for nothing in [
        pending.as_str(),
        "/v1/cards/x/activate",
        "/v1/cards/card_000009bbbbbbbbbbbbbbbb/activate",
    ] {
        app.post(nothing, ()).await.refused(ErrorCode::NotFound);
    }
    let stranger = live.merchant().await;
    let other = live.app(&stranger).await;
    other.post(&path, ()).await.refused(ErrorCode::NotFound);
    other
        .post(&path, json!({"code": "123456"}))
        .await
        .refused(ErrorCode::NotFound);

    let twice = async |key: &str, body: Value| {
        let first = app.keyed(key, &path, body.clone()).await;
        assert!(!first.is_replayed());
        let again = app.keyed(key, &path, body).await;
        assert!(again.is_replayed());
        assert_eq!((first.status, &first.body), (again.status, &again.body));
        first
    };
    twice("ask", Value::Null).await.ok(200);
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
    let code = live.code(&merchant.phone).await;
    let wrong = twice("wrong", json!({"code": wrong_otp(&code)})).await;
    assert_eq!(wrong.refused(ErrorCode::OtpWrong)["attempts_left"], 4);
    app.keyed("ask", &path, json!({"code": code}))
        .await
        .refused(ErrorCode::IdempotencyMismatch);
    let done = twice("go", json!({"code": code})).await.ok(200);
    assert_eq!(done["state"], "activated");
    live.notifications(&merchant.phone, 2).await;
}

/// The right OTP from several places at once: one switch.
pub async fn concurrent_right_otps_switch_once(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    let path = switch_path(&ready);
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let typed = (0..4).map(|_| app.post(&path, json!({"code": code})));
    let replies = futures::future::join_all(typed).await;
    let done = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(done, 1);
    let kinds = app.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "activated").count(), 1);
    live.notifications(&merchant.phone, 2).await;
}

/// Requested on one device, confirmed on another: each session needs its own OTP, and only the last one sent counts.
pub async fn other_device_needs_its_own_otp(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    let path = switch_path(&ready);
    merchant.pass_s(DAY_S);
    let first = live.app(&merchant).await;
    first.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let second = live.app_on(&merchant, "the new phone").await;
    second
        .post(&path, json!({"code": code}))
        .await
        .refused(ErrorCode::StepUpRequired);
    let problem = second
        .post(&path, ())
        .await
        .refused(ErrorCode::OtpSendLimit);
    assert_eq!(problem["retry_after_s"], MINUTE_S);
    merchant.pass_s(MINUTE_S);
    let asked = second.post(&path, ()).await.ok(200);
    assert_eq!(
        asked["challenge"]["attempts_left"], 5,
        "no attempt was used"
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 3);
    first
        .post(&path, json!({"code": code}))
        .await
        .refused(ErrorCode::StepUpRequired);
    let code = live.code(&merchant.phone).await;
    let switched = second.post(&path, json!({"code": code})).await.ok(200);
    assert_eq!(switched["state"], "activated");
}

/// The `reason` given when the standby card was added concerned that time: the switch reports no card as lost.
pub async fn switch_ignores_lost_reason(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let mut body = app.request_body(&live.card());
    body["activate"] = json!(false);
    body["reason"] = json!("lost");
    let path = rebind_path(&app.post("/v1/rebinds", body).await.ok(201));
    app.identify(&path).await;
    app.sign(&path).await;
    app.check_card(&path).await.ok(200);
    let ready = app.confirm_card(&path).await.ok(200);
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["active"]["status"],
        "active"
    );
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let switched_at = merchant.now();
    let switched = switch(&app, &switch_path(&ready)).await;
    assert_eq!(
        (&switched["cooldown_until"], &switched["old_card"]["status"]),
        (
            &json!(switched_at.plus_s(30 * DAY_S).to_rfc3339_shanghai()),
            &json!("retiring")
        )
    );
}
