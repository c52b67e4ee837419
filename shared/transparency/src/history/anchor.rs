//! The proof that an entry was in the log at a time.

use super::{Entry, INTEGER_MAX, LogEntry};
use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::key::LogKey;
use crate::merkle::verify::{BadProof, inclusion};
use crate::note::{BadNote, Note};
use serde::{Deserialize, Serialize};

/// An entry with all that proves its place in the log. Stands on its own: a verifier needs only the log's name and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The time of the anchoring, in epoch seconds.
    pub at: i64,
    /// The end of the merchant's hash chain.
    pub entry: Entry,
    /// The place of the entry in its batch.
    pub batch: BatchProof,
    /// The place of the batch in the log.
    pub log: LogProof,
    /// The signed note of the log's checkpoint.
    pub checkpoint: String,
}

/// The proof that an entry is in a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchProof {
    /// The number of entries in the batch.
    pub size: u64,
    /// The root of the batch.
    pub root: Hash,
    /// The position of the entry, from 0.
    pub index: u64,
    /// The inclusion proof.
    pub path: Vec<Hash>,
}

/// The proof that a batch is in the log of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProof {
    /// The position of the batch, from 0.
    pub index: u64,
    /// The inclusion proof.
    pub path: Vec<Hash>,
}

/// What a valid [`Anchor`] proves: the merchant's chain had this end at this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The time of the anchoring, in epoch seconds.
    pub at: i64,
    /// The merchant. A verifier who has the salt compares it with [`pseudonym`](crate::pseudonym::pseudonym).
    pub pseudonym: Hash,
    /// The position of the event.
    pub seq: u64,
    /// The hash of the event, and through the chain of all earlier events.
    pub hash: Hash,
    /// The state of the log. A verifier who keeps it can detect later that the log was rewritten.
    pub checkpoint: Checkpoint,
}

/// Why an anchor proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The checkpoint is malformed, or its signature is missing or not valid.
    #[error("the checkpoint is not valid: {0}")]
    Checkpoint(#[from] BadNote),
    /// Canonical JSON would round the number.
    #[error("a number is larger than {INTEGER_MAX}")]
    Number,
    /// The entry or its proof was changed.
    #[error("the entry is not in the batch: {0}")]
    Entry(#[source] BadProof),
    /// The batch, its time or its proof was changed.
    #[error("the batch's root is not in the log: {0}")]
    Batch(#[source] BadProof),
}

impl Anchor {
    /// Verifies the checkpoint's signature by the key of the log `name`, the entry in the batch, and the batch in the log.
    ///
    /// # Errors
    /// When one of them does not hold.
    pub fn verify(&self, name: &str, key: &LogKey) -> Result<Anchored, Broken> {
        let checkpoint = Note::parse(&self.checkpoint)?.verify(name, key)?;
        let Self {
            at, entry, batch, ..
        } = self;
        let numbers = [at.unsigned_abs(), entry.seq, batch.size];
        if numbers.iter().any(|number| *number > INTEGER_MAX) {
            return Err(Broken::Number);
        }
        inclusion(
            &entry.leaf(),
            batch.index,
            batch.size,
            &batch.path,
            &batch.root,
        )
        .map_err(Broken::Entry)?;
        let logged = LogEntry {
            at: *at,
            entries: batch.size,
            root: batch.root,
        };
        inclusion(
            &logged.leaf(),
            self.log.index,
            checkpoint.size,
            &self.log.path,
            &checkpoint.root,
        )
        .map_err(Broken::Batch)?;
        Ok(Anchored {
            at: *at,
            pseudonym: entry.pseudonym,
            seq: entry.seq,
            hash: entry.hash,
            checkpoint,
        })
    }
}
