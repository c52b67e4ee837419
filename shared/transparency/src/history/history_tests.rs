use super::anchor::{Anchor, Anchored, Broken};
use super::consistency::{Consistency, Inconsistent};
use super::*;
use crate::merkle::verify::BadProof;
use crate::note::BadNote;
use crate::vectors::Vectors;
use serde_json::Value;

fn vectors() -> (Vectors, Anchor) {
    let vectors = Vectors::read();
    let anchor = vectors.anchors[3].clone();
    (vectors, anchor)
}

fn other() -> Hash {
    leaf_hash(b"other")
}

#[test]
fn changed_entry_is_not_in_the_batch() {
    let (vectors, anchor) = vectors();
    let refused = |change: fn(&mut Anchor)| {
        let mut changed = anchor.clone();
        change(&mut changed);
        changed.verify(&vectors.name, &vectors.key()).unwrap_err()
    };
    let other_root = Broken::Entry(BadProof::OtherRoot);
    assert_eq!(refused(|anchor| anchor.entry.seq += 1), other_root);
    assert_eq!(refused(|anchor| anchor.entry.hash = other()), other_root);
    assert_eq!(
        refused(|anchor| anchor.entry.pseudonym = other()),
        other_root
    );
    assert_eq!(refused(|anchor| anchor.batch.root = other()), other_root);
    assert_eq!(refused(|anchor| anchor.batch.index = 0), other_root);
    let length = Broken::Entry(BadProof::Length);
    assert_eq!(refused(|anchor| anchor.batch.path.clear()), length);
    let out_of_range = Broken::Entry(BadProof::OutOfRange);
    assert_eq!(refused(|anchor| anchor.batch.index = 5), out_of_range);
}

#[test]
fn changed_batch_is_not_in_the_log() {
    let (vectors, anchor) = vectors();
    let refused = |change: fn(&mut Anchor)| {
        let mut changed = anchor.clone();
        change(&mut changed);
        changed.verify(&vectors.name, &vectors.key()).unwrap_err()
    };
    let other_root = Broken::Batch(BadProof::OtherRoot);
    assert_eq!(refused(|anchor| anchor.at -= 1), other_root);
    assert_eq!(refused(|anchor| anchor.log.index = 0), other_root);
    let length = Broken::Batch(BadProof::Length);
    assert_eq!(refused(|anchor| anchor.log.path.push(other())), length);
    let out_of_range = Broken::Batch(BadProof::OutOfRange);
    assert_eq!(refused(|anchor| anchor.log.index = 4), out_of_range);
    // A batch of other entries, with a valid proof of its own.
    let forged = |anchor: &mut Anchor| {
        anchor.entry.hash = other();
        anchor.batch = Batch::new(std::slice::from_ref(&anchor.entry))
            .proof(0)
            .unwrap();
    };
    assert_eq!(refused(forged), other_root);
}

#[test]
fn anchor_needs_the_signature_of_the_log() {
    let (vectors, mut anchor) = vectors();
    let not_signed = Err(Broken::Checkpoint(BadNote::NotSigned));
    assert_eq!(anchor.verify("other.example", &vectors.key()), not_signed);
    anchor.checkpoint = anchor.checkpoint.replacen("\n4\n", "\n3\n", 1);
    let refused = anchor.verify(&vectors.name, &vectors.key());
    assert_eq!(refused, Err(Broken::Checkpoint(BadNote::BadSignature)));
    let reason = refused.unwrap_err().to_string();
    let expected = "the checkpoint is not valid: the signature of the log's key is not valid";
    assert_eq!(reason, expected);
}

#[test]
fn numbers_that_json_rounds_are_refused() {
    let (vectors, anchor) = vectors();
    let refused = |change: fn(&mut Anchor)| {
        let mut changed = anchor.clone();
        change(&mut changed);
        changed.verify(&vectors.name, &vectors.key())
    };
    let number: Result<Anchored, _> = Err(Broken::Number);
    assert_eq!(refused(|anchor| anchor.entry.seq = INTEGER_MAX + 1), number);
    assert_eq!(
        refused(|anchor| anchor.batch.size = INTEGER_MAX + 1),
        number
    );
    assert_eq!(refused(|anchor| anchor.at = i64::MIN), number);
}

