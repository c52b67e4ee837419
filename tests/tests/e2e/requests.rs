//! The creation of a rebind: refusals and their order, lists, cancellation, other merchants' rebinds.

use domain::card::UNKNOWN_BANK;
use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S, Policy};
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::luhn;

use crate::see::{last4, rebind_path};

/// The steps of a rebind: the ends of their paths.
pub const STEPS: [&str; 9] = [
    "cancel",
    "identity",
    "identity/code",
    "identity/confirm",
    "agreement",
    "card-check",
    "card-check/code",
    "card-check/confirm",
    "test-transaction",
];

/// The bad fields that a problem lists, in its order.
fn bad_fields(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| {
            (
                error["field"].as_str().unwrap(),
                error["code"].as_str().unwrap(),
            )
        })
        .collect()
}

/// A request with some members changed.
async fn asks_with(app: &App<'_>, changes: Value) -> tests::transport::Reply {
    let mut body = app.request_body(&app.system.card());
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    app.post("/v1/rebinds", body).await
}

/// Each bad field has its code, all are reported at once, and nothing is written.
pub async fn all_bad_fields_are_reported_at_once(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let problem = asks_with(
        &app,
        json!({"card_number": "12", "holder_name": "别人", "reserved_phone": "12345678901", "reason": "bored"}),
    );
    assert_eq!(
        bad_fields(&problem.await.refused(ErrorCode::CardFormat)),
        [
            ("card_number", "CARD_FORMAT"),
            ("holder_name", "HOLDER_NOT_MERCHANT"),
            ("reserved_phone", "PHONE_FORMAT"),
            ("reason", "REQUEST_MALFORMED"),
        ]
    );
    let nothing = app
        .post("/v1/rebinds", json!({}))
        .await
        .refused(ErrorCode::CardFormat);
    assert_eq!(bad_fields(&nothing).len(), 4);

    let mut one_wrong = live.card().into_bytes();
    one_wrong[9] = if one_wrong[9] == b'9' {
        b'0'
    } else {
        one_wrong[9] + 1
    };
    let luhn = String::from_utf8(one_wrong).unwrap();
    for (field, value, code) in [
        (
            "card_number",
            "6222.0200.0000.8000.010",
            ErrorCode::CardFormat,
        ),
        ("card_number", luhn.as_str(), ErrorCode::CardLuhn),
        ("holder_name", "测试", ErrorCode::HolderNotMerchant),
        ("holder_name", "", ErrorCode::HolderNotMerchant),
        ("reserved_phone", "+8521390000000", ErrorCode::PhoneFormat),
        ("reserved_phone", "", ErrorCode::PhoneFormat),
    ] {
        let problem = asks_with(&app, json!({field: value})).await.refused(code);
        assert_eq!(bad_fields(&problem), [(field, code.as_str())]);
    }
    assert_eq!(app.get("/v1/rebinds").await.ok(200)["items"], json!([]));
}

/// Numbers that are not cards, and cards that cannot be used for settlement.
pub async fn unsuitable_cards_are_refused(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let active = merchant.active_card.clone().unwrap();
    for (number, code) in [
        ("6225750009007770", ErrorCode::CardTypeCredit),
        ("6200100000000052", ErrorCode::CardTypePrepaid),
        ("6217730009007781", ErrorCode::CardLuhn),
        (active.as_str(), ErrorCode::CardSameAsCurrent),
    ] {
        let problem = asks_with(&app, json!({"card_number": number}))
            .await
            .refused(code);
        assert_eq!(bad_fields(&problem), [("card_number", code.as_str())]);
    }
}

/// A number whose check digit is wrong is a question. Once it is confirmed, the bank decides.
pub async fn confirmed_number_needs_no_check_digit(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let card = "6217000000009008884";
    let problem = asks_with(&app, json!({"card_number": card}))
        .await
        .refused(ErrorCode::CardLuhn);
    assert_eq!(problem["next_actions"], json!(["confirm_card_number"]));
    let path = app
        .activate_with(card, json!({"number_confirmed": true}))
        .await;
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(rebind["new_card"]["last4"], "8884");
}

