//! Personal data as types: a phone, a name, a card number, the number of a document.
//!
//! Each is parsed once, where it enters; code behind that point does not check its form again. `Debug` masks the value, so
//! that state can be logged or printed in a failed test. The form is all that a type guarantees: the merchant's record
//! and the bank decide whether a card, a person or a phone exists, and whose it is.

pub mod card_number;
pub mod id_number;
pub mod person_name;
pub mod phone;
mod private_area;
pub mod typed;

pub use card_number::CardNumber;
pub use id_number::{DocumentType, IdNumber};
pub use person_name::PersonName;
pub use phone::Phone;

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

    proptest! {
        #[test]
        fn parsers_accept_any_text_without_panic(text in any::<String>()) {
            // Plain random text rarely gets past the first check, so also try text with leading digits.
            for text in [&text, &format!("1{text}"), &format!("13900{text}00001")] {
                let _ = CardNumber::parse(text);
                for kind in DocumentType::ALL {
                    let _ = IdNumber::parse(*kind, text);
                }
                let _ = Phone::parse(text);
                let _ = DocumentExpiry::parse(text);
                prop_assert_eq!(format!("{:?}", PersonName::new(text)), "PersonName(***)");
            }
        }

        #[test]
        fn parsers_accept_plausible_text_without_panic(
            text in "[+()0-9０-９xXＸ \u{A0}\u{3000}A-HJ-NP-RTUWXYa-z-]{0,40}"
        ) {
            let _ = CardNumber::parse(&text);
            for kind in DocumentType::ALL {
                let _ = IdNumber::parse(*kind, &text);
            }
            let _ = Phone::parse(&text);
            let _ = DocumentExpiry::parse(&text);
        }
    }
}
