//! The running local system, from the view of an app, a merchant's phone and an operator.
//!
//! Every reply is validated against `infra/openapi.json` and searched for secrets before a test sees it.

use crate::aws::{Caller, SECRETS};
use crate::merchant::{self, Ask, DEVICE, Merchant, Profile, luhn};
use crate::openapi::{Contract, PROBLEM};
use crate::secrets::{Kind, Secrets};
use crate::transport::{HttpCall, Reply, Transport, freeze_code_in, is_otp, unsigned};
use application::clock::wall_clock;
use aws_sdk_dynamodb::types::AttributeValue;
use bank::BankKey;
use bank::sandbox::card_item;
use bytes::Bytes;
use domain::time::Timestamp;
use http::Request;
use local::http::Http;
use local::{System, UpOptions, default_state_dir};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::item::Item;
use store::keys::is_record;
use tokio::sync::{Mutex, MutexGuard};

/// Maximum number of simultaneous test runs in one checkout.
const RUNS_MAX: u32 = 8;
/// The maximum time from a request to its SMS, beside all other cases.
const SMS_LIMIT: Duration = Duration::from_secs(45);
/// The silence after which a test concludes that no message comes: several times the latency of the stream.
const SILENCE: Duration = Duration::from_millis(2_500);

/// A logged-in merchant of this system.
pub type App<'l> = Merchant<&'l LocalCloud>;

/// The running system.
pub struct LocalCloud {
    /// The system itself. Dropping this stops it.
    pub system: System,
    /// The state directory, which also holds the log.
    pub state_dir: PathBuf,
    /// The administrator of the local cloud.
    pub root: Caller,
    /// The table, for reads and for writes that no request can make.
    pub table: aws_sdk_dynamodb::Client,
    /// Every secret used so far.
    pub secrets: Secrets,
    /// The number of replies validated against the API description.
    pub replies: AtomicUsize,
    /// All output to clients and phones, by source and text. It is searched once all secrets are known. It holds every reply
    /// with its headers, except the token that a login reply must contain.
    pub outputs: std::sync::Mutex<Vec<(String, String)>>,
    http: Http,
    contract: Contract,
    number: AtomicU32,
    /// Freeze codes take turns like logins: one address may submit ten wrong ones a day, and a right one counts until it has
    /// been compared.
    freeze_turn: Mutex<()>,
    /// The local gateway gives every caller the same source address. Simultaneous logins would count as strangers from one
    /// address and block each other, so logins take turns.
    login_turn: Mutex<()>,
}

impl LocalCloud {
    /// Starts a separate system, beside any that `cargo local up` or another test run has started.
    ///
    /// # Errors
    /// The reason why the system did not start.
    pub async fn up() -> Result<Self, local::Error> {
        let mut run = 1;
        let (system, state_dir) = loop {
            let state_dir = default_state_dir().with_file_name(format!("e2e-{run}"));
            let options = UpOptions {
                state_dir: state_dir.clone(),
                ..UpOptions::default()
            };
            match System::up(options).await {
                Ok(system) => break (system, state_dir),
                Err(local::Error::AlreadyUp(_)) if run < RUNS_MAX => run += 1,
                Err(error) => return Err(error),
            }
        };
        // The first phones belong to the merchants of `sandbox.json`.
        Ok(Self::of(system, state_dir, 100))
    }

    /// The running system that a file describes.
    ///
    /// # Errors
    /// When the file cannot be read, or the stack does not answer.
    pub async fn attach(endpoints: &Path) -> Result<Self, local::Error> {
        let system = System::attach(endpoints).await?;
        let state_dir = endpoints.parent().map_or_else(PathBuf::new, PathBuf::from);
        // The merchants of an earlier run keep their phones and cards.
        let run = wall_clock().epoch_s() % 900_000;
        let first = u32::try_from(run).map_or(0, |run| run * 100);
        Ok(Self::of(system, state_dir, 10_000 + first))
    }

