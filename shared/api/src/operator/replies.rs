//! The bodies of replies to operators. Personal data is masked.

use crate::replies::{Card, HistoryHead, Payout, Rebind, Settlement, Text, Time};
use crate::reply::Reply;
use domain::error_code::ErrorCode;
use domain::history::ChainedEvent;
use domain::ids::{MerchantId, RebindId};
use domain::merchant::{EntityType, Merchant as DomainMerchant, Profile};
use domain::notification::Recipient;
use domain::onboarding::{Fault, FieldFault};
use domain::pii::DocumentType;
use domain::policy::Policy;
use domain::rebind::BankReference;
use domain::rejection::Rejection;
use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The merchant of an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Account {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
}

/// A phone that is still notified.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Phone {
    /// The phone, masked.
    pub phone_masked: String,
    /// When it stops to receive notifications.
    pub until: Time,
}

/// The ID document on record, without its number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Document {
    /// The kind.
    #[serde(rename = "type")]
    pub document_type: DocumentType,
    /// The last day, or `long_term`.
    pub expires_on: String,
}

/// A freeze.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Frozen {
    /// When it began.
    pub at: Time,
    /// True if every payout is held.
    pub holds_payouts: bool,
}

/// A merchant as an operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Merchant {
    /// The id.
    pub merchant_id: Text<MerchantId>,
    /// The version of the acquirer's record.
    pub record_version: u32,
    /// The kind of merchant.
    pub entity_type: EntityType,
    /// The registered name, masked.
    pub legal_name_masked: String,
    /// The name on settlement cards, masked; null if it is the registered one.
    pub settlement_name_masked: Option<String>,
    /// The phone on file, masked.
    pub phone_on_file_masked: String,
    /// The phone that was on file before, while it is notified.
    pub previous_phone: Option<Phone>,
    /// The ID document.
    pub document: Document,
    /// When the acquirer opened the account.
    pub opened_at: Time,
    /// The highest daily limit.
    pub daily_limit_max_fen: u64,
    /// The settlement settings.
    pub settlement: Settlement,
    /// The active card.
    pub active: Option<Card>,
    /// Standby cards and replaced cards.
    pub other_cards: Vec<Card>,
    /// The latest rebind.
    pub latest_rebind: Option<Rebind>,
    /// The operation of the latest rebind at the bank whose outcome is unknown or can still change.
    pub bank_question: Option<BankQuestion>,
    /// When the account was closed; null for an open one.
    pub closed_at: Option<Time>,
    /// The freeze.
    pub frozen: Option<Frozen>,
    /// The end of the cooldown, while it runs.
    pub cooldown_until: Option<Time>,
    /// The end of the quiet period, while it runs.
    pub quiet_until: Option<Time>,
    /// The number of sessions, idle ones included.
    pub sessions: usize,
    /// The payouts that wait for a card.
    pub waiting_payouts: u32,
    /// The sequence number of the last event.
    pub last_sequence: u64,
    /// The hash of the last event.
    pub last_hash: String,
}

impl Merchant {
    /// A merchant at `now`.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, policy: &Policy, now: Timestamp) -> Self {
        let DomainMerchant { state, profile, .. } = merchant;
        let Profile {
            merchant_id,
            version,
            account: _, // a keyed hash
            entity_type,
            legal_name,
            settlement_name,
            id_number_mac: _,
            document_type,
            id_expires_on,
            phone_on_file,
            previous_phone: _, // shown while it is notified
            opened_at,
            daily_limit_max_fen,
            fee_rate_bp: _, // part of the settlement
            sealed_id_number: _,
            history_key: _,
        } = profile;
        let active = state.active.as_ref().map(|active| &active.card);
        let others = state.all_bound().map(|bound| &bound.card);
        let others = others.filter(|card| Some(*card) != active);
        let previous = profile.previous_phone.as_ref();
        let previous = previous.filter(|previous| now < previous.until);
        Self {
            merchant_id: Text(merchant_id.clone()),
            record_version: *version,
            entity_type: *entity_type,
            legal_name_masked: legal_name.masked(),
            settlement_name_masked: settlement_name.as_ref().map(|name| name.masked()),
            phone_on_file_masked: phone_on_file.masked(),
            previous_phone: previous.map(|previous| Phone {
                phone_masked: previous.phone.masked(),
                until: Time(previous.until),
            }),
            document: Document {
                document_type: *document_type,
                expires_on: id_expires_on.to_text().into_owned(),
            },
            opened_at: Time(*opened_at),
            daily_limit_max_fen: *daily_limit_max_fen,
            settlement: Settlement::new(merchant, policy, now),
            active: active.map(|card| Card::new(merchant, card, now)),
            other_cards: others.map(|card| Card::new(merchant, card, now)).collect(),
            latest_rebind: Rebind::loaded(merchant, policy, now),
            bank_question: BankQuestion::of(merchant, now),
            closed_at: state.closed_at.map(Time),
            frozen: state.frozen.map(|frozen| Frozen {
                at: Time(frozen.at),
                holds_payouts: frozen.holds_payouts,
            }),
            cooldown_until: merchant.cooldown(now).map(Time),
            quiet_until: merchant.quiet_until(policy, now).map(Time),
            sessions: state.sessions.iter().flatten().count(),
            waiting_payouts: state.waiting_payouts(),
            last_sequence: state.last_seq,
            last_hash: state.last_hash.clone(),
        }
    }
}

