//! The history of a merchant: the events ([`event`]) and the hash chain that links them ([`chain`]). Hashes are
//! computed over canonical JSON ([`canonical_json`]).

mod announcement;
pub mod canonical_json;
pub mod chain;
pub mod event;
mod fact;
#[cfg(any(test, feature = "schema"))]
mod vectors;

pub use canonical_json::canonical;
pub use chain::{ChainedEvent, GENESIS, chain, hash};
pub use event::{Event, Recorded, UnreadableEvent};
#[cfg(any(test, feature = "schema"))]
pub use vectors::vectors;
