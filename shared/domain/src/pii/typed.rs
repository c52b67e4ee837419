//! Text as people type it: the one place that decides which differences of a typed text mean nothing.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// A field that people type. Passwords and `device_id` are not in this list: they are never folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The name of an account. It often is a phone number, so one of digits is folded like a phone.
    Account,
    /// A person's name.
    Name,
    /// The number of an identity document.
    DocumentNumber,
    /// A phone number.
    Phone,
    /// A card number.
    CardNumber,
    /// An OTP, a deposit code or a freeze code.
    Code,
}

/// Folds a typed text to the form in which it is compared, hashed and parsed.
///
/// - In every field: full-width forms become half-width; blanks, line ends, zero-width and direction marks are removed.
/// - In a phone, a card number and a code: hyphens and brackets are removed. In an account only if the rest is digits,
///   because elsewhere they may distinguish two accounts.
/// - In a phone and an account: the country code (`+86`, `0086`, `86`) is removed before 11 digits.
/// - In a code and a document number: letters become upper case.
pub fn fold(field: Field, text: &str) -> Secret<String> {
    // No character grows, so the text never moves and leaves no copy behind that is not wiped.
    let mut folded = Zeroizing::new(String::with_capacity(text.len()));
    let chars = text.chars().map(half_width).filter(|c| !is_invisible(*c));
    match field {
        Field::Name => folded.extend(chars),
        Field::DocumentNumber => folded.extend(chars.map(|c| c.to_ascii_uppercase())),
        Field::Code => folded.extend(
            chars
                .filter(|c| !is_mark(*c))
                .map(|c| c.to_ascii_uppercase()),
        ),
        Field::CardNumber => folded.extend(chars.filter(|c| !is_mark(*c))),
        Field::Phone => {
            folded.extend(chars.filter(|c| !is_mark(*c)));
            drop_country_code(&mut folded);
        }
        Field::Account => {
            folded.extend(chars);
            if is_number(&folded) {
                folded.retain(|c| !is_mark(c));
                drop_country_code(&mut folded);
            }
        }
    }
    Secret::new(std::mem::take(&mut *folded))
}

/// True if only digits remain without marks, after a plus sign at most.
fn is_number(text: &str) -> bool {
    let mut rest = text.chars().filter(|c| !is_mark(*c)).peekable();
    let _plus = rest.next_if_eq(&'+');
    rest.peek().is_some() && rest.all(|c| c.is_ascii_digit())
}

fn drop_country_code(number: &mut String) {
    const NATIONAL_LEN: usize = 11;
    let national = ["+86", "0086", "86"]
        .iter()
        .find_map(|code| number.strip_prefix(code))
        .filter(|rest| rest.len() == NATIONAL_LEN && rest.bytes().all(|b| b.is_ascii_digit()));
    if national.is_some() {
        number.drain(..number.len() - NATIONAL_LEN);
    }
}

/// Converts full-width ASCII (U+FF01 to U+FF5E) and the ideographic space to half-width. Chinese keyboards produce both forms, and users do not
/// notice the difference.
fn half_width(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => {
            // The block has the order of ASCII, so the result is always a valid character.
            char::from_u32(u32::from(c) - 0xFF01 + u32::from('!')).unwrap_or(c)
        }
        '\u{3000}' => ' ',
        _ => c,
    }
}

/// Blanks, line ends, and the characters that Unicode calls default ignorable: zero-width and direction marks, joiners,
/// fillers and variation selectors. Copied text often has them.
pub(super) fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Hyphens and brackets, in the forms that Latin and Chinese keyboards produce.
fn is_mark(c: char) -> bool {
    is_hyphen(c)
        || matches!(c,
            '(' | ')' | '[' | ']' | '{' | '}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301B}'
            | '\u{FE59}'..='\u{FE5E}')
}

