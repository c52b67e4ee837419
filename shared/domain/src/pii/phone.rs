//! Mainland mobile numbers: the digit 1, a digit from 3 to 9, and nine more digits.

use std::fmt;

use super::typed::{Field, fold};
use crate::error_code::ErrorCode;
use crate::mask;
use crate::secret::Secret;

const COUNTRY: &str = "+86";
const NATIONAL_LEN: usize = 11;

/// A mainland mobile number. Values are equal if they denote the same number, however it was typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone(Secret<String>);

impl Phone {
    /// Folds the typed text, a country code in any form included.
    ///
    /// # Errors
    /// [`ErrorCode::PhoneFormat`] unless a mainland mobile number remains.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        let national = fold(Field::Phone, text);
        let national = national.expose();
        let is_mobile = national.len() == NATIONAL_LEN
            && matches!(national.as_bytes(), [b'1', b'3'..=b'9', ..])
            && national.bytes().all(|byte| byte.is_ascii_digit());
        if !is_mobile {
            return Err(ErrorCode::PhoneFormat);
        }
        Ok(Self(Secret::new([COUNTRY, national].concat())))
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
    fn every_typed_form_of_a_number_is_folded() {
        for text in [
            "13900000001",
            "+8613900000001",
            " +86 139 0000 0001 ",
            "+86-139-0000-0001",
            "139-0000-0001",
            "１３９０００００００１",
            "＋８６　１３９－００００－０００１",
            "+ 86 13900000001",
            "8613900000001",
            "008613900000001",
            "(+86)13900000001",
            "(139)00000001",
            "13900000001\r\n",
            "\u{202D}139\u{A0}0000\u{2011}0001\u{202C}",
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
            "+85261234567",
            "+861390000000",
            "+86139000000011",
            "+86+8613900000001",
            "13900000001+86",
            "086 13900000001",
            "85 13900000001",
            "010-12345678",
            "1390000000x",
            "139.0000.0001",
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
