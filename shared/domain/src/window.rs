//! Limits of the form "at most n in the last s seconds", exact to the second.

use super::time::Timestamp;

/// When something happened, oldest first; only as many as the largest limit on it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window(Vec<Timestamp>);

impl Window {
    /// How many lie in the last `span_s` seconds. A time ahead of `now` has age 0 and counts.
    #[must_use]
    pub fn count(&self, span_s: i64, now: Timestamp) -> usize {
        self.0.iter().filter(|at| at.age_s_at(now) < span_s).count()
    }

    /// `None` when one more fits under `limit` in `span_s` seconds, else the seconds until it does.
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
        // The `limit`-th youngest has to leave before one more fits.
        let blocking_age_s = live.get(limit.saturating_sub(1)).copied().unwrap_or(0);
        Some((span_s - blocking_age_s).max(1))
    }

    /// Adds one, and forgets what is older than `span_s`.
    pub fn add(&mut self, span_s: i64, now: Timestamp) {
        self.0.retain(|at| at.age_s_at(now) < span_s);
        self.0.push(now);
    }

    /// Takes one back that was added at `at`; nothing when it is gone already.
    pub fn take_back(&mut self, at: Timestamp) {
        if let Some(index) = self.0.iter().rposition(|entry| *entry == at) {
            self.0.remove(index);
        }
    }

    /// The remembered times, oldest first.
    pub fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().copied()
    }

    /// Whether nothing is remembered.
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
    fn the_limit_holds_and_says_when_it_opens() {
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
    fn a_clock_that_goes_back_frees_nothing() {
        let mut window = Window::default();
        window.add(100, t(1_000));
        assert_eq!(window.count(100, t(0)), 1);
        assert_eq!(window.wait_s(1, 100, t(0)), Some(100));
    }

    #[test]
    fn what_was_added_can_be_taken_back_once() {
        let mut window = Window::default();
        window.add(100, t(5));
        window.add(100, t(5));
        window.take_back(t(5));
        window.take_back(t(6));
        assert_eq!(window.count(100, t(5)), 1);
    }
}
