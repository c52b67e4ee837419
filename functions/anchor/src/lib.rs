//! Runs every five minutes: anchors the events on the queue in the log, under one signature.
//!
//! # The protocol of a run
//! 1. Read the newest checkpoint, and verify its signature.
//! 2. If the log has a leaf that this checkpoint does not cover, an earlier run was interrupted: sign the checkpoint of this
//!    leaf, and stop.
//! 3. Receive messages, until the queue is empty or a limit is reached. Stop if there are none.
//! 4. Write the batch and one index object per merchant. Their keys contain the batch's root.
//! 5. Write the leaf under its position, on condition that the position is free. This appends the batch.
//! 6. Sign the checkpoint, and write it under the log's size, on condition that this size has none.
//! 7. Delete the messages.
//!
//! # Why the log cannot fork
//! A checkpoint is determined by the checkpoint before and one leaf, and S3 accepts one leaf for each position. So all runs
//! sign the same text for a size, and no two signed checkpoints of a size differ, not even in a run that fails.
//!
//! | interrupted after | left behind | the next run |
//! |---|---|---|
//! | 4 | objects that no leaf names | anchors the messages again, once they are visible |
//! | 5 | a leaf without a checkpoint | signs its checkpoint (2) |
//! | 6 | messages that are anchored | anchors them again: a second proof of the same event |
//!
//! - Two runs at once: one writes the leaf. The other one finds another leaf in its place, signs nothing and leaves its
//!   messages on the queue. If it finds the leaf in step 2, both sign the same checkpoint, and one of them is written.
//! - A lost reply of S3: the adapter repeats the request and finds the key taken. An object with the same content counts as
//!   written. A checkpoint counts as written if its text is the same, because ECDSA signatures differ.
//! - A run signs at most once. Runs of an operator count too: the log gets at most [`DAY_MAX`] checkpoints a day.

mod summary;

pub use summary::{Outcome, Summary};

use application::ports::{
    AnchorQueue, AppendLog, PortError, PutOutcome, QueuedMessage, SignCheckpoint,
};
use domain::policy::DAY_S;
use domain::time::Timestamp;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use proof::objects::{
    Head, IndexEntry, IndexKey, StoredCheckpoint, batch_content, batch_key, checkpoint_key,
    index_content, leaf_key,
};
use proof::reader::LogReader;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use transparency::checkpoint::Checkpoint;
use transparency::hash::Hash;
use transparency::history::{Batch, Entry, INTEGER_MAX, LogEntry};
use transparency::key::LogKey;
use transparency::merkle::frontier::Frontier;
use transparency::note::Note;

/// Messages that a run receives, at most one wave more.
pub const MESSAGES_MAX: usize = 10_000;
/// Receive calls at the same time.
const RECEIVERS: usize = 8;
/// Index objects that are written at the same time.
const WRITES: usize = 32;
/// A run receives no more messages when this time is left. Ten thousand index objects and deletions take a third of it.
pub const RESERVE: Duration = Duration::from_secs(90);
/// Checkpoints of a day (UTC), as many as runs every five minutes.
pub const DAY_MAX: u64 = 288;

/// Anchors the events on the queue.
pub struct Anchor<Q, B, S> {
    queue: Q,
    bucket: B,
    signer: S,
    name: String,
    key: OnceCell<LogKey>,
    /// A size that the log has had.
    known: AtomicU64,
}

impl<Q: AnchorQueue, B: AppendLog, S: SignCheckpoint> Anchor<Q, B, S> {
    /// `name`: the log's name in its checkpoints.
    pub fn new(queue: Q, bucket: B, signer: S, name: String) -> Self {
        Self {
            queue,
            bucket,
            signer,
            name,
            key: OnceCell::new(),
            known: AtomicU64::new(0),
        }
    }

