//! Reads the texts in `shared/data` while compiling: a missing text does not build, and a cold start parses nothing.

/// The string at `json[id][key]`, of a file that is an object of objects of strings without escapes (the test of each
/// file holds it against a real JSON parser). Use it in a `const`, so that its assertions are the compiler's errors.
pub(super) const fn text(json: &'static str, id: &str, key: &str) -> &'static str {
    let start = after_name(json, key, after_name(json, id, 0));
    let bytes = json.as_bytes();
    let mut open = start;
    while bytes[open] == b' ' {
        open += 1;
    }
    assert!(bytes[open] == b'"', "the value is not a string");
    let mut close = open + 1;
    while bytes[close] != b'"' {
        assert!(bytes[close] != b'\\', "the value has an escape");
        close += 1;
    }
    json.split_at(close).0.split_at(open + 1).1
}

/// The index behind the next `"name":` at or after `from`.
const fn after_name(json: &str, name: &str, from: usize) -> usize {
    let json = json.as_bytes();
    let name = name.as_bytes();
    let mut at = from;
    loop {
        assert!(
            at + name.len() + 2 < json.len(),
            "the file has no such name"
        );
        let quoted = json[at] == b'"' && json[at + name.len() + 1] == b'"';
        if quoted && json[at + name.len() + 2] == b':' && is_at(json, name, at + 1) {
            return at + name.len() + 3;
        }
        at += 1;
    }
}

const fn is_at(json: &[u8], name: &[u8], from: usize) -> bool {
    let mut i = 0;
    while i < name.len() {
        if json[from + i] != name[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::text;

    const FILE: &str = r#"{ "a": {"x": "one", "ax": ""}, "ab": { "x":"zwei, 二" } }"#;

    #[test]
    fn finds_the_whole_name_only() {
        assert_eq!(text(FILE, "a", "x"), "one");
        assert_eq!(text(FILE, "a", "ax"), "");
        assert_eq!(text(FILE, "ab", "x"), "zwei, 二");
    }

    #[test]
    #[should_panic(expected = "the file has no such name")]
    fn what_is_missing_does_not_compile_where_it_is_a_const() {
        text(FILE, "b", "x");
    }
}
