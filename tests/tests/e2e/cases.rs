//! The list of cases.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tests::local_cloud::LocalCloud;

/// A running case.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case.
pub struct Case {
    /// `module::function`
    pub name: &'static str,
    /// Starts the case.
    pub run: fn(Arc<LocalCloud>) -> Running,
}

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |live| Box::pin(async move { crate::$module::$case(&live).await }),
        }),+),+]
    };
}

/// Each case has merchants of its own, so these cases run side by side.
pub const SIDE_BY_SIDE: &[Case] = cases! {
    happy: card_is_changed, card_is_changed_by_wall_clock, first_card_is_bound, lost_card_has_short_cooldown_once,
        typed_names_are_folded, typed_numbers_are_folded, equal_phones_are_notified_once,
        another_device_continues_rebind, clock_may_go_back_and_forth;
    sessions: unknown_account_looks_like_bad_password, concurrent_logins_leave_no_failures,
        waits_double_from_fourth_failure, twenty_failures_block_for_a_day, unknown_devices_do_not_block_known_one,
        malformed_login_names_missing_fields, invalid_tokens_are_refused, logout_ends_only_its_own_session,
        session_expires_after_15_min_idle, session_expires_after_12_h, third_new_device_of_a_day_can_only_read,
        new_rebind_needs_fresh_login,
        malformed_clock_is_refused;
    operators: two_people_end_a_freeze, registry_imports_a_file, doctor_needs_its_example_policy_only, trace_shows_a_change_of_card, registry_creates_and_closes_a_merchant, closed_merchant_is_erased, roles_may_call_their_routes_only, only_sessions_of_operator_roles_are_accepted;
    requests: all_bad_fields_are_reported_at_once, unsuitable_cards_are_refused, card_of_unlisted_bank_is_accepted,
        confirmed_number_needs_no_check_digit,
        company_is_sent_to_support, quiet_period_blocks_for_a_day, cooldown_blocks_until_its_end,
        one_open_rebind_until_overdue, concurrent_requests_make_one_rebind, daily_rebind_and_document_limits_apply,
        cancel_works_only_before_activation, pages_are_newest_first, foreign_rebind_is_not_found;
    identity: malformed_document_uses_no_attempt, expired_document_is_revealed_on_match, repeat_returns_same_challenge,
        concurrent_documents_send_one_otp, expired_or_replaced_otp_fails, fifth_wrong_otp_rejects,
        tenth_wrong_otp_of_a_day_is_the_last,
        parallel_guesses_are_capped_at_five, right_otp_wins_among_wrong, reserved_attempts_conflict_for_10_s,
        otps_per_phone_are_limited, travel_permit_and_rare_name_bind_cards;
    agreement: agreement_is_signable_in_both_languages, early_signature_reports_wait,
        rejects_stale_version_text_or_token, rejects_wrong_name_or_consents, signature_evidence_is_sealed;
    card_check: credit_card_by_the_bank_rejects, debit_card_by_the_bank_activates,
        card_of_unknown_type_gets_no_deposit, mismatch_rejects, blocked_card_rejects, invalid_card_rejects, dormant_card_rejects,
        expired_card_rejects, restricted_card_rejects, class_ii_card_rejects, matching_card_activates,
        busy_bank_changes_nothing, busy_once_is_retried_under_same_key, exhausted_quota_waits_until_midnight,
        unreadable_answer_is_unknown, lost_reply_is_recovered_by_query, slow_bank_is_awaited,
        repeat_returns_same_challenge, out_of_order_steps_list_next_actions, stale_identity_is_refreshed,
        stale_answer_needs_new_check, daily_check_limits_apply, fifth_wrong_card_otp_rejects,
        expired_card_otp_uses_no_attempt, foreign_card_is_refused_after_match, same_person_may_bind_card_twice,
        concurrent_checks_send_one_otp, confirm_and_cancel_exclude_each_other, concurrent_confirms_activate_once;
    replays: repeated_step_replays_its_reply, same_key_with_other_body_is_refused,
        key_scope_is_merchant_method_and_path, key_is_reusable_after_24_h, only_counted_refusals_are_replayed,
        concurrent_repeats_act_once, rejection_is_replayed, malformed_keys_are_refused;
    order: body_token_and_object_checks_in_order, rebind_checks_run_in_order, step_checks_run_in_order;
    standby: standby_card_is_added_and_switched_to, third_standby_card_is_refused,
        fifth_wrong_otp_locks_switch_for_24_h, switch_is_refused_like_rebind, stale_proof_or_document_blocks_switch,
        only_own_standby_card_is_switchable, concurrent_right_otps_switch_once, other_device_needs_its_own_otp,
        switch_ignores_lost_reason;
    unbind: active_or_pending_card_cannot_leave, standby_card_unbinds_any_time, only_usable_card_cannot_be_unbound,
        replaced_card_waits_for_last_payout, unbind_and_switch_exclude_each_other;
    deposit: unenabled_card_gets_deposit, unsupported_issuer_gets_deposit, deposit_confirms_on_other_device_later,
        third_wrong_deposit_code_rejects, parallel_guesses_are_capped_at_three, deposit_expires_after_7_days,
        returned_deposit_rejects, deposit_to_mule_card_is_returned, late_return_rejects_at_confirm,
        pending_deposit_cannot_be_confirmed, foreign_card_is_refused_after_proof, standby_card_is_proven_by_deposit,
        cancel_voids_deposit_code;
    test_transfer: arrived_transfer_keeps_all_periods, concurrent_requests_send_one_transfer,
        pending_transfer_is_sent_once, listed_card_leaves_transfer_pending, returned_transfer_reverts_and_notifies,
        return_reverts_within_7_days_of_effect, revert_without_usable_card_holds_payouts;
    payouts: repeated_creation_makes_one_payout, malformed_core_events_are_refused, payouts_change_card_after_hold,
        repeated_sent_and_returned_are_no_ops, sixth_release_in_a_day_is_refused, pages_are_newest_first, seeded_payouts_stay_on_old_card,
        payouts_follow_concurrent_switch;
    settings: changed_settings_notify_and_take_effect, pending_settings_are_withdrawn_or_frozen,
        settings_wait_for_the_end_of_a_hold, all_bad_fields_are_reported_at_once,
        young_merchant_may_not_use_t0, change_needs_fresh_login_after_quiet, push_targets_register_replace_and_remove,
        malformed_push_targets_are_refused, push_targets_do_not_replace_sms;
    history: history_pages_form_verifiable_chain;
    events: subscribers_receive_what_they_filter_for;
    anchoring: history_is_anchored_and_proven, administrator_can_neither_sign_nor_write,
        malformed_messages_are_left_on_the_queue;
    freezes: freeze_in_hold_reverts_change, freeze_after_hold_holds_payouts, freeze_code_ends_7_days_after_effect,
        wrong_freeze_code_looks_the_same, right_freeze_code_works_after_wrong_ones, concurrent_freezes_act_once,
        freeze_racing_confirm_still_freezes, standby_freeze_code_removes_card, any_freeze_code_stops_everything,
        freeze_after_switch_holds_payouts;
    frozen: frozen_account_allows_only_reads;
    banners: expiring_document_shows_banner, expired_document_blocks_rebind, valid_document_shows_no_banner,
        first_card_holds_payouts_in_hold;
    cleanup: entries_fall_due_on_days_1_8_and_30, settlement_settings_are_applied, late_run_catches_up, overdue_rebinds_expire,
        concurrent_runs_act_once, unsent_notification_is_resent_once, held_payouts_are_assigned,
        pending_test_transfer_is_settled, lost_bank_answer_is_recovered, deposit_is_polled_until_it_expires,
        frozen_account_is_left_alone, switch_completes_and_old_card_leaves, event_time_is_the_clock;
    edges: unknown_routes_return_404, body_over_16_kib_is_refused, malformed_bodies_are_refused,
        base64_body_is_decoded, extreme_clocks_are_accepted, support_ref_finds_log_line;
    roles: roles_allow_exactly_their_calls, sealed_number_is_bound_to_merchant;
    payloads: events_match_captured_payloads;
};

