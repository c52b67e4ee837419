//! The functions in one process, over the real SDK and a real DynamoDB API (dynoxide). All other peers are scripted: see
//! [`crate::scripted_peers`].

use crate::anchoring::{LogPeers, MemoryAnchor, MemoryLog, MemoryQueue};
use crate::dynamodb_table::{Items, Table};
use crate::history;
use crate::iam_policy::{IamRecorder, Role};
use crate::merchant::{DEVICE, Merchant, Profile, merchant_id};
use crate::openapi::Contract;
use crate::operators::{OPERATOR_ROLES, PERSON_CALLS_MAX, Person, RETENTION_S, event_as, event_of};
use crate::peer_faults::PeerCalls;
use crate::published::{TopicBox, image, insertions};
use crate::scripted_peers::{
    MemoryKeys, MemorySigner, PushBox, ScriptedBank, SentTransfer, SmsBox, WrappedKey,
};
use crate::table_faults::Boundary;
use crate::transport::{Clock, HttpCall, Reply, Transport};
use agreement::Agreement;
use api::event::{HttpEvent, Request};
use api::operator::OperatorRoles;
use api::routes::{Function, Route};
use application::backoff::Limits;
use application::clock::wall_clock;
use application::crypto::Keys;
use application::ports::{LoadMerchant, PortError, Selector};
use application::serve::{Deployment, respond};
use application::stream::StreamEvent;
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use cards::Cards;
use confirmation_notice::ConfirmationNotice;
use cooldown_cleanup::{CooldownCleanup, ScheduleEvent, Summary};
use domain::decide::{BankAnswer, Command};
use domain::history::ChainedEvent;
use domain::policy::{HOUR_S, Policy};
use domain::push::PushPlatform;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use events::Events;
use freezes::Freezes;
use jose::receiver::Receiver;
use login::Login;
use operator::Operator;
use payouts::{CoreKeys, Payouts};
use rebind_request::RebindRequest;
use serde_json::{Value, json};
use settlement::Settlement;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use store::client::DynamoDb;
use store::due::INDEX;
use store::item::Item;
use store::keys::is_record;
use store::seed::World as SeedWorld;
use store::{Store, Tables};
use tokio::sync::OnceCell;
use verification::Verification;

/// The state outside the table: the clock, the messages sent, the bank's decisions and scripted answers.
#[derive(Clone, Debug)]
pub struct PeerState {
    now: Timestamp,
    /// The SMS messages: phone and text.
    pub sms: Vec<(String, String)>,
    /// The push messages: platform, token, text.
    pub push: Vec<(PushPlatform, String, String)>,
    /// The published events.
    pub published: Vec<Value>,
    /// The bank references of all requests to the bank.
    pub serials: Vec<String>,
    /// The transfers that the bank received.
    pub transfers: Vec<SentTransfer>,
    answers: VecDeque<Option<BankAnswer>>,
    transfer_answers: VecDeque<Option<TransferAnswer>>,
    decided: HashMap<String, BankAnswer>,
    settled: HashMap<String, TransferAnswer>,
}

/// A logged-in merchant of this system.
pub type App = Merchant<Arc<InProcess>>;

/// All functions over one table.
pub struct InProcess {
    /// A client for reading the table.
    pub client: Client,
    /// The table's name.
    pub table: String,
    /// The recorded calls to the table.
    pub boundary: Boundary,
    /// The recorded calls to the other peers.
    pub peer_calls: PeerCalls,
    /// The SMS messages sent.
    pub sms: SmsBox,
    /// The push messages sent.
    pub push: PushBox,
    /// The topic of events.
    pub topic: TopicBox,
    /// The bank.
    pub bank: ScriptedBank,
    /// The clock of the requests.
    pub clock: Clock,
    /// The table and key requests of the functions, checked against their roles.
    pub iam: IamRecorder,
    keys: MemoryKeys,
    /// The clock at the last call; `None` if the stream runs only on request.
    seen: Mutex<Option<Timestamp>>,
    deployment: Deployment,
    login: Login<DynamoDb, MemoryKeys>,
    cards: Cards<DynamoDb, MemoryKeys>,
    rebind_request: RebindRequest<DynamoDb, MemoryKeys>,
    agreement: Agreement<DynamoDb, MemoryKeys>,
    verification: Verification<DynamoDb, MemoryKeys, SmsBox, ScriptedBank>,
    settlement: Settlement<DynamoDb, MemoryKeys, MemoryLog, MemorySigner>,
    freezes: Freezes<DynamoDb, MemoryKeys>,
    /// The signing key of payout instructions.
    pub signer: MemorySigner,
    /// The core system, which reads payout instructions.
    pub core_key: Receiver,
    payouts: Payouts<DynamoDb, MemoryKeys, MemorySigner>,
    operator: Operator<DynamoDb, MemoryKeys, MemoryLog, MemorySigner, PushBox>,
    notice: ConfirmationNotice<DynamoDb, MemoryKeys, SmsBox, PushBox>,
    events: Events<DynamoDb, TopicBox, MemoryQueue>,
    cleanup: CooldownCleanup<DynamoDb, ScriptedBank>,
    /// The queue, the bucket and the key of the log.
    pub log: LogPeers,
    anchor: MemoryAnchor,
}

