//! The external inputs of the functions: HTTP requests, and events of the gateway, the stream, the schedule and the core.

use super::lab::in_lab;
use super::text;
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The maximum number of requests in an input: enough for a step and its consequences.
const REQUESTS_MAX: usize = 4;
/// The separator of requests.
const THEN: &[u8] = b"\n%%\n";

/// A sequence of requests in wire format: `POST /v1/rebinds?a=b`, header lines, an empty line, the body. Placeholders like
/// `$token1` stand for values that an app knows.
pub fn request(data: &[u8]) {
    in_lab(|lab| {
        for request in split(data, THEN).into_iter().take(REQUESTS_MAX) {
            let at = request.windows(2).position(|pair| pair == b"\n\n");
            let (head, body) = at.map_or((request, &[][..]), |at| {
                (&request[..at], &request[at + 2..])
            });
            let head = lab.filled(&String::from_utf8_lossy(head));
            let mut lines = head.lines();
            let first = lines.next().unwrap_or_default();
            let (method, target) = first.split_once(' ').unwrap_or((first, ""));
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let headers: serde_json::Map<String, Value> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect();
            let (body, encoded) = match std::str::from_utf8(body) {
                Ok(body) => (lab.filled(body), false),
                Err(_) => (base64::engine::general_purpose::STANDARD.encode(body), true),
            };
            lab.send(json!({
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "headers": headers,
                "requestContext": {
                    "http": {"method": method, "sourceIp": "203.0.113.7"},
                    "requestId": "fuzz",
                },
                "body": body,
                "isBase64Encoded": encoded,
            }));
        }
    });
}

fn split<'d>(data: &'d [u8], separator: &[u8]) -> Vec<&'d [u8]> {
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest
        .windows(separator.len())
        .position(|part| part == separator)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest);
    parts
}

fn json_of(data: &[u8], fill: impl FnOnce(&str) -> String) -> Option<Value> {
    serde_json::from_str(&fill(text(data)?)).ok()
}

/// A gateway event of any shape.
pub fn http_event(data: &[u8]) {
    in_lab(|lab| {
        let event = json_of(data, |text| lab.filled(text));
        // The runtime rejects an event that is not an object, before the product's code runs.
        if let Some(event) = event.filter(Value::is_object) {
            lab.send(event);
        }
    });
}

/// A batch of the table's stream.
pub fn stream_event(data: &[u8]) {
    in_lab(|lab| {
        let Some(batch) = json_of(data, |text| lab.filled(text)) else {
            return;
        };
        // A record without a number makes the second function repeat the whole batch.
        let replies = [
            (lab.deliver(batch.clone()), false),
            (lab.publish(batch.clone()), true),
        ];
        // An identifier that is not in the batch fails the whole batch.
        let records = batch["Records"].as_array().into_iter().flatten();
        let numbers =
            records.filter_map(|record| record.pointer("/dynamodb/SequenceNumber")?.as_str());
        let numbers: BTreeSet<&str> = numbers.collect();
        for (reply, may_be_empty) in &replies {
            let failures = reply["batchItemFailures"].as_array().unwrap();
            assert!(failures.len() <= 1, "the first failure is the checkpoint");
            let mut names = failures
                .iter()
                .map(|failure| failure["itemIdentifier"].as_str().unwrap());
            assert!(names.all(|name| numbers.contains(name) || (*may_be_empty && name.is_empty())));
        }
    });
}

/// An event of the clean-up's schedule.
pub fn schedule_event(data: &[u8]) {
    in_lab(|lab| {
        let event = json_of(data, |text| lab.filled(text));
        let readable = |event: &Value| {
            serde_json::from_value::<cooldown_cleanup::ScheduleEvent>(event.clone()).is_ok()
        };
        if let Some(event) = event.filter(readable) {
            lab.schedule(event);
        }
    });
}

/// An operation of the acquirer's core.
pub fn core_operation(data: &[u8]) {
    in_lab(|lab| {
        let operation = json_of(data, |text| lab.filled(text));
        if let Some(operation) = operation.filter(Value::is_object) {
            lab.core(operation);
        }
    });
}
