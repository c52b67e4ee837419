//! Every error code of the contract has a case that meets it on the wire.

use domain::error_code::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};

/// The case for each error code.
const CASES: [(ErrorCode, &str); 62] = [
    (
        ErrorCode::RequestMalformed,
        "edges::malformed_bodies_are_refused",
    ),
    (
        ErrorCode::AuthBadCredentials,
        "sessions::unknown_account_looks_like_bad_password",
    ),
    (
        ErrorCode::SessionExpired,
        "sessions::logout_ends_only_its_own_session",
    ),
    (
        ErrorCode::StepUpRequired,
        "sessions::new_rebind_needs_fresh_login",
    ),
    (
        ErrorCode::DeviceTooNew,
        "sessions::third_new_device_of_a_day_can_only_read",
    ),
    (ErrorCode::NotFound, "requests::foreign_rebind_is_not_found"),
    (
        ErrorCode::StepOutOfOrder,
        "card_check::out_of_order_steps_list_next_actions",
    ),
    (
        ErrorCode::RequestInProgress,
        "requests::one_open_rebind_until_overdue",
    ),
    (
        ErrorCode::RebindCooldown,
        "requests::cooldown_blocks_until_its_end",
    ),
    (
        ErrorCode::QuietPeriod,
        "requests::quiet_period_blocks_for_a_day",
    ),
    (
        ErrorCode::HoldRunning,
        "settings::settings_wait_for_the_end_of_a_hold",
    ),
    (
        ErrorCode::FreezeCodeFormat,
        "freezes::wrong_freeze_code_looks_the_same",
    ),
    (
        ErrorCode::CardSameAsCurrent,
        "requests::unsuitable_cards_are_refused",
    ),
    (
        ErrorCode::CardBoundElsewhere,
        "card_check::foreign_card_is_refused_after_match",
    ),
    (
        ErrorCode::AgreementStale,
        "agreement::rejects_stale_version_text_or_token",
    ),
    (
        ErrorCode::VersionConflict,
        "identity::reserved_attempts_conflict_for_10_s",
    ),
    (
        ErrorCode::RequestExpired,
        "requests::one_open_rebind_until_overdue",
    ),
    (
        ErrorCode::BodyTooLarge,
        "edges::body_over_16_kib_is_refused",
    ),
    (
        ErrorCode::CardFormat,
        "requests::all_bad_fields_are_reported_at_once",
    ),
    (
        ErrorCode::CardLuhn,
        "requests::all_bad_fields_are_reported_at_once",
    ),
    (
        ErrorCode::CardTypeCredit,
        "requests::unsuitable_cards_are_refused",
    ),
    (
        ErrorCode::CardTypePrepaid,
        "requests::unsuitable_cards_are_refused",
    ),
    (
        ErrorCode::CardTypeUnknown,
        "card_check::card_of_unknown_type_gets_no_deposit",
    ),
    (ErrorCode::CardClassIi, "card_check::class_ii_card_rejects"),
    (
        ErrorCode::HolderNotMerchant,
        "agreement::rejects_wrong_name_or_consents",
    ),
    (
        ErrorCode::PhoneFormat,
        "requests::all_bad_fields_are_reported_at_once",
    ),
    (
        ErrorCode::EntityNeedsSupport,
        "requests::company_is_sent_to_support",
    ),
    (
        ErrorCode::IdFormat,
        "identity::malformed_document_uses_no_attempt",
    ),
    (
        ErrorCode::IdChecksum,
        "identity::malformed_document_uses_no_attempt",
    ),
    (
        ErrorCode::IdMismatch,
        "requests::daily_rebind_and_document_limits_apply",
    ),
    (
        ErrorCode::IdExpired,
        "banners::expired_document_blocks_rebind",
    ),
    (ErrorCode::OtpWrong, "identity::fifth_wrong_otp_rejects"),
    (
        ErrorCode::OtpExpired,
        "identity::expired_or_replaced_otp_fails",
    ),
    (ErrorCode::OtpTooMany, "identity::fifth_wrong_otp_rejects"),
    (
        ErrorCode::ConsentMissing,
        "agreement::rejects_wrong_name_or_consents",
    ),
    (
        ErrorCode::AgreementNotRead,
        "agreement::early_signature_reports_wait",
    ),
    (ErrorCode::ElementsMismatch, "card_check::mismatch_rejects"),
    (ErrorCode::CardDormant, "card_check::dormant_card_rejects"),
    (ErrorCode::CardBlocked, "card_check::blocked_card_rejects"),
    (ErrorCode::CardInvalid, "card_check::invalid_card_rejects"),
    (ErrorCode::CardExpired, "card_check::expired_card_rejects"),
    (
        ErrorCode::CardRestricted,
        "card_check::restricted_card_rejects",
    ),
    (
        ErrorCode::IdempotencyMismatch,
        "replays::same_key_with_other_body_is_refused",
    ),
    (
        ErrorCode::AccountFrozen,
        "frozen::frozen_account_allows_only_reads",
    ),
    (
        ErrorCode::AuthThrottled,
        "sessions::waits_double_from_fourth_failure",
    ),
    (
        ErrorCode::DailyRequestLimit,
        "requests::daily_rebind_and_document_limits_apply",
    ),
    (
        ErrorCode::OtpSendLimit,
        "identity::otps_per_phone_are_limited",
    ),
    (
        ErrorCode::OtpTryLimit,
        "identity::tenth_wrong_otp_of_a_day_is_the_last",
    ),
    (
        ErrorCode::CardCheckLimit,
        "card_check::daily_check_limits_apply",
    ),
    (
        ErrorCode::UpstreamUnknown,
        "card_check::unreadable_answer_is_unknown",
    ),
    (
        ErrorCode::UpstreamBusy,
        "card_check::busy_bank_changes_nothing",
    ),
    (
        ErrorCode::UpstreamQuota,
        "card_check::exhausted_quota_waits_until_midnight",
    ),
    (
        ErrorCode::StandbyNotReady,
        "standby::standby_card_is_added_and_switched_to",
    ),
    (
        ErrorCode::LastCardCannotUnbind,
        "unbind::active_or_pending_card_cannot_leave",
    ),
    (
        ErrorCode::PayoutInFlight,
        "unbind::replaced_card_waits_for_last_payout",
    ),
    (
        ErrorCode::MicroDepositWrong,
        "deposit::third_wrong_deposit_code_rejects",
    ),
    (
        ErrorCode::MicroDepositExpired,
        "deposit::deposit_expires_after_7_days",
    ),
    (
        ErrorCode::MicroDepositReturned,
        "deposit::deposit_to_mule_card_is_returned",
    ),
    (
        ErrorCode::T0NotAllowed,
        "settings::young_merchant_may_not_use_t0",
    ),
    (
        ErrorCode::LimitAboveTier,
        "settings::all_bad_fields_are_reported_at_once",
    ),
    (
        ErrorCode::ChangesStopped,
        "switches::stopped_changes_and_sms_go_on_later",
    ),
    (
        ErrorCode::Internal,
        "roles::sealed_number_is_bound_to_merchant",
    ),
];

