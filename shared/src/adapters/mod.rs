//! What stands between the core and the world.

pub mod aws;
pub mod bank;
pub mod kms;
pub mod logging;
pub mod push;
pub mod sns;
