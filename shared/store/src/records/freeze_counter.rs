//! Wrong freeze codes, counted by the hour. The counters use `ADD`, so concurrent requests never conflict. The
//! sum over a day's hours covers at least 23 of the last 24 hours.

use super::{GARBAGE_AFTER_S, check_version, stamp};
use crate::item::{Item, Update, b, n, opt_n, time};
use application::ports::PortError;
use domain::policy::{DAY_S, HOUR_S};
use domain::time::Timestamp;

/// Adds one to this hour's count. `once` is a random nonce: when an addition whose answer was lost is repeated, it
/// counts once, unless another addition came in between.
pub(crate) fn add(once: &[u8], now: Timestamp) -> (Update, String) {
    let hour = hour_name(hour_of(now));
    let mut update = Update::default();
    stamp(&mut update);
    update.put("ttl", Some(time(now.plus_s(DAY_S + GARBAGE_AFTER_S))));
    update.value("more", n(1));
    update.name(&hour);
    update.put("once", Some(b(once)));
    update.when("(attribute_not_exists(#once) OR #once <> :once)");
    let expression = format!("{} ADD #{hour} :more", update.expression());
    (update, expression)
}

/// Removes hours that no rule needs any more; `None` when there are no such hours.
pub(crate) fn forget_old(item: &Item, now: Timestamp) -> Option<Update> {
    let mut update = Update::default();
    for old in hours(item).filter(|old| *old < hour_of(now) - 2 * DAY_S / HOUR_S) {
        update.put(&hour_name(old), None);
    }
    (!update.names.is_empty()).then_some(update)
}

/// The wrong codes in the hours of the last day.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub fn of_last_day(item: &Item, now: Timestamp) -> Result<usize, PortError> {
    check_version(item, "the wrong freeze codes")?;
    let last = hour_of(now);
    let first = last - DAY_S / HOUR_S + 1;
    let guesses = hours(item)
        // A count ahead of this clock counts all the same.
        .filter(|hour| *hour >= first)
        .map(|hour| opt_n::<i64>(item, &hour_name(hour)).unwrap_or(0))
        .map(|count| usize::try_from(count).unwrap_or(0))
        .sum();
    Ok(guesses)
}

/// Hours since 1970. A clock before 1970 (possible in the sandbox) counts in hour 0, because the number is part of an
/// attribute name.
fn hour_of(at: Timestamp) -> i64 {
    at.epoch_s().div_euclid(HOUR_S).max(0)
}

fn hour_name(hour: i64) -> String {
    format!("h{hour}")
}

/// The hours with a count in the item.
fn hours(item: &Item) -> impl Iterator<Item = i64> {
    item.keys()
        .filter_map(|name| name.strip_prefix('h')?.parse().ok())
}
