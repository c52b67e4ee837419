//! Verification of proofs: the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.

use super::{empty_root, node_hash};
use crate::hash::Hash;

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// The index is not below the size, or the older tree is larger than the newer one.
    #[error("the tree is too small for this proof")]
    OutOfRange,
    /// A proof for these sizes has another number of hashes.
    #[error("the proof has too few or too many hashes")]
    Length,
    /// The proof leads to another root than the tree has.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// Verifies that the leaf with the hash `leaf` has the position `index` in the tree with this size and root.
///
/// # Errors
/// When the proof does not show it.
pub fn inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof::OutOfRange);
    }
    // The names of the RFC: the positions of the current node and of the last node, at the current level.
    let (mut f, mut s) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if s == 0 {
            return Err(BadProof::Length);
        }
        if is_right(f) || f == s {
            hash = node_hash(sibling, &hash);
            skip_missing_siblings(&mut f, &mut s);
        } else {
            hash = node_hash(&hash, sibling);
        }
        f >>= 1;
        s >>= 1;
    }
    if s != 0 {
        return Err(BadProof::Length);
    }
    if hash != *root {
        return Err(BadProof::OtherRoot);
    }
    Ok(())
}

/// Verifies that the tree with the size `to` and the root `to_root` begins with the tree of `from` and `from_root`.
///
/// The proof must be empty when the sizes are equal, and when `from` is 0.
///
/// # Errors
/// When the proof does not show it.
pub fn consistency(
    (from, from_root): (u64, &Hash),
    (to, to_root): (u64, &Hash),
    path: &[Hash],
) -> Result<(), BadProof> {
    if from > to {
        return Err(BadProof::OutOfRange);
    }
    if from == to || from == 0 {
        let expected = if from == to { *to_root } else { empty_root() };
        return match path {
            [] if *from_root == expected => Ok(()),
            [] => Err(BadProof::OtherRoot),
            _ => Err(BadProof::Length),
        };
    }
    // When the older tree is perfect, its root is the first hash, and the proof omits it.
    let (first, path) = match path.split_first() {
        _ if from.is_power_of_two() => (from_root, path),
        Some((first, rest)) => (first, rest),
        None => return Err(BadProof::Length),
    };
    let (mut f, mut s) = (from - 1, to - 1);
    let levels = f.trailing_ones(); // at most 63, because `from` is less than 2^64 - 1
    f >>= levels;
    s >>= levels;
    let (mut older, mut newer) = (*first, *first);
    for sibling in path {
        if s == 0 {
            return Err(BadProof::Length);
        }
        if is_right(f) || f == s {
            older = node_hash(sibling, &older);
            newer = node_hash(sibling, &newer);
            skip_missing_siblings(&mut f, &mut s);
        } else {
            newer = node_hash(&newer, sibling);
        }
        f >>= 1;
        s >>= 1;
    }
    if s != 0 {
        return Err(BadProof::Length);
    }
    if older != *from_root || newer != *to_root {
        return Err(BadProof::OtherRoot);
    }
    Ok(())
}

const fn is_right(position: u64) -> bool {
    position & 1 == 1
}

/// Goes up to the level at which the last node is a right child: below it, the node has no sibling.
const fn skip_missing_siblings(f: &mut u64, s: &mut u64) {
    while !is_right(*f) && *f != 0 {
        *f >>= 1;
        *s >>= 1;
    }
}
