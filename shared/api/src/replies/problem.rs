//! Problem documents (RFC 9457).

use super::Time;
use crate::problems;
use domain::error_code::ErrorCode;
use domain::next_action::NextAction;
use domain::rejection::{FieldError as DomainFieldError, Rejection};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// An RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Problem {
    /// Names the kind of problem; there is no page behind it.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "uri")))]
    pub type_uri: String,
    /// Short English, the same for each occurrence of a code.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub title: &'static str,
    /// The HTTP status.
    #[cfg_attr(feature = "schema", schemars(range(min = 400, max = 599)))]
    pub status: u16,
    /// Why the request was refused.
    pub code: ErrorCode,
    /// The next step, for the merchant.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub detail_zh: &'static str,
    /// The next step, for the developer of the app.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub detail_en: &'static str,
    /// Whether the same request may succeed later without a change.
    pub retryable: bool,
    /// Seconds until another attempt can succeed; the same as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub retry_after_s: Option<i64>,
    /// Whether this refusal used up one of a limited number of attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_toward_limit: Option<bool>,
    /// The number of remaining attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_left: Option<u8>,
    /// With `REBIND_COOLDOWN`: the exact end of the cooldown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Time>,
    /// The actions that an app can offer, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("uniqueItems" = true)))]
    pub next_actions: Vec<NextAction>,
    /// All invalid fields of the request at once; `code` is that of the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub errors: Vec<FieldError>,
    /// Finds this occurrence in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub support_ref: Option<String>,
}

/// One invalid field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct FieldError {
    /// Name of the field in the body.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub field: &'static str,
    /// The reason.
    pub code: ErrorCode,
}

impl From<&DomainFieldError> for FieldError {
    fn from(error: &DomainFieldError) -> Self {
        let DomainFieldError { field, code } = error;
        Self { field, code: *code }
    }
}

impl Problem {
    /// The document of a rejection.
    #[must_use]
    pub fn new(rejection: &Rejection, support_ref: &str) -> Self {
        let Rejection {
            code,
            retry_after_s,
            counts_toward_limit,
            attempts_left,
            next_actions,
            errors,
            cooldown_until,
            is_final,
        } = rejection;
        let problems::Entry {
            status,
            title,
            detail_zh,
            detail_en,
            retryable,
        } = problems::entry(*code);
        Self {
            type_uri: problems::type_uri(*code),
            title,
            status,
            code: *code,
            detail_zh,
            detail_en,
            retryable: retryable && !is_final,
            retry_after_s: *retry_after_s,
            counts_toward_limit: *counts_toward_limit,
            attempts_left: *attempts_left,
            cooldown_until: cooldown_until.map(Time),
            next_actions: next_actions.clone(),
            errors: errors.iter().map(FieldError::from).collect(),
            support_ref: Some(support_ref.to_owned()),
        }
    }
}
