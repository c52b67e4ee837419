//! Changes of the acquirer's record: phone, password, name, ID document, tier.

use super::format::document_expiry::DocumentExpiry;
use super::merchant::Profile;
use super::password_hash::PasswordHash;
use super::pii::{DocumentType, PersonName, Phone};
use super::rebind::{Mac, Sealed};
use super::vocabulary::vocabulary;

vocabulary! {
    /// The part of the record that a change concerns.
    pub enum ContactField {
        /// The phone on file.
        Phone = "phone",
        /// The password.
        Password = "password",
        /// The registered name or the name on settlement cards.
        Name = "name",
        /// The ID document.
        Document = "document",
    }
}

/// A change of the merchant's tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierChange {
    /// The highest daily limit that the merchant may choose, in fen.
    pub daily_limit_max_fen: u64,
    /// True if the tier may also rise.
    pub may_rise: bool,
    /// Who changed it: `registry` or `operator`.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// An ID document of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordDocument {
    /// The type.
    pub document_type: DocumentType,
    /// Keyed hash of type and number.
    pub number_mac: Mac,
    /// The same under the previous key, during a rotation.
    pub previous_mac: Option<Mac>,
    /// The encrypted number.
    pub sealed_number: Option<Sealed>,
    /// The expiry.
    pub expires_on: DocumentExpiry,
}

/// A new value in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactValue {
    /// The phone on file.
    Phone(Phone),
    /// The hash of the password.
    Password(PasswordHash),
    /// The names.
    Name {
        /// The registered name.
        legal_name: PersonName,
        /// The name on settlement cards, if it differs.
        settlement_name: Option<PersonName>,
    },
    /// Another document. A later date on the same one is no change of contact.
    Document(RecordDocument),
}

impl ContactValue {
    /// The part of the record.
    #[must_use]
    pub const fn field(&self) -> ContactField {
        match self {
            Self::Phone(_) => ContactField::Phone,
            Self::Password(_) => ContactField::Password,
            Self::Name { .. } => ContactField::Name,
            Self::Document(_) => ContactField::Document,
        }
    }
}

/// What becomes of the phone that was on file before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousPhoneRule {
    /// It receives notifications for some more days.
    Keep,
    /// It receives nothing more, because it is no longer the merchant's.
    Drop,
}

/// A change of phone, password, name or document by the acquirer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactChange {
    /// The new value.
    pub value: ContactValue,
    /// Who made the change: an id in the acquirer's own system.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What becomes of the previous phone.
    pub previous_phone: PreviousPhoneRule,
}

/// The same document with a later date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRenewal {
    /// Keyed hash of type and number, which stay, under the version of the record's hash.
    pub number_mac: Mac,
    /// The new expiry.
    pub expires_on: DocumentExpiry,
    /// Who made the change.
    pub by: String,
}

/// The record after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// The profile.
    pub profile: Profile,
    /// The account's new password hash, if the password changes.
    pub password_hash: Option<PasswordHash>,
}
