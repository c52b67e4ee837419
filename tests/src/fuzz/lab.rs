//! All functions over one table that is reset after each input. The merchants cover every rebind state, and placeholders
//! stand for values that their apps know.

use crate::dynamodb_table::{Items, Table};
use crate::gateway::match_route;
use crate::in_process::{App, InProcess, table_of};
use crate::merchant::{SECOND_CARD, luhn};
use crate::openapi::{Contract, PROBLEM};
use crate::transport::Reply;
use api::problems;
use application::ports::{LoadMerchant as _, Selector};
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::policy::Policy;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The state of mocks and table grows with each input, so the lab is rebuilt after this many.
const INPUTS_MAX: u32 = 20_000;
/// The maximum number of validations per kind of reply, because compiling a schema takes longer than a request.
const VALIDATIONS_MAX: u32 = 3;
/// The methods in the API description.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

thread_local! {
    static LAB: RefCell<Option<Lab>> = const { RefCell::new(None) };
}

/// Runs a closure in this thread's lab. A panic discards the lab, and the next call builds a new one.
pub fn in_lab<T>(run: impl FnOnce(&mut Lab) -> T) -> T {
    let kept = LAB.take().filter(|lab| lab.inputs < INPUTS_MAX);
    let mut lab = kept.unwrap_or_else(Lab::new);
    lab.inputs += 1;
    let done = run(&mut lab);
    lab.settle();
    LAB.set(Some(lab));
    done
}

/// The functions and their users.
pub struct Lab {
    runtime: Runtime,
    /// The functions.
    pub world: Arc<InProcess>,
    table: Table,
    begin: Arc<Items>,
    contract: Contract,
    /// The placeholders, `$token1` and the like, longest first.
    words: Vec<(String, String)>,
    /// The secrets that no reply may contain.
    secrets: Vec<String>,
    validations: BTreeMap<(String, u16, String), u32>,
    inputs: u32,
}

impl Lab {
    fn new() -> Self {
        let runtime = super::runtime();
        let table = Table::new(table_of);
        let world = InProcess::on(&table, |config| config, "sandbox");
        let world = runtime.block_on(world);
        let (words, secrets) = runtime.block_on(Cast::of(&world));
        Self {
            runtime,
            world,
            begin: table.items(),
            table,
            contract: Contract::load().unwrap(),
            words,
            secrets,
            validations: BTreeMap::new(),
            inputs: 0,
        }
    }

