//! Payouts. The write that creates a payout chooses its card.

use super::{Context, nothing_due};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Nullable, OfPayout};
use crate::ids::PayoutId;
use crate::merchant::MerchantState;
use crate::next_action::NextAction;
use crate::payout::{Payout, PayoutState, Releases};
use crate::policy::DAY_S;
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
            releases: Releases::default(),
        };
        let mut state = self.changed_state();
        count(&mut state, &payout, |counter| counter.saturating_add(1));
        self.payout_event(state, Event::PayoutCreated, PayoutChange::Created(payout))
    }

    /// Begins the payment, or repeats the release of the card number for one that has begun. From the first write on a
    /// freeze does not hold the payout, so the core system pays only after it.
    pub(super) fn payout_sending(
        &self,
        payout: &Payout,
        key_thumbprint: &str,
    ) -> Result<Transition, Rejection> {
        let begins = match payout.state {
            PayoutState::Sending => false,
            PayoutState::Unsent if !self.merchant.state.awaits_card(payout) => true,
            PayoutState::Unsent | PayoutState::Sent | PayoutState::Returned => {
                return Err(Rejection::new(ErrorCode::StepOutOfOrder));
            }
        };
        if begins && self.merchant.state.holds_payouts() {
            return Err(
                Rejection::new(ErrorCode::AccountFrozen).next(&[NextAction::ContactSupport])
            );
        }
        let mut releases = payout.releases.clone();
        let limit = self.policy.releases_per_day;
        if let Some(wait_s) = releases.lately.wait_s(limit, DAY_S, self.now) {
            return Err(Rejection::new(ErrorCode::ReleaseLimit).retry_after(wait_s));
        }
        releases.number = releases.number.saturating_add(1);
        releases.lately.add(DAY_S, self.now);
        let release = releases.number;
        let is = Payout {
            state: PayoutState::Sending,
            releases,
            ..payout.clone()
        };
        let kind = if begins { sending } else { repeated };
        Ok(self.changed_payout(payout, is, |about| kind(about, release, key_thumbprint)))
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
        let moved = Payout {
            state: payout_state,
            ..payout.clone()
        };
        self.changed_payout(payout, moved, kind)
    }

    fn changed_payout(
        &self,
        was: &Payout,
        is: Payout,
        kind: impl FnOnce(OfPayout) -> Event,
    ) -> Transition {
        let mut state = self.changed_state();
        count(&mut state, was, |counter| counter.saturating_sub(1));
        count(&mut state, &is, |counter| counter.saturating_add(1));
        let was = was.clone();
        self.payout_event(state, kind, PayoutChange::Changed { was, is })
    }

    fn payout_event(
        &self,
        state: MerchantState,
        kind: impl FnOnce(OfPayout) -> Event,
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

/// The event of a payment that begins.
fn sending(about: OfPayout, release: u64, key_thumbprint: &str) -> Event {
    Event::PayoutSending(event::PayoutSending {
        payout_id: about.payout_id,
        amount_fen: about.amount_fen,
        card_id: about.card_id,
        last4: about.last4,
        release: Some(release),
        key_thumbprint: Some(key_thumbprint.to_owned()),
    })
}

/// The event of a further release.
fn repeated(about: OfPayout, release: u64, key_thumbprint: &str) -> Event {
    Event::PayoutReleased(event::PayoutReleased {
        payout_id: about.payout_id,
        card_id: about.card_id,
        release,
        key_thumbprint: key_thumbprint.to_owned(),
    })
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
