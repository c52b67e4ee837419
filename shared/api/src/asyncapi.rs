//! The generated catalogue of the events for other systems: `infra/asyncapi.json` (AsyncAPI 3.0). Schemas come from
//! [`CloudEvent`] and its doc comments; messages and examples from the example events of `domain`.

#![allow(
    clippy::expect_used,
    reason = "a catalogue that cannot be generated is a mistake in this crate; no function links this module"
)]

use crate::cloud_event::{CloudEvent, TYPE_PREFIX};
use crate::openapi::schemas::of_events;
use crate::openapi::sorted;
use domain::event_kind::EventKind;
use domain::history::vectors;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DESCRIPTION: &str = include_str!("asyncapi.md");

/// The `source` of the examples.
const SOURCE: &str = "/card-rebind/card-rebind";

/// The catalogue.
#[must_use]
pub fn document() -> Value {
    let mut examples: BTreeMap<EventKind, Vec<CloudEvent>> = BTreeMap::new();
    for event in vectors() {
        if let Some(published) = CloudEvent::of(&event, SOURCE) {
            examples.entry(event.kind()).or_default().push(published);
        }
    }
    let kinds: Vec<EventKind> = examples.keys().copied().collect();
    let schemas = of_events(&kinds);
    let names = || kinds.iter().map(|kind| kind.as_str());
    let refer = |to: &str| -> Vec<Value> {
        let names = names();
        names
            .map(|name| json!({ "$ref": format!("{to}/{name}") }))
            .collect()
    };
    let of_channel: Map<String, Value> = names()
        .zip(refer("#/components/messages"))
        .map(|(name, reference)| (name.to_owned(), reference))
        .collect();
    let messages: Map<String, Value> = examples
        .iter()
        .map(|(kind, examples)| (kind.to_string(), message(*kind, examples, &schemas)))
        .collect();
    sorted(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Settlement-card rebind: events",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "channels": { "events": {
            "title": "The SNS topic",
            "description": "Its ARN is the stack's output EventsTopicArn.",
            "address": null,
            "messages": of_channel,
        } },
        "operations": { "publishEvent": {
            "action": "send",
            "summary": "A transition of an account is published.",
            "channel": { "$ref": "#/channels/events" },
            "messages": refer("#/channels/events/messages"),
        } },
        "components": { "messages": messages, "schemas": schemas },
    }))
}

/// The message of a kind. Its examples have every form of the kind, so they show which members it has.
fn message(kind: EventKind, examples: &[CloudEvent], schemas: &Map<String, Value>) -> Value {
    let name = format!("{TYPE_PREFIX}{kind}");
    let shown: Vec<Value> = examples
        .iter()
        .map(|event| serde_json::to_value(event).expect("an event has a JSON form"))
        .collect();
    let attributes =
        |event: &Value| json!({ "type": event["type"], "merchant_id": event["subject"] });
    let listed: Vec<Value> = shown
        .iter()
        .map(|event| json!({ "headers": attributes(event), "payload": event }))
        .collect();
    json!({
        "name": name,
        "title": kind.as_str(),
        "summary": summary(kind, schemas),
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "description": "The attributes of the SNS message, for filter policies.",
            "required": ["type", "merchant_id"],
            "properties": {
                "type": { "type": "string", "const": name },
                "merchant_id": { "$ref": "#/components/schemas/MerchantId" },
            },
        },
        "payload": { "allOf": [
            { "$ref": "#/components/schemas/CloudEvent" },
            { "type": "object", "properties": {
                "type": { "const": name },
                "data": data_of(kind, &shown),
            } },
        ] },
        "examples": listed,
    })
}

/// What the `data` of this kind has beyond the common members.
fn data_of(kind: EventKind, examples: &[Value]) -> Value {
    const OPTIONAL: [&str; 4] = ["state", "rebind_id", "card_id", "payout_id"];
    let mut properties = Map::from_iter([("kind".to_owned(), json!({ "const": kind.as_str() }))]);
    let mut required = Vec::new();
    for name in OPTIONAL {
        let values = examples.iter().filter_map(|event| event["data"].get(name));
        let values: Vec<&Value> = values.collect();
        if values.is_empty() {
            properties.insert(name.to_owned(), json!(false));
        } else if values.len() == examples.len() {
            required.push(name);
        }
        let states: BTreeSet<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        if name == "state" && !states.is_empty() {
            properties.insert(name.to_owned(), json!({ "enum": states }));
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The description of the kind, from the vocabulary.
fn summary(kind: EventKind, schemas: &Map<String, Value>) -> String {
    let begin = format!("- `{kind}`: ");
    let mut lines = schemas["EventKind"]["description"]
        .as_str()
        .expect("a text")
        .lines();
    let line = lines.find_map(|line| line.strip_prefix(&begin));
    line.expect("a line for each kind").to_owned()
}
