//! The document and the OTP to the phone on file.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use domain::sms::Sms;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::wrong_otp;
use tests::transport::{Reply, Transport as _};

use crate::see::{label, without, zh};

/// Sends a document with some members changed.
async fn shows(app: &App<'_>, path: &str, changes: Value) -> Reply {
    let mut body = app.document();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.post(&format!("{path}/identity"), body).await
}

/// A malformed document is reported field by field and uses no attempt.
pub async fn malformed_document_uses_no_attempt(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let number = merchant.document_number.clone();
    let wrong_check = {
        let last = if number.ends_with('1') { '2' } else { '1' };
        format!("{}{last}", &number[..17])
    };
    for (changes, code, bad) in [
        (
            json!({"document_number": "110105"}),
            ErrorCode::IdFormat,
            json!([["document_number", "ID_FORMAT"]]),
        ),
        (
            json!({"document_number": "110105199902300021"}),
            ErrorCode::IdFormat,
            json!([["document_number", "ID_FORMAT"]]),
        ),
        (
            json!({"document_number": wrong_check}),
            ErrorCode::IdChecksum,
            json!([["document_number", "ID_CHECKSUM"]]),
        ),
        (
            json!({"document_expires_on": "2030-02-30"}),
            ErrorCode::IdFormat,
            json!([["document_expires_on", "ID_FORMAT"]]),
        ),
        (
            json!({"document_expires_on": "forever"}),
            ErrorCode::IdFormat,
            json!([["document_expires_on", "ID_FORMAT"]]),
        ),
        (
            json!({"document_number": wrong_check, "document_expires_on": ""}),
            ErrorCode::IdChecksum,
            json!([
                ["document_number", "ID_CHECKSUM"],
                ["document_expires_on", "ID_FORMAT"]
            ]),
        ),
    ] {
        let problem = shows(&app, &path, changes).await.refused(code);
        let errors = problem["errors"].as_array().unwrap();
        let errors: Vec<Value> = errors
            .iter()
            .map(|error| json!([error["field"], error["code"]]))
            .collect();
        assert_eq!(json!(errors), bad);
    }
    let mismatch = shows(
        &app,
        &path,
        json!({"document_number": "11010519491231002X"}),
    )
    .await;
    assert_eq!(
        mismatch.refused(ErrorCode::IdMismatch)["attempts_left"],
        4,
        "malformed documents use no attempt"
    );
}

/// A wrong number and a wrong expiry get the same reply. The expiry of the document is revealed only if both match.
pub async fn expired_document_is_revealed_on_match(live: &LocalCloud) {
    let id_document =
        json!({"number": tests::merchant::resident_id(13_000), "expires_on": "2060-12-31"});
    let merchant = live
        .merchant_with(json!({"id_document": id_document}))
        .await;
    // In the past, a clean-up of another case would expire the rebind.
    let last_day = domain::time::Timestamp::parse_rfc3339("2060-12-31T23:50:00+08:00").unwrap();
    merchant.set_clock(last_day);
    let app = live.app(&merchant).await;
    let path = app.request(&live.card()).await;
    merchant.pass_s(HOUR_S);
    let app = live.app(&merchant).await;
    let wrong_number = shows(
        &app,
        &path,
        json!({"document_number": "11010519491231002X"}),
    )
    .await;
    let wrong_expiry = shows(&app, &path, json!({"document_expires_on": "long_term"})).await;
    let seen = |reply: Reply| {
        without(
            &reply.refused(ErrorCode::IdMismatch),
            &["support_ref", "attempts_left"],
        )
    };
    assert_eq!(seen(wrong_number), seen(wrong_expiry));
    let problem = shows(&app, &path, json!({}))
        .await
        .refused(ErrorCode::IdExpired);
    assert_eq!(problem["next_actions"], json!(["contact_support"]));
    assert_eq!(live.codes_sent(&merchant.phone).await, 0);
    // A document is valid through its last day.
    merchant.set_clock(last_day.plus_s(9 * MINUTE_S));
    shows(&app, &path, json!({})).await.ok(200);
}

