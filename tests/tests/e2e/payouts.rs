//! Payouts: the acquirer's core creates them by invoking the function, and the merchant reads them.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use domain::time::Timestamp;
use jose::receiver::{Receiver, claims};
use serde_json::{Value, json};
use tests::aws::KMS;
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::Profile;
use tests::transport::Transport as _;

use crate::see::{last4, without};

/// The event that creates a payout.
pub fn creation(merchant: &Profile, name: &str, at: Timestamp) -> Value {
    json!({
        "operation": "create_payout",
        "merchant_id": merchant.id,
        "payout_id": format!("pay_{}_{name}", merchant.id.trim_start_matches("mer_")),
        "amount_fen": 128_000,
        "time": at.to_rfc3339_shanghai(),
    })
}

/// Creates a payout.
pub async fn create(live: &LocalCloud, merchant: &Profile, name: &str, at: Timestamp) -> Value {
    live.core(&creation(merchant, name, at)).await.unwrap()
}

/// Reports the result of a payout.
pub async fn report(
    live: &LocalCloud,
    operation: &str,
    payout: &Value,
    at: Timestamp,
) -> Result<Value, String> {
    let event = json!({
        "operation": operation, "payout_id": payout["payout_id"], "time": at.to_rfc3339_shanghai(),
    });
    live.core(&event).await.map_err(|(code, _)| code)
}

/// Reports a payment from its beginning to its end.
pub async fn pay_out(live: &LocalCloud, payout: &Value, at: Timestamp) -> Result<Value, String> {
    report(live, "payout_sending", payout, at).await?;
    report(live, "payout_sent", payout, at).await
}

/// The refusal of an event: its code, and a sentence with the remedy.
async fn refusal(live: &LocalCloud, event: &Value) -> String {
    let (code, message) = live.core(event).await.expect_err("a refusal");
    assert!(message.len() > 15, "{code}: {message}");
    assert!(!message.contains("error("), "{code}: {message}");
    code
}

async fn listed(app: &App<'_>) -> Vec<Value> {
    let list = app.get("/v1/payouts").await.ok(200);
    assert_eq!(list["next_cursor"], Value::Null);
    list["items"].as_array().unwrap().clone()
}

/// A payout is created once, however often the core repeats the event. The merchant sees it until it is sent, and it is in the
/// history.
pub async fn repeated_creation_makes_one_payout(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let active = app.get("/v1/cards").await.ok(200)["active"].clone();
    // A Monday.
    let at = Timestamp::parse_rfc3339("2031-03-10T10:00:00+08:00").unwrap();
    let event = creation(&merchant, "one", at);
    let made = live.core(&event).await.unwrap();
    assert_eq!(
        made,
        json!({
            "payout_id": event["payout_id"], "merchant_id": merchant.id, "amount_fen": 128_000, "status": "unsent",
            "card": active, "held": false, "created_at": "2031-03-10T10:00:00+08:00",
            "expected_at": "2031-03-11T06:00:00+08:00", "estimated": true,
        })
    );
    let mut later = event.clone();
    later["time"] = json!(at.plus_s(HOUR_S).to_rfc3339_shanghai());
    for again in [&event, &later] {
        assert_eq!(live.core(again).await.unwrap(), made);
    }
    let shared_id = |name: &str, value: Value| {
        let mut other = event.clone();
        other[name] = value;
        other
    };
    let other = live.merchant().await;
    for event in [
        shared_id("amount_fen", json!(128_001)),
        shared_id("merchant_id", json!(other.id)),
    ] {
        assert_eq!(refusal(live, &event).await, "IDEMPOTENCY_MISMATCH");
    }
    merchant.set_clock(at);
    let app = live.app(&merchant).await;
    assert_eq!(listed(&app).await, [without(&made, &["merchant_id"])]);
    let stranger = live.app(&other).await;
    assert!(listed(&stranger).await.is_empty());

    // Four concurrent ones create one payout.
    let event = creation(&merchant, "many", at.plus_s(60));
    let replies = futures::future::join_all((0..4).map(|_| live.core(&event))).await;
    let replies: Vec<Value> = replies.into_iter().map(Result::unwrap).collect();
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(listed(&app).await.len(), 2);
    let events = app.history().await;
    let made: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "payout_created")
        .collect();
    assert_eq!(made.len(), 2);
    assert_eq!(made[0]["data"]["amount_fen"], 128_000);
    assert_eq!(made[0]["data"]["last4"], active["last4"]);
}

