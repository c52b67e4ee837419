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
        if let RebindState::IdentityPending { attempts, .. } = &rebind.stage
            && attempts.wrong == 0
        {
            // Cancelled before a wrong code was entered, so the rebind does not count toward the daily limit of rebinds. After a
            // wrong code it counts, otherwise each rebind would bring new attempts.
            state.device_counts.refund_rebind(rebind.created_at);
        }
        let event = Event::Cancelled(of_rebind(rebind));
        Ok(self.advance(state, rebind, stage, event))
    }
}
