//! Hash keys: their secrets are fetched once, in one round, and a rotation from version 1 to version 2 keeps every merchant
//! in. The functions of a rotation share the table of the world that wrote with version 1.

#![allow(clippy::unwrap_used, missing_docs)]

use application::crypto::{HashPurpose, Keys};
use application::ports::{DataKey, HashKey, HashKeyVersions, KeyService, PortError};
use application::serve::{DeploymentStage, Handler, respond};
use domain::secret::Secret;
use freezes::Freezes;
use login::Login;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tests::in_process::InProcess;
use tests::merchant::{GOOD_CARD, merchant};
use tests::scenario;
use tests::scripted_peers::MemoryKeys;
use tests::transport::Reply;
use tokio::sync::Barrier;
use verification::Verification;

const NAME: &str = "plain_1";

/// Counts the calls of init. Each waits for all others, so calls one after another would never end.
struct OneRound {
    memory: MemoryKeys,
    round: Barrier,
    calls: AtomicU32,
}

impl KeyService for OneRound {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        self.memory.hash_key_versions(key)
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.round.wait().await;
        self.memory.hash_secret(key, version).await
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        self.memory.new_data_key(key, context).await
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        self.memory.data_key(key, context, wrapped).await
    }
}

#[tokio::test]
async fn init_calls_each_key_once_in_one_round() {
    let memory = InProcess::start().await.key_service();
    let own: &'static [HashKey] = &[HashKey::LookUp, HashKey::Freeze];
    for (memory, calls) in [
        (memory.clone(), 4),
        (memory.with_only(own), 2),
        (memory.rotating(), 8),
    ] {
        let service = Arc::new(OneRound {
            memory,
            round: Barrier::new(calls),
            calls: AtomicU32::new(0),
        });
        let keys = Keys::new(Shared(Arc::clone(&service)));
        let warm = tokio::time::timeout(Duration::from_secs(10), keys.warm());
        warm.await.expect("one round").unwrap();
        for purpose in HashPurpose::ALL {
            let _ = keys.mac(purpose, &["a"]).await;
            let _ = keys.previous_mac(purpose, &["a"]).await;
        }
        let made = service.calls.load(Ordering::Relaxed);
        assert_eq!(
            usize::try_from(made).unwrap(),
            calls,
            "no request calls the key service"
        );
    }
}

/// The counting service, which outlives the keys.
struct Shared(Arc<OneRound>);

impl KeyService for Shared {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        self.0.hash_key_versions(key)
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        self.0.hash_secret(key, version).await
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        self.0.new_data_key(key, context).await
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        self.0.data_key(key, context, wrapped).await
    }
}

/// A request to a function with other keys than the world's own functions.
async fn ask<H: Handler>(
    world: &Arc<InProcess>,
    function: &H,
    token: Option<&str>,
    (path, body): (&str, Value),
) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|token| ("authorization", token.as_str()))
        .collect();
    let event = world.event("POST", path, &headers, &body);
    let http = serde_json::from_value(event.clone()).unwrap();
    let reply = respond(function, &DeploymentStage::new("sandbox"), http).await;
    Reply::of_event(&event, &serde_json::to_value(reply).unwrap())
}

#[tokio::test]
async fn account_is_found_under_both_keys() {
    let (world, app) = InProcess::with(NAME).await;
    let credentials = |name: &str, device: &str| {
        let profile = merchant(name);
        ("/v1/sessions", profile.credentials(device))
    };
    let service = world.key_service();
    let rotating = || Keys::new(service.rotating());
    let login = Login::new(world.store(), rotating());
    let log_in = async |of: &Login<_, _>| ask(&world, of, None, credentials(NAME, "a")).await;
    log_in(&login).await.ok(201);
    // The acquirer's tool moves the account, once.
    let (id, account) = (merchant(NAME).merchant_id(), app.profile.account.as_str());
    let store = world.store();
    assert!(
        store
            .rehash_account(&rotating(), &id, account)
            .await
            .unwrap()
    );
    assert!(
        !store
            .rehash_account(&rotating(), &id, account)
            .await
            .unwrap()
    );
    assert!(
        store
            .rehash_account(&rotating(), &id, "another")
            .await
            .is_err()
    );
    let devices = || async {
        let hash = rotating()
            .mac(HashPurpose::Account, &[account])
            .await
            .unwrap();
        let items = world.items().await;
        let pk = format!("A#{}", hash.0);
        let item = items
            .into_iter()
            .find(|item| item["pk"].as_s().unwrap() == &pk && item.contains_key("devices"));
        item.unwrap()["devices"].as_s().unwrap().clone()
    };
    assert!(!devices().await.contains("\"2."));
    log_in(&login).await.ok(201);
    // The device moved with its login, and the rotation can end.
    assert!(devices().await.contains("\"2."));
    let after = Login::new(world.store(), Keys::new(service.in_versions(2, false)));
    log_in(&after).await.ok(201);
    ask(&world, &after, None, credentials("plain_2", "a"))
        .await
        .is(401, "AUTH_BAD_CREDENTIALS");
}

#[tokio::test]
async fn identity_and_codes_of_before_are_right() {
    let (world, app) = InProcess::with(NAME).await;
    let rebind = app.request(GOOD_CARD).await;
    app.show_document(&rebind).await;
    let code = world.sms.code(&app.profile.phone);
    let keys = || Keys::new(world.key_service().rotating());
    let rotating = Verification::new(world.store(), keys(), world.sms.clone(), world.bank.clone());
    let confirm = format!("{rebind}/identity/confirm");
    let body = (confirm.as_str(), json!({ "code": code }));
    ask(&world, &rotating, Some(&app.token), body).await.ok(200);

    let other = world.log_in("plain_2").await;
    let rebind = other.request(tests::merchant::SECOND_CARD).await;
    let identity = format!("{rebind}/identity");
    let body = (identity.as_str(), other.document());
    ask(&world, &rotating, Some(&other.token), body)
        .await
        .ok(200);
}

#[tokio::test]
async fn freeze_code_of_before_freezes() {
    let (world, app, _) = scenario::activated(NAME).await;
    world.deliver_due().await;
    let code = app.freeze_code().await;
    let rotating = Freezes::new(world.store(), Keys::new(world.key_service().rotating()));
    let body = json!({"account": app.profile.account, "freeze_code": code});
    ask(&world, &rotating, None, ("/v1/freezes", body))
        .await
        .ok(202);
    assert!(world.stored(NAME).await.state.frozen.is_some());
}
