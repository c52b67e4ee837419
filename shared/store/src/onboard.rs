//! Creates a merchant: one transaction over both tables that overwrites nothing.
//!
//! The profile keeps a keyed hash of everything that was stated about the new merchant (`created_as`), so that a repetition
//! is recognised whatever the merchant has done since. The hash is under the card-and-ID key, because it covers card and ID
//! numbers. It is not in the history, from which nothing can be erased. After a rotation of that key it can no longer be
//! compared, and a repetition is refused like another content.
//!
//! A new merchant costs three calls of the key service (data keys of ID number, history and card; one more for a replaced
//! card), one read and one transaction of 4 to 7 items, and two items more for each payout.

use super::Store;
use super::client::{Get, Table, Transacted};
use super::commit::cancelled;
use super::item::{Item, broken, opt_s, put_item};
use super::keys::{
    PROFILE, STATE, account_key, card_sk, event_sk, is_record, key, merchant_pk, payout_key,
};
use super::payout::entry_key;
use super::records::card_holders::{self, Person};
use super::records::{account, card, event, item_of, merchant_state, payout, profile};
use application::backoff::{Backoff, Limits};
use application::crypto::{HashPurpose, Keys};
use application::ports::{DataKey, KeyService, PortError};
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Put, TransactWriteItem};
use domain::decide::CardFacts;
use domain::ids::{CardId, MerchantId};
use domain::onboarding::{
    CardParts, CreatedBy, Fault, FieldFault, KeyedParts, NewRecords, Onboarding,
};
use domain::pii::CardNumber;
use domain::rebind::{Mac, Sealed};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// Two merchants of one person with one card, created at once, conflict on the holders of its number.
const CONFLICTS: Limits = Limits {
    retries_max: 10,
    during: Duration::from_secs(10),
    ..Limits::REQUEST
};

/// A merchant that exists after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onboarded {
    /// Created by this call.
    Created,
    /// Created before, from the same content. Nothing was written.
    AlreadyThere,
}

/// Why a merchant was not created. Nothing was written, except perhaps after a transient failure; a repetition is safe.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    /// An id, the account or a card is not free.
    #[error("the merchant is refused: {0:?}")]
    Refused(Vec<FieldFault>),
    /// The table or the key service failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What a failed condition means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Merchant,
    Account,
    Card(&'static str),
    Payout(usize),
}

impl Part {
    fn fault(&self) -> FieldFault {
        match self {
            Self::Merchant => FieldFault::new("merchant_id", Fault::MerchantExists),
            Self::Account => FieldFault::new("account", Fault::AccountTaken),
            Self::Card(field) => FieldFault::new(*field, Fault::CardBoundElsewhere),
            Self::Payout(index) => FieldFault::new(
                format!("migration.unsent_payouts[{index}].payout_id"),
                Fault::PayoutExists,
            ),
        }
    }
}

/// A card of a new merchant, encrypted.
pub(super) struct SealedCard {
    field: &'static str,
    pub(super) card_id: CardId,
    pub(super) fingerprint: Mac,
    previous_fingerprint: Option<Mac>,
    number: Sealed,
}

/// The parts that keys make of a new merchant.
pub(super) struct Keyed {
    pub(super) parts: KeyedParts,
    pub(super) cards: Vec<SealedCard>,
    /// The hash of the document under the previous key, during a rotation.
    previous_person: Option<Mac>,
    /// The hash of the account under the previous key, during a rotation.
    previous_account: Option<Mac>,
}

impl<T: Table> Store<T> {
    /// Creates a merchant with record, account, state, first history event, card and unsent payouts. Idempotent.
    ///
    /// # Errors
    /// `Refused` with each field that is not free: the id of a merchant with another content, the account of another merchant,
    /// a card that is verified for another person, the id of a payout. `Port` when the table or the keys fail.
    pub async fn onboard<K: KeyService>(
        &self,
        keys: &Keys<K>,
        new: &Onboarding,
        by: CreatedBy,
        now: Timestamp,
    ) -> Result<Onboarded, OnboardError> {
        let content = new.content();
        let content: Vec<&str> = content.iter().map(|part| part.expose().as_str()).collect();
        let created_as = keys.mac(HashPurpose::Onboarding, &content).await?;
        // A repetition costs one read. Without it, it would cost the calls of the key service and a failed transaction.
        if let Some(found) = self.found(keys, new, &created_as, &content).await? {
            return found;
        }
        let keyed = keyed(keys, new, now).await?;
        let (parts, items) = self.creation(new, &keyed, &created_as, (by, now))?;
        let mut backoff = Backoff::new(CONFLICTS);
        loop {
            let Transacted::Cancelled(reasons) = self.table.transact(items.clone()).await? else {
                return Ok(Onboarded::Created);
            };
            let faults = faults(&parts, &reasons)?;
            if faults.is_empty() {
                match cancelled(&reasons) {
                    conflict @ PortError::Conflict => backoff.pause(conflict).await?,
                    other => return Err(other.into()),
                }
                continue;
            }
            // The same merchant may have been created meanwhile.
            let found = self.found(keys, new, &created_as, &content).await?;
            return found.unwrap_or(Err(OnboardError::Refused(faults)));
        }
    }

