//! What a request used, for its log line, its price and the budget tests.

use crate::crypto::Keys;
use std::time::Duration;

/// The number of calls and the consumed capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Store calls.
    pub calls: u32,
    /// Consumed read request units.
    pub rru: f64,
    /// Consumed write request units.
    pub wru: f64,
    /// Items in the largest transaction.
    pub items_max: usize,
    /// Calls to the key service.
    pub key_calls: u32,
}

/// A duration in whole milliseconds, for a log line.
#[must_use]
pub fn whole_ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Usage {
    /// The same with the calls to the key service since the last call of this function.
    #[must_use]
    pub fn with_keys<K>(self, keys: &Keys<K>) -> Self {
        Self {
            key_calls: keys.take_calls(),
            ..self
        }
    }
}
