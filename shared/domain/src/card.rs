//! The facts of a settlement card, which never change. Its status (active, standby, …) is not stored with it, but derived
//! from the merchant's state.

pub use super::format::bins::CardType;

use super::format::bins;
use super::ids::CardId;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

/// A card without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The card's id.
    pub card_id: CardId,
    /// The bank's code in the prefix table; `None` when the prefix is unknown.
    pub bank_code: Option<String>,
    /// The type in the prefix table, until the bank states it.
    pub card_type: CardType,
    /// The last four digits.
    pub last4: String,
    /// When the card was added; for a pending card, when its rebind was requested.
    pub bound_at: Timestamp,
}

/// The bank code and the bank name that are shown for a card with an unknown prefix.
pub const UNKNOWN_BANK: (&str, &str) = ("UNKNOWN", "其他银行");

impl Card {
    /// The bank's code; `UNKNOWN` for an unknown prefix.
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

    /// True if a micro-deposit may replace the bank's check. It proves the holder, not the type, so the type must be known:
    /// an anonymous prepaid card accepts a transfer under any name.
    #[must_use]
    pub const fn allows_deposit(&self) -> bool {
        matches!(self.card_type, CardType::Debit)
    }
}

vocabulary! {
    /// The type of a card, as stated by the bank that issued it.
    pub enum BankCardType {
        /// A debit card.
        Debit = "debit",
        /// A credit or semi-credit card.
        Credit = "credit",
        /// A prepaid card.
        Prepaid = "prepaid",
        /// The bank cannot tell.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// The current status of a card.
    pub enum CardStatus {
        /// Requested, not verified yet.
        Pending = "pending",
        /// The pointer references this card.
        Active = "active",
        /// Verified, and ready to be activated.
        Standby = "standby",
        /// Replaced. Payouts from before the change still go to it.
        Retiring = "retiring",
        /// Removed from the account.
        Removed = "removed",
    }
}
