//! The order of checks: of several errors, the first one is reported.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, MINUTE_S, Policy};
use serde_json::{Value, json};
use tests::local_cloud::LocalCloud;

use crate::see::rebind_path;

/// Size and JSON, token, owner, idempotency.
pub async fn body_token_and_object_checks_in_order(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let identity = format!("{path}/identity");
    let large = format!("{{\"document_number\":\"{}\"}}", "1".repeat(17 * 1024));
    for token in ["", "mer_x.0.x", app.token.as_str()] {
        let post = |body: &str| {
            live.ask("POST", &identity)
                .token(token)
                .body(body.to_owned())
                .send()
        };
        post(&large).await.refused(ErrorCode::BodyTooLarge);
        post("{").await.refused(ErrorCode::RequestMalformed);
        post("{\"colour\":1}")
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    let nowhere = "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/identity";
    let dead = live
        .ask("POST", nowhere)
        .token("mer_x.0.x")
        .key("k")
        .json(&app.document());
    dead.send().await.refused(ErrorCode::SessionExpired);
    // The owner is checked before the key, so a key that was used with another body changes nothing.
    app.keyed("k", &identity, app.document()).await.ok(200);
    let stranger = live.merchant().await;
    let other = live.app(&stranger).await;
    other
        .keyed("k", &identity, ())
        .await
        .refused(ErrorCode::NotFound);
}

/// From the frozen account to the limits: ten obstacles, removed one by one.
pub async fn rebind_checks_run_in_order(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let pk = merchant.pk();
    let path = app.request(&live.card()).await;
    let now = merchant.now().epoch_s();
    let starts = (0_i64..).map(|ago| now - 60 * ago);
    let mut limit: Vec<i64> = starts.take(Policy::CURRENT.rebinds_per_day).collect();
    limit.reverse();
    live.edit_state(&pk, "Y", |state| {
        state["frz"] = json!({"at": now});
        state["sec"] = json!(now);
        state["day"] = in_every_count(&limit);
    })
    .await;
    let until = aws_sdk_dynamodb::types::AttributeValue::N((now + 2 * DAY_S).to_string());
    live.edit(&pk, "Y", "cooldown_until", until).await;
    live.edit_state(&pk, "Z", |profile| profile["kind"] = json!("company"))
        .await;
    merchant.pass_s(14 * MINUTE_S);
    // A change keeps the session alive while its login becomes too old.
    live.edit_state(&pk, "Y", |state| {
        drop(state.as_object_mut().unwrap().remove("frz"))
    })
    .await;
    app.show_document(&path).await;
    live.edit_state(&pk, "Y", |state| state["frz"] = json!({"at": now}))
        .await;
    merchant.pass_s(MINUTE_S);

    let mut body =
        json!({"card_number": "12", "holder_name": "别人", "reserved_phone": "1", "reason": "?"});
    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::AccountFrozen);
    assert_eq!(blocked_by(&app).await, "ACCOUNT_FROZEN");
    live.edit_state(&pk, "Y", |state| {
        drop(state.as_object_mut().unwrap().remove("frz"))
    })
    .await;

    app.post("/v1/rebinds", body)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(blocked_by(&app).await, "STEP_UP_REQUIRED");
    let app = live.app(&merchant).await;

    body = app.request_body("6225750009007770");
    body["holder_name"] = json!("别人");
    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::HolderNotMerchant);
    body["holder_name"] = json!(merchant.holder_name);

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::EntityNeedsSupport);
    assert_eq!(blocked_by(&app).await, "ENTITY_NEEDS_SUPPORT");
    live.edit_state(&pk, "Z", |profile| {
        profile["kind"] = json!("natural_person")
    })
    .await;

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::QuietPeriod);
    assert_eq!(blocked_by(&app).await, "QUIET_PERIOD");
    live.edit_state(&pk, "Y", |state| {
        drop(state.as_object_mut().unwrap().remove("sec"))
    })
    .await;

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::RequestInProgress);
    assert_eq!(blocked_by(&app).await, "REQUEST_IN_PROGRESS");
    merchant.pass_s(DAY_S);
    live.edit_state(&pk, "Y", |state| {
        let later: Vec<i64> = limit.iter().map(|at| at + DAY_S).collect();
        state["day"] = in_every_count(&later);
    })
    .await;
    let app = live.app(&merchant).await;

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::RebindCooldown);
    assert_eq!(blocked_by(&app).await, "REBIND_COOLDOWN");
    let over = aws_sdk_dynamodb::types::AttributeValue::N((now + DAY_S).to_string());
    live.edit(&pk, "Y", "cooldown_until", over).await;

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::CardTypeCredit);
    body["card_number"] = json!(merchant.active_card);
    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::CardSameAsCurrent);
    body["card_number"] = json!(live.card());

    app.post("/v1/rebinds", body.clone())
        .await
        .refused(ErrorCode::DailyRequestLimit);
    assert_eq!(blocked_by(&app).await, "DAILY_REQUEST_LIMIT");
    live.edit_state(&pk, "Y", |state| state["day"] = json!([]))
        .await;

    assert_eq!(app.get("/v1/cards").await.ok(200)["can_rebind"], true);
    app.post("/v1/rebinds", body).await.ok(201);
}

/// Expiry, step order, fields. For an OTP: step order, its form, its age.
pub async fn step_checks_run_in_order(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = rebind_path(
        &app.post("/v1/rebinds", app.request_body(&live.card()))
            .await
            .ok(201),
    );
    let nonsense = json!({"document_number": "1", "document_expires_on": "?"});
    app.post(&format!("{path}/identity"), nonsense.clone())
        .await
        .refused(ErrorCode::IdFormat);
    app.try_identity_code(&path, "x")
        .await
        .refused(ErrorCode::StepOutOfOrder);
    app.identify(&path).await;
    app.post(&format!("{path}/identity"), nonsense.clone())
        .await
        .refused(ErrorCode::StepOutOfOrder);
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    app.post(&format!("{path}/identity"), nonsense)
        .await
        .refused(ErrorCode::RequestExpired);
    app.post(&format!("{path}/agreement"), json!({}))
        .await
        .refused(ErrorCode::RequestExpired);
}

/// Stored counts of rebinds that apply to every device: two older ones leave no room for a third.
fn in_every_count(rebinds: &[i64]) -> Value {
    let counts = |device| json!([device, 0, 0, rebinds.len(), rebinds]);
    json!([counts("older-1"), counts("older-2"), counts("")])
}

async fn blocked_by(app: &tests::local_cloud::App<'_>) -> Value {
    app.get("/v1/cards").await.ok(200)["blocked_by"].clone()
}
