//! The domain of changing a settlement card, and what its functions share.

#[cfg(feature = "aws")]
pub mod adapters;
pub mod crypto;
pub mod domain;
pub mod edge;
pub mod ports;
#[cfg(feature = "aws")]
pub mod store;
