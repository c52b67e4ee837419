//! The function `anchor` over memory: what it anchors, what an interruption leaves behind, and that no two runs fork the log.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use anchor::{DAY_MAX, MESSAGES_MAX, Outcome, Summary};
use application::ports::{PortError, QueueAnchor as _};
use domain::policy::{DAY_S, MINUTE_S};
use domain::time::Timestamp;
use futures::poll;
use proof::export::{Export, Proof, Why, verify};
use proof::objects::{Head, StoredCheckpoint, checkpoint_key, leaf_key};
use rebindctl::export::{Read, export};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tests::anchoring::{LOG_NAME, LogPeers, MemoryAnchor};
use tests::in_process::InProcess;
use tests::merchant::GOOD_CARD;
use tests::operators::{SUPPORT, call};
use tests::peer_faults::DroppedPart;
use transparency::checkpoint::Checkpoint;
use transparency::hash::Hash;
use transparency::history::Entry;
use transparency::key::LogKey;
use transparency::merkle::leaf_hash;

/// 2026-11-22T10:00:00+08:00.
fn start() -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800)
}

fn hash(text: &str) -> Hash {
    leaf_hash(text.as_bytes())
}

fn entry(merchant: &str, seq: u64) -> Entry {
    Entry {
        hash: hash(&format!("{merchant} {seq}")),
        pseudonym: hash(merchant),
        seq,
    }
}

async fn run_at(function: &MemoryAnchor, now: Timestamp) -> Result<Summary, PortError> {
    let deadline = Instant::now() + Duration::from_secs(240);
    function.run(now, deadline).await
}

/// One run of a new process.
async fn run(peers: &LogPeers) -> Summary {
    run_at(&peers.function(), start()).await.unwrap()
}

async fn head(peers: &LogPeers) -> Head {
    let key = peers.key();
    peers.reader(&key).newest(0).await.unwrap().unwrap()
}

/// The proofs of a merchant, each verified.
async fn proofs(peers: &LogPeers, merchant: &str) -> Vec<Proof> {
    let (key, head) = (peers.key(), head(peers).await);
    let reader = peers.reader(&key);
    let proofs = reader.proofs(&hash(merchant), &head).await.unwrap();
    for proof in &proofs {
        let anchored = proof.anchor(&head.note).verify(LOG_NAME, &key).unwrap();
        assert_eq!(anchored.pseudonym, hash(merchant));
    }
    proofs
}

async fn anchored_events(peers: &LogPeers, merchant: &str) -> Vec<Entry> {
    let proofs = proofs(peers, merchant).await;
    proofs.into_iter().map(|proof| proof.entry).collect()
}

/// The key never signed two checkpoints of one size, and the log only grew.
async fn is_one_log(peers: &LogPeers) {
    let mut signed: BTreeMap<u64, Checkpoint> = BTreeMap::new();
    for text in peers.signer.signed_checkpoints() {
        let checkpoint = Checkpoint::parse(&text).unwrap();
        let known = signed.insert(checkpoint.size, checkpoint.clone());
        assert!(known.is_none_or(|known| known == checkpoint));
    }
    let key = peers.key();
    let reader = peers.reader(&key);
    let Some(newest) = reader.newest(0).await.unwrap() else {
        return;
    };
    for (size, older) in &signed {
        if *size > newest.checkpoint.size {
            continue; // signed and not written; the next run signs it again
        }
        let proof = reader.consistency(*size, &newest).await.unwrap().unwrap();
        assert_eq!(proof.verify(older, &newest.checkpoint), Ok(()), "{size}");
    }
}

#[tokio::test]
async fn queued_events_are_anchored() {
    let peers = LogPeers::new();
    let all = [entry("a", 1), entry("b", 7), entry("a", 2)];
    peers.queue.queue(&all).await.unwrap();
    let summary = run(&peers).await;
    assert_eq!(
        summary,
        Summary {
            outcome: Outcome::Anchored,
            size: 1,
            entries: 3,
            ..Summary::default()
        }
    );
    assert!(peers.queue.messages().is_empty());
    let of_a = proofs(&peers, "a").await;
    let events: Vec<&Entry> = of_a.iter().map(|proof| &proof.entry).collect();
    assert_eq!(events, [&all[0], &all[2]]);
    assert!(of_a.iter().all(|proof| proof.at == start().epoch_s()));
    assert_eq!(anchored_events(&peers, "b").await, [all[1].clone()]);
    assert!(anchored_events(&peers, "c").await.is_empty());
    // A batch, two merchants, a leaf, a checkpoint.
    assert_eq!(peers.log.objects().len(), 5);
}

