//! A frozen account: only login and reads work, and every open rebind has ended.

use domain::error_code::ErrorCode;
use domain::policy::DAY_S;
use serde_json::{Value, json};
use tests::local_cloud::LocalCloud;
use tests::transport::Transport as _;

use crate::freezes::nothing_moves;

/// In each of the pending states, by the freeze code of an earlier standby card.
pub async fn frozen_account_allows_only_reads(live: &LocalCloud) {
    for steps in 0..4 {
        let merchant = live.merchant().await;
        live.app(&merchant).await.standby_rebind(&live.card()).await;
        live.handed_over(&merchant).await;
        live.notifications(&merchant.phone, 1).await;
        let freeze_code = live.freeze_code(&merchant.phone).await;
        merchant.pass_s(DAY_S);
        let app = live.app(&merchant).await;
        let card = live.card();
        let body = app.request_body(&card);
        let created = app.keyed("r", "/v1/rebinds", body.clone()).await.ok(201);
        let path = crate::see::rebind_path(&created);
        if steps > 0 {
            app.identify(&path).await;
        }
        if steps > 1 {
            app.sign(&path).await;
        }
        if steps > 2 {
            app.check_card(&path).await.ok(200);
        }
        let codes = live.codes_sent(&merchant.reserved_phone).await;
        let source = format!("198.51.100.{}", 10 + steps);
        live.freeze_from(&source, merchant.now(), &merchant.account, &freeze_code)
            .await;

        app.get(&path).await.refused(ErrorCode::SessionExpired);
        let app = live.app(&merchant).await;
        let ended = app.get(&path).await.ok(200);
        assert_eq!(
            (
                &ended["state"],
                &ended["challenge"],
                &ended["new_card"]["status"]
            ),
            (&json!("frozen"), &Value::Null, &json!("removed")),
            "after {steps} steps"
        );
        let cards = app.get("/v1/cards").await.ok(200);
        assert_eq!(
            (
                &cards["open_rebind"],
                &cards["can_rebind"],
                &cards["blocked_by"]
            ),
            (&Value::Null, &json!(false), &json!("ACCOUNT_FROZEN"))
        );
        nothing_moves(&app, &path, &cards["active"]).await;
        assert_eq!(app.get(&path).await.ok(200), ended);
        assert_eq!(live.codes_sent(&merchant.reserved_phone).await, codes);
        // A stored reply is replayed, because the idempotency check comes before the freeze check.
        let again = app.keyed("r", "/v1/rebinds", body.clone()).await;
        assert!(again.is_replayed());
        assert_eq!(again.ok(201), created);
        let mut other = body;
        other["reason"] = json!("lost");
        app.keyed("r", "/v1/rebinds", other)
            .await
            .refused(ErrorCode::IdempotencyMismatch);
    }
}
