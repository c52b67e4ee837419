//! The simulated bank of the sandbox. It implements the bank's side of `infra/bank-protocol.md`.
//!
//! It serves tests and demonstrations over real HTTP. Each card behaves as `shared/data/sandbox.json` defines,
//! including lost and unreadable replies. The function refuses to start outside the sandbox.

pub mod handler;
pub mod keys;
mod operation;
pub mod rule;
pub mod store;
