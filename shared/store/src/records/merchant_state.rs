//! The state of a merchant.

use super::card::CardV1;
use super::window::WindowV1;
use super::{Attributes, check_version, due, is_zero, session, version};
use crate::item::{Item, broken, get_json, get_n, json, n, opt_time, time};
use application::ports::PortError;
use domain::ids::{CardId, MerchantId, RebindId};
use domain::merchant::{
    BankCall, BoundCard, FreezeCode, Frozen, LastActivation, MerchantState, PushTarget, Replaced,
    ReplacedCard, StandbyCard,
};
use domain::rebind::{Activation, Mac};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Not;

/// The attribute `state`. What a write's condition compares, and each session, is an attribute of its own.
#[derive(Serialize, Deserialize)]
struct MerchantStateV1 {
    #[serde(rename = "seq")]
    last_seq: u64,
    #[serde(rename = "hash")]
    last_hash: String,
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
    #[serde(rename = "repl", default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<ReplacedCardV1>,
    #[serde(rename = "held", default, skip_serializing_if = "is_zero")]
    held_payouts: u32,
    #[serde(rename = "fc", default, skip_serializing_if = "Vec::is_empty")]
    freeze_codes: Vec<FreezeCodeV1>,
    #[serde(rename = "push", default, skip_serializing_if = "Vec::is_empty")]
    push_targets: Vec<PushTargetV1>,
    #[serde(rename = "pushrm", skip_serializing_if = "Option::is_none")]
    push_removed_at: Option<i64>,
    #[serde(rename = "setn", default, skip_serializing_if = "WindowV1::is_empty")]
    setting_changes: WindowV1,
    #[serde(rename = "last", skip_serializing_if = "Option::is_none")]
    last_activation: Option<LastActivationV1>,
    #[serde(rename = "ntf", default, skip_serializing_if = "Not::not")]
    cooldown_end_untold: bool,
    #[serde(rename = "sec", skip_serializing_if = "Option::is_none")]
    security_changed_at: Option<i64>,
    #[serde(rename = "frz", skip_serializing_if = "Option::is_none")]
    frozen: Option<FrozenV1>,
    #[serde(rename = "lost", skip_serializing_if = "Option::is_none")]
    lost_at: Option<i64>,
    #[serde(rename = "req", default, skip_serializing_if = "WindowV1::is_empty")]
    requests: WindowV1,
    #[serde(rename = "mis", default, skip_serializing_if = "WindowV1::is_empty")]
    id_mismatches: WindowV1,
    #[serde(rename = "bank", default, skip_serializing_if = "Vec::is_empty")]
    bank_calls: Vec<BankCallV1>,
}

#[derive(Serialize, Deserialize)]
struct BoundCardV1 {
    #[serde(rename = "c")]
    card: CardV1,
    #[serde(rename = "fp")]
    fingerprint: String,
    #[serde(rename = "out", default, skip_serializing_if = "is_zero")]
    unsent: u32,
}

#[derive(Serialize, Deserialize)]
struct StandbyCardV1 {
    #[serde(flatten)]
    bound: BoundCardV1,
    #[serde(rename = "use")]
    usable_at: i64,
}

#[derive(Serialize, Deserialize)]
struct ReplacedCardV1 {
    #[serde(flatten)]
    bound: BoundCardV1,
    #[serde(rename = "until")]
    removable_at: i64,
    #[serde(rename = "is")]
    state: ReplacedV1,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum ReplacedV1 {
    #[serde(rename = "u")]
    Usable,
    #[serde(rename = "l")]
    Lost,
    #[serde(rename = "o")]
    Out,
}

/// The rebind's number, the end, whether it is of an activation.
#[derive(Serialize, Deserialize)]
struct FreezeCodeV1(u32, i64, bool);

/// Id, tag of the token.
#[derive(Serialize, Deserialize)]
struct PushTargetV1(String, String);

/// When, tag of the card.
#[derive(Serialize, Deserialize)]
struct BankCallV1(i64, String);

#[derive(Serialize, Deserialize)]
struct LastActivationV1 {
    #[serde(rename = "n")]
    number: u32,
    #[serde(rename = "id")]
    rebind_id: String,
    #[serde(flatten)]
    times: ActivationV1,
    #[serde(rename = "old", skip_serializing_if = "Option::is_none")]
    old_card: Option<String>,
}

/// The times of an activation, here and in a rebind.
#[derive(Serialize, Deserialize)]
pub(super) struct ActivationV1 {
    #[serde(rename = "at")]
    activated_at: i64,
    #[serde(rename = "eff")]
    effective_at: i64,
    #[serde(rename = "cool")]
    cooldown_until: i64,
}

#[derive(Serialize, Deserialize)]
struct FrozenV1 {
    at: i64,
    #[serde(rename = "hold", default, skip_serializing_if = "Not::not")]
    holds_payouts: bool,
}

/// The state's attributes, but for its sessions. `now`: when it is written.
pub fn attributes(
    merchant: &MerchantId,
    state: &MerchantState,
    now: Timestamp,
) -> Result<Attributes, PortError> {
    let mut attributes = vec![
        version(),
        ("version", Some(n(state.version))),
        ("state", Some(json(&MerchantStateV1::from(state))?)),
        ("cooldown_until", state.cooldown_until.map(time)),
    ];
    attributes.extend(due(merchant, state.due_at(now)));
    Ok(attributes)
}

/// The state of a merchant, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<MerchantState, PortError> {
    check_version(item, "a merchant's state")?;
    let record: MerchantStateV1 = get_json(item, "state")?;
    let mut state = MerchantState::try_from(record)?;
    state.version = get_n(item, "version")?;
    state.cooldown_until = opt_time(item, "cooldown_until");
    for (slot, session) in (0_u8..).zip(state.sessions.iter_mut()) {
        *session = session::read(item, slot);
    }
    Ok(state)
}

