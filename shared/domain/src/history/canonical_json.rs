//! Canonical JSON: one form for each value, so that equal values have equal hashes.
//!
//! The form is RFC 8785 (JCS) for every value in the history: objects, arrays, strings, booleans, null and integers up
//! to 2^53. A JCS library in any language can therefore verify a history. Other numbers keep the form of `serde_json`.
//! No event contains one, but request bodies can: JCS rounds large integers, which would make different request bodies
//! equal.

use serde_json::Value;

/// The canonical form of a value: members sorted by the UTF-16 code units of their names at every level, no white space.
///
/// The order does not rely on the map of `serde_json`, because any crate of the build can change that by a Cargo
/// feature.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                // Written as a `Value::String`, which escapes only the quotes, the backslash and control characters.
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(member, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    #[test]
    fn one_spelling_at_every_level() {
        let value =
            json!({"b": {"d": [], "c": {}}, "a": [3, {"f": 1.5, "e": -1}], "": false, "B": null});
        let one = r#"{"":false,"B":null,"a":[3,{"e":-1,"f":1.5}],"b":{"c":{},"d":[]}}"#;
        assert_eq!(canonical(&value), one);
        let read: Value = serde_json::from_str(
            " { \"b\": {\"d\":[ ], \"c\":{}}, \"a\":[3,{\"f\":1.5,\"e\":-1}],\n\"B\":null,\"\":false}",
        )
        .unwrap();
        assert_eq!(canonical(&read), one);
        for scalar in ["null", "true", "12", "\"\\u0000\\\"\"", "\"é 换 / <\""] {
            let value: Value = serde_json::from_str(scalar).unwrap();
            assert_eq!(canonical(&value), scalar);
        }
    }

    /// Sorted by UTF-8 bytes, the two names would be in the other order.
    #[test]
    fn names_sort_by_utf_16_code_units() {
        let value = json!({"\u{e000}": 1, "\u{1f600}": 2});
        assert_eq!(canonical(&value), "{\"\u{1f600}\":2,\"\u{e000}\":1}");
    }

    const INTEGER_MAX: i64 = 1 << 53;

    fn any_json() -> impl Strategy<Value = Value> {
        let text = || {
            prop_oneof![
                any::<String>(),
                "[a-c\u{0}-\u{20}\"\\\\/\u{7f}é换\u{e000}\u{ffff}😀]{0,6}"
            ]
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-INTEGER_MAX..=INTEGER_MAX).prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..6)
                    .prop_map(|members| Value::Object(Map::from_iter(members))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn equals_another_jcs_implementation(value in any_json()) {
            let expected = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(canonical(&value), expected);
        }
    }
}
