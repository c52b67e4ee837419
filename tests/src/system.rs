//! The running local system, as an app, a merchant's phone and an operator see it.
//!
//! Every reply is held against `infra/openapi.yaml` and searched for secrets before a test gets it.

use crate::aws::{Caller, LOGS, SECRETS};
use crate::openapi::{Contract, PROBLEM};
use crate::secrets::{Kind, Secrets};
use api::catalogue;
use application::serve::wall_clock;
use aws_sdk_dynamodb::types::AttributeValue;
use bank::BankKey;
use bank::sandbox::card_item;
use bytes::Bytes;
use domain::error_code::ErrorCode;
use domain::time::Timestamp;
use http::{HeaderMap, Request};
use local::http::Http;
use local::{System, UpOptions, default_state_dir, seed};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::item::Item;
use store::seed::SeedMerchant;
use tokio::sync::{Mutex, MutexGuard};

/// Test runs at the same time in one checkout.
const RUNS_MAX: u32 = 8;
/// How long an SMS may take from what causes it.
const SMS_LIMIT: Duration = Duration::from_secs(15);
/// How long nothing may come until it is believed that nothing does: several times what the stream takes.
const SILENCE: Duration = Duration::from_millis(2_500);

tokio::task_local! {
    /// The codes that the running case has asserted.
    pub static CODES: RefCell<BTreeSet<&'static str>>;
}

/// The running system.
pub struct Live {
    /// The system itself; it ends when this is dropped.
    pub system: System,
    /// Where it keeps its state, its log among it.
    pub state_dir: PathBuf,
    /// The local cloud's all-powerful user.
    pub root: Caller,
    /// The table, for looking and for writing what no request can.
    pub table: aws_sdk_dynamodb::Client,
    /// Every secret used so far.
    pub secrets: Secrets,
    /// How many replies were held against the description.
    pub replies: AtomicUsize,
    /// What anybody was told, place and text, to be searched when all secrets are known: every reply with its header, but
    /// for the one token that it is there to bring.
    pub told: std::sync::Mutex<Vec<(String, String)>>,
    http: Http,
    contract: Contract,
    number: AtomicU32,
    /// As below: ten wrong freeze codes a day are looked at for one address, and a right one counts while it is compared.
    freeze_turn: Mutex<()>,
    /// The local gateway gives every caller the same source address, so that apps which log in at the same moment
    /// would count as strangers from one address that hinder each other. Ours log in one after the other.
    login_turn: Mutex<()>,
}

