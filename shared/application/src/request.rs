//! A request of the app: its headers, its session, its idempotency key.

use crate::crypto::{HashPurpose, Keys};
use crate::error::HandlerError;
use crate::ports::{CommitTransition, IdempotencyKey, KeyService, LoadMerchant, Selector};
use crate::transact::Transactor;
use api::event::Request;
use api::replies;
use api::reply::Reply;
use api::routes::{Function, KeyRule, Route};
use api::token;
use domain::error_code::ErrorCode;
use domain::ids::{CardId, RebindId};
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::time::Timestamp;

/// Maximum length of an idempotency key.
const KEY_MAX_CHARS: usize = 255;

impl<'a, S: LoadMerchant + CommitTransition> Transactor<'a, S> {
    /// For a request of the app. Reads the headers: idempotency key, then token. A key is bound to the canonical form of
    /// the body. Replies show the rebind; [`Transactor::showing`] selects another reply.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` for a missing or malformed key, `SESSION_EXPIRED` for a malformed token.
    pub async fn begin<K: KeyService>(
        store: &'a S,
        keys: &Keys<K>,
        request: &Request,
        now: Timestamp,
        canonical_body: &str,
    ) -> Result<Self, HandlerError> {
        let key = match request.route.map_or(KeyRule::Ignored, Route::key_rule) {
            KeyRule::Ignored => None,
            KeyRule::Optional => idempotency_header(request)?,
            KeyRule::Required => {
                let key = idempotency_header(request)?;
                Some(key.ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed))?)
            }
        };
        let presented = token::presented(request)?;
        let idempotency = match key {
            None => None,
            Some(key) => {
                let merchant = presented.merchant_id.as_str();
                let body = [merchant, canonical_body];
                let fingerprint = keys.mac(body_purpose(request.route), &body).await?;
                // A fingerprint under another version of its key cannot be compared, so its row is not found.
                let version = fingerprint.version().unwrap_or_default().to_string();
                let (method, path) = address(request);
                let scope = [merchant, method, &path, key, &version];
                Some(IdempotencyKey {
                    scope: keys.mac(HashPurpose::Idempotency, &scope).await?.0,
                    fingerprint: fingerprint.0,
                })
            }
        };
        let support_ref = request.request_id.clone();
        Ok(Self::session(
            store,
            presented,
            idempotency,
            support_ref,
            now,
        ))
    }

    /// The rebind in the path.
    ///
    /// # Errors
    /// `NOT_FOUND`, after the token is checked: a malformed id looks like an unknown one.
    pub async fn rebind_id(&self, request: &Request) -> Result<RebindId, HandlerError> {
        self.id(RebindId::parse(&request.path_id)).await
    }

    /// The card in the path.
    ///
    /// # Errors
    /// As [`Transactor::rebind_id`].
    pub async fn card_id(&self, request: &Request) -> Result<CardId, HandlerError> {
        self.id(CardId::parse(&request.path_id)).await
    }

    async fn id<I>(&self, parsed: Option<I>) -> Result<I, HandlerError> {
        match parsed {
            Some(id) => Ok(id),
            None => {
                self.load(Selector::Latest).await?;
                Err(Rejection::new(ErrorCode::NotFound).into())
            }
        }
    }
}

/// Method and path of a request, the same at every address of the API.
fn address(request: &Request) -> (&'static str, String) {
    let of = |route: Route| (route.method(), route.path_to(&request.path_id));
    request.route.map_or(("", String::new()), of)
}

/// A card number or an OTP can be guessed, so the fingerprint of a body that may contain one is under the key that
/// protects such values.
const fn body_purpose(route: Option<Route>) -> HashPurpose {
    let Some(route) = route else {
        return HashPurpose::Body;
    };
    match route.function() {
        Function::RebindRequest => HashPurpose::BodyWithCard,
        Function::Verification => HashPurpose::BodyWithCode,
        Function::Login
        | Function::Cards
        | Function::Agreement
        | Function::Settlement
        | Function::Freezes => HashPurpose::Body,
    }
}

/// 200 and the rebind: the reply of most steps.
#[must_use]
pub fn rebind(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    Reply::json(200, &replies::Rebind::loaded(after, policy, now))
}

/// 204.
#[must_use]
pub fn no_content(_: &Merchant, _: &Policy, _: Timestamp) -> Reply {
    Reply::no_content()
}

/// The idempotency key of a request, if it has one.
///
/// # Errors
/// `REQUEST_MALFORMED` for a malformed key.
pub fn idempotency_header(request: &Request) -> Result<Option<&str>, Rejection> {
    let Some(key) = request.header("idempotency-key") else {
        return Ok(None);
    };
    let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if (1..=KEY_MAX_CHARS).contains(&key.len()) && printable {
        Ok(Some(key))
    } else {
        Err(Rejection::new(ErrorCode::RequestMalformed))
    }
}
