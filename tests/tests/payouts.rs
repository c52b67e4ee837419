//! Payouts that the acquirer's core requests, under concurrent changes: each gets one card, chosen once.

#![recursion_limit = "256"] // nested futures
#![allow(clippy::unwrap_used, missing_docs)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::error_code::ErrorCode;
use domain::lang::Lang;
use domain::policy::{DAY_S, Policy};
use domain::sms::{Sms, render};
use domain::time::Timestamp;
use jose::jwk::EncryptionKey;
use jose::receiver::{Receiver, claims};
use payouts::Refusal;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tests::canonical::canonical;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD};
use tests::table_faults::Fault;
use tests::transport::Transport as _;

const POLICY: &Policy = &Policy::CURRENT;
/// The largest amount: 2^53 - 1, which every JSON reader can hold exactly.
const MOST_FEN: u64 = 9_007_199_254_740_991;

fn create(merchant: &str, payout: &str, amount_fen: u64) -> Value {
    json!({
        "operation": "create_payout",
        "merchant_id": format!("mer_{merchant}"),
        "payout_id": payout,
        "amount_fen": amount_fen,
    })
}

fn sending(payout: &str) -> Value {
    json!({"operation": "payout_sending", "payout_id": payout})
}

fn sent(payout: &str) -> Value {
    json!({"operation": "payout_sent", "payout_id": payout})
}

fn returned(payout: &str) -> Value {
    json!({"operation": "payout_returned", "payout_id": payout})
}

/// Retries a payout that met a concurrent write, as the core does.
async fn again_on_conflict(world: &Arc<InProcess>, operation: Value) -> Result<Value, Refusal> {
    for _ in 0..20 {
        match world.core(operation.clone()).await {
            Err(refusal) if refusal.code == ErrorCode::VersionConflict => {}
            done => return done,
        }
    }
    world.core(operation).await
}

/// Every pending payout of a merchant, page by page.
async fn pending(app: &App) -> Vec<Value> {
    let mut items = Vec::new();
    let mut path = "/v1/payouts".to_owned();
    loop {
        let page = app.get(&path).await.ok(200);
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/payouts?cursor={cursor}"),
            None => return items,
        }
    }
}

/// The counts in the merchant state match the list, for each card and for payouts without one.
async fn counts_fit(app: &App, name: &str) {
    let mut listed: BTreeMap<String, u32> = BTreeMap::new();
    for payout in pending(app).await {
        let card = payout["card"]["card_id"].as_str().unwrap_or("none");
        *listed.entry(card.to_owned()).or_default() += 1;
    }
    let state = app.system.stored(name).await.state;
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    let replaced = state.replaced.iter().map(|replaced| &replaced.bound);
    let standby = state.standby.iter().map(|standby| &standby.bound);
    for bound in state.active.iter().chain(replaced).chain(standby) {
        counted.insert(
            bound.card.card_id.as_str().to_owned(),
            bound.unsent + bound.sending,
        );
    }
    counted.insert("none".to_owned(), state.held_payouts);
    counted.retain(|_, count| *count > 0);
    assert_eq!(listed, counted);
}

/// Returns true if both payouts have the same card, or neither has one.
fn card_of(payout: &Value) -> Option<&str> {
    payout["card"]["card_id"].as_str()
}

#[tokio::test]
async fn parallel_creations_make_one_payout() {
    let (world, app) = InProcess::with("plain_1").await;
    let creations = (0..10).map(|_| world.core(create("plain_1", "pay_1", 500)));
    let done = futures::future::join_all(creations).await;
    for payout in &done {
        let payout = payout.as_ref().unwrap();
        assert_eq!(payout, done[0].as_ref().unwrap());
        assert_eq!(
            (&payout["status"], &payout["held"]),
            (&json!("unsent"), &json!(false))
        );
    }
    assert_eq!(pending(&app).await.len(), 1);
    assert_eq!(world.count("plain_1", "payout_created").await, 1);
    counts_fit(&app, "plain_1").await;
    // The same id with other data is a conflict.
    for other in [
        create("plain_1", "pay_1", 501),
        create("plain_2", "pay_1", 500),
    ] {
        let refused = world.core(other).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::IdempotencyMismatch);
    }
    assert_eq!(world.count("plain_2", "payout_created").await, 0);
}