/// A prefix that is in no table is accepted: the bank decides.
pub async fn card_of_unlisted_bank_is_accepted(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = luhn("99999900000000");
    let path = app.activate(&card).await;
    let new_card = app.get(&path).await.ok(200)["new_card"].clone();
    assert_eq!(
        (
            &new_card["bank_code"],
            &new_card["type"],
            &new_card["last4"]
        ),
        (&json!("UNKNOWN"), &json!("debit"), &json!(last4(&card)))
    );
    let notification = live.notifications(&merchant.phone, 1).await.remove(0);
    assert!(notification.contains(UNKNOWN_BANK.1), "{notification}");
}

/// Companies change their card through support.
pub async fn company_is_sent_to_support(live: &LocalCloud) {
    let merchant = live.merchant_with(json!({"entity_type": "company"})).await;
    let app = live.app(&merchant).await;
    let problem = asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::EntityNeedsSupport);
    assert_eq!(problem["next_actions"], json!(["contact_support"]));
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(
        (&cards["can_rebind"], &cards["blocked_by"]),
        (&json!(false), &json!("ENTITY_NEEDS_SUPPORT"))
    );
}

/// Blocked for a day after a change of phone, password or name.
pub async fn quiet_period_blocks_for_a_day(live: &LocalCloud) {
    let merchant = live
        .merchant_with(json!({"security_changed_hours_ago": 3}))
        .await;
    let app = live.app(&merchant).await;
    let problem = asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::QuietPeriod);
    let wait_s = problem["retry_after_s"].as_i64().unwrap();
    assert!((20 * HOUR_S..=21 * HOUR_S).contains(&wait_s), "{wait_s}");
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["blocked_by"],
        "QUIET_PERIOD"
    );
    merchant.pass_s(wait_s - 1);
    let app = live.app(&merchant).await;
    assert_eq!(
        asks_with(&app, json!({}))
            .await
            .refused(ErrorCode::QuietPeriod)["retry_after_s"],
        1
    );
    merchant.pass_s(1);
    asks_with(&app, json!({})).await.ok(201);
}

/// Applies to a change made before the merchant was onboarded to this system.
pub async fn cooldown_blocks_until_its_end(live: &LocalCloud) {
    let merchant = live.merchant_with(json!({"last_rebind_days_ago": 5})).await;
    let app = live.app(&merchant).await;
    let problem = asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::RebindCooldown);
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["cooldown_until"], problem["cooldown_until"]);
    assert_eq!(cards["hold"], Value::Null);
    merchant.pass_s(problem["retry_after_s"].as_i64().unwrap());
    let app = live.app(&merchant).await;
    assert_eq!(
        app.get("/v1/cards").await.ok(200).get("cooldown_until"),
        None
    );
    asks_with(&app, json!({})).await.ok(201);
}

/// One open rebind at a time; an overdue one does not block the next.
pub async fn one_open_rebind_until_overdue(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let problem = asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::RequestInProgress);
    assert_eq!(problem["next_actions"], json!(["identity", "cancel"]));
    merchant.pass_s(DAY_S - 1);
    let app = live.app(&merchant).await;
    asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::RequestInProgress);
    merchant.pass_s(1);
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["next_actions"]),
        (&json!("expired"), &json!(["new_rebind"]))
    );
    let step = app
        .post(&format!("{path}/identity"), app.document())
        .await
        .refused(ErrorCode::RequestExpired);
    assert_eq!(step["next_actions"], json!(["new_rebind"]));
    for (method, step) in [
        ("POST", "cancel"),
        ("POST", "identity/code"),
        ("POST", "card-check"),
        ("GET", "agreement"),
    ] {
        app.ask(method, &format!("{path}/{step}"))
            .send()
            .await
            .refused(ErrorCode::RequestExpired);
    }
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["open_rebind"],
        Value::Null
    );
    let second = app.request(&live.card()).await;
    // A replaced rebind stays expired, even by a clock that is behind.
    merchant.pass_s(-HOUR_S);
    app.post(&format!("{path}/identity"), app.document())
        .await
        .refused(ErrorCode::RequestExpired);
    app.cancel(&second).await.ok(200);
}

