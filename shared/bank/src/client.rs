//! The bank client: one request leads to one verified reply, or to [`Reply::Unknown`].
//!
//! Its caller stores the serial and decides how to recover from an unknown answer.

use super::protocol::{
    CheckAnswer, CheckQueryAnswer, CheckRequest, CheckResult, SerialLookup, SerialQuery,
    TransferAnswer, TransferOutcome, TransferQueryAnswer, TransferRequest, path,
};
use super::signature::HEADERS;
use application::COUNTED;
use application::correlation;
use application::ports::QueryOutcome;
use application::usage::whole_ms;
use aws_sdk_secretsmanager::Client as SecretsClient;
use partner::{BadUrl, Fault, KeyRing, Partner, PartnerKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Limit for connecting, including TLS. A bank that needs longer counts as down.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;
/// Limit for a check or a transfer, from connecting to the last byte of the reply. A slow bank takes 1.5 s, the
/// merchant is waiting, and one query must still fit before the function's timeout of 20 s.
pub const ASK_TIMEOUT_MS: u64 = 4_000;
/// Limit for a query by serial, which the bank answers by a lookup.
pub const QUERY_TIMEOUT_MS: u64 = 2_000;

/// The result of a check or a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<A> {
    /// The bank's signed answer to this serial.
    Answer(A),
    /// A timeout, a dropped connection, any status except 200, an unreadable or forged body, or an answer to another
    /// serial. The bank may have decided, so query the same serial and never use a new one.
    Unknown,
}

/// The client. One instance serves an execution environment for its whole life.
#[derive(Debug)]
pub struct BankClient {
    bank: Partner,
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

/// Why an answer was not accepted. Safe to log: no text contains data of the request.
#[derive(Debug, Error)]
enum NoAnswer {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("not a valid answer")]
    Garbled,
    #[error("an answer to another serial")]
    ForeignSerial,
}

impl NoAnswer {
    /// Whether this points to a defect of this system or to an attack. All others are outages of the bank.
    const fn is_alarm(&self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_alarm(),
            Self::Garbled => false,
            Self::ForeignSerial => true,
        }
    }
}

impl BankClient {
    /// Creates a client for the protocol's paths below `base_url`.
    ///
    /// # Errors
    /// [`BadUrl`] unless the URL is `https`, or `http` on a loopback address.
    pub fn new(base_url: &str, key: PartnerKey) -> Result<Self, BadUrl> {
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
    ) -> Result<Self, BadUrl> {
        let keys = KeyRing::of_secret(secrets, secret_id);
        Self::with_limits(base_url, keys, Limits::DEFAULT)
    }

    fn with_limits(base_url: &str, keys: KeyRing, limits: Limits) -> Result<Self, BadUrl> {
        Ok(Self {
            bank: Partner::new(base_url, HEADERS, keys, limits.connect)?,
            limits,
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
        correlation::of_bank_serial(serial);
        let started = Instant::now();
        let answer = self.answer(path, serial, request, timeout).await;
        let duration_ms = whole_ms(started.elapsed());
        let why = match answer {
            Ok(answer) => {
                tracing::info!(target: COUNTED, { bank.duration_ms = duration_ms }, "bank_reply.accepted");
                return Some(answer);
            }
            Err(why) => why,
        };
        if why.is_alarm() {
            tracing::error!(bank.path = path, bank.duration_ms = duration_ms,
                bank.fault = %why, "bank_reply.rejected");
        } else {
            tracing::warn!(bank.path = path, bank.duration_ms = duration_ms,
                bank.fault = %why, "bank_reply.missing");
        }
        None
    }

    async fn answer<A: Answer>(
        &self,
        path: &str,
        serial: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<A, NoAnswer> {
        let body = self.bank.post(path, request, timeout).await?;
        let answer: A = serde_json::from_slice(&body).map_err(|_| NoAnswer::Garbled)?;
        match answer.serial() == serial {
            true => Ok(answer),
            false => Err(NoAnswer::ForeignSerial),
        }
    }
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
