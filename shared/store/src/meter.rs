//! The table cost of a request, for its log line and for the budget tests.

use application::usage::Usage;
use aws_sdk_dynamodb::types::ConsumedCapacity;
use std::sync::{Arc, Mutex};

/// The counters of one environment, which serves one request at a time.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Usage>>);

impl Meter {
    fn with<R>(&self, change: impl FnOnce(&mut Usage) -> R) -> R {
        // A panic elsewhere does not corrupt a counter, so ignore the lock's poison.
        let mut usage = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut usage)
    }

    /// Takes the cost since the last call.
    #[must_use]
    pub fn take(&self) -> Usage {
        self.with(std::mem::take)
    }

    pub(super) fn read(&self, capacity: &[ConsumedCapacity]) {
        let units: f64 = capacity
            .iter()
            .filter_map(ConsumedCapacity::capacity_units)
            .sum();
        self.with(|usage| usage.rru += units);
    }

    pub(super) fn written(&self, capacity: &[ConsumedCapacity]) {
        let units: f64 = capacity
            .iter()
            .filter_map(ConsumedCapacity::capacity_units)
            .sum();
        self.with(|usage| usage.wru += units);
    }

    pub(super) fn call(&self, items: usize) {
        self.with(|usage| {
            usage.calls += 1;
            usage.items_max = usage.items_max.max(items);
        });
    }
}
