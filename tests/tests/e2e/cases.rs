//! The list of cases.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tests::local_cloud::LocalCloud;

/// A case on its way.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case.
pub struct Case {
    /// `module::function`
    pub name: &'static str,
    /// What it does.
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

/// Each has merchants of its own, so they do not meet.
pub const SIDE_BY_SIDE: &[Case] = cases! {
    happy: a_card_is_changed, a_card_is_changed_by_the_wall_clock, a_first_card, a_lost_card,
        names_as_they_are_typed, numbers_as_they_are_typed, one_phone_is_told_once, another_device_carries_on,
        the_clock_goes_back_and_forth;
    sessions: wrong_passwords_and_unknown_accounts_look_alike, logins_at_once_are_no_failures,
        guessing_is_slowed_down, twenty_failures_a_day, nobody_is_locked_out, logins_that_are_none,
        tokens_that_are_none, logout, an_idle_session_ends, a_session_ends_after_twelve_hours,
        a_rebind_needs_a_fresh_login, clocks_that_are_none;
    requests: every_bad_field_at_once, cards_that_cannot_be_bound, a_card_of_an_unknown_bank, a_company,
        the_quiet_period, the_cooldown, one_open_rebind, two_requests_at_once_make_one_rebind,
        limits_of_a_day, giving_up, pages, what_is_not_yours_is_not_there;
    identity: documents_that_are_none, an_expired_document, the_same_challenge, documents_at_once, codes_end,
        wrong_codes_add_up, parallel_guesses_are_five_tries, a_right_code_wins, all_tries_taken,
        codes_to_a_phone_are_limited;
    agreement: languages, too_soon, what_was_not_shown_cannot_be_signed, name_and_consents,
        the_evidence_is_kept;
    card_check: mismatch, blocked, invalid, dormant, expired, restricted, class_two, matches, busy, busy_once,
        quota, garbage, reply_lost, slow, the_same_challenge, steps_out_of_order,
        a_stale_identity_is_refreshed, a_stale_answer_is_asked_for_again, checks_of_a_day, wrong_codes,
        an_old_code, a_card_of_someone_else, the_same_person_twice, checks_at_once, confirm_against_cancel,
        one_activation;
    replays: every_step_twice, another_body, the_scope_of_a_key, a_key_is_kept_for_a_day, refusals,
        the_same_request_at_once, a_rejection_is_repeated, keys_that_are_none;
    order: from_the_body_to_the_object, from_the_freeze_to_the_limits, of_a_step;
    standby: a_standby_card, two_at_most, wrong_codes_lock_for_a_day, refused_like_a_rebind,
        proofs_that_are_too_old, what_can_be_switched_to, one_switch, another_device_switches,
        nothing_is_lost_by_a_switch;
    unbind: what_may_not_leave, a_standby_card_leaves, the_only_usable_card, a_replaced_card, unbind_against_switch;
    deposit: not_enabled, issuer_unsupported, the_next_day_on_another_device, three_tries,
        parallel_guesses_are_three_tries, seven_days, returned, a_mules_card, returned_later, not_there_yet,
        a_card_of_someone_else, for_a_standby_card, given_up;
    test_transfer: it_arrives, one_transfer, pending, the_listed_card_that_is_pending, it_comes_back,
        after_it_took_effect, without_a_card_to_go_back_to;
    payouts: made_once, events_that_are_none, routed_by_the_hold, sent_and_returned, pages, as_the_sandbox_begins,
        made_while_the_card_is_switched;
    settings: settings_are_changed, every_bad_field_at_once, a_young_merchant, when_settings_may_be_changed,
        push_targets, push_targets_that_are_none, notices_with_a_device;
    history: a_chain_that_can_be_checked;
    freezes: before_it_takes_effect, after_it_took_effect, seven_days, nothing_is_told, the_eleventh_of_a_day,
        one_freeze, freeze_against_confirm, a_standby_card_is_taken_away, any_code_stops_everything, after_a_switch;
    frozen: only_reads_work;
    notices: a_document_that_expires, a_document_that_has_expired, nothing_to_tell, a_first_card;
    cleanup: after_one_thirty_and_thirty_one_days, a_late_run_makes_up_for_all, overdue_rebinds_expire,
        two_runs_at_once, an_unsent_notice_is_sent_again, held_payouts_are_assigned, a_test_transfer_is_settled,
        an_answer_is_found, a_deposit_runs_out, a_frozen_account_is_left_alone, after_a_switch,
        the_clock_of_the_event;
    edges: what_is_not_there, sizes, bodies_that_are_none, bodies_in_base64, the_ends_of_time,
        a_problem_can_be_found_in_the_log;
    roles: each_role_may_do_what_it_must, what_is_sealed_is_bound_to_its_merchant;
    payloads: events_are_as_captured;
};

/// Each has the machine for itself; and then they look at what all the others have left.
pub const AT_THE_END: &[Case] = cases! {
    races: one_rebind, five_tries, one_activation, confirm_against_cancel, confirm_against_freeze,
        clean_up_against_everything;
    aftermath: every_history_is_whole, every_notice_was_sent, the_logs_are_quiet;
    edges: the_environment_survives;
    needed: each_permission_is_needed;
    leaks: no_secret_is_kept_or_told;
};
