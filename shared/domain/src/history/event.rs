//! The events of a merchant's account: one variant for each [`EventKind`], with typed facts.
//!
//! Only this module knows the JSON of an event's facts, in both directions. That JSON is a contract: it is stored,
//! shown by `GET /v1/history` and hashed. Facts contain no personal data, only ids, masked values, times and limits.
//!
//! To add an event: add its word to [`EventKind`], then follow the compiler through this file, `crate::notification` and the
//! command that decides it.

use super::fact::Member;
use crate::decide::NotifiedBy;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::ids::{CardId, RebindId};
use crate::lang::Lang;
use crate::push::PushPlatform;
use crate::rebind::{OtpPurpose, Purpose, Reason};
use crate::settlement::Settlement;
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// The facts of an event as a JSON object.
pub(super) type Data = Map<String, Value>;

/// Stored facts that do not match their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` of a {kind} event is missing or malformed")]
pub struct UnreadableEvent {
    /// The kind of the event.
    pub kind: EventKind,
    /// The missing or malformed member.
    pub member: &'static str,
}

/// An event with its facts in two forms: typed, and as the JSON object that is stored, shown and hashed.
///
/// The JSON is kept as read, so a member that this release does not know is still hashed and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    event: Event,
    data: Data,
}

impl Recorded {
    /// A new event.
    #[must_use]
    pub fn new(event: Event) -> Self {
        let data = event.data();
        Self { event, data }
    }

    /// A stored event.
    ///
    /// # Errors
    /// When `data` lacks a fact of this kind or has a malformed one.
    pub fn read(kind: EventKind, data: Map<String, Value>) -> Result<Self, UnreadableEvent> {
        let event = Event::read(kind, &data)?;
        Ok(Self { event, data })
    }

    /// The typed facts.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// The facts as JSON.
    #[must_use]
    pub const fn data(&self) -> &Map<String, Value> {
        &self.data
    }
}

/// Declares the events from one list: the enum, its kinds and both directions of the JSON.
macro_rules! events {
    ($($(#[$doc:meta])* $kind:ident($facts:ty),)+) => {
        /// An event with its facts. [`EventKind`] describes the kinds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "EventKind describes each kind")]
        pub enum Event {
            $($(#[$doc])* $kind($facts),)+
        }

        impl Event {
            /// The kind of the event.
            #[must_use]
            pub const fn kind(&self) -> EventKind {
                match self {
                    $(Self::$kind(_) => EventKind::$kind,)+
                }
            }

            /// The facts as JSON.
            #[must_use]
            pub fn data(&self) -> Map<String, Value> {
                let mut data = Data::new();
                match self {
                    $(Self::$kind(facts) => facts.write(&mut data),)+
                }
                data
            }

            /// Reads stored facts. Ignores unknown members.
            ///
            /// # Errors
            /// When `data` lacks a fact of this kind or has a malformed one.
            pub fn read(kind: EventKind, data: &Map<String, Value>) -> Result<Self, UnreadableEvent> {
                let event = match kind {
                    $(EventKind::$kind => <$facts>::read(data).map(Self::$kind),)+
                };
                event.map_err(|member| UnreadableEvent { kind, member })
            }
        }
    };
}

events! {
    RebindRequested(RebindRequested),
    IdentityMatched(OfRebind),
    IdentityMismatched(OfRebind),
    CodeSent(CodeSent),
    CodeWrong(CodeWrong),
    CodeGuessed(NoFacts),
    IdentityConfirmed(OfRebind),
    AgreementSigned(AgreementSigned),
    CardCheckAnswered(CardCheckAnswered),
    MicroDepositSent(MicroDepositSent),
    MicroDepositReturned(MicroDepositReturned),
    Activated(Activated),
    ChangeNotified(ChangeNotified),
    Completed(OfRebind),
    StandbyReady(StandbyReady),
    Rejected(Rejected),
    Expired(OfRebind),
    Cancelled(OfRebind),
    Frozen(Frozen),
    FreezeCodeGuessed(NoFacts),
    Unfrozen(Unfrozen),
    ChangeProposed(ChangeProposed),
    SessionsEnded(ForReason),
    Reverted(Reverted),
    TestTransferStarted(TestTransferStarted),
    TestTransferSucceeded(OfRebind),
    TestTransferFailed(OfRebind),
    CooldownEnded(NoFacts),
    CardUnbound(OfCard),
    CardRemoved(OfCard),
    PayoutCreated(OfPayout),
    PayoutAssigned(OfPayout),
    PayoutSending(PayoutSending),
    PayoutReleased(PayoutReleased),
    PayoutSent(OfPayout),
    PayoutReturned(OfPayout),
    SettlementChanged(SettlementChanged),
    SettlementApplied(SettlementApplied),
    SettlementDropped(SettlementDropped),
    SecurityChanged(SecurityChanged),
    DocumentRenewed(DocumentRenewed),
    TierChanged(TierChanged),
    PushTargetChanged(PushTargetChanged),
    PushTargetRemoved(PushTargetRemoved),
    PushTargetRefreshed(PushTargetChanged),
    DeviceAdded(NoFacts),
    MerchantCreated(MerchantCreated),
    Closed(Closed),
    Unmasked(ForReason),
    LoginsCleared(ForReason),
    Erased(ForReason),
}

/// Declares the facts of an event: the struct and both directions of its JSON. Each field is the member with the same
/// name.
macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            pub(super) fn write(&self, data: &mut Data) {
                $(self.$field.put(stringify!($field), data);)*
            }

            pub(super) fn read(data: &Data) -> Result<Self, &'static str> {
                Ok(Self {
                    $($field: Member::get(stringify!($field), data)?,)*
                })
            }
        }
    )+};
}