/// Invalid operations are refused with a code and change nothing.
pub async fn malformed_core_events_are_refused(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let good = creation(&merchant, "none", merchant.now());
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    for event in [
        with("amount_fen", json!(-1)),
        with("amount_fen", json!(0)),
        with("amount_fen", json!(1.5)),
        with("amount_fen", json!("100")),
        with("amount_fen", Value::Null),
        with("amount_fen", json!(9_007_199_254_740_993_u64)),
        with("amount_fen", json!(u64::MAX)),
        with("operation", json!("steal_payout")),
        with("operation", json!("")),
        with("payout_id", json!("")),
        with("payout_id", json!("pay_")),
        with("payout_id", json!("payout_1")),
        with("payout_id", json!("pay_a-b")),
        with("payout_id", json!(format!("pay_{}", "1".repeat(41)))),
        with("payout_id", json!(7)),
        with("merchant_id", Value::Null),
        with("merchant_id", json!("")),
        with("merchant_id", json!("M#mer_plain_1")),
        with("merchant_id", json!(["mer_plain_1"])),
        with("time", json!("yesterday")),
        with("time", json!(1_795_312_800)),
        with("card_id", json!("card_000000bbbbbbbbbbbbbbbb")),
        without(&good, &["amount_fen"]),
        without(&good, &["merchant_id"]),
        without(&good, &["payout_id"]),
        json!({"operation": "payout_sent", "payout_id": good["payout_id"], "amount_fen": 128_000}),
        json!({"operation": "payout_returned"}),
    ] {
        assert_eq!(refusal(live, &event).await, "REQUEST_MALFORMED", "{event}");
    }
    // An unknown operation is an error, so that the core does not take it for done.
    for event in [
        json!({}),
        json!([]),
        json!(null),
        json!("create_payout"),
        without(&good, &["operation"]),
        with("operation", json!(5)),
    ] {
        assert_eq!(refusal(live, &event).await, "REQUEST_MALFORMED", "{event}");
    }
    // The function has no routes: an event in the gateway's form is malformed too.
    let from_gateway = with("requestContext", json!({}));
    assert_eq!(refusal(live, &from_gateway).await, "REQUEST_MALFORMED");
    assert_eq!(
        refusal(live, &with("merchant_id", json!("mer_nobody"))).await,
        "NOT_FOUND"
    );
    let app = live.app(&merchant).await;
    assert!(listed(&app).await.is_empty());
    assert!(app.history().await.is_empty());
    // The gateway gives no way in either: anything typed there is the body of a request.
    let reply = app.post("/v1/payouts", good.clone()).await;
    reply.refused(ErrorCode::NotFound);
    live.core(&good).await.unwrap();
}

/// To the old card until the change takes effect, then to the new one, by the time of creation.
pub async fn payouts_change_card_after_hold(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let before = create(live, &merchant, "before", merchant.now()).await;
    let card = live.card();
    app.activate(&card).await;
    live.handed_over(&merchant).await;
    let effective_at = merchant.now().plus_s(DAY_S);
    let old = last4(merchant.active_card.as_ref().unwrap());
    assert_eq!(
        (&before["card"]["last4"], &before["card"]["status"]),
        (&json!(old), &json!("active"))
    );
    let last = create(live, &merchant, "last", effective_at.plus_s(-1)).await;
    assert_eq!(
        (&last["card"]["last4"], &last["card"]["status"]),
        (&json!(old), &json!("retiring"))
    );
    let first = create(live, &merchant, "first", effective_at).await;
    assert_eq!(
        (&first["card"]["last4"], &first["card"]["status"]),
        (&json!(last4(&card)), &json!("active"))
    );
    // No payout moves to another card.
    merchant.set_clock(effective_at.plus_s(DAY_S));
    let app = live.app(&merchant).await;
    let cards: Vec<Value> = listed(&app)
        .await
        .iter()
        .map(|payout| payout["card"]["last4"].clone())
        .collect();
    assert_eq!(cards, [json!(last4(&card)), json!(old), json!(old)]);
    // A returned payout is final; the next one is routed at its creation.
    let now = merchant.now();
    pay_out(live, &last, now).await.unwrap();
    report(live, "payout_returned", &last, now).await.unwrap();
    let again = create(live, &merchant, "again", now).await;
    assert_eq!(again["card"]["last4"], last4(&card));
}

