//! `Idempotency-Key`: a repeated request gets the same reply and changes nothing.

use domain::error_code::ErrorCode;
use domain::policy::DAY_S;
use serde_json::{Value, json};
use tests::local_cloud::LocalCloud;
use tests::merchant::wrong_otp;
use tests::transport::Transport as _;

use crate::see::rebind_path;

/// Every step, sent twice: the same status and body, marked as a replay. The rebind moved once.
pub async fn repeated_step_replays_its_reply(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let twice = async |path: &str, body: Value| {
        let first = app.keyed(path, path, body.clone()).await;
        assert!(!first.is_replayed());
        merchant.pass_s(1);
        let second = app.keyed(path, path, body).await;
        assert!(second.is_replayed(), "{path}");
        assert_eq!((first.status, &first.body), (second.status, &second.body));
        first.body
    };
    let path = rebind_path(&twice("/v1/rebinds", app.request_body(&live.card())).await);
    twice(&format!("{path}/identity"), app.document()).await;
    merchant.pass_s(60);
    twice(&format!("{path}/identity/code"), Value::Null).await;
    assert_eq!(live.codes_sent(&merchant.phone).await, 2);
    let code = live.code(&merchant.phone).await;
    twice(&format!("{path}/identity/confirm"), json!({"code": code})).await;
    let signature = app.signature(&path).await;
    twice(&format!("{path}/agreement"), signature).await;
    twice(&format!("{path}/card-check"), Value::Null).await;
    merchant.pass_s(60);
    twice(&format!("{path}/card-check/code"), Value::Null).await;
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 2);
    let code = live.code(&merchant.reserved_phone).await;
    let done = twice(&format!("{path}/card-check/confirm"), json!({"code": code})).await;
    assert_eq!(done["state"], "activated");
    // The first reply is replayed however far the rebind has moved.
    let created = app.keyed("/v1/rebinds", "/v1/rebinds", ()).await;
    created.refused(ErrorCode::IdempotencyMismatch);
    live.notifications(&merchant.phone, 1).await;

    let other = live.merchant().await;
    let app = live.app(&other).await;
    let path = app.request(&live.card()).await;
    let cancel = format!("{path}/cancel");
    let first = app.keyed("c", &cancel, ()).await.ok(200);
    let second = app.keyed("c", &cancel, json!({})).await;
    assert!(second.is_replayed(), "an empty body means {{}}");
    assert_eq!(second.ok(200), first);
}

/// The key with a different body is refused, even with an invalid one. Another spelling of the same body is accepted.
pub async fn same_key_with_other_body_is_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let body = app.request_body(&live.card());
    let created = app.keyed("k", "/v1/rebinds", body.clone()).await.ok(201);
    let mut other = body.clone();
    other["reason"] = json!("lost");
    app.keyed("k", "/v1/rebinds", other)
        .await
        .refused(ErrorCode::IdempotencyMismatch);
    // An invalid body counts as a different body first.
    app.keyed("k", "/v1/rebinds", json!({"card_number": "1"}))
        .await
        .refused(ErrorCode::IdempotencyMismatch);
    let spelled = serde_json::to_string_pretty(&body)
        .unwrap()
        .replace("测", "\\u6d4b");
    let again = app
        .ask("POST", "/v1/rebinds")
        .key("k")
        .body(spelled)
        .send()
        .await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(201), created);
    let path = rebind_path(&created);
    app.keyed("i", &format!("{path}/identity"), app.document())
        .await
        .ok(200);
    let mut wrong = app.document();
    wrong["document_expires_on"] = json!("2030-01-01");
    let mismatch = app.keyed("i", &format!("{path}/identity"), wrong).await;
    mismatch.refused(ErrorCode::IdempotencyMismatch);
}

/// Scope: merchant, method and path.
pub async fn key_scope_is_merchant_method_and_path(live: &LocalCloud) {
    let (one, two) = (live.merchant().await, live.merchant().await);
    let (a, b) = (live.app(&one).await, live.app(&two).await);
    let first = a
        .keyed("same", "/v1/rebinds", a.request_body(&live.card()))
        .await
        .ok(201);
    let reply = b
        .keyed("same", "/v1/rebinds", b.request_body(&live.card()))
        .await;
    assert!(!reply.is_replayed());
    let second = reply.ok(201);
    assert_ne!(first["rebind_id"], second["rebind_id"]);
    a.keyed(
        "same",
        &format!("{}/identity", rebind_path(&first)),
        a.document(),
    )
    .await
    .ok(200);
    // Another device of the merchant may repeat the merchant's request.
    let device = live.app_on(&one, "another device").await;
    let again = device
        .keyed(
            "same",
            &format!("{}/identity", rebind_path(&first)),
            a.document(),
        )
        .await;
    assert!(again.is_replayed());
    // Another merchant's rebind is not found, whatever the key.
    let foreign = format!("{}/identity", rebind_path(&first));
    b.keyed("same", &foreign, a.document())
        .await
        .refused(ErrorCode::NotFound);
}

/// A key is stored for a day; then it is new again.
pub async fn key_is_reusable_after_24_h(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let body = app.request_body(&live.card());
    let first = app.keyed("k", "/v1/rebinds", body.clone()).await.ok(201);
    merchant.pass_s(DAY_S - 1);
    let app = live.app(&merchant).await;
    let again = app.keyed("k", "/v1/rebinds", body.clone()).await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(201), first);
    merchant.pass_s(1);
    let anew = app.keyed("k", "/v1/rebinds", body).await;
    assert!(!anew.is_replayed());
    assert_ne!(anew.ok(201)["rebind_id"], first["rebind_id"]);
}

