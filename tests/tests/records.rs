//! Two releases share one table. The older release leaves unknown records and unknown attributes alone.

#![allow(clippy::unwrap_used, missing_docs)]

use aws_sdk_dynamodb::types::AttributeValue;
use domain::policy::Policy;
use serde_json::{Value, json};
use std::collections::HashMap;
use tests::in_process::InProcess;
use tests::merchant::{GOOD_CARD, merchant};
use tests::transport::Reply;

type Item = HashMap<String, AttributeValue>;

/// The only item with these key prefixes.
async fn item(world: &InProcess, pk: &str, sk: &str) -> Item {
    let begins = |item: &Item, name: &str, with: &str| item[name].as_s().unwrap().starts_with(with);
    let mut items = world.items().await;
    items.retain(|item| begins(item, "pk", pk) && begins(item, "sk", sk));
    assert_eq!(items.len(), 1, "{pk} {sk}");
    items.remove(0)
}

async fn set(world: &InProcess, mut item: Item, name: &str, value: AttributeValue) {
    item.insert(name.to_owned(), value);
    world.put_item(item).await;
}

fn version(number: u32) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn refused(answer: &Reply) {
    let refusal = (answer.status, answer.code());
    assert_eq!(refusal, (503, "INTERNAL"), "{:?}", answer.body);
    assert_eq!(answer.body["retryable"], true);
}

#[tokio::test]
async fn record_of_later_release_is_503() {
    let world = InProcess::start().await;
    let app = world.log_in("plain_1").await;
    let rebind = app.request(GOOD_CARD).await;
    let identity = format!("{rebind}/identity");
    for sk in ["Y", "Z", "R#"] {
        let record = item(&world, "M#mer_plain_1", sk).await;
        set(&world, record.clone(), "v", version(2)).await;
        let before = world.items().await;
        refused(&app.call("GET", &rebind, Value::Null).await);
        refused(&app.keyed(sk, &identity, app.document()).await);
        assert_eq!(world.items().await, before, "{sk}");
        set(&world, record, "v", version(1)).await;
    }
    assert!(world.sms.to(&app.profile.phone).is_empty());
    let answer = app.keyed("Y", &identity, app.document()).await;
    assert_eq!(
        answer.status, 200,
        "a refusal for the release is not stored"
    );
}

/// The counter of a phone's OTPs is written without a read.
#[tokio::test]
async fn counter_of_later_release_is_503() {
    let world = InProcess::start().await;
    let app = world.log_in("plain_1").await;
    let rebind = app.request(GOOD_CARD).await;
    let first = app
        .call("POST", &format!("{rebind}/identity"), app.document())
        .await;
    assert_eq!(first.status, 200);
    world.pass_s(Policy::CURRENT.code_gap_s);
    let counter = item(&world, "P#", "P").await;
    set(&world, counter.clone(), "v", version(2)).await;
    let resend = format!("{rebind}/identity/code");
    refused(&app.call("POST", &resend, Value::Null).await);
    assert_eq!(world.sms.to(&app.profile.phone).len(), 1);
    set(&world, counter, "v", version(1)).await;
    let answer = app.call("POST", &resend, Value::Null).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn account_of_later_release_is_503() {
    let world = InProcess::start().await;
    let merchant = merchant("plain_1");
    let app = world.log_in("plain_1").await;
    let mut items = world.items().await;
    items.retain(|item| {
        item.get("merchant_id") == Some(&AttributeValue::S("mer_plain_1".to_owned()))
    });
    set(&world, items.remove(0), "v", version(2)).await;
    let credentials = json!({
        "account": merchant.account, "password": merchant.password, "device_id": "dev-1"
    });
    let login = world.event("POST", "/v1/sessions", &[], &credentials);
    refused(&world.send(login).await);
    let cards = app.call("GET", "/v1/cards", Value::Null).await;
    assert_eq!(cards.status, 200, "an open session stays valid");
}

#[tokio::test]
async fn unknown_attribute_survives_writes() {
    let world = InProcess::start().await;
    let app = world.log_in("plain_1").await;
    let rebind = app.request(GOOD_CARD).await;
    let later = AttributeValue::S("later".to_owned());
    let create = json!({
        "operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": "pay_1", "amount_fen": 1
    });
    world.core(create).await.unwrap();
    let records = [
        ("M#mer_plain_1", "Y"),
        ("M#mer_plain_1", "R#"),
        ("O#pay_1", "O"),
    ];
    let mut before = Vec::new();
    for (pk, sk) in records {
        let record = item(&world, pk, sk).await;
        set(&world, record.clone(), "later", later.clone()).await;
        before.push(record);
    }
    let settlement = json!({
        "cycle": "D1", "payout_time": "18:30", "retained_fen": 0, "daily_limit_fen": 100
    });
    let settled = app.call("PUT", "/v1/settlement", settlement).await;
    assert_eq!(settled.status, 200, "{:?}", settled.body);
    let sent = app
        .call("POST", &format!("{rebind}/identity"), app.document())
        .await;
    assert_eq!(sent.status, 200);
    let paid =
        json!({"operation": "payout_sending", "merchant_id": "mer_plain_1", "payout_id": "pay_1"});
    world.core(paid).await.unwrap();
    for ((pk, sk), before) in records.into_iter().zip(before) {
        let mut after = item(&world, pk, sk).await;
        assert_eq!(after.remove("later"), Some(later.clone()), "{pk} {sk}");
        assert_ne!(after, before, "{pk} {sk} was not written");
    }
}
