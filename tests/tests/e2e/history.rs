//! The history for a merchant's auditor: read in pages and verified from the replies alone.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S};
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::canonical::canonical;
use tests::local_cloud::LocalCloud;

use crate::see::without;

/// The hash of an event, computed from the reply and the merchant's id.
fn hash(event: &Value, merchant_id: &Value) -> String {
    let at = Timestamp::parse_rfc3339(event["at"].as_str().unwrap()).unwrap();
    let hashed = json!({
        "at": at.epoch_s(),
        "data": event["data"],
        "kind": event["kind"],
        "merchant_id": merchant_id,
        "personal_sha256": event["personal_sha256"],
        "policy": event["policy_version"],
        "prev_hash": event["prev_hash"],
        "seq": event["sequence"],
    });
    let digest = Sha256::digest(canonical(&hashed));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A complete history on three pages.
pub async fn history_pages_form_verifiable_chain(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    assert_eq!(
        app.get("/v1/history").await.ok(200),
        json!({"items": [], "next_cursor": null})
    );
    // As many as the daily limits allow.
    for number in 1..=10 {
        let mut settings = app.get("/v1/settlement").await.ok(200);
        settings["retained_fen"] = json!(number);
        app.put("/v1/settlement", settings).await.ok(200);
    }
    app.activate(&live.card()).await;
    let now = merchant.now();
    for number in 0..15 {
        let payout =
            crate::payouts::create(live, &merchant, &format!("{number}"), now.plus_s(number)).await;
        crate::payouts::pay_out(live, &payout, now.plus_s(HOUR_S))
            .await
            .unwrap();
    }
    let first = app.get("/v1/history").await.ok(200);
    assert_eq!(first["items"].as_array().unwrap().len(), 20);
    let events = app.history().await;
    assert!(events.len() > 40, "{}", events.len());
    let newest = first["items"][0].clone();
    assert_eq!(&newest, events.last().unwrap(), "newest first");

    let merchant_id = &app.login.body["merchant"]["merchant_id"];
    let mut before = "0".repeat(64);
    let mut signed = 0;
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(
            (&event["sequence"], &event["event_id"]),
            (&json!(sequence), &json!(format!("evt_{sequence}")))
        );
        assert_eq!(event["prev_hash"], before, "{sequence}");
        assert_eq!(event["hash"], hash(event, merchant_id), "{sequence}");
        before = event["hash"].as_str().unwrap().to_owned();
        signed += usize::from(event["personal_sha256"].is_string());
    }
    assert_eq!(signed, 1, "the evidence of the signature");
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[10..16],
        [
            "rebind_requested",
            "identity_matched",
            "identity_confirmed",
            "agreement_signed",
            "card_check_answered",
            "activated"
        ]
    );
    // Every change of an event is detected.
    let mut forged = events[15].clone();
    forged["data"]["last4"] = json!("0000");
    assert_ne!(forged["hash"], hash(&forged, merchant_id));
    let shown = without(&forged, &["data"]).to_string();
    assert!(!shown.contains(&merchant.phone[3..]), "no phone");

    // A cursor continues from its own position, whatever was added; an invalid cursor is refused.
    let cursor = first["next_cursor"].as_str().unwrap();
    crate::payouts::create(live, &merchant, "another", now.plus_s(60)).await;
    let second = app
        .get(&format!("/v1/history?cursor={cursor}"))
        .await
        .ok(200);
    assert_eq!(second["items"][0], events[events.len() - 21]);
    for nonsense in ["", "0", "-1", "x", "1.5", "99999999999999999999999"] {
        app.get(&format!("/v1/history?cursor={nonsense}"))
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    let stranger = live.merchant().await;
    let other = live.app(&stranger).await;
    assert_eq!(
        other.get("/v1/history?cursor=30").await.ok(200)["items"],
        json!([])
    );
    merchant.pass_s(DAY_S);
    app.get("/v1/history")
        .await
        .refused(ErrorCode::SessionExpired);
}
