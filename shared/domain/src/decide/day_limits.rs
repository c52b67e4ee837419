//! The daily limits of wrong codes and of new rebinds, for the device of the session. Commands of the system have no device
//! and are not counted.

use super::Context;
use crate::device_counts::DayCounts;
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::MerchantState;
use crate::next_action::NextAction;
use crate::policy::DAY_S;
use crate::rejection::Rejection;

/// Refuses a request that has to wait for its daily limit.
pub(super) fn within_daily_limit(wait_s: Option<i64>) -> Result<(), Rejection> {
    match wait_s {
        None => Ok(()),
        Some(wait_s) => Err(Rejection::new(ErrorCode::DailyRequestLimit)
            .not_counted()
            .retry_after(wait_s)
            .next(&[NextAction::Wait])),
    }
}

impl Context<'_> {
    /// Checks that one more code may be tried. Every wrong code counts, whatever its purpose and rebind.
    pub(super) fn check_wrong_codes(&self) -> Result<(), Rejection> {
        let counts = self.day_counts();
        match counts.and_then(|counts| counts.code_wait_s(self.policy, self.now)) {
            None => Ok(()),
            Some(wait_s) => Err(Rejection::new(ErrorCode::OtpTryLimit)
                .not_counted()
                .retry_after(wait_s)
                .next(&[NextAction::Wait, NextAction::ContactSupport])),
        }
    }

    /// Checks the number of rebinds per day.
    pub(super) fn check_daily_limit(&self) -> Result<(), Rejection> {
        let counts = self.day_counts();
        within_daily_limit(counts.and_then(|counts| counts.rebind_wait_s(self.policy, self.now)))
    }

    /// Counts a wrong code. Returns the event that notifies the owner, once a day of wrong codes.
    pub(super) fn count_wrong_code(&self, state: &mut MerchantState) -> Option<Event> {
        let counts = self.day_counts_mut(state)?;
        counts.wrong_codes.add(DAY_S, self.now);
        // Codes that are compared at the same time can exceed the limit.
        counts
            .wrong_codes
            .keep_newest(self.policy.wrong_codes_per_day);
        let all = state.device_counts.all();
        let today: usize = all
            .map(|counts| counts.wrong_codes.count(DAY_S, self.now))
            .sum();
        (today == self.policy.wrong_codes_notified_from)
            .then_some(Event::CodeGuessed(event::NoFacts))
    }

    /// Counts a new rebind.
    pub(super) fn count_rebind(&self, state: &mut MerchantState) {
        if let Some(counts) = self.day_counts_mut(state) {
            counts.rebinds.add(DAY_S, self.now);
        }
    }

    fn day_counts(&self) -> Option<DayCounts> {
        let device = &self.session()?.device;
        let counts = &self.merchant.state.device_counts;
        Some(counts.of(device, self.policy, self.now))
    }

    fn day_counts_mut<'s>(&self, state: &'s mut MerchantState) -> Option<&'s mut DayCounts> {
        let device = &self.session()?.device;
        Some(state.device_counts.of_mut(device, self.policy, self.now))
    }
}
