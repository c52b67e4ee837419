//! A rebind.

use super::card::{CardV1, NUMBER};
use super::rebind_parts::{
    ActivatedCardV1, AttemptsV1, CardCheckV1, IdentityProofV1, SentOtpV1, SignatureV1, StandbyV1,
};
use super::{Attributes, check_version, due, version};
use crate::item::{Item, b, broken, get_json, get_n, json, n, opt_b};
use application::ports::PortError;
use domain::card::Card;
use domain::error_code::ErrorCode;
use domain::ids::{MerchantId, RebindId};
use domain::pii::Phone;
use domain::policy::Policy;
use domain::rebind::{End, Mac, Purpose, Reason, Rebind, RebindState, Sealed, SentOtp};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The attribute `state`.
#[derive(Serialize, Deserialize)]
struct RebindV1 {
    #[serde(rename = "id")]
    rebind_id: String,
    #[serde(rename = "ver")]
    version: u32,
    #[serde(rename = "for")]
    purpose: Purpose,
    #[serde(rename = "why")]
    reason: Reason,
    #[serde(rename = "new")]
    new_card: CardV1,
    #[serde(rename = "old", skip_serializing_if = "Option::is_none")]
    old_card: Option<CardV1>,
    #[serde(rename = "fp")]
    fingerprint: String,
    #[serde(rename = "tel")]
    reserved_phone: String,
    #[serde(rename = "at")]
    created_at: i64,
    #[serde(rename = "exp")]
    expires_at: i64,
    #[serde(rename = "st")]
    stage: RebindStateV1,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RebindStateV1 {
    IdentityPending {
        #[serde(rename = "mis", default)]
        mismatches: u8,
        #[serde(rename = "ok", default)]
        matched: bool,
        #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
        code: Option<SentOtpV1>,
        #[serde(rename = "att", default)]
        tries: AttemptsV1,
    },
    AgreementPending {
        #[serde(rename = "id")]
        identity: IdentityProofV1,
        #[serde(rename = "att", default)]
        tries: AttemptsV1,
    },
    CardPending {
        #[serde(rename = "id")]
        identity: IdentityProofV1,
        #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
        refresh: Option<SentOtpV1>,
        #[serde(rename = "att", default)]
        identity_attempts: AttemptsV1,
        #[serde(rename = "sig")]
        signature: SignatureV1,
        #[serde(rename = "chk")]
        check: CardCheckV1,
        #[serde(rename = "catt", default)]
        card_attempts: AttemptsV1,
    },
    Standby(StandbyV1),
    Activated(ActivatedCardV1),
    Completed(ActivatedCardV1),
    Ended {
        how: End,
        at: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<ErrorCode>,
    },
}

/// The rebind's attributes.
pub fn attributes(
    merchant: &MerchantId,
    rebind: &Rebind,
    policy: &Policy,
) -> Result<Attributes, PortError> {
    let number = rebind.sealed_number.as_ref();
    let mut attributes = vec![
        version(),
        ("rev", Some(n(rebind.revision))),
        ("state", Some(json(&RebindV1::from(rebind))?)),
        (NUMBER, number.map(|sealed| b(&sealed.0))),
    ];
    attributes.extend(due(merchant, rebind.due_at(policy)));
    Ok(attributes)
}

/// A rebind, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Rebind, PortError> {
    check_version(item, "a rebind")?;
    let record: RebindV1 = get_json(item, "state")?;
    let mut rebind = Rebind::try_from(record)?;
    rebind.revision = get_n(item, "rev")?;
    rebind.sealed_number = opt_b(item, NUMBER).map(Sealed);
    Ok(rebind)
}

