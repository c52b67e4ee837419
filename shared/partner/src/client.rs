//! The client: one request leads to one verified reply.
//!
//! Connections use the HTTP client of the AWS SDK, so there is one TLS stack and one set of root certificates. The client
//! repeats a request only under another key, after a 401.

use crate::key::{KeyError, PartnerKey};
use crate::key_ring::KeyRing;
use crate::signature::{is_reply, sign_request};
use application::clock::wall_clock;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use std::sync::OnceLock;
use std::time::Duration;
use thiserror::Error;

/// The longest valid reply holds an id of 64 characters and two words.
pub const MAX_REPLY_BYTES: usize = 4 * 1024;

/// The base URL would send secrets over an unprotected network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the URL of a partner must be https://host[/path], or http:// on a loopback address")]
pub struct BadUrl;

/// The names of a protocol's headers.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// The signing time: seconds since 1970-01-01T00:00:00Z, in decimal.
    pub time: &'static str,
    /// The signature of a request or a reply.
    pub signature: &'static str,
}

/// The client. One instance serves an execution environment for its whole life.
#[derive(Debug)]
pub struct Partner {
    base_url: String,
    headers: Headers,
    keys: KeyRing,
    connect_timeout: Duration,
    connector: OnceLock<Connector>,
}

/// Why a reply was not accepted. Safe to log: no text contains data of the request.
#[derive(Debug, Error)]
pub enum Fault {
    /// The key cannot be read.
    #[error(transparent)]
    NoKey(#[from] KeyError),
    /// The request cannot be built.
    #[error("cannot build the request: {0}")]
    Unsendable(String),
    /// The time is over.
    #[error("no complete reply in time")]
    Timeout,
    /// No connection.
    #[error("no connection, or the connection was dropped: {0}")]
    Dropped(String),
    /// Any status except 200.
    #[error("status {0}")]
    Status(u16),
    /// The reply is too long.
    #[error("more than {MAX_REPLY_BYTES} bytes")]
    TooLong,
    /// The signature is missing or wrong.
    #[error("not signed by the partner for this request")]
    Forged,
}

impl Fault {
    /// Whether this points to a defect of this system or to an attack. All other faults are outages of the partner.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        matches!(
            self,
            Self::NoKey(_) | Self::Unsendable(_) | Self::Status(400..=499) | Self::Forged
        )
    }
}

impl Partner {
    /// Creates a client for a protocol's paths below `base_url`.
    ///
    /// # Errors
    /// [`BadUrl`] unless the URL is `https`, or `http` on a loopback address.
    pub fn new(
        base_url: &str,
        headers: Headers,
        keys: KeyRing,
        connect_timeout: Duration,
    ) -> Result<Self, BadUrl> {
        let base_url = base_url.trim_end_matches('/');
        if !is_allowed_base_url(base_url) {
            return Err(BadUrl);
        }
        Ok(Self {
            base_url: base_url.to_owned(),
            headers,
            keys,
            connect_timeout,
            connector: OnceLock::new(),
        })
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            Connector::builder()
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(self.connect_timeout)
                        .build(),
                )
                .sleep_impl(TokioSleep::new())
                // A partner is called a few times, minutes or days apart. Lambda freezes the environment between requests, so a
                // pooled connection would usually be dead at the next call, and a dead connection is an unknown answer.
                .pool_max_idle_per_host(0)
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build()
        })
    }

    /// Sends a request, and returns the body of its verified reply. `timeout`: from connecting to the last byte.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn post(
        &self,
        path: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let body = serde_json::to_vec(request);
        let body = body.map_err(|error| Fault::Unsendable(error.to_string()))?;
        let key = self.keys.key().await?;
        let exchanges = async {
            let refused = match self.exchange(&key, path, &body).await {
                Err(Fault::Status(401)) => Err(Fault::Status(401)),
                other => return other,
            };
            // Nothing was decided under a key that the partner does not accept, so another one may be tried.
            match self.keys.instead_of(&key).await {
                Some(other) => self.exchange(&other, path, &body).await,
                None => refused,
            }
        };
        let result = tokio::time::timeout(timeout, exchanges).await;
        result.unwrap_or(Err(Fault::Timeout))
    }

    async fn exchange(&self, key: &PartnerKey, path: &str, body: &[u8]) -> Result<Vec<u8>, Fault> {
        let unsendable = |error: &dyn std::fmt::Display| Fault::Unsendable(error.to_string());
        // Wall-clock time, even where the sandbox lets a request set the clock.
        let time = wall_clock().epoch_s().to_string();
        let signature = sign_request(key, path, &time, body);

        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .set_method("POST")
            .and_then(|()| request.set_uri(format!("{}{path}", self.base_url)))
            .map_err(|error| unsendable(&error))?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert(self.headers.time, time);
        headers.insert(self.headers.signature, signature.clone());

        let response = self
            .connector()
            .call(request)
            .await
            .map_err(|error| Fault::Dropped(DisplayErrorContext(error).to_string()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Fault::Status(status));
        }
        let reply_signature = response.headers().get(self.headers.signature);
        let reply_signature = reply_signature.map(str::to_owned);
        let body = read_body(response).await?;
        if !is_reply(key, &signature, status, reply_signature.as_deref(), &body) {
            return Err(Fault::Forged);
        }
        Ok(body)
    }
}

async fn read_body(response: HttpResponse) -> Result<Vec<u8>, Fault> {
    let body = Limited::new(response.into_body(), MAX_REPLY_BYTES);
    let body = body.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Fault::TooLong
        } else {
            Fault::Dropped(DisplayErrorContext(error.as_ref()).to_string())
        }
    })?;
    Ok(body.to_bytes().to_vec())
}

/// Card numbers and codes leave the machine over TLS only.
fn is_allowed_base_url(url: &str) -> bool {
    let Ok(url) = url.parse::<http::Uri>() else {
        return false;
    };
    let Some(host) = url.host() else {
        return false;
    };
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    let scheme_fits = match url.scheme_str() {
        Some("https") => true,
        Some("http") => is_loopback,
        _ => false,
    };
    scheme_fits && url.query().is_none()
}
