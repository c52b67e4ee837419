//! Payouts: one record under the acquirer's id, and while it is unsent an entry in the merchant's partition, ordered by time.

use super::Store;
use super::client::Table;
use super::commit::{Part, put_item};
use super::item::{Item, broken, get_json, get_s, json, s};
use super::record::{HEAD, PROFILE, key, merchant_pk};
use application::ports::{OwnedPayout, PortError, ReadPayouts};
use aws_sdk_dynamodb::types::{
    Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant;
use domain::payout::{Payout, PayoutState};
use domain::transition::PayoutChange;

impl<T: Table> ReadPayouts for Store<T> {
    async fn unsent_payouts(
        &self,
        merchant: &MerchantId,
        before: Option<&str>,
        limit: u8,
    ) -> Result<Vec<Payout>, PortError> {
        let last = before.map_or_else(|| "P#~".to_owned(), |place| format!("P#{place}"));
        // The one that the page before ended with is read again.
        let wanted = i32::from(limit) + i32::from(before.is_some());
        let range = ("P#".to_owned(), last.clone());
        let page = self.newest(merchant, range, wanted).await?;
        let rest = page
            .iter()
            .filter(|item| before.is_none() || get_s(item, "sk").is_ok_and(|sk| sk != last));
        rest.take(usize::from(limit))
            .map(|item| get_json(item, "state"))
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
            keys.extend([HEAD, PROFILE].map(|sk| key(pk.clone(), sk)));
        }
        let (payouts, rest): (Vec<Item>, Vec<Item>) = self
            .table
            .batch_get(keys)
            .await?
            .into_iter()
            .partition(|item| get_s(item, "sk").is_ok_and(|sk| sk == RECORD));
        let known = payouts.first().map(known_payout).transpose()?;
        Ok((known, super::read::merchant_of_items(&rest)?))
    }
}

/// The sort key of a payout's record.
const RECORD: &str = "O";

fn payout_key(payout_id: &PayoutId) -> Item {
    key(format!("O#{payout_id}"), RECORD)
}

/// Where an unsent payout stands in its merchant's list: by time, then by id.
#[must_use]
pub fn place(payout: &Payout) -> String {
    let at_s = payout.created_at.epoch_s().max(0);
    format!("{at_s:012}#{}", payout.payout_id)
}

fn entry_key(merchant: &MerchantId, payout: &Payout) -> Item {
    key(merchant_pk(merchant), format!("P#{}", place(payout)))
}

/// What a change of a payout is conditioned on: two that meet are told apart by it.
const fn tag(payout: &Payout) -> &'static str {
    match (payout.state, &payout.card) {
        (PayoutState::Unsent, None) => "held",
        (state, _) => state.as_str(),
    }
}

pub(super) fn known_payout(item: &Item) -> Result<OwnedPayout, PortError> {
    let merchant = MerchantId::parse(get_s(item, "merchant")?);
    Ok(OwnedPayout {
        merchant_id: merchant.ok_or_else(|| broken("merchant"))?,
        payout: get_json(item, "state")?,
    })
}

pub(super) fn record(merchant: &MerchantId, payout: &Payout) -> Result<Item, PortError> {
    let mut item = payout_key(&payout.payout_id);
    item.insert("merchant".to_owned(), s(merchant.as_str()));
    item.insert("tag".to_owned(), s(tag(payout)));
    item.insert("state".to_owned(), json(payout)?);
    Ok(item)
}

pub(super) fn entry(merchant: &MerchantId, payout: &Payout) -> Result<Item, PortError> {
    let mut item = entry_key(merchant, payout);
    item.insert("state".to_owned(), json(payout)?);
    Ok(item)
}

impl<T: Table> Store<T> {
    pub(super) fn payout_parts(
        &self,
        merchant: &MerchantId,
        change: &PayoutChange,
    ) -> Result<[(Part, TransactWriteItem); 2], PortError> {
        let payout = change.payout();
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(record(merchant, payout)?))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match change {
            PayoutChange::Created(_) => put.condition_expression("attribute_not_exists(pk)"),
            PayoutChange::Changed { was, .. } => put
                .condition_expression("tag = :was")
                .expression_attribute_values(":was", s(tag(was))),
        };
        let listed = if payout.state == PayoutState::Unsent {
            let put = Put::builder()
                .table_name(self.table.name())
                .set_item(Some(entry(merchant, payout)?));
            put_item(put)?
        } else {
            Delete::builder()
                .table_name(self.table.name())
                .set_key(Some(entry_key(merchant, payout)))
                .build()
                .map(|delete| TransactWriteItem::builder().delete(delete).build())
                .map_err(|error| broken(&error.to_string()))?
        };
        Ok([(Part::Payout, put_item(put)?), (Part::Plain, listed)])
    }
}
