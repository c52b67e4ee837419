use super::*;
use crate::policy::DAY_S;
use proptest::prelude::*;

const TIER_FEN: u64 = 5_000_000;
const FEE_BP: u32 = 60;
const POLICY: Policy = Policy::CURRENT;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// Local time in November 2026; the 23rd is a Monday.
fn nov(day_and_time: &str) -> Timestamp {
    at(&format!("2026-11-{day_and_time}:00+08:00"))
}

fn settlement(cycle: Cycle, payout_time: &str) -> Settlement {
    Settlement {
        cycle,
        payout_time: PayoutTime::parse(payout_time).unwrap(),
        retained_fen: 0,
        daily_limit_fen: 2_000_000,
    }
}

fn change() -> SettlementChange {
    SettlementChange::read(Some("D1"), Some("18:30"), Some(100), Some(3_000_000), None)
}

fn checked(change: &SettlementChange, age_s: i64) -> Result<Settlement, Rejection> {
    let now = nov("23T10:00");
    check(change, TIER_FEN, FEE_BP, now.plus_s(-age_s), now, &POLICY)
}

fn refused(change: &SettlementChange) -> Vec<(&'static str, ErrorCode)> {
    let refusal = checked(change, DAY_S).unwrap_err();
    assert_eq!(refusal.code, refusal.errors[0].code);
    let errors = refusal.errors.into_iter();
    errors.map(|error| (error.field, error.code)).collect()
}

#[test]
fn cycle_round_trips() {
    let words: Vec<_> = Cycle::ALL.iter().map(|cycle| cycle.as_str()).collect();
    assert_eq!(words, ["T0", "T1", "D1"]);
    for &cycle in Cycle::ALL {
        assert_eq!(Cycle::parse(cycle.as_str()), Some(cycle));
    }
    for text in ["", "t0", "T+0", "T2", "D0", "T1 "] {
        assert_eq!(Cycle::parse(text), None, "{text}");
    }
}

#[test]
fn payout_time_accepts_only_hh_mm() {
    for minute in 0..24 * 60 {
        let text = format!("{:02}:{:02}", minute / 60, minute % 60);
        let time = PayoutTime::parse(&text).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(time.second_of_day(), minute * MINUTE_S);
    }
    for text in [
        "", "6:00", "06:0", "0600", "24:00", "23:60", "06:00:00", " 06:00", "06:00 ", "-1:00",
        "06.00", "06：00", "+6:00", "０6:00",
    ] {
        assert_eq!(PayoutTime::parse(text), None, "{text}");
    }
}

#[test]
fn valid_change_is_accepted() {
    let expected = Settlement {
        cycle: Cycle::D1,
        payout_time: PayoutTime::parse("18:30").unwrap(),
        retained_fen: 100,
        daily_limit_fen: 3_000_000,
    };
    for fee_rate_bp in [None, Some(60)] {
        let change = SettlementChange {
            fee_rate_bp,
            ..change()
        };
        assert_eq!(checked(&change, DAY_S).unwrap(), expected);
    }
    // The bounds of the permitted values.
    for (retained_fen, limit_fen) in [(0, 1), (1, 1), (5_000_000, 5_000_000)] {
        let change = SettlementChange {
            retained_fen: Ok(retained_fen),
            daily_limit_fen: Ok(limit_fen),
            ..change()
        };
        assert!(checked(&change, 0).is_ok(), "{retained_fen} {limit_fen}");
    }
}

#[test]
fn reports_all_bad_fields_at_once() {
    let malformed = ErrorCode::RequestMalformed;
    let nothing = SettlementChange::read(None, None, None, None, None);
    assert_eq!(
        refused(&nothing),
        [
            ("cycle", malformed),
            ("payout_time", malformed),
            ("retained_fen", malformed),
            ("daily_limit_fen", malformed),
        ]
    );
    let nonsense = SettlementChange::read(Some("T2"), Some("25:00"), Some(-1), Some(-1), Some(61));
    assert_eq!(refused(&nonsense).len(), 5);
    let too_much = SettlementChange::read(
        Some("T0"),
        Some("25:00"),
        Some(9),
        Some(5_000_001),
        Some(-60),
    );
    assert_eq!(
        refused(&too_much),
        [
            ("cycle", ErrorCode::T0NotAllowed),
            ("payout_time", malformed),
            ("daily_limit_fen", ErrorCode::LimitAboveTier),
            ("fee_rate_bp", malformed),
        ]
    );
}

