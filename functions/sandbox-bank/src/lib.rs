//! The simulated bank of the sandbox: `infra/bank-protocol.md` from the other side.
//!
//! A bank for tests and demonstrations. It is spoken to over real HTTP, loses replies and talks nonsense as
//! `shared/data/sandbox.json` says, and refuses to start outside the sandbox.

pub mod handler;
pub mod rule;
pub mod store;
