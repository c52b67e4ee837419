//! The log's bucket: S3.
//!
//! The three operations are signed here. The SDK's client for S3 would bring more crates (checksums, event streams, a second
//! signature algorithm), for a GET, a PUT and a listing.

use crate::settings::{Aws, env, variable};
use crate::signed::{SendError, SignedHttp, SignedReply, Unsigned};
use application::backoff::{Backoff, Limits};
use application::ports::{AppendLog, PortError, PutOutcome, ReadLog};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, UriPathNormalizationMode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

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
    credentials: SharedCredentialsProvider,
    http: SignedHttp,
}

impl LogBucket {
    /// `url`: the address of the bucket, to which a slash and a key are appended.
    #[must_use]
    pub fn new(url: String, region: String, credentials: SharedCredentialsProvider) -> Self {
        let mut http = SignedHttp::new("s3", region, CONNECT_TIMEOUT, REPLY_BYTES_MAX);
        // S3's own rules of Signature Version 4.
        http.settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        http.settings.percent_encoding_mode = PercentEncodingMode::Single;
        http.settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        Self {
            url,
            credentials,
            http,
        }
    }

    /// Sends a request until it gets an answer. `path`: a key or a query.
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<SignedReply, PortError> {
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
    ) -> Result<SignedReply, PortError> {
        let credentials = self.credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| failed(&error.to_string()))?;
        let checksum = body.map(|body| STANDARD.encode(Sha256::digest(body)));
        let mut headers = Vec::new();
        if let Some(checksum) = &checksum {
            headers.push(("content-type", "application/json"));
            headers.push(("if-none-match", "*"));
            // S3 accepts no object with a retention period without a checksum.
            headers.push(("x-amz-sdk-checksum-algorithm", "SHA256"));
            headers.push(("x-amz-checksum-sha256", checksum));
        }
        let request = Unsigned {
            method,
            url: &format!("{}{path}", self.url),
            headers: &headers,
            body: body.unwrap_or_default(),
        };
        let reply = self.http.send(credentials, &request).await;
        reply.map_err(|error| match error {
            SendError::Unsigned(cause) => failed(&cause),
            SendError::NoReply(cause) => unavailable(&cause),
        })
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
            return Err(refused(&reply));
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
            _ => Err(refused(&reply)),
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
            _ => Err(refused(&reply)),
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

/// The body of S3's reply can contain a key, so only status and code are kept.
fn refused(reply: &SignedReply) -> PortError {
    let code = code(&reply.body).unwrap_or("no code");
    failed(&format!("status {}, {code}", reply.status))
}

/// The code of an error: a word such as `AccessDenied`.
fn code(body: &[u8]) -> Option<&str> {
    let (_, after) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
    let (code, _) = after.split_once("</Code>")?;
    code.bytes()
        .all(|byte| byte.is_ascii_alphanumeric())
        .then_some(code)
}

impl Aws {
    /// The bucket `LOG_BUCKET`, whose host name is in `LOG_BUCKET_HOST`. With an endpoint, as in tests, the bucket's name is the
    /// first part of the path.
    ///
    /// # Errors
    /// `Permanent` when a variable is not set.
    pub fn log_bucket(&self) -> Result<LogBucket, PortError> {
        let (bucket, host) = (env("LOG_BUCKET")?, env("LOG_BUCKET_HOST")?);
        let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let url = match endpoint {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{host}"),
        };
        let missing = |what: &str| PortError::Permanent("environment", format!("no {what}"));
        let region = self.config().region().ok_or_else(|| missing("region"))?;
        let credentials = self.config().credentials_provider();
        let credentials = credentials.ok_or_else(|| missing("credentials"))?;
        Ok(LogBucket::new(url, region.to_string(), credentials))
    }
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
