//! What one decision changes: everything that is to be written, in one value. The store turns one transition into one
//! atomic write; nothing is written that is not in here.

use super::card::Card;
use super::event_kind::EventKind;
use super::history::{self, ChainedEvent, Event};
use super::ids::CardId;
use super::merchant::{Merchant, MerchantState, PushTarget};
use super::notification::Notification;
use super::payout::Payout;
use super::pii::Phone;
use super::policy::Policy;
use super::push::PushPlatform;
use super::rebind::{Mac, OtpPurpose, Purpose, Rebind, Sealed};
use super::rejection::Rejection;
use super::settlement::Settlement;
use super::time::Timestamp;

/// The outcome of a decision.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The head after it; `None` when only the rebind changes (a try that is counted).
    pub head: Option<MerchantState>,
    /// The rebind after it; `None` when none changes.
    pub rebind: Option<Rebind>,
    /// The history event; every transition that changes the head has one, but for bookkeeping of a bank call.
    pub event: Option<NewEvent>,
    /// Another rebind that ends along with everything else.
    pub also: Option<Rebind>,
    /// A payout that is created, or changed.
    pub payout: Option<PayoutChange>,
    /// Settlement settings that replace the merchant's.
    pub settlement: Option<Settlement>,
    /// A device that is told by push from now on, or no longer.
    pub push: Option<PushChange>,
    /// A card that came with the merchant and is off the record now: its encrypted number goes.
    pub forgotten_card: Option<CardId>,
    /// All logins end.
    pub ends_sessions: bool,
    /// A code that is sent after the write: its limits are conditions of the write.
    pub otp_delivery: Option<OtpDelivery>,
    /// What must hold of the card's number across merchants.
    pub fingerprint: Option<FingerprintRule>,
    /// What the caller is told.
    pub outcome: Decision,
}

/// What the caller is told once the transition is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is done; the reply shows the new state.
    Done,
    /// The first write of a step in two: compare the code, ask the bank.
    Proceed,
    /// Nothing is written yet: query the bank for the deposit, then decide the attempt again.
    PollDeposit,
    /// It was refused, and the refusal changed something (it was counted, or it ended the rebind).
    Refused(Box<Rejection>),
}

/// A code on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtpDelivery {
    /// To which phone.
    pub phone: Phone,
    /// Keyed hash of the phone, under which its OTPs are counted.
    pub phone_hash: Mac,
    /// For what; the gap between two codes is per phone and purpose.
    pub purpose: OtpPurpose,
    /// The new card, which the text names.
    pub card: Card,
    /// What the card is for, which the text says too.
    pub of: Purpose,
}

/// What becomes of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayoutChange {
    /// It is new.
    Created(Payout),
    /// It has its card now, or it is over.
    Changed {
        /// As it was read.
        was: Payout,
        /// As it is from now on.
        is: Payout,
    },
}

impl PayoutChange {
    /// The payout as it is after the change.
    #[must_use]
    pub const fn payout(&self) -> &Payout {
        match self {
            Self::Created(payout) | Self::Changed { is: payout, .. } => payout,
        }
    }
}

/// What becomes of the devices that are told by push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushChange {
    /// The one that was registered under this id: told for some days more.
    pub removed: Option<PushTarget>,
    /// The one that is from now on.
    pub added: Option<NewPushTarget>,
}

/// A device to be told by push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPushTarget {
    /// Id and tag of its token.
    pub target: PushTarget,
    /// Which service reaches it.
    pub platform: PushPlatform,
    /// Its token, encrypted under the merchant's history key.
    pub sealed_token: Sealed,
}

/// What must hold of a card number across all merchants when the transition is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FingerprintRule {
    /// It is not verified for another person.
    Free {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// Keyed hash of the merchant's ID number: who the person is.
        person: Mac,
    },
    /// The same, and from now on it is verified for this one.
    Claim {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// Keyed hash of the merchant's ID number.
        person: Mac,
    },
    /// This card of the merchant is off the record: once no other holds the number, it is free.
    Release {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// The card.
        card_id: CardId,
    },
}

/// A history event before it is chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// The messages to send.
    pub notices: Vec<Notification>,
}

impl NewEvent {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.event.kind()
    }
}

impl Transition {
    /// A transition of `merchant` that changes nothing yet and answers [`Decision::Done`].
    #[must_use]
    pub const fn none() -> Self {
        Self {
            head: None,
            rebind: None,
            event: None,
            also: None,
            payout: None,
            settlement: None,
            push: None,
            forgotten_card: None,
            ends_sessions: false,
            otp_delivery: None,
            fingerprint: None,
            outcome: Decision::Done,
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
            && self.rebind.is_none()
            && self.event.is_none()
            && self.also.is_none()
            && self.payout.is_none()
            && self.settlement.is_none()
            && self.push.is_none()
            && self.forgotten_card.is_none()
            && self.otp_delivery.is_none()
            && self.fingerprint.is_none()
            && !self.ends_sessions
    }

    /// Takes the event out and puts it at the end of the merchant's chain, which the head then ends with.
    #[must_use]
    pub fn chained(
        &mut self,
        before: &Merchant,
        personal: Option<Sealed>,
        policy: &Policy,
    ) -> Option<ChainedEvent> {
        let event = self.event.take()?;
        let head = self.head.as_mut()?;
        Some(history::chain(
            &before.profile.merchant_id,
            head,
            event,
            personal,
            policy,
        ))
    }

    /// The merchant after this transition was written to `before`.
    #[must_use]
    pub fn applied_to(&self, before: &Merchant) -> Merchant {
        let written = |rebind: &Option<Rebind>| {
            let mut rebind = rebind.clone()?;
            rebind.revision = next_revision(before, &rebind);
            Some(rebind)
        };
        let mut after = Merchant {
            head: self.head.clone().unwrap_or_else(|| before.head.clone()),
            profile: before.profile.clone(),
            rebind: written(&self.rebind).or_else(|| before.rebind.clone()),
            latest: written(&self.also).or_else(|| before.latest.clone()),
        };
        if let Some(settlement) = &self.settlement {
            after.profile.settlement = settlement.clone();
        }
        after
    }
}

/// A rebind of `before` with this id, as it was; `None` for one that is new.
#[must_use]
pub fn as_it_was<'m>(before: &'m Merchant, rebind: &Rebind) -> Option<&'m Rebind> {
    before
        .numbered(rebind.rebind_id.number())
        .filter(|old| old.rebind_id == rebind.rebind_id)
}

/// The revision that a rebind has once it is written over what it was in `before`.
#[must_use]
pub fn next_revision(before: &Merchant, rebind: &Rebind) -> u64 {
    as_it_was(before, rebind).map_or(1, |old| old.revision + 1)
}