/// A travel permit is compared with its kind, and a rare character with its private code point.
pub async fn travel_permit_and_rare_name_bind_cards(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_travel_permit");
    let app = live.app(&merchant).await;
    let path = app.request(&live.card()).await;
    let unknown = shows(&app, &path, json!({"document_type": "library_card"})).await;
    let problem = unknown.refused(ErrorCode::RequestMalformed);
    assert_eq!(problem["errors"][0]["field"], "document_type");
    let as_passport = shows(&app, &path, json!({"document_type": "passport"})).await;
    as_passport.refused(ErrorCode::IdMismatch);
    let lower = merchant.document_number.to_lowercase();
    shows(&app, &path, json!({"document_number": lower}))
        .await
        .ok(200);
    app.confirm_identity(&path).await;
    app.sign(&path).await;
    app.check_card(&path).await.ok(200);
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");

    let mut merchant = live.sandbox_merchant("mer_rare_name");
    merchant.holder_name = "测\u{E863}".to_owned();
    let app = live.app(&merchant).await;
    app.activate(&live.card()).await;
}

/// While the OTP is valid, a repetition returns the same challenge and sends nothing. After that it sends a new OTP.
pub async fn repeat_returns_same_challenge(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let first = app.show_document(&path).await["challenge"].clone();
    merchant.pass_s(30);
    let again = app.show_document(&path).await["challenge"].clone();
    assert_eq!(again["resend_after_s"], 30);
    assert_eq!(
        without(&first, &["resend_after_s"]),
        without(&again, &["resend_after_s"])
    );
    merchant.pass_s(5 * MINUTE_S - 30);
    assert_eq!(
        app.get(&path).await.ok(200)["next_actions"],
        json!(["identity_code", "cancel"])
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 1);
    let anew = app.show_document(&path).await["challenge"].clone();
    assert_ne!(anew["expires_at"], first["expires_at"]);
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
    app.confirm_identity(&path).await;
}

/// Three concurrent documents send one OTP. Three concurrent resends send one, and the rest come too soon.
pub async fn concurrent_documents_send_one_otp(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let replies = futures::future::join_all((0..3).map(|_| app.show_document(&path))).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply["challenge"] == replies[0]["challenge"])
    );
    assert_eq!(live.codes_sent(&merchant.phone).await, 1);
    merchant.pass_s(MINUTE_S);
    let resend = format!("{path}/identity/code");
    let replies = futures::future::join_all((0..3).map(|_| app.post(&resend, ()))).await;
    let (sent, early): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!(sent.len(), 1);
    for reply in early {
        reply.refused(ErrorCode::OtpSendLimit);
    }
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
    app.confirm_identity(&path).await;
}

/// Valid for five minutes; an expired OTP uses no attempt. A new OTP replaces the old one, which then counts as wrong.
pub async fn expired_or_replaced_otp_fails(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    let first = live.code(&merchant.phone).await;
    let confirm = async |code: &str| app.try_identity_code(&path, code).await;
    merchant.pass_s(5 * MINUTE_S);
    let problem = confirm(&first).await.refused(ErrorCode::OtpExpired);
    assert_eq!(
        (&problem["attempts_left"], &problem["next_actions"]),
        (&json!(5), &json!(["identity_code"]))
    );
    app.resend_identity_code(&path).await.ok(200);
    let second = live.code(&merchant.phone).await;
    if first != second {
        let problem = confirm(&first).await.refused(ErrorCode::OtpWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(4), &json!(true))
        );
    }
    assert_eq!(confirm(&second).await.ok(200)["state"], "agreement_pending");
}

