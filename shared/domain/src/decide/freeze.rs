//! The freeze, by which the old contact stops a fraudulent change.

use super::{Context, nothing_due, remove_holder, with_stage};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::{Frozen, MerchantState};
use crate::next_action::NextAction;
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{EndedSessions, Transition};

impl Context<'_> {
    /// Freezes the account with the freeze code that the event with this sequence number announced.
    pub(super) fn freeze(&self, seq: u64) -> Result<Transition, Rejection> {
        let mut codes = self.merchant.state.freeze_codes.iter();
        let code = codes.find(|code| code.seq == seq && code.works_at(self.now));
        let code = code.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        let mut transition = self.stop_changes(code.rebind)?;
        if let Some(state) = &mut transition.state {
            state.freeze_codes.retain(|code| code.seq != seq);
        }
        Ok(transition)
    }

    /// Freezes the account in a session of a device that was known long before the rebind. No code is needed.
    pub(super) fn freeze_from_device(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        let number = rebind.rebind_id.number();
        let mut codes = self.merchant.state.freeze_codes.iter();
        let works = codes.any(|code| code.rebind == Some(number) && code.works_at(self.now));
        if !works {
            self.not_frozen()?;
        }
        self.known_before(rebind.created_at)?;
        if works {
            return self.stop_changes(Some(number));
        }
        if self.merchant.is_open(rebind, self.now) {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder).next(&[NextAction::Cancel]));
        }
        // Checks the expiry first: an expired rebind has its own error.
        self.rebind_in(|_| false)?;
        Err(self.out_of_order(rebind))
    }

    /// Checks that the session's device first logged in long enough before this time.
    fn known_before(&self, at: Timestamp) -> Result<(), Rejection> {
        self.known_device()?;
        let is_old = self.session().is_some_and(|session| {
            let first_seen = session.device.first_seen;
            first_seen.plus_s(self.policy.freeze_device_age_s) <= at
        });
        if is_old {
            Ok(())
        } else {
            Err(Rejection::new(ErrorCode::DeviceTooNew)
                .next(&[NextAction::Freeze, NextAction::ContactSupport]))
        }
    }

    /// Freezes the account and stops all recent changes, whichever of them was announced:
    /// - An activation whose hold is running is undone.
    /// - An activation in effect that can still be frozen holds all payouts, because it is unknown which card is right.
    /// - Standby cards are retired and the open rebind ends.
    ///
    /// `announced`: the rebind whose announcement the freeze answers, if there is one. Its freeze codes are used up.
    pub(super) fn stop_changes(&self, announced: Option<u32>) -> Result<Transition, Rejection> {
        let before = &self.merchant.state;
        let undone = before.hold(self.now);
        let is_undone = |number| undone.is_some_and(|last| last.number == number);
        let mut codes = before.freeze_codes.iter();
        let in_force = codes.any(|code| {
            code.activation && code.works_at(self.now) && !code.rebind.is_some_and(is_undone)
        });
        let rebind = announced.and_then(|number| self.merchant.numbered(number));
        let is_standby = |rebind: &&Rebind| before.standby(&rebind.new_card.card_id).is_some();
        let mut ended: Vec<&Rebind> = rebind.into_iter().filter(is_standby).collect();
        // The activation of a card from onboarding has no rebind.
        let of_hold = undone.map(|last| last.number).filter(|number| *number > 0);
        for number in before.open.into_iter().chain(of_hold) {
            ended.push(self.loaded(number)?);
        }
        ended.dedup_by_key(|rebind| rebind.rebind_id.number());

        let event = Event::Frozen(event::Frozen {
            rebind_id: rebind.map(|rebind| rebind.rebind_id.clone()),
            undone: undone.is_some(),
            holds_payouts: in_force,
            reason: None,
        });
        let mut state = self.changed_state();
        match (undone, &before.last_activation) {
            (Some(last), _) => self.undo_activation(&mut state, last, true),
            (None, Some(last)) if announced == Some(last.number) => {
                state.cooldown_until = None;
                state.cooldown_end_unannounced = false;
            }
            _ => {}
        }
        state.frozen = Some(Frozen {
            at: before.frozen.map_or(self.now, |frozen| frozen.at),
            holds_payouts: before.holds_payouts() || in_force,
        });
        if announced.is_some() {
            state.freeze_codes.retain(|code| code.rebind != announced);
        }
        for standby in std::mem::take(&mut state.standby) {
            self.retire(Some(standby.bound), &mut state);
        }
        self.limit_standby_codes(&mut state);
        self.end_pending_settlement(&mut state);
        state.sessions = Default::default();
        state.open = None;
        // A write can remove one holder only, preferably the undone card. The clean-up removes the other.
        let of_undone = |rebind: &&&Rebind| is_undone(rebind.rebind_id.number());
        let released = ended.iter().find(of_undone).or(ended.first());
        let fingerprint = released.map(|rebind| remove_holder(rebind));
        let loaded = self.merchant.rebind.as_ref();
        let loaded = loaded.map(|rebind| &rebind.rebind_id);
        let (selected, also): (Vec<_>, Vec<_>) = ended
            .into_iter()
            .partition(|rebind| Some(&rebind.rebind_id) == loaded);
        let mut end = |all: Vec<&Rebind>| {
            let first = all.into_iter().next();
            first.map(|rebind| self.ended_by_freeze(&mut state, rebind))
        };
        Ok(Transition {
            rebind: end(selected),
            also: end(also),
            state: Some(state),
            event: Some(self.event(event, None)),
            fingerprint,
            ends_sessions: EndedSessions::All,
            ..Transition::none()
        })
    }

    /// The rebind with this number. If it is not loaded, the caller must read it and retry.
    pub(super) fn loaded(&self, number: u32) -> Result<&Rebind, Rejection> {
        let rebind = self.merchant.numbered(number);
        rebind.ok_or_else(|| Rejection::new(ErrorCode::VersionConflict).retry_after(1))
    }

    /// The rebind after the freeze. An overdue one expires instead. Nothing is ever paid to its card, so the card's
    /// number is deleted.
    fn ended_by_freeze(&self, state: &mut MerchantState, rebind: &Rebind) -> Rebind {
        let stage = if rebind.is_overdue(self.now) {
            self.expired(rebind)
        } else {
            self.frozen_stage()
        };
        Rebind {
            sealed_number: None,
            ..with_stage(state, rebind, stage)
        }
    }

    const fn frozen_stage(&self) -> RebindState {
        RebindState::Ended {
            how: End::Frozen,
            at: self.now,
            reason: None,
        }
    }

    /// Tells the owner that a code of theirs is guessed, or mistyped by themselves. Only a working code is worth guessing.
    pub(super) fn notify_freeze_guesses(&self) -> Result<Transition, Rejection> {
        let state = &self.merchant.state;
        let mut codes = state.freeze_codes.iter();
        let works = codes.any(|code| code.works_at(self.now));
        let every_s = self.policy.freeze_guesses_notified_every_s;
        let lately = |at: Timestamp| at.age_s_at(self.now) < every_s;
        if !works || state.freeze_guesses_notified_at.is_some_and(lately) {
            return Err(nothing_due());
        }
        let mut state = self.changed_state();
        state.freeze_guesses_notified_at = Some(self.now);
        Ok(Transition {
            state: Some(state),
            event: Some(self.event(Event::FreezeCodeGuessed(event::NoFacts), None)),
            ..Transition::none()
        })
    }
}
