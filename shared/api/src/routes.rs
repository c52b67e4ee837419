//! Every operation of the API, in one table: method and path, the function behind it, who may call it, and what it does with
//! an `Idempotency-Key`. Handlers match on it; the log's label, the API description and the tests' lists come from it.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Anyone.
    Open,
    /// The holder of a session token.
    Session,
}

/// How recent the proof of identity must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Any valid session will do.
    Any,
    /// A login younger than 15 minutes, or a proof as fresh (contract, section 4).
    Fresh,
}

/// What a route does with the header `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// The request is refused without a key.
    Required,
    /// A key is honoured.
    Optional,
    /// A key is not read.
    Ignored,
}

/// Declares the table once: the routes of each function, as an enum of its own and as part of [`Route`].
macro_rules! routes {
    ($(
        $(#[$function_doc:meta])*
        $function:ident $folder:literal $own:ident {
            $($(#[doc = $doc:literal])+ $route:ident = $label:literal, $authentication:ident, $freshness:ident, $key:ident;)+
        }
    )+) => {
        /// A Lambda function with routes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Function {
            $($(#[$function_doc])* $function,)+
        }

        impl Function {
            /// Every function with routes.
            pub const ALL: &'static [Self] = &[$(Self::$function,)+];

            /// The function's folder below `functions/`.
            #[must_use]
            pub const fn folder(self) -> &'static str {
                match self {
                    $(Self::$function => $folder,)+
                }
            }
        }

        /// An operation of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Route {
            $($($(#[doc = $doc])+ $route,)+)+
        }

        impl Route {
            /// Every route.
            pub const ALL: &'static [Self] = &[$($(Self::$route,)+)+];

            /// Method and path template, as the gateway spells a route. What the log shows: nothing typed into a path is logged.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $($(Self::$route => $label,)+)+
                }
            }

            /// The function that answers.
            #[must_use]
            pub const fn function(self) -> Function {
                match self {
                    $($(Self::$route)|+ => Function::$function,)+
                }
            }

            /// Who may call it.
            #[must_use]
            pub const fn authentication(self) -> Authentication {
                match self {
                    $($(Self::$route => Authentication::$authentication,)+)+
                }
            }

            /// How recent the proof of identity must be.
            #[must_use]
            pub const fn freshness(self) -> Freshness {
                match self {
                    $($(Self::$route => Freshness::$freshness,)+)+
                }
            }

            /// What it does with an `Idempotency-Key`.
            #[must_use]
            pub const fn key_rule(self) -> KeyRule {
                match self {
                    $($(Self::$route => KeyRule::$key,)+)+
                }
            }

            /// The variant's name.
            const fn name(self) -> &'static str {
                match self {
                    $($(Self::$route => stringify!($route),)+)+
                }
            }

            /// The lines of the variant's documentation: the summary, then the description.
            #[cfg(feature = "schema")]
            pub(crate) const fn doc(self) -> &'static [&'static str] {
                match self {
                    $($(Self::$route => &[$($doc,)+],)+)+
                }
            }
        }

        $(
            #[doc = concat!("The routes of `functions/", $folder, "`. Its handler matches on them without a wildcard.")]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $own {
                $($(#[doc = $doc])+ $route,)+
            }

            impl TryFrom<Route> for $own {
                type Error = ForeignRoute;

                fn try_from(route: Route) -> Result<Self, ForeignRoute> {
                    match route {
                        $(Route::$route => Ok(Self::$route),)+
                        #[allow(unreachable_patterns)]
                        _ => Err(ForeignRoute),
                    }
                }
            }
        )+
    };
}

/// The route belongs to another function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignRoute;

routes! {
    /// Sessions.
    Login "login" LoginRoute {
        /// Log in
        ///
        /// `device_id` is a secret that the app makes from a random source once and keeps: failures on a known device
        /// are counted apart from those of everybody else, so that nobody can lock a merchant out. An unknown account
        /// and a wrong password get the same answer in the same time.
        CreateSession = "POST /v1/sessions", Open, Any, Ignored;
        /// Log out
        ///
        /// The token is dead at once, everywhere. `Idempotency-Key` is ignored.
        DeleteSession = "DELETE /v1/sessions/current", Session, Any, Ignored;
    }

    /// The cards of a merchant. Also the gateway's `$default`.
    Cards "cards" CardsRoute {
        /// The cards, and whether they can be changed
        ///
        /// `active` is the card that the pointer is on. While a `hold` runs, payouts still go to `hold.paying_card`.
        /// `standby` cards are verified and can be switched to from their `usable_at` on. `blocked_by` is the first of
        /// the reasons for which a rebind would be refused now.
        GetCards = "GET /v1/cards", Session, Any, Ignored;
        /// Take a card off the account
        ///
        /// Needs a login younger than 15 minutes (else 403). A standby card at any time. A replaced card not before 7
        /// days after `effective_at`, and not before its last payout was sent (`PAYOUT_IN_FLIGHT`). Never the active
        /// card nor the only one that payouts can go to (`LAST_CARD_CANNOT_UNBIND`), nor the card of an open rebind
        /// (`STEP_OUT_OF_ORDER`): that is cancelled instead.
        UnbindCard = "POST /v1/cards/{card_id}/unbind", Session, Fresh, Optional;
    }

    /// The life of a rebind.
    RebindRequest "rebind-request" RebindRequestRoute {
        /// Start a rebind
        ///
        /// Needs a login younger than 15 minutes (else 403). The holder's name is compared with the merchant's record,
        /// never taken over. A merchant has at most one open rebind, and 5 a day. Nothing is reserved by it: the card
        /// is checked by the bank later, and is activated only then.
        ///
        /// With `activate: false` the card becomes a standby card, of which there are at most 2 (`STEP_OUT_OF_ORDER`).
        /// It is refused in the cooldown, the quiet period and a freeze like any other rebind.
        CreateRebind = "POST /v1/rebinds", Session, Fresh, Required;
        /// All rebinds, newest first
        ListRebinds = "GET /v1/rebinds", Session, Any, Ignored;
        /// One rebind
        GetRebind = "GET /v1/rebinds/{id}", Session, Any, Ignored;
        /// Give a rebind up
        ///
        /// Before activation only. One that is cancelled before the identity code was confirmed does not count toward
        /// the day.
        CancelRebind = "POST /v1/rebinds/{id}/cancel", Session, Any, Optional;
    }

    /// The agreement.
    Agreement "agreement" AgreementRoute {
        /// The agreement about this very card
        ///
        /// The text names the bank and the last four digits of the new card. `reading_token` proves when it was read:
        /// it is good for one accepted signature within 30 minutes; a refused signature may be repeated with it.
        GetAgreement = "GET /v1/rebinds/{id}/agreement", Session, Any, Ignored;
        /// Sign the agreement
        ///
        /// At least `min_read_s` after it was issued. `version` and `sha256` are those of the text that was shown; each
        /// consent is to be given separately. Version, hash, language, times, consents, session, address and user agent
        /// are kept as evidence.
        SignAgreement = "POST /v1/rebinds/{id}/agreement", Session, Any, Optional;
    }

    /// The proofs of identity and card, the switch to a standby card, the test transfer.
    Verification "verification" VerificationRoute {
        /// Enter the ID document
        ///
        /// Compared with the registered document. When it matches, a code goes to the phone ON FILE. Repeated while
        /// that code lives, the same challenge is returned and nothing is sent. Which part did not match is never told;
        /// 5 mismatches end the rebind.
        CheckIdentity = "POST /v1/rebinds/{id}/identity", Session, Any, Optional;
        /// Send another code to the phone on file
        ///
        /// The old code is dead. In `card_pending` too, to refresh a proof that has grown too old. 60 s apart, 5 an
        /// hour and 10 a day for one phone.
        ResendIdentityCode = "POST /v1/rebinds/{id}/identity/code", Session, Any, Optional;
        /// Enter the code sent to the phone on file
        ///
        /// Only in the session that asked for the code; on another device a new one is asked for (403). 5 tries, added
        /// up over all codes; the 5th wrong one ends the rebind.
        ConfirmIdentity = "POST /v1/rebinds/{id}/identity/confirm", Session, Fresh, Optional;
        /// Have the bank check the new card
        ///
        /// `challenge.method` says what proves the card. `bank_code`: the bank matched name, ID, card and phone, and a
        /// code went to the card's RESERVED phone. `micro_deposit`: the bank cannot check this card, so ¥0.01 was sent
        /// to it whose descriptor ends in a code of 6 characters, and the rebind lives 7 days from then. Repeated, the
        /// same challenge is returned.
        ///
        /// A definite refusal ends the rebind (`rejected`, `next_actions: ["new_rebind"]`). Busy, quota and unknown
        /// leave it where it is and count for nothing. A card is checked at most 3 times a day, a merchant's cards
        /// together 5 times.
        CheckCard = "POST /v1/rebinds/{id}/card-check", Session, Fresh, Optional;
        /// Send another code to the reserved phone
        ///
        /// The old code is dead. The same limits as for the phone on file, counted apart. While a deposit is waited
        /// for, there is no code to send (`STEP_OUT_OF_ORDER`).
        ResendCardCode = "POST /v1/rebinds/{id}/card-check/code", Session, Fresh, Optional;
        /// Enter the code, and activate
        ///
        /// The code sent to the reserved phone (5 tries), or the one in the deposit's descriptor (3 tries within 7
        /// days, in any session; case and spaces don't matter). The identity must have been confirmed in the last 15
        /// minutes and the bank's answer be younger than 30, or the proof is refreshed first (403; no try is used). A
        /// deposit that the bank has not confirmed yet is 503 `UPSTREAM_BUSY`, and no try is used.
        ///
        /// Activation is one atomic write: the pointer moves, the old card becomes `retiring`, the cooldown starts.
        /// Payouts go to the new card from `effective_at` on: 24 hours later, 72 after a deposit. The rebind of a
        /// standby card becomes `completed` instead, and the card can be activated as much later.
        ///
        /// The 3rd wrong code of a deposit ends the rebind (`rejected`), and so does one that the bank has returned
        /// (`MICRO_DEPOSIT_RETURNED`); one older than 7 days leaves it `expired` (`MICRO_DEPOSIT_EXPIRED`).
        ConfirmCard = "POST /v1/rebinds/{id}/card-check/confirm", Session, Fresh, Optional;
        /// Have ¥0.01 transferred to the new card
        ///
        /// From activation until 7 days after `effective_at`. One transfer per rebind: repeated, this returns its
        /// status, and asks the bank while that is `pending`. One that comes back undoes the change (`reverted`,
        /// `ended_reason` `TEST_TXN_FAILED`), even after it had arrived; the reply is 200 all the same.
        TestTransaction = "POST /v1/rebinds/{id}/test-transaction", Session, Any, Optional;
        /// Switch to a standby card
        ///
        /// Two requests, each with its own `Idempotency-Key`: `{}` has a code sent to the phone on file and returns
        /// `{challenge}`; `{code}` activates and returns the rebind that the card came with. Both need a login younger
        /// than 15 minutes, and the code the session that asked for it (else 403).
        ///
        /// From `usable_at` on, and within 90 days of the card's proof (else 403: it has to be proven anew). There is
        /// no hold: payouts created from now on go to the card. The cooldown starts as with any rebind; what would
        /// refuse a rebind refuses this too. `{}` repeated within `resend_after_s` returns the same challenge and sends
        /// nothing; later it sends another code, and the one before is dead. After 5 wrong codes the card stays
        /// standby, and no code is sent or taken for it for 24 hours.
        ActivateCard = "POST /v1/cards/{card_id}/activate", Session, Fresh, Optional;
    }

    /// Settlement settings, payouts, push targets and the history.
    Settlement "settlement" SettlementRoute {
        /// Payouts that are not sent yet, newest first
        ///
        /// A payout gets its card when it is created and is never moved. One that is `held` is not sent: it has no card
        /// yet, or the account is frozen.
        ListPayouts = "GET /v1/payouts", Session, Any, Ignored;
        /// How takings are paid out
        GetSettlement = "GET /v1/settlement", Session, Any, Ignored;
        /// Change how takings are paid out
        ///
        /// Needs a login younger than 15 minutes (else 403). All settings at once; `fee_rate_bp` may be left out or
        /// sent back unchanged. Not in the quiet period. The merchant is told by SMS.
        PutSettlement = "PUT /v1/settlement", Session, Fresh, Optional;
        /// Register a device for push notices, or replace its token
        ///
        /// The app chooses the id, one for each installation. At most 5 at once: a sixth is refused (409) until one is
        /// removed. Another token for an id that is registered replaces it, which needs a login younger than 15 minutes
        /// (else 403); the replaced one is told for 7 more days. At most 10 changes of settings and push targets in 24
        /// h. Each SMS about the settlement card also goes out as a push, without the freeze code.
        PutPushTarget = "PUT /v1/push-targets/{id}", Session, Fresh, Optional;
        /// Remove a device
        ///
        /// Needs a login younger than 15 minutes (else 403). For 7 more days it is still told of changes, so that a
        /// thief cannot silence it first.
        DeletePushTarget = "DELETE /v1/push-targets/{id}", Session, Fresh, Optional;
        /// What has happened to this merchant, newest first
        ///
        /// Events form a chain without a gap: `sequence` counts from 1, `prev_hash` is the `hash` of the event before
        /// (64 zeros for the first). `hash` is the SHA-256, in lower-case hex, of the UTF-8 bytes of the JSON object
        /// `{"at","data","kind","merchant_id","personal_sha256","policy","prev_hash","seq"}`: keys in alphabetic order
        /// at every level, no white space, nothing escaped but `"`, `\` and control characters; `at` in epoch seconds,
        /// `merchant_id` as in the reply to the login, `policy` is `policy_version`, `seq` is `sequence`.
        ListHistory = "GET /v1/history", Session, Any, Ignored;
    }

    /// The freeze by the previous contact.
    Freezes "freezes" FreezesRoute {
        /// Freeze an account with the code from a notice
        ///
        /// For whoever got the notice of a change that was not theirs; needs no login, and `Idempotency-Key` is
        /// ignored. The answer is the same, after the same time, whether or not account and code belong together; a
        /// match freezes at once and is confirmed by SMS. A code works once, until 7 days after `effective_at`. Before
        /// `effective_at` the change is undone; later, payouts are held until support decides.
        CreateFreeze = "POST /v1/freezes", Open, Any, Ignored;
    }
}

impl Route {
    /// The route of a request, and the parameter of its path; empty for a path without one. Any text is a parameter.
    #[must_use]
    pub fn parse<'p>(method: &str, path: &'p str) -> Option<(Self, &'p str)> {
        let routes = Self::ALL.iter().filter(|route| route.method() == method);
        routes
            .filter_map(|route| Some((*route, parameter(route.path(), path)?)))
            .next()
    }

    /// The method, in upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        self.split().0
    }

    /// The path template.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.split().1
    }

    fn split(self) -> (&'static str, &'static str) {
        self.label().split_once(' ').unwrap_or_default()
    }

    /// The path with `id` in the place of its parameter.
    #[must_use]
    pub fn path_to(self, id: &str) -> String {
        let segments = self.path().split('/');
        let segments = segments.map(|segment| if is_parameter(segment) { id } else { segment });
        segments.collect::<Vec<_>>().join("/")
    }

    /// The operation's name in the API description, for example `createSession`.
    #[must_use]
    pub fn operation_id(self) -> String {
        let (first, rest) = self.name().split_at(1);
        first.to_ascii_lowercase() + rest
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// The parameter of a path that fits the template. No template has two.
fn parameter<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let mut found = "";
    let mut given = path.split('/');
    for segment in template.split('/') {
        match given.next()? {
            text if is_parameter(segment) => found = text,
            text if text == segment => {}
            _ => return None,
        }
    }
    given.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_route_parses_its_own_path() {
        for &route in Route::ALL {
            let has_parameter = route.path().contains('{');
            let id = if has_parameter { "x_1" } else { "" };
            let path = route.path_to("x_1");
            assert_eq!(Route::parse(route.method(), &path), Some((route, id)));
            assert_eq!(path.contains('{'), false);
            assert!(route.path().matches('{').count() <= 1, "{route:?}");
        }
    }

    #[test]
    fn another_method_or_path_is_no_route() {
        for (method, path) in [
            ("GET", "/v1/sessions"),
            ("get", "/v1/cards"),
            ("", "/v1/cards"),
            ("GET", "/v1/cards/"),
            ("GET", "//v1/cards"),
            ("GET", "v1/cards"),
            ("GET", "/v1/rebinds/a/b"),
            ("GET", ""),
        ] {
            assert_eq!(Route::parse(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn a_strange_id_is_still_an_id() {
        for id in ["", "%2F", "a b", "{id}", "current"] {
            let path = format!("/v1/rebinds/{id}");
            assert_eq!(Route::parse("GET", &path), Some((Route::GetRebind, id)));
        }
    }

    #[test]
    fn names_and_paths_are_unique() {
        let labels: HashSet<_> = Route::ALL.iter().map(|route| route.label()).collect();
        let ids: HashSet<_> = Route::ALL
            .iter()
            .map(|route| route.operation_id())
            .collect();
        assert_eq!(
            (labels.len(), ids.len()),
            (Route::ALL.len(), Route::ALL.len())
        );
    }
}