/// The core system gets the number of the card five times a day, signed by the stack's key and encrypted to its own.
pub async fn sixth_release_in_a_day_is_refused(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let at = merchant.now();
    let payout = create(live, &merchant, "a", at).await;
    let endpoints = live.system.endpoints();
    let core = Receiver::read(&endpoints.core_key).unwrap();
    let key = json!({"KeyId": live.system.resource("PayoutSigningKey").unwrap()});
    let signer = live.root.json(&KMS, "GetPublicKey", &key).await.unwrap();
    let signer = STANDARD
        .decode(signer["PublicKey"].as_str().unwrap())
        .unwrap();
    for release in 1..=5 {
        let sending = report(live, "payout_sending", &payout, at).await.unwrap();
        let instruction = sending["instruction"].as_str().unwrap();
        let (_, signed) = core.decrypt(instruction).unwrap();
        assert!(is_signed_by(&signer, std::str::from_utf8(&signed).unwrap()));
        let told = claims(&signed).unwrap();
        assert_eq!(told["card_number"], json!(merchant.active_card));
        assert_eq!(
            (&told["amount_fen"], &told["release"]),
            (&json!(128_000), &json!(release))
        );
        assert_eq!(told["holder_name"], merchant.holder_name);
    }
    let refused = report(live, "payout_sending", &payout, at).await;
    assert_eq!(refused, Err("RELEASE_LIMIT".to_owned()));
    let kinds = app.history().await;
    let count = |kind: &str| kinds.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((count("payout_sending"), count("payout_released")), (1, 4));
    report(live, "payout_sent", &payout, at).await.unwrap();
}

/// True for a message with an `ES256` signature of this public key.
fn is_signed_by(public_key: &[u8], message: &str) -> bool {
    let (content, signature) = message.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key).unwrap();
    key.verify_sig(content.as_bytes(), &signature).is_ok()
}

/// Sent and returned, each twice; and transitions that are not allowed.
pub async fn repeated_sent_and_returned_are_no_ops(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let at = merchant.now();
    let payout = create(live, &merchant, "a", at).await;
    let other = create(live, &merchant, "b", at.plus_s(1)).await;
    assert_eq!(
        report(live, "payout_sent", &payout, at).await,
        Err("STEP_OUT_OF_ORDER".to_owned()),
        "the payment has not begun"
    );
    let sending = report(live, "payout_sending", &payout, at).await.unwrap();
    assert_eq!(
        (&sending["status"], &sending["held"], &sending["card"]),
        (&json!("sending"), &json!(false), &payout["card"])
    );
    let again = report(live, "payout_sending", &payout, at).await.unwrap();
    assert_ne!(again["instruction"], sending["instruction"]);
    let without_instruction = |payout| without(payout, &["instruction"]);
    assert_eq!(without_instruction(&again), without_instruction(&sending));
    let statuses = |items: &[Value]| -> Vec<Value> {
        items.iter().map(|item| item["status"].clone()).collect()
    };
    assert_eq!(statuses(&listed(&app).await), ["unsent", "sending"]);
    let sent = report(live, "payout_sent", &payout, at).await.unwrap();
    assert_eq!(
        (&sent["status"], &sent["held"], &sent["card"]),
        (&json!("sent"), &json!(false), &payout["card"])
    );
    assert_eq!(
        report(live, "payout_sent", &payout, at).await.unwrap(),
        sent
    );
    assert_eq!(
        live.core(&creation(&merchant, "a", at)).await.unwrap(),
        sent
    );
    let ids = |items: &[Value]| -> Vec<Value> {
        items.iter().map(|item| item["payout_id"].clone()).collect()
    };
    assert_eq!(ids(&listed(&app).await), [other["payout_id"].clone()]);
    let returned = report(live, "payout_returned", &payout, at).await.unwrap();
    assert_eq!(returned["status"], "returned");
    assert_eq!(
        report(live, "payout_returned", &payout, at).await.unwrap(),
        returned
    );
    for late in ["payout_sending", "payout_sent"] {
        assert_eq!(
            report(live, late, &payout, at).await,
            Err("STEP_OUT_OF_ORDER".to_owned())
        );
    }
    // A payout that was never sent can be returned, which is final as well.
    report(live, "payout_returned", &other, at).await.unwrap();
    assert!(listed(&app).await.is_empty());

    let named = |operation: &str, merchant_id: &str| json!({"operation": operation, "payout_id": other["payout_id"], "merchant_id": merchant_id});
    let stranger = live.merchant().await;
    for operation in ["payout_sending", "payout_sent", "payout_returned"] {
        let unknown = json!({"operation": operation, "payout_id": "pay_unknown"});
        assert_eq!(refusal(live, &unknown).await, "NOT_FOUND");
        assert_eq!(
            refusal(live, &named(operation, &stranger.id)).await,
            "NOT_FOUND"
        );
    }
    let known = live.core(&named("payout_returned", &merchant.id)).await;
    assert_eq!(known.unwrap()["status"], "returned");
    let kinds = app.kinds().await;
    let payouts: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|kind| kind.starts_with("payout"))
        .collect();
    assert_eq!(
        payouts,
        [
            "payout_created",
            "payout_created",
            "payout_sending",
            "payout_released",
            "payout_sent",
            "payout_returned",
            "payout_returned"
        ]
    );
}

