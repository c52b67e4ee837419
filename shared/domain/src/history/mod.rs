//! The history of a merchant: what can happen ([`event`]), and how each event is tied to the one before it ([`chain`]).
//! Its hashes are of canonical JSON ([`canonical_json`]).

pub mod canonical_json;
pub mod chain;
pub mod event;

pub use canonical_json::canonical;
pub use chain::{ChainedEvent, GENESIS, chain, hash};
pub use event::{Event, Recorded, UnreadableEvent};