/// Five attempts in total, across resends. The last one ends the rebind and notifies the phone on file.
pub async fn fifth_wrong_otp_rejects(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let path = app.request(&card).await;
    app.show_document(&path).await;
    let guess = async |code: &str| app.try_identity_code(&path, code).await;
    for typed in ["", "12345", "1234567", "12345a", "一二三四五六"] {
        let problem = guess(typed).await.refused(ErrorCode::OtpWrong);
        assert_eq!(
            problem["errors"],
            json!([{"field": "code", "code": "OTP_WRONG"}])
        );
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(5), &json!(false))
        );
    }
    let code = live.code(&merchant.phone).await;
    // Full-width digits are digits.
    let wide = |digits: &str| digits.replace('0', "０").replace('1', "１");
    for (typed, left) in [
        (wrong_otp(&code).to_owned(), 4),
        (wide(wrong_otp(&code)), 3),
    ] {
        let problem = guess(&typed).await.refused(ErrorCode::OtpWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(left), &json!(true))
        );
        assert_eq!(
            problem["next_actions"],
            json!(["identity_confirm", "identity_code", "cancel"])
        );
    }
    merchant.pass_s(MINUTE_S);
    let resent = app.resend_identity_code(&path).await.ok(200);
    assert_eq!(resent["challenge"]["attempts_left"], 3);
    let code = live.code(&merchant.phone).await;
    for left in [2, 1] {
        assert_eq!(
            guess(wrong_otp(&code)).await.refused(ErrorCode::OtpWrong)["attempts_left"],
            left
        );
    }
    let problem = guess(wrong_otp(&code)).await.refused(ErrorCode::OtpTooMany);
    assert_eq!(
        (&problem["attempts_left"], &problem["next_actions"]),
        (&json!(0), &json!(["new_rebind", "contact_support"]))
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("OTP_TOO_MANY"))
    );
    guess(&code).await.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(
        live.notifications(&merchant.phone, 1).await,
        [zh(&Sms::Rejected { card: label(&card) })]
    );
}

/// Wrong OTPs add up over cancelled rebinds. After the tenth one of a day not even a right one is accepted.
pub async fn tenth_wrong_otp_of_a_day_is_the_last(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let mut path = String::new();
    let mut code = String::new();
    for guesses in [4, 4, 2] {
        if !path.is_empty() {
            app.cancel(&path).await.ok(200);
            merchant.pass_s(MINUTE_S);
        }
        path = app.request(&live.card()).await;
        app.show_document(&path).await;
        code = live.code(&merchant.phone).await;
        for _ in 0..guesses {
            let body = json!({"code": wrong_otp(&code)});
            let reply = app.post(&format!("{path}/identity/confirm"), body).await;
            reply.refused(ErrorCode::OtpWrong);
        }
    }
    let right = json!({"code": code});
    let confirm = format!("{path}/identity/confirm");
    let problem = app
        .post(&confirm, right)
        .await
        .refused(ErrorCode::OtpTryLimit);
    assert_eq!(
        (&problem["retry_after_s"], &problem["next_actions"]),
        (
            &json!(DAY_S - 2 * MINUTE_S),
            &json!(["wait", "contact_support"])
        )
    );
    let shown = app.get(&path).await.ok(200);
    assert_eq!(shown["state"], "identity_pending");
    assert_eq!(shown["challenge"]["attempts_left"], 3);
    assert_eq!(
        live.notifications(&merchant.phone, 1).await,
        [zh(&Sms::CodeGuessed)]
    );
}

/// Many concurrent guesses use at most five attempts.
pub async fn parallel_guesses_are_capped_at_five(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    let code: u32 = live.code(&merchant.phone).await.parse().unwrap();
    let guesses = (1..=10).map(|guess| {
        let typed = format!("{:06}", (code + guess) % 1_000_000);
        let confirm = format!("{path}/identity/confirm");
        let app = &app;
        async move { app.post(&confirm, json!({"code": typed})).await }
    });
    let replies = futures::future::join_all(guesses).await;
    let mut codes: Vec<Value> = replies
        .into_iter()
        .map(|reply| reply.body["code"].clone())
        .collect();
    // A request that found all attempts reserved may retry. By then the rebind has ended.
    let ended = async || app.get(&path).await.ok(200)["state"] == "rejected";
    while !ended().await {
        assert!(codes.len() < 20);
        merchant.pass_s(10);
        let typed = format!("{:06}", (code + 20) % 1_000_000);
        let confirm = format!("{path}/identity/confirm");
        let reply = app.post(&confirm, json!({"code": typed})).await;
        codes.push(reply.body["code"].clone());
    }
    let count = |code: &str| codes.iter().filter(|of| *of == code).count();
    let tried = count("OTP_WRONG") + count("OTP_TOO_MANY");
    let later = count("VERSION_CONFLICT") + count("STEP_OUT_OF_ORDER");
    assert_eq!((tried, tried + later), (5, codes.len()), "{codes:?}");
    assert_eq!(count("OTP_TOO_MANY"), 1);
    assert_eq!(app.get(&path).await.ok(200)["ended_reason"], "OTP_TOO_MANY");
}

