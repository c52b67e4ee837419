//! The audit chain of an operator: its entries, and its end.

use super::{Attributes, check_version, version};
use crate::item::{Item, get_n, get_s, n, opt_n, s, time};
use application::ports::PortError;
use domain::history::GENESIS;
use domain::operator::AuditEntry;
use domain::policy::HOUR_S;

/// The attribute of the sequence number of the last entry.
pub(crate) const SEQ: &str = "seq";

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEnd {
    /// The number of entries.
    pub seq: u64,
    /// The hash of the last entry.
    pub hash: String,
    /// The hour of the last entry, counted from the epoch.
    pub hour: i64,
    /// The number of entries in that hour.
    pub calls: u32,
}

impl AuditEnd {
    /// The end of an empty chain.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seq: 0,
            hash: GENESIS.to_owned(),
            hour: 0,
            calls: 0,
        }
    }

    /// The end after one more entry.
    #[must_use]
    pub fn followed_by(&self, entry: &AuditEntry) -> Self {
        let seq = self.seq + 1;
        let hour = entry.at.epoch_s().div_euclid(HOUR_S);
        let before = if hour == self.hour { self.calls } else { 0 };
        Self {
            seq,
            hash: entry.hash(seq, &self.hash),
            hour,
            calls: before.saturating_add(1),
        }
    }
}

/// The attributes of an entry. `after`: the end of the chain with this entry.
#[must_use]
pub fn attributes(entry: &AuditEntry, prev_hash: &str, after: &AuditEnd) -> Attributes {
    vec![
        version(),
        ("at", Some(time(entry.at))),
        ("call", Some(s(&entry.call))),
        ("subject", Some(s(&entry.subject))),
        ("reason", Some(s(entry.grounds.reason.as_str()))),
        ("comment", Some(s(&entry.grounds.comment))),
        ("ticket", entry.grounds.ticket.as_ref().map(s)),
        ("prev_hash", Some(s(prev_hash))),
        ("hash", Some(s(&after.hash))),
    ]
}

/// The attributes of the end.
#[must_use]
pub fn end_attributes(end: &AuditEnd) -> Attributes {
    vec![
        version(),
        (SEQ, Some(n(end.seq))),
        ("hash", Some(s(&end.hash))),
        ("hour", Some(n(end.hour))),
        ("calls", Some(n(end.calls))),
    ]
}

/// The end of a chain, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read_end(item: &Item) -> Result<AuditEnd, PortError> {
    check_version(item, "an audit chain")?;
    Ok(AuditEnd {
        seq: get_n(item, SEQ)?,
        hash: get_s(item, "hash")?.to_owned(),
        hour: opt_n(item, "hour").unwrap_or(0),
        calls: opt_n(item, "calls").unwrap_or(0),
    })
}
