//! The closed list of error codes (contract, section 5).
//!
//! A code is only a name. Its HTTP status and its texts are in the API's problem catalogue, so that the domain does not
//! depend on HTTP.

use super::vocabulary::vocabulary;

vocabulary! {
    /// Why a request was refused, or why a rebind ended.
    ///
    /// On the wire a code is its `SCREAMING_SNAKE_CASE` name, for example `REQUEST_MALFORMED`. The codes are in the
    /// contract's order.
    pub enum ErrorCode {
        /// The body is not JSON, has an unknown field or a wrong type, or a required header is missing.
        RequestMalformed = "REQUEST_MALFORMED",
        /// The account is unknown or the password is wrong. The reply does not reveal which.
        AuthBadCredentials = "AUTH_BAD_CREDENTIALS",
        /// The token is missing, or its session has ended.
        SessionExpired = "SESSION_EXPIRED",
        /// This step requires a more recent login or proof.
        StepUpRequired = "STEP_UP_REQUIRED",
        /// The device of this session has logged in too recently for this change.
        DeviceTooNew = "DEVICE_TOO_NEW",
        /// The path or the object does not exist, or the object belongs to another merchant.
        NotFound = "NOT_FOUND",
        /// The state of the rebind does not allow this step.
        StepOutOfOrder = "STEP_OUT_OF_ORDER",
        /// Another rebind of this merchant is open.
        RequestInProgress = "REQUEST_IN_PROGRESS",
        /// The last card change is too recent.
        RebindCooldown = "REBIND_COOLDOWN",
        /// The contact, the password or the name changed recently.
        QuietPeriod = "QUIET_PERIOD",
        /// The hold of an activation is running.
        HoldRunning = "HOLD_RUNNING",
        /// The new card is already in use.
        CardSameAsCurrent = "CARD_SAME_AS_CURRENT",
        /// The card is already verified for another person.
        CardBoundElsewhere = "CARD_BOUND_ELSEWHERE",
        /// The signed agreement is not the current one.
        AgreementStale = "AGREEMENT_STALE",
        /// A concurrent write won. The same request may be sent again.
        VersionConflict = "VERSION_CONFLICT",
        /// The waiting period of the standby card is not over.
        StandbyNotReady = "STANDBY_NOT_READY",
        /// The active card and the only usable card cannot be unbound.
        LastCardCannotUnbind = "LAST_CARD_CANNOT_UNBIND",
        /// The card may still receive a payout.
        PayoutInFlight = "PAYOUT_IN_FLIGHT",
        /// The rebind has expired.
        RequestExpired = "REQUEST_EXPIRED",
        /// The body is above 16 KiB.
        BodyTooLarge = "BODY_TOO_LARGE",
        /// Not 15 to 19 digits.
        CardFormat = "CARD_FORMAT",
        /// The check digit of the card number is wrong.
        CardLuhn = "CARD_LUHN",
        /// A credit card cannot be a settlement card.
        CardTypeCredit = "CARD_TYPE_CREDIT",
        /// A prepaid card cannot be a settlement card.
        CardTypePrepaid = "CARD_TYPE_PREPAID",
        /// Neither the prefix table nor the bank knows that the card is a debit card.
        CardTypeUnknown = "CARD_TYPE_UNKNOWN",
        /// A class II account cannot be a settlement card.
        CardClassIi = "CARD_CLASS_II",
        /// The name differs from the registered name.
        HolderNotMerchant = "HOLDER_NOT_MERCHANT",
        /// Not a mainland mobile number.
        PhoneFormat = "PHONE_FORMAT",
        /// Companies change their card through support.
        EntityNeedsSupport = "ENTITY_NEEDS_SUPPORT",
        /// The document number or its expiry date is malformed.
        IdFormat = "ID_FORMAT",
        /// The check character of the ID number is wrong.
        IdChecksum = "ID_CHECKSUM",
        /// The document differs from the registered document.
        IdMismatch = "ID_MISMATCH",
        /// The registered document has expired.
        IdExpired = "ID_EXPIRED",
        /// The code differs from the code that was sent.
        OtpWrong = "OTP_WRONG",
        /// The code has expired, or a newer code was sent while it was compared.
        OtpExpired = "OTP_EXPIRED",
        /// The text cannot be a freeze code.
        FreezeCodeFormat = "FREEZE_CODE_FORMAT",
        /// The last attempt failed: the rebind has ended, or the switch to the standby card is locked temporarily.
        OtpTooMany = "OTP_TOO_MANY",
        /// A required consent is missing.
        ConsentMissing = "CONSENT_MISSING",
        /// The agreement was signed before the minimum reading time was over.
        AgreementNotRead = "AGREEMENT_NOT_READ",
        /// The bank does not confirm that name, ID, card and phone belong together.
        ElementsMismatch = "ELEMENTS_MISMATCH",
        /// The card is not initialised, or dormant.
        CardDormant = "CARD_DORMANT",
        /// The card was reported lost or is permanently blocked.
        CardBlocked = "CARD_BLOCKED",
        /// The bank does not know the card.
        CardInvalid = "CARD_INVALID",
        /// The card has expired.
        CardExpired = "CARD_EXPIRED",
        /// The bank has restricted the card.
        CardRestricted = "CARD_RESTRICTED",
        /// The code differs from the code in the deposit's descriptor.
        MicroDepositWrong = "MICRO_DEPOSIT_WRONG",
        /// The deposit's code has expired.
        MicroDepositExpired = "MICRO_DEPOSIT_EXPIRED",
        /// The deposit was returned.
        MicroDepositReturned = "MICRO_DEPOSIT_RETURNED",
        /// The merchant's account is too new for T+0.
        T0NotAllowed = "T0_NOT_ALLOWED",
        /// The daily limit exceeds the maximum of the merchant's tier.
        LimitAboveTier = "LIMIT_ABOVE_TIER",
        /// The idempotency key was used with a different body.
        IdempotencyMismatch = "IDEMPOTENCY_MISMATCH",
        /// The account is frozen: only reads are allowed.
        AccountFrozen = "ACCOUNT_FROZEN",
        /// Too many failed logins.
        AuthThrottled = "AUTH_THROTTLED",
        /// Too many rebinds or setting changes in the last 24 h.
        DailyRequestLimit = "DAILY_REQUEST_LIMIT",
        /// Too many codes were sent to this phone.
        OtpSendLimit = "OTP_SEND_LIMIT",
        /// Too many wrong codes in the last 24 h. Not even a right code is accepted for now; the rebind stays open.
        OtpTryLimit = "OTP_TRY_LIMIT",
        /// Too many bank checks of this card or for this merchant.
        CardCheckLimit = "CARD_CHECK_LIMIT",
        /// An internal error.
        Internal = "INTERNAL",
        /// The bank's answer is still unknown.
        UpstreamUnknown = "UPSTREAM_UNKNOWN",
        /// The bank is busy.
        UpstreamBusy = "UPSTREAM_BUSY",
        /// The bank's daily quota is used up.
        UpstreamQuota = "UPSTREAM_QUOTA",
        /// The SMS service did not accept the message.
        OtpChannelDown = "OTP_CHANNEL_DOWN",
        /// The acquirer has stopped all changes for now.
        ChangesStopped = "CHANGES_STOPPED",
        /// The card number was released for this payout too often in the last 24 h. To the core system only.
        ReleaseLimit = "RELEASE_LIMIT",
        /// No configured encryption key of the core system is usable. To the core system only.
        CoreKeyInvalid = "CORE_KEY_INVALID",
        /// The caller is not an operator of this system. To operators only.
        OperatorUnknown = "OPERATOR_UNKNOWN",
        /// The person who made the proposal cannot approve it. To operators only.
        SecondPersonRequired = "SECOND_PERSON_REQUIRED",
        /// The proposal is too old, or its subject has changed. To operators only.
        ProposalStale = "PROPOSAL_STALE",
        /// The record has another version than `If-Match` states. To operators only.
        RecordChanged = "RECORD_CHANGED",
        /// The request did not pass the front door, which stands before the app's API. To everybody else.
        FrontDoorRequired = "FRONT_DOOR_REQUIRED",
        /// The test transfer was returned. Only an `ended_reason`, never the code of a reply.
        TestTxnFailed = "TEST_TXN_FAILED",
    }
}

