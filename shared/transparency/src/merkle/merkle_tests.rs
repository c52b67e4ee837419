use super::frontier::{Frontier, nodes};
use super::verify::{BadProof, consistency, inclusion};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SIZE_MAX: u64 = 40;

/// The leaves of the tests of certificate-transparency.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The root for each number of these leaves, from 1.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(text: &str) -> Hash {
    text.parse().unwrap()
}

fn ct_leaves() -> Vec<Hash> {
    let leaves = LEAVES.iter().map(|leaf| hex::decode(leaf).unwrap());
    leaves.map(|data| leaf_hash(&data)).collect()
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

fn tree(size: u64) -> Tree {
    Tree::new(leaves(size))
}

#[test]
fn roots_match_certificate_transparency() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(root(Vec::new()), hash(empty));
    for (size, expected) in (1..).zip(ROOTS) {
        let leaves = ct_leaves()[..size].to_vec();
        assert_eq!(root(leaves), hash(expected), "{size}");
    }
}

/// The proofs in the tests of certificate-transparency; positions are from 0 here.
#[test]
fn inclusion_proofs_match_certificate_transparency() {
    let path = |index, size: usize| {
        let tree = Tree::new(ct_leaves()[..size].to_vec());
        tree.inclusion(index).unwrap()
    };
    assert_eq!(path(0, 1), []);
    let first_of_eight = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(path(0, 8), first_of_eight.map(hash));
    let last_of_three = ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"];
    assert_eq!(path(2, 3), last_of_three.map(hash));
    let second_of_five = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(path(1, 5), second_of_five.map(hash));
}

#[test]
fn consistency_proofs_match_certificate_transparency() {
    let proof = |from, to: usize| {
        let tree = Tree::new(ct_leaves()[..to].to_vec());
        tree.consistency(from).unwrap()
    };
    assert_eq!(proof(1, 1), []);
    let from_one_to_eight = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(proof(1, 8), from_one_to_eight.map(hash));
    let from_six_to_eight = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(proof(6, 8), from_six_to_eight.map(hash));
    let from_two_to_five = [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    assert_eq!(proof(2, 5), from_two_to_five.map(hash));
}

/// Appending with the frontier gives each root, and its complete subtrees are all that the proofs need.
#[test]
fn frontier_equals_the_whole_tree() {
    let mut frontier = Frontier::new();
    let mut stored = BTreeMap::new();
    for (leaf, size) in leaves(SIZE_MAX).into_iter().zip(1..) {
        stored.extend(frontier.push(leaf).unwrap());
        let whole = tree(size);
        assert_eq!(frontier.size(), size);
        assert_eq!(frontier.root(), whole.root(), "{size}");
        let loaded = nodes(size).into_iter().map(|node| stored[&node]).collect();
        frontier = Frontier::from_parts(size, loaded).unwrap();
        assert_eq!(frontier.root(), whole.root(), "{size}");
        for index in 0..size {
            let plan = Plan::inclusion(index, size).unwrap();
            let path = plan.path(|node| stored.get(&node).copied());
            assert_eq!(path, whole.inclusion(index), "{index} of {size}");
            let plan = Plan::consistency(index, size).unwrap();
            let path = plan.path(|node| stored.get(&node).copied());
            assert_eq!(path, whole.consistency(index), "{index} to {size}");
        }
    }
    assert_eq!(Frontier::new().root(), empty_root());
}

#[test]
fn frontier_of_another_size_is_refused() {
    for size in [1, 2, 3, 7, u64::MAX] {
        let hashes = |number| vec![empty_root(); number];
        let expected = size.count_ones() as usize;
        assert!(Frontier::from_parts(size, hashes(expected)).is_some());
        assert!(Frontier::from_parts(size, hashes(expected - 1)).is_none());
        assert!(Frontier::from_parts(size, hashes(expected + 1)).is_none());
    }
    let mut full = Frontier::from_parts(u64::MAX, vec![empty_root(); 64]).unwrap();
    let before = full.clone();
    assert_eq!(full.push(empty_root()), None);
    assert_eq!(full, before);
}

#[test]
fn every_inclusion_proof_verifies() {
    for size in 0..=SIZE_MAX {
        let tree = tree(size);
        let root = tree.root();
        for (leaf, index) in leaves(size).iter().zip(0..) {
            let path = tree.inclusion(index).unwrap();
            let verify = |index, size| inclusion(leaf, index, size, &path, &root);
            assert_eq!(verify(index, size), Ok(()), "{index} of {size}");
            for other in (0..=size).filter(|other| *other != index) {
                assert!(verify(other, size).is_err(), "{index} as {other} of {size}");
            }
        }
        assert_eq!(tree.inclusion(size), None);
    }
}

#[test]
fn every_consistency_proof_verifies() {
    for to in 0..=SIZE_MAX {
        let newer = tree(to);
        for from in 0..=to {
            let older = tree(from).root();
            let path = newer.consistency(from).unwrap();
            let verify =
                |from, root, path: &[Hash]| consistency((from, &root), (to, &newer.root()), path);
            assert_eq!(verify(from, older, &path), Ok(()), "{from} to {to}");
            let fork = leaf_hash(b"fork");
            assert!(verify(from, fork, &path).is_err(), "{from} to {to}");
            for other in (0..=to + 1).filter(|other| *other != from) {
                assert!(verify(other, older, &path).is_err(), "{from} as {other}");
            }
        }
        assert_eq!(newer.consistency(to + 1), None);
    }
}

#[test]
fn extreme_sizes_are_refused_without_panic() {
    let one = empty_root();
    let path = vec![one; 64];
    for size in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
        for index in [0, 1, 1 << 63, u64::MAX - 1, u64::MAX] {
            for len in [0, 1, 62, 63, 64] {
                let _ = inclusion(&one, index, size, &path[..len], &one);
                let _ = consistency((index, &one), (size, &one), &path[..len]);
            }
            assert_eq!(Plan::inclusion(index, size).is_some(), index < size);
            assert_eq!(Plan::consistency(index, size).is_some(), index <= size);
        }
    }
    let size = u64::MAX;
    let refused = inclusion(&one, size, size, &path, &one);
    assert_eq!(refused, Err(BadProof::OutOfRange));
    let refused = consistency((size, &one), (size - 1, &one), &path);
    assert_eq!(refused, Err(BadProof::OutOfRange));
    assert_eq!(Plan::inclusion(size - 1, size).unwrap().nodes().count(), 63);
}

