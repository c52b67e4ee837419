//! Sliding-window limits ("at most n in the last s seconds"), exact to the second.

use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The times of counted operations, oldest first. Holds no more entries than the largest limit needs.
///
/// Serialized as the epoch seconds of the first entry, followed by the difference from each entry to the next, so that
/// ten entries take about sixty bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<i64>", into = "Vec<i64>")]
pub struct Window(Vec<Timestamp>);

impl From<Vec<i64>> for Window {
    fn from(steps: Vec<i64>) -> Self {
        let times = steps.into_iter().scan(0_i64, |at_s, step_s| {
            *at_s = at_s.saturating_add(step_s);
            Some(Timestamp::from_epoch_s(*at_s))
        });
        times.collect()
    }
}

impl From<Window> for Vec<i64> {
    fn from(window: Window) -> Self {
        let mut before_s = 0;
        let step = |at: Timestamp| at.epoch_s() - std::mem::replace(&mut before_s, at.epoch_s());
        window.0.into_iter().map(step).collect()
    }
}

impl Window {
    /// The number of entries in the last `span_s` seconds. An entry later than `now` has age 0 and counts.
    #[must_use]
    pub fn count(&self, span_s: i64, now: Timestamp) -> usize {
        self.0.iter().filter(|at| at.age_s_at(now) < span_s).count()
    }

    /// Seconds until one more entry is within `limit` per `span_s` seconds; `None` if it is now.
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
        self.0.retain(|at| at.age_s_at(now) < span_s);
        self.0.push(now);
    }

    /// Removes one entry that was added at `at`. Does nothing if the entry is gone.
    pub fn refund(&mut self, at: Timestamp) {
        if let Some(index) = self.0.iter().rposition(|entry| *entry == at) {
            self.0.remove(index);
        }
    }

    /// All entries, oldest first.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().copied()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
    fn window_serializes_as_deltas() {
        let window: Window = [1_763_800_000, 1_763_800_060, 1_763_790_000]
            .into_iter()
            .map(t)
            .collect();
        let text = serde_json::to_string(&window).unwrap();
        assert_eq!(text, "[1763800000,60,-10060]");
        assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
    }

    #[test]
    fn entry_is_refunded_once() {
        let mut window = Window::default();
        window.add(100, t(5));
        window.add(100, t(5));
        window.refund(t(5));
        window.refund(t(6));
        assert_eq!(window.count(100, t(5)), 1);
    }
}
