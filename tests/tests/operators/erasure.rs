//! The erasure of a merchant: what forbids it, what is left, and that it can end anywhere and be repeated.

use super::proposed;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::item::Item;
use tests::history;
use tests::in_process::{App, InProcess};
use tests::merchant::{DEVICE, GOOD_CARD, Merchant, Profile};
use tests::new_merchants::{card_number, new_merchant};
use tests::operators::{REGISTRY, RETENTION_S, SECURITY, SUPPORT, approve, call, change};
use tests::table_faults::Fault;
use tests::transport::{HttpCall, Transport as _};

const TOKEN: &str = "a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1";

/// A merchant with two cards, a push device, and an account that was closed and kept for long.
async fn closed(world: &Arc<InProcess>) -> (App, Value) {
    let (profile, line) = new_merchant("erase", 4_321);
    let create = change("registry/create", "c", &line);
    world.operate(&REGISTRY, create).await.ok(201);
    let app = Merchant::log_in(Arc::clone(world), &profile, DEVICE).await;
    app.activate(GOOD_CARD).await;
    world.deliver_notifications().await;
    // The later notifications are never handed over, so their recipients stay.
    world.stop_stream();
    let device = json!({"platform": "apns", "token": TOKEN});
    app.again()
        .await
        .put("/v1/push-targets/till", device)
        .await
        .ok(204);
    let close = change(&format!("registry/close/{}", profile.id), "x", &json!({}));
    world.operate(&REGISTRY, close).await.ok(200);
    world.pass_s(RETENTION_S);
    (app, line)
}

async fn plan(world: &InProcess, id: &str) -> Value {
    let plan = call("GET", &format!("merchants/{id}/erasure"));
    world.operate(&SUPPORT, plan).await.ok(200)
}

async fn decide(world: &Arc<InProcess>, profile: &Profile) {
    let body = json!({"merchant_id": profile.id});
    let proposal = proposed(world, "erase", &body).await;
    for is_replayed in [false, true] {
        let approved = approve(world, &SECURITY, ("erase", "a"), &proposal).await;
        assert_eq!(approved.is_replayed(), is_replayed);
        approved.ok(200);
    }
}

/// Removes everything, and returns how many calls it took.
async fn removed(world: &InProcess, profile: &Profile) -> usize {
    for (number, key) in (1..).zip(["1", "2", "3", "4"]) {
        let erase = change(&format!("acts/erase/{}", profile.id), key, &json!({}));
        if world.operate(&SECURITY, erase).await.ok(200)["done"] == true {
            return number;
        }
    }
    panic!("never done");
}

/// The number of items of each kind, by the letter of the partition and of the sort key. Idempotency rows expire.
async fn kinds(world: &InProcess) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for item in world.items().await {
        let [pk, sk] = ["pk", "sk"].map(|name| item[name].as_s().unwrap());
        let kind = format!("{} {}", &pk[..1], &sk[..1]);
        if !kind.starts_with('I') {
            *kinds.entry(kind).or_default() += 1;
        }
    }
    kinds
}

fn text_of(item: &Item) -> String {
    let values = item.values().filter_map(|value| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text.as_str()),
        _ => None,
    });
    values.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn obstacles_are_shown_and_forbid_the_proposal() {
    let world = InProcess::start().await;
    let id = "mer_plain_1";
    let app = world.log_in("plain_1").await;
    app.request(GOOD_CARD).await;
    let refused = async |key: &str| {
        let body = json!({"merchant_id": id});
        let propose = change("proposals/erase", key, &body);
        let refused = world.operate(&super::OPERATIONS, propose).await;
        refused.refused(ErrorCode::StepOutOfOrder);
        plan(&world, id).await
    };
    let open = refused("a").await;
    assert_eq!(open["obstacles"], json!(["account_open", "rebind_open"]));
    assert_eq!(open["retained_until"], Value::Null);
    assert_eq!(open["backup_days"], 35);
    let close = change(&format!("registry/close/{id}"), "x", &json!({}));
    world.operate(&REGISTRY, close).await.ok(200);
    let closed = refused("b").await;
    assert_eq!(closed["obstacles"], json!(["retention_running"]));
    let erase = change(&format!("acts/erase/{id}"), "e", &json!({}));
    let undecided = world.operate(&SECURITY, erase).await;
    undecided.refused(ErrorCode::StepOutOfOrder);
    let unknown = change("acts/erase/mer_unknown", "e", &json!({}));
    let unknown = world.operate(&SECURITY, unknown).await;
    unknown.refused(ErrorCode::NotFound);
    world.pass_s(RETENTION_S);
    assert_eq!(plan(&world, id).await["obstacles"], json!([]));
}

