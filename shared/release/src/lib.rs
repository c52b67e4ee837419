//! Which sources a binary was built from.

pub mod digest;

/// The digest of the sources of this binary, in hex: see [`digest::of`]. Each process logs it at its start.
pub const SOURCES: &str = env!("SOURCE_DIGEST");
