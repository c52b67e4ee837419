//! A merchant's history as a file, and its verification with nothing but the log's public key.
//!
//! The file has all events, the end of the chain, and proofs that the log has anchored events of this chain. [`verify`] finds
//! the first event that the proofs do not support.
//!
//! The proof of one event covers all earlier events through the chain. When events were rewritten and all later hashes
//! recomputed, the first anchored event after the change shows it. The file may prove earlier events too; then the place is
//! exact.

use domain::history::{ChainedEvent, GENESIS, canonical};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use transparency::checkpoint::Checkpoint;
use transparency::hash::Hash;
use transparency::history::Entry;
use transparency::history::anchor::{self, Anchor, Anchored, BatchProof, LogProof};
use transparency::history::consistency::{Consistency, Inconsistent};
use transparency::key::LogKey;
use transparency::note::{BadNote, Note};

/// A merchant's history with its proofs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The merchant.
    pub merchant_id: String,
    /// All events, oldest first.
    pub events: Vec<ExportedEvent>,
    /// The end of the chain.
    pub head: ChainHead,
    /// The proof of the newest anchored event.
    pub proof: Proof,
    /// Proofs of earlier events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Proof>,
    /// The signed note of the log's checkpoint, to which all proofs lead.
    pub checkpoint: String,
    /// The proof that the log continues an older checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// The personal parts of events, in plain. Nothing proves them: the chain covers their encrypted form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<PersonalPart>,
}

/// The personal part of an event, as the system decrypted it for the two persons who decided to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalPart {
    /// The sequence number of the event.
    pub sequence: u64,
    /// The personal part, JSON.
    pub personal: String,
}

/// An event: the members of its canonical form, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEvent {
    /// The time of the event, in epoch seconds.
    pub at: i64,
    /// The facts.
    pub data: Map<String, Value>,
    /// The hash of the event.
    pub hash: Hash,
    /// The kind of the event.
    pub kind: String,
    /// The hash of the sealed personal data.
    pub personal_sha256: Option<String>,
    /// The version of the policy.
    pub policy: u32,
    /// The hash of the event before.
    pub prev_hash: Hash,
    /// The position in the chain, from 1.
    pub seq: u64,
}

/// The end of a chain, as the merchant's state records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainHead {
    /// The position of the last event.
    pub sequence: u64,
    /// The hash of the last event.
    pub hash: Hash,
}

/// The proof that the log has an event. With the checkpoint it is an [`Anchor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The time of the anchoring, in epoch seconds.
    pub at: i64,
    /// The anchored event.
    pub entry: Entry,
    /// The place of the entry in its batch.
    pub batch: BatchProof,
    /// The place of the batch in the log.
    pub log: LogProof,
}

/// The result for a file whose history is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The last anchored event. No event up to this one was changed since then.
    pub sequence: u64,
    /// The time of its anchoring, in epoch seconds.
    pub at: i64,
    /// Later events. They continue the chain, and nothing proves them yet.
    pub newer: u64,
    /// The state of the log, to keep for later files.
    pub checkpoint: Checkpoint,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Timestamp::from_epoch_s(self.at).to_rfc3339_shanghai();
        let Self {
            sequence, newer, ..
        } = self;
        write!(
            f,
            "whole to sequence {sequence}, anchored at {at}, {newer} newer not anchored"
        )
    }
}

