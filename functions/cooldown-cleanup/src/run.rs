//! One run: finds the due entries and handles several at once, never two of the same merchant.
//!
//! Runs at the same time share the work. Each starts at a shard of its own, and takes the entries of a page in an order of
//! its own. An entry that needs nothing more is a sign of another run in the same bucket, so after a few of them a run leaves
//! the bucket for last.

use crate::poll::BankLimit;
use crate::{Bank, CooldownCleanup, RESERVE, ScheduleEvent, Summary};
use application::correlation;
use application::ports::PortError;
use domain::ids::MerchantId;
use domain::time::Timestamp;
use futures::stream::{self, StreamExt as _};
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::ready;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use store::client::Table;
use store::due::{DueItem, DueKind, DuePage};
use tracing::Instrument as _;

/// Entries that a run handles at the same time. Nearly all of an entry's time is spent waiting for the table.
pub const ENTRIES_AT_ONCE: usize = 32;
/// Buckets that a run queries at the same time.
const QUERIES: usize = 16;
/// Entries without effect after which a run leaves a bucket.
const IDLE_MAX: u32 = 8;

impl<T: Table, B: Bank> CooldownCleanup<T, B> {
    /// Executes one run. `id` differs between runs, and determines where the run starts.
    ///
    /// # Errors
    /// When the event's time is not RFC 3339; outside the sandbox, also when it is missing or further ahead than
    /// `Policy::schedule_ahead_max_s`. When part of the index cannot be read; the readable part is processed first.
    pub async fn run(
        &self,
        event: &ScheduleEvent,
        wall: Timestamp,
        deadline: Instant,
        id: &str,
    ) -> Result<Summary, PortError> {
        let run = Run {
            summary: Summary::default(),
            wall,
            now: self.now(event, wall)?,
            shared: Arc::new(Shared {
                deadline,
                late: AtomicBool::new(false),
                bank: BankLimit::new(self.store.policy().bank_silence_max),
                merchants: Mutex::default(),
                unreadable: Mutex::default(),
            }),
        };
        let queue = Queue {
            buckets: self.buckets(&run, id).await,
            cleanup: self,
            run: &run,
            id,
            page: None,
            entries: Vec::new().into_iter(),
            idle: Arc::default(),
        };
        let entries = stream::unfold(queue, |mut queue| async move {
            let entry = queue.next().await?;
            Some((entry, queue))
        });
        let summary = entries
            .map(|(due, idle)| self.handle_alone(due, idle, run.clone()))
            .buffer_unordered(ENTRIES_AT_ONCE)
            .fold(Summary::default(), |sum, one| ready(sum.plus(one)))
            .await;
        let summary = Summary {
            stopped_early: run.shared.late.load(Relaxed),
            ..summary
        };
        let unreadable = locked(&run.shared.unreadable).take();
        unreadable.map_or(Ok(summary), Err)
    }

    /// The buckets with due entries, oldest month first. The first shard of each month depends on the run.
    async fn buckets(&self, run: &Run, id: &str) -> VecDeque<Bucket> {
        let all = stream::iter(self.store.due_buckets(run.now));
        let due = all.map(|name| async {
            let is_due = !run.is_late() && self.has_due(&name, run).await;
            is_due.then_some(Bucket {
                name,
                is_left: false,
            })
        });
        let due = due.buffered(QUERIES).filter_map(ready);
        let mut buckets: Vec<Bucket> = due.collect().await;
        let start = number(id, "start");
        for month in buckets.chunk_by_mut(|one, next| one.month() == next.month()) {
            month.rotate_left(start % month.len());
        }
        buckets.into()
    }

    async fn has_due(&self, bucket: &str, run: &Run) -> bool {
        match self.store.has_due(bucket, run.now).await {
            Ok(is_due) => is_due,
            Err(error) => {
                run.is_unreadable(bucket, error);
                false
            }
        }
    }

    /// Handles an entry while no other entry of its merchant is handled, and once in a run.
    async fn handle_alone(&self, due: DueItem, idle: Arc<AtomicU32>, mut run: Run) -> Summary {
        let merchant = run.merchant(&due.merchant_id);
        let mut handled = merchant.lock().await;
        if run.is_late() || !handled.insert(due.kind) {
            return run.summary;
        }
        run.summary.lag_s = due.due_at.age_s_at(run.now);
        let span = correlation::due(&due.merchant_id, due.kind.as_str(), due.kind.number());
        self.handle(&due, &mut run).instrument(span.clone()).await;
        if run.summary.has_effect() {
            span.in_scope(|| tracing::info!("cleanup.entry_handled"));
        } else {
            idle.fetch_add(1, Relaxed);
        }
        run.summary
    }
}