/// The sandbox's merchants, seeded once per test process because hashing the passwords takes most of the time.
struct Seeded {
    items: Arc<Items>,
    keys: HashMap<Vec<u8>, WrappedKey>,
    now: Timestamp,
}

static SEEDED: OnceCell<Seeded> = OnceCell::const_new();

impl Seeded {
    async fn sandbox() -> Self {
        let table = Table::new(table_of);
        let system = InProcess::reached(|config| table.configure(config), "sandbox").await;
        let keys = system.keys.wrapped.lock().unwrap().clone();
        Self {
            items: table.items(),
            keys,
            now: system.now(),
        }
    }
}

/// The main table's name.
pub const TABLE: &str = "rebind";
/// The name of the table with the acquirer's record.
pub const RECORD_TABLE: &str = "record";

/// The name of the table that holds the item with this key.
#[must_use]
pub fn table_of(pk: &str, sk: &str) -> &'static str {
    if is_record(pk, sk) {
        RECORD_TABLE
    } else {
        TABLE
    }
}

impl InProcess {
    /// A system whose table holds the sandbox's merchants.
    pub async fn start() -> Arc<Self> {
        Self::staged("sandbox").await
    }

    /// Starts a system with a logged-in sandbox merchant.
    pub async fn with(name: &str) -> (Arc<Self>, App) {
        let system = Self::start().await;
        let app = system.log_in(name).await;
        (system, app)
    }

    /// Starts a system in another deployment stage.
    pub async fn staged(stage: &str) -> Arc<Self> {
        let system = Self::on(&Table::new(table_of), |config| config, stage).await;
        *system.seen.lock().unwrap() = Some(system.now());
        system
    }

    /// Stops the stream: notifications are delivered on request only.
    pub fn stop_stream(&self) {
        *self.seen.lock().unwrap() = None;
    }

    /// Delivers what the stream would have delivered long ago: before a call that comes at least an hour after the last one.
    async fn catch_up(&self) {
        let now = self.now();
        let seen = {
            let mut seen = self.seen.lock().unwrap();
            let before = *seen;
            *seen = before.map(|_| now);
            before.filter(|at| at.age_s_at(now) >= HOUR_S)
        };
        if let Some(wall) = seen {
            let batch = self.due_notifications().await;
            Box::pin(self.deliver(batch, wall)).await;
        }
    }

    /// Starts a system on a given table, with further client configuration.
    pub async fn on(
        table: &Table,
        configured: impl FnOnce(Builder) -> Builder,
        stage: &str,
    ) -> Arc<Self> {
        let seeded = SEEDED.get_or_init(Seeded::sandbox).await;
        let connect = |config| configured(table.configure(config));
        let system = Self::empty(connect, Deployment::new(stage)).await;
        table.reset_to(&seeded.items);
        system.keys.wrapped.lock().unwrap().clone_from(&seeded.keys);
        system.clock.set(seeded.now);
        Arc::new(system)
    }

    /// Starts a system over any table. `connect` connects the SDK to it.
    pub async fn reached(connect: impl FnOnce(Builder) -> Builder, stage: &str) -> Arc<Self> {
        let system = Self::empty(connect, Deployment::new(stage)).await;
        system.seed().await;
        Arc::new(system)
    }