#[tokio::test]
async fn empty_queue_writes_and_signs_nothing() {
    let peers = LogPeers::new();
    assert_eq!(run(&peers).await, Summary::default());
    peers.queue.send(entry("a", 1).canonical());
    run(&peers).await;
    let before = peers.log.objects();
    let summary = run(&peers).await;
    assert_eq!((summary.outcome, summary.size), (Outcome::Nothing, 1));
    assert_eq!(peers.log.objects(), before);
    assert_eq!(peers.signer.signed_checkpoints().len(), 1);
}

#[tokio::test]
async fn duplicate_is_anchored_once() {
    let peers = LogPeers::new();
    let one = entry("a", 1);
    for _ in 0..3 {
        peers.queue.send(one.canonical());
    }
    let summary = run(&peers).await;
    assert_eq!((summary.entries, summary.duplicates), (1, 2));
    assert!(peers.queue.messages().is_empty());
    // Delivered again after it was anchored: the first anchoring counts.
    peers.queue.send(one.canonical());
    let later = run_at(&peers.function(), start().plus_s(MINUTE_S)).await;
    assert_eq!(later.unwrap().size, 2);
    let proofs = proofs(&peers, "a").await;
    assert_eq!((proofs.len(), proofs[0].at), (1, start().epoch_s()));
}

#[tokio::test]
async fn conflicting_hashes_are_both_kept() {
    let peers = LogPeers::new();
    let other = Entry {
        hash: hash("other"),
        ..entry("a", 1)
    };
    peers
        .queue
        .queue(&[entry("a", 1), other.clone()])
        .await
        .unwrap();
    let summary = run(&peers).await;
    assert_eq!((summary.entries, summary.conflicts), (2, 1));
    let batch = peers.log.objects().into_iter().next().unwrap();
    let batch = String::from_utf8(batch.1).unwrap();
    assert!(batch.contains(&other.canonical()) && batch.contains(&entry("a", 1).canonical()));
}

#[tokio::test]
async fn malformed_messages_stay_on_the_queue() {
    let peers = LogPeers::new();
    let valid = entry("a", 1).canonical();
    let malformed = [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        valid.replace(":1}", ":0}"),
        valid.replace(":1}", ":9007199254740992}"),
        valid.replace(":1}", ":-1}"),
        valid.replace(":1}", ":1.5}"),
        valid.replacen("\"hash\":\"", "\"hash\":\"0", 1),
    ];
    malformed.iter().for_each(|body| peers.queue.send(body));
    assert_eq!(run(&peers).await.outcome, Outcome::Nothing);
    assert!(peers.log.objects().is_empty());
    peers.queue.show_again();
    peers.queue.send(valid);
    let summary = run(&peers).await;
    assert_eq!(
        (summary.entries, summary.malformed),
        (1, malformed.len() as u64)
    );
    let left: BTreeSet<String> = peers.queue.messages().into_iter().collect();
    assert_eq!(left, malformed.into());
}

#[tokio::test]
async fn time_in_the_log_does_not_go_back() {
    let peers = LogPeers::new();
    for (seq, now, at) in [(1, 100, 100), (2, 40, 100), (3, 101, 101)] {
        peers.queue.send(entry("a", seq).canonical());
        let now = start().plus_s(now);
        run_at(&peers.function(), now).await.unwrap();
        assert_eq!(head(&peers).await.at, start().plus_s(at).epoch_s());
    }
}

