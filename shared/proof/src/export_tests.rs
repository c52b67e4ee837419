//! Every forgery of a file, by someone who can change the table, the file and all hashes, but has no signing key.

use super::*;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use proptest::prelude::*;
use std::sync::LazyLock;
use transparency::history::anchor::Broken as BrokenAnchor;
use transparency::history::{Batch, LogEntry};
use transparency::merkle::verify::BadProof;
use transparency::merkle::{Tree, leaf_hash};

const NAME: &str = "log.test";
const MERCHANT: &str = "mer_plain_1";
const AT: i64 = 1_795_312_800;
/// The events of the whole file. Those up to [`ANCHORED`] are anchored.
const EVENTS: u64 = 8;
const ANCHORED: u64 = 6;

/// A key pair with its public key.
struct Signer {
    pair: EcdsaKeyPair,
    key: LogKey,
}

impl Signer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = LogKey::from_der(der.as_ref()).unwrap();
        Self { pair, key }
    }

    fn note(&self, tree: &Tree) -> String {
        let checkpoint = Checkpoint {
            origin: NAME.to_owned(),
            size: tree.size(),
            root: tree.root(),
        };
        let text = checkpoint.body();
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.unwrap();
        let note = Note::assemble(&checkpoint, &self.key, signature.as_ref());
        note.unwrap().to_string()
    }
}

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// A chain of events with right hashes.
fn chain(count: u64) -> Vec<ExportedEvent> {
    let events = (1..=count).map(|seq| ExportedEvent {
        at: AT + i64::try_from(seq).unwrap(),
        data: Map::from_iter([("number".to_owned(), json!(seq))]),
        hash: Hash([0; 32]),
        kind: "completed".to_owned(),
        personal_sha256: None,
        policy: 1,
        prev_hash: Hash([0; 32]),
        seq,
    });
    let mut events: Vec<_> = events.collect();
    rechain(&mut events);
    events
}

/// Numbers the events, links them and computes all hashes again.
fn rechain(events: &mut [ExportedEvent]) {
    let mut previous = Hash([0; 32]);
    for (seq, event) in (1..).zip(events) {
        event.seq = seq;
        event.prev_hash = previous;
        event.hash = event.computed_hash(MERCHANT);
        previous = event.hash;
    }
}

fn entries(events: &[ExportedEvent]) -> Vec<Entry> {
    let entries = events.iter().map(|event| Entry {
        hash: event.hash,
        pseudonym: leaf_hash(MERCHANT.as_bytes()),
        seq: event.seq,
    });
    entries.collect()
}

/// A log whose batches hold some events each, and a batch of another merchant at each end.
struct Log {
    batches: Vec<(Vec<Entry>, LogEntry)>,
}

impl Log {
    /// `ends`: the last event of each batch.
    fn of(events: &[ExportedEvent], ends: &[u64]) -> Self {
        let other = |seq| Entry {
            hash: leaf_hash(b"event"),
            pseudonym: leaf_hash(b"other"),
            seq,
        };
        let mut batches = vec![vec![other(1)]];
        let mut begin = 0;
        for end in ends {
            let end = usize::try_from(*end).unwrap();
            batches.push([entries(&events[begin..end]), vec![other(2)]].concat());
            begin = end;
        }
        batches.push(vec![other(3)]);
        let batches = (0..).zip(batches).map(|(number, entries)| {
            let leaf = Batch::new(&entries).anchored(AT + 300 * number);
            (entries, leaf)
        });
        Self {
            batches: batches.collect(),
        }
    }

    fn tree(&self) -> Tree {
        Tree::new(self.batches.iter().map(|(_, leaf)| leaf.leaf()).collect())
    }

    fn note(&self) -> String {
        SIGNER.note(&self.tree())
    }

    /// The proofs of all events, by sequence.
    fn proofs(&self) -> Vec<Proof> {
        let tree = self.tree();
        let mut proofs = Vec::new();
        for (index, (entries, leaf)) in (0..).zip(&self.batches) {
            for (place, entry) in (0..).zip(entries) {
                if entry.pseudonym == leaf_hash(MERCHANT.as_bytes()) {
                    proofs.push(Proof {
                        at: leaf.at,
                        entry: entry.clone(),
                        batch: Batch::new(entries).proof(place).unwrap(),
                        log: LogProof {
                            index,
                            path: tree.inclusion(index).unwrap(),
                        },
                    });
                }
            }
        }
        proofs
    }
}

/// The file of a merchant, with the proof of the last anchored event only.
fn file() -> Export {
    let mut file = with_earlier();
    file.earlier.clear();
    file
}

