//! The description's problem documents: one per code, and more for a code with several forms.

use super::at;
use crate::token;
use domain::error_code::ErrorCode as Code;
use domain::next_action::NextAction::{
    ActivateStandby, Cancel, CardCheck, CardCheckConfirm, ConfirmCardNumber, ContactSupport,
    Identity, IdentityCode, IdentityConfirm, Login, NewRebind, UnbindCard, Wait,
};
use domain::policy::{HOUR_S, Policy};
use domain::rejection::Rejection;

/// A problem document under its name.
pub(super) struct Example {
    /// The code, with a suffix if the code has several examples.
    pub(super) name: &'static str,
    /// The summary; empty if the code's title is sufficient.
    pub(super) summary: &'static str,
    /// The rejection.
    pub(super) rejection: Rejection,
}

const fn example(name: &'static str, summary: &'static str, rejection: Rejection) -> Example {
    Example {
        name,
        summary,
        rejection,
    }
}

/// Invalid fields.
fn fields<const N: usize>(errors: [(&'static str, Code); N]) -> Rejection {
    Rejection::invalid(errors.map(|(field, code)| (field, Some(code))))
}

/// Marks as counted toward a limit without attempts.
fn used_up(rejection: Rejection) -> Rejection {
    Rejection {
        counts_toward_limit: Some(true),
        ..rejection
    }
}

/// Adds the attempts left, for a refusal that was not counted.
fn left(rejection: Rejection, attempts: u8) -> Rejection {
    Rejection {
        attempts_left: Some(attempts),
        ..rejection
    }
}

/// Adds the end of the cooldown.
fn until(rejection: Rejection, end: &str) -> Rejection {
    Rejection {
        cooldown_until: Some(at(end).0),
        ..rejection
    }
}

/// Every example.
#[rustfmt::skip] // a table: one row, one example
pub(super) fn examples() -> Vec<Example> {
    let policy = Policy::CURRENT;
    vec![
        example("REQUEST_MALFORMED", "", Rejection::new(Code::RequestMalformed)),
        example("REQUEST_MALFORMED_SETTLEMENT", "Two settings without a usable value.",
            fields([("payout_time", Code::RequestMalformed), ("daily_limit_fen", Code::LimitAboveTier)])),
        example("AUTH_BAD_CREDENTIALS", "", used_up(Rejection::new(Code::AuthBadCredentials))),
        example("SESSION_EXPIRED", "", token::dead()),
        example("STEP_UP_REQUIRED", "", Rejection::new(Code::StepUpRequired).not_counted().next(&[IdentityCode])),
        example("STEP_UP_REQUIRED_LOGIN", "The login is too old.", Rejection::new(Code::StepUpRequired).next(&[Login])),
        example("DEVICE_TOO_NEW", "", Rejection::new(Code::DeviceTooNew).next(&[Login, ContactSupport])),
        example("NOT_FOUND", "", Rejection::new(Code::NotFound)),
        example("STEP_OUT_OF_ORDER", "", Rejection::new(Code::StepOutOfOrder).next(&[Identity, Cancel])),
        example("STEP_OUT_OF_ORDER_STANDBY", "No further standby card is possible.",
            Rejection::new(Code::StepOutOfOrder).next(&[ActivateStandby, UnbindCard])),
        example("STEP_OUT_OF_ORDER_PUSH_TARGETS", "No further push target is possible.", Rejection::new(Code::StepOutOfOrder)),
        example("REQUEST_IN_PROGRESS", "", Rejection::new(Code::RequestInProgress).next(&[Identity, Cancel])),
        example("REBIND_COOLDOWN", "",
            until(Rejection::new(Code::RebindCooldown).retry_after(2_591_400).next(&[Wait]), "2026-12-22T10:10:00+08:00")),
        example("QUIET_PERIOD", "", Rejection::new(Code::QuietPeriod).retry_after(75_600).next(&[Wait])),
        example("HOLD_RUNNING", "", Rejection::new(Code::HoldRunning).retry_after(43_200).next(&[Wait])),
        example("CARD_SAME_AS_CURRENT", "", fields([("card_number", Code::CardSameAsCurrent)])),
        example("CARD_SAME_AS_CURRENT_STANDBY", "Card is a standby card already.",
            fields([("card_number", Code::CardSameAsCurrent)]).next(&[ActivateStandby, UnbindCard])),
        example("CARD_BOUND_ELSEWHERE", "", used_up(Rejection::new(Code::CardBoundElsewhere).next(&[NewRebind, ContactSupport]))),
        example("AGREEMENT_STALE", "", fields([("sha256", Code::AgreementStale)])),
        example("VERSION_CONFLICT", "", Rejection::new(Code::VersionConflict).retry_after(1)),
        example("STANDBY_NOT_READY", "", Rejection::new(Code::StandbyNotReady).retry_after(43_200).next(&[Wait])),
        example("LAST_CARD_CANNOT_UNBIND", "", Rejection::new(Code::LastCardCannotUnbind).next(&[NewRebind])),
        example("PAYOUT_IN_FLIGHT", "", Rejection::new(Code::PayoutInFlight).retry_after(604_800).next(&[Wait])),
        example("REQUEST_EXPIRED", "", Rejection::new(Code::RequestExpired).next(&[NewRebind])),
        example("BODY_TOO_LARGE", "", Rejection::new(Code::BodyTooLarge)),
        example("CARD_FORMAT", "", fields([("card_number", Code::CardFormat)])),
        example("CARD_LUHN", "The card number is probably mistyped; the merchant may confirm it.",
            fields([("card_number", Code::CardLuhn)]).next(&[ConfirmCardNumber])),
        example("CARD_TYPE_CREDIT", "", fields([("card_number", Code::CardTypeCredit)]).next(&[ContactSupport])),
        example("CARD_TYPE_PREPAID", "", fields([("card_number", Code::CardTypePrepaid)]).next(&[ContactSupport])),
        example("CARD_TYPE_CREDIT_BANK", "The bank states the type.", used_up(Rejection::new(Code::CardTypeCredit).next(&[NewRebind, ContactSupport]))),
        example("CARD_TYPE_PREPAID_BANK", "The bank states the type.", used_up(Rejection::new(Code::CardTypePrepaid).next(&[NewRebind, ContactSupport]))),
        example("CARD_TYPE_UNKNOWN", "", used_up(Rejection::new(Code::CardTypeUnknown).next(&[NewRebind, ContactSupport]))),
        example("CARD_CLASS_II", "", used_up(Rejection::new(Code::CardClassIi).next(&[NewRebind, ContactSupport]))),
        example("HOLDER_NOT_MERCHANT", "", fields([("holder_name", Code::HolderNotMerchant)]).next(&[ContactSupport])),
        example("PHONE_FORMAT", "", fields([("reserved_phone", Code::PhoneFormat)])),
        example("ENTITY_NEEDS_SUPPORT", "", Rejection::new(Code::EntityNeedsSupport).next(&[ContactSupport])),
        example("ID_FORMAT", "", fields([("document_expires_on", Code::IdFormat)])),
        example("ID_CHECKSUM", "",
            fields([("document_number", Code::IdChecksum), ("document_expires_on", Code::IdFormat)])),
        example("ID_MISMATCH", "", Rejection::new(Code::IdMismatch).counted(4).next(&[Identity, Cancel])),
        example("ID_EXPIRED", "", Rejection::new(Code::IdExpired).not_counted().next(&[ContactSupport])),
        example("OTP_WRONG", "", Rejection::new(Code::OtpWrong).counted(4).next(&[IdentityConfirm, IdentityCode, Cancel])),
        example("OTP_WRONG_ACTIVATION", "Wrong code for a standby card.",
            Rejection::new(Code::OtpWrong).counted(4).next(&[ActivateStandby])),
        example("OTP_EXPIRED", "", left(Rejection::new(Code::OtpExpired).not_counted().next(&[IdentityCode]), 4)),
        example("OTP_EXPIRED_ACTIVATION", "Code for a standby card expired.",
            left(Rejection::new(Code::OtpExpired).not_counted().next(&[ActivateStandby]), 4)),
        example("FREEZE_CODE_FORMAT", "", fields([("freeze_code", Code::FreezeCodeFormat)]).not_counted()),
        example("OTP_TOO_MANY", "", Rejection::new(Code::OtpTooMany).counted(0).next(&[NewRebind, ContactSupport])),
        example("OTP_TOO_MANY_ACTIVATION", "The last wrong code for a standby card.",
            Rejection::new(Code::OtpTooMany).counted(0).retry_after(policy.standby_lock_s).next(&[Wait])),
        example("OTP_TOO_MANY_LOCKED", "An hour after the last wrong code.",
            left(Rejection::new(Code::OtpTooMany).retry_after(policy.standby_lock_s - HOUR_S).not_counted().next(&[Wait]), 0)),
        example("CONSENT_MISSING", "", fields([("consents", Code::ConsentMissing)])),
        example("AGREEMENT_NOT_READ", "", fields([("reading_token", Code::AgreementNotRead)]).retry_after(6)),
        example("ELEMENTS_MISMATCH", "", used_up(Rejection::new(Code::ElementsMismatch).next(&[NewRebind, ContactSupport]))),
        example("CARD_DORMANT", "", used_up(Rejection::new(Code::CardDormant).next(&[NewRebind, ContactSupport]))),
        example("CARD_BLOCKED", "", used_up(Rejection::new(Code::CardBlocked).next(&[NewRebind, ContactSupport]))),
        example("CARD_INVALID", "", used_up(Rejection::new(Code::CardInvalid).next(&[NewRebind, ContactSupport]))),
        example("CARD_EXPIRED", "", used_up(Rejection::new(Code::CardExpired).next(&[NewRebind, ContactSupport]))),
        example("CARD_RESTRICTED", "", used_up(Rejection::new(Code::CardRestricted).next(&[NewRebind, ContactSupport]))),
        example("MICRO_DEPOSIT_WRONG", "",
            Rejection::new(Code::MicroDepositWrong).counted(2).next(&[CardCheckConfirm, Cancel])),
        example("MICRO_DEPOSIT_WRONG_LAST", "The last wrong code of a deposit.",
            Rejection::new(Code::MicroDepositWrong).counted(0).next(&[NewRebind, ContactSupport])),
        example("MICRO_DEPOSIT_EXPIRED", "", Rejection::new(Code::MicroDepositExpired).not_counted().next(&[NewRebind])),
        example("MICRO_DEPOSIT_RETURNED", "", Rejection::new(Code::MicroDepositReturned).not_counted().next(&[NewRebind, ContactSupport])),
        example("T0_NOT_ALLOWED", "", fields([("cycle", Code::T0NotAllowed), ("daily_limit_fen", Code::LimitAboveTier)])),
        example("LIMIT_ABOVE_TIER", "", fields([("daily_limit_fen", Code::LimitAboveTier)])),
        example("IDEMPOTENCY_MISMATCH", "", Rejection::new(Code::IdempotencyMismatch)),
        example("ACCOUNT_FROZEN", "", Rejection::new(Code::AccountFrozen).next(&[ContactSupport])),
        example("AUTH_THROTTLED", "", Rejection::new(Code::AuthThrottled).not_counted().retry_after(8)),
        example("DAILY_REQUEST_LIMIT", "",
            Rejection::new(Code::DailyRequestLimit).retry_after(39_600).not_counted().next(&[Wait])),
        example("OTP_SEND_LIMIT", "", Rejection::new(Code::OtpSendLimit).not_counted().retry_after(42)),
        example("OTP_TRY_LIMIT", "",
            Rejection::new(Code::OtpTryLimit).retry_after(39_600).not_counted().next(&[Wait, ContactSupport])),
        example("CARD_CHECK_LIMIT", "",
            Rejection::new(Code::CardCheckLimit).retry_after(39_600).not_counted().next(&[Wait, Cancel])),
        example("INTERNAL", "", Rejection::new(Code::Internal).retry_after(1)),
        example("UPSTREAM_UNKNOWN", "",
            Rejection::new(Code::UpstreamUnknown).retry_after(5).not_counted().next(&[CardCheck, Cancel])),
        example("UPSTREAM_BUSY", "",
            Rejection::new(Code::UpstreamBusy).retry_after(60).not_counted().next(&[CardCheck, Cancel])),
        example("UPSTREAM_BUSY_DEPOSIT", "The deposit is still under way.",
            Rejection::new(Code::UpstreamBusy).retry_after(60).not_counted().next(&[CardCheckConfirm, Cancel])),
        example("UPSTREAM_QUOTA", "",
            Rejection::new(Code::UpstreamQuota).retry_after(50_400).not_counted().next(&[CardCheck, Cancel])),
        example("CHANGES_STOPPED", "", Rejection::new(Code::ChangesStopped).not_counted().retry_after(300)),
        example("OTP_CHANNEL_DOWN", "", Rejection::new(Code::OtpChannelDown).not_counted().retry_after(5)),
        example("OTP_CHANNEL_DOWN_PHONE", "The provider refuses this phone.",
            Rejection::new(Code::OtpChannelDown).not_counted().for_support()),
    ]
}
