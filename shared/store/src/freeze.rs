//! Attempts at freeze codes, counted before the code is compared.

use super::Store;
use super::client::{SingleUpdate, Table, Updated};
use super::item::Item;
use super::keys::{account_key, account_pk, key, source_pk};
use super::records::{account, freeze_counter};
use application::ports::{FreezeAttempt, FreezeAttempts, FreezeKeys, PortError};
use aws_sdk_dynamodb::types::ReturnValue;
use domain::policy::Policy;
use domain::time::Timestamp;

/// The sort key of an account's and an address's counts.
const COUNTER: &str = "Q";

fn account_counter(keys: &FreezeKeys) -> Item {
    key(account_pk(&keys.account), COUNTER)
}

fn source_counter(keys: &FreezeKeys) -> Item {
    key(source_pk(&keys.source), COUNTER)
}

impl<T: Table> FreezeAttempts for Store<T> {
    async fn count_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<FreezeAttempt, PortError> {
        let account = vec![account_key(&keys.account)];
        let (of_source, account) = futures::join!(
            self.add_attempts(source_counter(keys), 1, keys.nonce_for(1), now),
            self.table.batch_get(account),
        );
        let of_source = of_source?;
        let counted = match account {
            Ok(account) => {
                self.count_for_account(keys, of_source, &account, policy, now)
                    .await
            }
            Err(error) => Err(error),
        };
        if counted.is_err() {
            // The code is not compared, so the attempt is refunded.
            let _ = self.refund_source(keys, now).await;
        }
        counted
    }

    async fn refund_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let (account, source) = futures::join!(
            self.add_attempts(account_counter(keys), -1, keys.nonce_for(-1), now),
            self.refund_source(keys, now),
        );
        account.and(source).map(|_| ())
    }
}

impl<T: Table> Store<T> {
    /// The address is counted already. Counts the account, unless the address is over its limit.
    async fn count_for_account(
        &self,
        keys: &FreezeKeys,
        of_source: usize,
        account: &[Item],
        policy: &Policy,
        now: Timestamp,
    ) -> Result<FreezeAttempt, PortError> {
        let merchant_id = account.first().and_then(account::merchant_id);
        let refused = FreezeAttempt {
            merchant_id: merchant_id.clone(),
            allowed: false,
        };
        if of_source > policy.freeze_attempts_per_source_day {
            let _ = self.refund_source(keys, now).await;
            return Ok(refused);
        }
        let of_account = self
            .add_attempts(account_counter(keys), 1, keys.nonce_for(1), now)
            .await?;
        if of_account > policy.freeze_attempts_per_account_day {
            let _ = self.refund_freeze_attempt(keys, now).await;
            return Ok(refused);
        }
        Ok(FreezeAttempt {
            merchant_id,
            allowed: true,
        })
    }

    /// Refunds an attempt of the address. If the refund fails, the attempt stays counted.
    async fn refund_source(&self, keys: &FreezeKeys, now: Timestamp) -> Result<usize, PortError> {
        self.add_attempts(source_counter(keys), -1, keys.nonce_for(-1), now)
            .await
    }

    /// Adds to this hour's count, and returns the number of attempts in the last day.
    async fn add_attempts(
        &self,
        counter: Item,
        more: i64,
        nonce: [u8; 6],
        now: Timestamp,
    ) -> Result<usize, PortError> {
        let (update, expression) = freeze_counter::add(more, &nonce, now);
        let update = SingleUpdate {
            expression,
            ..SingleUpdate::new(counter.clone(), update, ReturnValue::AllNew)
        };
        let item = match self.table.update(update).await? {
            Updated::Done(item) | Updated::ConditionFailed(item) => item,
        };
        // Both outcomes include the item; without it, the number of attempts is unknown.
        let item = item.ok_or_else(|| PortError::Transient("the table", "no count".to_owned()))?;
        let attempts = freeze_counter::of_last_day(&item, now)?;
        self.forget_old_hours(counter, &item, now).await;
        Ok(attempts)
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
