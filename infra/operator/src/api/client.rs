//! Sends signed requests (AWS Signature Version 4).

use super::{Endpoint, Request};
use aws::signed::{SendError, SignedHttp, SignedReply, Unsigned};
use serde_json::Value;
use std::time::Duration;

/// Longer than the timeout of the function.
const CALL_LIMIT: Duration = Duration::from_secs(15);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// More than any reply.
const REPLY_MAX_BYTES: usize = 1024 * 1024;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A request that cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Unsigned(String),
    /// No complete reply.
    #[error("no reply from {url}: {cause}. Send the same command with the same --key again")]
    NoReply {
        /// The address.
        url: String,
        /// Why.
        cause: String,
    },
}

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; null for none.
    pub body: Value,
}

impl Reply {
    /// What a refused request means, and what to do. `None` for a success.
    #[must_use]
    pub fn refusal(&self, request: &Request) -> Option<String> {
        if self.status < 400 {
            return None;
        }
        let text = |name: &str| self.body.get(name).and_then(Value::as_str);
        let Some(code) = text("code") else {
            let route = format!("{} {}", request.method, request.path);
            return Some(match self.status {
                403 => format!(
                    "the role may not call {route}: its policy needs execute-api:Invoke for this route of the operator's API. \
                     Ask the administrator of the stack, or use another role. Or the credentials have expired: get new ones"
                ),
                429 => "too many requests: wait a second and repeat the command".to_owned(),
                status => format!("the gateway answered {status} to {route}"),
            });
        };
        let detail = text("detail_en").unwrap_or_default();
        let mut refusal = format!("{code}: {detail}");
        let errors = self.body.get("errors").and_then(Value::as_array);
        for error in errors.into_iter().flatten() {
            let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            refusal.push_str(&format!("\n  {}: {}", part("field"), part("code")));
        }
        if let Some(reference) = text("support_ref") {
            refusal.push_str(&format!("\n  support_ref: {reference}"));
        }
        Some(refusal)
    }
}

/// A client of the operator's API.
#[derive(Debug)]
pub struct Api {
    endpoint: Endpoint,
    http: SignedHttp,
}

impl Api {
    /// Creates a client.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        let region = endpoint.region.clone();
        let http = SignedHttp::new("execute-api", region, CONNECT_LIMIT, REPLY_MAX_BYTES);
        Self { endpoint, http }
    }

    /// The address of the API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Sends one request.
    ///
    /// # Errors
    /// When it cannot be signed, or no complete reply arrives.
    pub async fn send(&self, request: &Request) -> Result<Reply, CallError> {
        let headers = request.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let unsigned = Unsigned {
            method: request.method,
            url: &format!("{}{}", self.endpoint.url, request.path),
            headers: &headers,
            body: &request.bytes(),
        };
        let sent = self.http.send(self.endpoint.credentials.clone(), &unsigned);
        let no_reply = |cause: String| CallError::NoReply {
            url: self.endpoint.url.clone(),
            cause,
        };
        match tokio::time::timeout(CALL_LIMIT, sent).await {
            Ok(Ok(SignedReply { status, body, .. })) => Ok(Reply {
                status,
                body: serde_json::from_slice(&body).unwrap_or_default(),
            }),
            Ok(Err(SendError::Unsigned(cause))) => Err(CallError::Unsigned(cause)),
            Ok(Err(SendError::NoReply(cause))) => Err(no_reply(cause)),
            Err(_) => Err(no_reply("no answer in time".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(status: u16, body: Value) -> Option<String> {
        Reply { status, body }.refusal(&Request::get("/operator/v1/proposals"))
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert_eq!(refusal(200, json!({})), None);
        let denied = refusal(403, json!({"message": "Forbidden"})).unwrap();
        assert!(denied.contains("execute-api:Invoke"), "{denied}");
        let malformed = json!({
            "code": "REQUEST_MALFORMED", "detail_en": "Send it right.", "support_ref": "r1",
            "errors": [{"field": "card_id", "code": "REQUEST_MALFORMED"}],
        });
        let refused = refusal(400, malformed).unwrap();
        assert_eq!(
            refused,
            "REQUEST_MALFORMED: Send it right.\n  card_id: REQUEST_MALFORMED\n  support_ref: r1"
        );
        assert!(refusal(500, json!(null)).unwrap().contains("500"));
    }
}
