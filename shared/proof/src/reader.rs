//! Reads the log, and builds proofs from its objects.
//!
//! Only the signature of the newest checkpoint is verified. Every proof leads to it, so a changed object makes a proof
//! invalid, and a verifier refuses it.

use crate::export::Proof;
use crate::objects::{
    BadObject, Head, IndexEntry, IndexKey, StoredCheckpoint, batch_key, checkpoint_key,
    completed_at, index_prefix, leaf_key, read_leaf,
};
use application::ports::{PortError, ReadLog};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use transparency::hash::Hash;
use transparency::history::anchor::LogProof;
use transparency::history::consistency::Consistency;
use transparency::history::{Batch, Entry, LogEntry};
use transparency::key::LogKey;
use transparency::merkle::Node;
use transparency::merkle::plan::Plan;

/// A reader of one log.
#[derive(Debug)]
pub struct LogReader<'a, B> {
    bucket: &'a B,
    name: &'a str,
    key: &'a LogKey,
    /// Hashes that were read before. The proofs of a history share most of them.
    nodes: Mutex<HashMap<Node, Hash>>,
}

impl<'a, B: ReadLog> LogReader<'a, B> {
    /// The log `name`, whose checkpoints `key` signs.
    pub fn new(bucket: &'a B, name: &'a str, key: &'a LogKey) -> Self {
        Self {
            bucket,
            name,
            key,
            nodes: Mutex::default(),
        }
    }

    /// The newest checkpoint; `None` for an empty log. `known`: a size that the log has had, or 0.
    ///
    /// No object names the newest checkpoint, because objects never change. The sizes have no gaps, so a search with
    /// doubling and halving steps finds it: one read for a size that is still the newest, and about 2 log2(n) without a
    /// known size. A listing from the first key would read a page for every 1,000 checkpoints.
    ///
    /// # Errors
    /// When the bucket fails, or the newest checkpoint is not a valid one of this log.
    pub async fn newest(&self, known: u64) -> Result<Option<Head>, PortError> {
        let (mut low, mut step, mut found) = (known, 1, None);
        let mut high = loop {
            let size = low.saturating_add(step);
            match self.stored(size).await? {
                Some(stored) => (low, step, found) = (size, step.saturating_mul(2), Some(stored)),
                None => break size,
            }
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.stored(middle).await? {
                Some(stored) => (low, found) = (middle, Some(stored)),
                None => high = middle,
            }
        }
        if found.is_none() && low > 0 {
            found = self.stored(low).await?;
        }
        let Some(stored) = found else {
            return Ok(None);
        };
        let head = stored.verify(low, self.name, self.key);
        head.map(Some).map_err(|bad| refused(low, bad))
    }

    /// The leaf at a position.
    ///
    /// # Errors
    /// When the bucket fails, or the object is malformed.
    pub async fn leaf(&self, index: u64) -> Result<Option<LogEntry>, PortError> {
        let content = self.bucket.get(&leaf_key(index)).await?;
        let leaf = content.map(|content| read_leaf(&content)).transpose();
        leaf.map_err(|bad| refused(index, bad))
    }

    /// The checkpoint's object for a size. Not verified.
    ///
    /// # Errors
    /// When the bucket fails, or the object is malformed.
    pub async fn stored(&self, size: u64) -> Result<Option<StoredCheckpoint>, PortError> {
        let content = self.bucket.get(&checkpoint_key(size)).await?;
        let stored = content
            .map(|content| StoredCheckpoint::read(&content))
            .transpose();
        stored.map_err(|bad| refused(size, bad))
    }

    /// The proof that `head` continues the log with `from` leaves. `None` when `head` has fewer.
    ///
    /// # Errors
    /// When the bucket fails, or lacks an object of the log.
    pub async fn consistency(
        &self,
        from: u64,
        head: &Head,
    ) -> Result<Option<Consistency>, PortError> {
        let Some(plan) = Plan::consistency(from, head.checkpoint.size) else {
            return Ok(None);
        };
        Ok(Some(Consistency {
            from_size: from,
            to_size: head.checkpoint.size,
            path: self.path(&plan).await?,
        }))
    }