impl From<&Rebind> for RebindV1 {
    fn from(rebind: &Rebind) -> Self {
        // Every field is named: a new one does not compile until its place is decided.
        let Rebind {
            rebind_id,
            revision: _,
            version,
            purpose,
            reason,
            new_card,
            old_card,
            fingerprint,
            reserved_phone,
            created_at,
            expires_at,
            stage,
            sealed_number: _,
        } = rebind;
        Self {
            rebind_id: rebind_id.as_str().to_owned(),
            version: *version,
            purpose: *purpose,
            reason: *reason,
            new_card: new_card.into(),
            old_card: old_card.as_ref().map(CardV1::from),
            fingerprint: fingerprint.0.clone(),
            reserved_phone: reserved_phone.e164().to_owned(),
            created_at: created_at.epoch_s(),
            expires_at: expires_at.epoch_s(),
            stage: stage.into(),
        }
    }
}

impl TryFrom<RebindV1> for Rebind {
    type Error = PortError;

    fn try_from(record: RebindV1) -> Result<Self, PortError> {
        Ok(Self {
            rebind_id: RebindId::parse(&record.rebind_id).ok_or_else(|| broken("a rebind's id"))?,
            revision: 0,
            version: record.version,
            purpose: record.purpose,
            reason: record.reason,
            new_card: record.new_card.try_into()?,
            old_card: record.old_card.map(Card::try_from).transpose()?,
            fingerprint: Mac(record.fingerprint),
            reserved_phone: Phone::parse(&record.reserved_phone)
                .map_err(|_| broken("the reserved phone"))?,
            created_at: Timestamp::from_epoch_s(record.created_at),
            expires_at: Timestamp::from_epoch_s(record.expires_at),
            stage: record.stage.into(),
            sealed_number: None,
        })
    }
}

impl From<&RebindState> for RebindStateV1 {
    fn from(state: &RebindState) -> Self {
        match state {
            RebindState::IdentityPending {
                mismatches,
                matched,
                code,
                tries,
            } => Self::IdentityPending {
                mismatches: *mismatches,
                matched: *matched,
                code: code.as_ref().map(SentOtpV1::from),
                tries: tries.into(),
            },
            RebindState::AgreementPending { identity, tries } => Self::AgreementPending {
                identity: identity.into(),
                tries: tries.into(),
            },
            RebindState::CardPending {
                identity,
                refresh,
                identity_attempts,
                signature,
                check,
                card_attempts,
            } => Self::CardPending {
                identity: identity.into(),
                refresh: refresh.as_ref().map(SentOtpV1::from),
                identity_attempts: identity_attempts.into(),
                signature: signature.into(),
                check: check.into(),
                card_attempts: card_attempts.into(),
            },
            RebindState::Standby(standby) => Self::Standby(standby.into()),
            RebindState::Activated(card) => Self::Activated(card.into()),
            RebindState::Completed(card) => Self::Completed(card.into()),
            RebindState::Ended { how, at, reason } => Self::Ended {
                how: *how,
                at: at.epoch_s(),
                reason: *reason,
            },
        }
    }
}

impl From<RebindStateV1> for RebindState {
    fn from(record: RebindStateV1) -> Self {
        match record {
            RebindStateV1::IdentityPending {
                mismatches,
                matched,
                code,
                tries,
            } => Self::IdentityPending {
                mismatches,
                matched,
                code: code.map(SentOtp::from),
                tries: tries.into(),
            },
            RebindStateV1::AgreementPending { identity, tries } => Self::AgreementPending {
                identity: identity.into(),
                tries: tries.into(),
            },
            RebindStateV1::CardPending {
                identity,
                refresh,
                identity_attempts,
                signature,
                check,
                card_attempts,
            } => Self::CardPending {
                identity: identity.into(),
                refresh: refresh.map(SentOtp::from),
                identity_attempts: identity_attempts.into(),
                signature: signature.into(),
                check: check.into(),
                card_attempts: card_attempts.into(),
            },
            RebindStateV1::Standby(standby) => Self::Standby(standby.into()),
            RebindStateV1::Activated(card) => Self::Activated(card.into()),
            RebindStateV1::Completed(card) => Self::Completed(card.into()),
            RebindStateV1::Ended { how, at, reason } => Self::Ended {
                how,
                at: Timestamp::from_epoch_s(at),
                reason,
            },
        }
    }
}
