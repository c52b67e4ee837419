//! A rebind.

use super::card::{CardV1, NUMBER};
use super::merchant_state::ActivationV1;
use super::stored::{Stored, stored, stored_enum};
use super::{Attributes, check_version, due, version};
use crate::item::{Item, b, get_json, get_n, json, n, opt_b, opt_time, time};
use crate::shards::DueShards;
use application::ports::PortError;
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::policy::Policy;
use domain::rebind::{
    ActivatedCard, Attempts, CardCheck, End, IdentityProof, Purpose, Reason, Rebind, RebindState,
    Sealed, SentOtp, Signature, Standby, TestTransfer,
};
use serde::{Deserialize, Serialize};
use std::ops::Not;

stored! {
    /// The attribute `state`. The encrypted number, and each value that a write's condition compares, is an attribute
    /// of its own.
    struct RebindV1 of Rebind {
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
    but {
        revision: 0,
        youngest_device: None,
        sealed_number: None,
    }
}

stored_enum! {
    enum RebindStateV1 of RebindState {
        IdentityPending {
            #[serde(rename = "mis", default)]
            mismatches: u8,
            #[serde(rename = "ok", default)]
            matched: bool,
            #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
            code: Option<SentOtpV1>,
            #[serde(rename = "att", default)]
            attempts: AttemptsV1,
        }
        AgreementPending {
            #[serde(rename = "id")]
            identity: IdentityProofV1,
            #[serde(rename = "att", default)]
            attempts: AttemptsV1,
        }
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
        }
        Ended {
            how: End,
            at: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<ErrorCode>,
        }
        ;
        Standby(StandbyV1)
        Activated(ActivatedCardV1)
        Completed(ActivatedCardV1)
    }
}

stored! {
    struct SentOtpV1 of SentOtp {
        #[serde(rename = "m")]
        mac: String,
        #[serde(rename = "at")]
        sent_at: i64,
        #[serde(rename = "by")]
        session: String,
    }
}

stored! {
    #[derive(Default)]
    struct AttemptsV1 of Attempts {
        #[serde(rename = "n")]
        reserved: u8,
        #[serde(rename = "w")]
        wrong: u8,
        #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
        last_at: Option<i64>,
    }
}

stored! {
    struct IdentityProofV1 of IdentityProof {
        #[serde(rename = "at")]
        confirmed_at: i64,
    }
}

stored! {
    struct SignatureV1 of Signature {
        #[serde(rename = "at")]
        signed_at: i64,
        #[serde(rename = "ver")]
        version: String,
    }
}

stored_enum! {
    enum CardCheckV1 of CardCheck {
        NotAsked {
            #[serde(rename = "k")]
            next: u16,
        }
        Asking {
            #[serde(rename = "k")]
            number: u16,
            #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
            counted_at: Option<i64>,
            #[serde(rename = "from")]
            since: i64,
            #[serde(rename = "at")]
            asked_at: i64,
            #[serde(rename = "x", default, skip_serializing_if = "Not::not")]
            bound_elsewhere: bool,
        }
        Matched {
            #[serde(rename = "k")]
            number: u16,
            #[serde(rename = "at")]
            matched_at: i64,
            #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
            code: Option<SentOtpV1>,
        }
        Deposit {
            #[serde(rename = "k")]
            number: u16,
            #[serde(rename = "at")]
            sent_at: i64,
            #[serde(rename = "ok", default, skip_serializing_if = "Not::not")]
            arrived: bool,
            #[serde(rename = "seen")]
            checked_at: i64,
        }
    }
}

stored! {
    struct StandbyV1 of Standby {
        #[serde(rename = "at")]
        ready_at: i64,
        #[serde(rename = "use")]
        usable_at: i64,
        #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
        code: Option<SentOtpV1>,
        #[serde(rename = "att", default)]
        attempts: AttemptsV1,
    }
}

stored! {
    struct ActivatedCardV1 of ActivatedCard {
        #[serde(flatten)]
        times: ActivationV1,
        #[serde(rename = "test", skip_serializing_if = "Option::is_none")]
        test: Option<TestTransferV1>,
    }
}

/// A test transfer that was requested.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TestTransferV1 {
    Sent {
        #[serde(rename = "at")]
        sent_at: i64,
        #[serde(rename = "seen")]
        checked_at: i64,
    },
    Arrived {
        at: i64,
        #[serde(rename = "seen")]
        checked_at: i64,
    },
    CameBack,
    Closed {
        #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
        arrived_at: Option<i64>,
    },
}

impl Stored<TestTransfer> for Option<TestTransferV1> {
    fn of(value: &TestTransfer) -> Self {
        Some(match value {
            TestTransfer::NotSent => return None,
            TestTransfer::Sent {
                sent_at,
                checked_at,
            } => TestTransferV1::Sent {
                sent_at: Stored::of(sent_at),
                checked_at: Stored::of(checked_at),
            },
            TestTransfer::Arrived { at, checked_at } => TestTransferV1::Arrived {
                at: Stored::of(at),
                checked_at: Stored::of(checked_at),
            },
            TestTransfer::CameBack => TestTransferV1::CameBack,
            TestTransfer::Closed { arrived_at } => TestTransferV1::Closed {
                arrived_at: Stored::of(arrived_at),
            },
        })
    }

    fn back(self) -> Result<TestTransfer, PortError> {
        Ok(match self {
            None => TestTransfer::NotSent,
            Some(TestTransferV1::Sent {
                sent_at,
                checked_at,
            }) => TestTransfer::Sent {
                sent_at: sent_at.back()?,
                checked_at: checked_at.back()?,
            },
            Some(TestTransferV1::Arrived { at, checked_at }) => TestTransfer::Arrived {
                at: at.back()?,
                checked_at: checked_at.back()?,
            },
            Some(TestTransferV1::CameBack) => TestTransfer::CameBack,
            Some(TestTransferV1::Closed { arrived_at }) => TestTransfer::Closed {
                arrived_at: arrived_at.back()?,
            },
        })
    }
}

/// The rebind's attributes.
///
/// # Errors
/// `Permanent`, when it cannot be written as JSON.
pub fn attributes(
    merchant: &MerchantId,
    rebind: &Rebind,
    policy: &Policy,
    shards: DueShards,
) -> Result<Attributes, PortError> {
    let number = rebind.sealed_number.as_ref();
    let mut attributes = vec![
        version(),
        ("rev", Some(n(rebind.revision))),
        ("state", Some(json(&RebindV1::of(rebind))?)),
        (NUMBER, number.map(|sealed| b(&sealed.0))),
        ("device", rebind.youngest_device.map(time)),
    ];
    attributes.extend(due(shards, merchant, rebind.due_at(policy)));
    Ok(attributes)
}

/// A rebind, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Rebind, PortError> {
    check_version(item, "a rebind")?;
    let record: RebindV1 = get_json(item, "state")?;
    let mut rebind = record.back()?;
    rebind.revision = get_n(item, "rev")?;
    rebind.youngest_device = opt_time(item, "device");
    rebind.sealed_number = opt_b(item, NUMBER).map(Sealed);
    Ok(rebind)
}
