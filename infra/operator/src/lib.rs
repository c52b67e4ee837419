//! `rebindctl`, the operator's tool.
//!
//! - [`api`]: signed calls of the operator's API.
//! - [`export`]: exports a history with the proofs of the log.
//! - [`import`]: creates merchants from a file.
//! - [`reconcile`]: compares the core system's payouts with this system's.

pub mod api;
pub mod export;
pub mod import;
pub mod reconcile;
