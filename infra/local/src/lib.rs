//! The local system behind `cargo local`: the real template, deployed to a local cloud on this machine, with the real functions
//! as processes. The end-to-end tests start their own system with [`System::up`].
//!
//! - `system`: a whole system, from the build to the loaded sandbox; `ministack` is its process, `cloud` and `stack` deploy to it,
//!   `tools` installs it, `seed` loads its merchants, `operators` creates the roles of its operators
//! - `artifacts`: builds and zips functions; `architecture`: for which processors; `linkage`: what an executable needs
//! - [`demo`], [`bench`], [`stress`], [`package`], [`deploy`], [`first_hour`], [`openapi`], [`bins`]: one module for each command that needs more than a system
//! - [`cost`]: what a month costs; [`prices`]: what AWS charges
//! - `error`, [`http`], `paths`, `progress`: shared helpers

// A command-line tool prints its results.
#![allow(clippy::print_stdout)]

mod architecture;
mod artifacts;
pub mod bench;
pub mod bins;
mod cloud;
pub mod cost;
pub mod demo;
pub mod deploy;
mod error;
pub mod first_hour;
pub mod http;
mod linkage;
mod ministack;
pub mod openapi;
mod operators;
pub mod package;
mod paths;
pub mod prices;
mod progress;
mod seed;
mod stack;
pub mod stress;
mod system;
mod tools;

pub use architecture::Architecture;
pub use artifacts::cargo_build as binaries;
pub use cloud::Cloud;
pub use error::Error;
pub use operators::RoleCredentials;
pub use paths::default_state_dir;
pub use stack::{SMS_SIGNATURE, root_certificates};
pub use system::{Endpoints, System, UpOptions, down};
