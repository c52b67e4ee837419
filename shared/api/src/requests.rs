//! The bodies of requests. Unknown members are rejected. Every member is optional to the parser, so that one reply can
//! name all missing ones; the domain validates the contents.

#[cfg(feature = "schema")]
use crate::schema;
use domain::secret::Secret;
#[cfg(feature = "schema")]
use domain::{
    agreement::ConsentId, pii::DocumentType, push::PushPlatform, rebind::Reason, settlement::Cycle,
};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A body without members.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Credentials, and the device that presents them.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The account's name. One of digits may be typed like a phone number.
    #[cfg_attr(feature = "schema", schemars(required, length(min = 1, max = 64)))]
    pub account: Option<String>,
    /// The account's password.
    #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = 256), extend("format" = "password")))]
    pub password: Option<Secret<String>>,
    /// A random secret of at least 128 bits that the app keeps for as long as it is installed.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 128))
    )]
    pub device_id: Option<Secret<String>>,
}

/// The new card and its purpose.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateRebind {
    /// 15 to 19 digits.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = "^[0-9]{15,19}$"))
    )]
    pub card_number: Option<Secret<String>>,
    /// The holder's name as registered for settlement.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 128))
    )]
    pub holder_name: Option<Secret<String>>,
    /// The mobile number that the bank has for this card.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = "^(\\+86)?1[3-9][0-9]{9}$"))
    )]
    pub reserved_phone: Option<Secret<String>>,
    /// Why the card changes. `lost`: nothing may be paid to the old card any more.
    #[cfg_attr(feature = "schema", schemars(with = "Reason"))]
    pub reason: Option<String>,
    /// `false`: verify the card and keep it as a standby card.
    #[cfg_attr(feature = "schema", schemars(extend("default" = true)))]
    pub activate: Option<bool>,
    /// `true`: the merchant has confirmed the card number although its check digit is wrong. The bank decides.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    pub number_confirmed: Option<bool>,
}

/// The ID document.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckIdentity {
    /// The kind of the document in the record.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<DocumentType>", extend("default" = "resident_id"))
    )]
    pub document_type: Option<String>,
    /// The number of the document; its form depends on the kind. A resident ID has 18 characters with a valid check
    /// character.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = "^[0-9A-Za-z]{5,18}$"))
    )]
    pub document_number: Option<Secret<String>>,
    /// The last day of the document's validity, or `long_term`.
    #[cfg_attr(
        feature = "schema",
        schemars(required, regex(pattern = "^([0-9]{4}-[0-9]{2}-[0-9]{2}|long_term)$"))
    )]
    pub document_expires_on: Option<String>,
}

/// A code from an SMS.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmCode {
    /// Six digits.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", regex(pattern = "^[0-9]{6}$"))
    )]
    pub code: Option<Secret<String>>,
}

/// A code that proves the card.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmCard {
    /// Six digits from an SMS; or the last six characters of a deposit's descriptor, whose case is ignored.
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            regex(pattern = "^ *([0-9A-Za-z] *){6}$"),
            length(max = 32)
        )
    )]
    pub code: Option<Secret<String>>,
}

/// Without a code, one is sent; with it, the card is activated.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ActivateCard {
    /// Six digits.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<String>", regex(pattern = "^[0-9]{6}$"))
    )]
    pub code: Option<Secret<String>>,
}

/// A signature under the agreement that was shown.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignAgreement {
    /// The version that was shown.
    #[cfg_attr(feature = "schema", schemars(required, length(min = 1, max = 64)))]
    pub version: Option<String>,
    /// The hash of the text that was shown.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub sha256: Option<String>,
    /// The token that came with the text.
    #[cfg_attr(feature = "schema", schemars(required, length(min = 1, max = 1024)))]
    pub reading_token: Option<String>,
    /// The holder's name, typed by the merchant.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "String", length(min = 1, max = 128))
    )]
    pub signed_name: Option<Secret<String>>,
    /// The id of each consent that was given; all are needed.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Vec<ConsentId>", length(max = 16))
    )]
    pub consents: Option<Vec<String>>,
}

/// Settlement settings.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutSettlement {
    /// The day of payouts.
    #[cfg_attr(feature = "schema", schemars(with = "Cycle"))]
    pub cycle: Option<String>,
    /// Time of day in Shanghai.
    #[cfg_attr(feature = "schema", schemars(with = "schema::PayoutTime"))]
    pub payout_time: Option<String>,
    /// The amount retained from each payout; at most `daily_limit_fen`.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Fen"))]
    pub retained_fen: Option<i64>,
    /// The maximum paid out per day; bounded by the merchant's tier.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "schema::Fen", extend("minimum" = 1))
    )]
    pub daily_limit_fen: Option<i64>,
    /// Read-only: the current rate, or absent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::FeeRateBp>"))]
    pub fee_rate_bp: Option<i64>,
    /// Read-only: accepted and ignored, so that the reply of `GET` can be sent back.
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Value>"))]
    pub pending: Option<IgnoredAny>,
}

/// A device that receives pushes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutPushTarget {
    /// The service that delivers push notifications.
    #[cfg_attr(feature = "schema", schemars(with = "PushPlatform"))]
    pub platform: Option<String>,
    /// The platform's name for the installation. Never shown again.
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            length(min = 1, max = 4096),
            regex(pattern = "^[!-~]+$")
        )
    )]
    pub token: Option<Secret<String>>,
}

/// A freeze code, and the account that it belongs to.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateFreeze {
    /// The account's name, as for the login.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub account: Option<String>,
    /// The 8 characters from the notification; case is ignored. A wrong code gets the same answer as a right one.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub freeze_code: Option<Secret<String>>,
}
