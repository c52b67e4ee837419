//! The functions in one process, over the real SDK and a real DynamoDB API (dynoxide). What is not AWS's table
//! is stood in for by something that can be asked questions: keys in memory, a box of SMS, a bank that answers on demand.

use crate::boundary::{Boundary, Call};
use crate::outside::{Lost, Outside};
use crate::policy::{Asked, Context, Role};
use crate::table::Table;
use agreement::Agreement;
use api::event::{HttpEvent, Request};
use application::crypto::Keys;
use application::ports::{
    CardQuestion, CheckCard, DataKey, KeyService, LoadMerchant, PortError, Pushed, QueryCheck,
    QueryOutcome, QueryTransfer, SendPush, SendSms, SendTransfer, Transfer, Wanted,
};
use application::serve::{DeploymentStage, Handler, respond, wall_clock};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType,
};
use cards::Cards;
use confirmation_notice::{ConfirmationNotice, StreamEvent};
use cooldown_cleanup::{CooldownCleanup, ScheduleEvent, Summary};
use domain::decide::BankAnswer;
use domain::history::{self, ChainedEvent, GENESIS};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::push::PushPlatform;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use hmac::{Hmac, KeyInit as _, Mac as _};
use login::Login;
use rebind_request::RebindRequest;
use serde_json::{Value, json};
use settlement::Settlement;
use sha2::Sha256;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use store::Store;
use store::due::INDEX;
use store::seed::World as SeedWorld;
use verification::Verification;

/// Keys in memory, wrapped with their context so that another context does not open them.
#[derive(Clone, Debug, Default)]
pub struct MemoryKeys {
    wrapped: Arc<Mutex<HashMap<Vec<u8>, WrappedKey>>>,
    /// Whose calls these are, where it is a function's.
    role: Option<(&'static str, Asked)>,
    outside: Outside,
}

/// Of which kind, for which context, the key.
type WrappedKey = (DataKey, String, Vec<u8>);

impl MemoryKeys {
    /// The same keys for a function, which may do with them what its role allows.
    fn of(&self, function: &'static str, asked: &Asked) -> Self {
        Self {
            role: Some((function, asked.clone())),
            ..self.clone()
        }
    }

    /// What is lost of a question to the key service does not matter: it changes nothing.
    fn reach(&self) -> Result<(), PortError> {
        match self.outside.call("keys") {
            None => Ok(()),
            Some(_) => Err(PortError::Transient("the key service", "lost".to_owned())),
        }
    }

    fn leave(&self, action: &str, key: &str, context: &[(&str, &str)]) {
        let Some((function, asked)) = &self.role else {
            return;
        };
        let context = Context {
            encryption: context
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Context::default()
        };
        let resource = format!("{key}Key.Arn");
        let leave = asked.for_leave(function, action, &resource, &context);
        leave.unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}

impl KeyService for MemoryKeys {
    async fn hash_key(&self, purpose: &str) -> Result<Secret<Vec<u8>>, PortError> {
        self.leave("kms:GenerateMac", "Hmac", &[]);
        let mut mac = Hmac::<Sha256>::new_from_slice(b"a key of the tests").unwrap();
        mac.update(purpose.as_bytes());
        Ok(Secret::new(mac.finalize().into_bytes().to_vec()))
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        self.leave("kms:GenerateDataKey", &format!("{key:?}"), context);
        self.reach()?;
        let mut plain = vec![0; 32];
        // As long as a wrapped key of AWS's key service: the budgets count these bytes.
        let mut wrapped = vec![0; 184];
        getrandom::fill(&mut plain).unwrap();
        getrandom::fill(&mut wrapped).unwrap();
        self.wrapped.lock().unwrap().insert(
            wrapped.clone(),
            (key, format!("{context:?}"), plain.clone()),
        );
        Ok((Secret::new(plain), wrapped))
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        self.leave("kms:Decrypt", &format!("{key:?}"), context);
        self.reach()?;
        let known = self.wrapped.lock().unwrap().get(wrapped).cloned();
        let fits =
            known.filter(|(kind, bound, _)| *kind == key && *bound == format!("{context:?}"));
        fits.map(|(_, _, plain)| Secret::new(plain)).ok_or_else(|| {
            PortError::Permanent("the key service", "InvalidCiphertextException".to_owned())
        })
    }
}

/// Every SMS, by phone.
#[derive(Clone, Debug, Default)]
pub struct SmsBox {
    sent: Arc<Mutex<Vec<(String, String)>>>,
    down: Arc<Mutex<bool>>,
    refused: Arc<Mutex<Option<String>>>,
    outside: Outside,
}

impl SmsBox {
    /// The texts to one phone, oldest first.
    #[must_use]
    pub fn to(&self, phone: &str) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        sent.iter()
            .filter(|(to, _)| to == phone)
            .map(|(_, text)| text.clone())
            .collect()
    }