/// A change to a proof.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, usize, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, [u8; 32]),
    Swap(prop::sample::Index, prop::sample::Index),
}

impl Change {
    /// The changed proof, or `None` when the change makes no difference.
    fn apply(&self, path: &[Hash]) -> Option<Vec<Hash>> {
        let mut changed = path.to_vec();
        match self {
            _ if path.is_empty() => changed.push(empty_root()),
            Self::Flip(at, byte, mask) => changed[at.index(path.len())].0[*byte] ^= mask,
            Self::Remove(at) => drop(changed.remove(at.index(path.len()))),
            Self::Insert(at, hash) => changed.insert(at.index(path.len() + 1), Hash(*hash)),
            Self::Swap(one, other) => {
                changed.swap(one.index(path.len()), other.index(path.len()));
            }
        }
        (changed != path).then_some(changed)
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0..32_usize, 1..=u8::MAX).prop_map(|(at, byte, mask)| Change::Flip(at, byte, mask)),
        at().prop_map(Change::Remove),
        (at(), any::<[u8; 32]>()).prop_map(|(at, hash)| Change::Insert(at, hash)),
        (at(), at()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

proptest! {
    #[test]
    fn changed_proof_is_refused(
        (size, index) in (1..=200_u64).prop_flat_map(|size| (Just(size), 0..size)),
        change in any_change(),
    ) {
        let (tree, leaves) = (tree(size), leaves(size));
        let leaf = leaves[index as usize];
        let path = tree.inclusion(index).unwrap();
        prop_assert_eq!(inclusion(&leaf, index, size, &path, &tree.root()), Ok(()));
        if let Some(changed) = change.apply(&path) {
            prop_assert!(inclusion(&leaf, index, size, &changed, &tree.root()).is_err());
        }
        let older = Tree::new(leaves[..index as usize].to_vec()).root();
        let path = tree.consistency(index).unwrap();
        let verify = |path: &[Hash]| consistency((index, &older), (size, &tree.root()), path);
        prop_assert_eq!(verify(&path), Ok(()));
        if let Some(changed) = change.apply(&path) {
            prop_assert!(verify(&changed).is_err());
        }
    }

    #[test]
    fn other_leaf_or_root_is_refused(
        (size, index) in (1..=200_u64).prop_flat_map(|size| (Just(size), 0..size)),
        byte in 0..32_usize,
        mask in 1..=u8::MAX,
    ) {
        let (tree, leaves) = (tree(size), leaves(size));
        let leaf = leaves[index as usize];
        let path = tree.inclusion(index).unwrap();
        let other = |hash: Hash| {
            let mut bytes = hash.0;
            bytes[byte] ^= mask;
            Hash(bytes)
        };
        let root = tree.root();
        let refused = Err(BadProof::OtherRoot);
        prop_assert_eq!(inclusion(&other(leaf), index, size, &path, &root), refused);
        prop_assert_eq!(inclusion(&leaf, index, size, &path, &other(root)), refused);
    }

    #[test]
    fn frontier_of_any_leaves_has_their_root(leaves in prop::collection::vec(any::<[u8; 32]>(), 0..300)) {
        let leaves: Vec<Hash> = leaves.into_iter().map(Hash).collect();
        let mut frontier = Frontier::new();
        for leaf in &leaves {
            frontier.push(*leaf).unwrap();
        }
        prop_assert_eq!(frontier.root(), root(leaves));
    }
}
