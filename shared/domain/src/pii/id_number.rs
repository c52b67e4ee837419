//! Numbers of identity documents, each kind in its own form.
//!
//! A resident ID number (GB 11643-1999) has six digits for the region, eight for the date of birth, three for the
//! sequence, and a check character. The foreign permanent resident ID card of 2023 has the same form and begins with 9.

use std::fmt;

use super::typed::{Field, fold};
use crate::error_code::ErrorCode;
use crate::secret::Secret;
use crate::time::Date;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// A kind of identity document.
    pub enum DocumentType {
        /// 居民身份证, and the residence permit of people from Hong Kong, Macao and Taiwan, which has the same form.
        ResidentId = "resident_id",
        /// 外国人永久居留身份证.
        ForeignPermanentResident = "foreign_permanent_resident",
        /// 港澳居民来往内地通行证.
        HkMacaoTravelPermit = "hk_macao_travel_permit",
        /// 台湾居民来往大陆通行证.
        TaiwanTravelPermit = "taiwan_travel_permit",
        /// A passport of any country.
        Passport = "passport",
    }
}

impl Default for DocumentType {
    /// The kind that a request without a kind means.
    fn default() -> Self {
        Self::ResidentId
    }
}

const LENGTH: usize = 18;
/// Weights from the left: 2^n modulo 11, where n is the index from the right.
const WEIGHTS: [u32; LENGTH - 1] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// The check character for each weighted sum modulo 11.
const CHECK_CHARS: &[u8; 11] = b"10X98765432";

/// The number of an identity document, in the form of its kind. Letters are in upper case.
///
/// The region of a resident ID is not validated: regions change while numbers stay, and the number is compared with the
/// merchant's record anyway.
#[derive(Clone, PartialEq, Eq)]
pub struct IdNumber {
    kind: DocumentType,
    number: Secret<String>,
}

impl IdNumber {
    /// Folds the typed text.
    ///
    /// # Errors
    /// [`ErrorCode::IdFormat`] unless the text has the form of its kind, and a date in it exists;
    /// [`ErrorCode::IdChecksum`] when only the check character is wrong.
    pub fn parse(kind: DocumentType, text: &str) -> Result<Self, ErrorCode> {
        let number = fold(Field::DocumentNumber, text);
        let typed = number.expose().as_bytes();
        match kind {
            DocumentType::ResidentId => check_resident_form(number.expose())?,
            DocumentType::ForeignPermanentResident if typed.starts_with(b"9") => {
                check_resident_form(number.expose())?;
            }
            // The card until 2023: three letters of the country, and twelve digits.
            DocumentType::ForeignPermanentResident => fits(typed, 3, &[12])?,
            // The card has eight digits. The booklet before it added two for the number of renewals.
            DocumentType::HkMacaoTravelPermit if matches!(typed, [b'H' | b'M', ..]) => {
                fits(typed, 1, &[8, 10])?;
            }
            DocumentType::HkMacaoTravelPermit => return Err(ErrorCode::IdFormat),
            // The card has eight digits, the booklet before it ten.
            DocumentType::TaiwanTravelPermit => fits(typed, 0, &[8, 10])?,
            // ICAO Doc 9303 allows letters and digits in any order, nine as a rule and more where a state needs them.
            DocumentType::Passport => {
                let is_passport = (5..=17).contains(&typed.len())
                    && typed.iter().all(u8::is_ascii_alphanumeric)
                    && typed.iter().any(u8::is_ascii_digit);
                is_passport.then_some(()).ok_or(ErrorCode::IdFormat)?;
            }
        }
        Ok(Self { kind, number })
    }

    /// The kind of the document.
    pub const fn kind(&self) -> DocumentType {
        self.kind
    }

    /// The number.
    pub fn expose(&self) -> &str {
        self.number.expose()
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdNumber(***)")
    }
}

/// Checks for `letters` letters followed by one of the counts of digits.
fn fits(typed: &[u8], letters: usize, digits: &[usize]) -> Result<(), ErrorCode> {
    let (head, tail) = typed.split_at_checked(letters).ok_or(ErrorCode::IdFormat)?;
    let is_form = head.iter().all(u8::is_ascii_uppercase)
        && digits.contains(&tail.len())
        && tail.iter().all(u8::is_ascii_digit);
    is_form.then_some(()).ok_or(ErrorCode::IdFormat)
}

