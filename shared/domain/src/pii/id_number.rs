//! Resident identity numbers (GB 11643-1999): six digits for the region, eight for the date of birth, three for the
//! sequence, and a check character.

use std::fmt;

use super::typed::{Field, fold};
use crate::error_code::ErrorCode;
use crate::secret::Secret;
use crate::time::Date;

const LENGTH: usize = 18;
/// Weights from the left: 2^n modulo 11, where n is the index from the right.
const WEIGHTS: [u32; LENGTH - 1] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check character for each weighted sum modulo 11.
const CHECK_CHARS: &[u8; 11] = b"10X98765432";

/// A resident identity number with an existing date and a valid check character. X is in upper case.
///
/// The region is not validated: regions change while numbers stay, and the number is compared with the merchant's
/// record anyway.
#[derive(Clone, PartialEq, Eq)]
pub struct IdNumber(Secret<String>);

impl IdNumber {
    /// Folds the typed text, a lower-case x included.
    ///
    /// # Errors
    /// [`ErrorCode::IdFormat`] unless the text is 17 digits followed by a digit or X, and the date exists;
    /// [`ErrorCode::IdChecksum`] when only the check character is wrong.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        let number = fold(Field::DocumentNumber, text);
        let (digits, check) = number
            .expose()
            .split_at_checked(LENGTH - 1)
            .ok_or(ErrorCode::IdFormat)?;
        let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_check = matches!(check.as_bytes(), [b'0'..=b'9' | b'X']);
        let date = digits.get(6..14).and_then(Date::parse_compact);
        if !is_digits || !is_check || date.is_none() {
            return Err(ErrorCode::IdFormat);
        }
        if !is_checked(number.expose()) {
            return Err(ErrorCode::IdChecksum);
        }
        Ok(Self(number))
    }

    /// The 18 characters.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdNumber(***)")
    }
}

/// Detects every single wrong digit and every swap of neighbours, including the check character. Reason: 11 is prime, no
/// weight is a multiple of 11, and neighbours have different weights. A swap of two characters ten places apart is not
/// detected, because they have the same weight (2^10 = 1 modulo 11).
fn is_checked(number: &str) -> bool {
    let digits = number.bytes().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = WEIGHTS.iter().zip(digits).map(|(w, d)| w * d).sum();
    let wanted = CHECK_CHARS.get(sum as usize % CHECK_CHARS.len());
    wanted == number.as_bytes().last()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sandbox, single_errors, swaps};
    use super::*;
    use proptest::prelude::*;

    const VECTOR: &str = "11010519491231002X";

    fn parse(text: &str) -> Result<String, ErrorCode> {
        IdNumber::parse(text).map(|id| id.expose().to_owned())
    }

    fn valid() -> impl Strategy<Value = String> {
        let parts = ("[0-9]{6}", 1_u16..=9999, 1_u8..=12, 1_u8..=28, "[0-9]{3}");
        parts.prop_map(|(region, year, month, day, sequence)| {
            "0123456789X"
                .chars()
                .map(|check| format!("{region}{year:04}{month:02}{day:02}{sequence}{check}"))
                .find(|number| is_checked(number))
                .unwrap()
        })
    }

    #[test]
    fn known_numbers_are_valid() {
        assert_eq!(parse(VECTOR).as_deref(), Ok(VECTOR));
        assert_eq!(
            parse("440524188001010014").as_deref(),
            Ok("440524188001010014")
        );
        let sandbox = sandbox();
        let merchants = sandbox["merchants"].as_array().unwrap();
        assert_eq!(merchants.len(), 14);
        for merchant in merchants {
            let number = merchant["id_document"]["number"].as_str().unwrap();
            assert_eq!(parse(number).as_deref(), Ok(number));
        }
    }

    #[test]
    fn width_case_and_space_are_folded() {
        for text in [
            "11010519491231002x",
            " 11010519491231002X\n",
            "\u{3000}11010519491231002X",
            "110105 19491231 002X",
            "\u{200B}110105\u{A0}19491231002X\u{200E}",
            "１１０１０５１９４９１２３１００２Ｘ",
            "１１０１０５１９４９１２３１００２ｘ",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(VECTOR), "{text}");
        }
    }

    #[test]
    fn malformed_numbers_are_rejected() {
        for text in [
            "",
            "1101051949123100",
            "11010519491231002",
            "11010519491231002XX",
            "11010519491231002X0",
            "110105-19491231-002X",
            "1101051949123100XX",
            "X1010519491231002X",
            "11010519491231002Y",
            "11010519491231002\u{0425}",
            // The 15-digit form has been invalid since 2013.
            "110105491231002",
        ] {
            assert_eq!(parse(text), Err(ErrorCode::IdFormat), "{text}");
        }
    }

    #[test]
    fn date_of_birth_must_exist() {
        for date in [
            "19490229", "19490431", "19491301", "19490001", "19490100", "00000101", "19000229",
        ] {
            for check in "0123456789X".chars() {
                let text = format!("110105{date}002{check}");
                assert_eq!(parse(&text), Err(ErrorCode::IdFormat), "{text}");
            }
        }
        let leap = |check| parse(&format!("11010520000229002{check}")).is_ok();
        assert_eq!("0123456789X".chars().filter(|c| leap(*c)).count(), 1);
    }

    #[test]
    fn wrong_check_character_is_a_checksum_error() {
        for check in "0123456789".chars() {
            let text = format!("11010519491231002{check}");
            assert_eq!(parse(&text), Err(ErrorCode::IdChecksum), "{text}");
        }
    }

    #[test]
    fn debug_output_hides_the_number() {
        let id = IdNumber::parse(VECTOR).unwrap();
        assert_eq!(format!("{id:?}"), "IdNumber(***)");
    }

    proptest! {
        #[test]
        fn each_wrong_character_is_detected(number in valid()) {
            prop_assert_eq!(parse(&number), Ok(number.clone()));
            for wrong in single_errors(&number, "0123456789X") {
                prop_assert!(parse(&wrong).is_err(), "{}", wrong);
                if !wrong[..17].contains('X') {
                    prop_assert!(!is_checked(&wrong), "{}", wrong);
                }
            }
        }

        #[test]
        fn each_swap_of_neighbours_is_detected(number in valid()) {
            for (_, _, wrong) in swaps(&number, 1) {
                prop_assert!(parse(&wrong).is_err(), "{}", wrong);
                if !wrong[..17].contains('X') {
                    prop_assert!(!is_checked(&wrong), "{}", wrong);
                }
            }
        }

        /// Documents the limit of the check character: only swaps ten places apart are not detected.
        #[test]
        fn swaps_ten_apart_are_not_detected(number in "[0-9]{17}") {
            let Some(check) = ('0'..='9').find(|c| is_checked(&format!("{number}{c}"))) else {
                return Ok(());
            };
            let number = format!("{number}{check}");
            for distance in 1..LENGTH {
                for (_, _, wrong) in swaps(&number, distance) {
                    prop_assert_eq!(is_checked(&wrong), distance == 10, "{}", wrong);
                }
            }
        }
    }
}