    /// `first`: the first number of phones, cards and merchants.
    fn of(system: System, state_dir: PathBuf, first: u32) -> Self {
        Self {
            root: Caller::of(system.account()),
            table: aws_sdk_dynamodb::Client::new(&system.sdk_config()),
            secrets: Secrets::default(),
            replies: AtomicUsize::new(0),
            outputs: std::sync::Mutex::default(),
            http: Http::new(),
            contract: Contract::load().unwrap(),
            number: AtomicU32::new(first),
            freeze_turn: Mutex::new(()),
            login_turn: Mutex::new(()),
            state_dir,
            system,
        }
    }

    /// Records output for the search.
    pub fn note(&self, place: &str, text: String) {
        self.outputs.lock().unwrap().push((place.to_owned(), text));
    }

    fn next(&self) -> u32 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// A new merchant with one card, known to the bank.
    pub async fn merchant(&self) -> Profile {
        self.merchant_with(json!({})).await
    }

    /// A new merchant, logged in.
    pub async fn logged_in(&self) -> (Profile, App<'_>) {
        let merchant = self.merchant().await;
        let app = self.app(&merchant).await;
        (merchant, app)
    }

    /// A new merchant whose description differs from `sandbox.json` in some members.
    pub async fn merchant_with(&self, changes: Value) -> Profile {
        let (profile, described) = Profile::new("e2e", self.next(), &self.card(), &changes);
        self.secrets.add(Kind::IdNumber, &profile.document_number);
        self.secrets.add(Kind::Password, &profile.password);
        self.system.load(&[described]).await.unwrap();
        // Seeded times are at least as old as the description states.
        profile.set_clock(wall_clock());
        profile
    }

    /// A merchant of `sandbox.json`, as loaded into the system.
    #[must_use]
    pub fn sandbox_merchant(&self, id: &str) -> Profile {
        let reserved_phone = format!("+86137{:08}", self.next());
        let profile = Profile {
            reserved_phone,
            ..Profile::sandbox(id)
        };
        self.secrets.add(Kind::IdNumber, &profile.document_number);
        self.secrets.add(Kind::Password, &profile.password);
        profile
    }

    /// The number of a new card for which the bank gives `outcome`. The bank knows its owner by name.
    pub async fn card_with_outcome(&self, outcome: &str, owner_name: &str) -> String {
        let number = self.card();
        self.seed_card(&number, outcome, owner_name).await;
        number
    }

    /// Sets the bank's answer about a card, and its owner.
    pub async fn seed_card(&self, number: &str, outcome: &str, owner_name: &str) {
        let body = json!({"SecretId": self.system.resource("BankSecret").unwrap()});
        let secret = self.root.json(&SECRETS, "GetSecretValue", &body).await;
        let key = BankKey::from_secret_text(secret.unwrap()["SecretString"].as_str().unwrap());
        let item = card_item(&key.unwrap(), number, outcome, owner_name);
        let put = self
            .table
            .put_item()
            .table_name(self.system.resource("SandboxBankTable").unwrap());
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// An operation of the acquirer's core: a direct invocation of the function.
    ///
    /// # Errors
    /// The type and the text of the Lambda error.
    pub async fn core(&self, event: &Value) -> Result<Value, (String, String)> {
        let done = self.invoke("payouts", event).await;
        self.note("a reply to the core", format!("{done:?}"));
        done
    }

    /// A call of an operator, with the session of a role.
    pub async fn operate(&self, role: &str, call: HttpCall) -> Reply {
        let caller = Caller::operator(&self.system, role);
        self.operate_as(&caller, call).await
    }

    /// A call of the operator's API by any caller.
    pub async fn operate_as(&self, caller: &Caller, call: HttpCall) -> Reply {
        let sent = caller.http(&call).await;
        let text = sent.text();
        self.note("a reply to an operator", text.clone());
        Reply {
            what: format!("{} {}", call.method, call.path),
            status: sent.status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            headers: sent.headers,
            calls: Vec::new(),
        }
    }

    /// Submits a freeze code over HTTP, without a session.
    pub async fn freeze(&self, at: Timestamp, account: &str, code: &str) -> Reply {
        let _turn = self.freeze_turn.lock().await;
        let body = json!({"account": account, "freeze_code": code});
        let ask = self.ask("POST", "/v1/freezes").at(at);
        ask.json(&body).send().await
    }

    /// The same from another address. The local gateway has only one address, so this invokes the function with an event
    /// built by hand.
    pub async fn freeze_from(&self, source: &str, at: Timestamp, account: &str, code: &str) {
        let body = json!({"account": account, "freeze_code": code});
        let call = HttpCall::new("POST", "/v1/freezes").from(source).at(at);
        let event = call.json(&body).event();
        let reply = self.system.invoke("freezes", &event).await.unwrap();
        self.note("a reply", reply.to_string());
        assert_eq!(reply["statusCode"], 202, "a freeze from {source}");
        assert_eq!(reply["body"], "{\"status\":\"received\"}");
    }

    /// The number of a new debit card. The bank matches it for every known person.
    pub fn card(&self) -> String {
        let number = luhn(&format!("622202{:012}", self.next()));
        self.secrets.add(Kind::CardNumber, &number);
        number
    }

    /// The card of `sandbox.json` with a given bank answer.
    pub fn magic_card(&self, outcome: &str) -> String {
        let number = merchant::magic_card(outcome);
        self.secrets.add(Kind::CardNumber, &number);
        number
    }

    /// The card of `sandbox.json` with a prefix that the table lacks and for which the bank states this type.
    pub fn card_of_type(&self, card_type: &str) -> String {
        let card = merchant::sandbox("cards", "card_type", card_type);
        assert!(card["bank_code"].is_null());
        let number = card["card_number"].as_str().unwrap().to_owned();
        self.secrets.add(Kind::CardNumber, &number);
        number
    }

    /// A request builder.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> Ask<&Self> {
        Ask::new(self, method, path)
    }