impl Live {
    /// Starts a system of its own, beside any that `cargo local up` or another test run has started.
    ///
    /// # Errors
    /// What stood in the way.
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
        Ok(Self {
            root: Caller::root(system.endpoints()),
            table: aws_sdk_dynamodb::Client::new(&system.sdk_config()),
            secrets: Secrets::default(),
            replies: AtomicUsize::new(0),
            told: std::sync::Mutex::default(),
            http: Http::new(),
            contract: Contract::load().unwrap(),
            // The first phones belong to the merchants of `sandbox.json`.
            number: AtomicU32::new(100),
            freeze_turn: Mutex::new(()),
            login_turn: Mutex::new(()),
            state_dir,
            system,
        })
    }

    /// Notes what was told somewhere.
    pub fn note(&self, place: &str, text: String) {
        self.told.lock().unwrap().push((place.to_owned(), text));
    }

    fn next(&self) -> u32 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// A new merchant with one card, whom the bank knows.
    pub async fn merchant(&self) -> Merchant {
        self.merchant_with(json!({})).await
    }

    /// A new merchant, different in some members of `sandbox.json`'s description.
    pub async fn merchant_with(&self, changes: Value) -> Merchant {
        let number = self.next();
        let mut seed = json!({
            "merchant_id": format!("mer_e2e_{number}"),
            "account": format!("e2e-{number}@example.com"),
            "password": format!("e2e only: correct horse {number}"),
            "entity_type": "natural_person",
            "legal_name": "测试商户",
            "id_document": {"number": resident_id(number), "expires_on": "long_term"},
            "phone_on_file": format!("+86139{number:08}"),
            "opened_days_ago": 800,
            "active_card": {"card_number": self.card()},
            "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
            "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
        });
        for (name, value) in changes.as_object().unwrap() {
            seed[name] = value.clone();
        }
        let text = |pointer: &str| {
            seed.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let merchant = Merchant {
            id: text("/merchant_id").unwrap(),
            account: text("/account").unwrap(),
            password: text("/password").unwrap(),
            holder_name: text("/settlement_name")
                .or_else(|| text("/legal_name"))
                .unwrap(),
            phone: text("/phone_on_file").unwrap(),
            document_number: text("/id_document/number").unwrap(),
            expires_on: text("/id_document/expires_on").unwrap_or_default(),
            reserved_phone: format!("+86137{number:08}"),
            active_card: text("/active_card/card_number"),
            clock: Arc::new(AtomicI64::new(wall_clock().epoch_s())),
        };
        self.secrets.add(Kind::IdNumber, &merchant.document_number);
        self.secrets.add(Kind::Password, &merchant.password);
        let described: SeedMerchant = serde_json::from_value(seed).unwrap();
        seed::merchants(&self.system, &[described]).await.unwrap();
        // What the seeding says was hours ago is no less than that.
        merchant.set_clock(wall_clock());
        merchant
    }

    /// A merchant of `sandbox.json`, as the system was loaded with it.
    #[must_use]
    pub fn sandbox_merchant(&self, id: &str) -> Merchant {
        let world: Value = serde_json::from_str(bank::sandbox::SANDBOX_JSON).unwrap();
        let all = world["merchants"].as_array().unwrap();
        let seed = all.iter().find(|seed| seed["merchant_id"] == id);
        let seed = seed.unwrap_or_else(|| panic!("there is no {id}"));
        let text = |pointer: &str| {
            let text = seed.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let merchant = Merchant {
            id: id.to_owned(),
            account: text("/account").unwrap(),
            password: text("/password").unwrap(),
            holder_name: text("/settlement_name")
                .or_else(|| text("/legal_name"))
                .unwrap(),
            phone: text("/phone_on_file").unwrap(),
            document_number: text("/id_document/number").unwrap(),
            expires_on: text("/id_document/expires_on").unwrap_or_default(),
            reserved_phone: format!("+86137{:08}", self.next()),
            active_card: text("/active_card/card_number"),
            clock: Arc::new(AtomicI64::new(wall_clock().epoch_s())),
        };
        self.secrets.add(Kind::IdNumber, &merchant.document_number);
        self.secrets.add(Kind::Password, &merchant.password);
        merchant
    }

    /// The number of a new card that answers like those of `sandbox.json`, and whose owner the bank knows by name.
    pub async fn card_that(&self, outcome: &str, owner_name: &str) -> String {
        let number = self.card();
        let body = json!({"SecretId": self.system.resource("BankSecret").unwrap()});
        let secret = self.root.json(&SECRETS, "GetSecretValue", &body).await;
        let key = BankKey::from_secret_text(secret.unwrap()["SecretString"].as_str().unwrap());
        let item = card_item(&key.unwrap(), &number, outcome, owner_name);
        let put = self
            .table
            .put_item()
            .table_name(self.system.resource("SandboxBankTable").unwrap());
        put.set_item(Some(item)).send().await.unwrap();
        number
    }

    /// What reached a card, newest first, as a tester reads it at the bank.
    pub async fn statement(&self, card: &str) -> Vec<Value> {
        let uri = format!("{}/statement", self.system.endpoints().bank_url);
        let body = Bytes::from(json!({"card_number": card}).to_string());
        let request = Request::post(uri).header("content-type", "application/json");
        let reply = self.http.send(request.body(body).unwrap()).await.unwrap();
        assert_eq!(reply.status, 200, "the statement of a card");
        let transfers = reply.json().unwrap()["transfers"].clone();
        transfers.as_array().unwrap().clone()
    }

    /// The code at the end of the last micro-deposit to a card.
    pub async fn deposit_code(&self, card: &str) -> String {
        let transfers = self.statement(card).await;
        let descriptor = transfers[0]["descriptor"].as_str().unwrap();
        let characters: Vec<char> = descriptor.chars().collect();
        let code: String = characters[characters.len() - 6..].iter().collect();
        self.secrets.add(Kind::DepositCode, &code);
        code
    }

    /// What the acquirer's core asks for, by invoking the function itself.
    ///
    /// # Errors
    /// The type and the text of the Lambda error.
    pub async fn core(&self, event: &Value) -> Result<Value, (String, String)> {
        let function = &self.system.endpoints().functions["settlement"];
        let done = self.root.run(function, event).await;
        self.note("a reply to the core", format!("{done:?}"));
        done
    }

    /// Gives a freeze code over HTTP, as an app that nobody is logged in to.
    pub async fn freeze(&self, at: Timestamp, account: &str, code: &str) -> Reply {
        let _turn = self.freeze_turn.lock().await;
        let body = json!({"account": account, "freeze_code": code});
        let ask = self.ask("POST", "/v1/freezes").at(at);
        ask.json(&body).send().await
    }

    /// The same from another address. The local gateway knows one only, so its event is sent to the function by hand.
    pub async fn freeze_from(&self, source: &str, at: Timestamp, account: &str, code: &str) {
        let body = json!({"account": account, "freeze_code": code}).to_string();
        let event = json!({
            "version": "2.0",
            "routeKey": "POST /v1/freezes",
            "rawPath": "/v1/freezes",
            "rawQueryString": "",
            "headers": {"content-type": "application/json", "x-sandbox-now": at.to_rfc3339_shanghai()},
            "requestContext": {
                "http": {"method": "POST", "path": "/v1/freezes", "sourceIp": source},
                "requestId": format!("freeze-{}", self.next()),
            },
            "body": body,
            "isBase64Encoded": false,
        });
        let reply = self.system.invoke("settlement", &event).await.unwrap();
        self.note("a reply", reply.to_string());
        assert_eq!(reply["statusCode"], 202, "a freeze from {source}");
        assert_eq!(reply["body"], "{\"status\":\"received\"}");
    }

    /// The freeze code in the last notice with one to a phone.
    pub async fn freeze_code(&self, phone: &str) -> String {
        let texts = self.sms(phone).await;
        let mut codes = texts.iter().rev().filter_map(|text| freeze_code_in(text));
        let code = codes.next();
        let code = code.unwrap_or_else(|| panic!("no freeze code was sent to {phone}"));
        self.secrets.add(Kind::FreezeCode, code);
        code.to_owned()
    }

    /// The number of a new debit card; the bank matches it for whoever it knows.
    pub fn card(&self) -> String {
        let number = luhn(&format!("622202{:012}", self.next()));
        self.secrets.add(Kind::CardNumber, &number);
        number
    }

    /// A card of `sandbox.json`, by what its bank answers.
    pub fn magic_card(&self, outcome: &str) -> String {
        let world: Value = serde_json::from_str(bank::sandbox::SANDBOX_JSON).unwrap();
        let cards = world["cards"].as_array().unwrap();
        let card = cards.iter().find(|card| card["outcome"] == outcome);
        let card = card.unwrap_or_else(|| panic!("no card answers {outcome}"));
        let number = card["card_number"].as_str().unwrap().to_owned();
        self.secrets.add(Kind::CardNumber, &number);
        number
    }

    /// A request, to be completed and sent.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let headers = vec![("user-agent".to_owned(), "tests".to_owned())];
        Ask {
            live: self,
            method: method.into(),
            path: path.into(),
            headers,
            body: Bytes::new(),
        }
    }

    /// What is typed to log in; a device's secret is made of its name.
    #[must_use]
    pub fn credentials(&self, merchant: &Merchant, device: &str) -> Value {
        let device = format!("{device} of {}: 9c1f4d7e02a8b653", merchant.id);
        json!({"account": merchant.account, "password": merchant.password, "device_id": device})
    }

    /// Logs in from the merchant's own device.
    pub async fn app(&self, merchant: &Merchant) -> App<'_> {
        self.app_on(merchant, "first device").await
    }

    /// Logs in from another one.
    pub async fn app_on(&self, merchant: &Merchant, device: &str) -> App<'_> {
        let credentials = self.credentials(merchant, device);
        let login = self.log_in(merchant.now(), &credentials).await.ok(201);
        let token = login["token"].as_str().unwrap().to_owned();
        self.secrets.add(Kind::Token, &token);
        App {
            live: self,
            merchant: merchant.clone(),
            token,
            login,
        }
    }

    /// Keeps everybody else from logging in until the guard is dropped.
    pub async fn nobody_else_logs_in(&self) -> MutexGuard<'_, ()> {
        self.login_turn.lock().await
    }

    /// Tries to log in.
    pub async fn log_in(&self, at: Timestamp, credentials: &Value) -> Reply {
        let _turn = self.login_turn.lock().await;
        self.secrets
            .add(Kind::DeviceId, credentials["device_id"].as_str().unwrap());
        let ask = self.ask("POST", "/v1/sessions").at(at);
        ask.json(credentials).send().await
    }

    /// The texts to a phone, oldest first.
    pub async fn sms(&self, phone: &str) -> Vec<String> {
        self.system.sms(phone).await.unwrap()
    }

    /// The code in the last code SMS to a phone.
    pub async fn code(&self, phone: &str) -> String {
        let texts = self.sms(phone).await;
        let last = texts.iter().rev().find(|text| text.starts_with("验证码"));
        let last = last.unwrap_or_else(|| panic!("no code was sent to {phone}"));
        let code = crate::world::code_in(last).expect("a code of six digits");
        // Such a one cannot be told from the number of a rebind, in a key (`R#000002`) or in a cursor.
        if !code.starts_with("0000") {
            self.secrets.add(Kind::ErrorCode, &code);
        }
        code
    }

    /// How many code SMS a phone was sent.
    pub async fn codes_sent(&self, phone: &str) -> usize {
        self.sms(phone)
            .await
            .iter()
            .filter(|text| text.starts_with("验证码"))
            .count()
    }

    /// The notices to a phone, once there are `count` of them and no more come.
    pub async fn notices(&self, phone: &str, count: usize) -> Vec<String> {
        let notices = async || -> Vec<String> {
            let texts = self.sms(phone).await;
            texts
                .into_iter()
                .filter(|text| !text.starts_with("验证码"))
                .collect()
        };
        let deadline = Instant::now() + SMS_LIMIT;
        while notices().await.len() < count && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(SILENCE).await;
        let all = notices().await;
        assert_eq!(all.len(), count, "notices to {phone}");
        for notice in &all {
            assert!(notice.encode_utf16().count() <= 70, "one SMS: {notice}");
            if let Some(code) = freeze_code_in(notice) {
                self.secrets.add(Kind::FreezeCode, code);
            }
        }
        all
    }

    /// Runs the clean-up with the time that its schedule would give it.
    pub async fn clean_up(&self, at: Timestamp) -> Value {
        let event = json!({"time": at.to_rfc3339_shanghai()});
        let run = self.system.invoke("cooldown-cleanup", &event).await;
        let run = run.unwrap();
        self.note("a clean-up's summary", run.to_string());
        run
    }

    /// An item of the table.
    pub async fn item(&self, pk: &str, sk: &str) -> Item {
        let get = self
            .table
            .get_item()
            .table_name(&self.system.endpoints().table);
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let got = get
            .key("pk", key(pk))
            .key("sk", key(sk))
            .consistent_read(true)
            .send()
            .await;
        got.unwrap()
            .item
            .unwrap_or_else(|| panic!("no item {pk} {sk}"))
    }

    /// Every item of the table: a test may scan.
    pub async fn items(&self) -> Vec<Item> {
        self.items_of(&self.system.endpoints().table).await
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

    /// Every SMS to anybody.
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

    /// The log groups of everything that runs.
    pub async fn log_groups(&self) -> Vec<String> {
        let groups = self.logs("DescribeLogGroups", &json!({"limit": 50})).await;
        assert!(groups["nextToken"].is_null(), "more than one page");
        let groups = groups["logGroups"].as_array().unwrap();
        let names = groups.iter().map(|group| group["logGroupName"].as_str());
        names.map(|name| name.unwrap().to_owned()).collect()
    }

    /// Reads logs. The local cloud fails now and then while functions are writing to them.
    async fn logs(&self, operation: &str, body: &Value) -> Value {
        let mut failed = String::new();
        for _ in 0..10 {
            match self.root.json(&LOGS, operation, body).await {
                Ok(page) => return page,
                Err(error) if error == "InternalError" => failed = error,
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("{failed}");
    }

    /// Every line in one log group.
    pub async fn log_of(&self, group: &str) -> Vec<String> {
        let (mut lines, mut token) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"logGroupName": group, "limit": 10_000});
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let page = self.logs("FilterLogEvents", &body).await;
            let events = page["events"].as_array().unwrap();
            let texts = events.iter().map(|event| event["message"].as_str());
            lines.extend(texts.map(|text| text.unwrap().to_owned()));
            token = page["nextToken"].clone();
            if token.is_null() {
                return lines;
            }
        }
    }

    /// Every line that anything has logged.
    pub async fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for group in self.log_groups().await {
            lines.extend(self.log_of(&group).await);
        }
        lines
    }

    /// The state kept in an item.
    pub async fn state(&self, pk: &str, sk: &str) -> Value {
        serde_json::from_str(self.item(pk, sk).await["state"].as_s().unwrap()).unwrap()
    }

    /// Changes the state kept in an item: what no request can bring about, or not in a test's time.
    pub async fn edit_state(&self, pk: &str, sk: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state(pk, sk).await;
        change(&mut state);
        self.edit(pk, sk, "state", AttributeValue::S(state.to_string()))
            .await;
    }

    /// Sets one attribute of an item.
    pub async fn edit(&self, pk: &str, sk: &str, name: &str, value: AttributeValue) {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let update = self
            .table
            .update_item()
            .table_name(&self.system.endpoints().table);
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
}

