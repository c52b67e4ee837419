//! The freeze, by which the old contact stops a fraudulent change, and its end.

use super::{Context, nothing_due, remove_holder, with_stage};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Nullable};
use crate::merchant::{Frozen, MerchantState};
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    /// Freezes the account with the freeze code of rebind `number`. Every freeze code stops all recent changes:
    /// - An activation whose hold is running is undone.
    /// - An activation in effect that can still be frozen holds all payouts, because it is unknown which card is right.
    /// - Standby cards are retired and the open rebind ends.
    pub(super) fn freeze(&self, number: u32) -> Result<Transition, Rejection> {
        let before = &self.merchant.state;
        let mut codes = before.freeze_codes.iter();
        let works = codes.any(|code| code.number == number && self.now < code.good_until);
        let rebind = self.rebind()?;
        if !works || rebind.rebind_id.number() != number {
            return Err(Rejection::new(ErrorCode::NotFound));
        }
        let undone = before.hold(self.now);
        let is_undone = |number| undone.is_some_and(|last| last.number == number);
        let in_force = before
            .freeze_codes
            .iter()
            .any(|code| code.activation && self.now < code.good_until && !is_undone(code.number));
        let ends = is_undone(number) || before.standby(&rebind.new_card.card_id).is_some();

        let event = Event::Frozen(event::Frozen {
            rebind_id: rebind.rebind_id.clone(),
            undone: undone.is_some(),
            holds_payouts: in_force,
        });
        let mut state = self.changed_state();
        let also = self.end_second_rebind(&mut state, rebind)?;
        match (undone, &before.last_activation) {
            (Some(last), _) => self.undo_activation(&mut state, last, true),
            (None, Some(last)) if last.number == number => {
                state.cooldown_until = None;
                state.cooldown_end_unannounced = false;
            }
            _ => {}
        }
        state.frozen = Some(Frozen {
            at: before.frozen.map_or(self.now, |frozen| frozen.at),
            holds_payouts: before.holds_payouts() || in_force,
        });
        state.freeze_codes.retain(|code| code.number != number);
        for standby in std::mem::take(&mut state.standby) {
            self.retire(Some(standby.bound), &mut state);
        }
        state.sessions = Default::default();
        let mut transition = if ends {
            self.advance(state, rebind, self.frozen_stage(), event)
        } else {
            Transition {
                state: Some(state),
                event: Some(self.event(event, None)),
                ..Transition::none()
            }
        };
        // A write can remove one holder only, preferably the undone card. The clean-up removes the other.
        let of_undone = |rebind: &&Rebind| is_undone(rebind.rebind_id.number());
        let released_card = also.iter().chain([rebind]).find(of_undone);
        transition.fingerprint = released_card.or(ends.then_some(rebind)).map(remove_holder);
        transition.also = also;
        transition.ends_sessions = true;
        Ok(transition)
    }

    /// Ends a second rebind besides that of the code: the open one, or the one whose hold is running. Both cannot exist at
    /// once, because an activation starts a cooldown. If the rebind is not loaded, the caller must read it and retry.
    fn end_second_rebind(
        &self,
        state: &mut MerchantState,
        frozen: &Rebind,
    ) -> Result<Option<Rebind>, Rejection> {
        let of_hold = self.merchant.state.hold(self.now).map(|last| last.number);
        let mut numbers = [state.open.take(), of_hold].into_iter().flatten();
        let Some(number) = numbers.find(|number| *number != frozen.rebind_id.number()) else {
            return Ok(None);
        };
        let second = self.merchant.numbered(number);
        let second =
            second.ok_or_else(|| Rejection::new(ErrorCode::VersionConflict).retry_after(1))?;
        let stage = if second.is_overdue(self.now) {
            self.expired(second)
        } else {
            self.frozen_stage()
        };
        Ok(Some(Rebind {
            sealed_number: None,
            ..with_stage(state, second, stage)
        }))
    }

    const fn frozen_stage(&self) -> RebindState {
        RebindState::Ended {
            how: End::Frozen,
            at: self.now,
            reason: None,
        }
    }

    /// Ends the freeze by the operator's decision. Payouts with a card go to that card, and held payouts are assigned. To
    /// stop a payout, the acquirer's core returns it before.
    pub(super) fn unfreeze(&self, reason: &str) -> Result<Transition, Rejection> {
        if self.merchant.state.frozen.is_none() {
            return Err(nothing_due());
        }
        let mut state = self.changed_state();
        state.frozen = None;
        let active = state.active.as_ref().map(|active| &active.card);
        let event = Event::Unfrozen(event::Unfrozen {
            reason: reason.to_owned(),
            card_id: Nullable(active.map(|card| card.card_id.clone())),
        });
        Ok(Transition {
            state: Some(state),
            event: Some(self.event(event, None)),
            ..Transition::none()
        })
    }
}