/// A bucket with due entries.
struct Bucket {
    name: String,
    /// True if the run has left it to another run once.
    is_left: bool,
}

impl Bucket {
    fn month(&self) -> Option<&str> {
        self.name.split('#').next()
    }
}

/// The entries of a run, read page by page when they are needed: another run may handle them first.
struct Queue<'run, T, B> {
    cleanup: &'run CooldownCleanup<T, B>,
    run: &'run Run,
    id: &'run str,
    /// The first one is being read.
    buckets: VecDeque<Bucket>,
    /// The last page of the first bucket.
    page: Option<DuePage>,
    /// The rest of that page.
    entries: std::vec::IntoIter<DueItem>,
    /// The entries of the first bucket that had no effect.
    idle: Arc<AtomicU32>,
}

impl<T: Table, B: Bank> Queue<'_, T, B> {
    /// The next entry, with the counter of its bucket.
    async fn next(&mut self) -> Option<(DueItem, Arc<AtomicU32>)> {
        loop {
            if self.run.is_late() {
                return None;
            }
            self.leave_if_idle();
            if let Some(due) = self.entries.next() {
                return Some((due, Arc::clone(&self.idle)));
            }
            self.read().await?;
        }
    }

    /// Reads the next page. Pages are read forward only: a failed entry stays due for the next run.
    async fn read(&mut self) -> Option<()> {
        if self.page.as_ref().is_some_and(DuePage::is_last) {
            self.buckets.pop_front();
            self.begin();
        }
        let bucket = &self.buckets.front()?.name;
        let store = &self.cleanup.store;
        match store.due_in(bucket, self.run.now, self.page.as_ref()).await {
            Ok(mut page) => {
                let mut due = std::mem::take(&mut page.due);
                due.sort_by_cached_key(|due| number(self.id, &due.merchant_id));
                self.entries = due.into_iter();
                self.page = Some(page);
            }
            Err(error) => {
                self.run.is_unreadable(bucket, error);
                self.buckets.pop_front();
                self.begin();
            }
        }
        Some(())
    }

    /// Leaves the first bucket for last, once. Two runs that met continue at different buckets.
    fn leave_if_idle(&mut self) {
        let is_idle = self.idle.load(Relaxed) >= IDLE_MAX && self.buckets.len() > 1;
        let Some(left) = self.buckets.pop_front_if(|first| is_idle && !first.is_left) else {
            return;
        };
        let places = number(self.id, &left.name) % self.buckets.len();
        self.buckets.rotate_left(places);
        self.buckets.push_back(Bucket {
            is_left: true,
            ..left
        });
        self.entries = Vec::new().into_iter();
        self.begin();
    }

    fn begin(&mut self) {
        self.page = None;
        self.idle = Arc::default();
    }
}

/// A number that differs between runs.
fn number(id: &str, of: impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    (id, of).hash(&mut hasher);
    let [first, second, ..] = hasher.finish().to_le_bytes();
    usize::from(u16::from_le_bytes([first, second]))
}

/// A run, with the counts of one of its entries.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) summary: Summary,
    pub(crate) wall: Timestamp,
    pub(crate) now: Timestamp,
    shared: Arc<Shared>,
}

/// The state that all entries of a run share.
struct Shared {
    deadline: Instant,
    late: AtomicBool,
    bank: BankLimit,
    merchants: Mutex<HashMap<MerchantId, Arc<Handled>>>,
    /// An error of the index. An unreadable bucket does not block the others. The run still fails at its end.
    unreadable: Mutex<Option<PortError>>,
}

/// The handled entries of a merchant. Locked while one of them is handled.
type Handled = tokio::sync::Mutex<HashSet<DueKind>>;

impl Run {
    /// True when the run has to stop and leave the rest to the next run.
    pub(crate) fn is_late(&self) -> bool {
        let late = Instant::now() + RESERVE >= self.shared.deadline;
        self.shared.late.fetch_or(late, Relaxed);
        late
    }

    pub(crate) fn bank(&self) -> &BankLimit {
        &self.shared.bank
    }

    fn merchant(&self, merchant_id: &MerchantId) -> Arc<Handled> {
        let mut merchants = locked(&self.shared.merchants);
        Arc::clone(merchants.entry(merchant_id.clone()).or_default())
    }

    fn is_unreadable(&self, bucket: &str, error: PortError) {
        tracing::error!(
            due.bucket = bucket,
            due.cause = error.to_string(),
            "cleanup.bucket_unreadable"
        );
        *locked(&self.shared.unreadable) = Some(error);
    }
}

/// A panic elsewhere does not corrupt the content, so the lock's poison is ignored.
fn locked<C>(mutex: &Mutex<C>) -> std::sync::MutexGuard<'_, C> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
