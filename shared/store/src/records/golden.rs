//! Stored items as the first release of this format wrote them, in `golden/v1`. The files never change: a file that
//! cannot be read stands for production data that cannot be read.
//!
//! The files of a new kind of item, or of a new version, are written once, with `cargo test -p store
//! write_missing_golden_records -- --ignored`. The command leaves existing files unchanged.

mod events;
mod operators;
mod values;

use super::{Attributes, VERSION, item_of};
use crate::item::{Item, Update, broken, opt_n};
use application::ports::PortError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;

type Read = Box<dyn Fn(&Item) -> Result<(), String>>;

/// A value, its item as this release writes it, and the conversion back.
struct Record {
    name: &'static str,
    /// `None` for an item that has changed since it was first written.
    written: Option<Item>,
    printed: String,
    /// Compares an item's value with this one.
    reads: Read,
    refuses: Box<dyn Fn(&Item) -> bool>,
}

fn record<T: Debug + PartialEq + 'static>(
    name: &'static str,
    value: T,
    written: Item,
    read: impl Fn(&Item) -> Result<T, PortError> + Copy + 'static,
) -> Record {
    let printed = format!("{value:?}");
    Record {
        name,
        written: Some(written),
        printed,
        reads: Box::new(move |item| match read(item) {
            Ok(found) if found == value => Ok(()),
            Ok(found) => Err(format!("{found:?}\ninstead of\n{value:?}")),
            Err(error) => Err(error.to_string()),
        }),
        refuses: Box::new(move |item| matches!(read(item), Err(PortError::TooNew(_)))),
    }
}

/// The item that an update creates.
fn created(key: Item, update: &Update, expression: &str) -> Item {
    let name = |name: &str| match update.names.get(name) {
        Some(name) => name.clone(),
        None => name.to_owned(),
    };
    let value = |text: &str| {
        // No item exists yet, so `if_not_exists` yields its default.
        let text = text.rsplit(", ").next().unwrap().trim_end_matches(')');
        update.values[text].clone()
    };
    let mut item = key;
    let (set, add) = expression.split_once(" ADD ").unwrap_or((expression, ""));
    let mut clauses: Vec<String> = Vec::new();
    for part in set.trim_start_matches("SET ").split(", ") {
        match clauses.last_mut() {
            Some(last) if !part.contains(" = ") => *last = format!("{last}, {part}"),
            _ => clauses.push(part.to_owned()),
        }
    }
    for clause in clauses {
        let (left, right) = clause.split_once(" = ").unwrap();
        item.insert(name(left), value(right));
    }
    if let Some((left, right)) = add.split_once(' ') {
        item.insert(name(left), value(right));
    }
    item
}

/// An item with the attributes of a later change applied.
fn changed(item: Item, attributes: Attributes) -> Item {
    item_of(item, attributes)
}

fn records() -> Vec<Record> {
    let mut records = values::records();
    records.extend(events::records());
    records.extend(operators::records());
    records
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

fn stored(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{name}: {error}. A missing file is written by \
             `cargo test -p store write_missing_golden_records -- --ignored`"
        )
    });
    serde_json::from_str(&text).unwrap()
}

/// An item in DynamoDB's JSON.
fn to_json(item: &Item) -> Value {
    let attribute = |value: &AttributeValue| match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": BASE64.encode(bytes)}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        other => panic!("no record has {other:?}"),
    };
    let sorted: BTreeMap<&String, Value> = item
        .iter()
        .map(|(name, value)| (name, attribute(value)))
        .collect();
    json!(sorted)
}

fn of_json(item: &Value) -> Item {
    let attribute = |value: &Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match kind.as_str() {
            "S" => AttributeValue::S(text(value)),
            "N" => AttributeValue::N(text(value)),
            "B" => AttributeValue::B(Blob::new(BASE64.decode(text(value)).unwrap())),
            "SS" => AttributeValue::Ss(value.as_array().unwrap().iter().map(text).collect()),
            other => panic!("no record has {other}"),
        }
    };
    let attributes = item.as_object().unwrap().iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

#[test]
fn golden_records_are_read() {
    for record in records() {
        if let Err(wrong) = (record.reads)(&of_json(&stored(record.name))) {
            panic!("{}: {wrong}", record.name);
        }
    }
}

#[test]
fn golden_records_are_written() {
    for record in records() {
        let Some(written) = &record.written else {
            continue;
        };
        let (mut written, mut golden) = (to_json(written), stored(record.name));
        if record.name == "idempotency_reply" {
            // Another version of the compressor may produce other bytes; the test above reads the file's bytes.
            for item in [&mut written, &mut golden] {
                assert!(item.as_object_mut().unwrap().remove("body").is_some());
            }
        }
        assert_eq!(written, golden, "{}", record.name);
    }
}

#[test]
fn golden_files_and_records_are_the_same_set() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let records: Vec<String> = records()
        .iter()
        .map(|record| format!("{}.json", record.name))
        .collect();
    assert_eq!(files.len(), records.len(), "two records of one name");
    assert_eq!(files, records.into_iter().collect());
    assert!(files.len() >= 12);
}

#[test]
fn later_version_is_refused() {
    for record in records() {
        let mut item = of_json(&stored(record.name));
        assert_eq!(opt_n(&item, VERSION), Some(1), "{}", record.name);
        assert!(!(record.refuses)(&item), "{}", record.name);
        item.insert(VERSION.to_owned(), AttributeValue::N("2".to_owned()));
        assert!((record.refuses)(&item), "{}", record.name);
    }
}

#[test]
fn missing_version_is_an_unreadable_record() {
    for record in records() {
        let mut item = of_json(&stored(record.name));
        item.remove(VERSION);
        let wrong = (record.reads)(&item).unwrap_err();
        assert_eq!(wrong, broken(VERSION).to_string(), "{}", record.name);
    }
}

#[test]
fn unknown_attribute_is_ignored() {
    for record in records() {
        let mut item = of_json(&stored(record.name));
        item.insert("later".to_owned(), AttributeValue::S("x".to_owned()));
        assert_eq!((record.reads)(&item), Ok(()), "{}", record.name);
    }
}

#[test]
fn nested_values_have_no_version() {
    fn versioned(value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| name == VERSION || versioned(value)),
            Value::Array(values) => values.iter().any(versioned),
            _ => false,
        }
    }
    for record in records() {
        for (name, value) in &of_json(&stored(record.name)) {
            let nested = value.as_s().ok().and_then(|text| {
                let value: Result<Value, _> = serde_json::from_str(text);
                value.ok()
            });
            let is_versioned = nested.is_some_and(|value| versioned(&value));
            assert!(!is_versioned, "{}: {name}", record.name);
        }
    }
}

#[test]
fn stored_values_print_no_personal_data() {
    for record in records() {
        for personal in [
            "139000000",
            "137000000",
            values::NAME,
            values::SETTLEMENT_NAME,
        ] {
            let printed = &record.printed;
            assert!(!printed.contains(personal), "{}: {printed}", record.name);
        }
    }
}

#[test]
#[ignore = "writes files: only for a new kind of item, or a new version"]
fn write_missing_golden_records() {
    std::fs::create_dir_all(folder()).unwrap();
    for record in records() {
        let path = folder().join(format!("{}.json", record.name));
        if let Some(written) = record.written.filter(|_| !path.exists()) {
            let text = serde_json::to_string_pretty(&to_json(&written)).unwrap();
            std::fs::write(path, text + "\n").unwrap();
        }
    }
}