    /// The answer for a merchant that exists; `None` without one.
    async fn found<K: KeyService>(
        &self,
        keys: &Keys<K>,
        new: &Onboarding,
        created_as: &Mac,
        content: &[&str],
    ) -> Result<Option<Result<Onboarded, OnboardError>>, PortError> {
        let get = Get {
            key: key(merchant_pk(&new.merchant_id), PROFILE),
            only: None,
            consistent: true,
        };
        let Some(item) = self.table.get(get).await? else {
            return Ok(None);
        };
        let is_same = match profile::created_as(&item) {
            None => false,
            Some(stored) if stored == *created_as => true,
            // During a rotation, the merchant may have been created with the previous key.
            Some(stored) => match keys.mac_as(&stored, HashPurpose::Onboarding, content).await {
                Ok(other_version) => stored == other_version,
                Err(PortError::Permanent(..)) => false,
                Err(other) => return Err(other),
            },
        };
        Ok(Some(if is_same {
            Ok(Onboarded::AlreadyThere)
        } else {
            Err(OnboardError::Refused(vec![Part::Merchant.fault()]))
        }))
    }

    /// The items of the transaction, each with what its condition means.
    fn creation(
        &self,
        new: &Onboarding,
        keyed: &Keyed,
        created_as: &Mac,
        (by, now): (CreatedBy, Timestamp),
    ) -> Result<(Vec<Part>, Vec<TransactWriteItem>), PortError> {
        let mut records = new.records(&keyed.parts, self.policy, now);
        let first = records.first_event(by, self.policy, now);
        let merchant = &new.merchant_id;
        let mut parts = Vec::new();
        let mut items = Vec::new();
        for (part, mut item) in self.record_items(&records, &keyed.cards, now)? {
            if opt_s(&item, "sk") == Some(PROFILE) {
                item = item_of(item, vec![profile::creation(created_as)]);
            }
            parts.push(part);
            items.push(self.create(item)?);
        }
        let attributes = event::attributes(&first, self.policy, self.due_shards)?;
        let event = item_of(key(merchant_pk(merchant), event_sk(first.seq)), attributes);
        parts.push(Part::Merchant);
        items.push(self.create(event)?);
        if let Some(previous) = &keyed.previous_account {
            parts.push(Part::Account);
            items.push(self.absent(account_key(&previous.0))?);
        }
        let person = Person {
            hash: &keyed.parts.id_number_mac,
            other: keyed.previous_person.as_ref(),
        };
        for card in &keyed.cards {
            let holder = card_holders::add(merchant, &card.card_id, person);
            parts.push(Part::Card(card.field));
            items.push(self.update_holders(&card.fingerprint, holder)?);
            if let Some(previous) = &card.previous_fingerprint {
                parts.push(Part::Card(card.field));
                items.push(self.free_number(previous, person)?);
            }
        }
        Ok((parts, items))
    }

    /// The items of a new merchant except event, holders and logins, each with what it means if the item exists already.
    pub(super) fn record_items(
        &self,
        records: &NewRecords,
        cards: &[SealedCard],
        now: Timestamp,
    ) -> Result<Vec<(Part, Item)>, PortError> {
        let NewRecords {
            profile: record,
            account: login,
            state,
            payouts,
        } = records;
        let merchant = &record.merchant_id;
        let pk = merchant_pk(merchant);
        let state = merchant_state::attributes(merchant, state, now, self.due_shards)?;
        let mut items = vec![
            (
                Part::Merchant,
                item_of(key(pk.as_str(), PROFILE), profile::attributes(record)?),
            ),
            (
                Part::Account,
                item_of(account_key(&record.account.0), account::attributes(login)),
            ),
            (Part::Merchant, item_of(key(pk.as_str(), STATE), state)),
        ];
        for sealed in cards {
            let key = key(pk.as_str(), card_sk(&sealed.card_id));
            let item = item_of(key, card::attributes(&sealed.number));
            items.push((Part::Merchant, item));
        }
        for (index, unsent) in payouts.iter().enumerate() {
            let attributes = payout::attributes(merchant, unsent)?;
            let record = item_of(payout_key(&unsent.payout_id), attributes);
            let entry = entry_key(merchant, unsent);
            let entry = item_of(entry, payout::entry_attributes(unsent)?);
            items.push((Part::Payout(index), record));
            items.push((Part::Payout(index), entry));
        }
        Ok(items)
    }

