//! Hash keys: their secrets are fetched once, in init, and a rotation from version 1 to version 2 keeps every merchant
//! in. The functions of a rotation share the table of the world that wrote with version 1.

#![allow(clippy::unwrap_used, missing_docs)]

use api::event::{HttpEvent, Request};
use api::routes::{Function, Route};
use application::crypto::{HashPurpose, Keys};
use application::ports::{DataKey, HashKey, HashKeyVersions, KeyService, PortError};
use application::serve::{Deployment, Handler, respond};
use domain::policy::Policy;
use domain::secret::Secret;
use freezes::Freezes;
use login::Login;
use rebind_request::RebindRequest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::client::DynamoDb;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, Merchant, RESERVED_PHONE, SECOND_CARD, merchant, merchant_id};
use tests::scenario;
use tests::scripted_peers::{MemoryKeys, ScriptedBank, SmsBox};
use tests::transport::{HttpCall, Reply, Transport};
use verification::Verification;

const NAME: &str = "plain_1";
const OTHER: &str = "plain_2";

/// Counts the calls for secrets.
struct Counting {
    memory: MemoryKeys,
    calls: AtomicU32,
}

impl KeyService for Counting {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        self.memory.hash_key_versions(key)
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
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
async fn init_calls_each_key_once() {
    let memory = InProcess::start().await.key_service();
    let own: &'static [HashKey] = &[HashKey::LookUp, HashKey::Freeze];
    for (memory, calls) in [
        (memory.clone(), 4),
        (memory.with_only(own), 2),
        (memory.rotating(), 8),
    ] {
        let service = Arc::new(Counting {
            memory,
            calls: AtomicU32::new(0),
        });
        let keys = Keys::new(Shared(Arc::clone(&service)));
        keys.warm().await.unwrap();
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
struct Shared(Arc<Counting>);

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
    let reply = respond(function, &Deployment::new("sandbox"), http).await;
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
            .rehash_account(&rotating(), &id, account, world.now())
            .await
            .unwrap()
    );
    assert!(
        !store
            .rehash_account(&rotating(), &id, account, world.now())
            .await
            .unwrap()
    );
    assert!(
        store
            .rehash_account(&rotating(), &id, "another", world.now())
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
    // A torn read of record and state would fail every request.
    assert_eq!(world.stored(NAME).await.profile.version, 2);
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
    let rebind = other.request(SECOND_CARD).await;
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

/// The functions that know card and ID numbers, with other versions of the hash keys, over the table of a world.
struct Functions {
    world: Arc<InProcess>,
    rebind_request: RebindRequest<DynamoDb, MemoryKeys>,
    verification: Verification<DynamoDb, MemoryKeys, SmsBox, ScriptedBank>,
}

impl Functions {
    fn of(world: &Arc<InProcess>, service: &MemoryKeys) -> Arc<Self> {
        let keys = || Keys::new(service.clone());
        let (sms, bank) = (world.sms.clone(), world.bank.clone());
        Arc::new(Self {
            world: Arc::clone(world),
            rebind_request: RebindRequest::new(world.store(), keys()),
            verification: Verification::new(world.store(), keys(), sms, bank),
        })
    }

    fn rotating(world: &Arc<InProcess>) -> Arc<Self> {
        Self::of(world, &world.key_service().rotating())
    }

    /// The app of a merchant whose requests go to these functions.
    fn app(self: &Arc<Self>, app: &App) -> Merchant<Arc<Self>> {
        Merchant {
            system: Arc::clone(self),
            profile: app.profile.clone(),
            token: app.token.clone(),
            login: app.login.clone(),
        }
    }
}

impl Transport for Functions {
    async fn http(&self, request: HttpCall) -> Reply {
        let event = request.event();
        let http: HttpEvent = serde_json::from_value(event.clone()).unwrap();
        let stage = Deployment::new("sandbox");
        let route = Request::from(http.clone()).route;
        let reply = match route.map(Route::function) {
            Some(Function::RebindRequest) => respond(&self.rebind_request, &stage, http).await,
            Some(Function::Verification) => respond(&self.verification, &stage, http).await,
            _ => return self.world.send(event).await,
        };
        Reply::of_event(&event, &serde_json::to_value(reply).unwrap())
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        self.world.invoke(function, event).await
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        self.world.sms(phone).await
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        self.world.statement(card).await
    }

    async fn deliver_notifications(&self) {
        self.world.deliver_notifications().await;
    }

    fn new_key(&self) -> Option<String> {
        None
    }
}

/// The version of the active card's hash, the versions of the items with its holders, and the number of its holders.
async fn active_card(world: &InProcess, name: &str) -> (Option<u32>, Vec<String>) {
    let active = world.stored(name).await.state.active.unwrap();
    let holder = format!("{}#{}", merchant_id(name), active.card.card_id);
    let items = world.items().await;
    let mut held: Vec<String> = items
        .iter()
        .filter(|item| {
            let holders = item.get("holders").and_then(|value| value.as_ss().ok());
            holders.is_some_and(|holders| holders.contains(&holder))
        })
        .map(|item| item["pk"].as_s().unwrap().chars().take(4).collect())
        .collect();
    held.sort();
    (active.fingerprint.version(), held)
}

#[tokio::test]
async fn own_card_of_before_is_the_same_card() {
    let (world, app) = InProcess::with(NAME).await;
    let app = Functions::rotating(&world).app(&app);
    let own = app.profile.active_card.clone().unwrap();
    let body = app.request_body(&own);
    app.keyed("k", "/v1/rebinds", body)
        .await
        .is(409, "CARD_SAME_AS_CURRENT");
}

#[tokio::test]
async fn card_of_before_is_bound_elsewhere() {
    let (world, _, _) = scenario::activated(NAME).await;
    let other = Functions::rotating(&world).app(&world.log_in(OTHER).await);
    world.pass_s(61);
    let rebind = other.to_card_pending(GOOD_CARD).await;
    other
        .check_card(&rebind)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
}

#[tokio::test]
async fn rebind_of_before_meets_a_newer_holder() {
    let (world, app) = InProcess::with(NAME).await;
    let other = world.log_in(OTHER).await;
    let rebind = other.to_card_pending(GOOD_CARD).await;
    other.check_card(&rebind).await.ok(200);
    let code = world.sms.code(RESERVED_PHONE);
    world.pass_s(61);
    let functions = Functions::rotating(&world);
    functions.app(&app).activate(GOOD_CARD).await;
    assert_eq!(
        active_card(&world, NAME).await,
        (Some(2), vec!["F#2.".to_owned()])
    );
    let other = functions.app(&other);
    other
        .try_card_code(&rebind, &code)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
}

#[tokio::test]
async fn own_number_of_before_is_verified_again() {
    let (world, app, _) = scenario::activated(NAME).await;
    // The same person's second merchant, in effect: the same card again once it has been replaced.
    let functions = Functions::rotating(&world);
    world.deliver_due().await;
    world.pass_s(Policy::CURRENT.cooldown_s);
    let app = functions.app(&app.again().await);
    app.activate(SECOND_CARD).await;
    world.deliver_due().await;
    world.pass_s(Policy::CURRENT.cooldown_s);
    // The clean-up has not removed the first card, which still holds its number under the previous version.
    let app = functions.app(&world.log_in(NAME).await);
    app.activate(GOOD_CARD).await;
    assert_eq!(
        active_card(&world, NAME).await,
        (Some(2), vec!["F#2.".to_owned()])
    );
}

#[tokio::test]
async fn claim_waits_for_the_version_of_its_hashes() {
    let (world, app) = InProcess::with(NAME).await;
    let app_of_new = Functions::rotating(&world).app(&app);
    let rebind = app_of_new.to_card_pending(GOOD_CARD).await;
    let old = Functions::of(&world, &world.key_service());
    old.app(&app).check_card(&rebind).await.is(503, "INTERNAL");
    let after = Functions::of(&world, &world.key_service().in_versions(2, false));
    // The document of before is not under a version of this function.
    after
        .app(&app)
        .check_card(&rebind)
        .await
        .is(500, "INTERNAL");
    app_of_new.check_card(&rebind).await.ok(200);
}

#[tokio::test]
async fn moved_merchant_needs_one_version_only() {
    let (world, app, _) = scenario::activated(NAME).await;
    let rotating = Keys::new(world.key_service().rotating());
    let store = world.store();
    let moves = async |name: &str| {
        let id = merchant_id(name);
        let moved = store.rehash_cards(&rotating, &id, world.now()).await;
        moved.unwrap()
    };
    assert_eq!(
        active_card(&world, NAME).await,
        (Some(1), vec!["F#1.".to_owned()])
    );
    for name in [NAME, OTHER] {
        assert!(moves(name).await);
        assert!(!moves(name).await, "nothing is left to move");
    }
    assert_eq!(
        active_card(&world, NAME).await,
        (Some(2), vec!["F#2.".to_owned()])
    );
    let replaced = world.stored(NAME).await.state.replaced;
    assert!(
        replaced
            .iter()
            .all(|replaced| replaced.bound.fingerprint.version() == Some(2))
    );

    let after = Functions::of(&world, &world.key_service().in_versions(2, false));
    world.pass_s(61);
    let other = after.app(&world.log_in(OTHER).await);
    let rebind = other.to_card_pending(GOOD_CARD).await;
    other
        .check_card(&rebind)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");

    // A freeze releases the moved card, and the number is free.
    world.deliver_due().await;
    let code = app.freeze_code().await;
    world
        .freeze(&app.profile.account, &code, "198.51.100.1")
        .await
        .ok(202);
    world.pass_s(Policy::CURRENT.rebind_life_s);
    let other = after.app(&world.log_in(OTHER).await);
    other.activate(GOOD_CARD).await;
}
