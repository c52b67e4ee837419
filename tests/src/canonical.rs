//! Canonical JSON of a history event: the input of its hash.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// JSON with sorted keys and no white space. Reimplemented here because a reader of the history has none of the product's
/// code.
#[must_use]
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(name, member)| format!("{}:{}", json!(name), canonical(member)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}