    /// The code in the last SMS to a phone.
    #[must_use]
    pub fn code(&self, phone: &str) -> String {
        let text = self.to(phone).pop().expect("an SMS");
        code_in(&text).unwrap_or_else(|| panic!("no code in the last SMS to {phone}"))
    }

    /// The phone, if any, that the operator refuses.
    pub fn refuse(&self, phone: Option<&str>) {
        *self.refused.lock().unwrap() = phone.map(str::to_owned);
    }

    /// Whether publishing fails.
    pub fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }
}

/// The only run of exactly six digits.
#[must_use]
pub fn code_in(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 6).map(str::to_owned).next()
}

/// The freeze code in a text: the only run of eight characters of its alphabet.
#[must_use]
pub fn freeze_code_in(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !"ABCDEFGHJKLMNPQRSTUVWXYZ23456789".contains(c));
    runs.filter(|run| run.len() == 8).map(str::to_owned).next()
}

impl SendSms for SmsBox {
    async fn send(&self, phone: &str, text: &str) -> Result<(), PortError> {
        let refused = self.refused.lock().unwrap().as_deref() == Some(phone);
        if refused || *self.down.lock().unwrap() {
            return Err(PortError::Transient("SMS", "down".to_owned()));
        }
        let lost = self.outside.call("sms");
        if lost != Some(Lost::Request) {
            let message = (phone.to_owned(), text.to_owned());
            self.sent.lock().unwrap().push(message);
        }
        match lost {
            None => Ok(()),
            Some(_) => Err(PortError::Transient("SMS", "lost".to_owned())),
        }
    }
}

/// A transfer as the bank got it.
#[derive(Clone, Debug)]
pub struct SentTransfer {
    /// Its serial.
    pub serial: String,
    /// What the payee's statement shows.
    pub descriptor: String,
    /// Whether the payee's name is checked.
    pub check_name: bool,
}

/// A bank that answers what it was told to, once each: a check with "match" and a transfer with "succeeded" when nothing is
/// left. What it has decided about a serial it says again; "busy" and "quota" decide nothing. Keeps the serials.
#[derive(Clone, Debug, Default)]
pub struct ScriptedBank {
    answers: Arc<Mutex<VecDeque<Option<BankAnswer>>>>,
    serials: Arc<Mutex<Vec<String>>>,
    decided: Arc<Mutex<HashMap<String, BankAnswer>>>,
    transfer_answers: Arc<Mutex<VecDeque<Option<TransferAnswer>>>>,
    transfers: Arc<Mutex<Vec<SentTransfer>>>,
    settled: Arc<Mutex<HashMap<String, TransferAnswer>>>,
    pause: Arc<Mutex<Duration>>,
    silent: Arc<Mutex<bool>>,
    outside: Outside,
}

impl ScriptedBank {
    /// How long it thinks before each answer: time for others to come in between.
    pub fn think(&self, pause: Duration) {
        *self.pause.lock().unwrap() = pause;
    }

    /// Whether it answers no question about what it was sent before.
    pub fn set_silent(&self, silent: bool) {
        *self.silent.lock().unwrap() = silent;
    }

    fn recalled<A: Copy>(
        &self,
        known: &Mutex<HashMap<String, A>>,
        serial: &str,
    ) -> QueryOutcome<A> {
        let lost = self.outside.call("bank").is_some();
        if lost || *self.silent.lock().unwrap() {
            return QueryOutcome::Unknown;
        }
        let known = known.lock().unwrap().get(serial).copied();
        known.map_or(QueryOutcome::NeverSeen, QueryOutcome::Answer)
    }

