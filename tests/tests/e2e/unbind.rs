//! The removal of cards by the merchant, and its obstacles.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::transport::{Reply, Transport as _};

/// Removes a card.
pub async fn unbind(app: &App<'_>, card: &Value) -> Reply {
    let card_id = card["card_id"].as_str().unwrap();
    app.post(&format!("/v1/cards/{card_id}/unbind"), ()).await
}

/// Active and pending cards cannot be removed. No card can be removed in the quiet period or with an old login.
pub async fn active_or_pending_card_cannot_leave(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let active = app.get("/v1/cards").await.ok(200)["active"].clone();
    let problem = unbind(&app, &active)
        .await
        .refused(ErrorCode::LastCardCannotUnbind);
    assert_eq!(problem["next_actions"], json!(["new_rebind"]));
    let standby = app.standby_rebind(&live.card()).await["new_card"].clone();
    live.handed_over(&merchant).await;
    // Another usable card does not help while this one is active.
    unbind(&app, &active)
        .await
        .refused(ErrorCode::LastCardCannotUnbind);

    merchant.pass_s(MINUTE_S);
    let open = app.request(&live.card()).await;
    let pending = app.get(&open).await.ok(200)["new_card"].clone();
    let problem = unbind(&app, &pending)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    assert_eq!(problem["next_actions"], json!(["identity", "cancel"]));
    app.cancel(&open).await.ok(200);
    unbind(&app, &pending).await.refused(ErrorCode::NotFound);

    let pk = merchant.pk();
    let now = merchant.now().epoch_s();
    live.edit_state(&pk, "Y", |state| state["sec"] = json!(now))
        .await;
    for card in [&active, &standby] {
        let problem = unbind(&app, card).await.refused(ErrorCode::QuietPeriod);
        assert_eq!(problem["retry_after_s"], DAY_S);
    }
    live.edit_state(&pk, "Y", |state| {
        drop(state.as_object_mut().unwrap().remove("sec"))
    })
    .await;

    let stranger = live.merchant().await;
    let other = live.app(&stranger).await;
    for card in [&active, &standby, &json!({"card_id": "x"})] {
        unbind(&other, card).await.refused(ErrorCode::NotFound);
    }
    unbind(&app, &json!({"card_id": "card_000009bbbbbbbbbbbbbbbb"}))
        .await
        .refused(ErrorCode::NotFound);
    merchant.pass_s(13 * MINUTE_S);
    let target = json!({"platform": "apns", "token": "keeps_this_session_awake"});
    app.put("/v1/push-targets/p", target).await.ok(204);
    merchant.pass_s(2 * MINUTE_S);
    let problem = unbind(&app, &standby)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(problem["next_actions"], json!(["login"]));
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["active"], &cards["standby"]),
        (&active, &json!([standby]))
    );
}

/// A standby card may be removed at any time.
pub async fn standby_card_unbinds_any_time(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let ready = app.standby_rebind(&card).await;
    let path = crate::see::rebind_path(&ready);
    let off = format!(
        "/v1/cards/{}/unbind",
        ready["new_card"]["card_id"].as_str().unwrap()
    );
    assert_eq!(app.keyed("k", &off, ()).await.ok(204), Value::Null);
    let again = app.keyed("k", &off, json!({})).await;
    assert!(again.is_replayed());
    assert_eq!(again.ok(204), Value::Null);
    app.post(&off, ()).await.refused(ErrorCode::NotFound);
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (
            &shown["state"],
            &shown["new_card"]["status"],
            &shown["next_actions"]
        ),
        (&json!("completed"), &json!("removed"), &json!([]))
    );
    assert_eq!(shown["new_card"].get("usable_at"), None);
    assert_eq!(app.get("/v1/cards").await.ok(200)["standby"], json!([]));
    app.post(&crate::standby::switch_path(&ready), ())
        .await
        .refused(ErrorCode::NotFound);
    let events = app.history().await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["data"]["card_id"]),
        (&json!("card_unbound"), &ready["new_card"]["card_id"])
    );
    // It can be added again.
    merchant.pass_s(MINUTE_S);
    app.activate(&card).await;
}

/// Without an active card, the only usable card stays.
pub async fn only_usable_card_cannot_be_unbound(live: &LocalCloud) {
    let merchant = live.merchant_with(json!({"active_card": null})).await;
    let app = live.app(&merchant).await;
    let one = app.standby_rebind(&live.card()).await["new_card"].clone();
    live.handed_over(&merchant).await;
    unbind(&app, &one)
        .await
        .refused(ErrorCode::LastCardCannotUnbind);
    merchant.pass_s(MINUTE_S);
    let two = app.standby_rebind(&live.card()).await["new_card"].clone();
    unbind(&app, &one).await.ok(204);
    unbind(&app, &two)
        .await
        .refused(ErrorCode::LastCardCannotUnbind);
}

/// A replaced card stays until its safety period and its last payout are over.
pub async fn replaced_card_waits_for_last_payout(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let old = app.get("/v1/cards").await.ok(200)["active"].clone();
    let path = app.activate(&live.card()).await;
    let activated_at = merchant.now();
    live.handed_over(&merchant).await;
    let problem = unbind(&app, &old).await.refused(ErrorCode::PayoutInFlight);
    assert_eq!(
        (&problem["retry_after_s"], &problem["next_actions"]),
        (&json!(8 * DAY_S), &json!(["wait"]))
    );
    let payout_id = format!("pay_{}_last", merchant.id);
    let created = json!({
        "operation": "create_payout", "merchant_id": merchant.id, "payout_id": payout_id, "amount_fen": 100,
        "time": activated_at.plus_s(HOUR_S).to_rfc3339_shanghai(),
    });
    let created = live.core(&created).await.unwrap();
    assert_eq!(created["card"]["card_id"], old["card_id"]);

    merchant.set_clock(activated_at.plus_s(8 * DAY_S - 1));
    let app = live.app(&merchant).await;
    let problem = unbind(&app, &old).await.refused(ErrorCode::PayoutInFlight);
    assert_eq!(problem["retry_after_s"], 1);
    merchant.pass_s(1);
    // The period is over; a payout is still open.
    unbind(&app, &old).await.refused(ErrorCode::PayoutInFlight);
    for (operation, status) in [("payout_sending", "sending"), ("payout_sent", "sent")] {
        unbind(&app, &old).await.refused(ErrorCode::PayoutInFlight);
        let event = json!({"operation": operation, "payout_id": payout_id});
        assert_eq!(live.core(&event).await.unwrap()["status"], status);
    }
    assert_eq!(unbind(&app, &old).await.ok(204), Value::Null);
    unbind(&app, &old).await.refused(ErrorCode::NotFound);
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (&rebind["old_card"]["status"], &rebind["new_card"]["status"]),
        (&json!("removed"), &json!("active"))
    );
}

/// A removal meets a switch to the same card: exactly one of the two happens.
pub async fn unbind_and_switch_exclude_each_other(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let path = crate::standby::switch_path(&ready);
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let (switched, gone) = futures::future::join(
        app.post(&path, json!({"code": code})),
        unbind(&app, &ready["new_card"]),
    )
    .await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["standby"], json!([]));
    let is_active = cards["active"]["card_id"] == ready["new_card"]["card_id"];
    assert_eq!(
        (switched.status == 200, gone.status == 204),
        (is_active, !is_active)
    );
}
