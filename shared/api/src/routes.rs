//! Every operation of the API, in one table: method, path, function, callers, and use of the `Idempotency-Key`.
//! Handlers match on it; the log's label, the API description and the tests' lists come from it.
//!
//! A name in braces is a number of the policy, for example `{fresh_login_s}`. The API description replaces it.

use super::event::Request;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Anyone.
    Open,
    /// The holder of a session token.
    Session,
}

/// Whether a valid session is sufficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Any valid session is sufficient.
    Any,
    /// 403 `STEP_UP_REQUIRED` unless the login or the proof of the step is recent (contract, section 4), and unless the
    /// session is the one that requested the OTP. `ConfirmIdentity` checks the session only.
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

            /// Whether a valid session is sufficient.
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

            /// True for a change that administrators can stop: one with an idempotency key, unless it only takes something back.
            #[must_use]
            pub const fn can_be_stopped(self) -> bool {
                !matches!(self.key_rule(), KeyRule::Ignored)
                    && !matches!(self, Self::CancelRebind | Self::DeletePushTarget)
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

            impl Routed for $own {
                fn of(request: &Request) -> Option<(Self, &'static str)> {
                    let route = request.route?;
                    match route {
                        $(Route::$route => Some((Self::$route, route.label())),)+
                        _ => None,
                    }
                }
            }
        )+
    };
}

