//! The expiry date of an identity document.

use std::borrow::Cow;
use std::fmt;

use crate::error_code::ErrorCode;
use crate::time::{Date, Timestamp};

const LONG_TERM: &str = "long_term";

/// The last day of a document's validity. It is part of the proof of identity, so `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DocumentExpiry {
    /// Valid until the end of this day in Shanghai.
    On(Date),
    /// 长期: documents of people aged 46 or older do not expire.
    LongTerm,
}

impl DocumentExpiry {
    /// Parses exactly `YYYY-MM-DD` or `long_term`.
    ///
    /// # Errors
    /// [`ErrorCode::IdFormat`] for any other text and for a date that does not exist.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        if text == LONG_TERM {
            return Ok(Self::LongTerm);
        }
        Date::parse(text).map(Self::On).ok_or(ErrorCode::IdFormat)
    }

    /// The text that [`Self::parse`] accepts.
    pub fn to_text(self) -> Cow<'static, str> {
        match self {
            Self::On(date) => Cow::Owned(date.to_string()),
            Self::LongTerm => Cow::Borrowed(LONG_TERM),
        }
    }

    /// True if the document has expired.
    pub fn is_over_at(self, now: Timestamp) -> bool {
        self.days_left_at(now).is_some_and(|days| days < 0)
    }

    /// Days until the last day: 0 on the last day, negative after it. `None` when the document does not expire.
    pub fn days_left_at(self, now: Timestamp) -> Option<i64> {
        match self {
            Self::On(date) => Some(now.date_shanghai().days_until(date)),
            Self::LongTerm => None,
        }
    }
}

impl fmt::Debug for DocumentExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DocumentExpiry(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_round_trip() {
        for text in ["2025-12-31", "2024-02-29", "9999-12-31", "long_term"] {
            assert_eq!(DocumentExpiry::parse(text).unwrap().to_text(), text);
        }
        assert_ne!(
            DocumentExpiry::parse("2025-12-31"),
            DocumentExpiry::parse("2025-12-30")
        );
        assert_ne!(
            DocumentExpiry::parse("9999-12-31"),
            DocumentExpiry::parse("long_term")
        );
    }

    #[test]
    fn malformed_dates_are_rejected() {
        for text in [
            "",
            "长期",
            "LONG_TERM",
            "long_term ",
            "2025-02-29",
            "20251231",
            "2025.12.31",
        ] {
            assert_eq!(
                DocumentExpiry::parse(text),
                Err(ErrorCode::IdFormat),
                "{text}"
            );
        }
    }

    #[test]
    fn document_expires_at_midnight_in_shanghai() {
        let at = |text| Timestamp::parse_rfc3339(text).unwrap();
        let expiry = DocumentExpiry::parse("2026-11-22").unwrap();
        let last = at("2026-11-22T23:59:59+08:00");
        assert!(!expiry.is_over_at(last));
        assert_eq!(expiry.days_left_at(last), Some(0));
        assert!(expiry.is_over_at(last.plus_s(1)));
        assert_eq!(expiry.days_left_at(last.plus_s(1)), Some(-1));
        assert_eq!(
            expiry.days_left_at(at("2026-11-15T00:00:00+08:00")),
            Some(7)
        );
        let long_term = DocumentExpiry::LongTerm;
        assert!(!long_term.is_over_at(Timestamp::MAX));
        assert_eq!(long_term.days_left_at(last), None);
    }

    #[test]
    fn debug_output_hides_the_date() {
        for text in ["2025-12-31", "long_term"] {
            let expiry = DocumentExpiry::parse(text).unwrap();
            assert_eq!(format!("{expiry:?}"), "DocumentExpiry(***)");
        }
    }
}
