//! The behaviour of each card, as defined in `shared/data/sandbox.json`.

use bank::sandbox::SANDBOX_JSON;
use bank::{CheckOutcome, ReturnReason, TransferOutcome};
use domain::card::BankCardType;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;

/// The delay of `slow`.
const SLOW: Duration = Duration::from_millis(1_500);

/// The behaviour of a card: the word in its `outcome`.
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
    /// −18 on the first call of a rebind, then a match.
    BusyOnce,
    /// −18 always.
    Busy,
    /// −19
    Quota,
    /// A match whose first reply is lost; a repeated check or a query returns it.
    ReplyLost,
    /// A match, after 1.5 s.
    Slow,
    /// Status 200 with a body that is not JSON.
    Garbage,
    /// A match; transfers are returned.
    MatchTransferReturned,
    /// A match; a transfer is pending until its second query.
    MatchTransferPending,
    /// −17; transfers are returned.
    DepositReturned,
}

/// How the first answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Immediately.
    Now,
    /// After a delay.
    After(Duration),
    /// Never: the answer is stored, then the invocation fails, and the function URL answers 5xx.
    Lost,
}

impl Behaviour {
    /// The answer to a check. `is_first_call` means the first call for this card in its rebind.
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

    /// How the first answer to a check is delivered.
    #[must_use]
    pub const fn delivery(self) -> Delivery {
        match self {
            Self::ReplyLost => Delivery::Lost,
            Self::Slow => Delivery::After(SLOW),
            _ => Delivery::Now,
        }
    }

    /// The first answer to a transfer that passes the payee-name check.
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

    /// Parses the word of `sandbox.json`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        serde_json::from_value(word.into()).ok()
    }
}

/// The number of the query that settles a pending transfer, and the first that reports it as succeeded.
const QUERIES_THAT_SETTLE: u64 = 2;

/// The outcome of a transfer after its first answer and a number of queries.
#[must_use]
pub fn transfer_after(first: TransferOutcome, queries: u64) -> TransferOutcome {
    match first {
        TransferOutcome::Pending if queries >= QUERIES_THAT_SETTLE => TransferOutcome::Succeeded,
        _ => first,
    }
}

/// A card of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedCard {
    /// Its behaviour.
    pub behaviour: Behaviour,
    /// Its type, stated with a match.
    pub card_type: BankCardType,
}

/// The type of a card for which `sandbox.json` states none.
pub const USUAL_TYPE: BankCardType = BankCardType::Debit;

/// The listed cards by number.
#[derive(Debug)]
pub struct CardBook(HashMap<String, ListedCard>);

#[derive(Deserialize)]
struct Sandbox {
    cards: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    card_number: String,
    outcome: Behaviour,
    card_type: Option<BankCardType>,
}

impl CardBook {
    /// Loads the cards of `sandbox.json`.
    ///
    /// # Errors
    /// When the file contains an unknown behaviour.
    pub fn sandbox() -> serde_json::Result<Self> {
        let sandbox: Sandbox = serde_json::from_str(SANDBOX_JSON)?;
        let cards = sandbox.cards.into_iter().map(|card| {
            let listed = ListedCard {
                behaviour: card.outcome,
                card_type: card.card_type.unwrap_or(USUAL_TYPE),
            };
            (card.card_number, listed)
        });
        Ok(Self(cards.collect()))
    }

    /// The listed card with this number.
    #[must_use]
    pub fn card(&self, card_number: &str) -> Option<ListedCard> {
        self.0.get(card_number).copied()
    }
}
