//! `POST /v1/rebinds/{id}/cancel`: only before activation.

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
        let mut transition = self.advance(rebind, stage, Event::Cancelled(of_rebind(rebind)));
        if let (RebindState::IdentityPending { .. }, Some(head)) =
            (&rebind.stage, &mut transition.head)
        {
            // Given up before the code to the phone on file was confirmed: does not count toward the day's limit.
            head.requests.take_back(rebind.created_at);
        }
        Ok(transition)
    }
}