/// Each call of a run fails in turn, with a lost request, a lost reply, and a lost reply that the adapter repeats.
#[tokio::test]
async fn run_interrupted_at_any_call_is_repaired() {
    let kinds = [
        (DroppedPart::Request, false),
        (DroppedPart::Reply, false),
        (DroppedPart::Reply, true),
    ];
    let mut interrupted = 0;
    for (lost, repeats) in kinds {
        for call in 1.. {
            let peers = LogPeers::new();
            peers.queue.send(entry("before", 1).canonical());
            run(&peers).await;
            let events: Vec<Entry> = (1..=12).map(|seq| entry("a", seq)).collect();
            peers.queue.queue(&events).await.unwrap();
            peers.log.repeats.store(repeats, Ordering::Relaxed);
            peers.peer_calls.fail(call, lost);
            let failed = run_at(&peers.function(), start()).await.is_err();
            let calls = peers.peer_calls.take().len();
            interrupted += u32::from(failed);
            // Two more runs at most: one signs a leaf that was left, one anchors the messages that were left.
            for _ in 0..2 {
                peers.queue.show_again();
                run(&peers).await;
            }
            let what = format!("call {call}, {lost:?}, repeats: {repeats}");
            assert!(peers.queue.messages().is_empty(), "{what}");
            assert_eq!(anchored_events(&peers, "a").await, events, "{what}");
            assert!(peers.signer.signed_checkpoints().len() <= 4, "{what}");
            is_one_log(&peers).await;
            if call > calls {
                assert!(!failed);
                break;
            }
        }
    }
    assert!(interrupted > 30, "{interrupted} interruptions");
}

/// Stops a run before each of its calls, and lets another one run completely in between.
#[tokio::test]
async fn two_runs_at_once_do_not_fork() {
    let mut outcomes = BTreeSet::new();
    for calls in 0.. {
        let peers = LogPeers::new();
        peers.queue.send(entry("before", 1).canonical());
        run(&peers).await;
        peers.queue.send(entry("a", 1).canonical());
        let (one, other) = (peers.function(), peers.function());
        let mut slow = pin!(run_at(&one, start()));
        let mut is_done = false;
        for _ in 0..calls {
            is_done = is_done || poll!(&mut slow).is_ready();
        }
        if is_done {
            break;
        }
        // So slow that its messages are visible again.
        peers.queue.show_again();
        peers.queue.send(entry("b", 1).canonical());
        let fast = run_at(&other, start().plus_s(1)).await.unwrap();
        let slow = slow.await.unwrap();
        outcomes.insert(format!("{:?} {:?}", slow.outcome, fast.outcome));
        is_one_log(&peers).await;
        let signed = peers.signer.signed_checkpoints().len();
        assert!(signed <= 3, "{calls}: {signed} signatures of three runs");
        peers.queue.show_again();
        run(&peers).await;
        assert!(peers.queue.messages().is_empty(), "{calls}");
        for merchant in ["a", "b"] {
            let anchored = anchored_events(&peers, merchant).await;
            assert_eq!(anchored, [entry(merchant, 1)], "{calls}");
        }
        is_one_log(&peers).await;
    }
    let seen: Vec<&str> = outcomes.iter().map(String::as_str).collect();
    for expected in [
        "Anchored Anchored",
        "Anchored Recovered",
        "LostRace Anchored",
    ] {
        assert!(seen.contains(&expected), "{seen:?}");
    }
}

#[tokio::test]
async fn ten_thousand_messages_need_one_signature() {
    let peers = LogPeers::new();
    let events: Vec<Entry> = (0..MESSAGES_MAX as u64)
        .map(|number| entry(&format!("m{}", number % 500), number / 500 + 1))
        .collect();
    peers.queue.queue(&events).await.unwrap();
    let summary = run(&peers).await;
    assert_eq!(summary.entries, events.len() as u64);
    assert_eq!(peers.signer.signed_checkpoints().len(), 1);
    assert!(peers.queue.messages().is_empty());
    let of_one = anchored_events(&peers, "m123").await;
    let expected: Vec<Entry> = (1..=20).map(|seq| entry("m123", seq)).collect();
    assert_eq!(of_one, expected);
}

#[tokio::test]
async fn more_messages_wait_for_the_next_run() {
    let peers = LogPeers::new();
    for seq in 1..=MESSAGES_MAX as u64 + 500 {
        peers.queue.send(entry("a", seq).canonical());
    }
    let first = run(&peers).await.entries;
    assert!((MESSAGES_MAX as u64..MESSAGES_MAX as u64 + 80).contains(&first));
    let second = run(&peers).await.entries;
    assert_eq!(first + second, MESSAGES_MAX as u64 + 500);
}

