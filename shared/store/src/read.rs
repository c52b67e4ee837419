//! Reading a merchant and its history.

use super::client::{Get, Page, Query, Table};
use super::item::{Item, s};
use super::keys::{PROFILE, STATE, event_sk, key, merchant_pk, rebind_sk};
use super::records::{event, merchant_state, profile, rebind};
use super::{Store, item};
use application::ports::{ListEvents, ListRebinds, LoadMerchant, PortError, Selector};
use domain::history::ChainedEvent;
use domain::ids::{MerchantId, RebindId};
use domain::merchant::Merchant;
use domain::rebind::Rebind;

/// Maximum number of reads while reads are torn.
const READS_MAX: u32 = 4;

/// The reads that a merchant is assembled from. Each may see half of a transaction.
#[allow(async_fn_in_trait)]
pub trait Reads {
    /// Profile, merchant state and latest rebind: the last three items of the partition, last first.
    async fn tail(&self, merchant: &MerchantId) -> Result<Vec<Item>, PortError>;
    /// Merchant state, profile and the rebind with this number.
    async fn state_profile_and(
        &self,
        merchant: &MerchantId,
        number: u32,
    ) -> Result<Vec<Item>, PortError>;
    /// The rebind with this number.
    async fn rebind(&self, merchant: &MerchantId, number: u32) -> Result<Option<Item>, PortError>;
}

/// The merchant with the selected rebind. A torn read is repeated.
///
/// # Errors
/// [`PortError::Conflict`], when every read was torn, or the error of a read.
pub async fn load_with<R: Reads>(
    reads: &R,
    merchant: &MerchantId,
    selector: Selector<'_>,
) -> Result<Option<Merchant>, PortError> {
    let rebind = async |number| -> Result<Option<Rebind>, PortError> {
        let item = reads.rebind(merchant, number).await?;
        item.as_ref().map(rebind::read).transpose()
    };
    for _ in 0..READS_MAX {
        let items = match selector {
            Selector::Shown(id) => reads.state_profile_and(merchant, id.number()).await?,
            Selector::Card(id) => reads.state_profile_and(merchant, id.number()).await?,
            Selector::Latest | Selector::Step(_) | Selector::Number(_) | Selector::Announced(_) => {
                reads.tail(merchant).await?
            }
        };
        let Some(mut read) = ReadSet::of(&items)?.merchant() else {
            return Ok(None);
        };
        if is_torn(&read, selector) {
            continue;
        }
        let older = match selector {
            Selector::Step(id) => Some(id.number()),
            Selector::Number(number) | Selector::Announced(number) => Some(number),
            Selector::Latest | Selector::Shown(_) | Selector::Card(_) => None,
        };
        if let Some(number) = older.filter(|number| *number != read.state.rebinds) {
            let latest = read.rebind.take();
            read.latest = latest.filter(|_| matches!(selector, Selector::Announced(_)));
            read.rebind = rebind(number).await?;
        }
        if let Selector::Step(id) | Selector::Shown(id) = selector {
            read.rebind = read.rebind.filter(|rebind| rebind.rebind_id == *id);
        }
        if let Selector::Card(id) = selector {
            read.rebind = read.rebind.filter(|rebind| rebind.new_card.card_id == *id);
            let other = read.state.open.filter(|open| *open != id.number());
            if let Some(number) = other {
                // Commands on a card depend on an open rebind, so read it too.
                read.latest = rebind(number).await?;
            }
        }
        return Ok(Some(read));
    }
    Err(PortError::Conflict)
}

impl<T: Table> LoadMerchant for Store<T> {
    async fn load(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
    ) -> Result<Option<Merchant>, PortError> {
        load_with(self, merchant, selector).await
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
    /// A merchant's events from `from`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn events(
        &self,
        merchant: &MerchantId,
        from: u64,
        limit: u16,
    ) -> Result<Vec<ChainedEvent>, PortError> {
        let range = (event_sk(from), "E#~".to_owned());
        let limit = Some(i32::from(limit));
        let page = self.page(merchant, range, true, limit, None).await?;
        page.items.iter().map(event::read).collect()
    }
}

impl<T: Table> Reads for Store<T> {
    async fn tail(&self, merchant: &MerchantId) -> Result<Vec<Item>, PortError> {
        self.newest(merchant, (rebind_sk(0), PROFILE.to_owned()), 3)
            .await
    }

    async fn state_profile_and(
        &self,
        merchant: &MerchantId,
        number: u32,
    ) -> Result<Vec<Item>, PortError> {
        let pk = merchant_pk(merchant);
        let keys =
            [STATE.to_owned(), PROFILE.to_owned(), rebind_sk(number)].map(|sk| key(pk.clone(), sk));
        self.table.batch_get(keys.to_vec()).await
    }

    async fn rebind(&self, merchant: &MerchantId, number: u32) -> Result<Option<Item>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), rebind_sk(number)),
            only: None,
            consistent: true,
        };
        self.table.get(get).await
    }
}

impl<T: Table> Store<T> {
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
/// missing.
///
/// # Errors
/// `Permanent`, for an item that this code did not write.
pub fn merchant_of_items(items: &[Item]) -> Result<Option<Merchant>, PortError> {
    Ok(ReadSet::of(items)?.merchant())
}

/// The items of one read.
struct ReadSet {
    state: Option<domain::merchant::MerchantState>,
    profile: Option<domain::merchant::Profile>,
    rebind: Option<Rebind>,
}

impl ReadSet {
    fn of(items: &[Item]) -> Result<Self, PortError> {
        let mut pieces = Self {
            state: None,
            profile: None,
            rebind: None,
        };
        for one in items {
            match item::get_s(one, "sk")? {
                STATE => pieces.state = Some(merchant_state::read(one)?),
                PROFILE => pieces.profile = Some(profile::read(one)?),
                _ => pieces.rebind = Some(rebind::read(one)?),
            }
        }
        Ok(pieces)
    }

    fn merchant(self) -> Option<Merchant> {
        Some(Merchant {
            state: self.state?,
            profile: self.profile?,
            rebind: self.rebind,
            latest: None,
        })
    }
}

/// True if merchant state and latest rebind come from different commits: the read saw half of a transaction.
#[must_use]
pub fn is_torn(read: &Merchant, selector: Selector<'_>) -> bool {
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
