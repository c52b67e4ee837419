//! Our side of the bank: one request, one reply that can be believed, or [`Reply::Unknown`].
//!
//! The connections are those of the AWS SDK's own HTTP client: no second TLS stack, and the same root
//! certificates. Requests are never repeated here: what to do about an unknown answer (ask again by the serial)
//! is decided where the serial is kept.

use super::key::BankKey;
use super::protocol::{
    CheckAnswer, CheckOutcome, CheckQueryAnswer, CheckRequest, Known, SerialQuery, TransferAnswer,
    TransferOutcome, TransferQueryAnswer, TransferRequest, path,
};
use super::signature::{SIGNATURE_HEADER, TIME_HEADER, is_reply, sign_request};
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
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Time for a connection, TLS included: a bank that takes longer is down.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;
/// Time for a check or a transfer, from connecting to the last byte of the reply. A slow bank takes 1.5 s; a
/// merchant is waiting; and one query must fit behind it before the gateway gives up at 30 s.
pub const ASK_TIMEOUT_MS: u64 = 4_000;
/// Time for a query by serial: the bank only looks it up.
pub const QUERY_TIMEOUT_MS: u64 = 2_000;
/// The longest reply is a serial of 64 characters and two words.
const MAX_REPLY_BYTES: usize = 4 * 1024;

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<A> {
    /// The bank's own answer to this serial, signed.
    Answer(A),
    /// A timeout, a dropped connection, any status but 200, a garbled or forged body, or the answer to another
    /// serial. The bank may have decided: ask again by the same serial, never under a new one.
    Unknown,
}

/// What came of asking again by serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryReply<A> {
    /// As in [`Reply::Answer`].
    Answer(A),
    /// The bank has not seen this serial so far. The first request may still be under way, so it may only be
    /// sent again under the same serial.
    NeverSeen,
    /// As in [`Reply::Unknown`].
    Unknown,
}

/// See [`BankClient::check`].
pub type CheckReply = Reply<CheckOutcome>;
/// See [`BankClient::query_check`].
pub type CheckQueryReply = QueryReply<CheckOutcome>;
/// See [`BankClient::transfer`].
pub type TransferReply = Reply<TransferOutcome>;
/// See [`BankClient::query_transfer`].
pub type TransferQueryReply = QueryReply<TransferOutcome>;

/// A base URL that card numbers must not be sent to.
#[derive(Debug, Error)]
#[error("BANK_URL must be https://host[/path], or http:// on a loopback address")]
pub struct BadBankUrl;

/// The client; one for the life of an environment.
#[derive(Debug)]
pub struct BankClient {
    base_url: String,
    key: BankKey,
    connector: Connector,
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

/// Why a reply cannot be believed. For the log; none of it says what was asked.
#[derive(Debug, Error)]
enum Fault {
    #[error("the request could not be made: {0}")]
    Unsendable(String),
    #[error("no whole reply in time")]
    Timeout,
    #[error("no connection, or it was dropped: {0}")]
    Dropped(String),
    #[error("status {0}")]
    Status(u16),
    #[error("more than {MAX_REPLY_BYTES} bytes")]
    TooLong,
    #[error("not signed by the bank for this request")]
    Forged,
    #[error("not an answer of the protocol")]
    Garbled,
    #[error("the answer to another serial")]
    ForeignSerial,
}

impl Fault {
    /// Ours to mend, or someone's attack; everything else is a bank's bad day.
    const fn is_alarm(&self) -> bool {
        matches!(
            self,
            Self::Unsendable(_) | Self::Status(400..=499) | Self::Forged | Self::ForeignSerial
        )
    }
}

impl BankClient {
    /// A client for the protocol below `base_url`.
    ///
    /// # Errors
    /// [`BadBankUrl`] unless it is `https`, or `http` to this very machine.
    pub fn new(base_url: &str, key: BankKey) -> Result<Self, BadBankUrl> {
        Self::with_limits(base_url, key, Limits::DEFAULT)
    }