/// The same with the proofs of all anchored events.
fn with_earlier() -> Export {
    let events = chain(EVENTS);
    let log = Log::of(&events, &[3, ANCHORED]);
    let mut proofs = log.proofs();
    Export {
        merchant_id: MERCHANT.to_owned(),
        head: ChainHead {
            sequence: EVENTS,
            hash: events.last().unwrap().hash,
        },
        events,
        proof: proofs.pop().unwrap(),
        earlier: proofs,
        checkpoint: log.note(),
        consistency: None,
        personal: Vec::new(),
    }
}

fn verdict(file: &Export) -> Result<Verdict, Broken> {
    verify(file, &SIGNER.key, NAME, None)
}

fn broken(file: &Export) -> (u64, Why) {
    let broken = verdict(file).unwrap_err();
    (broken.sequence, broken.why)
}

/// Makes the head that of the last event, as someone who rewrites the table does.
fn rehead(file: &mut Export) {
    let last = file.events.last().unwrap();
    file.head = ChainHead {
        sequence: last.seq,
        hash: last.hash,
    };
}

#[test]
fn whole_history_is_anchored() {
    for file in [file(), with_earlier()] {
        let verdict = verdict(&file).unwrap();
        assert_eq!((verdict.sequence, verdict.newer), (6, 2));
        assert_eq!(verdict.checkpoint.size, 4);
        let text =
            "whole to sequence 6, anchored at 2026-11-22T10:10:00+08:00, 2 newer not anchored";
        assert_eq!(verdict.to_string(), text);
    }
}

#[test]
fn changed_event_is_found() {
    let changes: [fn(&mut ExportedEvent); 6] = [
        |event| event.at += 1,
        |event| {
            event.data.insert("more".to_owned(), Value::Null);
        },
        |event| event.kind.push('x'),
        |event| event.personal_sha256 = Some("00".to_owned()),
        |event| event.policy += 1,
        |event| event.hash = leaf_hash(b"other"),
    ];
    for changed in 1..=EVENTS {
        for change in changes {
            let mut file = file();
            change(&mut file.events[changed as usize - 1]);
            assert_eq!(broken(&file), (changed, Why::Changed));
        }
        let mut file = file();
        file.events[changed as usize - 1].prev_hash = leaf_hash(b"other");
        assert_eq!(broken(&file), (changed, Why::NotLinked));
    }
    let mut file = file();
    file.merchant_id.push('2');
    assert_eq!(broken(&file), (1, Why::Changed));
}

#[test]
fn dropped_event_is_found() {
    for dropped in 1..EVENTS {
        let mut file = file();
        file.events.remove(dropped as usize - 1);
        let found = dropped + 1;
        assert_eq!(broken(&file), (dropped, Why::Misplaced { found }));
        // With the sequence numbers closed up.
        for (seq, event) in (1..).zip(&mut file.events) {
            event.seq = seq;
        }
        assert_eq!(broken(&file), (dropped, Why::NotLinked));
    }
}

#[test]
fn swapped_events_are_found() {
    for first in 1..EVENTS {
        let mut file = file();
        file.events.swap(first as usize - 1, first as usize);
        let found = first + 1;
        assert_eq!(broken(&file), (first, Why::Misplaced { found }));
    }
}

/// All hashes from the change on are right, and so is the head.
#[test]
fn rewritten_event_is_found() {
    for rewritten in 1..=EVENTS {
        let rewrite = |mut file: Export| {
            file.events[rewritten as usize - 1].at += 1;
            rechain(&mut file.events);
            rehead(&mut file);
            file
        };
        let (one, all) = (rewrite(file()), rewrite(with_earlier()));
        if rewritten > ANCHORED {
            assert!(verdict(&one).is_ok() && verdict(&all).is_ok());
            continue;
        }
        // One proof bounds the change. Proofs of all events name it.
        assert_eq!(broken(&one), (ANCHORED, Why::Rewritten { from: 1 }));
        let from = rewritten;
        assert_eq!(broken(&all), (rewritten, Why::Rewritten { from }));
    }
}

/// Dropped, added or swapped, with everything computed again.
#[test]
fn rewritten_order_is_found() {
    let forgeries: [fn(&mut Vec<ExportedEvent>); 3] = [
        |events| {
            events.remove(3);
        },
        |events| events.insert(3, events[3].clone()),
        |events| events.swap(3, 4),
    ];
    for forge in forgeries {
        let (mut one, mut all) = (file(), with_earlier());
        for file in [&mut one, &mut all] {
            forge(&mut file.events);
            rechain(&mut file.events);
            rehead(file);
        }
        assert_eq!(broken(&one), (ANCHORED, Why::Rewritten { from: 1 }));
        assert_eq!(
            broken(&all).1,
            Why::Rewritten {
                from: broken(&all).0
            }
        );
        assert!((4..=5).contains(&broken(&all).0));
    }
}

