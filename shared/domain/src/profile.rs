//! The acquirer's record of a merchant.

use super::format::document_expiry::DocumentExpiry;
use super::ids::MerchantId;
use super::pii::{DocumentType, PersonName, Phone};
use super::rebind::{Mac, Sealed};
use super::time::Timestamp;
use super::vocabulary::vocabulary;

vocabulary! {
    /// The kind of a merchant.
    pub enum EntityType {
        /// 小微商户.
        NaturalPerson = "natural_person",
        /// 个体工商户.
        SoleTrader = "sole_trader",
        /// 企业. Changes its card with support only.
        Company = "company",
    }
}

/// The phone on file before the last change. It receives every notification until `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousPhone {
    /// The phone.
    pub phone: Phone,
    /// When it stops to receive notifications.
    pub until: Timestamp,
}

/// The acquirer's record. The merchant never enters it; input is only compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Counts changes of the record: of this item and of the account.
    pub version: u32,
    /// Keyed hash of the account's name, which finds the account.
    pub account: Mac,
    /// The kind of merchant.
    pub entity_type: EntityType,
    /// The registered name.
    pub legal_name: PersonName,
    /// The name on settlement cards, if it differs from the registered name.
    pub settlement_name: Option<PersonName>,
    /// Keyed hash of the ID document's kind and number.
    pub id_number_mac: Mac,
    /// The kind of the ID document.
    pub document_type: DocumentType,
    /// The expiry of the ID document.
    pub id_expires_on: DocumentExpiry,
    /// The phone on file.
    pub phone_on_file: Phone,
    /// The phone on file before the last change, while it is still notified.
    pub previous_phone: Option<PreviousPhone>,
    /// When the acquirer opened the account.
    pub opened_at: Timestamp,
    /// The highest daily limit that the merchant can set, in fen.
    pub daily_limit_max_fen: u64,
    /// The fee, in basis points.
    pub fee_rate_bp: u32,
    /// The encrypted ID number.
    pub sealed_id_number: Option<Sealed>,
    /// The merchant's history key, wrapped by KMS.
    pub history_key: Option<Sealed>,
}

impl Profile {
    /// The name that a settlement card must carry.
    #[must_use]
    pub fn holder_name(&self) -> &PersonName {
        self.settlement_name.as_ref().unwrap_or(&self.legal_name)
    }

    /// The phone on file before the last change, while it still receives notifications.
    #[must_use]
    pub fn notified_previous_phone(&self, now: Timestamp) -> Option<&Phone> {
        let previous = self.previous_phone.as_ref()?;
        (now < previous.until).then_some(&previous.phone)
    }
}