/// Hyphens and dashes in any form.
pub(super) fn is_hyphen(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Field; 6] = [
        Field::Account,
        Field::Name,
        Field::DocumentNumber,
        Field::Phone,
        Field::CardNumber,
        Field::Code,
    ];

    fn folded(field: Field, text: &str) -> String {
        fold(field, text).expose().clone()
    }

    #[test]
    fn full_width_ascii_becomes_ascii() {
        let full: String = ('\u{FF01}'..='\u{FF5E}').map(half_width).collect();
        let ascii: String = ('!'..='~').collect();
        assert_eq!(full, ascii);
        for c in ['\u{FF00}', '\u{FF5F}', '\u{3001}', '测', 'a', '\u{20000}'] {
            assert_eq!(half_width(c), c);
        }
    }

    #[test]
    fn every_field_loses_what_cannot_be_seen() {
        for field in ALL {
            for mark in [
                ' ',
                '\t',
                '\n',
                '\r',
                '\u{85}',
                '\u{A0}',
                '\u{AD}',
                '\u{2003}',
                '\u{200B}',
                '\u{200D}',
                '\u{200E}',
                '\u{2028}',
                '\u{202C}',
                '\u{202D}',
                '\u{202F}',
                '\u{2060}',
                '\u{2066}',
                '\u{2069}',
                '\u{3000}',
                '\u{3164}',
                '\u{FE0F}',
                '\u{FEFF}',
                '\u{E0100}',
            ] {
                let text = format!("{mark}１2{mark}３４{mark}");
                assert_eq!(folded(field, &text), "1234", "{field:?} {mark:?}");
            }
            assert_eq!(folded(field, " \u{A0}\u{3000}\n"), "");
        }
    }

    #[test]
    fn marks_are_removed_from_numbers_and_codes_only() {
        let text = "[12]-（34）—５６【78】";
        for field in ALL {
            let wanted = match field {
                Field::Name | Field::DocumentNumber => "[12]-(34)—56【78】",
                _ => "12345678",
            };
            assert_eq!(folded(field, text), wanted, "{field:?}");
        }
    }

    #[test]
    fn account_of_digits_is_folded_like_a_phone() {
        for text in [
            "13900000001",
            "+8613900000001",
            "008613900000001",
            "8613900000001",
            "(+86) 139-0000-0001",
            "（＋８６）１３９ ００００ ０００１",
            "\u{202A}+86 139\u{A0}0000\u{2011}0001\u{202C}\r\n",
        ] {
            assert_eq!(folded(Field::Account, text), "13900000001", "{text}");
            assert_eq!(folded(Field::Phone, text), "13900000001", "{text}");
        }
    }

    #[test]
    fn other_accounts_keep_their_marks() {
        for (typed, wanted) in [
            ("shop-1", "shop-1"),
            ("Shop（１）", "Shop(1)"),
            ("shop 1", "shop1"),
            ("12-34", "1234"),
            ("+852 6123 4567", "+85261234567"),
            ("861390000000", "861390000000"),
            ("1+2-3", "1+2-3"),
            ("+", "+"),
            ("-", "-"),
        ] {
            assert_eq!(folded(Field::Account, typed), wanted, "{typed}");
        }
    }

    #[test]
    fn country_code_is_removed_before_eleven_digits_only() {
        for text in [
            "+861390000000",
            "86139000000011",
            "+86+8613900000001",
            "86",
            "+86",
        ] {
            assert_eq!(folded(Field::Phone, text), text, "{text}");
        }
        for field in [Field::CardNumber, Field::Code, Field::DocumentNumber] {
            assert_eq!(folded(field, "8613900000001"), "8613900000001");
        }
    }

    #[test]
    fn case_is_folded_in_codes_and_documents_only() {
        for field in ALL {
            let is_upper = matches!(field, Field::Code | Field::DocumentNumber);
            let wanted = if is_upper { "AB3Ｘ" } else { "aB3x" };
            let wanted = wanted.replace('Ｘ', "X");
            assert_eq!(folded(field, "ａＢ3ｘ"), wanted, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(
            any in any::<String>(),
            typed in "[-+()（）【】 \u{A0}\u{200B}a-c08６８0-9]{0,20}"
        ) {
            for field in ALL {
                for text in [&any, &typed] {
                    let once = fold(field, text);
                    prop_assert_eq!(fold(field, once.expose()), once.clone());
                    prop_assert!(once.expose().len() <= text.len());
                }
            }
        }
    }
}
