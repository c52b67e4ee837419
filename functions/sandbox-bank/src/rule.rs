//! How each card behaves: `shared/data/sandbox.json` and nothing else.

use bank::sandbox::SANDBOX_JSON;
use bank::{CheckOutcome, ReturnReason, TransferOutcome};
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// What `slow` waits.
const SLOW: Duration = Duration::from_millis(1_500);

/// The word in `outcome` of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// The elements match.
    Match,
    /// −1, −6
    Mismatch,
    /// −7
    NotEnabled,
    /// −17
    IssuerUnsupported,
    /// −8, −12, −13
    Blocked,
    /// −9, −10, −21
    Invalid,
    /// −11
    Dormant,
    /// −14
    Expired,
    /// −15, −16
    Restricted,
    /// A Class II account.
    ClassIi,
    /// −18 on the first call in a rebind, then a match.
    BusyOnce,
    /// −18 always.
    Busy,
    /// −19
    Quota,
    /// A match whose reply is lost; asked again, it is there.
    ReplyLost,
    /// A match, after 1.5 s.
    Slow,
    /// A 200 that is not JSON.
    Garbage,
    /// A match; transfers come back.
    MatchTransferReturned,
    /// A match; a transfer is pending until it was queried twice.
    MatchTransferPending,
    /// −17; transfers come back.
    DepositReturned,
}

/// How an answer gets to the caller, the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Now,
    /// Late.
    After(Duration),
    /// Never: decided and stored, then the connection breaks.
    Lost,
}

impl Behaviour {
    /// The answer to a check. `is_first_call`: no other call for this card in this rebind came before.
    #[must_use]
    pub const fn check(self, is_first_call: bool) -> CheckOutcome {
        match self {
            Self::BusyOnce if is_first_call => CheckOutcome::Busy,
            Self::Match
            | Self::BusyOnce
            | Self::ReplyLost
            | Self::Slow
            | Self::Garbage
            | Self::MatchTransferReturned
            | Self::MatchTransferPending => CheckOutcome::Match,
            Self::Mismatch => CheckOutcome::Mismatch,
            Self::NotEnabled => CheckOutcome::NotEnabled,
            Self::IssuerUnsupported | Self::DepositReturned => CheckOutcome::IssuerUnsupported,
            Self::Blocked => CheckOutcome::Blocked,
            Self::Invalid => CheckOutcome::Invalid,
            Self::Dormant => CheckOutcome::Dormant,
            Self::Expired => CheckOutcome::Expired,
            Self::Restricted => CheckOutcome::Restricted,
            Self::ClassIi => CheckOutcome::ClassII,
            Self::Busy => CheckOutcome::Busy,
            Self::Quota => CheckOutcome::Quota,
        }
    }

    /// How the answer to a check is delivered.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        match self {
            Self::ReplyLost => Delivery::Lost,
            Self::Slow => Delivery::After(SLOW),
            _ => Delivery::Now,
        }
    }

    /// What a transfer's first answer is, when the name is not in the way.
    #[must_use]
    pub const fn transfer(self) -> TransferOutcome {
        match self {
            Self::MatchTransferPending => TransferOutcome::Pending,
            Self::MatchTransferReturned
            | Self::DepositReturned
            | Self::Blocked
            | Self::Invalid
            | Self::Dormant
            | Self::Expired
            | Self::Restricted
            | Self::ClassIi => TransferOutcome::Returned(ReturnReason::AccountUnusable),
            _ => TransferOutcome::Succeeded,
        }
    }

    /// From the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        serde_json::from_value(word.into()).ok()
    }
}

/// A pending transfer is settled by this many queries; the last of them is told so.
const QUERIES_THAT_SETTLE: u64 = 2;

/// Where a transfer stands that began as `first` and was asked about `queries` times.
#[must_use]
pub fn stands(first: TransferOutcome, queries: u64) -> TransferOutcome {
    match first {
        TransferOutcome::Pending if queries >= QUERIES_THAT_SETTLE => TransferOutcome::Succeeded,
        _ => first,
    }
}

/// The cards that are listed.
#[derive(Debug)]
pub struct Book(HashMap<String, Behaviour>);

#[derive(Deserialize)]
struct Sandbox {
    cards: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    card_number: String,
    outcome: Behaviour,
}

impl Book {
    /// The cards of `sandbox.json`.
    ///
    /// # Errors
    /// When the file has a word that this bank does not know.
    pub fn sandbox() -> serde_json::Result<Self> {
        let sandbox: Sandbox = serde_json::from_str(SANDBOX_JSON)?;
        let cards = sandbox.cards.into_iter();
        Ok(Self(
            cards.map(|card| (card.card_number, card.outcome)).collect(),
        ))
    }

    /// What a listed card does.
    #[must_use]
    pub fn behaviour(&self, card_number: &str) -> Option<Behaviour> {
        self.0.get(card_number).copied()
    }
}
