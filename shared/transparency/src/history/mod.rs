//! The anchored history of a merchant.
//!
//! An [`Entry`] is the end of a merchant's hash chain, under a pseudonym. A [`Batch`] is a tree of entries. A [`LogEntry`] is
//! the root of a batch with the time at which it was anchored; it is a leaf of the log. The content of a leaf is canonical JSON
//! (RFC 8785), so that any program can compute it:
//!
//! ```json
//! {"hash":"<64 hex>","pseudonym":"<64 hex>","seq":7}
//! {"at":1795312860,"entries":12,"root":"<64 hex>"}
//! ```
//!
//! - [`anchor`]: the proof that an entry was in the log at a time
//! - [`consistency`]: the proof that the log only grew
//!
//! An anchor shows that an entry is in the log. It does not show that the log has no other entry with the same pseudonym and
//! `seq`; only a reader of all batches can see that.

pub mod anchor;
pub mod consistency;

use crate::hash::Hash;
use crate::merkle::{Tree, leaf_hash};
use anchor::BatchProof;
use serde::{Deserialize, Serialize};

/// The largest number that every JSON implementation reads exactly (RFC 7493, section 2.2). Canonical JSON would round others.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The end of a merchant's hash chain: a leaf of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The hash of the last event.
    pub hash: Hash,
    /// The merchant; see [`pseudonym`](crate::pseudonym::pseudonym).
    pub pseudonym: Hash,
    /// The position of the last event in the chain.
    pub seq: u64,
}

impl Entry {
    /// The content of the leaf, in canonical JSON for a `seq` up to [`INTEGER_MAX`].
    #[must_use]
    pub fn canonical(&self) -> String {
        let Self {
            hash,
            pseudonym,
            seq,
        } = self;
        format!(r#"{{"hash":"{hash}","pseudonym":"{pseudonym}","seq":{seq}}}"#)
    }

    /// The hash of the leaf.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.canonical().as_bytes())
    }
}

/// A batch that was anchored: a leaf of the log. The checkpoint's signature covers it, and so the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The time of the anchoring, in epoch seconds.
    pub at: i64,
    /// The number of entries.
    pub entries: u64,
    /// The root of the batch.
    pub root: Hash,
}

impl LogEntry {
    /// The content of the leaf, in canonical JSON for numbers up to [`INTEGER_MAX`].
    #[must_use]
    pub fn canonical(&self) -> String {
        let Self { at, entries, root } = self;
        format!(r#"{{"at":{at},"entries":{entries},"root":"{root}"}}"#)
    }

    /// The hash of the leaf.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.canonical().as_bytes())
    }
}

/// The entries that are anchored together.
#[derive(Clone, Debug)]
pub struct Batch {
    tree: Tree,
}

impl Batch {
    /// The batch of these entries, in this order.
    #[must_use]
    pub fn new(entries: &[Entry]) -> Self {
        let leaves = entries.iter().map(Entry::leaf).collect();
        Self {
            tree: Tree::new(leaves),
        }
    }

    /// The leaf of the log for this batch, anchored at `at`.
    #[must_use]
    pub fn anchored(&self, at: i64) -> LogEntry {
        LogEntry {
            at,
            entries: self.tree.size(),
            root: self.tree.root(),
        }
    }

    /// The proof that the entry `index` is in the batch, or `None` when there is no such entry.
    #[must_use]
    pub fn proof(&self, index: u64) -> Option<BatchProof> {
        Some(BatchProof {
            size: self.tree.size(),
            root: self.tree.root(),
            index,
            path: self.tree.inclusion(index)?,
        })
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
