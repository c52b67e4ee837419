//! Unified social credit codes of companies and sole traders (GB 32100-2015).
//!
//! The standard computes the check character as `(31 - sum mod 31) mod 31`. The sum including the check character is then
//! a multiple of 31.

use std::fmt;

use crate::pii::{gather, half_width};
use crate::secret::Secret;

const LENGTH: usize = 18;
/// The index of a character is its value. I, O, S, V and Z are missing because they resemble digits or other letters.
const ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
/// 3^i modulo 31 for index i from the left, and 1 for the check character.
const WEIGHTS: [usize; LENGTH] = [
    1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28, 1,
];

/// A code with a valid check character, in upper case. The code is public, but it identifies sole traders, so it is
/// treated as personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct CreditCode(Secret<String>);

impl CreditCode {
    /// Trims surrounding white space and folds full-width forms and lower case. `None` unless the text has 18 characters
    /// of the alphabet and a valid check character. No request contains a code, so there is no error code for it.
    pub fn parse(text: &str) -> Option<Self> {
        let chars = text.trim().chars().map(half_width);
        let chars = chars.map(|c| Some(c.to_ascii_uppercase()).filter(|c| ALPHABET.contains(*c)));
        let code = gather(LENGTH, chars)?;
        is_checked(code.expose()).then_some(Self(code))
    }

    /// The 18 characters.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for CreditCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CreditCode(***)")
    }
}

/// Detects every single wrong character and every swap of two characters, except a swap of the first character and the
/// check character (both have weight 1). Reason: 31 is prime and larger than any value, no weight is a multiple of 31, and
/// the powers of 3 repeat only after 30 places.
fn is_checked(code: &str) -> bool {
    let values = code.chars().map(|c| ALPHABET.find(c).unwrap_or_default());
    let sum: usize = WEIGHTS.iter().zip(values).map(|(w, v)| w * v).sum();
    code.len() == LENGTH && sum.is_multiple_of(ALPHABET.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::{sandbox, single_errors, swaps};
    use proptest::prelude::*;

    const VECTOR: &str = "91350100M000100Y43";

    fn parse(text: &str) -> Option<String> {
        CreditCode::parse(text).map(|code| code.expose().to_owned())
    }

    fn valid() -> impl Strategy<Value = String> {
        "[0-9A-HJ-NPQRTUWXY]{17}".prop_map(|payload| {
            ALPHABET
                .chars()
                .map(|check| format!("{payload}{check}"))
                .find(|code| is_checked(code))
                .unwrap()
        })
    }

    /// The check character by the formula of the standard.
    fn check_by_the_standard(payload: &str) -> char {
        let (sum, _) = payload.chars().fold((0, 1), |(sum, weight), c| {
            (sum + ALPHABET.find(c).unwrap() * weight, weight * 3 % 31)
        });
        ALPHABET.chars().nth((31 - sum % 31) % 31).unwrap()
    }

    #[test]
    fn known_codes_are_valid() {
        assert_eq!(ALPHABET.len(), 31);
        assert_eq!(parse(VECTOR).as_deref(), Some(VECTOR));
        let sandbox = sandbox();
        let merchants = sandbox["merchants"].as_array().unwrap().iter();
        let codes: Vec<_> = merchants
            .filter_map(|merchant| merchant["unified_social_credit_code"].as_str())
            .collect();
        assert_eq!(codes.len(), 1);
        assert!(codes.iter().all(|code| parse(code).is_some()));
    }

    #[test]
    fn width_case_and_space_are_folded() {
        for text in [
            "91350100m000100y43",
            " 91350100M000100Y43\t",
            "９１３５０１００Ｍ０００１００ｙ４３",
        ] {
            assert_eq!(parse(text).as_deref(), Some(VECTOR), "{text}");
        }
    }

    #[test]
    fn malformed_codes_are_rejected() {
        for text in [
            "",
            "0",
            "000000000000000000000",
            "91350100M000100Y4",
            "91350100M000100Y433",
            "91350100 M000100Y43",
            "91350100M000100Y4-",
            "91350100M000100Y4测",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for c in "IOSVZiosvz".chars() {
            for at in 0..LENGTH {
                let mut chars: Vec<char> = VECTOR.chars().collect();
                chars[at] = c;
                assert_eq!(parse(&chars.iter().collect::<String>()), None);
            }
        }
    }

    #[test]
    fn debug_output_hides_the_code() {
        let code = CreditCode::parse(VECTOR).unwrap();
        assert_eq!(format!("{code:?}"), "CreditCode(***)");
    }

    proptest! {
        #[test]
        fn check_character_follows_the_standard(code in valid()) {
            prop_assert_eq!(code.chars().last().unwrap(), check_by_the_standard(&code[..17]));
            prop_assert_eq!(parse(&code), Some(code));
        }

        #[test]
        fn each_wrong_character_is_detected(code in valid()) {
            for wrong in single_errors(&code, ALPHABET) {
                prop_assert_eq!(parse(&wrong), None, "{}", wrong);
            }
        }

        /// A swap of the first and the last character is the only one that is not detected.
        #[test]
        fn each_swap_but_the_widest_is_detected(code in valid()) {
            for distance in 1..LENGTH {
                for (_, _, wrong) in swaps(&code, distance) {
                    prop_assert_eq!(parse(&wrong).is_some(), distance == LENGTH - 1, "{}", wrong);
                }
            }
        }
    }
}
