//! The test kit. One actor ([`merchant`]) drives the system in three environments ([`transport`]): in one process
//! ([`in_process`]), as compiled functions ([`processes`]), as a deployed stack ([`local_cloud`]).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed precondition ends the test with a message

pub mod anchoring;
pub mod aws;
pub mod bench;
pub mod canonical;
pub mod clean_up_scale;
pub mod defences;
pub mod dynamodb_table;
pub mod fuzz;
pub mod gateway;
pub mod history;
pub mod iam_policy;
pub mod in_process;
pub mod invariants;
pub mod load;
pub mod local_cloud;
pub mod log;
pub mod merchant;
pub mod metrics;
pub mod new_merchants;
pub mod openapi;
pub mod operators;
pub mod payloads;
pub mod peer_faults;
pub mod processes;
pub mod published;
pub mod sample;
pub mod scenario;
pub mod scripted_peers;
pub mod secrets;
pub mod stream_host;
pub mod table_faults;
pub mod transport;
pub mod walk;
