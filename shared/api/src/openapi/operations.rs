//! The description of each operation beyond its route: bodies, statuses, links, problem codes.

use crate::routes::Route;

/// A body by its schema and its examples.
pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) examples: &'static [&'static str],
}

/// The success response of an operation.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Option<Body>,
    pub(super) links: Vec<Link>,
}

/// A link from a reply to a next operation.
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) to: Route,
    pub(super) parameter: &'static str,
    pub(super) from: &'static str,
}

/// The problems of one status, by their examples. Operations share the named constants.
#[derive(Clone, Copy)]
pub(super) struct Problems {
    pub(super) name: Option<&'static str>,
    pub(super) description: &'static str,
    pub(super) examples: &'static [&'static str],
}

/// An operation.
pub(super) struct Operation {
    pub(super) tag: &'static str,
    pub(super) request: Option<Body>,
    pub(super) success: Success,
    /// The problems beyond those that follow from the route.
    pub(super) problems: Vec<Problems>,
}

const fn body(schema: &'static str, examples: &'static [&'static str]) -> Option<Body> {
    Some(Body { schema, examples })
}

fn success(
    status: u16,
    description: &'static str,
    body: Option<Body>,
    links: Vec<Link>,
) -> Success {
    Success {
        status,
        description,
        body,
        links,
    }
}

const fn link(name: &'static str, to: Route, parameter: &'static str, from: &'static str) -> Link {
    Link {
        name,
        to,
        parameter,
        from,
    }
}

const fn shared(
    name: &'static str,
    description: &'static str,
    examples: &'static [&'static str],
) -> Problems {
    Problems {
        name: Some(name),
        description,
        examples,
    }
}

