//! Problem documents as the description shows them: one for each code, and some more where a code has several forms.

use super::at;
use domain::error_code::ErrorCode;
use domain::next_action::NextAction::{
    ActivateStandby, Cancel, CardCheck, CardCheckConfirm, ContactSupport, CorrectFields, Identity,
    IdentityCode, IdentityConfirm, Login, NewRebind, ReadAgreement, Retry, SignAgreement,
    UnbindCard, Wait,
};
use domain::rejection::{FieldError, Rejection};

/// A problem document under its name.
pub(super) struct Example {
    /// The code, and what tells it from the code's other examples.
    pub(super) name: &'static str,
    /// What it shows; the code's title where there is no more to say.
    pub(super) summary: Option<&'static str>,
    /// What was rejected.
    pub(super) rejection: Rejection,
}

const fn field(field: &'static str, code: ErrorCode) -> FieldError {
    FieldError { field, code }
}

const fn example(
    name: &'static str,
    summary: Option<&'static str>,
    rejection: Rejection,
) -> Example {
    Example {
        name,
        summary,
        rejection,
    }
}

/// Every example.
pub(super) fn examples() -> Vec<Example> {
    vec![
        example(
            "REQUEST_MALFORMED",
            None,
            Rejection::new(ErrorCode::RequestMalformed),
        ),
        example(
            "REQUEST_MALFORMED_SETTLEMENT",
            Some("Two settings without a usable value."),
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![
                    field("payout_time", ErrorCode::RequestMalformed),
                    field("daily_limit_fen", ErrorCode::LimitAboveTier),
                ],
                ..Rejection::new(ErrorCode::RequestMalformed)
            },
        ),
        example(
            "AUTH_BAD_CREDENTIALS",
            None,
            Rejection {
                next_actions: vec![Login],
                ..Rejection::new(ErrorCode::AuthBadCredentials)
            },
        ),
        example(
            "SESSION_EXPIRED",
            None,
            Rejection {
                next_actions: vec![Login],
                ..Rejection::new(ErrorCode::SessionExpired)
            },
        ),
        example(
            "STEP_UP_REQUIRED",
            None,
            Rejection {
                counts_toward_limit: Some(false),
                next_actions: vec![IdentityCode],
                ..Rejection::new(ErrorCode::StepUpRequired)
            },
        ),
        example(
            "STEP_UP_REQUIRED_LOGIN",
            Some("Fresh login required."),
            Rejection {
                next_actions: vec![Login],
                ..Rejection::new(ErrorCode::StepUpRequired)
            },
        ),
        example("NOT_FOUND", None, Rejection::new(ErrorCode::NotFound)),
        example(
            "STEP_OUT_OF_ORDER",
            None,
            Rejection {
                next_actions: vec![Identity, Cancel],
                ..Rejection::new(ErrorCode::StepOutOfOrder)
            },
        ),
        example(
            "STEP_OUT_OF_ORDER_STANDBY",
            Some("There are two standby cards already."),
            Rejection {
                next_actions: vec![ActivateStandby, UnbindCard],
                ..Rejection::new(ErrorCode::StepOutOfOrder)
            },
        ),
        example(
            "STEP_OUT_OF_ORDER_PUSH_TARGETS",
            Some("There are five push targets already."),
            Rejection::new(ErrorCode::StepOutOfOrder),
        ),
        example(
            "REQUEST_IN_PROGRESS",
            None,
            Rejection {
                next_actions: vec![Identity, Cancel],
                ..Rejection::new(ErrorCode::RequestInProgress)
            },
        ),
        example(
            "REBIND_COOLDOWN",
            None,
            Rejection {
                retry_after_s: Some(2_591_400),
                next_actions: vec![Wait],
                cooldown_until: Some(at("2026-12-22T10:10:00+08:00").0),
                ..Rejection::new(ErrorCode::RebindCooldown)
            },
        ),
        example(
            "QUIET_PERIOD",
            None,
            Rejection {
                retry_after_s: Some(75_600),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::QuietPeriod)
            },
        ),
        example(
            "CARD_SAME_AS_CURRENT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("card_number", ErrorCode::CardSameAsCurrent)],
                ..Rejection::new(ErrorCode::CardSameAsCurrent)
            },
        ),
        example(
            "CARD_SAME_AS_CURRENT_STANDBY",
            Some("Card is a standby card already."),
            Rejection {
                next_actions: vec![ActivateStandby],
                errors: vec![field("card_number", ErrorCode::CardSameAsCurrent)],
                ..Rejection::new(ErrorCode::CardSameAsCurrent)
            },
        ),
        example(
            "CARD_BOUND_ELSEWHERE",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardBoundElsewhere)
            },
        ),
        example(
            "AGREEMENT_STALE",
            None,
            Rejection {
                next_actions: vec![ReadAgreement],
                ..Rejection::new(ErrorCode::AgreementStale)
            },
        ),
        example(
            "VERSION_CONFLICT",
            None,
            Rejection {
                retry_after_s: Some(1),
                next_actions: vec![Retry],
                ..Rejection::new(ErrorCode::VersionConflict)
            },
        ),
        example(
            "STANDBY_NOT_READY",
            None,
            Rejection {
                retry_after_s: Some(43_200),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::StandbyNotReady)
            },
        ),
        example(
            "LAST_CARD_CANNOT_UNBIND",
            None,
            Rejection {
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::LastCardCannotUnbind)
            },
        ),
        example(
            "PAYOUT_IN_FLIGHT",
            None,
            Rejection {
                retry_after_s: Some(604_800),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::PayoutInFlight)
            },
        ),
        example(
            "REQUEST_EXPIRED",
            None,
            Rejection {
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::RequestExpired)
            },
        ),
        example(
            "BODY_TOO_LARGE",
            None,
            Rejection::new(ErrorCode::BodyTooLarge),
        ),
        example(
            "CARD_FORMAT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("card_number", ErrorCode::CardFormat)],
                ..Rejection::new(ErrorCode::CardFormat)
            },
        ),
        example(
            "CARD_LUHN",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![
                    field("card_number", ErrorCode::CardLuhn),
                    field("holder_name", ErrorCode::HolderNotMerchant),
                ],
                ..Rejection::new(ErrorCode::CardLuhn)
            },
        ),
        example(
            "CARD_TYPE_CREDIT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("card_number", ErrorCode::CardTypeCredit)],
                ..Rejection::new(ErrorCode::CardTypeCredit)
            },
        ),
        example(
            "CARD_TYPE_PREPAID",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("card_number", ErrorCode::CardTypePrepaid)],
                ..Rejection::new(ErrorCode::CardTypePrepaid)
            },
        ),
        example(
            "CARD_CLASS_II",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardClassIi)
            },
        ),
        example(
            "HOLDER_NOT_MERCHANT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("holder_name", ErrorCode::HolderNotMerchant)],
                ..Rejection::new(ErrorCode::HolderNotMerchant)
            },
        ),
        example(
            "PHONE_FORMAT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("reserved_phone", ErrorCode::PhoneFormat)],
                ..Rejection::new(ErrorCode::PhoneFormat)
            },
        ),
        example(
            "ENTITY_NEEDS_SUPPORT",
            None,
            Rejection {
                next_actions: vec![ContactSupport],
                ..Rejection::new(ErrorCode::EntityNeedsSupport)
            },
        ),
        example(
            "ID_FORMAT",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("document_expires_on", ErrorCode::IdFormat)],
                ..Rejection::new(ErrorCode::IdFormat)
            },
        ),
        example(
            "ID_CHECKSUM",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("document_number", ErrorCode::IdChecksum)],
                ..Rejection::new(ErrorCode::IdChecksum)
            },
        ),
        example(
            "ID_MISMATCH",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(4),
                next_actions: vec![Identity, Cancel],
                ..Rejection::new(ErrorCode::IdMismatch)
            },
        ),
        example(
            "ID_EXPIRED",
            None,
            Rejection {
                counts_toward_limit: Some(false),
                next_actions: vec![ContactSupport],
                ..Rejection::new(ErrorCode::IdExpired)
            },
        ),
        example(
            "OTP_WRONG",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(4),
                next_actions: vec![IdentityConfirm, IdentityCode, Cancel],
                ..Rejection::new(ErrorCode::OtpWrong)
            },
        ),
        example(
            "OTP_WRONG_ACTIVATION",
            Some("Wrong code for a standby card."),
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(4),
                next_actions: vec![ActivateStandby],
                ..Rejection::new(ErrorCode::OtpWrong)
            },
        ),
        example(
            "OTP_EXPIRED",
            None,
            Rejection {
                counts_toward_limit: Some(false),
                attempts_left: Some(4),
                next_actions: vec![IdentityCode],
                ..Rejection::new(ErrorCode::OtpExpired)
            },
        ),
        example(
            "OTP_EXPIRED_ACTIVATION",
            Some("Code for a standby card expired."),
            Rejection {
                counts_toward_limit: Some(false),
                attempts_left: Some(4),
                next_actions: vec![ActivateStandby],
                ..Rejection::new(ErrorCode::OtpExpired)
            },
        ),
        example(
            "OTP_TOO_MANY",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(0),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::OtpTooMany)
            },
        ),
        example(
            "OTP_TOO_MANY_ACTIVATION",
            Some("The fifth wrong code for a standby card."),
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(0),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::OtpTooMany)
            },
        ),
        example(
            "OTP_TOO_MANY_LOCKED",
            Some("An hour after the fifth."),
            Rejection {
                retry_after_s: Some(82_800),
                counts_toward_limit: Some(false),
                attempts_left: Some(0),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::OtpTooMany)
            },
        ),
        example(
            "CONSENT_MISSING",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("consents", ErrorCode::ConsentMissing)],
                ..Rejection::new(ErrorCode::ConsentMissing)
            },
        ),
        example(
            "AGREEMENT_NOT_READ",
            None,
            Rejection {
                retry_after_s: Some(6),
                next_actions: vec![SignAgreement],
                ..Rejection::new(ErrorCode::AgreementNotRead)
            },
        ),
        example(
            "ELEMENTS_MISMATCH",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::ElementsMismatch)
            },
        ),
        example(
            "CARD_DORMANT",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardDormant)
            },
        ),
        example(
            "CARD_BLOCKED",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardBlocked)
            },
        ),
        example(
            "CARD_INVALID",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardInvalid)
            },
        ),
        example(
            "CARD_EXPIRED",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardExpired)
            },
        ),
        example(
            "CARD_RESTRICTED",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::CardRestricted)
            },
        ),
        example(
            "MICRO_DEPOSIT_WRONG",
            None,
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(2),
                next_actions: vec![CardCheckConfirm, Cancel],
                ..Rejection::new(ErrorCode::MicroDepositWrong)
            },
        ),
        example(
            "MICRO_DEPOSIT_WRONG_LAST",
            Some("The third wrong code of a deposit."),
            Rejection {
                counts_toward_limit: Some(true),
                attempts_left: Some(0),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::MicroDepositWrong)
            },
        ),
        example(
            "MICRO_DEPOSIT_EXPIRED",
            None,
            Rejection {
                counts_toward_limit: Some(false),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::MicroDepositExpired)
            },
        ),
        example(
            "MICRO_DEPOSIT_RETURNED",
            None,
            Rejection {
                counts_toward_limit: Some(false),
                next_actions: vec![NewRebind],
                ..Rejection::new(ErrorCode::MicroDepositReturned)
            },
        ),
        example(
            "T0_NOT_ALLOWED",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![
                    field("cycle", ErrorCode::T0NotAllowed),
                    field("daily_limit_fen", ErrorCode::LimitAboveTier),
                ],
                ..Rejection::new(ErrorCode::T0NotAllowed)
            },
        ),
        example(
            "LIMIT_ABOVE_TIER",
            None,
            Rejection {
                next_actions: vec![CorrectFields],
                errors: vec![field("daily_limit_fen", ErrorCode::LimitAboveTier)],
                ..Rejection::new(ErrorCode::LimitAboveTier)
            },
        ),
        example(
            "IDEMPOTENCY_MISMATCH",
            None,
            Rejection::new(ErrorCode::IdempotencyMismatch),
        ),
        example(
            "ACCOUNT_FROZEN",
            None,
            Rejection {
                next_actions: vec![ContactSupport],
                ..Rejection::new(ErrorCode::AccountFrozen)
            },
        ),
        example(
            "AUTH_THROTTLED",
            None,
            Rejection {
                retry_after_s: Some(8),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::AuthThrottled)
            },
        ),
        example(
            "DAILY_REQUEST_LIMIT",
            None,
            Rejection {
                retry_after_s: Some(39_600),
                counts_toward_limit: Some(false),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::DailyRequestLimit)
            },
        ),
        example(
            "OTP_SEND_LIMIT",
            None,
            Rejection {
                retry_after_s: Some(42),
                counts_toward_limit: Some(false),
                next_actions: vec![Wait],
                ..Rejection::new(ErrorCode::OtpSendLimit)
            },
        ),
        example(
            "CARD_CHECK_LIMIT",
            None,
            Rejection {
                retry_after_s: Some(39_600),
                counts_toward_limit: Some(false),
                next_actions: vec![Wait, Cancel],
                ..Rejection::new(ErrorCode::CardCheckLimit)
            },
        ),
        example(
            "INTERNAL",
            None,
            Rejection {
                next_actions: vec![Retry],
                ..Rejection::new(ErrorCode::Internal)
            },
        ),
        example(
            "UPSTREAM_UNKNOWN",
            None,
            Rejection {
                retry_after_s: Some(5),
                counts_toward_limit: Some(false),
                next_actions: vec![CardCheck, Cancel],
                ..Rejection::new(ErrorCode::UpstreamUnknown)
            },
        ),
        example(
            "UPSTREAM_BUSY",
            None,
            Rejection {
                retry_after_s: Some(60),
                counts_toward_limit: Some(false),
                next_actions: vec![CardCheck, Cancel],
                ..Rejection::new(ErrorCode::UpstreamBusy)
            },
        ),
        example(
            "UPSTREAM_BUSY_DEPOSIT",
            Some("The deposit is still under way."),
            Rejection {
                retry_after_s: Some(60),
                counts_toward_limit: Some(false),
                next_actions: vec![CardCheckConfirm, Cancel],
                ..Rejection::new(ErrorCode::UpstreamBusy)
            },
        ),
        example(
            "UPSTREAM_QUOTA",
            None,
            Rejection {
                retry_after_s: Some(50_400),
                counts_toward_limit: Some(false),
                next_actions: vec![Wait, Cancel],
                ..Rejection::new(ErrorCode::UpstreamQuota)
            },
        ),
        example(
            "OTP_CHANNEL_DOWN",
            None,
            Rejection {
                retry_after_s: Some(30),
                counts_toward_limit: Some(false),
                next_actions: vec![IdentityCode, Cancel],
                ..Rejection::new(ErrorCode::OtpChannelDown)
            },
        ),
    ]
}
