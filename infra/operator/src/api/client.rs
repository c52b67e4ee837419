//! Sends signed requests (AWS Signature Version 4).

use super::{Endpoint, Request};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use std::time::{Duration, SystemTime};

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
                     Ask the administrator of the stack, or use another role"
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
    connector: Connector,
}

impl Api {
    /// Creates a client.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(CALL_LIMIT)
            .build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .sleep_impl(TokioSleep::new())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Self {
            endpoint,
            connector,
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// When it cannot be signed, or no complete reply arrives.
    pub async fn send(&self, request: &Request) -> Result<Reply, CallError> {
        let url = format!("{}{}", self.endpoint.url, request.path);
        let body = request.bytes();
        let signed = self.signed(&url, request, &body)?;
        let no_reply = |cause: String| CallError::NoReply {
            url: self.endpoint.url.clone(),
            cause,
        };
        let sent = async {
            let reply = self.connector.call(signed).await;
            let reply = reply.map_err(|error| no_reply(error.to_string()))?;
            let status = reply.status().as_u16();
            let body = Limited::new(reply.into_body(), REPLY_MAX_BYTES).collect();
            let body = body.await.map_err(|error| no_reply(error.to_string()))?;
            let body = body.to_bytes();
            let body = match body.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&body).unwrap_or_default(),
            };
            Ok(Reply { status, body })
        };
        let limited = tokio::time::timeout(CALL_LIMIT, sent).await;
        limited.unwrap_or_else(|_| Err(no_reply("no answer in time".to_owned())))
    }

    fn signed(
        &self,
        url: &str,
        request: &Request,
        body: &[u8],
    ) -> Result<aws_smithy_runtime_api::client::orchestrator::HttpRequest, CallError> {
        let unsigned = |error: &dyn std::fmt::Display| CallError::Unsigned(error.to_string());
        let identity: Identity = self.endpoint.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.endpoint.region)
            .name("execute-api")
            .time(now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new(
            request.method,
            url,
            headers.clone(),
            SignableBody::Bytes(body),
        );
        let signable = signable.map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| unsigned(&error))?
            .into_parts();
        let mut http = http::Request::builder().method(request.method).uri(url);
        for (name, value) in headers {
            http = http.header(name, value);
        }
        let mut http = http
            .body(SdkBody::from(body.to_vec()))
            .map_err(|error| unsigned(&error))?;
        instructions.apply_to_request_http1x(&mut http);
        http.try_into().map_err(|error| unsigned(&error))
    }
}

/// The clock of signatures.
fn now() -> SystemTime {
    SystemTime::now()
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
