//! One of many: a merchant of its own, who rebinds again and again, a month after the last time by the merchant's own clock.

use crate::marks::Marks;
use domain::policy::{DAY_S, HOUR_S};
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use store::seed::SeedMerchant;
use tests::host::{Host, Outcome, Reply, Sender};
use tests::system::{another, luhn, resident_id};
use tests::world::{code_in, signature_of};

/// How often a request is sent while others write at the same time.
const TRIES: usize = 10;
/// What an activation, its test and its payouts leave behind is told of; so are these.
const TOLD: [&str; 4] = [
    "activated",
    "standby_ready",
    "settlement_changed",
    "cooldown_ended",
];

/// Why a client stops.
pub enum Stop {
    /// The time is over.
    Over,
    /// It was answered something that it could not be.
    Wrong(String),
}

/// A client.
pub struct Client {
    host: Arc<Host>,
    marks: Arc<Marks>,
    number: u32,
    sender: Sender,
    /// The sender's clock, for the clean-up to see.
    clock: Arc<AtomicI64>,
    deadline: Instant,
    rebind: String,
    standby: String,
    told_until: u64,
    requests: u32,
    cards: u32,
    payouts: u32,
    /// The events that it was acknowledged, oldest first.
    pub acknowledged: Vec<&'static str>,
}

/// What the acquirer knows of the `number`-th merchant.
#[must_use]
pub fn seed(number: u32) -> SeedMerchant {
    let described = json!({
        "merchant_id": id(number),
        "account": account(number),
        "password": password(number),
        "entity_type": "natural_person",
        "legal_name": NAME,
        "id_document": {"number": resident_id(number), "expires_on": "long_term"},
        "phone_on_file": phone(number),
        "opened_days_ago": 800,
        "active_card": {"card_number": card(number, 0)},
        "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
        "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
    });
    serde_json::from_value(described).unwrap()
}

const NAME: &str = "测试商户";

/// The merchant's id.
#[must_use]
pub fn id(number: u32) -> String {
    format!("mer_load_{number}")
}

/// The phone on file.
#[must_use]
pub fn phone(number: u32) -> String {
    format!("+86139{number:08}")
}

fn account(number: u32) -> String {
    format!("load-{number}@example.com")
}

fn password(number: u32) -> String {
    format!("load only: correct horse {number}")
}

fn reserved_phone(number: u32) -> String {
    format!("+86137{number:08}")
}

/// The `place`-th card of a merchant.
fn card(number: u32, place: u32) -> String {
    luhn(&format!("622202{number:06}{place:06}"))
}

impl Client {
    /// The `number`-th, whose clock begins at `now` and goes where `clock` shows it.
    #[must_use]
    pub fn new(
        host: Arc<Host>,
        marks: Arc<Marks>,
        number: u32,
        clock: Arc<AtomicI64>,
        now: Timestamp,
        deadline: Instant,
    ) -> Self {
        let sender = Sender {
            source: format!("198.51.{}.{}", number / 250, number % 250 + 1),
            token: None,
            now,
        };
        Self {
            host,
            marks,
            number,
            sender,
            clock,
            deadline,
            rebind: String::new(),
            standby: String::new(),
            told_until: 0,
            requests: 0,
            cards: 0,
            payouts: 0,
            acknowledged: Vec::new(),
        }
    }

    /// Goes on until the time is over.
    ///
    /// # Errors
    /// What it was answered that it could not be.
    pub async fn run(&mut self) -> Result<(), String> {
        for round in 0.. {
            match self.round(round).await {
                Ok(()) => {}
                Err(Stop::Over) => break,
                Err(Stop::Wrong(what)) => return Err(what),
            }
        }
        Ok(())
    }