/// A run that is about to end receives nothing more.
#[tokio::test]
async fn run_stops_before_its_deadline() {
    let peers = LogPeers::new();
    peers.queue.send(entry("a", 1).canonical());
    let deadline = Instant::now() + anchor::RESERVE;
    let summary = peers.function().run(start(), deadline).await.unwrap();
    assert_eq!(summary.outcome, Outcome::Nothing);
    assert_eq!(peers.queue.messages().len(), 1);
}

/// However often the function is invoked.
#[tokio::test]
async fn signatures_of_a_day_are_limited() {
    let peers = LogPeers::new();
    let function = peers.function();
    let midnight = Timestamp::from_epoch_s(start().epoch_s() / DAY_S * DAY_S);
    let mut outcomes = Vec::new();
    for run in 1..=DAY_MAX + 12 {
        peers.queue.send(entry("a", run).canonical());
        let now = midnight.plus_s(run as i64 * MINUTE_S);
        outcomes.push(run_at(&function, now).await.unwrap().outcome);
    }
    let full = outcomes.iter().filter(|one| **one == Outcome::DayFull);
    assert_eq!(full.count(), 12);
    let signatures = || peers.signer.signed_checkpoints().len() as u64;
    assert_eq!(signatures(), DAY_MAX);
    let next = run_at(&function, midnight.plus_s(DAY_S)).await.unwrap();
    assert_eq!((next.outcome, next.entries), (Outcome::Anchored, 12));
    assert_eq!(signatures(), DAY_MAX + 1);
    is_one_log(&peers).await;
}

#[tokio::test]
async fn newest_checkpoint_is_found_at_any_size() {
    let peers = LogPeers::new();
    let key = peers.key();
    for size in 1..=40 {
        peers.queue.send(entry("a", size).canonical());
        assert_eq!(run(&peers).await.size, size);
        for known in [0, size / 2, size - 1, size] {
            let newest = peers.reader(&key).newest(known).await.unwrap().unwrap();
            assert_eq!(newest.checkpoint.size, size);
        }
    }
    assert_eq!(proofs(&peers, "a").await.len(), 40);
    let newest = head(&peers).await;
    let reader = peers.reader(&key);
    for from in 0..=40 {
        let older = match from {
            0 => Checkpoint {
                origin: LOG_NAME.to_owned(),
                size: 0,
                root: transparency::merkle::empty_root(),
            },
            size => {
                let stored = reader.stored(size).await.unwrap().unwrap();
                stored.verify(size, LOG_NAME, &key).unwrap().checkpoint
            }
        };
        let proof = reader.consistency(from, &newest).await.unwrap().unwrap();
        assert_eq!(proof.verify(&older, &newest.checkpoint), Ok(()), "{from}");
    }
    assert!(reader.consistency(41, &newest).await.unwrap().is_none());
}

/// A run continues only a log that its own key signed.
#[tokio::test]
async fn foreign_or_changed_checkpoint_stops_the_log() {
    let peers = LogPeers::new();
    peers.queue.send(entry("a", 1).canonical());
    run(&peers).await;
    let genuine = peers.log.objects()[&checkpoint_key(1)].clone();
    let genuine = StoredCheckpoint::read(&genuine).unwrap();
    let foreign = LogPeers::new();
    foreign.queue.send(entry("a", 2).canonical());
    run(&foreign).await;
    let mut other_hash = genuine.clone();
    other_hash.frontier = vec![hash("other")];
    let mut other_time = genuine.clone();
    other_time.leaf.at += 1;
    for bad in [
        foreign.log.objects()[&checkpoint_key(1)].clone(),
        other_hash.content().into_bytes(),
        other_time.content().into_bytes(),
        b"{}".to_vec(),
    ] {
        peers.log.replace(&checkpoint_key(1), bad);
        peers.queue.send(entry("a", 3).canonical());
        let before = peers.log.objects();
        let refused = run_at(&peers.function(), start()).await;
        assert!(matches!(refused, Err(PortError::Permanent(..))));
        assert_eq!(peers.log.objects(), before);
        assert_eq!(peers.signer.signed_checkpoints().len(), 1);
    }
}

/// A leaf that somebody else wrote cannot be taken for a free position.
#[tokio::test]
async fn malformed_leaf_stops_the_log() {
    let peers = LogPeers::new();
    peers.log.replace(&leaf_key(0), b"{}".to_vec());
    peers.queue.send(entry("a", 1).canonical());
    let refused = run_at(&peers.function(), start()).await;
    assert!(matches!(refused, Err(PortError::Permanent(..))));
    assert!(peers.signer.signed_checkpoints().is_empty());
}

