//! Settlement: the settings, their permitted changes, and the expected time of a payout.

use super::calendar;
use super::error_code::ErrorCode;
use super::merchant::{Merchant, Profile};
use super::policy::{HOUR_S, MINUTE_S, Policy};
use super::rejection::Rejection;
use super::time::Timestamp;
use super::vocabulary::vocabulary;
use std::fmt;

vocabulary! {
    /// The day of a payout, counted from the day in Shanghai on which it was created.
    pub enum Cycle {
        /// The same day, or the next one if that day's payout time is past. Not for merchants opened recently.
        T0 = "T0",
        /// The next working day of mainland China.
        T1 = "T1",
        /// The next day, weekends and holidays included.
        D1 = "D1",
    }
}

/// The time of day of payouts: a minute of the day in Shanghai. Displayed as `06:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayoutTime {
    hour: u8,
    minute: u8,
}

impl PayoutTime {
    /// The start of the day.
    pub const MIDNIGHT: Self = Self { hour: 0, minute: 0 };

    /// Parses exactly `HH:MM`, from `00:00` to `23:59`. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let &[h1, h2, b':', m1, m2] = text.as_bytes() else {
            return None;
        };
        let (hour, minute) = (two_digits(h1, h2)?, two_digits(m1, m2)?);
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    /// Seconds after midnight.
    fn second_of_day(self) -> i64 {
        i64::from(self.hour) * HOUR_S + i64::from(self.minute) * MINUTE_S
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

impl fmt::Display for PayoutTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// Same as `Display`.
impl fmt::Debug for PayoutTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The settlement settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The day of payouts.
    pub cycle: Cycle,
    /// The time of payouts.
    pub payout_time: PayoutTime,
    /// The amount retained from each payout, in fen.
    pub retained_fen: u64,
    /// The maximum paid out per day, in fen.
    pub daily_limit_fen: u64,
}

/// Accepted settings that have not taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSettlement {
    /// The settings.
    pub settings: Settlement,
    /// When they take effect.
    pub effective_at: Timestamp,
}

/// New settings as typed. Each field is parsed separately, so that a refusal can name every invalid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementChange {
    /// The day of payouts.
    pub cycle: Result<Cycle, ErrorCode>,
    /// The time of payouts.
    pub payout_time: Result<PayoutTime, ErrorCode>,
    /// The amount retained from each payout, in fen.
    pub retained_fen: Result<u64, ErrorCode>,
    /// The maximum paid out per day, in fen.
    pub daily_limit_fen: Result<u64, ErrorCode>,
    /// The fee in basis points, if present. It is read-only.
    pub fee_rate_bp: Option<i64>,
}

impl SettlementChange {
    /// Parses the fields of a body. A missing field is malformed, except the fee.
    #[must_use]
    pub fn read(
        cycle: Option<&str>,
        payout_time: Option<&str>,
        retained_fen: Option<i64>,
        daily_limit_fen: Option<i64>,
        fee_rate_bp: Option<i64>,
    ) -> Self {
        let fen = |amount: Option<i64>| {
            let amount = amount.and_then(|fen| u64::try_from(fen).ok());
            amount.ok_or(ErrorCode::RequestMalformed)
        };
        Self {
            cycle: cycle
                .and_then(Cycle::parse)
                .ok_or(ErrorCode::RequestMalformed),
            payout_time: payout_time
                .and_then(PayoutTime::parse)
                .ok_or(ErrorCode::RequestMalformed),
            retained_fen: fen(retained_fen),
            daily_limit_fen: fen(daily_limit_fen),
            fee_rate_bp,
        }
    }

    /// True if these settings are typed, with this fee or without one.
    #[must_use]
    pub fn is(&self, settings: &Settlement, fee_rate_bp: u32) -> bool {
        let fee = self.fee_rate_bp;
        let same = Self {
            fee_rate_bp: fee,
            ..settings.into()
        };
        *self == same && fee.is_none_or(|typed| typed == i64::from(fee_rate_bp))
    }
}

impl From<&Settlement> for SettlementChange {
    fn from(settings: &Settlement) -> Self {
        let Settlement {
            cycle,
            payout_time,
            retained_fen,
            daily_limit_fen,
        } = settings;
        Self {
            cycle: Ok(*cycle),
            payout_time: Ok(*payout_time),
            retained_fen: Ok(*retained_fen),
            daily_limit_fen: Ok(*daily_limit_fen),
            fee_rate_bp: None,
        }
    }
}

