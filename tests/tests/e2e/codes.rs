//! Every code of the contract has a case that meets it on the wire.

use domain::code::Code;
use std::collections::{BTreeMap, BTreeSet};

/// Which case is there for which code.
const CASES: [(Code, &str); 56] = [
    (Code::RequestMalformed, "edges::bodies_that_are_none"),
    (
        Code::AuthBadCredentials,
        "sessions::wrong_passwords_and_unknown_accounts_look_alike",
    ),
    (Code::SessionExpired, "sessions::logout"),
    (
        Code::StepUpRequired,
        "sessions::a_rebind_needs_a_fresh_login",
    ),
    (Code::NotFound, "requests::what_is_not_yours_is_not_there"),
    (Code::StepOutOfOrder, "card_check::steps_out_of_order"),
    (Code::RequestInProgress, "requests::one_open_rebind"),
    (Code::RebindCooldown, "requests::the_cooldown"),
    (Code::QuietPeriod, "requests::the_quiet_period"),
    (
        Code::CardSameAsCurrent,
        "requests::cards_that_cannot_be_bound",
    ),
    (
        Code::CardBoundElsewhere,
        "card_check::a_card_of_someone_else",
    ),
    (
        Code::AgreementStale,
        "agreement::what_was_not_shown_cannot_be_signed",
    ),
    (Code::VersionConflict, "identity::all_tries_taken"),
    (Code::RequestExpired, "requests::one_open_rebind"),
    (Code::BodyTooLarge, "edges::sizes"),
    (Code::CardFormat, "requests::every_bad_field_at_once"),
    (Code::CardLuhn, "requests::every_bad_field_at_once"),
    (Code::CardTypeCredit, "requests::cards_that_cannot_be_bound"),
    (
        Code::CardTypePrepaid,
        "requests::cards_that_cannot_be_bound",
    ),
    (Code::CardClassIi, "card_check::class_two"),
    (Code::HolderNotMerchant, "agreement::name_and_consents"),
    (Code::PhoneFormat, "requests::every_bad_field_at_once"),
    (Code::EntityNeedsSupport, "requests::a_company"),
    (Code::IdFormat, "identity::documents_that_are_none"),
    (Code::IdChecksum, "identity::documents_that_are_none"),
    (Code::IdMismatch, "requests::limits_of_a_day"),
    (Code::IdExpired, "identity::an_expired_document"),
    (Code::OtpWrong, "identity::wrong_codes_add_up"),
    (Code::OtpExpired, "identity::codes_end"),
    (Code::OtpTooMany, "identity::wrong_codes_add_up"),
    (Code::ConsentMissing, "agreement::name_and_consents"),
    (Code::AgreementNotRead, "agreement::too_soon"),
    (Code::ElementsMismatch, "card_check::mismatch"),
    (Code::CardDormant, "card_check::dormant"),
    (Code::CardBlocked, "card_check::blocked"),
    (Code::CardInvalid, "card_check::invalid"),
    (Code::CardExpired, "card_check::expired"),
    (Code::CardRestricted, "card_check::restricted"),
    (Code::IdempotencyMismatch, "replays::another_body"),
    (Code::AccountFrozen, "frozen::only_reads_work"),
    (Code::AuthThrottled, "sessions::guessing_is_slowed_down"),
    (Code::DailyRequestLimit, "requests::limits_of_a_day"),
    (Code::OtpSendLimit, "identity::codes_to_a_phone_are_limited"),
    (Code::CardCheckLimit, "card_check::checks_of_a_day"),
    (Code::UpstreamUnknown, "card_check::garbage"),
    (Code::UpstreamBusy, "card_check::busy"),
    (Code::UpstreamQuota, "card_check::quota"),
    (Code::StandbyNotReady, "standby::a_standby_card"),
    (Code::LastCardCannotUnbind, "unbind::what_may_not_leave"),
    (Code::PayoutInFlight, "unbind::a_replaced_card"),
    (Code::MicroDepositWrong, "deposit::three_tries"),
    (Code::MicroDepositExpired, "deposit::seven_days"),
    (Code::MicroDepositReturned, "deposit::a_mules_card"),
    (Code::T0NotAllowed, "settings::a_young_merchant"),
    (Code::LimitAboveTier, "settings::every_bad_field_at_once"),
    (
        Code::Internal,
        "roles::what_is_sealed_is_bound_to_its_merchant",
    ),
];

/// Codes without a case here, and why.
const NOT_HERE: [(Code, &str); 2] = [
    (
        Code::OtpChannelDown,
        "the local cloud's SNS never fails; in process, with one that does: tests/tests/handlers.rs",
    ),
    (
        Code::TestTxnFailed,
        "never the code of a reply; as an ended_reason: test_transfer::it_comes_back",
    ),
];

/// `met`: the codes that each case has asserted.
pub fn each_has_its_case(met: &BTreeMap<&str, BTreeSet<&str>>) {
    let here: BTreeMap<Code, &str> = CASES.into();
    let elsewhere: BTreeMap<Code, &str> = NOT_HERE.into();
    for code in Code::ALL {
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
