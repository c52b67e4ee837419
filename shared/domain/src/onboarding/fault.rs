//! What is wrong with a new merchant, by field. A fault never contains a value.

use crate::error_code::ErrorCode;
use crate::rejection::FieldError;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// Why a new merchant is refused.
    pub enum Fault {
        /// The text is not a JSON object.
        NotJson = "NOT_JSON",
        /// The line is too long.
        LineTooLong = "LINE_TOO_LONG",
        /// A required member is absent or null.
        Missing = "MISSING",
        /// The member has another JSON type.
        WrongType = "WRONG_TYPE",
        /// The object has no such member.
        UnknownMember = "UNKNOWN_MEMBER",
        /// The object has this member twice.
        RepeatedMember = "REPEATED_MEMBER",
        /// The value does not have the required form.
        Malformed = "MALFORMED",
        /// The text is too long.
        TooLong = "TOO_LONG",
        /// The list is too long.
        TooMany = "TOO_MANY",
        /// The time is in the future.
        InFuture = "IN_FUTURE",
        /// The time is further ahead than the rules of this system allow.
        TooFarAhead = "TOO_FAR_AHEAD",
        /// Another member has this value already.
        Repeated = "REPEATED",
        /// The hash has other parameters, or is not a PHC string of argon2id.
        PasswordHash = "PASSWORD_HASH",
        /// The number or the expiry of the document is malformed.
        IdFormat = "ID_FORMAT",
        /// The check character of the ID number is wrong.
        IdChecksum = "ID_CHECKSUM",
        /// Not a mainland mobile number.
        PhoneFormat = "PHONE_FORMAT",
        /// Not 15 to 19 digits.
        CardFormat = "CARD_FORMAT",
        /// A credit card cannot be a settlement card.
        CardTypeCredit = "CARD_TYPE_CREDIT",
        /// A prepaid card cannot be a settlement card.
        CardTypePrepaid = "CARD_TYPE_PREPAID",
        /// The card number is encrypted, and the import has no key that opens it.
        CardEncrypted = "CARD_ENCRYPTED",
        /// The merchant's account is too new for T+0.
        T0NotAllowed = "T0_NOT_ALLOWED",
        /// The daily limit exceeds the maximum of the tier.
        LimitAboveTier = "LIMIT_ABOVE_TIER",
        /// A merchant with this id exists, and was created from another content.
        MerchantExists = "MERCHANT_EXISTS",
        /// The account belongs to another merchant, perhaps in another spelling.
        AccountTaken = "ACCOUNT_TAKEN",
        /// The card is verified for another person.
        CardBoundElsewhere = "CARD_BOUND_ELSEWHERE",
        /// A payout with this id exists.
        PayoutExists = "PAYOUT_EXISTS",
    }
}

impl Fault {
    /// What is wrong, and what to do. The same text for every value.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotJson => "is not a JSON object in UTF-8",
            Self::LineTooLong => "is longer than 1 MiB",
            Self::Missing => "is required",
            Self::WrongType => "has another JSON type than the schema says",
            Self::UnknownMember => "is not a member of the schema",
            Self::RepeatedMember => "occurs twice",
            Self::Malformed => "does not have the form that the schema says",
            Self::TooLong => "is longer than the schema allows",
            Self::TooMany => {
                "has more entries than fit into one write; create the others with the core system's create_payout"
            }
            Self::InFuture => "is in the future",
            Self::TooFarAhead => "is further ahead than this system's own rules would set it",
            Self::Repeated => "has the same value as another member",
            Self::PasswordHash => {
                "is not $argon2id$v=19$m=19456,t=2,p=1$<salt>$<32 bytes>; a hash with other parameters cannot be converted, so \
                 set a new password"
            }
            Self::IdFormat => "does not have the form of its document type",
            Self::IdChecksum => "has a wrong check character",
            Self::PhoneFormat => "is not a mainland mobile number",
            Self::CardFormat => "does not have 15 to 19 digits",
            Self::CardTypeCredit => "is a credit card; import the merchant without a card",
            Self::CardTypePrepaid => "is a prepaid card; import the merchant without a card",
            Self::CardEncrypted => {
                "is encrypted; set --card-key to the file with the private key that opens it"
            }
            Self::T0NotAllowed => "is not allowed for an account opened so recently",
            Self::LimitAboveTier => "is above tier.daily_limit_max_fen",
            Self::MerchantExists => {
                "exists and was created from another content; nothing is overwritten"
            }
            Self::AccountTaken => "is another merchant's account, perhaps in another spelling",
            Self::CardBoundElsewhere => "is verified for another person",
            Self::PayoutExists => "exists",
        }
    }
}

impl From<ErrorCode> for Fault {
    /// Both vocabularies use the same words for the same mistakes.
    fn from(code: ErrorCode) -> Self {
        Self::parse(code.as_str()).unwrap_or(Self::Malformed)
    }
}

/// One invalid field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldFault {
    /// The path of the member, for example `migration.unsent_payouts[2].amount_fen`; empty for the whole object.
    pub field: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl FieldFault {
    /// A fault of this field.
    pub fn new(field: impl Into<String>, fault: Fault) -> Self {
        Self {
            field: field.into(),
            fault,
        }
    }
}

/// Collects every fault of one merchant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, field: impl Into<String>, fault: Fault) {
        self.0.push(FieldFault::new(field, fault));
    }

    /// The value, or `None` after adding its fault.
    pub fn take<T, E: Into<Fault>>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, E>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(field, fault.into());
                None
            }
        }
    }

    /// Adds the faults of a refusal whose fields are members of the object at `path`.
    pub fn extend_at(&mut self, path: &str, errors: Vec<FieldError>) {
        for FieldError { field, code } in errors {
            self.add(format!("{path}.{field}"), code.into());
        }
    }

    /// Adds other faults.
    pub fn extend(&mut self, others: Vec<FieldFault>) {
        self.0.extend(others);
    }

    /// True if there are no faults.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every fault, in the order of discovery.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldFault> {
        self.0
    }
}
