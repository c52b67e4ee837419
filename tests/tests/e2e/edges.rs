//! Requests that no app sends.

use base64::Engine as _;
use domain::error_code::ErrorCode;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tests::local_cloud::LocalCloud;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Every route of the API that takes a body, with one of its fields.
const WITH_BODY: [(&str, &str); 15] = [
    ("/v1/sessions", "account"),
    ("/v1/freezes", "account"),
    ("/v1/settlement", "cycle"),
    ("/v1/push-targets/phone", "platform"),
    ("/v1/cards/card_000001bbbbbbbbbbbbbbbb/unbind", "x"),
    ("/v1/cards/card_000001bbbbbbbbbbbbbbbb/activate", "code"),
    (
        "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/test-transaction",
        "x",
    ),
    ("/v1/rebinds", "card_number"),
    ("/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/cancel", "x"),
    (
        "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/identity",
        "document_number",
    ),
    ("/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/identity/code", "x"),
    (
        "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/identity/confirm",
        "code",
    ),
    ("/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/agreement", "sha256"),
    ("/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/card-check", "x"),
    (
        "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb/card-check/confirm",
        "code",
    ),
];

/// The method of such a route.
fn method_of(path: &str) -> &'static str {
    let is_put = path.ends_with("/settlement") || path.contains("/push-targets/");
    if is_put { "PUT" } else { "POST" }
}

/// An unknown path or method is answered with a problem document too.
pub async fn unknown_routes_return_404(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v2/cards"),
        ("GET", "/v1/sessions"),
        ("GET", "/v1/sessions/current"),
        ("PUT", "/v1/rebinds"),
        ("PATCH", "/v1/cards"),
        ("DELETE", "/v1/rebinds/rbd_1"),
        ("POST", "/v1/cards"),
        ("DELETE", "/v1/cards/card_1"),
        ("GET", "/v1/cards/card_1/unbind"),
        ("POST", "/v1/payouts"),
        ("GET", "/v1/payouts/pay_sandbox_1"),
        ("PATCH", "/v1/settlement"),
        ("GET", "/v1/push-targets/phone"),
        ("POST", "/v1/history"),
        ("GET", "/v1/freezes"),
        ("POST", "/v1/rebinds/rbd_1/unfreeze"),
        ("GET", "/v1/cards/"),
        ("GET", "/v1/rebinds/"),
        ("GET", "/v1/rebinds/rbd_1/identity"),
        ("POST", "/v1/rebinds/rbd_1/approve"),
        ("GET", "/v1/rebinds/rbd_1/agreement/pdf"),
        ("GET", "/v1/%2e%2e/cards"),
        ("GET", "/v1/cards/../../etc/passwd"),
        ("GET", "/V1/CARDS"),
        ("GET", "/favicon.ico"),
    ] {
        live.ask(method, path)
            .send()
            .await
            .refused(ErrorCode::NotFound);
        app.ask(method, path)
            .send()
            .await
            .refused(ErrorCode::NotFound);
    }
}

/// A body of 16 KiB is accepted and one byte more is refused, whatever else is wrong.
pub async fn body_over_16_kib_is_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let of_size = |field: &str, bytes: usize| {
        let frame = format!("{{\"{field}\":\"\"}}").len();
        format!("{{\"{field}\":\"{}\"}}", "1".repeat(bytes - frame))
    };
    for (path, field) in WITH_BODY {
        let too_large = app
            .ask(method_of(path), path)
            .key("k")
            .body(of_size(field, 16 * 1024 + 1))
            .send()
            .await;
        too_large.refused(ErrorCode::BodyTooLarge);
        let huge = app
            .ask(method_of(path), path)
            .key("k")
            .body(of_size(field, 300 * 1024))
            .send()
            .await;
        huge.refused(ErrorCode::BodyTooLarge);
        let fits = app
            .ask(method_of(path), path)
            .key("k")
            .body(of_size(field, 16 * 1024))
            .send()
            .await;
        assert_ne!(fits.status, 413, "{path}");
    }
}

