//! Card numbers (ISO/IEC 7812): 15 to 19 digits, the last one a check digit.

use std::fmt;

use super::{gather, half_width};
use crate::error_code::ErrorCode;
use crate::secret::Secret;

const MIN_DIGITS: usize = 15;
const MAX_DIGITS: usize = 19;

/// A card number with a right check digit. It does not start with any particular digit: a prefix that is not in
/// our table is for the bank to judge.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(Secret<String>);

impl CardNumber {
    /// Spaces are skipped, because cards are printed and pasted in groups; full-width digits are folded. Nothing
    /// else is: a hyphen or a letter in a card number is more likely a slip than a habit.
    ///
    /// # Errors
    /// [`ErrorCode::CardFormat`] unless 15 to 19 digits are left; [`ErrorCode::CardLuhn`] when the check digit is wrong.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        let digits = text
            .chars()
            .map(half_width)
            .filter(|c| *c != ' ')
            .map(|c| c.is_ascii_digit().then_some(c));
        let number = Self(gather(MAX_DIGITS, digits).ok_or(ErrorCode::CardFormat)?);
        if number.expose().len() < MIN_DIGITS {
            return Err(ErrorCode::CardFormat);
        }
        if !luhn(number.expose()) {
            return Err(ErrorCode::CardLuhn);
        }
        Ok(number)
    }

    /// All digits, without spaces.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The last four digits, the only ones that are ever shown.
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

/// ISO/IEC 7812-1, annex B. From the right, every second digit is doubled and its digits are added; the sum is a
/// multiple of ten. Catches every wrong digit, and every swap of neighbours but 0 and 9 (both orders add 9).
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            match index % 2 {
                0 => digit,
                // 2d for d < 5, and the digits of 2d, which add up to 2d - 9, above.
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

    /// 14 to 18 digits and the check digit that makes them a card number.
    fn valid() -> impl Strategy<Value = String> {
        "[0-9]{14,18}".prop_map(|payload| {
            ('0'..='9')
                .map(|check| format!("{payload}{check}"))
                .find(|number| luhn(number))
                .unwrap()
        })
    }

    #[test]
    fn known_numbers() {
        // ISO/IEC 7812-1's own example, and test numbers that card schemes publish.
        assert!(luhn("79927398713"));
        for good in ["4111111111111111", "378282246310005", "6250941006528599"] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        assert_eq!(parse("4111111111111112"), Err(ErrorCode::CardLuhn));
        assert_eq!(CardNumber::parse(GOOD).unwrap().last4(), "0010");
    }

    #[test]
    fn every_card_of_the_sandbox_says_what_the_sandbox_says() {
        let sandbox = sandbox();
        let own = sandbox["merchants"].as_array().unwrap().iter();
        let own = own.map(|merchant| &merchant["active_card"]);
        let others = sandbox["cards"].as_array().unwrap().iter();
        let refused = sandbox["refused_cards"].as_array().unwrap().iter();
        let mut seen = 0;
        for card in own.chain(others).chain(refused).filter(|c| !c.is_null()) {
            let number = card["card_number"].as_str().unwrap();
            let wanted = match card["refused_before_bank"].as_str() {
                Some("CARD_LUHN") => Err(ErrorCode::CardLuhn),
                _ => Ok(number.to_owned()),
            };
            assert_eq!(parse(number), wanted);
            seen += 1;
        }
        assert_eq!(seen, 37);
    }

    #[test]
    fn spaces_and_full_width_digits_are_folded() {
        for text in [
            "6222 0200 0000 8000 010",
            "  6222020000008000010 ",
            "６２２２０２００００００８００００１０",
            "6222\u{3000}0200 0000 ８０００ 010",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(GOOD), "{text}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for text in [
            "",
            " ",
            "6222-0200-0000-8000-010",
            "6222020000008000010\n",
            "6222\t020000008000010",
            "6222\u{A0}020000008000010",
            "6222020000008000010x",
            "+6222020000008000010",
            "\u{202A}6222020000008000010",
            // Arabic-Indic digits are digits to Unicode, not to a card.
            "٦٢٢٢٠٢٠٠٠٠٠٠٨٠٠٠٠١٠",
        ] {
            assert_eq!(parse(text), Err(ErrorCode::CardFormat), "{text}");
        }
    }

    #[test]
    fn fifteen_to_nineteen_digits() {
        // All zeros have a right check digit, so only the length speaks here.
        for length in 0..40 {
            let wanted = (15..=19).contains(&length);
            assert_eq!(parse(&"0".repeat(length)).is_ok(), wanted, "{length}");
        }
    }

    #[test]
    fn form_comes_before_the_check_digit() {
        assert_eq!(parse("622202000000800001x"), Err(ErrorCode::CardFormat));
        assert_eq!(parse("62220200000080"), Err(ErrorCode::CardFormat));
    }

    #[test]
    fn debug_shows_nothing() {
        let card = CardNumber::parse(GOOD).unwrap();
        assert_eq!(format!("{card:?}"), "CardNumber(***)");
    }

    proptest! {
        #[test]
        fn each_wrong_digit_is_caught(number in valid()) {
            prop_assert_eq!(parse(&number), Ok(number.clone()));
            for wrong in single_errors(&number, "0123456789") {
                prop_assert_eq!(parse(&wrong), Err(ErrorCode::CardLuhn));
            }
        }

        /// 09 and 90 add the same: 0 + 9 at one parity, and 9 doubled gives 18, whose digits add up to 9 again.
        #[test]
        fn each_swap_of_neighbours_is_caught_but_0_and_9(number in valid()) {
            for (a, b, wrong) in swaps(&number, 1) {
                let blind = matches!((a, b), ('0', '9') | ('9', '0'));
                prop_assert_eq!(parse(&wrong).is_ok(), blind, "{} {}", a, b);
            }
        }
    }
}
