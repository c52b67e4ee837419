//! Reading a merchant and its history.

use super::client::{Get, Page, Query, Table};
use super::item::{Item, s};
use super::keys::{PROFILE, STATE, card_sk, event_sk, is_rebind_sk, key, merchant_pk, rebind_sk};
use super::records::{card, event, merchant_state, profile, rebind};
use super::{Store, idempotency, item};
use application::correlation;
use application::ports::{
    IdempotencyKey, IdempotencyLookup, ListEvents, ListRebinds, LoadMerchant, PortError, Selector,
};
use domain::history::ChainedEvent;
use domain::ids::{CardId, MerchantId, RebindId};
use domain::merchant::{Merchant, MerchantState};
use domain::rebind::{Rebind, Sealed};
use domain::time::Timestamp;

/// Maximum number of reads while reads are torn.
const READS_MAX: u32 = 4;

impl<T: Table> LoadMerchant for Store<T> {
    async fn load(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
    ) -> Result<Option<Merchant>, PortError> {
        let read = self.read_merchant(merchant, selector, None).await?;
        Ok(read.map(|read| read.merchant))
    }

    async fn load_with_key(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<(Merchant, IdempotencyLookup)>, PortError> {
        let read = self.read_merchant(merchant, selector, Some(key)).await?;
        let read = read.map(|read| {
            let used = idempotency::use_of(key, read.row.as_ref(), read.rebind.as_ref(), now)?;
            Ok((read.merchant, used))
        });
        read.transpose()
    }
}

/// A merchant with the items that hold the earlier use of an idempotency key.
struct MerchantRead {
    merchant: Merchant,
    /// The item of the merchant's rebind.
    rebind: Option<Item>,
    /// The key's row.
    row: Option<Item>,
}

impl<T: Table> Store<T> {
    /// A torn read is repeated. [`PortError::Conflict`], when every read was torn.
    async fn read_merchant(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<MerchantRead>, PortError> {
        let mut is_answer_seen = false;
        for attempt in 0..READS_MAX {
            let items = async {
                match selector {
                    Selector::Shown(id) => self.state_and(merchant, id.number()).await,
                    Selector::Card(id) => self.state_and(merchant, id.number()).await,
                    Selector::Latest
                    | Selector::Step(_)
                    | Selector::Number(_)
                    | Selector::Announced(_) => self.tail(merchant).await,
                }
            };
            // Boxed, so that the futures of use cases stay small.
            let record = Box::pin(self.record(merchant, attempt > 0));
            let row = Box::pin(self.row_beside(key));
            let (items, record, row) = futures::join!(Box::pin(items), record, row);
            let (mut items, row) = (items?, row?);
            items.extend(record?);
            let Some(mut read) = merchant_of_items(&items)? else {
                return Ok(None);
            };
            if is_torn(&read, selector) {
                continue;
            }
            let is_rebind = |item: &Item| item::opt_s(item, "sk").is_some_and(is_rebind_sk);
            let mut item = items.into_iter().find(is_rebind);
            let older = match selector {
                Selector::Step(id) => Some(id.number()),
                Selector::Number(number) | Selector::Announced(number) => Some(number),
                Selector::Latest | Selector::Shown(_) | Selector::Card(_) => None,
            };
            if let Some(number) = older.filter(|number| *number != read.state.rebinds) {
                let latest = read.rebind.take();
                read.latest = latest.filter(|_| matches!(selector, Selector::Announced(_)));
                item = self.rebind(merchant, number).await?;
                read.rebind = item.as_ref().map(rebind::read).transpose()?;
            }
            // The next read of a row begins after the answer is seen. If the row is still missing, it was released or has expired.
            let is_torn =
                |key| idempotency::is_torn(key, row.as_ref(), item.as_ref()) && !is_answer_seen;
            if key.is_some_and(is_torn) {
                is_answer_seen = true;
                continue;
            }
            if let Selector::Step(id) | Selector::Shown(id) = selector {
                read.rebind = read.rebind.filter(|rebind| rebind.rebind_id == *id);
            }
            if let Selector::Card(id) = selector {
                read.rebind = read.rebind.filter(|rebind| rebind.new_card.card_id == *id);
                let other = read.state.open.filter(|open| *open != id.number());
                if let Some(number) = other {
                    // Commands on a card depend on an open rebind, so read it too.
                    let latest = self.rebind(merchant, number).await?;
                    read.latest = latest.as_ref().map(rebind::read).transpose()?;
                }
            }
            return Ok(Some(MerchantRead {
                rebind: item.filter(|_| read.rebind.is_some()),
                merchant: read,
                row,
            }));
        }
        Err(PortError::Conflict)
    }
}

impl<T: Table> ListRebinds for Store<T> {
    async fn list(
        &self,
        merchant: &MerchantId,
        before: Option<u32>,
        limit: u8,
    ) -> Result<Vec<Rebind>, PortError> {
        let last = before.map_or(RebindId::NUMBER_MAX, |before| before.saturating_sub(1));
        let range = (rebind_sk(1), rebind_sk(last));
        let page = self.newest(merchant, range, i32::from(limit)).await?;
        page.iter().map(rebind::read).collect()
    }
}

impl<T: Table> ListEvents for Store<T> {
    async fn list_events(
        &self,
        merchant: &MerchantId,
        before: Option<u64>,
        limit: u8,
    ) -> Result<Vec<ChainedEvent>, PortError> {
        let last = before.map_or_else(
            || "E#~".to_owned(),
            |before| event_sk(before.saturating_sub(1)),
        );
        let range = (event_sk(0), last);
        let page = self.newest(merchant, range, i32::from(limit)).await?;
        page.iter().map(event::read).collect()
    }
}

impl<T: Table> Store<T> {
    /// The events of a merchant after this sequence number, in order.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn events_after(
        &self,
        merchant: &MerchantId,
        after: u64,
        limit: u8,
    ) -> Result<Vec<ChainedEvent>, PortError> {
        let range = (event_sk(after.saturating_add(1)), "E#~".to_owned());
        let limit = Some(i32::from(limit));
        let page = self.page(merchant, range, true, limit, None).await?;
        page.items.iter().map(event::read).collect()
    }

