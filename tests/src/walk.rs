//! A merchant's walk through the real functions, step by step. Any step can be interrupted and repeated like in a real app:
//! the same request with the same key, and a request for another OTP if none arrived.

use crate::merchant::{
    DEVICE, Profile, RESERVED_PHONE, magic_card, merchant, merchant_id, wrong_otp,
};
use crate::operators::{SUPPORT, change, event_of};
use crate::processes::cloud::Kill;
use crate::processes::template::TABLE;
use crate::processes::{Outcome, Processes};
use crate::transport::{HttpCall, Reply, Transport as _, code_in, freeze_code_in, is_otp};
use application::clock::wall_clock;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use http::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The merchant of all walks.
const NAME: &str = "plain_1";

/// The next step. All but `Pass` are one invocation each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Time passes: seconds.
    Pass(i64),
    /// A login.
    LogIn,
    /// The list of cards.
    ListCards,
    /// The settlement settings.
    Settings,
    /// A rebind that activates the card.
    Create,
    /// A rebind for a standby card.
    CreateStandby,
    /// The document of another person.
    WrongDocument,
    /// The merchant's document.
    Identity,
    /// A wrong OTP of the phone on file.
    WrongIdentityCode,
    /// The OTP of the phone on file.
    ConfirmIdentity,
    /// The agreement.
    Read,
    /// The signature.
    Sign,
    /// The bank's check.
    CheckCard,
    /// A wrong code of the card.
    WrongCardCode,
    /// The code of the card.
    ConfirmCard,
    /// The stream records of every notification that is due.
    Notify,
    /// The stream records of every history event that is not published.
    Publish,
    /// The test transaction.
    TestTransfer,
    /// A scheduled run of the clean-up.
    CleanUp,
    /// The OTP that authorises the switch to a standby card.
    AskSwitch,
    /// The switch to a standby card.
    Switch,
    /// The acquirer's core creates a payout.
    PayOut,
    /// A freeze with the code of a notification.
    Freeze,
    /// A freeze by an operator.
    OperatorFreeze,
}

/// True for a request of the app.
#[must_use]
pub const fn is_request(step: Step) -> bool {
    !matches!(
        step,
        Step::Pass(_) | Step::Notify | Step::Publish | Step::CleanUp | Step::PayOut
    )
}

impl Step {
    fn sends_code(self) -> bool {
        matches!(self, Self::Identity | Self::CheckCard | Self::AskSwitch)
    }
}

/// The progress of a merchant.
#[derive(Clone)]
pub struct Walk {
    token: Option<String>,
    now: Timestamp,
    merchant: Profile,
    card: String,
    rebind: String,
    standby: String,
    /// The last OTP received.
    code: String,
    signature: Value,
    freeze_code: String,
    batch: Value,
    events: Value,
    /// The number of texts to each phone at the last look.
    seen: BTreeMap<String, usize>,
}

/// A snapshot from which a walk can resume: the tables and the merchant's own data.
pub struct Checkpoint {
    tables: PathBuf,
    texts: Vec<(String, Vec<String>)>,
    published: Vec<Value>,
    walk: Walk,
}

impl Checkpoint {
    /// Saves the current state.
    #[must_use]
    pub fn take(system: &Processes, walk: &Walk, number: usize) -> Self {
        let name = format!("walk-{}-{:p}-{number}.db", std::process::id(), system);
        let tables = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&tables);
        let path = tables.to_str().unwrap();
        system.cloud.database.vacuum_into(path).unwrap();
        let texts = walk
            .phones()
            .map(|phone| (phone.clone(), system.cloud.texts.to(phone)));
        Self {
            tables,
            texts: texts.collect(),
            published: system.cloud.topic.published(),
            walk: walk.clone(),
        }
    }

    /// Restores a snapshot.
    pub fn put_back(&self, system: &Processes) -> Walk {
        let path = self.tables.to_str().unwrap();
        system.cloud.database.restore_from(path).unwrap();
        for (phone, texts) in &self.texts {
            system.cloud.texts.put_back(phone, texts.clone());
        }
        system.cloud.topic.put_back(self.published.clone());
        self.walk.clone()
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.tables);
    }
}