#[test]
fn reports_each_bad_field_alone() {
    let limit = |daily_limit_fen| SettlementChange {
        daily_limit_fen: Ok(daily_limit_fen),
        ..change()
    };
    let zero = [("daily_limit_fen", ErrorCode::RequestMalformed)];
    assert_eq!(refused(&limit(0)), zero);
    let above = [("daily_limit_fen", ErrorCode::LimitAboveTier)];
    assert_eq!(refused(&limit(TIER_FEN + 1)), above);
    assert_eq!(refused(&limit(u64::MAX)), above);
    let more_than_a_day = [("retained_fen", ErrorCode::RequestMalformed)];
    assert_eq!(refused(&limit(99)), more_than_a_day);
    for fee in [0, -1, 59, 61, i64::MAX] {
        let change = SettlementChange {
            fee_rate_bp: Some(fee),
            ..change()
        };
        assert_eq!(
            refused(&change),
            [("fee_rate_bp", ErrorCode::RequestMalformed)]
        );
    }
}

#[test]
fn t0_requires_minimum_age() {
    let t0 = SettlementChange {
        cycle: Ok(Cycle::T0),
        ..change()
    };
    let age_s = POLICY.t0_from_age_s;
    for (age_s, allowed) in [
        (0, false),
        (-DAY_S, false),
        (age_s - 1, false),
        (age_s, true),
    ] {
        let checked = checked(&t0, age_s);
        assert_eq!(checked.is_ok(), allowed, "{age_s}");
        if let Err(refusal) = checked {
            assert_eq!(refusal.code, ErrorCode::T0NotAllowed);
            assert_eq!(refusal.errors[0].field, "cycle");
        }
    }
    for cycle in [Cycle::T1, Cycle::D1] {
        let change = SettlementChange {
            cycle: Ok(cycle),
            ..change()
        };
        assert!(checked(&change, 0).is_ok(), "{cycle}");
    }
}

#[test]
fn expected_payout_follows_cycle() {
    use Cycle::{D1, T0, T1};
    // Created, now, expected; the payout time is 06:00. The 27th is a Friday.
    for (cycle, created, now, expected) in [
        (T0, "23T05:59", "23T05:59", "23T06:00"),
        (T0, "23T06:00", "23T06:00", "24T06:00"),
        (T0, "28T07:00", "28T07:00", "29T06:00"),
        (T0, "23T05:00", "25T12:00", "26T06:00"),
        (D1, "23T00:00", "23T00:00", "24T06:00"),
        (D1, "23T23:59", "23T23:59", "24T06:00"),
        (D1, "27T12:00", "27T12:00", "28T06:00"),
        (D1, "23T12:00", "24T06:00", "25T06:00"),
        (T1, "23T00:00", "23T00:00", "24T06:00"),
        (T1, "26T23:59", "27T05:59", "27T06:00"),
        (T1, "27T00:00", "27T00:00", "30T06:00"),
        (T1, "28T12:00", "28T12:00", "30T06:00"),
        (T1, "29T12:00", "29T12:00", "30T06:00"),
        // Held over the weekend.
        (T1, "24T12:00", "27T06:00", "30T06:00"),
        (T1, "24T12:00", "28T05:00", "30T06:00"),
        // The clock went back.
        (T1, "24T12:00", "20T12:00", "25T06:00"),
        (T0, "24T12:00", "20T12:00", "25T06:00"),
    ] {
        assert_eq!(
            expected_at(&settlement(cycle, "06:00"), nov(created), nov(now)),
            Expected {
                at: nov(expected),
                is_estimated: false
            },
            "{cycle} {created} {now}"
        );
    }
    // Midnight belongs to the day that it starts.
    let midnight = settlement(D1, "00:00");
    let created = nov("23T12:00");
    assert_eq!(expected_at(&midnight, created, created).at, nov("24T00:00"));
    let midnight = settlement(T0, "00:00");
    assert_eq!(expected_at(&midnight, created, created).at, nov("24T00:00"));
}

