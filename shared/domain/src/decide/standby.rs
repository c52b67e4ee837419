//! `POST /v1/cards/{card_id}/activate`: the switch to a card that has already waited. It needs a fresh login and a code to
//! the phone on file, and is refused wherever a rebind would be.

use super::{Context, create, seconds_until};
use crate::error_code::ErrorCode;
use crate::history::event::{CodeSent, Event};
use crate::ids::CardId;
use crate::next_action::NextAction;
use crate::rebind::{Attempts, Otp, OtpPurpose, Reason, Rebind, RebindState, SentOtp, Standby};
use crate::rejection::Rejection;
use crate::transition::{OtpDelivery, Transition};

impl Context<'_> {
    pub(super) fn start_activation(
        &self,
        card_id: &CardId,
        fresh: &Otp,
    ) -> Result<Transition, Rejection> {
        let (rebind, standby) = self.may_switch(card_id)?;
        // Another session's code is no use to this one: it gets one of its own. And one whose text never came is replaced
        // like any other, once the challenge says so: nothing else sends a code for a switch.
        let here = self.session_tag();
        let is_on_its_way = |code: &SentOtp| {
            code.session == here && code.sent_at.age_s_at(self.now) < self.policy.code_gap_s
        };
        if standby.code.as_ref().is_some_and(is_on_its_way) {
            return Ok(Transition::none());
        }
        let tries = self.tries_of_today(standby)?;
        let stage = RebindState::Standby(Standby {
            code: Some(self.sent(fresh)),
            tries,
            ..standby.clone()
        });
        let event = Event::CodeSent(CodeSent {
            rebind_id: rebind.rebind_id.clone(),
            purpose: OtpPurpose::Activate,
            serial: None,
        });
        let mut transition = self.advance(rebind, stage, event);
        transition.otp_delivery = Some(OtpDelivery {
            phone: self.state.profile.phone_on_file.clone(),
            purpose: OtpPurpose::Activate,
            card: rebind.new_card.clone(),
            of: rebind.purpose,
        });
        Ok(transition)
    }

    /// Whose card → frozen → fresh login → step order → document → what stands in the way of any rebind → its own rules.
    pub(super) fn may_switch(&self, card_id: &CardId) -> Result<(&Rebind, &Standby), Rejection> {
        self.is_known(card_id)?;
        self.not_frozen()?;
        self.fresh_login()?;
        let not_standby =
            || Rejection::new(ErrorCode::StepOutOfOrder).next(&[NextAction::NewRebind]);
        let waiting = self.state.head.standby(card_id).ok_or_else(not_standby)?;
        let rebind = self.rebind()?;
        let RebindState::Standby(standby) = &rebind.stage else {
            return Err(not_standby());
        };
        if self.state.profile.id_expires_on.is_over_at(self.now) {
            return Err(Rejection::new(ErrorCode::IdExpired)
                .not_counted()
                .next(&[NextAction::ContactSupport]));
        }
        create::may_rebind(self.state, self.policy, self.now)?;
        if self.now < waiting.usable_at {
            return Err(Rejection::new(ErrorCode::StandbyNotReady)
                .retry_after(seconds_until(waiting.usable_at, self.now))
                .next(&[NextAction::Wait]));
        }
        if standby.ready_at.age_s_at(self.now) > self.policy.standby_proof_s {
            // Proven too long ago: the card has to be proven anew.
            return Err(Rejection::new(ErrorCode::StepUpRequired)
                .not_counted()
                .next(&[NextAction::UnbindCard, NextAction::NewRebind]));
        }
        Ok((rebind, standby))
    }

    /// The tries still running. Five wrong codes lock the switch for a day; the card is kept, for a thief who guesses is
    /// not to take it from its owner.
    pub(super) fn tries_of_today(&self, standby: &Standby) -> Result<Attempts, Rejection> {
        if let Some(wait_s) = standby.locked_for_s(self.policy, self.now) {
            return Err(Rejection {
                attempts_left: Some(0),
                ..Rejection::new(ErrorCode::OtpTooMany)
                    .not_counted()
                    .retry_after(wait_s)
                    .next(&[NextAction::Wait])
            });
        }
        let is_over = standby.tries.taken >= self.policy.code_tries;
        Ok(if is_over {
            Attempts::default()
        } else {
            standby.tries.clone()
        })
    }

    /// The code was right: the pointer moves at once, for the card has waited already.
    pub(super) fn switch(&self, rebind: &Rebind) -> Transition {
        // Whatever was said when the card was added was said of another time's card: nothing is lost now.
        let switched = Rebind {
            reason: Reason::Replace,
            ..rebind.clone()
        };
        self.activate(&switched, 0)
    }
}