impl Walk {
    /// A newly seeded sandbox merchant who wants the card with this bank answer.
    pub async fn begin(system: &Processes, outcome: &str) -> Self {
        let now = wall_clock();
        let seeds = store::seed::World::sandbox().unwrap().merchants;
        for seed in seeds
            .iter()
            .filter(|seed| seed.merchant_id == Self::id().as_str())
        {
            system.cloud.seed(seed, now).await;
        }
        let merchant = merchant(NAME);
        let phones = [merchant.phone.clone(), RESERVED_PHONE.to_owned()];
        Self {
            token: None,
            now,
            merchant,
            card: magic_card(outcome),
            rebind: String::new(),
            standby: String::new(),
            code: String::new(),
            signature: Value::Null,
            freeze_code: String::new(),
            batch: Value::Null,
            events: Value::Null,
            seen: phones.map(|phone| (phone, 0)).into(),
        }
    }

    /// The merchant's id.
    #[must_use]
    pub fn id() -> MerchantId {
        merchant_id(NAME)
    }

    /// The number of the new card.
    #[must_use]
    pub fn card(&self) -> &str {
        &self.card
    }

    fn phones(&self) -> impl Iterator<Item = &String> {
        self.seen.keys()
    }

    /// The notification messages to each phone, without values that differ between walks: times and codes.
    #[must_use]
    pub fn notifications(&self, system: &Processes) -> BTreeMap<String, Vec<String>> {
        let plain = |text: &String| -> String {
            let letters = text.chars().filter(|c| !c.is_ascii());
            letters.collect()
        };
        let notifications = |phone: &String| {
            let texts = system.cloud.texts.to(phone);
            let notifications = texts.iter().filter(|text| !is_otp(text));
            notifications.map(plain).collect()
        };
        self.phones()
            .map(|phone| (phone.clone(), notifications(phone)))
            .collect()
    }

    /// Lets time pass.
    pub fn pass_s(&mut self, seconds: i64) {
        self.now = self.now.plus_s(seconds);
    }

    /// Prepares the inputs of a step. They stay the same when the step is repeated.
    pub async fn prepare(&mut self, system: &Processes, step: Step) {
        match step {
            Step::Pass(seconds) => self.pass_s(seconds),
            Step::Sign => self.pass_s(11),
            Step::Notify => self.batch = system.due_notifications(),
            Step::Publish => self.events = system.unpublished_events(),
            Step::ConfirmCard | Step::WrongCardCode if self.code.is_empty() => {
                self.code = system.deposit_code(&self.card).await;
            }
            _ => {}
        }
    }

    /// A scheduled run of the clean-up, if anything is due. Otherwise it would only read an empty index.
    pub async fn clean_up(&self, system: &Processes) -> Result<(), String> {
        let now = self.now.epoch_s();
        let is_due = |item: &Value| {
            let at = item["due_at"]["N"].as_str();
            at.is_some_and(|at| at.parse::<i64>().unwrap() <= now)
        };
        if !system.cloud.items(TABLE).iter().any(is_due) {
            return Ok(());
        }
        let (reply, _) = self.once(system, Step::CleanUp, "", None).await;
        match reply {
            Some(reply) if reply.status == 200 && reply.body["failed"] == 0 => Ok(()),
            other => Err(format!("the clean-up: {other:?}")),
        }
    }

