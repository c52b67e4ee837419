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
