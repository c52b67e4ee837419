//! Failed logins from a source address.

use super::{Attributes, GARBAGE_AFTER_S, check_version, version};
use crate::item::{Item, b, get_n, n, opt_b, opt_n, time};
use application::ports::PortError;
use domain::login::Failures;
use domain::time::Timestamp;

/// The attribute for the optimistic lock.
pub(crate) const REVISION: &str = "rev";

/// The attributes of the failures; `now` is the time of the write.
pub fn attributes(failures: &Failures, revision: u64, now: Timestamp) -> Attributes {
    let Failures { window, in_a_row } = failures;
    // Four bytes each, because an address can have a hundred.
    let times: Vec<u8> = window
        .times()
        .flat_map(|at| u32::try_from(at.epoch_s()).unwrap_or(0).to_be_bytes())
        .collect();
    vec![
        version(),
        ("at", (!times.is_empty()).then(|| b(&times))),
        ("row", Some(n(in_a_row))),
        (REVISION, Some(n(revision))),
        ("ttl", Some(time(now.plus_s(GARBAGE_AFTER_S)))),
    ]
}

/// The failures and their revision, from their item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<(Failures, u64), PortError> {
    check_version(item, "failed logins")?;
    let times = opt_b(item, "at").unwrap_or_default();
    let window = times
        .chunks_exact(4)
        .filter_map(|chunk| chunk.try_into().ok())
        .map(|chunk| Timestamp::from_epoch_s(i64::from(u32::from_be_bytes(chunk))))
        .collect();
    let failures = Failures {
        window,
        in_a_row: opt_n(item, "row").unwrap_or(0),
    };
    Ok((failures, get_n(item, REVISION)?))
}