#[tokio::test]
async fn parallel_reports_make_one_event() {
    for (operation, kind, status) in [
        (sent as fn(&str) -> Value, "payout_sent", "sent"),
        (returned, "payout_returned", "returned"),
    ] {
        let (world, app) = InProcess::with("plain_1").await;
        world.core(create("plain_1", "pay_1", 500)).await.unwrap();
        world.core(sending("pay_1")).await.unwrap();
        let ends = (0..10).map(|_| again_on_conflict(&world, operation("pay_1")));
        for payout in futures::future::join_all(ends).await {
            assert_eq!(payout.unwrap()["status"], status);
        }
        assert_eq!(world.count("plain_1", kind).await, 1);
        assert!(pending(&app).await.is_empty());
        counts_fit(&app, "plain_1").await;
    }
}

#[tokio::test]
async fn parallel_payments_stay_within_the_release_limit() {
    let (world, app) = InProcess::with("plain_1").await;
    world.core(create("plain_1", "pay_1", 500)).await.unwrap();
    let begun = (0..8).map(|_| again_on_conflict(&world, sending("pay_1")));
    let done = futures::future::join_all(begun).await;
    let (ok, refused): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!((ok.len(), refused.len()), (POLICY.releases_per_day, 3));
    for refusal in refused {
        assert_eq!(refusal.unwrap_err().code, ErrorCode::ReleaseLimit);
    }
    assert_eq!(world.count("plain_1", "payout_sending").await, 1);
    assert_eq!(world.count("plain_1", "payout_released").await, 4);
    counts_fit(&app, "plain_1").await;
}

/// The claims of an instruction, if it is signed and encrypted as the contract states.
fn read(world: &InProcess, payout: &Value) -> Value {
    let instruction = payout["instruction"].as_str().unwrap();
    let (header, signed) = world.core_key.decrypt(instruction).unwrap();
    assert_eq!(
        (&header["alg"], &header["enc"], &header["cty"]),
        (&json!("ECDH-ES"), &json!("A256GCM"), &json!("JWT"))
    );
    assert!(
        world
            .signer
            .has_signed(std::str::from_utf8(&signed).unwrap())
    );
    claims(&signed).unwrap()
}

#[tokio::test]
async fn instruction_tells_the_core_system_whom_to_pay() {
    let (world, app) = InProcess::with("plain_1").await;
    let onboarded = world.core(create("plain_1", "pay_1", 500)).await.unwrap();
    assert_eq!(onboarded.get("instruction"), None);
    let first = world.core(sending("pay_1")).await.unwrap();
    let told = read(&world, &first);
    assert_eq!(
        told,
        json!({
            "payout_id": "pay_1",
            "merchant_id": "mer_plain_1",
            "card_id": onboarded["card"]["card_id"],
            "amount_fen": 500,
            "card_number": app.profile.active_card,
            "holder_name": app.profile.holder_name,
            "bank_code": onboarded["card"]["bank_code"],
            "release": 1,
            "iat": world.now().epoch_s(),
        })
    );
    // Another card, from a rebind; and a repetition with the same content.
    app.activate(GOOD_CARD).await;
    world.clock.pass_s(2 * DAY_S);
    world.core(create("plain_1", "pay_2", 700)).await.unwrap();
    let second = world.core(sending("pay_2")).await.unwrap();
    assert_eq!(read(&world, &second)["card_number"], GOOD_CARD);
    let again = world.core(sending("pay_2")).await.unwrap();
    assert_ne!(again["instruction"], second["instruction"]);
    let mut expected = read(&world, &second);
    expected["release"] = json!(2);
    assert_eq!(read(&world, &again), expected);
    for operation in [sent("pay_2"), returned("pay_2")] {
        let done = world.core(operation).await.unwrap();
        assert_eq!(done.get("instruction"), None);
    }
}