    async fn empty(connect: impl FnOnce(Builder) -> Builder, deployment: Deployment) -> Self {
        let boundary = Boundary::default();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests());
        let client = boundary.client(connect(config));
        create_table(&client).await;
        let _ = boundary.take();
        Self::over(client, boundary, deployment)
    }

    async fn seed(&self) {
        let keys = Keys::new(self.keys.clone());
        let store = self.store();
        for merchant in &SeedWorld::sandbox().unwrap().merchants {
            store.seed(&keys, merchant, self.now()).await.unwrap();
        }
        let _ = self.boundary.take();
    }

    fn over(client: Client, boundary: Boundary, deployment: Deployment) -> Self {
        let peer_calls = PeerCalls::default();
        let keys = MemoryKeys {
            peer_calls: peer_calls.clone(),
            ..MemoryKeys::default()
        };
        let sms = SmsBox {
            peer_calls: peer_calls.clone(),
            ..SmsBox::default()
        };
        let push = PushBox {
            peer_calls: peer_calls.clone(),
            ..PushBox::default()
        };
        let bank = ScriptedBank {
            peer_calls: peer_calls.clone(),
            ..ScriptedBank::default()
        };
        let iam = IamRecorder::default();
        let topic = TopicBox::new(&peer_calls, &iam);
        let store = |function| {
            let config = client.config().to_builder();
            let config = config.interceptor(Role::new(function, iam.clone()));
            let client = Client::from_conf(config.build());
            let tables = Tables::new(TABLE, RECORD_TABLE);
            Store::new(client, tables, &Policy::CURRENT).without_switches()
        };
        let keys_of = |function| Keys::new(keys.of(function, &iam));
        let of = |function| (store(function), keys_of(function));
        let signer = MemorySigner::new(keys.of("payouts", &iam));
        let core_key = Receiver::generate("core-1").unwrap();
        let log = LogPeers::over(&keys, Some(&iam));
        let [
            login,
            cards,
            rebind_request,
            agreement,
            verification,
            settlement,
            freezes,
            payouts,
            operator,
            notice,
        ] = [
            "login",
            "cards",
            "rebind-request",
            "agreement",
            "verification",
            "settlement",
            "freezes",
            "payouts",
            "operator",
            "confirmation-notice",
        ]
        .map(of);
        Self {
            login: Login::new(login.0, login.1),
            cards: Cards::new(cards.0, cards.1),
            rebind_request: RebindRequest::new(rebind_request.0, rebind_request.1),
            agreement: Agreement::new(agreement.0, agreement.1),
            verification: Verification::new(
                verification.0,
                verification.1,
                sms.clone(),
                bank.clone(),
            ),
            settlement: Settlement::new(
                settlement.0,
                settlement.1,
                log.of("settlement", keys.of("settlement", &iam)),
            ),
            freezes: Freezes::new(freezes.0, freezes.1),
            payouts: Payouts::new(
                payouts.0,
                payouts.1,
                signer.clone(),
                CoreKeys::read(&core_key.public_set()),
            ),
            operator: Operator::new(
                operator.0,
                operator.1,
                log.of("operator", keys.of("operator", &iam)),
                push.clone(),
                operator::Settings {
                    roles: OperatorRoles::parse(&OPERATOR_ROLES.join(",")),
                    retention_s: RETENTION_S,
                    person_calls_max: PERSON_CALLS_MAX,
                },
            ),
            signer,
            core_key,
            notice: ConfirmationNotice::new(notice.0, notice.1, sms.clone(), push.clone(), false),
            events: Events::new(
                store("events"),
                topic.clone(),
                log.queue.clone(),
                "/card-rebind/tests".to_owned(),
            ),
            topic,
            cleanup: CooldownCleanup::new(
                store("cooldown-cleanup"),
                bank.clone(),
                deployment.is_sandbox(),
            ),
            anchor: log.function(),
            log,
            iam,
            table: TABLE.to_owned(),
            clock: Clock::at(wall_clock()),
            client,
            boundary,
            peer_calls,
            sms,
            push,
            bank,
            keys,
            seen: Mutex::new(None),
            deployment,
        }
    }

    /// Saves the state outside the table.
    #[must_use]
    pub fn peer_state(&self) -> PeerState {
        let bank = &self.bank;
        PeerState {
            now: self.now(),
            sms: self.sms.sent.lock().unwrap().clone(),
            push: self.push.sent.lock().unwrap().clone(),
            published: self.topic.published(),
            answers: bank.answers.lock().unwrap().clone(),
            transfer_answers: bank.transfer_answers.lock().unwrap().clone(),
            serials: bank.serials(),
            transfers: bank.transfers(),
            decided: bank.decided.lock().unwrap().clone(),
            settled: bank.settled.lock().unwrap().clone(),
        }
    }

    /// Restores the state outside the table.
    pub fn restore_peers(&self, state: &PeerState) {
        let state = state.clone();
        let bank = &self.bank;
        self.clock.set(state.now);
        *self.sms.sent.lock().unwrap() = state.sms;
        *self.push.sent.lock().unwrap() = state.push;
        *self.topic.published.lock().unwrap() = state.published;
        *bank.answers.lock().unwrap() = state.answers;
        *bank.transfer_answers.lock().unwrap() = state.transfer_answers;
        *bank.serials.lock().unwrap() = state.serials;
        *bank.transfers.lock().unwrap() = state.transfers;
        *bank.decided.lock().unwrap() = state.decided;
        *bank.settled.lock().unwrap() = state.settled;
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::new(
            self.client.clone(),
            Tables::new(TABLE, RECORD_TABLE),
            &Policy::CURRENT,
        )
    }

    /// One stored item, by its key.
    pub async fn item(&self, key: Item) -> Item {
        let get = self.client.get_item().table_name(table_with(&key));
        let item = get.set_key(Some(key)).send().await.unwrap().item;
        let _ = self.boundary.take();
        item.expect("an item")
    }

    /// The number of items in a partition of the main table.
    pub async fn items_in(&self, pk: &str) -> usize {
        let query = self.client.query().table_name(TABLE);
        let query = query.key_condition_expression("pk = :pk");
        let pk = AttributeValue::S(pk.to_owned());
        let page = query.expression_attribute_values(":pk", pk).send().await;
        let _ = self.boundary.take();
        page.unwrap().items.unwrap_or_default().len()
    }

    /// Writes an item past the store.
    pub async fn put_item(&self, item: Item) {
        let put = self.client.put_item().table_name(table_with(&item));
        put.set_item(Some(item)).send().await.unwrap();
        let _ = self.boundary.take();
    }

    /// The clock of the requests.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Advances the clock.
    pub fn pass_s(&self, seconds: i64) {
        self.clock.pass_s(seconds);
    }

    /// Sends one event to the function behind its route.
    pub async fn send(&self, event: Value) -> Reply {
        let http: HttpEvent = serde_json::from_value(event.clone()).unwrap();
        let request = Request::from(http.clone());
        Box::pin(self.catch_up()).await;
        let _ = self.boundary.take();
        let response = match request.route.map(Route::function) {
            Some(Function::Login) => respond(&self.login, &self.deployment, http).await,
            Some(Function::RebindRequest) => {
                respond(&self.rebind_request, &self.deployment, http).await
            }
            Some(Function::Agreement) => respond(&self.agreement, &self.deployment, http).await,
            Some(Function::Verification) => {
                respond(&self.verification, &self.deployment, http).await
            }
            Some(Function::Settlement) => respond(&self.settlement, &self.deployment, http).await,
            Some(Function::Freezes) => respond(&self.freezes, &self.deployment, http).await,
            Some(Function::Cards) | None => respond(&self.cards, &self.deployment, http).await,
        };
        let calls = self.boundary.take();
        let reply = Reply::of_event(&event, &serde_json::to_value(response).unwrap());
        Reply { calls, ..reply }
    }

    /// Sends the call of an operator, as the gateway does after IAM has permitted it.
    pub async fn operate(&self, person: &Person, mut call: HttpCall) -> Reply {
        let path = call.path.split('?').next().unwrap_or_default().to_owned();
        let method = call.method.clone();
        call.now = self.deployment.is_sandbox().then(|| self.now());
        let reply = self.operated(event_of(person, &call)).await;
        let media_type = reply.header("content-type");
        let valid = OPERATORS.validate(&method, &path, reply.status, media_type, &reply.body);
        valid.unwrap_or_else(|violation| panic!("{violation}"));
        reply
    }

    /// The same for any caller and any route of the gateway.
    pub async fn operate_as(&self, arn: &str, route_key: &str, mut call: HttpCall) -> Reply {
        call.now = self.deployment.is_sandbox().then(|| self.now());
        self.operated(event_as(arn, route_key, &call)).await
    }

    async fn operated(&self, event: Value) -> Reply {
        let http: HttpEvent = serde_json::from_value(event.clone()).unwrap();
        Box::pin(self.catch_up()).await;
        let _ = self.boundary.take();
        let response = respond(&self.operator, &self.deployment, http).await;
        let calls = self.boundary.take();
        let reply = Reply::of_event(&event, &serde_json::to_value(response).unwrap());
        Reply { calls, ..reply }
    }

    /// One operation of the acquirer's core, at the system's clock.
    ///
    /// # Errors
    /// The Lambda error of the function.
    pub async fn core(&self, mut operation: Value) -> Result<Value, payouts::Refusal> {
        if self.deployment.is_sandbox() && operation.get("time").is_none() {
            operation["time"] = json!(self.now().to_rfc3339_shanghai());
        }
        Box::pin(self.catch_up()).await;
        let _ = self.boundary.take();
        self.payouts.handle(operation, &self.deployment).await
    }

    /// The same with other encryption keys of the core system.
    ///
    /// # Errors
    /// The Lambda error of the function.
    pub async fn core_with_keys(
        &self,
        core_keys: &str,
        mut operation: Value,
    ) -> Result<Value, payouts::Refusal> {
        if self.deployment.is_sandbox() {
            operation["time"] = json!(self.now().to_rfc3339_shanghai());
        }
        let tables = Tables::new(TABLE, RECORD_TABLE);
        let payouts = Payouts::new(
            Store::new(self.client.clone(), tables, &Policy::CURRENT),
            self.keys(),
            self.signer.clone(),
            CoreKeys::read(core_keys),
        );
        payouts.handle(operation, &self.deployment).await
    }

    /// Registers an encryption key of the core system, in place of the earlier ones.
    pub async fn register_core_key(&self, thumbprint: &str) {
        let put = self.client.put_item().table_name(RECORD_TABLE);
        let put = put.item("pk", AttributeValue::S("K#core".to_owned()));
        let put = put.item("sk", AttributeValue::S("K".to_owned()));
        let registered = AttributeValue::Ss(vec![thumbprint.to_owned()]);
        put.item("thumbprints", registered).send().await.unwrap();
    }

    /// Makes the key service fail to derive hash keys, and therefore freeze codes, from now on.
    pub fn lose_hash_keys(&self) {
        let fail = &self.keys.hash_keys_fail;
        fail.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The keys of the functions.
    #[must_use]
    pub fn keys(&self) -> Keys<MemoryKeys> {
        Keys::new(self.keys.clone())
    }

    /// The key service behind [`InProcess::keys`].
    #[must_use]
    pub fn key_service(&self) -> MemoryKeys {
        self.keys.clone()
    }

    /// The stored state of a sandbox merchant, with its latest rebind.
    pub async fn stored(&self, name: &str) -> domain::merchant::Merchant {
        let loaded = self
            .store()
            .load(&merchant_id(name), Selector::Latest)
            .await;
        let _ = self.boundary.take();
        loaded.unwrap().expect("a merchant")
    }

    /// A merchant's whole history, oldest first. Panics unless the chain is unbroken and ends at the merchant state's last
    /// event.
    pub async fn history(&self, name: &str) -> Vec<ChainedEvent> {
        let events = history::unbroken(&self.store(), &merchant_id(name)).await;
        let _ = self.boundary.take();
        events.unwrap()
    }

    /// The number of events of a kind in a merchant's history.
    pub async fn count(&self, name: &str, kind: &str) -> usize {
        let events = self.history(name).await;
        events
            .iter()
            .filter(|event| event.kind().as_str() == kind)
            .count()
    }

    /// Executes a command of the operator, for which no function exists yet.
    ///
    /// # Panics
    /// When the command is refused.
    pub async fn operator(&self, name: &str, command: Command) {
        let store = self.store();
        let limits = Limits::REQUEST;
        let policy = &Policy::CURRENT;
        let merchant = merchant_id(name);
        let account = Transactor::system(&store, policy, merchant, self.now(), limits);
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        let last = self.stored(name).await.state.last_activation;
        let number = last.map(|last| last.number).filter(|number| *number > 0);
        let selector = number.map_or(Selector::Latest, Selector::Announced);
        let done = account.transact(selector, plan, nothing_to_prepare).await;
        assert!(done.is_ok(), "the operator's command was refused");
        let _ = self.boundary.take();
    }

    /// Submits a freeze code without a session.
    pub async fn freeze(&self, account: &str, code: &str, source: &str) -> Reply {
        let body = json!({"account": account, "freeze_code": code});
        let request = HttpCall::new("POST", "/v1/freezes").at(self.now());
        self.http(request.from(source).json(&body)).await
    }

    /// The gateway's event for a request, at this system's clock.
    #[must_use]
    pub fn event(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let mut request = HttpCall::new(method, path).json(body);
        request.now = self.deployment.is_sandbox().then(|| self.now());
        let all = headers.iter();
        let request = all.fold(request, |all, (name, value)| all.header(name, value));
        request.event()
    }

    /// Logs in a merchant of the sandbox, given the part of the id after `mer_`.
    pub async fn log_in(self: &Arc<Self>, name: &str) -> App {
        self.log_in_on(name, DEVICE).await
    }

    /// The same on another device.
    pub async fn log_in_on(self: &Arc<Self>, name: &str, device: &str) -> App {
        let clock = self.clock.clone();
        let profile = Profile {
            clock,
            ..Profile::sandbox(&format!("mer_{name}"))
        };
        Merchant::log_in(Arc::clone(self), &profile, device).await
    }

    /// Runs the clean-up at the system's clock.
    pub async fn clean_up(&self) -> Summary {
        self.scheduled(
            json!({"time": self.now().to_rfc3339_shanghai()}),
            Duration::from_secs(60),
        )
        .await
        .unwrap()
    }

    /// Anchors the events on the queue, at the system's clock.
    pub async fn anchor(&self) -> anchor::Summary {
        let deadline = Instant::now() + Duration::from_secs(240);
        self.anchor.run(self.now(), deadline).await.unwrap()
    }

    /// Runs the clean-up with a schedule event and a remaining time.
    ///
    /// # Errors
    /// The error that the run reports.
    pub async fn scheduled(&self, event: Value, left: Duration) -> Result<Summary, PortError> {
        self.scheduled_as("run", event, left).await
    }

    /// The same with the id of the run.
    ///
    /// # Errors
    /// The error that the run reports.
    pub async fn scheduled_as(
        &self,
        id: &str,
        event: Value,
        left: Duration,
    ) -> Result<Summary, PortError> {
        let event: ScheduleEvent = serde_json::from_value(event).unwrap();
        Box::pin(self.catch_up()).await;
        let deadline = Instant::now() + left;
        self.cleanup.run(&event, wall_clock(), deadline, id).await
    }

    /// A batch with a stream record for every notification that is due.
    pub async fn due_notifications(&self) -> Value {
        let due: Vec<Value> = self
            .items()
            .await
            .into_iter()
            .filter(|item| {
                item.get("notice")
                    .is_some_and(|notification| notification.as_s().unwrap() == "due")
            })
            .map(|item| {
                let key = |name: &str| json!({"S": item[name].as_s().unwrap()});
                json!({"eventID": item["sk"].as_s().unwrap(), "eventName": "INSERT", "dynamodb": {
                    "SequenceNumber": item["sk"].as_s().unwrap(),
                    "Keys": {"pk": key("pk"), "sk": key("sk")},
                }})
            })
            .collect();
        json!({"Records": due})
    }

    /// Delivers every notification that is due, as the stream would. Returns the reported failures.
    pub async fn deliver_due(&self) -> Value {
        let batch = self.due_notifications().await;
        self.deliver(batch, self.now()).await
    }

    /// Delivers one batch of stream records at a wall-clock time.
    pub async fn deliver(&self, batch: Value, wall: Timestamp) -> Value {
        let batch: StreamEvent = serde_json::from_value(batch).unwrap();
        let handled = Box::pin(self.notice.handle(batch, || wall));
        serde_json::to_value(handled.await).unwrap()
    }

    /// The stream records of all history events, each merchant's in order.
    pub async fn event_records(&self) -> Value {
        insertions(self.items_of(TABLE).await.iter().map(image))
    }

    /// Delivers one batch of stream records to `events`, at the system's clock.
    pub async fn publish(&self, batch: Value) -> Value {
        self.publish_at(batch, || self.now()).await
    }

    /// The same, by another clock.
    pub async fn publish_at(&self, batch: Value, wall: impl Fn() -> Timestamp) -> Value {
        let batch: StreamEvent = serde_json::from_value(batch).unwrap();
        serde_json::to_value(self.events.handle(batch, wall).await).unwrap()
    }

    /// Every item of both tables. Tests may scan; functions may not.
    pub async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let mut items = self.items_of(TABLE).await;
        items.extend(self.items_of(RECORD_TABLE).await);
        items
    }

    async fn items_of(&self, table: &str) -> Vec<HashMap<String, AttributeValue>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let scan = self.client.scan().table_name(table);
            let scan = scan.set_exclusive_start_key(start);
            let page = scan.send().await.unwrap();
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                let _ = self.boundary.take();
                return items;
            }
        }
    }
}