impl ErrorCode {
    /// True if a reply to a merchant's app can have this code. The others are for the core system or for operators, for
    /// requests that go around the front door, or are only an `ended_reason`.
    #[must_use]
    pub const fn is_reply(self) -> bool {
        !matches!(
            self,
            Self::ReleaseLimit
                | Self::CoreKeyInvalid
                | Self::OperatorUnknown
                | Self::SecondPersonRequired
                | Self::ProposalStale
                | Self::RecordChanged
                | Self::FrontDoorRequired
                | Self::TestTxnFailed
        )
    }

    /// The codes that `ended_reason` of a rebind can have.
    pub const ENDED_REASONS: &'static [ErrorCode] = &[
        // The caller did not prove to be the merchant.
        ErrorCode::IdMismatch,
        ErrorCode::OtpTooMany,
        // The bank refused the card, or the card belongs to another person.
        ErrorCode::ElementsMismatch,
        ErrorCode::CardTypeCredit,
        ErrorCode::CardTypePrepaid,
        ErrorCode::CardTypeUnknown,
        ErrorCode::CardClassIi,
        ErrorCode::CardDormant,
        ErrorCode::CardBlocked,
        ErrorCode::CardInvalid,
        ErrorCode::CardExpired,
        ErrorCode::CardRestricted,
        ErrorCode::CardBoundElsewhere,
        // The deposit did not verify the card.
        ErrorCode::MicroDepositWrong,
        ErrorCode::MicroDepositExpired,
        ErrorCode::MicroDepositReturned,
        // Part of the vocabulary only: `state` names these ends.
        ErrorCode::RequestExpired,
        ErrorCode::AccountFrozen,
        ErrorCode::QuietPeriod,
        // The test transfer was returned.
        ErrorCode::TestTxnFailed,
    ];
}
