//! The pseudonym of a merchant in the log that anchors the histories.

use super::Store;
use super::client::{Get, SingleUpdate, Table, Updated};
use super::item::{Item, Update, broken};
use super::keys::salt_key;
use super::records::salt;
use application::crypto::random;
use application::ports::PortError;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use transparency::hash::Hash;
use transparency::pseudonym::pseudonym;

impl<T: Table> Store<T> {
    /// The merchant's pseudonym; `None` once its salt was erased. The first call makes the salt.
    ///
    /// # Errors
    /// When the table or the random source fails.
    pub async fn pseudonym(&self, merchant: &MerchantId) -> Result<Option<Hash>, PortError> {
        let item = match self.salt(merchant).await? {
            Some(item) => item,
            None => {
                let new = random()?;
                let update = salt::created(&new);
                let update = SingleUpdate::new(salt_key(merchant), update, ReturnValue::AllNew);
                // Of two calls at once, both use the salt that was written first.
                let item = match self.table.update(update).await? {
                    Updated::Done(item) | Updated::ConditionFailed(item) => item,
                };
                item.ok_or_else(|| broken("no salt"))?
            }
        };
        named(&item, merchant)
    }

    /// The merchant's pseudonym; `None` before the first event was queued for the log, and once the salt was erased.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn known_pseudonym(&self, merchant: &MerchantId) -> Result<Option<Hash>, PortError> {
        match self.salt(merchant).await? {
            Some(item) => named(&item, merchant),
            None => Ok(None),
        }
    }

    async fn salt(&self, merchant: &MerchantId) -> Result<Option<Item>, PortError> {
        let get = Get {
            key: salt_key(merchant),
            only: None,
            consistent: true,
        };
        self.table.get(get).await
    }

    /// Erases the salt for ever: nobody can connect the merchant with the log's entries any more, and no later event of the
    /// merchant is anchored.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn erase_pseudonym(
        &self,
        merchant: &MerchantId,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let mut update = Update::default();
        update.put_all(salt::erased(now));
        let update = SingleUpdate::new(salt_key(merchant), update, ReturnValue::None);
        self.table.update(update).await.map(|_| ())
    }
}

fn named(item: &Item, merchant: &MerchantId) -> Result<Option<Hash>, PortError> {
    let salt = salt::read(item)?;
    Ok(salt.map(|salt| pseudonym(salt.expose(), merchant.as_str())))
}
