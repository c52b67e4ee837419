//! The JSON of an event's facts: how each type is written and read.

use super::event::{Data, EventCard, Match, Nullable};
use crate::contact::ContactField;
use crate::decide::{BankAnswer, NotifiedBy};
use crate::error_code::ErrorCode;
use crate::ids::{CardId, PayoutId, ProposalId, RebindId};
use crate::lang::Lang;
use crate::onboarding::CreatedBy;
use crate::operator::ProposalKind;
use crate::profile::EntityType;
use crate::push::PushPlatform;
use crate::rebind::{OtpPurpose, Purpose, Reason};
use crate::settlement::{Cycle, PayoutTime, Settlement};
use crate::time::Timestamp;
use serde_json::Value;

/// The word of a match, whatever the card's type.
const MATCH: &str = BankAnswer::DEBIT_MATCH.as_str();

/// One or more members of an event's object.
pub(super) trait Member: Sized {
    /// Writes this value under `name`.
    fn put(&self, name: &'static str, data: &mut Data);
    /// Reads the value under `name`. The error is the name of the missing or malformed member.
    fn get(name: &'static str, data: &Data) -> Result<Self, &'static str>;
}

/// A value that is a single member.
pub(super) trait Fact: Sized {
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
    ProposalId: ProposalId::as_str, ProposalId::parse;
    ProposalKind: |kind: &ProposalKind| kind.as_str(), ProposalKind::parse;
    Timestamp: |at: &Timestamp| at.to_rfc3339_shanghai(), Timestamp::parse_rfc3339;
    PayoutTime: PayoutTime::to_string, PayoutTime::parse;
    Lang: |lang: &Lang| lang.as_str(), Lang::parse;
    Cycle: |cycle: &Cycle| cycle.as_str(), Cycle::parse;
    CreatedBy: |by: &CreatedBy| by.as_str(), CreatedBy::parse;
    EntityType: |kind: &EntityType| kind.as_str(), EntityType::parse;
    ErrorCode: |code: &ErrorCode| code.as_str(), ErrorCode::parse;
    PushPlatform: |platform: &PushPlatform| platform.as_str(), PushPlatform::parse;
    Purpose: |purpose: &Purpose| purpose.as_str(), Purpose::parse;
    NotifiedBy: |by: &NotifiedBy| by.as_str(), NotifiedBy::parse;
    OtpPurpose: |purpose: &OtpPurpose| purpose.as_str(), OtpPurpose::parse;
    ContactField: |field: &ContactField| field.as_str(), ContactField::parse;
    Reason: |reason: &Reason| reason.as_str(), Reason::parse;
    Match: |_: &Match| MATCH, |text| (text == MATCH).then_some(Match);
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
