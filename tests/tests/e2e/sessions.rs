//! Login, session lifetime, logout.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use serde_json::{Value, json};
use std::time::Duration;
use store::item::Item;
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::Profile;
use tests::secrets::Kind;

use crate::see::without;

/// One attempt to log in with a password.
async fn try_password(
    live: &LocalCloud,
    merchant: &Profile,
    device: &str,
    password: &str,
) -> tests::transport::Reply {
    let mut body = live.credentials(merchant, device);
    body["password"] = json!(password);
    live.log_in(merchant.now(), &body).await
}

/// A wrong password and an unknown account get the same answer.
pub async fn unknown_account_looks_like_bad_password(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let wrong = try_password(live, &merchant, "a device", "not this one").await;
    let wrong = wrong.refused(ErrorCode::AuthBadCredentials);
    assert_eq!(wrong["counts_toward_limit"], true);
    let mut nobody = merchant.clone();
    nobody.account = "nobody@example.com".to_owned();
    let unknown = try_password(live, &nobody, "a device", "not this one").await;
    let unknown = unknown.refused(ErrorCode::AuthBadCredentials);
    assert_eq!(
        without(&wrong, &["support_ref"]),
        without(&unknown, &["support_ref"])
    );
}

/// From the fourth failure in a row a device must wait, twice as long each time. A right password resets the wait.
pub async fn waits_double_from_fourth_failure(live: &LocalCloud) {
    let merchant = live.merchant().await;
    live.app_on(&merchant, "known").await;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let mut reply = try_password(live, &merchant, "known", "wrong").await;
        if reply.status == 429 {
            // Before the wait is over not even the right password is compared, and the attempt counts for nothing.
            for _ in 0..2 {
                let early = try_password(live, &merchant, "known", &merchant.password).await;
                assert_eq!(
                    early.refused(ErrorCode::AuthThrottled)["counts_toward_limit"],
                    false
                );
            }
            let wait_s = reply.refused(ErrorCode::AuthThrottled)["retry_after_s"]
                .as_i64()
                .unwrap();
            merchant.pass_s(wait_s - 1);
            let early = try_password(live, &merchant, "known", "wrong").await;
            assert_eq!(early.refused(ErrorCode::AuthThrottled)["retry_after_s"], 1);
            merchant.pass_s(1);
            waits.push(wait_s);
            reply = try_password(live, &merchant, "known", "wrong").await;
        }
        reply.refused(ErrorCode::AuthBadCredentials);
    }
    assert_eq!(waits, [2, 4], "after the fourth and the fifth failure");
    merchant.pass_s(8);
    live.app_on(&merchant, "known").await;
    try_password(live, &merchant, "known", "wrong")
        .await
        .refused(ErrorCode::AuthBadCredentials);
    live.app_on(&merchant, "known").await;
}

/// Twenty failures a day; the limit resets on the next day.
pub async fn twenty_failures_block_for_a_day(live: &LocalCloud) {
    let merchant = live.merchant().await;
    live.app_on(&merchant, "known").await;
    for _ in 0..20 {
        merchant.pass_s(15 * MINUTE_S);
        try_password(live, &merchant, "known", "wrong")
            .await
            .refused(ErrorCode::AuthBadCredentials);
    }
    merchant.pass_s(15 * MINUTE_S);
    let problem = try_password(live, &merchant, "known", &merchant.password).await;
    let problem = problem.refused(ErrorCode::AuthThrottled);
    assert_eq!(problem["retry_after_s"], DAY_S - 20 * 15 * MINUTE_S);
    merchant.pass_s(DAY_S - 20 * 15 * MINUTE_S);
    live.app_on(&merchant, "known").await;
}

/// Failures from unknown devices delay other unknown devices, never the merchant's own.
pub async fn unknown_devices_do_not_block_known_one(live: &LocalCloud) {
    let merchant = live.merchant().await;
    live.app_on(&merchant, "known").await;
    for guess in 0..4 {
        let device = format!("made up {guess}");
        try_password(live, &merchant, &device, "wrong")
            .await
            .refused(ErrorCode::AuthBadCredentials);
    }
    try_password(live, &merchant, "made up", "wrong")
        .await
        .refused(ErrorCode::AuthThrottled);
    try_password(live, &merchant, "new", &merchant.password)
        .await
        .refused(ErrorCode::AuthThrottled);
    live.app_on(&merchant, "known").await;
}