/// Refuses text that is not JSON, JSON that is not an object, unknown fields, wrong types, deep nesting, duplicate names and
/// non-text bytes.
pub async fn malformed_bodies_are_refused(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let before = app.get(&path).await.ok(200);
    let deep = |open: &str, close: &str| open.repeat(4_000) + &close.repeat(4_000);
    for (route, field) in WITH_BODY {
        let route = route.replace("/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb", &path);
        for body in [
            "{".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            "\"text\"".to_owned(),
            "{\"surprise\":1}".to_owned(),
            format!("{{\"{field}\":{{}}}}"),
            format!("{{\"{field}\":[[[1]]]}}"),
            format!("{{\"{field}\":\"1\",\"{field}\":\"2\"}}"),
            format!("{{\"{field}\":\"\\ud800\"}}"),
            deep("[", "]"),
            format!("{{\"{field}\":{}}}", deep("[", "]")),
            "{} {}".to_owned(),
            "\u{feff}{}".to_owned(),
        ] {
            let reply = app
                .ask(method_of(&route), &route)
                .key("k")
                .body(body.clone())
                .send()
                .await;
            reply.refused(ErrorCode::RequestMalformed);
        }
        let no_text = app
            .ask(method_of(&route), &route)
            .key("k")
            .body(vec![b'{', 0xff, 0xfe, b'}'])
            .send()
            .await;
        no_text.refused(ErrorCode::RequestMalformed);
    }
    assert_eq!(app.get(&path).await.ok(200), before, "nothing was written");
}

/// The gateway sends a body with a non-text media type as base64. The body is decoded as usual.
pub async fn base64_body_is_decoded(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let body = app.request_body(&live.card()).to_string();
    let ask = app.ask("POST", "/v1/rebinds").key("k");
    let created = ask
        .bytes("application/octet-stream", body)
        .send()
        .await
        .ok(201);
    assert_eq!(created["state"], "identity_pending");
}

/// Clocks at the limits of the format are answered like any other.
pub async fn extreme_clocks_are_accepted(live: &LocalCloud) {
    for clock in [
        "0001-01-02T00:00:00+08:00",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2106-02-07T06:28:16Z",
        "9999-11-30T00:00:00+08:00",
    ] {
        let merchant = live.merchant().await;
        merchant.set_clock(Timestamp::parse_rfc3339(clock).unwrap());
        let app = live.app(&merchant).await;
        app.get("/v1/cards").await.ok(200);
        app.activate(&live.card()).await;
        let cards = app.get("/v1/cards").await.ok(200);
        assert_eq!(cards["active"]["status"], "active", "{clock}");
        let now = merchant.now();
        let payout = crate::payouts::create(live, &merchant, "end_of_time", now).await;
        let listed = app.get("/v1/payouts").await.ok(200);
        assert_eq!(
            listed["items"][0]["payout_id"], payout["payout_id"],
            "{clock}"
        );
        let freeze = json!({"account": merchant.account, "freeze_code": "ABCD2345"});
        let freeze = live.ask("POST", "/v1/freezes").at(now).json(&freeze);
        freeze.send().await.ok(202);
        app.get("/v1/history").await.ok(200);
    }
}

