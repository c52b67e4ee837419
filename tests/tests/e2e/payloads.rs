//! The events in `tests/payloads` match the events that the running gateway and the running stream send to a function.
//!
//! A probe that replies with its own event serves the same routes as the API. In the files, words in capitals replace
//! every value that is secret or differs each time. `E2E_CAPTURE=1` rewrites the files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use local::http::Http;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::local_cloud::LocalCloud;
use tests::merchant::{Profile, merchant};
use tests::payloads;

const PROBE: &str = "import json\n\ndef handler(event, context):\n    if 'Records' in event:\n        \
                     print(json.dumps(event))\n        return {}\n    \
                     return {'statusCode': 200, 'body': json.dumps(event)}\n";

/// The request that an app sends to each route: path with query, and body.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let code = json!({"code": "CODE"});
    let merchant = Profile {
        holder_name: "测试商户".to_owned(),
        reserved_phone: "RESERVED_PHONE".to_owned(),
        ..merchant("plain_1")
    };
    vec![
        (
            "POST /v1/sessions",
            "/v1/sessions",
            json!({"account": "ACCOUNT", "password": "PASSWORD", "device_id": "DEVICE_ID"}),
        ),
        ("DELETE /v1/sessions", "/v1/sessions", Value::Null),
        (
            "DELETE /v1/sessions/current",
            "/v1/sessions/current",
            Value::Null,
        ),
        ("GET /v1/cards", "/v1/cards", Value::Null),
        ("$default", "/v1/nothing/here?x=1&y=a%20b", Value::Null),
        (
            "POST /v1/rebinds",
            "/v1/rebinds",
            merchant.request_body("CARD_NUMBER"),
        ),
        ("GET /v1/rebinds", "/v1/rebinds?cursor=000002", Value::Null),
        ("GET /v1/rebinds/{id}", "/v1/rebinds/REBIND_ID", Value::Null),
        (
            "POST /v1/rebinds/{id}/cancel",
            "/v1/rebinds/REBIND_ID/cancel",
            Value::Null,
        ),
        (
            "POST /v1/rebinds/{id}/freeze",
            "/v1/rebinds/REBIND_ID/freeze",
            Value::Null,
        ),
        (
            "POST /v1/rebinds/{id}/identity",
            "/v1/rebinds/REBIND_ID/identity",
            json!({"document_number": "DOCUMENT_NUMBER", "document_expires_on": "long_term"}),
        ),
        (
            "POST /v1/rebinds/{id}/identity/code",
            "/v1/rebinds/REBIND_ID/identity/code",
            json!({}),
        ),
        (
            "POST /v1/rebinds/{id}/identity/confirm",
            "/v1/rebinds/REBIND_ID/identity/confirm",
            code.clone(),
        ),
        (
            "POST /v1/rebinds/{id}/card-check",
            "/v1/rebinds/REBIND_ID/card-check",
            Value::Null,
        ),
        (
            "POST /v1/rebinds/{id}/card-check/code",
            "/v1/rebinds/REBIND_ID/card-check/code",
            json!({}),
        ),
        (
            "POST /v1/rebinds/{id}/card-check/confirm",
            "/v1/rebinds/REBIND_ID/card-check/confirm",
            code,
        ),
        (
            "GET /v1/rebinds/{id}/agreement",
            "/v1/rebinds/REBIND_ID/agreement?lang=zh-CN",
            Value::Null,
        ),
        (
            "POST /v1/rebinds/{id}/agreement",
            "/v1/rebinds/REBIND_ID/agreement",
            json!({
                "version": "VERSION",
                "sha256": "SHA256",
                "reading_token": "READING_TOKEN",
                "signed_name": "测试商户",
                "consents": ["settlement_change", "sensitive_card", "sensitive_identity"],
            }),
        ),
        (
            "POST /v1/rebinds/{id}/test-transaction",
            "/v1/rebinds/REBIND_ID/test-transaction",
            Value::Null,
        ),
        (
            "POST /v1/cards/{card_id}/unbind",
            "/v1/cards/CARD_ID/unbind",
            Value::Null,
        ),
        (
            "POST /v1/cards/{card_id}/activate",
            "/v1/cards/CARD_ID/activate",
            json!({"code": "CODE"}),
        ),
        ("GET /v1/payouts", "/v1/payouts", Value::Null),
        ("GET /v1/settlement", "/v1/settlement", Value::Null),
        (
            "PUT /v1/settlement",
            "/v1/settlement",
            json!({
                "cycle": "D1",
                "payout_time": "18:30",
                "retained_fen": 100,
                "daily_limit_fen": 3_000_000,
            }),
        ),
        (
            "PUT /v1/push-targets/{id}",
            "/v1/push-targets/PUSH_TARGET_ID",
            json!({"platform": "fcm", "token": "PUSH_TOKEN"}),
        ),
        (
            "DELETE /v1/push-targets/{id}",
            "/v1/push-targets/PUSH_TARGET_ID",
            Value::Null,
        ),
        ("GET /v1/history", "/v1/history?cursor=21", Value::Null),
        (
            "GET /v1/history/receipt",
            "/v1/history/receipt",
            Value::Null,
        ),
        (
            "POST /v1/freezes",
            "/v1/freezes",
            json!({"account": "ACCOUNT", "freeze_code": "FREEZE_CODE"}),
        ),
    ]
}

