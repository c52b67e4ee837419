//! The agreement: display, reading time, signature.

use domain::error_code::ErrorCode;
use domain::policy::MINUTE_S;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::transport::Reply;

use crate::see::last4;

/// A rebind that awaits the signature.
async fn unsigned(app: &App<'_>) -> String {
    let path = app.request(&app.system.card()).await;
    app.identify(&path).await;
    path
}

async fn read(app: &App<'_>, path: &str, query: &str) -> Value {
    app.get(&format!("{path}/agreement{query}")).await.ok(200)
}

async fn sign(app: &App<'_>, path: &str, body: &Value) -> Reply {
    app.post(&format!("{path}/agreement"), body.clone()).await
}

/// The agreement exists in two languages, each with its own hash. Either can be signed.
pub async fn agreement_is_signable_in_both_languages(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live.card();
    let path = app.request(&card).await;
    app.identify(&path).await;
    let (zh, en) = (
        read(&app, &path, "?lang=zh-CN").await,
        read(&app, &path, "?lang=en").await,
    );
    assert_eq!((&zh["lang"], &en["lang"]), (&json!("zh-CN"), &json!("en")));
    assert_eq!(zh["version"], en["version"]);
    assert_ne!(zh["sha256"], en["sha256"]);
    for text in [&zh, &en] {
        assert!(
            text["body_markdown"]
                .as_str()
                .unwrap()
                .contains(last4(&card))
        );
    }
    let ids = |text: &Value| -> Vec<String> {
        text["consents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].to_string())
            .collect()
    };
    assert_eq!(ids(&zh), ids(&en));
    app.get(&format!("{path}/agreement?lang=fr"))
        .await
        .refused(ErrorCode::RequestMalformed);
    merchant.pass_s(10);
    sign(&app, &path, &app.signature_of(&en)).await.ok(200);
}

/// The reading time is at least ten seconds. A refused signature may be sent again with the same token.
pub async fn early_signature_reports_wait(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = unsigned(&app).await;
    let signature = app.signature_of(&read(&app, &path, "").await);
    merchant.pass_s(4);
    let problem = sign(&app, &path, &signature)
        .await
        .refused(ErrorCode::AgreementNotRead);
    assert_eq!(
        (&problem["retry_after_s"], &problem["retryable"]),
        (&json!(6), &json!(true))
    );
    merchant.pass_s(6);
    sign(&app, &path, &signature).await.ok(200);
    // A token is accepted once.
    sign(&app, &path, &signature)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    app.get(&format!("{path}/agreement"))
        .await
        .refused(ErrorCode::StepOutOfOrder);
}

/// Refuses another version, another text, and a token that is expired, belongs to another rebind or was never issued.
pub async fn rejects_stale_version_text_or_token(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = unsigned(&app).await;
    let elsewhere = app.signature_of(&read(&app, &path, "").await)["reading_token"].clone();
    app.cancel(&path).await.ok(200);
    merchant.pass_s(MINUTE_S);
    let path = unsigned(&app).await;
    let text = read(&app, &path, "").await;
    merchant.pass_s(11);
    let with = |name: &str, value: &Value| {
        let mut body = app.signature_of(&text);
        body[name] = value.clone();
        body
    };
    for (name, value, field, code) in [
        (
            "version",
            json!("1999-01"),
            "sha256",
            ErrorCode::AgreementStale,
        ),
        ("version", Value::Null, "sha256", ErrorCode::AgreementStale),
        (
            "sha256",
            json!("0".repeat(64)),
            "sha256",
            ErrorCode::AgreementStale,
        ),
        ("sha256", Value::Null, "sha256", ErrorCode::AgreementStale),
        (
            "reading_token",
            elsewhere,
            "reading_token",
            ErrorCode::AgreementNotRead,
        ),
        (
            "reading_token",
            json!("AAAAAAAA"),
            "reading_token",
            ErrorCode::AgreementNotRead,
        ),
        (
            "reading_token",
            Value::Null,
            "reading_token",
            ErrorCode::AgreementNotRead,
        ),
    ] {
        let problem = sign(&app, &path, &with(name, &value)).await.refused(code);
        assert_eq!(
            problem["errors"][0],
            json!({"field": field, "code": code.as_str()}),
            "{name}"
        );
    }
    // Half an hour, to the second.
    let signature = app.signature_of(&text);
    merchant.pass_s(30 * MINUTE_S - 11 + 1);
    let app = live.app(&merchant).await;
    let problem = sign(&app, &path, &signature)
        .await
        .refused(ErrorCode::AgreementStale);
    assert_eq!(problem["errors"][0]["field"], "reading_token");
    merchant.pass_s(-1);
    sign(&app, &path, &signature).await.ok(200);
}

/// Requires the name and each consent.
pub async fn rejects_wrong_name_or_consents(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = unsigned(&app).await;
    let good = app.signature(&path).await;
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let problem = sign(&app, &path, &with("signed_name", json!("测试")))
        .await
        .refused(ErrorCode::HolderNotMerchant);
    assert_eq!(
        problem["errors"],
        json!([{"field": "signed_name", "code": "HOLDER_NOT_MERCHANT"}])
    );
    let all = good["consents"].as_array().unwrap().clone();
    for given in [
        json!([]),
        json!(all[1..]),
        json!(["everything"]),
        Value::Null,
    ] {
        let problem = sign(&app, &path, &with("consents", given))
            .await
            .refused(ErrorCode::ConsentMissing);
        assert_eq!(
            problem["errors"],
            json!([{"field": "consents", "code": "CONSENT_MISSING"}])
        );
    }
    let nothing = sign(&app, &path, &json!({}))
        .await
        .refused(ErrorCode::AgreementStale);
    let fields: Vec<&str> = nothing["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["sha256", "reading_token", "signed_name", "consents"]
    );
    assert_eq!(app.get(&path).await.ok(200)["state"], "agreement_pending");
    sign(
        &app,
        &path,
        &with("consents", json!(all.iter().rev().collect::<Vec<_>>())),
    )
    .await
    .ok(200);
}

/// The evidence of a signature is complete, and its personal part is not readable in the table.
pub async fn signature_evidence_is_sealed(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = unsigned(&app).await;
    let text = read(&app, &path, "").await;
    let shown_at = merchant.now().to_rfc3339_shanghai();
    merchant.pass_s(10);
    sign(&app, &path, &app.signature_of(&text)).await.ok(200);
    let events: Vec<_> = live
        .items()
        .await
        .into_iter()
        .filter(|item| item["pk"].as_s() == Ok(&merchant.pk()))
        .filter(|item| {
            item.get("kind")
                .is_some_and(|kind| kind.as_s().unwrap() == "agreement_signed")
        })
        .collect();
    assert_eq!(events.len(), 1);
    let data: Value = serde_json::from_str(events[0]["data"].as_s().unwrap()).unwrap();
    for (name, value) in [
        ("version", &text["version"]),
        ("sha256", &text["sha256"]),
        ("lang", &json!("zh-CN")),
        ("shown_at", &json!(shown_at)),
    ] {
        assert_eq!(&data[name], value, "{name}");
    }
    assert_eq!(
        data["consents"].as_array().unwrap().len(),
        text["consents"].as_array().unwrap().len()
    );
    let sealed = events[0]["personal"].as_b().unwrap().as_ref();
    let readable = String::from_utf8_lossy(sealed);
    assert!(!readable.contains(&merchant.holder_name) && !readable.contains("127.0.0.1"));
}
