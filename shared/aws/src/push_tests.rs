//! Tests the calls to SNS and the handling of its answers, which are scripted at the SDK's HTTP boundary.

use super::*;
use crate::sns::publishing_client;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::config::{BehaviorVersion, Region};
use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

const APNS: &str = "arn:aws:sns:us-east-1:123456789012:app/APNS/till";
const FCM: &str = "arn:aws:sns:us-east-1:123456789012:app/GCM/till";
const ENDPOINT: &str = "arn:aws:sns:us-east-1:123456789012:endpoint/GCM/till/0000-1";
const ANOTHER: &str = "arn:aws:sns:us-east-1:123456789012:endpoint/GCM/till/0000-2";
const TOKEN: &str = "dev1ceT0ken/with+signs:APA91b";
const TEXT: &str = "结算卡已更换，尾号 8010。";

/// An answer of SNS.
#[derive(Clone, Debug)]
enum Answer {
    /// Success of CreatePlatformEndpoint.
    Made(&'static str),
    /// Success of any other action.
    Done,
    /// Status, code, message.
    Refused(u16, &'static str, String),
    /// The connection breaks.
    Lost,
}

fn refused(code: &'static str, message: &str) -> Answer {
    Answer::Refused(400, code, message.to_owned())
}

fn disabled() -> Answer {
    refused("EndpointDisabled", "Endpoint is disabled")
}

/// Returns the answers in order and records the requests.
#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let form = std::str::from_utf8(request.body().bytes().unwrap()).unwrap();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let fields: BTreeMap<String, String> = form
            .split('&')
            .filter_map(|field| field.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        let action = fields["Action"].clone();
        self.requests.lock().unwrap().push(fields);
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| panic!("unexpected call of {action}"));
        let is_create = action == "CreatePlatformEndpoint";
        let (status, xml) = match answer {
            Answer::Made(endpoint) if is_create => (
                200,
                format!(
                    "<{action}Response><{action}Result><EndpointArn>{endpoint}</EndpointArn>\
                     </{action}Result></{action}Response>"
                ),
            ),
            Answer::Done if !is_create => (
                200,
                format!("<{action}Response><{action}Result/></{action}Response>"),
            ),
            Answer::Refused(status, code, message) => (
                status,
                format!(
                    "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>1</RequestId></ErrorResponse>"
                ),
            ),
            Answer::Lost => {
                let error = aws_smithy_runtime_api::client::result::ConnectorError::io(
                    "connection reset".into(),
                );
                return HttpConnectorFuture::ready(Err(error));
            }
            other => panic!("the script answers {action} with {other:?}"),
        };
        let status = status.try_into().unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(xml))))
    }
}

/// The result of one push.
struct Run {
    result: Result<Pushed, PortError>,
    requests: Vec<BTreeMap<String, String>>,
    log: String,
}

impl Run {
    /// The called actions, in order.
    fn actions(&self) -> Vec<&str> {
        self.requests
            .iter()
            .map(|request| request["Action"].as_str())
            .collect()
    }

    fn pushed(&self) -> Pushed {
        *self.result.as_ref().unwrap()
    }
}

async fn push(platform: PushPlatform, answers: impl IntoIterator<Item = Answer>) -> Run {
    push_with(platform, Some(APNS), Some(FCM), answers).await
}

/// A service with these applications and answers.
fn scripted(
    apns: Option<&str>,
    fcm: Option<&str>,
    answers: impl IntoIterator<Item = Answer>,
) -> (Push, Script) {
    let script = Script {
        answers: Arc::new(Mutex::new(answers.into_iter().collect())),
        requests: Arc::default(),
    };
    let connector = SharedHttpConnector::new(script.clone());
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKID", "SECRET", None, None, "tests",
        )))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        // The shared configuration retries; the publishing client must not.
        .retry_config(RetryConfig::standard())
        .build();
    let owned = |arn: Option<&str>| arn.map(str::to_owned);
    let push = Push::new(publishing_client(&config), owned(apns), owned(fcm));
    (push, script)
}