    fn with_limits(base_url: &str, key: BankKey, limits: Limits) -> Result<Self, BadBankUrl> {
        let base_url = base_url.trim_end_matches('/');
        if !may_be_told_card_numbers(base_url) {
            return Err(BadBankUrl);
        }
        let connector = Connector::builder()
            .connector_settings(
                HttpConnectorSettings::builder()
                    .connect_timeout(limits.connect)
                    .build(),
            )
            .sleep_impl(TokioSleep::new())
            // A rebind asks the bank once. A connection kept for the next one would mostly be dead by then (a
            // function is frozen between requests), and a dead connection is an unknown answer.
            .pool_max_idle_per_host(0)
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        Ok(Self {
            base_url: base_url.to_owned(),
            key,
            connector,
            limits,
        })
    }

    /// Asks whether name, ID number, card and phone belong together.
    pub async fn check(&self, request: &CheckRequest) -> CheckReply {
        let answer = self
            .ask(path::CHECK, &request.serial, request, self.limits.ask)
            .await;
        answer.map_or(Reply::Unknown, |answer: CheckAnswer| {
            Reply::Answer(answer.outcome)
        })
    }

    /// Asks what was answered to a check.
    pub async fn query_check(&self, serial: &str) -> CheckQueryReply {
        let answer = self.query(path::CHECK_QUERY, serial).await;
        answer.map_or(
            QueryReply::Unknown,
            |answer: CheckQueryAnswer| match answer.outcome {
                Known::Yes(outcome) => QueryReply::Answer(outcome),
                Known::No(_) => QueryReply::NeverSeen,
            },
        )
    }

    /// Sends money to a card.
    pub async fn transfer(&self, request: &TransferRequest) -> TransferReply {
        let answer = self
            .ask(path::TRANSFER, &request.serial, request, self.limits.ask)
            .await;
        answer.map_or(Reply::Unknown, |answer: TransferAnswer| {
            Reply::Answer(TransferOutcome::new(answer.status, answer.reason))
        })
    }

    /// Asks what became of a transfer.
    pub async fn query_transfer(&self, serial: &str) -> TransferQueryReply {
        let answer = self.query(path::TRANSFER_QUERY, serial).await;
        answer.map_or(
            QueryReply::Unknown,
            |answer: TransferQueryAnswer| match answer.status {
                Known::Yes(status) => {
                    QueryReply::Answer(TransferOutcome::new(status, answer.reason))
                }
                Known::No(_) => QueryReply::NeverSeen,
            },
        )
    }

    async fn query<A: Answer>(&self, path: &str, serial: &str) -> Option<A> {
        let query = SerialQuery {
            serial: serial.to_owned(),
        };
        self.ask(path, serial, &query, self.limits.query).await
    }

    /// The answer, or `None` after having logged why there is none.
    async fn ask<A: Answer>(
        &self,
        path: &str,
        serial: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Option<A> {
        let started = Instant::now();
        let exchange = self.exchange(path, serial, request);
        let result = tokio::time::timeout(timeout, exchange).await;
        let fault = match result {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Timeout,
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if fault.is_alarm() {
            tracing::error!(bank.path = path, bank.serial = serial, bank.duration_ms = duration_ms,
                bank.fault = %fault, "the bank's reply is unknown, and that needs a look");
        } else {
            tracing::warn!(bank.path = path, bank.serial = serial, bank.duration_ms = duration_ms,
                bank.fault = %fault, "the bank's reply is unknown");
        }
        None
    }

    #[expect(clippy::disallowed_methods, reason = "the bank's own clock is real")]
    async fn exchange<A: Answer>(
        &self,
        path: &str,
        serial: &str,
        request: &impl Serialize,
    ) -> Result<A, Fault> {
        let unsendable = |error: &dyn std::fmt::Display| Fault::Unsendable(error.to_string());
        let body = serde_json::to_vec(request).map_err(|error| unsendable(&error))?;
        // Whatever the sandbox's clock says.
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|error| unsendable(&error))?
            .as_secs()
            .to_string();
        let signature = sign_request(&self.key, path, &time, &body);

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
            .connector
            .call(request)
            .await
            .map_err(|error| Fault::Dropped(DisplayErrorContext(error).to_string()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Fault::Status(status));
        }
        let reply_signature = response.headers().get(SIGNATURE_HEADER).map(str::to_owned);
        let body = read_body(response).await?;
        if !is_reply(
            &self.key,
            &signature,
            status,
            reply_signature.as_deref(),
            &body,
        ) {
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

/// TLS, or no network at all.
fn may_be_told_card_numbers(url: &str) -> bool {
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

/// A reply that names its serial.
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
