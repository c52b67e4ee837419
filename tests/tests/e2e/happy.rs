//! A card change: each step with the app's view and the SMS that the phones receive.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use domain::secret::Secret;
use domain::sms::Sms;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::local_cloud::LocalCloud;
use tests::merchant::wrong_otp;
use tests::transport::{Transport as _, freeze_code_in};

use crate::see::{label, last4, masked, rebind_path, without, zh};

/// From login to hold, in full.
pub async fn card_is_changed(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let old = last4(merchant.active_card.as_ref().unwrap());
    let app = live.app(&merchant).await;
    let me = json!({"merchant_id": merchant.id, "legal_name_masked": "测*", "entity_type": "natural_person"});
    assert_eq!(
        (&app.login.body["merchant"], &app.login.body["notices"]),
        (&me, &json!([]))
    );

    let dies_at = merchant.now().plus_s(12 * HOUR_S).to_rfc3339_shanghai();
    assert_eq!(app.login.body["expires_at"], dies_at);

    let cards = app.get("/v1/cards").await.ok(200);
    let active = cards["active"].clone();
    assert_eq!(
        without(&active, &["card_id", "bound_at"]),
        json!({"bank_code": "ICBC", "bank_name": "中国工商银行", "type": "debit", "last4": old, "status": "active"})
    );
    let nothing = json!({"standby": [], "open_rebind": null, "hold": null, "can_rebind": true});
    assert_eq!(without(&cards, &["active"]), nothing);

    // The request.
    let card = live.card();
    let asked_at = merchant.now();
    let created = app
        .post("/v1/rebinds", app.request_body(&card))
        .await
        .ok(201);
    let new_card = &created["new_card"];
    assert_eq!(
        (&new_card["last4"], &new_card["status"]),
        (&json!(last4(&card)), &json!("pending"))
    );
    assert_eq!(
        without(&created, &["rebind_id", "new_card"]),
        json!({
            "state": "identity_pending",
            "version": 1,
            "purpose": "activate",
            "old_card": active,
            "reserved_phone_masked": masked(&merchant.reserved_phone),
            "created_at": asked_at.to_rfc3339_shanghai(),
            "expires_at": asked_at.plus_s(DAY_S).to_rfc3339_shanghai(),
            "challenge": null,
            "next_actions": ["identity", "cancel"],
        })
    );
    let path = rebind_path(&created);
    assert_eq!(app.get(&path).await.ok(200), created);
    assert_eq!(
        app.get("/v1/rebinds").await.ok(200),
        json!({"items": [created], "next_cursor": null})
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["open_rebind"], created);
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("REQUEST_IN_PROGRESS"))
    );

    // The identity: an OTP to the phone on file.
    let shown = app.show_document(&path).await;
    let expires_at = merchant.now().plus_s(5 * MINUTE_S).to_rfc3339_shanghai();
    assert_eq!(
        shown["challenge"],
        json!({
            "purpose": "identity",
            "method": "sms_code",
            "sent_to": masked(&merchant.phone),
            "expires_at": expires_at,
            "resend_after_s": 60,
            "attempts_left": 5,
        })
    );
    assert_eq!(
        shown["next_actions"],
        json!(["identity_confirm", "identity_code", "cancel"])
    );
    let code = &Secret::new(live.code(&merchant.phone).await);
    let label = label(&card);
    assert_eq!(
        live.sms(&merchant.phone).await,
        [zh(&Sms::OtpIdentity { card: label, code })]
    );
    assert!(live.sms(&merchant.reserved_phone).await.is_empty());
    let confirmed = app.confirm_identity(&path).await;
    assert_eq!(
        (&confirmed["state"], &confirmed["challenge"]),
        (&json!("agreement_pending"), &Value::Null)
    );
    assert_eq!(
        confirmed["next_actions"],
        json!(["read_agreement", "sign_agreement", "cancel"])
    );

    // The agreement.
    let text = app.get(&format!("{path}/agreement")).await.ok(200);
    let body = text["body_markdown"].as_str().unwrap();
    assert!(
        body.contains("中国工商银行") && body.contains(last4(&card)),
        "{body}"
    );
    let sha256: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        (&text["sha256"], &text["lang"], &text["min_read_s"]),
        (&json!(sha256), &json!("zh-CN"), &json!(10))
    );
    merchant.pass_s(10);
    let signed = app
        .post(&format!("{path}/agreement"), app.signature_of(&text))
        .await
        .ok(200);
    assert_eq!(
        (&signed["state"], &signed["challenge"]),
        (&json!("card_pending"), &Value::Null)
    );
    assert_eq!(signed["next_actions"], json!(["card_check", "cancel"]));

    // The bank check, and an OTP to the card's phone.
    let checked = app.check_card(&path).await.ok(200);
    let expires_at = merchant.now().plus_s(5 * MINUTE_S).to_rfc3339_shanghai();
    assert_eq!(
        checked["challenge"],
        json!({
            "purpose": "card",
            "method": "bank_code",
            "sent_to": masked(&merchant.reserved_phone),
            "expires_at": expires_at,
            "resend_after_s": 60,
            "attempts_left": 5,
        })
    );
    assert_eq!(checked["state"], "card_pending");
    assert_eq!(
        checked["next_actions"],
        json!(["card_check_confirm", "card_check_code", "cancel"])
    );
    let code = &Secret::new(live.code(&merchant.reserved_phone).await);
    assert_eq!(
        live.sms(&merchant.reserved_phone).await,
        [zh(&Sms::OtpCard { card: label, code })]
    );
    merchant.pass_s(7);
    let activated_at = merchant.now();
    let activated = app.confirm_card(&path).await.ok(200);
    let effective_at = activated_at.plus_s(DAY_S);
    let cooldown_until = activated_at.plus_s(30 * DAY_S);
    assert_eq!(activated["state"], "activated");
    assert_eq!(
        (
            &activated["new_card"]["status"],
            &activated["old_card"]["status"]
        ),
        (&json!("active"), &json!("retiring"))
    );
    assert_eq!(
        activated["activated_at"],
        activated_at.to_rfc3339_shanghai()
    );
    assert_eq!(
        activated["effective_at"],
        effective_at.to_rfc3339_shanghai()
    );
    assert_eq!(
        activated["cooldown_until"],
        cooldown_until.to_rfc3339_shanghai()
    );
    assert_eq!(
        (&activated["challenge"], &activated["next_actions"]),
        (&Value::Null, &json!(["test_transaction"]))
    );

    // Both phones are notified; the phone on file gets the freeze code.
    let on_file = live.notifications(&merchant.phone, 1).await;
    let activated_sms = Sms::Activated {
        card: label,
        effective_at,
        freeze_code: &Secret::new(live.freeze_code(&merchant.phone).await),
    };
    assert_eq!(on_file, [zh(&activated_sms)]);
    let reserved_sms = Sms::ActivatedReserved {
        card: label,
        effective_at,
    };
    assert_eq!(
        live.notifications(&merchant.reserved_phone, 1).await,
        [zh(&reserved_sms)]
    );

    // The hold: payouts still go to the old card. The cooldown: no other change.
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["active"], &cards["open_rebind"]),
        (&activated["new_card"], &Value::Null)
    );
    assert_eq!(
        cards["hold"],
        json!({
            "rebind_id": activated["rebind_id"],
            "paying_card": activated["old_card"],
            "effective_at": activated["effective_at"],
        })
    );
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("REBIND_COOLDOWN"))
    );
    assert_eq!(cards["cooldown_until"], activated["cooldown_until"]);
    let problem = app
        .post("/v1/rebinds", app.request_body(&live.card()))
        .await
        .refused(ErrorCode::RebindCooldown);
    assert_eq!(problem["cooldown_until"], activated["cooldown_until"]);
    assert_eq!(
        problem["retry_after_s"],
        cooldown_until.epoch_s() - merchant.now().epoch_s()
    );

    // A read computes time-driven transitions, with or without a clean-up run.
    let states = async |at| {
        merchant.set_clock(at);
        let app = live.app(&merchant).await;
        let rebind = app.get(&path).await.ok(200);
        let hold = app.get("/v1/cards").await.ok(200)["hold"].clone();
        let old = rebind["old_card"]["status"].clone();
        (rebind["state"].clone(), old, hold.is_null())
    };
    assert_eq!(
        states(effective_at.plus_s(-1)).await,
        (json!("activated"), json!("retiring"), false)
    );
    assert_eq!(
        states(effective_at).await,
        (json!("completed"), json!("retiring"), true)
    );
    assert_eq!(
        states(effective_at.plus_s(7 * DAY_S)).await,
        (json!("completed"), json!("removed"), true)
    );
    // The next change is possible to the second, without a clean-up.
    merchant.set_clock(cooldown_until.plus_s(-1));
    let app = live.app(&merchant).await;
    app.post("/v1/rebinds", app.request_body(&live.card()))
        .await
        .refused(ErrorCode::RebindCooldown);
    merchant.pass_s(1);
    // Back to the first card, which is verified for the same person.
    let path = app.activate(merchant.active_card.as_ref().unwrap()).await;
    let back = app.get(&path).await.ok(200);
    assert_eq!(
        (&back["new_card"]["last4"], &back["old_card"]["last4"]),
        (&json!(old), &json!(last4(&card)))
    );
}

