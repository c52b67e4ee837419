//! The merchant: its data and the actions of its app. Every suite drives the system with this one actor.

use crate::transport::{Clock, HttpCall, Reply, Transport};
use application::clock::wall_clock;
use bytes::Bytes;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use serde_json::{Value, json};
use store::seed::SeedMerchant;

/// A card whose check matches.
pub const GOOD_CARD: &str = "6222020000009001009";
/// Another card whose check matches.
pub const SECOND_CARD: &str = "6217000000009001375";
/// The device that every sandbox merchant has known for 90 days.
pub const DEVICE: &str = "dev-1";
/// The reserved phone of a new card of a sandbox merchant.
pub const RESERVED_PHONE: &str = "+8613700000001";

/// The data of a merchant, and the clock of its requests.
#[derive(Clone, Debug)]
pub struct Profile {
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
    /// The kind of the ID document.
    pub document_type: String,
    /// The ID number.
    pub document_number: String,
    /// `long_term` or a date.
    pub expires_on: String,
    /// The reserved phone of a new card, `+86…`.
    pub reserved_phone: String,
    /// The initially active card.
    pub active_card: Option<String>,
    /// The clock.
    pub clock: Clock,
}

impl Profile {
    /// The merchant described by a member of `sandbox.json`.
    #[must_use]
    pub fn of(described: &Value, reserved_phone: String) -> Self {
        let text = |pointer: &str| {
            let text = described.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let holder_name = text("/settlement_name").or_else(|| text("/legal_name"));
        Self {
            id: text("/merchant_id").unwrap(),
            account: text("/account").unwrap(),
            password: text("/password").unwrap(),
            holder_name: holder_name.unwrap(),
            phone: text("/phone_on_file").unwrap(),
            document_type: text("/id_document/type").unwrap_or_else(|| "resident_id".to_owned()),
            document_number: text("/id_document/number").unwrap(),
            expires_on: text("/id_document/expires_on").unwrap_or_default(),
            reserved_phone,
            active_card: text("/active_card/card_number"),
            clock: Clock::at(wall_clock()),
        }
    }

    /// A merchant of `sandbox.json`, by its id.
    #[must_use]
    pub fn sandbox(id: &str) -> Self {
        let described = sandbox("merchants", "merchant_id", id);
        Self::of(&described, RESERVED_PHONE.to_owned())
    }

    /// The description of a new merchant that differs in some members.
    #[must_use]
    pub fn description(suite: &str, number: u32, card: &str, changes: &Value) -> Value {
        let mut described = json!({
            "merchant_id": format!("mer_{suite}_{number}"),
            "account": format!("{suite}-{number}@example.com"),
            "password": format!("{suite} only: correct horse {number}"),
            "entity_type": "natural_person",
            "legal_name": "测试商户",
            "id_document": {"number": resident_id(number), "expires_on": "long_term"},
            "phone_on_file": format!("+86139{number:08}"),
            "opened_days_ago": 800,
            "active_card": {"card_number": card},
            "known_devices": [{"device_id": DEVICE, "first_login_days_ago": 90}],
            "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
            "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
        });
        for (name, value) in changes.as_object().unwrap() {
            described[name] = value.clone();
        }
        described
    }

    /// A new merchant, with the acquirer's record of it.
    #[must_use]
    pub fn new(suite: &str, number: u32, card: &str, changes: &Value) -> (Self, SeedMerchant) {
        let described = Self::description(suite, number, card, changes);
        let profile = Self::of(&described, format!("+86137{number:08}"));
        (profile, serde_json::from_value(described).unwrap())
    }

    /// The merchant's id.
    #[must_use]
    pub fn merchant_id(&self) -> MerchantId {
        MerchantId::parse(&self.id).unwrap()
    }

    /// The merchant's partition.
    #[must_use]
    pub fn pk(&self) -> String {
        format!("M#{}", self.id)
    }

    /// The time of this merchant's requests.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sets the clock.
    pub fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
    }

    /// Moves the clock forwards, or back.
    pub fn pass_s(&self, seconds: i64) {
        self.clock.pass_s(seconds);
    }

    /// The body of a login.
    #[must_use]
    pub fn credentials(&self, device: &str) -> Value {
        json!({"account": self.account, "password": self.password, "device_id": device})
    }

    /// The body of a rebind request.
    #[must_use]
    pub fn request_body(&self, card: &str) -> Value {
        json!({
            "card_number": card,
            "holder_name": self.holder_name,
            "reserved_phone": self.reserved_phone,
            "reason": "replace",
        })
    }

