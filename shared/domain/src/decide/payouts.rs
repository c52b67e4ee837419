//! Payouts. The write that creates a payout chooses its card, which never changes.

use super::{Context, nothing_due};
use crate::card::Card;
use crate::error_code::ErrorCode;
use crate::history::event::{Event, Nullable, OfPayout};
use crate::ids::PayoutId;
use crate::merchant::MerchantState;
use crate::next_action::NextAction;
use crate::payout::{Payout, PayoutState};
use crate::rejection::Rejection;
use crate::transition::{PayoutChange, Transition};

impl Context<'_> {
    /// Creates a payout. Never refuses it: without a usable card the payout is held.
    pub(super) fn create_payout(&self, payout_id: &PayoutId, amount_fen: u64) -> Transition {
        let payout = Payout {
            payout_id: payout_id.clone(),
            amount_fen,
            created_at: self.now,
            card: self.merchant.state.paying_card(self.now).cloned(),
            state: PayoutState::Unsent,
        };
        let mut state = self.changed_state();
        match &payout.card {
            Some(card) => count_unsent(&mut state, card),
            None => state.held_payouts += 1,
        }
        self.payout_event(state, Event::PayoutCreated, PayoutChange::Created(payout))
    }

    pub(super) fn payout_sent(&self, payout: &Payout) -> Result<Transition, Rejection> {
        match (payout.state, &payout.card) {
            (PayoutState::Sent, _) => return Ok(Transition::none()),
            (PayoutState::Unsent, Some(_)) => {}
            // Returned, or held without a card.
            _ => return Err(Rejection::new(ErrorCode::StepOutOfOrder)),
        }
        if self.merchant.state.holds_payouts() {
            return Err(
                Rejection::new(ErrorCode::AccountFrozen).next(&[NextAction::ContactSupport])
            );
        }
        Ok(self.end_payout(payout, PayoutState::Sent, Event::PayoutSent))
    }

    /// Ends the payout, whether or not it was sent. To pay again, the acquirer's core creates a new payout, which gets the
    /// card that is valid then.
    pub(super) fn payout_returned(&self, payout: &Payout) -> Result<Transition, Rejection> {
        if payout.state == PayoutState::Returned {
            return Ok(Transition::none());
        }
        Ok(self.end_payout(payout, PayoutState::Returned, Event::PayoutReturned))
    }

    pub(super) fn assign_payout(&self, payout: &Payout) -> Result<Transition, Rejection> {
        let state = &self.merchant.state;
        let waits = payout.state == PayoutState::Unsent && payout.card.is_none();
        let Some(card) = state.paying_card(self.now).filter(|_| waits) else {
            return Err(nothing_due());
        };
        let assigned = Payout {
            card: Some(card.clone()),
            ..payout.clone()
        };
        let mut after = self.changed_state();
        after.held_payouts = after.held_payouts.saturating_sub(1);
        count_unsent(&mut after, card);
        Ok(self.payout_event(
            after,
            Event::PayoutAssigned,
            PayoutChange::Changed {
                was: payout.clone(),
                is: assigned,
            },
        ))
    }

    fn end_payout(
        &self,
        payout: &Payout,
        payout_state: PayoutState,
        kind: fn(OfPayout) -> Event,
    ) -> Transition {
        let mut state = self.changed_state();
        if payout.state == PayoutState::Unsent {
            match &payout.card {
                None => state.held_payouts = state.held_payouts.saturating_sub(1),
                Some(card) => {
                    if let Some(bound) = state.bound_mut(&card.card_id) {
                        bound.unsent = bound.unsent.saturating_sub(1);
                    }
                }
            }
        }
        let ended = Payout {
            state: payout_state,
            ..payout.clone()
        };
        let change = PayoutChange::Changed {
            was: payout.clone(),
            is: ended,
        };
        self.payout_event(state, kind, change)
    }

    fn payout_event(
        &self,
        state: MerchantState,
        kind: fn(OfPayout) -> Event,
        change: PayoutChange,
    ) -> Transition {
        let payout = change.payout();
        let card = payout.card.as_ref();
        let event = kind(OfPayout {
            payout_id: payout.payout_id.clone(),
            amount_fen: payout.amount_fen,
            card_id: Nullable(card.map(|card| card.card_id.clone())),
            last4: Nullable(card.map(|card| card.last4.clone())),
        });
        Transition {
            state: Some(state),
            event: Some(self.event(event, None)),
            payout: Some(change),
            ..Transition::none()
        }
    }
}

fn count_unsent(state: &mut MerchantState, card: &Card) {
    if let Some(bound) = state.bound_mut(&card.card_id) {
        bound.unsent += 1;
    }
}
