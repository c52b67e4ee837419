//! Faults of the peers other than the table (keys, SMS, push, the bank): counts the calls, and drops one on request.

use std::sync::{Arc, Mutex};

/// The dropped part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DroppedPart {
    /// The request: the peer does nothing.
    Request,
    /// The reply is lost or unreadable: the peer did the work, and the caller does not know.
    Reply,
}

/// All peer calls of a system.
#[derive(Clone, Debug, Default)]
pub struct PeerCalls(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: Vec<&'static str>,
    armed: Option<(usize, DroppedPart)>,
}

impl PeerCalls {
    /// Drops the `n`-th call from now on (from 1), and no other.
    pub fn fail(&self, n: usize, lost: DroppedPart) {
        *self.0.lock().unwrap() = State {
            calls: Vec::new(),
            armed: Some((n, lost)),
        };
    }

    /// The calls since the last time, by peer. Clears the fault.
    #[must_use]
    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock().unwrap()).calls
    }

    /// Counts a call to `peer`. Returns the part to drop.
    pub fn call(&self, peer: &'static str) -> Option<DroppedPart> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(peer);
        let place = state.calls.len();
        state
            .armed
            .filter(|(n, _)| *n == place)
            .map(|(_, lost)| lost)
    }
}
