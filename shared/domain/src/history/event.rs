//! The events of a merchant's account: one variant for each [`EventKind`], with typed facts.
//!
//! Only this module knows the JSON of an event's facts, in both directions. That JSON is a contract: it is stored,
//! shown by `GET /v1/history` and hashed. Facts contain no personal data, only ids, masked values, times and limits.
//!
//! To add an event: add its word to [`EventKind`], then follow the compiler through this file, `crate::notification` and the
//! command that decides it.

use crate::card::Card;
use crate::decide::BankAnswer;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::ids::{CardId, PayoutId, RebindId};
use crate::lang::Lang;
use crate::push::PushPlatform;
use crate::rebind::{OtpPurpose, Purpose, Reason};
use crate::settlement::{Cycle, PayoutTime, Settlement};
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// The facts of an event as a JSON object.
type Data = Map<String, Value>;

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
    IdentityConfirmed(OfRebind),
    AgreementSigned(AgreementSigned),
    CardCheckAnswered(CardCheckAnswered),
    MicroDepositSent(MicroDepositSent),
    MicroDepositReturned(MicroDepositReturned),
    Activated(Activated),
    Completed(OfRebind),
    StandbyReady(StandbyReady),
    Rejected(Rejected),
    Expired(OfRebind),
    Cancelled(OfRebind),
    Frozen(Frozen),
    Unfrozen(Unfrozen),
    Reverted(Reverted),
    TestTransferStarted(TestTransferStarted),
    TestTransferSucceeded(OfRebind),
    TestTransferFailed(OfRebind),
    CooldownEnded(NoFacts),
    CardUnbound(OfCard),
    CardRemoved(OfCard),
    PayoutCreated(OfPayout),
    PayoutAssigned(OfPayout),
    PayoutSent(OfPayout),
    PayoutReturned(OfPayout),
    SettlementChanged(SettlementChanged),
    SecurityChanged(NoFacts),
    PushTargetChanged(PushTargetChanged),
    PushTargetRemoved(PushTargetRemoved),
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
            fn write(&self, data: &mut Data) {
                $(self.$field.put(stringify!($field), data);)*
            }

            fn read(data: &Data) -> Result<Self, &'static str> {
                Ok(Self {
                    $($field: Member::get(stringify!($field), data)?,)*
                })
            }
        }
    )+};
}

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

    /// An event about a payout.
    OfPayout {
        /// The payout.
        payout_id: PayoutId,
        /// The amount in fen.
        amount_fen: u64,
        /// The card that receives it; null while the payout is held.
        card_id: Nullable<CardId>,
        /// The last four digits of that card.
        last4: Nullable<String>,
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
        /// The rebind whose freeze code was used.
        rebind_id: RebindId,
        /// True if an activation was undone.
        undone: bool,
        /// True if this freeze holds the payouts.
        holds_payouts: bool,
    }

    /// See [`EventKind::Unfrozen`].
    Unfrozen {
        /// The operator's reason.
        reason: String,
        /// The active card.
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
        /// The settings before.
        before: Settlement,
        /// The settings after the change.
        after: Settlement,
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

/// The facts of a card. They are members of the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCard {
    /// The card's id.
    pub card_id: CardId,
    /// The bank's code; `UNKNOWN` for an unknown prefix.
    pub bank_code: String,
    /// The last four digits.
    pub last4: String,
}

impl From<&Card> for EventCard {
    fn from(card: &Card) -> Self {
        Self {
            card_id: card.card_id.clone(),
            bank_code: card.bank_code().to_owned(),
            last4: card.last4.clone(),
        }
    }
}

/// A fact that is always present and null without a value. An `Option` without a value is omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nullable<T>(pub Option<T>);

/// The only answer of the bank that a [`CardCheckAnswered`] can contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match;