    /// The profile, read in parallel with the rest of the merchant. Its version shows an outdated one, so the first read
    /// need not be consistent.
    pub(super) async fn record(
        &self,
        merchant: &MerchantId,
        consistent: bool,
    ) -> Result<Option<Item>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), PROFILE),
            only: None,
            consistent,
        };
        self.table.get_beside(get).await
    }

    /// Merchant state and latest rebind: the last two items of the partition, last first.
    pub(super) async fn tail(&self, merchant: &MerchantId) -> Result<Vec<Item>, PortError> {
        self.newest(merchant, (rebind_sk(0), STATE.to_owned()), 2)
            .await
    }

    /// Merchant state and the rebind with this number.
    async fn state_and(&self, merchant: &MerchantId, number: u32) -> Result<Vec<Item>, PortError> {
        let pk = merchant_pk(merchant);
        let keys = [STATE.to_owned(), rebind_sk(number)].map(|sk| key(pk.clone(), sk));
        self.table.batch_get(keys.to_vec()).await
    }

    /// The rebind with this number.
    async fn rebind(&self, merchant: &MerchantId, number: u32) -> Result<Option<Item>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), rebind_sk(number)),
            only: None,
            consistent: true,
        };
        self.table.get(get).await
    }

    /// The last `limit` items of a merchant with a sort key in this range, both ends included, last first.
    pub(super) async fn newest(
        &self,
        merchant: &MerchantId,
        range: (String, String),
        limit: i32,
    ) -> Result<Vec<Item>, PortError> {
        let page = self.page(merchant, range, false, Some(limit), None).await?;
        Ok(page.items)
    }

    /// The encrypted number of a card, from its rebind or from onboarding. `None` once it is deleted.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn sealed_card_number(
        &self,
        merchant: &MerchantId,
        card_id: &CardId,
    ) -> Result<Option<Sealed>, PortError> {
        let sk = match card_id.number() {
            0 => card_sk(card_id),
            number => rebind_sk(number),
        };
        let get = Get {
            key: key(merchant_pk(merchant), sk),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        Ok(item.as_ref().map(card::read).transpose()?.flatten())
    }

    /// One page of a merchant's items in a range of sort keys, both ends included.
    pub(super) async fn page(
        &self,
        merchant: &MerchantId,
        (first, last): (String, String),
        forward: bool,
        limit: Option<i32>,
        start: Option<Item>,
    ) -> Result<Page, PortError> {
        let values = [
            (":pk", merchant_pk(merchant)),
            (":first", first),
            (":last", last),
        ];
        let query = Query {
            index: None,
            condition: "pk = :pk AND sk BETWEEN :first AND :last",
            values: values
                .into_iter()
                .map(|(name, value)| (name.to_owned(), s(value)))
                .collect(),
            forward,
            limit,
            start,
        };
        self.table.query(query).await
    }
}

/// Assembles a merchant from merchant state, profile and the rebind among the items. `None` if one of the first two is
/// missing, and once the merchant was erased.
pub(super) fn merchant_of_items(items: &[Item]) -> Result<Option<Merchant>, PortError> {
    let (mut state, mut profile, mut rebind) = (None, None, None);
    for one in items {
        match item::get_s(one, "sk")? {
            STATE => state = Some(merchant_state::read(one)?),
            PROFILE if profile::is_erased(one)? => return Ok(None),
            PROFILE => profile = Some(profile::read(one)?),
            _ => rebind = Some(rebind::read(one)?),
        }
    }
    let state = state.filter(|state: &MerchantState| state.erased_at.is_none());
    let (Some(state), Some(profile)) = (state, profile) else {
        return Ok(None);
    };
    let merchant = Merchant {
        state,
        profile,
        rebind,
        latest: None,
    };
    correlation::of_loaded(&merchant);
    Ok(Some(merchant))
}

/// True if merchant state and record come from different commits.
pub(super) const fn has_torn_record(read: &Merchant) -> bool {
    read.profile.version != read.state.record_version
}

/// True if merchant state, record and latest rebind come from different commits: the read saw half of a transaction.
fn is_torn(read: &Merchant, selector: Selector<'_>) -> bool {
    if has_torn_record(read) {
        return true;
    }
    match &read.rebind {
        Some(rebind) if rebind.rebind_id.number() == read.state.rebinds => {
            rebind.version != read.state.rebind_version
        }
        Some(rebind) => rebind.rebind_id.number() > read.state.rebinds,
        None => match selector {
            Selector::Shown(id) => id.number() == read.state.rebinds,
            Selector::Card(id) => id.number() > 0 && id.number() == read.state.rebinds,
            Selector::Latest | Selector::Step(_) | Selector::Number(_) | Selector::Announced(_) => {
                read.state.rebinds > 0
            }
        },
    }
}