    async fn pause(&self) {
        let pause = *self.pause.lock().unwrap();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// The next answers; `None` is no answer.
    pub fn script(&self, answers: impl IntoIterator<Item = Option<BankAnswer>>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// The next answers to transfers; `None` is no answer.
    pub fn script_transfers(&self, answers: impl IntoIterator<Item = Option<TransferAnswer>>) {
        self.transfer_answers.lock().unwrap().extend(answers);
    }

    /// The serials it was asked under.
    #[must_use]
    pub fn serials(&self) -> Vec<String> {
        self.serials.lock().unwrap().clone()
    }

    /// The transfers it got, repetitions included.
    #[must_use]
    pub fn transfers(&self) -> Vec<SentTransfer> {
        self.transfers.lock().unwrap().clone()
    }

    /// The code at the end of the last transfer's descriptor.
    #[must_use]
    pub fn deposit_code(&self) -> String {
        let last = self.transfers().pop().expect("a transfer");
        let code: Vec<char> = last.descriptor.chars().rev().take(6).collect();
        code.into_iter().rev().collect()
    }

    /// What the bank knows of a transfer from now on, whatever it said before.
    pub fn settle(&self, serial: &str, answer: TransferAnswer) {
        self.settled
            .lock()
            .unwrap()
            .insert(serial.to_owned(), answer);
    }

    /// What the bank has decided about a check whose answer was lost.
    pub fn decide(&self, serial: &str, answer: BankAnswer) {
        self.decided
            .lock()
            .unwrap()
            .insert(serial.to_owned(), answer);
    }
}

impl CheckCard for ScriptedBank {
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer> {
        let lost = self.outside.call("bank");
        if lost == Some(Lost::Request) {
            return None;
        }
        self.serials.lock().unwrap().push(question.serial.clone());
        self.pause().await;
        if let Some(known) = self.decided.lock().unwrap().get(&question.serial) {
            return Some(*known).filter(|_| lost.is_none());
        }
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Some(BankAnswer::Match));
        let decides_nothing = [BankAnswer::Busy, BankAnswer::Quota, BankAnswer::Malformed];
        if let Some(answer) = answer.filter(|answer| !decides_nothing.contains(answer)) {
            self.decide(&question.serial, answer);
        }
        answer.filter(|_| lost.is_none())
    }
}

impl QueryCheck for ScriptedBank {
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer> {
        self.recalled(&self.decided, serial)
    }
}

impl SendTransfer for ScriptedBank {
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer> {
        let lost = self.outside.call("bank");
        if lost == Some(Lost::Request) {
            return None;
        }
        self.transfers.lock().unwrap().push(SentTransfer {
            serial: transfer.serial.clone(),
            descriptor: transfer.descriptor.expose().clone(),
            check_name: transfer.check_name,
        });
        self.pause().await;
        if let Some(known) = self.settled.lock().unwrap().get(&transfer.serial) {
            return Some(*known).filter(|_| lost.is_none());
        }
        let answer = self
            .transfer_answers
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Some(TransferAnswer::Succeeded));
        if let Some(answer) = answer {
            self.settle(&transfer.serial, answer);
        }
        answer.filter(|_| lost.is_none())
    }
}

impl QueryTransfer for ScriptedBank {
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer> {
        self.recalled(&self.settled, serial)
    }
}

/// Every push: platform, token, text.
#[derive(Clone, Debug, Default)]
pub struct PushBox {
    sent: Arc<Mutex<Vec<(PushPlatform, String, String)>>>,
    results: Arc<Mutex<VecDeque<Result<Pushed, PortError>>>>,
    outside: Outside,
}

impl PushBox {
    /// All of them, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<(PushPlatform, String, String)> {
        self.sent.lock().unwrap().clone()
    }

    /// The tokens that were written to since the last time, oldest first.
    #[must_use]
    pub fn take_tokens(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.into_iter().map(|(_, token, _)| token).collect()
    }

    /// What becomes of the next pushes; of all others: sent.
    pub fn script(&self, results: impl IntoIterator<Item = Result<Pushed, PortError>>) {
        self.results.lock().unwrap().extend(results);
    }
}

impl SendPush for PushBox {
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError> {
        let lost = self.outside.call("push");
        let failed = || Err(PortError::Transient("push", "lost".to_owned()));
        if lost == Some(Lost::Request) {
            return failed();
        }
        let result = self.results.lock().unwrap().pop_front();
        let result = result.unwrap_or(Ok(Pushed::Sent));
        if matches!(result, Ok(Pushed::Sent)) {
            let sent = (platform, token.expose().clone(), text.to_owned());
            self.sent.lock().unwrap().push(sent);
        }
        if lost.is_some() { failed() } else { result }
    }
}

