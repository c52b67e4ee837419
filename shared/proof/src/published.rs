//! The log, read by a function that cannot write it.

use crate::export::Proof;
use crate::objects::Head;
use crate::reader::LogReader;
use application::ports::{LogPublicKey, PortError, ReadLog};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::OnceCell;
use transparency::hash::Hash;
use transparency::history::consistency::Consistency;
use transparency::key::LogKey;

/// The log, its name and its public key.
#[derive(Debug)]
pub struct PublishedLog<B, S> {
    bucket: B,
    signer: S,
    name: String,
    key: OnceCell<LogKey>,
    /// A size that the log has had.
    known: AtomicU64,
}

/// Proofs that lead to one checkpoint.
#[derive(Debug)]
pub struct Proven {
    /// The signed note of the checkpoint.
    pub checkpoint: String,
    /// The proofs of events, by sequence.
    pub proofs: Vec<Proof>,
    /// The proof that the checkpoint continues an older one.
    pub consistency: Option<Consistency>,
}

impl<B: ReadLog, S: LogPublicKey> PublishedLog<B, S> {
    /// The log `name` in the bucket, whose checkpoints the signer signs.
    pub const fn new(bucket: B, signer: S, name: String) -> Self {
        Self {
            bucket,
            signer,
            name,
            key: OnceCell::const_new(),
            known: AtomicU64::new(0),
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key.
    ///
    /// # Errors
    /// When the key service fails, or its key is not one of a log.
    pub async fn key(&self) -> Result<&LogKey, PortError> {
        let read = async || {
            let der = self.signer.public_key().await?;
            LogKey::from_der(&der)
                .map_err(|bad| PortError::Permanent("the signing key", bad.to_string()))
        };
        self.key.get_or_try_init(read).await
    }

    /// The newest checkpoint; `None` for an empty log.
    ///
    /// # Errors
    /// When a service fails, or the checkpoint is not valid.
    pub async fn newest(&self) -> Result<Option<Head>, PortError> {
        let head = self
            .reader()
            .await?
            .newest(self.known.load(Relaxed))
            .await?;
        if let Some(head) = &head {
            self.known.fetch_max(head.checkpoint.size, Relaxed);
        }
        Ok(head)
    }

    /// The proof of a merchant's newest anchored event; `None` if no event is anchored.
    ///
    /// # Errors
    /// When a service fails, or the log is damaged.
    pub async fn newest_proof(&self, pseudonym: &Hash) -> Result<Option<(Proof, Head)>, PortError> {
        let Some(head) = self.newest().await? else {
            return Ok(None);
        };
        let proof = self.reader().await?.newest_proof(pseudonym, &head).await?;
        Ok(proof.map(|proof| (proof, head)))
    }

    /// The proofs of all anchored events of a merchant; `None` for an empty log. `kept`: the size of a checkpoint that the newest
    /// one has to continue.
    ///
    /// # Errors
    /// When a service fails, or the log is damaged.
    pub async fn proofs(
        &self,
        pseudonym: &Hash,
        kept: Option<u64>,
    ) -> Result<Option<Proven>, PortError> {
        let Some(head) = self.newest().await? else {
            return Ok(None);
        };
        let reader = self.reader().await?;
        let consistency = match kept {
            Some(kept) => reader.consistency(kept, &head).await?,
            None => None,
        };
        Ok(Some(Proven {
            proofs: reader.proofs(pseudonym, &head).await?,
            checkpoint: head.note,
            consistency,
        }))
    }

    async fn reader(&self) -> Result<LogReader<'_, B>, PortError> {
        Ok(LogReader::new(&self.bucket, &self.name, self.key().await?))
    }
}
