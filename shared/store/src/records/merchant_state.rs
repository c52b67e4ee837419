//! The state of a merchant.

use super::card::CardV1;
use super::device_counts::DeviceCountsV1;
use super::stored::{Stored, stored};
use super::window::WindowV1;
use super::{Attributes, check_version, due, is_zero, session, version};
use crate::item::{Item, broken, get_json, get_n, json, n, opt_time, time};
use crate::shards::DueShards;
use application::ports::PortError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::device::DeviceTag;
use domain::ids::MerchantId;
use domain::merchant::{
    BankCall, BoundCard, FreezeCode, Frozen, LastActivation, MerchantState, PushTarget, Replaced,
    ReplacedCard, StandbyCard,
};
use domain::rebind::Activation;
use domain::settlement::{Cycle, PendingSettlement, Settlement};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Not;

stored! {
    /// The attribute `state`. Each session, and each value that a write's condition compares, is an attribute of its
    /// own.
    struct MerchantStateV1 of MerchantState {
        #[serde(rename = "seq")]
        last_seq: u64,
        #[serde(rename = "hash")]
        last_hash: HashV1,
        #[serde(rename = "n")]
        rebinds: u32,
        #[serde(rename = "rv")]
        rebind_version: u32,
        #[serde(rename = "open", skip_serializing_if = "Option::is_none")]
        open: Option<u32>,
        #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
        active: Option<BoundCardV1>,
        #[serde(rename = "stby", default, skip_serializing_if = "Vec::is_empty")]
        standby: Vec<StandbyCardV1>,
        #[serde(rename = "rp", default, skip_serializing_if = "Vec::is_empty")]
        replaced: Vec<ReplacedCardV1>,
        #[serde(rename = "hd", default, skip_serializing_if = "is_zero")]
        held_payouts: u32,
        #[serde(rename = "fc", default, skip_serializing_if = "Vec::is_empty")]
        freeze_codes: Vec<FreezeCodeV1>,
        #[serde(rename = "pt", default, skip_serializing_if = "Vec::is_empty")]
        push_targets: Vec<PushTargetV1>,
        #[serde(rename = "prm", skip_serializing_if = "Option::is_none")]
        push_removed_at: Option<i64>,
        #[serde(rename = "sn", default, skip_serializing_if = "WindowV1::is_empty")]
        setting_changes: WindowV1,
        #[serde(rename = "rn", default, skip_serializing_if = "WindowV1::is_empty")]
        push_refreshes: WindowV1,
        #[serde(rename = "last", skip_serializing_if = "Option::is_none")]
        last_activation: Option<LastActivationV1>,
        #[serde(rename = "ntf", default, skip_serializing_if = "Not::not")]
        cooldown_end_unannounced: bool,
        #[serde(rename = "sec", skip_serializing_if = "Option::is_none")]
        security_changed_at: Option<i64>,
        #[serde(rename = "frz", skip_serializing_if = "Option::is_none")]
        frozen: Option<FrozenV1>,
        #[serde(rename = "cl", skip_serializing_if = "Option::is_none")]
        closed_at: Option<i64>,
        #[serde(rename = "fg", skip_serializing_if = "Option::is_none")]
        freeze_guesses_notified_at: Option<i64>,
        #[serde(rename = "ns", default, skip_serializing_if = "WindowV1::is_empty")]
        notice_sms: WindowV1,
        #[serde(rename = "lo", skip_serializing_if = "Option::is_none")]
        lost_at: Option<i64>,
        #[serde(rename = "day", default, skip_serializing_if = "DeviceCountsV1::is_empty")]
        device_counts: DeviceCountsV1,
        #[serde(rename = "ms", default, skip_serializing_if = "WindowV1::is_empty")]
        id_mismatches: WindowV1,
        #[serde(rename = "bk", default, skip_serializing_if = "Vec::is_empty")]
        bank_calls: Vec<BankCallV1>,
        #[serde(rename = "set")]
        settlement: SettlementV1,
        #[serde(rename = "sp", skip_serializing_if = "Option::is_none")]
        pending_settlement: Option<PendingSettlementV1>,
        #[serde(rename = "rec")]
        record_version: u32,
    }
    but {
        version: 0,
        cooldown_until: None,
        erased_at: None,
        sessions: Default::default(),
    }
}

stored! {
    struct BoundCardV1 of BoundCard {
        #[serde(rename = "c")]
        card: CardV1,
        #[serde(rename = "fp")]
        fingerprint: String,
        #[serde(rename = "out", default, skip_serializing_if = "is_zero")]
        unsent: u32,
        #[serde(rename = "snd", default, skip_serializing_if = "is_zero")]
        sending: u32,
    }
}