    /// A text with its placeholders replaced.
    #[must_use]
    pub fn filled(&self, text: &str) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let fill = |text: String, (word, meant): &(String, String)| text.replace(word, meant);
        self.words.iter().fold(text.to_owned(), fill)
    }

    /// Sends a gateway event, at the lab's clock unless it has one, and checks the reply.
    pub fn send(&mut self, mut event: Value) {
        let headers = event.get_mut("headers").and_then(Value::as_object_mut);
        if let Some(headers) = headers {
            let named = |name: &String| name.eq_ignore_ascii_case("x-sandbox-now");
            if !headers.keys().any(named) {
                let now = self.world.now().to_rfc3339_shanghai();
                headers.insert("x-sandbox-now".to_owned(), json!(now));
            }
        }
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let (method, path) = (text("/requestContext/http/method"), text("/rawPath"));
        match_route(&mut event);
        let answer = self.runtime.block_on(self.world.send(event));
        self.check(&method.to_ascii_uppercase(), &path, &answer);
    }

    fn check(&mut self, method: &str, path: &str, answer: &Reply) {
        let header = |name: &str| answer.header(name);
        let status = answer.status;
        // A panic also becomes a 500.
        let expected = (200..300).contains(&status) || (400..500).contains(&status);
        assert!(expected, "{method} {path}: {status} {:?}", answer.body);
        assert_eq!(header("cache-control"), "no-store");
        let shown = answer.body.to_string();
        let leaked = self
            .secrets
            .iter()
            .any(|secret| shown.contains(secret.as_str()));
        assert!(!leaked, "{method} {path} leaks a secret");
        let is_problem = header("content-type") == PROBLEM;
        assert_eq!(is_problem, status >= 400, "{method} {path}: {status}");
        if is_problem {
            let code = ErrorCode::parse(answer.code()).unwrap();
            assert_eq!(problems::entry(code).status, status);
            assert_eq!(answer.body["status"], status);
            assert!(answer.body["support_ref"].is_string());
            let wait = &answer.body["retry_after_s"];
            let wait = if wait.is_null() {
                String::new()
            } else {
                wait.to_string()
            };
            assert_eq!(header("retry-after"), wait);
        } else {
            assert_eq!(answer.body.is_null(), status == 204);
        }
        self.validate_against_description(method, path, answer);
    }

    fn validate_against_description(&mut self, method: &str, path: &str, answer: &Reply) {
        // An invalid clock is rejected before routing. A path that contains a query cannot come from a gateway.
        let clock = answer.status == 400;
        if !METHODS.contains(&method) || path.contains('?') || clock {
            return;
        }
        let shape: Vec<&str> = path
            .split('/')
            .enumerate()
            .map(|(at, part)| if at == 3 { "" } else { part })
            .collect();
        let kind = (
            format!("{method} {}", shape.join("/")),
            answer.status,
            answer.code().to_owned(),
        );
        // Almost every input has its own unknown path, so count all of them as one kind.
        let kind = if answer.status == 404 {
            (String::new(), 404, String::new())
        } else {
            kind
        };
        let times = self.validations.entry(kind).or_default();
        *times += 1;
        if *times > VALIDATIONS_MAX {
            return;
        }
        let content_type = answer.header("content-type");
        let checked =
            self.contract
                .validate(method, path, answer.status, content_type, &answer.body);
        assert_eq!(checked, Ok(()));
    }

    /// Delivers a batch of the stream at the lab's clock.
    pub fn deliver(&self, batch: Value) -> Value {
        self.runtime
            .block_on(self.world.deliver(batch, self.world.now()))
    }

    /// Publishes the events of a batch of the stream.
    pub fn publish(&self, batch: Value) -> Value {
        self.runtime.block_on(self.world.publish(batch))
    }

    /// Sends a schedule event.
    pub fn schedule(&self, event: Value) {
        let run = self.world.scheduled(event, Duration::from_secs(60));
        if let Ok(summary) = self.runtime.block_on(run) {
            assert_eq!(summary.failed, 0, "{summary:?}");
        }
    }

    /// An operation of the acquirer's core.
    pub fn core(&self, operation: Value) {
        match self.runtime.block_on(self.world.core(operation)) {
            Ok(payout) => {
                assert!(payout["payout_id"].is_string() && payout["merchant_id"].is_string());
                assert!(payout["amount_fen"].as_u64().is_some_and(|fen| fen > 0));
            }
            // A panic also becomes an internal error.
            Err(refusal) => assert_ne!(refusal.code, ErrorCode::Internal, "{}", refusal.message),
        }
    }

    /// Checks that every written merchant is still readable, then resets everything.
    fn settle(&self) {
        for partition in self.table.touched() {
            let Some(id) = partition.strip_prefix("M#").and_then(MerchantId::parse) else {
                continue;
            };
            let loaded = self
                .runtime
                .block_on(self.world.store().load(&id, Selector::Latest));
            assert!(loaded.is_ok(), "{id} cannot be read");
        }
        self.table.reset_to(&self.begin);
        let _ = self.world.boundary.take();
    }
}

/// Brings the merchants into their states, and collects the placeholders.
struct Cast {
    words: BTreeMap<String, String>,
    secrets: Vec<String>,
}

