//! What the description states about each operation beside its route: bodies, statuses, links, problem codes.

use crate::routes::Route;

/// A body by its schema and its examples.
pub(super) struct Body {
    pub(super) schema: &'static str,
    pub(super) examples: &'static [&'static str],
}

/// The one success of an operation.
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Option<Body>,
    pub(super) links: &'static [Link],
}

/// Where to go from a reply.
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) to: Route,
    pub(super) parameter: &'static str,
    pub(super) from: &'static str,
}

/// The problems under one status, by their examples. Operations share the named ones.
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
    /// Beside those that follow from the route's place in the table.
    pub(super) problems: &'static [Problems],
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

pub(super) const REQUEST_MALFORMED: Problems = shared(
    "RequestMalformed",
    "Not JSON, an unknown field, a wrong type, a missing header, or a header that is not allowed here.",
    &["REQUEST_MALFORMED"],
);
pub(super) const SESSION_EXPIRED: Problems = shared(
    "SessionExpired",
    "No token, or a dead one.",
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
pub(super) const INTERNAL: Problems = shared(
    "Internal",
    "A fault of this service; `support_ref` finds it.",
    &["INTERNAL"],
);
pub(super) const STEP_UP_REQUIRED: Problems = shared(
    "StepUpRequired",
    "A fresher proof is needed first; `next_actions` says which.",
    &["STEP_UP_REQUIRED"],
);
pub(super) const LOGIN_TOO_OLD: Problems = shared(
    "LoginTooOld",
    "A login younger than 15 minutes, or another fresher proof, is needed first; `next_actions` says which.",
    &["STEP_UP_REQUIRED_LOGIN"],
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
pub(super) const NO_TRIES_LEFT: Problems = shared(
    "NoTriesLeft",
    "All tries are used up, or the key was used with another body.",
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
pub(super) const OTP_CHANNEL_DOWN: Problems = shared(
    "OtpChannelDown",
    "The code could not be sent; nothing was counted.",
    &["OTP_CHANNEL_DOWN"],
);

/// The operation of a route.
pub(super) const fn operation(route: Route) -> Operation {
    match route {
        Route::CreateSession => Operation {
            tag: "sessions",
            request: Some(Body {
                schema: "CreateSession",
                examples: &["CreateSession"],
            }),
            success: Success {
                status: 201,
                description: "Logged in.",
                body: Some(Body {
                    schema: "Session",
                    examples: &["Session"],
                }),
                links: &[],
            },
            problems: &[
                Problems {
                    name: None,
                    description: "The login was refused.",
                    examples: &["AUTH_BAD_CREDENTIALS"],
                },
                VERSION_CONFLICT,
                Problems {
                    name: None,
                    description: "A limit is reached.",
                    examples: &["AUTH_THROTTLED"],
                },
            ],
        },
        Route::DeleteSession => Operation {
            tag: "sessions",
            request: None,
            success: Success {
                status: 204,
                description: "Logged out.",
                body: None,
                links: &[],
            },
            problems: &[VERSION_CONFLICT],
        },
        Route::GetCards => Operation {
            tag: "cards",
            request: None,
            success: Success {
                status: 200,
                description: "The cards.",
                body: Some(Body {
                    schema: "Cards",
                    examples: &[
                        "Cards",
                        "CardsOnHold",
                        "CardsWithRebind",
                        "CardsWithStandby",
                    ],
                }),
                links: &[
                    Link {
                        name: "activate",
                        to: Route::ActivateCard,
                        parameter: "card_id",
                        from: "$response.body#/standby/0/card_id",
                    },
                    Link {
                        name: "unbind",
                        to: Route::UnbindCard,
                        parameter: "card_id",
                        from: "$response.body#/standby/0/card_id",
                    },
                ],
            },
            problems: &[],
        },
        Route::UnbindCard => Operation {
            tag: "cards",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 204,
                description: "Taken off.",
                body: None,
                links: &[],
            },
            problems: &[
                LOGIN_TOO_OLD,
                Problems {
                    name: None,
                    description: "The card has to stay for now.",
                    examples: &[
                        "STEP_OUT_OF_ORDER",
                        "QUIET_PERIOD",
                        "LAST_CARD_CANNOT_UNBIND",
                        "PAYOUT_IN_FLIGHT",
                        "VERSION_CONFLICT",
                    ],
                },
                IDEMPOTENCY_MISMATCH,
            ],
        },
        Route::ActivateCard => Operation {
            tag: "cards",
            request: Some(Body {
                schema: "ActivateCard",
                examples: &["ActivateCard", "ActivateCardConfirm"],
            }),
            success: Success {
                status: 200,
                description: "To `{}`: a code was sent. To `{code}`: `activated`, payouts go to the card.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["StandbyActivating", "StandbyActivated"],
                }),
                links: &[],
            },
            problems: &[
                LOGIN_TOO_OLD,
                Problems {
                    name: None,
                    description: "The card is no standby card, or cannot be activated now.",
                    examples: &[
                        "STEP_OUT_OF_ORDER",
                        "QUIET_PERIOD",
                        "REQUEST_IN_PROGRESS",
                        "REBIND_COOLDOWN",
                        "STANDBY_NOT_READY",
                        "VERSION_CONFLICT",
                    ],
                },
                Problems {
                    name: None,
                    description: "The merchant cannot change cards, or the code was not accepted.",
                    examples: &[
                        "ID_EXPIRED",
                        "ENTITY_NEEDS_SUPPORT",
                        "OTP_WRONG_ACTIVATION",
                        "OTP_EXPIRED_ACTIVATION",
                        "OTP_TOO_MANY_ACTIVATION",
                        "OTP_TOO_MANY_LOCKED",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
                OTP_SEND_LIMIT,
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::CreateRebind => Operation {
            tag: "rebinds",
            request: Some(Body {
                schema: "CreateRebind",
                examples: &["CreateRebind", "CreateStandby"],
            }),
            success: Success {
                status: 201,
                description: "Started: `identity_pending`.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindCreated", "StandbyCreated"],
                }),
                links: &[
                    Link {
                        name: "read",
                        to: Route::GetRebind,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                    Link {
                        name: "identify",
                        to: Route::CheckIdentity,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                    Link {
                        name: "cancel",
                        to: Route::CancelRebind,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                ],
            },
            problems: &[
                LOGIN_TOO_OLD,
                Problems {
                    name: None,
                    description: "The request does not fit the present state.",
                    examples: &[
                        "QUIET_PERIOD",
                        "REQUEST_IN_PROGRESS",
                        "REBIND_COOLDOWN",
                        "CARD_SAME_AS_CURRENT",
                        "CARD_SAME_AS_CURRENT_STANDBY",
                        "STEP_OUT_OF_ORDER_STANDBY",
                        "VERSION_CONFLICT",
                    ],
                },
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "CARD_FORMAT",
                        "CARD_LUHN",
                        "CARD_TYPE_CREDIT",
                        "CARD_TYPE_PREPAID",
                        "HOLDER_NOT_MERCHANT",
                        "PHONE_FORMAT",
                        "ENTITY_NEEDS_SUPPORT",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
                Problems {
                    name: None,
                    description: "A limit is reached.",
                    examples: &["DAILY_REQUEST_LIMIT"],
                },
            ],
        },
        Route::ListRebinds => Operation {
            tag: "rebinds",
            request: None,
            success: Success {
                status: 200,
                description: "One page.",
                body: Some(Body {
                    schema: "RebindList",
                    examples: &["RebindList"],
                }),
                links: &[Link {
                    name: "next",
                    to: Route::ListRebinds,
                    parameter: "cursor",
                    from: "$response.body#/next_cursor",
                }],
            },
            problems: &[],
        },
        Route::GetRebind => Operation {
            tag: "rebinds",
            request: None,
            success: Success {
                status: 200,
                description: "The rebind as it is now.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &[
                        "RebindCreated",
                        "RebindActivated",
                        "StandbyReady",
                        "StandbyActivating",
                        "RebindRejected",
                        "RebindExpired",
                    ],
                }),
                links: &[],
            },
            problems: &[],
        },
        Route::CancelRebind => Operation {
            tag: "rebinds",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 200,
                description: "Given up: `cancelled`.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindCancelled"],
                }),
                links: &[],
            },
            problems: &[STEP_OUT_OF_ORDER, REQUEST_EXPIRED, IDEMPOTENCY_MISMATCH],
        },
        Route::CheckIdentity => Operation {
            tag: "identity",
            request: Some(Body {
                schema: "CheckIdentity",
                examples: &["CheckIdentity", "CheckIdentityLongTerm"],
            }),
            success: Success {
                status: 200,
                description: "The document matches; a code was sent.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindIdentityCode"],
                }),
                links: &[
                    Link {
                        name: "confirm",
                        to: Route::ConfirmIdentity,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                    Link {
                        name: "resend",
                        to: Route::ResendIdentityCode,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                ],
            },
            problems: &[
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "ID_FORMAT",
                        "ID_CHECKSUM",
                        "ID_MISMATCH",
                        "ID_EXPIRED",
                        "OTP_TOO_MANY",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
                OTP_SEND_LIMIT,
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::ResendIdentityCode => Operation {
            tag: "identity",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 200,
                description: "A new code was sent.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindIdentityCode"],
                }),
                links: &[Link {
                    name: "confirm",
                    to: Route::ConfirmIdentity,
                    parameter: "id",
                    from: "$response.body#/rebind_id",
                }],
            },
            problems: &[
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                NO_TRIES_LEFT,
                OTP_SEND_LIMIT,
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::ConfirmIdentity => Operation {
            tag: "identity",
            request: Some(Body {
                schema: "ConfirmCode",
                examples: &["ConfirmCode"],
            }),
            success: Success {
                status: 200,
                description: "Confirmed: `agreement_pending`, or still `card_pending`.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindAgreement"],
                }),
                links: &[Link {
                    name: "read",
                    to: Route::GetAgreement,
                    parameter: "id",
                    from: "$response.body#/rebind_id",
                }],
            },
            problems: &[
                STEP_UP_REQUIRED,
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "OTP_WRONG",
                        "OTP_EXPIRED",
                        "OTP_TOO_MANY",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
            ],
        },
        Route::GetAgreement => Operation {
            tag: "agreement",
            request: None,
            success: Success {
                status: 200,
                description: "The text and the consents.",
                body: Some(Body {
                    schema: "Agreement",
                    examples: &["Agreement"],
                }),
                links: &[Link {
                    name: "sign",
                    to: Route::SignAgreement,
                    parameter: "id",
                    from: "$request.path.id",
                }],
            },
            problems: &[
                Problems {
                    name: None,
                    description: "The request does not fit the present state.",
                    examples: &["STEP_OUT_OF_ORDER"],
                },
                REQUEST_EXPIRED,
            ],
        },
        Route::SignAgreement => Operation {
            tag: "agreement",
            request: Some(Body {
                schema: "SignAgreement",
                examples: &["SignAgreement"],
            }),
            success: Success {
                status: 200,
                description: "Signed: `card_pending`.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindCardPending"],
                }),
                links: &[Link {
                    name: "check",
                    to: Route::CheckCard,
                    parameter: "id",
                    from: "$response.body#/rebind_id",
                }],
            },
            problems: &[
                Problems {
                    name: None,
                    description: "The request does not fit the present state.",
                    examples: &["STEP_OUT_OF_ORDER", "AGREEMENT_STALE", "VERSION_CONFLICT"],
                },
                REQUEST_EXPIRED,
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "CONSENT_MISSING",
                        "AGREEMENT_NOT_READ",
                        "HOLDER_NOT_MERCHANT",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
            ],
        },
        Route::CheckCard => Operation {
            tag: "card check",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 200,
                description: "The card can be confirmed.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindCardCode", "RebindMicroDeposit"],
                }),
                links: &[
                    Link {
                        name: "confirm",
                        to: Route::ConfirmCard,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                    Link {
                        name: "resend",
                        to: Route::ResendCardCode,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                ],
            },
            problems: &[
                STEP_UP_REQUIRED,
                CARD_BOUND_ELSEWHERE,
                REQUEST_EXPIRED,
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "OTP_TOO_MANY",
                        "ELEMENTS_MISMATCH",
                        "CARD_CLASS_II",
                        "CARD_DORMANT",
                        "CARD_BLOCKED",
                        "CARD_INVALID",
                        "CARD_EXPIRED",
                        "CARD_RESTRICTED",
                        "MICRO_DEPOSIT_RETURNED",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
                Problems {
                    name: None,
                    description: "A limit is reached.",
                    examples: &["OTP_SEND_LIMIT", "CARD_CHECK_LIMIT"],
                },
                Problems {
                    name: None,
                    description: "The bank has not answered clearly; nothing was counted.",
                    examples: &["UPSTREAM_UNKNOWN"],
                },
                Problems {
                    name: None,
                    description: "Something that this step needs is not available now; nothing was counted.",
                    examples: &["UPSTREAM_BUSY", "UPSTREAM_QUOTA", "OTP_CHANNEL_DOWN"],
                },
            ],
        },
        Route::ResendCardCode => Operation {
            tag: "card check",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 200,
                description: "A new code was sent.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindCardCode"],
                }),
                links: &[Link {
                    name: "confirm",
                    to: Route::ConfirmCard,
                    parameter: "id",
                    from: "$response.body#/rebind_id",
                }],
            },
            problems: &[
                STEP_UP_REQUIRED,
                STEP_OUT_OF_ORDER,
                REQUEST_EXPIRED,
                NO_TRIES_LEFT,
                OTP_SEND_LIMIT,
                OTP_CHANNEL_DOWN,
            ],
        },
        Route::ConfirmCard => Operation {
            tag: "card check",
            request: Some(Body {
                schema: "ConfirmCard",
                examples: &["ConfirmCard", "ConfirmDeposit"],
            }),
            success: Success {
                status: 200,
                description: "`activated`, or for a standby card `completed`.",
                body: Some(Body {
                    schema: "Rebind",
                    examples: &["RebindActivated", "StandbyReady"],
                }),
                links: &[
                    Link {
                        name: "test",
                        to: Route::TestTransaction,
                        parameter: "id",
                        from: "$response.body#/rebind_id",
                    },
                    Link {
                        name: "activate",
                        to: Route::ActivateCard,
                        parameter: "card_id",
                        from: "$response.body#/new_card/card_id",
                    },
                ],
            },
            problems: &[
                STEP_UP_REQUIRED,
                CARD_BOUND_ELSEWHERE,
                REQUEST_EXPIRED,
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &[
                        "OTP_WRONG",
                        "OTP_EXPIRED",
                        "OTP_TOO_MANY",
                        "MICRO_DEPOSIT_WRONG",
                        "MICRO_DEPOSIT_WRONG_LAST",
                        "MICRO_DEPOSIT_EXPIRED",
                        "MICRO_DEPOSIT_RETURNED",
                        "IDEMPOTENCY_MISMATCH",
                    ],
                },
                Problems {
                    name: None,
                    description: "The bank has not confirmed the deposit yet; no try was used.",
                    examples: &["UPSTREAM_BUSY_DEPOSIT"],
                },
            ],
        },
        Route::TestTransaction => Operation {
            tag: "test transfer",
            request: Some(Body {
                schema: "Empty",
                examples: &["Empty"],
            }),
            success: Success {
                status: 200,
                description: "What is known of the transfer.",
                body: Some(Body {
                    schema: "TestTransaction",
                    examples: &["TestSucceeded", "TestFailed"],
                }),
                links: &[],
            },
            problems: &[STEP_OUT_OF_ORDER, REQUEST_EXPIRED, IDEMPOTENCY_MISMATCH],
        },
        Route::ListPayouts => Operation {
            tag: "payouts",
            request: None,
            success: Success {
                status: 200,
                description: "One page.",
                body: Some(Body {
                    schema: "PayoutList",
                    examples: &["PayoutList"],
                }),
                links: &[Link {
                    name: "next",
                    to: Route::ListPayouts,
                    parameter: "cursor",
                    from: "$response.body#/next_cursor",
                }],
            },
            problems: &[],
        },
        Route::GetSettlement => Operation {
            tag: "settlement",
            request: None,
            success: Success {
                status: 200,
                description: "The settings.",
                body: Some(Body {
                    schema: "Settlement",
                    examples: &["Settlement"],
                }),
                links: &[],
            },
            problems: &[],
        },
        Route::PutSettlement => Operation {
            tag: "settlement",
            request: Some(Body {
                schema: "PutSettlement",
                examples: &["PutSettlement", "PutSettlementWithFee"],
            }),
            success: Success {
                status: 200,
                description: "The settings as they are now.",
                body: Some(Body {
                    schema: "Settlement",
                    examples: &["Settlement"],
                }),
                links: &[],
            },
            problems: &[
                Problems {
                    name: None,
                    description: "Malformed, or a setting has no value that it can have. `errors` names all bad fields at once.",
                    examples: &["REQUEST_MALFORMED", "REQUEST_MALFORMED_SETTLEMENT"],
                },
                LOGIN_TOO_OLD,
                Problems {
                    name: None,
                    description: "The request does not fit the present state.",
                    examples: &["QUIET_PERIOD", "VERSION_CONFLICT"],
                },
                Problems {
                    name: None,
                    description: "A value is not acceptable. `errors` names all bad fields at once.",
                    examples: &["T0_NOT_ALLOWED", "LIMIT_ABOVE_TIER", "IDEMPOTENCY_MISMATCH"],
                },
                DAILY_REQUEST_LIMIT,
            ],
        },
        Route::PutPushTarget => Operation {
            tag: "push targets",
            request: Some(Body {
                schema: "PutPushTarget",
                examples: &["PutPushTarget"],
            }),
            success: Success {
                status: 204,
                description: "Registered.",
                body: None,
                links: &[Link {
                    name: "remove",
                    to: Route::DeletePushTarget,
                    parameter: "id",
                    from: "$request.path.id",
                }],
            },
            problems: &[
                LOGIN_TOO_OLD,
                Problems {
                    name: None,
                    description: "There are 5 push targets already, or a concurrent change came first.",
                    examples: &["STEP_OUT_OF_ORDER_PUSH_TARGETS", "VERSION_CONFLICT"],
                },
                IDEMPOTENCY_MISMATCH,
                DAILY_REQUEST_LIMIT,
            ],
        },
        Route::DeletePushTarget => Operation {
            tag: "push targets",
            request: None,
            success: Success {
                status: 204,
                description: "Removed.",
                body: None,
                links: &[],
            },
            problems: &[LOGIN_TOO_OLD, VERSION_CONFLICT, IDEMPOTENCY_MISMATCH],
        },
        Route::ListHistory => Operation {
            tag: "history",
            request: None,
            success: Success {
                status: 200,
                description: "One page.",
                body: Some(Body {
                    schema: "EventList",
                    examples: &["EventList"],
                }),
                links: &[Link {
                    name: "next",
                    to: Route::ListHistory,
                    parameter: "cursor",
                    from: "$response.body#/next_cursor",
                }],
            },
            problems: &[],
        },
        Route::CreateFreeze => Operation {
            tag: "freezes",
            request: Some(Body {
                schema: "CreateFreeze",
                examples: &["CreateFreeze"],
            }),
            success: Success {
                status: 202,
                description: "Received. It does not say whether anything was frozen.",
                body: Some(Body {
                    schema: "Freeze",
                    examples: &["Freeze"],
                }),
                links: &[],
            },
            problems: &[],
        },
    }
}