async fn push_with(
    platform: PushPlatform,
    apns: Option<&str>,
    fcm: Option<&str>,
    answers: impl IntoIterator<Item = Answer>,
) -> Run {
    let (push, script) = scripted(apns, fcm, answers);
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO) // the most verbose level that the template allows
        .with_writer(move || Lines(Arc::clone(&writer)))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let result = push
        .push(platform, &Secret::new(TOKEN.to_owned()), TEXT)
        .await;
    drop(guard);

    let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    let printed = format!("{log}{result:?}");
    for secret in [TOKEN, TEXT, "APA91b", "8010"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    // The client's print contains random numbers, in which four digits can occur by chance.
    let client = format!("{push:?}");
    for secret in [TOKEN, TEXT, "APA91b"] {
        assert!(!client.contains(secret), "{client}");
    }
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(!text.contains("APA91b") && !text.contains("arn:"), "{text}");
    }
    assert!(
        script.answers.lock().unwrap().is_empty(),
        "the script has unused answers"
    );
    let requests = script.requests.lock().unwrap().clone();
    Run {
        result,
        requests,
        log,
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn document(run: &Run, at: usize, platform: &str) -> Value {
    let message: Value = serde_json::from_str(&run.requests[at]["Message"]).unwrap();
    assert_eq!(message["default"], TEXT);
    serde_json::from_str(message[platform].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn push_takes_two_calls_on_each_platform() {
    let run = push(PushPlatform::Fcm, [Answer::Made(ENDPOINT), Answer::Done]).await;
    assert_eq!(run.pushed(), Pushed::Sent);
    assert_eq!(run.actions(), ["CreatePlatformEndpoint", "Publish"]);
    assert_eq!(run.requests[0]["PlatformApplicationArn"], FCM);
    assert_eq!(run.requests[0]["Token"], TOKEN);
    assert_eq!(run.requests[1]["TargetArn"], ENDPOINT);
    assert_eq!(run.requests[1]["MessageStructure"], "json");
    assert!(!run.requests[1].contains_key("PhoneNumber"));
    assert_eq!(
        document(&run, 1, "GCM"),
        json!({"fcmV1Message": {"message": {
            "notification": {"body": TEXT}, "android": {"priority": "high"},
        }}})
    );

    let run = push(PushPlatform::Apns, [Answer::Made(ENDPOINT), Answer::Done]).await;
    assert_eq!(run.pushed(), Pushed::Sent);
    assert_eq!(run.requests[0]["PlatformApplicationArn"], APNS);
    for name in ["APNS", "APNS_SANDBOX"] {
        assert_eq!(
            document(&run, 1, name),
            json!({"aps": {"alert": TEXT, "sound": "default"}})
        );
    }
}

#[tokio::test]
async fn missing_application_means_no_call() {
    for (platform, apns, fcm) in [
        (PushPlatform::Apns, None, Some(FCM)),
        (PushPlatform::Apns, Some(""), Some(FCM)),
        (PushPlatform::Fcm, Some(APNS), None),
        (PushPlatform::Fcm, Some(APNS), Some("")),
    ] {
        let run = push_with(platform, apns, fcm, []).await;
        assert_eq!(run.pushed(), Pushed::NotConfigured);
        assert_eq!(run.actions(), [""; 0]);
    }
}

#[tokio::test]
async fn disabled_endpoint_is_enabled() {
    let answers = [
        Answer::Made(ENDPOINT),
        disabled(),
        Answer::Done,
        Answer::Done,
    ];
    let run = push(PushPlatform::Fcm, answers).await;
    assert_eq!(run.pushed(), Pushed::Sent);
    assert_eq!(
        run.actions(),
        [
            "CreatePlatformEndpoint",
            "Publish",
            "SetEndpointAttributes",
            "Publish"
        ]
    );
    let enabled = &run.requests[2];
    assert_eq!(enabled["EndpointArn"], ENDPOINT);
    let mut attributes: Vec<_> = (1..=2)
        .map(|n| {
            let part = |part: &str| enabled[&format!("Attributes.entry.{n}.{part}")].as_str();
            (part("key"), part("value"))
        })
        .collect();
    attributes.sort_unstable();
    assert_eq!(attributes, [("Enabled", "true"), ("Token", TOKEN)]);
    // The second publish repeats the same message.
    assert_eq!(run.requests[1], run.requests[3]);
}

#[tokio::test]
async fn unusable_endpoint_is_recreated_once() {
    let missing = || refused("NotFound", "Endpoint does not exist");
    let unknown = || {
        refused(
            "InvalidParameter",
            "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified",
        )
    };
    let anew = ["DeleteEndpoint", "CreatePlatformEndpoint", "Publish"];
    let enabling = ["SetEndpointAttributes", "Publish"];
    // Each way to an unusable endpoint: name, answers, calls.
    let ways: [(&str, Vec<Answer>, Vec<&str>); 4] = [
        (
            "disabled twice",
            vec![disabled(), Answer::Done, disabled()],
            enabling.to_vec(),
        ),
        (
            "deleted meanwhile",
            vec![disabled(), missing()],
            vec!["SetEndpointAttributes"],
        ),
        ("missing", vec![missing()], vec![]),
        ("missing, as an invalid parameter", vec![unknown()], vec![]),
    ];
    for (name, way, calls) in ways {
        for (last, pushed) in [
            (Answer::Done, Pushed::Sent),
            (disabled(), Pushed::Gone),
            (missing(), Pushed::Gone),
        ] {
            let mut answers = vec![Answer::Made(ENDPOINT)];
            answers.extend(way.clone());
            answers.extend([Answer::Done, Answer::Made(ANOTHER), last]);
            let run = push(PushPlatform::Fcm, answers).await;
            assert_eq!(run.pushed(), pushed, "{name}");
            let mut expected = vec!["CreatePlatformEndpoint", "Publish"];
            expected.extend(&calls);
            expected.extend(anew);
            assert_eq!(run.actions(), expected, "{name}");
            let deleted = run.requests.len() - 3;
            assert_eq!(run.requests[deleted]["EndpointArn"], ENDPOINT);
            assert_eq!(run.requests[deleted + 2]["TargetArn"], ANOTHER);
        }
    }
}

#[tokio::test]
async fn endpoint_with_other_attributes_is_reused() {
    let exists = format!(
        "Invalid parameter: Token Reason: Endpoint {ANOTHER} already exists with the same Token, \
         but different attributes."
    );
    let answers = [
        refused("InvalidParameter", &exists),
        Answer::Done,
        Answer::Done,
    ];
    let run = push(PushPlatform::Fcm, answers).await;
    assert_eq!(run.pushed(), Pushed::Sent);
    assert_eq!(
        run.actions(),
        ["CreatePlatformEndpoint", "SetEndpointAttributes", "Publish"]
    );
    assert_eq!(run.requests[1]["EndpointArn"], ANOTHER);
    assert_eq!(run.requests[2]["TargetArn"], ANOTHER);
}

#[tokio::test]
async fn malformed_token_is_gone() {
    let message = format!("Invalid parameter: Token Reason: {TOKEN} is not a device token");
    let run = push(PushPlatform::Apns, [refused("InvalidParameter", &message)]).await;
    assert_eq!(run.pushed(), Pushed::Gone);
}

#[tokio::test]
async fn failed_publish_is_classified_and_not_retried() {
    let echo = format!("about {TOKEN} and {TEXT}");
    let server = |code| Answer::Refused(500, code, echo.clone());
    let client = |code| refused(code, &echo);
    for (answer, is_transient, code) in [
        (Answer::Lost, true, "no answer"),
        (server("InternalError"), true, "InternalError"),
        (client("Throttling"), true, "Throttling"),
        (client("AuthorizationError"), false, "AuthorizationError"),
        (
            client("PlatformApplicationDisabled"),
            false,
            "PlatformApplicationDisabled",
        ),
        (client("InvalidParameter"), false, "InvalidParameter"),
    ] {
        for made in [vec![], vec![Answer::Made(ENDPOINT)]] {
            let calls = made.len() + 1;
            let answers = made.into_iter().chain([answer.clone()]);
            let run = push(PushPlatform::Fcm, answers).await;
            let error = run.result.unwrap_err();
            assert_eq!(run.requests.len(), calls, "{code}: {}", run.log);
            assert_eq!(
                matches!(error, PortError::Transient(..)),
                is_transient,
                "{code}"
            );
            assert!(error.to_string().ends_with(code), "{error}");
        }
    }
}

#[tokio::test]
async fn forgotten_token_loses_its_endpoint() {
    let malformed = refused("InvalidParameter", "Invalid parameter: Token Reason: bad");
    let (create, delete) = ("CreatePlatformEndpoint", "DeleteEndpoint");
    for (fcm, answers, actions, is_done) in [
        (
            Some(FCM),
            vec![Answer::Made(ENDPOINT), Answer::Done],
            vec![create, delete],
            true,
        ),
        (Some(FCM), vec![malformed], vec![create], true),
        (
            Some(FCM),
            vec![Answer::Made(ENDPOINT), Answer::Lost],
            vec![create, delete],
            false,
        ),
        (None, vec![], vec![], true),
    ] {
        let (push, script) = scripted(None, fcm, answers);
        let token = Secret::new(TOKEN.to_owned());
        let forgotten = push.forget(PushPlatform::Fcm, &token).await;
        assert_eq!(forgotten.is_ok(), is_done, "{forgotten:?}");
        let requests = script.requests.lock().unwrap();
        let sent: Vec<&str> = requests.iter().map(|one| one["Action"].as_str()).collect();
        assert_eq!(sent, actions);
        let deleted = requests.iter().find(|one| one["Action"] == delete);
        assert!(deleted.is_none_or(|one| one["EndpointArn"] == ENDPOINT));
    }
}
