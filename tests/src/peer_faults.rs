//! Calls to what is outside and is not the table (keys, SMS, push, the bank): counted, and lost where a test says so.

use std::sync::{Arc, Mutex};

/// What is lost of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// The request: nothing happens.
    Request,
    /// The reply, or it cannot be read: it has happened, and the caller does not know.
    Reply,
}

/// All such calls of a world.
#[derive(Clone, Debug, Default)]
pub struct Outside(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: Vec<&'static str>,
    armed: Option<(usize, Lost)>,
}

impl Outside {
    /// The `n`-th call from now on (from 1) is lost; no other is.
    pub fn fail(&self, n: usize, lost: Lost) {
        *self.0.lock().unwrap() = State {
            calls: Vec::new(),
            armed: Some((n, lost)),
        };
    }

    /// The calls since the last time, by whom they went to. Nothing is lost any more.
    #[must_use]
    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap()).calls
    }

    /// Counts a call to `whom`: what is lost of it.
    pub fn call(&self, whom: &'static str) -> Option<Lost> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(whom);
        let place = state.calls.len();
        state
            .armed
            .filter(|(n, _)| *n == place)
            .map(|(_, lost)| lost)
    }
}
