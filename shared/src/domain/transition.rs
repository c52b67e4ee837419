//! What one decision changes: everything that is to be written, in one value. The store turns one transition into one
//! atomic write; nothing is written that is not in here.

use super::card::Card;
use super::event_kind::EventKind;
use super::history::{self, Event};
use super::merchant::{Head, Merchant};
use super::policy::Policy;
use super::rebind::{CodePurpose, Mac, Rebind, Sealed};
use super::rejection::Rejection;
use super::time::Timestamp;
use serde_json::{Map, Value};

/// The outcome of a decision.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The head after it; `None` when only the rebind changes (a try that is counted).
    pub head: Option<Head>,
    /// The rebind after it; `None` when none changes.
    pub rebind: Option<Rebind>,
    /// The history event; every transition that changes the head has one, but for bookkeeping of a bank call.
    pub event: Option<NewEvent>,
    /// A code that is sent after the write: its limits are conditions of the write.
    pub code_send: Option<CodeSend>,
    /// What must hold of the card's number across merchants.
    pub fingerprint: Option<FingerprintRule>,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// What the caller is told once the transition is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; the reply shows the new state.
    Done,
    /// The first write of a step in two: compare the code, ask the bank.
    Proceed,
    /// It was refused, and the refusal changed something (it was counted, or it ended the rebind).
    Refused(Box<Rejection>),
}

/// A code on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSend {
    /// To which phone, E.164.
    pub phone: String,
    /// For what; the gap between two codes is per phone and purpose.
    pub purpose: CodePurpose,
    /// The new card, which the text names.
    pub card: Card,
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
}

/// A history event before it is chained.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// Facts without personal data: ids, masked values, times, limits.
    pub data: Map<String, Value>,
    /// Who is told.
    pub notices: Vec<Notice>,
}

/// One message that an event causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To the old contact, or to the phone of the new card.
    pub to: Recipient,
    /// The phone, E.164.
    pub phone: String,
}

/// Whom a notice reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The phone on file. Only this one is told the freeze code.
    OnFile,
    /// The phone that the bank has for the new card.
    Reserved,
}

impl Transition {
    /// A transition of `merchant` that changes nothing yet and answers [`Outcome::Done`].
    #[must_use]
    pub const fn none() -> Self {
        Self {
            head: None,
            rebind: None,
            event: None,
            code_send: None,
            fingerprint: None,
            outcome: Outcome::Done,
        }
    }

    /// Takes the event out and puts it at the end of the merchant's chain, which the head then ends with.
    #[must_use]
    pub fn chained(
        &mut self,
        before: &Merchant,
        personal: Option<Sealed>,
        policy: &Policy,
    ) -> Option<Event> {
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
        let written = self.rebind.clone().map(|mut rebind| {
            rebind.revision = self.next_revision(before);
            rebind
        });
        Merchant {
            head: self.head.clone().unwrap_or_else(|| before.head.clone()),
            profile: before.profile.clone(),
            rebind: written.or_else(|| before.rebind.clone()),
        }
    }

    /// The revision that the rebind has once this is written to `before`.
    #[must_use]
    pub fn next_revision(&self, before: &Merchant) -> u64 {
        self.rebind_before(before).map_or(1, |old| old.revision + 1)
    }

    /// The rebind that this transition changes, as it was; `None` when it creates one.
    #[must_use]
    pub fn rebind_before<'m>(&self, before: &'m Merchant) -> Option<&'m Rebind> {
        let changed = self.rebind.as_ref()?;
        before
            .rebind
            .as_ref()
            .filter(|old| old.rebind_id == changed.rebind_id)
    }
}