#[tokio::test]
async fn payment_without_a_usable_key_changes_nothing() {
    for (keys, why) in [
        (String::new(), "JWK Set"),
        (private_set(), "private members"),
    ] {
        let world = InProcess::start().await;
        world.core(create("plain_1", "pay_1", 500)).await.unwrap();
        let refused = world.core_with_keys(&keys, sending("pay_1")).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, ErrorCode::CoreKeyInvalid);
        assert!(refused.message.contains(why), "{}", refused.message);
        assert_eq!(world.count("plain_1", "payout_sending").await, 0);
        let returned = world.core_with_keys(&keys, returned("pay_1")).await;
        assert_eq!(returned.unwrap()["status"], "returned");
    }
    // Outside the sandbox, two operators have to register the key.
    let world = InProcess::staged("production").await;
    world.core(create("plain_1", "pay_1", 500)).await.unwrap();
    let refused = world.core(sending("pay_1")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::CoreKeyInvalid);
    let keys = EncryptionKey::read_set(&world.core_key.public_set()).unwrap();
    let thumbprint = keys[0].thumbprint();
    assert!(refused.message.contains(thumbprint), "{}", refused.message);
    world.register_core_key("of another key").await;
    assert!(world.core(sending("pay_1")).await.is_err());
    world.register_core_key(thumbprint).await;
    let paid = world.core(sending("pay_1")).await.unwrap();
    assert_eq!(read(&world, &paid)["release"], 1);
}

/// A set with the private key, as somebody may configure it by mistake.
fn private_set() -> String {
    let private = Receiver::generate("core-1").unwrap().private_jwk().unwrap();
    URL_SAFE_NO_PAD.encode(json!({"keys": [private]}).to_string())
}

#[tokio::test]
async fn several_payouts_are_reported_in_one_call() {
    let (world, app) = InProcess::with("plain_1").await;
    for payout in ["pay_1", "pay_2"] {
        world.core(create("plain_1", payout, 500)).await.unwrap();
    }
    let payouts = json!([
        {"payout_id": "pay_1"},
        {"payout_id": "pay_none"},
        {"payout_id": "pay_2", "merchant_id": "mer_plain_1"},
        {"payout_id": "2"},
    ]);
    let report = |operation: &str| json!({"operation": operation, "payouts": payouts});
    let done = world.core(report("payout_sending")).await.unwrap();
    let results = done["results"].as_array().unwrap();
    for (place, id) in [(0, "pay_1"), (2, "pay_2")] {
        assert_eq!(results[place]["status"], "sending");
        assert_eq!(read(&world, &results[place])["payout_id"], id);
    }
    for (place, id, code) in [(1, "pay_none", "NOT_FOUND"), (3, "2", "REQUEST_MALFORMED")] {
        assert_eq!(results[place]["payout_id"], id);
        assert_eq!(results[place]["error"]["code"], code);
    }
    let done = world.core(report("payout_sent")).await.unwrap();
    assert_eq!(done["results"][2]["status"], "sent");
    assert!(pending(&app).await.is_empty());
}

#[tokio::test]
async fn unfinished_payouts_are_listed_for_a_recovery() {
    let world = InProcess::start().await;
    for number in 0..22 {
        let payout = format!("pay_{number}");
        world.core(create("plain_1", &payout, 500)).await.unwrap();
        world.clock.pass_s(1);
    }
    world.core(sending("pay_3")).await.unwrap();
    world.core(returned("pay_4")).await.unwrap();
    let list = |cursor: Value| {
        let mut list = json!({"operation": "payouts_unfinished", "merchant_id": "mer_plain_1"});
        if !cursor.is_null() {
            list["cursor"] = cursor;
        }
        list
    };
    let first = world.core(list(Value::Null)).await.unwrap();
    let second = world
        .core(list(first["next_cursor"].clone()))
        .await
        .unwrap();
    assert_eq!(second["next_cursor"], Value::Null);
    let both = [first, second].map(|page| page["items"].as_array().unwrap().clone());
    assert_eq!(both.each_ref().map(Vec::len), [20, 1]);
    let all = both.concat();
    let sending: Vec<_> = all
        .iter()
        .filter(|one| one["status"] == "sending")
        .collect();
    assert_eq!(sending.len(), 1);
    assert_eq!(sending[0]["payout_id"], "pay_3");
    assert!(all.iter().all(|one| one.get("instruction").is_none()));
    assert!(all.iter().all(|one| one["payout_id"] != "pay_4"));
}

