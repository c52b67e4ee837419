//! `POST /v1/rebinds/{id}/cancel`: only before activation.

use super::{Context, object};
use crate::domain::event_kind::EventKind;
use crate::domain::rebind::{End, Stage};
use crate::domain::rejection::Rejection;
use crate::domain::transition::Transition;

impl Context<'_> {
    pub(super) fn cancel(&self) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(Stage::is_open)?;
        let stage = Stage::Ended {
            how: End::Cancelled,
            at: self.now,
            reason: None,
        };
        let mut transition = self.advance(rebind, stage, EventKind::Cancelled, object([]));
        if let (Stage::IdentityPending { .. }, Some(head)) = (&rebind.stage, &mut transition.head) {
            // Given up before the code to the phone on file was confirmed: does not count toward the day's limit.
            head.requests.take_back(rebind.created_at);
        }
        Ok(transition)
    }
}
