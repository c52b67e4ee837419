//! The functions in one process: situations that the running system cannot produce, or not quickly.

#![allow(clippy::unwrap_used, missing_docs)]

use application::clock::wall_clock;
use domain::decide::BankAnswer;
use domain::policy::Policy;
use serde_json::{Value, json};
use std::time::Duration;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, Profile, RESERVED_PHONE, SECOND_CARD, merchant, wrong_otp};
use tests::scenario;
use tests::table_faults::Fault;

const POLICY: &Policy = &Policy::CURRENT;

#[tokio::test]
async fn undeliverable_code_is_not_counted() {
    let (world, app, path) = scenario::requested("plain_1").await;
    let identity = format!("{path}/identity");
    world.sms.set_down(true);
    for _ in 0..7 {
        // More often than the OTP limits allow: an undelivered OTP does not count. The key is free again each time.
        app.keyed("k", &identity, app.document())
            .await
            .is(503, "OTP_CHANNEL_DOWN")
            .has("counts_toward_limit", false);
    }
    app.get(&path)
        .await
        .is(200, "identity_pending")
        .has("challenge", ());
    world.sms.set_down(false);
    app.keyed("k", &identity, app.document())
        .await
        .with_status(200)
        .has("/challenge/purpose", "identity");
    let again = app.keyed("k", &identity, app.document()).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(world.sms.to(&app.profile.phone).len(), 1);
}

#[tokio::test]
async fn undeliverable_card_code_keeps_the_bank_answer() {
    let (world, app, path) = scenario::card_pending("plain_1").await;
    let check = format!("{path}/card-check");
    world.sms.set_down(true);
    app.post(&check, ()).await.is(503, "OTP_CHANNEL_DOWN");
    world.sms.set_down(false);
    app.post(&check, ())
        .await
        .with_status(200)
        .has("/challenge/method", "bank_code");
    assert_eq!(
        world.bank.serials().len(),
        1,
        "the bank is not called again"
    );
}

#[tokio::test]
async fn retried_check_keeps_its_reference() {
    let (world, app, path) = scenario::card_pending("plain_1").await;
    let check = format!("{path}/card-check");
    world.bank.script([
        None,
        Some(BankAnswer::Busy),
        None,
        Some(BankAnswer::Quota),
        None,
        None,
        Some(BankAnswer::DEBIT_MATCH),
    ]);
    let expected = [
        (502, "UPSTREAM_UNKNOWN"),
        (503, "UPSTREAM_BUSY"),
        (502, "UPSTREAM_UNKNOWN"),
        (503, "UPSTREAM_QUOTA"),
        (502, "UPSTREAM_UNKNOWN"),
        (502, "UPSTREAM_UNKNOWN"),
    ];
    for (status, code) in expected {
        let answer = app.keyed("k", &check, ()).await;
        assert_eq!(
            (answer.status, answer.code()),
            (status, code),
            "{:?}",
            answer.body
        );
        assert_eq!(answer.body["counts_toward_limit"], false);
    }
    app.keyed("k", &check, ()).await.ok(200);
    let serials = world.bank.serials();
    assert_eq!(serials.len(), 7);
    assert!(
        serials.iter().all(|serial| *serial == serials[0]),
        "{serials:?}"
    );
}

#[tokio::test]
async fn card_is_checked_three_times_a_day() {
    let (world, app) = InProcess::with("plain_1").await;
    for (card, refused) in [
        (GOOD_CARD, false),
        (GOOD_CARD, false),
        (GOOD_CARD, false),
        (GOOD_CARD, true),
    ] {
        let path = app.to_card_pending(card).await;
        world
            .bank
            .script((!refused).then_some(Some(BankAnswer::Dormant)));
        let answer = app.check_card(&path).await;
        let expected = if refused {
            "CARD_CHECK_LIMIT"
        } else {
            "CARD_DORMANT"
        };
        assert_eq!(answer.code(), expected, "{:?}", answer.body);
        world.pass_s(61);
        if refused {
            assert_eq!(answer.status, 429);
            app.cancel(&path).await.is(200, "cancelled");
        } else {
            assert_eq!(app.get(&path).await.body["ended_reason"], "CARD_DORMANT");
        }
    }
}

