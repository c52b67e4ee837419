//! The local system behind `cargo local`: the real template, deployed to a local cloud on this machine, with the
//! real functions as processes. The end-to-end tests start one of their own through [`System::up`].

// A command-line tool's product is what it prints.
#![allow(clippy::print_stdout)]

mod artifacts;
mod cloud;
pub mod demo;
mod error;
pub mod http;
mod ministack;
pub mod openapi;
mod paths;
mod progress;
pub mod seed;
mod stack;
mod system;
mod tools;
pub mod torture;

pub use artifacts::cargo_build as binaries;
pub use cloud::Cloud;
pub use error::Error;
pub use paths::default_state_dir;
pub use stack::root_certificates;
pub use system::{Endpoints, System, UpOptions, down};
