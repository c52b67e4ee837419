//! How processes start: at the stage of their tables only, behind a front door, and with services that do not answer.

use application::front_door::{SECRET_HEADER, VIEWER_HEADER};
use futures::FutureExt as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tests::processes::template::{RECORD_TABLE, Template};
use tests::processes::{Options, Outcome, Processes};
use tests::transport::HttpCall;
use tokio::net::TcpListener;

/// Lambda ends an init after this time.
const INIT_MAX: Duration = Duration::from_secs(10);

/// The functions that read the mark: all but the two that do not read the record table, and the simulated services.
fn staged() -> Vec<String> {
    let functions = Template::load().functions().into_values();
    let names = functions.map(|deployed| deployed.name);
    names
        .filter(|name| {
            !["events", "anchor"].contains(&name.as_str()) && !name.starts_with("sandbox-")
        })
        .collect()
}

async fn at_stage(settings: Vec<(&'static str, String)>) -> Processes {
    Processes::with(Options {
        settings,
        ..Options::default()
    })
    .await
}

/// A service that accepts connections and never answers.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    url
}

fn marked(stage: &str) -> Value {
    json!({"pk": {"S": "M#"}, "sk": {"S": "STAGE"}, "stage": {"S": stage}, "v": {"N": "1"}})
}

async fn refuses(system: &Processes, function: &str) {
    // The host panics with what the process has written.
    let started = AssertUnwindSafe(system.prepare(function)).catch_unwind();
    let panic = started.await.unwrap_err();
    let written = panic.downcast_ref::<String>().unwrap();
    let refused = "the tables belong to the stage production, and this function to sandbox";
    assert!(written.contains(refused), "{written}");
}

#[tokio::test]
async fn function_refuses_the_tables_of_another_stage() {
    let system = at_stage(Vec::new()).await;
    system.cloud.put(RECORD_TABLE, &marked("production"));
    for function in &staged() {
        refuses(&system, function).await;
    }

    system.cloud.put(RECORD_TABLE, &marked("sandbox"));
    for function in &staged() {
        let outcome = system.run(function, &json!({})).await;
        assert!(
            !matches!(outcome, Outcome::Died(_)),
            "{function}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn silent_keys_do_not_hide_another_stage() {
    let system = at_stage(vec![("AWS_ENDPOINT_URL_KMS", silent().await)]).await;
    system.cloud.put(RECORD_TABLE, &marked("production"));
    refuses(&system, "cards").await;
}

/// The first function that may write the record table marks it.
#[tokio::test]
async fn operators_function_marks_the_tables() {
    let system = at_stage(Vec::new()).await;
    system.run("operator", &json!({})).await;
    let production = at_stage(vec![("STAGE", "production".to_owned())]).await;
    production.run("operator", &json!({})).await;
    for (system, stage) in [(&system, "sandbox"), (&production, "production")] {
        let items = system.cloud.items(RECORD_TABLE);
        let mark = items.iter().find(|item| item["sk"]["S"] == "STAGE");
        let mark = mark.unwrap_or_else(|| panic!("{:?}", system.log()));
        assert_eq!(mark["stage"]["S"], stage);
    }
}

#[tokio::test]
async fn function_behind_a_front_door_takes_the_client_from_it() {
    let secret = "0123456789abcdef0123456789abcdef";
    let hash = hex::encode(Sha256::digest(secret));
    let system = at_stage(vec![("ORIGIN_SECRET_HASHES", hash)]).await;
    let cards = HttpCall::new("GET", "/v1/cards");
    let around = system.send(&cards.event()).await.unwrap();
    assert_eq!((around.status, around.code()), (403, "FRONT_DOOR_REQUIRED"));
    let viewer = cards.header(VIEWER_HEADER, "203.0.113.7:46532");
    let forged = system.send(&viewer.event()).await.unwrap();
    assert_eq!((forged.status, forged.code()), (403, "FRONT_DOOR_REQUIRED"));
    let through = viewer.header(SECRET_HEADER, secret);
    let reply = system.send(&through.event()).await.unwrap();
    assert_eq!((reply.status, reply.code()), (401, "SESSION_EXPIRED"));
    let log = system.log().join("\n");
    assert!(!log.contains(secret), "the secret is not logged");
}

/// No service answers. With real merchants, every function starts in time all the same.
#[tokio::test]
async fn init_is_short_whatever_fails() {
    let silent = silent().await;
    let services = ["DYNAMODB", "KMS", "SECRETS_MANAGER", "SNS", "SQS", "S3"];
    let mut settings = vec![("STAGE", "production".to_owned())];
    settings.extend(services.map(|service| {
        let name = format!("AWS_ENDPOINT_URL_{service}");
        (&*name.leak(), silent.clone())
    }));
    let system = at_stage(settings).await;
    for deployed in Template::load().functions().values() {
        if deployed.name.starts_with("sandbox-") {
            continue;
        }
        let started = Instant::now();
        system.prepare(&deployed.name).await;
        let took = started.elapsed();
        // A seventh of a processor makes the work seven times longer, and waiting no longer at all.
        assert!(
            took < INIT_MAX - Duration::from_secs(4),
            "{}: {took:?}",
            deployed.name
        );
    }
}
