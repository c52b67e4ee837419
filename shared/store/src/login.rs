//! Accounts, failed logins, sessions.

use super::Store;
use super::client::{Get, SingleUpdate, Table, Transacted, Updated};
use super::item::{Item, Update, b, n, put_item, update_item, update_with};
use super::keys::{STATE, account_key, key, logins_key, merchant_pk, source_key};
use super::records::merchant_state::ERASED;
use super::records::{account, item_of, login_failures, logins, session};
use application::correlation;
use application::ports::{LoginKeys, Logins, OpenSession, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnValue, TransactWriteItem};
use domain::device;
use domain::ids::MerchantId;
use domain::login::LoginRead;
use domain::merchant::Session;
use domain::time::Timestamp;

impl<T: Table> Logins for Store<T> {
    async fn stored_keys(&self, keys: LoginKeys) -> Result<LoginKeys, PortError> {
        let Some(previous) = keys.previous.clone() else {
            return Ok(keys);
        };
        let get = |hash: &str| Get {
            key: account_key(hash),
            only: None,
            consistent: true,
        };
        let current = self.table.get(get(&keys.account));
        let (current, old) = futures::join!(current, self.table.get_beside(get(&previous.account)));
        Ok(match (current?, old?) {
            (None, Some(_)) => LoginKeys {
                account: previous.account,
                device: previous.device,
                previous: None,
                ..keys
            },
            _ => keys,
        })
    }

    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError> {
        let wanted = vec![logins_key(&keys.account), source_key(&keys.source)];
        let account = Get {
            key: account_key(&keys.account),
            only: None,
            consistent: true,
        };
        // Boxed, so that the futures of use cases stay small.
        let (items, account) = futures::join!(
            Box::pin(self.table.batch_get(wanted)),
            Box::pin(self.table.get_beside(account)),
        );
        let items = items?;
        let account = account?.as_ref().map(account::read).transpose()?;
        if let Some(account) = &account {
            correlation::of_merchant(&account.merchant_id);
        }
        let find = |wanted: Item| {
            items.iter().find(|item| {
                item.get("pk") == wanted.get("pk") && item.get("sk") == wanted.get("sk")
            })
        };
        let logins = find(logins_key(&keys.account));
        let source = find(source_key(&keys.source));
        let mut logins = logins.map_or_else(|| Ok(device::Logins::default()), logins::read)?;
        if let Some(previous) = &keys.previous {
            logins.rehash_device(&previous.device, &keys.device);
        }
        let (source, source_revision) =
            source.map_or_else(|| Ok(Default::default()), login_failures::read)?;
        Ok(LoginRead {
            account,
            known_device: logins
                .device(&keys.device)
                .map(|device| device.hash.clone()),
            logins,
            source,
            source_revision,
        })
    }

    async fn count_login(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let update = logins_update(&counted.logins, Some(&keys.nonce), now)?;
        let logins = logins_key(&keys.account);
        let Some(source) = self.put_source(keys, counted, now)? else {
            // One item needs no transaction: the repetition of an update whose reply was lost meets its own nonce.
            let update = SingleUpdate::new(logins, update, ReturnValue::None);
            return match self.table.update(update).await? {
                Updated::Done(_) => Ok(()),
                Updated::ConditionFailed(_) => Err(PortError::Conflict),
            };
        };
        let logins = update_item(self.table.name(), logins, update)?;
        self.write(vec![logins, source]).await
    }