fn freeze_code_in(notice: &str) -> Option<&str> {
    let (_, rest) = notice.split_once("冻结码")?;
    Some(rest.trim_end_matches('。'))
}

/// A merchant, as much as the merchant knows; and the clock that hangs on the merchant's wall.
#[derive(Clone, Debug)]
pub struct Merchant {
    /// `mer_…`
    pub id: String,
    /// The name to log in with.
    pub account: String,
    /// The password.
    pub password: String,
    /// The name on cards.
    pub holder_name: String,
    /// The phone on file, `+86…`.
    pub phone: String,
    /// The ID number.
    pub document_number: String,
    /// `long_term` or a date.
    pub expires_on: String,
    /// The phone that the bank has for a new card, `+86…`.
    pub reserved_phone: String,
    /// The card in use at first.
    pub active_card: Option<String>,
    clock: Arc<AtomicI64>,
}

impl Merchant {
    /// What `X-Sandbox-Now` says of this merchant's requests.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_epoch_s(self.clock.load(Ordering::Relaxed))
    }

    /// Sets the clock.
    pub fn set_clock(&self, at: Timestamp) {
        self.clock.store(at.epoch_s(), Ordering::Relaxed);
    }

    /// Moves the clock on, or back.
    pub fn pass_s(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The merchant's partition.
    #[must_use]
    pub fn pk(&self) -> String {
        format!("M#{}", self.id)
    }
}