    /// One invocation and its calls; `None` if its process died.
    pub async fn once(
        &self,
        system: &Processes,
        step: Step,
        key: &str,
        kill: Option<Kill>,
    ) -> (Option<Reply>, Vec<String>) {
        let event = self.event(step, key);
        let function = self.function(system, step);
        if is_request(step) {
            return system.send_killed(&event, kill).await;
        }
        let (outcome, calls) = system.invoke_killed(function, &event, kill).await;
        let reply = |status, body| Reply {
            what: format!("{step:?}"),
            status,
            headers: HeaderMap::new(),
            body,
            calls: Vec::new(),
        };
        let reply = match outcome {
            Outcome::Answered(body) => Some(reply(200, body)),
            Outcome::Failed(error) => Some(reply(500, error)),
            Outcome::Died(_) => None,
        };
        (reply, calls)
    }

    /// The function that a step invokes.
    #[must_use]
    pub fn function<'h>(&self, system: &'h Processes, step: Step) -> &'h str {
        match step {
            Step::Notify => "confirmation-notice",
            Step::Publish => "events",
            Step::CleanUp => "cooldown-cleanup",
            Step::PayOut => "payouts",
            _ => system.function_of(&self.event(step, "")),
        }
    }

    /// The event of a step, with this idempotency key if it is a request.
    #[must_use]
    pub fn event(&self, step: Step, key: &str) -> Value {
        match step {
            Step::Notify => self.batch.clone(),
            Step::Publish => self.events.clone(),
            Step::CleanUp => json!({"time": self.now.to_rfc3339_shanghai()}),
            Step::PayOut => self.payout(),
            Step::OperatorFreeze => {
                let path = format!("acts/freeze/{}", Self::id());
                event_of(&SUPPORT, &change(&path, key, &json!({})).at(self.now))
            }
            _ => {
                let (method, path, body) = self.request(step);
                self.event_of(method, &path, key, &body)
            }
        }
    }

    fn event_of(&self, method: &str, path: &str, key: &str, body: &Value) -> Value {
        let call = HttpCall::new(method, path).at(self.now).key(key).json(body);
        match &self.token {
            Some(token) => call.token(token).event(),
            None => call.event(),
        }
    }

    fn request(&self, step: Step) -> (&'static str, String, Value) {
        let of = |rest: &str| format!("{}/{rest}", self.rebind);
        let code = || json!({"code": self.code});
        let wrong = || {
            let digits = self.code.bytes().all(|byte| byte.is_ascii_digit());
            json!({"code": if digits { wrong_otp(&self.code) } else { "AAAAAA" }})
        };
        match step {
            Step::LogIn => {
                let body = self.merchant.credentials(DEVICE);
                ("POST", "/v1/sessions".to_owned(), body)
            }
            Step::ListCards => ("GET", "/v1/cards".to_owned(), Value::Null),
            Step::Settings => ("GET", "/v1/settlement".to_owned(), Value::Null),
            Step::Create => ("POST", "/v1/rebinds".to_owned(), self.wish(true)),
            Step::CreateStandby => ("POST", "/v1/rebinds".to_owned(), self.wish(false)),
            Step::WrongDocument => ("POST", of("identity"), merchant("plain_2").document()),
            Step::Identity => ("POST", of("identity"), self.merchant.document()),
            Step::WrongIdentityCode => ("POST", of("identity/confirm"), wrong()),
            Step::ConfirmIdentity => ("POST", of("identity/confirm"), code()),
            Step::Read => ("GET", of("agreement?lang=zh-CN"), Value::Null),
            Step::Sign => ("POST", of("agreement"), self.signature.clone()),
            Step::CheckCard => ("POST", of("card-check"), Value::Null),
            Step::WrongCardCode => ("POST", of("card-check/confirm"), wrong()),
            Step::ConfirmCard => ("POST", of("card-check/confirm"), code()),
            Step::TestTransfer => ("POST", of("test-transaction"), Value::Null),
            Step::AskSwitch => ("POST", format!("{}/activate", self.standby), Value::Null),
            Step::Switch => ("POST", format!("{}/activate", self.standby), code()),
            Step::Freeze => {
                let body =
                    json!({"account": self.merchant.account, "freeze_code": self.freeze_code});
                ("POST", "/v1/freezes".to_owned(), body)
            }
            Step::Pass(_)
            | Step::Notify
            | Step::Publish
            | Step::CleanUp
            | Step::PayOut
            | Step::OperatorFreeze => {
                unreachable!("{step:?} is not a request")
            }
        }
    }

    fn wish(&self, activate: bool) -> Value {
        let mut wish = self.merchant.request_body(&self.card);
        wish["activate"] = json!(activate);
        wish
    }

    fn payout(&self) -> Value {
        let mut payout = self.merchant.payout("create_payout", "pay_1");
        payout["time"] = json!(self.now.to_rfc3339_shanghai());
        payout
    }

    /// Updates the app's data from a reply and its text messages. An app that waits in vain for an OTP requests another.
    pub async fn take(
        &mut self,
        system: &Processes,
        step: Step,
        key: &str,
        reply: &Reply,
    ) -> Result<(), String> {
        let text = |pointer: &str| {
            let text = reply.body.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        match step {
            Step::LogIn => self.token = Some(text("/token")),
            Step::Create | Step::CreateStandby => {
                self.rebind = format!("/v1/rebinds/{}", text("/rebind_id"));
            }
            Step::Read => self.signature = self.merchant.signature_of(&reply.body),
            Step::ConfirmCard => self.standby = format!("/v1/cards/{}", text("/new_card/card_id")),
            Step::Notify => {
                let texts = system.cloud.texts.to(&self.merchant.phone);
                let code = texts.iter().rev().find_map(|text| freeze_code_in(text));
                self.freeze_code = code.unwrap_or_default();
            }
            _ => {}
        }
        if step.sends_code() {
            self.code = String::new();
            if text("/challenge/method") != "micro_deposit" {
                self.code = self.code_that_came(system, step, key, reply).await?;
            }
        }
        Ok(())
    }

    async fn code_that_came(
        &mut self,
        system: &Processes,
        step: Step,
        key: &str,
        reply: &Reply,
    ) -> Result<String, String> {
        let phone = match step {
            Step::CheckCard => RESERVED_PHONE.to_owned(),
            _ => self.merchant.phone.clone(),
        };
        for round in 0..2 {
            let news = system.cloud.texts.to(&phone).split_off(self.seen[&phone]);
            let code = news.iter().rev().filter(|text| is_otp(text));
            if let Some(code) = code.filter_map(|text| code_in(text)).next() {
                return Ok(code);
            }
            if round == 1 {
                break;
            }
            let path = match step {
                Step::Identity => format!("{}/identity/code", self.rebind),
                Step::CheckCard => format!("{}/card-check/code", self.rebind),
                _ => format!("{}/activate", self.standby),
            };
            // Wait exactly as long as the challenge requires.
            let wait_s = reply.body["challenge"]["resend_after_s"].as_i64();
            self.pass_s(wait_s.unwrap());
            let key = format!("{key}-once-more");
            let event = self.event_of("POST", &path, &key, &Value::Null);
            let reply = system.send(&event).await.unwrap();
            if reply.status != 200 {
                return Err(format!("no second OTP: {} {}", reply.status, reply.code()));
            }
        }
        Err("no OTP arrived".to_owned())
    }

    /// Marks all texts as read: later ones count as new.
    pub fn look(&mut self, system: &Processes) {
        for (phone, seen) in &mut self.seen {
            *seen = system.cloud.texts.to(phone).len();
        }
    }

    /// Reads something in this session.
    pub async fn get(&self, system: &Processes, path: &str) -> Value {
        let path = path.replace("{rebind}", &self.rebind);
        let event = self.event_of("GET", &path, "unused", &Value::Null);
        let reply = system.send(&event).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {:?}", reply.body);
        reply.body
    }
}