impl From<&MerchantState> for MerchantStateV1 {
    fn from(state: &MerchantState) -> Self {
        // Every field is named: a new one does not compile until its place is decided.
        let MerchantState {
            version: _,
            last_seq,
            last_hash,
            rebinds,
            rebind_version,
            open,
            active,
            standby,
            replaced,
            held_payouts,
            freeze_codes,
            push_targets,
            push_removed_at,
            setting_changes,
            last_activation,
            cooldown_until: _,
            cooldown_end_untold,
            security_changed_at,
            frozen,
            lost_at,
            requests,
            id_mismatches,
            bank_calls,
            sessions: _,
        } = state;
        Self {
            last_seq: *last_seq,
            last_hash: last_hash.clone(),
            rebinds: *rebinds,
            rebind_version: *rebind_version,
            open: *open,
            active: active.as_ref().map(BoundCardV1::from),
            standby: standby.iter().map(StandbyCardV1::from).collect(),
            replaced: replaced.iter().map(ReplacedCardV1::from).collect(),
            held_payouts: *held_payouts,
            freeze_codes: freeze_codes.iter().map(FreezeCodeV1::from).collect(),
            push_targets: push_targets.iter().map(PushTargetV1::from).collect(),
            push_removed_at: push_removed_at.map(Timestamp::epoch_s),
            setting_changes: setting_changes.into(),
            last_activation: last_activation.as_ref().map(LastActivationV1::from),
            cooldown_end_untold: *cooldown_end_untold,
            security_changed_at: security_changed_at.map(Timestamp::epoch_s),
            frozen: frozen.map(FrozenV1::from),
            lost_at: lost_at.map(Timestamp::epoch_s),
            requests: requests.into(),
            id_mismatches: id_mismatches.into(),
            bank_calls: bank_calls.iter().map(BankCallV1::from).collect(),
        }
    }
}

impl TryFrom<MerchantStateV1> for MerchantState {
    type Error = PortError;

    fn try_from(record: MerchantStateV1) -> Result<Self, PortError> {
        fn all<V, T: TryFrom<V, Error = PortError>>(values: Vec<V>) -> Result<Vec<T>, PortError> {
            values.into_iter().map(T::try_from).collect()
        }
        Ok(Self {
            version: 0,
            last_seq: record.last_seq,
            last_hash: record.last_hash,
            rebinds: record.rebinds,
            rebind_version: record.rebind_version,
            open: record.open,
            active: record.active.map(BoundCard::try_from).transpose()?,
            standby: all(record.standby)?,
            replaced: all(record.replaced)?,
            held_payouts: record.held_payouts,
            freeze_codes: record.freeze_codes.into_iter().map(Into::into).collect(),
            push_targets: record.push_targets.into_iter().map(Into::into).collect(),
            push_removed_at: record.push_removed_at.map(Timestamp::from_epoch_s),
            setting_changes: record.setting_changes.into(),
            last_activation: record
                .last_activation
                .map(LastActivation::try_from)
                .transpose()?,
            cooldown_until: None,
            cooldown_end_untold: record.cooldown_end_untold,
            security_changed_at: record.security_changed_at.map(Timestamp::from_epoch_s),
            frozen: record.frozen.map(Frozen::from),
            lost_at: record.lost_at.map(Timestamp::from_epoch_s),
            requests: record.requests.into(),
            id_mismatches: record.id_mismatches.into(),
            bank_calls: record.bank_calls.into_iter().map(Into::into).collect(),
            sessions: Default::default(),
        })
    }
}

impl From<&BoundCard> for BoundCardV1 {
    fn from(bound: &BoundCard) -> Self {
        let BoundCard {
            card,
            fingerprint,
            unsent,
        } = bound;
        Self {
            card: card.into(),
            fingerprint: fingerprint.0.clone(),
            unsent: *unsent,
        }
    }
}

impl TryFrom<BoundCardV1> for BoundCard {
    type Error = PortError;

    fn try_from(record: BoundCardV1) -> Result<Self, PortError> {
        Ok(Self {
            card: record.card.try_into()?,
            fingerprint: Mac(record.fingerprint),
            unsent: record.unsent,
        })
    }
}