/// Counted refusals are stored. Others may be corrected under the same key.
pub async fn only_counted_refusals_are_replayed(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let mut body = app.request_body(&live.card());
    body["holder_name"] = json!("别人");
    app.keyed("k", "/v1/rebinds", body)
        .await
        .refused(ErrorCode::HolderNotMerchant);
    let created = app
        .keyed("k", "/v1/rebinds", app.request_body(&live.card()))
        .await;
    assert!(!created.is_replayed());
    let path = rebind_path(&created.ok(201));

    let identity = format!("{path}/identity");
    let mut wrong = app.document();
    wrong["document_expires_on"] = json!("2030-01-01");
    for replayed in [false, true, true] {
        let reply = app.keyed("w", &identity, wrong.clone()).await;
        assert_eq!(reply.is_replayed(), replayed);
        assert_eq!(
            reply.refused(ErrorCode::IdMismatch)["attempts_left"],
            4,
            "counted once"
        );
    }
    app.keyed("w", &identity, app.document())
        .await
        .refused(ErrorCode::IdempotencyMismatch);
    app.show_document(&path).await;
    let code = live.code(&merchant.phone).await;
    let confirm = format!("{path}/identity/confirm");
    for replayed in [false, true, true] {
        let reply = app
            .keyed("g", &confirm, json!({"code": wrong_otp(&code)}))
            .await;
        assert_eq!(reply.is_replayed(), replayed);
        assert_eq!(
            reply.refused(ErrorCode::OtpWrong)["attempts_left"],
            4,
            "one attempt"
        );
    }
    // The refusal of a limit is not stored, so the key works again once the limit has passed.
    let resend = format!("{path}/identity/code");
    app.keyed("r", &resend, ())
        .await
        .refused(ErrorCode::OtpSendLimit);
    merchant.pass_s(60);
    let reply = app.keyed("r", &resend, ()).await;
    assert!(!reply.is_replayed());
    reply.ok(200);
}

/// A request that an app sends three times at once after a timeout: one attempt, one effect, one reply.
pub async fn concurrent_repeats_act_once(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let thrice = async |key: &str, path: &str, body: Value| {
        let replies =
            futures::future::join_all((0..3).map(|_| app.keyed(key, path, body.clone()))).await;
        assert!(
            replies
                .iter()
                .all(|reply| (reply.status, &reply.body) == (replies[0].status, &replies[0].body))
        );
        replies.into_iter().next().unwrap()
    };
    let path = rebind_path(
        &thrice("a", "/v1/rebinds", app.request_body(&live.card()))
            .await
            .ok(201),
    );
    thrice("b", &format!("{path}/identity"), app.document())
        .await
        .ok(200);
    let code = live.code(&merchant.phone).await;
    let confirm = format!("{path}/identity/confirm");
    let wrong = thrice("c", &confirm, json!({"code": wrong_otp(&code)}))
        .await
        .refused(ErrorCode::OtpWrong);
    assert_eq!(wrong["attempts_left"], 4);
    thrice("d", &confirm, json!({"code": code})).await.ok(200);
    let signature = app.signature(&path).await;
    thrice("e", &format!("{path}/agreement"), signature)
        .await
        .ok(200);
    thrice("f", &format!("{path}/card-check"), Value::Null)
        .await
        .ok(200);
    let code = live.code(&merchant.reserved_phone).await;
    let activated = thrice(
        "g",
        &format!("{path}/card-check/confirm"),
        json!({"code": code}),
    )
    .await
    .ok(200);
    assert_eq!(activated["state"], "activated");
    for phone in [&merchant.phone, &merchant.reserved_phone] {
        assert_eq!(live.codes_sent(phone).await, 1);
        live.notifications(phone, 1).await;
    }
}

/// A refusal that ended the rebind is replayed as it was.
pub async fn rejection_is_replayed(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("invalid")).await;
    let check = format!("{path}/card-check");
    let first = app
        .keyed("k", &check, ())
        .await
        .refused(ErrorCode::CardInvalid);
    let again = app.keyed("k", &check, ()).await;
    assert!(again.is_replayed());
    assert_eq!(again.refused(ErrorCode::CardInvalid), first);
    app.keyed("l", &check, ())
        .await
        .refused(ErrorCode::StepOutOfOrder);
}

/// The steps that require a key, and its format.
pub async fn malformed_keys_are_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let body = app.request_body(&live.card());
    let without = app.ask("POST", "/v1/rebinds").json(&body).send().await;
    without.refused(ErrorCode::RequestMalformed);
    let longest = "k".repeat(255);
    let too_long = "k".repeat(256);
    for key in ["", too_long.as_str(), "schlüssel"] {
        app.keyed(key, "/v1/rebinds", body.clone())
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    let path = rebind_path(&app.keyed(&longest, "/v1/rebinds", body).await.ok(201));
    // Optional if nothing new is created. Ignored if nothing is changed, and on sessions.
    app.ask("POST", &format!("{path}/identity"))
        .json(&app.document())
        .send()
        .await
        .ok(200);
    app.ask("GET", &path).key(&too_long).send().await.ok(200);
    let gone = app
        .ask("DELETE", "/v1/sessions/current")
        .key(&too_long)
        .send()
        .await;
    gone.ok(204);
}
