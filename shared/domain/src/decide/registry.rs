//! The decisions of the acquirer's registry, and of operators about a merchant's account as a whole.

use super::{Context, nothing_due};
use crate::device::Logins;
use crate::erasure::obstacles;
use crate::history::event::{self, Event};
use crate::merchant::MerchantState;
use crate::rejection::Rejection;
use crate::transition::{EndedSessions, Transition};

impl Context<'_> {
    /// Closes the account for good: ends all sessions and the open rebind, and holds every payout that is not being paid yet.
    /// The merchant can still log in and read.
    pub(super) fn close(&self, by: &str, reason: &str) -> Result<Transition, Rejection> {
        let mut state = self.changed_state();
        if state.closed_at.is_some() {
            return Err(nothing_due());
        }
        state.closed_at = Some(self.now);
        state.sessions = Default::default();
        self.end_pending_settlement(&mut state);
        let ended = self.end_open_rebind(&mut state)?;
        let event = Event::Closed(event::Closed {
            by: by.to_owned(),
            reason: reason.to_owned(),
        });
        Ok(Transition {
            state: Some(state),
            rebind: ended,
            event: Some(self.event(event, None)),
            ends_sessions: EndedSessions::All,
            ..Transition::none()
        })
    }

    /// Changes nothing but the history.
    pub(super) fn unmask(&self, reason: &str) -> Transition {
        let event = Event::Unmasked(event::ForReason {
            reason: reason.to_owned(),
        });
        Transition {
            state: Some(self.changed_state()),
            event: Some(self.event(event, None)),
            ..Transition::none()
        }
    }

    /// Erases the merchant. From this write on, no use case finds it; the store then removes what it holds.
    pub(super) fn erase(&self, reason: &str, retention_s: i64) -> Result<Transition, Rejection> {
        if !obstacles(&self.merchant.state, retention_s, self.now).is_empty() {
            return Err(nothing_due());
        }
        let event = Event::Erased(event::ForReason {
            reason: reason.to_owned(),
        });
        let state = MerchantState {
            erased_at: Some(self.now),
            sessions: Default::default(),
            ..self.changed_state()
        };
        Ok(Transition {
            state: Some(state),
            event: Some(self.event(event, None)),
            ends_sessions: EndedSessions::All,
            ..Transition::none()
        })
    }

    /// Forgets the failed logins of the account, and sets no password. `logins`: the account's logins as read.
    pub(super) fn clear_logins(&self, reason: &str, logins: &Logins) -> Transition {
        let event = Event::LoginsCleared(event::ForReason {
            reason: reason.to_owned(),
        });
        Transition {
            state: Some(self.changed_state()),
            event: Some(self.event(event, None)),
            logins: Some(Box::new(logins.without_failures())),
            ..Transition::none()
        }
    }
}