#[test]
fn list_shorter_than_its_head_is_found() {
    for count in 0..EVENTS {
        let mut file = file();
        file.events.truncate(count as usize);
        assert_eq!(broken(&file), (count + 1, Why::Short { head: EVENTS }));
        // The head is shortened too.
        if count > 0 {
            rehead(&mut file);
        } else {
            file.head.sequence = 0;
        }
        if count < ANCHORED {
            let why = Why::ShortOfAnchor { anchored: ANCHORED };
            assert_eq!(broken(&file), (count + 1, why));
        } else {
            assert_eq!(verdict(&file).unwrap().newer, count - ANCHORED);
        }
    }
}

#[test]
fn other_head_is_found() {
    let mut file = file();
    file.head.hash = leaf_hash(b"other");
    assert_eq!(broken(&file), (EVENTS, Why::OtherHead));
    let mut file = self::file();
    file.head.sequence = EVENTS - 1;
    let why = Why::BeyondHead { head: EVENTS - 1 };
    assert_eq!(broken(&file), (EVENTS, why));
}

#[test]
fn wrong_key_or_name_proves_nothing() {
    let (file, other) = (file(), Signer::new());
    let not_signed = Err(Why::Checkpoint(BadNote::NotSigned).at(1));
    assert_eq!(verify(&file, &other.key, NAME, None), not_signed);
    assert_eq!(verify(&file, &SIGNER.key, "log.other", None), not_signed);
    // A log of the forger's own, under the right name.
    let mut forged = file;
    forged.events[2].at += 1;
    rechain(&mut forged.events);
    rehead(&mut forged);
    let log = Log::of(&forged.events, &[3, ANCHORED]);
    forged.proof = log.proofs().pop().unwrap();
    forged.checkpoint = other.note(&log.tree());
    assert!(verify(&forged, &other.key, NAME, None).is_ok());
    assert_eq!(verdict(&forged), not_signed);
}

#[test]
fn changed_proof_is_found() {
    let changes: [fn(&mut Proof); 5] = [
        |proof| proof.at -= 60,
        |proof| proof.entry.hash = leaf_hash(b"other"),
        |proof| proof.entry.seq -= 1,
        |proof| proof.batch.root = leaf_hash(b"other"),
        |proof| proof.log.path.clear(),
    ];
    for change in changes {
        let mut file = file();
        change(&mut file.proof);
        let (sequence, why) = broken(&file);
        assert_eq!(sequence, file.proof.entry.seq);
        assert!(matches!(why, Why::Proof(_)), "{why}");
    }
    // The proof of another log leads to another root.
    let mut file = file();
    let other = Log::of(&file.events, &[ANCHORED, EVENTS]);
    file.checkpoint = other.note();
    let why = Why::Proof(BrokenAnchor::Batch(BadProof::OtherRoot));
    assert_eq!(broken(&file), (ANCHORED, why));
}

/// A valid proof of somebody else says nothing about this history.
#[test]
fn proof_of_another_merchant_is_refused() {
    let mut file = with_earlier();
    let other = Log::of(&file.events, &[3, ANCHORED]);
    let (foreign, leaf) = other.batches.last().unwrap();
    let log = LogProof {
        index: 3,
        path: other.tree().inclusion(3).unwrap(),
    };
    let foreign = Proof {
        at: leaf.at,
        entry: foreign[0].clone(),
        batch: Batch::new(foreign).proof(0).unwrap(),
        log,
    };
    file.earlier.push(foreign.clone());
    assert_eq!(broken(&file), (3, Why::OtherMerchant));
    file.earlier.clear();
    file.proof = foreign;
    assert_eq!(broken(&file), (3, Why::Rewritten { from: 1 }));
}

#[test]
fn proof_of_no_event_is_refused() {
    let mut events = chain(EVENTS);
    events[0].seq = 0;
    let log = Log::of(&events, &[1]);
    let mut file = file();
    file.proof = log.proofs().pop().unwrap();
    file.checkpoint = log.note();
    assert_eq!(broken(&file), (1, Why::NoEvent));
}

#[test]
fn kept_checkpoint_must_be_continued() {
    let events = chain(EVENTS);
    let log = Log::of(&events, &[3, ANCHORED]);
    let mut file = file();
    file.checkpoint = log.note();
    let leaves: Vec<Hash> = log.batches.iter().map(|(_, leaf)| leaf.leaf()).collect();
    let kept = |file: &Export, note: &str| verify(file, &SIGNER.key, NAME, Some(note));
    // The same checkpoint, perhaps with another signature.
    assert!(kept(&file, &log.note()).is_ok());
    for size in 1..4 {
        let older = SIGNER.note(&Tree::new(leaves[..size].to_vec()));
        let from_size = size as u64;
        file.consistency = None;
        assert_eq!(
            kept(&file, &older),
            Err(Why::NoConsistency(from_size).at(1))
        );
        file.consistency = Some(Consistency {
            from_size,
            to_size: 4,
            path: log.tree().consistency(from_size).unwrap(),
        });
        assert!(kept(&file, &older).is_ok(), "{size}");
        // A proof for another checkpoint does no harm where none is needed.
        assert!(kept(&file, &log.note()).is_ok());
    }
}

