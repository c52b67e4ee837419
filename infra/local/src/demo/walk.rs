//! A merchant with an app and a phone: requests, SMS, and checks of replies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bank::sandbox::SANDBOX_JSON;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration as Span, OffsetDateTime};

use rebindctl::api::{Api, Endpoint, Request as OperatorRequest};

use super::costs;
use super::support::grounds;
use crate::error::Error;
use crate::http::Http;
use crate::prices::Prices;
use crate::system::System;

/// Time limit for an SMS, from the request that causes it.
const SMS_LIMIT: Duration = Duration::from_secs(15);

/// The same on AWS, where the stream begins to deliver minutes after a deployment.
const SMS_LIMIT_ON_AWS: Duration = Duration::from_secs(240);

/// Time limit for the log lines of a story.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// The merchant and the card of a story. Stories share none of them.
#[derive(Clone, Copy)]
pub(super) struct Cast {
    /// A merchant of `sandbox.json`.
    pub(super) merchant_id: &'static str,
    /// The number of the new card.
    pub(super) new_card: &'static str,
    /// The phone that the bank has on record for the new card. Not the merchant's own, so that the two codes differ.
    pub(super) reserved_phone: &'static str,
}

/// The merchant's own data.
pub(super) struct Merchant {
    pub(super) account: String,
    pub(super) password: String,
    pub(super) name: String,
    pub(super) id_number: String,
    pub(super) id_expires_on: String,
    pub(super) phone: String,
    pub(super) old_card_last4: String,
    /// A device that the merchant has used for months.
    pub(super) device_id: String,
}

impl Merchant {
    pub(super) fn from_sandbox(id: &str) -> Result<Self, Error> {
        let missing = || Error::Reply {
            what: format!("merchant {id}"),
            reply: "sandbox.json".into(),
        };
        let sandbox: Value = serde_json::from_str(SANDBOX_JSON).map_err(|_| missing())?;
        let merchants = sandbox["merchants"].as_array().ok_or_else(missing)?;
        let merchant = merchants
            .iter()
            .find(|merchant| merchant["merchant_id"] == id)
            .ok_or_else(missing)?;
        let text = |pointer: &str| {
            merchant
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let card = text("/active_card/card_number").ok_or_else(missing)?;
        Ok(Self {
            account: text("/account").ok_or_else(missing)?,
            password: text("/password").ok_or_else(missing)?,
            name: text("/legal_name").ok_or_else(missing)?,
            id_number: text("/id_document/number").ok_or_else(missing)?,
            id_expires_on: text("/id_document/expires_on").ok_or_else(missing)?,
            phone: text("/phone_on_file").ok_or_else(missing)?,
            old_card_last4: last4(&card).to_owned(),
            device_id: text("/known_devices/0/device_id").ok_or_else(missing)?,
        })
    }
}

/// An installed app.
pub(super) struct App {
    /// The device's secret.
    pub(super) device_id: String,
    /// The session token; empty before the login.
    pub(super) token: String,
}

impl App {
    /// The app on the merchant's own device.
    pub(super) fn of(merchant: &Merchant) -> Self {
        Self {
            device_id: merchant.device_id.clone(),
            token: String::new(),
        }
    }

    /// Installs the app on a new device.
    pub(super) fn install() -> Result<Self, Error> {
        Ok(Self {
            device_id: random_hex(16)?,
            token: String::new(),
        })
    }
}

/// A story in progress.
pub(super) struct Walk<'a> {
    pub(super) cast: Cast,
    pub(super) merchant: Merchant,
    /// The current app.
    pub(super) app: App,
    system: &'a System,
    http: Http,
    /// How far the sandbox's clock is ahead of the real one, so that days pass at once.
    ahead: Span,
    /// The number of SMS read, by phone.
    read: BTreeMap<String, usize>,
    step: String,
    steps: u32,
    /// The number of requests to the API.
    pub(super) requests: usize,
    /// When the story began, in Unix milliseconds.
    began_ms: i64,
}

impl<'a> Walk<'a> {
    pub(super) fn start(system: &'a System, title: &str, cast: Cast) -> Result<Self, Error> {
        let merchant = Merchant::from_sandbox(cast.merchant_id)?;
        Self::start_as(system, title, cast, merchant)
    }

    /// Starts with a merchant that `sandbox.json` does not have.
    pub(super) fn start_as(
        system: &'a System,
        title: &str,
        cast: Cast,
        merchant: Merchant,
    ) -> Result<Self, Error> {
        println!("\n{title}\n");
        Ok(Self {
            app: App::of(&merchant),
            merchant,
            cast,
            system,
            http: Http::new(),
            ahead: Span::ZERO,
            read: BTreeMap::new(),
            step: String::new(),
            steps: 0,
            requests: 0,
            began_ms: unix_ms(OffsetDateTime::now_utc()),
        })
    }

