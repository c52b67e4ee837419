//! The operator's decisions: a freeze without a code, the end of a freeze, and the end of all sessions.

use super::{Context, nothing_due, remove_holder, with_stage};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Nullable};
use crate::ids::CardId;
use crate::merchant::{LastActivation, MerchantState, Replaced, ReplacedCard};
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::{EndedSessions, Transition};

impl Context<'_> {
    /// Does what the freeze code of the last live activation would do. Without one, it is unknown what is wrong, and every
    /// payout is held.
    pub(super) fn freeze_by_operator(&self, reason: &str) -> Result<Transition, Rejection> {
        let codes = self.merchant.state.freeze_codes.iter();
        let live = codes.filter(|code| code.activation && code.works_at(self.now));
        let last = live.max_by_key(|code| code.seq);
        let mut transition = self.stop_changes(last.and_then(|code| code.rebind))?;
        let holds_all = last.is_none();
        if let Some(frozen) = transition
            .state
            .as_mut()
            .and_then(|state| state.frozen.as_mut())
        {
            frozen.holds_payouts |= holds_all;
        }
        if let Some(Event::Frozen(frozen)) = transition.event.as_mut().map(|new| &mut new.event) {
            frozen.holds_payouts |= holds_all;
            frozen.reason = Some(reason.to_owned());
        }
        Ok(transition)
    }

    /// Ends all sessions.
    pub(super) fn end_sessions(&self, reason: &str) -> Transition {
        let mut state = self.changed_state();
        state.sessions = Default::default();
        let event = Event::SessionsEnded(event::ForReason {
            reason: reason.to_owned(),
        });
        Transition {
            state: Some(state),
            event: Some(self.event(event, None)),
            ends_sessions: EndedSessions::All,
            ..Transition::none()
        }
    }

    /// Ends the freeze with the operator's choice of the active card; without a card, payouts wait. The last activation is
    /// over for good, and its rebind is reverted if its card was not chosen. Unsent payouts to a card that lost the choice
    /// wait for a card.
    pub(super) fn unfreeze(
        &self,
        reason: &str,
        chosen: Option<&CardId>,
    ) -> Result<Transition, Rejection> {
        let before = &self.merchant.state;
        if before.frozen.is_none() {
            return Err(nothing_due());
        }
        if let Some(card_id) = chosen {
            self.check_can_be_chosen(card_id)?;
        }
        let last = before.last_activation.as_ref();
        // The activation of a card from onboarding has no rebind.
        let rebind = match last.filter(|last| last.number > 0) {
            Some(last) => Some(self.loaded(last.number)?),
            None => None,
        };
        let active = before.active.as_ref().map(|active| &active.card.card_id);
        let is_kept = active.is_some() && active == chosen;
        let mut state = self.changed_state();
        state.frozen = None;
        state.security_changed_at = Some(self.now);
        self.choose(&mut state, chosen);
        if let Some(last) = last {
            end_activation(&mut state, last, is_kept);
        }
        let changed = rebind.and_then(|rebind| self.ended_by_operator(&mut state, rebind, is_kept));
        let released = rebind.filter(|_| !is_kept).map(remove_holder);
        let event = Event::Unfrozen(event::Unfrozen {
            reason: reason.to_owned(),
            card_id: Nullable(chosen.cloned()),
        });
        Ok(Transition {
            state: Some(state),
            rebind: changed,
            event: Some(self.event(event, rebind.map(|rebind| &rebind.reserved_phone))),
            fingerprint: released,
            ..Transition::none()
        })
    }

    /// The active card, or a replaced one that was not frozen out, returned or unbound.
    fn check_can_be_chosen(&self, card_id: &CardId) -> Result<(), Rejection> {
        let state = &self.merchant.state;
        let active = state.active.as_ref().map(|active| &active.card.card_id);
        match state.replaced(card_id) {
            _ if active == Some(card_id) => Ok(()),
            Some(replaced) if !replaced.state.is_out() => Ok(()),
            Some(_) => Err(Rejection::new(ErrorCode::StepOutOfOrder)),
            None if state.standby(card_id).is_some() => {
                Err(Rejection::new(ErrorCode::StepOutOfOrder))
            }
            None => Err(Rejection::new(ErrorCode::NotFound)),
        }
    }

    /// Points to the chosen card. Bars the cards that it was chosen over: the active one, and the one replaced last.
    fn choose(&self, state: &mut MerchantState, chosen: Option<&CardId>) {
        let is_chosen = |card_id: &CardId| chosen == Some(card_id);
        let last = state.last_activation.as_ref();
        let old = last.and_then(|last| last.old_card.clone());
        if let Some(bound) = state
            .active
            .take_if(|active| !is_chosen(&active.card.card_id))
        {
            state.replaced.push(ReplacedCard {
                bound,
                removable_at: self.now,
                state: Replaced::Barred,
            });
        }
        for replaced in &mut state.replaced {
            let card_id = &replaced.bound.card.card_id;
            let is_old = old.as_ref() == Some(card_id);
            if is_old && !is_chosen(card_id) && !replaced.state.is_out() {
                replaced.state = Replaced::Barred;
            }
        }
        let position = |replaced: &ReplacedCard| is_chosen(&replaced.bound.card.card_id);
        if let Some(index) = state.replaced.iter().position(position) {
            state.active = Some(state.replaced.remove(index).bound);
        }
    }

    /// The rebind of the last activation: reverted, or final so that its test transfer can no longer undo it. `None` if
    /// nothing changes.
    fn ended_by_operator(
        &self,
        state: &mut MerchantState,
        rebind: &Rebind,
        is_kept: bool,
    ) -> Option<Rebind> {
        if is_kept {
            let test = rebind.activated_card()?.test.closed()?;
            let stage = super::test_transfer::with_test(&rebind.stage, test);
            return Some(with_stage(state, rebind, stage));
        }
        let stage = RebindState::Ended {
            how: End::Reverted,
            at: self.now,
            reason: Some(ErrorCode::AccountFrozen),
        };
        Some(Rebind {
            sealed_number: None,
            ..with_stage(state, rebind, stage)
        })
    }
}

/// Ends the last activation for good. Its cooldown goes on only if its card stays.
fn end_activation(state: &mut MerchantState, last: &LastActivation, is_kept: bool) {
    state.last_activation = None;
    state
        .freeze_codes
        .retain(|code| code.rebind != Some(last.number));
    if is_kept {
        return;
    }
    state.cooldown_until = None;
    state.cooldown_end_unannounced = false;
    if state.lost_at == Some(last.times.activated_at) {
        state.lost_at = None;
    }
}
