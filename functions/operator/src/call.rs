//! One call: who, on what grounds, and under which idempotency key.

use api::event::Request;
use api::operator::{OperatorRoles, OperatorRoute, grounds};
use application::correlation;
use application::crypto::{HashPurpose, Keys};
use application::error::HandlerError;
use application::ports::{IdempotencyKey, KeyService};
use application::request::idempotency_header;
use domain::error_code::ErrorCode;
use domain::ids::{MerchantId, ProposalId};
use domain::operator::{Actor, Grounds};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use serde_json::json;

/// A call of an operator.
pub(crate) struct Call<'a> {
    pub(crate) actor: Actor,
    pub(crate) grounds: Grounds,
    pub(crate) route: OperatorRoute,
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
}

impl<'a> Call<'a> {
    /// Reads the caller, the grounds and, for a change, the idempotency key.
    ///
    /// # Errors
    /// `OPERATOR_UNKNOWN`, `REQUEST_MALFORMED`.
    pub(crate) fn read(
        roles: &OperatorRoles,
        route: OperatorRoute,
        request: &'a Request,
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let actor = roles.caller(request)?;
        let grounds = grounds(request)?;
        if route.changes() && idempotency_header(request)?.is_none() {
            return Err(malformed("idempotency-key"));
        }
        Ok(Self {
            actor,
            grounds,
            route,
            request,
            now,
        })
    }

    /// The merchant in the path.
    ///
    /// # Errors
    /// `NOT_FOUND` for a text that is not an id.
    pub(crate) fn merchant_id(&self) -> Result<MerchantId, Rejection> {
        let id = MerchantId::parse(&self.request.path_id);
        let id = id.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        correlation::of_merchant(&id);
        Ok(id)
    }

    /// The proposal in the path.
    ///
    /// # Errors
    /// `NOT_FOUND` for a text that is not an id.
    pub(crate) fn proposal_id(&self) -> Result<ProposalId, Rejection> {
        let id = ProposalId::parse(&self.request.path_id);
        id.ok_or_else(|| Rejection::new(ErrorCode::NotFound))
    }

    /// The code of the reason, as an event names it.
    pub(crate) fn reason(&self) -> String {
        self.grounds.reason.as_str().to_owned()
    }

    /// The version of the record in `If-Match`, as an entity tag.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` for another value.
    pub(crate) fn if_match(&self) -> Result<Option<u32>, Rejection> {
        let Some(tag) = self.request.header("if-match") else {
            return Ok(None);
        };
        let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        let version = version.and_then(|version| version.parse().ok());
        version.map(Some).ok_or_else(|| malformed("if-match"))
    }

    /// The idempotency key of a change. Its scope is the person, the method and the path.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` without a key; when the keys fail.
    pub(crate) async fn key<K: KeyService>(
        &self,
        keys: &Keys<K>,
        canonical_body: &str,
    ) -> Result<IdempotencyKey, HandlerError> {
        let key = idempotency_header(self.request)?.ok_or_else(|| malformed("idempotency-key"))?;
        let (account, person) = (self.actor.account(), self.actor.person());
        let body = [account, person, canonical_body];
        let fingerprint = keys.mac(HashPurpose::OperatorBody, &body).await?;
        // A fingerprint under another version of its key cannot be compared, so its row is not found.
        let version = fingerprint.version().unwrap_or_default().to_string();
        let (method, path) = (
            self.route.method(),
            self.route.path_to(&self.request.path_id),
        );
        let scope = [account, person, method, &path, key, &version];
        Ok(IdempotencyKey {
            scope: keys.mac(HashPurpose::Idempotency, &scope).await?.0,
            fingerprint: fingerprint.0,
        })
    }

    /// The person and the grounds, for the encrypted part of a merchant's event. `proposed`: the first of two persons.
    pub(crate) fn personal(&self, proposed: Option<(&Actor, &Grounds)>) -> String {
        let of = |actor: &Actor, grounds: &Grounds| {
            json!({
                "account": actor.account(),
                "person": actor.person(),
                "comment": grounds.comment,
                "ticket": grounds.ticket,
            })
        };
        let mut personal = json!({"actor": of(&self.actor, &self.grounds)});
        if let Some((actor, grounds)) = proposed {
            personal["proposer"] = of(actor, grounds);
        }
        personal.to_string()
    }
}

/// `REQUEST_MALFORMED` that names the field.
pub(crate) fn malformed(field: &'static str) -> Rejection {
    Rejection::new(ErrorCode::RequestMalformed).field(field)
}
