//! The tables themselves, through the same use case as the operator's API.

use super::target::{Answer, Entry, Target};
use application::crypto::Keys;
use application::ports::{KeyService, PortError};
use domain::onboarding::CreatedBy;
use domain::time::Timestamp;
use store::Store;
use store::client::Table;
use store::onboard::{OnboardError, Onboarded};

/// The tables.
pub struct Direct<T, K> {
    name: String,
    store: Store<T>,
    keys: Keys<K>,
    clock: fn() -> Timestamp,
}

impl<T: Table, K: KeyService> Direct<T, K> {
    /// `name`: the name of the main table.
    pub fn new(
        name: impl Into<String>,
        store: Store<T>,
        keys: Keys<K>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            name: name.into(),
            store,
            keys,
            clock,
        }
    }
}

impl<T: Table, K: KeyService> Target for Direct<T, K> {
    fn name(&self) -> String {
        format!("the table {}", self.name)
    }

    fn batch(&self) -> usize {
        1
    }

    async fn create(&self, entries: &[Entry]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let now = (self.clock)();
            let merchant = &entry.merchant;
            let created =
                Box::pin(
                    self.store
                        .onboard(&self.keys, merchant, CreatedBy::Import, now),
                );
            answers.push(answer(created.await));
        }
        answers
    }
}

fn answer(created: Result<Onboarded, OnboardError>) -> Answer {
    match created {
        Ok(Onboarded::Created) => Answer::Created,
        Ok(Onboarded::AlreadyThere) => Answer::AlreadyThere,
        Err(OnboardError::Refused(faults)) => Answer::Refused(faults),
        Err(OnboardError::Port(error @ (PortError::Conflict | PortError::Transient(..)))) => {
            Answer::Unavailable(error.to_string())
        }
        Err(OnboardError::Port(error)) => Answer::Failed(error.to_string()),
    }
}