impl Cast {
    async fn of(world: &Arc<InProcess>) -> (Vec<(String, String)>, Vec<String>) {
        let mut cast = Self {
            words: BTreeMap::new(),
            secrets: vec![SECOND_CARD.to_owned()],
        };
        // 5 has a standby card that is ready for a switch, which takes a day.
        let standby = world.log_in("plain_5").await.standby(SECOND_CARD).await;
        world.pass_s(Policy::CURRENT.standby_wait_s);
        let app = cast.enter(world, 5, "plain_5").await;
        cast.word("card", 5, standby.rsplit('/').next().unwrap());
        let code = app.switch_code(&standby).await;
        cast.word("code", 5, code["code"].as_str().unwrap());
        // 2 has read the agreement.
        let app = cast.enter(world, 2, "plain_2").await;
        let rebind = cast.request(&app, 2).await;
        app.identify(&rebind).await;
        let signature = app.signature(&rebind).await;
        for (word, name) in [
            ("version", "version"),
            ("sha", "sha256"),
            ("reading", "reading_token"),
        ] {
            cast.word(word, 2, signature[name].as_str().unwrap());
        }
        // 4 is in the hold after an activation, with a payout in it.
        let app = cast.enter(world, 4, "plain_4").await;
        let rebind = cast.reach_card_code(&app, 4).await;
        let code = world.sms.code(&reserved_phone(4));
        let done = app.try_card_code(&rebind, &code).await.is(200, "activated");
        let old_card = done.body["old_card"]["card_id"].as_str().unwrap();
        cast.word("card", 4, old_card);
        let freeze_code = app.freeze_code().await;
        cast.word("freeze", 4, &freeze_code);
        let payout = json!({"operation": "create_payout", "merchant_id": "mer_plain_4", "payout_id": "pay_lab", "amount_fen": 100});
        world.core(payout).await.unwrap();
        // 6 waits for a micro-deposit, 3 for the card OTP, 1 for the first OTP.
        let app = cast.enter(world, 6, "minority_name").await;
        let rebind = cast.request(&app, 6).await;
        app.identify(&rebind).await;
        app.sign(&rebind).await;
        world
            .bank
            .script([Some(domain::decide::BankAnswer::NotEnabled)]);
        app.check_card(&rebind).await.ok(200);
        cast.word("code", 6, &world.bank.deposit_code());
        let app = cast.enter(world, 3, "plain_3").await;
        cast.reach_card_code(&app, 3).await;
        cast.word("code", 3, &world.sms.code(&reserved_phone(3)));
        let app = cast.enter(world, 1, "plain_1").await;
        let rebind = cast.request(&app, 1).await;
        let sent = app
            .post(&format!("{rebind}/identity"), app.document())
            .await;
        assert_eq!(sent.status, 200, "{:?}", sent.body);
        cast.word("code", 1, &world.sms.code(&app.profile.phone));
        // 7 has no rebind, but a device, and a notification that is not sent yet.
        let app = cast.enter(world, 7, "sole_trader").await;
        let device = json!({"platform": "fcm", "token": "a-token"});
        app.put("/v1/push-targets/phone-1", device).await.ok(204);
        let mut settings = app.get("/v1/settlement").await.body;
        settings["payout_time"] = json!("07:30");
        app.put("/v1/settlement", settings).await.ok(200);
        let due = world.due_notifications().await;
        cast.word(
            "notice",
            7,
            due["Records"][0]["dynamodb"]["Keys"]["sk"]["S"]
                .as_str()
                .unwrap(),
        );
        cast.enter(world, 8, "company").await;
        let mut words: Vec<_> = cast.words.into_iter().collect();
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        (words, cast.secrets)
    }

    fn word(&mut self, word: &str, number: u32, meant: &str) {
        self.words
            .insert(format!("${word}{number}"), meant.to_owned());
    }

    /// Logs a merchant in. Sets `$token1`, `$account1` and the typed values.
    async fn enter(&mut self, world: &Arc<InProcess>, number: u32, name: &str) -> App {
        let app = world.log_in(name).await;
        let merchant = &app.profile;
        let card = luhn(&format!("622202{:012}", 500 + number));
        let phone = reserved_phone(number);
        for (word, meant) in [
            ("token", &app.token),
            ("account", &merchant.account),
            ("password", &merchant.password),
            ("name", &merchant.holder_name),
            ("document", &merchant.document_number),
            ("expiry", &merchant.expires_on),
            ("new", &card),
            ("phone", &phone),
        ] {
            self.word(word, number, meant);
        }
        let secrets = [
            &merchant.password,
            &merchant.document_number,
            &card,
            &app.token,
        ];
        self.secrets.extend(secrets.into_iter().cloned());
        app
    }

    /// Requests the merchant's new card. Returns the rebind's path.
    async fn request(&mut self, app: &App, number: u32) -> String {
        let card = self.words[&format!("$new{number}")].clone();
        let facts = json!({"reserved_phone": reserved_phone(number)});
        let rebind = app.request_with(&card, facts).await;
        self.word("rebind", number, rebind.rsplit('/').next().unwrap());
        rebind
    }

    /// Continues up to the card OTP.
    async fn reach_card_code(&mut self, app: &App, number: u32) -> String {
        let rebind = self.request(app, number).await;
        app.identify(&rebind).await;
        app.sign(&rebind).await;
        app.check_card(&rebind).await.ok(200);
        rebind
    }
}

fn reserved_phone(number: u32) -> String {
    format!("+86137{number:08}")
}
