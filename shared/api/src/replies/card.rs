//! Cards.

use super::rebind::Rebind;
use super::{Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::card::{Card as DomainCard, CardStatus, CardType};
use domain::decide::blocked_by;
use domain::error_code::ErrorCode;
use domain::ids::{CardId, RebindId};
use domain::merchant::{Merchant as DomainMerchant, Slot};
use domain::policy::Policy;
use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// A card, without its number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::card))]
pub struct Card {
    /// The card's id.
    pub card_id: Text<CardId>,
    /// By the card's prefix; `UNKNOWN` for an unknown prefix.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub bank_code: String,
    /// The bank's Chinese name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub bank_name: String,
    /// By the card's prefix, until the card check: then the type that the bank stated.
    #[serde(rename = "type")]
    pub card_type: CardType,
    /// The last four digits of the card number.
    #[cfg_attr(feature = "schema", schemars(with = "schema::Last4"))]
    pub last4: String,
    /// The current status.
    pub status: CardStatus,
    /// When it was added.
    pub bound_at: Time,
    /// Of a standby card: the time from which it can be activated. {standby_wait_s} after it was verified;
    /// {hold_deposit_s} after a micro-deposit, like the hold of an activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_at: Option<Time>,
}

impl Card {
    /// A card of this merchant, at `now`.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, card: &DomainCard, now: Timestamp) -> Self {
        Self::with(merchant, card, merchant.card_status(&card.card_id, now))
    }

    pub(super) fn with(merchant: &DomainMerchant, card: &DomainCard, status: CardStatus) -> Self {
        let DomainCard {
            card_id,
            bank_code: _, // shown with its fallback
            card_type,
            last4,
            bound_at,
        } = card;
        Self {
            card_id: Text(card_id.clone()),
            bank_code: card.bank_code().to_owned(),
            bank_name: card.bank_name().to_owned(),
            card_type: *card_type,
            last4: last4.clone(),
            status,
            bound_at: Time(*bound_at),
            usable_at: merchant
                .state
                .standby(card_id)
                .map(|standby| Time(standby.usable_at)),
        }
    }
}

/// Why `POST /v1/rebinds` would be refused now; the first reason in the order of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(
    feature = "schema",
    derive(JsonSchema),
    schemars(transform = schema::rules::blocked_by)
)]
pub struct BlockedBy(pub ErrorCode);

impl BlockedBy {
    /// Every reason, in the order of checks.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::AccountFrozen,
        ErrorCode::StepUpRequired,
        ErrorCode::DeviceTooNew,
        ErrorCode::EntityNeedsSupport,
        ErrorCode::IdExpired,
        ErrorCode::QuietPeriod,
        ErrorCode::RequestInProgress,
        ErrorCode::RebindCooldown,
        ErrorCode::DailyRequestLimit,
    ];
}

/// A merchant's cards.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::cards))]
pub struct Cards {
    /// The card that the pointer references.
    pub active: Option<Card>,
    /// Verified cards, to be activated later.
    #[cfg_attr(feature = "schema", schemars(length(max = Policy::CURRENT.standby_max)))]
    pub standby: Vec<Card>,
    /// The rebind in one of the three pending states.
    pub open_rebind: Option<Rebind>,
    /// A change that has not taken effect yet.
    pub hold: Option<Hold>,
    /// Whether a rebind can be started now.
    pub can_rebind: bool,
    /// The reason, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<BlockedBy>,
    /// The end of the cooldown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Time>,
}

impl Cards {
    /// The cards of this merchant, for the session in this slot.
    #[must_use]
    pub fn new(
        merchant: &DomainMerchant,
        slot: Option<Slot>,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let state = &merchant.state;
        let card = |card: &DomainCard| Card::new(merchant, card, now);
        let open = merchant.open_rebind(now);
        let blocked_by = blocked_by(merchant, slot, policy, now).map(BlockedBy);
        Self {
            active: state.active.as_ref().map(|active| card(&active.card)),
            standby: state
                .standby
                .iter()
                .map(|standby| card(&standby.bound.card))
                .collect(),
            open_rebind: open.map(|open| Rebind::new(merchant, open, policy, now)),
            hold: state.hold(now).map(|last| Hold {
                rebind_id: Text(last.rebind_id.clone()),
                paying_card: state.paying_card(now).map(card),
                effective_at: Time(last.times.effective_at),
            }),
            can_rebind: blocked_by.is_none(),
            blocked_by,
            cooldown_until: merchant.cooldown(now).map(Time),
        }
    }
}

/// A change that has been made and has not taken effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Hold {
    /// The rebind that made the change.
    pub rebind_id: Text<RebindId>,
    /// The card that receives payouts until `effective_at`; null when they are held.
    pub paying_card: Option<Card>,
    /// When the change takes effect.
    pub effective_at: Time,
}
