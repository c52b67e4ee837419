//! The bank over HTTP: messages and the client. [`partner`] signs them.
//!
//! `infra/bank-protocol.md` is the specification for a gateway to a real provider.
//!
//! - [`protocol`]: the messages and their paths
//! - [`signature`]: how requests and replies are signed
//! - [`client`]: sends a request and accepts only a verified reply
//! - [`sandbox`]: the items that a test writes into the sandbox bank's table

pub mod client;
mod port;
pub mod protocol;
pub mod sandbox;
pub mod signature;

pub use application::ports::QueryOutcome;
pub use client::{BankClient, Reply};
pub use partner::PartnerKey as BankKey;
pub use protocol::{
    CheckOutcome, CheckRequest, CheckResult, ReturnReason, TransferOutcome, TransferRequest,
};

use application::ports::PortError;

/// Creates the client for the bank at `url`. The signing key is read from the secret `secret_id` when it is first needed.
///
/// # Errors
/// `Permanent` when the URL is not allowed.
pub fn connect(
    secrets: aws_sdk_secretsmanager::Client,
    secret_id: String,
    url: &str,
) -> Result<BankClient, PortError> {
    BankClient::with_secret(url, secrets, secret_id)
        .map_err(|error| PortError::Permanent("bank settings", error.to_string()))
}
