//! The log's bucket: S3.
//!
//! The three operations are signed here. The SDK's client for S3 would bring more crates (checksums, event streams, a second
//! signature algorithm), for a GET, a PUT and a listing.

use application::backoff::{Backoff, Limits};
use application::ports::{AppendLog, PortError, PutOutcome, ReadLog};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Limited};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, SystemTime};

/// Limit for one attempt. The largest object, a batch of ten thousand entries, has 2 MB.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit for a call with its retries: no attempt begins later than [`RETRIES`] allows, plus a pause and the attempt.
pub const CALL_TIMEOUT_MS: u64 = 22_000;
/// Limit for connecting, including TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The same pauses as for a request, over a longer time.
const RETRIES: Limits = Limits {
    retries_max: 3,
    during: Duration::from_secs(15),
    first_pause_ms: 64,
    pause_max_ms: 1_024,
    after_conflict: false,
    after_transient: true,
};
/// The longest object or page that is read.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A bucket.
#[derive(Debug)]
pub struct LogBucket {
    /// Without a slash at the end.
    url: String,
    region: String,
    credentials: SharedCredentialsProvider,
    connector: SharedHttpConnector,
}

/// A complete reply.
struct Reply {
    status: u16,
    body: Vec<u8>,
}

impl LogBucket {
    /// `url`: the address of the bucket, to which a slash and a key are appended.
    #[must_use]
    pub fn new(url: String, region: String, credentials: SharedCredentialsProvider) -> Self {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let connector = Connector::builder()
            .connector_settings(settings)
            .sleep_impl(TokioSleep::new())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Self {
            url,
            region,
            credentials,
            connector: SharedHttpConnector::new(connector),
        }
    }

    /// Sends a request until it gets an answer. `path`: a key or a query.
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply, PortError> {
        let mut backoff = Backoff::new(RETRIES);
        loop {
            let attempt = self.attempt(method, path, body);
            let reply = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await;
            let cause = match reply.unwrap_or_else(|_| Err(unavailable("no reply in time"))) {
                Ok(reply) if !is_transient(reply.status) => return Ok(reply),
                Ok(reply) => unavailable(&format!("status {}", reply.status)),
                Err(error @ PortError::Transient(..)) => error,
                Err(error) => return Err(error),
            };
            backoff.pause(cause).await?;
        }
    }

    async fn attempt(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply, PortError> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| failed(&error.to_string()))?;
        let request = self.signed(method, path, body, credentials)?;
        let response = self.connector.call(request).await;
        let response = response.map_err(|_| unavailable("no connection"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX);
        let body = body.collect().await;
        let body = body.map_err(|_| unavailable("the reply was cut off"))?;
        Ok(Reply {
            status,
            body: body.to_bytes().to_vec(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "S3 verifies the time of a signature"
    )]
    fn signed(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        credentials: Credentials,
    ) -> Result<HttpRequest, PortError> {
        let failed = |error: &dyn std::fmt::Display| failed(&error.to_string());
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let uri = format!("{}{path}", self.url);
        let checksum = body.map(|body| STANDARD.encode(Sha256::digest(body)));
        let mut headers = Vec::new();
        if let Some(checksum) = &checksum {
            headers.push(("content-type", "application/json"));
            headers.push(("if-none-match", "*"));
            // S3 accepts no object with a retention period without a checksum.
            headers.push(("x-amz-sdk-checksum-algorithm", "SHA256"));
            headers.push(("x-amz-checksum-sha256", checksum));
        }
        let content = body.unwrap_or_default();
        let signable = SignableBody::Bytes(content);
        let signable = SignableRequest::new(method, &uri, headers.iter().copied(), signable);
        let signable = signable.map_err(|error| failed(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| failed(&error))?
            .into_parts();
        let mut request = http::Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(SdkBody::from(content));
        let mut request = request.map_err(|error| failed(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|error| failed(&error))
    }

    /// One page of a listing: its keys, and whether more follow.
    async fn page(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), PortError> {
        let query = format!(
            "/?list-type=2&prefix={}&start-after={}",
            encoded(prefix),
            encoded(after)
        );
        let reply = self.call("GET", &query, None).await?;
        if reply.status != 200 {
            return Err(refused(reply.status));
        }
        let text = String::from_utf8(reply.body).map_err(|_| failed("the listing is malformed"))?;
        Ok(page(&text))
    }
}

impl ReadLog for LogBucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        let reply = self.call("GET", &format!("/{key}"), None).await?;
        match reply.status {
            200 => Ok(Some(reply.body)),
            404 => Ok(None),
            status => Err(refused(status)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let mut keys = Vec::new();
        loop {
            let after = keys.last().map_or("", String::as_str);
            let (page, has_more) = self.page(prefix, after).await?;
            let is_empty = page.is_empty();
            keys.extend(page);
            if !has_more || is_empty {
                return Ok(keys);
            }
        }
    }
}

impl AppendLog for LogBucket {
    async fn put_new(&self, key: &str, content: Vec<u8>) -> Result<PutOutcome, PortError> {
        let reply = self.call("PUT", &format!("/{key}"), Some(&content)).await?;
        match reply.status {
            200 => Ok(PutOutcome::Created),
            412 => Ok(PutOutcome::Exists),
            status => Err(refused(status)),
        }
    }
}

/// Throttled, out of order, or another write of the same key is in progress (409).
const fn is_transient(status: u16) -> bool {
    matches!(status, 409 | 429 | 500..=599)
}

/// A key in a query. Keys have digits, small letters, hyphens and slashes.
fn encoded(key: &str) -> String {
    key.replace('/', "%2F")
}

/// The keys of a listing, and whether it is truncated. Keys need no unescaping.
fn page(xml: &str) -> (Vec<String>, bool) {
    let parts = xml.split("<Key>").skip(1);
    let keys = parts.filter_map(|part| part.split("</Key>").next());
    let has_more = xml.contains("<IsTruncated>true</IsTruncated>");
    (keys.map(str::to_owned).collect(), has_more)
}

fn unavailable(cause: &str) -> PortError {
    PortError::Transient("the log's bucket", cause.to_owned())
}

fn failed(cause: &str) -> PortError {
    PortError::Permanent("the log's bucket", cause.to_owned())
}

/// The body of S3's reply can contain a key, so only the status is kept.
fn refused(status: u16) -> PortError {
    failed(&format!("status {status}"))
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
