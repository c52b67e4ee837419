//! The bodies of requests. Unknown members are refused. Every member is optional to the reader, so that one reply can name all
//! the missing ones; the domain checks the contents.

use domain::secret::Secret;
use serde::Deserialize;

/// A body without members.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Credentials, and the device that presents them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// The account's name.
    pub account: Option<String>,
    /// The account's password.
    pub password: Option<Secret<String>>,
    /// A random secret of at least 128 bits that the app keeps for as long as it is installed.
    pub device_id: Option<Secret<String>>,
}

/// The new card, and what becomes of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRebind {
    /// 15 to 19 digits with a valid check digit.
    pub card_number: Option<Secret<String>>,
    /// The holder's name as registered for settlement.
    pub holder_name: Option<Secret<String>>,
    /// The mobile number that the bank has for this card.
    pub reserved_phone: Option<Secret<String>>,
    /// Why the card changes. `lost`: nothing may be paid to the old card any more.
    pub reason: Option<String>,
    /// `false`: verify the card and keep it as a standby card.
    pub activate: Option<bool>,
}

/// The ID document.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckIdentity {
    /// A resident ID number with a valid check character.
    pub document_number: Option<Secret<String>>,
    /// The last day of the document's validity, or `long_term`.
    pub document_expires_on: Option<String>,
}

/// A code from an SMS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmCode {
    /// Six digits.
    pub code: Option<Secret<String>>,
}

/// A code that proves the card.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmCard {
    /// Six digits from an SMS; or the last six characters of a deposit's descriptor, in which case and spaces are ignored.
    pub code: Option<Secret<String>>,
}

/// Without a code, one is sent; with it, the card is activated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivateCard {
    /// Six digits.
    pub code: Option<Secret<String>>,
}

/// A signature under the agreement that was shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignAgreement {
    /// The version that was shown.
    pub version: Option<String>,
    /// The hash of the text that was shown.
    pub sha256: Option<String>,
    /// The token that came with the text.
    pub reading_token: Option<String>,
    /// The holder's name, typed by the merchant.
    pub signed_name: Option<Secret<String>>,
    /// The id of each consent that was given; all are needed.
    pub consents: Option<Vec<String>>,
}

/// Settlement settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutSettlement {
    /// When takings are paid out.
    pub cycle: Option<String>,
    /// Time of day in Shanghai.
    pub payout_time: Option<String>,
    /// Kept back from each payout; at most `daily_limit_fen`.
    pub retained_fen: Option<i64>,
    /// Paid out a day at most; bounded by the merchant's tier.
    pub daily_limit_fen: Option<i64>,
    /// Read-only: the current rate, or absent.
    pub fee_rate_bp: Option<i64>,
}

/// A device that receives pushes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutPushTarget {
    /// Who carries the push.
    pub platform: Option<String>,
    /// The platform's name for the installation. Never shown again.
    pub token: Option<Secret<String>>,
}

/// A freeze code, and the account that it belongs to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateFreeze {
    /// The account's name, as for the login.
    pub account: Option<String>,
    /// The 8 characters from the notification; case and spaces are ignored. Any other text gets the same answer.
    pub freeze_code: Option<Secret<String>>,
}