/// Changes each text and number of an anchor's JSON in turn.
#[test]
fn no_member_of_an_anchor_can_be_changed() {
    let (vectors, anchor) = vectors();
    let json = serde_json::to_value(&anchor).unwrap();
    let mut pointers = Vec::new();
    collect_scalars(&json, String::new(), &mut pointers);
    assert_eq!(pointers.len(), 14);
    for pointer in pointers {
        let mut changed = json.clone();
        let member = changed.pointer_mut(&pointer).unwrap();
        *member = match &*member {
            Value::Number(number) => Value::from(number.as_i64().unwrap() + 1),
            Value::String(text) if text.contains('0') => Value::from(text.replacen('0', "1", 1)),
            other => panic!("{other}"),
        };
        let changed: Anchor = serde_json::from_value(changed).unwrap();
        let result = changed.verify(&vectors.name, &vectors.key());
        assert!(result.is_err(), "{pointer}");
    }
}

fn collect_scalars(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect_scalars(member, format!("{pointer}/{name}"), pointers);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_scalars(item, format!("{pointer}/{index}"), pointers);
            }
        }
        _ => pointers.push(pointer),
    }
}

#[test]
fn batch_without_entries_has_no_proof() {
    let batch = Batch::new(&[]);
    assert_eq!(batch.anchored(0).entries, 0);
    assert_eq!(batch.proof(0), None);
}

fn proof(vectors: &Vectors, from: u64, to: u64) -> Consistency {
    let is_wanted = |proof: &&Consistency| (proof.from_size, proof.to_size) == (from, to);
    vectors.consistency.iter().find(is_wanted).unwrap().clone()
}

#[test]
fn rollback_is_detected() {
    let vectors = Vectors::read();
    let (kept, shown) = (vectors.checkpoint(4), vectors.checkpoint(3));
    let refused = proof(&vectors, 3, 4).verify(&kept, &shown);
    let reason = Inconsistent::RolledBack { older: 4, newer: 3 };
    assert_eq!(refused, Err(reason));
}

#[test]
fn fork_is_detected() {
    let vectors = Vectors::read();
    let (older, newer) = (vectors.checkpoint(3), vectors.checkpoint(4));
    let mut fork = newer.clone();
    fork.root = other();
    let refused = proof(&vectors, 4, 4).verify(&newer, &fork);
    assert_eq!(refused, Err(Inconsistent::Forked { size: 4 }));
    let refused = proof(&vectors, 3, 4).verify(&older, &fork);
    let reason = Inconsistent::NotContinued(BadProof::OtherRoot);
    assert_eq!(refused, Err(reason));
}

#[test]
fn proof_for_other_checkpoints_is_refused() {
    let vectors = Vectors::read();
    let (older, newer) = (vectors.checkpoint(3), vectors.checkpoint(4));
    for (from, to) in [(2, 4), (3, 3), (4, 4)] {
        let refused = proof(&vectors, from, to).verify(&older, &newer);
        assert_eq!(refused, Err(Inconsistent::OtherSizes));
    }
    let mut elsewhere = newer.clone();
    elsewhere.origin = "other.example".to_owned();
    let refused = proof(&vectors, 3, 4).verify(&older, &elsewhere);
    assert_eq!(refused, Err(Inconsistent::OtherLog));
    let mut cut = proof(&vectors, 3, 4);
    cut.path.pop();
    let reason = Inconsistent::NotContinued(BadProof::Length);
    assert_eq!(cut.verify(&older, &newer), Err(reason));
}

#[test]
fn every_log_continues_the_empty_one() {
    let vectors = Vectors::read();
    let proof = Consistency {
        from_size: 0,
        to_size: 4,
        path: Vec::new(),
    };
    let (empty, newer) = (vectors.checkpoint(0), vectors.checkpoint(4));
    assert_eq!(proof.verify(&empty, &newer), Ok(()));
}