/// Without the sandbox's clock header, as in production: the merchant really reads for ten seconds.
pub async fn card_is_changed_by_wall_clock(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let ask = |method: &str, path: &str, body: Value| {
        let key = format!("wall-{method}-{path}");
        live.ask(method, path)
            .token(&app.token)
            .key(&key)
            .json(&body)
    };
    let created = ask("POST", "/v1/rebinds", app.request_body(&live.card()))
        .send()
        .await
        .ok(201);
    let path = rebind_path(&created);
    ask("POST", &format!("{path}/identity"), app.document())
        .send()
        .await
        .ok(200);
    let code = live.code(&merchant.phone).await;
    ask(
        "POST",
        &format!("{path}/identity/confirm"),
        json!({"code": code}),
    )
    .send()
    .await
    .ok(200);
    let agreement = format!("{path}/agreement");
    let text = live
        .ask("GET", &agreement)
        .token(&app.token)
        .send()
        .await
        .ok(200);
    let signature = app.signature_of(&text);
    let early = ask("POST", &agreement, signature.clone()).send().await;
    let wait_s = early.refused(ErrorCode::AgreementNotRead)["retry_after_s"]
        .as_u64()
        .unwrap();
    assert!((1..=10).contains(&wait_s));
    tokio::time::sleep(std::time::Duration::from_secs(wait_s)).await;
    ask("POST", &agreement, signature).send().await.ok(200);
    ask("POST", &format!("{path}/card-check"), Value::Null)
        .send()
        .await
        .ok(200);
    let code = live.code(&merchant.reserved_phone).await;
    let confirm = ask(
        "POST",
        &format!("{path}/card-check/confirm"),
        json!({"code": code}),
    );
    assert_eq!(confirm.send().await.ok(200)["state"], "activated");
}

