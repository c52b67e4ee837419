//! What administrators stop and resume while the functions run.

use crate::operators::account_of;
use api::routes::Route;
use application::clock::wall_clock;
use domain::error_code::ErrorCode;
use rebindctl::account::Account;
use rebindctl::switches::switch;
use serde_json::{Value, json};
use std::time::Duration;
use store::switches::{READ_AGAIN, Switch};
use tests::local_cloud::LocalCloud;

/// In a role with the example policy, without which nothing is switched.
async fn set(live: &LocalCloud, account: &Account, what: Switch, why: Option<&str>) -> Value {
    let stack = &live.system.endpoints().stack;
    let stopped = switch(account, stack, what, why, wall_clock()).await;
    // Each process has read its switches before.
    tokio::time::sleep(READ_AGAIN + Duration::from_secs(1)).await;
    stopped.unwrap()
}

/// A merchant reads, cancels and freezes while changes are stopped, and a code or a notification waits while SMS are.
pub async fn stopped_changes_and_sms_go_on_later(live: &LocalCloud) {
    let policy = include_str!("../../../infra/operator/policies/stop.json");
    let administrator = account_of(live, "administrator", policy).await;
    let (_, cancelling) = live.logged_in().await;
    let cancelled = cancelling.request(&live.card()).await;
    let (merchant, freezing) = live.logged_in().await;
    let activated = freezing.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    let (_, app) = live.logged_in().await;

    let stopped = set(live, &administrator, Switch::Changes, Some("a drill")).await;
    let why = stopped["stopped"]["changes"].as_str().unwrap();
    assert!(why.ends_with(": a drill"), "{stopped}");
    let body = app.request_body(&live.card());
    let create = || app.ask("POST", "/v1/rebinds").key("stopped").json(&body);
    let problem = create().send().await.refused(ErrorCode::ChangesStopped);
    assert_eq!(problem["retry_after_s"], 300);
    // Each function refuses its changes, before it looks at anything else.
    for route in Route::ALL {
        let path = route.path_to("unknown");
        let reply = live.ask(route.method(), &path).send().await;
        let is_stopped = reply.body["code"] == ErrorCode::ChangesStopped.as_str();
        assert_eq!(is_stopped, route.can_be_stopped(), "{}", route.label());
    }
    app.get("/v1/cards").await.ok(200);
    cancelling
        .post(&format!("{cancelled}/cancel"), json!({}))
        .await
        .ok(200);
    freezing
        .post(&format!("{activated}/freeze"), json!({}))
        .await
        .ok(200);

    let stopped = set(live, &administrator, Switch::Changes, None).await;
    assert_eq!(stopped, json!({"stopped": {}}));
    // The refusal was not an answer to the key.
    let created = create().send().await.ok(201);
    let path = format!("/v1/rebinds/{}", created["rebind_id"].as_str().unwrap());

    set(live, &administrator, Switch::Sms, Some("a drill")).await;
    let document = app.document();
    let prove = || {
        app.ask("POST", &format!("{path}/identity"))
            .key("sms")
            .json(&document)
    };
    prove().send().await.refused(ErrorCode::OtpChannelDown);
    set(live, &administrator, Switch::Sms, None).await;
    prove().send().await.ok(200);

    let without = policy.replace("dynamodb:UpdateItem", "dynamodb:Scan");
    let reader = account_of(live, "reader", &without).await;
    let stack = &live.system.endpoints().stack;
    let refused = switch(&reader, stack, Switch::Sms, Some("no"), wall_clock()).await;
    assert!(refused.unwrap_err().to_string().contains("stop.json"));
}