/// Two devices at the same moment: one rebind.
pub async fn concurrent_requests_make_one_rebind(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let card = live.card();
    let ask = |key: &str| {
        let ask = app.ask("POST", "/v1/rebinds").key(key);
        ask.json(&app.request_body(&card)).send()
    };
    let replies = futures::future::join_all([ask("a"), ask("b"), ask("c"), ask("d")]).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 3));
    for reply in refused {
        let code = reply.body["code"].as_str().unwrap().to_owned();
        assert!(
            ["REQUEST_IN_PROGRESS", "VERSION_CONFLICT"].contains(&code.as_str()),
            "{code}"
        );
    }
    // The same request four times at once is one request.
    app.post(&format!("{}/cancel", rebind_path(&made[0].body)), ())
        .await
        .ok(200);
    let replies = futures::future::join_all([ask("e"), ask("e"), ask("e"), ask("e")]).await;
    let replayed = replies.iter().filter(|reply| reply.is_replayed()).count();
    let bodies: Vec<Value> = replies.into_iter().map(|reply| reply.ok(201)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(replayed, 3);
}

/// The limits of rebinds and wrong documents a day. A rebind that is cancelled before the identity is confirmed does not
/// count.
pub async fn daily_rebind_and_document_limits_apply(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    for _ in 0..3 {
        let path = app.request(&live.card()).await;
        app.cancel(&path).await.ok(200);
    }
    let policy = Policy::CURRENT;
    let wrong =
        json!({"document_number": "11010519491231002X", "document_expires_on": "long_term"});
    let mut left = Vec::new();
    for _ in 0..policy.rebinds_per_day {
        let path = app.request(&live.card()).await;
        loop {
            let problem = app
                .post(&format!("{path}/identity"), wrong.clone())
                .await
                .refused(ErrorCode::IdMismatch);
            left.push(problem["attempts_left"].as_u64().unwrap());
            if problem["next_actions"] == json!(["new_rebind", "contact_support"]) {
                break;
            }
            if left.len() >= policy.id_mismatches_per_day {
                // The limit is per day, so another rebind would not help.
                assert_eq!(
                    (&problem["next_actions"], &problem["retry_after_s"]),
                    (&json!(["wait"]), &json!(DAY_S))
                );
                break;
            }
            assert_eq!(problem["next_actions"], json!(["identity", "cancel"]));
        }
        let ended = app.get(&path).await.ok(200);
        assert_eq!(
            (&ended["state"], &ended["ended_reason"]),
            (&json!("rejected"), &json!("ID_MISMATCH"))
        );
        assert_eq!(ended["new_card"]["status"], "removed");
        app.post(&format!("{path}/identity"), app.document())
            .await
            .refused(ErrorCode::StepOutOfOrder);
    }
    // After the day's limit not even the right document is compared: one refusal for each further rebind.
    let of_rebind = (0..u64::from(policy.id_mismatches_per_rebind)).rev();
    let compared = of_rebind.cycle().take(policy.id_mismatches_per_day);
    let compared: Vec<u64> = compared.collect();
    assert_eq!(left[..compared.len()], compared);
    assert!(left[compared.len()..].iter().all(|left| *left == 0));
    let problem = asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::DailyRequestLimit);
    assert_eq!(
        (&problem["retry_after_s"], &problem["counts_toward_limit"]),
        (&json!(DAY_S), &json!(false))
    );
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["blocked_by"],
        "DAILY_REQUEST_LIMIT"
    );
    merchant.pass_s(DAY_S - 1);
    let app = live.app(&merchant).await;
    asks_with(&app, json!({}))
        .await
        .refused(ErrorCode::DailyRequestLimit);
    merchant.pass_s(1);
    let path = app.request(&live.card()).await;
    app.identify(&path).await;
}

