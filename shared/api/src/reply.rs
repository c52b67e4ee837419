//! Replies: JSON, or a problem document (RFC 9457).

use super::replies::Problem;
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use serde::Serialize;
use serde_json::{Map, Value};

/// A reply, before its conversion to an API Gateway response.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; `None` for 204.
    pub body: Option<Value>,
    /// True if repeated from an earlier request with the same key.
    pub replayed: bool,
    /// The reason of a refusal, for the log.
    pub code: Option<ErrorCode>,
    retry_after_s: Option<i64>,
}

impl Reply {
    /// A success with a body.
    #[must_use]
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            // Bodies of replies are maps with text keys, so they always have a JSON form.
            body: serde_json::to_value(body).ok(),
            replayed: false,
            code: None,
            retry_after_s: None,
        }
    }

    /// A success without a body.
    #[must_use]
    pub const fn no_content() -> Self {
        Self {
            status: 204,
            body: None,
            replayed: false,
            code: None,
            retry_after_s: None,
        }
    }

    /// A problem document.
    #[must_use]
    pub fn problem(refusal: &Rejection, support_ref: &str) -> Self {
        let problem = Problem::new(refusal, support_ref);
        Self {
            code: Some(problem.code),
            retry_after_s: problem.retry_after_s,
            ..Self::json(problem.status, &problem)
        }
    }

    /// The same with one more member in its body.
    #[must_use]
    pub fn with(mut self, member: &str, value: &impl Serialize) -> Self {
        if let (Some(Value::Object(body)), Ok(value)) =
            (&mut self.body, serde_json::to_value(value))
        {
            body.insert(member.to_owned(), value);
        }
        self
    }

    /// The same problem as a 503: the request will succeed once a later release runs.
    #[must_use]
    pub fn unavailable(mut self) -> Self {
        const UNAVAILABLE: u16 = 503;
        self.status = UNAVAILABLE;
        if let Some(Value::Object(body)) = &mut self.body {
            body.insert("status".to_owned(), Value::from(UNAVAILABLE));
        }
        self
    }

    /// A stored reply, unchanged.
    #[must_use]
    pub fn replay(status: u16, body: &str) -> Self {
        let body: Option<Value> = serde_json::from_str(body).ok();
        let code = body
            .as_ref()
            .and_then(|body| ErrorCode::parse(body.get("code")?.as_str()?));
        let retry_after_s = body
            .as_ref()
            .and_then(|body| body.get("retry_after_s")?.as_i64());
        Self {
            status,
            body,
            replayed: true,
            code,
            retry_after_s,
        }
    }

    /// The body as text; empty for a reply without a body.
    #[must_use]
    pub fn body_text(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }

    /// True if a repeated request with the same key gets this reply again: for successes and counted refusals. False
    /// for conflicts, limits and failures, which may differ the next time.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        match self.code {
            None => true,
            Some(ErrorCode::VersionConflict) => false,
            Some(_) => self.status < 500 && self.status != 429,
        }
    }
}

/// The Lambda response of an HTTP API. A missing body is the empty string, because some gateways reject null.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpResponse {
    /// The HTTP status.
    pub status_code: u16,
    /// The headers.
    pub headers: Map<String, Value>,
    /// The body.
    pub body: String,
    is_base64_encoded: bool,
}

impl From<Reply> for HttpResponse {
    fn from(reply: Reply) -> Self {
        let mut headers = Map::new();
        let mut put =
            |name: &str, value: String| headers.insert(name.to_owned(), Value::from(value));
        put("cache-control", "no-store".to_owned());
        if reply.body.is_some() {
            let kind = if reply.code.is_some() {
                "application/problem+json"
            } else {
                "application/json"
            };
            put("content-type", kind.to_owned());
        }
        if let Some(seconds) = reply.retry_after_s {
            put("retry-after", seconds.to_string());
        }
        if reply.replayed {
            put("idempotent-replayed", "true".to_owned());
        }
        Self {
            status_code: reply.status,
            headers,
            body: reply.body_text(),
            is_base64_encoded: false,
        }
    }
}
