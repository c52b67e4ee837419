//! The contract of the two benchmarked routes. It runs against the product and the peers alike; login and every later step of a
//! rebind are the product's own functions, so a rebind that a peer has created is continued by the product.
//!
//! Two comparisons: each `GET /v1/cards` equals what the product's code shows of the same table, and the transcripts of two
//! systems are equal.

use super::peers::{self, Language, Peer};
use crate::merchant::{Ask, DEVICE, GOOD_CARD, Merchant, SECOND_CARD, luhn, merchant, rebind_path};
use crate::processes::template::TABLE;
use crate::processes::{Options, Processes};
use crate::transport::Reply;
use api::replies;
use application::ports::{LoadMerchant as _, Selector};
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::policy::Policy;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::seed::World;

/// The time at which each transcript begins.
const BEGIN: &str = "2026-11-22T10:00:00+08:00";
const CARDS: &str = "/v1/cards";
const REBINDS: &str = "/v1/rebinds";

type App<'s> = Merchant<&'s Processes>;

/// Runs the contract with the product's functions and with each peer in their place.
///
/// # Panics
/// When a peer's transcript differs.
pub async fn check_peers(peers: &[Peer]) {
    let ours = transcript(BTreeMap::new()).await;
    for language in Language::ALL {
        let theirs = transcript(peers::executables(peers, language)).await;
        assert_eq!(theirs.len(), ours.len(), "{language}");
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!(theirs, ours, "{language}");
        }
    }
}

async fn transcript(binaries: BTreeMap<String, PathBuf>) -> Vec<Value> {
    let options = Options {
        at_most: |_| 2,
        binaries,
        ..Options::default()
    };
    check(&Processes::with(options).await).await
}

/// Runs the contract and returns its transcript: the replies of both routes without what is random.
pub async fn check(system: &Processes) -> Vec<Value> {
    let now = Timestamp::parse_rfc3339(BEGIN).unwrap();
    let world = World::sandbox().unwrap();
    for seed in &world.merchants {
        system.cloud.seed(seed, now).await;
    }
    let mut script = Script {
        system,
        now,
        transcript: Vec::new(),
    };
    for seed in &world.merchants {
        script.first_look(&seed.merchant_id).await;
    }
    script.dead_tokens().await;
    script.malformed_requests().await;
    script.invalid_fields().await;
    script.card_types().await;
    script.idempotency().await;
    script.blocked_merchants().await;
    script.old_login().await;
    script.daily_limit().await;
    script.standby_card().await;
    script.whole_rebind().await;
    script.two_at_once().await;
    for seed in &world.merchants {
        let merchant = MerchantId::parse(&seed.merchant_id).unwrap();
        script.history(&merchant).await;
    }
    script.stored_items();
    script.transcript
}

struct Script<'s> {
    system: &'s Processes,
    now: Timestamp,
    transcript: Vec<Value>,
}

