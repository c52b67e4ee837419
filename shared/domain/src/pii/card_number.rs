//! Card numbers (ISO/IEC 7812): 15 to 19 digits, the last of which usually is a check digit.

use std::fmt;

use super::typed::{Field, fold};
use crate::error_code::ErrorCode;
use crate::secret::Secret;

const MIN_DIGITS: usize = 15;
const MAX_DIGITS: usize = 19;

/// A card number. Neither the first digits nor the check digit decide, because the bank knows an unknown prefix, and
/// because some banks issue cards whose number fails the check.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(Secret<String>);

impl CardNumber {
    /// Folds the typed text: card numbers are printed and pasted in groups.
    ///
    /// # Errors
    /// [`ErrorCode::CardFormat`] unless 15 to 19 digits remain.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        let number = fold(Field::CardNumber, text);
        let digits = number.expose();
        let has_length = (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len());
        if !has_length || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ErrorCode::CardFormat);
        }
        Ok(Self(number))
    }

    /// False if a digit is probably wrong, or two are swapped.
    pub fn has_check_digit(&self) -> bool {
        luhn(self.expose())
    }

    /// All digits without spaces.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The last four digits. No other digits are ever shown.
    pub fn last4(&self) -> &str {
        let digits = self.expose();
        &digits[digits.len() - 4..]
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(***)")
    }
}

/// ISO/IEC 7812-1, annex B: from the right, double every second digit and add the digits of the results; the sum must be a
/// multiple of ten. Detects every single wrong digit and every swap of neighbours except 0 and 9 (both orders add 9).
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            match index % 2 {
                0 => digit,
                // For a digit above 4, the digits of its double add up to the double minus 9.
                _ => digit * 2 - if digit > 4 { 9 } else { 0 },
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sandbox, single_errors, swaps};
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "6222020000008000010";

    fn parse(text: &str) -> Result<String, ErrorCode> {
        CardNumber::parse(text).map(|card| card.expose().to_owned())
    }

    fn is_checked(text: &str) -> bool {
        CardNumber::parse(text).unwrap().has_check_digit()
    }

    /// A random payload of 14 to 18 digits with its check digit.
    fn valid() -> impl Strategy<Value = String> {
        "[0-9]{14,18}".prop_map(|payload| {
            ('0'..='9')
                .map(|check| format!("{payload}{check}"))
                .find(|number| luhn(number))
                .unwrap()
        })
    }

    #[test]
    fn known_numbers_are_valid() {
        // The example of ISO/IEC 7812-1, and published test numbers of card schemes.
        assert!(luhn("79927398713"));
        for good in ["4111111111111111", "378282246310005", "6250941006528599"] {
            assert_eq!(parse(good).as_deref(), Ok(good));
            assert!(is_checked(good));
        }
        assert!(!is_checked("4111111111111112"));
        assert_eq!(CardNumber::parse(GOOD).unwrap().last4(), "0010");
    }

    #[test]
    fn sandbox_cards_have_the_expected_format() {
        let sandbox = sandbox();
        let own = sandbox["merchants"].as_array().unwrap().iter();
        let own = own.map(|merchant| &merchant["active_card"]);
        let others = sandbox["cards"].as_array().unwrap().iter();
        let refused = sandbox["refused_cards"].as_array().unwrap().iter();
        let mut seen = 0;
        for card in own.chain(others).chain(refused).filter(|c| !c.is_null()) {
            let number = card["card_number"].as_str().unwrap();
            let is_question = card["refused_before_bank"] == "CARD_LUHN"
                || card["meaning"]
                    .as_str()
                    .is_some_and(|text| text.contains("check digit"));
            assert_eq!(parse(number).as_deref(), Ok(number));
            assert_eq!(is_checked(number), !is_question, "{number}");
            seen += 1;
        }
        assert!(seen >= 41);
    }

    #[test]
    fn groups_width_and_invisible_marks_are_folded() {
        for text in [
            "6222 0200 0000 8000 010",
            "  6222020000008000010 ",
            "６２２２０２００００００８００００１０",
            "6222\u{3000}0200 0000 ８０００ 010",
            "6222-0200-0000-8000-010",
            "6222020000008000010\r\n",
            "6222\t020000008000010",
            "6222\u{A0}020000008000010",
            "\u{202A}6222020000008000010\u{202C}",
            "(6222)0200—0000【8000010】",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(GOOD), "{text}");
        }
    }

    #[test]
    fn other_characters_are_rejected() {
        for text in [
            "",
            " ",
            "6222.0200.0000.8000.010",
            "6222020000008000010x",
            "+6222020000008000010",
            // Arabic-Indic digits are digits in Unicode, but not valid in a card number.
            "٦٢٢٢٠٢٠٠٠٠٠٠٨٠٠٠٠١٠",
        ] {
            assert_eq!(parse(text), Err(ErrorCode::CardFormat), "{text}");
        }
    }

    #[test]
    fn number_has_15_to_19_digits() {
        // A number of zeros has a valid check digit, so only the length matters.
        for length in 0..40 {
            let wanted = (15..=19).contains(&length);
            assert_eq!(parse(&"0".repeat(length)).is_ok(), wanted, "{length}");
        }
    }

    #[test]
    fn wrong_check_digit_is_still_a_number() {
        assert_eq!(
            parse("6222020000008000011").as_deref(),
            Ok("6222020000008000011")
        );
        assert_eq!(parse("622202000000800001x"), Err(ErrorCode::CardFormat));
        assert_eq!(parse("62220200000080"), Err(ErrorCode::CardFormat));
    }

    #[test]
    fn debug_output_hides_the_number() {
        let card = CardNumber::parse(GOOD).unwrap();
        assert_eq!(format!("{card:?}"), "CardNumber(***)");
    }

    proptest! {
        #[test]
        fn each_wrong_digit_is_detected(number in valid()) {
            prop_assert_eq!(parse(&number), Ok(number.clone()));
            for wrong in single_errors(&number, "0123456789") {
                prop_assert!(!is_checked(&wrong));
            }
        }

        /// 09 and 90 add up to the same: 9 doubled is 18, whose digits add up to 9 again.
        #[test]
        fn each_swap_of_neighbours_but_0_and_9_is_detected(number in valid()) {
            for (a, b, wrong) in swaps(&number, 1) {
                let blind = matches!((a, b), ('0', '9') | ('9', '0'));
                prop_assert_eq!(is_checked(&wrong), blind, "{} {}", a, b);
            }
        }
    }
}