mod card;
mod created;
mod operators;
mod payouts;

pub use card::EventCard;
pub use created::MerchantCreated;
pub use operators::{
    ChangeProposed, Closed, DocumentRenewed, ForReason, SecurityChanged, TierChanged,
};
pub use payouts::{OfPayout, PayoutReleased, PayoutSending};

facts! {
    /// An event about a rebind without other facts.
    OfRebind {
        /// The rebind.
        rebind_id: RebindId,
    }

    /// An event about a card.
    OfCard {
        /// The card.
        card: EventCard,
    }

    /// See [`EventKind::RebindRequested`].
    RebindRequested {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card.
        card: EventCard,
        /// What the card is for.
        purpose: Purpose,
        /// Why the merchant changes the card.
        reason: Reason,
        /// The holder's name, masked.
        holder: String,
    }

    /// See [`EventKind::CodeSent`].
    CodeSent {
        /// The rebind.
        rebind_id: RebindId,
        /// The purpose of the code.
        purpose: OtpPurpose,
        /// The bank reference of the card check, for a card code.
        serial: Option<String>,
    }

    /// See [`EventKind::CodeWrong`].
    CodeWrong {
        /// The rebind.
        rebind_id: RebindId,
        /// The card that is locked for now.
        card: EventCard,
        /// The purpose of the code.
        purpose: OtpPurpose,
    }

    /// See [`EventKind::AgreementSigned`].
    AgreementSigned {
        /// The rebind.
        rebind_id: RebindId,
        /// The version of the agreement.
        version: String,
        /// The language of the shown text.
        lang: Lang,
        /// SHA-256 of the shown text, in hex.
        sha256: String,
        /// When the text was shown.
        shown_at: Timestamp,
        /// The given consents.
        consents: Vec<String>,
    }

    /// See [`EventKind::CardCheckAnswered`].
    CardCheckAnswered {
        /// The rebind.
        rebind_id: RebindId,
        /// The purpose of the sent code.
        purpose: OtpPurpose,
        /// The bank reference of the card check.
        serial: String,
        /// The bank's answer. Any answer except a match ends the rebind, which is a separate event.
        answer: Match,
    }

    /// See [`EventKind::MicroDepositSent`].
    MicroDepositSent {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card.
        card: EventCard,
        /// The bank reference of the deposit.
        serial: String,
    }

    /// See [`EventKind::MicroDepositReturned`].
    MicroDepositReturned {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card.
        card: EventCard,
        /// Why the rebind ended.
        reason: ErrorCode,
        /// The bank reference of the deposit, or of the card check that the deposit replaced.
        serial: String,
    }

    /// See [`EventKind::Activated`].
    Activated {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card.
        card: EventCard,
        /// The previous card.
        old_card_id: Nullable<CardId>,
        /// Why the merchant changed the card.
        reason: Reason,
        /// The time from which payouts go to the new card.
        effective_at: Timestamp,
        /// The end of the cooldown. No rebind can be requested before it.
        cooldown_until: Timestamp,
    }

    /// See [`EventKind::StandbyReady`].
    StandbyReady {
        /// The rebind.
        rebind_id: RebindId,
        /// The standby card.
        card: EventCard,
        /// The earliest time of its activation.
        usable_at: Timestamp,
    }

    /// See [`EventKind::Rejected`].
    Rejected {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card.
        card: EventCard,
        /// The reason.
        reason: ErrorCode,
        /// The bank reference of the card check, if the bank's answer was the reason.
        serial: Option<String>,
    }

    /// See [`EventKind::Frozen`].
    Frozen {
        /// The rebind that was announced with the freeze code, if the code belonged to one.
        rebind_id: Option<RebindId>,
        /// True if an activation was undone.
        undone: bool,
        /// True if this freeze holds the payouts.
        holds_payouts: bool,
        /// The operator's reason, for a freeze without a code.
        reason: Option<String>,
    }

    /// See [`EventKind::ChangeNotified`].
    ChangeNotified {
        /// The rebind.
        rebind_id: RebindId,
        /// What counts as the hand-over.
        by: NotifiedBy,
        /// The time from which payouts go to the new card, for an activation.
        effective_at: Option<Timestamp>,
        /// The operator's reason.
        reason: Option<String>,
    }

    /// See [`EventKind::Unfrozen`].
    Unfrozen {
        /// The operator's reason.
        reason: String,
        /// The active card that the operator chose; null if payouts wait.
        card_id: Nullable<CardId>,
    }

    /// See [`EventKind::Reverted`].
    Reverted {
        /// The rebind.
        rebind_id: RebindId,
        /// The new card of the undone change.
        card: EventCard,
        /// The reason.
        reason: ErrorCode,
    }

    /// See [`EventKind::TestTransferStarted`].
    TestTransferStarted {
        /// The rebind.
        rebind_id: RebindId,
        /// The bank reference of the transfer.
        serial: String,
    }

    /// See [`EventKind::SettlementChanged`].
    SettlementChanged {
        /// The settings in force.
        before: Settlement,
        /// The settings after the change.
        after: Settlement,
        /// When the change takes effect.
        effective_at: Timestamp,
        /// The sequence number of the event that announced the freeze code first.
        freeze_code_seq: u64,
    }

    /// See [`EventKind::SettlementApplied`].
    SettlementApplied {
        /// The settings in force from now on.
        settings: Settlement,
    }

    /// See [`EventKind::SettlementDropped`].
    SettlementDropped {
        /// The pending settings.
        settings: Settlement,
        /// True if the merchant withdrew them, false if the merchant may no longer have them.
        withdrawn: bool,
    }

    /// See [`EventKind::PushTargetChanged`].
    PushTargetChanged {
        /// The app's id for the device.
        push_target_id: String,
        /// The service that reaches the device.
        platform: PushPlatform,
    }

    /// See [`EventKind::PushTargetRemoved`].
    PushTargetRemoved {
        /// The app's id for the device.
        push_target_id: String,
    }
}

/// An event without facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoFacts;

impl NoFacts {
    const fn write(&self, _: &mut Data) {}

    const fn read(_: &Data) -> Result<Self, &'static str> {
        Ok(Self)
    }
}

/// A fact that is always present and null without a value. An `Option` without a value is omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nullable<T>(pub Option<T>);

/// The only answer of the bank that a [`CardCheckAnswered`] can contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match;

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
