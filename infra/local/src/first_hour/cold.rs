//! Starts of new execution environments, at several sizes.

use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::Hour;
use crate::error::Error;

/// Memory, in MB. The share of a processor grows with it; 1,769 MB have a whole one.
const SIZES: [u32; 4] = [256, 512, 1_024, 1_769];
const STARTS: u32 = 5;
/// The limit of Lambda for the start of a process, in ms.
const INIT_LIMIT_MS: f64 = 10_000.0;
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Functions, each with the path and the body of a request that uses the table and a key, and that is refused.
fn requests() -> [(&'static str, &'static str, Value); 2] {
    let account = "first-hour@example.com";
    [
        (
            "login",
            "/v1/sessions",
            json!({"account": account, "password": "of nobody", "device_id": "first-hour-9c1f4d7e02a8b653"}),
        ),
        (
            "freezes",
            "/v1/freezes",
            json!({"account": account, "freeze_code": "AAAAAAAA"}),
        ),
    ]
}

/// What Lambda reports of a start, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Start {
    init_ms: f64,
    first_ms: f64,
}

/// Starts each function several times at each size.
pub(super) async fn run(hour: &mut Hour) -> Result<(), Error> {
    for (folder, path, body) in requests() {
        let function = hour.function(folder)?;
        let before = change(hour, &function, &json!({})).await?["MemorySize"].clone();
        let mut starts = Vec::new();
        for size in SIZES {
            for number in 0..STARTS {
                let description = format!("first hour: start {number} at {size} MB");
                let changed = json!({"MemorySize": size, "Description": description});
                change(hour, &function, &changed).await?;
                let event = event(path, &body, number);
                let log = hour.system.cloud().invoke_latest(&function, &event).await?;
                starts.push((size, reported(&log)));
            }
        }
        change(hour, &function, &json!({ "MemorySize": before })).await?;
        let inits = starts
            .iter()
            .filter_map(|(_, start)| Some((*start)?.init_ms));
        let slowest = inits.fold(0.0, f64::max);
        hour.report.judge_on_aws(
            &format!("{folder} starts within 10 s at every size"),
            slowest > 0.0 && slowest < INIT_LIMIT_MS,
            table(&starts),
            "the local cloud reports no starts",
        );
    }
    Ok(())
}

/// Changes the unpublished version of a function, whose next call starts a new environment. Returns its configuration.
async fn change(hour: &Hour, function: &str, changed: &Value) -> Result<Value, Error> {
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let cloud = hour.system.cloud();
    if changed != &json!({}) {
        cloud.rest("lambda", &Method::PUT, &path, changed).await?;
    }
    let deadline = Instant::now() + CHANGE_LIMIT;
    loop {
        let reply = cloud
            .rest("lambda", &Method::GET, &path, &Value::Null)
            .await?;
        let configuration = reply.json()?;
        let is_over = configuration["LastUpdateStatus"] != "InProgress";
        if is_over || Instant::now() > deadline {
            return Ok(configuration);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The event of a request. Each comes from another address, because one address may fail a few times only.
fn event(path: &str, body: &Value, number: u32) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": path, "sourceIp": format!("192.0.2.{number}")},
            "requestId": format!("first-hour-{number}"),
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

/// The report of a start in the end of a log.
fn reported(log: &str) -> Option<Start> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut reports = lines.filter(|line| line["type"] == "platform.report");
    let report = reports.next()?;
    let metrics = &report["record"]["metrics"];
    Some(Start {
        init_ms: metrics["initDurationMs"].as_f64()?,
        first_ms: metrics["durationMs"].as_f64()?,
    })
}

/// The slowest start of each size.
fn table(starts: &[(u32, Option<Start>)]) -> String {
    let of_size = |size: u32| {
        let of_size = starts.iter().filter(|(of, _)| *of == size);
        let known: Vec<Start> = of_size.filter_map(|(_, start)| *start).collect();
        let slowest = |of: fn(&Start) -> f64| known.iter().map(of).fold(0.0, f64::max);
        match known.is_empty() {
            true => format!("{size} MB: no report"),
            false => format!(
                "{size} MB: start {:.0} ms, first call {:.0} ms",
                slowest(|start| start.init_ms),
                slowest(|start| start.first_ms)
            ),
        }
    };
    let shown: Vec<String> = SIZES.iter().map(|size| of_size(*size)).collect();
    format!("slowest of {STARTS}: {}", shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_read_from_the_report() {
        let log = concat!(
            "{\"level\":\"INFO\"}\n",
            "{\"time\":\"2026-11-22T02:00:00.000Z\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"1\",",
            "\"metrics\":{\"durationMs\":80.5,\"billedDurationMs\":200,\"initDurationMs\":119.25}}}\n",
        );
        let start = reported(log).unwrap();
        assert_eq!((start.init_ms, start.first_ms), (119.25, 80.5));
        assert_eq!(reported("REPORT RequestId: 1 Duration: 80.50 ms"), None);
        let table = table(&[
            (256, Some(start)),
            (
                256,
                Some(Start {
                    init_ms: 90.0,
                    first_ms: 99.0,
                }),
            ),
        ]);
        assert!(table.contains("256 MB: start 119 ms, first call 99 ms; 512 MB: no report"));
    }
}
