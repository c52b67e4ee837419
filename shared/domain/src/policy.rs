//! All numbers of the policy with their units (contract, section 4).
//!
//! A decision receives a [`Policy`] and records its [`Policy::version`] in the history event, which documents the rules
//! that applied. To change a rule, change its number here and raise the version. A test then names each text that
//! states the old number.

use super::time::Timestamp;

/// One minute, hour and day in seconds.
pub const MINUTE_S: i64 = 60;
/// See [`MINUTE_S`].
pub const HOUR_S: i64 = 60 * MINUTE_S;
/// A day of the contract is the last 24 hours, not a calendar day.
pub const DAY_S: i64 = 24 * HOUR_S;

/// The rules in force. The only set is [`Policy::CURRENT`]; it is a value so that a test can tighten it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Raised with every change of a number below. Recorded with each decision.
    pub version: u32,

    /// A session expires this long after its login or its last change.
    pub session_idle_s: i64,
    /// A session expires this long after its login in any case.
    pub session_max_s: i64,
    /// The greatest age of a login for a protected change.
    pub fresh_login_s: i64,
    /// Concurrent sessions of one merchant. Another login ends the oldest session.
    pub sessions_max: u8,

    /// Consecutive failures from which the next login must wait.
    pub login_wait_from_failure: u32,
    /// The first wait. It doubles with each further failure.
    pub login_wait_first_s: i64,
    /// The maximum wait.
    pub login_wait_max_s: i64,
    /// Failed logins per day for one known device, and for all unknown devices together.
    pub login_failures_per_day: usize,
    /// Failed logins per hour from one source address, for unknown devices only.
    pub login_failures_per_source_hour: usize,
    /// Known devices of an account. A further device replaces an unused one, otherwise the youngest.
    pub known_devices_max: usize,
    /// New devices that become known per day. A further one can only read and freeze with a code.
    pub new_devices_per_day: usize,
    /// A known device counts as unused this long after its last login.
    pub device_unused_s: i64,
    /// A device is young for this long after its first login. A change with a young device has a longer hold.
    pub device_young_s: i64,
    /// A device can freeze a rebind without a code if its first login was this long before the rebind was created.
    pub freeze_device_age_s: i64,

    /// The lifetime of a rebind.
    pub rebind_life_s: i64,
    /// Rebinds per day, except those that are cancelled early. Counted per device, all young devices together.
    pub rebinds_per_day: usize,
    /// Created rebinds per day, whatever became of them. Counted in the same way.
    pub creations_per_day: usize,

    /// Days before the last day of the ID document from which a login shows a banner.
    pub id_banner_days: i64,
    /// Days from which the banner asks to renew soon.
    pub id_banner_soon_days: i64,
    /// Days from which the banner is urgent.
    pub id_banner_urgent_days: i64,

    /// Document mismatches for one rebind. The last one ends it.
    pub id_mismatches_per_rebind: u8,
    /// Document mismatches per day for one merchant.
    pub id_mismatches_per_day: usize,

    /// The lifetime of an OTP.
    pub code_life_s: i64,
    /// Attempts for one rebind and purpose, over all resends.
    pub code_attempts: u8,
    /// The retry delay of a request that finds all attempts reserved, because concurrent requests may still succeed.
    pub code_deciding_s: i64,
    /// Wrong codes per day, over all rebinds and purposes. Counted per device, all young devices together.
    pub wrong_codes_per_day: usize,
    /// The number of wrong codes per day at which the owner is notified.
    pub wrong_codes_notified_from: usize,
    /// The minimum interval between two OTPs to one phone for one purpose.
    pub code_gap_s: i64,
    /// OTPs per hour for one phone.
    pub codes_per_phone_hour: usize,
    /// OTPs per day for one phone.
    pub codes_per_phone_day: usize,

    /// Bank calls per day for one merchant and card.
    pub bank_calls_per_card_day: usize,
    /// Bank calls per day for one merchant.
    pub bank_calls_per_day: usize,
    /// Releases per day of the card number of one payout to the core system.
    pub releases_per_day: usize,

    /// The lifetime of an operator's proposal.
    pub proposal_life_s: i64,

    /// The maximum age of the identity proof when the card is confirmed.
    pub identity_proof_s: i64,
    /// The maximum age of the bank's answer when the card is confirmed.
    pub bank_proof_s: i64,

    /// The lifetime of a micro-deposit's code.
    pub deposit_life_s: i64,
    /// Attempts of a micro-deposit's code.
    pub deposit_attempts: u8,

    /// The hold: from the activation until payouts go to the new card.
    pub hold_s: i64,
    /// The hold of a card that was verified by a micro-deposit.
    pub hold_deposit_s: i64,
    /// The hold after `reason: lost`, during which payouts wait.
    pub hold_lost_s: i64,
    /// The hold if a young device created or confirmed the rebind. Holds do not add up: the longest counts.
    pub hold_new_device_s: i64,
    /// From the completion of a standby card's rebind until the card can be activated.
    pub standby_wait_s: i64,
    /// The maximum age of a standby card's proof when the card is activated.
    pub standby_proof_s: i64,
    /// The lock of a switch to a standby card after too many wrong OTPs.
    pub standby_lock_s: i64,
    /// Standby cards of one merchant.
    pub standby_max: usize,
    /// The cooldown: no rebind can be requested for this long after an activation.
    pub cooldown_s: i64,
    /// The short cooldown of a lost card, granted once per [`Policy::lost_every_s`].
    pub cooldown_lost_s: i64,
    /// The interval between two short cooldowns.
    pub lost_every_s: i64,
    /// The quiet period: no rebind for this long after a change of phone, password or name.
    pub quiet_period_s: i64,
    /// A replaced card stays on record for this long after `effective_at`.
    pub retire_after_effective_s: i64,
    /// A freeze code is valid until this long after `effective_at`, or after a standby card's `usable_at`.
    pub freeze_after_effective_s: i64,
    /// Wrong freeze codes per day for one account from which its owner is notified.
    pub freeze_guesses_notified_from: usize,
    /// The minimum interval between two such notifications.
    pub freeze_guesses_notified_every_s: i64,
    /// A test transfer that is returned until this long after `effective_at` still undoes the activation.
    pub revert_after_effective_s: i64,

    /// The minimum age of a merchant for T+0 settlement.
    pub t0_from_age_s: i64,
    /// From the acceptance of settlement settings until they take effect.
    pub settlement_wait_s: i64,
    /// Push devices of one merchant.
    pub push_targets_max: usize,
    /// Changes of settlement settings and new push devices per day. Each causes notifications, and a removed device
    /// stays notified for days, so more changes would bury important messages.
    pub setting_changes_per_day: usize,
    /// Silent refreshes of push tokens per day. A replaced token stays notified for days, so without a limit a thief could
    /// add tokens until no notification reaches all of them.
    pub push_refreshes_per_day: usize,
    /// SMS per day to one merchant about devices, push devices and settings together. Further ones are push only, so that
    /// they cannot bury an important SMS.
    pub notice_sms_per_day: usize,
    /// The phone that was on file before a change is notified for this long.
    pub previous_phone_s: i64,
    /// A removed push device is notified for this long.
    pub push_after_removal_s: i64,

    /// The minimum time from the display of the agreement to the signature.
    pub agreement_min_read_s: i64,
    /// The maximum of that time: the lifetime of the reading token.
    pub agreement_read_within_s: i64,

    /// How long a reply is kept for a repeated idempotency key.
    pub idempotency_s: i64,
    /// The maximum lead of the schedule's clock over the wall clock.
    pub schedule_ahead_max_s: i64,
    /// The initial interval between the clean-up's queries to the bank about an unknown answer. It grows with the time
    /// that the answer has been unknown.
    pub bank_retry_s: i64,
    /// The maximum of that interval. Also the interval for an arrived transfer, which can still be returned.
    pub transfer_recheck_s: i64,
    /// Unanswered queries after which a run of the clean-up stops querying the bank.
    pub bank_silence_max: u32,
    /// A change takes effect this long after its notification was handed over, at the earliest.
    pub notified_hold_s: i64,
    /// The first reminder of a change comes after this part of the time to its effect: 3 is a third.
    pub reminder_part: i64,
    /// The last reminder of a change comes this long before its effect.
    pub reminder_before_s: i64,
    /// Age from which a push device can be trusted to be the owner's.
    pub push_trusted_age_s: i64,
    /// Nothing more is sent for this long to a phone that the provider refused.
    pub notification_pause_s: i64,
    /// The clean-up rearms a notification that was unsent for this long.
    pub notification_retry_s: i64,
    /// The same after the first day, for a notification without which a change does not take effect.
    pub notification_late_retry_s: i64,
    /// The maximum number of rearms, which covers a day.
    pub notification_retries_max: u32,
}

