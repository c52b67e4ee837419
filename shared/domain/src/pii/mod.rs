//! Personal data as types: a phone, a name, a card number, an ID number.
//!
//! Each is parsed once, where it enters; code behind that point does not check its form again. `Debug` masks the value, so
//! that state can be logged or printed in a failed test. The form is all that a type guarantees: the merchant's record
//! and the bank decide whether a card, a person or a phone exists, and whose it is.

pub mod card_number;
pub mod id_number;
pub mod person_name;
pub mod phone;

pub use card_number::CardNumber;
pub use id_number::IdNumber;
pub use person_name::PersonName;
pub use phone::Phone;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Converts full-width ASCII (U+FF01 to U+FF5E) and the ideographic space to half-width. Chinese keyboards produce both
/// forms, and users do not notice the difference.
pub(crate) fn half_width(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => {
            // The block has the order of ASCII, so the result is always a valid character.
            char::from_u32(u32::from(c) - 0xFF01 + u32::from('!')).unwrap_or(c)
        }
        '\u{3000}' => ' ',
        _ => c,
    }
}

/// Collects characters into a secret. `None` when a character is `None` or the text exceeds `max_len` bytes. The full
/// capacity is reserved first, because a growing string is moved and leaves a copy behind that is never wiped.
pub(crate) fn gather(
    max_len: usize,
    chars: impl Iterator<Item = Option<char>>,
) -> Option<Secret<String>> {
    let mut text = Zeroizing::new(String::with_capacity(max_len));
    for c in chars {
        let c = c?;
        if text.len() + c.len_utf8() > max_len {
            return None;
        }
        text.push(c);
    }
    Some(Secret::new(std::mem::take(&mut *text)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::format::DocumentExpiry;
    use proptest::prelude::*;

    /// The sandbox's merchants and cards, as a source of well-formed test numbers.
    pub(crate) fn sandbox() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../data/sandbox.json")).unwrap()
    }

    /// All texts that differ from `text` in one character of `alphabet`.
    pub(crate) fn single_errors(text: &str, alphabet: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        let mut copies = Vec::new();
        for at in 0..chars.len() {
            for c in alphabet.chars().filter(|c| *c != chars[at]) {
                let mut copy = chars.clone();
                copy[at] = c;
                copies.push(copy.into_iter().collect());
            }
        }
        copies
    }

    /// All texts with two different characters of `text` at this distance swapped, together with the two characters.
    pub(crate) fn swaps(text: &str, distance: usize) -> Vec<(char, char, String)> {
        let chars: Vec<char> = text.chars().collect();
        let mut copies = Vec::new();
        for at in distance..chars.len() {
            let (a, b) = (chars[at - distance], chars[at]);
            if a != b {
                let mut copy = chars.clone();
                copy.swap(at - distance, at);
                copies.push((a, b, copy.into_iter().collect()));
            }
        }
        copies
    }

    #[test]
    fn full_width_ascii_becomes_ascii() {
        let full: String = ('\u{FF01}'..='\u{FF5E}').map(half_width).collect();
        let ascii: String = ('!'..='~').collect();
        assert_eq!(full, ascii);
        assert_eq!(half_width('\u{3000}'), ' ');
        for c in ['\u{FF00}', '\u{FF5F}', '\u{3001}', '测', 'a', '\u{20000}'] {
            assert_eq!(half_width(c), c);
        }
    }

    #[test]
    fn gather_stops_at_the_limit() {
        let gathered = |text: &str| gather(3, text.chars().map(|c| (c != '!').then_some(c)));
        assert_eq!(gathered("").unwrap().expose(), "");
        assert_eq!(gathered("abc").unwrap().expose(), "abc");
        assert_eq!(gathered("测").unwrap().expose(), "测");
        assert!(gathered("abcd").is_none());
        assert!(gathered("a测").is_none());
        assert!(gathered("a!").is_none());
        assert!(gathered("").unwrap().expose().capacity() >= 3);
    }

    proptest! {
        #[test]
        fn parsers_accept_any_text_without_panic(text in any::<String>()) {
            // Plain random text rarely gets past the first check, so also try text with leading digits.
            for text in [&text, &format!("1{text}"), &format!("13900{text}00001")] {
                let _ = CardNumber::parse(text);
                let _ = IdNumber::parse(text);
                let _ = Phone::parse(text);
                let _ = DocumentExpiry::parse(text);
                prop_assert_eq!(format!("{:?}", PersonName::new(text)), "PersonName(***)");
            }
        }

        #[test]
        fn parsers_accept_plausible_text_without_panic(
            text in "[+0-9０-９xXＸ \u{3000}A-HJ-NP-RTUWXYa-z-]{0,40}"
        ) {
            let _ = CardNumber::parse(&text);
            let _ = IdNumber::parse(&text);
            let _ = Phone::parse(&text);
            let _ = DocumentExpiry::parse(&text);
        }
    }
}