#[tokio::test]
async fn returned_payout_notifies_the_merchant() {
    let (world, app) = InProcess::with("plain_1").await;
    let payout = world.core(create("plain_1", "pay_1", 500)).await.unwrap();
    world.core(sending("pay_1")).await.unwrap();
    world.core(sent("pay_1")).await.unwrap();
    for _ in 0..2 {
        world.core(returned("pay_1")).await.unwrap();
        world.deliver_notifications().await;
    }
    let last4 = payout["card"]["last4"].as_str().unwrap();
    let notified = render(&Sms::PayoutReturned { last4 }, Lang::ZhCn);
    let texts = world.sms.to(&app.profile.phone);
    assert_eq!(texts.iter().filter(|text| **text == notified).count(), 1);
}

#[tokio::test]
async fn payout_sent_and_returned_ends_returned() {
    let (world, app) = InProcess::with("plain_1").await;
    world.core(create("plain_1", "pay_1", 500)).await.unwrap();
    world.core(sending("pay_1")).await.unwrap();
    let both = [
        sent("pay_1"),
        returned("pay_1"),
        sent("pay_1"),
        returned("pay_1"),
    ]
    .map(|operation| again_on_conflict(&world, operation));
    let done = futures::future::join_all(both).await;
    // A returned payout cannot be sent; a sent one can be returned.
    for refused in done.iter().filter_map(|done| done.as_ref().err()) {
        assert_eq!(refused.code, ErrorCode::StepOutOfOrder);
    }
    assert!(done[1].is_ok() && done[3].is_ok());
    assert_eq!(world.count("plain_1", "payout_returned").await, 1);
    assert!(world.count("plain_1", "payout_sent").await <= 1);
    counts_fit(&app, "plain_1").await;
    let late = world.core(sending("pay_1")).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::StepOutOfOrder);
    // The error message names the place to look at.
    assert!(
        late.message.contains("payouts_unfinished"),
        "{}",
        late.message
    );
}

#[tokio::test]
async fn refused_core_operations_change_nothing() {
    let world = InProcess::start().await;
    let items = world.items().await.len();
    for (operation, code) in [
        (
            json!({"operation": "create_payout"}),
            ErrorCode::RequestMalformed,
        ),
        (
            json!({"operation": "pay", "payout_id": "pay_1"}),
            ErrorCode::RequestMalformed,
        ),
        (create("plain_1", "pay_1", 0), ErrorCode::RequestMalformed),
        (
            create("plain_1", "pay_1", MOST_FEN + 1),
            ErrorCode::RequestMalformed,
        ),
        (create("plain_1", "1", 1), ErrorCode::RequestMalformed),
        (
            create("plain_1", &format!("pay_{}", "x".repeat(41)), 1),
            ErrorCode::RequestMalformed,
        ),
        (create("nobody", "pay_1", 1), ErrorCode::NotFound),
        (sending("pay_unknown"), ErrorCode::NotFound),
        (sent("pay_unknown"), ErrorCode::NotFound),
        (returned("pay_unknown"), ErrorCode::NotFound),
        (
            json!({"operation": "payout_sent", "payout_id": "pay_1", "amount_fen": 1}),
            ErrorCode::RequestMalformed,
        ),
        (
            json!({"operation": "payout_sent", "payout_id": "pay_1", "x": 1}),
            ErrorCode::RequestMalformed,
        ),
        (
            json!({"operation": "payout_sent", "payout_id": "pay_1", "time": "now"}),
            ErrorCode::RequestMalformed,
        ),
        // A payout that belongs to another merchant than the core states.
        (
            json!({"operation": "payout_sent", "payout_id": "pay_sandbox_1", "merchant_id": "mer_plain_1"}),
            ErrorCode::NotFound,
        ),
    ] {
        let refused = world.core(operation.clone()).await.unwrap_err();
        assert_eq!(refused.code, code, "{operation}");
        assert!(!refused.message.is_empty());
    }
    assert_eq!(world.items().await.len(), items);
    let most = world.core(create("plain_1", "pay_most", MOST_FEN)).await;
    assert_eq!(most.unwrap()["amount_fen"], MOST_FEN);
    let production = InProcess::staged("production").await;
    let mut timed = create("plain_1", "pay_1", 1);
    timed["time"] = json!(production.now().to_rfc3339_shanghai());
    assert_eq!(
        production.core(timed).await.unwrap_err().code,
        ErrorCode::RequestMalformed
    );
}

