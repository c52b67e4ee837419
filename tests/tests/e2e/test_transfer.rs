//! The test transfer: ¥0.01 that shows if the new card can receive money, and undoes the change if it cannot.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S};
use domain::sms::Sms;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::transport::{Reply, Transport as _};

use crate::see::{label, last4, rebind_path, zh};

async fn test(app: &App<'_>, path: &str) -> Reply {
    app.test_transfer(path).await
}

/// A received transfer is reported once and shortens nothing.
pub async fn arrived_transfer_keeps_all_periods(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let path = app.to_card_pending(&card).await;
    let problem = test(&app, &path).await.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(problem["next_actions"], json!(["card_check", "cancel"]));
    app.check_card(&path).await.ok(200);
    let activated = app.confirm_card(&path).await.ok(200);
    assert_eq!(activated["next_actions"], json!(["test_transaction"]));
    assert_eq!(activated.get("test_succeeded_at"), None);
    merchant.pass_s(60);
    let tested_at = merchant.now().to_rfc3339_shanghai();
    let first = app
        .keyed("t", &format!("{path}/test-transaction"), ())
        .await
        .ok(200);
    assert_eq!(
        (&first["status"], &first["amount_fen"]),
        (&json!("succeeded"), &json!(1))
    );
    let rebind = &first["rebind"];
    assert_eq!(
        (&rebind["state"], &rebind["test_succeeded_at"]),
        (&json!("activated"), &json!(tested_at))
    );
    for same in ["effective_at", "cooldown_until", "activated_at"] {
        assert_eq!(rebind[same], activated[same], "{same}");
    }
    assert_eq!(rebind["next_actions"], json!([]));
    assert_eq!(&app.get(&path).await.ok(200), rebind);
    let replay = app
        .keyed("t", &format!("{path}/test-transaction"), ())
        .await;
    assert!(replay.is_replayed());
    // Under another key, the same transfer.
    merchant.pass_s(60);
    let again = test(&app, &path).await.ok(200);
    assert_eq!(
        (&again["status"], &again["rebind"]["test_succeeded_at"]),
        (&json!("succeeded"), &json!(tested_at))
    );
    let transfers = live.statement(&card).await;
    assert_eq!(transfers.len(), 1);
    assert_eq!(
        (&transfers[0]["amount_fen"], &transfers[0]["status"]),
        (&json!(1), &json!("succeeded"))
    );
    let kinds = app.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["test_transfer_started", "test_transfer_succeeded"]
    );
}

/// Requested at the same moment from several places: one transfer.
pub async fn concurrent_requests_send_one_transfer(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let card = live.card();
    let path = app.activate(&card).await;
    let replies = futures::future::join_all((0..4).map(|_| test(&app, &path))).await;
    for reply in replies {
        assert_eq!(reply.ok(200)["status"], "succeeded");
    }
    assert_eq!(live.statement(&card).await.len(), 1);
    let kinds = app.kinds().await;
    let count = |kind: &str| kinds.iter().filter(|of| *of == kind).count();
    assert_eq!(
        (
            count("test_transfer_started"),
            count("test_transfer_succeeded")
        ),
        (1, 1)
    );
}

/// An undecided transfer is reported as pending and queried under the same bank reference.
pub async fn pending_transfer_is_sent_once(live: &LocalCloud) {
    let merchant = live.merchant().await;
    // Earlier than every clean-up, which would query it too.
    merchant.set_clock(Timestamp::parse_rfc3339("2042-03-10T10:00:00+08:00").unwrap());
    let app = live.app(&merchant).await;
    let card = live
        .card_with_outcome("match_transfer_pending", &merchant.holder_name)
        .await;
    let path = app.activate(&card).await;
    for _ in 0..2 {
        let reply = test(&app, &path).await.ok(200);
        assert_eq!(reply["status"], "pending");
        assert_eq!(reply["rebind"].get("test_succeeded_at"), None);
        assert_eq!(reply["rebind"]["next_actions"], json!(["test_transaction"]));
    }
    assert_eq!(live.statement(&card).await.len(), 1);
}

/// The sandbox card of that kind.
pub async fn listed_card_leaves_transfer_pending(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app
        .activate(&live.magic_card("match_transfer_pending"))
        .await;
    assert_eq!(test(&app, &path).await.ok(200)["status"], "pending");
}