stored! {
    struct StandbyCardV1 of StandbyCard {
        #[serde(flatten)]
        bound: BoundCardV1,
        #[serde(rename = "use")]
        usable_at: i64,
        #[serde(rename = "w", default, skip_serializing_if = "Not::not")]
        waits: bool,
    }
}

stored! {
    struct ReplacedCardV1 of ReplacedCard {
        #[serde(flatten)]
        bound: BoundCardV1,
        #[serde(rename = "until")]
        removable_at: i64,
        #[serde(rename = "is")]
        state: ReplacedV1,
    }
}

stored! {
    struct LastActivationV1 of LastActivation {
        #[serde(rename = "n")]
        number: u32,
        #[serde(rename = "id")]
        rebind_id: String,
        #[serde(flatten)]
        times: ActivationV1,
        #[serde(rename = "old", skip_serializing_if = "Option::is_none")]
        old_card: Option<String>,
    }
}

stored! {
    /// The times of an activation, here and in a rebind.
    struct ActivationV1 of Activation {
        #[serde(rename = "at")]
        activated_at: i64,
        #[serde(rename = "eff")]
        effective_at: i64,
        #[serde(rename = "cool")]
        cooldown_until: i64,
        #[serde(rename = "w", default, skip_serializing_if = "Not::not")]
        waits: bool,
    }
}

stored! {
    struct FrozenV1 of Frozen {
        #[serde(rename = "at")]
        at: i64,
        #[serde(rename = "hold", default, skip_serializing_if = "Not::not")]
        holds_payouts: bool,
    }
}

const HASH_BYTES: usize = 32;

/// The hash in base64url, which is shorter than hex.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct HashV1(String);