#[tokio::test]
async fn payout_card_changes_at_effective_at() {
    let (world, app) = InProcess::with("plain_1").await;
    let old = world
        .core(create("plain_1", "pay_before", 1))
        .await
        .unwrap();
    app.activate(GOOD_CARD).await;
    world.pass_s(POLICY.hold_s - 1);
    let last = world
        .core(create("plain_1", "pay_in_hold", 1))
        .await
        .unwrap();
    assert_eq!(card_of(&last), card_of(&old));
    world.pass_s(1);
    let first = world.core(create("plain_1", "pay_after", 1)).await.unwrap();
    assert_ne!(card_of(&first), card_of(&old));
    assert_eq!(first["card"]["last4"], "1009");
    // No payout moves to another card.
    world.clean_up().await;
    let app = app.again().await;
    let items = pending(&app).await;
    let cards: Vec<Option<&str>> = items.iter().map(card_of).collect();
    assert_eq!(cards, [card_of(&first), card_of(&old), card_of(&old)]);
    counts_fit(&app, "plain_1").await;
}

#[tokio::test]
async fn payout_during_a_change_has_one_card() {
    let (world, app) = InProcess::with("plain_1").await;
    let old = world
        .stored("plain_1")
        .await
        .state
        .active
        .unwrap()
        .card
        .card_id;
    let card = app.standby(GOOD_CARD).await;
    world.pass_s(POLICY.standby_wait_s);
    let app = app.again().await;
    let code = app.switch_code(&card).await;
    let switch = async {
        let path = format!("{card}/activate");
        for _ in 0..20 {
            let done = app.keyed("switch", &path, code.clone()).await;
            if done.status < 400 {
                assert_eq!(done.state(), "activated");
                return;
            }
            assert_eq!(done.code(), "VERSION_CONFLICT", "{:?}", done.body);
        }
    };
    let ids: Vec<String> = (0..12).map(|number| format!("pay_{number}")).collect();
    let creations = ids
        .iter()
        .map(|id| again_on_conflict(&world, create("plain_1", id, 1)));
    let ((), done) = futures::join!(switch, futures::future::join_all(creations));
    let new = world
        .stored("plain_1")
        .await
        .state
        .active
        .unwrap()
        .card
        .card_id;
    assert!(card.ends_with(new.as_str()));
    let listed = pending(&app).await;
    assert_eq!(listed.len(), ids.len());
    let events = world.history("plain_1").await;
    for payout in done {
        let payout = payout.unwrap();
        // Reply, list and the one event agree.
        let id = payout["payout_id"].as_str().unwrap();
        let listed = listed
            .iter()
            .find(|listed| listed["payout_id"] == id)
            .unwrap();
        assert_eq!(card_of(listed), card_of(&payout));
        let mut created = (0..).zip(&events).filter(|(_, event)| {
            event.kind().as_str() == "payout_created" && event.data()["payout_id"] == id
        });
        let (place, created_event) = created.next().unwrap();
        assert!(created.next().is_none());
        assert_eq!(created_event.data()["card_id"].as_str(), card_of(&payout));
        // The card is the one that was active at the moment of the write.
        let activated = events
            .iter()
            .position(|event| event.kind().as_str() == "activated");
        let expected = if activated.is_some_and(|at| at < place) {
            &new
        } else {
            &old
        };
        assert_eq!(card_of(&payout), Some(expected.as_str()));
    }
    counts_fit(&app, "plain_1").await;
}