    /// Executes one run.
    ///
    /// # Errors
    /// When a service fails, or the log's newest checkpoint is not valid. The next run continues.
    pub async fn run(&self, now: Timestamp, deadline: Instant) -> Result<Summary, PortError> {
        let key = self.key.get_or_try_init(|| self.read_key()).await?;
        let reader = LogReader::new(&self.bucket, &self.name, key);
        let head = reader.newest(self.known.load(Relaxed)).await?;
        let size = head.as_ref().map_or(0, |head| head.checkpoint.size);
        self.known.store(size, Relaxed);
        // Time in the log does not go back, whatever the clock does.
        let at = head
            .as_ref()
            .map_or(i64::MIN, |head| head.at)
            .max(now.epoch_s());
        let mut summary = Summary {
            size,
            ..Summary::default()
        };
        if is_day_full(&reader, size, at).await? {
            summary.outcome = Outcome::DayFull;
            return Ok(summary);
        }
        if let Some(leaf) = reader.leaf(size).await? {
            self.sign(head.as_ref(), leaf, &mut summary).await?;
            summary.outcome = Outcome::Recovered;
            return Ok(summary);
        }
        let messages = self.receive(deadline).await?;
        let entries = entries(&messages, &mut summary);
        if entries.is_empty() {
            return Ok(summary);
        }
        let batch = Batch::new(&entries);
        let leaf = batch.anchored(at);
        self.write_batch(&entries, size, &leaf.root).await?;
        if !self.append(size, &leaf).await? {
            summary.outcome = Outcome::LostRace;
            return Ok(summary);
        }
        self.sign(head.as_ref(), leaf, &mut summary).await?;
        summary.outcome = Outcome::Anchored;
        let is_valid = |message: &&QueuedMessage| entry(message).is_some();
        let handled = messages.iter().filter(is_valid);
        let receipts: Vec<String> = handled.map(|message| message.receipt.clone()).collect();
        self.queue.delete(&receipts).await?;
        Ok(summary)
    }

    async fn read_key(&self) -> Result<LogKey, PortError> {
        let der = self.signer.public_key().await?;
        LogKey::from_der(&der)
            .map_err(|bad| PortError::Permanent("the signing key", bad.to_string()))
    }

    async fn receive(&self, deadline: Instant) -> Result<Vec<QueuedMessage>, PortError> {
        let mut messages = Vec::new();
        while messages.len() < MESSAGES_MAX && Instant::now() + RESERVE < deadline {
            let wave = (0..RECEIVERS).map(|_| self.queue.receive());
            let wave = try_join_all(wave).await?;
            let before = messages.len();
            messages.extend(wave.into_iter().flatten());
            if messages.len() == before {
                break;
            }
        }
        Ok(messages)
    }

    /// Writes the batch and the index objects. An existing object has the same content, which its key determines.
    async fn write_batch(
        &self,
        entries: &[Entry],
        leaf: u64,
        root: &Hash,
    ) -> Result<(), PortError> {
        let content = batch_content(entries).into_bytes();
        self.bucket.put_new(&batch_key(root), content).await?;
        let index = index_objects(entries, leaf, root);
        let writes = index.into_iter().map(|(key, entries)| async move {
            let content = index_content(&entries).into_bytes();
            self.bucket.put_new(&key.key(), content).await
        });
        let mut written = stream::iter(writes).buffer_unordered(WRITES);
        while written.try_next().await?.is_some() {}
        Ok(())
    }

    /// Appends the leaf. False if another run appended first.
    async fn append(&self, index: u64, leaf: &LogEntry) -> Result<bool, PortError> {
        let key = leaf_key(index);
        let content = leaf.canonical().into_bytes();
        match self.bucket.put_new(&key, content.clone()).await? {
            PutOutcome::Created => Ok(true),
            PutOutcome::Exists => Ok(self.bucket.get(&key).await? == Some(content)),
        }
    }

