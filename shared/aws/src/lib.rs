//! AWS behind the ports: settings, KMS, SMS and push through SNS, logging.

pub mod kms;
pub mod logging;
pub mod push;
pub mod settings;
pub mod sns;
