//! The peers of the `anchor` function in memory: its queue and its bucket. [`MemorySigner`] is its key.

use crate::iam_policy::{Context, IamRecorder};
use crate::peer_faults::{DroppedPart, PeerCalls};
use crate::scripted_peers::{MemoryKeys, MemorySigner};
use anchor::Anchor;
use application::ports::{
    AnchorQueue, AppendLog, PortError, PutOutcome, QueueAnchor, QueuedMessage, ReadLog,
};
use proof::published::PublishedLog;
use proof::reader::LogReader;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use transparency::history::Entry;
use transparency::key::LogKey;

/// The name of the log in tests.
pub const LOG_NAME: &str = "log.test";

/// The function over memory.
pub type MemoryAnchor = Anchor<MemoryQueue, MemoryLog, MemorySigner>;

/// The log as another function reads it.
pub type MemoryPublished = PublishedLog<MemoryLog, MemorySigner>;

/// What one log needs.
#[derive(Clone)]
pub struct LogPeers {
    /// The queue.
    pub queue: MemoryQueue,
    /// The bucket.
    pub log: MemoryLog,
    /// The signing key.
    pub signer: MemorySigner,
    /// The calls to them.
    pub peer_calls: PeerCalls,
}

impl LogPeers {
    /// An empty log under no role.
    #[must_use]
    pub fn new() -> Self {
        Self::over(&MemoryKeys::default(), None)
    }

    /// An empty log. `iam`: checks the calls against the role of the function.
    #[must_use]
    pub(crate) fn over(keys: &MemoryKeys, iam: Option<&IamRecorder>) -> Self {
        let peer_calls = keys.peer_calls.clone();
        let keys = match iam {
            Some(iam) => keys.of("anchor", iam),
            None => keys.clone(),
        };
        let role = iam.cloned();
        Self {
            queue: MemoryQueue {
                state: Arc::default(),
                role: role.clone(),
                peer_calls: peer_calls.clone(),
            },
            log: MemoryLog {
                function: "anchor",
                objects: Arc::default(),
                role,
                peer_calls: peer_calls.clone(),
                repeats: Arc::default(),
            },
            signer: MemorySigner::named(keys, "AnchorSigningKey"),
            peer_calls,
        }
    }

    /// A new process of the function.
    #[must_use]
    pub fn function(&self) -> MemoryAnchor {
        let (queue, log) = (self.queue.clone(), self.log.clone());
        Anchor::new(queue, log, self.signer.clone(), LOG_NAME.to_owned())
    }

    /// The log as another function reads it.
    #[must_use]
    pub(crate) fn of(&self, function: &'static str, keys: MemoryKeys) -> MemoryPublished {
        let log = MemoryLog {
            function,
            ..self.log.clone()
        };
        PublishedLog::new(log, self.signer.held_by(keys), LOG_NAME.to_owned())
    }

    /// The public key of the log.
    #[must_use]
    pub fn key(&self) -> LogKey {
        LogKey::from_pem(&self.signer.public_pem()).unwrap()
    }

    /// A reader of the log.
    #[must_use]
    pub fn reader<'a>(&'a self, key: &'a LogKey) -> LogReader<'a, MemoryLog> {
        LogReader::new(&self.log, LOG_NAME, key)
    }
}

impl Default for LogPeers {
    fn default() -> Self {
        Self::new()
    }
}

/// A queue in memory that delivers at least once.
#[derive(Clone, Debug)]
pub struct MemoryQueue {
    state: Arc<Mutex<QueueState>>,
    role: Option<IamRecorder>,
    peer_calls: PeerCalls,
}

#[derive(Debug, Default)]
struct QueueState {
    visible: VecDeque<String>,
    /// Received messages by receipt.
    hidden: BTreeMap<String, String>,
    receipts: u64,
}

impl MemoryQueue {
    /// Queues a message.
    pub fn send(&self, body: impl Into<String>) {
        self.state.lock().unwrap().visible.push_back(body.into());
    }

    /// Ends the visibility timeout of the received messages.
    pub fn show_again(&self) {
        let state = &mut *self.state.lock().unwrap();
        let hidden = std::mem::take(&mut state.hidden);
        state.visible.extend(hidden.into_values());
    }

    /// All messages, received or not.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let all = state.visible.iter().chain(state.hidden.values());
        all.cloned().collect()
    }
}

