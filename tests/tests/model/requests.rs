//! The running use cases: the input of each, and its current point.

use crate::calls::text;
use crate::use_cases::Point;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{CardId, RebindId};
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use store::item::Item;

/// One of the merchants of a scenario.
pub type Who = u8;

/// A request of an app. The app may send it more than once, always with the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub who: Who,
    /// The session's slot; `None` for a request without a session.
    pub slot: Option<u8>,
    pub asks: Asks,
}

/// The content of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asks {
    /// A rebind to the card with this number in the model's wallet.
    Create {
        card: u8,
        standby: bool,
    },
    /// The document.
    Document(RebindId),
    /// A request for another OTP.
    Resend(RebindId, OtpPurpose),
    /// A typed OTP; `None` for a wrong one.
    Code(RebindId, OtpPurpose, Option<String>),
    /// The switch to the standby card of a rebind: the request for its OTP, or a typed one.
    Switch(RebindId, CardId, Option<Option<String>>),
    /// The signature of the agreement that the app displays at this time.
    Sign(RebindId, Timestamp),
    CardCheck(RebindId),
    Cancel(RebindId),
    Unbind(CardId),
    /// The freeze code of the event with this sequence number.
    Freeze(u64),
    /// A payout with this number.
    Pay(u8),
    /// A decision of the acquirer's operator.
    Operator(Operation),
}

/// A decision of the acquirer's operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A freeze without a code.
    Freeze,
    /// The end of a freeze, with the chosen card.
    Unfreeze(Option<CardId>),
    /// Another name in the record.
    ChangeName,
}

impl Asks {
    /// The rebind, and the OTP that is requested or typed.
    pub fn otp(&self) -> Option<(&RebindId, OtpPurpose)> {
        match self {
            Self::Document(id) => Some((id, OtpPurpose::Identity)),
            Self::Resend(id, purpose) | Self::Code(id, purpose, _) => Some((id, *purpose)),
            Self::Switch(id, ..) => Some((id, OtpPurpose::Activate)),
            Self::CardCheck(id) => Some((id, OtpPurpose::Card)),
            _ => None,
        }
    }

    /// The typed OTP.
    pub fn typed(&self) -> Option<&Option<String>> {
        match self {
            Self::Code(_, _, typed) | Self::Switch(_, _, Some(typed)) => Some(typed),
            _ => None,
        }
    }
}

/// A running use case. The point identifies the process, because it belongs to one input.
#[derive(Clone, Debug)]
pub struct Process {
    pub input: Arc<Input>,
    pub point: Arc<Point>,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point
    }
}

impl Eq for Process {}

impl Hash for Process {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.point.hash(state);
    }
}

/// The input of a use case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    pub work: Work,
    /// The clock of this invocation.
    pub at: Timestamp,
    /// For a request: its content, and the number of earlier sends.
    pub request: Option<Request>,
    pub sent: u8,
}

/// The trigger of a use case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// A request, by its index.
    Request(usize),
    /// A run of the clean-up that finds one entry.
    CleanUp(Due),
    /// A stream record about an event, and the number of times that a write has put this event into the stream.
    Notification(Who, u64, u8),
}

/// An entry of the due index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Due {
    pub who: Who,
    pub pk: String,
    pub sk: String,
    bucket: String,
    at: String,
}

impl Due {
    pub fn of(who: Who, item: &Item) -> Self {
        Self {
            who,
            pk: text(item, "pk").to_owned(),
            sk: text(item, "sk").to_owned(),
            bucket: text(item, "due_bucket").to_owned(),
            at: item["due_at"].as_n().unwrap().clone(),
        }
    }

    /// The entry as the index returns it.
    pub fn item(&self) -> Item {
        let s = |text: &String| AttributeValue::S(text.clone());
        Item::from([
            ("pk".to_owned(), s(&self.pk)),
            ("sk".to_owned(), s(&self.sk)),
            ("due_bucket".to_owned(), s(&self.bucket)),
            ("due_at".to_owned(), AttributeValue::N(self.at.clone())),
        ])
    }

    /// The number of the entry's rebind.
    pub fn rebind(&self) -> Option<u32> {
        u32::from_str_radix(self.sk.strip_prefix("R#")?, 16).ok()
    }
}

/// The bank's answers with different consequences. `Deposit` stands for a card that the bank cannot check, and for the
/// transfer that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankSays {
    Match,
    Mismatch,
    Deposit,
}