/// Newest first, twenty a page.
pub async fn pages_are_newest_first(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let at = merchant.now();
    let mut made = Vec::new();
    for number in 0..22_i64 {
        // Two in the same second, too.
        let created_at = at.plus_s(number / 2 * MINUTE_S);
        let payout = create(live, &merchant, &format!("{number:02}"), created_at).await;
        made.insert(0, payout["payout_id"].clone());
    }
    let page = async |query: &str| {
        let page = app.get(&format!("/v1/payouts{query}")).await.ok(200);
        let items = page["items"].as_array().unwrap();
        let ids: Vec<Value> = items.iter().map(|item| item["payout_id"].clone()).collect();
        (ids, page["next_cursor"].clone())
    };
    let (first, cursor) = page("").await;
    let (last, end) = page(&format!("?cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!(
        (first, last, end),
        (made[..20].to_vec(), made[20..].to_vec(), Value::Null)
    );
    for nonsense in ["?cursor=", "?cursor=x", "?cursor=%00", "?cursor=Li4v"] {
        app.get(&format!("/v1/payouts{nonsense}"))
            .await
            .refused(ErrorCode::RequestMalformed);
    }
    // Exactly one page of payouts has no second page.
    for id in &made[..2] {
        let payout = json!({"payout_id": id});
        pay_out(live, &payout, at).await.unwrap();
    }
    let (rest, end) = page("").await;
    assert_eq!((rest.len(), end), (20, Value::Null));
}

/// The payouts in the sandbox's seed data.
pub async fn seeded_payouts_stay_on_old_card(live: &LocalCloud) {
    let merchant = live.sandbox_merchant("mer_plain_2");
    let app = live.app(&merchant).await;
    let items = listed(&app).await;
    let seen: Vec<Value> = items
        .iter()
        .map(|item| {
            json!([
                item["payout_id"],
                item["amount_fen"],
                item["card"]["last4"],
                item["held"]
            ])
        })
        .collect();
    assert_eq!(
        json!(seen),
        json!([
            ["pay_sandbox_2", 3_550, "0028", false],
            ["pay_sandbox_1", 128_000, "0028", false]
        ])
    );
    // They keep the old card through a change, so it stays on record.
    let active = app.get("/v1/cards").await.ok(200)["active"].clone();
    app.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(9 * DAY_S);
    let app = live.app(&merchant).await;
    let off = format!("/v1/cards/{}/unbind", active["card_id"].as_str().unwrap());
    app.post(&off, ()).await.refused(ErrorCode::PayoutInFlight);
    let now = merchant.now();
    for item in &items {
        pay_out(live, item, now).await.unwrap();
    }
    app.post(&off, ()).await.ok(204);
    assert!(listed(&app).await.is_empty());
}

/// Payouts that are created during a card switch: each has the card that was active at its creation, in the order of the
/// history.
pub async fn payouts_follow_concurrent_switch(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let path = crate::standby::switch_path(&ready);
    app.post(&path, ()).await.ok(200);
    let code = live.code(&merchant.phone).await;
    let at = merchant.now();
    let makes = (0..8).map(|number| {
        let event = creation(&merchant, &format!("{number}"), at);
        async move {
            loop {
                match live.core(&event).await {
                    Ok(payout) => return payout,
                    Err((code, _)) => assert_eq!(code, "VERSION_CONFLICT"),
                }
            }
        }
    });
    let switch = async {
        loop {
            let reply = app.post(&path, json!({"code": code})).await;
            if reply.status == 200 {
                return;
            }
            reply.refused(ErrorCode::VersionConflict);
            merchant.pass_s(10);
        }
    };
    let (made, ()) = futures::future::join(futures::future::join_all(makes), switch).await;
    let (old, new) = (
        last4(merchant.active_card.as_ref().unwrap()),
        ready["new_card"]["last4"].as_str().unwrap(),
    );
    let mut card = old;
    let mut seen = 0;
    for event in app.history().await {
        match event["kind"].as_str().unwrap() {
            "activated" => card = new,
            "payout_created" => {
                assert_eq!(event["data"]["last4"], card);
                let id = &event["data"]["payout_id"];
                let reply = made.iter().find(|payout| payout["payout_id"] == *id);
                assert_eq!(
                    reply.unwrap()["card"]["last4"],
                    card,
                    "the card in the core's reply"
                );
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!((seen, listed(&app).await.len(), card), (8, 8, new));
}
