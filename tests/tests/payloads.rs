//! Each handler with captured events (`tests/payloads`) of the running gateway and the running stream, with the placeholders
//! filled in. Every reply is checked against `infra/openapi.json`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use api::routes::Route;
use domain::policy::Policy;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tests::in_process::InProcess;
use tests::merchant::{DEVICE, GOOD_CARD, Profile, RESERVED_PHONE, SECOND_CARD, merchant};
use tests::openapi::Contract;
use tests::payloads::{FOLDER, file_name, filled, read};
use tests::transport::{Reply, is_otp};

/// A merchant with an app that sends captured events.
struct CapturedApp {
    world: Arc<InProcess>,
    contract: Contract,
    merchant: Profile,
    /// Each placeholder and its value.
    words: Vec<(&'static str, String)>,
    /// The files that were used.
    used: BTreeSet<String>,
    keys: u32,
}

impl CapturedApp {
    fn new(world: &Arc<InProcess>, name: &str) -> Self {
        let merchant = merchant(name);
        let mut app = Self {
            world: Arc::clone(world),
            contract: Contract::load().unwrap(),
            words: Vec::new(),
            used: BTreeSet::new(),
            keys: 0,
            merchant,
        };
        for (word, value) in [
            ("ACCOUNT", app.merchant.account.clone()),
            ("PASSWORD", app.merchant.password.clone()),
            ("DEVICE_ID", DEVICE.to_owned()),
            ("DOCUMENT_NUMBER", app.merchant.document_number.clone()),
            ("CARD_NUMBER", GOOD_CARD.to_owned()),
            ("RESERVED_PHONE", RESERVED_PHONE.to_owned()),
            ("测试商户", app.merchant.holder_name.clone()),
        ] {
            app.set(word, &value);
        }
        app
    }

    fn set(&mut self, word: &'static str, value: &str) {
        self.words.retain(|(known, _)| *known != word);
        self.words.push((word, value.to_owned()));
    }

    /// Sends the captured event of a route.
    async fn send(&mut self, route: &str) -> Reply {
        let file = file_name(route);
        self.keys += 1;
        self.set("IDEMPOTENCY_KEY", &format!("payload-{}", self.keys));
        self.set("SANDBOX_NOW", &self.world.now().to_rfc3339_shanghai());
        let words: Vec<(&str, &str)> = self
            .words
            .iter()
            .map(|(word, value)| (*word, value.as_str()))
            .collect();
        let event = filled(&read(&file), &words);
        self.used.insert(file);
        let (method, path) = (
            text(&event, "/requestContext/http/method"),
            text(&event, "/rawPath"),
        );
        let answer = self.world.send(event).await;
        let content_type = answer.header("content-type");
        let checked =
            self.contract
                .validate(&method, &path, answer.status, content_type, &answer.body);
        assert_eq!(checked, Ok(()), "{route}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{route}");
        answer
    }

    /// Sends it and expects success.
    async fn succeed(&mut self, route: &str, status: u16) -> Value {
        let answer = self.send(route).await;
        assert_eq!(answer.status, status, "{route}: {:?}", answer.body["code"]);
        answer.body
    }

    async fn log_in(&mut self) {
        let login = self.succeed("POST /v1/sessions", 201).await;
        self.set("TOKEN", login["token"].as_str().unwrap());
    }