/// The description of the operator's API.
static OPERATORS: LazyLock<Contract> =
    LazyLock::new(|| Contract::of_operators().expect("a description"));

/// Creates both tables.
pub async fn create_table(client: &Client) {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
            .unwrap()
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .key_schema(key("due_bucket", KeyType::Hash))
        .key_schema(key("due_at", KeyType::Range))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .build()
        .unwrap();
    let record = client.create_table().table_name(RECORD_TABLE);
    record
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .send()
        .await
        .unwrap();
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S))
        .attribute_definitions(attribute("sk", ScalarAttributeType::S))
        .attribute_definitions(attribute("due_bucket", ScalarAttributeType::S))
        .attribute_definitions(attribute("due_at", ScalarAttributeType::N))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index)
        .send()
        .await
        .unwrap();
}

fn table_with(item: &Item) -> &'static str {
    table_of(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap())
}

impl Merchant<Arc<InProcess>> {
    /// The same merchant after another login.
    pub async fn again(&self) -> Self {
        self.on(DEVICE).await
    }

    /// The same merchant on another device.
    pub async fn on(&self, device: &str) -> Self {
        Self::log_in(Arc::clone(&self.system), &self.profile, device).await
    }

    /// Requests a card that its bank cannot check, up to the deposit. Returns the rebind's path.
    pub async fn deposit(&self, card: &str) -> String {
        self.system.bank.script([Some(BankAnswer::NotEnabled)]);
        self.to_deposit(card).await
    }
}