const fn own(description: &'static str, examples: &'static [&'static str]) -> Problems {
    Problems {
        name: None,
        description,
        examples,
    }
}

pub(super) const REQUEST_MALFORMED: Problems = shared(
    "RequestMalformed",
    "Not JSON, an unknown field, a wrong type, a missing header, or a header that is not allowed here.",
    &["REQUEST_MALFORMED"],
);
pub(super) const SESSION_EXPIRED: Problems = shared(
    "SessionExpired",
    "The token is missing or invalid.",
    &["SESSION_EXPIRED"],
);
pub(super) const NOT_FOUND: Problems = shared(
    "NotFound",
    "No such object of this merchant.",
    &["NOT_FOUND"],
);
pub(super) const REQUEST_EXPIRED: Problems = shared(
    "RequestExpired",
    "The rebind is past `expires_at`.",
    &["REQUEST_EXPIRED"],
);
pub(super) const BODY_TOO_LARGE: Problems = shared(
    "BodyTooLarge",
    "The body is above 16 KiB.",
    &["BODY_TOO_LARGE"],
);
pub(super) const ACCOUNT_FROZEN: Problems = shared(
    "AccountFrozen",
    "The account is frozen; only reads work.",
    &["ACCOUNT_FROZEN"],
);
pub(super) const CHANGES_STOPPED: Problems = shared(
    "ChangesStopped",
    "All changes are stopped for now.",
    &["CHANGES_STOPPED"],
);
pub(super) const INTERNAL: Problems = shared(
    "Internal",
    "A fault of this service; `support_ref` finds it.",
    &["INTERNAL"],
);
pub(super) const STEP_UP_REQUIRED: Problems = shared(
    "StepUpRequired",
    "A proof is too old, the code was requested in another session, or the device is too new; follow `next_actions`.",
    &["STEP_UP_REQUIRED", "DEVICE_TOO_NEW"],
);
pub(super) const DEVICE_TOO_NEW: Problems = shared(
    "DeviceTooNew",
    "The session's device is beyond the day's new devices.",
    &["DEVICE_TOO_NEW"],
);
pub(super) const LOGIN_TOO_OLD: Problems = shared(
    "LoginTooOld",
    "The login is not younger than {fresh_login_s}, a proof is too old, the code was requested in another session, or the device is too new; follow `next_actions`.",
    &["STEP_UP_REQUIRED_LOGIN", "DEVICE_TOO_NEW"],
);
pub(super) const CARD_BOUND_ELSEWHERE: Problems = shared(
    "CardBoundElsewhere",
    "The step does not fit the state of the rebind, or the card is verified for another person.",
    &[
        "REBIND_COOLDOWN",
        "STEP_OUT_OF_ORDER",
        "CARD_BOUND_ELSEWHERE",
        "VERSION_CONFLICT",
    ],
);
pub(super) const STEP_OUT_OF_ORDER: Problems = shared(
    "StepOutOfOrder",
    "The step does not fit the state of the rebind.",
    &["STEP_OUT_OF_ORDER", "VERSION_CONFLICT"],
);
pub(super) const VERSION_CONFLICT: Problems = shared(
    "VersionConflict",
    "A concurrent change came first.",
    &["VERSION_CONFLICT"],
);
pub(super) const IDEMPOTENCY_MISMATCH: Problems = shared(
    "IdempotencyMismatch",
    "The key was used with another body.",
    &["IDEMPOTENCY_MISMATCH"],
);
pub(super) const NO_ATTEMPTS_LEFT: Problems = shared(
    "NoAttemptsLeft",
    "All attempts are used up, or the key was used with another body.",
    &["OTP_TOO_MANY", "IDEMPOTENCY_MISMATCH"],
);
pub(super) const DAILY_REQUEST_LIMIT: Problems = shared(
    "DailyRequestLimit",
    "A limit of the last 24 h is reached.",
    &["DAILY_REQUEST_LIMIT"],
);
pub(super) const OTP_SEND_LIMIT: Problems = shared(
    "OtpSendLimit",
    "Too many codes for this phone, or too soon after the last one.",
    &["OTP_SEND_LIMIT"],
);
pub(super) const OTP_TRY_LIMIT: Problems = shared(
    "OtpTryLimit",
    "Too many wrong codes in the last 24 h; no code was compared.",
    &["OTP_TRY_LIMIT"],
);
pub(super) const OTP_CHANNEL_DOWN: Problems = shared(
    "OtpChannelDown",
    "The code could not be sent; nothing was counted.",
    &[
        "OTP_CHANNEL_DOWN",
        "OTP_CHANNEL_DOWN_PHONE",
        "CHANGES_STOPPED",
    ],
);

const ID: &str = "$response.body#/rebind_id";
const NEXT: &str = "$response.body#/next_cursor";

/// The operation of a route.
#[rustfmt::skip] // a table: one row, one operation
pub(super) fn operation(route: Route) -> Operation {
    match route {
        Route::CreateSession => Operation {
            tag: "sessions",
            request: body("CreateSession", &["CreateSession"]),
            success: success(201, "Logged in.", body("Session", &["Session"]), vec![]),
            problems: vec![
                own("The login was refused.", &["AUTH_BAD_CREDENTIALS"]),
                VERSION_CONFLICT,
                own("A limit is reached.", &["AUTH_THROTTLED"]),
            ],
        },
        Route::DeleteSession => Operation {
            tag: "sessions",
            request: None,
            success: success(204, "Logged out.", None, vec![]),
            problems: vec![VERSION_CONFLICT],
        },
        Route::DeleteSessions => Operation {
            tag: "sessions",
            request: None,
            success: success(204, "All other sessions are ended.", None, vec![]),
            problems: vec![ACCOUNT_FROZEN, LOGIN_TOO_OLD, VERSION_CONFLICT],
        },
        Route::FreezeRebind => Operation {
            tag: "freezes",
            request: body("Empty", &["Empty"]),
            success: success(200, "Frozen.", body("Rebind", &["RebindActivated"]), vec![]),
            problems: vec![ACCOUNT_FROZEN, DEVICE_TOO_NEW, REQUEST_EXPIRED, STEP_OUT_OF_ORDER],
        },
        Route::GetCards => Operation {
            tag: "cards",
            request: None,
            success: success(200, "The cards.",
                body("Cards", &["Cards", "CardsOnHold", "CardsWithRebind", "CardsWithStandby"]), vec![
                    link("activate", Route::ActivateCard, "card_id", "$response.body#/standby/0/card_id"),
                    link("unbind", Route::UnbindCard, "card_id", "$response.body#/standby/0/card_id"),
                ]),
            problems: vec![],
        },
        Route::UnbindCard => Operation {
            tag: "cards",
            request: body("Empty", &["Empty"]),
            success: success(204, "Unbound.", None, vec![]),
            problems: vec![
                LOGIN_TOO_OLD,
                own("The card cannot be unbound now.", &[
                    "STEP_OUT_OF_ORDER", "QUIET_PERIOD", "LAST_CARD_CANNOT_UNBIND", "PAYOUT_IN_FLIGHT", "VERSION_CONFLICT",
                ]),
                IDEMPOTENCY_MISMATCH,
            ],
        },
        Route::ActivateCard => Operation {
            tag: "cards",
            request: body("ActivateCard", &["ActivateCard", "ActivateCardConfirm"]),
            success: success(200, "To `{}`: a code was sent, see `challenge`. To `{code}`: `activated`, payouts go to the card.",
                body("Rebind", &["StandbyActivating", "StandbyActivated"]), vec![]),
            problems: vec![
                LOGIN_TOO_OLD,
                own("The card is not a standby card, or cannot be activated now.", &[
                    "STEP_OUT_OF_ORDER", "QUIET_PERIOD", "REQUEST_IN_PROGRESS", "REBIND_COOLDOWN", "STANDBY_NOT_READY",
                    "VERSION_CONFLICT",
                ]),
                own("The merchant cannot change cards, or the code was not accepted.", &[
                    "ID_EXPIRED", "ENTITY_NEEDS_SUPPORT", "OTP_WRONG_ACTIVATION", "OTP_EXPIRED_ACTIVATION",
                    "OTP_TOO_MANY_ACTIVATION", "OTP_TOO_MANY_LOCKED", "IDEMPOTENCY_MISMATCH",
                ]),
                own("Too many codes were sent, or too many wrong ones were tried.", &["OTP_SEND_LIMIT", "OTP_TRY_LIMIT"]),
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::CreateRebind => Operation {
            tag: "rebinds",
            request: body("CreateRebind", &["CreateRebind", "CreateStandby"]),
            success: success(201, "Started: `identity_pending`.", body("Rebind", &["RebindCreated", "StandbyCreated"]), vec![
                    link("read", Route::GetRebind, "id", ID), link("identify", Route::CheckIdentity, "id", ID),
                    link("cancel", Route::CancelRebind, "id", ID),
                ]),
            problems: vec![
                LOGIN_TOO_OLD,
                own("The request does not fit the current state.", &[
                    "QUIET_PERIOD", "REQUEST_IN_PROGRESS", "REBIND_COOLDOWN", "CARD_SAME_AS_CURRENT",
                    "CARD_SAME_AS_CURRENT_STANDBY", "STEP_OUT_OF_ORDER_STANDBY", "VERSION_CONFLICT",
                ]),
                own("A value is not acceptable. `errors` names all invalid fields at once.", &[
                    "CARD_FORMAT", "CARD_LUHN", "CARD_TYPE_CREDIT", "CARD_TYPE_PREPAID", "HOLDER_NOT_MERCHANT",
                    "PHONE_FORMAT", "ENTITY_NEEDS_SUPPORT", "ID_EXPIRED", "IDEMPOTENCY_MISMATCH",
                ]),
                own("A limit is reached.", &["DAILY_REQUEST_LIMIT"]),
            ],
        },
        Route::ListRebinds => Operation {
            tag: "rebinds",
            request: None,
            success: success(200, "One page.",
                body("RebindList", &["RebindList"]), vec![link("next", Route::ListRebinds, "cursor", NEXT)]),
            problems: vec![],
        },
        Route::GetRebind => Operation {
            tag: "rebinds",
            request: None,
            success: success(200, "The rebind as it is now.", body("Rebind", &[
                    "RebindCreated", "RebindActivated", "StandbyReady", "StandbyActivating", "RebindRejected",
                    "RebindExpired",
                ]), vec![]),
            problems: vec![],
        },
        Route::CancelRebind => Operation {
            tag: "rebinds",
            request: body("Empty", &["Empty"]),
            success: success(200, "Cancelled.", body("Rebind", &["RebindCancelled"]), vec![]),
            problems: vec![STEP_OUT_OF_ORDER, REQUEST_EXPIRED, IDEMPOTENCY_MISMATCH],
        },
        Route::CheckIdentity => Operation {
            tag: "identity",
            request: body("CheckIdentity", &["CheckIdentity", "CheckIdentityLongTerm"]),
            success: success(200, "The document matches; a code was sent.", body("Rebind", &["RebindIdentityCode"]), vec![
                    link("confirm", Route::ConfirmIdentity, "id", ID), link("resend", Route::ResendIdentityCode, "id", ID),
                ]),
            problems: vec![
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                own("A value is not acceptable. `errors` names all invalid fields at once.", &["ID_FORMAT", "ID_CHECKSUM", "ID_MISMATCH", "ID_EXPIRED", "OTP_TOO_MANY", "IDEMPOTENCY_MISMATCH"]),
                OTP_SEND_LIMIT,
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::ResendIdentityCode => Operation {
            tag: "identity",
            request: body("Empty", &["Empty"]),
            success: success(200, "A new code was sent.",
                body("Rebind", &["RebindIdentityCode"]), vec![link("confirm", Route::ConfirmIdentity, "id", ID)]),
            problems: vec![STEP_OUT_OF_ORDER, REQUEST_EXPIRED, NO_ATTEMPTS_LEFT, OTP_SEND_LIMIT, OTP_CHANNEL_DOWN],
        },
        Route::ConfirmIdentity => Operation {
            tag: "identity",
            request: body("ConfirmCode", &["ConfirmCode"]),
            success: success(200, "Confirmed: `agreement_pending`, or still `card_pending`.",
                body("Rebind", &["RebindAgreement"]), vec![link("read", Route::GetAgreement, "id", ID)]),
            problems: vec![
                STEP_UP_REQUIRED,
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                own("A value is not acceptable. `errors` names all invalid fields at once.", &["OTP_WRONG", "OTP_EXPIRED", "OTP_TOO_MANY", "IDEMPOTENCY_MISMATCH"]),
                OTP_TRY_LIMIT,
            ],
        },
        Route::GetAgreement => Operation {
            tag: "agreement",
            request: None,
            success: success(200, "The text and the consents.",
                body("Agreement", &["Agreement"]), vec![link("sign", Route::SignAgreement, "id", "$request.path.id")]),
            problems: vec![own("The request does not fit the current state.", &["STEP_OUT_OF_ORDER"]), REQUEST_EXPIRED],
        },
        Route::SignAgreement => Operation {
            tag: "agreement",
            request: body("SignAgreement", &["SignAgreement"]),
            success: success(200, "Signed: `card_pending`.",
                body("Rebind", &["RebindCardPending"]), vec![link("check", Route::CheckCard, "id", ID)]),
            problems: vec![
                own("The request does not fit the current state.", &["STEP_OUT_OF_ORDER", "AGREEMENT_STALE", "VERSION_CONFLICT"]),
                REQUEST_EXPIRED,
                own("A value is not acceptable. `errors` names all invalid fields at once.", &["CONSENT_MISSING", "AGREEMENT_NOT_READ", "HOLDER_NOT_MERCHANT", "IDEMPOTENCY_MISMATCH"]),
            ],
        },
        Route::CheckCard => Operation {
            tag: "card check",
            request: body("Empty", &["Empty"]),
            success: success(200, "The card can be confirmed.",
                body("Rebind", &["RebindCardCode", "RebindMicroDeposit"]), vec![link("confirm", Route::ConfirmCard, "id", ID), link("resend", Route::ResendCardCode, "id", ID)]),
            problems: vec![
                CARD_BOUND_ELSEWHERE,
                REQUEST_EXPIRED,
                own("A value is not acceptable. `errors` names all invalid fields at once.", &[
                    "OTP_TOO_MANY", "ELEMENTS_MISMATCH", "CARD_TYPE_CREDIT_BANK", "CARD_TYPE_PREPAID_BANK", "CARD_TYPE_UNKNOWN", "CARD_CLASS_II", "CARD_DORMANT", "CARD_BLOCKED", "CARD_INVALID",
                    "CARD_EXPIRED", "CARD_RESTRICTED", "MICRO_DEPOSIT_RETURNED", "IDEMPOTENCY_MISMATCH",
                ]),
                own("A limit is reached.", &["OTP_SEND_LIMIT", "CARD_CHECK_LIMIT"]),
                own("The bank has not answered clearly; nothing was counted.", &["UPSTREAM_UNKNOWN"]),
                own("The bank or the SMS service is not available now; nothing was counted.", &["UPSTREAM_BUSY", "UPSTREAM_QUOTA", "OTP_CHANNEL_DOWN", "CHANGES_STOPPED"]),
            ],
        },
        Route::ResendCardCode => Operation {
            tag: "card check",
            request: body("Empty", &["Empty"]),
            success: success(200, "A new code was sent.",
                body("Rebind", &["RebindCardCode"]), vec![link("confirm", Route::ConfirmCard, "id", ID)]),
            problems: vec![STEP_OUT_OF_ORDER, REQUEST_EXPIRED, NO_ATTEMPTS_LEFT, OTP_SEND_LIMIT, OTP_CHANNEL_DOWN],
        },
        Route::ConfirmCard => Operation {
            tag: "card check",
            request: body("ConfirmCard", &["ConfirmCard", "ConfirmDeposit"]),
            success: success(200, "`activated`, or for a standby card `completed`.",
                body("Rebind", &["RebindActivated", "StandbyReady"]), vec![
                    link("test", Route::TestTransaction, "id", ID),
                    link("activate", Route::ActivateCard, "card_id", "$response.body#/new_card/card_id"),
                ]),
            problems: vec![
                STEP_UP_REQUIRED,
                CARD_BOUND_ELSEWHERE,
                REQUEST_EXPIRED,
                own("A value is not acceptable. `errors` names all invalid fields at once.", &[
                    "OTP_WRONG", "OTP_EXPIRED", "OTP_TOO_MANY", "MICRO_DEPOSIT_WRONG", "MICRO_DEPOSIT_WRONG_LAST",
                    "MICRO_DEPOSIT_EXPIRED", "MICRO_DEPOSIT_RETURNED", "IDEMPOTENCY_MISMATCH",
                ]),
                OTP_TRY_LIMIT,
                own("The bank has not confirmed the deposit yet, or all changes are stopped; no attempt was used.", &["UPSTREAM_BUSY_DEPOSIT", "CHANGES_STOPPED"]),
            ],
        },
        Route::TestTransaction => Operation {
            tag: "test transfer",
            request: body("Empty", &["Empty"]),
            success: success(200, "The status of the transfer.",
                body("TestTransaction", &["TestSucceeded", "TestFailed"]), vec![]),
            problems: vec![STEP_OUT_OF_ORDER, REQUEST_EXPIRED, IDEMPOTENCY_MISMATCH],
        },
        Route::ListPayouts => Operation {
            tag: "payouts",
            request: None,
            success: success(200, "One page.",
                body("PayoutList", &["PayoutList"]), vec![link("next", Route::ListPayouts, "cursor", NEXT)]),
            problems: vec![],
        },
        Route::GetSettlement => Operation {
            tag: "settlement",
            request: None,
            success: success(200, "The settings.", body("Settlement", &["Settlement"]), vec![]),
            problems: vec![],
        },
        Route::PutSettlement => Operation {
            tag: "settlement",
            request: body("PutSettlement", &["PutSettlement", "PutSettlementWithFee"]),
            success: success(200, "The settings in force, and the ones that take effect later.", body("Settlement", &["SettlementPending"]), vec![]),
            problems: vec![
                own("Malformed, or a setting has an invalid value. `errors` names all invalid fields at once.", &["REQUEST_MALFORMED", "REQUEST_MALFORMED_SETTLEMENT"]),
                LOGIN_TOO_OLD,
                own("The request does not fit the current state.", &["QUIET_PERIOD", "HOLD_RUNNING", "VERSION_CONFLICT"]),
                own("A value is not acceptable. `errors` names all invalid fields at once.", &["T0_NOT_ALLOWED", "LIMIT_ABOVE_TIER", "IDEMPOTENCY_MISMATCH"]),
                DAILY_REQUEST_LIMIT,
            ],
        },
        Route::PutPushTarget => Operation {
            tag: "push targets",
            request: body("PutPushTarget", &["PutPushTarget"]),
            success: success(204, "Registered.", None, vec![link("remove", Route::DeletePushTarget, "id", "$request.path.id")]),
            problems: vec![
                LOGIN_TOO_OLD,
                own("There are {push_targets_max} push targets already, or a concurrent change came first.", &["STEP_OUT_OF_ORDER_PUSH_TARGETS", "VERSION_CONFLICT"]),
                IDEMPOTENCY_MISMATCH,
                DAILY_REQUEST_LIMIT,
            ],
        },
        Route::DeletePushTarget => Operation {
            tag: "push targets",
            request: None,
            success: success(204, "Removed.", None, vec![]),
            problems: vec![LOGIN_TOO_OLD, VERSION_CONFLICT, IDEMPOTENCY_MISMATCH],
        },
        Route::ListHistory => Operation {
            tag: "history",
            request: None,
            success: success(200, "One page.",
                body("EventList", &["EventList"]), vec![link("next", Route::ListHistory, "cursor", NEXT)]),
            problems: vec![],
        },
        Route::GetReceipt => Operation {
            tag: "history",
            request: None,
            success: success(200, "The receipt.", body("HistoryReceipt", &["HistoryReceipt", "HistoryReceiptNone"]), vec![]),
            problems: vec![],
        },
        Route::CreateFreeze => Operation {
            tag: "freezes",
            request: body("CreateFreeze", &["CreateFreeze"]),
            success: success(202, "Received. The reply does not reveal whether anything was frozen.", body("Freeze", &["Freeze"]), vec![]),
            problems: vec![own("The text cannot be a freeze code. Nothing is counted.", &["FREEZE_CODE_FORMAT"])],
        },
    }
}