/// The first event that the file does not prove, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sequence {sequence}: {why}")]
pub struct Broken {
    /// The event. It is 1 when the file proves nothing at all.
    pub sequence: u64,
    /// The reason.
    pub why: Why,
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The checkpoint is malformed, or another key signed it.
    #[error("the checkpoint is not valid: {0}")]
    Checkpoint(BadNote),
    /// The kept checkpoint is malformed, or another key signed it.
    #[error("the kept checkpoint is not valid: {0}")]
    Kept(BadNote),
    /// The log of the file does not continue the kept checkpoint.
    #[error("the log does not continue the kept checkpoint: {0}")]
    Log(Inconsistent),
    /// The file cannot be compared with the kept checkpoint.
    #[error(
        "the file has no proof for the kept checkpoint of size {0}: export it for this checkpoint"
    )]
    NoConsistency(u64),
    /// A proof was changed.
    #[error("the proof is not valid: {0}")]
    Proof(anchor::Broken),
    /// The proof is for sequence 0, so it proves no event.
    #[error("the proof is for no event")]
    NoEvent,
    /// The proofs are for several merchants.
    #[error("the proofs are for different merchants")]
    OtherMerchant,
    /// An event was dropped, added or swapped.
    #[error("the event is missing: event {found} is in its place")]
    Misplaced {
        /// The event in its place.
        found: u64,
    },
    /// The event does not continue the event before: one of them was changed.
    #[error("the event does not continue the event before")]
    NotLinked,
    /// The event was changed.
    #[error("the event was changed: its content has another hash")]
    Changed,
    /// The chain was rewritten: its hashes are right, but not the anchored ones.
    #[error("the event is not the anchored one: events from {from} on were rewritten")]
    Rewritten {
        /// The first event that can differ from the anchored history.
        from: u64,
    },
    /// The history ends before its head.
    #[error("the event is missing: the head is event {head}")]
    Short {
        /// The sequence of the head.
        head: u64,
    },
    /// The history ends before an anchored event.
    #[error("the event is missing: event {anchored} is anchored")]
    ShortOfAnchor {
        /// The anchored event.
        anchored: u64,
    },
    /// The history has events after its head.
    #[error("the event is not part of the history: the head is event {head}")]
    BeyondHead {
        /// The sequence of the head.
        head: u64,
    },
    /// The last event is not the head.
    #[error("the event is not the head: the head has another hash")]
    OtherHead,
}

impl Why {
    const fn at(self, sequence: u64) -> Broken {
        Broken {
            sequence,
            why: self,
        }
    }
}

impl ExportedEvent {
    /// The event as the file shows it. `None` when a stored hash is not a hash.
    #[must_use]
    pub fn of(event: &ChainedEvent) -> Option<Self> {
        Some(Self {
            at: event.at.epoch_s(),
            data: event.data().clone(),
            hash: event.hash.parse().ok()?,
            kind: event.kind().as_str().to_owned(),
            personal_sha256: event.personal_sha256(),
            policy: event.policy,
            prev_hash: event.prev_hash.parse().ok()?,
            seq: event.seq,
        })
    }

    /// The hash of the event's canonical form, as in [`domain::history::hash`].
    #[must_use]
    pub fn computed_hash(&self, merchant_id: &str) -> Hash {
        let event = json!({
            "at": self.at,
            "data": self.data,
            "kind": self.kind,
            "merchant_id": merchant_id,
            "personal_sha256": self.personal_sha256,
            "policy": self.policy,
            "prev_hash": self.prev_hash,
            "seq": self.seq,
        });
        Hash(Sha256::digest(canonical(&event).as_bytes()).into())
    }
}

impl Proof {
    /// The proof that stands on its own.
    #[must_use]
    pub fn anchor(&self, checkpoint: &str) -> Anchor {
        Anchor {
            at: self.at,
            entry: self.entry.clone(),
            batch: self.batch.clone(),
            log: self.log.clone(),
            checkpoint: checkpoint.to_owned(),
        }
    }
}

/// Verifies a file against the public key of the log `name`. `kept`: the signed note of an older checkpoint, from an earlier
/// file.
///
/// # Errors
/// The first event that the file does not prove.
pub fn verify(
    file: &Export,
    key: &LogKey,
    name: &str,
    kept: Option<&str>,
) -> Result<Verdict, Broken> {
    let checkpoint = read_note(&file.checkpoint, key, name);
    let checkpoint = checkpoint.map_err(|bad| Why::Checkpoint(bad).at(FIRST))?;
    if let Some(kept) = kept {
        let kept = read_note(kept, key, name).map_err(|bad| Why::Kept(bad).at(FIRST))?;
        continues(file, &kept, &checkpoint).map_err(|why| why.at(FIRST))?;
    }
    let anchored = anchored(file, key, name)?;
    verify_chain(file, &anchored)?;
    let newest = newest(file, &anchored)?;
    Ok(Verdict {
        sequence: newest.seq,
        at: newest.at,
        newer: file.head.sequence.saturating_sub(newest.seq),
        checkpoint,
    })
}

