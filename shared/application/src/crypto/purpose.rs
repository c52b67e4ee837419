//! The purposes of keyed hashes.

use crate::ports::HashKey;

/// The purpose of a keyed hash. Two purposes never share a derived key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashPurpose {
    /// Account names at login.
    Account,
    /// Device ids at login.
    Device,
    /// Source addresses at login.
    Source,
    /// Phones, to count OTPs.
    Phone,
    /// Card numbers, to find duplicates.
    Card,
    /// ID numbers, to compare.
    IdNumber,
    /// OTPs.
    Code,
    /// Idempotency keys.
    Idempotency,
    /// Request bodies without secrets.
    Body,
    /// Request bodies that may contain a card number.
    BodyWithCard,
    /// Request bodies that may contain an OTP or an ID number.
    BodyWithCode,
    /// Bodies of operators' requests.
    OperatorBody,
    /// Reading tokens of the agreement.
    Reading,
    /// Freeze codes.
    Freeze,
    /// Codes of micro-deposits.
    Deposit,
    /// Push tokens, to distinguish them.
    Push,
    /// Everything that was stated about a new merchant, to recognise a repetition.
    Onboarding,
}

impl HashPurpose {
    /// All purposes.
    pub const ALL: [Self; 17] = [
        Self::Account,
        Self::Device,
        Self::Source,
        Self::Phone,
        Self::Card,
        Self::IdNumber,
        Self::Code,
        Self::Idempotency,
        Self::Body,
        Self::BodyWithCard,
        Self::BodyWithCode,
        Self::OperatorBody,
        Self::Reading,
        Self::Freeze,
        Self::Deposit,
        Self::Push,
        Self::Onboarding,
    ];

    /// The key that protects the purpose. Who holds the key can test guesses, so a guessable value is never under a key
    /// that other functions need.
    #[must_use]
    pub const fn key(self) -> HashKey {
        match self {
            Self::Account
            | Self::Device
            | Self::Source
            | Self::Idempotency
            | Self::Body
            | Self::Reading
            | Self::Push => HashKey::LookUp,
            // A body can contain the number of a document.
            Self::Card
            | Self::IdNumber
            | Self::BodyWithCard
            | Self::OperatorBody
            | Self::Onboarding => HashKey::CardAndId,
            Self::Code | Self::Phone | Self::Deposit | Self::BodyWithCode => HashKey::Codes,
            Self::Freeze => HashKey::Freeze,
        }
    }

    /// The HKDF label, which separates the purposes of a key.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Device => "device",
            Self::Source => "source",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::IdNumber => "id-number",
            Self::Code => "code",
            Self::Idempotency => "idempotency",
            Self::Body => "body",
            Self::BodyWithCard => "body-with-card",
            Self::BodyWithCode => "body-with-code",
            Self::OperatorBody => "operator-body",
            Self::Reading => "reading",
            Self::Freeze => "freeze",
            Self::Deposit => "deposit",
            Self::Push => "push",
            Self::Onboarding => "onboarding",
        }
    }
}
