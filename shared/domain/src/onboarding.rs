//! A new merchant: record, settings, card, and what a migration leaves running.
//!
//! An [`Onboarding`] is consistent in itself. Whether its ids, its account and its card are free shows only when it is written;
//! [`Fault`] has a code for each of both kinds.

mod expiry;
mod fault;
mod records;
mod rules;

pub use expiry::expiry_of_books;
pub use fault::{Fault, Faults, FieldFault};
pub use records::{CardParts, KeyedParts, NewRecords};
pub use rules::{MigrationTimes, Tier, check_migration, check_opened, check_settlement};

use super::format::DocumentExpiry;
use super::ids::{MerchantId, PayoutId};
use super::merchant::{EntityType, Settlement};
use super::password_hash::PasswordHash;
use super::pii::{CardNumber, IdNumber, PersonName, Phone};
use super::secret::Secret;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

/// Maximum number of unsent payouts that come with a merchant. Each is two items of one transaction, which has at most 100;
/// the record, both cards and their conditions are at most 12 more.
pub const PAYOUTS_MAX: usize = 40;

vocabulary! {
    /// Who created a merchant.
    pub enum CreatedBy {
        /// The acquirer's own system, one merchant at a time.
        Registry = "registry",
        /// A person, through the operator's tool.
        Operator = "operator",
        /// The import of a file.
        Import = "import",
    }
}

/// A new merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onboarding {
    /// The id.
    pub merchant_id: MerchantId,
    /// The name to log in with, folded.
    pub account: Secret<String>,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// The kind of the merchant.
    pub entity_type: EntityType,
    /// The registered name.
    pub legal_name: PersonName,
    /// The name on settlement cards, if it differs.
    pub settlement_name: Option<PersonName>,
    /// The ID document.
    pub document: IdNumber,
    /// The expiry of the ID document.
    pub id_expires_on: DocumentExpiry,
    /// The phone on file.
    pub phone_on_file: Phone,
    /// When the acquirer opened the account.
    pub opened_at: Timestamp,
    /// The highest daily limit that the merchant can set, in fen.
    pub daily_limit_max_fen: u64,
    /// The fee, in basis points.
    pub fee_rate_bp: u32,
    /// The settlement settings.
    pub settlement: Settlement,
    /// The active card. The acquirer has verified that it is the merchant's.
    pub card: Option<CardNumber>,
    /// What was running in the system that the merchant comes from.
    pub migration: Migration,
}

/// What was running in the system that a merchant comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// The end of the cooldown. Without effect once it is past.
    pub cooldown_until: Option<Timestamp>,
    /// The hold of the last change of the card. Without effect once it is over.
    pub hold: Option<Hold>,
    /// Payouts that were created and not yet paid.
    pub unsent_payouts: Vec<UnsentPayout>,
}

/// A running hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The time from which payouts go to the active card.
    pub until: Timestamp,
    /// The card that receives payouts until then. Without it, they are held.
    pub replaced_card: Option<CardNumber>,
}

/// An unsent payout of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsentPayout {
    /// The id in the core system.
    pub payout_id: PayoutId,
    /// Fen, at least 1.
    pub amount_fen: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Onboarding {
    /// The hold that is running at `now`, if there is a card to hold.
    #[must_use]
    pub fn hold(&self, now: Timestamp) -> Option<&Hold> {
        let hold = self.migration.hold.as_ref();
        hold.filter(|hold| self.card.is_some() && now < hold.until)
    }

    /// Everything that was stated, as names and values in a fixed order. Two descriptions of one merchant have the same content
    /// exactly if they state the same.
    #[must_use]
    pub fn content(&self) -> Vec<Secret<String>> {
        let mut content = Content::default();
        content.add("merchant_id", self.merchant_id.as_str());
        content.add("account", self.account.expose());
        content.add("password_hash", self.password_hash.expose());
        content.add("entity_type", self.entity_type.as_str());
        content.add("legal_name", self.legal_name.expose());
        content.add_some(
            "settlement_name",
            self.settlement_name.as_ref().map(PersonName::expose),
        );
        content.add("document.type", self.document.kind().as_str());
        content.add("document.number", self.document.expose());
        content.add("document.expires_on", &self.id_expires_on.to_text());
        content.add("phone_on_file", self.phone_on_file.e164());
        content.add_time("opened_at", Some(self.opened_at));
        content.add("limit_max", &self.daily_limit_max_fen.to_string());
        content.add("fee", &self.fee_rate_bp.to_string());
        let settlement = &self.settlement;
        content.add("cycle", settlement.cycle.as_str());
        content.add("payout_time", &settlement.payout_time.to_string());
        content.add("retained", &settlement.retained_fen.to_string());
        content.add("limit", &settlement.daily_limit_fen.to_string());
        content.add_some("card", self.card.as_ref().map(CardNumber::expose));
        let migration = &self.migration;
        content.add_time("cooldown_until", migration.cooldown_until);
        if let Some(hold) = &migration.hold {
            content.add_time("hold_until", Some(hold.until));
            let replaced = hold.replaced_card.as_ref();
            content.add_some("replaced_card", replaced.map(CardNumber::expose));
        }
        for payout in &migration.unsent_payouts {
            content.add("payout", payout.payout_id.as_str());
            content.add("amount", &payout.amount_fen.to_string());
            content.add_time("created_at", Some(payout.created_at));
        }
        content.0
    }
}

/// Collects names and values.
#[derive(Default)]
struct Content(Vec<Secret<String>>);

impl Content {
    fn add(&mut self, name: &'static str, value: &str) {
        self.0.push(Secret::new(name.to_owned()));
        self.0.push(Secret::new(value.to_owned()));
    }

    fn add_some(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn add_time(&mut self, name: &'static str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.add(name, &value.epoch_s().to_string());
        }
    }
}

#[cfg(test)]
mod tests;