    /// Puts a new item.
    fn create(&self, item: Item) -> Result<TransactWriteItem, PortError> {
        let put = Put::builder()
            .table_name(self.table_of(&item))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        put_item(put)
    }

    /// Requires that there is no item with this key.
    fn absent(&self, key: Item) -> Result<TransactWriteItem, PortError> {
        ConditionCheck::builder()
            .table_name(self.table_of(&key))
            .set_key(Some(key))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map(|check| TransactWriteItem::builder().condition_check(check).build())
            .map_err(|error| broken(&error.to_string()))
    }

    fn table_of(&self, item: &Item) -> &str {
        let of = |name| opt_s(item, name).unwrap_or_default();
        match is_record(of("pk"), of("sk")) {
            true => self.table.record_name(),
            false => self.table.name(),
        }
    }
}

/// The faults that the failed conditions mean; none if another reason cancelled the transaction.
fn faults(parts: &[Part], reasons: &[CancellationReason]) -> Result<Vec<FieldFault>, PortError> {
    let mut faults = BTreeSet::new();
    for (part, reason) in parts.iter().zip(reasons) {
        if reason.code() != Some("ConditionalCheckFailed") {
            continue;
        }
        if let (Part::Card(_), Some(holders)) = (part, reason.item()) {
            card_holders::reject_later_version(holders)?;
        }
        faults.insert(part.fault());
    }
    Ok(faults.into_iter().collect())
}

/// Hashes and encrypts the secrets of a new merchant.
pub(super) async fn keyed<K: KeyService>(
    keys: &Keys<K>,
    new: &Onboarding,
    now: Timestamp,
) -> Result<Keyed, PortError> {
    let id = new.merchant_id.as_str();
    let account = [new.account.expose().as_str()];
    let mut cards = Vec::new();
    let replaced = new.hold(now).and_then(|hold| hold.replaced_card.as_ref());
    let mut card = async |field, number: Option<&CardNumber>| match number {
        None => Ok::<_, PortError>(None),
        Some(number) => {
            let (parts, sealed) = keyed_card(keys, &new.merchant_id, field, number).await?;
            cards.push(sealed);
            Ok(Some(parts))
        }
    };
    let active = card("card.number", new.card.as_ref()).await?;
    let replaced_card = card("migration.replaced_card.number", replaced).await?;
    let document = new.document.expose();
    Ok(Keyed {
        previous_account: keys.previous_mac(HashPurpose::Account, &account).await?,
        previous_person: keys.previous_document(&new.document).await?,
        parts: KeyedParts {
            account: keys.mac(HashPurpose::Account, &account).await?,
            id_number_mac: keys.document(&new.document).await?,
            sealed_id_number: keys
                .seal(DataKey::Identity, &[("merchant_id", id)], document)
                .await?,
            history_key: keys.new_history_key(id).await?,
            card: active,
            replaced_card,
        },
        cards,
    })
}

async fn keyed_card<K: KeyService>(
    keys: &Keys<K>,
    merchant: &MerchantId,
    field: &'static str,
    number: &CardNumber,
) -> Result<(CardParts, SealedCard), PortError> {
    let digits = [number.expose()];
    let fingerprint = keys.mac(HashPurpose::Card, &digits).await?;
    let previous = keys.previous_mac(HashPurpose::Card, &digits).await?;
    let card_id = CardId::new(0, &application::crypto::random()?);
    let context = [
        ("merchant_id", merchant.as_str()),
        ("card_id", card_id.as_str()),
    ];
    let sealed = SealedCard {
        field,
        number: keys.seal(DataKey::Card, &context, number.expose()).await?,
        card_id: card_id.clone(),
        fingerprint: fingerprint.clone(),
        previous_fingerprint: previous.clone(),
    };
    let facts = CardFacts::new(number, fingerprint, previous);
    Ok((CardParts { card_id, facts }, sealed))
}
