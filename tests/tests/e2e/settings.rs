//! Payout settings, and the devices that are registered for push.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, MINUTE_S};
use domain::secret::Secret;
use domain::sms::Sms;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::secrets::Kind;
use tests::transport::{Transport as _, freeze_code_in};

use crate::see::{without, zh};

fn bad_fields(problem: &Value) -> Value {
    let errors = problem["errors"].as_array().unwrap();
    let pairs = errors.iter();
    pairs
        .map(|error| json!([error["field"], error["code"]]))
        .collect()
}

fn settings() -> Value {
    json!({"cycle": "D1", "payout_time": "18:30", "retained_fen": 100, "daily_limit_fen": 3_000_000})
}

/// The settings with one member changed.
fn with(name: &str, value: Value) -> Value {
    let mut settings = settings();
    settings[name] = value;
    settings
}

/// The settings in force, with pending ones as they are shown.
fn with_pending(in_force: &Value, settings: &Value, effective_at: Timestamp) -> Value {
    let mut shown = in_force.clone();
    shown["pending"] = settings.clone();
    shown["pending"]["effective_at"] = json!(effective_at.to_rfc3339_shanghai());
    shown
}

/// Settings are shown, changed, announced and recorded. They take effect a day later.
pub async fn changed_settings_notify_and_take_effect(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let shown = app.get("/v1/settlement").await.ok(200);
    assert_eq!(
        shown,
        json!({"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000, "fee_rate_bp": 60, "pending": null})
    );
    // Equal settings change nothing and notify nobody.
    for same in [shown.clone(), without(&shown, &["fee_rate_bp", "pending"])] {
        assert_eq!(app.put("/v1/settlement", same).await.ok(200), shown);
    }
    assert!(app.history().await.is_empty());

    merchant.pass_s(MINUTE_S);
    let effective_at = merchant.now().plus_s(DAY_S);
    let ask = |body: &Value| {
        let ask = app.ask("PUT", "/v1/settlement").key("k");
        ask.json(body).send()
    };
    let want = with_pending(&shown, &settings(), effective_at);
    let changed = ask(&settings()).await.ok(200);
    let again = ask(&settings()).await;
    assert!(again.is_replayed());
    ask(&with("retained_fen", json!(0)))
        .await
        .refused(ErrorCode::IdempotencyMismatch);
    assert_eq!(changed, want);
    assert_eq!(app.get("/v1/settlement").await.ok(200), want);
    // The reply of GET is accepted, and withdraws nothing unless it asks for the settings in force.
    let mut same = settings();
    same["pending"] = want["pending"].clone();
    assert_eq!(app.put("/v1/settlement", same).await.ok(200), want);
    let texts = live.notifications(&merchant.phone, 1).await;
    let announced = Sms::SettlementChanged {
        effective_at,
        freeze_code: &Secret::new(live.freeze_code(&merchant.phone).await),
    };
    assert_eq!(texts, [zh(&announced)]);
    let events = app.history().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["kind"], "settlement_changed");
    assert_eq!(
        events[0]["data"],
        json!({
            "before": without(&shown, &["fee_rate_bp", "pending"]),
            "after": settings(),
            "effective_at": effective_at.to_rfc3339_shanghai(),
            "freeze_code_seq": 1,
        })
    );
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let mut now_in_force = settings();
    now_in_force["fee_rate_bp"] = json!(60);
    now_in_force["pending"] = Value::Null;
    assert_eq!(app.get("/v1/settlement").await.ok(200), now_in_force);
    // An unchanged fee may be sent along. A merchant of sufficient age may have T+0, up to the tier.
    let mut again = with("cycle", json!("T0"));
    again["fee_rate_bp"] = json!(60);
    again["daily_limit_fen"] = json!(5_000_000);
    app.put("/v1/settlement", again).await.ok(200);
    merchant.pass_s(DAY_S);
    // Payouts are expected by the new rule.
    let midnight = domain::time::Timestamp::parse_rfc3339("2031-03-10T00:00:00+08:00").unwrap();
    let payout = crate::payouts::create(live, &merchant, "p", midnight).await;
    assert_eq!(payout["expected_at"], "2031-03-10T18:30:00+08:00");
    live.notifications(&merchant.phone, 2).await;
}

/// Pending settings are withdrawn by a PUT of the settings in force, and stopped by the freeze code that came with them.
pub async fn pending_settings_are_withdrawn_or_frozen(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let in_force = app.get("/v1/settlement").await.ok(200);
    app.put("/v1/settlement", settings()).await.ok(200);
    let withdrawn = app.put("/v1/settlement", in_force.clone()).await;
    assert_eq!(withdrawn.ok(200), in_force);
    let withdrawn_at = merchant.now();
    app.put("/v1/settlement", settings()).await.ok(200);
    let texts = live.notifications(&merchant.phone, 3).await;
    assert_eq!(texts[1], zh(&Sms::SettlementDropped { at: withdrawn_at }));
    let code = freeze_code_in(&texts[0]).unwrap();
    assert_eq!(freeze_code_in(&texts[2]), Some(code.clone()));
    live.freeze(merchant.now(), &merchant.account, &code).await;
    let app = live.app(&merchant).await;
    assert_eq!(app.get("/v1/settlement").await.ok(200), in_force);
    app.put("/v1/settlement", settings())
        .await
        .refused(ErrorCode::AccountFrozen);
    live.notifications(&merchant.phone, 4).await;
}

/// During a hold, settings cannot change.
pub async fn settings_wait_for_the_end_of_a_hold(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    app.put("/v1/settlement", settings()).await.ok(200);
    app.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    assert_eq!(
        app.get("/v1/settlement").await.ok(200)["pending"],
        Value::Null
    );
    let problem = app
        .put("/v1/settlement", settings())
        .await
        .refused(ErrorCode::HoldRunning);
    assert_eq!(problem["next_actions"], json!(["wait"]));
    assert_eq!(problem["retryable"], true);
    merchant.pass_s(problem["retry_after_s"].as_i64().unwrap());
    let app = live.app(&merchant).await;
    app.put("/v1/settlement", settings()).await.ok(200);
}

/// Every bad field is reported at once.
pub async fn all_bad_fields_are_reported_at_once(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let refused = async |body: Value, code: ErrorCode| {
        let problem = app.put("/v1/settlement", body).await.refused(code);
        bad_fields(&problem)
    };
    let all = json!({"cycle": "T9", "payout_time": "24:00", "retained_fen": -1, "daily_limit_fen": 0, "fee_rate_bp": 59});
    let malformed = |fields: &[&str]| -> Value {
        fields
            .iter()
            .map(|field| json!([field, "REQUEST_MALFORMED"]))
            .collect()
    };
    let names = [
        "cycle",
        "payout_time",
        "retained_fen",
        "daily_limit_fen",
        "fee_rate_bp",
    ];
    assert_eq!(
        refused(all, ErrorCode::RequestMalformed).await,
        malformed(&names)
    );
    assert_eq!(
        refused(json!({}), ErrorCode::RequestMalformed).await,
        malformed(&names[..4])
    );
    for (name, value) in [
        ("cycle", json!("t1")),
        ("payout_time", json!("6:00")),
        ("payout_time", json!("06:60")),
        ("payout_time", json!("06:00:00")),
        ("retained_fen", json!(3_000_001)),
        ("fee_rate_bp", json!(0)),
        ("cycle", Value::Null),
    ] {
        assert_eq!(
            refused(with(name, value.clone()), ErrorCode::RequestMalformed).await,
            malformed(&[name]),
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("retained_fen", json!("0")),
        ("retained_fen", json!(0.5)),
        ("daily_limit_fen", json!(1e300)),
        ("payout_time", json!(600)),
        ("tier", json!(1)),
    ] {
        app.put("/v1/settlement", with(name, value))
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    assert_eq!(
        refused(
            with("daily_limit_fen", json!(5_000_001)),
            ErrorCode::LimitAboveTier
        )
        .await,
        json!([["daily_limit_fen", "LIMIT_ABOVE_TIER"]])
    );
    assert_eq!(app.get("/v1/settlement").await.ok(200)["cycle"], "T1");
    assert!(live.notifications(&merchant.phone, 0).await.is_empty());
}

/// T+0 requires ninety days since onboarding.
pub async fn young_merchant_may_not_use_t0(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_young");
    let app = live.app(&merchant).await;
    let mut body = with("cycle", json!("T0"));
    let problem = app
        .put("/v1/settlement", body.clone())
        .await
        .refused(ErrorCode::T0NotAllowed);
    assert_eq!(bad_fields(&problem), json!([["cycle", "T0_NOT_ALLOWED"]]));
    body["daily_limit_fen"] = json!(99_999_999);
    let problem = app
        .put("/v1/settlement", body)
        .await
        .refused(ErrorCode::T0NotAllowed);
    assert_eq!(
        bad_fields(&problem),
        json!([
            ["cycle", "T0_NOT_ALLOWED"],
            ["daily_limit_fen", "LIMIT_ABOVE_TIER"]
        ])
    );
    merchant.pass_s(79 * DAY_S);
    let app = live.app(&merchant).await;
    app.put("/v1/settlement", with("cycle", json!("T0")))
        .await
        .refused(ErrorCode::T0NotAllowed);
    // The merchant was seeded a few minutes before this clock began.
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    app.put("/v1/settlement", with("cycle", json!("T0")))
        .await
        .ok(200);
}

/// Requires a fresh login, and no quiet period.
pub async fn change_needs_fresh_login_after_quiet(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_phone_changed");
    let app = live.app(&merchant).await;
    let problem = app
        .put("/v1/settlement", settings())
        .await
        .refused(ErrorCode::QuietPeriod);
    // The field checks come before the quiet period.
    app.put("/v1/settlement", json!({}))
        .await
        .refused(ErrorCode::RequestMalformed);
    app.get("/v1/settlement").await.ok(200);
    merchant.pass_s(problem["retry_after_s"].as_i64().unwrap());
    let app = live.app(&merchant).await;
    merchant.pass_s(10 * MINUTE_S);
    register(&app, "p", "fcm", "keeps the session awake").await;
    merchant.pass_s(5 * MINUTE_S);
    for body in [settings(), json!({})] {
        let problem = app
            .put("/v1/settlement", body)
            .await
            .refused(ErrorCode::StepUpRequired);
        assert_eq!(problem["next_actions"], json!(["login"]));
    }
    let app = live.app(&merchant).await;
    let changed_at = merchant.now();
    app.put("/v1/settlement", settings()).await.ok(200);
    // A registered device changes nothing about the SMS.
    let registered_at = changed_at.plus_s(-5 * MINUTE_S);
    let texts = live.notifications(&merchant.phone, 2).await;
    let announced = Sms::SettlementChanged {
        effective_at: changed_at.plus_s(DAY_S),
        freeze_code: &Secret::new(live.freeze_code(&merchant.phone).await),
    };
    assert_eq!(
        texts,
        [
            zh(&Sms::PushTargetChanged { at: registered_at }),
            zh(&announced),
        ]
    );
}

async fn register(app: &App<'_>, id: &str, platform: &str, token: &str) -> tests::transport::Reply {
    let token = format!("push token of {}: {token}", app.profile.id);
    // A real one contains no white space.
    let token = token.replace([' ', ':'], "_");
    app.system.secrets.add(Kind::PushToken, &token);
    let body = json!({"platform": platform, "token": token});
    app.put(&format!("/v1/push-targets/{id}"), body).await
}

async fn remove(app: &App<'_>, id: &str) -> tests::transport::Reply {
    app.delete(&format!("/v1/push-targets/{id}")).await
}

/// Registered, refreshed, replaced, limited to five, removed.
pub async fn push_targets_register_replace_and_remove(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    for (id, platform) in [
        ("phone-1", "apns"),
        ("9b2e1c54-6f0d-4a7e-8d3b-52c1a0f4e7d6", "fcm"),
        ("3", "fcm"),
        ("4", "apns"),
        ("_", "fcm"),
    ] {
        let registered = register(&app, id, platform, id).await;
        assert_eq!(registered.ok(204), Value::Null, "{id}");
    }
    register(&app, "phone-1", "apns", "phone-1").await.ok(204);
    register(&app, "phone-1", "fcm", "another").await.ok(204);
    register(&app, "sixth", "fcm", "sixth")
        .await
        .refused(ErrorCode::StepOutOfOrder);
    assert_eq!(remove(&app, "3").await.ok(204), Value::Null);
    remove(&app, "3").await.refused(ErrorCode::NotFound);
    remove(&app, "sixth").await.refused(ErrorCode::NotFound);
    register(&app, "sixth", "fcm", "sixth").await.ok(204);
    register(&app, "3", "fcm", "3")
        .await
        .refused(ErrorCode::StepOutOfOrder);
    let events = app.history().await;
    let seen: Vec<Value> = events
        .iter()
        .map(|event| json!([event["kind"], event["data"]["push_target_id"]]))
        .collect();
    let changed = |id: &str| json!(["push_target_changed", id]);
    assert_eq!(
        seen,
        [
            changed("phone-1"),
            changed("9b2e1c54-6f0d-4a7e-8d3b-52c1a0f4e7d6"),
            changed("3"),
            changed("4"),
            changed("_"),
            json!(["push_target_refreshed", "phone-1"]),
            json!(["push_target_removed", "3"]),
            changed("sixth"),
        ],
        "a repetition is not a change, and a new token of the same device refreshes"
    );
    let text = zh(&Sms::PushTargetChanged { at: merchant.now() });
    assert_eq!(
        live.notifications(&merchant.phone, 5).await,
        vec![text; 5],
        "five SMS a day; the rest is pushed"
    );
    // Another merchant's are not found.
    let stranger = live.merchant().await;
    let other = live.app(&stranger).await;
    other
        .delete("/v1/push-targets/4")
        .await
        .refused(ErrorCode::NotFound);
    push_targets_need_fresh_login(live, &app).await;
}

/// Adding, replacing and removing a device requires a fresh login, and ten additions and replacements a day are allowed. A
/// refresh needs no fresh login and is not counted. Six were counted before.
async fn push_targets_need_fresh_login(live: &LocalCloud, app: &App<'_>) {
    let merchant = &app.profile;
    // In a session of another device, the same request is a replacement.
    let second = live.app_on(merchant, "second device").await;
    register(&second, "4", "apns", "of the second device")
        .await
        .ok(204);
    let events = app.history().await;
    assert_eq!(events.last().unwrap()["kind"], "push_target_changed");
    merchant.pass_s(14 * MINUTE_S);
    register(app, "phone-1", "fcm", "renewed").await.ok(204);
    remove(app, "_").await.ok(204);
    merchant.pass_s(MINUTE_S);
    let problem = remove(app, "4").await.refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["login"]));
    for id in ["4", "one-more"] {
        register(app, id, "apns", "another one")
            .await
            .refused(ErrorCode::StepUpRequired);
    }
    register(app, "phone-1", "fcm", "renewed again")
        .await
        .ok(204);
    // Ten a day, since each former device is notified for days.
    let app = live.app(merchant).await;
    for id in ["eighth", "ninth", "tenth"] {
        register(&app, id, "apns", id).await.ok(204);
        remove(&app, id).await.ok(204);
    }
    let problem = register(&app, "eleventh", "apns", "the eleventh")
        .await
        .refused(ErrorCode::DailyRequestLimit);
    assert_eq!(problem["next_actions"], json!(["wait"]));
    assert_eq!(problem["retry_after_s"], DAY_S - 15 * MINUTE_S);
    register(&app, "phone-1", "fcm", "a refresh").await.ok(204);
}

/// An invalid target is reported field by field.
pub async fn malformed_push_targets_are_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let long = "x".repeat(37);
    let token = "t".repeat(4_097);
    for (id, body, fields) in [
        ("p", json!({}), json!(["platform", "token"])),
        (
            long.as_str(),
            json!({"platform": "sms", "token": ""}),
            json!(["id", "platform", "token"]),
        ),
        (
            "a.b",
            json!({"platform": "fcm", "token": "t"}),
            json!(["id"]),
        ),
        (
            "a%20b",
            json!({"platform": "fcm", "token": "t"}),
            json!(["id"]),
        ),
        (
            "p",
            json!({"platform": "APNS", "token": "t"}),
            json!(["platform"]),
        ),
        (
            "p",
            json!({"platform": "fcm", "token": token}),
            json!(["token"]),
        ),
        (
            "p",
            json!({"platform": "fcm", "token": "设备"}),
            json!(["token"]),
        ),
    ] {
        let reply = app.put(&format!("/v1/push-targets/{id}"), body).await;
        let problem = reply.refused(ErrorCode::RequestMalformed);
        let errors = problem["errors"].as_array().unwrap();
        let seen: Vec<&Value> = errors.iter().map(|error| &error["field"]).collect();
        assert_eq!(json!(seen), fields, "{id}");
    }
    for body in [
        json!({"platform": "fcm", "token": 1}),
        json!({"platform": "fcm", "token": "t", "name": "x"}),
    ] {
        app.put("/v1/push-targets/p", body)
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    let longest = json!({"platform": "fcm", "token": "t".repeat(4_096)});
    app.put(&format!("/v1/push-targets/{}", "x".repeat(36)), longest)
        .await
        .ok(204);
    for nothing in ["nobody", &long, "a.b"] {
        app.delete(&format!("/v1/push-targets/{nothing}"))
            .await
            .refused(ErrorCode::NotFound);
    }
    assert_eq!(app.history().await.len(), 1);
}

/// A push device does not change the other notifications: each still goes out, once.
pub async fn push_targets_do_not_replace_sms(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    register(&app, "phone", "apns", "phone").await.ok(204);
    register(&app, "till", "fcm", "till").await.ok(204);
    remove(&app, "till").await.ok(204);
    let at = merchant.now();
    app.activate(&live.card()).await;
    // The stream delivers in the order of the events.
    let texts = live.notifications(&merchant.phone, 4).await;
    let added = zh(&Sms::PushTargetChanged { at });
    assert_eq!(
        texts[..3],
        [added.clone(), added, zh(&Sms::PushTargetRemoved { at })]
    );
    assert!(freeze_code_in(&texts[3]).is_some());
    live.notifications(&merchant.reserved_phone, 1).await;
}