    /// Everything that a merchant does, not all of it every time.
    async fn round(&mut self, round: u32) -> Result<(), Stop> {
        self.log_in().await?;
        self.get("/v1/cards").await?;
        if round % 4 == 1 {
            self.create(true).await?;
            let path = self.of("cancel");
            self.post(&path, Value::Null, 200, &["cancelled"]).await?;
        }
        let standby = round % 3 == 2;
        self.create(!standby).await?;
        self.prove(round.is_multiple_of(2)).await?;
        let path = self.of("card-check");
        let check = self.post(&path, Value::Null, 200, &["card_check_answered"]);
        check.await?;
        let code = self.code(&reserved_phone(self.number));
        let path = self.of("card-check/confirm");
        if round.is_multiple_of(3) {
            let wrong = json!({"code": another(&code)});
            self.post(&path, wrong, 422, &[]).await?;
        }
        let leaves = if standby {
            "standby_ready"
        } else {
            "activated"
        };
        let done = self
            .post(&path, json!({"code": code}), 200, &[leaves])
            .await?;
        self.tell().await?;
        if standby {
            self.standby = format!(
                "/v1/cards/{}",
                done["new_card"]["card_id"].as_str().unwrap()
            );
            self.switch().await?;
        } else {
            let path = self.of("test-transaction");
            let leaves = ["test_transfer_started", "test_transfer_succeeded"];
            self.post(&path, Value::Null, 200, &leaves).await?;
        }
        for _ in 0..2 {
            self.pay_out().await?;
        }
        self.get("/v1/payouts").await?;
        self.change_settings(round).await?;
        self.tell().await?;
        let path = self.rebind.clone();
        self.get(&path).await?;
        self.get("/v1/rebinds").await?;
        self.pass_s(31 * DAY_S);
        Ok(())
    }

    async fn log_in(&mut self) -> Result<(), Stop> {
        let body = json!({
            "account": account(self.number),
            "password": password(self.number),
            "device_id": format!("the phone of {}", self.number),
        });
        self.sender.token = None;
        let login = self.post("/v1/sessions", body, 201, &[]).await?;
        self.sender.token = Some(login["token"].as_str().unwrap().to_owned());
        Ok(())
    }

    async fn create(&mut self, activate: bool) -> Result<(), Stop> {
        self.cards += 1;
        let wish = json!({
            "card_number": card(self.number, self.cards),
            "holder_name": NAME,
            "reserved_phone": reserved_phone(self.number),
            "reason": "replace",
            "activate": activate,
        });
        let made = self
            .post("/v1/rebinds", wish, 201, &["rebind_requested"])
            .await?;
        self.rebind = format!("/v1/rebinds/{}", made["rebind_id"].as_str().unwrap());
        Ok(())
    }

    /// Identity and agreement.
    async fn prove(&mut self, with_wrong_code: bool) -> Result<(), Stop> {
        let document = json!({"document_number": resident_id(self.number), "document_expires_on": "long_term"});
        let path = self.of("identity");
        self.post(&path, document, 200, &["identity_matched"])
            .await?;
        let code = self.code(&phone(self.number));
        let path = self.of("identity/confirm");
        if with_wrong_code {
            let wrong = json!({"code": another(&code)});
            self.post(&path, wrong, 422, &[]).await?;
        }
        let right = json!({"code": code});
        self.post(&path, right, 200, &["identity_confirmed"])
            .await?;
        let path = self.of("agreement?lang=zh-CN");
        let text = self.get(&path).await?;
        self.pass_s(11);
        let signature = signature_of(&text, NAME);
        let path = self.of("agreement");
        self.post(&path, signature, 200, &["agreement_signed"])
            .await?;
        Ok(())
    }

    /// A day later the standby card is switched to.
    async fn switch(&mut self) -> Result<(), Stop> {
        self.pass_s(DAY_S + HOUR_S);
        self.log_in().await?;
        let path = format!("{}/activate", self.standby);
        self.post(&path, Value::Null, 200, &["code_sent"]).await?;
        let code = json!({"code": self.code(&phone(self.number))});
        self.post(&path, code, 200, &["activated"]).await?;
        self.tell().await
    }

    async fn change_settings(&mut self, round: u32) -> Result<(), Stop> {
        let settings = json!({
            "cycle": "T1",
            "payout_time": format!("{:02}:30", round % 20 + 1),
            "retained_fen": 0,
            "daily_limit_fen": 2_000_000,
        });
        let event = self.keyed("PUT", "/v1/settlement", &settings);
        self.ask("PUT /v1/settlement", event, 200, &["settlement_changed"])
            .await?;
        Ok(())
    }

    /// The acquirer's core makes a payout and sends it.
    async fn pay_out(&mut self) -> Result<(), Stop> {
        self.payouts += 1;
        let payout = format!("pay_{}_{}", self.number, self.payouts);
        let time = self.sender.now.to_rfc3339_shanghai();
        let create = json!({"operation": "create_payout", "merchant_id": id(self.number), "payout_id": payout, "amount_fen": 100, "time": time});
        self.invoke("settlement", create).await?;
        self.acknowledged.push("payout_created");
        let sent = json!({"operation": "payout_sent", "merchant_id": id(self.number), "payout_id": payout, "time": time});
        self.invoke("settlement", sent).await?;
        self.acknowledged.push("payout_sent");
        Ok(())
    }

