//! A transparency log of the merchants' histories: anyone with the log's public key can verify that an event was recorded at
//! a time, and that no recorded event was changed or removed later.
//!
//! The ends of the merchants' hash chains are the entries of a batch. The root of the batch is a leaf of the log. A signed
//! checkpoint fixes the whole log.
//!
//! - [`merkle`]: Merkle trees and their proofs (RFC 9162, with the hashes of RFC 6962)
//! - [`checkpoint`]: the head of the log as text (C2SP tlog-checkpoint)
//! - [`note`]: signed text (C2SP signed-note), with ECDSA signatures that a key service computes
//! - [`key`]: the public key of the log
//! - [`history`]: batches, proofs that an event is anchored, and consistency of the log over time
//! - [`pseudonym`]: names of merchants in the log
//! - [`hash`]: the hash that all of them use
//!
//! The crate performs no I/O. The primitives are those of the TLS stack, so a function links no second implementation of them.

pub mod checkpoint;
pub mod hash;
pub mod history;
pub mod key;
pub mod merkle;
pub mod note;
pub mod pseudonym;

#[cfg(test)]
mod vectors;