    /// Ends the story: prints what it cost, and returns the number of its steps.
    pub(super) async fn end(self) -> Result<u32, Error> {
        let prices = Prices::load().map_err(invalid_request)?;
        let deadline = Instant::now() + LOG_LIMIT;
        let mut lines = Vec::new();
        // The line of the last notification follows its SMS.
        loop {
            let before = lines.len();
            tokio::time::sleep(Duration::from_millis(500)).await;
            lines = self.log_lines().await?;
            let is_complete = costs::requests(&lines) >= self.requests && lines.len() == before;
            if is_complete || Instant::now() > deadline {
                break;
            }
        }
        self.expect(
            costs::requests(&lines) == self.requests,
            "one log line for each request",
        )?;
        costs::print(&lines, &prices);
        Ok(self.steps)
    }

    /// The functions' log lines since the story began, oldest first.
    async fn log_lines(&self) -> Result<Vec<Value>, Error> {
        let mut lines = Vec::new();
        for group in self.system.log_groups().await? {
            lines.extend(self.system.log_of(&group, self.began_ms).await?);
        }
        lines.sort_by_key(|(at_ms, _)| *at_ms);
        // The local cloud's own lines are not JSON.
        let parsed = lines.iter().map(|(_, line)| serde_json::from_str(line));
        Ok(parsed.flatten().collect())
    }

    /// When the story began, in Unix milliseconds.
    pub(super) const fn began_ms(&self) -> i64 {
        self.began_ms
    }

    /// Switches to another app and returns the previous one.
    pub(super) fn pick_up(&mut self, app: App) -> App {
        std::mem::replace(&mut self.app, app)
    }

    /// Advances the sandbox's clock; `how` ends the sentence.
    pub(super) fn wait(&mut self, span: Span, how: &str) {
        self.ahead += span;
        println!("        (the sandbox's clock advances {how})");
    }

    /// Advances the sandbox's clock to a minute after `at`.
    pub(super) fn wait_until(&mut self, at: OffsetDateTime, how: &str) {
        let span = at + Span::minutes(1) - self.now();
        self.wait(span, how);
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + self.ahead
    }

    fn rfc3339(&self, at: OffsetDateTime) -> Result<String, Error> {
        at.format(&Rfc3339).map_err(invalid_request)
    }

    /// A step that reads. The reply must have status 200.
    pub(super) async fn get(&mut self, step: &str, path: &str) -> Result<Value, Error> {
        self.call(step, "GET", path, None, 200).await
    }

    /// A step that sends a change. The reply must have `status`.
    pub(super) async fn post(
        &mut self,
        step: &str,
        path: &str,
        body: impl Into<Option<Value>>,
        status: u16,
    ) -> Result<Value, Error> {
        self.call(step, "POST", path, body.into(), status).await
    }