/// A right OTP among concurrent wrong ones wins.
pub async fn right_otp_wins_among_wrong(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    let code = live.code(&merchant.phone).await;
    let wrong = wrong_otp(&code);
    let confirm = |typed: &str| {
        let body = json!({"code": typed});
        let path = format!("{path}/identity/confirm");
        let app = &app;
        async move { app.post(&path, body).await }
    };
    let replies = futures::future::join_all([
        confirm(wrong),
        confirm(wrong),
        confirm(&code),
        confirm(wrong),
        confirm(wrong),
    ])
    .await;
    assert_eq!(replies[2].clone().ok(200)["state"], "agreement_pending");
    assert_eq!(app.get(&path).await.ok(200)["state"], "agreement_pending");
}

/// All attempts are reserved and one request died before it settled its own: others must retry for ten seconds, then the rebind
/// ends.
pub async fn reserved_attempts_conflict_for_10_s(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    let code = live.code(&merchant.phone).await;
    let taken_at = merchant.now().epoch_s();
    live.edit_state(&merchant.pk(), "R#000001", |state| {
        state["st"]["identity_pending"]["att"] = json!({"n": 5, "w": 4, "at": taken_at});
    })
    .await;
    let confirm = async || {
        app.keyed(
            "once",
            &format!("{path}/identity/confirm"),
            json!({"code": code}),
        )
        .await
    };
    merchant.pass_s(3);
    assert_eq!(
        confirm().await.refused(ErrorCode::VersionConflict)["retry_after_s"],
        7
    );
    merchant.pass_s(6);
    let again = confirm().await;
    assert!(!again.is_replayed(), "a conflict is not stored");
    assert_eq!(
        again.refused(ErrorCode::VersionConflict)["retry_after_s"],
        1
    );
    assert_eq!(app.get(&path).await.ok(200)["state"], "identity_pending");
    merchant.pass_s(1);
    assert_eq!(
        confirm().await.refused(ErrorCode::OtpTooMany)["attempts_left"],
        0
    );
    assert_eq!(app.get(&path).await.ok(200)["state"], "rejected");
}

/// OTPs to a phone are one minute apart, at most five an hour and ten a day. A new rebind does not reset the limits.
pub async fn otps_per_phone_are_limited(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let resend = async |app: &App<'_>| app.resend_identity_code(&path).await;
    resend(&app).await.refused(ErrorCode::StepOutOfOrder);
    app.show_document(&path).await;
    merchant.pass_s(18);
    let problem = resend(&app).await.refused(ErrorCode::OtpSendLimit);
    assert_eq!(
        (&problem["retry_after_s"], &problem["counts_toward_limit"]),
        (&json!(42), &json!(false))
    );
    merchant.pass_s(42);
    for _ in 0..4 {
        resend(&app).await.ok(200);
        merchant.pass_s(MINUTE_S);
    }
    // Five were sent in the last five minutes.
    assert_eq!(
        resend(&app).await.refused(ErrorCode::OtpSendLimit)["retry_after_s"],
        HOUR_S - 5 * MINUTE_S
    );
    // A new rebind gets none either.
    app.cancel(&path).await.ok(200);
    let path = app.request(&live.card()).await;
    shows(&app, &path, json!({}))
        .await
        .refused(ErrorCode::OtpSendLimit);
    assert_eq!(app.get(&path).await.ok(200)["challenge"], Value::Null);

    merchant.pass_s(HOUR_S - 5 * MINUTE_S);
    let app = live.app(&merchant).await;
    let resend = async |app: &App<'_>| app.resend_identity_code(&path).await;
    app.show_document(&path).await;
    for _ in 0..4 {
        merchant.pass_s(MINUTE_S);
        resend(&app).await.ok(200);
    }
    // Ten were sent. After another hour the oldest is two hours and four minutes old.
    merchant.pass_s(HOUR_S);
    let app = live.app(&merchant).await;
    let problem = resend(&app).await.refused(ErrorCode::OtpSendLimit);
    assert_eq!(problem["retry_after_s"], DAY_S - 2 * HOUR_S - 4 * MINUTE_S);
    assert_eq!(live.codes_sent(&merchant.phone).await, 10);
}
