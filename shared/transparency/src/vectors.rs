//! Vectors of another implementation: `vectors.py` computes a log, its checkpoints and all proofs.

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::history::anchor::{Anchor, LogProof};
use crate::history::consistency::Consistency;
use crate::history::{Batch, Entry, LogEntry};
use crate::key::LogKey;
use crate::merkle::Tree;
use crate::merkle::frontier::Frontier;
use crate::note::Note;
use crate::pseudonym::pseudonym;
use serde::Deserialize;

/// The content of `vectors.json`.
#[derive(Deserialize)]
pub struct Vectors {
    pub name: String,
    key: String,
    merchants: Vec<Merchant>,
    pub batches: Vec<AnchoredBatch>,
    pub checkpoints: Vec<String>,
    pub anchors: Vec<Anchor>,
    pub consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
struct Merchant {
    id: String,
    salt: Hash,
    pseudonym: Hash,
}

#[derive(Deserialize)]
pub struct AnchoredBatch {
    pub at: i64,
    pub entries: Vec<Entry>,
}

impl Vectors {
    pub fn read() -> Self {
        serde_json::from_str(include_str!("vectors.json")).unwrap()
    }

    pub fn key(&self) -> LogKey {
        LogKey::from_pem(&self.key).unwrap()
    }

    pub fn checkpoint(&self, size: usize) -> Checkpoint {
        let note = Note::parse(&self.checkpoints[size]).unwrap();
        note.verify(&self.name, &self.key()).unwrap()
    }

    /// The leaves of the log, computed by this crate.
    pub fn log(&self) -> Vec<Hash> {
        let leaf = |batch: &AnchoredBatch| Batch::new(&batch.entries).anchored(batch.at).leaf();
        self.batches.iter().map(leaf).collect()
    }
}

#[test]
fn pseudonyms_match_the_other_implementation() {
    for Merchant {
        id,
        salt,
        pseudonym: expected,
    } in Vectors::read().merchants
    {
        assert_eq!(pseudonym(&salt.0, &id), expected);
    }
}

#[test]
fn checkpoints_of_the_other_implementation_verify() {
    let vectors = Vectors::read();
    let mut frontier = Frontier::new();
    let mut leaves = vectors.log().into_iter();
    for (size, note) in vectors.checkpoints.iter().enumerate() {
        let checkpoint = vectors.checkpoint(size);
        assert_eq!(checkpoint.size, size as u64);
        assert_eq!(checkpoint.root, frontier.root());
        assert_eq!(&Note::parse(note).unwrap().to_string(), note);
        if let Some(leaf) = leaves.next() {
            frontier.push(leaf).unwrap();
        }
    }
}

#[test]
fn anchors_match_the_other_implementation() {
    let vectors = Vectors::read();
    let log = Tree::new(vectors.log());
    let checkpoint = vectors.checkpoints.last().unwrap();
    let mut anchors = vectors.anchors.iter();
    for (number, AnchoredBatch { at, entries }) in (0..).zip(&vectors.batches) {
        let batch = Batch::new(entries);
        for (index, entry) in (0..).zip(entries) {
            let expected = Anchor {
                at: *at,
                entry: entry.clone(),
                batch: batch.proof(index).unwrap(),
                log: LogProof {
                    index: number,
                    path: log.inclusion(number).unwrap(),
                },
                checkpoint: checkpoint.clone(),
            };
            assert_eq!(anchors.next(), Some(&expected));
        }
    }
    assert_eq!(anchors.next(), None);
    for anchor in &vectors.anchors {
        let anchored = anchor.verify(&vectors.name, &vectors.key()).unwrap();
        assert_eq!(anchored.at, anchor.at);
        assert_eq!(anchored.pseudonym, anchor.entry.pseudonym);
        assert_eq!(anchored.seq, anchor.entry.seq);
        assert_eq!(anchored.hash, anchor.entry.hash);
        assert_eq!(anchored.checkpoint, vectors.checkpoint(4));
    }
}

#[test]
fn consistency_matches_the_other_implementation() {
    let vectors = Vectors::read();
    let log = vectors.log();
    for proof in &vectors.consistency {
        let (from, to) = (proof.from_size as usize, proof.to_size as usize);
        let tree = Tree::new(log[..to].to_vec());
        assert_eq!(tree.consistency(proof.from_size).unwrap(), proof.path);
        let (older, newer) = (vectors.checkpoint(from), vectors.checkpoint(to));
        assert_eq!(proof.verify(&older, &newer), Ok(()));
    }
}

#[test]
fn leaves_are_canonical_json() {
    let vectors = Vectors::read();
    let AnchoredBatch { at, entries } = &vectors.batches[1];
    let jcs = serde_json_canonicalizer::to_string(&entries[0]).unwrap();
    assert_eq!(entries[0].canonical(), jcs);
    for at in [*at, 0, -1, (1 << 53) - 1] {
        let logged: LogEntry = Batch::new(entries).anchored(at);
        let jcs = serde_json_canonicalizer::to_string(&logged).unwrap();
        assert_eq!(logged.canonical(), jcs);
    }
}
