//! What a request used, for its log line, its price and the budget tests.

use crate::crypto::Keys;

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