    /// The body that submits the document.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut body = json!({
            "document_number": self.document_number,
            "document_expires_on": self.expires_on,
        });
        // The default is left out, as an app of an earlier release does.
        if self.document_type != "resident_id" {
            body["document_type"] = json!(self.document_type);
        }
        body
    }

    /// The body that signs the agreement of a reply.
    #[must_use]
    pub fn signature_of(&self, text: &Value) -> Value {
        let consents = text["consents"].as_array().unwrap().iter();
        json!({
            "version": text["version"],
            "sha256": text["sha256"],
            "reading_token": text["reading_token"],
            "signed_name": self.holder_name,
            "consents": consents.map(|one| &one["id"]).collect::<Vec<_>>(),
        })
    }

    /// An operation of the acquirer's core on a payout of this merchant.
    #[must_use]
    pub fn payout(&self, operation: &str, payout: &str) -> Value {
        let mut event = json!({
            "operation": operation,
            "merchant_id": self.id,
            "payout_id": payout,
            "time": self.now().to_rfc3339_shanghai(),
        });
        if operation == "create_payout" {
            event["amount_fen"] = json!(1_234);
        }
        event
    }
}

/// The id of a sandbox merchant, given the part after `mer_`.
#[must_use]
pub fn merchant_id(name: &str) -> MerchantId {
    MerchantId::parse(&format!("mer_{name}")).unwrap()
}

/// A sandbox merchant, given the part of its id after `mer_`.
#[must_use]
pub fn merchant(name: &str) -> Profile {
    Profile::sandbox(&format!("mer_{name}"))
}

/// The member of a list in `sandbox.json` whose `name` is `value`.
#[must_use]
pub fn sandbox(list: &str, name: &str, value: &str) -> Value {
    let world: Value = serde_json::from_str(bank::sandbox::SANDBOX_JSON).unwrap();
    let mut members = world[list].as_array().unwrap().iter();
    let found = members.find(|member| member[name] == value);
    found
        .unwrap_or_else(|| panic!("{list}: no {name} {value}"))
        .clone()
}

/// The card of `sandbox.json` with this bank answer.
#[must_use]
pub fn magic_card(outcome: &str) -> String {
    let card = sandbox("cards", "outcome", outcome);
    card["card_number"].as_str().unwrap().to_owned()
}

/// `/v1/rebinds/{id}` of the rebind in a reply.
#[must_use]
pub fn rebind_path(rebind: &Value) -> String {
    format!("/v1/rebinds/{}", rebind["rebind_id"].as_str().unwrap())
}

/// `/v1/cards/{card_id}` of the new card of the rebind in a reply.
#[must_use]
pub fn card_path(rebind: &Value) -> String {
    format!(
        "/v1/cards/{}",
        rebind["new_card"]["card_id"].as_str().unwrap()
    )
}

/// A wrong six-digit OTP.
#[must_use]
pub fn wrong_otp(right: &str) -> &'static str {
    if right == "000000" {
        "000001"
    } else {
        "000000"
    }
}

/// `digits` with a check digit appended: a valid card number.
#[must_use]
pub fn luhn(digits: &str) -> String {
    let digit = |(index, byte): (usize, u8)| {
        let digit = u32::from(byte - b'0');
        // The check digit will be the last one, so the digits to double are at even positions from the right.
        if index.is_multiple_of(2) {
            digit * 2 / 10 + digit * 2 % 10
        } else {
            digit
        }
    };
    let sum: u32 = digits.bytes().rev().enumerate().map(digit).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// The ID number of the `number`-th person.
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

/// A request builder of an app.
#[derive(Clone, Debug)]
pub struct Ask<T> {
    system: T,
    request: HttpCall,
}

impl<T: Transport> Ask<T> {
    /// A request without a session.
    #[must_use]
    pub fn new(system: T, method: &str, path: &str) -> Self {
        let request = HttpCall::new(method, path);
        Self { system, request }
    }

    fn with(self, change: impl FnOnce(HttpCall) -> HttpCall) -> Self {
        Self {
            system: self.system,
            request: change(self.request),
        }
    }

    /// With a header field.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// With a session.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.with(|request| request.token(token))
    }

    /// With an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.with(|request| request.key(key))
    }

    /// At a time.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        self.with(|request| request.at(now))
    }

    /// From an address.
    #[must_use]
    pub fn from(self, source: &str) -> Self {
        self.with(|request| request.from(source))
    }

    /// With a JSON body; with no body for null.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.with(|request| request.json(body))
    }

    /// With any body, declared as JSON.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.bytes("application/json", body)
    }

    /// With a body of any media type.
    #[must_use]
    pub fn bytes(self, media_type: &str, body: impl Into<Bytes>) -> Self {
        self.with(|request| request.bytes(media_type, body))
    }

    /// Sends it.
    pub async fn send(self) -> Reply {
        self.system.http(self.request).await
    }
}

/// A logged-in merchant: its app on one device.
#[derive(Clone, Debug)]
pub struct Merchant<T> {
    /// The system under test.
    pub system: T,
    /// The merchant's data.
    pub profile: Profile,
    /// The session token.
    pub token: String,
    /// The reply to its login.
    pub login: Reply,
}

