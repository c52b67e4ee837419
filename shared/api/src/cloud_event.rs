//! Events for other systems: CloudEvents 1.0 in structured JSON. `infra/asyncapi.json` describes them.

use crate::replies::{Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::event_kind::EventKind;
use domain::history::ChainedEvent;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::integration::{Integration, integration};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// The beginning of every `type`.
pub const TYPE_PREFIX: &str = "card-rebind.";

/// A history event that is published, as a CloudEvent. It contains no personal data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct CloudEvent {
    /// The version of the CloudEvents specification.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "1.0")))]
    pub specversion: &'static str,
    /// The merchant and the event's id. A repetition carries the same id.
    #[cfg_attr(
        feature = "schema",
        schemars(
            regex(pattern = r"^mer_[0-9A-Za-z_]{1,40}\.evt_[1-9][0-9]*$"),
            length(max = 69)
        )
    )]
    pub id: String,
    /// The stack that published the event.
    #[cfg_attr(
        feature = "schema",
        schemars(
            regex(pattern = "^/card-rebind/[A-Za-z][0-9A-Za-z-]*$"),
            length(max = 141)
        )
    )]
    pub source: String,
    /// The kind of the event, after a prefix. Also the message attribute `type`.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^card-rebind\\.[a-z_]+$"), length(max = 64))
    )]
    pub event_type: String,
    /// The merchant. Also the message attribute `merchant_id`.
    pub subject: Text<MerchantId>,
    /// The time of the event.
    pub time: Time,
    /// The media type of `data`.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "application/json")))]
    pub datacontenttype: &'static str,
    /// `data.sequence` with leading zeros, so that the order of the texts is the order of the merchant's events.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^[0-9]{16,20}$"), length(max = 20))
    )]
    pub sequence: String,
    /// The event.
    pub data: EventData,
}

/// The public facts of an event. Names, ids and hashes are those of `GET /v1/history`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct EventData {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// `evt_` and the sequence number; unique for the merchant.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^evt_[1-9][0-9]*$"), length(max = 24))
    )]
    pub event_id: String,
    /// The position in the merchant's history, from 1. Events that are not published have numbers too.
    #[cfg_attr(
        feature = "schema",
        schemars(range(min = 1, max = 9_007_199_254_740_991_u64))
    )]
    pub sequence: u64,
    /// The kind of the event.
    pub kind: EventKind,
    /// The version of the policy that applied.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_294_967_295_u64)))]
    pub policy_version: u32,
    /// The state after the event, if the kind determines it: of the payout, the card or the rebind, or `frozen` for the
    /// account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = "^[a-z_]+$"), length(max = 32))
    )]
    pub state: Option<&'static str>,
    /// The rebind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebind_id: Option<Text<RebindId>>,
    /// The card: of a rebind the new one, of a payout the one that it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_id: Option<Text<CardId>>,
    /// The payout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout_id: Option<Text<PayoutId>>,
    /// The `hash` of the previous event, published or not; 64 zeros for the first.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub prev_hash: String,
    /// SHA-256 of the event's canonical form, as in `GET /v1/history`.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Sha256"))]
    pub hash: String,
}

impl CloudEvent {
    /// The published form of an event; `None` if it is not published. `source` names the deployment.
    #[must_use]
    pub fn of(event: &ChainedEvent, source: &str) -> Option<Self> {
        let data = EventData::of(event, integration(event.event())?);
        Some(Self {
            specversion: "1.0",
            id: format!("{}.{}", data.merchant_id.0.as_str(), data.event_id),
            source: source.to_owned(),
            event_type: format!("{TYPE_PREFIX}{}", data.kind),
            subject: data.merchant_id.clone(),
            time: Time(event.at),
            datacontenttype: "application/json",
            sequence: format!("{:016}", data.sequence),
            data,
        })
    }
}

impl EventData {
    fn of(event: &ChainedEvent, public: Integration<'_>) -> Self {
        let ChainedEvent {
            merchant_id,
            seq,
            at: _, // the attribute `time`
            policy,
            recorded: _, // its public facts are given
            personal: _, // never published
            prev_hash,
            hash,
            notifications: _, // never published
        } = event;
        let Integration {
            state,
            rebind_id,
            card_id,
            payout_id,
        } = public;
        Self {
            merchant_id: Text(merchant_id.clone()),
            event_id: format!("evt_{seq}"),
            sequence: *seq,
            kind: event.kind(),
            policy_version: *policy,
            state: state.map(domain::integration::PublicState::as_str),
            rebind_id: rebind_id.cloned().map(Text),
            card_id: card_id.cloned().map(Text),
            payout_id: payout_id.cloned().map(Text),
            prev_hash: prev_hash.clone(),
            hash: hash.clone(),
        }
    }
}
