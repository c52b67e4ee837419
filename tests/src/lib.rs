//! What the tests across functions share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on says so

pub mod aws;
pub mod boundary;
pub mod defences;
pub mod fuzz;
pub mod host;
pub mod invariants;
pub mod mapping;
pub mod metrics;
pub mod openapi;
pub mod outside;
pub mod payloads;
pub mod policy;
pub mod secrets;
pub mod stand_in;
pub mod system;
pub mod table;
pub mod world;
