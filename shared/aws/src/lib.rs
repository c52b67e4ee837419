//! Implements the application's ports with AWS services.
//!
//! - [`settings`]: SDK clients with explicit limits, environment variables
//! - [`kms`]: the key service
//! - [`sns`], [`push`]: SMS and push notifications through SNS
//! - [`sqs`], [`s3`]: the queue and the bucket of the log that anchors histories
//! - [`topic`]: events for other systems through an SNS topic
//! - [`logging`]: JSON logs
//! - [`runtime`]: the Lambda runtime of a function behind the gateway

pub mod kms;
pub mod logging;
pub mod push;
pub mod runtime;
pub mod s3;
pub mod settings;
pub mod sns;
pub mod sqs;
pub mod topic;
