//! No secret anywhere: every log line and every item of the whole run is searched for every secret that it has used.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::edge::serve::wall_clock;
use shared::store::item::Item;
use std::collections::BTreeSet;
use std::io::Read;
use tests::aws::LOGS;
use tests::secrets::Kind;
use tests::system::Live;

/// Where a secret was found, and of which kind it is.
type Found = BTreeSet<(String, Kind)>;

/// Nothing is found; what is planted is, by the same search in the same places.
pub async fn no_secret_is_kept_or_logged(live: &Live) {
    for kind in [
        Kind::CardNumber,
        Kind::IdNumber,
        Kind::Password,
        Kind::Token,
        Kind::Code,
        Kind::FreezeCode,
        Kind::DepositCode,
        Kind::PushToken,
    ] {
        assert!(
            live.secrets.count(kind) > 0,
            "{kind:?}: nothing to search for"
        );
    }
    assert_eq!(search(live).await, Found::new());

    // One secret in an item, one in a reply that is kept compressed, one in a log.
    let merchant = live.merchant().await;
    let app = live.app(&merchant).await;
    app.show_document(&app.request(&live.card()).await).await;
    let code = live.code(&merchant.phone).await;
    put(
        live,
        "PLANTED#1",
        "note",
        AttributeValue::S(format!("seen: {}", merchant.document_number)),
    )
    .await;
    put(
        live,
        "PLANTED#2",
        "body",
        AttributeValue::B(deflate(&app.token).into()),
    )
    .await;
    let group = live
        .log_groups()
        .await
        .into_iter()
        .find(|group| group.ends_with("/LoginLogs"))
        .unwrap();
    log(
        live,
        &group,
        &json!({"message": "request", "typed": code}).to_string(),
    )
    .await;
    log(live, &group, &format!("plain: {}", merchant.password)).await;
    let planted: Found = [
        ("item PLANTED#1".to_owned(), Kind::IdNumber),
        ("item PLANTED#2".to_owned(), Kind::Token),
        (group.clone(), Kind::Code),
        (group, Kind::Password),
    ]
    .into();
    assert_eq!(search(live).await, planted);
}

/// Searches everything that is kept.
async fn search(live: &Live) -> Found {
    let mut found = Found::new();
    let mut lines = 0;
    for group in live.log_groups().await {
        for line in live.log_of(&group).await {
            lines += 1;
            let kinds = live.secrets.found_in(&without_clock(&line), &[]);
            found.extend(kinds.into_iter().map(|kind| (group.clone(), kind)));
        }
    }
    let (items, banks) = (
        live.items().await,
        live.items_of(live.system.resource("SandboxBankTable").unwrap())
            .await,
    );
    let sms = live.all_sms().await;
    let searched = [lines, items.len(), banks.len(), sms.len()];
    assert!(
        searched.iter().all(|count| *count > 100),
        "too little to search: {searched:?}"
    );
    let of_the_bank = banks.iter().map(|item| (item, true));
    for (item, is_banks) in items.iter().map(|item| (item, false)).chain(of_the_bank) {
        let place = format!("item {}", item["pk"].as_s().unwrap());
        // A deposit's code stands where its holder reads it: in the bank's statement.
        let allowed: &[Kind] = match is_banks && item.contains_key("descriptor") {
            true => &[Kind::DepositCode],
            false => &[],
        };
        let kinds = live.secrets.found_in(&text(item), allowed);
        found.extend(kinds.into_iter().map(|kind| (place.clone(), kind)));
    }
    for text in sms {
        // A code is in its own SMS, and nothing else is in any.
        let kinds = live
            .secrets
            .found_in(&text, &[Kind::Code, Kind::FreezeCode]);
        found.extend(kinds.into_iter().map(|kind| ("an SMS".to_owned(), kind)));
    }
    found
}

/// A log line without its time: a part of a second has six digits, like a code.
fn without_clock(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(mut line)) => {
            line.remove("timestamp");
            Value::Object(line).to_string()
        }
        _ => line.to_owned(),
    }
}

/// All that an item says: names, texts, numbers, and bytes both as they are and inflated.
fn text(item: &Item) -> String {
    let mut text = String::new();
    for (name, value) in item {
        let value = match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
            AttributeValue::B(blob) => {
                let bytes = blob.as_ref();
                let mut inflated = Vec::new();
                let mut decoder = flate2::read::DeflateDecoder::new(bytes);
                let _ = decoder.read_to_end(&mut inflated); // what is not compressed ends early
                format!(
                    "{}\n{}",
                    String::from_utf8_lossy(bytes),
                    String::from_utf8_lossy(&inflated)
                )
            }
            other => format!("{other:?}"),
        };
        text.push_str(&format!("{name}\n{value}\n"));
    }
    text
}

fn deflate(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn put(live: &Live, pk: &str, name: &str, value: AttributeValue) {
    let put = live
        .table
        .put_item()
        .table_name(&live.system.endpoints().table);
    let put = put
        .item("pk", AttributeValue::S(pk.to_owned()))
        .item("sk", AttributeValue::S("-".to_owned()));
    put.item(name, value).send().await.unwrap();
}

async fn log(live: &Live, group: &str, line: &str) {
    let stream = json!({"logGroupName": group, "logStreamName": "planted"});
    let _ = live.root.json(&LOGS, "CreateLogStream", &stream).await; // there already, the second time
    let event = json!({"timestamp": wall_clock().epoch_s() * 1_000, "message": line});
    let mut body = stream;
    body["logEvents"] = json!([event]);
    live.root.json(&LOGS, "PutLogEvents", &body).await.unwrap();
}
