//! The keys that the bank accepts.

use crate::operation::Operation;
use aws_sdk_secretsmanager::Client;
use bank::BankKey;
use partner::KeyError;
use partner::key_ring::Version;

/// The keys that callers sign with.
#[derive(Clone, Debug)]
pub struct BankKeys {
    /// Permit every operation. During a rotation, the new and the old one.
    pub ask: Vec<BankKey>,
    /// Permit queries by serial only: their holder can neither check a card nor send money.
    pub query: Vec<BankKey>,
    /// Keys the hashes in the table. A rotation does not change it.
    pub hashes: BankKey,
}

impl BankKeys {
    /// Reads the current version of each secret and, during a rotation, the previous one.
    ///
    /// # Errors
    /// When a current version cannot be read.
    pub async fn load(secrets: &Client, ask: &str, query: &str) -> Result<Self, KeyError> {
        let (newest, older) = versions(secrets, ask).await?;
        let (query, older_query) = versions(secrets, query).await?;
        Ok(Self {
            hashes: older.as_ref().unwrap_or(&newest).clone(),
            ask: std::iter::once(newest).chain(older).collect(),
            query: std::iter::once(query).chain(older_query).collect(),
        })
    }

    /// The keys that permit the operation.
    pub(crate) fn of(&self, operation: Operation) -> impl Iterator<Item = &BankKey> {
        let query = operation.is_query().then_some(&self.query);
        self.ask.iter().chain(query.into_iter().flatten())
    }
}

/// The current key and, if there is one, the previous one.
async fn versions(
    secrets: &Client,
    secret_id: &str,
) -> Result<(BankKey, Option<BankKey>), KeyError> {
    let current = BankKey::load(secrets, secret_id, Version::Current).await?;
    let previous = BankKey::load(secrets, secret_id, Version::Previous).await;
    Ok((current, previous.ok()))
}
