//! What a request cost at the store: for its log line and for the tests of the budgets.

/// Calls and capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Store calls.
    pub calls: u32,
    /// Read units.
    pub rru: f64,
    /// Write units.
    pub wru: f64,
    /// The most items in one transaction.
    pub items_max: usize,
}