/// A lost card: payouts of the hold wait for a card. Tried with this number of them.
async fn held(app: &App, count: usize) {
    app.activate_with(GOOD_CARD, json!({"reason": "lost"}))
        .await;
    for number in 0..count {
        let payout = app
            .system
            .core(create("plain_1", &format!("pay_{number}"), 100))
            .await;
        let payout = payout.unwrap();
        assert_eq!(
            (&payout["held"], &payout["card"]),
            (&json!(true), &Value::Null)
        );
        let refused = match number {
            0 => Some(app.system.core(sending("pay_0")).await.unwrap_err().code),
            _ => None,
        };
        assert!(refused.is_none_or(|code| code == ErrorCode::StepOutOfOrder));
    }
}

#[tokio::test]
async fn parallel_cleanups_assign_once() {
    let (world, app) = InProcess::with("plain_1").await;
    held(&app, 12).await;
    world.pass_s(POLICY.hold_lost_s - 1);
    assert_eq!(
        world.clean_up().await.payouts_assigned,
        0,
        "not before effective_at"
    );
    world.pass_s(1);
    let (one, two) = futures::join!(world.clean_up(), world.clean_up());
    let mut assigned = one.payouts_assigned + two.payouts_assigned;
    assert_eq!((one.failed, two.failed), (0, 0));
    for _ in 0..5 {
        assigned += world.clean_up().await.payouts_assigned;
    }
    assert_eq!(assigned, 12);
    assert_eq!(world.count("plain_1", "payout_assigned").await, 12);
    let app = app.again().await;
    let new = world
        .stored("plain_1")
        .await
        .state
        .active
        .unwrap()
        .card
        .card_id;
    for payout in pending(&app).await {
        assert_eq!(
            (card_of(&payout), &payout["held"]),
            (Some(new.as_str()), &json!(false))
        );
    }
    counts_fit(&app, "plain_1").await;
    world.core(sending("pay_0")).await.unwrap();
    let done = world.core(sent("pay_0")).await.unwrap();
    assert_eq!(done["status"], "sent");
}

#[tokio::test]
async fn cleanup_assigns_many_held_payouts_in_time() {
    let (world, app) = InProcess::with("plain_1").await;
    held(&app, 120).await;
    world.pass_s(POLICY.hold_lost_s);
    let summary = world.clean_up().await;
    assert_eq!((summary.payouts_assigned, summary.failed), (120, 0));
    assert_eq!(world.clean_up().await.payouts_assigned, 0);
    let app = app.again().await;
    let listed = pending(&app).await;
    assert_eq!(listed.len(), 120);
    assert!(listed.iter().all(|payout| payout["held"] == false));
    assert_eq!(world.count("plain_1", "payout_assigned").await, 120);
    counts_fit(&app, "plain_1").await;
}

#[tokio::test]
async fn short_run_leaves_held_payouts() {
    let (world, app) = InProcess::with("plain_1").await;
    held(&app, 60).await;
    world.pass_s(POLICY.hold_lost_s);
    let event = json!({"time": world.now().to_rfc3339_shanghai()});
    // Slightly more time than the reserve, for sixty payouts.
    let started = std::time::Instant::now();
    let left = cooldown_cleanup::RESERVE + Duration::from_millis(10);
    let short = world.scheduled(event, left).await.unwrap();
    assert!(started.elapsed() < left, "{:?}", started.elapsed());
    assert!(
        short.stopped_early && short.payouts_assigned < 60,
        "{short:?}"
    );
    let next = world.clean_up().await;
    assert_eq!(short.payouts_assigned + next.payouts_assigned, 60);
    counts_fit(&app.again().await, "plain_1").await;
}

#[tokio::test]
async fn first_card_receives_held_payouts() {
    let (world, app) = InProcess::with("no_card").await;
    let payout = world.core(create("no_card", "pay_1", 100)).await.unwrap();
    assert_eq!(payout["held"], true);
    assert_eq!(world.clean_up().await.payouts_assigned, 0);
    app.activate(GOOD_CARD).await;
    world.pass_s(POLICY.hold_s);
    let summary = world.clean_up().await;
    assert_eq!((summary.payouts_assigned, summary.failed), (1, 0));
    counts_fit(&app.again().await, "no_card").await;
}

