//! Sessions and freezes: the routes without a token.

use super::{Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::banner::Banner;
use domain::banner_code::BannerCode;
use domain::ids::MerchantId;
use domain::login::Account;
use domain::merchant::EntityType;
use domain::policy::Policy;
use domain::time::Timestamp;
use domain::vocabulary;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// A login.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Session {
    /// For `Authorization`; opaque. Shown only here.
    #[cfg_attr(feature = "schema", schemars(length(min = 32)))]
    pub token: String,
    /// The latest end of the session; it ends earlier after {session_idle_s} without a change.
    pub expires_at: Time,
    /// The merchant that logged in.
    pub merchant: Merchant,
    /// The banners to show after the login.
    #[cfg_attr(feature = "schema", schemars(length(max = 2)))]
    pub notices: Vec<Notice>,
}

impl Session {
    /// The session that begins now.
    #[must_use]
    pub fn new(
        token: String,
        account: &Account,
        banners: &[Banner],
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        Self {
            token,
            expires_at: Time(now.plus_s(policy.session_max_s)),
            merchant: Merchant {
                merchant_id: Text(account.merchant_id.clone()),
                legal_name_masked: account.legal_name_masked.clone(),
                entity_type: account.entity_type,
            },
            notices: banners.iter().map(Notice::from).collect(),
        }
    }
}

/// A merchant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Merchant {
    /// The acquirer's id.
    pub merchant_id: Text<MerchantId>,
    /// The first character of the name.
    #[cfg_attr(feature = "schema", schemars(with = "schema::NameMasked"))]
    pub legal_name_masked: String,
    /// Companies change their card with support.
    pub entity_type: EntityType,
}

/// A banner to show after the login.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::notice))]
pub struct Notice {
    /// The subject.
    pub code: BannerCode,
    /// For the merchant; may be shown as it is.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub detail_zh: String,
    /// The same in English.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub detail_en: String,
    /// With `ID_EXPIRING`: whole days to the document's last day, 0 on that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = Policy::CURRENT.id_banner_days)))]
    pub days_left: Option<i64>,
    /// With `ID_EXPIRING`: the last second of that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl From<&Banner> for Notice {
    fn from(banner: &Banner) -> Self {
        let Banner {
            code,
            detail_zh,
            detail_en,
            days_left,
            until,
        } = banner.clone();
        Self {
            code,
            detail_zh,
            detail_en,
            days_left,
            until: until.map(Time),
        }
    }
}

vocabulary! {
    /// The answer to a freeze code. The same whether or not anything was frozen.
    pub enum FreezeStatus {
        /// The request was received.
        Received = "received",
    }
}

/// A freeze code was received.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Freeze {
    /// The same whether or not anything was frozen.
    pub status: FreezeStatus,
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::banner::notices;
    use domain::format::DocumentExpiry;
    use serde_json::{Value, json};

    fn shown(now: &str) -> Value {
        let expiry = DocumentExpiry::parse("2026-11-22").unwrap();
        let now = Timestamp::parse_rfc3339(now).unwrap();
        json!(
            notices(&expiry, &Policy::CURRENT, now)
                .iter()
                .map(Notice::from)
                .collect::<Vec<_>>()
        )
    }

    #[test]
    fn a_notice_omits_what_does_not_apply() {
        let expiring = &shown("2026-10-28T10:00:00+08:00")[0];
        assert_eq!(expiring["code"], "ID_EXPIRING");
        assert_eq!(expiring["days_left"], 25);
        assert_eq!(expiring["until"], "2026-11-22T23:59:59+08:00");
        let expired = &shown("2026-11-23T00:00:00+08:00")[0];
        assert_eq!(expired["code"], "ID_EXPIRED");
        assert!(expired["detail_zh"].is_string() && expired["detail_en"].is_string());
        assert_eq!(expired.as_object().unwrap().len(), 3);
    }
}