impl<T: Transport + Clone> Merchant<T> {
    /// Logs in on a device.
    pub async fn log_in(system: T, profile: &Profile, device: &str) -> Self {
        let request = HttpCall::new("POST", "/v1/sessions").at(profile.now());
        let request = request.json(&profile.credentials(device));
        let login = system.http_login(request).await;
        assert_eq!(login.status, 201, "{:?}", login.body);
        Self {
            token: login.body["token"].as_str().unwrap().to_owned(),
            login,
            profile: profile.clone(),
            system,
        }
    }

    /// A request in this session at the merchant's clock.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> Ask<T> {
        let ask = Ask::new(self.system.clone(), method, path);
        ask.token(&self.token).at(self.profile.now())
    }

    /// Sends a request. A change carries a key chosen by the transport.
    pub async fn call(&self, method: &str, path: &str, body: impl Into<Value>) -> Reply {
        let mut ask = self.ask(method, path).json(&body.into());
        if let Some(key) = self.system.new_key().filter(|_| method != "GET") {
            ask = ask.key(&key);
        }
        ask.send().await
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, ()).await
    }

    /// Sends a `POST`.
    pub async fn post(&self, path: &str, body: impl Into<Value>) -> Reply {
        self.call("POST", path, body).await
    }

    /// Sends a `PUT`.
    pub async fn put(&self, path: &str, body: impl Into<Value>) -> Reply {
        self.call("PUT", path, body).await
    }

    /// Sends a `DELETE`.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, ()).await
    }

    /// Sends a `POST` with a given idempotency key.
    pub async fn keyed(&self, key: &str, path: &str, body: impl Into<Value>) -> Reply {
        self.call_keyed(key, "POST", path, body).await
    }

    /// Sends a request with a given idempotency key.
    pub async fn call_keyed(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: impl Into<Value>,
    ) -> Reply {
        self.ask(method, path)
            .key(key)
            .json(&body.into())
            .send()
            .await
    }

    /// The body of a rebind request.
    #[must_use]
    pub fn request_body(&self, card: &str) -> Value {
        self.profile.request_body(card)
    }

    /// The body that submits the document.
    #[must_use]
    pub fn document(&self) -> Value {
        self.profile.document()
    }

    /// Requests a card. Returns the rebind's path.
    pub async fn request(&self, card: &str) -> String {
        self.request_with(card, json!({})).await
    }

    /// The same with changed or additional members.
    pub async fn request_with(&self, card: &str, members: Value) -> String {
        let mut body = self.request_body(card);
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        let key = self.system.new_key();
        let key = key.unwrap_or_else(|| format!("create-{:?}-{card}", self.profile.now()));
        let reply = self.keyed(&key, "/v1/rebinds", body).await;
        rebind_path(&reply.is(201, "identity_pending").body)
    }

    /// Submits the document, which sends an OTP to the phone on file.
    pub async fn show_document(&self, rebind: &str) -> Value {
        self.post(&format!("{rebind}/identity"), self.document())
            .await
            .ok(200)
    }

    /// Confirms the OTP sent to the phone on file.
    pub async fn confirm_identity(&self, rebind: &str) -> Value {
        let code = self.system.code(&self.profile.phone).await;
        self.try_identity_code(rebind, &code).await.ok(200)
    }

    /// Submits an OTP of the phone on file.
    pub async fn try_identity_code(&self, rebind: &str, code: &str) -> Reply {
        let path = format!("{rebind}/identity/confirm");
        self.post(&path, json!({"code": code})).await
    }

    /// Requests another OTP to the phone on file.
    pub async fn resend_identity_code(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/identity/code"), ()).await
    }

    /// Verifies the identity: document and code.
    pub async fn identify(&self, rebind: &str) {
        self.show_document(rebind).await;
        let after = self.confirm_identity(rebind).await;
        assert_eq!(after["state"], "agreement_pending");
    }

    /// Waits for the reading time of the agreement. Returns the body that signs it.
    pub async fn signature(&self, rebind: &str) -> Value {
        let path = format!("{rebind}/agreement?lang=zh-CN");
        let text = self.get(&path).await.ok(200);
        self.profile.pass_s(11);
        self.signature_of(&text)
    }

    /// The body that signs the agreement of a reply.
    #[must_use]
    pub fn signature_of(&self, text: &Value) -> Value {
        self.profile.signature_of(text)
    }

    /// Reads and signs the agreement.
    pub async fn sign(&self, rebind: &str) {
        let signature = self.signature(rebind).await;
        let reply = self.post(&format!("{rebind}/agreement"), signature).await;
        reply.is(200, "card_pending");
    }

    /// Requests a card, up to the bank check. Returns the rebind's path.
    pub async fn to_card_pending(&self, card: &str) -> String {
        let rebind = self.request(card).await;
        self.identify(&rebind).await;
        self.sign(&rebind).await;
        rebind
    }

    /// Requests the bank check of the card.
    pub async fn check_card(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/card-check"), ()).await
    }

    /// Requests another OTP to the card's reserved phone.
    pub async fn resend_card_code(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/card-check/code"), ()).await
    }

    /// Confirms the OTP sent to the reserved phone.
    pub async fn confirm_card(&self, rebind: &str) -> Reply {
        let code = self.system.code(&self.profile.reserved_phone).await;
        self.try_card_code(rebind, &code).await
    }

    /// Submits an OTP of the card, or the code of its deposit.
    pub async fn try_card_code(&self, rebind: &str, code: &str) -> Reply {
        let path = format!("{rebind}/card-check/confirm");
        self.post(&path, json!({"code": code})).await
    }

    /// Abandons a rebind.
    pub async fn cancel(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/cancel"), ()).await
    }

    /// Sends a test transfer to the new card, or polls its result.
    pub async fn test_transfer(&self, rebind: &str) -> Reply {
        self.post(&format!("{rebind}/test-transaction"), ()).await
    }

    /// Completes a new rebind: identity, agreement, card.
    pub async fn finish(&self, rebind: &str) -> Reply {
        self.identify(rebind).await;
        self.sign(rebind).await;
        self.check_card(rebind).await.ok(200);
        self.confirm_card(rebind).await
    }

    /// Requests a card and activates it. Returns the rebind's path.
    pub async fn activate(&self, card: &str) -> String {
        self.activate_with(card, json!({})).await
    }

    /// The same with changed or additional members.
    pub async fn activate_with(&self, card: &str, members: Value) -> String {
        let rebind = self.request_with(card, members).await;
        self.finish(&rebind).await.is(200, "activated");
        rebind
    }

    /// Adds a standby card. Returns the card's path.
    pub async fn standby(&self, card: &str) -> String {
        card_path(&self.standby_rebind(card).await)
    }

    /// Adds a standby card. Returns the rebind.
    pub async fn standby_rebind(&self, card: &str) -> Value {
        let rebind = self.request_with(card, json!({"activate": false})).await;
        let done = self.finish(&rebind).await.is(200, "completed");
        assert_eq!(done.body["purpose"], "standby");
        done.body
    }

    /// Requests the OTP that authorises the switch to a standby card. Returns the body that holds it.
    pub async fn switch_code(&self, card: &str) -> Value {
        self.post(&format!("{card}/activate"), ()).await.ok(200);
        json!({"code": self.system.code(&self.profile.phone).await})
    }

    /// Switches to a standby card.
    pub async fn switch(&self, card: &str) -> Reply {
        let code = self.switch_code(card).await;
        let reply = self.post(&format!("{card}/activate"), code).await;
        reply.is(200, "activated")
    }

    /// Unbinds a card.
    pub async fn unbind(&self, card: &str) -> Reply {
        self.post(&format!("{card}/unbind"), ()).await
    }

    /// Requests a card that its bank cannot check, up to the deposit. Returns the rebind's path.
    pub async fn to_deposit(&self, card: &str) -> String {
        let rebind = self.to_card_pending(card).await;
        let checked = self.check_card(&rebind).await.ok(200);
        assert_eq!(checked["challenge"]["method"], "micro_deposit");
        self.system.deposit_code(card).await;
        rebind
    }

    /// The freeze code of the last notification to the phone on file.
    pub async fn freeze_code(&self) -> String {
        self.system.freeze_code(&self.profile.phone).await
    }

    /// The whole history, oldest first, page by page.
    pub async fn history(&self) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
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

    /// The kinds of the merchant's events, oldest first, without the hand-overs of notifications: the stream records them at
    /// a time of its own.
    pub async fn kinds(&self) -> Vec<String> {
        let events = self.history().await;
        let kinds = events.iter().filter_map(|event| event["kind"].as_str());
        let kinds = kinds.filter(|kind| *kind != "change_notified");
        kinds.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::pii::{CardNumber, DocumentType, IdNumber};
    use std::collections::BTreeSet;

    #[test]
    fn generated_numbers_are_well_formed() {
        let cards = (1..500).map(|number| luhn(&format!("622202{number:012}")));
        let cards: BTreeSet<String> = cards.collect();
        assert_eq!(cards.len(), 499);
        assert!(cards.iter().all(|card| CardNumber::parse(card).is_ok()));
        let ids: BTreeSet<String> = (1..500).map(resident_id).collect();
        assert_eq!(ids.len(), 499);
        assert!(
            ids.iter()
                .all(|id| IdNumber::parse(DocumentType::ResidentId, id).is_ok())
        );
    }
}