/// A merchant without any previous card.
pub async fn first_card_is_bound(live: &LocalCloud) {
    let merchant = live.merchant_with(json!({"active_card": null})).await;
    let app = live.app(&merchant).await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["active"], &cards["can_rebind"]),
        (&Value::Null, &json!(true))
    );
    let path = app.activate(&live.card()).await;
    assert_eq!(app.get(&path).await.ok(200)["old_card"], Value::Null);
    // During the hold there is no card to pay to.
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["hold"]["paying_card"],
        Value::Null
    );
}

/// A lost card receives no payout during the hold. The cooldown is short, at most once a year.
pub async fn lost_card_has_short_cooldown_once(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let lose = async || {
        let app = live.app(&merchant).await;
        let mut body = app.request_body(&live.card());
        body["reason"] = json!("lost");
        let path = rebind_path(&app.post("/v1/rebinds", body).await.ok(201));
        app.identify(&path).await;
        app.sign(&path).await;
        app.check_card(&path).await.ok(200);
        let activated_at = merchant.now();
        let activated = app.confirm_card(&path).await.ok(200);
        let hold = app.get("/v1/cards").await.ok(200)["hold"].clone();
        assert_eq!(
            (&hold["paying_card"], &hold["rebind_id"]),
            (&Value::Null, &activated["rebind_id"])
        );
        let days = |days: i64| json!(activated_at.plus_s(days * DAY_S).to_rfc3339_shanghai());
        assert_eq!(activated["effective_at"], days(3));
        live.handed_over(&merchant).await;
        [7, 30]
            .into_iter()
            .find(|of| activated["cooldown_until"] == days(*of))
            .unwrap()
    };
    assert_eq!(lose().await, 7);
    merchant.pass_s(7 * DAY_S);
    assert_eq!(lose().await, 30);
    merchant.pass_s(358 * DAY_S);
    assert_eq!(lose().await, 7);
}