#[test]
fn fork_and_older_history_are_found() {
    let events = chain(EVENTS);
    let log = Log::of(&events, &[3, ANCHORED]);
    let file = file();
    let kept = |file: &Export, tree: &Tree| {
        let refused = verify(file, &SIGNER.key, NAME, Some(&SIGNER.note(tree)));
        let refused = refused.unwrap_err();
        assert_eq!(refused.sequence, 1);
        refused.why
    };
    let mut leaves: Vec<Hash> = log.batches.iter().map(|(_, leaf)| leaf.leaf()).collect();
    leaves.push(leaf_hash(b"newer"));
    let rolled_back = Inconsistent::RolledBack { older: 5, newer: 4 };
    let newer = Tree::new(leaves.clone());
    assert_eq!(kept(&file, &newer), Why::Log(rolled_back));
    leaves.pop();
    leaves[1] = leaf_hash(b"other");
    let fork = Tree::new(leaves.clone());
    let forked = Inconsistent::Forked { size: 4 };
    assert_eq!(kept(&file, &fork), Why::Log(forked));
    // An older checkpoint of the fork, with each proof that the forger can make.
    leaves.pop();
    let fork = Tree::new(leaves);
    for proof in [
        log.tree().consistency(3).unwrap(),
        fork.consistency(2).unwrap(),
        Vec::new(),
    ] {
        let mut file = file.clone();
        file.consistency = Some(Consistency {
            from_size: 3,
            to_size: 4,
            path: proof,
        });
        let why = kept(&file, &fork);
        assert!(
            matches!(why, Why::Log(Inconsistent::NotContinued(_))),
            "{why}"
        );
    }
}

#[test]
fn kept_checkpoint_of_another_key_is_refused() {
    let file = file();
    let log = Log::of(&file.events, &[3, ANCHORED]);
    let foreign = Signer::new().note(&log.tree());
    let refused = verify(&file, &SIGNER.key, NAME, Some(&foreign));
    assert_eq!(refused, Err(Why::Kept(BadNote::NotSigned).at(1)));
    let refused = verify(&file, &SIGNER.key, NAME, Some(""));
    assert!(matches!(refused.unwrap_err().why, Why::Kept(_)));
}

#[test]
fn unknown_members_are_refused() {
    let file = serde_json::to_value(file()).unwrap();
    assert!(serde_json::from_value::<Export>(file.clone()).is_ok());
    for pointer in ["", "/events/0", "/head", "/proof"] {
        let mut file = file.clone();
        let part = file.pointer_mut(pointer).unwrap();
        part["unknown"] = json!(1);
        assert!(serde_json::from_value::<Export>(file).is_err(), "{pointer}");
    }
}

#[test]
fn reasons_are_sentences_with_the_place() {
    let mut file = file();
    file.events.remove(3);
    let reason = verdict(&file).unwrap_err().to_string();
    let expected = "sequence 4: the event is missing: event 5 is in its place";
    assert_eq!(reason, expected);
}

proptest! {
    /// Any change of an event that its hash covers, any number of events, any place of the anchors: the change is found at its
    /// place, or at the first anchored event after it.
    #[test]
    fn any_rewriting_of_an_anchored_event_is_found(
        count in 1_u64..24,
        end in 0_u64..24,
        changed in 0_u64..24,
        rehash: bool,
    ) {
        let events = chain(count);
        let end = 1 + end % count;
        let changed = 1 + changed % end;
        let log = Log::of(&events, &[end]);
        let mut file = Export {
            merchant_id: MERCHANT.to_owned(),
            head: ChainHead { sequence: count, hash: events[count as usize - 1].hash },
            events,
            proof: log.proofs().pop().unwrap(),
            earlier: Vec::new(),
            checkpoint: log.note(),
            consistency: None,
            personal: Vec::new(),
        };
        prop_assert_eq!(verdict(&file).map(|verdict| verdict.newer), Ok(count - end));
        file.events[changed as usize - 1].at += 1;
        if rehash {
            rechain(&mut file.events);
            rehead(&mut file);
            prop_assert_eq!(broken(&file), (end, Why::Rewritten { from: 1 }));
        } else {
            prop_assert_eq!(broken(&file), (changed, Why::Changed));
        }
    }
}
