//! Implements the application's ports with AWS services.
//!
//! - [`settings`]: SDK clients with explicit limits, environment variables
//! - [`kms`]: the key service
//! - `sns`, `push`: SMS and push notifications through SNS
//! - `sqs`, [`s3`]: the queue and the bucket of the log that anchors histories
//! - [`signed`]: requests signed without an SDK client
//! - `topic`: events for other systems through an SNS topic
//! - [`logging`], [`metrics`]: JSON logs, and metrics in CloudWatch's embedded format
//! - [`runtime`]: the Lambda runtime
//!
//! The client of each service but KMS is behind a feature, so that a package compiles only those that its function uses.

pub mod kms;
pub mod logging;
pub mod metrics;
#[cfg(feature = "sns")]
pub mod push;
pub mod runtime;
pub mod s3;
pub mod settings;
pub mod signed;
#[cfg(feature = "sns")]
pub mod sns;
#[cfg(feature = "sqs")]
pub mod sqs;
#[cfg(feature = "sns")]
pub mod topic;