/// The settlement name replaces the legal name on the card if there is one. A dot in a name may be typed in any form.
pub async fn typed_names_are_folded(live: &LocalCloud) {
    let trader = json!({"entity_type": "sole_trader", "legal_name": "测试经营部", "settlement_name": "测试经营者"});
    let merchant = live.merchant_with(trader).await;
    let app = live.app(&merchant).await;
    let mut body = app.request_body(&live.card());
    body["holder_name"] = json!("测试经营部");
    app.post("/v1/rebinds", body)
        .await
        .refused(ErrorCode::HolderNotMerchant);
    app.activate(&live.card()).await;

    let merchant = live
        .merchant_with(json!({"legal_name": "阿依古丽·测试"}))
        .await;
    let mut app = live.app(&merchant).await;
    for name in ["阿依古丽•测试", "阿依古丽・测试", " 阿依古丽·测试"] {
        app.profile.holder_name = name.to_owned();
        let path = app.request(&live.card()).await;
        app.cancel(&path).await.ok(200);
    }
    app.profile.holder_name = "阿依古丽•测试".to_owned();
    app.activate(&live.card()).await;
}

/// A card number is accepted in every printed form.
pub async fn typed_numbers_are_folded(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let grouped: Vec<String> = card
        .as_bytes()
        .chunks(4)
        .map(|four| String::from_utf8_lossy(four).into_owned())
        .collect();
    let wide: String = card
        .chars()
        .map(|c| char::from_u32(c as u32 + 0xFEE0).unwrap())
        .collect();
    let national = merchant.reserved_phone.trim_start_matches("+86");
    for (number, phone) in [
        (grouped.join(" "), national.to_owned()),
        (wide, format!("+86 {national}")),
    ] {
        let mut body = app.request_body(&number);
        body["reserved_phone"] = json!(phone);
        let created = app.post("/v1/rebinds", body).await.ok(201);
        assert_eq!(created["new_card"]["last4"], last4(&card));
        assert_eq!(
            created["reserved_phone_masked"],
            masked(&merchant.reserved_phone)
        );
        app.post(&format!("{}/cancel", rebind_path(&created)), ())
            .await
            .ok(200);
    }
    let path = app.request(&card).await;
    let mut document = app.document();
    document["document_number"] = json!(format!(" {} ", merchant.document_number.to_lowercase()));
    app.post(&format!("{path}/identity"), document)
        .await
        .ok(200);
}

/// If the phone on file is also the reserved phone, it is notified once.
pub async fn equal_phones_are_notified_once(live: &LocalCloud) {
    let mut merchant = live.merchant().await;
    merchant.reserved_phone.clone_from(&merchant.phone);
    let app = live.app(&merchant).await;
    app.activate(&live.card()).await;
    let notifications = live.notifications(&merchant.phone, 1).await;
    assert!(freeze_code_in(&notifications[0]).is_some());
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
}