    /// A step: a request at the sandbox's time. The reply must have `status`.
    pub(super) async fn call(
        &mut self,
        step: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, Error> {
        self.begin(step);
        self.requests += 1;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.system.endpoints().api_url))
            .header("content-type", "application/json")
            .header("x-sandbox-now", self.rfc3339(self.now())?);
        if !self.app.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.app.token));
        }
        if method != "GET" {
            request = request.header("idempotency-key", format!("demo-{}", self.steps));
        }
        self.send(request, method, path, body, status).await
    }

    /// Checks the error code of a refusal and prints its texts.
    pub(super) fn is_refused(&self, problem: &Value, code: &str) -> Result<(), Error> {
        self.equal(problem, "/code", code)?;
        self.see(&format!("{code}: {}", self.text(problem, "/detail_zh")?));
        self.see(&self.text(problem, "/detail_en")?);
        Ok(())
    }

    /// The transfers to a card, newest first: the bank statement of its holder.
    pub(super) async fn statement(&mut self, step: &str, card: &str) -> Result<Vec<Value>, Error> {
        self.begin(step);
        let url = format!("{}/statement", self.system.endpoints().bank_url);
        let request = Request::post(url).header("content-type", "application/json");
        let body = Some(json!({ "card_number": card }));
        let mut reply = self
            .send(request, "POST", "{bank_url}/statement", body, 200)
            .await?;
        match reply["transfers"].take() {
            Value::Array(transfers) => Ok(transfers),
            _ => Err(self.mismatch("the statement has a list of transfers")),
        }
    }

    async fn send(
        &self,
        request: http::request::Builder,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, Error> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request.body(body).map_err(invalid_request)?;
        let started = Instant::now();
        let reply = self.http.send(request).await?;
        println!(
            "        {method} {path} -> {} in {} ms",
            reply.status,
            started.elapsed().as_millis()
        );
        if reply.status != status {
            return Err(self.mismatch(&format!("status {status}; the reply is {}", reply.text())));
        }
        reply.json()
    }

    /// A step outside the app: invokes a function with `event`, at `at` or now.
    pub(super) async fn invoke(
        &mut self,
        step: &str,
        function: &str,
        mut event: Value,
        at: Option<OffsetDateTime>,
    ) -> Result<Value, Error> {
        self.begin(step);
        event["time"] = self.rfc3339(at.unwrap_or_else(|| self.now()))?.into();
        let started = Instant::now();
        let reply = self.system.invoke(function, &event).await?;
        println!(
            "        invoke {function} in {} ms",
            started.elapsed().as_millis()
        );
        Ok(reply)
    }

    /// The operator's API in a role.
    pub(super) fn operator(&self, role: &str) -> Result<Api, Error> {
        let endpoints = self.system.endpoints();
        let session = endpoints.operators.get(role);
        let session = session.ok_or_else(|| invalid_request(format!("no role {role}")))?;
        Ok(Api::new(Endpoint {
            url: endpoints.operator_url.clone(),
            region: endpoints.region.clone(),
            credentials: session.credentials(),
        }))
    }

    /// A step of an operator. The reply must have `status`.
    pub(super) async fn operate(
        &mut self,
        step: &str,
        role: &str,
        request: OperatorRequest,
        status: u16,
    ) -> Result<Value, Error> {
        self.begin(step);
        self.requests += 1;
        let request = request.on(&grounds(), &format!("demo-{}", self.steps));
        let started = Instant::now();
        let reply = self.operator(role)?.send(&request).await;
        let reply = reply.map_err(invalid_request)?;
        println!(
            "        {role}: {} {} -> {} in {} ms",
            request.method,
            request.path,
            reply.status,
            started.elapsed().as_millis()
        );
        if reply.status != status {
            return Err(self.mismatch(&format!("status {status}; the reply is {}", reply.body)));
        }
        Ok(reply.body)
    }

    /// Waits for the next SMS to `phone`.
    pub(super) async fn next_sms(&mut self, phone: &str) -> Result<String, Error> {
        let limit = match self.system.account().is_aws() {
            true => SMS_LIMIT_ON_AWS,
            false => SMS_LIMIT,
        };
        let deadline = Instant::now() + limit;
        let read = self.read.get(phone).copied().unwrap_or_default();
        loop {
            if let Some(sms) = self.system.sms(phone).await?.into_iter().nth(read) {
                println!("        SMS {phone}: {sms}");
                self.read.insert(phone.to_owned(), read + 1);
                return Ok(sms);
            }
            if Instant::now() > deadline {
                return Err(
                    self.mismatch(&format!("an SMS to {phone} within {} s", limit.as_secs()))
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn begin(&mut self, step: &str) {
        self.steps += 1;
        self.step = step.to_owned();
        println!("{:3}. {step}", self.steps);
    }

    /// Prints the merchant's view.
    pub(super) fn see(&self, text: &str) {
        println!("        | {text}");
    }

    pub(super) fn see_next(&self, reply: &Value) -> Result<(), Error> {
        let state = self.text(reply, "/state")?;
        self.see(&format!("{state}; next 下一步: {}", reply["next_actions"]));
        Ok(())
    }

    pub(super) fn text(&self, reply: &Value, pointer: &str) -> Result<String, Error> {
        let text = reply.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| self.mismatch(&format!("{pointer} is a string; the reply is {reply}")))
    }

    pub(super) fn time(&self, reply: &Value, pointer: &str) -> Result<OffsetDateTime, Error> {
        let text = self.text(reply, pointer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|_| self.mismatch(&format!("{pointer} is an RFC 3339 time, not {text}")))
    }

    /// The items of a list in a reply.
    pub(super) fn items<'v>(&self, reply: &'v Value, pointer: &str) -> Result<&'v [Value], Error> {
        let items = reply.pointer(pointer).and_then(Value::as_array);
        items
            .map(Vec::as_slice)
            .ok_or_else(|| self.mismatch(&format!("{pointer} is a list; the reply is {reply}")))
    }

    pub(super) fn equal(
        &self,
        reply: &Value,
        pointer: &str,
        want: impl Into<Value>,
    ) -> Result<(), Error> {
        let want = want.into();
        self.expect(
            reply.pointer(pointer) == Some(&want),
            &format!("{pointer} is {want}; the reply is {reply}"),
        )
    }

    pub(super) fn expect(&self, holds: bool, what: &str) -> Result<(), Error> {
        if holds {
            Ok(())
        } else {
            Err(self.mismatch(what))
        }
    }

    pub(super) fn mismatch(&self, what: &str) -> Error {
        Error::Contract {
            step: self.step.clone(),
            what: format!("expected: {what}"),
        }
    }
}

/// Random bytes in lower-case hex.
pub(crate) fn random_hex(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(invalid_request)?;
    Ok(hex::encode(random))
}

fn unix_ms(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * 1_000 + i64::from(at.millisecond())
}

pub(super) fn invalid_request(error: impl ToString) -> Error {
    Error::Reply {
        what: "a valid request".to_owned(),
        reply: error.to_string(),
    }
}

/// A card, as the app shows it.
pub(super) fn card(card: &Value) -> String {
    let field = |name: &str| card[name].as_str().unwrap_or("?").to_owned();
    format!(
        "{} ···{} ({})",
        field("bank_name"),
        field("last4"),
        field("status")
    )
}

/// The last four digits of a card number.
pub(super) fn last4(number: &str) -> &str {
    &number[number.len().saturating_sub(4)..]
}
