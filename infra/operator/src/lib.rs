//! `rebindctl`, the operator's tool.
//!
//! - [`account`]: reads from the services of an AWS account.
//! - [`api`]: signed calls of the operator's API.
//! - [`doctor`]: what is not right with a deployment.
//! - [`export`]: exports a history with the proofs of the log.
//! - [`import`]: creates merchants from a file.
//! - [`reconcile`]: compares the core system's payouts with this system's.
//! - [`switches`]: stops changes or SMS.
//! - [`trace`]: collects what the logs have of an id.

pub mod account;
pub mod api;
pub mod doctor;
pub mod export;
pub mod import;
pub mod reconcile;
pub mod switches;
pub mod trace;