    async fn request(&mut self) {
        let created = self.succeed("POST /v1/rebinds", 201).await;
        self.set("REBIND_ID", created["rebind_id"].as_str().unwrap());
    }
}

fn text(event: &Value, pointer: &str) -> String {
    event
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn handlers_accept_captured_events() {
    let world = InProcess::start().await;
    let mut app = CapturedApp::new(&world, "plain_1");
    app.log_in().await;
    app.succeed("GET /v1/cards", 200).await;

    app.request().await;
    app.succeed("GET /v1/rebinds/{id}", 200).await;
    let given_up = app.succeed("POST /v1/rebinds/{id}/cancel", 200).await;
    assert_eq!(given_up["state"], "cancelled");

    app.request().await;
    app.succeed("POST /v1/rebinds/{id}/identity", 200).await;
    world.pass_s(60);
    app.succeed("POST /v1/rebinds/{id}/identity/code", 200)
        .await;
    let code = world.sms.code(&app.merchant.phone);
    app.set("CODE", &code);
    app.succeed("POST /v1/rebinds/{id}/identity/confirm", 200)
        .await;
    let shown = app.succeed("GET /v1/rebinds/{id}/agreement", 200).await;
    assert_eq!(shown["lang"], "zh-CN");
    world.pass_s(10);
    for (word, name) in [
        ("VERSION", "version"),
        ("SHA256", "sha256"),
        ("READING_TOKEN", "reading_token"),
    ] {
        app.set(word, shown[name].as_str().unwrap());
    }
    app.succeed("POST /v1/rebinds/{id}/agreement", 200).await;
    app.succeed("POST /v1/rebinds/{id}/card-check", 200).await;
    world.pass_s(60);
    app.succeed("POST /v1/rebinds/{id}/card-check/code", 200)
        .await;
    app.set("CODE", &world.sms.code(RESERVED_PHONE));
    let activated = app
        .succeed("POST /v1/rebinds/{id}/card-check/confirm", 200)
        .await;
    assert_eq!(activated["state"], "activated");

    // A stream event leads to one SMS per phone, and its repetition to none.
    let record = filled(
        &read("stream_notice.json"),
        &[("MERCHANT_ID", "mer_plain_1")],
    );
    app.used.insert("stream_notice.json".to_owned());
    let due = world.due_notifications().await;
    let due = due["Records"].as_array().unwrap();
    let keys: Vec<&Value> = due
        .iter()
        .map(|record| &record["dynamodb"]["Keys"])
        .collect();
    let mut batch = record;
    batch["Records"][0]["dynamodb"]["Keys"]["sk"] = keys[0]["sk"].clone();
    assert_eq!(
        batch["Records"][0]["dynamodb"]["Keys"], *keys[0],
        "the only due notification"
    );
    for _ in 0..2 {
        let reply = world.deliver(batch.clone(), world.now()).await;
        assert_eq!(reply, json!({"batchItemFailures": []}));
        let notifications = |phone: &str| {
            world
                .sms
                .to(phone)
                .into_iter()
                .filter(|text| !is_otp(text))
                .count()
        };
        assert_eq!(
            (
                notifications(&app.merchant.phone),
                notifications(RESERVED_PHONE)
            ),
            (1, 1)
        );
    }

    let tested = app
        .succeed("POST /v1/rebinds/{id}/test-transaction", 200)
        .await;
    assert_eq!(tested["status"], "succeeded");
    app.words
        .push(("cursor=000002", "cursor=000003".to_owned()));
    let page = app.succeed("GET /v1/rebinds", 200).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    app.succeed("DELETE /v1/sessions", 204).await;
    app.send("$default").await.is(404, "NOT_FOUND");
    let gone = app.send("DELETE /v1/sessions/current").await;
    assert_eq!((gone.status, &gone.body), (204, &Value::Null));
    app.send("GET /v1/cards").await.is(401, "SESSION_EXPIRED");
    app.log_in().await;
    let frozen = app.succeed("POST /v1/rebinds/{id}/freeze", 200).await;
    assert_eq!(frozen["state"], "frozen");

    let others = money_and_settings(&world).await;
    app.used.extend(others);
    app.used.extend(a_switch_and_a_freeze(&world).await);
    assert_eq!(app.used, files(), "every captured event is used");
}

fn files() -> BTreeSet<String> {
    let files = std::fs::read_dir(FOLDER).unwrap();
    files
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_route_has_a_captured_event() {
    let routes = Route::ALL.iter().map(|route| file_name(route.label()));
    let others = ["default.json", "stream_notice.json"].map(str::to_owned);
    let expected: BTreeSet<String> = routes.chain(others).collect();
    assert_eq!(
        files(),
        expected,
        "add the route to `requests` in tests/tests/e2e/payloads.rs, then run \
         `E2E_CAPTURE=1 E2E=payloads cargo test -p tests --test e2e`"
    );
}

/// The routes without a rebind; returns the files that were used.
async fn money_and_settings(world: &Arc<InProcess>) -> BTreeSet<String> {
    let mut app = CapturedApp::new(world, "plain_2");
    app.log_in().await;
    app.set("PUSH_TARGET_ID", "phone-1");
    app.set("PUSH_TOKEN", "a-token");
    let payouts = app.succeed("GET /v1/payouts", 200).await;
    assert_eq!(payouts["items"].as_array().unwrap().len(), 2);
    let before = app.succeed("GET /v1/settlement", 200).await;
    let after = app.succeed("PUT /v1/settlement", 200).await;
    assert_ne!(before, after);
    for route in ["PUT /v1/push-targets/{id}", "DELETE /v1/push-targets/{id}"] {
        assert_eq!(app.succeed(route, 204).await, Value::Null);
    }
    app.send("GET /v1/history").await.ok(200);
    app.send("GET /v1/history/receipt").await.ok(200);
    app.used
}

/// A switch to a standby card, the removal of the card before it, and a freeze.
async fn a_switch_and_a_freeze(world: &Arc<InProcess>) -> BTreeSet<String> {
    // The minimum gap since the last OTP to this reserved phone.
    world.pass_s(Policy::CURRENT.code_gap_s);
    let phone = world.log_in("plain_3").await;
    let card = phone.standby(SECOND_CARD).await;
    world.pass_s(Policy::CURRENT.standby_wait_s);
    let phone = phone.again().await;
    let code = phone.switch_code(&card).await;
    let mut app = CapturedApp::new(world, "plain_3");
    app.set("TOKEN", &phone.token);
    app.set("CARD_ID", card.rsplit('/').next().unwrap());
    app.set("CODE", code["code"].as_str().unwrap());
    let switched = app.succeed("POST /v1/cards/{card_id}/activate", 200).await;
    assert_eq!(switched["state"], "activated");
    let freeze_code = phone.freeze_code().await;

    world.pass_s(Policy::CURRENT.retire_after_effective_s);
    app.set("TOKEN", &phone.again().await.token);
    app.set("CARD_ID", text(&switched, "/old_card/card_id").as_str());
    app.succeed("POST /v1/cards/{card_id}/unbind", 204).await;
    app.set("FREEZE_CODE", &freeze_code);
    let received = app.succeed("POST /v1/freezes", 202).await;
    assert_eq!(received, json!({"status": "received"}));
    app.used
}