/// The operator's API in process, as an auditor's reader.
struct Support<'a>(&'a Arc<InProcess>);

impl Read for Support<'_> {
    async fn read(&self, path: &str) -> Result<Value, String> {
        Ok(self.0.operate(&SUPPORT, call("GET", path)).await.ok(200))
    }
}

/// A whole history of a merchant, from the stream to the auditor.
#[tokio::test]
async fn exported_history_verifies() {
    let (world, app) = InProcess::with("plain_1").await;
    app.request(GOOD_CARD).await;
    let key = world.log.key();
    let mut kept: Option<String> = None;
    for size in 1..=2 {
        let last = world.history("plain_1").await.len() as u64;
        world.publish(world.event_records().await).await;
        assert_eq!(world.anchor().await.outcome, Outcome::Anchored);
        let before = kept.is_some().then_some(size - 1);
        let file = export(&Support(&world), "mer_plain_1", before, Duration::ZERO).await;
        let mut file = file.unwrap();
        assert_eq!(file.consistency.is_some(), before.is_some());
        let verdict = verify(&file, &key, LOG_NAME, kept.as_deref()).unwrap();
        assert_eq!((verdict.sequence, verdict.newer), (last, 0));
        assert_eq!(verdict.checkpoint.size, size);
        kept = Some(file.checkpoint.clone());
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<Export>(&text).unwrap(), file);
        file.events[0].at += 1;
        let broken = verify(&file, &key, LOG_NAME, None).unwrap_err();
        assert_eq!((broken.sequence, broken.why), (1, Why::Changed));
        world.log_in_on("plain_1", "another device").await;
    }
    let log = world.operate(&SUPPORT, call("GET", "log")).await.ok(200);
    assert_eq!(log["name"], LOG_NAME);
    assert_eq!(log["checkpoint"], json!(kept));
    let shown = LogKey::from_pem(log["public_key"].as_str().unwrap()).unwrap();
    assert_eq!(shown.id(), key.id());
}

/// Nothing is exported without a proof, and events that are not anchored yet are counted.
#[tokio::test]
async fn export_waits_for_the_log() {
    let (world, app) = InProcess::with("plain_1").await;
    let path = app.request(GOOD_CARD).await;
    let support = Support(&world);
    let export = || export(&support, "mer_plain_1", None, Duration::ZERO);
    let refused = export().await.unwrap_err();
    assert!(refused.contains("no event of this merchant is anchored yet"));
    world.publish(world.event_records().await).await;
    assert!(export().await.is_err());
    world.anchor().await;
    app.post(&format!("{path}/cancel"), ()).await.ok(200);
    let file = export().await.unwrap();
    let verdict = verify(&file, &world.log.key(), LOG_NAME, None).unwrap();
    assert_eq!(verdict.newer, 1);
    assert_eq!(verdict.sequence + 1, file.head.sequence);
}

/// The merchant's own receipt.
#[tokio::test]
async fn receipt_proves_the_newest_anchored_event() {
    let (world, app) = InProcess::with("plain_1").await;
    let path = app.request(GOOD_CARD).await;
    let receipt = async || app.get("/v1/history/receipt").await.ok(200);
    let shown = receipt().await;
    assert_eq!(
        (&shown["proof"], &shown["checkpoint"]),
        (&json!(null), &json!(null))
    );
    for _ in 0..2 {
        world.publish(world.event_records().await).await;
        world.anchor().await;
        let shown = receipt().await;
        let last = world.history("plain_1").await.pop().unwrap();
        assert_eq!(shown["merchant_id"], "mer_plain_1");
        assert_eq!(shown["log"], LOG_NAME);
        assert_eq!(
            shown["head"],
            json!({"sequence": last.seq, "hash": last.hash})
        );
        let proof: Proof = serde_json::from_value(shown["proof"].clone()).unwrap();
        let anchor = proof.anchor(shown["checkpoint"].as_str().unwrap());
        let anchored = anchor.verify(LOG_NAME, &world.log.key()).unwrap();
        assert_eq!(
            (anchored.seq, anchored.hash.to_string()),
            (last.seq, last.hash)
        );
        app.post(&format!("{path}/cancel"), ()).await;
    }
}