impl AnchorQueue for MemoryQueue {
    async fn receive(&self) -> Result<Vec<QueuedMessage>, PortError> {
        let lost = call(&self.peer_calls, "receive").await;
        authorize(
            &self.role,
            "anchor",
            "sqs:ReceiveMessage",
            "AnchorQueue.Arn",
        );
        if lost == Some(DroppedPart::Request) {
            return Err(lost_call());
        }
        let state = &mut *self.state.lock().unwrap();
        let mut received = Vec::new();
        while let Some(body) = (received.len() < 10)
            .then(|| state.visible.pop_front())
            .flatten()
        {
            state.receipts += 1;
            let receipt = format!("receipt-{}", state.receipts);
            state.hidden.insert(receipt.clone(), body.clone());
            received.push(QueuedMessage { body, receipt });
        }
        lost.map_or(Ok(received), |_| Err(lost_call()))
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), PortError> {
        let lost = call(&self.peer_calls, "delete").await;
        authorize(&self.role, "anchor", "sqs:DeleteMessage", "AnchorQueue.Arn");
        let state = &mut *self.state.lock().unwrap();
        if lost != Some(DroppedPart::Request) {
            state
                .hidden
                .retain(|receipt, _| !receipts.contains(receipt));
        }
        lost.map_or(Ok(()), |_| Err(lost_call()))
    }
}

impl QueueAnchor for MemoryQueue {
    async fn queue(&self, entries: &[Entry]) -> Result<(), PortError> {
        let lost = call(&self.peer_calls, "queue").await;
        authorize(&self.role, "events", "sqs:SendMessage", "AnchorQueue.Arn");
        if lost != Some(DroppedPart::Request) {
            entries
                .iter()
                .for_each(|entry| self.send(entry.canonical()));
        }
        lost.map_or(Ok(()), |_| Err(lost_call()))
    }
}

/// A bucket in memory.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    /// The function that reads and writes it.
    function: &'static str,
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    role: Option<IamRecorder>,
    peer_calls: PeerCalls,
    /// True if the adapter repeats a write whose reply was lost, and then finds the object.
    pub repeats: Arc<AtomicBool>,
}

impl MemoryLog {
    /// All objects.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().unwrap().clone()
    }

    /// Replaces an object, which nobody can in production.
    pub fn replace(&self, key: &str, content: Vec<u8>) {
        self.objects.lock().unwrap().insert(key.to_owned(), content);
    }
}

impl ReadLog for MemoryLog {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        let lost = call(&self.peer_calls, "get").await;
        authorize(
            &self.role,
            self.function,
            "s3:GetObject",
            "${LogBucket.Arn}/*",
        );
        if lost.is_some() {
            return Err(lost_call());
        }
        let object = self.objects.lock().unwrap().get(key).cloned();
        if object.is_none() {
            // S3 answers 403 to a caller that may not list.
            authorize(&self.role, self.function, "s3:ListBucket", "LogBucket.Arn");
        }
        Ok(object)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        let objects = self.objects.lock().unwrap();
        let keys = objects.keys().filter(|key| key.starts_with(prefix));
        Ok(keys.cloned().collect())
    }
}

impl AppendLog for MemoryLog {
    async fn put_new(&self, key: &str, content: Vec<u8>) -> Result<PutOutcome, PortError> {
        let lost = call(&self.peer_calls, "put").await;
        authorize(
            &self.role,
            self.function,
            "s3:PutObject",
            "${LogBucket.Arn}/*",
        );
        if lost == Some(DroppedPart::Request) {
            return Err(lost_call());
        }
        let mut objects = self.objects.lock().unwrap();
        let outcome = match objects.contains_key(key) {
            true => PutOutcome::Exists,
            false => {
                objects.insert(key.to_owned(), content);
                PutOutcome::Created
            }
        };
        match lost {
            None => Ok(outcome),
            Some(_) if self.repeats.load(Ordering::Relaxed) => Ok(PutOutcome::Exists),
            Some(_) => Err(lost_call()),
        }
    }
}

/// Counts a call, and lets another run go first: a test can stop a run before each of its calls.
pub(crate) async fn call(calls: &PeerCalls, peer: &'static str) -> Option<DroppedPart> {
    let mut is_polled = false;
    poll_fn(|context| match std::mem::replace(&mut is_polled, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
    calls.call(peer)
}

pub(crate) fn lost_call() -> PortError {
    PortError::Transient("a peer of the tests", "lost".to_owned())
}

fn authorize(role: &Option<IamRecorder>, function: &str, action: &str, resource: &str) {
    if let Some(iam) = role {
        let allowed = iam.authorize(function, action, resource, &Context::default());
        allowed.unwrap_or_else(|refusal| panic!("{refusal}"));
    }
}
