//! The events that other systems receive. [`integration`] alone decides which kinds of history events are published, and
//! which of their facts: ids and the resulting state, never a value about a person.

use crate::card::CardStatus;
use crate::history::event::{Event, EventCard, Nullable};
use crate::ids::{CardId, PayoutId, RebindId};
use crate::payout::PayoutState;
use crate::rebind::StateName;
use std::fmt;

/// The public facts of an event. The ids are those of `GET /v1/history`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integration<'e> {
    /// The state after the event, if the kind determines it.
    pub state: Option<PublicState>,
    /// The rebind.
    pub rebind_id: Option<&'e RebindId>,
    /// The card: of a rebind the new one, of a payout the one that it goes to.
    pub card_id: Option<&'e CardId>,
    /// The payout.
    pub payout_id: Option<&'e PayoutId>,
}

/// The state of what an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicState {
    /// Of the rebind.
    Rebind(StateName),
    /// Of the card.
    Card(CardStatus),
    /// Of the payout.
    Payout(PayoutState),
    /// Of the account: frozen until an operator unfreezes it.
    Frozen,
    /// Of the account: closed for good.
    Closed,
    /// Of the merchant: erased.
    Erased,
}

impl PublicState {
    /// The word of the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rebind(state) => state.as_str(),
            Self::Card(status) => status.as_str(),
            Self::Payout(state) => state.as_str(),
            Self::Frozen => "frozen",
            Self::Closed => "closed",
            Self::Erased => "erased",
        }
    }
}

impl fmt::Display for PublicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'e> Integration<'e> {
    const fn rebind(
        id: &'e RebindId,
        state: Option<StateName>,
        card: Option<&'e EventCard>,
    ) -> Self {
        Self {
            state: match state {
                Some(state) => Some(PublicState::Rebind(state)),
                None => None,
            },
            rebind_id: Some(id),
            card_id: match card {
                Some(card) => Some(&card.card_id),
                None => None,
            },
            payout_id: None,
        }
    }

    fn payout(payout: &'e PayoutId, card: &'e Nullable<CardId>, state: PayoutState) -> Self {
        Self {
            state: Some(PublicState::Payout(state)),
            card_id: card.0.as_ref(),
            payout_id: Some(payout),
            ..Self::default()
        }
    }
}

/// The public facts of an event; `None` if it is not published.
#[must_use]
pub fn integration(event: &Event) -> Option<Integration<'_>> {
    let rebind = |id, state, card| Some(Integration::rebind(id, Some(state), card));
    let payout = |id, card, state| Some(Integration::payout(id, card, state));
    match event {
        Event::RebindRequested(event) => {
            let card = Some(&event.card);
            rebind(&event.rebind_id, StateName::IdentityPending, card)
        }
        Event::AgreementSigned(event) => rebind(&event.rebind_id, StateName::CardPending, None),
        Event::Activated(event) => {
            rebind(&event.rebind_id, StateName::Activated, Some(&event.card))
        }
        Event::StandbyReady(event) => {
            rebind(&event.rebind_id, StateName::Completed, Some(&event.card))
        }
        Event::Completed(event) => rebind(&event.rebind_id, StateName::Completed, None),
        Event::Rejected(event) => rebind(&event.rebind_id, StateName::Rejected, Some(&event.card)),
        Event::MicroDepositReturned(event) => {
            rebind(&event.rebind_id, StateName::Rejected, Some(&event.card))
        }
        Event::Expired(event) => rebind(&event.rebind_id, StateName::Expired, None),
        Event::Cancelled(event) => rebind(&event.rebind_id, StateName::Cancelled, None),
        Event::Reverted(event) => rebind(&event.rebind_id, StateName::Reverted, Some(&event.card)),
        // A confirmation may only refresh a proof, and a test transfer may not change the rebind: the kind gives no state.
        Event::IdentityConfirmed(event)
        | Event::TestTransferSucceeded(event)
        | Event::TestTransferFailed(event) => {
            Some(Integration::rebind(&event.rebind_id, None, None))
        }
        Event::Frozen(event) => Some(Integration {
            state: Some(PublicState::Frozen),
            rebind_id: event.rebind_id.as_ref(),
            ..Integration::default()
        }),
        Event::Closed(_) => Some(Integration {
            state: Some(PublicState::Closed),
            ..Integration::default()
        }),
        Event::Erased(_) => Some(Integration {
            state: Some(PublicState::Erased),
            ..Integration::default()
        }),
        Event::Unfrozen(event) => Some(Integration {
            card_id: event.card_id.0.as_ref(),
            ..Integration::default()
        }),
        // What was changed, by whom and why stays in the history. The open rebind that it ended is public.
        Event::SecurityChanged(event) => match &event.rebind_id.0 {
            Some(ended) => rebind(ended, StateName::Cancelled, None),
            None => Some(Integration::default()),
        },
        Event::MerchantCreated(event) => Some(Integration {
            card_id: event.card_id.0.as_ref(),
            ..Integration::default()
        }),
        Event::CardUnbound(event) => Some(Integration {
            card_id: Some(&event.card.card_id),
            ..Integration::default()
        }),
        Event::CardRemoved(event) => Some(Integration {
            state: Some(PublicState::Card(CardStatus::Removed)),
            card_id: Some(&event.card.card_id),
            ..Integration::default()
        }),
        Event::PayoutCreated(event) | Event::PayoutAssigned(event) => {
            payout(&event.payout_id, &event.card_id, PayoutState::Unsent)
        }
        Event::PayoutSending(event) => {
            payout(&event.payout_id, &event.card_id, PayoutState::Sending)
        }
        Event::PayoutSent(event) => payout(&event.payout_id, &event.card_id, PayoutState::Sent),
        Event::PayoutReturned(event) => {
            payout(&event.payout_id, &event.card_id, PayoutState::Returned)
        }
        // The settings are the acquirer's to read; the events show that they changed.
        Event::CooldownEnded(_)
        | Event::TierChanged(_)
        | Event::SettlementChanged(_)
        | Event::SettlementApplied(_)
        | Event::SettlementDropped(_) => Some(Integration::default()),
        // A code is on its way: a phisher could use the moment.
        Event::IdentityMatched(_)
        | Event::CodeSent(_)
        | Event::CardCheckAnswered(_)
        | Event::MicroDepositSent(_)
        // Guesses show an attacker how close the limits are.
        | Event::IdentityMismatched(_)
        | Event::CodeWrong(_)
        | Event::CodeGuessed(_)
        | Event::FreezeCodeGuessed(_)
        // Bookkeeping inside a state.
        | Event::ChangeNotified(_)
        | Event::TestTransferStarted(_)
        | Event::PayoutReleased(_)
        // The merchant's devices, and a date of the person's document.
        | Event::DeviceAdded(_)
        | Event::ChangeProposed(_)
        | Event::SessionsEnded(_)
        | Event::LoginsCleared(_)
        | Event::Unmasked(_)
        | Event::PushTargetChanged(_)
        | Event::PushTargetRemoved(_)
        | Event::PushTargetRefreshed(_)
        | Event::DocumentRenewed(_) => None,
    }
}

#[cfg(test)]
#[path = "integration_tests.rs"]
mod tests;
