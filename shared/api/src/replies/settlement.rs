//! Payouts, settlement settings and the history.

use super::{Card, Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::event_kind::EventKind;
use domain::history;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant as DomainMerchant;
use domain::payout::{Payout as DomainPayout, PayoutState};
use domain::policy::Policy;
use domain::settlement::{self, Cycle};
use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::ops::Not;

/// A payout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::payout))]
pub struct Payout {
    /// The acquirer's id.
    pub payout_id: Text<PayoutId>,
    /// The amount in fen.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Fen", extend("minimum" = 1)))]
    pub amount_fen: u64,
    /// When it was created.
    pub created_at: Time,
    /// The card that receives the payout; null while it is held without a card.
    pub card: Option<Card>,
    /// Not sent until it has a card, or until the account is no longer frozen.
    pub held: bool,
    /// `unsent` or `sending`. A freeze does not stop a payment that has begun.
    pub status: PayoutState,
    /// When it is expected to be sent, if nothing holds it.
    pub expected_at: Time,
    /// True if the public holidays of that year are not announced yet, so that `expected_at` may be too early.
    #[serde(skip_serializing_if = "Not::not")]
    pub estimated: bool,
}

impl Payout {
    /// A payout of this merchant. One that waits for a hold to end is expected after it.
    #[must_use]
    pub fn new(
        merchant: &DomainMerchant,
        payout: &DomainPayout,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let DomainPayout {
            payout_id,
            amount_fen,
            created_at,
            card,
            state,
            releases: _, // for the core system and the history
        } = payout;
        let card = card
            .as_ref()
            .filter(|_| !merchant.state.awaits_card(payout));
        let routed_at = match (card, merchant.state.hold(now)) {
            (None, Some(last)) => last.times.effective_at.max(*created_at),
            _ => *created_at,
        };
        let expected = settlement::expected_at(merchant.settlement(policy, now), routed_at, now);
        Self {
            payout_id: Text(payout_id.clone()),
            amount_fen: *amount_fen,
            created_at: Time(*created_at),
            card: card.map(|card| Card::new(merchant, card, now)),
            held: merchant.holds(payout),
            status: *state,
            expected_at: Time(expected.at),
            estimated: expected.is_estimated,
        }
    }
}

/// Settlement settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Settlement {
    /// The settings in force.
    #[serde(flatten)]
    pub in_force: Settings,
    /// The fee in basis points (1/10000). It can be read only.
    #[cfg_attr(feature = "schema", schemars(with = "schema::FeeRateBp"))]
    pub fee_rate_bp: u32,
    /// Accepted settings that take effect later; null if there are none.
    pub pending: Option<PendingSettlement>,
}

/// Accepted settings that take effect later.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct PendingSettlement {
    /// The settings.
    #[serde(flatten)]
    pub settings: Settings,
    /// When they take effect.
    pub effective_at: Time,
}

/// The settings that a merchant chooses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Settings {
    /// The day of payouts.
    pub cycle: Cycle,
    /// Time of the day in Shanghai.
    #[cfg_attr(feature = "schema", schemars(with = "schema::PayoutTime"))]
    pub payout_time: String,
    /// The amount retained from each payout.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Fen"))]
    pub retained_fen: u64,
    /// The maximum paid out per day.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Fen"))]
    pub daily_limit_fen: u64,
}

impl Settlement {
    /// The settings of this merchant at `now`.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, policy: &Policy, now: Timestamp) -> Self {
        let pending = merchant.pending_settlement(now);
        Self {
            in_force: merchant.settlement(policy, now).into(),
            fee_rate_bp: merchant.profile.fee_rate_bp,
            pending: pending.map(|pending| PendingSettlement {
                settings: (&pending.settings).into(),
                effective_at: Time(pending.effective_at),
            }),
        }
    }
}

impl From<&settlement::Settlement> for Settings {
    fn from(settings: &settlement::Settlement) -> Self {
        let settlement::Settlement {
            cycle,
            payout_time,
            retained_fen,
            daily_limit_fen,
        } = settings;
        Self {
            cycle: *cycle,
            payout_time: payout_time.to_string(),
            retained_fen: *retained_fen,
            daily_limit_fen: *daily_limit_fen,
        }
    }
}

/// One event of the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Event {
    /// `evt_` and the sequence number.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^evt_[1-9][0-9]*$"), length(max = 24))
    )]
    pub event_id: String,
    /// From 1, without a gap.
    #[cfg_attr(
        feature = "schema",
        schemars(range(min = 1, max = 9_007_199_254_740_991_u64))
    )]
    pub sequence: u64,
    /// The time of the event.
    pub at: Time,
    /// The kind of the event.
    pub kind: EventKind,
    /// The version of the policy that applied.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_u64)))]
    pub policy_version: u32,
    /// Facts without personal data. Which ones depends on `kind`; more can be added.
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 64, "propertyNames" = {"pattern": "^[a-z][a-z0-9_]*$"})))]
    pub data: Map<String, Value>,
    /// Of the ciphertext of the personal data; null without personal data. Erasing the key leaves the chain whole.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Sha256>"))]
    pub personal_sha256: Option<String>,
    /// The `hash` of the previous event; 64 zeros for the first.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub prev_hash: String,
    /// SHA-256 of the event's canonical form, see `GET /v1/history`.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub hash: String,
}

/// The end of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct HistoryHead {
    /// The sequence of the last event; 0 without events.
    #[cfg_attr(
        feature = "schema",
        schemars(range(min = 0, max = 9_007_199_254_740_991_u64))
    )]
    pub sequence: u64,
    /// Its hash; 64 zeros without events.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub hash: String,
}

impl From<&DomainMerchant> for HistoryHead {
    fn from(merchant: &DomainMerchant) -> Self {
        Self {
            sequence: merchant.state.last_seq,
            hash: merchant.state.last_hash.clone(),
        }
    }
}

/// The receipt of the log for a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct HistoryReceipt {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// The name of the log.
    pub log: String,
    /// The end of the history.
    pub head: HistoryHead,
    /// The place of the newest anchored event in the log, as in an exported history; null before the first.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::HistoryProof>"))]
    pub proof: Option<Value>,
    /// The signed note (C2SP) of the log's checkpoint that the proof leads to; null before the first.
    pub checkpoint: Option<String>,
}

impl HistoryReceipt {
    /// The receipt. `anchored`: the proof and the checkpoint.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, log: &str, anchored: Option<(Value, String)>) -> Self {
        let (proof, checkpoint) = anchored.unzip();
        Self {
            merchant_id: Text(merchant.profile.merchant_id.clone()),
            log: log.to_owned(),
            head: HistoryHead::from(merchant),
            proof,
            checkpoint,
        }
    }
}

impl From<&history::ChainedEvent> for Event {
    fn from(event: &history::ChainedEvent) -> Self {
        let history::ChainedEvent {
            merchant_id: _, // known to the merchant
            seq,
            at,
            policy,
            recorded: _, // shown as `kind` and `data`
            personal: _, // shown by its hash
            prev_hash,
            hash,
            notifications: _, // no part of the chain
        } = event;
        Self {
            event_id: format!("evt_{seq}"),
            sequence: *seq,
            at: Time(*at),
            kind: event.kind(),
            policy_version: *policy,
            data: event.data().clone(),
            personal_sha256: event.personal_sha256(),
            prev_hash: prev_hash.clone(),
            hash: hash.clone(),
        }
    }
}
