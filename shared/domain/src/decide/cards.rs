//! Removal of cards: unbinding by the merchant, and deletion when the retention of a replaced card is over.

use super::{Context, create, nothing_due, seconds_until, with_stage};
use crate::card::Card;
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::ids::CardId;
use crate::merchant::MerchantState;
use crate::next_action::NextAction;
use crate::rebind::Rebind;
use crate::rejection::Rejection;
use crate::transition::{FingerprintRule, Transition};

impl Context<'_> {
    /// Checks that the card belongs to this merchant: it is verified and on record, or pending in the open rebind.
    pub(super) fn check_card_known(&self, card_id: &CardId) -> Result<(), Rejection> {
        let state = &self.merchant.state;
        // A replaced card whose retention is over can still be unbound until the clean-up removes it.
        let gone = state
            .replaced(card_id)
            .is_some_and(|replaced| replaced.state.is_out() && replaced.is_gone(self.now));
        let is_pending = self.pending_card(card_id).is_some();
        if (state.bound(card_id).is_some() && !gone) || is_pending {
            Ok(())
        } else {
            Err(Rejection::new(ErrorCode::NotFound))
        }
    }

    fn pending_card(&self, card_id: &CardId) -> Option<&Rebind> {
        let open = self.merchant.open_rebind(self.now)?;
        (open.new_card.card_id == *card_id).then_some(open)
    }

    pub(super) fn unbind(&self, card_id: &CardId) -> Result<Transition, Rejection> {
        self.check_card_known(card_id)?;
        self.not_frozen()?;
        self.fresh_login()?;
        if let Some(open) = self.pending_card(card_id) {
            return Err(self.out_of_order(open));
        }
        create::check_quiet_period(self.merchant, self.policy, self.now)?;
        let state = &self.merchant.state;
        if let Some(replaced) = state.replaced(card_id) {
            let in_flight = Rejection::new(ErrorCode::PayoutInFlight).next(&[NextAction::Wait]);
            if self.merchant.state.is_needed(replaced) {
                return Err(in_flight);
            }
            if self.now < replaced.removable_at {
                return Err(in_flight.retry_after(seconds_until(replaced.removable_at, self.now)));
            }
            if replaced.bound.has_pending_payout() {
                return Err(in_flight);
            }
        } else {
            let is_active = state.standby(card_id).is_none();
            // Without an active card, the last standby card with a recent proof is the only usable card.
            let usable = state.standby.iter().filter(|standby| {
                standby.usable_at.age_s_at(self.now) <= self.policy.standby_proof_s
            });
            let is_last = state.active.is_none()
                && usable
                    .map(|standby| &standby.bound.card.card_id)
                    .eq([card_id]);
            if is_active || is_last {
                return Err(
                    Rejection::new(ErrorCode::LastCardCannotUnbind).next(&[NextAction::NewRebind])
                );
            }
        }
        let mut after = self.changed_state();
        let Some(bound) = detach(&mut after, card_id) else {
            return Err(Rejection::new(ErrorCode::NotFound));
        };
        let event = self.event(Event::CardUnbound(of_card(&bound.card)), None);
        self.retire(Some(bound), &mut after);
        self.limit_standby_codes(&mut after);
        Ok(Transition {
            state: Some(after),
            event: Some(event),
            ..Transition::none()
        })
    }

    /// Deletes the card's encrypted number, and removes the card from the holders of that number.
    pub(super) fn remove_card(&self, card_id: &CardId) -> Result<Transition, Rejection> {
        let replaced = self
            .merchant
            .state
            .replaced(card_id)
            .ok_or_else(nothing_due)?;
        if self.now < replaced.removable_at || !self.merchant.state.may_remove(replaced) {
            return Err(nothing_due());
        }
        let mut state = self.changed_state();
        let Some(bound) = detach(&mut state, card_id) else {
            return Err(nothing_due());
        };
        let with_number =
            self.merchant.rebind.as_ref().filter(|rebind| {
                rebind.new_card.card_id == *card_id && rebind.sealed_number.is_some()
            });
        let emptied = with_number.map(|rebind| Rebind {
            sealed_number: None,
            ..with_stage(&mut state, rebind, rebind.stage.clone())
        });
        Ok(Transition {
            state: Some(state),
            rebind: emptied,
            event: Some(self.event(Event::CardRemoved(of_card(&bound.card)), None)),
            fingerprint: Some(FingerprintRule::RemoveHolder {
                fingerprint: bound.fingerprint,
                card_id: card_id.clone(),
            }),
            forgotten_card: (card_id.number() == 0).then(|| card_id.clone()),
            ..Transition::none()
        })
    }
}

/// Removes a standby or a replaced card from the merchant state.
fn detach(state: &mut MerchantState, card_id: &CardId) -> Option<crate::merchant::BoundCard> {
    let standby = state
        .standby
        .iter()
        .position(|standby| standby.bound.card.card_id == *card_id);
    if let Some(index) = standby {
        return Some(state.standby.remove(index).bound);
    }
    let replaced = state
        .replaced
        .iter()
        .position(|replaced| replaced.bound.card.card_id == *card_id)?;
    Some(state.replaced.remove(replaced).bound)
}

/// The facts of an event about a card.
fn of_card(card: &Card) -> event::OfCard {
    event::OfCard { card: card.into() }
}
