//! An HTTP client, for services on this machine and on AWS.

use std::time::Duration;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::error::Error;

/// Longer than the timeout of any function.
const CALL_LIMIT: Duration = Duration::from_secs(150);

/// An HTTP client that keeps connections open between calls.
#[derive(Clone, Debug)]
pub struct Http(SharedHttpConnector);

/// A complete reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: HeaderMap,
    /// The body as received.
    pub body: Bytes,
}

impl Http {
    /// Creates a client without open connections.
    #[must_use]
    pub fn new() -> Self {
        let connector = Connector::builder()
            .sleep_impl(TokioSleep::new())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Self(SharedHttpConnector::new(connector))
    }

    /// Sends `request` and reads the complete reply, whatever its status.
    ///
    /// # Errors
    /// When the complete reply does not arrive within two and a half minutes.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Reply, Error> {
        let what = format!("{} {}", request.method(), request.uri());
        let unreachable = |cause: String| Error::Unreachable {
            what: what.clone(),
            cause,
        };
        let call = async {
            let request = HttpRequest::try_from(request.map(SdkBody::from));
            let request = request.map_err(|error| unreachable(chain(&error)))?;
            let reply = self.0.call(request).await;
            let reply = reply.map_err(|error| unreachable(chain(&error)))?;
            let status = reply.status().as_u16();
            let headers = reply.headers().iter().filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            });
            let mut all = HeaderMap::new();
            for (name, value) in headers {
                all.append(name, value);
            }
            let body = reply.into_body().collect().await;
            let body = body.map_err(|error| unreachable(error.to_string()))?;
            Ok(Reply {
                status,
                headers: all,
                body: body.to_bytes(),
            })
        };
        match tokio::time::timeout(CALL_LIMIT, call).await {
            Ok(reply) => reply,
            Err(_) => Err(unreachable(format!(
                "no reply within {} s",
                CALL_LIMIT.as_secs()
            ))),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Reply {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it is empty.
    ///
    /// # Errors
    /// When the body is neither empty nor JSON.
    pub fn json(&self) -> Result<Value, Error> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| Error::Reply {
            what: "JSON".into(),
            reply: self.text(),
        })
    }
}

/// The texts of an error and all its causes: hyper's own text is only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