/// The transfer is returned within the hold: the change is undone, and both contacts are notified.
pub async fn returned_transfer_reverts_and_notifies(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let old = app.get("/v1/cards").await.ok(200)["active"].clone();
    let card = live.magic_card("match_transfer_returned");
    let path = app.activate(&card).await;
    let failed = test(&app, &path).await.ok(200);
    assert_eq!(
        (&failed["status"], &failed["amount_fen"]),
        (&json!("failed"), &json!(1))
    );
    let rebind = &failed["rebind"];
    assert_eq!(
        (
            &rebind["state"],
            &rebind["ended_reason"],
            &rebind["next_actions"]
        ),
        (
            &json!("reverted"),
            &json!("TEST_TXN_FAILED"),
            &json!(["new_rebind", "contact_support"])
        )
    );
    assert_eq!(
        (&rebind["new_card"]["status"], &rebind["old_card"]["status"]),
        (&json!("removed"), &json!("active"))
    );
    assert_eq!(
        app.get("/v1/cards").await.ok(200),
        json!({"active": old, "standby": [], "open_rebind": null, "hold": null, "can_rebind": true})
    );
    assert_eq!(test(&app, &path).await.ok(200)["status"], "failed");
    assert_eq!(live.statement(&card).await[0]["status"], "returned");
    let card = label(&card);
    let text = zh(&Sms::Reverted { card });
    for phone in [&merchant.phone, &merchant.reserved_phone] {
        assert_eq!(live.notifications(phone, 2).await[1], text);
    }
    // A clean-up may already have removed the card from the record.
    let mut kinds = app.kinds().await;
    kinds.retain(|kind| kind != "card_removed");
    assert_eq!(kinds.last().unwrap(), "reverted");
    // The cooldown ends with the change.
    merchant.pass_s(60);
    app.activate(&live.card()).await;
}

/// Also from `completed`, for seven days after the change took effect; later nothing is undone.
pub async fn return_reverts_within_7_days_of_effect(live: &LocalCloud) {
    for (after_s, status) in [(8 * DAY_S - 1, 200), (8 * DAY_S, 409)] {
        let merchant = live.merchant().await;
        let card = live
            .card_with_outcome("match_transfer_returned", &merchant.holder_name)
            .await;
        let path = live.app(&merchant).await.activate(&card).await;
        live.handed_over(&merchant).await;
        let payout = json!({
            "operation": "create_payout", "merchant_id": merchant.id, "amount_fen": 5_000,
            "payout_id": format!("pay_{}_before", merchant.id),
            "time": merchant.now().plus_s(2 * DAY_S).to_rfc3339_shanghai(),
        });
        let payout = live.core(&payout).await.unwrap();
        assert_eq!(payout["card"]["last4"], last4(&card));
        merchant.pass_s(after_s);
        let app = live.app(&merchant).await;
        assert_eq!(app.get(&path).await.ok(200)["state"], "completed");
        let reply = test(&app, &path).await;
        assert_eq!(reply.status, status);
        let cards = app.get("/v1/cards").await.ok(200);
        if status == 409 {
            let problem = reply.refused(ErrorCode::StepOutOfOrder);
            assert_eq!(problem["next_actions"], json!(["new_rebind"]));
            assert_eq!(cards["active"]["last4"], last4(&card));
            continue;
        }
        let failed = reply.ok(200);
        assert_eq!(
            (&failed["status"], &failed["rebind"]["state"]),
            (&json!("failed"), &json!("reverted"))
        );
        let old = last4(merchant.active_card.as_ref().unwrap());
        assert_eq!(
            (&cards["active"]["last4"], cards.get("cooldown_until")),
            (&json!(old), None)
        );
        // Existing payouts keep their card; the next one uses the restored card.
        let list = app.get("/v1/payouts").await.ok(200);
        assert_eq!(list["items"][0]["card"]["last4"], last4(&card));
        let next = json!({
            "operation": "create_payout", "merchant_id": merchant.id, "amount_fen": 5_000,
            "payout_id": format!("pay_{}_after", merchant.id),
            "time": merchant.now().to_rfc3339_shanghai(),
        });
        assert_eq!(live.core(&next).await.unwrap()["card"]["last4"], old);
    }
}

/// If the old card cannot receive payouts, no card is active afterwards and payouts are held.
pub async fn revert_without_usable_card_holds_payouts(live: &LocalCloud) {
    for lost in [false, true] {
        let changes = if lost {
            json!({})
        } else {
            json!({"active_card": null})
        };
        let merchant = live.merchant_with(changes).await;
        let app = live.app(&merchant).await;
        let card = live
            .card_with_outcome("match_transfer_returned", &merchant.holder_name)
            .await;
        let mut body = app.request_body(&card);
        body["reason"] = json!(if lost { "lost" } else { "replace" });
        let path = rebind_path(&app.post("/v1/rebinds", body).await.ok(201));
        app.identify(&path).await;
        app.sign(&path).await;
        app.check_card(&path).await.ok(200);
        app.confirm_card(&path).await.ok(200);
        assert_eq!(test(&app, &path).await.ok(200)["status"], "failed");
        let cards = app.get("/v1/cards").await.ok(200);
        assert_eq!(
            (&cards["active"], &cards["hold"], &cards["can_rebind"]),
            (&Value::Null, &Value::Null, &json!(true))
        );
        let payout = json!({
            "operation": "create_payout", "merchant_id": merchant.id, "amount_fen": 1,
            "payout_id": format!("pay_{}", merchant.id),
            "time": merchant.now().plus_s(HOUR_S).to_rfc3339_shanghai(),
        });
        let payout = live.core(&payout).await.unwrap();
        assert_eq!(
            (&payout["card"], &payout["held"]),
            (&Value::Null, &json!(true))
        );
    }
}
