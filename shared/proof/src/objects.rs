//! The objects of the log: keys and contents, all in canonical JSON (RFC 8785).
//!
//! | key | content | written |
//! |---|---|---|
//! | `batch/<root>` | the entries of a batch | before its leaf |
//! | `index/<pseudonym>/<seq>/<leaf>/<root>` | a merchant's entries in a batch, with their positions | before the leaf |
//! | `leaf/<index>` | a leaf of the log: time, size and root of a batch | once: it appends the batch |
//! | `checkpoint/<size>` | the signed checkpoint, and the hashes that this leaf completed | after the leaf |
//!
//! No object changes. `batch` and `index` are named by the root of their batch, so a run that loses the race for a leaf
//! leaves objects behind that no leaf names; readers skip them. A merchant's index objects sort by the highest `seq` in them.
//!
//! A perfect subtree of the log is complete from one size on, and the checkpoint of this size has its hash. A proof therefore
//! reads a logarithmic number of checkpoints, and needs no objects of its own for the tree.

use serde::{Deserialize, Serialize};
use transparency::checkpoint::Checkpoint;
use transparency::hash::Hash;
use transparency::history::{Entry, LogEntry};
use transparency::key::LogKey;
use transparency::merkle::Node;
use transparency::merkle::frontier::Frontier;
use transparency::note::{BadNote, Note};

/// The key of a batch's entries.
#[must_use]
pub fn batch_key(root: &Hash) -> String {
    format!("batch/{root}")
}

/// The key of the leaf at a position of the log.
#[must_use]
pub fn leaf_key(index: u64) -> String {
    format!("leaf/{index:012}")
}

/// The key of the checkpoint for a size of the log.
#[must_use]
pub fn checkpoint_key(size: u64) -> String {
    format!("checkpoint/{size:012}")
}

/// The prefix of a merchant's index objects.
#[must_use]
pub fn index_prefix(pseudonym: &Hash) -> String {
    format!("index/{pseudonym}/")
}

/// The place of a merchant's entries in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexKey {
    /// The merchant.
    pub pseudonym: Hash,
    /// The highest `seq` of the merchant in the batch.
    pub seq: u64,
    /// The position of the batch, if the log has a leaf with this root there.
    pub leaf: u64,
    /// The root of the batch.
    pub root: Hash,
}

impl IndexKey {
    /// The key of the object.
    #[must_use]
    pub fn key(&self) -> String {
        let prefix = index_prefix(&self.pseudonym);
        format!("{prefix}{:016}/{:012}/{}", self.seq, self.leaf, self.root)
    }

    /// Reads a key. `None` for another object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("index/")?.split('/');
        let parsed = Self {
            pseudonym: parts.next()?.parse().ok()?,
            seq: parts.next()?.parse().ok()?,
            leaf: parts.next()?.parse().ok()?,
            root: parts.next()?.parse().ok()?,
        };
        (parsed.key() == key).then_some(parsed)
    }
}

/// An entry of an index object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The hash of the event.
    pub hash: Hash,
    /// The position in the batch.
    pub index: u64,
    /// The position of the event in the merchant's history.
    pub seq: u64,
}

/// The content of a batch.
#[must_use]
pub fn batch_content(entries: &[Entry]) -> String {
    let entries: Vec<String> = entries.iter().map(Entry::canonical).collect();
    format!("[{}]", entries.join(","))
}

/// The content of an index object.
#[must_use]
pub fn index_content(entries: &[IndexEntry]) -> String {
    let entries = entries.iter().map(|entry| {
        let IndexEntry { hash, index, seq } = entry;
        format!(r#"{{"hash":"{hash}","index":{index},"seq":{seq}}}"#)
    });
    let entries: Vec<String> = entries.collect();
    format!("[{}]", entries.join(","))
}

/// Reads a leaf.
///
/// # Errors
/// When the object is not the canonical form of a leaf.
pub fn read_leaf(content: &[u8]) -> Result<LogEntry, BadObject> {
    let leaf: LogEntry = serde_json::from_slice(content).map_err(|_| BadObject::Form)?;
    if leaf.canonical().as_bytes() != content {
        return Err(BadObject::Form);
    }
    Ok(leaf)
}

/// Why an object of the log is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// Not the JSON of such an object.
    #[error("the object is malformed")]
    Form,
    /// The checkpoint is not signed by the log's key.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// The checkpoint is for another size than the key of the object.
    #[error("the checkpoint has another size")]
    Size,
    /// The hashes do not lead to the checkpoint's root.
    #[error("the hashes do not lead to the checkpoint's root")]
    Root,
}

/// The content of a checkpoint's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCheckpoint {
    /// The frontier of the log, from left to right.
    pub frontier: Vec<Hash>,
    /// The last leaf.
    pub leaf: LogEntry,
    /// The perfect subtrees that the last leaf completed, from the leaf upwards.
    pub nodes: Vec<Hash>,
    /// The signed note.
    pub note: String,
}

/// A verified state of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its signed note.
    pub note: String,
    /// The frontier, to append the next leaf.
    pub frontier: Frontier,
    /// The time of the last leaf.
    pub at: i64,
}