#[tokio::test]
async fn limited_phone_keeps_the_bank_answer() {
    let world = InProcess::start().await;
    // Five OTPs to the same reserved phone within the hour, requested by others.
    for name in ["plain_1", "plain_2", "plain_3", "plain_4", "plain_5"] {
        let app = world.log_in(name).await;
        let path = app.to_card_pending(GOOD_CARD).await;
        app.check_card(&path).await.ok(200);
        world.pass_s(61);
    }
    let app = world.log_in("minority_name").await;
    let path = app.to_card_pending(GOOD_CARD).await;
    let check = format!("{path}/card-check");
    app.keyed("k", &check, ()).await.is(429, "OTP_SEND_LIMIT");
    app.keyed("k", &check, ()).await.is(429, "OTP_SEND_LIMIT");
    assert_eq!(
        world.bank.serials().len(),
        6,
        "the answer is stored and only the OTP is pending"
    );
    app.get(&path).await.is(200, "card_pending");
}

#[tokio::test]
async fn production_refuses_a_sandbox_clock() {
    let world = InProcess::staged("production").await;
    let now = world.now().to_rfc3339_shanghai();
    let event = world.event("GET", "/v1/cards", &[("x-sandbox-now", &now)], &Value::Null);
    world.send(event).await.is(400, "REQUEST_MALFORMED");
    world
        .send(world.event("GET", "/v1/cards", &[], &Value::Null))
        .await
        .is(401, "SESSION_EXPIRED");
}

#[tokio::test]
async fn cleanup_checks_its_clock_in_production() {
    let left = Duration::from_secs(60);
    let at = |ahead_s: i64| json!({"time": wall_clock().plus_s(ahead_s).to_rfc3339_shanghai()});
    let sandbox = InProcess::start().await;
    for event in [json!({}), at(0), at(40 * 86_400), at(-86_400)] {
        assert!(
            sandbox.scheduled(event.clone(), left).await.is_ok(),
            "{event}"
        );
    }
    assert!(
        sandbox
            .scheduled(json!({"time": "soon"}), left)
            .await
            .is_err()
    );
    let production = InProcess::staged("production").await;
    for event in [at(0), at(-86_400), at(290)] {
        assert!(
            production.scheduled(event.clone(), left).await.is_ok(),
            "{event}"
        );
    }
    for event in [
        json!({}),
        json!({"time": null}),
        json!({"time": 7}),
        at(310),
        at(31 * 86_400),
    ] {
        assert!(
            production.scheduled(event.clone(), left).await.is_err(),
            "{event}"
        );
    }
}

