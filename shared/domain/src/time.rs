//! Timestamps and dates. The domain never reads a clock: callers pass `now`.
//!
//! All functions are total. Timestamps are clamped to the years 0001 to 9999 in UTC and in Shanghai, so that RFC 3339 has
//! a four-digit year and arithmetic cannot overflow.

use super::policy::DAY_S;
use std::fmt;
use time::format_description::well_known::Rfc3339;
use time::macros::{datetime, offset};
use time::{Duration, Month, OffsetDateTime, UtcOffset};

/// China has one time zone and no daylight saving time since 1991, so the current offset is correct for all deadlines.
const SHANGHAI: UtcOffset = offset!(+8);

/// Seconds that Shanghai is ahead of UTC.
fn ahead_s() -> i64 {
    SHANGHAI.whole_seconds().into()
}

/// A point in time in whole seconds of Unix time. The API uses [`Timestamp::to_rfc3339_shanghai`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `0001-01-01T00:00:00Z`
    pub const MIN: Self = Self(datetime!(0001-01-01 0:00:00 UTC).unix_timestamp());
    /// `9999-12-31T23:59:59+08:00`
    pub const MAX: Self = Self(datetime!(9999-12-31 23:59:59 +8).unix_timestamp());

    /// `epoch_s` seconds after 1970-01-01T00:00:00Z, clamped to [`Self::MIN`] and [`Self::MAX`].
    pub fn from_epoch_s(epoch_s: i64) -> Self {
        Self(epoch_s.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub const fn epoch_s(self) -> i64 {
        self.0
    }

    /// `delta_s` seconds later, or earlier when negative. Clamped.
    #[must_use]
    pub fn plus_s(self, delta_s: i64) -> Self {
        Self::from_epoch_s(self.0.saturating_add(delta_s))
    }

    /// Seconds from this time to `now`. A time in the future has age 0, because the sandbox clock may go backwards.
    pub fn age_s_at(self, now: Self) -> i64 {
        (now.0 - self.0).max(0)
    }

    /// Parses RFC 3339 with any offset and drops fractions of a second. `None` when the text is invalid or the time is
    /// outside [`Self::MIN`]..=[`Self::MAX`].
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let epoch_s = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
        let time = Self::from_epoch_s(epoch_s);
        (time.0 == epoch_s).then_some(time)
    }

    /// `2026-11-22T10:00:00+08:00`
    pub fn to_rfc3339_shanghai(self) -> String {
        let local = self.utc().to_offset(SHANGHAI);
        let (hour, minute, second) = local.to_hms();
        format!(
            "{}T{hour:02}:{minute:02}:{second:02}+08:00",
            Date(local.date())
        )
    }

    /// The calendar date in Shanghai.
    pub fn date_shanghai(self) -> Date {
        Date(self.utc().to_offset(SHANGHAI).date())
    }

    /// The calendar day in Shanghai, counted from 1970-01-01.
    #[must_use]
    pub fn shanghai_day(self) -> i64 {
        (self.0 + ahead_s()).div_euclid(DAY_S)
    }

    /// Midnight at the start of this day in Shanghai. Clamped.
    #[must_use]
    pub fn start_of_shanghai_day(day: i64) -> Self {
        Self::from_epoch_s(day.saturating_mul(DAY_S).saturating_sub(ahead_s()))
    }

    /// Year and month in UTC, such as `202611`. The text sorts by time.
    pub fn yyyymm_utc(self) -> String {
        let utc = self.utc();
        format!("{:04}{:02}", utc.year(), u8::from(utc.month()))
    }

    /// Never saturates: MIN and MAX are within the range of the `time` crate, with a day to spare for offsets.
    fn utc(self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::seconds(self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339_shanghai())
    }
}

/// Same as `Display`, for readable snapshots and assertions.
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A day on the calendar, in the years 0001 to 9999. Displayed as `2026-11-22`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(time::Date);

impl Date {
    /// `None` for a date that does not exist.
    pub fn from_ymd(year: u16, month: u8, day: u8) -> Option<Self> {
        if !(1..=9999).contains(&year) {
            return None;
        }
        let month = Month::try_from(month).ok()?;
        time::Date::from_calendar_date(i32::from(year), month, day)
            .ok()
            .map(Self)
    }

    /// Parses exactly `YYYY-MM-DD`. `None` for any other text and for a date that does not exist.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
        if bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        Self::from_digits(&bytes[0..4], &bytes[5..7], &bytes[8..10])
    }

    /// Parses exactly `YYYYMMDD`, the format in a resident identity number.
    pub(super) fn parse_compact(text: &str) -> Option<Self> {
        let bytes: &[u8; 8] = text.as_bytes().try_into().ok()?;
        Self::from_digits(&bytes[0..4], &bytes[4..6], &bytes[6..8])
    }

    fn from_digits(year: &[u8], month: &[u8], day: &[u8]) -> Option<Self> {
        let month = u8::try_from(decimal(month)?).ok()?;
        let day = u8::try_from(decimal(day)?).ok()?;
        Self::from_ymd(decimal(year)?, month, day)
    }

    /// Days from this date to `later`; negative when `later` is earlier.
    pub fn days_until(self, later: Self) -> i64 {
        (later.0 - self.0).whole_days()
    }
}

/// Parses at most four ASCII digits.
fn decimal(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u16::from(byte - b'0'))
    })
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