impl Stored<String> for HashV1 {
    fn of(hex: &String) -> Self {
        let bytes = hex::decode(hex);
        Self(bytes.map_or_else(|_| hex.clone(), |bytes| URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn back(self) -> Result<String, PortError> {
        let bytes = URL_SAFE_NO_PAD.decode(self.0).ok();
        let bytes = bytes.filter(|bytes| bytes.len() == HASH_BYTES);
        bytes.map(hex::encode).ok_or_else(|| broken("a hash"))
    }
}

#[derive(Serialize, Deserialize)]
enum ReplacedV1 {
    #[serde(rename = "u")]
    Usable,
    #[serde(rename = "l")]
    Lost,
    #[serde(rename = "o")]
    Out,
    #[serde(rename = "b")]
    Barred,
}

impl Stored<Replaced> for ReplacedV1 {
    fn of(value: &Replaced) -> Self {
        match value {
            Replaced::Usable => Self::Usable,
            Replaced::Lost => Self::Lost,
            Replaced::Out => Self::Out,
            Replaced::Barred => Self::Barred,
        }
    }

    fn back(self) -> Result<Replaced, PortError> {
        Ok(match self {
            Self::Usable => Replaced::Usable,
            Self::Lost => Replaced::Lost,
            Self::Out => Replaced::Out,
            Self::Barred => Replaced::Barred,
        })
    }
}

/// The event's sequence number, then as far as they are not 0: the end (0 without one), the rebind's number (0 without one),
/// and 1 if it belongs to an activation.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct FreezeCodeV1(Vec<i64>);

impl Stored<FreezeCode> for FreezeCodeV1 {
    fn of(value: &FreezeCode) -> Self {
        let FreezeCode {
            seq,
            rebind,
            good_until,
            activation,
        } = value;
        let mut numbers = vec![
            i64::try_from(*seq).unwrap_or(i64::MAX),
            good_until.map_or(0, Timestamp::epoch_s),
            i64::from(rebind.unwrap_or(0)),
            i64::from(*activation),
        ];
        while numbers.len() > 1 && numbers.last() == Some(&0) {
            numbers.pop();
        }
        Self(numbers)
    }

    fn back(self) -> Result<FreezeCode, PortError> {
        let number = |index: usize| self.0.get(index).copied().unwrap_or(0);
        let unsigned = |index| u64::try_from(number(index)).map_err(|_| broken("a freeze code"));
        let rebind = u32::try_from(unsigned(2)?).map_err(|_| broken("a freeze code"))?;
        let until = (number(1) != 0).then(|| Timestamp::from_epoch_s(number(1)));
        Ok(FreezeCode {
            seq: unsigned(0)?,
            rebind: (rebind != 0).then_some(rebind),
            good_until: until,
            activation: number(3) != 0,
        })
    }
}

/// Id, tag of the token, time of the registration, tag of the device that registered it.
#[derive(Serialize, Deserialize)]
struct PushTargetV1(
    String,
    String,
    #[serde(default)] i64,
    #[serde(default)] String,
);

impl Stored<PushTarget> for PushTargetV1 {
    fn of(value: &PushTarget) -> Self {
        let PushTarget {
            id,
            token_tag,
            device,
            registered_at,
        } = value;
        Self(
            id.clone(),
            token_tag.clone(),
            registered_at.epoch_s(),
            device.0.clone(),
        )
    }

    fn back(self) -> Result<PushTarget, PortError> {
        let Self(id, token_tag, registered_at, device) = self;
        Ok(PushTarget {
            id,
            token_tag,
            device: DeviceTag(device),
            registered_at: registered_at.back()?,
        })
    }
}

/// The settings, then the time of their effect.
#[derive(Serialize, Deserialize)]
struct PendingSettlementV1(Cycle, String, u64, u64, i64);

impl Stored<PendingSettlement> for PendingSettlementV1 {
    fn of(value: &PendingSettlement) -> Self {
        let PendingSettlement {
            settings,
            effective_at,
        } = value;
        let SettlementV1(cycle, payout_time, retained, limit) = SettlementV1::of(settings);
        Self(cycle, payout_time, retained, limit, effective_at.epoch_s())
    }

    fn back(self) -> Result<PendingSettlement, PortError> {
        let Self(cycle, payout_time, retained, limit, effective_at) = self;
        Ok(PendingSettlement {
            settings: SettlementV1(cycle, payout_time, retained, limit).back()?,
            effective_at: effective_at.back()?,
        })
    }
}

/// Cycle, payout time, retained amount, daily limit.
#[derive(Serialize, Deserialize)]
struct SettlementV1(Cycle, String, u64, u64);

impl Stored<Settlement> for SettlementV1 {
    fn of(value: &Settlement) -> Self {
        let Settlement {
            cycle,
            payout_time,
            retained_fen,
            daily_limit_fen,
        } = value;
        let payout_time = Stored::of(payout_time);
        Self(*cycle, payout_time, *retained_fen, *daily_limit_fen)
    }

    fn back(self) -> Result<Settlement, PortError> {
        let Self(cycle, payout_time, retained_fen, daily_limit_fen) = self;
        Ok(Settlement {
            cycle,
            payout_time: payout_time.back()?,
            retained_fen,
            daily_limit_fen,
        })
    }
}

/// Time, tag of the card.
#[derive(Serialize, Deserialize)]
struct BankCallV1(i64, String);

impl Stored<BankCall> for BankCallV1 {
    fn of(BankCall { at, card_tag }: &BankCall) -> Self {
        Self(at.epoch_s(), card_tag.clone())
    }

    fn back(self) -> Result<BankCall, PortError> {
        let Self(at, card_tag) = self;
        Ok(BankCall {
            at: at.back()?,
            card_tag,
        })
    }
}

/// The attribute of an erased merchant, for conditions of writes that do not compare the version.
pub(crate) const ERASED: &str = "erased";

/// The state's attributes, without its sessions; `now` is the time of the write.
///
/// # Errors
/// `Permanent`, when it cannot be written as JSON.
pub fn attributes(
    merchant: &MerchantId,
    state: &MerchantState,
    now: Timestamp,
    shards: DueShards,
) -> Result<Attributes, PortError> {
    let mut attributes = vec![
        version(),
        ("version", Some(n(state.version))),
        ("state", Some(json(&MerchantStateV1::of(state))?)),
        ("cooldown_until", state.cooldown_until.map(time)),
    ];
    // Never removed, so no other write mentions it.
    attributes.extend(state.erased_at.map(|at| (ERASED, Some(time(at)))));
    attributes.extend(due(shards, merchant, state.due_at(now)));
    Ok(attributes)
}

/// The state of a merchant, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<MerchantState, PortError> {
    check_version(item, "a merchant's state")?;
    let record: MerchantStateV1 = get_json(item, "state")?;
    let mut state = record.back()?;
    state.version = get_n(item, "version")?;
    state.cooldown_until = opt_time(item, "cooldown_until");
    state.erased_at = opt_time(item, ERASED);
    for (slot, session) in (0_u8..).zip(state.sessions.iter_mut()) {
        *session = session::read(item, slot);
    }
    Ok(state)
}
