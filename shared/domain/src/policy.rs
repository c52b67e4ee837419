//! Every number of the policy, once, each with its unit (contract, section 4).
//!
//! A decision is given a [`Policy`] and records its [`Policy::version`] in the history event, so that it can be
//! said later under which rules it fell. To change a rule: change the number here and raise the version; a test then names
//! each text that states the old number.

use super::time::Timestamp;

/// One minute, hour and day in seconds.
pub const MINUTE_S: i64 = 60;
/// See [`MINUTE_S`].
pub const HOUR_S: i64 = 60 * MINUTE_S;
/// "A day" of the contract is the last 24 h, never a calendar day.
pub const DAY_S: i64 = 24 * HOUR_S;

/// The rules in force. There is one set, [`Policy::CURRENT`]; it is a value so that a test can tighten it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Raised with every change of a number below; kept with each decision.
    pub version: u32,

    /// A session dies this long after its login or the last change made in it.
    pub session_idle_s: i64,
    /// … and this long after its login in any case.
    pub session_max_s: i64,
    /// A rebind may be asked for only with a login younger than this.
    pub fresh_login_s: i64,
    /// Sessions that one merchant can have at once; a further login ends the oldest.
    pub sessions_max: u8,

    /// From this failure in a row on, the next login waits.
    pub login_wait_from_failure: u32,
    /// The first wait; it doubles with each further failure.
    pub login_wait_first_s: i64,
    /// … up to this.
    pub login_wait_max_s: i64,
    /// Failures a day for one device that has logged in before, and for all others together.
    pub login_failures_per_day: usize,
    /// Failures an hour from one source address, for devices that never logged in.
    pub login_failures_per_source_hour: usize,
    /// Devices remembered for an account; a further one replaces the one used longest ago.
    pub known_devices_max: usize,

    /// How long a rebind lives.
    pub rebind_life_s: i64,
    /// Rebinds a day for one merchant.
    pub rebinds_per_day: usize,

    /// Wrong documents for one rebind; the last one ends it.
    pub id_mismatches_per_rebind: u8,
    /// Wrong documents a day for one merchant.
    pub id_mismatches_per_day: usize,

    /// How long a code lives.
    pub code_life_s: i64,
    /// Tries for one rebind and purpose, added up over resends.
    pub code_tries: u8,
    /// How long a request that finds all tries taken is told to come back: others may still be deciding.
    pub code_deciding_s: i64,
    /// The time between two codes to one phone for one purpose.
    pub code_gap_s: i64,
    /// Codes an hour for one phone.
    pub codes_per_phone_hour: usize,
    /// Codes a day for one phone.
    pub codes_per_phone_day: usize,

    /// Bank calls a day for one merchant and card.
    pub bank_calls_per_card_day: usize,
    /// Bank calls a day for one merchant.
    pub bank_calls_per_day: usize,

    /// How old the confirmed identity may be when the card is confirmed.
    pub identity_proof_s: i64,
    /// How old the bank's answer may be when the card is confirmed.
    pub bank_proof_s: i64,

    /// How long the code of a micro-deposit can be confirmed.
    pub deposit_life_s: i64,
    /// Tries of a micro-deposit's code.
    pub deposit_tries: u8,

    /// From activation until payouts go to the new card.
    pub hold_s: i64,
    /// The same when the card was proven by a micro-deposit.
    pub hold_deposit_s: i64,
    /// From a standby card's completion until it can be activated.
    pub standby_wait_s: i64,
    /// How old a standby card's proof may be when it is activated.
    pub standby_proof_s: i64,
    /// No switch to a standby card for this long after its last wrong code.
    pub standby_lock_s: i64,
    /// Standby cards that one merchant can have.
    pub standby_max: usize,
    /// No further rebind for this long after an activation.
    pub cooldown_s: i64,
    /// The same when the old card was reported lost, once in [`Policy::lost_every_s`].
    pub cooldown_lost_s: i64,
    /// How often the short cooldown can be had.
    pub lost_every_s: i64,
    /// No rebind for this long after phone, password or name was changed.
    pub quiet_period_s: i64,
    /// A replaced card stays on record for this long after `effective_at`.
    pub retire_after_effective_s: i64,
    /// A freeze code is good for this long after `effective_at`, or after a standby card's `usable_at`.
    pub freeze_after_effective_s: i64,
    /// Wrong freeze codes a day from one source address.
    pub freeze_tries_per_source_day: usize,
    /// Wrong freeze codes a day for one account.
    pub freeze_tries_per_account_day: usize,
    /// A test transfer that comes back this long after `effective_at` still undoes the activation.
    pub revert_after_effective_s: i64,

    /// T+0 settlement is for merchants that were opened this long ago.
    pub t0_from_age_s: i64,
    /// Push targets that one merchant can have.
    pub push_targets_max: usize,
    /// Changes of settlement settings and new push targets a day: each is told, and each target is told for days, so that
    /// more would bury what matters.
    pub setting_changes_per_day: usize,
    /// A push target that was removed is told for this long.
    pub push_after_removal_s: i64,

    /// From the issue of the agreement to the signature, at least.
    pub agreement_min_read_s: i64,
    /// … and at most: the reading token's life.
    pub agreement_read_within_s: i64,

    /// How long a reply is kept for a repeated idempotency key.
    pub idempotency_s: i64,
    /// The clean-up asks the bank again about an answer that is not known yet, at first this long after it was last asked;
    /// the longer it is not known, the longer it waits.
    pub bank_retry_s: i64,
    /// … and at last this long. So long too about a transfer that has arrived, which can still come back.
    pub transfer_recheck_s: i64,
    /// Questions without an answer after which a run of the clean-up asks the bank nothing more.
    pub bank_silence_max: u32,
    /// The clean-up arms a notice again that was not sent for this long.
    pub notice_retry_s: i64,
    /// … so many times at most: a day's worth.
    pub notice_retries_max: u32,
}

