//! `rebindctl`, the operator's tool.
//!
//! - [`import`]: creates merchants from a file.

pub mod import;
