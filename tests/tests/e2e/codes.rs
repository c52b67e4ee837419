//! Every code of the contract has a case that meets it on the wire.

use domain::error_code::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};

/// Which case is there for which code.
const CASES: [(ErrorCode, &str); 56] = [
    (ErrorCode::RequestMalformed, "edges::bodies_that_are_none"),
    (
        ErrorCode::AuthBadCredentials,
        "sessions::wrong_passwords_and_unknown_accounts_look_alike",
    ),
    (ErrorCode::SessionExpired, "sessions::logout"),
    (
        ErrorCode::StepUpRequired,
        "sessions::a_rebind_needs_a_fresh_login",
    ),
    (
        ErrorCode::NotFound,
        "requests::what_is_not_yours_is_not_there",
    ),
    (ErrorCode::StepOutOfOrder, "card_check::steps_out_of_order"),
    (ErrorCode::RequestInProgress, "requests::one_open_rebind"),
    (ErrorCode::RebindCooldown, "requests::the_cooldown"),
    (ErrorCode::QuietPeriod, "requests::the_quiet_period"),
    (
        ErrorCode::CardSameAsCurrent,
        "requests::cards_that_cannot_be_bound",
    ),
    (
        ErrorCode::CardBoundElsewhere,
        "card_check::a_card_of_someone_else",
    ),
    (
        ErrorCode::AgreementStale,
        "agreement::what_was_not_shown_cannot_be_signed",
    ),
    (ErrorCode::VersionConflict, "identity::all_tries_taken"),
    (ErrorCode::RequestExpired, "requests::one_open_rebind"),
    (ErrorCode::BodyTooLarge, "edges::sizes"),
    (ErrorCode::CardFormat, "requests::every_bad_field_at_once"),
    (ErrorCode::CardLuhn, "requests::every_bad_field_at_once"),
    (
        ErrorCode::CardTypeCredit,
        "requests::cards_that_cannot_be_bound",
    ),
    (
        ErrorCode::CardTypePrepaid,
        "requests::cards_that_cannot_be_bound",
    ),
    (ErrorCode::CardClassIi, "card_check::class_two"),
    (ErrorCode::HolderNotMerchant, "agreement::name_and_consents"),
    (ErrorCode::PhoneFormat, "requests::every_bad_field_at_once"),
    (ErrorCode::EntityNeedsSupport, "requests::a_company"),
    (ErrorCode::IdFormat, "identity::documents_that_are_none"),
    (ErrorCode::IdChecksum, "identity::documents_that_are_none"),
    (ErrorCode::IdMismatch, "requests::limits_of_a_day"),
    (ErrorCode::IdExpired, "identity::an_expired_document"),
    (ErrorCode::OtpWrong, "identity::wrong_codes_add_up"),
    (ErrorCode::OtpExpired, "identity::codes_end"),
    (ErrorCode::OtpTooMany, "identity::wrong_codes_add_up"),
    (ErrorCode::ConsentMissing, "agreement::name_and_consents"),
    (ErrorCode::AgreementNotRead, "agreement::too_soon"),
    (ErrorCode::ElementsMismatch, "card_check::mismatch"),
    (ErrorCode::CardDormant, "card_check::dormant"),
    (ErrorCode::CardBlocked, "card_check::blocked"),
    (ErrorCode::CardInvalid, "card_check::invalid"),
    (ErrorCode::CardExpired, "card_check::expired"),
    (ErrorCode::CardRestricted, "card_check::restricted"),
    (ErrorCode::IdempotencyMismatch, "replays::another_body"),
    (ErrorCode::AccountFrozen, "frozen::only_reads_work"),
    (
        ErrorCode::AuthThrottled,
        "sessions::guessing_is_slowed_down",
    ),
    (ErrorCode::DailyRequestLimit, "requests::limits_of_a_day"),
    (
        ErrorCode::OtpSendLimit,
        "identity::codes_to_a_phone_are_limited",
    ),
    (ErrorCode::CardCheckLimit, "card_check::checks_of_a_day"),
    (ErrorCode::UpstreamUnknown, "card_check::garbage"),
    (ErrorCode::UpstreamBusy, "card_check::busy"),
    (ErrorCode::UpstreamQuota, "card_check::quota"),
    (ErrorCode::StandbyNotReady, "standby::a_standby_card"),
    (
        ErrorCode::LastCardCannotUnbind,
        "unbind::what_may_not_leave",
    ),
    (ErrorCode::PayoutInFlight, "unbind::a_replaced_card"),
    (ErrorCode::MicroDepositWrong, "deposit::three_tries"),
    (ErrorCode::MicroDepositExpired, "deposit::seven_days"),
    (ErrorCode::MicroDepositReturned, "deposit::a_mules_card"),
    (ErrorCode::T0NotAllowed, "settings::a_young_merchant"),
    (
        ErrorCode::LimitAboveTier,
        "settings::every_bad_field_at_once",
    ),
    (
        ErrorCode::Internal,
        "roles::what_is_sealed_is_bound_to_its_merchant",
    ),
];

/// Codes without a case here, and why.
const NOT_HERE: [(ErrorCode, &str); 2] = [
    (
        ErrorCode::OtpChannelDown,
        "the local cloud's SNS never fails; in process, with one that does: tests/tests/handlers.rs",
    ),
    (
        ErrorCode::TestTxnFailed,
        "never the code of a reply; as an ended_reason: test_transfer::it_comes_back",
    ),
];

/// `met`: the codes that each case has asserted.
pub fn each_has_its_case(met: &BTreeMap<&str, BTreeSet<&str>>) {
    let here: BTreeMap<ErrorCode, &str> = CASES.into();
    let elsewhere: BTreeMap<ErrorCode, &str> = NOT_HERE.into();
    for code in ErrorCode::ALL {
        match (here.get(code), elsewhere.get(code)) {
            (Some(case), None) => {
                let codes = met
                    .get(case)
                    .unwrap_or_else(|| panic!("{code}: there is no case {case}"));
                assert!(
                    codes.contains(code.as_str()),
                    "{code}: {case} does not meet it"
                );
            }
            (None, Some(_)) => {}
            (None, None) => panic!("{code} has no case"),
            (Some(_), Some(_)) => panic!("{code} has a case and a reason to have none"),
        }
    }
}
