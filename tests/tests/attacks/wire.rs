//! Deceptive input: bodies, names, headers, clocks.

use crate::{NAME, POLICY, doors, refused};
use api::body::BODY_MAX_BYTES;
use application::clock::wall_clock;
use application::serve::Deployment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::error_code::ErrorCode;
use serde_json::{Value, json};
use std::time::Duration;
use tests::in_process::InProcess;
use tests::merchant::{GOOD_CARD, SECOND_CARD};

/// A rebind and a card that do not exist.
const NO_REBIND: &str = "/v1/rebinds/rbd_000001bbbbbbbbbbbbbbbb";
const NO_CARD: &str = "/v1/cards/card_000001bbbbbbbbbbbbbbbb";

#[tokio::test]
async fn oversized_and_deeply_nested_json() {
    let (world, app) = InProcess::with(NAME).await;
    let bearer = format!("Bearer {}", app.token);
    let nested = |open: &str, close: &str, depth: usize| {
        format!(
            "{{\"account\":{}{}}}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let (large, deep) = (
        [
            format!("{{\"account\":\"{}\"}}", "a".repeat(BODY_MAX_BYTES)),
            " ".repeat(BODY_MAX_BYTES + 1),
            nested("[", "]", BODY_MAX_BYTES),
            format!("{{\"amount\":1{}}}", "0".repeat(BODY_MAX_BYTES)),
            "{\"account\":\"a\",".repeat(BODY_MAX_BYTES / 14 + 1),
        ],
        [
            nested("[", "]", 8_000),
            nested("{\"a\":", "}", 2_000),
            nested("[", "", 8_000),
            format!("{{{}\"a\":1}}", "\"code\":\"1\",".repeat(1_000)),
            format!("{{\"retained_fen\":1{}}}", "0".repeat(8_000)),
            format!("{{\"retained_fen\":1e{}}}", "9".repeat(8_000)),
            "\"".repeat(8_000),
            "[".repeat(BODY_MAX_BYTES),
            "\u{feff}{}".to_owned(),
            "{\"code\":\"\\ud800\"}".to_owned(),
        ],
    );
    let open = ["/v1/sessions", "/v1/freezes"].map(|path| ("POST", path.to_owned(), Value::Null));
    let doors = doors(NO_REBIND, NO_CARD).into_iter().chain(open);
    let before = world.items().await.len();
    for (method, path, _) in doors.filter(|(method, ..)| *method != "GET") {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "k")];
        for (body, expected) in large
            .iter()
            .map(|body| (body, (413, "BODY_TOO_LARGE")))
            .chain(deep.iter().map(|body| (body, (400, "REQUEST_MALFORMED"))))
        {
            let mut event = world.event(method, &path, &headers, &Value::Null);
            event["body"] = json!(body);
            let answer = world.send(event).await;
            let got = (answer.status, answer.code());
            assert_eq!(
                got,
                expected,
                "{method} {path} {}",
                &body[..20.min(body.len())]
            );
        }
        // Invalid base64, and an oversized body in base64.
        let behind = STANDARD.encode(" ".repeat(BODY_MAX_BYTES + 1));
        for (body, code) in [("%%%", 400), (&"e30=".repeat(8_000), 400), (&behind, 413)] {
            let mut event = world.event(method, &path, &headers, &Value::Null);
            event["body"] = json!(body);
            event["isBase64Encoded"] = json!(true);
            assert_eq!(world.send(event).await.status, code, "{method} {path}");
        }
    }
    assert_eq!(world.items().await.len(), before, "no item was written");
    app.get("/v1/cards").await.ok(200);
}

#[tokio::test]
async fn unicode_tricks_in_names() {
    let (_, app) = InProcess::with(NAME).await;
    let name = app.profile.holder_name.clone();
    let rebind = app.request(GOOD_CARD).await;
    app.identify(&rebind).await;
    let mut signature = app.signature(&rebind).await;
    let marks = ['\u{301}', '\u{20dd}', '\u{0}', '\u{7f}', '\u{e000}'];
    let mut tricks: Vec<String> = marks
        .iter()
        .flat_map(|mark| {
            [
                format!("{name}{mark}"),
                format!("{mark}{name}"),
                name.replace('商', &format!("商{mark}")),
            ]
        })
        .collect();
    tricks.extend([
        name.replace('一', "ー"), // katakana
        name.replace('一', "—"),
        name.replace("户", "戶"),
        name.replace("户", "戸"),
        name.chars().rev().collect(),
        name.repeat(2),
        name.chars().take(4).collect(),
        format!("{name}\n{name}"),
        format!("{name},{name}"),
        format!("{name}·"),
        String::new(),
        " ".to_owned(),
        "*".to_owned(),
        "测*".to_owned(),
        "%".to_owned(),
        "{{legal_name}}".to_owned(),
    ]);
    let mut tried = 0;
    for trick in &tricks {
        signature["signed_name"] = json!(trick);
        app.post(&format!("{rebind}/agreement"), signature.clone())
            .await
            .is(422, "HOLDER_NOT_MERCHANT");
        // This field is checked before the open rebind.
        let mut body = app.request_body(SECOND_CARD);
        body["holder_name"] = json!(trick);
        let key = format!("k{tried}");
        app.keyed(&key, "/v1/rebinds", body)
            .await
            .is(422, "HOLDER_NOT_MERCHANT");
        tried += 1;
    }
    assert_eq!(tried, tricks.len());
    // What nobody sees, and a radical that stands for its character, are the same name: only the open rebind refuses.
    let same = [
        "\u{200b}",
        "\u{ad}",
        "\u{202e}",
        "\u{fe00}",
        "\u{e0100}",
        " ",
    ];
    let same = same.map(|mark| name.replace('商', &format!("商{mark}")));
    for (number, spelled) in same
        .into_iter()
        .chain([name.replace('一', "⼀")])
        .enumerate()
    {
        let mut body = app.request_body(SECOND_CARD);
        body["holder_name"] = json!(spelled);
        app.keyed(&format!("s{number}"), "/v1/rebinds", body)
            .await
            .is(409, "REQUEST_IN_PROGRESS");
    }
    signature["signed_name"] = json!(format!("\u{3000}{name} "));
    app.post(&format!("{rebind}/agreement"), signature)
        .await
        .is(200, "card_pending");
}

