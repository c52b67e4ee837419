//! A settlement card as the system keeps it: facts that never change. What a card *is* at a moment (active, standby …)
//! is not stored with it; it follows from where the merchant's pointer is.

use super::format::bins::{self, BinKind};
use super::ids::CardId;
use super::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a card's prefix says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardType {
    /// A debit card.
    Debit,
    /// A credit card.
    Credit,
    /// A semi-credit card (准贷记卡).
    QuasiCredit,
    /// A prepaid card.
    Prepaid,
    /// The prefix is not in the table: the bank decides.
    Unknown,
}

impl CardType {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
            Self::QuasiCredit => "quasi_credit",
            Self::Prepaid => "prepaid",
            Self::Unknown => "unknown",
        }
    }
}

impl From<BinKind> for CardType {
    fn from(kind: BinKind) -> Self {
        match kind {
            BinKind::Debit => Self::Debit,
            BinKind::Credit => Self::Credit,
            BinKind::QuasiCredit => Self::QuasiCredit,
            BinKind::Prepaid => Self::Prepaid,
        }
    }
}

/// A card without its number. Kept as a list of its five values: a head can hold five cards, and must stay small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CardValues", into = "CardValues")]
pub struct Card {
    /// The id.
    pub card_id: CardId,
    /// The bank's code in the prefix table; `None` when the prefix is unknown.
    pub bank_code: Option<String>,
    /// From the prefix table.
    pub card_type: CardType,
    /// The last four digits.
    pub last4: String,
    /// When it was added; a pending card's time is its request's.
    pub bound_at: Timestamp,
}

type CardValues = (CardId, Option<String>, CardType, String, Timestamp);

impl From<CardValues> for Card {
    fn from((card_id, bank_code, card_type, last4, bound_at): CardValues) -> Self {
        Self {
            card_id,
            bank_code,
            card_type,
            last4,
            bound_at,
        }
    }
}

impl From<Card> for CardValues {
    fn from(card: Card) -> Self {
        (
            card.card_id,
            card.bank_code,
            card.card_type,
            card.last4,
            card.bound_at,
        )
    }
}

/// The code and the name shown for a card whose prefix is in no table.
pub const UNKNOWN_BANK: (&str, &str) = ("UNKNOWN", "其他银行");

impl Card {
    /// The bank's code, `UNKNOWN` for a prefix in no table.
    #[must_use]
    pub fn bank_code(&self) -> &str {
        self.bank_code.as_deref().unwrap_or(UNKNOWN_BANK.0)
    }

    /// The bank's Chinese name.
    #[must_use]
    pub fn bank_name(&self) -> &'static str {
        self.bank_code
            .as_deref()
            .and_then(bins::bank_name)
            .unwrap_or(UNKNOWN_BANK.1)
    }
}

/// What a card is now, as the wire shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardStatus {
    /// Asked for, not yet verified.
    Pending,
    /// The pointer is on it.
    Active,
    /// Verified, waiting to be switched to.
    Standby,
    /// Replaced; payouts of before the change still reach it.
    Retiring,
    /// No longer on record.
    Removed,
}

impl CardStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Retiring => "retiring",
            Self::Removed => "removed",
        }
    }
}