/// Requests that crash other runtimes: each is answered, and the same process answers the next one.
///
/// Runs alone, because a new process must then mean that an old one died.
pub async fn process_survives_hostile_requests(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let doors = [
        "/v1/sessions",
        "/v1/freezes",
        "/v1/payouts",
        "/v1/cards",
        path.as_str(),
    ];
    let doors = doors.map(str::to_owned);
    let doors = doors
        .into_iter()
        .chain([format!("{path}/agreement"), format!("{path}/identity/code")]);
    let deep = "[".repeat(16_000);
    let large = "x".repeat(17 * 1024);
    for door in doors {
        let posts = ["sessions", "freezes", "code"];
        let method = if posts.iter().any(|end| door.ends_with(end)) {
            "POST"
        } else {
            "GET"
        };
        // One good request starts the environment.
        ok(live, method, &door).await;
        let spawned = spawned(live);
        for (query, head, body) in [
            ("?a={|\"<", "", ""),
            ("?a=%ff%00%zz&&=&=&a[]=1", "", ""),
            ("", "Host: a:99999\r\n", ""),
            ("", "Host: \r\n", ""),
            ("", "Host: [::1\r\n", ""),
            ("", "Authorization: Bearer \u{ff}\u{fe}\r\n", ""),
            ("", "Cookie: ;;=;\u{1}\r\n", ""),
            (
                "",
                "X-Forwarded-For: ', (select 1)\r\nX-Forwarded-Port: -1\r\n",
                "",
            ),
            (
                "",
                "Content-Type: application/json; charset=\u{ff}\r\n",
                "{}",
            ),
            ("", "Content-Type: application/json\r\n", deep.as_str()),
            ("", "Content-Type: application/json\r\n", large.as_str()),
            ("", "X-Sandbox-Now: 999999999-01-01T00:00:00Z\r\n", ""),
        ] {
            let status = raw(live, method, &format!("{door}{query}"), head, body).await;
            assert!(
                (400..500).contains(&status),
                "{method} {door}{query} {head:?}: {status}"
            );
            ok(live, method, &door).await;
        }
        assert_eq!(
            self::spawned(live),
            spawned,
            "{method} {door}: the same process"
        );
    }
    // Events of a shape that the gateway never makes.
    for folder in [
        "login",
        "cards",
        "rebind-request",
        "verification",
        "agreement",
        "settlement",
        "freezes",
    ] {
        let spawned = spawned(live);
        for event in [
            json!({"requestContext": {"routeKey": "POST /v1/sessions"}, "isBase64Encoded": true, "body": "%%%"}),
            json!({"requestContext": {"routeKey": "POST /v1/sessions"},
                   "isBase64Encoded": true, "body": base64::engine::general_purpose::STANDARD.encode([0xff, 0xfe])}),
            json!({"headers": [], "requestContext": 7, "body": {"a": 1}, "pathParameters": null}),
            json!({"requestContext": null}),
        ] {
            let reply = live.system.invoke(folder, &event).await.unwrap();
            let status = reply["statusCode"].as_u64().unwrap();
            assert!((400..500).contains(&status), "{folder}: {status}");
        }
        assert_eq!(self::spawned(live), spawned, "{folder}: the same process");
    }
    // Events that are not objects cause an invocation error and nothing else.
    for folder in [
        "login",
        "cards",
        "settlement",
        "freezes",
        "payouts",
        "confirmation-notice",
        "events",
        "cooldown-cleanup",
        "anchor",
    ] {
        let _ = live.system.invoke(folder, &json!({})).await;
        let spawned = spawned(live);
        for event in [
            json!([]),
            json!("x"),
            json!(null),
            json!({"Records": [{"dynamodb": 1}, null, []]}),
        ] {
            let _ = live.system.invoke(folder, &event).await;
        }
        assert_eq!(self::spawned(live), spawned, "{folder}: the same process");
    }
    app.get(&path).await.ok(200);
    assert!(
        !log(live).contains("Runtime exited before returning a response"),
        "no process has ended in a request"
    );
}

/// A request that is refused in the usual way.
async fn ok(live: &LocalCloud, method: &str, path: &str) {
    let reply = live.ask(method, path).body("{}").send().await;
    assert!(
        matches!(reply.status, 400 | 401),
        "{method} {path}: {}",
        reply.status
    );
}

/// The status of a handwritten request.
async fn raw(live: &LocalCloud, method: &str, path: &str, head: &str, body: &str) -> u16 {
    let url = &live.system.endpoints().api_url;
    let (authority, prefix) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let host = if head.starts_with("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let mut request = format!("{method} /{prefix}{path} HTTP/1.1\r\n{host}").into_bytes();
    // One byte per character: a header field need not be UTF-8.
    request.extend(head.chars().map(|c| c as u8));
    request.extend(
        format!(
            "Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
    );
    let mut stream = TcpStream::connect(authority).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let status = reply
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no reply to {method} {path} {head:?}"))
}

/// The number of environments that the local cloud has started so far, of all functions.
fn spawned(live: &LocalCloud) -> usize {
    log(live).matches("environment spawned for").count()
}

fn log(live: &LocalCloud) -> String {
    std::fs::read_to_string(live.state_dir.join("ministack.log")).unwrap()
}

/// Each reply has exactly one log line, which its `support_ref` finds.
pub async fn support_ref_finds_log_line(live: &LocalCloud) {
    let problem: Value = live
        .ask("GET", "/v1/cards")
        .send()
        .await
        .refused(ErrorCode::SessionExpired);
    let support_ref = problem["support_ref"].as_str().unwrap();
    let lines: Vec<String> = live.log_lines().await;
    let found: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains(support_ref))
        .collect();
    assert_eq!(found.len(), 1);
    let line: Value = serde_json::from_str(found[0]).unwrap();
    assert_eq!(line["problem.code"], "SESSION_EXPIRED");
    assert_eq!(
        (&line["http.route"], &line["http.status"]),
        (&json!("GET /v1/cards"), &json!(401))
    );
}