/// Checks for 17 digits with a date in them, and a check character.
fn check_resident_form(number: &str) -> Result<(), ErrorCode> {
    let (digits, check) = number
        .split_at_checked(LENGTH - 1)
        .ok_or(ErrorCode::IdFormat)?;
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_check = matches!(check.as_bytes(), [b'0'..=b'9' | b'X']);
    let date = digits.get(6..14).and_then(Date::parse_compact);
    if !is_digits || !is_check || date.is_none() {
        return Err(ErrorCode::IdFormat);
    }
    if !is_checked(number) {
        return Err(ErrorCode::IdChecksum);
    }
    Ok(())
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
        parse_as(DocumentType::ResidentId, text)
    }

    fn parse_as(kind: DocumentType, text: &str) -> Result<String, ErrorCode> {
        IdNumber::parse(kind, text).map(|id| id.expose().to_owned())
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
        for merchant in merchants {
            let document = &merchant["id_document"];
            let kind = DocumentType::parse(document["type"].as_str().unwrap()).unwrap();
            let number = document["number"].as_str().unwrap();
            assert_eq!(parse_as(kind, number).as_deref(), Ok(number));
        }
    }

    #[test]
    fn each_kind_has_its_form() {
        use DocumentType as Kind;
        let accepted = [
            (
                Kind::ForeignPermanentResident,
                "chn110105123456",
                "CHN110105123456",
            ),
            (Kind::HkMacaoTravelPermit, "ｈ12345678", "H12345678"),
            (Kind::HkMacaoTravelPermit, "M1234567801", "M1234567801"),
            (Kind::TaiwanTravelPermit, " 1234 5678", "12345678"),
            (Kind::TaiwanTravelPermit, "1234567890", "1234567890"),
            (Kind::Passport, "e12345678", "E12345678"),
            (Kind::Passport, "EA1234567", "EA1234567"),
            (Kind::Passport, "123456789", "123456789"),
        ];
        for (kind, typed, wanted) in accepted {
            assert_eq!(parse_as(kind, typed).as_deref(), Ok(wanted), "{typed}");
        }
        let refused = [
            (Kind::ResidentId, "H12345678"),
            (Kind::ForeignPermanentResident, "CH1110105123456"),
            (Kind::ForeignPermanentResident, "CHN11010512345"),
            (Kind::ForeignPermanentResident, VECTOR),
            (Kind::HkMacaoTravelPermit, "A12345678"),
            (Kind::HkMacaoTravelPermit, "H1234567"),
            (Kind::HkMacaoTravelPermit, "H123456789"),
            (Kind::HkMacaoTravelPermit, "12345678"),
            (Kind::TaiwanTravelPermit, "T12345678"),
            (Kind::TaiwanTravelPermit, "123456789"),
            (Kind::Passport, "E123"),
            (Kind::Passport, "EABCDEFGH"),
            (Kind::Passport, "E1234567-8"),
            (Kind::Passport, "E12345678901234567"),
        ];
        for (kind, typed) in refused {
            assert_eq!(parse_as(kind, typed), Err(ErrorCode::IdFormat), "{typed}");
        }
        for kind in Kind::ALL {
            assert_eq!(parse_as(*kind, ""), Err(ErrorCode::IdFormat));
        }
    }

    #[test]
    fn permanent_resident_card_of_2023_is_checked() {
        let kind = DocumentType::ForeignPermanentResident;
        let numbers = "0123456789X"
            .chars()
            .map(|check| format!("91112419810325133{check}"));
        let parsed: Vec<_> = numbers.map(|number| parse_as(kind, &number)).collect();
        assert_eq!(parsed.iter().filter(|parsed| parsed.is_ok()).count(), 1);
        let wrong = parsed
            .iter()
            .filter(|parsed| **parsed == Err(ErrorCode::IdChecksum));
        assert_eq!(wrong.count(), 10);
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
        let id = IdNumber::parse(DocumentType::ResidentId, VECTOR).unwrap();
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
