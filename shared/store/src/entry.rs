//! Early entries of the due index: when a write leaves one where it is, and how the clean-up moves it.

use super::Store;
use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, n};
use super::keys::{STATE, key, merchant_pk, rebind_sk};
use super::records::{Attributes, due};
use application::ports::PortError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::rebind::Rebind;
use domain::time::Timestamp;

impl<T: Table> Store<T> {
    /// True if the entry of the due index may stay where it is: early, with only the expiry ahead. A move costs two writes,
    /// and the merchant's next step nearly always moves the entry again. [`Store::correct_entry`] does it otherwise.
    pub(super) fn may_keep_entry(&self, old: &Rebind, next: &Rebind) -> bool {
        let (early, due) = (old.due_at(self.policy), next.due_at(self.policy));
        due == Some(next.expires_at) && early.is_some() && early <= due
    }

    /// Moves a rebind's early entry in the due index to its due time. A concurrent write, which moves it too, is a
    /// `Conflict`.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn correct_entry(
        &self,
        merchant: &MerchantId,
        rebind: &Rebind,
    ) -> Result<(), PortError> {
        let due = due(self.due_shards, merchant, rebind.due_at(self.policy));
        let key = key(merchant_pk(merchant), rebind_sk(rebind.rebind_id.number()));
        self.move_entry(key, due, ("rev", n(rebind.revision))).await
    }

    /// Moves a rebind's entry to `now` unless it is due already, so that the next run of the clean-up asks the bank.
    ///
    /// # Errors
    /// As [`Store::correct_entry`].
    pub async fn ask_bank_next(
        &self,
        merchant: &MerchantId,
        rebind: &Rebind,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let due_at = rebind.due_at(self.policy).map_or(now, |at| at.min(now));
        let due = due(self.due_shards, merchant, Some(due_at));
        let key = key(merchant_pk(merchant), rebind_sk(rebind.rebind_id.number()));
        self.move_entry(key, due, ("rev", n(rebind.revision))).await
    }

    /// Moves the early entry of the merchant state to its due time.
    ///
    /// # Errors
    /// As [`Store::correct_entry`].
    pub async fn correct_entry_of_state(
        &self,
        merchant: &Merchant,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let id = &merchant.profile.merchant_id;
        let due = due(self.due_shards, id, merchant.state.due_at(now));
        let version = ("version", n(merchant.state.version));
        self.move_entry(key(merchant_pk(id), STATE), due, version)
            .await
    }

    async fn move_entry(
        &self,
        key: Item,
        due: Attributes,
        (lock, read): (&str, AttributeValue),
    ) -> Result<(), PortError> {
        let mut update = Update::default();
        update.put_all(due);
        update.name(lock);
        update.value("read", read);
        update.when(format!("#{lock} = :read"));
        let update = SingleUpdate::new(key, update, ReturnValue::None);
        match self.table.update(update).await? {
            Updated::Done(_) => Ok(()),
            Updated::ConditionFailed(_) => Err(PortError::Conflict),
        }
    }
}
