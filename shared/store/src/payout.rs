//! Payouts: one record under the acquirer's id and, until sent, one entry in the merchant's partition, ordered by
//! time.

use super::Store;
use super::client::Table;
use super::item::{Item, Update, delete_item, get_s, s, update_item};
use super::keys::{PAYOUT, STATE, key, merchant_pk, payout_key};
use super::read::{has_torn_record, merchant_of_items};
use super::records::payout;
use application::ports::{OwnedPayout, PortError, ReadPayouts};
use aws_sdk_dynamodb::types::TransactWriteItem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::transition::PayoutChange;

impl<T: Table> ReadPayouts for Store<T> {
    async fn unsent_payouts(
        &self,
        merchant: &MerchantId,
        before: Option<&str>,
        limit: u8,
    ) -> Result<Vec<Payout>, PortError> {
        let last = before.map_or_else(|| "P#~".to_owned(), |place| format!("P#{place}"));
        // The last payout of the previous page is read again.
        let wanted = i32::from(limit) + i32::from(before.is_some());
        let range = ("P#".to_owned(), last.clone());
        let page = self.newest(merchant, range, wanted).await?;
        let rest = page
            .iter()
            .filter(|item| before.is_none() || get_s(item, "sk").is_ok_and(|sk| sk != last));
        rest.take(usize::from(limit))
            .map(payout::read_entry)
            .collect()
    }

    async fn payout(
        &self,
        payout_id: &PayoutId,
        merchant: Option<&MerchantId>,
    ) -> Result<(Option<OwnedPayout>, Option<Merchant>), PortError> {
        let mut keys = vec![payout_key(payout_id)];
        if let Some(merchant) = merchant {
            let pk = merchant_pk(merchant);
            keys.push(key(pk, STATE));
        }
        let record = async {
            match merchant {
                Some(merchant) => self.record(merchant, true).await,
                None => Ok(None),
            }
        };
        let (items, record) = futures::join!(self.table.batch_get(keys), record);
        let (payouts, rest): (Vec<Item>, Vec<Item>) = items?
            .into_iter()
            .chain(record?)
            .partition(|item| get_s(item, "sk").is_ok_and(|sk| sk == PAYOUT));
        let known = payouts.first().map(payout::read).transpose()?;
        let merchant = merchant_of_items(&rest)?;
        if merchant.as_ref().is_some_and(has_torn_record) {
            return Err(PortError::Conflict);
        }
        Ok((known, merchant))
    }
}

/// The sort position of an unsent payout: time, then id.
#[must_use]
pub fn place(payout: &Payout) -> String {
    let at_s = payout.created_at.epoch_s().max(0);
    format!("{at_s:012}#{}", payout.payout_id)
}

/// The sort position of an unsent payout as the cursor of a list.
#[must_use]
pub fn cursor(payout: &Payout) -> String {
    URL_SAFE_NO_PAD.encode(place(payout))
}

/// The sort position in a cursor. `None` for any other text.
#[must_use]
pub fn position(cursor: &str) -> Option<String> {
    /// Time, `#`, payout id.
    const CHARS_MAX: usize = 64;
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let position = String::from_utf8(bytes).ok()?;
    let is_one = position.len() <= CHARS_MAX && position.starts_with(|c: char| c.is_ascii_digit());
    is_one.then_some(position)
}

pub(super) fn entry_key(merchant: &MerchantId, payout: &Payout) -> Item {
    key(merchant_pk(merchant), format!("P#{}", place(payout)))
}

impl<T: Table> Store<T> {
    /// A change as two items of a transaction: the payout's record and its entry.
    pub(super) fn payout_parts(
        &self,
        merchant: &MerchantId,
        change: &PayoutChange,
    ) -> Result<[TransactWriteItem; 2], PortError> {
        let payout = change.payout();
        let mut update = Update::default();
        update.put_all(payout::attributes(merchant, payout)?);
        match change {
            PayoutChange::Created(_) => update.when("attribute_not_exists(pk)"),
            PayoutChange::Changed { was, .. } => {
                update.value("was", s(payout::tag(was)));
                update.when(format!("#{} = :was", payout::TAG));
            }
        }
        let record = update_item(self.table.name(), payout_key(&payout.payout_id), update)?;
        let entry_key = entry_key(merchant, payout);
        let entry = if payout.is_pending() {
            let mut update = Update::default();
            update.put_all(payout::entry_attributes(payout)?);
            update_item(self.table.name(), entry_key, update)?
        } else {
            delete_item(self.table.name(), entry_key)?
        };
        Ok([record, entry])
    }
}
