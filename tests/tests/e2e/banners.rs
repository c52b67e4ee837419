//! Login banners, and the kinds of merchants of which `sandbox.json` contains only one.

use domain::error_code::ErrorCode;
use domain::policy::DAY_S;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tests::local_cloud::LocalCloud;

/// A document about to expire: the banner's text changes as the day comes near and after it has passed.
pub async fn expiring_document_shows_banner(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_id_expiring");
    let app = live.app(&merchant).await;
    let notices = app.login.body["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 1);
    let notice = &notices[0];
    assert_eq!(notice["code"], "ID_EXPIRING");
    let days = notice["days_left"].as_i64().unwrap();
    assert!((24..=25).contains(&days), "{days}");
    let until = notice["until"].as_str().unwrap();
    assert!(until.ends_with("T23:59:59+08:00"), "{until}");
    let until = Timestamp::parse_rfc3339(until).unwrap();
    assert_eq!(
        notice["detail_zh"],
        format!("您登记的证件还有{days}天到期，请尽快换证并联系客服更新，过期后将不能更换结算卡。")
    );
    let notices_at = async |at: Timestamp| {
        merchant.set_clock(at);
        live.app(&merchant).await.login.body["notices"].clone()
    };
    assert_eq!(notices_at(until.plus_s(-91 * DAY_S)).await, json!([]));
    let plan = notices_at(until.plus_s(-90 * DAY_S)).await;
    assert_eq!(plan[0]["days_left"], 90);
    assert!(plan[0]["detail_zh"].as_str().unwrap().contains("提前"));
    let urgent = notices_at(until.plus_s(-7 * DAY_S)).await;
    assert!(
        urgent[0]["detail_zh"]
            .as_str()
            .unwrap()
            .starts_with("紧急：")
    );
    assert_eq!(notices_at(until).await[0]["days_left"], 0);
    let over = notices_at(until.plus_s(1)).await;
    assert_eq!(
        (
            &over[0]["code"],
            over[0].get("days_left"),
            over[0].get("until")
        ),
        (&json!("ID_EXPIRED"), None, None)
    );
}

/// An expired document shows a banner at login and blocks a change.
pub async fn expired_document_blocks_rebind(live: &LocalCloud) {
    let mut merchant = live.sandbox_merchant("mer_id_expired");
    merchant.expires_on = "2025-12-31".to_owned();
    let app = live.app(&merchant).await;
    let notices = &app.login.body["notices"];
    assert_eq!(
        (notices.as_array().unwrap().len(), &notices[0]["code"]),
        (1, &json!("ID_EXPIRED"))
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("ID_EXPIRED"))
    );
    let body = app.request_body(&live.card());
    let problem = app
        .post("/v1/rebinds", body)
        .await
        .refused(ErrorCode::IdExpired);
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["contact_support"]), &json!(false))
    );
    assert_eq!(app.get("/v1/rebinds").await.ok(200)["items"], json!([]));
    assert_eq!(
        app.get("/v1/payouts").await.ok(200)["items"],
        json!([]),
        "payouts continue"
    );
}

/// Without a reason there is no banner.
pub async fn valid_document_shows_no_banner(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_plain_3");
    assert_eq!(live.app(&merchant).await.login.body["notices"], json!([]));
}

/// A merchant's first card: no card comes before it, so the hold has none to pay to.
pub async fn first_card_holds_payouts_in_hold(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_no_card");
    let app = live.app(&merchant).await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["active"], &cards["standby"], &cards["can_rebind"]),
        (&Value::Null, &json!([]), &json!(true))
    );
    let path = app.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (&rebind["old_card"], &rebind["new_card"]["status"]),
        (&Value::Null, &json!("active"))
    );
    let hold = app.get("/v1/cards").await.ok(200)["hold"].clone();
    assert_eq!(
        (&hold["paying_card"], &hold["effective_at"]),
        (&Value::Null, &rebind["effective_at"])
    );
    let payout = crate::payouts::create(live, &merchant, "first", merchant.now()).await;
    assert_eq!(
        (&payout["card"], &payout["held"]),
        (&Value::Null, &json!(true))
    );
    let effective_at = Timestamp::parse_rfc3339(rebind["effective_at"].as_str().unwrap()).unwrap();
    let expected_at = Timestamp::parse_rfc3339(payout["expected_at"].as_str().unwrap()).unwrap();
    assert!(
        expected_at >= effective_at,
        "a held payout is not expected before the hold ends"
    );
    let later = crate::payouts::create(live, &merchant, "later", effective_at).await;
    assert_eq!(later["held"], false);
}
