//! The closed list of codes that a caller can meet (contract, section 5).
//!
//! A code is a name and nothing else: its HTTP status and its texts belong to the edge
//! (`api::problems`), so that the core stays free of HTTP.

use super::vocabulary::vocabulary;

vocabulary! {
    /// Why a request was refused, or why a rebind ended.
    ///
    /// On the wire a code is its `SCREAMING_SNAKE_CASE` name, for example `REQUEST_MALFORMED`. The order is that of the
    /// contract.
    pub enum ErrorCode {
        // 400
        /// Not JSON, an unknown field, a wrong type, or a required header is missing.
        RequestMalformed = "REQUEST_MALFORMED",
        // 401
        /// Unknown account or wrong password; the two cannot be told apart.
        AuthBadCredentials = "AUTH_BAD_CREDENTIALS",
        /// No token, or one that is no longer alive.
        SessionExpired = "SESSION_EXPIRED",
        // 403
        /// The login or a proof is too old for this step.
        StepUpRequired = "STEP_UP_REQUIRED",
        // 404
        /// No such path or object, or one of another merchant.
        NotFound = "NOT_FOUND",
        // 409
        /// The step does not fit the state of the rebind.
        StepOutOfOrder = "STEP_OUT_OF_ORDER",
        /// Another rebind of this merchant, or the same request, is still open.
        RequestInProgress = "REQUEST_IN_PROGRESS",
        /// The last change of card is too recent.
        RebindCooldown = "REBIND_COOLDOWN",
        /// Contact, password or name was changed a short while ago.
        QuietPeriod = "QUIET_PERIOD",
        /// The new card is the one in use already.
        CardSameAsCurrent = "CARD_SAME_AS_CURRENT",
        /// The card is verified for another person.
        CardBoundElsewhere = "CARD_BOUND_ELSEWHERE",
        /// The agreement that was signed is not the one that is in force.
        AgreementStale = "AGREEMENT_STALE",
        /// A concurrent write came first; the same request may be sent again.
        VersionConflict = "VERSION_CONFLICT",
        /// The standby card has not waited long enough.
        StandbyNotReady = "STANDBY_NOT_READY",
        /// The active card, or the only one that could be paid to, cannot be unbound.
        LastCardCannotUnbind = "LAST_CARD_CANNOT_UNBIND",
        /// The card may still receive a payout.
        PayoutInFlight = "PAYOUT_IN_FLIGHT",
        // 410
        /// The rebind is past its time.
        RequestExpired = "REQUEST_EXPIRED",
        // 413
        /// The body is above 16 KiB.
        BodyTooLarge = "BODY_TOO_LARGE",
        // 422
        /// Not 15 to 19 digits.
        CardFormat = "CARD_FORMAT",
        /// The check digit of the card number is wrong.
        CardLuhn = "CARD_LUHN",
        /// A credit card cannot be a settlement card.
        CardTypeCredit = "CARD_TYPE_CREDIT",
        /// A prepaid card cannot be a settlement card.
        CardTypePrepaid = "CARD_TYPE_PREPAID",
        /// A class II account cannot be a settlement card.
        CardClassIi = "CARD_CLASS_II",
        /// The name is not the registered one.
        HolderNotMerchant = "HOLDER_NOT_MERCHANT",
        /// Not a mainland mobile number.
        PhoneFormat = "PHONE_FORMAT",
        /// Companies change their card with support.
        EntityNeedsSupport = "ENTITY_NEEDS_SUPPORT",
        /// The document number or date does not have the right form.
        IdFormat = "ID_FORMAT",
        /// The check character of the ID number is wrong.
        IdChecksum = "ID_CHECKSUM",
        /// The document is not the registered one.
        IdMismatch = "ID_MISMATCH",
        /// The registered document is past its date.
        IdExpired = "ID_EXPIRED",
        /// The code is not the one that was sent.
        OtpWrong = "OTP_WRONG",
        /// The code is older than its five minutes, or a newer one was sent while it was being compared.
        OtpExpired = "OTP_EXPIRED",
        /// The last try was wrong: the rebind has ended, or the switch to a standby card is locked for a day.
        OtpTooMany = "OTP_TOO_MANY",
        /// A required consent was not given.
        ConsentMissing = "CONSENT_MISSING",
        /// Signed before the reading time was over.
        AgreementNotRead = "AGREEMENT_NOT_READ",
        /// The bank does not confirm name, ID, card and phone together.
        ElementsMismatch = "ELEMENTS_MISMATCH",
        /// The card is not yet in use, or dormant.
        CardDormant = "CARD_DORMANT",
        /// The card was reported lost or is blocked for good.
        CardBlocked = "CARD_BLOCKED",
        /// The bank does not know the card.
        CardInvalid = "CARD_INVALID",
        /// The card is past its date.
        CardExpired = "CARD_EXPIRED",
        /// The bank restricts the use of the card.
        CardRestricted = "CARD_RESTRICTED",
        /// The code is not the one in the deposit's descriptor.
        MicroDepositWrong = "MICRO_DEPOSIT_WRONG",
        /// The deposit is older than its seven days.
        MicroDepositExpired = "MICRO_DEPOSIT_EXPIRED",
        /// The bank sent the deposit back.
        MicroDepositReturned = "MICRO_DEPOSIT_RETURNED",
        /// T+0 is not open to a merchant this young.
        T0NotAllowed = "T0_NOT_ALLOWED",
        /// The daily limit is above the merchant's tier.
        LimitAboveTier = "LIMIT_ABOVE_TIER",
        /// The idempotency key was used with another body.
        IdempotencyMismatch = "IDEMPOTENCY_MISMATCH",
        // 423
        /// The account is frozen; only reads work.
        AccountFrozen = "ACCOUNT_FROZEN",
        // 429
        /// Too many failed logins; wait.
        AuthThrottled = "AUTH_THROTTLED",
        /// Too many rebinds in the last 24 h.
        DailyRequestLimit = "DAILY_REQUEST_LIMIT",
        /// Too many codes sent to this phone.
        OtpSendLimit = "OTP_SEND_LIMIT",
        /// Too many bank checks for this card or merchant.
        CardCheckLimit = "CARD_CHECK_LIMIT",
        // 500
        /// A fault of ours.
        Internal = "INTERNAL",
        // 502
        /// The bank's answer is not known yet.
        UpstreamUnknown = "UPSTREAM_UNKNOWN",
        // 503
        /// The bank is busy.
        UpstreamBusy = "UPSTREAM_BUSY",
        /// The bank checks this card no more today.
        UpstreamQuota = "UPSTREAM_QUOTA",
        /// The SMS could not be handed over.
        OtpChannelDown = "OTP_CHANNEL_DOWN",
        // only as `ended_reason`
        /// The test transfer came back; never the code of a reply.
        TestTxnFailed = "TEST_TXN_FAILED",
    }
}

impl ErrorCode {
    /// The codes that can stand in a rebind's `ended_reason`.
    pub const ENDED_REASONS: &'static [ErrorCode] = &[
        // the merchant did not prove to be the merchant
        ErrorCode::IdMismatch,
        ErrorCode::OtpTooMany,
        // the bank refused the card, or the card is another person's
        ErrorCode::ElementsMismatch,
        ErrorCode::CardClassIi,
        ErrorCode::CardDormant,
        ErrorCode::CardBlocked,
        ErrorCode::CardInvalid,
        ErrorCode::CardExpired,
        ErrorCode::CardRestricted,
        ErrorCode::CardBoundElsewhere,
        // the deposit did not prove the card
        ErrorCode::MicroDepositWrong,
        ErrorCode::MicroDepositExpired,
        ErrorCode::MicroDepositReturned,
        // nobody's refusal: time, a freeze, a security change, a transfer that came back
        ErrorCode::RequestExpired,
        ErrorCode::AccountFrozen,
        ErrorCode::QuietPeriod,
        ErrorCode::TestTxnFailed,
    ];
}