impl StoredCheckpoint {
    /// The content of the object.
    #[must_use]
    pub fn content(&self) -> String {
        // The members are sorted, and none of these types can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an object. Verifies nothing.
    ///
    /// # Errors
    /// When it is not such an object.
    pub fn read(content: &[u8]) -> Result<Self, BadObject> {
        serde_json::from_slice(content).map_err(|_| BadObject::Form)
    }

    /// The subtrees that the last leaf of a log with `size` leaves completed, with their hashes.
    pub fn completed(&self, size: u64) -> impl Iterator<Item = (Node, Hash)> {
        // The leaf `size - 1` is the last one in each of them.
        let levels = (0..64_u8).zip(&self.nodes);
        levels.filter_map(move |(level, hash)| {
            let index = size.checked_sub(1)? >> level;
            let node = Node { level, index };
            (completed_at(node)? == size).then_some((node, *hash))
        })
    }

    /// Verifies the signature of the log `name`, the size, and that the frontier leads to the signed root.
    ///
    /// # Errors
    /// When one of them does not hold.
    pub fn verify(self, size: u64, name: &str, key: &LogKey) -> Result<Head, BadObject> {
        let checkpoint = Note::parse(&self.note)?.verify(name, key)?;
        if checkpoint.size != size {
            return Err(BadObject::Size);
        }
        let frontier = Frontier::from_parts(size, self.frontier).ok_or(BadObject::Root)?;
        let is_last = self.nodes.last() == frontier.hashes().last();
        let is_leaf = self.nodes.first() == Some(&self.leaf.leaf());
        if frontier.root() != checkpoint.root || !is_last || !is_leaf {
            return Err(BadObject::Root);
        }
        Ok(Head {
            checkpoint,
            note: self.note,
            frontier,
            at: self.leaf.at,
        })
    }
}

/// The size of the log from which on a subtree is complete.
#[must_use]
pub fn completed_at(node: Node) -> Option<u64> {
    let end = node.index.checked_add(1)?;
    end.checked_mul(1_u64.checked_shl(u32::from(node.level))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transparency::merkle::leaf_hash;

    fn hash(text: &str) -> Hash {
        leaf_hash(text.as_bytes())
    }

    #[test]
    fn index_key_is_read() {
        let key = IndexKey {
            pseudonym: hash("merchant"),
            seq: 7,
            leaf: 42,
            root: hash("root"),
        };
        let text = key.key();
        assert_eq!(IndexKey::parse(&text), Some(key));
        assert!(text.contains("/0000000000000007/000000000042/"), "{text}");
        for other in [
            &text[1..],
            &text.to_uppercase(),
            "index/",
            &format!("{text}/more"),
            &text.replace("/000000000042/", "/42/"),
        ] {
            assert_eq!(IndexKey::parse(other), None, "{other}");
        }
    }

    #[test]
    fn contents_are_canonical_json() {
        let entry = Entry {
            hash: hash("event"),
            pseudonym: hash("merchant"),
            seq: 3,
        };
        let batch = batch_content(&[entry.clone(), entry.clone()]);
        let read: Vec<Entry> = serde_json::from_str(&batch).unwrap();
        assert_eq!(read, [entry.clone(), entry.clone()]);
        let of_index = IndexEntry {
            hash: entry.hash,
            index: 1,
            seq: 3,
        };
        let stored = StoredCheckpoint {
            frontier: vec![hash("a")],
            leaf: LogEntry {
                at: 5,
                entries: 1,
                root: hash("root"),
            },
            nodes: vec![hash("a")],
            note: "log\n1\n\n\u{2014} log x\n".to_owned(),
        };
        assert_eq!(
            StoredCheckpoint::read(stored.content().as_bytes()),
            Ok(stored.clone())
        );
        for content in [batch, index_content(&[of_index]), stored.content()] {
            let value: serde_json::Value = serde_json::from_str(&content).unwrap();
            assert_eq!(domain::history::canonical(&value), content);
        }
    }

    #[test]
    fn leaf_has_one_spelling() {
        let leaf = LogEntry {
            at: 5,
            entries: 1,
            root: hash("root"),
        };
        let text = leaf.canonical();
        assert_eq!(read_leaf(text.as_bytes()), Ok(leaf));
        let spaced = text.replace(',', ", ");
        assert_eq!(read_leaf(spaced.as_bytes()), Err(BadObject::Form));
        assert_eq!(read_leaf(b"{}"), Err(BadObject::Form));
    }

    #[test]
    fn subtree_is_complete_at_its_last_leaf() {
        let at = |level, index| completed_at(Node { level, index });
        assert_eq!(at(0, 0), Some(1));
        assert_eq!(at(0, 6), Some(7));
        assert_eq!(at(2, 1), Some(8));
        assert_eq!(at(63, 0), Some(1 << 63));
        assert_eq!(at(63, 1), None);
        assert_eq!(at(64, 0), None);
        assert_eq!(at(0, u64::MAX), None);
    }
}