/// Many merchants log in at the same moment from new devices behind one carrier's address: each succeeds, and none of these
/// logins stays counted as a failure. A machine that is too slow to count them all at once asks for a repetition.
pub async fn concurrent_logins_leave_no_failures(live: &LocalCloud) {
    let mut merchants = Vec::new();
    for _ in 0..8 {
        merchants.push(live.merchant().await);
    }
    let turn = live.lock_logins().await;
    let logins = merchants.iter().map(|merchant| async {
        let body = live.credentials(merchant, "new");
        let login = || live.ask("POST", "/v1/sessions").at(merchant.now());
        let mut reply = login().json(&body).send().await;
        for _ in 0..3 {
            if reply.status != 429 {
                break;
            }
            let busy = reply.refused(ErrorCode::AuthThrottled);
            assert_eq!(busy["counts_toward_limit"], false);
            tokio::time::sleep(Duration::from_secs(1)).await;
            reply = login().json(&body).send().await;
        }
        reply
    });
    let replies = futures::future::join_all(logins).await;
    drop(turn);
    for reply in replies {
        let login = reply.ok(201);
        live.secrets
            .add(Kind::Token, login["token"].as_str().unwrap());
    }
    let items = live.items().await;
    for merchant in &merchants {
        let is_mine = |item: &&Item| {
            item.get("merchant_id")
                .is_some_and(|id| id.as_s() == Ok(&merchant.id))
        };
        let account = items.iter().find(is_mine).unwrap()["pk"].clone();
        let logins = live.item(account.as_s().unwrap(), "L").await;
        let others = logins["others"].as_s().unwrap();
        assert_eq!(others, "[0,[]]", "failures stay counted");
    }
}

/// All missing fields of a login are listed at once.
pub async fn malformed_login_names_missing_fields(live: &LocalCloud) {
    let sessions = |body: Value| live.ask("POST", "/v1/sessions").json(&body).send();
    let problem = sessions(json!({"account": "a"}))
        .await
        .refused(ErrorCode::RequestMalformed);
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["password", "device_id"]);
    for body in [
        json!({}),
        Value::Null,
        json!([]),
        json!({"account": "a", "password": 1, "device_id": "d"}),
        json!({"account": "a", "password": "p", "device_id": "d", "remember_me": true}),
        json!({"account": "", "password": "p", "device_id": "d"}),
    ] {
        sessions(body).await.refused(ErrorCode::RequestMalformed);
    }
}

/// One endpoint of each function that requires a session.
const DOORS: [(&str, &str); 8] = [
    ("GET", "/v1/cards"),
    ("GET", "/v1/rebinds"),
    ("GET", "/v1/rebinds/rbd_0000010000000000000000/agreement"),
    (
        "POST",
        "/v1/rebinds/rbd_0000010000000000000000/identity/code",
    ),
    ("DELETE", "/v1/sessions/current"),
    ("GET", "/v1/payouts"),
    ("POST", "/v1/cards/card_000000bbbbbbbbbbbbbbbb/unbind"),
    ("DELETE", "/v1/push-targets/phone"),
];

/// Every endpoint refuses the token.
async fn is_dead(live: &LocalCloud, merchant: &Profile, token: &str) {
    for (method, path) in DOORS {
        let refused = live
            .ask(method, path)
            .token(token)
            .at(merchant.now())
            .send()
            .await;
        assert_eq!(
            refused.refused(ErrorCode::SessionExpired)["next_actions"],
            json!(["login"])
        );
    }
}

/// No token, a token of another shape, with a wrong secret, of another merchant.
pub async fn invalid_tokens_are_refused(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let (start, secret) = app.token.rsplit_once('.').unwrap();
    let mut guessed = secret.to_owned();
    guessed.replace_range(..1, if secret.starts_with('A') { "B" } else { "A" });
    let other = live.merchant().await;
    let foreign = app.token.replacen(&merchant.id, &other.id, 1);
    for token in [
        "",
        "x",
        start,
        &format!("{start}.{guessed}"),
        &foreign,
        &format!("{}.x", app.token),
    ] {
        is_dead(live, &merchant, token).await;
    }
    for (method, path) in DOORS {
        live.ask(method, path)
            .send()
            .await
            .refused(ErrorCode::SessionExpired);
        let basic = live
            .ask(method, path)
            .header("authorization", "Basic bWU6bWU=");
        basic.send().await.refused(ErrorCode::SessionExpired);
    }
    app.get("/v1/cards").await.ok(200);
}