/// A rebind begins on one device and ends on another. Only the session that requested an OTP can use it.
pub async fn another_device_continues_rebind(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let first = live.app(&merchant).await;
    let path = first.request(&live.card()).await;
    first.show_document(&path).await;
    let code = live.code(&merchant.phone).await;

    let second = live.app_on(&merchant, "the new phone").await;
    let open = second.get("/v1/cards").await.ok(200)["open_rebind"].clone();
    assert_eq!(
        (rebind_path(&open), &open["state"]),
        (path.clone(), &json!("identity_pending"))
    );
    // The document again returns the same challenge without an SMS.
    assert_eq!(
        second.show_document(&path).await["challenge"],
        open["challenge"]
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 1);
    let confirm = format!("{path}/identity/confirm");
    for typed in [code.as_str(), wrong_otp(&code)] {
        let problem = second
            .post(&confirm, json!({"code": typed}))
            .await
            .refused(ErrorCode::StepUpRequired);
        assert_eq!(problem["next_actions"], json!(["identity_code"]));
    }
    merchant.pass_s(MINUTE_S);
    let resent = second.resend_identity_code(&path).await.ok(200);
    assert_eq!(
        resent["challenge"]["attempts_left"], 5,
        "no attempt was used"
    );
    // Now the first device's OTP is replaced, and the first device did not request the new one.
    first
        .post(&confirm, json!({"code": code}))
        .await
        .refused(ErrorCode::StepUpRequired);
    second.confirm_identity(&path).await;
    second.sign(&path).await;
    second.check_card(&path).await.ok(200);
    let code = live.code(&merchant.reserved_phone).await;
    let confirm = format!("{path}/card-check/confirm");
    let problem = first
        .post(&confirm, json!({"code": code}))
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["card_check_code"]));
    assert_eq!(
        second.confirm_card(&path).await.ok(200)["state"],
        "activated"
    );
    assert_eq!(
        first.get("/v1/cards").await.ok(200)["blocked_by"],
        "REBIND_COOLDOWN"
    );
}

/// The clock of a request may go back. Ages of future events are 0, and no recorded time moves back.
pub async fn clock_may_go_back_and_forth(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let noon = merchant.now();
    let app = live.app(&merchant).await;
    let path = app.request(&live.card()).await;
    merchant.pass_s(-HOUR_S);
    app.show_document(&path).await;
    // Sent an hour "ago", and just now by the clock that goes back again.
    merchant.pass_s(-HOUR_S);
    app.confirm_identity(&path).await;
    merchant.set_clock(noon);
    let text = app.get(&format!("{path}/agreement")).await.ok(200);
    merchant.pass_s(-5);
    let early = app
        .post(&format!("{path}/agreement"), app.signature_of(&text))
        .await;
    assert_eq!(
        early.refused(ErrorCode::AgreementNotRead)["retry_after_s"],
        10
    );
    merchant.set_clock(noon.plus_s(10));
    app.post(&format!("{path}/agreement"), app.signature_of(&text))
        .await
        .ok(200);
    // By this clock the identity was confirmed two hours ago.
    app.check_card(&path).await.ok(200);
    app.confirm_card(&path)
        .await
        .refused(ErrorCode::StepUpRequired);
    merchant.set_clock(noon.plus_s(-2 * HOUR_S));
    let activated = app.confirm_card(&path).await.ok(200);
    assert_eq!(
        activated["activated_at"],
        merchant.now().to_rfc3339_shanghai()
    );
    // The last change stays at noon: by the real clock of noon the session is still valid.
    merchant.set_clock(noon.plus_s(10 + 15 * MINUTE_S - 1));
    app.get("/v1/cards").await.ok(200);
    merchant.pass_s(1);
    app.get("/v1/cards")
        .await
        .refused(ErrorCode::SessionExpired);
}
