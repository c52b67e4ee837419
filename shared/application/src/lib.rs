//! The path of every request, from the gateway's event to its reply. It depends on ports, not on services.
//!
//! - [`serve`]: one request: clock, panic handler, log line, reply.
//! - [`request`]: its headers, session and idempotency key.
//! - [`transact`]: read, decide, write; retries, conflicts, claims and replays.
//! - [`front_door`]: the secret and the client's address that the front door adds.
//! - [`clock`]: the clock of the process.
//! - [`backoff`]: limits and pauses of retries.
//! - [`init`]: what a function does before its first event.
//! - [`error`]: the ways in which a use case ends early.
//! - [`ports`]: the external capabilities of use cases, one trait each.
//! - [`stream`]: a batch of the table's stream.
//! - [`usage`]: the store usage of a request.
//! - [`crypto`]: keyed hashes, sealed data, OTPs, tokens, passwords.

pub mod backoff;
pub mod clock;
pub mod correlation;
pub mod crypto;
pub mod error;
pub mod front_door;
pub mod init;
pub mod ports;
pub mod request;
pub mod serve;
pub mod stream;
pub mod switches;
pub mod transact;
pub mod usage;

/// The target of a log event that is counted in metrics, and not written to the log.
pub const COUNTED: &str = "counted";
