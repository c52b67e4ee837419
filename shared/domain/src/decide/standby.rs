//! `POST /v1/cards/{card_id}/activate`: the switch to a standby card, which has already waited. It requires a fresh login
//! and a code to the phone on file. Whatever blocks a rebind also blocks the switch.

use super::{Context, create, seconds_until};
use crate::error_code::ErrorCode;
use crate::history::event::{CodeSent, Event};
use crate::ids::CardId;
use crate::next_action::NextAction;
use crate::rebind::{Attempts, Otp, OtpPurpose, Reason, Rebind, RebindState, SentOtp, Standby};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    pub(super) fn start_activation(
        &self,
        card_id: &CardId,
        fresh: &Otp,
    ) -> Result<Transition, Rejection> {
        let (rebind, standby) = self.check_switch(card_id)?;
        // A session cannot use the code of another session, so it gets its own. A code that was sent too recently is not
        // replaced; later requests send a new one, because no other endpoint resends the code of a switch.
        let session = self.session_tag();
        let is_recent = |code: &SentOtp| {
            code.session == session && code.sent_at.age_s_at(self.now) < self.policy.code_gap_s
        };
        if standby.code.as_ref().is_some_and(is_recent) {
            return Ok(Transition::none());
        }
        let attempts = self.current_attempts(standby)?;
        let stage = RebindState::Standby(Standby {
            code: Some(self.sent(fresh)),
            attempts,
            ..standby.clone()
        });
        let event = Event::CodeSent(CodeSent {
            rebind_id: rebind.rebind_id.clone(),
            purpose: OtpPurpose::Activate,
            serial: None,
        });
        let mut transition = self.advance(self.changed_state(), rebind, stage, event);
        transition.otp_delivery = Some(self.send_on_file(rebind, OtpPurpose::Activate, fresh));
        Ok(transition)
    }

    /// Checks, in this order: the card's owner, frozen, fresh login, step order, ID document, what blocks any rebind, and
    /// the rules of the switch.
    pub(super) fn check_switch(&self, card_id: &CardId) -> Result<(&Rebind, &Standby), Rejection> {
        self.check_card_known(card_id)?;
        self.not_frozen()?;
        self.fresh_login()?;
        let not_standby =
            || Rejection::new(ErrorCode::StepOutOfOrder).next(&[NextAction::NewRebind]);
        let waiting = self
            .merchant
            .state
            .standby(card_id)
            .ok_or_else(not_standby)?;
        let rebind = self.rebind()?;
        let RebindState::Standby(standby) = &rebind.stage else {
            return Err(not_standby());
        };
        create::check_rebind_allowed(self.merchant, self.policy, self.now)?;
        if self.now < waiting.usable_at {
            return Err(Rejection::new(ErrorCode::StandbyNotReady)
                .retry_after(seconds_until(waiting.usable_at, self.now))
                .next(&[NextAction::Wait]));
        }
        if standby.ready_at.age_s_at(self.now) > self.policy.standby_proof_s {
            // The proof is too old, so the card must be verified again.
            return Err(Rejection::new(ErrorCode::StepUpRequired)
                .not_counted()
                .next(&[NextAction::UnbindCard, NextAction::NewRebind]));
        }
        Ok((rebind, standby))
    }

    /// The attempts so far, or none after a lock has ended. Too many wrong codes lock the switch for a while. The card
    /// stays, so that a thief's guesses cannot take it from its owner.
    pub(super) fn current_attempts(&self, standby: &Standby) -> Result<Attempts, Rejection> {
        if let Some(wait_s) = standby.locked_for_s(self.policy, self.now) {
            return Err(Rejection {
                attempts_left: Some(0),
                ..Rejection::new(ErrorCode::OtpTooMany)
                    .not_counted()
                    .retry_after(wait_s)
                    .next(&[NextAction::Wait])
            });
        }
        let is_over = standby.attempts.reserved >= self.policy.code_attempts;
        Ok(if is_over {
            Attempts::default()
        } else {
            standby.attempts.clone()
        })
    }

    /// Activates the standby card without a hold, because the card has already waited. If nobody was notified of it, it
    /// waits for the notification of the switch.
    pub(super) fn switch(&self, rebind: &Rebind) -> Transition {
        // Ignore the reason of the original rebind: a switch never counts as a lost card.
        let switched = Rebind {
            reason: Reason::Replace,
            ..rebind.clone()
        };
        let standby = self.merchant.state.standby(&rebind.new_card.card_id);
        let waits = standby.is_none_or(|standby| standby.waits);
        self.activate(&switched, 0, waits)
    }
}