impl Policy {
    /// The policy of the contract.
    pub const CURRENT: Policy = Policy {
        version: 4,

        session_idle_s: 15 * MINUTE_S,
        session_max_s: 12 * HOUR_S,
        fresh_login_s: 15 * MINUTE_S,
        sessions_max: 5,

        login_wait_from_failure: 4,
        login_wait_first_s: 2,
        login_wait_max_s: 15 * MINUTE_S,
        login_failures_per_day: 20,
        login_failures_per_source_hour: 100,
        known_devices_max: 10,
        new_devices_per_day: 2,
        device_unused_s: 90 * DAY_S,
        device_young_s: 7 * DAY_S,
        freeze_device_age_s: DAY_S,

        rebind_life_s: DAY_S,
        rebinds_per_day: 5,
        creations_per_day: 20,

        id_banner_days: 90,
        id_banner_soon_days: 30,
        id_banner_urgent_days: 7,

        id_mismatches_per_rebind: 5,
        id_mismatches_per_day: 10,

        code_life_s: 5 * MINUTE_S,
        code_attempts: 5,
        code_deciding_s: 10,
        wrong_codes_per_day: 10,
        wrong_codes_notified_from: 5,
        code_gap_s: MINUTE_S,
        codes_per_phone_hour: 5,
        codes_per_phone_day: 10,

        bank_calls_per_card_day: 3,
        bank_calls_per_day: 5,
        releases_per_day: 5,

        proposal_life_s: DAY_S,

        identity_proof_s: 15 * MINUTE_S,
        bank_proof_s: 30 * MINUTE_S,
        deposit_life_s: 7 * DAY_S,
        deposit_attempts: 3,

        hold_s: DAY_S,
        hold_deposit_s: 3 * DAY_S,
        hold_lost_s: 3 * DAY_S,
        hold_new_device_s: 3 * DAY_S,
        standby_wait_s: DAY_S,
        standby_proof_s: 90 * DAY_S,
        standby_lock_s: DAY_S,
        standby_max: 2,
        cooldown_s: 30 * DAY_S,
        cooldown_lost_s: 7 * DAY_S,
        lost_every_s: 365 * DAY_S,
        quiet_period_s: DAY_S,
        retire_after_effective_s: 7 * DAY_S,
        freeze_after_effective_s: 7 * DAY_S,
        freeze_guesses_notified_from: 10,
        freeze_guesses_notified_every_s: DAY_S,
        revert_after_effective_s: 7 * DAY_S,

        t0_from_age_s: 90 * DAY_S,
        settlement_wait_s: DAY_S,
        push_targets_max: 5,
        setting_changes_per_day: 10,
        push_refreshes_per_day: 5,
        notice_sms_per_day: 5,
        previous_phone_s: 30 * DAY_S,
        push_after_removal_s: 7 * DAY_S,

        agreement_min_read_s: 10,
        agreement_read_within_s: 30 * MINUTE_S,

        idempotency_s: DAY_S,
        schedule_ahead_max_s: 5 * MINUTE_S,
        bank_retry_s: 5 * MINUTE_S,
        transfer_recheck_s: DAY_S,
        bank_silence_max: 3,
        notified_hold_s: 12 * HOUR_S,
        reminder_part: 3,
        reminder_before_s: 2 * HOUR_S,
        push_trusted_age_s: 7 * DAY_S,
        notification_pause_s: DAY_S,
        notification_retry_s: 10 * MINUTE_S,
        notification_late_retry_s: 6 * HOUR_S,
        notification_retries_max: 144,
    };
}