#[tokio::test]
async fn tricks_in_headers() {
    let (world, app) = InProcess::with(NAME).await;
    let token = app.token.clone();
    let get = async |headers: &[(&str, &str)]| {
        world
            .send(world.event("GET", "/v1/cards", headers, &Value::Null))
            .await
    };
    for value in [
        token.clone(),
        format!("Basic {token}"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer x, Bearer {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token}\u{0}"),
        format!("Bearer {token}\r\nx-sandbox-now: 2030-01-01T00:00:00Z"),
        format!("Ｂearer {token}"),
        format!("Bearer {}", token.replace('.', "\u{ff0e}")),
    ] {
        get(&[("authorization", value.as_str())])
            .await
            .is(401, "SESSION_EXPIRED");
    }
    // A token is accepted in no other place.
    for (name, value) in [
        ("x-authorization", format!("Bearer {token}")),
        ("cookie", format!("token={token}")),
        ("x-amz-security-token", token.clone()),
        ("x-merchant-id", "mer_plain_1".to_owned()),
    ] {
        refused(
            &get(&[(name, value.as_str())]).await,
            401,
            "SESSION_EXPIRED",
        );
    }
    let query = format!("/v1/cards?access_token={token}&authorization=Bearer%20{token}");
    world
        .send(world.event("GET", &query, &[], &Value::Null))
        .await
        .is(401, "SESSION_EXPIRED");
    // Only the gateway's method counts.
    let rebind = app.request(GOOD_CARD).await;
    let cancel = [("x-http-method-override", "POST"), ("x-method", "POST")];
    cancel
        .iter()
        .fold(
            app.ask("GET", &format!("{rebind}/cancel")),
            |ask, (name, value)| ask.header(name, value),
        )
        .send()
        .await
        .is(404, "NOT_FOUND");
    // A malformed key creates no rebind and never matches another one.
    app.cancel(&rebind).await;
    let before = world.items().await.len();
    for key in [
        "",
        "\u{0}",
        "a\nb",
        "a\u{7f}",
        "schlüssel",
        "键",
        &"k".repeat(256),
    ] {
        app.keyed(key, "/v1/rebinds", app.request_body(SECOND_CARD))
            .await
            .is(400, "REQUEST_MALFORMED");
    }
    app.post("/v1/rebinds", app.request_body(SECOND_CARD))
        .await
        .is(400, "REQUEST_MALFORMED");
    assert_eq!(world.items().await.len(), before);
}

#[tokio::test]
async fn forged_clock_in_production() {
    let world = InProcess::staged("production").await;
    let app = world.log_in(NAME).await;
    let at = |ahead_s: i64| wall_clock().plus_s(ahead_s).to_rfc3339_shanghai();
    let clocks = [
        at(0),
        at(POLICY.cooldown_s),
        at(-POLICY.quiet_period_s),
        at(POLICY.code_gap_s),
        String::new(),
        "now".to_owned(),
    ];
    for clock in &clocks {
        for name in ["x-sandbox-now", "X-Sandbox-Now", "X-SANDBOX-NOW"] {
            for (method, path, body) in doors(NO_REBIND, NO_CARD) {
                let ask = app.ask(method, &path).header(name, clock).key("k");
                ask.json(&body).send().await.is(400, "REQUEST_MALFORMED");
            }
        }
    }
    // Nor in an operation of the core, nor in the schedule's event.
    let payout = json!({"operation": "create_payout", "merchant_id": "mer_plain_1", "payout_id": "pay_1", "amount_fen": 1, "time": at(POLICY.hold_s)});
    let refusal = world.core(payout).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RequestMalformed);
    let early = json!({"time": at(POLICY.hold_s)});
    assert!(
        world
            .scheduled(early, Duration::from_secs(60))
            .await
            .is_err()
    );
    for name in [
        "Sandbox",
        "SANDBOX",
        " sandbox",
        "sandbox\n",
        "sandbox2",
        "",
    ] {
        assert!(!Deployment::new(name).is_sandbox(), "{name:?}");
    }
    app.get("/v1/cards").await.ok(200);
}