#[tokio::test]
async fn nothing_personal_of_an_erased_merchant_is_left() {
    let world = InProcess::start().await;
    let before = kinds(&world).await;
    let (app, line) = closed(&world).await;
    let profile = &app.profile;
    let id = &profile.id;
    decide(&world, profile).await;

    // From the decision on, no use case finds the merchant.
    for path in ["", "/payouts", "/receipt"] {
        let show = call("GET", &format!("merchants/{id}{path}"));
        let gone = world.operate(&SUPPORT, show).await;
        gone.refused(ErrorCode::NotFound);
    }
    app.get("/v1/cards")
        .await
        .refused(ErrorCode::SessionExpired);
    let login =
        json!({"account": profile.account, "password": profile.password, "device_id": DEVICE});
    let login = HttpCall::new("POST", "/v1/sessions").json(&login);
    let login = world.http(login.at(world.now())).await;
    login.refused(ErrorCode::AuthBadCredentials);
    assert_eq!(plan(&world, id).await["done"], false);

    assert_eq!(removed(&world, profile).await, 1);
    assert_eq!(world.push.forgotten(), [TOKEN]);
    let shown = plan(&world, id).await;
    assert_eq!(
        (&shown["done"], &shown["merchant_id"]),
        (&json!(true), &json!(id))
    );
    assert_eq!(removed(&world, profile).await, 1);
    assert_eq!(world.push.forgotten().len(), 1);
    let mut left = kinds(&world).await;
    for (kind, count) in &before {
        *left.get_mut(kind).unwrap() -= count;
    }
    // Audit chains, and counts that expire: of the address, the phone, and the failed login above.
    left.retain(|kind, count| {
        *count > 0 && !["U E", "U Y", "S S", "P P", "A L"].contains(&kind.as_str())
    });
    let events = history::chained(&world.store(), &profile.merchant_id()).await;
    let events = events.unwrap();
    assert_eq!(events.last().unwrap().kind(), EventKind::Erased);
    let kept = [
        ("M E", events.len()),
        ("M Y", 1),
        ("M Z", 1),
        ("V p", 1),
        ("X X", 1),
    ];
    let kept = kept.map(|(kind, count)| (kind.to_owned(), count));
    assert_eq!(left, BTreeMap::from(kept));
    let secrets = [
        &profile.phone,
        &profile.reserved_phone,
        &profile.document_number,
        &profile.account,
    ];
    for item in world.items().await {
        let text = text_of(&item);
        let is_own = item["pk"].as_s().unwrap() == &profile.pk();
        let waits = |name: &&String| name.starts_with("to_") || name.starts_with("due_");
        assert_eq!(item.keys().find(waits).filter(|_| is_own), None);
        for secret in secrets {
            assert!(!text.contains(secret.as_str()), "{:?}", item["sk"]);
        }
    }

    // The id is never used again; the account and the card are free.
    let create = change("registry/create", "d", &line);
    let exists = world.operate(&REGISTRY, create).await;
    exists.refused(ErrorCode::RequestMalformed);
    let mut other = line.clone();
    other["merchant_id"] = json!("mer_erase_other");
    other["card"] = json!({"number": card_number(77)});
    let create = change("registry/create", "e", &other);
    world.operate(&REGISTRY, create).await.ok(201);
}

/// The process dies after each of its calls to the table. A repetition ends with the same items.
#[tokio::test]
async fn interrupted_erasure_continues() {
    let mut whole = None;
    for place in 1.. {
        let world = InProcess::start().await;
        let (app, _) = closed(&world).await;
        decide(&world, &app.profile).await;
        world.boundary.fail(place, Fault::DiesAfter);
        let work = removed(&world, &app.profile);
        let survived = world.boundary.survive(work).await.is_some();
        world.boundary.calm();
        if !survived {
            removed(&world, &app.profile).await;
        }
        let mut left = kinds(&world).await;
        // Each call is an entry of the person's audit chain.
        left.remove("U E");
        assert_eq!(*whole.get_or_insert_with(|| left.clone()), left, "{place}");
        if survived {
            assert!(place > 10, "only {place} calls");
            return;
        }
    }
}