    /// Hands the stream's records of what is to be told to the function that tells it.
    async fn tell(&mut self) -> Result<(), Stop> {
        let history = self.get("/v1/history").await?;
        let mut records = Vec::new();
        for event in history["items"].as_array().unwrap().iter().rev() {
            let sequence = event["sequence"].as_u64().unwrap();
            if sequence <= self.told_until {
                continue;
            }
            self.told_until = sequence;
            if TOLD.contains(&event["kind"].as_str().unwrap()) {
                let sk = format!("E#{sequence:010}");
                records.push(json!({"eventID": sk, "eventName": "INSERT", "dynamodb": {
                    "SequenceNumber": sk,
                    "Keys": {"pk": {"S": format!("M#{}", id(self.number))}, "sk": {"S": sk}},
                }}));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let told = self
            .invoke("confirmation-notice", json!({"Records": records}))
            .await?;
        if told == json!({"batchItemFailures": []}) {
            return Ok(());
        }
        Err(self.wrong("confirmation-notice", &told))
    }

    fn code(&self, phone: &str) -> String {
        let text = self.host.cloud.texts.last(phone);
        text.and_then(|text| code_in(&text)).unwrap()
    }

    fn of(&self, rest: &str) -> String {
        format!("{}/{rest}", self.rebind)
    }

    fn pass_s(&mut self, seconds: i64) {
        self.sender.now = self.sender.now.plus_s(seconds);
        self.clock
            .store(self.sender.now.epoch_s(), Ordering::Relaxed);
    }

    fn keyed(&mut self, method: &str, path: &str, body: &Value) -> Value {
        self.requests += 1;
        let key = format!("request {}", self.requests);
        self.sender.event(method, path, Some(&key), body)
    }

    async fn get(&mut self, path: &str) -> Result<Value, Stop> {
        let event = self.sender.event("GET", path, None, &Value::Null);
        self.ask(&route("GET", path), event, 200, &[]).await
    }

    /// A change; every fifth one twice, as by an app whose reply was lost.
    async fn post(
        &mut self,
        path: &str,
        body: Value,
        status: u16,
        leaves: &[&'static str],
    ) -> Result<Value, Stop> {
        let route = route("POST", path);
        let event = self.keyed("POST", path, &body);
        let again =
            (self.requests.is_multiple_of(5) && path != "/v1/sessions").then(|| event.clone());
        let reply = self.ask(&route, event, status, leaves).await?;
        if let Some(event) = again {
            let repeated = self.send(&route, &event).await?;
            if !repeated.replayed || repeated.body != reply {
                return Err(self.wrong(&route, &repeated.body));
            }
        }
        Ok(reply)
    }

    /// One request, until it is answered for good.
    async fn ask(
        &mut self,
        route: &str,
        event: Value,
        status: u16,
        leaves: &[&'static str],
    ) -> Result<Value, Stop> {
        for _ in 0..TRIES {
            if Instant::now() >= self.deadline {
                return Err(Stop::Over);
            }
            let reply = self.send(route, &event).await?;
            if reply.code() == "VERSION_CONFLICT" {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            if reply.status != status {
                return Err(self.wrong(route, &json!([reply.status, reply.body])));
            }
            self.acknowledged.extend(leaves);
            return Ok(reply.body);
        }
        Err(self.wrong(route, &json!("never answered for good")))
    }

    async fn send(&self, route: &str, event: &Value) -> Result<Reply, Stop> {
        let started = Instant::now();
        let reply = self.host.send(event).await;
        self.marks.note(route, started.elapsed());
        reply.ok_or_else(|| self.wrong(route, &json!("its process died")))
    }

    async fn invoke(&self, function: &str, event: Value) -> Result<Value, Stop> {
        for _ in 0..TRIES {
            let started = Instant::now();
            let outcome = self.host.invoke(function, &event).await;
            self.marks.note(function, started.elapsed());
            match outcome {
                Outcome::Answered(reply) => return Ok(reply),
                Outcome::Failed(error) if error["errorType"] == "VERSION_CONFLICT" => {}
                other => return Err(self.wrong(function, &json!(format!("{other:?}")))),
            }
        }
        Err(self.wrong(function, &json!("never done")))
    }

    fn wrong(&self, route: &str, what: &Value) -> Stop {
        Stop::Wrong(format!("merchant {}, {route}: {what}", self.number))
    }
}

/// A request's route: the path without what is one merchant's.
fn route(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    let segments = path
        .split('/')
        .map(|segment| match segment.split_once('_') {
            Some(_) => "{id}",
            None => segment,
        });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}