/// Each of these runs alone. The last ones inspect what all the others leave behind.
pub const AT_THE_END: &[Case] = cases! {
    races: concurrent_requests_make_one_rebind, concurrent_guesses_are_capped_at_five,
        concurrent_confirms_activate_once, confirm_and_cancel_exclude_each_other, freeze_racing_confirm_keeps_old_card,
        cleanup_racing_other_writes_acts_once;
    aftermath: every_history_is_unbroken, every_notification_was_sent, logs_contain_only_expected_errors;
    alarms: alarms_follow_what_was_written;
    switches: stopped_changes_and_sms_go_on_later;
    edges: process_survives_hostile_requests;
    needed: every_permission_is_needed;
    leaks: no_secret_is_stored_or_sent;
};

/// Cases, by the beginning of their names, that need a system of their own on this machine, each with its reason. A run on a
/// deployed system leaves them out.
pub const OF_OWN_SYSTEM: [(&str, &str); 8] = [
    ("payloads::", "adds a probe to the local gateway"),
    (
        "needed::",
        "takes permissions away, which AWS notices after minutes",
    ),
    (
        "alarms::",
        "puts metrics, whose periods pass faster on the local cloud",
    ),
    ("leaks::", "searches all output of a new system"),
    ("aftermath::", "inspects everything in a new system"),
    (
        "edges::process_survives",
        "reads the log of the local cloud",
    ),
    ("operators::doctor_", "expects what the local cloud lacks"),
    (
        "settings::push_targets",
        "needs an application of Apple or Google, which the local cloud does not check",
    ),
];

impl Case {
    /// True if the case cannot be run on a system that was deployed elsewhere.
    pub fn needs_own_system(&self) -> bool {
        let names = OF_OWN_SYSTEM.iter();
        names
            .map(|(name, _)| name)
            .any(|name| self.name.starts_with(name))
    }
}