/// The session ends at once and for every endpoint; the merchant's other session stays.
pub async fn logout_ends_only_its_own_session(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let other = live.app_on(&merchant, "another device").await;
    let path = app.request(&live.card()).await;
    let gone = app.ask("DELETE", "/v1/sessions/current").send().await;
    assert_eq!(gone.ok(204), Value::Null);
    is_dead(live, &merchant, &app.token).await;
    app.cancel(&path).await.refused(ErrorCode::SessionExpired);
    assert_eq!(other.get(&path).await.ok(200)["state"], "identity_pending");
}

/// Fifteen minutes from the login or the last change; a read does not extend them.
pub async fn session_expires_after_15_min_idle(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    merchant.pass_s(14 * MINUTE_S);
    let path = app.request(&live.card()).await;
    merchant.pass_s(15 * MINUTE_S - 1);
    app.get("/v1/cards").await.ok(200);
    merchant.pass_s(1);
    is_dead(live, &merchant, &app.token).await;
    let app = live.app(&merchant).await;
    merchant.pass_s(15 * MINUTE_S - 1);
    app.get(&path).await.ok(200);
    merchant.pass_s(1);
    is_dead(live, &merchant, &app.token).await;
}

/// Twelve hours, however busy the session is.
pub async fn session_expires_after_12_h(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let login_at = merchant.now();
    let app = live.app(&merchant).await;
    merchant.set_clock(login_at.plus_s(12 * HOUR_S - 60));
    last_change(live, &app, 11 * HOUR_S + 50 * MINUTE_S).await;
    app.get("/v1/cards").await.ok(200);
    merchant.set_clock(login_at.plus_s(12 * HOUR_S));
    is_dead(live, &merchant, &app.token).await;
}

/// Two new devices a day become known. A further one can read, and changes nothing.
pub async fn third_new_device_of_a_day_can_only_read(live: &LocalCloud) {
    let merchant = live.merchant().await;
    for device in ["second device", "third device"] {
        live.app_on(&merchant, device).await;
    }
    let app = live.app_on(&merchant, "fourth device").await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["blocked_by"], "DEVICE_TOO_NEW");
    let problem = app
        .post("/v1/rebinds", app.request_body(&live.card()))
        .await
        .refused(ErrorCode::DeviceTooNew);
    assert_eq!(problem["next_actions"], json!(["login", "contact_support"]));
    live.notifications(&merchant.phone, 2).await;
}

/// A rebind starts with a login younger than fifteen minutes and continues with an older one.
pub async fn new_rebind_needs_fresh_login(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    merchant.pass_s(14 * MINUTE_S);
    let path = app.request(&live.card()).await;
    merchant.pass_s(MINUTE_S - 1);
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["blocked_by"],
        "REQUEST_IN_PROGRESS"
    );
    merchant.pass_s(1);
    app.show_document(&path).await;
    app.cancel(&path).await.ok(200);
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("STEP_UP_REQUIRED"))
    );
    let problem = app
        .post("/v1/rebinds", app.request_body(&live.card()))
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["login"]));
    live.app(&merchant).await.request(&live.card()).await;
}

/// A malformed clock is refused at every endpoint.
pub async fn malformed_clock_is_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    for clock in [
        "",
        "now",
        "1795312800",
        "2026-11-22",
        "2026-11-22T10:00:00",
        "2026-02-30T10:00:00Z",
    ] {
        for (method, path) in DOORS.into_iter().chain([("POST", "/v1/sessions")]) {
            let ask = live
                .ask(method, path)
                .token(&app.token)
                .header("x-sandbox-now", clock);
            ask.send().await.refused(ErrorCode::RequestMalformed);
        }
    }
    app.get("/v1/cards").await.ok(200);
}

/// Writes a session's last change into the table, in seconds from its login. A record holds version, token hash, login time,
/// time of the last change, and the device.
async fn last_change(live: &LocalCloud, app: &App<'_>, after_s: i64) {
    let slot = app.token.split('.').nth(1).unwrap();
    let name = format!("s{slot}");
    let state = live.item(&app.profile.pk(), "Y").await;
    let mut session = state[&name].as_b().unwrap().as_ref().to_vec();
    let times = session.get_mut(33..43).unwrap();
    let (login_at, last_change) = times.split_at_mut(5);
    let number = |bytes: &[u8]| {
        let add = |number: i64, byte: &u8| number << 8 | i64::from(*byte);
        bytes.iter().fold(0, add)
    };
    let changed_at = (number(login_at) + after_s).to_be_bytes();
    last_change.copy_from_slice(&changed_at[8 - last_change.len()..]);
    let session = AttributeValue::B(session.into());
    live.edit(&app.profile.pk(), "Y", &name, session).await;
}
