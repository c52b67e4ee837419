//! The frontier of a tree: the roots of its largest perfect subtrees. It is all that appending a leaf needs.

use super::{Node, empty_root, joined, node_hash, plan};
use crate::hash::Hash;

/// The right edge of a tree: its size and the hashes of [`nodes`]. At most 64 hashes, one for each bit of the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

/// The nodes of the frontier of a tree with `size` leaves, from left to right.
#[must_use]
pub fn nodes(size: u64) -> Vec<Node> {
    plan::perfect(0, size)
}

impl Frontier {
    /// The frontier of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A stored frontier. `None` when a tree of this size has another number of hashes.
    #[must_use]
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let expected = size.count_ones() as usize;
        (hashes.len() == expected).then_some(Self { size, hashes })
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of [`nodes`], from left to right.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        joined(&self.hashes).unwrap_or_else(empty_root)
    }

    /// Appends a leaf. Returns the perfect subtrees that are now complete, from the leaf upwards; a log that stores them can
    /// prove inclusion and consistency without its leaves (see [`plan::Plan`]).
    ///
    /// Returns `None`, and appends nothing, when the tree has 2^64 - 1 leaves.
    pub fn push(&mut self, leaf: Hash) -> Option<Vec<(Node, Hash)>> {
        let size = self.size.checked_add(1)?;
        let mut hash = leaf;
        let mut node = Node {
            level: 0,
            index: self.size,
        };
        let mut complete = vec![(node, hash)];
        for _ in 0..self.size.trailing_ones() {
            let left = self.hashes.pop()?;
            hash = node_hash(&left, &hash);
            node = Node {
                level: node.level + 1,
                index: node.index >> 1,
            };
            complete.push((node, hash));
        }
        self.hashes.push(hash);
        self.size = size;
        Some(complete)
    }
}