#[tokio::test]
async fn repeated_core_operation_changes_nothing() {
    let (world, app) = InProcess::with("plain_1").await;
    for (operation, kind) in [
        (create("plain_1", "pay_1", 500), "payout_created"),
        (sending("pay_1"), "payout_sending"),
        (sent("pay_1"), "payout_sent"),
        (returned("pay_1"), "payout_returned"),
    ] {
        let calls = if kind == "payout_created" { 2 } else { 3 };
        for (fault, events) in [(Fault::RequestLost, 0), (Fault::ReplyLost, 1)] {
            world.boundary.fail(calls, fault);
            let lost = world.core(operation.clone()).await.unwrap_err();
            assert_eq!(lost.code, ErrorCode::Internal, "{kind} {fault:?}");
            assert_eq!(
                world.count("plain_1", kind).await,
                events,
                "{kind} {fault:?}"
            );
        }
        let mut both = Vec::new();
        for _ in 0..2 {
            let mut done = world.core(operation.clone()).await.unwrap();
            // Each release is encrypted anew.
            done.as_object_mut().unwrap().remove("instruction");
            both.push(done);
        }
        assert_eq!(both[0], both[1]);
        assert_eq!(world.count("plain_1", kind).await, 1, "{kind}");
        counts_fit(&app, "plain_1").await;
    }
}

#[tokio::test]
async fn replaced_card_leaves_after_its_last_payout() {
    let (world, app) = InProcess::with("plain_1").await;
    world.core(create("plain_1", "pay_1", 1)).await.unwrap();
    let rebind = app.activate(GOOD_CARD).await;
    let shown = app.get(&rebind).await;
    let old = shown.body["old_card"]["card_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let unbind = format!("/v1/cards/{old}/unbind");
    world.pass_s(POLICY.hold_s + POLICY.retire_after_effective_s - 1);
    let app = app.again().await;
    for wait_s in [1, 0] {
        let refused = app.post(&unbind, ()).await.is(409, "PAYOUT_IN_FLIGHT");
        let wait_s_shown = refused.body.get("retry_after_s").and_then(Value::as_i64);
        assert_eq!(
            wait_s_shown,
            (wait_s > 0).then_some(wait_s),
            "{:?}",
            refused.body
        );
        assert_eq!(world.clean_up().await.cards_removed, 0);
        world.pass_s(1);
    }
    world.core(sending("pay_1")).await.unwrap();
    world.core(sent("pay_1")).await.unwrap();
    let summary = world.clean_up().await;
    assert_eq!((summary.cards_removed, summary.failed), (1, 0));
    app.post(&unbind, ()).await.ok(404);
    assert_eq!(world.count("plain_1", "card_removed").await, 1);
    let leftovers = world.items().await;
    let name = format!("C#{old}");
    assert!(
        leftovers
            .iter()
            .all(|item| item["sk"].as_s().unwrap() != &name)
    );
}

#[tokio::test]
async fn lost_settings_reply_is_replayed() {
    let (world, app) = InProcess::with("plain_1").await;
    let shown = app.get("/v1/settlement").await;
    let mut wanted = shown.body.clone();
    wanted["payout_time"] = json!("09:30");
    let mut pending = shown.body.clone();
    pending["pending"] = json!({
        "cycle": shown.body["cycle"], "payout_time": "09:30", "retained_fen": shown.body["retained_fen"],
        "daily_limit_fen": shown.body["daily_limit_fen"],
        "effective_at": world.now().plus_s(DAY_S).to_rfc3339_shanghai(),
    });
    world.boundary.fail(2, Fault::ReplyLost);
    app.call_keyed("k", "PUT", "/v1/settlement", wanted.clone())
        .await
        .ok(500);
    let again = app
        .call_keyed("k", "PUT", "/v1/settlement", wanted.clone())
        .await;
    assert_eq!(
        (again.status, &again.body),
        (200, &pending),
        "{:?}",
        again.body
    );
    assert_eq!(again.headers["idempotent-replayed"], "true");
    app.put("/v1/settlement", wanted).await.ok(200);
    assert_eq!(world.count("plain_1", "settlement_changed").await, 1);
    world.deliver_due().await;
    assert_eq!(world.sms.to(&app.profile.phone).len(), 1);
}

#[tokio::test]
async fn parallel_settings_changes_are_serial() {
    let (world, app) = InProcess::with("plain_1").await;
    let shown = app.get("/v1/settlement").await;
    let change = |hour: u32| {
        let mut wanted = shown.body.clone();
        wanted["payout_time"] = json!(format!("{hour:02}:00"));
        wanted
    };
    let changes = (10..15).map(|hour| app.put("/v1/settlement", change(hour)));
    let answers = futures::future::join_all(changes).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.code(), "VERSION_CONFLICT", "{:?}", answer.body);
    }
    // Each change replaces the pending one. None is in force.
    let events = world.history("plain_1").await;
    let changes: Vec<&Map<String, Value>> = events
        .iter()
        .filter(|event| event.kind().as_str() == "settlement_changed")
        .map(|event| event.data())
        .collect();
    assert_eq!(changes.len(), done);
    for change in &changes {
        assert_eq!(change["before"], changes[0]["before"]);
    }
    let stored = app.get("/v1/settlement").await;
    let last = &changes.last().unwrap()["after"];
    let pending = &stored.body["pending"];
    assert_eq!(last["payout_time"], pending["payout_time"], "{last}");
}

