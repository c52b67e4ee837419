//! Activation: the change of the active card, and its undoing.

use super::Context;
use crate::history::event::{self, Event, Nullable};
use crate::merchant::{
    BoundCard, FreezeCode, LastActivation, MerchantState, Replaced, ReplacedCard, StandbyCard,
};
use crate::rebind::{
    ActivatedCard, Activation, Attempts, Purpose, Reason, Rebind, RebindState, Standby,
    TestTransfer,
};
use crate::time::Timestamp;
use crate::transition::{FingerprintRule, Transition};

impl Context<'_> {
    /// Adds the verified card to the account: activates it, or keeps it as a standby card.
    pub(super) fn attach_card(&self, rebind: &Rebind) -> Transition {
        let mut rebind = self.seen_by_device(rebind);
        rebind.new_card.bound_at = self.now;
        let mut transition = match rebind.purpose {
            Purpose::Activate => {
                let hold_s = self.hold_s(&rebind);
                self.activate(&rebind, hold_s, true)
            }
            Purpose::Standby => self.add_standby(&rebind),
        };
        transition.fingerprint = Some(FingerprintRule::AddHolder {
            fingerprint: rebind.fingerprint.clone(),
            person: self.merchant.profile.id_number_mac.clone(),
        });
        transition
    }

    /// The hold of a verified card. Each reason for a longer hold counts alone; the longest one applies.
    fn hold_s(&self, rebind: &Rebind) -> i64 {
        // The reason of a standby card's rebind has no effect, nor has `lost` without an active card.
        let replaces_lost = rebind.reason == Reason::Lost
            && rebind.purpose == Purpose::Activate
            && self.merchant.state.active.is_some();
        let is_young = |first: Timestamp| first.age_s_at(self.now) < self.policy.device_young_s;
        let has_young_device = rebind.youngest_device.is_some_and(is_young);
        let holds = [
            Some(self.policy.hold_s),
            rebind.has_deposit().then_some(self.policy.hold_deposit_s),
            replaces_lost.then_some(self.policy.hold_lost_s),
            has_young_device.then_some(self.policy.hold_new_device_s),
        ];
        holds.into_iter().flatten().fold(0, i64::max)
    }

    /// The rebind after a confirmation in this session: its youngest device includes this one.
    pub(super) fn seen_by_device(&self, rebind: &Rebind) -> Rebind {
        let device = self.session().map(|session| session.device.first_seen);
        Rebind {
            youngest_device: rebind.youngest_device.max(device),
            ..rebind.clone()
        }
    }

    /// Activates the card in one atomic write: the old card becomes retiring, the cooldown starts, and the history and the
    /// notifications are recorded.
    ///
    /// `waits`: it does not take effect before the owner's notification is handed over.
    pub(super) fn activate(&self, rebind: &Rebind, hold_s: i64, waits: bool) -> Transition {
        let before = &self.merchant.state;
        let old = before.active.clone();
        // Without an active card, `lost` has no effect.
        let lost = rebind.reason == Reason::Lost && old.is_some();
        let short = lost && self.lost_card_shortens_cooldown();
        let times = Activation {
            waits,
            ..self.schedule(hold_s, short)
        };
        let mut rebind = rebind.clone();
        rebind.old_card = old.as_ref().map(|old| old.card.clone());
        let old_id = rebind.old_card.as_ref().map(|old| old.card_id.clone());

        let event = Event::Activated(event::Activated {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            old_card_id: Nullable(old_id.clone()),
            reason: rebind.reason,
            effective_at: times.effective_at,
            cooldown_until: times.cooldown_until,
        });
        let stage = RebindState::Activated(ActivatedCard {
            times: times.clone(),
            test: TestTransfer::NotSent,
        });
        let mut state = self.changed_state();
        state
            .standby
            .retain(|standby| standby.bound.card.card_id != rebind.new_card.card_id);
        state.replaced.extend(old.map(|bound| {
            ReplacedCard {
                bound,
                removable_at: times
                    .effective_at
                    .plus_s(self.policy.retire_after_effective_s),
                // A lost card cannot receive payouts, so payouts during the hold are held.
                state: if lost {
                    Replaced::Lost
                } else {
                    Replaced::Usable
                },
            }
        }));
        state.active = Some(bound_card(&rebind));
        state.cooldown_until = Some(times.cooldown_until);
        state.cooldown_end_unannounced = true;
        if short {
            state.lost_at = Some(self.now);
        }
        let good_until = times
            .effective_at
            .plus_s(self.policy.freeze_after_effective_s);
        self.limit_standby_codes(&mut state);
        self.end_pending_settlement(&mut state);
        let good_until = (!waits).then_some(good_until);
        self.issue_freeze_code(&mut state, Some(&rebind), good_until, true);
        state.last_activation = Some(LastActivation {
            number: rebind.rebind_id.number(),
            rebind_id: rebind.rebind_id.clone(),
            times,
            old_card: old_id,
        });
        self.advance(state, &rebind, stage, event)
    }

    /// A lost card shortens the cooldown once per period.
    fn lost_card_shortens_cooldown(&self) -> bool {
        let last = self.merchant.state.lost_at;
        last.is_none_or(|at| at.age_s_at(self.now) >= self.policy.lost_every_s)
    }

    fn schedule(&self, hold_s: i64, short_cooldown: bool) -> Activation {
        let cooldown_s = if short_cooldown {
            self.policy.cooldown_lost_s
        } else {
            self.policy.cooldown_s
        };
        Activation {
            activated_at: self.now,
            effective_at: self.now.plus_s(hold_s),
            cooldown_until: self.now.plus_s(cooldown_s),
            waits: false,
        }
    }

    /// Adds a standby card. It is announced like an activation and waits at least as long as an activation's hold, so that
    /// it does not bypass the hold.
    fn add_standby(&self, rebind: &Rebind) -> Transition {
        let wait_s = self.policy.standby_wait_s.max(self.hold_s(rebind));
        let usable_at = self.now.plus_s(wait_s);
        let stage = RebindState::Standby(Standby {
            ready_at: self.now,
            usable_at,
            code: None,
            attempts: Attempts::default(),
        });
        let event = Event::StandbyReady(event::StandbyReady {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            usable_at,
        });
        let mut state = self.changed_state();
        state.standby.push(StandbyCard {
            bound: bound_card(rebind),
            usable_at,
            waits: true,
        });
        self.issue_freeze_code(&mut state, Some(rebind), None, false);
        self.advance(state, rebind, stage, event)
    }

    /// Makes the freeze code valid that this transition's event announces, and drops expired codes.
    pub(super) fn issue_freeze_code(
        &self,
        state: &mut MerchantState,
        rebind: Option<&Rebind>,
        good_until: Option<Timestamp>,
        activation: bool,
    ) {
        state.freeze_codes.retain(|code| code.works_at(self.now));
        state.freeze_codes.push(FreezeCode {
            seq: self.merchant.state.last_seq + 1,
            rebind: rebind.map(|rebind| rebind.rebind_id.number()),
            good_until,
            activation,
        });
    }

    /// Limits the codes of cards that are no longer standby cards: they work for some more days.
    pub(super) fn limit_standby_codes(&self, state: &mut MerchantState) {
        let standby = &state.standby;
        let is_standby = |number| {
            let mut cards = standby.iter().map(|standby| &standby.bound.card.card_id);
            cards.any(|card_id| Some(card_id.number()) == number)
        };
        for code in &mut state.freeze_codes {
            // The code of an activation that waits gets its end with the hand-over.
            if code.good_until.is_none() && !code.activation && !is_standby(code.rebind) {
                code.good_until = Some(self.now.plus_s(self.policy.freeze_after_effective_s));
            }
        }
    }

    /// Undoes the last activation: restores the old card as the active one, if there is one and it is usable. A freeze sets
    /// `even_if_lost`, because the attacker may have reported the card lost.
    pub(super) fn undo_activation(
        &self,
        state: &mut MerchantState,
        last: &LastActivation,
        even_if_lost: bool,
    ) {
        self.retire(state.active.take(), state);
        let old = last.old_card.as_ref().and_then(|id| {
            state
                .replaced
                .iter()
                .position(|replaced| replaced.bound.card.card_id == *id)
        });
        if let Some(index) = old
            && (even_if_lost || state.replaced[index].state == Replaced::Usable)
        {
            state.active = Some(state.replaced.remove(index).bound);
        }
        if !last.times.is_effective(self.now) {
            // The new card has received no payout, so its freeze code cannot hold any.
            for code in &mut state.freeze_codes {
                if code.rebind == Some(last.number) {
                    code.activation = false;
                    let until = self.now.plus_s(self.policy.freeze_after_effective_s);
                    code.good_until = code.good_until.or(Some(until));
                }
            }
        }
        if state.lost_at == Some(last.times.activated_at) {
            state.lost_at = None;
        }
        state.last_activation = None;
        state.cooldown_until = None;
        state.cooldown_end_unannounced = false;
    }

    /// Retires a card. It receives no more payouts, and the clean-up removes it after its last payout was sent.
    pub(super) fn retire(&self, bound: Option<BoundCard>, state: &mut MerchantState) {
        state.replaced.extend(bound.map(|bound| ReplacedCard {
            bound,
            removable_at: self.now,
            state: Replaced::Out,
        }));
    }
}

/// The rebind's card as a verified card.
fn bound_card(rebind: &Rebind) -> BoundCard {
    BoundCard {
        card: rebind.new_card.clone(),
        fingerprint: rebind.fingerprint.clone(),
        unsent: 0,
        sending: 0,
    }
}
