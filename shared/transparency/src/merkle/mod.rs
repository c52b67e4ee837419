//! Merkle trees over SHA-256 as in RFC 9162, section 2.1. The hashes are those of RFC 6962.
//!
//! - [`Tree`]: all hashes of a tree in memory
//! - [`frontier`]: appends to a tree of which only the right edge is known
//! - [`plan`]: which stored hashes a proof needs
//! - [`verify`]: verification of proofs
//!
//! Every function is total: an index or size out of range gives `None` or an error.

pub mod frontier;
pub mod plan;
pub mod verify;

use crate::hash::Hash;
use plan::Plan;

/// The position of a perfect subtree. It covers the leaves from `index << level` to `((index + 1) << level) - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// The height of the subtree; 0 is a leaf.
    pub level: u8,
    /// The number of subtrees of this height to the left.
    pub index: u64,
}

/// The hash of a leaf with the content `data`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash::of(&[&[0], data])
}

/// The hash of a node with two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree without leaves: the hash of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Hash::of(&[])
}

/// The root of the tree with these leaf hashes.
#[must_use]
pub fn root(leaves: Vec<Hash>) -> Hash {
    Tree::new(leaves).root()
}

/// A tree in memory. Building it computes each hash once; a proof then takes logarithmic time.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The hashes of all perfect subtrees, by level.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree with these leaf hashes.
    #[must_use]
    pub fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let (pairs, _) = level.as_chunks();
            let parents = pairs.iter().map(|[left, right]| node_hash(left, right));
            let parents = parents.collect();
            levels.push(std::mem::replace(&mut level, parents));
        }
        levels.push(level);
        Self { levels }
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The hash of a perfect subtree.
    #[must_use]
    pub fn node(&self, node: Node) -> Option<Hash> {
        let level = self.levels.get(usize::from(node.level))?;
        level.get(usize::try_from(node.index).ok()?).copied()
    }

    /// The root (`MTH` in the RFC).
    #[must_use]
    pub fn root(&self) -> Hash {
        let nodes = frontier::nodes(self.size());
        let hashes: Vec<Hash> = nodes.into_iter().filter_map(|at| self.node(at)).collect();
        joined(&hashes).unwrap_or_else(empty_root)
    }

    /// The inclusion proof of the leaf `index` (`PATH` in the RFC), or `None` when there is no such leaf.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        Plan::inclusion(index, self.size())?.path(|node| self.node(node))
    }

    /// The proof that this tree begins with the first `from` leaves (`PROOF` in the RFC), or `None` when it has fewer.
    #[must_use]
    pub fn consistency(&self, from: u64) -> Option<Vec<Hash>> {
        Plan::consistency(from, self.size())?.path(|node| self.node(node))
    }
}

/// The root of neighbouring perfect subtrees, from left to right, each smaller than the one before.
fn joined(hashes: &[Hash]) -> Option<Hash> {
    let hashes = hashes.iter().copied().rev();
    hashes.reduce(|right, left| node_hash(&left, &right))
}

/// The number of leaves in the left subtree of a tree: the largest power of two below `size`. `None` for a leaf.
fn split(size: u64) -> Option<u64> {
    let level = size.checked_sub(1)?.checked_ilog2()?;
    Some(1 << level)
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
