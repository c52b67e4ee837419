//! The working days of mainland China: weekdays without the public holidays, and the weekend days worked in exchange.
//!
//! The build script makes sorted tables of `data/holidays.json`. Days are numbered as by [`Timestamp::shanghai_day`].
//!
//! [`Timestamp::shanghai_day`]: super::time::Timestamp::shanghai_day

include!(concat!(env!("OUT_DIR"), "/holidays.rs"));

/// The first working day from `day` on.
#[must_use]
pub fn working_day_from(day: i64) -> i64 {
    // No holiday has more than two weeks, and the tables end.
    (day..).find(|day| is_working_day(*day)).unwrap_or(day)
}

/// True if the notices state which days around this one are worked.
#[must_use]
pub fn is_announced(day: i64) -> bool {
    (FIRST_DAY..=LAST_DAY).contains(&day)
}

fn is_working_day(day: i64) -> bool {
    if is_weekend(day) {
        WORKED.binary_search(&day).is_ok()
    } else {
        OFF.binary_search(&day).is_err()
    }
}

const fn is_weekend(day: i64) -> bool {
    // Day 0, 1970-01-01, was a Thursday. Here Monday is 0.
    (day.wrapping_add(3)).rem_euclid(7) >= 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use serde_json::Value;

    const FILE: &str = include_str!("../../data/holidays.json");

    fn day(date: &str) -> i64 {
        let noon = format!("{date}T12:00:00+08:00");
        Timestamp::parse_rfc3339(&noon).unwrap().shanghai_day()
    }

    #[test]
    fn calendar_agrees_with_the_notices() {
        // Number of holidays and worked weekend days, as the notices of both years state them.
        let file: Value = serde_json::from_str(FILE).unwrap();
        for (year, days_off, days_worked) in [("2025", 28, 5), ("2026", 33, 6)] {
            let year = &file[year];
            let ranges = year["off"].as_array().unwrap().iter();
            let off: Vec<i64> = ranges
                .flat_map(|range| day(range[0].as_str().unwrap())..=day(range[1].as_str().unwrap()))
                .collect();
            assert_eq!(off.len(), days_off);
            assert!(off.iter().all(|day| !is_working_day(*day)));
            let worked = year["worked"].as_array().unwrap();
            assert_eq!(worked.len(), days_worked);
            for date in worked {
                let day = day(date.as_str().unwrap());
                assert!(is_weekend(day) && is_working_day(day), "{date}");
            }
        }
        // The working day on or after a date.
        for (from, expected) in [
            ("2025-01-25", "2025-01-26"),
            ("2025-01-28", "2025-02-05"),
            ("2025-10-01", "2025-10-09"),
            ("2025-10-11", "2025-10-11"),
            ("2025-12-31", "2025-12-31"),
            ("2026-01-01", "2026-01-04"),
            ("2026-02-15", "2026-02-24"),
            ("2026-05-09", "2026-05-09"),
            ("2026-05-10", "2026-05-11"),
            ("2026-09-25", "2026-09-28"),
            ("2026-10-01", "2026-10-08"),
            ("2027-01-01", "2027-01-01"),
            ("2027-01-02", "2027-01-04"),
        ] {
            assert_eq!(working_day_from(day(from)), day(expected), "{from}");
        }
        assert!(is_announced(day("2025-01-01")) && is_announced(day("2026-12-31")));
        assert!(!is_announced(day("2024-12-31")) && !is_announced(day("2027-01-01")));
    }
}
