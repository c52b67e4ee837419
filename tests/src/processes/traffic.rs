//! What the processes send to the services: calls, bytes, capacity units, handshakes, and on request the calls themselves.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The totals since the last look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Calls to the tables.
    pub table_calls: u32,
    /// Calls to KMS.
    pub kms_calls: u32,
    /// Calls to other services and to the bank.
    pub other_calls: u32,
    /// Bytes of all request bodies.
    pub bytes_sent: u64,
    /// Bytes of all reply bodies.
    pub bytes_received: u64,
    /// Read request units.
    pub rru: f64,
    /// Write request units.
    pub wru: f64,
    /// Messages published to phones.
    pub sms: u32,
    /// TLS handshakes.
    pub handshakes: u32,
}

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    recorded: Option<Vec<Value>>,
}

/// The traffic of all processes of a host.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<State>>);

impl Traffic {
    /// The totals since the last call of this.
    #[must_use]
    pub fn take(&self) -> Totals {
        std::mem::take(&mut self.0.lock().unwrap().totals)
    }

    /// Begins to record requests.
    pub fn record(&self) {
        self.0.lock().unwrap().recorded = Some(Vec::new());
    }

    /// Ends the recording. Each request is an object with `url`, `headers` and `body`.
    #[must_use]
    pub fn recorded(&self) -> Vec<Value> {
        let recorded = self.0.lock().unwrap().recorded.take();
        recorded.unwrap_or_default()
    }

    pub(super) fn handshake(&self) {
        self.0.lock().unwrap().totals.handshakes += 1;
    }

    /// Notes a request before it is answered. `url` is the address of its service.
    pub(super) fn request(&self, url: &str, request: &Request<Bytes>) {
        let mut state = self.0.lock().unwrap();
        state.totals.bytes_sent += request.body().len() as u64;
        let Some(recorded) = &mut state.recorded else {
            return;
        };
        let headers = request.headers().iter();
        // The client sets these itself.
        let headers =
            headers.filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()));
        let headers: Vec<Value> = headers
            .map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()]))
            .collect();
        let body = std::str::from_utf8(request.body()).unwrap();
        let path = request.uri().path();
        recorded.push(json!({"url": format!("{url}{path}"), "headers": headers, "body": body}));
    }

    /// Notes the reply to a request: to which service and operation it went, and its body.
    pub(super) fn reply(&self, service: Option<&str>, operation: &str, body: &[u8]) {
        let mut state = self.0.lock().unwrap();
        let totals = &mut state.totals;
        totals.bytes_received += body.len() as u64;
        match service {
            Some("DynamoDB_20120810") => {
                totals.table_calls += 1;
                let units = consumed(body);
                if ["GetItem", "BatchGetItem", "Query", "Scan"].contains(&operation) {
                    totals.rru += units;
                } else {
                    totals.wru += units;
                }
            }
            Some("TrentService") => totals.kms_calls += 1,
            _ => {
                totals.other_calls += 1;
                totals.sms += u32::from(operation == "Publish");
            }
        }
    }
}

/// The capacity units of a reply of DynamoDB.
fn consumed(body: &[u8]) -> f64 {
    let reply: Value = serde_json::from_slice(body).unwrap_or_default();
    let units = |one: &Value| one["CapacityUnits"].as_f64().unwrap_or_default();
    match &reply["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(units).sum(),
        one => units(one),
    }
}
