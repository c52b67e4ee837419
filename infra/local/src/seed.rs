//! Loads merchants into a deployed system.

use application::clock::wall_clock;
use application::crypto::Keys;
use application::ports::{DataKey, HashKey};
use aws::kms::{HashKeyIds, Kms};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::AttributeValue;
use bank::sandbox::person_items;
use domain::policy::Policy;
use rebindctl::import::Target;
use rebindctl::import::direct::Direct;
use store::seed::{SeedMerchant, World};
use store::{Store, Tables};

use crate::error::Error;
use crate::stack::Stack;

/// The merchants of `sandbox.json`.
pub(crate) fn sandbox() -> Result<Vec<SeedMerchant>, Error> {
    let world = World::sandbox().map_err(|error| Error::Seed(error.to_string()))?;
    Ok(world.merchants)
}

/// Marks the tables as those of a sandbox.
pub(crate) async fn mark(config: &SdkConfig, stack: &Stack) -> Result<(), Error> {
    let marked = store(Client::new(config), stack)?
        .mark_stage("sandbox")
        .await;
    marked.map_err(|error| Error::Seed(error.to_string()))
}

/// Puts merchants into the tables, and their holders into the table of the simulated bank.
pub(crate) async fn load(
    config: &SdkConfig,
    stack: &Stack,
    merchants: &[SeedMerchant],
) -> Result<(), Error> {
    let dynamodb = Client::new(config);
    let keys = keys(config, stack)?;
    let store = store(dynamodb.clone(), stack)?;
    let bank_table = stack.resource("SandboxBankTable")?;
    let now = wall_clock();
    for merchant in merchants {
        store
            .seed(&keys, merchant, now)
            .await
            .map_err(|error| Error::Seed(error.to_string()))?;
        let holder = merchant
            .settlement_name
            .as_deref()
            .unwrap_or(&merchant.legal_name);
        let document = &merchant.id_document;
        for item in person_items(holder, document.document_type, document.number.expose()) {
            let put = dynamodb.put_item().table_name(bank_table);
            put.set_item(Some(item))
                .send()
                .await
                .map_err(|error| Error::Seed(error.to_string()))?;
        }
    }
    Ok(())
}

/// The texts of the messages to a phone that the table of a sandbox keeps, oldest first.
pub(crate) async fn kept_sms(
    config: &SdkConfig,
    table: &str,
    phone: &str,
) -> Result<Vec<String>, Error> {
    let pages = Client::new(config)
        .query()
        .table_name(table)
        .key_condition_expression("pk = :phone")
        .expression_attribute_values(":phone", AttributeValue::S(phone.to_owned()))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let items = pages.collect::<Result<Vec<_>, _>>().await;
    let items = items.map_err(|error| Error::Seed(DisplayErrorContext(error).to_string()))?;
    let mut messages: Vec<(u64, String)> = items
        .iter()
        .filter_map(|item| {
            let at = item.get("at")?.as_n().ok()?.parse().ok()?;
            Some((at, item.get("text")?.as_s().ok()?.clone()))
        })
        .collect();
    messages.sort();
    Ok(messages.into_iter().map(|(_, text)| text).collect())
}

/// Where an import creates merchants: the tables themselves.
pub(crate) fn import_target(
    config: &SdkConfig,
    stack: &Stack,
) -> Result<impl Target + use<>, Error> {
    let store = store(Client::new(config), stack)?;
    let name = stack.output("TableName")?.to_owned();
    Ok(Direct::new(name, store, keys(config, stack)?, wall_clock))
}

fn store(dynamodb: Client, stack: &Stack) -> Result<Store, Error> {
    let tables = Tables::new(stack.output("TableName")?, stack.output("RecordTableName")?);
    Ok(Store::new(dynamodb, tables, &Policy::CURRENT))
}

fn keys(config: &SdkConfig, stack: &Stack) -> Result<Keys<Kms>, Error> {
    let data_keys = [
        (DataKey::Card, "CardKey"),
        (DataKey::Identity, "IdentityKey"),
        (DataKey::History, "HistoryKey"),
    ];
    let mut ids = Vec::new();
    for (key, resource) in data_keys {
        ids.push((key, stack.resource(resource)?.to_owned()));
    }
    let hash_keys = [
        (HashKey::LookUp, "LookUpKey1"),
        (HashKey::CardAndId, "CardAndIdKey1"),
    ];
    let mut hash_ids = Vec::new();
    for (key, resource) in hash_keys {
        hash_ids.push(HashKeyIds {
            key,
            version: 1,
            current: stack.resource(resource)?.to_owned(),
            previous: None,
        });
    }
    let client = aws_sdk_kms::Client::new(config);
    Ok(Keys::new(Kms::new(client, hash_ids, ids)))
}