    /// Signs the checkpoint of the log with one more leaf, and writes it.
    async fn sign(
        &self,
        head: Option<&Head>,
        leaf: LogEntry,
        summary: &mut Summary,
    ) -> Result<(), PortError> {
        let failed = |what: String| PortError::Permanent("the checkpoint", what);
        let mut frontier = head.map_or_else(Frontier::new, |head| head.frontier.clone());
        let nodes = frontier.push(leaf.leaf());
        let nodes = nodes.ok_or_else(|| failed("the log is full".to_owned()))?;
        let checkpoint = Checkpoint {
            origin: self.name.clone(),
            size: frontier.size(),
            root: frontier.root(),
        };
        let key = self.key.get_or_try_init(|| self.read_key()).await?;
        let text = checkpoint.body();
        let signature = self.signer.sign_checkpoint(text.as_bytes()).await?;
        let note = Note::assemble(&checkpoint, key, &signature);
        let note = note.map_err(|bad| failed(bad.to_string()))?;
        let stored = StoredCheckpoint {
            frontier: frontier.hashes().to_vec(),
            nodes: nodes.into_iter().map(|(_, hash)| hash).collect(),
            note: note.to_string(),
            leaf,
        };
        let size = checkpoint.size;
        let object = stored.content().into_bytes();
        let put = self.bucket.put_new(&checkpoint_key(size), object).await?;
        if put == PutOutcome::Exists {
            // Ours, after a lost reply, or the one of another run for the same leaf.
            let reader = LogReader::new(&self.bucket, &self.name, key);
            let written = reader.stored(size).await?;
            let written = written.ok_or_else(|| failed("not readable".to_owned()))?;
            let written = written.verify(size, &self.name, key);
            let written = written.map_err(|bad| failed(bad.to_string()))?;
            if written.checkpoint != checkpoint {
                tracing::error!(log.size = size, "anchor.forked");
                return Err(failed("the log has another checkpoint".to_owned()));
            }
        }
        summary.size = size;
        summary.entries = stored.leaf.entries;
        self.known.store(size, Relaxed);
        Ok(())
    }
}

/// True if the log has reached its limit for the day of `at`.
async fn is_day_full<B: AppendLog>(
    reader: &LogReader<'_, B>,
    size: u64,
    at: i64,
) -> Result<bool, PortError> {
    let Some(index) = size.checked_sub(DAY_MAX) else {
        return Ok(false);
    };
    let leaf = reader.leaf(index).await?;
    let day = |at: i64| at.div_euclid(DAY_S);
    Ok(leaf.is_some_and(|leaf| day(leaf.at) == day(at)))
}

/// The entries of the messages, each once, in the order of the batch.
fn entries(messages: &[QueuedMessage], summary: &mut Summary) -> Vec<Entry> {
    let mut entries = BTreeSet::new();
    for message in messages {
        match entry(message) {
            Some(entry) if entries.insert((entry.pseudonym, entry.seq, entry.hash)) => {}
            Some(_) => summary.duplicates += 1,
            None => summary.malformed += 1,
        }
    }
    if summary.malformed > 0 {
        tracing::warn!(
            anchor.messages = summary.malformed,
            "anchor.malformed_messages"
        );
    }
    let entries = entries.into_iter().map(|(pseudonym, seq, hash)| Entry {
        hash,
        pseudonym,
        seq,
    });
    let entries: Vec<Entry> = entries.collect();
    for pair in entries.array_windows() {
        let [one, other] = pair;
        if (one.pseudonym, one.seq) == (other.pseudonym, other.seq) {
            summary.conflicts += 1;
            tracing::error!(
                anchor.pseudonym = one.pseudonym.to_string(),
                event.seq = one.seq,
                "anchor.conflict"
            );
        }
    }
    entries
}

/// The entry of a message. `None` for a malformed one.
fn entry(message: &QueuedMessage) -> Option<Entry> {
    let entry: Entry = serde_json::from_str(&message.body).ok()?;
    (1..=INTEGER_MAX).contains(&entry.seq).then_some(entry)
}

/// The index objects of a batch.
fn index_objects(entries: &[Entry], leaf: u64, root: &Hash) -> Vec<(IndexKey, Vec<IndexEntry>)> {
    let mut merchants: BTreeMap<Hash, Vec<IndexEntry>> = BTreeMap::new();
    for (index, entry) in (0..).zip(entries) {
        let of_merchant = merchants.entry(entry.pseudonym).or_default();
        of_merchant.push(IndexEntry {
            hash: entry.hash,
            index,
            seq: entry.seq,
        });
    }
    let objects = merchants.into_iter().map(|(pseudonym, entries)| {
        let key = IndexKey {
            pseudonym,
            seq: entries.iter().map(|entry| entry.seq).max().unwrap_or(0),
            leaf,
            root: *root,
        };
        (key, entries)
    });
    objects.collect()
}
