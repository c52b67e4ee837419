//! The sender's signature: carriers require it in front of every SMS, as 【…】.

use std::ops::RangeInclusive;

/// Length of a signature in UTF-16 units.
const UNITS: RangeInclusive<usize> = 2..=12;
/// A run of this many digits could be taken for an OTP.
const DIGITS: usize = 6;
/// A run of this many characters of the alphabet could be taken for a freeze code, whose case is ignored.
const CODE_CHARACTERS: usize = 8;
/// The alphabet of freeze codes and deposit codes.
const CODE_ALPHABET: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The registered name of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsSignature(String);

impl SmsSignature {
    /// The longest part of a text that a signature uses, with its brackets, in UTF-16 units.
    pub const MAX_UNITS: usize = *UNITS.end() + 2;

    /// Parses a signature: 2 to 12 characters without blanks, control characters or its own brackets, and nothing that
    /// could be taken for a code. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '【' | '】');
        let is_code = |c: char| CODE_ALPHABET.contains(c.to_ascii_uppercase());
        let fits = UNITS.contains(&text.encode_utf16().count())
            && !text.contains(is_foreign)
            && longest_run(text, |c| c.is_ascii_digit()) < DIGITS
            && longest_run(text, is_code) < CODE_CHARACTERS;
        fits.then(|| Self(text.to_owned()))
    }

    /// The registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The text with the signature in front.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        format!("【{}】{text}", self.0)
    }
}

fn longest_run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    let runs = text.split(|c| !is_in(c));
    runs.map(|run| run.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_cannot_be_taken_for_a_code() {
        for good in [
            "示例",
            "示例收单",
            "示例科技集团支付有限公司",
            "Alipay",
            "12345年",
            "12345年12345",
            "ABCDEFG",
            "ABCDEFG1HJK",
            "OOOO0000I1O",
        ] {
            let signature = SmsSignature::parse(good).unwrap();
            let signed = signature.sign("验证码880088");
            assert_eq!(signed, format!("【{good}】验证码880088"));
        }
        for bad in [
            "",
            "示",
            "示例科技集团支付有限公司的",
            "123456",
            "示例123456",
            "ABCDEFGH",
            "abcdefgh",
            "示例2345WXYZ",
            "示 例",
            "示\u{3000}例",
            "示【例",
            "示】例",
            "示\n例",
        ] {
            assert_eq!(SmsSignature::parse(bad), None, "{bad}");
        }
    }
}