/// Same as `Display`.
impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: &str = "2026-11-22T10:00:00+08:00";
    const AT_S: i64 = 1_795_312_800;

    fn date(text: &str) -> Date {
        Date::parse(text).unwrap()
    }

    #[test]
    fn timestamp_converts_between_formats() {
        let at = Timestamp::from_epoch_s(AT_S);
        assert_eq!(at.epoch_s(), AT_S);
        assert_eq!(at.to_rfc3339_shanghai(), AT);
        assert_eq!(format!("{at} {at:?}"), format!("{AT} {AT}"));
        for text in [
            AT,
            "2026-11-22T02:00:00Z",
            "2026-11-22t02:00:00z",
            "2026-11-21T21:00:00-05:00",
            "2026-11-22T02:00:00.999999999Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Some(at), "{text}");
        }
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22 10:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00+08",
            "2026-11-22T10:00:00+0800",
            "2026-11-22T10:00:00Z ",
            " 2026-11-22T10:00:00Z",
            "+12026-11-22T10:00:00Z",
            "1795312800",
            // Outside the years with four digits in UTC and in Shanghai.
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+08:00",
            "9999-12-31T16:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn dates_follow_shanghai_and_months_utc() {
        let midnight = Timestamp::parse_rfc3339("2026-11-30T16:00:00Z").unwrap();
        assert_eq!(midnight.date_shanghai(), date("2026-12-01"));
        assert_eq!(midnight.plus_s(-1).date_shanghai(), date("2026-11-30"));
        assert_eq!(midnight.yyyymm_utc(), "202611");
        assert_eq!(midnight.plus_s(8 * 3600 - 1).yyyymm_utc(), "202611");
        assert_eq!(midnight.plus_s(8 * 3600).yyyymm_utc(), "202612");
    }

    #[test]
    fn timestamps_are_clamped_to_their_range() {
        assert_eq!(Timestamp::from_epoch_s(i64::MIN), Timestamp::MIN);
        assert_eq!(Timestamp::from_epoch_s(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus_s(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.plus_s(-1), Timestamp::MIN);
        assert_eq!(
            Timestamp::MAX.plus_s(-1).epoch_s(),
            Timestamp::MAX.epoch_s() - 1
        );
        assert_eq!(
            Timestamp::MIN.plus_s(1).epoch_s(),
            Timestamp::MIN.epoch_s() + 1
        );
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T08:00:00+08:00");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59+08:00");
        assert_eq!(Timestamp::MIN.yyyymm_utc(), "000101");
        assert_eq!(Timestamp::MAX.yyyymm_utc(), "999912");
    }

    #[test]
    fn negative_age_is_zero() {
        let at = Timestamp::from_epoch_s(AT_S);
        assert_eq!(at.age_s_at(at.plus_s(90)), 90);
        assert_eq!(at.age_s_at(at), 0);
        assert_eq!(at.age_s_at(at.plus_s(-90)), 0);
    }

    #[test]
    fn dates_are_parsed_strictly() {
        assert_eq!(date("2026-11-22").to_string(), "2026-11-22");
        assert_eq!(format!("{:?}", date("0001-01-01")), "0001-01-01");
        assert!(Date::parse("2024-02-29").is_some());
        assert_eq!(Date::parse_compact("20240229"), Date::parse("2024-02-29"));
        for text in [
            "",
            "2023-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-00-10",
            "2026-13-10",
            "2026-10-00",
            "0000-01-01",
            "2026-1-01",
            "2026/01/01",
            "2026-01/01",
            "2026-01-01 ",
            "+026-01-01",
            "２026-01-01",
            "long_term",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        for text in ["2023022", "20230229", "2024-229", "202402299", "2024022x"] {
            assert_eq!(Date::parse_compact(text), None, "{text}");
        }
        assert_eq!(Date::from_ymd(9999, 12, 31), Date::parse("9999-12-31"));
        assert_eq!(Date::from_ymd(10000, 1, 1), None);
        assert!(date("2026-11-22") < date("2026-11-23"));
        assert!(date("2026-11-30") < date("2026-12-01"));
        assert_eq!(date("2026-11-22").days_until(date("2027-11-22")), 365);
        assert_eq!(date("2026-11-22").days_until(date("2026-11-21")), -1);
    }

    proptest! {
        #[test]
        fn every_timestamp_round_trips(epoch_s: i64, delta_s: i64) {
            for at in [
                Timestamp::from_epoch_s(epoch_s),
                Timestamp::from_epoch_s(epoch_s % 500_000_000_000),
                Timestamp::from_epoch_s(epoch_s).plus_s(delta_s),
            ] {
                prop_assert!(at >= Timestamp::MIN && at <= Timestamp::MAX);
                prop_assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339_shanghai()), Some(at));
                let day = at.date_shanghai();
                prop_assert_eq!(Date::parse(&day.to_string()), Some(day));
                let text = at.to_string();
                prop_assert_eq!(&text[..10], day.to_string());
                prop_assert_eq!(at.yyyymm_utc().len(), 6);
                let later = at.plus_s(delta_s);
                prop_assert_eq!(at.age_s_at(later) > 0, later > at);
            }
        }

        #[test]
        fn parsers_accept_any_text_without_panic(text: String) {
            let _ = Timestamp::parse_rfc3339(&text);
            let _ = Date::parse(&text);
            let _ = Date::parse_compact(&text);
        }

        #[test]
        fn parsers_accept_plausible_text_without_panic(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2}))?"
        ) {
            let _ = Timestamp::parse_rfc3339(&text);
            if let Some(day) = Date::parse(&text) {
                prop_assert_eq!(day.to_string(), text);
            }
        }
    }
}