/// A request.
pub struct Ask<'l> {
    live: &'l Live,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Ask<'_> {
    /// A header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a session.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With the clock of this request.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        self.header("x-sandbox-now", &now.to_rfc3339_shanghai())
    }

    /// With a JSON body; none for null.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.body(text)
    }

    /// With any body, said to be JSON.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.bytes("application/json", body)
    }

    /// With any body, said to be of a media type.
    #[must_use]
    pub fn bytes(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// Sends it, and holds the reply against the description.
    pub async fn send(self) -> Reply {
        let Self {
            live,
            method,
            path,
            headers,
            body,
        } = self;
        let uri = format!("{}{path}", live.system.endpoints().api_url);
        let mut request = Request::builder().method(method.as_str()).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = live.http.send(request.body(body).unwrap()).await.unwrap();
        live.replies.fetch_add(1, Ordering::Relaxed);
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
        };
        reply.note(live, &text);
        reply.check(&live.contract, &method, &path);
        // A reading token is made anew from what it is about: read twice in a second, it is the same one.
        let found = live.secrets.found_in(&text, &[Kind::ReadingToken]);
        assert!(found.is_empty(), "{} shows {found:?}", reply.what);
        if let Some(token) = reply.body["reading_token"].as_str() {
            live.secrets.add(Kind::ReadingToken, token);
        }
        reply
    }
}

