//! The plan of a proof: the nodes whose hashes it needs.
//!
//! A log that stores the hash of each perfect subtree reads only these nodes, at most a few per level.

use super::{Node, joined, split};
use crate::hash::Hash;

/// The nodes that a proof needs. Each hash of the proof is computed from one or more nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    parts: Vec<Vec<Node>>,
}

impl Plan {
    /// The plan of the inclusion proof of the leaf `index` in a tree of `size` leaves. `None` when there is no such leaf.
    #[must_use]
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let (mut start, mut len) = (0, size);
        let mut parts = Vec::new();
        while let Some(left) = split(len) {
            if index - start < left {
                parts.push(perfect(start + left, len - left));
                len = left;
            } else {
                parts.push(perfect(start, left));
                start += left;
                len -= left;
            }
        }
        parts.reverse();
        Some(Self { parts })
    }

    /// The plan of the proof that a tree of `to` leaves begins with the tree of `from` leaves. `None` when `from` is larger.
    ///
    /// The proof is empty when the sizes are equal, and when `from` is 0.
    #[must_use]
    pub fn consistency(from: u64, to: u64) -> Option<Self> {
        if from > to {
            return None;
        }
        let mut parts = Vec::new();
        if from == 0 {
            return Some(Self { parts });
        }
        let (mut start, mut len) = (0, to);
        // The leaves of the older tree end here; the current subtree begins at `start`.
        while from - start < len {
            let Some(left) = split(len) else { break };
            if from - start <= left {
                parts.push(perfect(start + left, len - left));
                len = left;
            } else {
                parts.push(perfect(start, left));
                start += left;
                len -= left;
            }
        }
        // The verifier knows the root of the older tree, but not that of a part of it.
        if start > 0 {
            parts.push(perfect(start, len));
        }
        parts.reverse();
        Some(Self { parts })
    }

    /// The nodes to read.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.parts.iter().flatten().copied()
    }

    /// The proof, from the hashes of the nodes. `None` when `hash` does not know one of [`Self::nodes`].
    pub fn path(&self, hash: impl Fn(Node) -> Option<Hash>) -> Option<Vec<Hash>> {
        let parts = self.parts.iter().map(|nodes| {
            let hashes = nodes.iter().map(|node| hash(*node));
            joined(&hashes.collect::<Option<Vec<_>>>()?)
        });
        parts.collect()
    }
}

/// The perfect subtrees, from left to right, of the subtree with `len` leaves from `start`.
///
/// `start` must be a multiple of a power of two that is at least `len`, as for every subtree of the RFC.
pub(super) fn perfect(start: u64, len: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let (mut start, mut rest) = (start, len);
    while let Some(level) = rest.checked_ilog2() {
        nodes.push(Node {
            level: level as u8, // at most 63
            index: start >> level,
        });
        start += 1 << level;
        rest -= 1 << level;
    }
    nodes
}
