//! The bodies of replies, built from the domain. A nullable member is always present. A member with
//! `skip_serializing_if` is omitted when it does not apply. A name in braces, for example `{session_idle_s}`, is a number
//! of the policy, which the API description replaces.

mod account;
mod agreement;
mod card;
mod problem;
mod rebind;
mod settlement;

pub use account::{Freeze, FreezeStatus, Merchant, Notice, Session};
pub use agreement::{Agreement, Consent};
pub use card::{BlockedBy, Card, Cards, Hold};
pub use problem::{FieldError, Problem};
pub use rebind::{Challenge, ChallengeMethod, EndedReason, Rebind, TestStatus, TestTransaction};
pub use settlement::{
    Event, HistoryHead, HistoryReceipt, Payout, PendingSettlement, Settings, Settlement,
};

use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::fmt::Display;

/// A value in its text form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A time: RFC 3339 at +08:00, whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_shanghai())
    }
}

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(rename = "{T}List"))]
pub struct Page<T> {
    /// At most {page}.
    #[cfg_attr(feature = "schema", schemars(length(max = PAGE)))]
    pub items: Vec<T>,
    /// For the next page; null on the last one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 512)))]
    pub next_cursor: Option<String>,
}

/// Items of a full page.
pub const PAGE: u8 = 20;
/// Items to read for a page: one more shows that a next page exists.
pub const PAGE_READ: u8 = PAGE + 1;

impl<T> Page<T> {
    /// The page of up to [`PAGE_READ`] items that were read. The cursor is that of the last item shown.
    pub fn new<I>(read: &[I], cursor: impl Fn(&I) -> String, show: impl Fn(&I) -> T) -> Self {
        let shown = &read[..read.len().min(usize::from(PAGE))];
        let last = shown.last().filter(|_| read.len() > shown.len());
        Self {
            items: shown.iter().map(show).collect(),
            next_cursor: last.map(cursor),
        }
    }
}