/// Each route's event, and the stream's.
pub async fn events_match_captured_payloads(live: &LocalCloud) {
    let probe = Probe::deploy(live).await;
    let mut routes = probe.routes.clone();
    routes.sort();
    let requests = requests();
    let mut known: Vec<&str> = requests.iter().map(|(route, _, _)| *route).collect();
    known.sort_unstable();
    assert_eq!(routes, known, "each route has its request");
    for (route, path, body) in &requests {
        let event = probe.event(route, path, body).await;
        compare(&payloads::file_name(route), &event);
    }

    let (merchant, app) = live.logged_in().await;
    app.activate(&live.card()).await;
    let batch = probe.stream_batch(live, &merchant).await;
    compare("stream_notice.json", &batch);
}

/// Compares an event with its file: the same members of the same types, and the same values unless they are generated each
/// time.
fn compare(file: &str, event: &Value) {
    let path = PathBuf::from(payloads::FOLDER).join(file);
    if std::env::var_os("E2E_CAPTURE").is_some() {
        std::fs::write(&path, format!("{event:#}\n")).unwrap();
        return;
    }
    assert_eq!(
        *event,
        payloads::read(file),
        "{file}: E2E_CAPTURE=1 rewrites it"
    );
}

/// A function that replies with its event, behind the API's routes.
struct Probe {
    url: String,
    routes: Vec<String>,
}

