//! Accounts, failed logins, sessions.

use super::Store;
use super::client::{SingleUpdate, Table, Transacted, Updated};
use super::item::{Item, Update, n, put_item, update_item};
use super::keys::{STATE, account_key, account_pk, key, merchant_pk, source_key};
use super::records::{account, item_of, login_failures, session};
use application::ports::{LoginKeys, Logins, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem};
use domain::ids::MerchantId;
use domain::login::{Account, Failures, LoginRead, OpenedSession};
use domain::merchant::Session;
use domain::time::Timestamp;

/// The sort key of the failures of all unknown devices.
const OTHERS: &str = "D#*";

impl<T: Table> Logins for Store<T> {
    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError> {
        let wanted = vec![
            account_key(&keys.account),
            device_key(keys),
            others_key(keys),
            source_key(&keys.source),
        ];
        let items = self.table.batch_get(wanted).await?;
        let find = |wanted: Item| {
            items.iter().find(|item| {
                item.get("pk") == wanted.get("pk") && item.get("sk") == wanted.get("sk")
            })
        };
        let failures =
            |wanted| find(wanted).map_or_else(|| Ok(Failures::default()), login_failures::read);
        let account = find(account_key(&keys.account))
            .map(account::read)
            .transpose()?;
        let device_known = account
            .as_ref()
            .is_some_and(|account| account.known_devices.contains(&keys.device));
        Ok(LoginRead {
            account,
            device_known,
            device: failures(device_key(keys))?,
            others: failures(others_key(keys))?,
            source: failures(source_key(&keys.source))?,
        })
    }

    async fn count_login(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<(), PortError> {
        self.write(self.failure_puts(keys, counted, now)?).await
    }

    async fn open_session(
        &self,
        keys: &LoginKeys,
        account: &Account,
        opened: &OpenedSession,
        cleared: Option<&LoginRead>,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let mut state = Update::default();
        state.put(
            &session::slot_name(opened.slot),
            Some(session::value(&opened.session)),
        );
        state.when("attribute_exists(pk)");
        let mut record = Update::default();
        let (revision, next_slot) = (account.version + 1, opened.slot + 1);
        record.put_all(account::after_login(
            revision,
            next_slot,
            &opened.known_devices,
        )?);
        record.value("read", n(account.version));
        record.when("#version = :read");
        let state_key = key(merchant_pk(&account.merchant_id), STATE);
        let mut items = vec![
            update_item(self.table.name(), state_key, state)?,
            update_item(self.table.name(), account_key(&keys.account), record)?,
        ];
        if let Some(cleared) = cleared {
            items.extend(self.failure_puts(keys, cleared, now)?);
        }
        self.write(items).await
    }

    async fn close_session(
        &self,
        merchant: &MerchantId,
        slot: u8,
        token_hash: &[u8; 32],
    ) -> Result<Option<Session>, PortError> {
        let name = session::slot_name(slot);
        let mut update = Update::default();
        update.put(&name, None);
        update.value("token", session::prefix(token_hash));
        update.when(format!("begins_with(#{name}, :token)"));
        let state_key = key(merchant_pk(merchant), STATE);
        let update = SingleUpdate::new(state_key, update, ReturnValue::UpdatedOld);
        match self.table.update(update).await? {
            Updated::Done(old) => Ok(old.as_ref().and_then(|old| session::read(old, slot))),
            Updated::ConditionFailed(_) => Ok(None),
        }
    }
}

impl<T: Table> Store<T> {
    /// The failures that this login changes: the known device's own, or those of unknown devices and of the address.
    fn failure_puts(
        &self,
        keys: &LoginKeys,
        after: &LoginRead,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let touched = if after.device_known {
            vec![(device_key(keys), &after.device)]
        } else {
            vec![
                (others_key(keys), &after.others),
                (source_key(&keys.source), &after.source),
            ]
        };
        touched
            .into_iter()
            .map(|(key, failures)| self.put_failures(key, failures, now))
            .collect()
    }

    fn put_failures(
        &self,
        key: Item,
        failures: &Failures,
        now: Timestamp,
    ) -> Result<TransactWriteItem, PortError> {
        let read = failures.revision.saturating_sub(1);
        let item = item_of(key, login_failures::attributes(failures, now));
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(item));
        put_item(if read == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            // The record may be garbage collected after the read; then the write creates it again.
            put.condition_expression("attribute_not_exists(pk) OR #rev = :rev")
                .expression_attribute_names("#rev", login_failures::REVISION)
                .expression_attribute_values(":rev", n(read))
        })
    }

    async fn write(&self, items: Vec<TransactWriteItem>) -> Result<(), PortError> {
        match self.table.transact(items).await? {
            Transacted::Done => Ok(()),
            Transacted::Cancelled(reasons) => Err(super::commit::cancelled(&reasons)),
        }
    }
}

fn device_key(keys: &LoginKeys) -> Item {
    key(account_pk(&keys.account), format!("D#{}", keys.device))
}

fn others_key(keys: &LoginKeys) -> Item {
    key(account_pk(&keys.account), OTHERS)
}
