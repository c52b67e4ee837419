//! A plain HTTP client for services on this machine.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::error::Error;

/// Longer than the timeout of any function.
const CALL_LIMIT: Duration = Duration::from_secs(150);

/// An HTTP client that keeps connections open between calls.
#[derive(Clone, Debug)]
pub struct Http(Client<HttpConnector, Full<Bytes>>);

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
        Self(Client::builder(TokioExecutor::new()).build_http())
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
            let reply = self
                .0
                .request(request.map(Full::new))
                .await
                .map_err(|error| unreachable(chain(&error)))?;
            let (parts, body) = reply.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| unreachable(chain(&error)))?
                .to_bytes();
            Ok(Reply {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
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
