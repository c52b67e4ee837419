//! Signed requests to a partner: the bank, or a gateway for messages. `infra/bank-protocol.md` and `infra/message-protocol.md` specify
//! them.
//!
//! - [`signature`], [`key`]: how requests and replies are signed
//! - [`key_ring`]: the versions of a key during a rotation
//! - [`client`]: sends a request and accepts only a verified reply

pub mod client;
pub mod key;
pub mod key_ring;
pub mod signature;

pub use client::{BadUrl, Fault, Headers, Partner};
pub use key::{KeyError, PartnerKey};
pub use key_ring::KeyRing;