    /// The body of a login. The device secret is derived from the device name.
    #[must_use]
    pub fn credentials(&self, profile: &Profile, device: &str) -> Value {
        profile.credentials(&device_of(profile, device))
    }

    /// Logs in on the merchant's own device.
    pub async fn app(&self, merchant: &Profile) -> App<'_> {
        Merchant::log_in(self, merchant, DEVICE).await
    }

    /// Logs in on another device.
    pub async fn app_on(&self, merchant: &Profile, device: &str) -> App<'_> {
        Merchant::log_in(self, merchant, &device_of(merchant, device)).await
    }

    /// Blocks all other logins until the guard is dropped.
    pub async fn lock_logins(&self) -> MutexGuard<'_, ()> {
        self.login_turn.lock().await
    }

    /// Attempts a login.
    pub async fn log_in(&self, at: Timestamp, credentials: &Value) -> Reply {
        let request = HttpCall::new("POST", "/v1/sessions").at(at);
        self.http_login(request.json(credentials)).await
    }

    /// The number of OTP messages sent to a phone.
    pub async fn codes_sent(&self, phone: &str) -> usize {
        self.sms(phone)
            .await
            .iter()
            .filter(|text| is_otp(text))
            .count()
    }

    /// The notification messages to a phone, once there are `count` of them and no more arrive.
    pub async fn notifications(&self, phone: &str, count: usize) -> Vec<String> {
        let notifications = async || -> Vec<String> {
            let texts = self.sms(phone).await;
            texts.into_iter().filter(|text| !is_otp(text)).collect()
        };
        let deadline = Instant::now() + SMS_LIMIT;
        while notifications().await.len() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(SILENCE).await;
        let all = notifications().await;
        assert_eq!(all.len(), count, "notifications to {phone}");
        for notification in &all {
            if let Some(code) = freeze_code_in(notification) {
                self.secrets.add(Kind::FreezeCode, &code);
            }
        }
        all
    }

    /// Waits until the notifications of this merchant's changes are handed over: nothing takes effect before.
    pub async fn handed_over(&self, merchant: &Profile) {
        let waits = async || {
            let state = self.state(&merchant.pk(), "Y").await.to_string();
            state.contains("\"w\":true")
        };
        let deadline = Instant::now() + SMS_LIMIT;
        while waits().await {
            assert!(Instant::now() < deadline, "{} waits", merchant.id);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs the clean-up with the remaining time of a scheduled run.
    pub async fn clean_up(&self, at: Timestamp) -> Value {
        let event = json!({"time": at.to_rfc3339_shanghai()});
        let run = self.system.invoke("cooldown-cleanup", &event).await;
        let run = run.unwrap();
        self.note("a clean-up's summary", run.to_string());
        run
    }

    /// An item of the table.
    pub async fn item(&self, pk: &str, sk: &str) -> Item {
        let get = self.table.get_item().table_name(self.table_of(pk, sk));
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let got = get
            .key("pk", key(pk))
            .key("sk", key(sk))
            .consistent_read(true)
            .send()
            .await;
        got.unwrap()
            .item
            .unwrap_or_else(|| panic!("item {pk} {sk} does not exist"))
    }

    /// Deletes one item.
    pub async fn delete(&self, pk: &str, sk: &str) {
        let delete = self
            .table
            .delete_item()
            .table_name(self.table_of(pk, sk))
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()));
        delete.send().await.unwrap();
    }

    /// Every item of both tables. Tests may scan.
    pub async fn items(&self) -> Vec<Item> {
        let endpoints = self.system.endpoints();
        let mut items = self.items_of(&endpoints.table).await;
        items.extend(self.items_of(&endpoints.record_table).await);
        items
    }

    /// The name of the table that holds the item with this key.
    fn table_of(&self, pk: &str, sk: &str) -> &str {
        let endpoints = self.system.endpoints();
        if is_record(pk, sk) {
            &endpoints.record_table
        } else {
            &endpoints.table
        }
    }

    /// Every item of a table.
    pub async fn items_of(&self, table: &str) -> Vec<Item> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let scan = self.table.scan().table_name(table);
            let page = scan.set_exclusive_start_key(start).send().await.unwrap();
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    /// Every SMS sent.
    pub async fn all_sms(&self) -> Vec<String> {
        let request = Request::get(&self.system.endpoints().sms_url);
        let reply = self.http.send(request.body(Bytes::new()).unwrap()).await;
        let reply = reply.unwrap().json().unwrap();
        let phones = reply["sms_messages"].as_object().unwrap().values();
        let messages = phones.flat_map(|messages| messages.as_array().unwrap());
        messages
            .map(|sms| sms["Message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// All log groups.
    pub async fn log_groups(&self) -> Vec<String> {
        self.system.log_groups().await.unwrap()
    }

    /// Every line in one log group.
    pub async fn log_of(&self, group: &str) -> Vec<String> {
        let lines = self.system.log_of(group, 0).await.unwrap();
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Every log line.
    pub async fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for group in self.log_groups().await {
            lines.extend(self.log_of(&group).await);
        }
        lines
    }

    /// The state stored in an item.
    pub async fn state(&self, pk: &str, sk: &str) -> Value {
        serde_json::from_str(self.item(pk, sk).await["state"].as_s().unwrap()).unwrap()
    }

    /// Changes the state stored in an item, to reach states that no request can reach, or not within a test's time.
    pub async fn edit_state(&self, pk: &str, sk: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state(pk, sk).await;
        change(&mut state);
        self.edit(pk, sk, "state", AttributeValue::S(state.to_string()))
            .await;
    }

    /// Sets one attribute of an item.
    pub async fn edit(&self, pk: &str, sk: &str, name: &str, value: AttributeValue) {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.table.update_item().table_name(self.table_of(pk, sk));
        let update = update
            .key("pk", key(pk))
            .key("sk", key(sk))
            .update_expression("SET #n = :v");
        let update = update.condition_expression("attribute_exists(pk)");
        let update = update.expression_attribute_names("#n", name);
        update
            .expression_attribute_values(":v", value)
            .send()
            .await
            .unwrap();
    }

    fn note_reply(&self, reply: &Reply, text: &str) {
        let mut output = text.to_owned();
        let own = match (reply.what.as_str(), reply.status) {
            ("POST /v1/sessions", 201) => Some("token"),
            (what, 200) if what.contains("/agreement") => Some("reading_token"),
            _ => None,
        };
        if let Some(own) = own.and_then(|name| reply.body[name].as_str()) {
            output = output.replacen(own, "***", 1);
        }
        for (name, value) in &reply.headers {
            output.push_str(&format!(
                "\n{name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        self.note("a reply", output);
    }

    fn check(&self, reply: &Reply, method: &str, path: &str) {
        let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap());
        // The gateway sets a content type on every reply, even on one without a body.
        let content_type = if reply.body.is_null() {
            ""
        } else {
            header("content-type").unwrap()
        };
        if let Err(reason) =
            self.contract
                .validate(method, path, reply.status, content_type, &reply.body)
        {
            panic!("{}", hide_tokens(reason, &reply.body));
        }
        assert_eq!(header("cache-control"), Some("no-store"), "{}", reply.what);
        let retry_after_s = reply.body["retry_after_s"]
            .as_i64()
            .map(|seconds| seconds.to_string());
        assert_eq!(
            header("retry-after"),
            retry_after_s.as_deref(),
            "{}",
            reply.what
        );
        assert!(
            matches!(header("idempotent-replayed"), None | Some("true")),
            "{}",
            reply.what
        );
        let is_problem = content_type == PROBLEM;
        assert_eq!(
            is_problem,
            reply.status >= 400,
            "{} {}",
            reply.what,
            reply.status
        );
        assert!(
            !is_problem || reply.body["support_ref"].is_string(),
            "{}",
            reply.what
        );
    }
}

impl Transport for LocalCloud {
    async fn http(&self, request: HttpCall) -> Reply {
        let HttpCall {
            method, path, body, ..
        } = &request;
        let uri = format!("{}{path}", self.system.endpoints().api_url);
        let mut http = Request::builder().method(method.as_str()).uri(uri);
        let is_typed = request
            .headers
            .iter()
            .any(|(name, _)| name == "content-type");
        if !body.is_empty() && !is_typed {
            http = http.header("content-type", "application/json");
        }
        for (name, value) in request.all_headers() {
            http = http.header(name, value);
        }
        let sent = self
            .http
            .send(http.body(body.clone()).unwrap())
            .await
            .unwrap();
        self.replies.fetch_add(1, Ordering::Relaxed);
        let text = sent.text();
        let reply = Reply {
            what: format!("{method} {path}"),
            status: sent.status,
            body: if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap_or(Value::String(text.clone()))
            },
            headers: sent.headers,
            calls: Vec::new(),
        };
        self.note_reply(&reply, &text);
        self.check(&reply, method, path);
        // A reading token is deterministic: two reads within a second return the same token.
        let found = self.secrets.found_in(&text, &[Kind::ReadingToken]);
        assert!(found.is_empty(), "{} shows {found:?}", reply.what);
        for (name, kind) in [
            ("reading_token", Kind::ReadingToken),
            ("token", Kind::Token),
        ] {
            if let Some(token) = reply.body[name].as_str() {
                self.secrets.add(kind, token);
            }
        }
        reply
    }

    async fn http_login(&self, request: HttpCall) -> Reply {
        let _turn = self.login_turn.lock().await;
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let device = body["device_id"].as_str().unwrap();
        // The sandbox's device id is too short to be searched for.
        if device != DEVICE {
            self.secrets.add(Kind::DeviceId, device);
        }
        self.http(request).await
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        let function = &self.system.endpoints().functions[function];
        self.root.run(function, event).await
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        let texts = self.system.sms(phone).await.unwrap();
        texts.iter().map(|text| unsigned(text)).collect()
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        let uri = format!("{}/statement", self.system.endpoints().bank_url);
        let body = Bytes::from(json!({"card_number": card}).to_string());
        let request = Request::post(uri).header("content-type", "application/json");
        let reply = self.http.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(reply.status, 200, "the statement of a card");
        let transfers = reply.json().unwrap()["transfers"].clone();
        transfers.as_array().unwrap().clone()
    }

    /// Nothing to do: the stream delivers the notifications.
    async fn deliver_notifications(&self) {}

    fn new_key(&self) -> Option<String> {
        Some(format!("key-{}", self.next()))
    }

    fn observed(&self, kind: Kind, value: &str) {
        self.secrets.add(kind, value);
    }
}

/// The secret of a merchant's device.
fn device_of(merchant: &Profile, device: &str) -> String {
    format!("{device} of {}: 9c1f4d7e02a8b653", merchant.id)
}

fn hide_tokens(mut text: String, body: &Value) -> String {
    for name in ["token", "reading_token"] {
        if let Some(token) = body[name].as_str() {
            text = text.replace(token, "***");
        }
    }
    text
}
