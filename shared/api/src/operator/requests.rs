//! The bodies of operators' requests. Unknown members are rejected.

use domain::secret::Secret;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Deserialize;

/// An account.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// The account's name.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub account: Option<Secret<String>>,
}

/// A rebind of the merchant.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OfRebind {
    /// The rebind.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub rebind_id: Option<String>,
}

/// The event whose notification is sent again.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resend {
    /// Its `sequence`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub sequence: Option<u64>,
}

/// A later date of the document on record.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RenewDocument {
    /// `YYYY-MM-DD` or `long_term`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub document_expires_on: Option<String>,
}

/// A change of the tier.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeTier {
    /// The highest daily limit that the merchant may choose, in fen; at least 1.
    #[cfg_attr(
        feature = "schema",
        schemars(required, range(min = 1, max = 9_007_199_254_740_991_u64))
    )]
    pub daily_limit_max_fen: Option<u64>,
}

/// The end of a freeze.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProposeUnfreeze {
    /// The merchant.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub merchant_id: Option<String>,
    /// The active card from now on; null leaves no active card, and payouts wait. Required, so that it is not forgotten.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "schema", schemars(required, with = "Option<String>"))]
    pub card_id: Option<Option<String>>,
}

/// A proposal about a merchant without other values.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProposeOf {
    /// The merchant.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub merchant_id: Option<String>,
}

/// A change of the record: exactly one of phone, password, names and document.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeContact {
    /// The merchant, in a proposal only.
    pub merchant_id: Option<String>,
    /// The new phone on file.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub phone: Option<Secret<String>>,
    /// True if the previous phone is no longer the merchant's and must not be notified any more.
    pub drop_previous_phone: Option<bool>,
    /// The PHC string of the new password.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub password_hash: Option<Secret<String>>,
    /// The registered name.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub legal_name: Option<Secret<String>>,
    /// The name on settlement cards, with `legal_name`, if it differs.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub settlement_name: Option<Secret<String>>,
    /// The kind of the new document; `resident_id` if absent.
    pub document_type: Option<String>,
    /// Its number.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub document_number: Option<Secret<String>>,
    /// Its expiry: `YYYY-MM-DD` or `long_term`.
    pub document_expires_on: Option<String>,
}

/// A key of the core system.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProposeCoreKey {
    /// The RFC 7638 thumbprint of the key, SHA-256, as base64url.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub thumbprint: Option<String>,
    /// True to remove the key from the registered ones.
    pub remove: Option<bool>,
}

/// An approval.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The digest that the proposal was shown with.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub digest: Option<String>,
}

/// Distinguishes a member that is null from a missing one.
fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}
