//! A merchant as one read returns it: the head (what changes), the profile (what the acquirer says), one rebind.

use super::card::{Card, CardStatus};
use super::format::document_expiry::DocumentExpiry;
use super::ids::MerchantId;
use super::policy::Policy;
use super::rebind::{Activation, Mac, Rebind, Sealed, SessionTag};
use super::time::Timestamp;
use super::window::Window;
use serde::{Deserialize, Serialize};

/// Kinds of merchants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityType {
    /// 小微商户.
    NaturalPerson,
    /// 个体工商户.
    SoleTrader,
    /// 企业: changes its card with support only.
    Company,
}

impl EntityType {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NaturalPerson => "natural_person",
            Self::SoleTrader => "sole_trader",
            Self::Company => "company",
        }
    }
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// When it began.
    pub login_at: Timestamp,
    /// When something was last changed in it.
    pub last_change_at: Timestamp,
}

impl Session {
    /// Tells a merchant's sessions apart without being able to act as one.
    #[must_use]
    pub fn tag(&self) -> SessionTag {
        SessionTag(super::history::hex(
            self.token_hash
                .first_chunk::<8>()
                .map_or(&[][..], |first| first),
        ))
    }

    /// Whether it is still good at `now`.
    #[must_use]
    pub fn lives(&self, policy: &Policy, now: Timestamp) -> bool {
        self.login_at.age_s_at(now) < policy.session_max_s
            && self.last_change_at.age_s_at(now) < policy.session_idle_s
    }
}

/// Where a session is kept in the head.
pub type Slot = u8;

/// The last activation of a merchant, for as long as anything follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastActivation {
    /// The number of its rebind.
    #[serde(rename = "n")]
    pub number: u32,
    /// Its id.
    #[serde(rename = "id")]
    pub rebind_id: super::ids::RebindId,
    /// Its times.
    #[serde(flatten)]
    pub times: Activation,
    /// The card it replaced, if that can still be paid to.
    #[serde(rename = "old", skip_serializing_if = "Option::is_none", default)]
    pub old_card: Option<Card>,
}

/// Everything of a merchant that changes, in one item: the one place where two writers meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Counts changes; every write that decides something is conditioned on it. Its own attribute in the store.
    #[serde(skip)]
    pub version: u64,
    /// The sequence number of the last history event.
    #[serde(rename = "seq")]
    pub last_seq: u64,
    /// The hash of that event, hex.
    #[serde(rename = "hash")]
    pub last_hash: String,
    /// The number of the latest rebind; 0 when there was none.
    #[serde(rename = "n")]
    pub rebinds: u32,
    /// That rebind's version: a read that sees only half of a commit shows a difference here, and is done again.
    #[serde(rename = "rv")]
    pub rebind_version: u32,
    /// The number of the open rebind. It may be overdue; the rebind itself tells.
    #[serde(rename = "open", skip_serializing_if = "Option::is_none", default)]
    pub open: Option<u32>,
    /// The pointer: where payouts go, or will go once the hold is over.
    #[serde(rename = "act", skip_serializing_if = "Option::is_none", default)]
    pub active: Option<ActiveCard>,
    /// The last activation.
    #[serde(rename = "last", skip_serializing_if = "Option::is_none", default)]
    pub last_activation: Option<LastActivation>,
    /// No rebind before this. Its own attribute in the store: the write's condition compares it.
    #[serde(skip)]
    pub cooldown_until: Option<Timestamp>,
    /// The end of the cooldown is still to be told.
    #[serde(rename = "tell", skip_serializing_if = "std::ops::Not::not", default)]
    pub cooldown_end_untold: bool,
    /// When phone, password or name was last changed.
    #[serde(rename = "sec", skip_serializing_if = "Option::is_none", default)]
    pub security_changed_at: Option<Timestamp>,
    /// When the account was frozen, while it is.
    #[serde(rename = "ice", skip_serializing_if = "Option::is_none", default)]
    pub frozen_at: Option<Timestamp>,
    /// When the short cooldown was last used.
    #[serde(rename = "lost", skip_serializing_if = "Option::is_none", default)]
    pub lost_at: Option<Timestamp>,
    /// Rebinds asked for.
    #[serde(rename = "req", skip_serializing_if = "Window::is_empty", default)]
    pub requests: Window,
    /// Documents that did not match.
    #[serde(rename = "mis", skip_serializing_if = "Window::is_empty", default)]
    pub id_mismatches: Window,
    /// Bank calls that count.
    #[serde(rename = "bank", skip_serializing_if = "Vec::is_empty", default)]
    pub bank_calls: Vec<BankCall>,
    /// The logins. Each slot is its own attribute in the store, so that a login and a step do not wait for each other.
    #[serde(skip)]
    pub sessions: [Option<Session>; 5],
}

/// The card that the pointer is on, with what finds its duplicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveCard {
    /// The card.
    #[serde(rename = "c")]
    pub card: Card,
    /// Keyed hash of its number.
    #[serde(rename = "fp")]
    pub fingerprint: Mac,
}

