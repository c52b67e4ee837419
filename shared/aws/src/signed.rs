//! Requests signed with AWS Signature Version 4, for what no SDK client of this workspace does.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};
use std::fmt::Display;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

/// A client of one service.
#[derive(Debug)]
pub struct SignedHttp {
    service: &'static str,
    region: String,
    pub(crate) settings: SigningSettings,
    reply_bytes_max: usize,
    connect_timeout: Duration,
    /// Made for the first request, because its TLS costs time that many cold starts would never use.
    pub(crate) connector: OnceLock<SharedHttpConnector>,
}

/// A request before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The address, with the query.
    pub url: &'a str,
    /// The header fields, without those of the signature.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The time of the service, as in HTTP.
    pub date: Option<String>,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The request cannot be signed. It was not sent.
    Unsigned(String),
    /// No complete reply arrived. The request may have been executed.
    NoReply(String),
}

impl SignedHttp {
    /// `service`: the name that the signature has. A reply of more than `reply_bytes_max` bytes is an error.
    #[must_use]
    pub fn new(
        service: &'static str,
        region: String,
        connect_timeout: Duration,
        reply_bytes_max: usize,
    ) -> Self {
        Self {
            service,
            region,
            settings: SigningSettings::default(),
            reply_bytes_max,
            connect_timeout,
            connector: OnceLock::new(),
        }
    }

    fn connector(&self) -> &SharedHttpConnector {
        self.connector.get_or_init(|| {
            let limits = HttpConnectorSettings::builder()
                .connect_timeout(self.connect_timeout)
                .build();
            let connector = Connector::builder()
                .connector_settings(limits)
                .sleep_impl(TokioSleep::new())
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build();
            SharedHttpConnector::new(connector)
        })
    }

    /// Sends a request once. The caller limits the time.
    ///
    /// # Errors
    /// When it cannot be signed, or no complete reply arrives.
    pub async fn send(
        &self,
        credentials: Credentials,
        request: &Unsigned<'_>,
    ) -> Result<SignedReply, SendError> {
        let signed = self.signed(credentials, request)?;
        let response = self.connector().call(signed).await;
        let response = response.map_err(|error| SendError::NoReply(error.to_string()))?;
        let status = response.status().as_u16();
        let date = response.headers().get("date").map(str::to_owned);
        let body = Limited::new(response.into_body(), self.reply_bytes_max);
        let body = body.collect().await;
        let body = body.map_err(|error| SendError::NoReply(error.to_string()))?;
        Ok(SignedReply {
            status,
            body: body.to_bytes().to_vec(),
            date,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "services verify the time of a signature"
    )]
    fn signed(
        &self,
        credentials: Credentials,
        request: &Unsigned<'_>,
    ) -> Result<HttpRequest, SendError> {
        let unsigned = |error: &dyn Display| SendError::Unsigned(error.to_string());
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(self.settings.clone())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let headers = request.headers.iter().copied();
        let body = SignableBody::Bytes(request.body);
        let signable = SignableRequest::new(request.method, request.url, headers.clone(), body);
        let signable = signable.map_err(|error| unsigned(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| unsigned(&error))?
            .into_parts();
        let mut http = http::Request::builder()
            .method(request.method)
            .uri(request.url);
        for (name, value) in headers {
            http = http.header(name, value);
        }
        let http = http.body(SdkBody::from(request.body));
        let mut http = http.map_err(|error| unsigned(&error))?;
        instructions.apply_to_request_http1x(&mut http);
        HttpRequest::try_from(http).map_err(|error| unsigned(&error))
    }
}
