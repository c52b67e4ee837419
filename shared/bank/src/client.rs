//! The bank client: one request leads to one verified reply, or to [`Reply::Unknown`].
//!
//! Connections use the HTTP client of the AWS SDK, so there is one TLS stack and one set of root certificates. The client
//! repeats a request only under another key, after a 401: its caller stores the serial and decides how to recover from an
//! unknown answer.

use super::key::{BankKey, KeyError};
use super::key_ring::KeyRing;
use super::protocol::{
    CheckAnswer, CheckQueryAnswer, CheckRequest, CheckResult, SerialLookup, SerialQuery,
    TransferAnswer, TransferOutcome, TransferQueryAnswer, TransferRequest, path,
};
use super::signature::{SIGNATURE_HEADER, TIME_HEADER, is_reply, sign_request};
use application::clock::wall_clock;
use application::ports::QueryOutcome;
use aws_sdk_secretsmanager::Client as SecretsClient;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Limit for connecting, including TLS. A bank that needs longer counts as down.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;
/// Limit for a check or a transfer, from connecting to the last byte of the reply. A slow bank takes 1.5 s, the
/// merchant is waiting, and one query must still fit before the function's timeout of 20 s.
pub const ASK_TIMEOUT_MS: u64 = 4_000;
/// Limit for a query by serial, which the bank answers by a lookup.
pub const QUERY_TIMEOUT_MS: u64 = 2_000;
/// The longest valid reply holds a serial of 64 characters and two words.
const MAX_REPLY_BYTES: usize = 4 * 1024;

/// The result of a check or a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<A> {
    /// The bank's signed answer to this serial.
    Answer(A),
    /// A timeout, a dropped connection, any status except 200, an unreadable or forged body, or an answer to another
    /// serial. The bank may have decided, so query the same serial and never use a new one.
    Unknown,
}

/// The base URL would send card numbers over an unprotected network.
#[derive(Debug, Error)]
#[error("BANK_URL must be https://host[/path], or http:// on a loopback address")]
pub struct BadBankUrl;

/// The client. One instance serves an execution environment for its whole life.
#[derive(Debug)]
pub struct BankClient {
    base_url: String,
    keys: KeyRing,
    connector: OnceLock<Connector>,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    connect: Duration,
    ask: Duration,
    query: Duration,
}

impl Limits {
    const DEFAULT: Self = Self {
        connect: Duration::from_millis(CONNECT_TIMEOUT_MS),
        ask: Duration::from_millis(ASK_TIMEOUT_MS),
        query: Duration::from_millis(QUERY_TIMEOUT_MS),
    };
}

/// Why a reply was not accepted. Safe to log: no text contains data of the request.
#[derive(Debug, Error)]
enum Fault {
    #[error(transparent)]
    NoKey(#[from] KeyError),
    #[error("cannot build the request: {0}")]
    Unsendable(String),
    #[error("no complete reply in time")]
    Timeout,
    #[error("no connection, or the connection was dropped: {0}")]
    Dropped(String),
    #[error("status {0}")]
    Status(u16),
    #[error("more than {MAX_REPLY_BYTES} bytes")]
    TooLong,
    #[error("not signed by the bank for this request")]
    Forged,
    #[error("not a valid answer")]
    Garbled,
    #[error("an answer to another serial")]
    ForeignSerial,
}

impl Fault {
    /// Whether this points to a defect of this system or to an attack. All other faults are outages of the bank.
    const fn is_alarm(&self) -> bool {
        matches!(
            self,
            Self::NoKey(_)
                | Self::Unsendable(_)
                | Self::Status(400..=499)
                | Self::Forged
                | Self::ForeignSerial
        )
    }
}

impl BankClient {
    /// Creates a client for the protocol's paths below `base_url`.
    ///
    /// # Errors
    /// [`BadBankUrl`] unless the URL is `https`, or `http` on a loopback address.
    pub fn new(base_url: &str, key: BankKey) -> Result<Self, BadBankUrl> {
        Self::with_limits(base_url, KeyRing::fixed(key), Limits::DEFAULT)
    }

    /// The same with the keys of a secret.
    ///
    /// # Errors
    /// As [`BankClient::new`].
    pub fn with_secret(
        base_url: &str,
        secrets: SecretsClient,
        secret_id: String,
    ) -> Result<Self, BadBankUrl> {
        let keys = KeyRing::of_secret(secrets, secret_id);
        Self::with_limits(base_url, keys, Limits::DEFAULT)
    }