/// One counted bank call: when, and the first characters of the card's keyed hash, which tell a merchant's own cards
/// apart. Kept as a pair, since the head must stay small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Timestamp, String)", into = "(Timestamp, String)")]
pub struct BankCall {
    /// When.
    pub at: Timestamp,
    /// Which card.
    pub card_tag: String,
}

impl From<(Timestamp, String)> for BankCall {
    fn from((at, card_tag): (Timestamp, String)) -> Self {
        Self { at, card_tag }
    }
}

impl From<BankCall> for (Timestamp, String) {
    fn from(call: BankCall) -> Self {
        (call.at, call.card_tag)
    }
}

/// What the acquirer's record says. Never typed in by the merchant, only compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The merchant.
    #[serde(rename = "id")]
    pub merchant_id: MerchantId,
    /// Kind of merchant.
    #[serde(rename = "kind")]
    pub entity_type: EntityType,
    /// The registered name.
    #[serde(rename = "name")]
    pub legal_name: String,
    /// The name on settlement cards, where it differs.
    #[serde(rename = "sname", skip_serializing_if = "Option::is_none", default)]
    pub settlement_name: Option<String>,
    /// Keyed hash of the ID number.
    #[serde(rename = "idm")]
    pub id_number_mac: Mac,
    /// When the ID document ends.
    #[serde(rename = "idx", with = "expiry_text")]
    pub id_expires_on: DocumentExpiry,
    /// The phone on file, E.164.
    #[serde(rename = "tel")]
    pub phone_on_file: String,
    /// When the merchant was opened.
    #[serde(rename = "since")]
    pub opened_at: Timestamp,
    /// The highest daily limit that can be set, fen.
    #[serde(rename = "tier")]
    pub daily_limit_max_fen: u64,
    /// The fee in basis points.
    #[serde(rename = "fee")]
    pub fee_rate_bp: u32,
    /// How payouts are made.
    #[serde(rename = "set")]
    pub settlement: Settlement,
    /// The encrypted ID number; its own attribute in the store.
    #[serde(skip)]
    pub sealed_id_number: Option<Sealed>,
    /// The merchant's history key, wrapped; its own attribute in the store.
    #[serde(skip)]
    pub history_key: Option<Sealed>,
}

/// How payouts are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// `T0`, `T1` or `D1`.
    pub cycle: String,
    /// `HH:MM`, Shanghai time.
    pub payout_time: String,
    /// Kept back from each payout, fen.
    pub retained_fen: u64,
    /// Paid out a day at most, fen.
    pub daily_limit_fen: u64,
}

impl Profile {
    /// The name that a settlement card must carry.
    #[must_use]
    pub fn holder_name(&self) -> &str {
        self.settlement_name.as_deref().unwrap_or(&self.legal_name)
    }
}

/// A merchant as loaded: the state that a decision starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// What changes.
    pub head: Head,
    /// What the acquirer says.
    pub profile: Profile,
    /// The rebind that the request is about, or the latest one.
    pub rebind: Option<Rebind>,
}

impl Merchant {
    /// What a card is at `now`.
    #[must_use]
    pub fn card_status(&self, card: &Card, now: Timestamp, policy: &Policy) -> CardStatus {
        let head = &self.head;
        if head
            .active
            .as_ref()
            .is_some_and(|active| active.card.card_id == card.card_id)
        {
            return CardStatus::Active;
        }
        if let Some(last) = &head.last_activation {
            let is_old = last
                .old_card
                .as_ref()
                .is_some_and(|old| old.card_id == card.card_id);
            if is_old
                && now
                    < last
                        .times
                        .effective_at
                        .plus_s(policy.retire_after_effective_s)
            {
                return CardStatus::Retiring;
            }
        }
        let pending = self
            .rebind
            .as_ref()
            .is_some_and(|rebind| rebind.is_open(now) && rebind.new_card.card_id == card.card_id);
        if pending {
            CardStatus::Pending
        } else {
            CardStatus::Removed
        }
    }

    /// The open rebind, when it is loaded and in time.
    #[must_use]
    pub fn open_rebind(&self, now: Timestamp) -> Option<&Rebind> {
        let rebind = self.rebind.as_ref()?;
        (self.head.open == Some(rebind.rebind_id.number()) && rebind.is_open(now)).then_some(rebind)
    }

    /// The cooldown's end, while it runs.
    #[must_use]
    pub fn cooldown(&self, now: Timestamp) -> Option<Timestamp> {
        self.head.cooldown_until.filter(|until| now < *until)
    }

    /// The quiet period's end, while it runs.
    #[must_use]
    pub fn quiet_until(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let changed_at = self.head.security_changed_at?;
        (changed_at.age_s_at(now) < policy.quiet_period_s)
            .then(|| changed_at.plus_s(policy.quiet_period_s))
    }
}

/// The document's expiry as the wire writes it; in the record it is no secret.
mod expiry_text {
    use super::DocumentExpiry;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        expiry: &DocumentExpiry,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&expiry.to_text())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<DocumentExpiry, D::Error> {
        DocumentExpiry::parse(&String::deserialize(from)?)
            .map_err(|_| D::Error::custom("no document expiry"))
    }
}