/// The requested settings, if this merchant may have them.
///
/// `daily_limit_max_fen` is the highest daily limit of the merchant's tier, `fee_rate_bp` the fee in force.
pub(crate) fn check(
    change: &SettlementChange,
    daily_limit_max_fen: u64,
    fee_rate_bp: u32,
    opened_at: Timestamp,
    now: Timestamp,
    policy: &Policy,
) -> Result<Settlement, Rejection> {
    let is_young = opened_at.age_s_at(now) < policy.t0_from_age_s;
    let cycle = match change.cycle {
        Ok(Cycle::T0) if is_young => Err(ErrorCode::T0NotAllowed),
        cycle => cycle,
    };
    let daily_limit_fen = match change.daily_limit_fen {
        Ok(0) => Err(ErrorCode::RequestMalformed),
        Ok(limit_fen) if limit_fen > daily_limit_max_fen => Err(ErrorCode::LimitAboveTier),
        limit_fen => limit_fen,
    };
    // Compared with the limit as typed, even if the limit itself is invalid for another reason.
    let retained_fen = match (change.retained_fen, change.daily_limit_fen) {
        (Ok(retained_fen), Ok(limit_fen @ 1..)) if retained_fen > limit_fen => {
            Err(ErrorCode::RequestMalformed)
        }
        (retained_fen, _) => retained_fen,
    };
    let fee = match change.fee_rate_bp {
        Some(typed) if typed != i64::from(fee_rate_bp) => Err(ErrorCode::RequestMalformed),
        _ => Ok(()),
    };
    match (
        cycle,
        change.payout_time,
        retained_fen,
        daily_limit_fen,
        fee,
    ) {
        (Ok(cycle), Ok(payout_time), Ok(retained_fen), Ok(daily_limit_fen), Ok(())) => {
            Ok(Settlement {
                cycle,
                payout_time,
                retained_fen,
                daily_limit_fen,
            })
        }
        (cycle, payout_time, retained_fen, daily_limit_fen, fee) => Err(Rejection::invalid([
            ("cycle", cycle.err()),
            ("payout_time", payout_time.err()),
            ("retained_fen", retained_fen.err()),
            ("daily_limit_fen", daily_limit_fen.err()),
            ("fee_rate_bp", fee.err()),
        ])),
    }
}

impl Merchant {
    /// The settlement settings in force at `now`, whether the clean-up has already recorded them or not.
    #[must_use]
    pub fn settlement(&self, policy: &Policy, now: Timestamp) -> &Settlement {
        let due = self.state.pending_settlement.as_ref();
        let due = due.filter(|pending| pending.effective_at <= now);
        match due {
            Some(pending) if self.may_have(pending, policy) => &pending.settings,
            _ => &self.state.settlement,
        }
    }

    /// The settings that take effect after `now`.
    #[must_use]
    pub fn pending_settlement(&self, now: Timestamp) -> Option<&PendingSettlement> {
        let pending = self.state.pending_settlement.as_ref();
        pending.filter(|pending| now < pending.effective_at)
    }

    /// The requested settings, if this merchant may have them from `at` on.
    ///
    /// # Errors
    /// Every invalid field at once: `REQUEST_MALFORMED` for an invalid value, a daily limit of 0, a retained amount above
    /// the daily limit or a different fee; `T0_NOT_ALLOWED` and `LIMIT_ABOVE_TIER`.
    pub fn check_settlement(
        &self,
        change: &SettlementChange,
        policy: &Policy,
        at: Timestamp,
    ) -> Result<Settlement, Rejection> {
        let Profile {
            daily_limit_max_fen,
            fee_rate_bp,
            opened_at,
            ..
        } = self.profile;
        check(
            change,
            daily_limit_max_fen,
            fee_rate_bp,
            opened_at,
            at,
            policy,
        )
    }

    /// True if the limits still permit the settings when they take effect.
    fn may_have(&self, pending: &PendingSettlement, policy: &Policy) -> bool {
        let change = SettlementChange::from(&pending.settings);
        self.check_settlement(&change, policy, pending.effective_at)
            .is_ok()
    }
}

/// The expected time of a payout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The payout time of its day.
    pub at: Timestamp,
    /// True if the public holidays of that year are not announced yet.
    pub is_estimated: bool,
}

/// When a payout that was created at `created_at` is expected: the payout time of its day, see [`Cycle`]. If that time
/// is past, the first payout time after `now` by the same calendar. No decision depends on it.
#[must_use]
pub fn expected_at(settlement: &Settlement, created_at: Timestamp, now: Timestamp) -> Expected {
    let not_before = match settlement.cycle {
        Cycle::T0 => created_at,
        // The last second of the day, so that the next payout time is on a later day.
        Cycle::T1 | Cycle::D1 => {
            Timestamp::start_of_shanghai_day(created_at.shanghai_day() + 1).plus_s(-1)
        }
    };
    let after = not_before.max(now);
    let time_s = settlement.payout_time.second_of_day();
    let payout_on = |day| Timestamp::start_of_shanghai_day(day).plus_s(time_s);
    let mut day = after.shanghai_day();
    if payout_on(day) <= after {
        day += 1;
    }
    let by_working_days = settlement.cycle == Cycle::T1;
    if by_working_days {
        day = calendar::working_day_from(day);
    }
    Expected {
        at: payout_on(day),
        is_estimated: by_working_days && !calendar::is_announced(day),
    }
}

#[cfg(test)]
mod tests;
