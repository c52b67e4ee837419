//! The one way of a request, from the gateway's event to its reply, without any service behind it.
//!
//! - [`serve`]: one request: clock, panic net, log line, reply.
//! - [`request`]: its headers, session and idempotency key.
//! - [`transact`]: read, decide, write: retries, conflicts, claims and replays.
//! - [`backoff`]: when a transaction is repeated.
//! - [`error`]: how a use case stops.
//! - [`ports`]: the capabilities that use cases need from outside, one trait each.
//! - [`crypto`]: keyed hashes, sealed data, OTPs, tokens, passwords.

pub mod backoff;
pub mod crypto;
pub mod error;
pub mod ports;
pub mod request;
pub mod serve;
pub mod transact;
