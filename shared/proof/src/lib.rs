//! Proofs that a merchant's history is whole.
//!
//! - [`objects`]: the objects of the log in its bucket
//! - [`reader`]: reads the log, and builds proofs from it
//! - [`published`]: the log as a function reads it that cannot write it
//! - [`export`]: a history as a file that anyone can verify with the log's public key

pub mod export;
pub mod objects;
pub mod published;
pub mod reader;
