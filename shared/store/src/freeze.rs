//! Wrong freeze codes, counted for a metric and for the notification of the owner.

use super::Store;
use super::client::{Get, SingleUpdate, Table, Updated};
use super::item::Item;
use super::keys::{account_key, account_pk, key, source_pk};
use super::records::{account, freeze_counter};
use application::ports::{FreezeGuesses, FreezeKeys, FreezeRequests, PortError};
use aws_sdk_dynamodb::types::ReturnValue;
use domain::ids::MerchantId;
use domain::time::Timestamp;

/// The sort key of an account's and an address's counts.
const COUNTER: &str = "Q";

impl<T: Table> FreezeRequests for Store<T> {
    async fn account_merchant(&self, keys: &FreezeKeys) -> Result<Option<MerchantId>, PortError> {
        let get = |hash: &String| Get {
            key: account_key(hash),
            only: None,
            consistent: true,
        };
        let found = match &keys.previous_account {
            None => self.table.get(get(&keys.account)).await?,
            Some(previous) => {
                let current = self.table.get(get(&keys.account));
                let (current, previous) =
                    futures::join!(current, self.table.get_beside(get(previous)));
                current?.or(previous?)
            }
        };
        Ok(found.as_ref().and_then(account::merchant_id))
    }

    async fn count_freeze_guess(
        &self,
        keys: &FreezeKeys,
        now: Timestamp,
    ) -> Result<FreezeGuesses, PortError> {
        let of_account = key(account_pk(&keys.account), COUNTER);
        let of_source = key(source_pk(&keys.source), COUNTER);
        let (of_account, of_source) = futures::join!(
            self.add_guess(of_account, &keys.nonce, now),
            self.add_guess(of_source, &keys.nonce, now),
        );
        Ok(FreezeGuesses {
            of_account: of_account?,
            of_source: of_source?,
        })
    }
}

impl<T: Table> Store<T> {
    /// Adds one to this hour's count, and returns the number of guesses in the last day.
    async fn add_guess(
        &self,
        counter: Item,
        nonce: &[u8],
        now: Timestamp,
    ) -> Result<usize, PortError> {
        let (update, expression) = freeze_counter::add(nonce, now);
        let update = SingleUpdate {
            expression,
            ..SingleUpdate::new(counter.clone(), update, ReturnValue::AllNew)
        };
        let item = match self.table.update(update).await? {
            Updated::Done(item) | Updated::ConditionFailed(item) => item,
        };
        // Both outcomes include the item; without it, the number of guesses is unknown.
        let item = item.ok_or_else(|| PortError::Transient("the table", "no count".to_owned()))?;
        let guesses = freeze_counter::of_last_day(&item, now)?;
        self.forget_old_hours(counter, &item, now).await;
        Ok(guesses)
    }

    /// Garbage collection only: no decision depends on the removal.
    async fn forget_old_hours(&self, counter: Item, item: &Item, now: Timestamp) {
        let Some(update) = freeze_counter::forget_old(item, now) else {
            return;
        };
        let update = SingleUpdate::new(counter, update, ReturnValue::None);
        if let Err(error) = self.table.update(update).await {
            tracing::warn!(store.cause = error.to_string(), "freeze.old_counts_kept");
        }
    }
}