impl<'s> Script<'s> {
    /// A sandbox merchant at the beginning, logged in.
    async fn app(&self, name: &str) -> App<'s> {
        let profile = merchant(name);
        profile.set_clock(self.now);
        Merchant::log_in(self.system, &profile, DEVICE).await
    }

    /// Adds a reply to the transcript.
    fn record(&mut self, reply: Reply) -> Reply {
        let log = || self.system.log();
        assert!(reply.status < 500, "{}: {:#?}", reply.what, log());
        let headers = [
            "cache-control",
            "content-type",
            "retry-after",
            "idempotent-replayed",
        ];
        self.transcript.push(json!({
            "request": reply.what,
            "status": reply.status,
            "headers": headers.map(|name| reply.header(name)),
            "body": without_random(&reply.body),
        }));
        reply
    }

    /// The cards, compared with what the product's code shows of the same table.
    async fn cards(&mut self, app: &App<'s>) -> Value {
        let reply = self.record(app.get(CARDS).await);
        let slot = app.token.split('.').nth(1).unwrap().parse().unwrap();
        let store = self.system.cloud.store();
        let merchant = app.profile.merchant_id();
        let loaded = store.load(&merchant, Selector::Latest).await;
        let loaded = loaded.unwrap().unwrap();
        let policy = &Policy::CURRENT;
        let wanted = replies::Cards::new(&loaded, Some(slot), policy, app.profile.now());
        assert_eq!(reply.body, json!(wanted), "{}", app.profile.id);
        reply.ok(200)
    }

    async fn refuses(&mut self, app: &App<'s>, body: Value, code: ErrorCode) {
        let reply = app.post(REBINDS, body).await;
        self.record(reply).refused(code);
    }

    async fn first_look(&mut self, id: &str) {
        let app = self.app(id.strip_prefix("mer_").unwrap()).await;
        self.cards(&app).await;
    }

    async fn dead_tokens(&mut self) {
        let app = self.app("plain_1").await;
        let forged = format!("Bearer {}x", app.token);
        let unknown = "Bearer mer_nobody.0.x".to_owned();
        let other_slot = app
            .token
            .replacen(".0.", ".4.", 1)
            .replacen(".1.", ".4.", 1);
        let other_slot = format!("Bearer {other_slot}");
        let basic = format!("Basic {}", app.token);
        let bad = ["", "Bearer", "Bearer x", "Bearer mer_a.1.x.y"].map(str::to_owned);
        for header in bad.into_iter().chain([forged, unknown, other_slot, basic]) {
            for (method, path) in [("GET", CARDS), ("POST", REBINDS)] {
                let ask = Ask::new(self.system, method, path).at(self.now).key("dead");
                let ask = match header.as_str() {
                    "" => ask,
                    header => ask.header("authorization", header),
                };
                let ask = match method {
                    "POST" => ask.json(&app.request_body(GOOD_CARD)),
                    _ => ask,
                };
                let reply = ask.send().await;
                self.record(reply).refused(ErrorCode::SessionExpired);
            }
        }
        app.profile.pass_s(Policy::CURRENT.session_idle_s);
        let reply = app.get(CARDS).await;
        self.record(reply).refused(ErrorCode::SessionExpired);
        let body = app.request_body(GOOD_CARD);
        self.refuses(&app, body, ErrorCode::SessionExpired).await;
        let left = self.app("plain_1").await;
        left.delete("/v1/sessions/current").await.ok(204);
        let reply = left.get(CARDS).await;
        self.record(reply).refused(ErrorCode::SessionExpired);
    }

    async fn malformed_requests(&mut self) {
        let app = self.app("plain_1").await;
        let mut unknown = app.request_body(GOOD_CARD);
        unknown["colour"] = json!("red");
        let number = json!({"card_number": 6_222_020}).to_string();
        let flag = json!({"activate": "yes"}).to_string();
        let bodies = [
            "{",
            "[]",
            "null",
            "\"x\"",
            &unknown.to_string(),
            &number,
            &flag,
        ];
        for body in bodies {
            let ask = app.ask("POST", REBINDS).key("malformed");
            let reply = ask.body(body.to_owned()).send().await;
            self.record(reply).refused(ErrorCode::RequestMalformed);
        }
        let large = format!("{{\"card_number\":\"{}\"}}", "1".repeat(16 * 1024));
        let reply = app.ask("POST", REBINDS).key("large").body(large);
        let reply = reply.send().await;
        self.record(reply).refused(ErrorCode::BodyTooLarge);
        let body = app.request_body(GOOD_CARD);
        let reply = app.ask("POST", REBINDS).json(&body).send().await;
        self.record(reply).refused(ErrorCode::RequestMalformed);
        for key in ["", "é", &"k".repeat(256)] {
            let reply = app.keyed(key, REBINDS, body.clone()).await;
            self.record(reply).refused(ErrorCode::RequestMalformed);
        }
    }

    async fn invalid_fields(&mut self) {
        let app = self.app("plain_1").await;
        let with = |name: &str, value: Value| {
            let mut body = app.request_body(GOOD_CARD);
            body[name] = value;
            body
        };
        let wrong_digit = "6222020000009001000";
        for (body, code) in [
            (with("card_number", json!(wrong_digit)), ErrorCode::CardLuhn),
            (with("card_number", json!("622202")), ErrorCode::CardFormat),
            (with("card_number", Value::Null), ErrorCode::CardFormat),
            (
                with("reserved_phone", json!("12900000001")),
                ErrorCode::PhoneFormat,
            ),
            (
                with("holder_name", json!("测试商户")),
                ErrorCode::HolderNotMerchant,
            ),
            (with("reason", json!("whim")), ErrorCode::RequestMalformed),
            (json!({}), ErrorCode::CardFormat),
        ] {
            self.refuses(&app, body, code).await;
        }
        self.refuses(&app, Value::Null, ErrorCode::CardFormat).await;
        let mut all = with("card_number", json!(wrong_digit));
        all["holder_name"] = json!("x");
        all["reserved_phone"] = json!("+86139");
        self.refuses(&app, all, ErrorCode::CardLuhn).await;
        // The merchant confirms the number, typed as it is printed on the card, and the bank decides.
        let mut typed = with("card_number", json!("6222 0200-0000　９００１ 000"));
        typed["number_confirmed"] = json!(true);
        typed["holder_name"] = json!(" 测试\u{a0}商户一 ");
        typed["reserved_phone"] = json!("(+86) 137-0000-0001");
        let reply = app.post(REBINDS, typed).await;
        self.record(reply).is(201, "identity_pending");
        self.cards(&app).await;
    }

    async fn card_types(&mut self) {
        let app = self.app("plain_3").await;
        let current = app.profile.active_card.clone().unwrap();
        let credit = luhn("622575000000001");
        let quasi_credit = luhn("436728000000001");
        for (card, code) in [
            (credit, ErrorCode::CardTypeCredit),
            (quasi_credit, ErrorCode::CardTypeCredit),
            (current, ErrorCode::CardSameAsCurrent),
        ] {
            self.refuses(&app, app.request_body(&card), code).await;
        }
        let unknown = luhn("999999000000000001");
        let reply = app.post(REBINDS, app.request_body(&unknown)).await;
        let created = self.record(reply).is(201, "identity_pending");
        assert_eq!(created.body["new_card"]["type"], "unknown");
        self.cards(&app).await;
    }

    async fn idempotency(&mut self) {
        let app = self.app("plain_4").await;
        let body = app.request_body(GOOD_CARD);
        let reply = app.keyed("one", REBINDS, body.clone()).await;
        let first = self.record(reply).is(201, "identity_pending");
        assert!(!first.is_replayed());
        self.cards(&app).await;
        // The same members in another order.
        let reordered = body.as_object().unwrap().iter().rev();
        let reordered = reordered.map(|(name, value)| format!("{}: {value}", json!(name)));
        let reordered = format!("{{ {} }}", reordered.collect::<Vec<_>>().join(" ,"));
        for again in [body.to_string(), reordered] {
            let ask = app.ask("POST", REBINDS).key("one").body(again);
            let reply = ask.send().await;
            let replay = self.record(reply).is(201, "identity_pending");
            assert!(replay.is_replayed());
            assert_eq!(replay.body, first.body);
        }
        let other = app.request_body(SECOND_CARD);
        let reply = app.keyed("one", REBINDS, other.clone()).await;
        self.record(reply).refused(ErrorCode::IdempotencyMismatch);
        for (key, body) in [("two", body.clone()), ("three", other)] {
            let reply = app.keyed(key, REBINDS, body).await;
            self.record(reply).refused(ErrorCode::RequestInProgress);
        }
        // A refusal is not kept: the same key serves another request.
        let neighbour = self.app("plain_5").await;
        let mut wrong = neighbour.request_body(GOOD_CARD);
        wrong["reserved_phone"] = json!("1");
        let reply = neighbour.keyed("one", REBINDS, wrong).await;
        self.record(reply).refused(ErrorCode::PhoneFormat);
        let right = neighbour.request_body(GOOD_CARD);
        let reply = neighbour.keyed("one", REBINDS, right).await;
        let own = self.record(reply).is(201, "identity_pending");
        assert!(!own.is_replayed());
        assert_ne!(own.body["rebind_id"], first.body["rebind_id"]);
    }

    async fn blocked_merchants(&mut self) {
        for (name, code) in [
            ("company", ErrorCode::EntityNeedsSupport),
            ("id_expired", ErrorCode::IdExpired),
            ("in_cooldown", ErrorCode::RebindCooldown),
            ("phone_changed", ErrorCode::QuietPeriod),
        ] {
            let app = self.app(name).await;
            let cards = self.cards(&app).await;
            assert_eq!(cards["blocked_by"], code.as_str(), "{name}");
            let body = app.request_body(GOOD_CARD);
            self.refuses(&app, body, code).await;
        }
    }

    /// The session is live and its login is old.
    async fn old_login(&mut self) {
        let app = self.app("sole_trader").await;
        app.profile.pass_s(10 * 60);
        let target = json!({"platform": "apns", "token": "a".repeat(64)});
        app.put("/v1/push-targets/phone", target).await.ok(204);
        app.profile.pass_s(6 * 60);
        let cards = self.cards(&app).await;
        assert_eq!(cards["blocked_by"], "STEP_UP_REQUIRED");
        let body = app.request_body(GOOD_CARD);
        self.refuses(&app, body, ErrorCode::StepUpRequired).await;
    }

    /// A merchant whose rebinds of the day are used up: the stored count of one rebind is raised.
    async fn daily_limit(&mut self) {
        let app = self.app("minority_name").await;
        let reply = app.post(REBINDS, app.request_body(GOOD_CARD)).await;
        self.record(reply).is(201, "identity_pending");
        let items = self.system.cloud.items(TABLE);
        let is_state =
            |item: &&Value| item["pk"]["S"] == app.profile.pk().as_str() && item["sk"]["S"] == "Y";
        let mut item = items.iter().find(is_state).unwrap().clone();
        let state = item["state"]["S"].as_str().unwrap();
        let mut state: Value = serde_json::from_str(state).unwrap();
        let day = &mut state["day"][0];
        assert_eq!((&day[2], &day[3]), (&json!(0), &json!(1)));
        let created = day[4][0].clone();
        day[3] = json!(5);
        day[4] = json!([created, 0, 0, 0, 60]);
        state.as_object_mut().unwrap().remove("open");
        item["state"]["S"] = json!(state.to_string());
        self.system.cloud.put(TABLE, &item);
        app.profile.pass_s(120);
        let cards = self.cards(&app).await;
        assert_eq!(cards["blocked_by"], "DAILY_REQUEST_LIMIT");
        let body = app.request_body(SECOND_CARD);
        self.refuses(&app, body, ErrorCode::DailyRequestLimit).await;
    }

    /// A standby card, whose rebind the product completes.
    async fn standby_card(&mut self) {
        let app = self.app("travel_permit").await;
        app.standby(GOOD_CARD).await;
        self.cards(&app).await;
        let body = app.request_body(GOOD_CARD);
        self.refuses(&app, body, ErrorCode::CardSameAsCurrent).await;
        let reply = app.post(REBINDS, app.request_body(SECOND_CARD)).await;
        self.record(reply).is(201, "identity_pending");
        self.cards(&app).await;
    }

    /// Two requests with different keys: one begins a rebind, and the other one meets it.
    async fn two_at_once(&mut self) {
        let app = self.app("no_card").await;
        let send = |key, card| app.keyed(key, REBINDS, app.request_body(card));
        let (one, other) = futures::join!(send("one", GOOD_CARD), send("other", GOOD_CARD));
        let mut both = [one, other];
        both.sort_by_key(|reply| reply.status);
        let [created, refused] = both;
        self.record(created).is(201, "identity_pending");
        self.record(refused).refused(ErrorCode::RequestInProgress);
    }

    /// A merchant's whole history, whose chain is unbroken.
    async fn history(&mut self, merchant: &MerchantId) {
        let events = self.system.cloud.history(merchant).await.unwrap();
        let events = events.iter().map(|event| {
            let (kind, data) = (event.kind().as_str(), json!(event.data()));
            json!({"at": event.at.epoch_s(), "policy": event.policy, "kind": kind, "data": without_random(&data)})
        });
        let events: Vec<Value> = events.collect();
        assert!(events.iter().all(|event| !event["kind"].is_null()));
        self.transcript
            .push(json!({"history": merchant.as_str(), "events": events}));
    }

    /// The stored state of each merchant and each rebind that no later step has changed.
    fn stored_items(&mut self) {
        for mut item in self.system.cloud.items(TABLE) {
            let (pk, sk) = (text(&item, "pk"), text(&item, "sk"));
            let is_stored = pk.starts_with("M#") && (sk == "Y" || sk.starts_with("R#"));
            if !is_stored {
                continue;
            }
            let mut state: Value = serde_json::from_str(&text(&item, "state")).unwrap();
            if sk != "Y" && state["st"]["identity_pending"]["att"].is_null() {
                continue;
            }
            let members = item.as_object_mut().unwrap();
            if sk == "Y" {
                // The rest is sessions, which are random, and what the product's own steps have written.
                members.retain(|name, _| name == "pk" || name == "sk" || name == "version");
                state.as_object_mut().unwrap().remove("hash");
            } else {
                let number = members.insert("number".to_owned(), Value::Null).unwrap();
                let length = number["B"].as_str().unwrap().len();
                members.insert("number".to_owned(), json!(length));
            }
            members.insert("state".to_owned(), without_random(&state));
            self.transcript.push(item);
        }
    }

    /// The product continues the rebind: it decrypts the card number for the bank and activates the card. Then a freeze.
    async fn whole_rebind(&mut self) {
        let app = self.app("plain_2").await;
        let reply = app.post(REBINDS, app.request_body(SECOND_CARD)).await;
        let created = self.record(reply).is(201, "identity_pending").body;
        let rebind = rebind_path(&created);
        let freeze_code = self.steps(&app, &rebind).await;
        let hold = self.cards(&app).await;
        assert!(hold["hold"]["paying_card"].is_object());
        let body = app.request_body(GOOD_CARD);
        self.refuses(&app, body, ErrorCode::RebindCooldown).await;

        let account = json!({"account": app.profile.account, "freeze_code": freeze_code});
        let freeze = Ask::new(self.system, "POST", "/v1/freezes");
        let freeze = freeze.at(app.profile.now()).json(&account).send().await;
        freeze.is(202, "received");
        let app = Merchant::log_in(self.system, &app.profile, DEVICE).await;
        let cards = self.cards(&app).await;
        assert_eq!(cards["blocked_by"], "ACCOUNT_FROZEN");
        let body = app.request_body(GOOD_CARD);
        self.refuses(&app, body, ErrorCode::AccountFrozen).await;
    }

    /// The steps of a rebind up to its activation, with a look at the cards in between. Returns the freeze code.
    async fn steps(&mut self, app: &App<'s>, rebind: &str) -> String {
        let wait_s = Policy::CURRENT.code_life_s;
        self.cards(app).await;
        app.show_document(rebind).await;
        self.cards(app).await;
        app.profile.pass_s(wait_s);
        self.cards(app).await;
        app.resend_identity_code(rebind).await.ok(200);
        app.profile.pass_s(30);
        self.cards(app).await;
        app.confirm_identity(rebind).await;
        self.cards(app).await;
        app.sign(rebind).await;
        self.cards(app).await;
        app.check_card(rebind).await.ok(200);
        self.cards(app).await;
        app.profile.pass_s(wait_s);
        self.cards(app).await;
        app.resend_card_code(rebind).await.ok(200);
        self.cards(app).await;
        app.confirm_card(rebind).await.is(200, "activated");
        app.freeze_code().await
    }
}

fn text(item: &Value, name: &str) -> String {
    item[name]["S"].as_str().unwrap_or_default().to_owned()
}

/// A reply without the random characters of its ids.
fn without_random(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.split_once('_') {
            // The number of the rebind, then 16 random characters; in a bank reference, a number after them.
            Some(("rbd" | "card", rest)) if rest.len() >= 22 => {
                json!(format!("{}{}", &rest[..6], &rest[22..]))
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(without_random).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), without_random(value)))
                .collect()
        }
        other => other.clone(),
    }
}
