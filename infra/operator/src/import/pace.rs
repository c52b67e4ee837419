//! How many calls are in flight, and how often one starts. A throttled target is asked less, then gradually more again.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest and the longest pause after a call that was throttled or did not reach the target.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(20));
/// Calls that were under way together are throttled together, and count once.
const SLOWED_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// What a throttled target is asked less, and what each success adds per call in flight.
const SLOWER: f64 = 0.5;

/// The pace of an import.
#[derive(Debug)]
pub struct Pace {
    in_flight_max: f64,
    in_flight: f64,
    /// The time between two lines, with `--rate`.
    every: Option<Duration>,
    next_at: Instant,
    slowed_at: Option<Instant>,
}

impl Pace {
    /// At most this many calls in flight, and this many lines a second.
    #[must_use]
    pub fn new(in_flight_max: u16, rate: Option<u32>) -> Self {
        let in_flight_max = f64::from(in_flight_max.max(1));
        Self {
            in_flight_max,
            in_flight: in_flight_max,
            every: rate.map(|rate| Duration::from_secs(1) / rate.max(1)),
            next_at: Instant::now(),
            slowed_at: None,
        }
    }

    /// True if another call may start besides these.
    #[must_use]
    pub fn allows(&self, in_flight: usize) -> bool {
        u32::try_from(in_flight)
            .is_ok_and(|calls| f64::from(calls) < self.in_flight.max(1.0).floor())
    }

    /// When the next line may start; `None` if it may start now.
    #[must_use]
    pub fn wait_until(&self, now: Instant) -> Option<Instant> {
        (now < self.next_at).then_some(self.next_at)
    }

    /// A line starts.
    pub fn start(&mut self, now: Instant) {
        if let Some(every) = self.every {
            // Time that was lost in a pause is not made up for.
            self.next_at = self.next_at.max(now) + every;
        }
    }

    /// A call succeeded.
    pub fn succeeded(&mut self) {
        self.in_flight = (self.in_flight + 1.0 / self.in_flight.max(1.0)).min(self.in_flight_max);
    }

    /// A call was throttled or did not reach the target.
    pub fn throttled(&mut self, now: Instant) {
        let again = |at: Instant| now.duration_since(at) < SLOWED_AGAIN_AFTER;
        if self.slowed_at.is_some_and(again) {
            return;
        }
        self.slowed_at = Some(now);
        self.in_flight = (self.in_flight * SLOWER).max(1.0);
    }
}

/// The pause before an attempt that is not the first; it doubles.
#[must_use]
pub fn pause(attempt: u32) -> Duration {
    let (shortest, longest) = PAUSE;
    let doubled = shortest.saturating_mul(1 << attempt.min(16));
    doubled.min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rate_spreads_the_lines() {
        let mut pace = Pace::new(4, Some(100));
        let began = Instant::now();
        for _ in 0..250 {
            if let Some(at) = pace.wait_until(Instant::now()) {
                tokio::time::sleep_until(at).await;
            }
            pace.start(Instant::now());
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(2_490), "{took:?}");
        assert!(took < Duration::from_millis(3_000), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_target_is_asked_less() {
        let mut pace = Pace::new(32, None);
        assert!(pace.allows(31) && !pace.allows(32));
        for _ in 0..32 {
            pace.throttled(Instant::now());
        }
        assert!(pace.allows(15) && !pace.allows(16));
        for _ in 0..20 {
            tokio::time::advance(SLOWED_AGAIN_AFTER).await;
            pace.throttled(Instant::now());
        }
        assert!(pace.allows(0) && !pace.allows(1));
        for _ in 0..1_000 {
            pace.succeeded();
        }
        assert!(pace.allows(31) && !pace.allows(32));
        assert_eq!(pace.wait_until(Instant::now()), None);
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!(pause(0), Duration::from_millis(100));
        assert_eq!(pause(3), Duration::from_millis(800));
        assert_eq!(pause(u32::MAX), Duration::from_secs(20));
    }
}
