//! Loads the sandbox's merchants into a system that has just been deployed.

use crate::error::Error;
use crate::system::System;
use application::crypto::Keys;
use application::ports::DataKey;
use application::serve::wall_clock;
use aws::kms::Kms;
use bank::sandbox::person_items;
use domain::pii::person_name;
use store::Store;
use store::seed::{SeedMerchant, World};

/// Loads every merchant of `sandbox.json`, and tells the simulated bank who they are.
pub(crate) async fn load(system: &System) -> Result<(), Error> {
    let world = World::sandbox().map_err(|error| failed(&error))?;
    merchants(system, &world.merchants).await
}

/// Puts merchants into the table and makes their persons known to the simulated bank.
///
/// # Errors
/// When the system refuses an item or a key.
pub async fn merchants(system: &System, merchants: &[SeedMerchant]) -> Result<(), Error> {
    let config = system.sdk_config();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let data_keys = [
        (DataKey::Card, "CardKey"),
        (DataKey::Identity, "IdentityKey"),
        (DataKey::History, "HistoryKey"),
    ];
    let mut ids = Vec::new();
    for (key, resource) in data_keys {
        ids.push((key, system.resource(resource)?.to_owned()));
    }
    let hmac_key = system.resource("HmacKey")?.to_owned();
    let keys = Keys::new(Kms::new(aws_sdk_kms::Client::new(&config), hmac_key, ids));
    let store = Store::new(
        dynamodb.clone(),
        &system.endpoints().table,
        &domain::policy::Policy::CURRENT,
    );
    let bank_table = system.resource("SandboxBankTable")?;
    let now = wall_clock();
    for merchant in merchants {
        store
            .seed(&keys, merchant, now)
            .await
            .map_err(|error| failed(&error))?;
        let holder = merchant
            .settlement_name
            .as_deref()
            .unwrap_or(&merchant.legal_name);
        let number = merchant.id_document.number.expose();
        for item in person_items(&person_name::fold(holder), number) {
            let put = dynamodb.put_item().table_name(bank_table);
            put.set_item(Some(item))
                .send()
                .await
                .map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::Reply {
        what: "loading the sandbox's merchants".into(),
        reply: error.to_string(),
    }
}