/// A reply as a client sees it, with what it cost.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header values by lower-case name.
    pub headers: HashMap<String, String>,
    /// The body; null for none.
    pub body: Value,
    /// The calls to the table.
    pub calls: Vec<Call>,
}

impl Answer {
    /// The problem's code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The rebind's state.
    #[must_use]
    pub fn state(&self) -> &str {
        self.body["state"].as_str().unwrap_or("")
    }
}

/// What a world has besides its table: the clock, what was sent, what the bank knows and is still to say.
#[derive(Clone, Debug)]
pub struct Kept {
    now: Timestamp,
    /// Every SMS: phone and text.
    pub sms: Vec<(String, String)>,
    /// Every push: platform, token, text.
    pub push: Vec<(PushPlatform, String, String)>,
    /// The serials that the bank was asked under.
    pub serials: Vec<String>,
    /// The transfers that the bank got.
    pub transfers: Vec<SentTransfer>,
    answers: VecDeque<Option<BankAnswer>>,
    transfer_answers: VecDeque<Option<TransferAnswer>>,
    decided: HashMap<String, BankAnswer>,
    settled: HashMap<String, TransferAnswer>,
}

/// The functions over one table.
pub struct World {
    /// The table's client, for looking.
    pub client: Client,
    /// The table's name.
    pub table: String,
    /// What went to the table.
    pub boundary: Boundary,
    /// What went elsewhere.
    pub outside: Outside,
    /// The SMS sent.
    pub sms: SmsBox,
    /// The pushes sent.
    pub push: PushBox,
    /// The bank.
    pub bank: ScriptedBank,
    /// The clock that requests carry; move it at will.
    pub now: Mutex<Timestamp>,
    /// What the functions have asked of the table and of the keys, under their roles.
    pub asked: Asked,
    keys: MemoryKeys,
    stage: DeploymentStage,
    login: Login<MemoryKeys>,
    cards: Cards<MemoryKeys>,
    rebind_request: RebindRequest<MemoryKeys>,
    agreement: Agreement<MemoryKeys>,
    verification: Verification<MemoryKeys, SmsBox, ScriptedBank>,
    settlement: Settlement<MemoryKeys>,
    notice: ConfirmationNotice<MemoryKeys, SmsBox, PushBox>,
    cleanup: CooldownCleanup<ScriptedBank>,
}

/// The table's name.
pub const TABLE: &str = "rebind";

impl World {
    /// An empty table with the sandbox's merchants in it.
    pub async fn start() -> Self {
        Self::staged("sandbox").await
    }

    /// The same, deployed as another stage.
    pub async fn staged(stage: &str) -> Self {
        let table = Table::new(TABLE);
        Self::reached(|config| table.reached_by(config), stage).await
    }

