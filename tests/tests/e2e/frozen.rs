//! A frozen account: login and reads work, nothing else.

use serde_json::{Value, json};
use shared::domain::code::Code;
use tests::system::{App, Live};

/// In each of the pending states.
pub async fn only_reads_work(live: &Live) {
    let merchant = live.merchant().await;
    let app = live.app(&merchant).await;
    let frozen_at = merchant.now().epoch_s();
    let pk = merchant.pk();
    let freeze = || live.edit_state(&pk, "Y", |head| head["ice"] = json!(frozen_at));
    let thaw = || {
        live.edit_state(&pk, "Y", |head| {
            drop(head.as_object_mut().unwrap().remove("ice"))
        })
    };

    let path = app.request(&live.card()).await;
    app.show_document(&path).await;
    freeze().await;
    nothing_moves(&app, &path).await;
    // A reply that was given before is given again: the key comes before the freeze.
    thaw().await;
    let code = live.code(&merchant.phone).await;
    let confirm = format!("{path}/identity/confirm");
    let confirmed = app
        .keyed("c", &confirm, json!({"code": code}))
        .await
        .ok(200);
    freeze().await;
    let again = app.keyed("c", &confirm, json!({"code": code})).await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(200), confirmed);
    app.keyed("c", &confirm, json!({"code": "000000"}))
        .await
        .refused(Code::IdempotencyMismatch);

    nothing_moves(&app, &path).await;
    app.get(&format!("{path}/agreement")).await.ok(200);
    thaw().await;
    app.sign(&path).await;
    freeze().await;
    nothing_moves(&app, &path).await;
    assert!(live.sms(&merchant.reserved_phone).await.is_empty());
    thaw().await;
    app.check_card(&path).await.ok(200);
    freeze().await;
    nothing_moves(&app, &path).await;
    let code = live.code(&merchant.reserved_phone).await;
    app.post(&format!("{path}/card-check/confirm"), json!({"code": code}))
        .await
        .refused(Code::AccountFrozen);
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["active"]["status"],
        "active"
    );
}

async fn nothing_moves(app: &App<'_>, path: &str) {
    let before = app.get(path).await.ok(200);
    for step in [
        "cancel",
        "identity",
        "identity/code",
        "identity/confirm",
        "agreement",
        "card-check",
        "card-check/code",
        "card-check/confirm",
    ] {
        let problem = app
            .post(&format!("{path}/{step}"), Value::Null)
            .await
            .refused(Code::AccountFrozen);
        assert_eq!(
            problem["next_actions"],
            json!(["contact_support"]),
            "{step}"
        );
    }
    let body = app.request_body(&app.live.card());
    app.post("/v1/rebinds", body)
        .await
        .refused(Code::AccountFrozen);
    assert_eq!(app.get(path).await.ok(200), before);
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("ACCOUNT_FROZEN"))
    );
    app.get("/v1/rebinds").await.ok(200);
    app.live.app(&app.merchant).await.get(path).await.ok(200);
}
