//! The freeze: the old contact's one move against a change that was not the merchant's, and what ends it.

use super::{Context, moved, nothing_due, released};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Nullable};
use crate::merchant::{Frozen, MerchantState};
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    /// The freeze code of rebind `number` was given, and everything that a stranger may have done is stopped, whichever of
    /// the codes it was: an activation whose hold is running is undone; one that has taken effect and can still be frozen
    /// holds every payout, for nobody knows which card is right; standby cards and the open rebind go.
    pub(super) fn freeze(&self, number: u32) -> Result<Transition, Rejection> {
        let before = &self.state.head;
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
        let mut transition = if ends {
            self.advance(rebind, self.frozen_out(), event)
        } else {
            Transition {
                head: Some(self.changed_head()),
                event: Some(self.event(event, None)),
                ..Transition::none()
            }
        };
        let Some(head) = &mut transition.head else {
            return Err(nothing_due());
        };
        let also = self.end_another(head, rebind)?;
        // Of two cards that go in this write, the one that was in use; the other is released when it is removed.
        let of_undone = |rebind: &&Rebind| is_undone(rebind.rebind_id.number());
        let released_card = also.iter().chain([rebind]).find(of_undone);
        transition.fingerprint = released_card.or(ends.then_some(rebind)).map(released);
        transition.also = also;
        match (undone, &before.last_activation) {
            (Some(last), _) => self.point_back(head, last, true),
            (None, Some(last)) if last.number == number => {
                head.cooldown_until = None;
                head.cooldown_end_untold = false;
            }
            _ => {}
        }
        head.frozen = Some(Frozen {
            at: before.frozen.map_or(self.now, |frozen| frozen.at),
            holds_payouts: before.holds_payouts() || in_force,
        });
        head.freeze_codes.retain(|code| code.number != number);
        for standby in std::mem::take(&mut head.standby) {
            self.retire(Some(standby.bound), head);
        }
        head.sessions = Default::default();
        transition.ends_sessions = true;
        Ok(transition)
    }

    /// Beside the rebind of the code, one more can be there to end: the open one, or the one whose hold is running. Never
    /// both, for an activation starts a cooldown. It has to be loaded: what is not read cannot be written.
    fn end_another(
        &self,
        head: &mut MerchantState,
        frozen: &Rebind,
    ) -> Result<Option<Rebind>, Rejection> {
        let of_hold = self.state.head.hold(self.now).map(|last| last.number);
        let mut numbers = [head.open.take(), of_hold].into_iter().flatten();
        let Some(number) = numbers.find(|number| *number != frozen.rebind_id.number()) else {
            return Ok(None);
        };
        let another = self.state.numbered(number);
        let another =
            another.ok_or_else(|| Rejection::new(ErrorCode::VersionConflict).retry_after(1))?;
        let stage = if another.is_overdue(self.now) {
            self.expired(another)
        } else {
            self.frozen_out()
        };
        Ok(Some(Rebind {
            sealed_number: None,
            ..moved(head, another, stage)
        }))
    }

    const fn frozen_out(&self) -> RebindState {
        RebindState::Ended {
            how: End::Frozen,
            at: self.now,
            reason: None,
        }
    }

    /// The operator has decided. Payouts that have their card go on to it, those without one are assigned; one that is not
    /// to go out is returned by the acquirer's core first.
    pub(super) fn unfreeze(&self, reason: &str) -> Result<Transition, Rejection> {
        if self.state.head.frozen.is_none() {
            return Err(nothing_due());
        }
        let mut head = self.changed_head();
        head.frozen = None;
        let active = head.active.as_ref().map(|active| &active.card);
        let event = Event::Unfrozen(event::Unfrozen {
            reason: reason.to_owned(),
            card_id: Nullable(active.map(|card| card.card_id.clone())),
        });
        Ok(Transition {
            head: Some(head),
            event: Some(self.event(event, None)),
            ..Transition::none()
        })
    }
}