    /// The same over any table: `how` says how the SDK reaches it, by an HTTP client.
    pub async fn reached(how: impl FnOnce(Builder) -> Builder, stage: &str) -> Self {
        let boundary = Boundary::default();
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests());
        let client = boundary.client(how(config));
        create_table(&client).await;
        let world = Self::over(client, boundary, DeploymentStage::new(stage));
        let seeds = SeedWorld::sandbox().unwrap();
        let keys = Keys::new(world.keys.clone());
        let store = world.store();
        for merchant in &seeds.merchants {
            store.seed(&keys, merchant, world.now()).await.unwrap();
        }
        let _ = world.boundary.take();
        world
    }

    fn over(client: Client, boundary: Boundary, stage: DeploymentStage) -> Self {
        let outside = Outside::default();
        let keys = MemoryKeys {
            outside: outside.clone(),
            ..MemoryKeys::default()
        };
        let sms = SmsBox {
            outside: outside.clone(),
            ..SmsBox::default()
        };
        let push = PushBox {
            outside: outside.clone(),
            ..PushBox::default()
        };
        let bank = ScriptedBank {
            outside: outside.clone(),
            ..ScriptedBank::default()
        };
        let asked = Asked::default();
        let store = |function| {
            let config = client.config().to_builder();
            let config = config.interceptor(Role::new(function, asked.clone()));
            Store::new(
                Client::from_conf(config.build()),
                TABLE,
                &domain::policy::Policy::CURRENT,
            )
        };
        let keys_of = |function| Keys::new(keys.of(function, &asked));
        let of = |function| (store(function), keys_of(function));
        let [
            login,
            cards,
            rebind_request,
            agreement,
            verification,
            settlement,
            notice,
        ] = [
            "login",
            "cards",
            "rebind-request",
            "agreement",
            "verification",
            "settlement",
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
            settlement: Settlement::new(settlement.0, settlement.1),
            notice: ConfirmationNotice::new(notice.0, notice.1, sms.clone(), push.clone()),
            cleanup: CooldownCleanup::new(
                store("cooldown-cleanup"),
                bank.clone(),
                stage.is_sandbox(),
            ),
            asked,
            table: TABLE.to_owned(),
            now: Mutex::new(wall_clock()),
            client,
            boundary,
            outside,
            sms,
            push,
            bank,
            keys,
            stage,
        }
    }

    /// What is not in the table, as it is now.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let bank = &self.bank;
        Kept {
            now: self.now(),
            sms: self.sms.sent.lock().unwrap().clone(),
            push: self.push.sent.lock().unwrap().clone(),
            answers: bank.answers.lock().unwrap().clone(),
            transfer_answers: bank.transfer_answers.lock().unwrap().clone(),
            serials: bank.serials(),
            transfers: bank.transfers(),
            decided: bank.decided.lock().unwrap().clone(),
            settled: bank.settled.lock().unwrap().clone(),
        }
    }

    /// As it was then.
    pub fn put_back(&self, kept: &Kept) {
        let kept = kept.clone();
        let bank = &self.bank;
        *self.now.lock().unwrap() = kept.now;
        *self.sms.sent.lock().unwrap() = kept.sms;
        *self.push.sent.lock().unwrap() = kept.push;
        *bank.answers.lock().unwrap() = kept.answers;
        *bank.transfer_answers.lock().unwrap() = kept.transfer_answers;
        *bank.serials.lock().unwrap() = kept.serials;
        *bank.transfers.lock().unwrap() = kept.transfers;
        *bank.decided.lock().unwrap() = kept.decided;
        *bank.settled.lock().unwrap() = kept.settled;
    }

    /// The store, for looking.
    #[must_use]
    pub fn store(&self) -> Store {
        Store::new(self.client.clone(), TABLE, &domain::policy::Policy::CURRENT)
    }

    /// The clock that requests carry.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    /// Moves it.
    pub fn pass_s(&self, seconds: i64) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus_s(seconds);
    }

    /// Sends one request to the function that has its route.
    pub async fn send(&self, event: Value) -> Answer {
        let event: HttpEvent = serde_json::from_value(event).unwrap();
        let request = Request::from(event.clone());
        let _ = self.boundary.take();
        let has = |handler: &dyn Fn(&Request) -> &'static str| handler(&request) != "none";
        let response = if has(&|r| self.login.route(r)) {
            respond(&self.login, &self.stage, event).await
        } else if has(&|r| self.rebind_request.route(r)) {
            respond(&self.rebind_request, &self.stage, event).await
        } else if has(&|r| self.agreement.route(r)) {
            respond(&self.agreement, &self.stage, event).await
        } else if has(&|r| self.verification.route(r)) {
            respond(&self.verification, &self.stage, event).await
        } else if has(&|r| self.settlement.route(r)) {
            respond(&self.settlement, &self.stage, event).await
        } else {
            respond(&self.cards, &self.stage, event).await
        };
        let headers = response.headers.iter();
        Answer {
            status: response.status_code,
            headers: headers
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            body: if response.body.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&response.body).unwrap()
            },
            calls: self.boundary.take(),
        }
    }

    /// One operation of the acquirer's core, at the world's clock.
    ///
    /// # Errors
    /// What the function refuses.
    pub async fn core(&self, mut operation: Value) -> Result<Value, settlement::Refusal> {
        if self.stage.is_sandbox() && operation.get("time").is_none() {
            operation["time"] = json!(self.now().to_rfc3339_shanghai());
        }
        let _ = self.boundary.take();
        self.settlement.direct(operation, &self.stage).await
    }

    /// The keys of the functions.
    #[must_use]
    pub fn keys(&self) -> Keys<MemoryKeys> {
        Keys::new(self.keys.clone())
    }

    /// A merchant of the sandbox as it is stored, with its latest rebind.
    pub async fn stored(&self, name: &str) -> Merchant {
        let loaded = self.store().load(&merchant_id(name), Wanted::Latest).await;
        let _ = self.boundary.take();
        loaded.unwrap().expect("a merchant")
    }

    /// A merchant's whole history, oldest first: an unbroken chain whose end the head knows, or a panic.
    pub async fn history(&self, name: &str) -> Vec<ChainedEvent> {
        let (id, store) = (merchant_id(name), self.store());
        let mut events: Vec<ChainedEvent> = Vec::new();
        loop {
            let from = events.last().map_or(1, |last| last.seq + 1);
            let page = store.events(&id, from, 200).await.unwrap();
            if page.is_empty() {
                break;
            }
            events.extend(page);
        }
        let mut prev = GENESIS.to_owned();
        for (seq, event) in (1..).zip(&events) {
            assert_eq!(
                (event.seq, &event.prev_hash),
                (seq, &prev),
                "{}",
                event.kind()
            );
            assert_eq!(history::hash(event), event.hash, "{}", event.kind());
            prev.clone_from(&event.hash);
        }
        let head = self.stored(name).await.head;
        let length = u64::try_from(events.len()).unwrap();
        assert_eq!((head.last_seq, head.last_hash), (length, prev));
        events
    }

    /// How often something stands in a merchant's history.
    pub async fn count(&self, name: &str, kind: &str) -> usize {
        let events = self.history(name).await;
        events
            .iter()
            .filter(|event| event.kind().as_str() == kind)
            .count()
    }

    /// A freeze code is typed somewhere.
    pub async fn freeze(&self, account: &str, code: &str, source: &str) -> Answer {
        let body = json!({"account": account, "freeze_code": code});
        let mut event = self.event("POST", "/v1/freezes", &[], &body);
        event["requestContext"]["http"]["sourceIp"] = json!(source);
        self.send(event).await
    }

    /// A request as the gateway would send it, at the world's clock.
    #[must_use]
    pub fn event(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut all = json!({"user-agent": "tests"});
        if self.stage.is_sandbox() {
            all["x-sandbox-now"] = json!(self.now().to_rfc3339_shanghai());
        }
        for (name, value) in headers {
            all[*name] = json!(value);
        }
        let mut event = json!({
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "headers": all,
            "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.7"}, "requestId": "req-1"},
            "isBase64Encoded": false,
        });
        if !body.is_null() {
            event["body"] = json!(body.to_string());
        }
        event
    }

    /// Logs in and returns an app with the session.
    pub async fn app(&self, merchant: &SandboxMerchant) -> App<'_> {
        self.app_on(merchant, "device-1").await
    }

    /// The same from another device.
    pub async fn app_on(&self, merchant: &SandboxMerchant, device: &str) -> App<'_> {
        let body = json!({"account": merchant.account, "password": merchant.password, "device_id": device});
        let answer = self
            .send(self.event("POST", "/v1/sessions", &[], &body))
            .await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        let token = answer.body["token"].as_str().unwrap().to_owned();
        App {
            world: self,
            token,
            login: answer,
            merchant: merchant.clone(),
        }
    }

    /// Runs the clean-up at the world's clock.
    pub async fn clean_up(&self) -> Summary {
        self.scheduled(
            json!({"time": self.now().to_rfc3339_shanghai()}),
            Duration::from_secs(60),
        )
        .await
        .unwrap()
    }

    /// Runs the clean-up with an event of the schedule and the time that the function has left.
    ///
    /// # Errors
    /// What the run reports.
    pub async fn scheduled(&self, event: Value, left: Duration) -> Result<Summary, PortError> {
        let event: ScheduleEvent = serde_json::from_value(event).unwrap();
        self.cleanup
            .run(&event, wall_clock(), Instant::now() + left)
            .await
    }

    /// A batch of stream records for every notice that is due.
    pub async fn due_notices(&self) -> Value {
        let due: Vec<Value> = self
            .items()
            .await
            .into_iter()
            .filter(|item| {
                item.get("notice")
                    .is_some_and(|notice| notice.as_s().unwrap() == "due")
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

    /// Delivers every notice that is due, as the stream would; returns the failures reported.
    pub async fn deliver_notices(&self) -> Value {
        let batch = self.due_notices().await;
        self.deliver(batch, self.now()).await
    }

    /// Delivers one batch of stream records at a wall clock.
    pub async fn deliver(&self, batch: Value, wall: Timestamp) -> Value {
        let batch: StreamEvent = serde_json::from_value(batch).unwrap();
        serde_json::to_value(self.notice.handle(batch, || wall).await).unwrap()
    }

    /// Every item of the table: the tests may, the functions may not.
    pub async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let scan = self
                .client
                .scan()
                .table_name(&self.table)
                .set_exclusive_start_key(start);
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

async fn create_table(client: &Client) {
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

/// A merchant of the sandbox, as much as an app's user knows.
#[derive(Clone, Debug)]
pub struct SandboxMerchant {
    /// The name to log in with.
    pub account: String,
    /// The password.
    pub password: String,
    /// The name on cards.
    pub holder_name: String,
    /// The phone on file.
    pub phone: String,
    /// The ID number.
    pub document_number: String,
    /// `long_term` or a date.
    pub expires_on: String,
}

/// The id of a merchant of the sandbox.
#[must_use]
pub fn merchant_id(name: &str) -> MerchantId {
    MerchantId::parse(&format!("mer_{name}")).unwrap()
}

/// A merchant of `sandbox.json` by the part of its id after `mer_`.
#[must_use]
pub fn merchant(name: &str) -> SandboxMerchant {
    let world: Value = serde_json::from_str(bank::sandbox::SANDBOX_JSON).unwrap();
    let id = format!("mer_{name}");
    let found = world["merchants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|merchant| merchant["merchant_id"] == id);
    let found = found.unwrap_or_else(|| panic!("no merchant {id}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let holder = found.get("settlement_name").unwrap_or(&found["legal_name"]);
    SandboxMerchant {
        account: text(&found["account"]),
        password: text(&found["password"]),
        holder_name: text(holder),
        phone: text(&found["phone_on_file"]),
        document_number: text(&found["id_document"]["number"]),
        expires_on: text(&found["id_document"]["expires_on"]),
    }
}

/// A card that matches, and the phone that its bank has.
pub const GOOD_CARD: &str = "6222020000009001009";
/// Another one.
pub const SECOND_CARD: &str = "6217000000009001375";
/// A phone of the merchant that is not the one on file.
pub const RESERVED_PHONE: &str = "+8613700000001";

/// A logged-in app.
pub struct App<'w> {
    /// Where it runs.
    pub world: &'w World,
    /// Its session.
    pub token: String,
    /// The answer to its login.
    pub login: Answer,
    /// Whose it is.
    pub merchant: SandboxMerchant,
}

impl<'w> App<'w> {
    /// The same app after another login.
    pub async fn again(&self) -> App<'w> {
        self.world.app(&self.merchant).await
    }

    /// One request with the session's token.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(method, path, &[], body).await
    }

    /// The same with an idempotency key.
    pub async fn keyed(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(method, path, &[("idempotency-key", key)], body)
            .await
    }

    /// The same with any headers.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.world
            .send(self.world.event(method, path, &all, &body))
            .await
    }

    /// What is typed to ask for a card.
    #[must_use]
    pub fn request_body(&self, card: &str) -> Value {
        json!({
            "card_number": card,
            "holder_name": self.merchant.holder_name,
            "reserved_phone": RESERVED_PHONE,
            "reason": "replace",
        })
    }

    /// What is typed to prove the identity.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({"document_number": self.merchant.document_number, "document_expires_on": self.merchant.expires_on})
    }

    /// Asks for a card; returns the rebind's path.
    pub async fn request(&self, card: &str) -> String {
        self.request_with(card, json!({})).await
    }

    /// The same with other facts, or with more.
    pub async fn request_with(&self, card: &str, facts: Value) -> String {
        let key = format!("create-{:?}-{card}", self.world.now());
        let mut body = self.request_body(card);
        for (name, value) in facts.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = self.keyed(&key, "POST", "/v1/rebinds", body).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        format!("/v1/rebinds/{}", answer.body["rebind_id"].as_str().unwrap())
    }

    /// Up to and including the confirmed identity.
    pub async fn identify(&self, rebind: &str) {
        let answer = self
            .call("POST", &format!("{rebind}/identity"), self.document())
            .await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let code = self.world.sms.code(&self.merchant.phone);
        let answer = self
            .call(
                "POST",
                &format!("{rebind}/identity/confirm"),
                json!({"code": code}),
            )
            .await;
        assert_eq!(
            (answer.status, answer.state()),
            (200, "agreement_pending"),
            "{:?}",
            answer.body
        );
    }

    /// The body that signs the agreement, after it was read for long enough.
    pub async fn signature(&self, rebind: &str) -> Value {
        let text = self
            .call(
                "GET",
                &format!("{rebind}/agreement?lang=zh-CN"),
                Value::Null,
            )
            .await;
        assert_eq!(text.status, 200, "{:?}", text.body);
        self.world.pass_s(11);
        signature_of(&text.body, &self.merchant.holder_name)
    }

    /// Reads and signs.
    pub async fn sign(&self, rebind: &str) {
        let signature = self.signature(rebind).await;
        let answer = self
            .call("POST", &format!("{rebind}/agreement"), signature)
            .await;
        assert_eq!(
            (answer.status, answer.state()),
            (200, "card_pending"),
            "{:?}",
            answer.body
        );
    }

    /// Asks for a card and walks to where the bank is asked.
    pub async fn to_card_pending(&self, card: &str) -> String {
        let rebind = self.request(card).await;
        self.identify(&rebind).await;
        self.sign(&rebind).await;
        rebind
    }

    /// Asks for a card and walks the whole way.
    pub async fn activate(&self, card: &str) -> String {
        self.activate_with(card, json!({})).await
    }

    /// The same with other facts, or with more.
    pub async fn activate_with(&self, card: &str, facts: Value) -> String {
        let rebind = self.request_with(card, facts).await;
        let done = self.finish(&rebind).await;
        assert_eq!(done.state(), "activated", "{:?}", done.body);
        rebind
    }

    /// From a new rebind to the end: identity, agreement, card.
    pub async fn finish(&self, rebind: &str) -> Answer {
        self.identify(rebind).await;
        self.sign(rebind).await;
        let answer = self
            .call("POST", &format!("{rebind}/card-check"), Value::Null)
            .await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let code = self.world.sms.code(RESERVED_PHONE);
        let answer = self
            .call(
                "POST",
                &format!("{rebind}/card-check/confirm"),
                json!({"code": code}),
            )
            .await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer
    }

    /// Makes a standby card the whole way; returns the card's path.
    pub async fn standby(&self, card: &str) -> String {
        let rebind = self.request_with(card, json!({"activate": false})).await;
        let done = self.finish(&rebind).await;
        assert_eq!(done.state(), "completed", "{:?}", done.body);
        let card_id = done.body["new_card"]["card_id"].as_str().unwrap();
        format!("/v1/cards/{card_id}")
    }

    /// Asks for the code that authorises the switch to a standby card; returns it.
    pub async fn switch_code(&self, card: &str) -> Value {
        let answer = self
            .call("POST", &format!("{card}/activate"), Value::Null)
            .await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        json!({"code": self.world.sms.code(&self.merchant.phone)})
    }

    /// Switches to a standby card.
    pub async fn switch(&self, card: &str) -> Answer {
        let code = self.switch_code(card).await;
        let answer = self.call("POST", &format!("{card}/activate"), code).await;
        assert_eq!(
            (answer.status, answer.state()),
            (200, "activated"),
            "{:?}",
            answer.body
        );
        answer
    }

    /// Asks for a card whose bank cannot check it, and walks to where the deposit's code is waited for.
    pub async fn deposit(&self, card: &str) -> String {
        let rebind = self.to_card_pending(card).await;
        self.world.bank.script([Some(BankAnswer::NotEnabled)]);
        let answer = self
            .call("POST", &format!("{rebind}/card-check"), Value::Null)
            .await;
        assert_eq!(
            (answer.status, &answer.body["challenge"]["method"]),
            (200, &json!("micro_deposit")),
            "{:?}",
            answer.body
        );
        rebind
    }

    /// Tries a code of the card, or of its deposit.
    pub async fn confirm_card(&self, rebind: &str, code: &str) -> Answer {
        let path = format!("{rebind}/card-check/confirm");
        self.call("POST", &path, json!({"code": code})).await
    }

    /// The freeze code that the phone on file was told last, once every notice that is due is delivered.
    pub async fn freeze_code(&self) -> String {
        let told = self.world.deliver_notices().await;
        assert_eq!(told, json!({"batchItemFailures": []}));
        let texts = self.world.sms.to(&self.merchant.phone);
        let mut codes = texts.iter().rev().filter_map(|text| freeze_code_in(text));
        codes.next().expect("a freeze code")
    }
}

/// The body that signs an agreement, given the reply that showed it.
#[must_use]
pub fn signature_of(text: &Value, signed_name: &str) -> Value {
    let consents = text["consents"].as_array().unwrap();
    let consents: Vec<&Value> = consents.iter().map(|one| &one["id"]).collect();
    json!({
        "version": text["version"],
        "sha256": text["sha256"],
        "reading_token": text["reading_token"],
        "signed_name": signed_name,
        "consents": consents,
    })
}
