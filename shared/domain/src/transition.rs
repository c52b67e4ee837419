//! Everything that one decision writes. The store turns one transition into one atomic write and writes nothing else.

use super::card::Card;
use super::contact::RecordChange;
use super::device::Logins;
use super::event_kind::EventKind;
use super::history::{self, ChainedEvent, Event};
use super::ids::CardId;
use super::merchant::{Merchant, MerchantState, PushTarget, Slot};
use super::notification::Notification;
use super::operator::Proposal;
use super::payout::Payout;
use super::pii::Phone;
use super::policy::Policy;
use super::push::PushPlatform;
use super::rebind::{Mac, OtpPurpose, Purpose, Rebind, Sealed};
use super::rejection::Rejection;
use super::time::Timestamp;

/// The result of a decision.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The merchant state after the change; `None` when only the rebind changes (a reserved attempt).
    pub state: Option<MerchantState>,
    /// The rebind after the change; `None` when no rebind changes.
    pub rebind: Option<Rebind>,
    /// The history event. Every transition that changes the merchant state has one, except bookkeeping of a bank call or of
    /// a wrong code.
    pub event: Option<NewEvent>,
    /// A second rebind that this transition also ends.
    pub also: Option<Rebind>,
    /// A payout that is created or changed.
    pub payout: Option<PayoutChange>,
    /// The acquirer's record after a change of it.
    pub record: Option<Box<RecordChange>>,
    /// What logins know about the account, after a change of it.
    pub logins: Option<Box<Logins>>,
    /// An operator's proposal that is made or decided.
    pub proposal: Option<Box<ProposalChange>>,
    /// A push device that is registered or removed.
    pub push: Option<PushChange>,
    /// A card from onboarding that is removed: its encrypted number is deleted.
    pub forgotten_card: Option<CardId>,
    /// The sessions that end.
    pub ends_sessions: EndedSessions,
    /// The slot of a session that begins. The merchant state after the change holds the session.
    pub opens_session: Option<Slot>,
    /// An OTP to send after the write. Its limits are conditions of the write.
    pub otp_delivery: Option<OtpDelivery>,
    /// The condition on the card number across all merchants.
    pub fingerprint: Option<FingerprintRule>,
    /// During a rotation: number and person of a claim under the other version of their key. The write conditions both.
    pub other_version: Option<OtherVersion>,
    /// The result for the caller.
    pub outcome: Outcome,
}

/// The sessions that a transition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedSessions {
    /// None.
    None,
    /// All except the session of the request.
    Others,
    /// All.
    All,
}

/// The result for the caller once the transition is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done. The reply shows the new state.
    Done,
    /// The first write of a two-step command. Next, compare the OTP or call the bank.
    Proceed,
    /// Nothing is written. Query the bank for the deposit, then decide the attempt again.
    PollDeposit,
    /// A refusal that changes something: it was counted, or it ended the rebind.
    Refused(Box<Rejection>),
}

/// An OTP to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtpDelivery {
    /// The recipient's phone.
    pub phone: Phone,
    /// Keyed hash of the phone. Limits per phone are counted under it.
    pub phone_hash: Mac,
    /// The purpose of the OTP. The minimum interval between two OTPs is per phone and purpose.
    pub purpose: OtpPurpose,
    /// The new card, which the text names.
    pub card: Card,
    /// The purpose of the card, which the text states too.
    pub of: Purpose,
}

/// The change of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayoutChange {
    /// A new payout.
    Created(Payout),
    /// The payout gets its card, is sent or is returned.
    Changed {
        /// The payout as read, which is the condition of the write.
        was: Payout,
        /// The payout after the change.
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

/// The change of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalChange {
    /// A new proposal.
    Made(Proposal),
    /// The proposal in its new state. The condition of the write is that it is still open.
    Decided(Proposal),
}

/// The change of the push devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushChange {
    /// The removed device. It receives notifications for some more days.
    pub removed: Option<PushTarget>,
    /// The new device.
    pub added: Option<NewPushTarget>,
}

/// A device to register for push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPushTarget {
    /// The id and the tag of its token.
    pub target: PushTarget,
    /// The service that reaches the device.
    pub platform: PushPlatform,
    /// The device's token, encrypted under the merchant's history key after the decision.
    pub sealed_token: Option<Sealed>,
}