/// The first event of a chain.
const FIRST: u64 = 1;

fn read_note(note: &str, key: &LogKey, name: &str) -> Result<Checkpoint, BadNote> {
    Note::parse(note)?.verify(name, key)
}

fn continues(file: &Export, kept: &Checkpoint, newest: &Checkpoint) -> Result<(), Why> {
    let proof = match &file.consistency {
        Some(proof) if (proof.from_size, proof.to_size) == (kept.size, newest.size) => proof,
        // A rollback and a fork at one size show without a proof, and equal checkpoints need none.
        _ if kept.size >= newest.size => &Consistency {
            from_size: kept.size,
            to_size: newest.size,
            path: Vec::new(),
        },
        _ => return Err(Why::NoConsistency(kept.size)),
    };
    proof.verify(kept, newest).map_err(Why::Log)
}

/// The anchored events by their sequence.
fn anchored(file: &Export, key: &LogKey, name: &str) -> Result<BTreeMap<u64, Anchored>, Broken> {
    let mut anchored: BTreeMap<u64, Anchored> = BTreeMap::new();
    for proof in file.earlier.iter().chain([&file.proof]) {
        let sequence = proof.entry.seq;
        let proven = proof.anchor(&file.checkpoint).verify(name, key);
        let proven = proven.map_err(|broken| Why::Proof(broken).at(sequence))?;
        if proven.pseudonym != file.proof.entry.pseudonym {
            return Err(Why::OtherMerchant.at(sequence));
        }
        if sequence < FIRST {
            return Err(Why::NoEvent.at(FIRST));
        }
        let known = anchored.insert(sequence, proven);
        if known.is_some_and(|known| known.hash != proof.entry.hash) {
            return Err(Why::Rewritten { from: sequence }.at(sequence));
        }
    }
    Ok(anchored)
}

fn verify_chain(file: &Export, anchored: &BTreeMap<u64, Anchored>) -> Result<(), Broken> {
    let mut previous = GENESIS.parse().ok();
    let mut from = FIRST;
    for (sequence, event) in (FIRST..).zip(&file.events) {
        let refused = |why: Why| Err(why.at(sequence));
        if event.seq != sequence {
            return refused(Why::Misplaced { found: event.seq });
        }
        if sequence > file.head.sequence {
            let head = file.head.sequence;
            return refused(Why::BeyondHead { head });
        }
        if Some(event.prev_hash) != previous {
            return refused(Why::NotLinked);
        }
        if event.computed_hash(&file.merchant_id) != event.hash {
            return refused(Why::Changed);
        }
        if let Some(known) = anchored.get(&sequence) {
            if known.hash != event.hash {
                return refused(Why::Rewritten { from });
            }
            from = sequence + 1;
        }
        previous = Some(event.hash);
    }
    Ok(())
}

/// The last anchored event of a valid chain. The chain must reach it and the head.
fn newest<'a>(
    file: &Export,
    anchored: &'a BTreeMap<u64, Anchored>,
) -> Result<&'a Anchored, Broken> {
    let count = file.events.len() as u64;
    let ChainHead { sequence, hash } = &file.head;
    let missing = count + 1;
    if *sequence > count {
        return Err(Why::Short { head: *sequence }.at(missing));
    }
    let newest = anchored.last_key_value().map(|(_, newest)| newest);
    let newest = newest.ok_or_else(|| Why::NoEvent.at(FIRST))?;
    if newest.seq > count {
        let anchored = newest.seq;
        return Err(Why::ShortOfAnchor { anchored }.at(missing));
    }
    if file.events.last().map(|event| event.hash) != Some(*hash) {
        return Err(Why::OtherHead.at(*sequence));
    }
    Ok(newest)
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