/// Possible in each of the three pending states, once, and never after the activation.
pub async fn cancel_works_only_before_activation(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let cancel = async |path: &str| app.cancel(path).await;
    for steps in 0..4 {
        let path = app.request(&live.card()).await;
        if steps > 0 {
            app.identify(&path).await;
        }
        if steps > 1 {
            app.sign(&path).await;
        }
        if steps > 2 {
            app.check_card(&path).await.ok(200);
        }
        let gone = cancel(&path).await.ok(200);
        assert_eq!(
            (&gone["state"], &gone["challenge"]),
            (&json!("cancelled"), &Value::Null)
        );
        assert_eq!(
            (&gone["next_actions"], &gone["new_card"]["status"]),
            (&json!(["new_rebind"]), &json!("removed"))
        );
        assert_eq!(gone.get("ended_reason"), None);
        let problem = cancel(&path).await.refused(ErrorCode::StepOutOfOrder);
        assert_eq!(problem["next_actions"], json!(["new_rebind"]));
        merchant.pass_s(MINUTE_S); // the minimum time between two OTPs to one phone
    }
    let app = live.app(&merchant).await;
    let path = app.activate(&live.card()).await;
    app.cancel(&path).await.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(app.get(&path).await.ok(200)["state"], "activated");
}

/// Newest first, twenty a page.
pub async fn pages_are_newest_first(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let other = live.app_on(&merchant, "tablet").await;
    let mut made = Vec::new();
    for number in 0..21 {
        // One device alone may not create as many rebinds in a day.
        let app = [&app, &other][number % 2];
        let path = app.request(&live.card()).await;
        app.cancel(&path).await.ok(200);
        made.insert(0, path);
    }
    let page = |cursor: &str| app.ask("GET", &format!("/v1/rebinds{cursor}")).send();
    let first = page("").await.ok(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = page(&format!("?cursor={cursor}")).await.ok(200);
    assert_eq!(last["next_cursor"], Value::Null);
    let paths = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(rebind_path)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (paths(&first), paths(&last)),
        (made[..20].to_vec(), made[20..].to_vec())
    );
    for nonsense in ["?cursor=", "?cursor=x", "?cursor=-1", "?cursor=ffffffffff"] {
        page(nonsense).await.refused(ErrorCode::RequestMalformed);
    }
    // An old one is still readable.
    assert_eq!(app.get(&made[20]).await.ok(200)["state"], "cancelled");
}

/// Another merchant's rebind is not found at any step, and neither is an unknown one.
pub async fn foreign_rebind_is_not_found(live: &LocalCloud) {
    let (owner, stranger) = (live.merchant().await, live.merchant().await);
    let mine = live.app(&owner).await;
    let path = mine.to_card_pending(&live.card()).await;
    mine.check_card(&path).await.ok(200);
    let before = mine.get(&path).await.ok(200);
    let other = live.app(&stranger).await;
    other.request(&live.card()).await;
    let number_of_theirs = path.replace("rbd_000001", "rbd_000002");
    for path in [
        path.as_str(),
        number_of_theirs.as_str(),
        "/v1/rebinds/x",
        "/v1/rebinds/rbd_%2F..%2F1",
    ] {
        other.get(path).await.refused(ErrorCode::NotFound);
        for step in STEPS {
            other
                .post(&format!("{path}/{step}"), ())
                .await
                .refused(ErrorCode::NotFound);
        }
        other
            .get(&format!("{path}/agreement"))
            .await
            .refused(ErrorCode::NotFound);
    }
    assert_eq!(mine.get(&path).await.ok(200), before);
}