/// The routes of one function.
pub trait Routed: Sized {
    /// The function's route that a request matches, with its label for the log. `None` for a route of another function.
    fn of(request: &Request) -> Option<(Self, &'static str)>;
}

routes! {
    /// Sessions.
    Login "login" LoginRoute {
        /// Log in
        ///
        /// `device_id` is a random secret that the app generates once and keeps. Failures on a known device are counted
        /// separately from all others, so that an attacker cannot lock a merchant out. An unknown account and a wrong
        /// password get the same answer in the same time.
        ///
        /// {new_devices_per_day} new devices a day become known, and an SMS announces each. The session of a further new
        /// device can only read. A login ends the session of the same device; while all sessions belong to older
        /// devices, it has to wait (429).
        CreateSession = "POST /v1/sessions", Open, Any, Ignored;
        /// Log out
        ///
        /// The token is invalid at once, everywhere. `Idempotency-Key` is ignored.
        DeleteSession = "DELETE /v1/sessions/current", Session, Any, Ignored;
        /// End all other sessions
        ///
        /// Needs a login younger than {fresh_login_s} (else 403). The session of this request stays.
        DeleteSessions = "DELETE /v1/sessions", Session, Fresh, Ignored;
    }

    /// The cards of a merchant. Also the gateway's `$default`.
    Cards "cards" CardsRoute {
        /// Get the cards, and whether they can be changed
        ///
        /// `active` is the card that the pointer references. While a `hold` runs, payouts still go to
        /// `hold.paying_card`. `standby` cards are verified; each can be activated from its `usable_at` on.
        /// `blocked_by` is the first reason, in the order of checks, for which a rebind would be refused now.
        GetCards = "GET /v1/cards", Session, Any, Ignored;
        /// Unbind a card
        ///
        /// Needs a login younger than {fresh_login_s} (else 403). A standby card can be unbound at any time; a replaced
        /// card from {retire_after_effective_s} after `effective_at`, once its last payout is sent
        /// (`PAYOUT_IN_FLIGHT`). The active card and the only card that can be paid to stay bound
        /// (`LAST_CARD_CANNOT_UNBIND`). The card of an open rebind stays too (`STEP_OUT_OF_ORDER`): cancel the rebind
        /// instead.
        UnbindCard = "POST /v1/cards/{card_id}/unbind", Session, Fresh, Optional;
    }

    /// The life of a rebind.
    RebindRequest "rebind-request" RebindRequestRoute {
        /// Start a rebind
        ///
        /// Needs a login younger than {fresh_login_s} (else 403). The holder's name is compared with the merchant's
        /// record and never stored from the request. A merchant has at most one open rebind. At most
        /// {rebinds_per_day} a day count, for all young devices together and for each older one; a rebind that is
        /// cancelled before its identity code was confirmed or a wrong code was entered does not. {creations_per_day} a
        /// day can be started in any case. A rebind
        /// reserves nothing: the bank checks the card later, and only then it is activated.
        ///
        /// With `activate: false` the card becomes a standby card; there are at most {standby_max}
        /// (`STEP_OUT_OF_ORDER`). The cooldown, the quiet period and a freeze refuse it like any other rebind.
        CreateRebind = "POST /v1/rebinds", Session, Fresh, Required;
        /// List all rebinds, newest first
        ListRebinds = "GET /v1/rebinds", Session, Any, Ignored;
        /// Get one rebind
        GetRebind = "GET /v1/rebinds/{id}", Session, Any, Ignored;
        /// Cancel a rebind
        ///
        /// Before activation only. `POST /v1/rebinds` says which cancelled rebinds count toward the daily limits.
        CancelRebind = "POST /v1/rebinds/{id}/cancel", Session, Any, Optional;
    }

    /// The agreement.
    Agreement "agreement" AgreementRoute {
        /// Get the agreement about the new card
        ///
        /// The text names the bank and the last four digits of the new card. `reading_token` proves the time of
        /// reading. It is valid for one accepted signature within {agreement_read_within_s}; a refused signature may be
        /// repeated with it.
        GetAgreement = "GET /v1/rebinds/{id}/agreement", Session, Any, Ignored;
        /// Sign the agreement
        ///
        /// At least `min_read_s` after the agreement was issued. `version` and `sha256` are those of the text that was
        /// shown; the merchant gives each consent separately. Version, hash, language, times, consents, session,
        /// address and user agent are kept as evidence.
        SignAgreement = "POST /v1/rebinds/{id}/agreement", Session, Any, Optional;
    }

    /// The proofs of identity and card, the switch to a standby card, the test transfer.
    Verification "verification" VerificationRoute {
        /// Enter the ID document
        ///
        /// The document is compared with the registered one. If it matches, a code is sent to the phone ON FILE.
        /// Repeated while that code is valid, the request returns the same challenge and sends nothing. The reply never
        /// reveals which part did not match; {id_mismatches_per_rebind} mismatches end the rebind.
        CheckIdentity = "POST /v1/rebinds/{id}/identity", Session, Any, Optional;
        /// Send another code to the phone on file
        ///
        /// The previous code is void. Also allowed in `card_pending`, to refresh a proof that is too old. One phone
        /// gets a code at most every {code_gap_s}, {codes_per_phone_hour} an hour and {codes_per_phone_day} a day.
        ResendIdentityCode = "POST /v1/rebinds/{id}/identity/code", Session, Any, Optional;
        /// Enter the code sent to the phone on file
        ///
        /// Only in the session that requested the code; another device requests its own (403). All codes together have
        /// {code_attempts} attempts; the last wrong one ends the rebind. After {wrong_codes_per_day} wrong codes a day, over
        /// all rebinds, not even a right one is accepted (`OTP_TRY_LIMIT`); the rebind stays open.
        ConfirmIdentity = "POST /v1/rebinds/{id}/identity/confirm", Session, Fresh, Optional;
        /// Have the bank check the new card
        ///
        /// `challenge.method` states what proves the card. `bank_code`: the bank matched name, ID, card and phone, and
        /// a code was sent to the card's RESERVED phone. `micro_deposit`: the bank cannot check this card, so ¥0.01 was
        /// sent to it; the descriptor ends in a code of 6 characters, and the rebind stays open for {deposit_life_s}.
        /// Repeated, the request returns the same challenge.
        ///
        /// A definite refusal ends the rebind (`rejected`, `next_actions: ["new_rebind"]`). Busy, quota and unknown
        /// leave it unchanged and do not count. The bank checks one card at most {bank_calls_per_card_day} times a day,
        /// and all cards of a merchant {bank_calls_per_day} times.
        CheckCard = "POST /v1/rebinds/{id}/card-check", Session, Any, Optional;
        /// Send another code to the reserved phone
        ///
        /// The previous code is void. The limits are those of the phone on file, counted separately. While a deposit is
        /// pending, there is no code to send (`STEP_OUT_OF_ORDER`).
        ResendCardCode = "POST /v1/rebinds/{id}/card-check/code", Session, Any, Optional;
        /// Enter the code that proves the card, and activate it
        ///
        /// Either the code sent to the reserved phone ({code_attempts} attempts), or the code in the deposit's
        /// descriptor ({deposit_attempts} attempts within {deposit_life_s}, in any session; case and spaces are
        /// ignored). The identity must have been confirmed in the last {identity_proof_s}, and the bank's answer must
        /// be at most {bank_proof_s} old; otherwise refresh the proof first (403; no attempt is used). A deposit that
        /// the bank has not confirmed yet is 503 `UPSTREAM_BUSY`, and no attempt is used.
        ///
        /// Activation is one atomic write: the pointer moves, the old card becomes `retiring`, the cooldown starts.
        /// Payouts go to the new card from `effective_at` on: {hold_s} later, {hold_deposit_s} after a deposit. The
        /// rebind of a standby card becomes `completed` instead, and the card can be activated {standby_wait_s} later,
        /// {hold_deposit_s} after a deposit.
        ///
        /// The day's limit of wrong codes is that of the code to the phone on file (`OTP_TRY_LIMIT`). The last wrong
        /// code of a deposit ends the rebind (`rejected`), and so does a deposit that the bank has
        /// returned (`MICRO_DEPOSIT_RETURNED`). After {deposit_life_s} the rebind is `expired`
        /// (`MICRO_DEPOSIT_EXPIRED`).
        ConfirmCard = "POST /v1/rebinds/{id}/card-check/confirm", Session, Fresh, Optional;
        /// Transfer ¥0.01 to the new card
        ///
        /// From activation until {revert_after_effective_s} after `effective_at`. There is one transfer per rebind: a
        /// repeated request returns its status, and asks the bank while the status is `pending`. A transfer that is
        /// returned undoes the change (`reverted`, `ended_reason` `TEST_TXN_FAILED`), even after it had arrived; the
        /// reply is 200 in that case too.
        TestTransaction = "POST /v1/rebinds/{id}/test-transaction", Session, Any, Optional;
        /// Activate a standby card
        ///
        /// Two requests, each with its own `Idempotency-Key`: `{}` sends a code to the phone on file and returns the
        /// rebind that the card came with, with its `challenge`; `{code}` activates the card and returns the rebind.
        /// Both need a login younger than {fresh_login_s}, and `{code}` needs the session that requested the code (else
        /// 403).
        ///
        /// From `usable_at` on, and within {standby_proof_s} of the card's proof (else 403: prove the card again).
        /// There is no hold: payouts created from now on go to the card. The cooldown starts as with any rebind, and
        /// the reasons that refuse a rebind refuse this too. `{}` repeated within `resend_after_s` returns the same
        /// challenge and sends nothing; later it sends another code, and the previous one is void. After
        /// {code_attempts} wrong codes the card stays a standby card, and no code is sent or accepted for it for
        /// {standby_lock_s}. These codes count toward the day's limit of wrong codes too (`OTP_TRY_LIMIT`).
        ActivateCard = "POST /v1/cards/{card_id}/activate", Session, Fresh, Optional;
    }

    /// Settlement settings, payouts, push targets and the history.
    Settlement "settlement" SettlementRoute {
        /// List the payouts that are not sent yet, newest first
        ///
        /// A payout gets its card when it is created, and keeps it. A payout that is `held` is not sent: it has no card
        /// yet, or the account is frozen.
        ListPayouts = "GET /v1/payouts", Session, Any, Ignored;
        /// Get the settlement settings
        GetSettlement = "GET /v1/settlement", Session, Any, Ignored;
        /// Change the settlement settings
        ///
        /// Needs a login younger than {fresh_login_s} (else 403). All settings at once; `fee_rate_bp` may be omitted or
        /// sent unchanged, `pending` is ignored. The settings take effect after {settlement_wait_s} and are shown as `pending`
        /// until then. Another change replaces them and restarts the wait; the settings in force withdraw them at once.
        /// Refused in the quiet period and during a hold. An SMS with a freeze code notifies the merchant.
        PutSettlement = "PUT /v1/settlement", Session, Fresh, Optional;
        /// Register a device for pushes, or replace its token
        ///
        /// The app chooses the id, one for each installation. There are at most {push_targets_max} at once: another is
        /// refused (409) until one is removed. Needs a login younger than {fresh_login_s} (else 403), except for another
        /// token of a registered id in a session of the device that registered it, {push_refreshes_per_day} times in 24 h;
        /// the replaced token is notified for another {push_after_removal_s}. An SMS and a push notify of every other
        /// change. At most {setting_changes_per_day} changes of settings and push targets in 24 h. Each SMS about the
        /// settlement card is also sent as a push, without the freeze code.
        PutPushTarget = "PUT /v1/push-targets/{id}", Session, Fresh, Optional;
        /// Remove a device
        ///
        /// Needs a login younger than {fresh_login_s} (else 403). The device is notified of changes for another
        /// {push_after_removal_s}, so that a thief cannot silence it first.
        DeletePushTarget = "DELETE /v1/push-targets/{id}", Session, Fresh, Optional;
        /// List the events of this merchant, newest first
        ///
        /// Events form a chain without a gap: `sequence` counts from 1, `prev_hash` is the `hash` of the previous event
        /// (64 zeros for the first). `hash` is the SHA-256, in lower-case hex, of the canonical JSON (RFC 8785) of the
        /// object `{"at","data","kind","merchant_id","personal_sha256","policy","prev_hash","seq"}`: keys in alphabetic
        /// order at every level, no white space, UTF-8. `at` is in epoch seconds, `merchant_id` as in the reply to the
        /// login, `policy` is `policy_version`, `seq` is `sequence`.
        ListHistory = "GET /v1/history", Session, Any, Ignored;
        /// Show that the log has anchored this merchant's history
        ///
        /// Every few minutes, new events are anchored in a signed log that cannot be rewritten. The receipt has the end of the
        /// history and the proof of the newest anchored event. Keep it: no later history can contradict it. `proof` and
        /// `checkpoint` are null until the first event is anchored.
        GetReceipt = "GET /v1/history/receipt", Session, Any, Ignored;
    }

    /// The freeze by the previous contact.
    Freezes "freezes" FreezesRoute {
        /// Freeze an account with the code from a notification
        ///
        /// For the receiver of a notification of a change that was not theirs. It needs no login, and `Idempotency-Key`
        /// is ignored. The answer is the same, after the same time, whether or not account and code belong together. A
        /// match freezes the account at once and is confirmed by SMS. A code works once, until
        /// {freeze_after_effective_s} after `effective_at`. Before `effective_at` the change is undone; later, payouts
        /// are held until support decides.
        CreateFreeze = "POST /v1/freezes", Open, Any, Ignored;
        /// Freeze the account from a known device
        ///
        /// Needs no code and no fresh login, but a device that first logged in {freeze_device_age_s} before the rebind
        /// was created (else 403). Possible while the freeze code of this rebind would work, for a standby card too; an
        /// open rebind is cancelled instead (409). The freeze ends all sessions.
        FreezeRebind = "POST /v1/rebinds/{id}/freeze", Session, Any, Ignored;
    }
}

/// Any route, whichever function answers it.
impl Routed for Route {
    fn of(request: &Request) -> Option<(Self, &'static str)> {
        let route = request.route?;
        Some((route, route.label()))
    }
}

impl Route {
    /// The route that the gateway names by this key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let mut routes = Self::ALL.iter().copied();
        routes.find(|route| route.label() == key)
    }

