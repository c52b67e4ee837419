//! The clock of the process. After a thaw, the clock of an execution environment can be minutes behind until the system has
//! corrected it. The gateway stamps each request, so a request shows how far.

use domain::time::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A gateway's time further ahead than this is not believed, in milliseconds.
const AHEAD_MS_MAX: i64 = 15 * 60 * 1_000;

/// How far this process's clock is behind, in milliseconds.
static BEHIND_MS: AtomicI64 = AtomicI64::new(0);

/// Wall-clock time. For leases and signatures only; business rules receive `now`.
#[must_use]
pub fn wall_clock() -> Timestamp {
    Timestamp::from_epoch_s(wall_clock_ms() / 1_000)
}

/// The same in milliseconds since 1970.
#[must_use]
pub fn wall_clock_ms() -> i64 {
    system_ms().saturating_add(BEHIND_MS.load(Ordering::Relaxed))
}

/// Takes the time at which the gateway received a request, in milliseconds since 1970. The clock is never set back by it.
pub(crate) fn see_gateway(received_ms: Option<i64>) {
    let behind_ms = behind_ms(system_ms(), received_ms);
    BEHIND_MS.store(behind_ms, Ordering::Relaxed);
    if behind_ms > 1_000 {
        tracing::warn!(clock.behind_ms = behind_ms, "clock.behind");
    }
}

fn behind_ms(system_ms: i64, received_ms: Option<i64>) -> i64 {
    let behind_ms = received_ms.map_or(0, |received_ms| received_ms.saturating_sub(system_ms));
    match behind_ms {
        0..=AHEAD_MS_MAX => behind_ms,
        _ => 0,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the product; business rules receive `now`"
)]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_puts_a_late_clock_forward_only() {
        let minute = 60_000;
        for (received_ms, expected) in [
            (None, 0),
            (Some(1_000_000), 0),
            (Some(1_000_000 - minute), 0),
            (Some(1_000_000 + minute), minute),
            (Some(1_000_000 + 15 * minute), 15 * minute),
            (Some(1_000_000 + 15 * minute + 1), 0),
            (Some(i64::MAX), 0),
            (Some(i64::MIN), 0),
        ] {
            assert_eq!(
                behind_ms(1_000_000, received_ms),
                expected,
                "{received_ms:?}"
            );
        }
    }
}
