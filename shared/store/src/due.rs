//! Due items: the sparse index and its queries for the clean-up.

use super::Store;
use super::client::{Query, Table};
use super::item::{Item, get_s, opt_n, s, time};
use super::keys::{STATE, merchant_of};
use super::shards::DueShards;
use application::ports::PortError;
use domain::ids::MerchantId;
use domain::time::Timestamp;

/// Months that the clean-up looks back. After a longer outage, an operator handles older entries.
pub const LOOK_BACK_MONTHS: u32 = 12;
/// The index.
pub const INDEX: &str = "due";

/// All hash keys that can hold due items at `now`, oldest month first.
#[must_use]
pub fn buckets(shards: DueShards, now: Timestamp) -> Vec<String> {
    let text = now.yyyymm_utc();
    let (year, month) = text.split_at(text.len().saturating_sub(2));
    let (year, month): (u32, u32) = (year.parse().unwrap_or(0), month.parse().unwrap_or(1));
    let last = year * 12 + month.saturating_sub(1);
    (last.saturating_sub(LOOK_BACK_MONTHS)..=last)
        .flat_map(|months| {
            let month = format!("{:04}{:02}", months / 12, months % 12 + 1);
            shards.buckets(&month).collect::<Vec<_>>()
        })
        .collect()
}

/// Page size. Large, because runs that meet in a page take its entries in different orders.
const PAGE: i32 = 200;

/// One page of a bucket's due items.
#[derive(Clone, Debug)]
pub struct DuePage {
    /// Oldest first.
    pub due: Vec<DueItem>,
    next: Option<Item>,
}

impl DuePage {
    /// True for the last page of the bucket.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.next.is_none()
    }
}

/// A due item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueItem {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The kind of the item.
    pub kind: DueKind,
    /// The due time.
    pub due_at: Timestamp,
}

/// The kind of a due item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DueKind {
    /// A rebind: it is overdue, its hold is over, or a bank query is due.
    Rebind(u32),
    /// The merchant state: the notification of a cooldown's end is pending, a replaced card can be removed, or held
    /// payouts can be assigned.
    MerchantState,
    /// An event with an unsent notification.
    Notification(u64),
}

impl DueKind {
    /// The name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rebind(_) => "rebind",
            Self::MerchantState => "merchant_state",
            Self::Notification(_) => "notification",
        }
    }

    /// The number of the rebind or the event.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Rebind(number) => Some(number.into()),
            Self::MerchantState => None,
            Self::Notification(seq) => Some(seq),
        }
    }
}

impl<T: Table> Store<T> {
    /// All buckets that can hold due items at `now`, oldest month first.
    #[must_use]
    pub fn due_buckets(&self, now: Timestamp) -> Vec<String> {
        buckets(self.due_shards, now)
    }

    /// True if the bucket has a due item at `now`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn has_due(&self, bucket: &str, now: Timestamp) -> Result<bool, PortError> {
        let page = self.table.query(query(bucket, now, 1, None)).await?;
        Ok(!page.items.is_empty())
    }

    /// One page of a bucket's due items at `now`, oldest first; `after` is the previous page.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn due_in(
        &self,
        bucket: &str,
        now: Timestamp,
        after: Option<&DuePage>,
    ) -> Result<DuePage, PortError> {
        let start = after.and_then(|page| page.next.clone());
        let page = self.table.query(query(bucket, now, PAGE, start)).await?;
        let mut due = Vec::with_capacity(page.items.len());
        for item in &page.items {
            let sk = get_s(item, "sk")?;
            let kind = match sk.split_once('#') {
                Some(("R", number)) => u32::from_str_radix(number, 16).ok().map(DueKind::Rebind),
                Some(("E", seq)) => seq.parse().ok().map(DueKind::Notification),
                _ if sk == STATE => Some(DueKind::MerchantState),
                _ => None,
            };
            if let (Some(merchant_id), Some(kind), Some(at)) =
                (merchant_of(get_s(item, "pk")?), kind, opt_n(item, "due_at"))
            {
                due.push(DueItem {
                    merchant_id,
                    kind,
                    due_at: Timestamp::from_epoch_s(at),
                });
            }
        }
        Ok(DuePage {
            due,
            next: page.next,
        })
    }
}

fn query(bucket: &str, now: Timestamp, limit: i32, start: Option<Item>) -> Query {
    Query {
        index: Some(INDEX),
        condition: "due_bucket = :bucket AND due_at <= :now",
        values: [
            (":bucket".to_owned(), s(bucket)),
            (":now".to_owned(), time(now)),
        ]
        .into(),
        forward: true,
        limit: Some(limit),
        start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_thirteen_months() {
        let now = Timestamp::parse_rfc3339("2026-02-10T00:00:00Z").unwrap();
        let buckets = buckets(DueShards::parse("16").unwrap(), now);
        assert_eq!(buckets.len(), 13 * 16);
        assert_eq!(buckets.first().unwrap(), "202502#0");
        assert_eq!(buckets.last().unwrap(), "202602#15");
        assert!(buckets.contains(&"202512#1".to_owned()));
    }

    #[test]
    fn entry_is_in_a_queried_bucket() {
        let now = Timestamp::parse_rfc3339("2026-12-31T23:59:59Z").unwrap();
        let merchant = MerchantId::parse("mer_plain_1").unwrap();
        let shards = DueShards::DEFAULT;
        assert!(buckets(shards, now).contains(&shards.bucket(&merchant, now)));
    }
}
