//! The keys of a secret: the current one, and during a rotation the previous one.
//!
//! The acquirer and its partner do not change a key at the same moment, and an execution environment lives for hours.

use super::key::{KeyError, PartnerKey};
use application::clock::wall_clock;
use aws_sdk_secretsmanager::Client;
use domain::time::Timestamp;
use tokio::sync::Mutex;

/// A key is read again after this time, in seconds.
pub const KEY_TTL_S: i64 = 300;
/// After the partner refused a key, its secret is not read again within this time, in seconds.
const REREAD_S: i64 = 60;

/// Which version of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one in force.
    Current,
    /// The one before it.
    Previous,
}

impl Version {
    const fn stage(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

fn age_s(now: Timestamp, at: Timestamp) -> i64 {
    now.epoch_s().saturating_sub(at.epoch_s())
}

#[derive(Debug)]
enum Source {
    /// A key that never changes.
    Fixed(PartnerKey),
    /// A secret of Secrets Manager.
    Secret(Client, String),
}

#[derive(Debug)]
struct Held {
    key: PartnerKey,
    read_at: Timestamp,
    reread_at: Option<Timestamp>,
}

/// The key that this system signs with.
#[derive(Debug)]
pub struct KeyRing {
    source: Source,
    held: Mutex<Option<Held>>,
}

impl KeyRing {
    /// A key that never changes.
    #[must_use]
    pub fn fixed(key: PartnerKey) -> Self {
        Self::of(Source::Fixed(key))
    }

    /// Reads a secret when its key is first needed. A function that starts for another step must neither wait for it nor fail
    /// without it.
    #[must_use]
    pub fn of_secret(secrets: Client, secret_id: String) -> Self {
        Self::of(Source::Secret(secrets, secret_id))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            held: Mutex::new(None),
        }
    }

    /// The key to sign with. A key that cannot be read again stays in use.
    pub(crate) async fn key(&self) -> Result<PartnerKey, KeyError> {
        let now = wall_clock();
        let mut slot = self.held.lock().await;
        let Some(held) = slot.as_mut() else {
            let key = self.read(Version::Current).await?;
            *slot = Some(Held {
                key: key.clone(),
                read_at: now,
                reread_at: None,
            });
            return Ok(key);
        };
        // Also too old after the clock was put back.
        if !(0..KEY_TTL_S).contains(&age_s(now, held.read_at)) {
            match self.read(Version::Current).await {
                Ok(key) => held.key = key,
                Err(error) => tracing::warn!(partner.fault = %error, "partner_key.not_read"),
            }
            held.read_at = now;
        }
        Ok(held.key.clone())
    }

    /// Another key, after the partner has refused this one: the newest, if it has changed, or the previous one, if the partner does not
    /// know the newest yet.
    pub(crate) async fn instead_of(&self, refused: &PartnerKey) -> Option<PartnerKey> {
        let now = wall_clock();
        let mut slot = self.held.lock().await;
        let held = slot.as_mut()?;
        if !held.key.is_same(refused) {
            return Some(held.key.clone()); // another call has found it
        }
        let reread_s = held.reread_at.map(|at| age_s(now, at));
        if reread_s.is_some_and(|seconds| (0..REREAD_S).contains(&seconds)) {
            return None;
        }
        held.reread_at = Some(now);
        for version in [Version::Current, Version::Previous] {
            let read = self.read(version).await;
            if let Ok(key) = read.inspect_err(|error| {
                tracing::warn!(partner.fault = %error, "partner_key.not_read");
            }) && !key.is_same(refused)
            {
                tracing::warn!(partner.key_version = version.stage(), "partner_key.changed");
                held.key = key.clone();
                held.read_at = now;
                return Some(key);
            }
        }
        None
    }

    async fn read(&self, version: Version) -> Result<PartnerKey, KeyError> {
        match &self.source {
            Source::Fixed(key) => Ok(key.clone()),
            Source::Secret(client, id) => PartnerKey::load(client, id, version).await,
        }
    }
}

impl PartnerKey {
    /// Reads a version of a secret.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] when Secrets Manager refuses, does not answer or has no such version, or when the value is not text.
    pub async fn load(
        secrets: &Client,
        secret_id: &str,
        version: Version,
    ) -> Result<Self, KeyError> {
        use aws_sdk_secretsmanager::error::DisplayErrorContext;
        let value = secrets
            .get_secret_value()
            .secret_id(secret_id)
            .version_stage(version.stage())
            .send()
            .await
            .map_err(|error| KeyError::Unreadable(DisplayErrorContext(error).to_string()))?;
        let text = value
            .secret_string()
            .ok_or_else(|| KeyError::Unreadable("the value is not text".to_owned()))?;
        Self::from_secret_text(text)
    }
}

#[cfg(test)]
#[path = "key_ring_tests.rs"]
mod tests;