impl From<&StandbyCard> for StandbyCardV1 {
    fn from(StandbyCard { bound, usable_at }: &StandbyCard) -> Self {
        Self {
            bound: bound.into(),
            usable_at: usable_at.epoch_s(),
        }
    }
}

impl TryFrom<StandbyCardV1> for StandbyCard {
    type Error = PortError;

    fn try_from(record: StandbyCardV1) -> Result<Self, PortError> {
        Ok(Self {
            bound: record.bound.try_into()?,
            usable_at: Timestamp::from_epoch_s(record.usable_at),
        })
    }
}

impl From<&ReplacedCard> for ReplacedCardV1 {
    fn from(card: &ReplacedCard) -> Self {
        let ReplacedCard {
            bound,
            removable_at,
            state,
        } = card;
        Self {
            bound: bound.into(),
            removable_at: removable_at.epoch_s(),
            state: match state {
                Replaced::Usable => ReplacedV1::Usable,
                Replaced::Lost => ReplacedV1::Lost,
                Replaced::Out => ReplacedV1::Out,
            },
        }
    }
}

impl TryFrom<ReplacedCardV1> for ReplacedCard {
    type Error = PortError;

    fn try_from(record: ReplacedCardV1) -> Result<Self, PortError> {
        Ok(Self {
            bound: record.bound.try_into()?,
            removable_at: Timestamp::from_epoch_s(record.removable_at),
            state: match record.state {
                ReplacedV1::Usable => Replaced::Usable,
                ReplacedV1::Lost => Replaced::Lost,
                ReplacedV1::Out => Replaced::Out,
            },
        })
    }
}

impl From<&FreezeCode> for FreezeCodeV1 {
    fn from(code: &FreezeCode) -> Self {
        let FreezeCode {
            number,
            good_until,
            activation,
        } = code;
        Self(*number, good_until.epoch_s(), *activation)
    }
}

impl From<FreezeCodeV1> for FreezeCode {
    fn from(FreezeCodeV1(number, good_until, activation): FreezeCodeV1) -> Self {
        Self {
            number,
            good_until: Timestamp::from_epoch_s(good_until),
            activation,
        }
    }
}

impl From<&PushTarget> for PushTargetV1 {
    fn from(PushTarget { id, token_tag }: &PushTarget) -> Self {
        Self(id.clone(), token_tag.clone())
    }
}

impl From<PushTargetV1> for PushTarget {
    fn from(PushTargetV1(id, token_tag): PushTargetV1) -> Self {
        Self { id, token_tag }
    }
}

impl From<&BankCall> for BankCallV1 {
    fn from(BankCall { at, card_tag }: &BankCall) -> Self {
        Self(at.epoch_s(), card_tag.clone())
    }
}

impl From<BankCallV1> for BankCall {
    fn from(BankCallV1(at, card_tag): BankCallV1) -> Self {
        Self {
            at: Timestamp::from_epoch_s(at),
            card_tag,
        }
    }
}

impl From<&LastActivation> for LastActivationV1 {
    fn from(last: &LastActivation) -> Self {
        let LastActivation {
            number,
            rebind_id,
            times,
            old_card,
        } = last;
        Self {
            number: *number,
            rebind_id: rebind_id.as_str().to_owned(),
            times: times.into(),
            old_card: old_card.as_ref().map(|id| id.as_str().to_owned()),
        }
    }
}

impl TryFrom<LastActivationV1> for LastActivation {
    type Error = PortError;

    fn try_from(record: LastActivationV1) -> Result<Self, PortError> {
        let old_card = record.old_card.map(|id| CardId::parse(&id).ok_or(id));
        Ok(Self {
            number: record.number,
            rebind_id: RebindId::parse(&record.rebind_id).ok_or_else(|| broken("a rebind's id"))?,
            times: record.times.into(),
            old_card: old_card.transpose().map_err(|_| broken("a card's id"))?,
        })
    }
}

impl From<&Activation> for ActivationV1 {
    fn from(times: &Activation) -> Self {
        let Activation {
            activated_at,
            effective_at,
            cooldown_until,
        } = times;
        Self {
            activated_at: activated_at.epoch_s(),
            effective_at: effective_at.epoch_s(),
            cooldown_until: cooldown_until.epoch_s(),
        }
    }
}

impl From<ActivationV1> for Activation {
    fn from(record: ActivationV1) -> Self {
        Self {
            activated_at: Timestamp::from_epoch_s(record.activated_at),
            effective_at: Timestamp::from_epoch_s(record.effective_at),
            cooldown_until: Timestamp::from_epoch_s(record.cooldown_until),
        }
    }
}

impl From<Frozen> for FrozenV1 {
    fn from(Frozen { at, holds_payouts }: Frozen) -> Self {
        Self {
            at: at.epoch_s(),
            holds_payouts,
        }
    }
}

impl From<FrozenV1> for Frozen {
    fn from(record: FrozenV1) -> Self {
        Self {
            at: Timestamp::from_epoch_s(record.at),
            holds_payouts: record.holds_payouts,
        }
    }
}