impl Transport for InProcess {
    async fn http(&self, mut request: HttpCall) -> Reply {
        request.now = request.now.filter(|_| self.deployment.is_sandbox());
        self.send(request.event()).await
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        match function {
            "confirmation-notice" => Ok(self.deliver(event.clone(), self.now()).await),
            "events" => Ok(self.publish(event.clone()).await),
            "cooldown-cleanup" => {
                let run = self.scheduled(event.clone(), Duration::from_secs(60)).await;
                run.map(|run| json!(run))
                    .map_err(|error| ("Failed".to_owned(), error.to_string()))
            }
            "payouts" => {
                let refused =
                    |refusal: payouts::Refusal| (refusal.code.to_string(), refusal.message);
                self.core(event.clone()).await.map_err(refused)
            }
            other => panic!("{other} serves HTTP only"),
        }
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        self.sms.to(phone)
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        let transfers = self.bank.transfers().into_iter().rev();
        let transfers = transfers.filter(|transfer| transfer.card_number == card);
        transfers
            .map(|transfer| json!({"descriptor": transfer.descriptor}))
            .collect()
    }

    async fn deliver_notifications(&self) {
        assert_eq!(self.deliver_due().await, json!({"batchItemFailures": []}));
    }

    /// No key by default: budgets measure the smaller case without a key, and tests of idempotency set their own.
    fn new_key(&self) -> Option<String> {
        None
    }
}
