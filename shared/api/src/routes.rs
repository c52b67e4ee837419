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
        CreateSession = "POST /v1/sessions", Open, Any, Ignored;
        /// Log out
        DeleteSession = "DELETE /v1/sessions/current", Session, Any, Ignored;
    }

    /// The cards of a merchant. Also the gateway's `$default`.
    Cards "cards" CardsRoute {
        /// The cards, and whether they can be changed
        GetCards = "GET /v1/cards", Session, Any, Ignored;
        /// Take a card off the account
        UnbindCard = "POST /v1/cards/{card_id}/unbind", Session, Fresh, Optional;
    }

    /// The life of a rebind.
    RebindRequest "rebind-request" RebindRequestRoute {
        /// Start a rebind
        CreateRebind = "POST /v1/rebinds", Session, Fresh, Required;
        /// All rebinds, newest first
        ListRebinds = "GET /v1/rebinds", Session, Any, Ignored;
        /// One rebind
        GetRebind = "GET /v1/rebinds/{id}", Session, Any, Ignored;
        /// Give a rebind up
        CancelRebind = "POST /v1/rebinds/{id}/cancel", Session, Any, Optional;
    }

    /// The agreement.
    Agreement "agreement" AgreementRoute {
        /// Show the agreement
        GetAgreement = "GET /v1/rebinds/{id}/agreement", Session, Any, Ignored;
        /// Sign the agreement
        SignAgreement = "POST /v1/rebinds/{id}/agreement", Session, Any, Optional;
    }

    /// The proofs of identity and card, the switch to a standby card, the test transfer.
    Verification "verification" VerificationRoute {
        /// Enter the ID document
        CheckIdentity = "POST /v1/rebinds/{id}/identity", Session, Any, Optional;
        /// Send another code to the phone on file
        ResendIdentityCode = "POST /v1/rebinds/{id}/identity/code", Session, Any, Optional;
        /// Enter the code sent to the phone on file
        ConfirmIdentity = "POST /v1/rebinds/{id}/identity/confirm", Session, Fresh, Optional;
        /// Have the bank check the card
        CheckCard = "POST /v1/rebinds/{id}/card-check", Session, Fresh, Optional;
        /// Send another code to the reserved phone
        ResendCardCode = "POST /v1/rebinds/{id}/card-check/code", Session, Fresh, Optional;
        /// Enter the code that proves the card
        ConfirmCard = "POST /v1/rebinds/{id}/card-check/confirm", Session, Fresh, Optional;
        /// Transfer ¥0.01 to the new card
        TestTransaction = "POST /v1/rebinds/{id}/test-transaction", Session, Any, Optional;
        /// Switch to a standby card
        ActivateCard = "POST /v1/cards/{card_id}/activate", Session, Fresh, Optional;
    }

    /// Settlement settings, payouts, push targets and the history.
    Settlement "settlement" SettlementRoute {
        /// What is still to be paid out
        ListPayouts = "GET /v1/payouts", Session, Any, Ignored;
        /// When and how much is paid out
        GetSettlement = "GET /v1/settlement", Session, Any, Ignored;
        /// Change when and how much is paid out
        PutSettlement = "PUT /v1/settlement", Session, Fresh, Optional;
        /// Register a device for pushes
        PutPushTarget = "PUT /v1/push-targets/{id}", Session, Fresh, Optional;
        /// Remove a device
        DeletePushTarget = "DELETE /v1/push-targets/{id}", Session, Fresh, Optional;
        /// What has happened, newest first
        ListHistory = "GET /v1/history", Session, Any, Ignored;
    }

    /// The freeze by the previous contact.
    Freezes "freezes" FreezesRoute {
        /// Stop a change with the freeze code
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