    /// The route that a gateway finds for a request, and the parameter of its path; empty for a path without one. Any text is
    /// a parameter.
    #[must_use]
    pub fn parse<'p>(method: &str, path: &'p str) -> Option<(Self, &'p str)> {
        find(Self::ALL, Self::label, method, path)
    }

    /// The method, in upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        split(self.label()).0
    }

    /// The path template.
    #[must_use]
    pub fn path(self) -> &'static str {
        split(self.label()).1
    }

    /// The path with `id` in the place of its parameter.
    #[must_use]
    pub fn path_to(self, id: &str) -> String {
        path_to(self.path(), id)
    }

    /// The operation's name in the API description, for example `createSession`.
    #[must_use]
    pub fn operation_id(self) -> String {
        let (first, rest) = self.name().split_at(1);
        first.to_ascii_lowercase() + rest
    }
}

/// A path template with `id` in the place of its parameter.
pub(crate) fn path_to(template: &str, id: &str) -> String {
    let segments = template.split('/');
    let segments = segments.map(|segment| if is_parameter(segment) { id } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// The method and the path template of a label.
pub(crate) fn split(label: &'static str) -> (&'static str, &'static str) {
    label.split_once(' ').unwrap_or_default()
}

/// The route whose label fits a request, and the parameter of its path.
pub(crate) fn find<'p, R: Copy>(
    routes: &[R],
    label: impl Fn(R) -> &'static str,
    method: &str,
    path: &'p str,
) -> Option<(R, &'p str)> {
    routes.iter().find_map(|route| {
        let (verb, template) = split(label(*route));
        let parameter = parameter(template, path).filter(|_| verb == method);
        Some((*route, parameter?))
    })
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
            assert_eq!(Route::of_key(route.label()), Some(route));
            assert!(!path.contains('{'), "{path}");
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