    async fn open_session(&self, open: OpenSession<'_>) -> Result<(), PortError> {
        let OpenSession {
            keys,
            account,
            opened,
            after,
            refunds_source,
            announced,
            now,
        } = open;
        let mut items = match announced {
            Some(commit) => self.items(commit)?,
            None => {
                let mut state = Update::default();
                let value = session::value(&opened.session);
                state.put(&session::slot_name(opened.slot), Some(value));
                state.when(format!(
                    "attribute_exists(pk) AND attribute_not_exists({ERASED})"
                ));
                let state_key = key(merchant_pk(&account.merchant_id), STATE);
                vec![update_item(self.table.name(), state_key, state)?]
            }
        };
        // A change of the password writes this item too, so a password that was compared before it opens nothing.
        let update = logins_update(&after.logins, None, now)?;
        let logins = logins_key(&keys.account);
        items.push(update_item(self.table.name(), logins, update)?);
        if refunds_source {
            items.extend(self.put_source(keys, after, now)?);
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
    /// Forgets every known device of an account, after a change of its password. One item of a transaction; it needs no
    /// read.
    ///
    /// # Errors
    /// `Permanent`, when the item cannot be built.
    pub fn forget_devices(&self, account_hash: &str) -> Result<TransactWriteItem, PortError> {
        let mut update = Update::default();
        update.put(logins::DEVICES, None);
        update.put(logins::SLOTS, None);
        update.name(logins::REVISION);
        update.value("one", n(1));
        let expression = format!("{} ADD #{} :one", update.expression(), logins::REVISION);
        update_with(
            self.table.name(),
            logins_key(account_hash),
            update,
            expression,
        )
    }

    /// What logins know about an account.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn logins_of(&self, account_hash: &str) -> Result<device::Logins, PortError> {
        let get = Get {
            key: logins_key(account_hash),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        item.as_ref()
            .map_or_else(|| Ok(device::Logins::default()), logins::read)
    }

    /// The write of an account's logins, as one item of a transaction. Fails when a login came first.
    pub(super) fn logins_part(
        &self,
        account_hash: &str,
        after: &device::Logins,
        now: Timestamp,
    ) -> Result<TransactWriteItem, PortError> {
        let update = logins_update(after, None, now)?;
        update_item(self.table.name(), logins_key(account_hash), update)
    }

    /// The failures of unknown devices from this address; nothing for a login of a known device.
    fn put_source(
        &self,
        keys: &LoginKeys,
        after: &LoginRead,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        if after.known_device.is_some() {
            return Ok(None);
        }
        let read = after.source_revision.saturating_sub(1);
        let attributes = login_failures::attributes(&after.source, after.source_revision, now);
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(item_of(source_key(&keys.source), attributes)));
        put_item(if read == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            // The record may be garbage collected after the read; then the write creates it again.
            put.condition_expression("attribute_not_exists(pk) OR #rev = :rev")
                .expression_attribute_names("#rev", login_failures::REVISION)
                .expression_attribute_values(":rev", n(read))
        })
        .map(Some)
    }

    /// One transaction. A failed condition is a conflict.
    pub(super) async fn write(&self, items: Vec<TransactWriteItem>) -> Result<(), PortError> {
        match self.table.transact(items).await? {
            Transacted::Done => Ok(()),
            Transacted::Cancelled(reasons) => Err(super::commit::cancelled(&reasons)),
        }
    }
}

/// The write of an account's logins, on condition that they have not changed since they were read. `counts`: the nonce of the
/// login that counts a failure; such a write may be repeated until another one follows.
fn logins_update(
    after: &device::Logins,
    counts: Option<&[u8; 6]>,
    now: Timestamp,
) -> Result<Update, PortError> {
    let mut update = Update::default();
    update.put_all(logins::attributes(after, now)?);
    update.put(logins::COUNTED_BY, counts.map(|nonce| b(nonce)));
    let mut unchanged = "attribute_not_exists(pk)".to_owned();
    let read = after.revision.saturating_sub(1);
    if read > 0 {
        // The record may be garbage collected after the read; then the write creates it again.
        update.value("read", n(read));
        unchanged.push_str(" OR #rev = :read");
    }
    if counts.is_some() {
        unchanged.push_str(" OR (#rev = :rev AND #by = :by)");
    }
    update.when(format!("({unchanged})"));
    Ok(update)
}
