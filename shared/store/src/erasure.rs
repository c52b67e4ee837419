//! The erasure of a merchant's personal data, after the write that decided it.
//!
//! That write hid the merchant from every use case and deleted the account, so nothing else writes here any more. The
//! removal can end anywhere and be repeated: the merchant state keeps the hashes of the card numbers until all that they
//! lead to is removed. The profile is replaced by a mark last, which keeps the id from being created again.

use super::Store;
use super::client::{Get, Table, Transacted};
use super::item::{Item, Update, broken, delete_item, get_s, update_item};
use super::keys::{PROFILE, STATE, card_number_key, event_sk, key, merchant_pk, removed_ranges};
use super::outbox::notification_of_keys;
use super::records::{card_holders, event, merchant_state, profile, session};
use application::ports::PortError;
use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use domain::ids::MerchantId;
use domain::merchant::{BoundCard, MerchantState};
use domain::settlement::{Cycle, PayoutTime, Settlement};
use domain::time::Timestamp;

/// Items that one transaction can delete.
const PAGE: i32 = 100;

/// Transactions of one call, which must end within the time of a request.
const PAGES_MAX: usize = 10;

/// What is left of the settlement settings.
const NO_SETTINGS: Settlement = Settlement {
    cycle: Cycle::T1,
    payout_time: PayoutTime::MIDNIGHT,
    retained_fen: 0,
    daily_limit_fen: 0,
};

/// How far the erasure of a merchant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// When two operators decided it.
    pub erased_at: Timestamp,
    /// True if nothing is left to remove.
    pub is_done: bool,
}

impl<T: Table> Store<T> {
    /// Removes what is left of an erased merchant, as far as one call can. A repetition continues. `None` for a merchant that
    /// was not erased, or is unknown.
    ///
    /// # Errors
    /// When the table cannot be read or written; a repetition continues.
    pub async fn erase(&self, merchant: &MerchantId) -> Result<Option<Erasure>, PortError> {
        let Some((state, erased_at)) = self.erased_state(merchant).await? else {
            return Ok(None);
        };
        let erasure = |is_done| Ok(Some(Erasure { erased_at, is_done }));
        if self.profile(merchant).await?.is_none() {
            return erasure(true);
        }
        for bound in state.all_bound() {
            self.release_number(merchant, bound).await?;
        }
        if !self.remove_items(merchant).await? {
            return erasure(false);
        }
        self.forget_recipients(merchant).await?;
        self.erase_pseudonym(merchant, erased_at).await?;
        self.write(vec![self.scrubbed(merchant, &state)?]).await?;
        let mut mark = Update::default();
        mark.put_all(profile::erased(erased_at));
        let profile = key(merchant_pk(merchant), PROFILE);
        let mark = update_item(self.table.record_name(), profile, mark)?;
        self.write(vec![mark]).await?;
        erasure(true)
    }

    /// How far the erasure of a merchant is. `None` for a merchant that was not erased, or is unknown.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn erasure(&self, merchant: &MerchantId) -> Result<Option<Erasure>, PortError> {
        let Some((_, erased_at)) = self.erased_state(merchant).await? else {
            return Ok(None);
        };
        let is_done = self.profile(merchant).await?.is_none();
        Ok(Some(Erasure { erased_at, is_done }))
    }

    async fn erased_state(
        &self,
        merchant: &MerchantId,
    ) -> Result<Option<(MerchantState, Timestamp)>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), STATE),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        let state = item.as_ref().map(merchant_state::read).transpose()?;
        Ok(state.and_then(|state| state.erased_at.map(|at| (state, at))))
    }

    /// Removes a card from the holders of its number, and the number's item with its last holder.
    async fn release_number(
        &self,
        merchant: &MerchantId,
        bound: &BoundCard,
    ) -> Result<(), PortError> {
        let remove = card_holders::remove(merchant, &bound.card.card_id);
        let remove = self.update_holders(&bound.fingerprint, remove)?;
        self.write(vec![remove]).await?;
        let delete = Delete::builder()
            .table_name(self.table.name())
            .set_key(Some(card_number_key(&bound.fingerprint)))
            .condition_expression(card_holders::IS_UNUSED)
            .build()
            .map_err(|error| broken(&error.to_string()))?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        match self.table.transact(vec![delete]).await? {
            Transacted::Done => Ok(()),
            // Another card of the same person still holds the number.
            Transacted::Cancelled(reasons)
                if reasons
                    .iter()
                    .any(|reason| reason.code() == Some("ConditionalCheckFailed")) =>
            {
                Ok(())
            }
            Transacted::Cancelled(reasons) => Err(super::commit::cancelled(&reasons)),
        }
    }

    /// Deletes items of the merchant's partition. False if more are left than one call can delete.
    async fn remove_items(&self, merchant: &MerchantId) -> Result<bool, PortError> {
        let mut pages = 0;
        for range in removed_ranges() {
            loop {
                let page = self.page(merchant, range.clone(), true, Some(PAGE), None);
                let page = page.await?;
                if page.items.is_empty() {
                    break;
                }
                if pages == PAGES_MAX {
                    return Ok(false);
                }
                pages += 1;
                let deletes = page.items.iter().map(|item| self.delete(item));
                self.write(deletes.collect::<Result<_, _>>()?).await?;
            }
        }
        Ok(true)
    }

    fn delete(&self, item: &Item) -> Result<TransactWriteItem, PortError> {
        let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        let key = ["pk", "sk"].into_iter().filter_map(part).collect();
        delete_item(self.table.name(), key)
    }

    /// Removes the recipients of notifications that were never handed over, and with them what is due.
    async fn forget_recipients(&self, merchant: &MerchantId) -> Result<(), PortError> {
        let mut start = None;
        loop {
            let range = (event_sk(0), "E#~".to_owned());
            let page = self.page(merchant, range, true, Some(PAGE), start).await?;
            for item in page.items.iter().filter(|item| event::is_waiting(item)) {
                let (pk, sk) = (get_s(item, "pk")?, get_s(item, "sk")?);
                if let Some((_, seq)) = notification_of_keys(pk, sk) {
                    self.forget_notification(merchant, seq).await?;
                }
            }
            start = page.next;
            if start.is_none() {
                return Ok(());
            }
        }
    }

    /// Leaves the end of the chain and the times of closing and erasure.
    fn scrubbed(
        &self,
        merchant: &MerchantId,
        state: &MerchantState,
    ) -> Result<TransactWriteItem, PortError> {
        let erased = MerchantState {
            version: state.version,
            last_seq: state.last_seq,
            last_hash: state.last_hash.clone(),
            closed_at: state.closed_at,
            erased_at: state.erased_at,
            ..MerchantState::onboarded(NO_SETTINGS)
        };
        let now = state.erased_at.unwrap_or(Timestamp::from_epoch_s(0));
        let attributes = merchant_state::attributes(merchant, &erased, now, self.due_shards)?;
        let mut update = Update::default();
        update.put_all(attributes);
        for (slot, _) in (0..).zip(&erased.sessions) {
            update.put(&session::slot_name(slot), None);
        }
        update_item(self.table.name(), key(merchant_pk(merchant), STATE), update)
    }
}