/// A reply that is as the description says.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Method and path, for messages.
    pub what: String,
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body; null for none.
    pub body: Value,
}

impl Reply {
    fn note(&self, live: &Live, text: &str) {
        let mut told = text.to_owned();
        let own = match (self.what.as_str(), self.status) {
            ("POST /v1/sessions", 201) => Some("token"),
            (what, 200) if what.contains("/agreement") => Some("reading_token"),
            _ => None,
        };
        if let Some(own) = own.and_then(|name| self.body[name].as_str()) {
            told = told.replacen(own, "***", 1);
        }
        for (name, value) in &self.headers {
            told.push_str(&format!(
                "\n{name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        live.note("a reply", told);
    }

    fn check(&self, contract: &Contract, method: &str, path: &str) {
        let header = |name: &str| self.headers.get(name).map(|value| value.to_str().unwrap());
        // The gateway gives every reply a type, that without a body too.
        let content_type = if self.body.is_null() {
            ""
        } else {
            header("content-type").unwrap()
        };
        if let Err(reason) = contract.validate(method, path, self.status, content_type, &self.body)
        {
            panic!("{}", hide_tokens(reason, &self.body));
        }
        assert_eq!(header("cache-control"), Some("no-store"), "{}", self.what);
        let retry_after_s = self.body["retry_after_s"]
            .as_i64()
            .map(|seconds| seconds.to_string());
        assert_eq!(
            header("retry-after"),
            retry_after_s.as_deref(),
            "{}",
            self.what
        );
        assert!(
            matches!(header("idempotent-replayed"), None | Some("true")),
            "{}",
            self.what
        );
        let is_problem = content_type == PROBLEM;
        assert_eq!(
            is_problem,
            self.status >= 400,
            "{} {}",
            self.what,
            self.status
        );
        assert!(
            !is_problem || self.body["support_ref"].is_string(),
            "{}",
            self.what
        );
    }

    /// The body of a success.
    pub fn ok(self, status: u16) -> Value {
        let code = self.body["code"].as_str().unwrap_or_default();
        assert_eq!(self.status, status, "{}: {code}", self.what);
        self.body
    }

    /// The problem, which must be this one.
    pub fn refused(self, code: ErrorCode) -> Value {
        let found = self.body["code"].as_str().unwrap_or("no problem");
        let status = catalogue::entry(code).status;
        assert_eq!(
            (found, self.status),
            (code.as_str(), status),
            "{}",
            self.what
        );
        let _ = CODES.try_with(|codes| codes.borrow_mut().insert(code.as_str()));
        self.body
    }

    /// Whether it was given before.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }
}

fn hide_tokens(mut text: String, body: &Value) -> String {
    for name in ["token", "reading_token"] {
        if let Some(token) = body[name].as_str() {
            text = text.replace(token, "***");
        }
    }
    text
}

/// An app with a session.
pub struct App<'l> {
    /// Where.
    pub live: &'l Live,
    /// Whose.
    pub merchant: Merchant,
    /// The session.
    pub token: String,
    /// The reply to the login.
    pub login: Value,
}

impl<'l> App<'l> {
    /// A request in this session at the merchant's clock.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> Ask<'l> {
        self.live
            .ask(method, path)
            .token(&self.token)
            .at(self.merchant.now())
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).send().await
    }

