//! Inputs that must not end a process: requests that end one built on `lambda_http`, events of any shape, a panic. The same
//! process must answer the request that follows.

use application::clock::wall_clock;
use domain::policy::DAY_S;
use serde_json::{Value, json};
use store::seed::World;
use tests::merchant::{GOOD_CARD, Merchant, merchant};
use tests::metrics::metric;
use tests::processes::template::{TABLE, Template};
use tests::processes::{Outcome, Processes};
use tests::transport::HttpCall;
use tests::walk::Walk;

/// Events that a gateway, a stream or a scheduler is unlikely to send.
fn strange_events() -> Vec<Value> {
    let deep = (0..200).fold(json!("{"), |inner, _| json!([inner]));
    let plain = |path: &str| HttpCall::new("GET", path).event();
    let post = |path: &str, source: &str, body: &str| {
        let call = HttpCall::new("POST", path).from(source);
        call.bytes("application/json", body.to_owned()).event()
    };
    let mut query = plain("/v1/cards");
    query["rawQueryString"] = json!("a={|\"<&%ff=%&=&&\u{0}");
    let mut host = plain("/v1/cards");
    host["headers"]["host"] = json!("a:99999");
    let mut base64 = post("/v1/sessions", "203.0.113.7", "%%%");
    base64["isBase64Encoded"] = json!(true);
    let mut method = plain("/v1/rebinds");
    method["requestContext"]["http"]["method"] = json!("\u{202e}GET\r\n");
    let long = "中".repeat(70_000);
    vec![
        query,
        host,
        base64,
        method,
        plain(&format!("/{}", "%00/".repeat(5_000))),
        plain("//v1/../../etc/passwd"),
        post("/v1/sessions", "not an address", &long),
        post("/v1/rebinds", "", &"[".repeat(16_000)),
        post("/v1/freezes", "", "\u{feff}{\"account\":1e999}"),
        json!({"requestContext": null, "headers": [], "body": {"a": 1}, "rawPath": 7}),
        json!({"requestContext": {"http": []}, "headers": {"authorization": ["Bearer x"]}}),
        json!({"Records": null}),
        json!({"Records": [null, 7, "x", {}, {"dynamodb": {"Keys": {"pk": {"S": "M#"}, "sk": {"S": "E#99999999999999999999"}}}}]}),
        json!({"Records": {"0": {}}}),
        json!({"time": 7}),
        json!({"time": "+1000000-01-01T00:00:00Z"}),
        json!({"operation": "create_payout", "payout_id": null, "amount_fen": -1}),
        json!({"operation": ["payout_sent"]}),
        json!({}),
        json!([]),
        json!(null),
        json!("text"),
        json!(1e300),
        deep,
    ]
}

async fn seed(system: &Processes, id: &str) {
    let merchants = World::sandbox().unwrap().merchants;
    let seed = merchants.iter().find(|seed| seed.merchant_id == id);
    system.cloud.seed(seed.unwrap(), wall_clock()).await;
}

#[tokio::test]
async fn no_event_ends_a_process() {
    let system = Processes::start().await;
    let (mut sent, mut ended) = (0, 0);
    for deployed in Template::load().functions().values() {
        let function = deployed.name.as_str();
        // The first request starts the process.
        system.run(function, &json!({})).await;
        let pid = system.pids(function);
        assert_eq!(pid.len(), 1);
        for event in strange_events() {
            sent += 1;
            let outcome = system.run(function, &event).await;
            let died = matches!(outcome, Outcome::Died(_)) || system.pids(function) != pid;
            ended += usize::from(died);
            let Outcome::Answered(reply) = outcome else {
                continue;
            };
            let status = reply["statusCode"].as_u64();
            assert!(
                status.is_none_or(|status| status < 500),
                "{function}: {event} -> {reply}"
            );
        }
    }
    metric("unusual events to every function", sent, ended);
    assert_eq!(ended, 0);
}

/// No known external input causes a panic. A damaged record does: its version cannot be incremented, which panics in a build
/// with overflow checks.
#[tokio::test]
async fn process_survives_a_panic() {
    let system = Processes::start().await;
    seed(&system, Walk::id().as_str()).await;
    let merchant = Merchant::log_in(&system, &merchant("plain_1"), "a phone").await;
    let wish = merchant.ask("POST", "/v1/rebinds").key("key");
    let wish = wish.json(&merchant.request_body(GOOD_CARD));
    let sound = state_of(&system, Walk::id().as_str());
    system.cloud.put(TABLE, &damaged(&sound));
    let refused = wish.clone().send().await;
    let pid = system.pids("rebind-request");
    assert_eq!((refused.status, refused.code()), (500, "INTERNAL"));
    assert_eq!(refused.body["support_ref"], "req-1");
    let log = system.log().join("\n");
    assert!(log.contains("panic.place"), "no panic in the log: {log}");
    assert!(!log.contains(GOOD_CARD));
    system.cloud.put(TABLE, &sound);
    wish.send().await.ok(201);
    assert_eq!(system.pids("rebind-request"), pid);
}

/// If no request waits for a reply, the runtime catches the panic: the run fails, the process survives.
#[tokio::test]
async fn cleanup_panic_fails_only_its_run() {
    const ID: &str = "mer_in_cooldown";
    let system = Processes::start().await;
    seed(&system, ID).await;
    let sound = state_of(&system, ID);
    system.cloud.put(TABLE, &damaged(&sound));
    let run = json!({"time": wall_clock().plus_s(40 * DAY_S).to_rfc3339_shanghai()});
    let failed = system.run("cooldown-cleanup", &run).await;
    let pid = system.pids("cooldown-cleanup");
    assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    system.cloud.put(TABLE, &sound);
    let done = system.run("cooldown-cleanup", &run).await;
    assert!(
        matches!(&done, Outcome::Answered(summary) if summary["cooldowns_ended"] == 1),
        "{done:?}"
    );
    assert_eq!(system.pids("cooldown-cleanup"), pid);
}

fn state_of(system: &Processes, id: &str) -> Value {
    let pk = format!("M#{id}");
    let items = system.cloud.items(TABLE);
    let state = items
        .into_iter()
        .find(|item| item["pk"]["S"] == pk.as_str() && item["sk"]["S"] == "Y");
    state.unwrap()
}

fn damaged(state: &Value) -> Value {
    let mut state = state.clone();
    state["version"] = json!({"N": u64::MAX.to_string()});
    state
}

/// A panic can be caught only if it unwinds.
#[test]
fn release_profile_unwinds() {
    let manifest = include_str!("../../../Cargo.toml");
    let (_, release) = manifest.split_once("[profile.release]").unwrap();
    assert!(release.contains("panic = \"unwind\""));
    assert!(!manifest.contains("\"abort\""));
}

/// If the tests are killed, their processes end too.
#[tokio::test]
async fn orphaned_process_ends() {
    let system = Processes::start().await;
    system.run("cards", &json!({})).await;
    let ended = system.orphan("cards").await;
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
}