#[test]
fn only_t1_waits_for_the_end_of_a_holiday() {
    // Created at noon of the day before the holiday of October 2026, and of the last day of the notices.
    for (cycle, created, expected, is_estimated) in [
        (Cycle::T1, "2026-09-30", "2026-10-08", false),
        (Cycle::D1, "2026-09-30", "2026-10-01", false),
        (Cycle::T0, "2026-09-30", "2026-10-01", false),
        (Cycle::T1, "2026-10-09", "2026-10-10", false),
        (Cycle::T1, "2026-12-31", "2027-01-01", true),
        (Cycle::D1, "2026-12-31", "2027-01-01", false),
    ] {
        let created = at(&format!("{created}T12:00:00+08:00"));
        let found = expected_at(&settlement(cycle, "06:00"), created, created);
        let expected = at(&format!("{expected}T06:00:00+08:00"));
        assert_eq!(
            (found.at, found.is_estimated),
            (expected, is_estimated),
            "{cycle} {created}"
        );
    }
}

fn cycle() -> impl Strategy<Value = Cycle> {
    prop::sample::select(Cycle::ALL)
}

proptest! {
    #[test]
    fn expected_payout_is_earliest_possible(
        cycle in cycle(),
        minute in 0_i64..24 * 60,
        created_s in 0_i64..4_000_000_000,
        later_s in -10 * DAY_S..10 * DAY_S,
    ) {
        let text = format!("{:02}:{:02}", minute / 60, minute % 60);
        let settlement = settlement(cycle, &text);
        let created_at = Timestamp::from_epoch_s(created_s);
        let now = created_at.plus_s(later_s);
        let expected = expected_at(&settlement, created_at, now).at;
        let fits = |at: Timestamp| {
            let shown = at.to_rfc3339_shanghai();
            let day = at.date_shanghai();
            let number = at.shanghai_day();
            let is_worked = calendar::working_day_from(number) == number;
            let days = created_at.date_shanghai().days_until(day);
            shown[11..] == format!("{text}:00+08:00")
                && at > now
                && at > created_at
                && match cycle {
                    Cycle::T0 => true,
                    Cycle::T1 => days >= 1 && is_worked,
                    Cycle::D1 => days >= 1,
                }
        };
        prop_assert!(fits(expected), "{expected}");
        for days in 1..=12 {
            prop_assert!(!fits(expected.plus_s(-days * DAY_S)), "{days} days before {expected}");
        }
        // A late payout stays on the calendar, and its expected time never moves back.
        prop_assert!(expected_at(&settlement, created_at, expected).at > expected);
        prop_assert_eq!(expected_at(&settlement, created_at, expected.plus_s(-1)).at, expected);
    }

    #[test]
    fn arbitrary_input_never_panics(
        cycle in cycle(), created_s: i64, now_s: i64, text: String, amounts: [Option<i64>; 3]
    ) {
        let [retained_fen, limit_fen, fee] = amounts;
        let created_at = Timestamp::from_epoch_s(created_s);
        let now = Timestamp::from_epoch_s(now_s);
        let _ = expected_at(&settlement(cycle, "23:59"), created_at, now);
        let change =
            SettlementChange::read(Some(&text), Some(&text), retained_fen, limit_fen, fee);
        let _ = check(&change, TIER_FEN, FEE_BP, created_at, now, &POLICY);
    }

    #[test]
    fn accepted_change_obeys_all_rules(
        cycle in cycle(),
        retained_fen in 0_i64..20, limit_fen in 0_i64..20, tier_fen in 1_u64..20, age_days in 0_i64..180,
    ) {
        let change = SettlementChange::read(
            Some(cycle.as_str()), Some("06:00"), Some(retained_fen), Some(limit_fen), None,
        );
        let now = nov("23T10:00");
        let opened_at = now.plus_s(-age_days * DAY_S);
        let checked = check(&change, tier_fen, FEE_BP, opened_at, now, &POLICY);
        let tier_fen = i64::try_from(tier_fen).unwrap();
        let allowed = (1..=tier_fen).contains(&limit_fen)
            && retained_fen <= limit_fen
            && (cycle != Cycle::T0 || age_days >= 90);
        prop_assert_eq!(checked.is_ok(), allowed, "{:?}", checked);
    }
}
