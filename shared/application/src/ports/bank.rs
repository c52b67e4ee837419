//! The bank: card checks and transfers of one fen.

use domain::decide::BankAnswer;
use domain::pii::{CardNumber, IdNumber, PersonName, Phone};
use domain::secret::Secret;
use domain::transfer::TransferAnswer;

/// One card-check query to the bank.
#[derive(Clone)]
pub struct CardQuestion {
    /// The bank reference. The same query always has the same reference.
    pub serial: String,
    /// The card number.
    pub card_number: CardNumber,
    /// The name on the card.
    pub holder_name: PersonName,
    /// The identity document.
    pub id_number: IdNumber,
    /// The reserved phone.
    pub phone: Phone,
}

/// Asks the bank whether name, ID number, card and reserved phone belong together.
pub trait CheckCard {
    /// `None` for a missing, late or malformed answer, or one to another query. Never an error: a missing answer
    /// decides nothing.
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer>;
}

/// A transfer of one fen to a card: a micro-deposit or a test transaction. No other amount exists.
#[derive(Clone)]
pub struct Transfer {
    /// The bank reference. The same transfer always has the same reference.
    pub serial: String,
    /// The card number.
    pub card_number: CardNumber,
    /// The payee's name.
    pub holder_name: PersonName,
    /// The descriptor on the payee's statement, 1 to 64 characters. A micro-deposit's descriptor ends in its code.
    pub descriptor: Secret<String>,
    /// Return the transfer if the payee's name differs from the cardholder's.
    pub check_name: bool,
}

/// Sends one fen to a card.
pub trait SendTransfer {
    /// `None` for a missing, late or malformed answer, or one to another transfer. The transfer may have been sent all
    /// the same.
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer>;
}

/// The result of querying the bank about a bank reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryOutcome<A> {
    /// The bank's current answer.
    Answer(A),
    /// The bank has not seen the bank reference yet. The request may still be in flight, so it may only be sent again
    /// under the same reference.
    NeverSeen,
    /// The query itself was not answered.
    Unknown,
}

impl<A> QueryOutcome<A> {
    /// The same outcome with another type of answer.
    pub fn map<B>(self, answer: impl FnOnce(A) -> B) -> QueryOutcome<B> {
        match self {
            Self::Answer(known) => QueryOutcome::Answer(answer(known)),
            Self::NeverSeen => QueryOutcome::NeverSeen,
            Self::Unknown => QueryOutcome::Unknown,
        }
    }

    /// The answer, if any.
    pub fn answer(self) -> Option<A> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::NeverSeen | Self::Unknown => None,
        }
    }
}

/// Queries a card check whose answer was lost, without the card number.
pub trait QueryCheck {
    /// A read-only query at the bank.
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer>;
}

/// Queries the outcome of a transfer, without the card number.
pub trait QueryTransfer {
    /// A read-only query; nothing is sent.
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer>;
}
