//! The captured events in `tests/payloads`.

use serde_json::Value;
use std::path::Path;

/// Their directory.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/payloads");

/// The event file of a route: `POST /v1/rebinds/{id}/cancel` is in `post_v1_rebinds_id_cancel.json`.
#[must_use]
pub fn file_name(route: &str) -> String {
    let words = route.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    format!("{}.json", words.join("_"))
}

/// Reads one event.
#[must_use]
pub fn read(file: &str) -> Value {
    let path = Path::new(FOLDER).join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replaces upper-case placeholders in an event, in the path, the headers and the body. If one placeholder contains another,
/// the longest match wins.
#[must_use]
pub fn filled(event: &Value, words: &[(&str, &str)]) -> Value {
    let mut words = words.to_vec();
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    fill(event, &words)
}

fn fill(event: &Value, words: &[(&str, &str)]) -> Value {
    match event {
        Value::String(text) => {
            let replace = |text: String, (word, value): &(&str, &str)| text.replace(word, value);
            Value::String(words.iter().fold(text.clone(), replace))
        }
        Value::Array(items) => items.iter().map(|item| fill(item, words)).collect(),
        Value::Object(members) => {
            let filled = members
                .iter()
                .map(|(name, member)| (name.clone(), fill(member, words)));
            filled.collect()
        }
        other => other.clone(),
    }
}
