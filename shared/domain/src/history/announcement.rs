//! Events that announce a change to the owner, with a freeze code.

use super::event::Event;
use crate::time::Timestamp;

impl Event {
    /// The number of the rebind whose change this event announces to the owner, with a freeze code and reminders.
    #[must_use]
    pub fn announces(&self) -> Option<u32> {
        if let Self::Activated(event) = self {
            return Some(event.rebind_id.number());
        }
        let Self::StandbyReady(event) = self else {
            return None;
        };
        Some(event.rebind_id.number())
    }

    /// The sequence number that the announced freeze code is derived from. `own`: the event's.
    #[must_use]
    pub const fn freeze_code_seq(&self, own: u64) -> u64 {
        match self {
            Self::SettlementChanged(event) => event.freeze_code_seq,
            _ => own,
        }
    }

    /// The same announcement with another time of the effect.
    #[must_use]
    pub fn taking_effect_at(mut self, at: Timestamp) -> Self {
        if let Self::Activated(event) = &mut self {
            event.effective_at = at;
        }
        if let Self::StandbyReady(event) = &mut self {
            event.usable_at = at;
        }
        self
    }
}
