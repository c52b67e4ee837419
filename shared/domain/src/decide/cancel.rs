//! `POST /v1/rebinds/{id}/cancel`: cancels a rebind before its activation.

use super::{Context, of_rebind};
use crate::history::event::Event;
use crate::rebind::{End, RebindState};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    pub(super) fn cancel(&self) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(RebindState::is_open)?;
        let stage = RebindState::Ended {
            how: End::Cancelled,
            at: self.now,
            reason: None,
        };
        let mut state = self.changed_state();
        if matches!(rebind.stage, RebindState::IdentityPending { .. }) {
            // Cancelled before the identity code was confirmed, so the rebind does not count toward the daily limit.
            state.requests.refund(rebind.created_at);
        }
        let event = Event::Cancelled(of_rebind(rebind));
        Ok(self.advance(state, rebind, stage, event))
    }
}
