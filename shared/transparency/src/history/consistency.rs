//! The proof that the log only grew between two checkpoints.

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::merkle::verify::{BadProof, consistency};
use serde::{Deserialize, Serialize};

/// The proof that the log of a newer checkpoint begins with the log of an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// The size of the older log.
    pub from_size: u64,
    /// The size of the newer log.
    pub to_size: u64,
    /// The consistency proof. Empty when the sizes are equal, and when the older log is empty.
    pub path: Vec<Hash>,
}

/// Why the newer checkpoint does not continue the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    /// The checkpoints have different origins.
    #[error("the checkpoints are from different logs")]
    OtherLog,
    /// The log was rolled back, or the newer checkpoint is an old one.
    #[error("the log was rolled back: it had {older} batches and now has {newer}")]
    RolledBack {
        /// The size of the older checkpoint, which the auditor kept.
        older: u64,
        /// The size of the newer checkpoint.
        newer: u64,
    },
    /// Two checkpoints of one size have different roots. Both are signed, so this proves that the log was forked.
    #[error("the log was forked: it had two different states with {size} batches")]
    Forked {
        /// The size of both checkpoints.
        size: u64,
    },
    /// The proof is for other checkpoints.
    #[error("the proof is for other sizes than those of the checkpoints")]
    OtherSizes,
    /// The proof fails: it was changed, or the log was forked.
    #[error("the newer log does not begin with the older one: {0}")]
    NotContinued(#[source] BadProof),
}

impl Consistency {
    /// Verifies that `newer` continues `older`. Both must come from [`Note::verify`](crate::note::Note::verify); an auditor
    /// keeps the older one.
    ///
    /// # Errors
    /// When `newer` does not continue `older`, or the proof does not show it.
    pub fn verify(&self, older: &Checkpoint, newer: &Checkpoint) -> Result<(), Inconsistent> {
        if older.origin != newer.origin {
            return Err(Inconsistent::OtherLog);
        }
        if older.size > newer.size {
            return Err(Inconsistent::RolledBack {
                older: older.size,
                newer: newer.size,
            });
        }
        if older.size == newer.size && older.root != newer.root {
            return Err(Inconsistent::Forked { size: older.size });
        }
        if (self.from_size, self.to_size) != (older.size, newer.size) {
            return Err(Inconsistent::OtherSizes);
        }
        let older = (older.size, &older.root);
        let newer = (newer.size, &newer.root);
        consistency(older, newer, &self.path).map_err(Inconsistent::NotContinued)
    }
}