/// Error codes without a case here, and the reason.
const NOT_HERE: [(ErrorCode, &str); 9] = [
    (
        ErrorCode::FrontDoorRequired,
        "the local system has no front door; tests/tests/killed/starts.rs puts a function behind one",
    ),
    (
        ErrorCode::OtpChannelDown,
        "the local cloud's SNS never fails; tests/tests/handlers.rs uses a failing one in process",
    ),
    (
        ErrorCode::ReleaseLimit,
        "to the core system only: payouts::sixth_release_in_a_day_is_refused",
    ),
    (
        ErrorCode::CoreKeyInvalid,
        "to the core system only: tests/tests/payouts.rs configures other keys in process",
    ),
    (
        ErrorCode::OperatorUnknown,
        "to operators only: operators::only_sessions_of_operator_roles_are_accepted",
    ),
    (
        ErrorCode::SecondPersonRequired,
        "to operators only: operators::two_people_end_a_freeze",
    ),
    (
        ErrorCode::ProposalStale,
        "to operators only: operators::two_people_end_a_freeze",
    ),
    (
        ErrorCode::RecordChanged,
        "to operators only: operators::registry_creates_and_closes_a_merchant",
    ),
    (
        ErrorCode::TestTxnFailed,
        "only an ended_reason, never a reply's code: test_transfer::returned_transfer_reverts_and_notifies",
    ),
];

/// `met`: the error codes that each case asserted.
pub fn each_has_its_case(met: &BTreeMap<&str, BTreeSet<&str>>) {
    let here: BTreeMap<ErrorCode, &str> = CASES.into();
    let elsewhere: BTreeMap<ErrorCode, &str> = NOT_HERE.into();
    for code in ErrorCode::ALL {
        match (here.get(code), elsewhere.get(code)) {
            (Some(case), None) => {
                let codes = met
                    .get(case)
                    .unwrap_or_else(|| panic!("{code}: unknown case {case}"));
                assert!(
                    codes.contains(code.as_str()),
                    "{code}: {case} does not meet it"
                );
            }
            (None, Some(_)) => {}
            (None, None) => panic!("{code} has no case"),
            (Some(_), Some(_)) => panic!("{code} has both a case and a reason for none"),
        }
    }
}
