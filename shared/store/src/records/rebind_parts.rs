//! What the states of a rebind hold.

use super::merchant_state::ActivationV1;
use domain::rebind::{
    ActivatedCard, Attempts, CardCheck, IdentityProof, Mac, SentOtp, SessionTag, Signature,
    Standby, TestTransfer,
};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Not;

#[derive(Serialize, Deserialize)]
pub(super) struct SentOtpV1 {
    #[serde(rename = "m")]
    mac: String,
    #[serde(rename = "at")]
    sent_at: i64,
    #[serde(rename = "by")]
    session: String,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct AttemptsV1 {
    #[serde(rename = "n")]
    taken: u8,
    #[serde(rename = "w")]
    wrong: u8,
    #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
    last_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct IdentityProofV1 {
    #[serde(rename = "at")]
    confirmed_at: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SignatureV1 {
    #[serde(rename = "at")]
    signed_at: i64,
    #[serde(rename = "ver")]
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CardCheckV1 {
    NotAsked {
        #[serde(rename = "k")]
        next: u16,
    },
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
    },
    Matched {
        #[serde(rename = "k")]
        number: u16,
        #[serde(rename = "at")]
        matched_at: i64,
        #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
        code: Option<SentOtpV1>,
    },
    Deposit {
        #[serde(rename = "k")]
        number: u16,
        #[serde(rename = "at")]
        sent_at: i64,
        #[serde(rename = "ok", default, skip_serializing_if = "Not::not")]
        arrived: bool,
        #[serde(rename = "seen")]
        checked_at: i64,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct StandbyV1 {
    #[serde(rename = "at")]
    ready_at: i64,
    #[serde(rename = "use")]
    usable_at: i64,
    #[serde(rename = "otp", skip_serializing_if = "Option::is_none")]
    code: Option<SentOtpV1>,
    #[serde(rename = "att", default)]
    tries: AttemptsV1,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ActivatedCardV1 {
    #[serde(flatten)]
    times: ActivationV1,
    #[serde(rename = "test", skip_serializing_if = "Option::is_none")]
    test: Option<TestTransferV1>,
}

/// A test transfer, once it was asked for.
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
}

impl From<&SentOtp> for SentOtpV1 {
    fn from(otp: &SentOtp) -> Self {
        let SentOtp {
            mac,
            sent_at,
            session,
        } = otp;
        Self {
            mac: mac.0.clone(),
            sent_at: sent_at.epoch_s(),
            session: session.0.clone(),
        }
    }
}

impl From<SentOtpV1> for SentOtp {
    fn from(record: SentOtpV1) -> Self {
        Self {
            mac: Mac(record.mac),
            sent_at: Timestamp::from_epoch_s(record.sent_at),
            session: SessionTag(record.session),
        }
    }
}

impl From<&Attempts> for AttemptsV1 {
    fn from(attempts: &Attempts) -> Self {
        let Attempts {
            taken,
            wrong,
            last_at,
        } = attempts;
        Self {
            taken: *taken,
            wrong: *wrong,
            last_at: last_at.map(Timestamp::epoch_s),
        }
    }
}

impl From<AttemptsV1> for Attempts {
    fn from(record: AttemptsV1) -> Self {
        Self {
            taken: record.taken,
            wrong: record.wrong,
            last_at: record.last_at.map(Timestamp::from_epoch_s),
        }
    }
}

impl From<&IdentityProof> for IdentityProofV1 {
    fn from(IdentityProof { confirmed_at }: &IdentityProof) -> Self {
        Self {
            confirmed_at: confirmed_at.epoch_s(),
        }
    }
}

impl From<IdentityProofV1> for IdentityProof {
    fn from(record: IdentityProofV1) -> Self {
        Self {
            confirmed_at: Timestamp::from_epoch_s(record.confirmed_at),
        }
    }
}

impl From<&Signature> for SignatureV1 {
    fn from(Signature { signed_at, version }: &Signature) -> Self {
        Self {
            signed_at: signed_at.epoch_s(),
            version: version.clone(),
        }
    }
}

impl From<SignatureV1> for Signature {
    fn from(record: SignatureV1) -> Self {
        Self {
            signed_at: Timestamp::from_epoch_s(record.signed_at),
            version: record.version,
        }
    }
}

impl From<&CardCheck> for CardCheckV1 {
    fn from(check: &CardCheck) -> Self {
        match check {
            CardCheck::NotAsked { next } => Self::NotAsked { next: *next },
            CardCheck::Asking {
                number,
                counted_at,
                since,
                asked_at,
                bound_elsewhere,
            } => Self::Asking {
                number: *number,
                counted_at: counted_at.map(Timestamp::epoch_s),
                since: since.epoch_s(),
                asked_at: asked_at.epoch_s(),
                bound_elsewhere: *bound_elsewhere,
            },
            CardCheck::Matched {
                number,
                matched_at,
                code,
            } => Self::Matched {
                number: *number,
                matched_at: matched_at.epoch_s(),
                code: code.as_ref().map(SentOtpV1::from),
            },
            CardCheck::Deposit {
                number,
                sent_at,
                arrived,
                checked_at,
            } => Self::Deposit {
                number: *number,
                sent_at: sent_at.epoch_s(),
                arrived: *arrived,
                checked_at: checked_at.epoch_s(),
            },
        }
    }
}

impl From<CardCheckV1> for CardCheck {
    fn from(record: CardCheckV1) -> Self {
        match record {
            CardCheckV1::NotAsked { next } => Self::NotAsked { next },
            CardCheckV1::Asking {
                number,
                counted_at,
                since,
                asked_at,
                bound_elsewhere,
            } => Self::Asking {
                number,
                counted_at: counted_at.map(Timestamp::from_epoch_s),
                since: Timestamp::from_epoch_s(since),
                asked_at: Timestamp::from_epoch_s(asked_at),
                bound_elsewhere,
            },
            CardCheckV1::Matched {
                number,
                matched_at,
                code,
            } => Self::Matched {
                number,
                matched_at: Timestamp::from_epoch_s(matched_at),
                code: code.map(SentOtp::from),
            },
            CardCheckV1::Deposit {
                number,
                sent_at,
                arrived,
                checked_at,
            } => Self::Deposit {
                number,
                sent_at: Timestamp::from_epoch_s(sent_at),
                arrived,
                checked_at: Timestamp::from_epoch_s(checked_at),
            },
        }
    }
}

impl From<&Standby> for StandbyV1 {
    fn from(standby: &Standby) -> Self {
        let Standby {
            ready_at,
            usable_at,
            code,
            tries,
        } = standby;
        Self {
            ready_at: ready_at.epoch_s(),
            usable_at: usable_at.epoch_s(),
            code: code.as_ref().map(SentOtpV1::from),
            tries: tries.into(),
        }
    }
}

impl From<StandbyV1> for Standby {
    fn from(record: StandbyV1) -> Self {
        Self {
            ready_at: Timestamp::from_epoch_s(record.ready_at),
            usable_at: Timestamp::from_epoch_s(record.usable_at),
            code: record.code.map(SentOtp::from),
            tries: record.tries.into(),
        }
    }
}

impl From<&ActivatedCard> for ActivatedCardV1 {
    fn from(ActivatedCard { times, test }: &ActivatedCard) -> Self {
        Self {
            times: times.into(),
            test: match test {
                TestTransfer::NotSent => None,
                TestTransfer::Sent {
                    sent_at,
                    checked_at,
                } => Some(TestTransferV1::Sent {
                    sent_at: sent_at.epoch_s(),
                    checked_at: checked_at.epoch_s(),
                }),
                TestTransfer::Arrived { at, checked_at } => Some(TestTransferV1::Arrived {
                    at: at.epoch_s(),
                    checked_at: checked_at.epoch_s(),
                }),
                TestTransfer::CameBack => Some(TestTransferV1::CameBack),
            },
        }
    }
}

impl From<ActivatedCardV1> for ActivatedCard {
    fn from(record: ActivatedCardV1) -> Self {
        Self {
            times: record.times.into(),
            test: match record.test {
                None => TestTransfer::NotSent,
                Some(TestTransferV1::Sent {
                    sent_at,
                    checked_at,
                }) => TestTransfer::Sent {
                    sent_at: Timestamp::from_epoch_s(sent_at),
                    checked_at: Timestamp::from_epoch_s(checked_at),
                },
                Some(TestTransferV1::Arrived { at, checked_at }) => TestTransfer::Arrived {
                    at: Timestamp::from_epoch_s(at),
                    checked_at: Timestamp::from_epoch_s(checked_at),
                },
                Some(TestTransferV1::CameBack) => TestTransfer::CameBack,
            },
        }
    }
}
