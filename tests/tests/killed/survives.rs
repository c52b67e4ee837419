//! What does not end a process: requests that end one built on `lambda_http`, events of any shape, a panic. The process
//! that was asked before answers what is asked after.

use crate::walk::Walk;
use serde_json::{Value, json};
use shared::domain::policy::DAY_S;
use shared::edge::serve::wall_clock;
use shared::store::seed::World;
use std::collections::HashMap;
use tests::host::template::{TABLE, Template};
use tests::host::{Host, Outcome, Sender, request};
use tests::metrics::metric;
use tests::world::{GOOD_CARD, RESERVED_PHONE, merchant};

/// Events that a gateway, a stream or a scheduler would hardly send.
fn strange_events() -> Vec<Value> {
    let deep = (0..200).fold(json!("{"), |inner, _| json!([inner]));
    let plain = |path: &str| request("GET", path, HashMap::new(), "203.0.113.7", "");
    let mut query = plain("/v1/cards");
    query["rawQueryString"] = json!("a={|\"<&%ff=%&=&&\u{0}");
    let mut host = plain("/v1/cards");
    host["headers"]["host"] = json!("a:99999");
    let mut base64 = request("POST", "/v1/sessions", HashMap::new(), "203.0.113.7", "%%%");
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
        request(
            "POST",
            "/v1/sessions",
            HashMap::new(),
            "not an address",
            &long,
        ),
        request(
            "POST",
            "/v1/rebinds",
            HashMap::new(),
            "",
            &"[".repeat(16_000),
        ),
        request(
            "POST",
            "/v1/freezes",
            HashMap::new(),
            "",
            "\u{feff}{\"account\":1e999}",
        ),
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

async fn seed(host: &Host, id: &str) {
    let merchants = World::sandbox().unwrap().merchants;
    let seed = merchants.iter().find(|seed| seed.merchant_id == id);
    host.cloud.seed(seed.unwrap(), wall_clock()).await;
}

#[tokio::test]
async fn no_event_ends_a_process() {
    let host = Host::start().await;
    let (mut sent, mut ended) = (0, 0);
    for deployed in Template::load().functions().values() {
        let function = deployed.name.as_str();
        // The first one starts it.
        host.invoke(function, &json!({})).await;
        let pid = host.pids(function);
        assert_eq!(pid.len(), 1);
        for event in strange_events() {
            sent += 1;
            let outcome = host.invoke(function, &event).await;
            let died = matches!(outcome, Outcome::Died(_)) || host.pids(function) != pid;
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
    metric("strange events, to every function", sent, ended);
    assert_eq!(ended, 0);
}

/// From outside no panic was found that could be had for the asking. One is had from a damaged record: a version that
/// cannot be counted up, which a build with overflow checks does not take.
#[tokio::test]
async fn a_panic_is_answered_and_the_process_goes_on() {
    let host = Host::start().await;
    seed(&host, Walk::id().as_str()).await;
    let merchant = merchant("plain_1");
    let mut sender = Sender {
        source: "203.0.113.7".to_owned(),
        token: None,
        now: wall_clock(),
    };
    let login =
        json!({"account": merchant.account, "password": merchant.password, "device_id": "a phone"});
    let login = sender.event("POST", "/v1/sessions", None, &login);
    let login = host.send(&login).await.unwrap();
    sender.token = Some(login.body["token"].as_str().unwrap().to_owned());
    let wish = json!({
        "card_number": GOOD_CARD,
        "holder_name": merchant.holder_name,
        "reserved_phone": RESERVED_PHONE,
        "reason": "replace",
    });
    let wish = sender.event("POST", "/v1/rebinds", Some("key"), &wish);
    let sound = head(&host, Walk::id().as_str());
    host.cloud.put(TABLE, &damaged(&sound));
    let refused = host.send(&wish).await.unwrap();
    let pid = host.pids("rebind-request");
    assert_eq!((refused.status, refused.code()), (500, "INTERNAL"));
    assert_eq!(refused.body["support_ref"], "host");
    let log = host.log().join("\n");
    assert!(log.contains("panic.place"), "it was a panic: {log}");
    assert!(!log.contains(GOOD_CARD));
    host.cloud.put(TABLE, &sound);
    let done = host.send(&wish).await.unwrap();
    assert_eq!(done.status, 201, "{:?}", done.body);
    assert_eq!(host.pids("rebind-request"), pid);
}

/// Where no request waits for an answer, the runtime's own net holds: the run fails, the process does not.
#[tokio::test]
async fn a_panic_in_the_clean_up_fails_the_run_only() {
    const ID: &str = "mer_in_cooldown";
    let host = Host::start().await;
    seed(&host, ID).await;
    let sound = head(&host, ID);
    host.cloud.put(TABLE, &damaged(&sound));
    let run = json!({"time": wall_clock().plus_s(40 * DAY_S).to_rfc3339_shanghai()});
    let failed = host.invoke("cooldown-cleanup", &run).await;
    let pid = host.pids("cooldown-cleanup");
    assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
    host.cloud.put(TABLE, &sound);
    let done = host.invoke("cooldown-cleanup", &run).await;
    assert!(
        matches!(&done, Outcome::Answered(summary) if summary["cooldowns_ended"] == 1),
        "{done:?}"
    );
    assert_eq!(host.pids("cooldown-cleanup"), pid);
}

fn head(host: &Host, id: &str) -> Value {
    let pk = format!("M#{id}");
    let items = host.cloud.items(TABLE);
    let head = items
        .into_iter()
        .find(|item| item["pk"]["S"] == pk.as_str() && item["sk"]["S"] == "Y");
    head.unwrap()
}

fn damaged(head: &Value) -> Value {
    let mut head = head.clone();
    head["version"] = json!({"N": u64::MAX.to_string()});
    head
}

/// A panic can be caught only where it unwinds.
#[test]
fn what_is_deployed_unwinds() {
    let manifest = include_str!("../../../Cargo.toml");
    let (_, release) = manifest.split_once("[profile.release]").unwrap();
    assert!(release.contains("panic = \"unwind\""));
    assert!(!manifest.contains("\"abort\""));
}

/// Should the tests be killed, their processes are not left behind.
#[tokio::test]
async fn a_process_without_a_runtime_api_ends_by_itself() {
    let host = Host::start().await;
    host.invoke("cards", &json!({})).await;
    let ended = host.orphan("cards").await;
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
}
