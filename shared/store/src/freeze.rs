//! Tries of freeze codes, counted by the hour: an addition does not ask what it adds to, so that tries never stand in each
//! other's way, and the sum over a day's hours is at most an hour short of the last 24.

use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, b, get_s, n, opt_n, time};
use super::record::key;
use super::{GARBAGE_AFTER_S, Store};
use application::ports::{FreezeAttempt, FreezeAttempts, FreezeKeys, PortError};
use aws_sdk_dynamodb::types::ReturnValue;
use domain::ids::MerchantId;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::time::Timestamp;

/// The sort key of the counts of an account and of an address.
const TRIES: &str = "Q";

fn account_tries(keys: &FreezeKeys) -> Item {
    key(format!("A#{}", keys.account), TRIES)
}

fn source_tries(keys: &FreezeKeys) -> Item {
    key(format!("S#{}", keys.source), TRIES)
}

/// Hours since 1970; a clock before that (a sandbox's can be) counts in the first, for its number names an attribute.
fn hour_of(at: Timestamp) -> i64 {
    at.epoch_s().div_euclid(HOUR_S).max(0)
}

/// The attribute of an hour's count.
fn hour_name(hour: i64) -> String {
    format!("h{hour}")
}

/// The hours that an item has counts of.
fn hours(item: &Item) -> impl Iterator<Item = i64> {
    item.keys()
        .filter_map(|name| name.strip_prefix('h')?.parse().ok())
}

/// The tries in the hours of the last day.
fn of_last_day(item: &Item, now: Timestamp) -> usize {
    let last = hour_of(now);
    let first = last - DAY_S / HOUR_S + 1;
    hours(item)
        // A count ahead of this clock is a try all the same.
        .filter(|hour| *hour >= first)
        .map(|hour| opt_n::<i64>(item, &hour_name(hour)).unwrap_or(0))
        .map(|count| usize::try_from(count).unwrap_or(0))
        .sum()
}

impl<T: Table> FreezeAttempts for Store<T> {
    async fn count_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<FreezeAttempt, PortError> {
        let account = vec![key(format!("A#{}", keys.account), "A")];
        let (of_source, account) = futures::join!(
            self.add_try(source_tries(keys), 1, keys.nonce_for(1), now),
            self.table.batch_get(account),
        );
        let of_source = of_source?;
        let counted = match account {
            Ok(account) => {
                self.count_for_account(keys, &of_source, &account, policy, now)
                    .await
            }
            Err(error) => Err(error),
        };
        if counted.is_err() {
            // No code is looked at, so that the address has not tried any. If this fails too, one too many stays counted.
            let _ = self
                .add_try(source_tries(keys), -1, keys.nonce_for(-1), now)
                .await;
        }
        counted
    }

    async fn refund_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let (account, source) = futures::join!(
            self.add_try(account_tries(keys), -1, keys.nonce_for(-1), now),
            self.add_try(source_tries(keys), -1, keys.nonce_for(-1), now),
        );
        account.and(source).map(|_| ())
    }
}

impl<T: Table> Store<T> {
    /// The address is counted; the account follows, unless the address has had too many.
    async fn count_for_account(
        &self,
        keys: &FreezeKeys,
        of_source: &Item,
        account: &[Item],
        policy: &Policy,
        now: Timestamp,
    ) -> Result<FreezeAttempt, PortError> {
        let merchant_id = account
            .first()
            .and_then(|item| MerchantId::parse(get_s(item, "merchant_id").ok()?));
        let refused = FreezeAttempt {
            merchant_id: merchant_id.clone(),
            allowed: false,
        };
        if of_last_day(of_source, now) > policy.freeze_tries_per_source_day {
            // Not looked at, and counted nowhere; if this fails, it stays counted.
            let _ = self
                .add_try(source_tries(keys), -1, keys.nonce_for(-1), now)
                .await;
            return Ok(refused);
        }
        let of_account = self
            .add_try(account_tries(keys), 1, keys.nonce_for(1), now)
            .await?;
        if of_last_day(&of_account, now) > policy.freeze_tries_per_account_day {
            let _ = self.refund_freeze_attempt(keys, now).await;
            return Ok(refused);
        }
        Ok(FreezeAttempt {
            merchant_id,
            allowed: true,
        })
    }

    /// Adds to this hour's count, and returns the item as it is then. An attempt whose answer was lost is repeated,
    /// and is not done again, unless another addition came between the two.
    async fn add_try(
        &self,
        tries: Item,
        more: i64,
        nonce: [u8; 6],
        now: Timestamp,
    ) -> Result<Item, PortError> {
        let hour = hour_of(now);
        let mut update = Update::default();
        update.put("ttl", Some(time(now.plus_s(DAY_S + GARBAGE_AFTER_S))));
        update.value("more", n(more));
        update.name(&hour_name(hour));
        update.put("once", Some(b(&nonce)));
        update.when("(attribute_not_exists(#once) OR #once <> :once)");
        let add = format!(" ADD #{} :more", hour_name(hour));
        let mut update = SingleUpdate::new(tries.clone(), update, ReturnValue::AllNew);
        update.expression.push_str(&add);
        let item = match self.table.update(update).await? {
            Updated::Done(item) | Updated::ConditionFailed(item) => item,
        };
        // Both ask for it: without it nobody knows how many there were.
        let item = item.ok_or_else(|| PortError::Transient("the table", "no count".to_owned()))?;
        self.forget_old_hours(tries, &item, hour).await;
        Ok(item)
    }

    /// Hours that no rule looks at any more. Only garbage: whether it is taken out decides nothing.
    async fn forget_old_hours(&self, tries: Item, item: &Item, hour: i64) {
        let mut update = Update::default();
        for old in hours(item).filter(|old| *old < hour - 2 * DAY_S / HOUR_S) {
            update.put(&hour_name(old), None);
        }
        if update.names.is_empty() {
            return;
        }
        let update = SingleUpdate::new(tries, update, ReturnValue::None);
        if let Err(error) = self.table.update(update).await {
            tracing::warn!(
                store.cause = error.to_string(),
                "old counts were not taken out"
            );
        }
    }
}
