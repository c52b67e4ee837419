//! The system under test, in one of three environments: [`crate::in_process`], [`crate::processes`] or
//! [`crate::local_cloud`].

use crate::gateway::match_route;
use crate::secrets::Kind;
use crate::table_faults::Call;
use api::problems;
use bytes::Bytes;
use domain::error_code::ErrorCode;
use domain::time::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

tokio::task_local! {
    /// The error codes that the running case has asserted.
    pub static CODES: RefCell<BTreeSet<&'static str>>;
}

/// The interface between a suite and the system: requests and invocations in, messages and bank statements out.
///
/// The futures have no `Send` bound: the in-process functions run on one thread, and the other two transports are `Send`
/// anyway.
#[expect(async_fn_in_trait, reason = "only this crate implements it")]
pub trait Transport {
    /// Sends one HTTP request to the function behind its route.
    async fn http(&self, request: HttpCall) -> Reply;

    /// Sends a login. Logins from one address may have to take turns.
    async fn http_login(&self, request: HttpCall) -> Reply {
        self.http(request).await
    }

    /// Invokes a function with an event. A Lambda error is its type and its message.
    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)>;

    /// The messages to a phone, oldest first.
    async fn sms(&self, phone: &str) -> Vec<String>;

    /// The transfers to a card, newest first.
    async fn statement(&self, card: &str) -> Vec<Value>;

    /// Delivers the notifications that are due, if the transport has no stream.
    async fn deliver_notifications(&self);

    /// The idempotency key of a request for which a test sets none.
    fn new_key(&self) -> Option<String>;

    /// Receives each code that a test has read.
    fn observed(&self, _kind: Kind, _value: &str) {}

    /// The OTP in the last OTP message to a phone. Panics if none was sent.
    async fn code(&self, phone: &str) -> String {
        let texts = self.sms(phone).await;
        let last = texts.iter().rev().find(|text| is_otp(text));
        let last = last.unwrap_or_else(|| panic!("no code was sent to {phone}"));
        let code = code_in(last).expect("a code of six digits");
        self.observed(Kind::Otp, &code);
        code
    }

    /// The freeze code in the last message to a phone that contains one.
    async fn freeze_code(&self, phone: &str) -> String {
        self.deliver_notifications().await;
        let texts = self.sms(phone).await;
        let code = texts.iter().rev().find_map(|text| freeze_code_in(text));
        let code = code.unwrap_or_else(|| panic!("no freeze code was sent to {phone}"));
        self.observed(Kind::FreezeCode, &code);
        code
    }

    /// The code at the end of the last micro-deposit to a card.
    async fn deposit_code(&self, card: &str) -> String {
        let transfers = self.statement(card).await;
        let descriptor = transfers[0]["descriptor"].as_str().unwrap();
        let code = descriptor.split(' ').next_back().unwrap();
        self.observed(Kind::DepositCode, code);
        code.to_owned()
    }
}

impl<D: Deref<Target: Transport>> Transport for D {
    async fn http(&self, request: HttpCall) -> Reply {
        (**self).http(request).await
    }
    async fn http_login(&self, request: HttpCall) -> Reply {
        (**self).http_login(request).await
    }
    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        (**self).invoke(function, event).await
    }
    async fn sms(&self, phone: &str) -> Vec<String> {
        (**self).sms(phone).await
    }
    async fn statement(&self, card: &str) -> Vec<Value> {
        (**self).statement(card).await
    }
    async fn deliver_notifications(&self) {
        (**self).deliver_notifications().await;
    }
    fn new_key(&self) -> Option<String> {
        (**self).new_key()
    }
    async fn code(&self, phone: &str) -> String {
        (**self).code(phone).await
    }
    async fn freeze_code(&self, phone: &str) -> String {
        (**self).freeze_code(phone).await
    }
    async fn deposit_code(&self, card: &str) -> String {
        (**self).deposit_code(card).await
    }
}

/// The text of an SMS without the sender's signature. Panics if the SMS is not signed, or has more than one part.
#[must_use]
pub fn unsigned(sms: &str) -> String {
    assert!(sms.encode_utf16().count() <= 70, "one SMS: {sms}");
    let signature = format!("【{}】", local::SMS_SIGNATURE);
    let text = sms.strip_prefix(&signature);
    text.unwrap_or_else(|| panic!("not signed: {sms}"))
        .to_owned()
}

/// Returns true for the text of an OTP: no other text begins like it.
#[must_use]
pub fn is_otp(text: &str) -> bool {
    text.starts_with("验证码")
}

/// The first run of exactly six digits.
#[must_use]
pub fn code_in(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == 6).map(str::to_owned).next()
}

/// The freeze code in a text: the first run of eight characters of its alphabet.
#[must_use]
pub fn freeze_code_in(text: &str) -> Option<String> {
    let runs = text.split(|c: char| !"ABCDEFGHJKLMNPQRSTUVWXYZ23456789".contains(c));
    runs.filter(|run| run.len() == 8).map(str::to_owned).next()
}

