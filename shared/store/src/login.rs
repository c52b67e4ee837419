//! Accounts, failed logins, sessions.

use super::item::{Item, Update, n, put_item, update_item};
use super::keys::{HEAD, key, merchant_pk};
use super::records::{account, item_of, login_failures, session};
use super::{Store, port_error};
use application::ports::{LoginKeys, Logins, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnConsumedCapacity, ReturnValue, TransactWriteItem};
use domain::ids::MerchantId;
use domain::login::{Account, Failures, LoginRead, OpenedSession};
use domain::merchant::Session;
use domain::time::Timestamp;

/// The sort key of the failures of devices that never logged in.
const OTHERS: &str = "D#*";

impl Logins for Store {
    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError> {
        let wanted = vec![
            account_key(keys),
            device_key(keys),
            others_key(keys),
            source_key(keys),
        ];
        let items = self.batch_get(wanted).await?;
        let find = |wanted: Item| {
            items.iter().find(|item| {
                item.get("pk") == wanted.get("pk") && item.get("sk") == wanted.get("sk")
            })
        };
        let failures =
            |wanted| find(wanted).map_or_else(|| Ok(Failures::default()), login_failures::read);
        let account = find(account_key(keys)).map(account::read).transpose()?;
        let device_known = account
            .as_ref()
            .is_some_and(|account| account.known_devices.contains(&keys.device));
        Ok(LoginRead {
            account,
            device_known,
            device: failures(device_key(keys))?,
            others: failures(others_key(keys))?,
            source: failures(source_key(keys))?,
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
        let mut head = Update::default();
        head.put(
            &session::slot_name(opened.slot),
            Some(session::value(&opened.session)),
        );
        head.when("attribute_exists(pk)");
        let mut record = Update::default();
        let (revision, next_slot) = (account.version + 1, opened.slot + 1);
        record.put_all(account::after_login(
            revision,
            next_slot,
            &opened.known_devices,
        )?);
        record.value("read", n(account.version));
        record.when("#version = :read");
        let head_key = key(merchant_pk(&account.merchant_id), HEAD);
        let mut items = vec![
            update_item(&self.table, head_key, head)?,
            update_item(&self.table, account_key(keys), record)?,
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
        self.meter.call(1);
        let closed = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(merchant_pk(merchant), HEAD)))
            .update_expression(update.expression())
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::UpdatedOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error);
        match closed {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity.as_slice());
                Ok(answer
                    .attributes
                    .as_ref()
                    .and_then(|old| session::read(old, slot)))
            }
            Err(PortError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Store {
    /// The failures that this login touches: the known device's own, or the others' and the address's.
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
                (source_key(keys), &after.source),
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
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        put_item(if read == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            // Garbage collection may have taken the record in between: then there is nothing to overwrite.
            put.condition_expression("attribute_not_exists(pk) OR #rev = :rev")
                .expression_attribute_names("#rev", login_failures::REVISION)
                .expression_attribute_values(":rev", n(read))
        })
    }

    async fn write(&self, items: Vec<TransactWriteItem>) -> Result<(), PortError> {
        self.meter.call(items.len());
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity());
                Ok(())
            }
            Err(error) => match super::commit::cancellation_reasons(&error) {
                Some(reasons) => Err(super::commit::cancelled(reasons)),
                None => Err(port_error(error)),
            },
        }
    }
}

fn account_key(keys: &LoginKeys) -> Item {
    key(format!("A#{}", keys.account), "A")
}

fn device_key(keys: &LoginKeys) -> Item {
    key(format!("A#{}", keys.account), format!("D#{}", keys.device))
}

fn others_key(keys: &LoginKeys) -> Item {
    key(format!("A#{}", keys.account), OTHERS)
}

fn source_key(keys: &LoginKeys) -> Item {
    key(format!("S#{}", keys.source), "S")
}
