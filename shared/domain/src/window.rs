//! Sliding-window limits ("at most n in the last s seconds"), exact to the second.

use super::time::Timestamp;

/// The times of counted operations, oldest first. Holds no more entries than the largest limit needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window(Vec<Timestamp>);

impl Window {
    /// The number of entries in the last `span_s` seconds. An entry later than `now` has age 0 and counts.
    #[must_use]
    pub fn count(&self, span_s: i64, now: Timestamp) -> usize {
        self.0.iter().filter(|at| at.age_s_at(now) < span_s).count()
    }

    /// Seconds until one more entry is within `limit` per `span_s` seconds; `None` if one more is allowed now.
    #[must_use]
    pub fn wait_s(&self, limit: usize, span_s: i64, now: Timestamp) -> Option<i64> {
        let mut live: Vec<i64> = self
            .0
            .iter()
            .map(|at| at.age_s_at(now))
            .filter(|age| *age < span_s)
            .collect();
        if live.len() < limit {
            return None;
        }
        live.sort_unstable();
        // One more fits as soon as the `limit`-th youngest entry leaves the window.
        let blocking_age_s = live.get(limit.saturating_sub(1)).copied().unwrap_or(0);
        Some((span_s - blocking_age_s).max(1))
    }

    /// Adds an entry and drops entries older than `span_s`.
    pub fn add(&mut self, span_s: i64, now: Timestamp) {
        self.prune(span_s, now);
        self.0.push(now);
    }

    /// Keeps the newest entries. A limit needs no more entries than its number.
    pub fn keep_newest(&mut self, count: usize) {
        let surplus = self.0.len().saturating_sub(count);
        self.0.drain(..surplus);
    }

    /// Drops entries older than `span_s`.
    pub fn prune(&mut self, span_s: i64, now: Timestamp) {
        self.0.retain(|at| at.age_s_at(now) < span_s);
    }

    /// Removes one entry that was added at `at`. Returns false if the entry is gone.
    pub fn refund(&mut self, at: Timestamp) -> bool {
        let index = self.0.iter().rposition(|entry| *entry == at);
        index.map(|index| self.0.remove(index)).is_some()
    }

    /// True without entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries, oldest first.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().copied()
    }
}

impl FromIterator<Timestamp> for Window {
    fn from_iter<I: IntoIterator<Item = Timestamp>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(s: i64) -> Timestamp {
        Timestamp::from_epoch_s(s)
    }

    #[test]
    fn wait_ends_when_the_oldest_entry_expires() {
        let mut window = Window::default();
        for s in [0, 10, 20] {
            assert_eq!(window.wait_s(3, 100, t(s)), None);
            window.add(100, t(s));
        }
        assert_eq!(window.wait_s(3, 100, t(30)), Some(70));
        assert_eq!(window.wait_s(3, 100, t(99)), Some(1));
        assert_eq!(window.wait_s(3, 100, t(100)), None);
        assert_eq!(window.wait_s(4, 100, t(30)), None);
    }

    #[test]
    fn backward_clock_frees_no_entry() {
        let mut window = Window::default();
        window.add(100, t(1_000));
        assert_eq!(window.count(100, t(0)), 1);
        assert_eq!(window.wait_s(1, 100, t(0)), Some(100));
    }

    #[test]
    fn entry_is_refunded_once() {
        let mut window = Window::default();
        window.add(100, t(5));
        window.add(100, t(5));
        assert!(window.refund(t(5)));
        assert!(!window.refund(t(6)));
        assert_eq!(window.count(100, t(5)), 1);
    }
}
