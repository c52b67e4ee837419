//! Implements the application's ports with AWS services.
//!
//! - [`settings`]: SDK clients with explicit limits, environment variables
//! - [`kms`]: the key service
//! - [`sns`], [`push`]: SMS and push notifications through SNS
//! - [`sqs`], [`s3`]: the queue and the bucket of the log that anchors histories
//! - [`signed`]: requests signed without an SDK client
//! - [`topic`]: events for other systems through an SNS topic
//! - [`logging`]: JSON logs
//! - [`runtime`]: the Lambda runtime

pub mod kms;
pub mod logging;
pub mod push;
pub mod runtime;
pub mod s3;
pub mod settings;
pub mod signed;
pub mod sns;
pub mod sqs;
pub mod topic;
