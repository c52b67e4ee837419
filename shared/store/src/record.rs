//! Changes of the acquirer's record. Only the acquirer's operator makes them; no function that serves merchants can.

use super::Store;
use super::client::{Get, Table};
use super::item::{Update, n, update_item};
use super::keys::{PROFILE, account_key, key, merchant_pk};
use super::records::{account, profile};
use application::backoff::Limits;
use application::error::HandlerError;
use application::ports::{PortError, Selector};
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::contact::{ContactChange, DocumentRenewal, RecordChange};
use domain::decide::Command;
use domain::ids::MerchantId;
use domain::merchant::Profile;
use domain::time::Timestamp;

impl<T: Table> Store<T> {
    /// Changes phone, password, name or document of a merchant.
    ///
    /// # Errors
    /// `NOT_FOUND` for an unknown merchant; `STEP_OUT_OF_ORDER` for a value that the record already has, and for a second
    /// phone while the previous one is still notified.
    pub async fn change_contact(
        &self,
        merchant: &MerchantId,
        change: ContactChange,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let change = Command::ChangeContact(Box::new(change));
        self.write_record(merchant, change, now).await
    }

    /// Records a later date of a merchant's ID document.
    ///
    /// # Errors
    /// `NOT_FOUND` for an unknown merchant; `STEP_OUT_OF_ORDER` for another document or an earlier date.
    pub async fn renew_document(
        &self,
        merchant: &MerchantId,
        renewal: DocumentRenewal,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let renewal = Command::RenewDocument(Box::new(renewal));
        self.write_record(merchant, renewal, now).await
    }

    async fn write_record(
        &self,
        merchant: &MerchantId,
        command: Command,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let merchant = merchant.clone();
        let operator = Transactor::system(self, self.policy, merchant, now, Limits::FREEZE);
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        let written = operator.transact(Selector::Latest, plan, nothing_to_prepare);
        written.await.map(|_| ())
    }

    /// The acquirer's record of a merchant; `None` after an erasure.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn profile(&self, merchant: &MerchantId) -> Result<Option<Profile>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), PROFILE),
            only: None,
            consistent: true,
        };
        match self.table.get(get).await? {
            Some(item) if !profile::is_erased(&item)? => profile::read(&item).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// The items of a change: the profile, and the account with its logins.
    pub(super) fn record_parts(
        &self,
        before: &Profile,
        record: &RecordChange,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let mut update = Update::default();
        update.put_all(profile::attributes(&record.profile)?);
        update.value("read", n(before.version));
        update.when("#version = :read");
        let table = self.table.record_name();
        let profile = key(merchant_pk(&before.merchant_id), PROFILE);
        let account = account_key(&before.account.0);
        let mut parts = vec![
            update_item(table, profile, update)?,
            update_item(table, account, account::of_record(record))?,
        ];
        if record.password_hash.is_some() {
            // Also the condition that a login in flight meets.
            parts.push(self.forget_devices(&before.account.0)?);
        }
        Ok(parts)
    }
}