/// An operation at the bank whose outcome is unknown or can still change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct BankQuestion {
    /// The rebind.
    pub rebind_id: Text<RebindId>,
    /// `card_check`, `micro_deposit` or `test_transfer`.
    pub operation: &'static str,
    /// When the operation began; for a test transfer that arrived, when the bank reported it.
    pub since: Time,
    /// When the bank was last asked about it.
    pub asked_at: Time,
}

impl BankQuestion {
    fn of(merchant: &DomainMerchant, now: Timestamp) -> Option<Self> {
        let rebind = merchant.rebind.as_ref()?;
        let question = rebind.bank_question(now)?;
        let operation = match question.reference {
            BankReference::Check(_) => "card_check",
            BankReference::Deposit(_) => "micro_deposit",
            BankReference::Test => "test_transfer",
        };
        Some(Self {
            rebind_id: Text(rebind.rebind_id.clone()),
            operation,
            since: Time(question.since),
            asked_at: Time(question.asked_at),
        })
    }
}

/// An event, with what became of its notification.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AuditedEvent {
    /// The event.
    #[serde(flatten)]
    pub event: crate::replies::Event,
    /// The recipients whose message was not handed over yet: `on_file`, `previous`, `reserved` or `push`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_handed_over: Vec<&'static str>,
}

impl From<&ChainedEvent> for AuditedEvent {
    fn from(event: &ChainedEvent) -> Self {
        let waiting = event.notifications.iter();
        Self {
            event: crate::replies::Event::from(event),
            not_handed_over: waiting.map(|message| word(message.to())).collect(),
        }
    }
}

const fn word(to: Recipient) -> &'static str {
    match to {
        Recipient::OnFile => "on_file",
        Recipient::Previous => "previous",
        Recipient::Reserved => "reserved",
        Recipient::Push => "push",
    }
}

/// A merchant's personal data in full. The number of the ID document and those of cards are encrypted for other functions.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Unmasked<'a> {
    /// The merchant.
    pub merchant_id: &'a str,
    /// The registered name.
    pub legal_name: &'a str,
    /// The name on settlement cards, if it differs.
    pub settlement_name: Option<&'a str>,
    /// The phone on file.
    pub phone_on_file: String,
    /// The phone before the last change, while it is notified.
    pub previous_phone: Option<String>,
    /// The personal parts of events, oldest first.
    pub events: Vec<UnmaskedEvent>,
}

/// The personal part of an event.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct UnmaskedEvent {
    /// The event.
    pub sequence: u64,
    /// What was sealed: JSON in a text, as its hash covers it.
    pub personal: String,
}

/// Something that has been due for long.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Overdue {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// `rebind`, `merchant_state` or `notification`.
    pub kind: &'static str,
    /// The number of the rebind, or the sequence of the event; null for the merchant's state.
    pub number: Option<u64>,
    /// Since when.
    pub due_at: Time,
}

/// What has been due for long, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct OverdueList {
    /// Once these are done, the next ones are listed.
    pub items: Vec<Overdue>,
}

/// A payout with its merchant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct PayoutOfMerchant {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// The payout.
    #[serde(flatten)]
    pub payout: Payout,
}

/// Events in order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AuditedEvents {
    /// The events, oldest first.
    pub items: Vec<AuditedEvent>,
    /// The value of `after` for the next page; null on the last one.
    pub next_after: Option<u64>,
}

impl AuditedEvents {
    /// A page of `limit` events at most, of which one more was read if there is one.
    #[must_use]
    pub fn new(events: &[ChainedEvent], limit: usize) -> Self {
        let shown = events.get(..limit).unwrap_or(events);
        let last = shown.last().filter(|_| events.len() > shown.len());
        Self {
            items: shown.iter().map(AuditedEvent::from).collect(),
            next_after: last.map(|event| event.seq),
        }
    }
}

/// Proofs that lead to one checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Proofs {
    /// The proofs of anchored events, by sequence.
    pub proofs: Vec<Value>,
    /// The signed note of the checkpoint.
    pub checkpoint: String,
    /// The proof that the checkpoint continues the kept one; null without one, or when it is newer.
    pub consistency: Option<Value>,
}

/// The receipt of the log for a whole history.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Receipt {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// The name of the log.
    pub log: String,
    /// The end of the history.
    pub head: HistoryHead,
    /// The anchored events; null before the first.
    pub anchored: Option<Proofs>,
}

impl Receipt {
    /// The receipt.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, log: &str, anchored: Option<Proofs>) -> Self {
        Self {
            merchant_id: Text(merchant.profile.merchant_id.clone()),
            log: log.to_owned(),
            head: HistoryHead::from(merchant),
            anchored,
        }
    }
}

/// The log that anchors the histories.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Log {
    /// The name in its checkpoints.
    pub name: String,
    /// The public key of its signatures, in PEM.
    pub public_key: String,
    /// The signed note of its newest checkpoint; null for an empty log.
    pub checkpoint: Option<String>,
}

/// A member of a new merchant that is wrong, without its value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub(super) struct MerchantFault {
    /// The path of the member; empty for the whole body.
    field: String,
    /// What is wrong.
    fault: Fault,
    /// What to do.
    message: &'static str,
}

/// The refusal of a new merchant: `REQUEST_MALFORMED` with everything that is wrong, in `faults`.
#[must_use]
pub fn merchant_refused(faults: &[FieldFault], support_ref: &str) -> Reply {
    let malformed = Rejection::new(ErrorCode::RequestMalformed);
    let faults = faults.iter().map(|fault| MerchantFault {
        field: fault.field.clone(),
        fault: fault.fault,
        message: fault.fault.message(),
    });
    let faults: Vec<MerchantFault> = faults.collect();
    Reply::problem(&malformed, support_ref).with("faults", &faults)
}
