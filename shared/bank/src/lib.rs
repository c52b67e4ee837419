//! The bank behind HTTP: what is on the wire, how it is signed, and our side of it.
//!
//! `infra/bank-protocol.md` says the same for whoever puts a real provider behind it.

pub mod client;
pub mod key;
mod port;
pub mod protocol;
pub mod sandbox;
pub mod signature;

pub use client::{
    BankClient, CheckQueryReply, CheckReply, QueryReply, Reply, TransferQueryReply, TransferReply,
};
pub use key::BankKey;
pub use protocol::{CheckOutcome, CheckRequest, ReturnReason, TransferOutcome, TransferRequest};

use application::ports::PortError;

/// The bank at `url`, with the signing key in the secret `secret_id`.
///
/// # Errors
/// `Permanent` when the URL or the secret is unusable.
pub async fn connect(
    secrets: &aws_sdk_secretsmanager::Client,
    secret_id: &str,
    url: &str,
) -> Result<BankClient, PortError> {
    let failed = |error: &dyn std::fmt::Display| {
        PortError::Permanent("the bank's settings", error.to_string())
    };
    let key = BankKey::load(secrets, secret_id)
        .await
        .map_err(|error| failed(&error))?;
    BankClient::new(url, key).map_err(|error| failed(&error))
}