    /// The proofs of all anchored events of a merchant, by sequence. When an event was anchored several times, with
    /// whatever hash, the first anchoring counts.
    ///
    /// # Errors
    /// When the bucket fails, or lacks an object of the log.
    pub async fn proofs(&self, pseudonym: &Hash, head: &Head) -> Result<Vec<Proof>, PortError> {
        let mut keys = self.index(pseudonym).await?;
        keys.sort_by_key(|key| key.leaf);
        let mut proofs = BTreeMap::new();
        for key in keys {
            if let Some(leaf) = self.leaf_of(&key, head).await? {
                for proof in self.proofs_of(&key, &leaf, head).await? {
                    proofs.entry(proof.entry.seq).or_insert(proof);
                }
            }
        }
        Ok(proofs.into_values().collect())
    }

    /// The proof of the newest anchored event of a merchant. It reads one batch, however many have events of the merchant.
    ///
    /// # Errors
    /// When the bucket fails, or lacks an object of the log.
    pub async fn newest_proof(
        &self,
        pseudonym: &Hash,
        head: &Head,
    ) -> Result<Option<Proof>, PortError> {
        let mut keys = self.index(pseudonym).await?;
        keys.sort_by_key(|key| (Reverse(key.seq), key.leaf));
        for key in keys {
            if let Some(leaf) = self.leaf_of(&key, head).await? {
                let proofs = self.proofs_of(&key, &leaf, head).await?;
                return Ok(proofs.into_iter().find(|proof| proof.entry.seq == key.seq));
            }
        }
        Ok(None)
    }

    /// The keys of a merchant's index objects.
    async fn index(&self, pseudonym: &Hash) -> Result<Vec<IndexKey>, PortError> {
        let keys = self.bucket.list(&index_prefix(pseudonym)).await?;
        Ok(keys.iter().filter_map(|key| IndexKey::parse(key)).collect())
    }

    /// The leaf of an index object's batch. `None` for an object that is left of a run that lost the race for the leaf, or
    /// did not reach it.
    async fn leaf_of(&self, key: &IndexKey, head: &Head) -> Result<Option<LogEntry>, PortError> {
        let leaf = self.leaf(key.leaf).await?;
        Ok(leaf.filter(|leaf| leaf.root == key.root && key.leaf < head.checkpoint.size))
    }

    /// The proofs of a merchant's entries in one batch.
    async fn proofs_of(
        &self,
        key: &IndexKey,
        leaf: &LogEntry,
        head: &Head,
    ) -> Result<Vec<Proof>, PortError> {
        let index = self.bucket.get(&key.key()).await?;
        let index: Vec<IndexEntry> = parsed(index, "an index object")?;
        let entries = self.bucket.get(&batch_key(&key.root)).await?;
        let entries: Vec<Entry> = parsed(entries, "a batch")?;
        let batch = Batch::new(&entries);
        let plan = Plan::inclusion(key.leaf, head.checkpoint.size);
        let plan = plan.ok_or_else(|| missing("the leaf"))?;
        let log = LogProof {
            index: key.leaf,
            path: self.path(&plan).await?,
        };
        let proofs = index.iter().map(|place| {
            let entry = entries.get(usize::try_from(place.index).ok()?)?;
            Some(Proof {
                at: leaf.at,
                entry: entry.clone(),
                batch: batch.proof(place.index)?,
                log: log.clone(),
            })
        });
        let proofs: Option<Vec<Proof>> = proofs.collect();
        proofs.ok_or_else(|| missing("an entry"))
    }

    /// The hashes of a proof.
    async fn path(&self, plan: &Plan) -> Result<Vec<Hash>, PortError> {
        for node in plan.nodes() {
            if self.known(node).is_none() {
                self.read(node).await?;
            }
        }
        let path = plan.path(|node| self.known(node));
        path.ok_or_else(|| missing("a node"))
    }

    /// Reads the checkpoint that completed a subtree, with all subtrees that it completed.
    async fn read(&self, node: Node) -> Result<(), PortError> {
        let size = completed_at(node).ok_or_else(|| missing("a node"))?;
        let stored = self.stored(size).await?;
        let stored = stored.ok_or_else(|| missing("a checkpoint"))?;
        let mut known = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(stored.completed(size));
        Ok(())
    }

    fn known(&self, node: Node) -> Option<Hash> {
        let known = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&node).copied()
    }
}

fn parsed<T: serde::de::DeserializeOwned>(
    content: Option<Vec<u8>>,
    what: &str,
) -> Result<Vec<T>, PortError> {
    let content = content.ok_or_else(|| missing(what))?;
    serde_json::from_slice(&content).map_err(|_| missing(what))
}

fn missing(what: &str) -> PortError {
    PortError::Permanent("the log", format!("{what} is missing or malformed"))
}

fn refused(number: u64, bad: BadObject) -> PortError {
    PortError::Permanent("the log", format!("object {number}: {bad}"))
}