/// One or more members of an event's object.
trait Member: Sized {
    /// Writes this value under `name`.
    fn put(&self, name: &'static str, data: &mut Data);
    /// Reads the value under `name`. The error is the name of the missing or malformed member.
    fn get(name: &'static str, data: &Data) -> Result<Self, &'static str>;
}

/// A value that is a single member.
trait Fact: Sized {
    fn to_json(&self) -> Value;
    fn from_json(value: &Value) -> Option<Self>;
}

impl<T: Fact> Member for T {
    fn put(&self, name: &'static str, data: &mut Data) {
        data.insert(name.to_owned(), self.to_json());
    }

    fn get(name: &'static str, data: &Data) -> Result<Self, &'static str> {
        data.get(name).and_then(Self::from_json).ok_or(name)
    }
}

impl<T: Fact> Member for Option<T> {
    fn put(&self, name: &'static str, data: &mut Data) {
        if let Some(value) = self {
            value.put(name, data);
        }
    }

    fn get(name: &'static str, data: &Data) -> Result<Self, &'static str> {
        match data.get(name) {
            None => Ok(None),
            Some(value) => T::from_json(value).map(Some).ok_or(name),
        }
    }
}

impl<T: Fact> Fact for Nullable<T> {
    fn to_json(&self) -> Value {
        self.0.as_ref().map_or(Value::Null, T::to_json)
    }

    fn from_json(value: &Value) -> Option<Self> {
        if value.is_null() {
            return Some(Self(None));
        }
        T::from_json(value).map(|value| Self(Some(value)))
    }
}

impl Member for EventCard {
    fn put(&self, _: &'static str, data: &mut Data) {
        self.card_id.put("card_id", data);
        self.bank_code.put("bank_code", data);
        self.last4.put("last4", data);
    }

    fn get(_: &'static str, data: &Data) -> Result<Self, &'static str> {
        Ok(Self {
            card_id: Member::get("card_id", data)?,
            bank_code: Member::get("bank_code", data)?,
            last4: Member::get("last4", data)?,
        })
    }
}

/// A value whose JSON is its text.
macro_rules! texts {
    ($($type:ty: $write:expr, $read:expr;)+) => {$(
        impl Fact for $type {
            fn to_json(&self) -> Value {
                Value::from($write(self))
            }

            fn from_json(value: &Value) -> Option<Self> {
                $read(value.as_str()?)
            }
        }
    )+};
}

texts! {
    String: String::as_str, |text: &str| Some(text.to_owned());
    CardId: CardId::as_str, CardId::parse;
    RebindId: RebindId::as_str, RebindId::parse;
    PayoutId: PayoutId::as_str, PayoutId::parse;
    Timestamp: |at: &Timestamp| at.to_rfc3339_shanghai(), Timestamp::parse_rfc3339;
    PayoutTime: PayoutTime::to_string, PayoutTime::parse;
    Lang: |lang: &Lang| lang.as_str(), Lang::parse;
    Cycle: |cycle: &Cycle| cycle.as_str(), Cycle::parse;
    ErrorCode: |code: &ErrorCode| code.as_str(), ErrorCode::parse;
    PushPlatform: |platform: &PushPlatform| platform.as_str(), PushPlatform::parse;
    Purpose: |purpose: &Purpose| purpose.as_str(), Purpose::parse;
    OtpPurpose: |purpose: &OtpPurpose| purpose.as_str(), OtpPurpose::parse;
    Reason: |reason: &Reason| reason.as_str(), Reason::parse;
    Match: |_: &Match| BankAnswer::Match.as_str(), |text| (text == BankAnswer::Match.as_str()).then_some(Match);
}

impl Fact for bool {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Fact for u64 {
    fn to_json(&self) -> Value {
        Value::from(*self)
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

impl Fact for Vec<String> {
    fn to_json(&self) -> Value {
        Value::from(self.as_slice())
    }

    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(String::from_json).collect()
    }
}

impl Fact for Settlement {
    fn to_json(&self) -> Value {
        let mut data = Data::new();
        self.cycle.put("cycle", &mut data);
        self.payout_time.put("payout_time", &mut data);
        self.retained_fen.put("retained_fen", &mut data);
        self.daily_limit_fen.put("daily_limit_fen", &mut data);
        Value::Object(data)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let data = value.as_object()?;
        Some(Self {
            cycle: Member::get("cycle", data).ok()?,
            payout_time: Member::get("payout_time", data).ok()?,
            retained_fen: Member::get("retained_fen", data).ok()?,
            daily_limit_fen: Member::get("daily_limit_fen", data).ok()?,
        })
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