    fn with_limits(base_url: &str, keys: KeyRing, limits: Limits) -> Result<Self, BadBankUrl> {
        let base_url = base_url.trim_end_matches('/');
        if !is_allowed_base_url(base_url) {
            return Err(BadBankUrl);
        }
        Ok(Self {
            base_url: base_url.to_owned(),
            keys,
            connector: OnceLock::new(),
            limits,
        })
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            Connector::builder()
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(self.limits.connect)
                        .build(),
                )
                .sleep_impl(TokioSleep::new())
                // A rebind calls the bank only a few times, minutes or days apart. Lambda freezes the environment between
                // requests, so a pooled connection would usually be dead at the next call, and a dead connection is an
                // unknown answer.
                .pool_max_idle_per_host(0)
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build()
        })
    }

    /// Checks whether name, ID number, card and phone belong to the same person.
    pub async fn check(&self, request: &CheckRequest) -> Reply<CheckResult> {
        let answer = self
            .ask(path::CHECK, &request.serial, request, self.limits.ask)
            .await;
        answer.map_or(Reply::Unknown, |answer: CheckAnswer| {
            Reply::Answer(CheckResult::new(answer.outcome, answer.card_type))
        })
    }

    /// Queries the answer to a check.
    pub async fn query_check(&self, serial: &str) -> QueryOutcome<CheckResult> {
        let answer = self.query(path::CHECK_QUERY, serial).await;
        answer.map_or(
            QueryOutcome::Unknown,
            |answer: CheckQueryAnswer| match answer.outcome {
                SerialLookup::Found(outcome) => {
                    QueryOutcome::Answer(CheckResult::new(outcome, answer.card_type))
                }
                SerialLookup::NotFound(_) => QueryOutcome::NeverSeen,
            },
        )
    }

    /// Transfers money to a card.
    pub async fn transfer(&self, request: &TransferRequest) -> Reply<TransferOutcome> {
        let answer = self
            .ask(path::TRANSFER, &request.serial, request, self.limits.ask)
            .await;
        answer.map_or(Reply::Unknown, |answer: TransferAnswer| {
            Reply::Answer(TransferOutcome::new(answer.status, answer.reason))
        })
    }

    /// Queries the status of a transfer.
    pub async fn query_transfer(&self, serial: &str) -> QueryOutcome<TransferOutcome> {
        let answer = self.query(path::TRANSFER_QUERY, serial).await;
        answer.map_or(
            QueryOutcome::Unknown,
            |answer: TransferQueryAnswer| match answer.status {
                SerialLookup::Found(status) => {
                    QueryOutcome::Answer(TransferOutcome::new(status, answer.reason))
                }
                SerialLookup::NotFound(_) => QueryOutcome::NeverSeen,
            },
        )
    }

    async fn query<A: Answer>(&self, path: &str, serial: &str) -> Option<A> {
        let query = SerialQuery {
            serial: serial.to_owned(),
        };
        self.ask(path, serial, &query, self.limits.query).await
    }

    /// Returns the answer, or logs the fault and returns `None`.
    async fn ask<A: Answer>(
        &self,
        path: &str,
        serial: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Option<A> {
        let started = Instant::now();
        let exchange = async {
            let key = self.keys.key().await?;
            let exchanges = async {
                let refused = match self.exchange(&key, path, serial, request).await {
                    Err(Fault::Status(401)) => Err(Fault::Status(401)),
                    other => return other,
                };
                // Nothing was decided under a key that the bank does not accept, so another one may be tried.
                match self.keys.instead_of(&key).await {
                    Some(other) => self.exchange(&other, path, serial, request).await,
                    None => refused,
                }
            };
            let result = tokio::time::timeout(timeout, exchanges).await;
            result.unwrap_or(Err(Fault::Timeout))
        };
        let fault = match exchange.await {
            Ok(answer) => return Some(answer),
            Err(fault) => fault,
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if fault.is_alarm() {
            tracing::error!(bank.path = path, bank.serial = serial, bank.duration_ms = duration_ms,
                bank.fault = %fault, "bank_reply.rejected");
        } else {
            tracing::warn!(bank.path = path, bank.serial = serial, bank.duration_ms = duration_ms,
                bank.fault = %fault, "bank_reply.missing");
        }
        None
    }

    async fn exchange<A: Answer>(
        &self,
        key: &BankKey,
        path: &str,
        serial: &str,
        request: &impl Serialize,
    ) -> Result<A, Fault> {
        let unsendable = |error: &dyn std::fmt::Display| Fault::Unsendable(error.to_string());
        let body = serde_json::to_vec(request).map_err(|error| unsendable(&error))?;
        // Wall-clock time, even where the sandbox lets a request set the clock.
        let time = wall_clock().epoch_s().to_string();
        let signature = sign_request(key, path, &time, &body);

        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .set_method("POST")
            .and_then(|()| request.set_uri(format!("{}{path}", self.base_url)))
            .map_err(|error| unsendable(&error))?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert(TIME_HEADER, time);
        headers.insert(SIGNATURE_HEADER, signature.clone());

        let response = self
            .connector()
            .call(request)
            .await
            .map_err(|error| Fault::Dropped(DisplayErrorContext(error).to_string()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Fault::Status(status));
        }
        let reply_signature = response.headers().get(SIGNATURE_HEADER).map(str::to_owned);
        let body = read_body(response).await?;
        if !is_reply(key, &signature, status, reply_signature.as_deref(), &body) {
            return Err(Fault::Forged);
        }
        let answer: A = serde_json::from_slice(&body).map_err(|_| Fault::Garbled)?;
        if answer.serial() == serial {
            Ok(answer)
        } else {
            Err(Fault::ForeignSerial)
        }
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

/// Card numbers leave the machine over TLS only.
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

/// A reply that contains its serial.
trait Answer: DeserializeOwned {
    fn serial(&self) -> &str;
}

macro_rules! answers {
    ($($answer:ty),*) => {
        $(impl Answer for $answer {
            fn serial(&self) -> &str {
                &self.serial
            }
        })*
    };
}

answers!(
    CheckAnswer,
    CheckQueryAnswer,
    TransferAnswer,
    TransferQueryAnswer
);

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