/// A condition on a card number across all merchants, checked by the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FingerprintRule {
    /// The number is not verified for another person.
    Free {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// Keyed hash of the merchant's ID number, which identifies the person.
        person: Mac,
    },
    /// The number is not verified for another person, and this write adds the new card to its holders.
    AddHolder {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// Keyed hash of the merchant's ID number.
        person: Mac,
    },
    /// This card is no longer a holder of its number. The number is free once no card holds it.
    RemoveHolder {
        /// Keyed hash of the card number.
        fingerprint: Mac,
        /// The card.
        card_id: CardId,
    },
}

impl FingerprintRule {
    /// The number and the person of a claim; `None` for a removal.
    #[must_use]
    pub const fn claim(&self) -> Option<(&Mac, &Mac)> {
        match self {
            Self::Free {
                fingerprint,
                person,
            }
            | Self::AddHolder {
                fingerprint,
                person,
            } => Some((fingerprint, person)),
            Self::RemoveHolder { .. } => None,
        }
    }

    /// The same claim for another hash of the person. A removal stays as it is.
    #[must_use]
    pub fn of_person(self, person: Mac) -> Self {
        match self {
            Self::Free { fingerprint, .. } => Self::Free {
                fingerprint,
                person,
            },
            Self::AddHolder { fingerprint, .. } => Self::AddHolder {
                fingerprint,
                person,
            },
            removal @ Self::RemoveHolder { .. } => removal,
        }
    }
}

/// A card number and a person under the other version of their key, during a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// Keyed hash of the card number.
    pub fingerprint: Mac,
    /// Keyed hash of the ID document.
    pub person: Mac,
}

/// A history event before it is chained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The event and its facts.
    pub event: Event,
    /// The time of the event.
    pub at: Timestamp,
    /// The messages to send.
    pub notifications: Vec<Notification>,
}

impl NewEvent {
    /// The kind of the event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.event.kind()
    }
}

impl Transition {
    /// A transition of `merchant` that changes nothing and answers [`Outcome::Done`].
    #[must_use]
    pub const fn none() -> Self {
        Self {
            state: None,
            rebind: None,
            event: None,
            also: None,
            payout: None,
            record: None,
            logins: None,
            proposal: None,
            push: None,
            forgotten_card: None,
            ends_sessions: EndedSessions::None,
            opens_session: None,
            otp_delivery: None,
            fingerprint: None,
            other_version: None,
            outcome: Outcome::Done,
        }
    }

    /// True if there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.state.is_none()
            && self.rebind.is_none()
            && self.event.is_none()
            && self.also.is_none()
            && self.payout.is_none()
            && self.record.is_none()
            && self.proposal.is_none()
            && self.push.is_none()
            && self.forgotten_card.is_none()
            && self.otp_delivery.is_none()
            && self.fingerprint.is_none()
            && self.other_version.is_none()
            && matches!(self.ends_sessions, EndedSessions::None)
            && self.opens_session.is_none()
    }

    /// Takes the event and appends it to the merchant's chain. The merchant state then records the new end of the
    /// chain.
    #[must_use]
    pub fn chained(
        &mut self,
        before: &Merchant,
        personal: Option<Sealed>,
        policy: &Policy,
    ) -> Option<ChainedEvent> {
        let event = self.event.take()?;
        let state = self.state.as_mut()?;
        Some(history::chain(
            &before.profile.merchant_id,
            state,
            event,
            personal,
            policy,
        ))
    }

    /// The merchant after this transition is applied to `before`.
    #[must_use]
    pub fn applied_to(&self, before: &Merchant) -> Merchant {
        let written = |rebind: &Option<Rebind>| {
            let mut rebind = rebind.clone()?;
            rebind.revision = next_revision(before, &rebind);
            Some(rebind)
        };
        Merchant {
            state: self.state.clone().unwrap_or_else(|| before.state.clone()),
            profile: match &self.record {
                Some(record) => record.profile.clone(),
                None => before.profile.clone(),
            },
            rebind: written(&self.rebind).or_else(|| before.rebind.clone()),
            latest: written(&self.also).or_else(|| before.latest.clone()),
        }
    }
}

/// The rebind of `before` with this id; `None` for a new rebind.
#[must_use]
pub fn as_it_was<'m>(before: &'m Merchant, rebind: &Rebind) -> Option<&'m Rebind> {
    before
        .numbered(rebind.rebind_id.number())
        .filter(|old| old.rebind_id == rebind.rebind_id)
}

/// The revision of a rebind after it replaces its version in `before`.
#[must_use]
pub fn next_revision(before: &Merchant, rebind: &Rebind) -> u64 {
    as_it_was(before, rebind).map_or(1, |old| old.revision + 1)
}
