//! Accounts, failed logins, sessions.

use super::client::{SingleUpdate, Table, Transacted, Updated};
use super::item::{Item, Update, b, broken, get_n, get_s, json, n, opt_b, opt_n, s, time};
use super::record::{HEAD, key, merchant_pk, session_of, session_prefix, session_value, slot_name};
use super::{GARBAGE_AFTER_S, Store, item};
use application::ports::{LoginKeys, Logins, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem, Update as UpdateItem};
use domain::format::DocumentExpiry;
use domain::ids::MerchantId;
use domain::login::{Account, Failures, LoginRead, OpenedSession};
use domain::merchant::Session;
use domain::time::Timestamp;

/// The sort key of the failures of devices that never logged in.
const OTHERS: &str = "D#*";

impl<T: Table> Logins for Store<T> {
    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError> {
        let wanted = vec![
            account_key(keys),
            device_key(keys),
            others_key(keys),
            source_key(keys),
        ];
        let items = self.table.batch_get(wanted).await?;
        let find = |wanted: Item| {
            items.iter().find(|item| {
                item.get("pk") == wanted.get("pk") && item.get("sk") == wanted.get("sk")
            })
        };
        let failures = |wanted| find(wanted).map_or_else(|| Ok(Failures::default()), failures_from);
        let account = find(account_key(keys)).map(account_from).transpose()?;
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
            &slot_name(opened.slot),
            Some(session_value(&opened.session)),
        );
        head.when("attribute_exists(pk)");
        let mut record = Update::default();
        record.put("version", Some(n(account.version + 1)));
        record.put("next_slot", Some(n(opened.slot + 1)));
        record.put("devices", Some(json(&opened.known_devices)?));
        record.value("read", n(account.version));
        record.when("#version = :read");
        let mut items = vec![
            self.update(key(merchant_pk(&account.merchant_id), HEAD), head)?,
            self.update(account_key(keys), record)?,
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
        let name = slot_name(slot);
        let mut update = Update::default();
        update.put(&name, None);
        update.value("token", session_prefix(token_hash));
        update.when(format!("begins_with(#{name}, :token)"));
        let head = key(merchant_pk(merchant), HEAD);
        let update = SingleUpdate::new(head, update, ReturnValue::UpdatedOld);
        match self.table.update(update).await? {
            Updated::Done(old) => Ok(old.as_ref().and_then(|old| session_of(old, slot))),
            Updated::ConditionFailed(_) => Ok(None),
        }
    }
}

impl<T: Table> Store<T> {
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
        let mut item = key;
        let seconds: Vec<u8> = failures
            .window
            .times()
            .flat_map(|at| u32::try_from(at.epoch_s()).unwrap_or(0).to_be_bytes())
            .collect();
        if !seconds.is_empty() {
            item.insert("at".to_owned(), b(&seconds));
        }
        item.insert("row".to_owned(), n(failures.in_a_row));
        item.insert("rev".to_owned(), n(failures.revision));
        item.insert("ttl".to_owned(), time(now.plus_s(GARBAGE_AFTER_S)));
        let mut put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(item));
        put = if read == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            // Garbage collection may have taken the record in between: then there is nothing to overwrite.
            put.condition_expression("attribute_not_exists(pk) OR rev = :rev")
                .expression_attribute_values(":rev", n(read))
        };
        put.build()
            .map(|put| TransactWriteItem::builder().put(put).build())
            .map_err(|error| broken(&error.to_string()))
    }

    fn update(&self, key: Item, update: Update) -> Result<TransactWriteItem, PortError> {
        UpdateItem::builder()
            .table_name(self.table.name())
            .set_key(Some(key))
            .update_expression(update.expression())
            .set_condition_expression(update.condition())
            .set_expression_attribute_names((!update.names.is_empty()).then_some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .build()
            .map(|update| TransactWriteItem::builder().update(update).build())
            .map_err(|error| broken(&error.to_string()))
    }

    async fn write(&self, items: Vec<TransactWriteItem>) -> Result<(), PortError> {
        match self.table.transact(items).await? {
            Transacted::Done => Ok(()),
            Transacted::Cancelled(reasons) => Err(super::commit::cancelled(&reasons)),
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

fn failures_from(item: &Item) -> Result<Failures, PortError> {
    let bytes = opt_b(item, "at").unwrap_or_default();
    let window = bytes
        .chunks_exact(4)
        .filter_map(|chunk| chunk.try_into().ok())
        .map(|chunk| Timestamp::from_epoch_s(i64::from(u32::from_be_bytes(chunk))))
        .collect();
    Ok(Failures {
        window,
        in_a_row: opt_n(item, "row").unwrap_or(0),
        revision: get_n(item, "rev")?,
    })
}

fn account_from(item: &Item) -> Result<Account, PortError> {
    Ok(Account {
        merchant_id: MerchantId::parse(get_s(item, "merchant_id")?)
            .ok_or_else(|| broken("merchant_id"))?,
        password_hash: get_s(item, "password_hash")?.to_owned(),
        version: get_n(item, "version")?,
        next_slot: get_n(item, "next_slot")?,
        legal_name_masked: get_s(item, "name")?.to_owned(),
        entity_type: get_s(item, "entity_type")?.to_owned(),
        id_expires_on: DocumentExpiry::parse(get_s(item, "id_expires_on")?)
            .map_err(|_| broken("id_expires_on"))?,
        known_devices: item::get_json(item, "devices")?,
    })
}

/// The item of an account; see [`account_from`].
pub(super) fn account_item(account_mac: &str, account: &Account) -> Result<Item, PortError> {
    let mut item = key(format!("A#{account_mac}"), "A");
    item.insert("merchant_id".to_owned(), s(account.merchant_id.as_str()));
    item.insert("password_hash".to_owned(), s(&account.password_hash));
    item.insert("version".to_owned(), n(account.version));
    item.insert("next_slot".to_owned(), n(account.next_slot));
    item.insert("name".to_owned(), s(&account.legal_name_masked));
    item.insert("entity_type".to_owned(), s(&account.entity_type));
    item.insert(
        "id_expires_on".to_owned(),
        s(account.id_expires_on.to_text()),
    );
    item.insert("devices".to_owned(), json(&account.known_devices)?);
    Ok(item)
}
