//! Time-driven transitions. The clean-up persists them and queues their notifications. Readers derive the same states from
//! the stored times, so a late clean-up makes no difference.

use super::{Context, nothing_due, of_rebind};
use crate::error_code::ErrorCode;
use crate::history::event::{Event, NoFacts};
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    pub(super) fn expire(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        if !rebind.is_overdue(self.now) {
            return Err(nothing_due());
        }
        let stage = self.expired(rebind);
        let event = Event::Expired(of_rebind(rebind));
        Ok(self.advance(self.changed_state(), rebind, stage, event))
    }

    /// The final state of an overdue rebind. With a deposit, the reason is that its code has expired.
    pub(super) fn expired(&self, rebind: &Rebind) -> RebindState {
        RebindState::Ended {
            how: End::Expired,
            at: self.now,
            reason: rebind
                .has_deposit()
                .then_some(ErrorCode::MicroDepositExpired),
        }
    }

    pub(super) fn complete(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        match &rebind.stage {
            RebindState::Activated(activated_card) if activated_card.times.is_over(self.now) => {
                let stage = RebindState::Completed(activated_card.clone());
                let event = Event::Completed(of_rebind(rebind));
                Ok(self.advance(self.changed_state(), rebind, stage, event))
            }
            _ => Err(nothing_due()),
        }
    }

    pub(super) fn end_cooldown(&self) -> Result<Transition, Rejection> {
        let state = &self.merchant.state;
        let over = state.cooldown_until.is_some_and(|until| self.now >= until);
        if !(over && state.cooldown_end_unannounced) {
            return Err(nothing_due());
        }
        let mut after = self.changed_state();
        after.cooldown_end_unannounced = false;
        Ok(Transition {
            state: Some(after),
            event: Some(self.event(Event::CooldownEnded(NoFacts), None)),
            ..Transition::none()
        })
    }
}