/// Constraints between the numbers that the code relies on. A violation does not compile. Constraints from the layout
/// of the merchant state or the table are asserted there.
const _: () = {
    let policy = Policy::CURRENT;
    assert!(policy.sessions_max >= 1, "slot numbers are modulo this");
    assert!(policy.session_idle_s <= policy.session_max_s);
    assert!(policy.login_wait_from_failure >= 1);
    assert!(policy.login_wait_first_s <= policy.login_wait_max_s);
    assert!(policy.known_devices_max >= 1);
    assert!(
        policy.bank_calls_per_card_day <= policy.bank_calls_per_day,
        "the limit per card would be unreachable"
    );
    assert!(
        policy.codes_per_phone_hour <= policy.codes_per_phone_day,
        "the hourly limit would be unreachable"
    );
    assert!(policy.id_banner_urgent_days <= policy.id_banner_soon_days);
    assert!(policy.id_banner_soon_days <= policy.id_banner_days);
    assert!(policy.code_gap_s <= policy.code_life_s);
    assert!(policy.code_deciding_s < policy.code_life_s);
    assert!(
        policy.rebinds_per_day <= policy.creations_per_day,
        "the limit of rebinds would be unreachable"
    );
    assert!(
        policy.wrong_codes_notified_from <= policy.wrong_codes_per_day,
        "the owner would not be notified"
    );
    assert!(
        policy.deposit_life_s >= policy.rebind_life_s,
        "a deposit must not shorten its rebind"
    );
    assert!(policy.hold_s <= policy.hold_deposit_s);
    assert!(policy.hold_s <= policy.hold_lost_s);
    assert!(policy.hold_new_device_s <= policy.hold_deposit_s);
    assert!(policy.cooldown_lost_s <= policy.cooldown_s);
    assert!(
        policy.hold_deposit_s <= policy.cooldown_lost_s
            && policy.hold_lost_s <= policy.cooldown_lost_s,
        "a freeze ends one second rebind, so none may be open during a hold"
    );
    assert!(
        policy.revert_after_effective_s <= policy.retire_after_effective_s,
        "undoing a change restores the replaced card"
    );
    assert!(
        policy.agreement_min_read_s < policy.agreement_read_within_s,
        "every signature would be too early or too late"
    );
    assert!(
        policy.bank_retry_s <= policy.transfer_recheck_s,
        "clamp needs min <= max"
    );
    assert!(
        policy.notification_retry_s * policy.notification_retries_max as i64 >= DAY_S,
        "a notification is retried for a day"
    );
};

impl Policy {
    /// When the clean-up next queries the bank about an operation that began at `since` and was last queried at
    /// `last_at`.
    #[must_use]
    pub fn asks_bank_at(&self, since: Timestamp, last_at: Timestamp, arrived: bool) -> Timestamp {
        if arrived {
            return last_at.plus_s(self.transfer_recheck_s);
        }
        let known_for_s = since.age_s_at(last_at);
        last_at.plus_s((known_for_s / 4).clamp(self.bank_retry_s, self.transfer_recheck_s))
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
