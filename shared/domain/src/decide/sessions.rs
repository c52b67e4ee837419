//! Sessions: the first login of a device, and the end of all other sessions.

use super::Context;
use crate::history::event::{Event, NoFacts};
use crate::login::OpenedSession;
use crate::rejection::Rejection;
use crate::transition::{EndedSessions, Transition};

impl Context<'_> {
    /// Opens the first session of a device and announces it. An account may be frozen: login still works.
    pub(super) fn add_device(&self, opened: &OpenedSession) -> Transition {
        let mut state = self.changed_state();
        if let Some(slot) = state.sessions.get_mut(usize::from(opened.slot)) {
            *slot = Some(opened.session.clone());
        }
        let event = self.notice(&mut state, Event::DeviceAdded(NoFacts));
        Transition {
            state: Some(state),
            event: Some(event),
            opens_session: Some(opened.slot),
            ..Transition::none()
        }
    }

    /// Ends all sessions except the one that asks.
    pub(super) fn end_other_sessions(&self) -> Result<Transition, Rejection> {
        self.not_frozen()?;
        self.fresh_login()?;
        let mut state = self.changed_state();
        for (slot, session) in (0..).zip(&mut state.sessions) {
            if self.by != Some(slot) {
                *session = None;
            }
        }
        Ok(Transition {
            state: Some(state),
            ends_sessions: EndedSessions::Others,
            ..Transition::none()
        })
    }
}
