//! Payouts. The write that creates a payout chooses its card.

use super::{Context, nothing_due};
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
        count(&mut state, &payout, |counter| counter.saturating_add(1));
        self.payout_event(state, Event::PayoutCreated, PayoutChange::Created(payout))
    }

    /// Begins the payment. From this write on a freeze does not hold the payout, so the core system pays only after it.
    pub(super) fn payout_sending(&self, payout: &Payout) -> Result<Transition, Rejection> {
        match payout.state {
            PayoutState::Sending => return Ok(Transition::none()),
            PayoutState::Unsent if !self.merchant.state.awaits_card(payout) => {}
            PayoutState::Unsent | PayoutState::Sent | PayoutState::Returned => {
                return Err(Rejection::new(ErrorCode::StepOutOfOrder));
            }
        }
        if self.merchant.state.holds_payouts() {
            return Err(
                Rejection::new(ErrorCode::AccountFrozen).next(&[NextAction::ContactSupport])
            );
        }
        Ok(self.move_payout(payout, PayoutState::Sending, Event::PayoutSending))
    }

    /// Records a fact, so a freeze does not refuse it.
    pub(super) fn payout_sent(&self, payout: &Payout) -> Result<Transition, Rejection> {
        match payout.state {
            PayoutState::Sent => Ok(Transition::none()),
            PayoutState::Sending => {
                Ok(self.move_payout(payout, PayoutState::Sent, Event::PayoutSent))
            }
            PayoutState::Unsent | PayoutState::Returned => {
                Err(Rejection::new(ErrorCode::StepOutOfOrder))
            }
        }
    }

    /// Ends the payout, whether or not it was sent. To pay again, the acquirer's core creates a new payout, which gets the
    /// card that is valid then.
    pub(super) fn payout_returned(&self, payout: &Payout) -> Result<Transition, Rejection> {
        if payout.state == PayoutState::Returned {
            return Ok(Transition::none());
        }
        Ok(self.move_payout(payout, PayoutState::Returned, Event::PayoutReturned))
    }

    /// Gives a waiting payout its card. After an operator's decision against a card, this changes the card of the payouts
    /// that were not paid yet.
    pub(super) fn assign_payout(&self, payout: &Payout) -> Result<Transition, Rejection> {
        let state = &self.merchant.state;
        let waits = state.awaits_card(payout);
        let Some(card) = state.paying_card(self.now).filter(|_| waits) else {
            return Err(nothing_due());
        };
        let assigned = Payout {
            card: Some(card.clone()),
            ..payout.clone()
        };
        let mut after = self.changed_state();
        count(&mut after, payout, |counter| counter.saturating_sub(1));
        count(&mut after, &assigned, |counter| counter.saturating_add(1));
        Ok(self.payout_event(
            after,
            Event::PayoutAssigned,
            PayoutChange::Changed {
                was: payout.clone(),
                is: assigned,
            },
        ))
    }

    fn move_payout(
        &self,
        payout: &Payout,
        payout_state: PayoutState,
        kind: fn(OfPayout) -> Event,
    ) -> Transition {
        let mut state = self.changed_state();
        let moved = Payout {
            state: payout_state,
            ..payout.clone()
        };
        count(&mut state, payout, |counter| counter.saturating_sub(1));
        count(&mut state, &moved, |counter| counter.saturating_add(1));
        let change = PayoutChange::Changed {
            was: payout.clone(),
            is: moved,
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

/// Changes the counter of pending payouts in which this payout is counted.
fn count(state: &mut MerchantState, payout: &Payout, change: fn(u32) -> u32) {
    let bound = payout.card.as_ref().map(|card| &card.card_id);
    let counter = match (payout.state, bound) {
        (PayoutState::Unsent, None) => Some(&mut state.held_payouts),
        (PayoutState::Unsent, Some(card)) => state.bound_mut(card).map(|bound| &mut bound.unsent),
        (PayoutState::Sending, Some(card)) => state.bound_mut(card).map(|bound| &mut bound.sending),
        (PayoutState::Sending, None) | (PayoutState::Sent | PayoutState::Returned, _) => None,
    };
    if let Some(counter) = counter {
        *counter = change(*counter);
    }
}
