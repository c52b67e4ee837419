//! OTPs sent to a phone: the times of the last ten, newest in `t0`, and the last time for each purpose.

use super::{GARBAGE_AFTER_S, check_version, stamp};
use crate::item::{Item, Update, n, opt_time, time};
use application::ports::PortError;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;

/// Times stored per phone: as many as the daily limit.
const TIMES: usize = 10;

const _: () = {
    let policy = Policy::CURRENT;
    assert!(
        policy.codes_per_phone_hour <= TIMES && policy.codes_per_phone_day <= TIMES,
        "the limits must not exceed the number of stored times"
    );
    assert!(policy.codes_per_phone_hour >= 1);
    // The limit is evaluated on the stored times, so the item must live as long as the longest limit looks back.
    assert!(GARBAGE_AFTER_S >= DAY_S && GARBAGE_AFTER_S >= policy.code_gap_s);
};

/// Counts an OTP, unless the phone is at its limit or received one a moment ago. The ten times shift by one place. All
/// clauses read the item as it was before the write, so the order of the clauses does not matter.
pub(crate) fn count_otp(purpose: OtpPurpose, policy: &Policy, now: Timestamp) -> Update {
    let mut update = Update::default();
    stamp(&mut update);
    for index in (1..TIMES).rev() {
        update.set_raw(format!("t{index} = if_not_exists(t{}, :never)", index - 1));
    }
    update.set_raw("t0 = :at");
    let gap = gap_name(purpose);
    update.put(gap, Some(time(now)));
    update.put("ttl", Some(time(now.plus_s(GARBAGE_AFTER_S))));
    update.value("never", n(0));
    update.value("at", time(now));
    for (slot, span_s) in limits(policy) {
        let bound = format!("since_{slot}");
        update.value(&bound, time(now.plus_s(-span_s)));
        update.when(format!(
            "(attribute_not_exists({slot}) OR {slot} <= :{bound})"
        ));
    }
    update.value("since_gap", time(now.plus_s(-policy.code_gap_s)));
    update.when(format!(
        "(attribute_not_exists(#{gap}) OR #{gap} <= :since_gap)"
    ));
    update
}

/// Refunds the OTP that was counted at `at`, if it is the last one.
pub(crate) fn refund_otp(purpose: OtpPurpose, at: Timestamp) -> Update {
    let mut update = Update::default();
    for index in 1..TIMES {
        let (to, from) = (index - 1, index);
        update.set_raw(format!("t{to} = if_not_exists(t{from}, :never)"));
    }
    update.value("never", n(0));
    update.put(&format!("t{}", TIMES - 1), None);
    update.put(gap_name(purpose), None);
    update.value("at", time(at));
    update.when("t0 = :at");
    update
}

/// The wait until the phone may receive another OTP, from the item that refused one.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub(crate) fn wait_s(
    item: &Item,
    purpose: OtpPurpose,
    policy: &Policy,
    now: Timestamp,
) -> Result<i64, PortError> {
    check_version(item, "the codes of a phone")?;
    let gap = opt_time(item, gap_name(purpose)).map(|at| policy.code_gap_s - at.age_s_at(now));
    let limits = limits(policy)
        .into_iter()
        .map(|(slot, span_s)| opt_time(item, &slot).map(|at| span_s - at.age_s_at(now)));
    let longest = limits.chain([gap]).flatten().max();
    Ok(longest.unwrap_or(policy.code_gap_s).max(1))
}

/// For each limit, the time that decides it and its period in seconds: the fifth newest for the hour, the tenth for the
/// day.
fn limits(policy: &Policy) -> [(String, i64); 2] {
    let slot = |limit: usize| format!("t{}", limit.clamp(1, TIMES) - 1);
    [
        (slot(policy.codes_per_phone_hour), HOUR_S),
        (slot(policy.codes_per_phone_day), DAY_S),
    ]
}

const fn gap_name(purpose: OtpPurpose) -> &'static str {
    match purpose {
        OtpPurpose::Identity => "last_identity",
        OtpPurpose::Card => "last_card",
        OtpPurpose::Activate => "last_activate",
    }
}
