//! Anchoring of histories: the queue of events to anchor, and the log that anchors them.

use super::PortError;
use transparency::history::Entry;

/// Puts events on the queue of the log.
pub trait QueueAnchor {
    /// Queues every entry at least once. After an error, some may be queued; a repetition does no harm.
    async fn queue(&self, entries: &[Entry]) -> Result<(), PortError>;
}

/// A received message. It is hidden from other receivers for some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// An [`Entry`] in JSON, unless the sender had a defect.
    pub body: String,
    /// The handle to delete this message.
    pub receipt: String,
}

/// Receives the events to anchor.
pub trait AnchorQueue {
    /// A few messages; none when the queue is empty. A message can be received more than once.
    async fn receive(&self) -> Result<Vec<QueuedMessage>, PortError>;
    /// Deletes messages. After an error, some may be left.
    async fn delete(&self, receipts: &[String]) -> Result<(), PortError>;
}

/// The result of [`AppendLog::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is written.
    Created,
    /// The key has an object. It may be this one, if the reply to an earlier attempt was lost.
    Exists,
}

/// Reads the objects of the log. Objects never change.
pub trait ReadLog {
    /// The content of an object.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PortError>;
    /// The keys with a prefix, all of them, in order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError>;
}

/// Adds objects to the log.
pub trait AppendLog: ReadLog {
    /// Writes an object, unless the key has one.
    async fn put_new(&self, key: &str, content: Vec<u8>) -> Result<PutOutcome, PortError>;
}

/// Knows the key that verifies checkpoints.
pub trait LogPublicKey {
    /// The public key: a `SubjectPublicKeyInfo` in DER.
    async fn public_key(&self) -> Result<Vec<u8>, PortError>;
}

/// Signs checkpoints with a key that no other function may use.
pub trait SignCheckpoint: LogPublicKey {
    /// The ECDSA signature of a checkpoint's text, in DER.
    async fn sign_checkpoint(&self, text: &[u8]) -> Result<Vec<u8>, PortError>;
}
