//! The rules between the members of a new merchant.

use super::{Fault, Faults};
use crate::ids::PayoutId;
use crate::policy::Policy;
use crate::settlement::{self, Settlement, SettlementChange};
use crate::time::{Date, Timestamp};
use std::collections::BTreeSet;

/// The limits that the acquirer has set, as far as they are valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tier {
    /// The highest daily limit, in fen.
    pub daily_limit_max_fen: Option<u64>,
    /// When the acquirer opened the account.
    pub opened_at: Option<Timestamp>,
}

/// The settings, if the merchant may have them at `now`. A member that is invalid already (`Err`) is not reported again.
pub fn check_settlement(
    path: &str,
    change: &SettlementChange,
    tier: Tier,
    policy: &Policy,
    now: Timestamp,
    faults: &mut Faults,
) -> Option<Settlement> {
    let known = [
        ("cycle", change.cycle.is_ok()),
        ("payout_time", change.payout_time.is_ok()),
        ("retained_fen", change.retained_fen.is_ok()),
        ("daily_limit_fen", change.daily_limit_fen.is_ok()),
    ];
    let checked = settlement::check(
        change,
        tier.daily_limit_max_fen.unwrap_or(u64::MAX),
        0,
        tier.opened_at.unwrap_or(Timestamp::MIN),
        now,
        policy,
    );
    match checked {
        Ok(settings) => Some(settings),
        Err(refusal) => {
            let mut errors = refusal.errors;
            errors.retain(|error| known.contains(&(error.field, true)));
            faults.extend_at(path, errors);
            None
        }
    }
}

/// The start of the day on which the account was opened.
///
/// # Errors
/// [`Fault::Malformed`] for a text that is not a date, [`Fault::InFuture`] for a day after today in Shanghai.
pub fn check_opened(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let date = Date::parse(text).ok_or(Fault::Malformed)?;
    let days_ahead = now.date_shanghai().days_until(date);
    if days_ahead > 0 {
        return Err(Fault::InFuture);
    }
    Ok(Timestamp::start_of_shanghai_day(
        now.shanghai_day().saturating_add(days_ahead),
    ))
}

/// The times of a migration.
#[derive(Clone, Copy, Debug, Default)]
pub struct MigrationTimes {
    /// The end of the cooldown.
    pub cooldown_until: Option<Timestamp>,
    /// The end of the hold.
    pub hold_until: Option<Timestamp>,
    /// True if a replaced card is stated.
    pub has_replaced_card: bool,
    /// True if an active card is stated.
    pub has_card: bool,
}

/// Checks the times of a migration and its payouts. A time in the past is allowed, because time passes between an export and
/// its import.
pub fn check_migration<'p>(
    path: &str,
    times: MigrationTimes,
    payouts: impl IntoIterator<Item = (usize, &'p PayoutId)>,
    policy: &Policy,
    now: Timestamp,
    faults: &mut Faults,
) {
    let at = |member: &str| format!("{path}.{member}");
    let is_too_far = |time: Timestamp, s: i64| time > now.plus_s(s);
    if let Some(until) = times.cooldown_until
        && is_too_far(until, policy.cooldown_s)
    {
        faults.add(at("cooldown_until"), Fault::TooFarAhead);
    }
    match (times.hold_until, times.cooldown_until) {
        (Some(hold), Some(cooldown)) => {
            if is_too_far(hold, policy.hold_deposit_s) || hold > cooldown {
                faults.add(at("hold_until"), Fault::TooFarAhead);
            }
        }
        // A change of the card starts both, and the hold ends first.
        (Some(_), None) => faults.add(at("cooldown_until"), Fault::Missing),
        (None, _) if times.has_replaced_card => faults.add(at("hold_until"), Fault::Missing),
        (None, _) => {}
    }
    if times.hold_until.is_some() && !times.has_card {
        faults.add("card", Fault::Missing);
    }
    let mut seen = BTreeSet::new();
    for (index, payout_id) in payouts {
        if !seen.insert(payout_id) {
            let member = format!("unsent_payouts[{index}].payout_id");
            faults.add(at(&member), Fault::Repeated);
        }
    }
}