#[tokio::test]
async fn shown_history_can_be_recomputed() {
    let (world, app) = InProcess::with("plain_1").await;
    // A bit of everything.
    let target = json!({"platform": "apns", "token": "a-token"});
    app.put("/v1/push-targets/phone", target).await;
    world.core(create("plain_1", "pay_1", 1)).await.unwrap();
    let rebind = app.activate(GOOD_CARD).await;
    let test = format!("{rebind}/test-transaction");
    app.post(&test, ()).await;
    world.core(sending("pay_1")).await.unwrap();
    world.core(sent("pay_1")).await.unwrap();
    world.core(returned("pay_1")).await.unwrap();
    world.pass_s(POLICY.cooldown_s);
    world.clean_up().await;
    world.deliver_due().await;
    let app = app.again().await;
    let card = app.standby(SECOND_CARD).await;
    world.pass_s(DAY_S);
    let app = app.again().await;
    app.switch(&card).await;
    app.delete("/v1/push-targets/phone").await;
    let code = app.freeze_code().await;
    world
        .freeze(&app.profile.account, &code, "198.51.100.7")
        .await;
    let app = app.again().await;

    let mut items: Vec<Value> = Vec::new();
    let mut path = "/v1/history".to_owned();
    loop {
        let page = app.get(&path).await.ok(200);
        items.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/history?cursor={cursor}"),
            None => break,
        }
    }
    items.reverse();
    assert!(items.len() > 20, "more than a page: {}", items.len());
    assert_eq!(items.len(), world.history("plain_1").await.len());
    let mut prev = "0".repeat(64);
    for (sequence, item) in (1..).zip(&items) {
        assert_eq!(item["sequence"], sequence);
        assert_eq!(item["event_id"], format!("evt_{sequence}"));
        assert_eq!(item["prev_hash"], prev.as_str());
        let at = Timestamp::parse_rfc3339(item["at"].as_str().unwrap()).unwrap();
        let event = json!({
            "at": at.epoch_s(),
            "data": item["data"],
            "kind": item["kind"],
            "merchant_id": "mer_plain_1",
            "personal_sha256": item["personal_sha256"],
            "policy": item["policy_version"],
            "prev_hash": item["prev_hash"],
            "seq": item["sequence"],
        });
        let hash = Sha256::digest(canonical(&event).as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(item["hash"], hash.as_str(), "{}", item["kind"]);
        prev = hash;
    }
    // The history contains no phone, name or card number.
    let text = serde_json::to_string(&items).unwrap();
    for secret in [
        &app.profile.phone[3..],
        &app.profile.holder_name,
        &RESERVED_PHONE[3..],
        GOOD_CARD,
        "a-token",
        &code,
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}
