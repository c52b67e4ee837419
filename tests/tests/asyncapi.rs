//! `infra/asyncapi.json` is generated. This file checks the properties that generation cannot guarantee: the file is up to date,
//! its messages are the published kinds, and its examples satisfy their schemas.

#![allow(clippy::unwrap_used, missing_docs)]

use domain::event_kind::EventKind;
use domain::history::{hash, vectors};
use domain::integration::integration;
use domain::time::Timestamp;
use jsonschema::Validator;
use local::openapi::Description;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/asyncapi.json");

fn document() -> Value {
    serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap()
}

/// References begin with `#/components`, so the schemas are added.
fn validator(document: &Value, schema: &Value) -> Validator {
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": {"schemas": document["components"]["schemas"]},
        "allOf": [schema],
    });
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&root).unwrap()
}

#[test]
fn catalogue_is_up_to_date() {
    let checked = local::openapi::check(Description::AsyncApi);
    assert_eq!(checked.map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn messages_are_the_published_kinds() {
    let events = vectors();
    let published = events
        .iter()
        .filter(|event| integration(event.event()).is_some());
    let published: BTreeSet<&str> = published.map(|event| event.kind().as_str()).collect();
    let document = document();
    for place in ["/components/messages", "/channels/events/messages"] {
        let messages = document.pointer(place).unwrap().as_object().unwrap();
        let names: BTreeSet<&str> = messages.keys().map(String::as_str).collect();
        assert_eq!(names, published, "{place}");
    }
    let operation = &document["operations"]["publishEvent"]["messages"];
    assert_eq!(operation.as_array().unwrap().len(), published.len());
    let kinds = &document["components"]["schemas"]["EventKind"]["enum"];
    let kinds: BTreeSet<&str> = kinds
        .as_array()
        .unwrap()
        .iter()
        .flat_map(Value::as_str)
        .collect();
    assert_eq!(kinds, published);
    assert!(published.len() < EventKind::ALL.len());
}

#[test]
fn examples_satisfy_their_schemas() {
    let document = document();
    let messages = document["components"]["messages"].as_object().unwrap();
    let mut examples = 0;
    for (kind, message) in messages {
        let payload = validator(&document, &message["payload"]);
        let headers = validator(&document, &message["headers"]);
        for example in message["examples"].as_array().unwrap() {
            let (event, attributes) = (&example["payload"], &example["headers"]);
            for (validator, instance) in [(&payload, event), (&headers, attributes)] {
                let errors: Vec<String> = validator
                    .iter_errors(instance)
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{kind}: {errors:?}");
            }
            assert_eq!(event["data"]["kind"], *kind);
            examples += 1;
            // The schemas are closed: a forgotten decision about a member would show here.
            let mut more = event.clone();
            more["data"]["last4"] = json!("1009");
            assert!(!payload.is_valid(&more), "{kind}");
            let mut other = event.clone();
            other["type"] = json!("card-rebind.other");
            assert!(!payload.is_valid(&other), "{kind}");
        }
    }
    assert!(examples >= messages.len());
}

/// The hashes of the examples are real: a subscriber can test its verification with them.
#[test]
fn examples_are_events_of_the_vectors() {
    let document = document();
    let messages = document["components"]["messages"].as_object().unwrap();
    let examples = messages
        .values()
        .flat_map(|message| message["examples"].as_array().unwrap());
    let vectors = vectors();
    for example in examples {
        let data = &example["payload"]["data"];
        let seq = usize::try_from(data["sequence"].as_u64().unwrap()).unwrap();
        let vector = &vectors[seq - 1];
        assert_eq!(data["hash"], hash(vector));
        let time = example["payload"]["time"].as_str().unwrap();
        assert_eq!(Timestamp::parse_rfc3339(time), Some(vector.at));
    }
}
