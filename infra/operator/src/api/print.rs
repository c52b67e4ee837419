//! Prints replies.

use serde_json::Value;
use std::io::{self, Write};

/// Prints a reply as JSON.
///
/// # Errors
/// When the output is closed.
pub fn print_json(output: &mut impl Write, value: &Value) -> io::Result<()> {
    writeln!(output, "{value:#}")
}

/// Prints a reply as indented lines, without members that are null.
///
/// # Errors
/// When the output is closed.
pub fn print_text(output: &mut impl Write, value: &Value) -> io::Result<()> {
    lines(output, value, 0)
}

fn lines(output: &mut impl Write, value: &Value, depth: usize) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Null => {}
                    Value::Object(_) | Value::Array(_) => {
                        writeln!(output, "{indent}{name}:")?;
                        lines(output, value, depth + 1)?;
                    }
                    value => writeln!(output, "{indent}{name}: {}", plain(value))?,
                }
            }
            Ok(())
        }
        Value::Array(items) if items.is_empty() => writeln!(output, "{indent}none"),
        Value::Array(items) => {
            for item in items {
                writeln!(output, "{indent}-")?;
                lines(output, item, depth + 1)?;
            }
            Ok(())
        }
        value => writeln!(output, "{indent}{}", plain(value)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_indented_and_has_no_nulls() {
        let mut text = Vec::new();
        let value = json!({"a": 1, "b": null, "c": {"d": "x"}, "e": [], "f": [{"g": true}]});
        print_text(&mut text, &value).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "a: 1\nc:\n  d: x\ne:\n  none\nf:\n  -\n    g: true\n");
    }
}
