//! Mainland mobile numbers: the digit 1, a digit from 3 to 9, and nine more digits.

use std::fmt;

use super::{gather, half_width};
use crate::error_code::ErrorCode;
use crate::mask;
use crate::secret::Secret;

const COUNTRY: &str = "+86";
const E164_LEN: usize = "+8613900000001".len();

/// A mainland mobile number. Values are equal if they denote the same number, however it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(Secret<String>);

impl Phone {
    /// Parses `139…` or `+86139…`. Skips spaces and hyphens, because address books insert them, and folds full-width
    /// forms.
    ///
    /// # Errors
    /// [`ErrorCode::PhoneFormat`] for any other text, including landlines and other countries.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        let significant = || {
            text.chars()
                .map(half_width)
                .filter(|c| !matches!(c, ' ' | '-'))
        };
        let has_country = significant().take(COUNTRY.len()).eq(COUNTRY.chars());
        let skipped = if has_country { COUNTRY.len() } else { 0 };
        let digits = significant()
            .skip(skipped)
            .map(|c| c.is_ascii_digit().then_some(c));
        let e164 = gather(E164_LEN, COUNTRY.chars().map(Some).chain(digits));
        let phone = Self(e164.ok_or(ErrorCode::PhoneFormat)?);
        match phone.national().as_bytes() {
            [b'1', b'3'..=b'9', ..] if phone.e164().len() == E164_LEN => Ok(phone),
            _ => Err(ErrorCode::PhoneFormat),
        }
    }

    /// `+8613900000001`
    pub fn e164(&self) -> &str {
        self.0.expose()
    }

    /// The masked number: `139****0001`.
    pub fn masked(&self) -> String {
        mask::phone(self.national())
    }

    fn national(&self) -> &str {
        &self.e164()[COUNTRY.len()..]
    }
}

/// Masked instead of hidden, so that a failed test shows which phone got a message.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sandbox;
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<String, ErrorCode> {
        Phone::parse(text).map(|phone| phone.e164().to_owned())
    }

    #[test]
    fn spaces_hyphens_and_width_are_folded() {
        for text in [
            "13900000001",
            "+8613900000001",
            " +86 139 0000 0001 ",
            "+86-139-0000-0001",
            "139-0000-0001",
            "１３９０００００００１",
            "＋８６　１３９－００００－０００１",
            "+ 86 13900000001",
        ] {
            assert_eq!(parse(text).as_deref(), Ok("+8613900000001"), "{text}");
        }
    }

    #[test]
    fn malformed_numbers_are_rejected() {
        for text in [
            "",
            "+86",
            "1390000000",
            "139000000011",
            "12900000001",
            "11900000001",
            "10900000001",
            "23900000001",
            "03900000001",
            "8613900000001",
            "008613900000001",
            "+85261234567",
            "+861390000000",
            "+86139000000011",
            "+86+8613900000001",
            "13900000001+86",
            "010-12345678",
            "1390000000x",
            "(139)00000001",
            "139.0000.0001",
            "13900000001\n",
            "\u{202D}13900000001\u{202C}",
            "١٣٩٠٠٠٠٠٠٠١",
        ] {
            assert_eq!(parse(text), Err(ErrorCode::PhoneFormat), "{text}");
        }
    }

    #[test]
    fn second_digit_is_3_to_9() {
        for second in 0..=9 {
            let is_mobile = parse(&format!("1{second}900000001")).is_ok();
            assert_eq!(is_mobile, second >= 3, "{second}");
        }
    }

    #[test]
    fn sandbox_phones_are_valid() {
        let sandbox = sandbox();
        for merchant in sandbox["merchants"].as_array().unwrap() {
            let phone = merchant["phone_on_file"].as_str().unwrap();
            assert_eq!(parse(phone).as_deref(), Ok(phone));
            let account = merchant["account"].as_str().unwrap();
            assert_eq!(parse(account).as_deref(), Ok(phone));
        }
    }

    #[test]
    fn debug_output_is_masked() {
        let phone = Phone::parse("+8613900000001").unwrap();
        assert_eq!(phone.masked(), "139****0001");
        assert_eq!(format!("{phone:?}"), "Phone(139****0001)");
        assert_eq!(phone, Phone::parse("139 0000 0001").unwrap());
        assert_ne!(phone, Phone::parse("13900000002").unwrap());
    }

    proptest! {
        #[test]
        fn any_mobile_number_round_trips(number in "1[3-9][0-9]{9}") {
            let phone = Phone::parse(&number).unwrap();
            prop_assert_eq!(phone.e164(), format!("+86{number}"));
            prop_assert_eq!(Phone::parse(phone.e164()), Ok(phone.clone()));
            let masked = phone.masked();
            prop_assert_eq!(masked, format!("{}****{}", &number[..3], &number[7..]));
        }
    }
}