    /// Changes, under a new idempotency key, as a careful app does.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        let key = format!("key-{}", self.live.next());
        self.keyed(&key, path, body).await
    }

    /// Puts, under a new idempotency key.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        let key = format!("key-{}", self.live.next());
        self.ask("PUT", path).key(&key).json(&body).send().await
    }

    /// Deletes, under a new idempotency key.
    pub async fn delete(&self, path: &str) -> Reply {
        let key = format!("key-{}", self.live.next());
        self.ask("DELETE", path).key(&key).send().await
    }

    /// Changes, under a given idempotency key.
    pub async fn keyed(&self, key: &str, path: &str, body: Value) -> Reply {
        self.ask("POST", path).key(key).json(&body).send().await
    }

    /// What is typed to ask for a card.
    #[must_use]
    pub fn request_body(&self, card: &str) -> Value {
        json!({
            "card_number": card,
            "holder_name": self.merchant.holder_name,
            "reserved_phone": self.merchant.reserved_phone,
            "reason": "replace",
        })
    }

    /// What is typed to prove the identity.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "document_number": self.merchant.document_number,
            "document_expires_on": self.merchant.expires_on,
        })
    }

    /// Asks for a card; the rebind's path.
    pub async fn request(&self, card: &str) -> String {
        let rebind = self
            .post("/v1/rebinds", self.request_body(card))
            .await
            .ok(201);
        assert_eq!(rebind["state"], "identity_pending");
        format!("/v1/rebinds/{}", rebind["rebind_id"].as_str().unwrap())
    }

    /// Has the document checked and the code sent.
    pub async fn show_document(&self, rebind: &str) -> Value {
        self.post(&format!("{rebind}/identity"), self.document())
            .await
            .ok(200)
    }

    /// Confirms the code that was sent to the phone on file.
    pub async fn confirm_identity(&self, rebind: &str) -> Value {
        let code = self.live.code(&self.merchant.phone).await;
        self.post(&format!("{rebind}/identity/confirm"), json!({"code": code}))
            .await
            .ok(200)
    }

    /// Up to and including the confirmed identity.
    pub async fn identify(&self, rebind: &str) {
        self.show_document(rebind).await;
        let after = self.confirm_identity(rebind).await;
        assert_eq!(after["state"], "agreement_pending");
    }

    /// Reads the agreement, for long enough; the body that signs it.
    pub async fn signature(&self, rebind: &str) -> Value {
        let text = self
            .get(&format!("{rebind}/agreement?lang=zh-CN"))
            .await
            .ok(200);
        self.merchant.pass_s(11);
        self.signature_of(&text)
    }

    /// The body that signs an agreement that was read.
    #[must_use]
    pub fn signature_of(&self, text: &Value) -> Value {
        crate::world::signature_of(text, &self.merchant.holder_name)
    }

    /// Reads and signs.
    pub async fn sign(&self, rebind: &str) {
        let signature = self.signature(rebind).await;
        let after = self
            .post(&format!("{rebind}/agreement"), signature)
            .await
            .ok(200);
        assert_eq!(after["state"], "card_pending");
    }

    /// Asks for a card and walks to where the bank is asked.
    pub async fn to_card_pending(&self, card: &str) -> String {
        let rebind = self.request(card).await;
        self.identify(&rebind).await;
        self.sign(&rebind).await;
        rebind
    }

    /// Has the bank asked.
    pub async fn check_card(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/card-check"), Value::Null)
            .await
    }

    /// Confirms the code that was sent to the reserved phone.
    pub async fn confirm_card(&self, rebind: &str) -> Reply {
        let code = self.live.code(&self.merchant.reserved_phone).await;
        self.post(
            &format!("{rebind}/card-check/confirm"),
            json!({"code": code}),
        )
        .await
    }

    /// Asks for a standby card and walks the whole way; the rebind as it is then.
    pub async fn standby(&self, card: &str) -> Value {
        let mut body = self.request_body(card);
        body["activate"] = json!(false);
        let rebind = self.post("/v1/rebinds", body).await.ok(201);
        let rebind = format!("/v1/rebinds/{}", rebind["rebind_id"].as_str().unwrap());
        self.identify(&rebind).await;
        self.sign(&rebind).await;
        self.check_card(&rebind).await.ok(200);
        let after = self.confirm_card(&rebind).await.ok(200);
        assert_eq!(
            (&after["state"], &after["purpose"]),
            (&json!("completed"), &json!("standby"))
        );
        after
    }

    /// Asks for a card whose bank cannot check it, up to the deposit; the rebind's path.
    pub async fn to_deposit(&self, card: &str) -> String {
        let rebind = self.to_card_pending(card).await;
        let checked = self.check_card(&rebind).await.ok(200);
        assert_eq!(checked["challenge"]["method"], "micro_deposit");
        self.live.deposit_code(card).await;
        rebind
    }

    /// The merchant's whole history, oldest first, page by page.
    pub async fn history(&self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/v1/history{cursor}")).await.ok(200);
            events.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("?cursor={next}"),
                None => break,
            }
        }
        events.reverse();
        events
    }

    /// The kinds of the merchant's events, oldest first.
    pub async fn kinds(&self) -> Vec<String> {
        let events = self.history().await;
        let kinds = events.iter().map(|event| event["kind"].as_str());
        kinds.map(|kind| kind.unwrap().to_owned()).collect()
    }

    /// Asks for a card and walks the whole way.
    pub async fn activate(&self, card: &str) -> String {
        let rebind = self.to_card_pending(card).await;
        self.check_card(&rebind).await.ok(200);
        let after = self.confirm_card(&rebind).await.ok(200);
        assert_eq!(after["state"], "activated");
        rebind
    }
}