#[tokio::test]
async fn cleanup_stops_in_time_and_resumes() {
    let world = InProcess::start().await;
    world.log_in("plain_1").await.request(GOOD_CARD).await;
    world.pass_s(POLICY.rebind_life_s);
    let event = json!({"time": world.now().to_rfc3339_shanghai()});
    let short = world
        .scheduled(event.clone(), Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!((short.expired, short.stopped_early), (0, true));
    let next = world
        .scheduled(event.clone(), Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!((next.expired, next.stopped_early), (1, false));
    let again = world
        .scheduled(event, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!((again.expired, again.skipped, again.failed), (0, 0, 0));
}

/// The second login finds the device known by then, and refunds its failure where it was counted.
#[tokio::test]
async fn parallel_first_logins_leave_no_failure() {
    let merchant = merchant("plain_1");
    let body =
        json!({"account": merchant.account, "password": merchant.password, "device_id": "new"});
    for seed in 0..3 {
        let world = InProcess::start().await;
        world.boundary.disturb(seed, 0);
        let login = || world.send(world.event("POST", "/v1/sessions", &[], &body));
        let (one, two) = futures::join!(login(), login());
        assert_eq!((one.status, two.status), (201, 201), "{seed}");
        let items = world.items().await;
        let of_kind = |sk: &str| -> Vec<_> {
            let kind = items.iter().filter(|item| item["sk"].as_s().unwrap() == sk);
            kind.collect()
        };
        let (accounts, addresses) = (of_kind("L"), of_kind("S"));
        assert!(!accounts.is_empty() && !addresses.is_empty());
        for item in accounts {
            assert_eq!(item["others"].as_s().unwrap(), "[0,[]]", "{seed}");
        }
        for item in addresses {
            assert!(!item.contains_key("at"), "{seed} {item:?}");
        }
    }
}

#[tokio::test]
async fn typed_account_is_folded_and_password_is_not() {
    let world = InProcess::start().await;
    let merchant = merchant("plain_1");
    let log_in = async |account: &str, password: &str| {
        let body = json!({"account": account, "password": password, "device_id": "new"});
        let event = world.event("POST", "/v1/sessions", &[], &body);
        world.send(event).await
    };
    for account in [
        "+86 139 0000 0001",
        "（＋８６）１３９-００００-０００１",
        "\u{202D}008613900000001\u{202C}\r\n",
    ] {
        let reply = log_in(account, merchant.password.as_str()).await;
        assert_eq!(reply.status, 201, "{account}");
    }
    for account in [" ", "\u{3000}\u{A0}\u{200B}", "()"] {
        log_in(account, &merchant.password)
            .await
            .is(401, "AUTH_BAD_CREDENTIALS");
    }
    log_in(&merchant.account, &format!("{} ", merchant.password))
        .await
        .is(401, "AUTH_BAD_CREDENTIALS");
}

#[tokio::test]
async fn typed_otp_is_folded() {
    let (world, app, path) = scenario::requested("plain_1").await;
    app.show_document(&path).await;
    let otp = world.sms.code(&app.profile.phone);
    let (one, other) = otp.split_at(3);
    let typed = format!("\u{202A}{one}\u{A0}-{other}\n");
    app.try_identity_code(&path, &typed)
        .await
        .is(200, "agreement_pending");
}

#[tokio::test]
async fn bank_gets_the_name_as_the_record_spells_it() {
    let world = InProcess::start().await;
    let spelled = "J. O’Brien·测\u{E863}";
    let card = tests::merchant::luhn("622202000007100001");
    let changes = json!({"legal_name": spelled});
    let (mut profile, seed) = Profile::new("names", 81, &card, &changes);
    world
        .store()
        .seed(&world.keys(), &seed, world.now())
        .await
        .unwrap();
    profile.set_clock(world.now());
    profile.holder_name = "j．o'brien • 测䶮".to_owned();
    let app = App::log_in(world.clone(), &profile, "device-1").await;
    let path = app.to_card_pending(GOOD_CARD).await;
    app.check_card(&path).await.with_status(200);
    assert_eq!(world.bank.names(), [spelled]);
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    const PAGE: usize = 20;
    let (world, app) = InProcess::with("plain_1").await;
    // One device alone may not create as many rebinds in a day.
    let apps = [app.clone(), app.on("another").await];
    let read = async |path: &str| {
        let bearer = format!("Bearer {}", app.token);
        let headers = [("authorization", bearer.as_str())];
        let event = world.event("GET", path, &headers, &Value::Null);
        world.send(event).await
    };
    let mut ids = Vec::new();
    for number in 0..=PAGE {
        // A full page does not imply a next one.
        let last = read("/v1/rebinds").await.body["next_cursor"].clone();
        assert_eq!(last, Value::Null, "{} rebinds", ids.len());
        let app = &apps[number % apps.len()];
        let body = app.request_body(GOOD_CARD);
        let key = format!("key {number}");
        let made = app.keyed(&key, "/v1/rebinds", body).await;
        let id = made.body["rebind_id"].as_str().unwrap().to_owned();
        let path = format!("/v1/rebinds/{id}/cancel");
        app.post(&path, ()).await;
        ids.insert(0, id);
    }
    let shown = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item["rebind_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = read("/v1/rebinds").await.body;
    assert_eq!(shown(&first), ids[..PAGE]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = read(&format!("/v1/rebinds?cursor={cursor}")).await.body;
    assert_eq!(shown(&second), ids[PAGE..]);
    assert_eq!(second["next_cursor"], Value::Null);
    for path in ["/v1/rebinds", "/v1/history", "/v1/payouts"] {
        for wrong in ["0", "x", "-1"] {
            let refused = read(&format!("{path}?cursor={wrong}")).await;
            assert_eq!(refused.code(), "REQUEST_MALFORMED", "{path} {wrong}");
        }
    }
    read("/v1/rebinds?cursor=1000000")
        .await
        .is(400, "REQUEST_MALFORMED");
}

#[tokio::test]
async fn cleanup_skips_a_conflict() {
    let (world, _, _) = scenario::requested("plain_1").await;
    world.pass_s(POLICY.rebind_life_s);
    world.boundary.fail_from(1, Fault::Conflict);
    let met = world.clean_up().await;
    assert_eq!((met.expired, met.skipped, met.failed), (0, 1, 0));
    assert!(world.boundary.calm() > 0);
    let next = world.clean_up().await;
    assert_eq!((next.expired, next.skipped, next.failed), (1, 0, 0));
}

#[tokio::test]
async fn cleanup_cost_depends_on_due_items() {
    let world = InProcess::start().await;
    world.clean_up().await;
    let empty = world.boundary.take().len();
    for name in ["plain_1", "plain_2", "plain_3"] {
        world.log_in(name).await.request(GOOD_CARD).await;
    }
    let _ = world.boundary.take();
    world.clean_up().await;
    assert_eq!(
        world.boundary.take().len(),
        empty,
        "open rebinds cost nothing until they are due"
    );
}

#[tokio::test]
async fn notification_survives_sms_outage() {
    let (world, app, _) = scenario::activated("plain_1").await;
    let before = world.sms.to(&app.profile.phone).len();
    let batch = world.due_notifications().await;
    let sequence_number = batch["Records"][0]["dynamodb"]["SequenceNumber"].clone();
    world.sms.set_down(true);
    for _ in 0..3 {
        let reply = world.deliver(batch.clone(), world.now()).await;
        assert_eq!(
            reply,
            json!({"batchItemFailures": [{"itemIdentifier": sequence_number}]})
        );
    }
    world.sms.set_down(false);
    // The stream has given up. The clean-up finds the unsent notification and puts it into the stream again.
    world.pass_s(POLICY.notification_retry_s + 1);
    assert_eq!(world.clean_up().await.notices_rearmed, 1);
    let again = world.due_notifications().await;
    assert_eq!(
        world.deliver(again.clone(), world.now()).await,
        json!({"batchItemFailures": []})
    );
    world.deliver(again, world.now()).await;
    let texts = world.sms.to(&app.profile.phone);
    assert_eq!(texts.len(), before + 1);
    assert_eq!(
        world.sms.to(RESERVED_PHONE).len(),
        2,
        "an OTP and a notification"
    );
    world.pass_s(POLICY.notification_retry_s + 1);
    assert_eq!(world.clean_up().await.notices_rearmed, 0);
}

#[tokio::test]
async fn stream_function_skips_foreign_records() {
    let world = InProcess::start().await;
    for batch in [
        json!({}),
        json!([]),
        json!({"Records": null}),
        json!({"Records": {}}),
        json!({"Records": []}),
        json!({"Records": [1, null, "x", {}, {"dynamodb": {"Keys": {"pk": {"S": "M#mer_x"}, "sk": {"S": "E#x"}}}}]}),
        json!({"Records": [{"dynamodb": {"Keys": {"pk": {"S": "M#mer_x"}, "sk": {"S": "E#0000000001"}}, "SequenceNumber": "1"}}]}),
        json!({"Records": [{"dynamodb": {"Keys": {"pk": {"S": "M#mer_plain_1"}, "sk": {"S": "Z"}}, "SequenceNumber": "1"}}]}),
    ] {
        assert_eq!(
            world.deliver(batch.clone(), world.now()).await,
            json!({"batchItemFailures": []}),
            "{batch}"
        );
    }
    assert!(
        world
            .items()
            .await
            .iter()
            .all(|item| !item["pk"].as_s().unwrap().contains("mer_x")),
        "no item is created"
    );
}

#[tokio::test]
async fn lost_card_shortens_the_cooldown_and_holds_payouts() {
    let (world, app) = InProcess::with("plain_1").await;
    let mut body = app.request_body(GOOD_CARD);
    body["reason"] = json!("lost");
    let created = app.keyed("k", "/v1/rebinds", body).await;
    let path = format!(
        "/v1/rebinds/{}",
        created.body["rebind_id"].as_str().unwrap()
    );
    app.identify(&path).await;
    app.sign(&path).await;
    app.check_card(&path).await;
    let code = json!({"code": world.sms.code(RESERVED_PHONE)});
    app.post(&format!("{path}/card-check/confirm"), code)
        .await
        .is(200, "activated");
    let cards = app.get("/v1/cards").await;
    assert_eq!(cards.body["hold"]["paying_card"], Value::Null, "held");
    let until = world
        .now()
        .plus_s(POLICY.cooldown_lost_s)
        .to_rfc3339_shanghai();
    assert_eq!(cards.body["cooldown_until"], json!(until));

    world.pass_s(POLICY.cooldown_lost_s);
    let app = app.again().await;
    let mut body = app.request_body(SECOND_CARD);
    body["reason"] = json!("lost");
    let created = app.keyed("k2", "/v1/rebinds", body).await;
    assert_eq!(
        created.status, 201,
        "the cooldown is over to the second: {:?}",
        created.body
    );
}

#[tokio::test]
async fn right_code_wins_among_parallel_guesses() {
    let (world, app, path) = scenario::requested("plain_1").await;
    app.post(&format!("{path}/identity"), app.document()).await;
    let right = world.sms.code(&app.profile.phone);
    let wrong = wrong_otp(&right);
    let confirm = format!("{path}/identity/confirm");
    // Four wrong ones and the right one, all at once.
    let attempts =
        [wrong, wrong, &right, wrong, wrong].map(|code| app.post(&confirm, json!({"code": code})));
    let answers = futures::future::join_all(attempts).await;
    assert!(
        answers
            .iter()
            .any(|answer| answer.state() == "agreement_pending"),
        "the right OTP wins"
    );
    let wrong_ones = answers
        .iter()
        .filter(|answer| answer.code() == "OTP_WRONG")
        .count();
    assert!(wrong_ones <= 4);
}

#[tokio::test]
async fn undeliverable_resend_can_be_repeated() {
    let (world, app, path) = scenario::requested("plain_1").await;
    app.post(&format!("{path}/identity"), app.document())
        .await
        .ok(200);
    world.pass_s(61);
    let resend = format!("{path}/identity/code");
    world.sms.set_down(true);
    app.post(&resend, ()).await.is(503, "OTP_CHANNEL_DOWN");
    world.sms.set_down(false);
    let again = app.post(&resend, ()).await;
    assert_eq!(
        (again.status, world.sms.to(&app.profile.phone).len()),
        (200, 2)
    );
}

#[tokio::test]
async fn claimed_key_is_bound_to_its_body() {
    let (world, app, path) = scenario::requested("plain_1").await;
    app.post(&format!("{path}/identity"), app.document()).await;
    let right = world.sms.code(&app.profile.phone);
    let confirm = format!("{path}/identity/confirm");
    // The function dies between the reservation and the result: merchant, key and reservation come before.
    world.boundary.fail(4, Fault::DiesBefore);
    let died = app.keyed("k", &confirm, json!({"code": wrong_otp(&right)}));
    assert!(world.boundary.survive(died).await.is_none());
    let other = app.keyed("k", &confirm, json!({"code": right})).await;
    other.is(422, "IDEMPOTENCY_MISMATCH");
    let again = app.keyed("k", &confirm, json!({"code": wrong_otp(&right)}));
    let again = again.await.is(422, "OTP_WRONG").has("attempts_left", 4);
    let replayed = app.keyed("k", &confirm, json!({"code": wrong_otp(&right)}));
    assert_eq!(replayed.await.body, again.body);
    app.confirm_identity(&path).await;
}

#[tokio::test]
async fn challenge_shows_the_awaited_code() {
    let (world, app, path) = scenario::card_pending("plain_1").await;
    world.pass_s(61);
    app.resend_identity_code(&path)
        .await
        .has("/challenge/purpose", "identity");
    world.pass_s(1);
    let check = app
        .check_card(&path)
        .await
        .has("/challenge/method", "bank_code");
    assert_eq!(check.body["next_actions"][0], "card_check_confirm");
}

#[tokio::test]
async fn unanswered_check_of_an_ended_rebind_counts() {
    let (world, app) = InProcess::with("plain_1").await;
    // The function dies after its intent, three times, and the merchant starts over. The bank may have been called each time.
    for _ in 0..3 {
        let path = app.to_card_pending(GOOD_CARD).await;
        world.boundary.fail(4, Fault::DiesBefore);
        let check = format!("{path}/card-check");
        let died = app.post(&check, ());
        assert!(world.boundary.survive(died).await.is_none());
        app.cancel(&path).await.is(200, "cancelled");
        world.pass_s(61);
    }
    let path = app.to_card_pending(GOOD_CARD).await;
    app.check_card(&path).await.is(429, "CARD_CHECK_LIMIT");
    assert_eq!(world.bank.serials().len(), 3);
}

#[tokio::test]
async fn failing_phone_does_not_block_the_other() {
    let (world, app, _) = scenario::activated("plain_1").await;
    let before = world.sms.to(RESERVED_PHONE).len();
    world.sms.fail_for(Some(&app.profile.phone));
    let batch = world.due_notifications().await;
    let reply = world.deliver(batch.clone(), world.now()).await;
    assert_eq!(reply["batchItemFailures"].as_array().unwrap().len(), 1);
    assert_eq!(world.sms.to(RESERVED_PHONE).len(), before + 1);
    world.sms.fail_for(None);
    let reply = world.deliver(batch, world.now()).await;
    assert_eq!(reply, json!({"batchItemFailures": []}));
    assert_eq!(world.sms.to(RESERVED_PHONE).len(), before + 1, "once");
}

#[tokio::test]
async fn code_to_a_refused_phone_is_final() {
    let (world, app, path) = scenario::requested("plain_1").await;
    let identity = format!("{path}/identity");
    world.sms.refuse(Some(&app.profile.phone));
    let refused = app.keyed("k", &identity, app.document()).await;
    refused
        .is(503, "OTP_CHANNEL_DOWN")
        .has("retryable", false)
        .has("next_actions", json!(["contact_support"]))
        .has("retry_after_s", ())
        .has("counts_toward_limit", false);
    // Nothing was counted: after the correction the phone gets its code at once.
    world.sms.refuse(None);
    app.keyed("k", &identity, app.document())
        .await
        .with_status(200)
        .has("/challenge/purpose", "identity");
}
