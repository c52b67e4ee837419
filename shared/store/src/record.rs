//! Changes of the acquirer's record. Only the acquirer's operator makes them; no function that serves merchants can.

use super::Store;
use super::client::{Get, Table, Transacted};
use super::commit::cancelled;
use super::item::{Item, Update, broken, n, put_item, update_item};
use super::keys::{PROFILE, account_key, key, logins_key, merchant_pk};
use super::records::{account, logins, profile};
use application::backoff::Limits;
use application::crypto::{HashPurpose, Keys};
use application::error::HandlerError;
use application::ports::{KeyService, PortError, Selector};
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use domain::contact::{ContactChange, DocumentRenewal, RecordChange};
use domain::decide::Command;

use domain::ids::MerchantId;
use domain::merchant::Profile;
use domain::pii::typed::{Field, fold};
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

    /// Moves an account and its logins from the previous to the current look-up key, during a rotation. Returns false if
    /// they have been moved before. `account`: its name in the acquirer's books.
    ///
    /// # Errors
    /// `Permanent` when the merchant is unknown or has another account; `Conflict` when a login wrote meanwhile.
    pub async fn rehash_account<K: KeyService>(
        &self,
        keys: &Keys<K>,
        merchant: &MerchantId,
        account: &str,
    ) -> Result<bool, PortError> {
        let folded = fold(Field::Account, account);
        let name = [folded.expose().as_str()];
        let profile = self.profile(merchant).await?;
        let profile = profile.ok_or_else(|| broken("an unknown merchant"))?;
        let current = keys.mac(HashPurpose::Account, &name).await?;
        if profile.account == current {
            return Ok(false);
        }
        let previous = keys.previous_mac(HashPurpose::Account, &name).await?;
        if previous.as_ref() != Some(&profile.account) {
            return Err(broken("the merchant has another account"));
        }
        let (record_table, table) = (self.table.record_name(), self.table.name());
        let mut writes = Vec::new();
        for (table, of) in [
            (record_table, account_key as fn(&str) -> Item),
            (table, logins_key),
        ] {
            let (old_key, new_key) = (of(&profile.account.0), of(&current.0));
            let get = Get {
                key: old_key.clone(),
                only: None,
                consistent: true,
            };
            if let Some(old) = self.table.get(get).await? {
                writes.extend(moved(table, old, old_key, new_key)?);
            }
        }
        let mut update = Update::default();
        let next = Profile {
            version: profile.version.saturating_add(1),
            account: current,
            ..profile.clone()
        };
        update.put_all(profile::attributes(&next)?);
        update.value("read", n(profile.version));
        update.when("#version = :read");
        let key = key(merchant_pk(merchant), PROFILE);
        writes.push(update_item(record_table, key, update)?);
        match self.table.transact(writes).await? {
            Transacted::Done => Ok(true),
            Transacted::Cancelled(reasons) => Err(cancelled(&reasons)),
        }
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

    /// The acquirer's record of a merchant.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn profile(&self, merchant: &MerchantId) -> Result<Option<Profile>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), PROFILE),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        item.as_ref().map(profile::read).transpose()
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

/// Moves an item that has not changed since it was read. Its optimistic lock is `version` or `rev`.
fn moved(
    table: &str,
    old: Item,
    old_key: Item,
    new_key: Item,
) -> Result<[TransactWriteItem; 2], PortError> {
    let lock = if old.contains_key(logins::REVISION) {
        logins::REVISION
    } else {
        "version"
    };
    let read = old.get(lock).cloned().ok_or_else(|| broken(lock))?;
    let mut moved = old;
    moved.extend(new_key);
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(moved))
        .condition_expression("attribute_not_exists(pk)");
    let delete = Delete::builder()
        .table_name(table)
        .set_key(Some(old_key))
        .condition_expression("#lock = :read")
        .expression_attribute_names("#lock", lock)
        .expression_attribute_values(":read", read)
        .build()
        .map_err(|error| broken(&error.to_string()))?;
    let delete = TransactWriteItem::builder().delete(delete).build();
    Ok([put_item(put)?, delete])
}