/// A clock for requests. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// A clock set to a time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.epoch_s())))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_epoch_s(self.0.load(Ordering::Relaxed))
    }

    /// Sets the time.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.epoch_s(), Ordering::Relaxed);
    }

    /// Moves the time forwards or back.
    pub fn pass_s(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// `GET`, …
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The header fields.
    pub headers: Vec<(String, String)>,
    /// The time of the request, if the system accepts one.
    pub now: Option<Timestamp>,
    /// The body.
    pub body: Bytes,
    /// The source address, if the transport can choose one.
    pub source: String,
}

impl HttpCall {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: vec![("user-agent".to_owned(), "tests".to_owned())],
            now: None,
            body: Bytes::new(),
            source: "203.0.113.7".to_owned(),
        }
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a session token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// At a time.
    #[must_use]
    pub const fn at(mut self, now: Timestamp) -> Self {
        self.now = Some(now);
        self
    }

    /// From an address.
    #[must_use]
    pub fn from(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// With a JSON body; with no body for null.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        if !body.is_null() {
            self.body = body.to_string().into();
        }
        self
    }

    /// With a body of any media type.
    #[must_use]
    pub fn bytes(mut self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", media_type)
    }

    /// All header fields, including the clock.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, String)> {
        let clock = self
            .now
            .map(|now| ("x-sandbox-now", now.to_rfc3339_shanghai()));
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.clone()));
        clock.into_iter().chain(headers)
    }

    /// The gateway's event for this request (payload format 2.0).
    #[must_use]
    pub fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let headers = self.all_headers();
        let headers = headers.map(|(name, value)| (name.to_owned(), json!(value)));
        let mut event = json!({
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers.collect::<serde_json::Map<_, _>>(),
            "requestContext": {"http": {"method": self.method, "sourceIp": self.source}, "requestId": "req-1"},
            "isBase64Encoded": false,
        });
        if !self.body.is_empty() {
            event["body"] = json!(std::str::from_utf8(&self.body).expect("a text"));
        }
        match_route(&mut event);
        event
    }
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Method and path of the request, for assertion messages.
    pub what: String,
    /// The HTTP status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body; null for none.
    pub body: Value,
    /// The calls to the table, if the transport records them.
    pub calls: Vec<Call>,
}

impl Reply {
    /// The reply of a function to an event.
    #[must_use]
    pub fn of_event(event: &Value, reply: &Value) -> Self {
        let http = &event["requestContext"]["http"];
        let headers = reply["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            (name, value)
        });
        let body = reply["body"].as_str().unwrap_or_default();
        Self {
            what: format!(
                "{} {}",
                http["method"].as_str().unwrap_or_default(),
                event["rawPath"].as_str().unwrap_or_default()
            ),
            status: reply["statusCode"].as_u64().unwrap().try_into().unwrap(),
            headers: headers.collect(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
            calls: Vec::new(),
        }
    }

    /// The problem's code; empty for a success.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The rebind's state; empty if the reply contains no rebind.
    #[must_use]
    pub fn state(&self) -> &str {
        self.body["state"].as_str().unwrap_or("")
    }

    /// A header field; empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("a text"))
    }

    /// Returns true for a replay of an earlier reply.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }

    /// Asserts a success and returns its body.
    #[track_caller]
    #[expect(
        clippy::must_use_candidate,
        reason = "many tests only check the status"
    )]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.code());
        self.body
    }

    /// Asserts this problem and returns its body.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "many tests only check the code")]
    pub fn refused(self, code: ErrorCode) -> Value {
        let status = problems::entry(code).status;
        let found = (self.code(), self.status);
        assert_eq!(found, (code.as_str(), status), "{}", self.what);
        let _ = CODES.try_with(|codes| codes.borrow_mut().insert(code.as_str()));
        self.body
    }

    /// Asserts the status.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "many tests only check")]
    pub fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        self
    }

    /// Asserts the value of a member of the body. A name that begins with `/` is a JSON pointer; a missing member is null.
    #[track_caller]
    pub fn has(self, member: &str, value: impl Into<Value>) -> Self {
        let found = match member.strip_prefix('/') {
            Some(_) => self.body.pointer(member),
            None => self.body.get(member),
        };
        let found = found.unwrap_or(&Value::Null);
        assert_eq!(
            *found,
            value.into(),
            "{}: {member}: {}",
            self.what,
            self.body
        );
        self
    }

    /// Asserts the status, and the problem code, rebind state or transfer status.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "many tests only check")]
    pub fn is(self, status: u16, word: &str) -> Self {
        let words = ["code", "state", "status"].iter();
        let found = words.filter_map(|name| self.body[*name].as_str()).next();
        assert_eq!(
            (self.status, found),
            (status, Some(word)),
            "{}: {}",
            self.what,
            self.body
        );
        self
    }
}
