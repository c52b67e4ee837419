//! A gradual deployment that an alarm takes back.

use http::Method;
use rebindctl::account::CLOUDWATCH;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{Hour, ask};
use crate::error::Error;

/// The function whose alias is observed.
const FUNCTION: &str = "cards";
/// An alarm that takes new versions back.
const ALARM: &str = "OperationFailedAlarm";
const WEIGHTS_LIMIT: Duration = Duration::from_secs(900);
const ROLLBACK_LIMIT: Duration = Duration::from_secs(1_800);
const POLL: Duration = Duration::from_secs(5);

const WEIGHTS: &str = "a canary gives a new version a tenth of the calls";
const ROLLBACK: &str = "an alarm takes a canary back";

/// Deploys a changed parameter as a canary, and sets an alarm off meanwhile.
pub(super) async fn run(hour: &mut Hour) -> Result<(), Error> {
    let Some(release) = hour.release() else {
        for expectation in [WEIGHTS, ROLLBACK] {
            hour.report
                .open(expectation, "the local cloud has no CodeDeploy");
        }
        return Ok(());
    };
    let function = hour.function(FUNCTION)?;
    let before = alias(hour, &function).await?["FunctionVersion"].clone();
    let release = release.with([
        ("Canary", "true".to_owned()),
        ("LogLevel", "warn".to_owned()),
    ]);
    let deployment = tokio::task::spawn_blocking(move || release.deploy());

    let deadline = Instant::now() + WEIGHTS_LIMIT;
    let weights = loop {
        let alias = alias(hour, &function).await?;
        let weights = &alias["RoutingConfig"]["AdditionalVersionWeights"];
        let is_over = deployment.is_finished() || Instant::now() > deadline;
        if is_over
            || weights
                .as_object()
                .is_some_and(|weights| !weights.is_empty())
        {
            break weights.clone();
        }
        tokio::time::sleep(POLL).await;
    };
    let weight = weights
        .as_object()
        .and_then(|weights| weights.values().next());
    let holds = weight.and_then(Value::as_f64) == Some(0.1);
    hour.report
        .judge(WEIGHTS, holds, format!("weights: {weights}"));

    let alarm = hour.system.resource(ALARM)?.to_owned();
    let input = json!({"AlarmName": alarm, "StateValue": "ALARM", "StateReason": "first hour"});
    let account = hour.system.account().clone();
    let deadline = Instant::now() + ROLLBACK_LIMIT;
    // The alarm returns to its actual state by itself, so it is set off again until the deployment has ended.
    while !deployment.is_finished() && Instant::now() < deadline {
        ask(&account, CLOUDWATCH, "SetAlarmState", &input).await?;
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let failed = matches!(deployment.await, Ok(Err(_)));
    let after = alias(hour, &function).await?;
    let is_back = after["FunctionVersion"] == before;
    hour.report.judge(
        ROLLBACK,
        failed && is_back,
        format!(
            "the deployment failed: {failed}; version before {before}, after {}",
            after["FunctionVersion"]
        ),
    );
    Ok(())
}

async fn alias(hour: &Hour, function: &str) -> Result<Value, Error> {
    let path = format!("/2015-03-31/functions/{function}/aliases/live");
    let cloud = hour.system.cloud();
    let reply = cloud
        .rest("lambda", &Method::GET, &path, &Value::Null)
        .await?;
    reply.json()
}
