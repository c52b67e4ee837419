//! The store usage of a request, for its log line and for the budget tests.

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
}