impl Policy {
    /// The policy of the contract.
    pub const CURRENT: Policy = Policy {
        version: 1,

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

        rebind_life_s: DAY_S,
        rebinds_per_day: 5,

        id_mismatches_per_rebind: 5,
        id_mismatches_per_day: 10,

        code_life_s: 5 * MINUTE_S,
        code_tries: 5,
        code_deciding_s: 10,
        code_gap_s: MINUTE_S,
        codes_per_phone_hour: 5,
        codes_per_phone_day: 10,

        bank_calls_per_card_day: 3,
        bank_calls_per_day: 5,

        identity_proof_s: 15 * MINUTE_S,
        bank_proof_s: 30 * MINUTE_S,
        deposit_life_s: 7 * DAY_S,
        deposit_tries: 3,

        hold_s: DAY_S,
        hold_deposit_s: 3 * DAY_S,
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
        freeze_tries_per_source_day: 10,
        freeze_tries_per_account_day: 1_000,
        revert_after_effective_s: 7 * DAY_S,

        t0_from_age_s: 90 * DAY_S,
        push_targets_max: 5,
        setting_changes_per_day: 10,
        push_after_removal_s: 7 * DAY_S,

        agreement_min_read_s: 10,
        agreement_read_within_s: 30 * MINUTE_S,

        idempotency_s: DAY_S,
        bank_retry_s: 5 * MINUTE_S,
        transfer_recheck_s: DAY_S,
        bank_silence_max: 3,
        notice_retry_s: 10 * MINUTE_S,
        notice_retries_max: 144,
    };
}

/// Bounds between the numbers that the code relies on. A number that breaks one does not compile. Bounds that come from
/// the layout of the state or of the table stand there.
const _: () = {
    let policy = Policy::CURRENT;
    assert!(policy.sessions_max >= 1, "slots are counted modulo this");
    assert!(policy.session_idle_s <= policy.session_max_s);
    assert!(policy.login_wait_from_failure >= 1);
    assert!(policy.login_wait_first_s <= policy.login_wait_max_s);
    assert!(policy.known_devices_max >= 1);
    assert!(
        policy.bank_calls_per_card_day <= policy.bank_calls_per_day,
        "the limit of a card could never be reached"
    );
    assert!(
        policy.codes_per_phone_hour <= policy.codes_per_phone_day,
        "the limit of an hour could never be reached"
    );
    assert!(policy.code_gap_s <= policy.code_life_s);
    assert!(policy.code_deciding_s < policy.code_life_s);
    assert!(
        policy.deposit_life_s >= policy.rebind_life_s,
        "a deposit must not shorten its rebind"
    );
    assert!(policy.hold_s <= policy.hold_deposit_s);
    assert!(policy.cooldown_lost_s <= policy.cooldown_s);
    assert!(
        policy.hold_deposit_s <= policy.cooldown_lost_s,
        "a freeze ends one rebind beside its own: none can be open while a hold is running"
    );
    assert!(
        policy.revert_after_effective_s <= policy.retire_after_effective_s,
        "a change that can be undone needs the card before it"
    );
    assert!(
        policy.agreement_min_read_s < policy.agreement_read_within_s,
        "no agreement could be signed"
    );
    assert!(
        policy.bank_retry_s <= policy.transfer_recheck_s,
        "the time between two questions is clamped between them"
    );
    assert!(
        policy.notice_retry_s * policy.notice_retries_max as i64 >= DAY_S,
        "a notification is tried for a day"
    );
};

impl Policy {
    /// When the clean-up asks the bank again about something that began at `since` and was last asked about at `last_at`.
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