/// A code that is not `code`.
#[must_use]
pub fn another(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

/// `digits` and the check digit that makes them a card number.
#[must_use]
pub fn luhn(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            // The check digit to come stands at the right end, so the doubled places are the even ones here.
            if index % 2 == 0 {
                digit * 2 / 10 + digit * 2 % 10
            } else {
                digit
            }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// An ID number of the `number`-th person.
#[must_use]
pub fn resident_id(number: u32) -> String {
    let (year, month, day) = (
        1960 + number / 336 % 40,
        number / 28 % 12 + 1,
        number % 28 + 1,
    );
    let body = format!("110105{year}{month:02}{day:02}002");
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let digits = body.bytes().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = weights
        .iter()
        .zip(digits)
        .map(|(weight, digit)| weight * digit)
        .sum();
    format!("{body}{}", char::from(b"10X98765432"[sum as usize % 11]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::pii::{CardNumber, IdNumber};

    #[test]
    fn made_up_numbers_are_well_formed() {
        let cards: BTreeSet<String> = (1..500)
            .map(|number| luhn(&format!("622202{number:012}")))
            .collect();
        assert_eq!(cards.len(), 499);
        assert!(cards.iter().all(|card| CardNumber::parse(card).is_ok()));
        let ids: BTreeSet<String> = (1..500).map(resident_id).collect();
        assert_eq!(ids.len(), 499);
        assert!(ids.iter().all(|id| IdNumber::parse(id).is_ok()));
    }
}