impl Probe {
    async fn deploy(live: &LocalCloud) -> Self {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(
            "index.py",
            zip::write::SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored),
        )
        .unwrap();
        zip.write_all(PROBE.as_bytes()).unwrap();
        let code = zip.finish().unwrap().into_inner();
        let role = live.system.resource("ConfirmationNoticeRole").unwrap();
        let made = rest(
            live,
            "lambda",
            &Method::POST,
            "/2015-03-31/functions",
            &json!({
                "FunctionName": "probe",
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "Role": format!("arn:aws:iam::000000000000:role/{role}"),
                "Code": {"ZipFile": STANDARD.encode(code)},
            }),
        )
        .await;
        let ours = live.system.endpoints().api_url.rsplit('/').next().unwrap();
        let list = rest(
            live,
            "apigateway",
            &Method::GET,
            &format!("/v2/apis/{ours}/routes"),
            &Value::Null,
        )
        .await;
        let routes: Vec<String> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|route| route["routeKey"].as_str().unwrap().to_owned())
            .collect();
        let post = async |path: &str, body: Value| {
            rest(live, "apigateway", &Method::POST, path, &body).await
        };
        let api = post("/v2/apis", json!({"name": "probe", "protocolType": "HTTP"})).await;
        let api = api["apiId"].as_str().unwrap().to_owned();
        let integration = post(
            &format!("/v2/apis/{api}/integrations"),
            json!({
                "integrationType": "AWS_PROXY",
                "integrationUri": made["FunctionArn"],
                "payloadFormatVersion": "2.0",
            }),
        )
        .await;
        let target = format!(
            "integrations/{}",
            integration["integrationId"].as_str().unwrap()
        );
        for route in &routes {
            post(
                &format!("/v2/apis/{api}/routes"),
                json!({"routeKey": route, "target": target}),
            )
            .await;
        }
        post(
            &format!("/v2/apis/{api}/stages"),
            json!({"stageName": "$default", "autoDeploy": true}),
        )
        .await;
        let cloud = &live.system.endpoints().cloud_url;
        Self {
            url: format!("{cloud}/_aws/execute-api/{api}"),
            routes,
        }
    }

    /// The gateway's event for a request, with placeholders for values that differ each time.
    async fn event(&self, route: &str, path: &str, body: &Value) -> Value {
        let method = route.split_once(' ').map_or("GET", |(method, _)| method);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        request = request
            .header("user-agent", "Merchant/1.0 (Android 14)")
            .header("accept", "application/json");
        request = request.header("x-sandbox-now", "SANDBOX_NOW");
        if !["POST /v1/sessions", "POST /v1/freezes"].contains(&route) {
            request = request.header("authorization", "Bearer TOKEN");
        }
        if ["POST", "PUT"].contains(&method) {
            request = request
                .header("idempotency-key", "IDEMPOTENCY_KEY")
                .header("content-type", "application/json");
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let reply = Http::new()
            .send(request.body(Bytes::from(body)).unwrap())
            .await
            .unwrap();
        let mut event = reply.json().unwrap();
        assert_eq!(event["routeKey"], *route, "{event}");
        for (pointer, word) in [
            ("/headers/host", json!("HOST")),
            ("/requestContext/apiId", json!("API_ID")),
            (
                "/requestContext/domainName",
                json!("API_ID.execute-api.localhost"),
            ),
            ("/requestContext/requestId", json!("REQUEST_ID")),
            ("/requestContext/time", json!("TIME")),
            ("/requestContext/timeEpoch", json!(0)),
        ] {
            let value = event
                .pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{route}: {pointer}"));
            assert_eq!(value.is_number(), word.is_number(), "{route}: {pointer}");
            *value = word;
        }
        event
    }

    /// The stream's batch with a merchant's activation.
    async fn stream_batch(&self, live: &LocalCloud, merchant: &Profile) -> Value {
        // The mapping of `confirmation-notice`, to the probe, from the start of the stream.
        let path = "/2015-03-31/event-source-mappings/";
        let list = rest(live, "lambda", &Method::GET, path, &Value::Null).await;
        let notification = &live.system.endpoints().functions["confirmation-notice"];
        let mappings = list["EventSourceMappings"].as_array().unwrap();
        let ours = mappings.iter().find(|mapping| {
            mapping["FunctionArn"]
                .as_str()
                .unwrap()
                .ends_with(&format!("{notification}:live"))
        });
        let ours = ours.unwrap();
        let mut mine =
            json!({"FunctionName": "probe", "StartingPosition": "TRIM_HORIZON", "BatchSize": 100});
        for name in ["EventSourceArn", "FilterCriteria", "FunctionResponseTypes"] {
            mine[name] = ours[name].clone();
        }
        // The stream holds the records of the whole suite, and the local cloud filters it batch by batch: only those of this
        // merchant, in large batches.
        for filter in mine["FilterCriteria"]["Filters"].as_array_mut().unwrap() {
            let pattern = filter["Pattern"].as_str().unwrap();
            let mut pattern: Value = serde_json::from_str(pattern).unwrap();
            pattern["dynamodb"]["Keys"] = json!({"pk": {"S": [merchant.pk()]}});
            filter["Pattern"] = json!(pattern.to_string());
        }
        let made = rest(live, "lambda", &Method::POST, path, &mine).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut batch = loop {
            let lines = live.log_of("/aws/lambda/probe").await;
            let batches = lines
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut batches = batches.filter(|batch| {
                batch.pointer("/Records/0/dynamodb/Keys/pk/S") == Some(&json!(merchant.pk()))
            });
            if let Some(batch) = batches.next() {
                break batch;
            }
            assert!(
                Instant::now() < deadline,
                "the stream brings the activation"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let id = made["UUID"].as_str().unwrap();
        rest(
            live,
            "lambda",
            &Method::DELETE,
            &format!("{path}{id}"),
            &Value::Null,
        )
        .await;
        batch["Records"].as_array_mut().unwrap().truncate(1);
        let record = &mut batch["Records"][0];
        for (pointer, word) in [
            ("/eventID", json!("EVENT_ID")),
            ("/eventSourceARN", json!("STREAM_ARN")),
            ("/dynamodb/ApproximateCreationDateTime", json!(0)),
            ("/dynamodb/SequenceNumber", json!("SEQUENCE_NUMBER")),
            ("/dynamodb/SizeBytes", json!(0)),
            ("/dynamodb/Keys/pk/S", json!("M#MERCHANT_ID")),
            ("/dynamodb/NewImage/pk/S", json!("M#MERCHANT_ID")),
            ("/dynamodb/NewImage/data/S", json!("DATA")),
            ("/dynamodb/NewImage/hash/S", json!("HASH")),
            ("/dynamodb/NewImage/prev_hash/S", json!("PREV_HASH")),
            ("/dynamodb/NewImage/to_reserved/S", json!("RESERVED_PHONE")),
            ("/dynamodb/NewImage/at/N", json!("0")),
            ("/dynamodb/NewImage/due_at/N", json!("0")),
            ("/dynamodb/NewImage/due_bucket/S", json!("DUE_BUCKET")),
        ] {
            let value = record
                .pointer_mut(pointer)
                .unwrap_or_else(|| panic!("{pointer}"));
            assert_eq!(
                (value.is_number(), value.is_string()),
                (word.is_number(), word.is_string()),
                "{pointer}"
            );
            *value = word;
        }
        batch
    }
}

async fn rest(
    live: &LocalCloud,
    service: &str,
    method: &Method,
    path: &str,
    body: &Value,
) -> Value {
    let reply = live.root.rest(service, method, path, body).await;
    assert!(
        reply.status < 300,
        "{method} {path}: {} {}",
        reply.status,
        reply.text()
    );
    reply.json().unwrap()
}
