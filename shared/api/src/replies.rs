//! The bodies of replies, and how they are made from the domain. A member that is `null` where there is nothing is always
//! there; a member with `skip_serializing_if` is omitted.

use super::problems;
use domain::agreement::{AgreementText, ConsentId};
use domain::banner::Banner;
use domain::banner_code::BannerCode;
use domain::card::{Card as DomainCard, CardStatus, CardType};
use domain::decide::{attempts_max, blocked_by, next_actions, pending_otp};
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::history;
use domain::lang::Lang;
use domain::login::Account;
use domain::mask;
use domain::merchant::{Merchant as DomainMerchant, Slot};
use domain::next_action::NextAction;
use domain::payout::Payout as DomainPayout;
use domain::policy::Policy;
use domain::rebind::{
    CardCheck, OtpPurpose, Purpose, Rebind as DomainRebind, RebindState, StateName, TestTransfer,
};
use domain::rejection::{FieldError as DomainFieldError, Rejection};
use domain::settlement::{self, Cycle};
use domain::time::Timestamp;
use domain::vocabulary;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A time: RFC 3339 at +08:00, whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_shanghai())
    }
}

/// A login.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Session {
    /// For `Authorization`; opaque. Shown only here.
    pub token: String,
    /// The latest end of the session; 15 minutes without a change end it sooner.
    pub expires_at: Time,
    /// The merchant that logged in.
    pub merchant: Merchant,
    /// What to show the merchant after the login.
    pub notices: Vec<Notice>,
}

impl Session {
    /// The session that begins now.
    #[must_use]
    pub fn new(
        token: String,
        account: &Account,
        banners: &[Banner],
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        Self {
            token,
            expires_at: Time(now.plus_s(policy.session_max_s)),
            merchant: Merchant {
                merchant_id: account.merchant_id.as_str().to_owned(),
                legal_name_masked: account.legal_name_masked.clone(),
                entity_type: account.entity_type.clone(),
            },
            notices: banners.iter().map(Notice::from).collect(),
        }
    }
}

/// A merchant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Merchant {
    /// The acquirer's id.
    pub merchant_id: String,
    /// The first character of the name.
    pub legal_name_masked: String,
    /// Companies change their card with support.
    pub entity_type: String,
}

/// Something to tell the merchant after the login.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// What it is about.
    pub code: BannerCode,
    /// For the merchant; may be shown as it is.
    pub detail_zh: String,
    /// The same in English.
    pub detail_en: String,
    /// With `ID_EXPIRING`: whole days to the document's last day, 0 on that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// With `ID_EXPIRING`: the last second of that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl From<&Banner> for Notice {
    fn from(banner: &Banner) -> Self {
        let Banner {
            code,
            detail_zh,
            detail_en,
            days_left,
            until,
        } = banner.clone();
        Self {
            code,
            detail_zh,
            detail_en,
            days_left,
            until: until.map(Time),
        }
    }
}

/// A card, without its number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Card {
    /// The card's id.
    pub card_id: String,
    /// By the card's prefix; `UNKNOWN` for a prefix that is in no table.
    pub bank_code: String,
    /// The bank's Chinese name.
    pub bank_name: String,
    /// By the card's prefix; only the bank knows for certain.
    #[serde(rename = "type")]
    pub card_type: CardType,
    /// The last four digits of the card number.
    pub last4: String,
    /// What the card is now.
    pub status: CardStatus,
    /// When it was added.
    pub bound_at: Time,
    /// Of a standby card: the time from which it can be activated. 24 h after it was verified; 72 h when that was by a
    /// micro-deposit, as an activation would have been held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usable_at: Option<Time>,
}

impl Card {
    /// A card of this merchant, at `now`.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, card: &DomainCard, now: Timestamp) -> Self {
        Self::with(merchant, card, merchant.card_status(&card.card_id, now))
    }

    fn with(merchant: &DomainMerchant, card: &DomainCard, status: CardStatus) -> Self {
        let DomainCard {
            card_id,
            bank_code: _, // shown with its fallback
            card_type,
            last4,
            bound_at,
        } = card;
        Self {
            card_id: card_id.as_str().to_owned(),
            bank_code: card.bank_code().to_owned(),
            bank_name: card.bank_name().to_owned(),
            card_type: *card_type,
            last4: last4.clone(),
            status,
            bound_at: Time(*bound_at),
            usable_at: merchant
                .head
                .standby(card_id)
                .map(|standby| Time(standby.usable_at)),
        }
    }
}

vocabulary! {
    /// How a code reaches the merchant.
    pub enum ChallengeMethod {
        /// A code to the phone on file.
        SmsCode = "sms_code",
        /// A code to the reserved phone, after the bank matched.
        BankCode = "bank_code",
        /// The code is in the descriptor of a deposit of ¥0.01 to the new card.
        MicroDeposit = "micro_deposit",
    }
}

/// What has to be answered now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Challenge {
    /// What the code is good for. `activate`: switching to a standby card.
    pub purpose: OtpPurpose,
    /// How the code reaches the merchant.
    pub method: ChallengeMethod,
    /// The phone, masked; for a deposit, the card's bank name, ` ···` and last four.
    pub sent_to: String,
    /// When the code expires.
    pub expires_at: Time,
    /// Seconds until another code can be requested; null where none can (a deposit).
    pub resend_after_s: Option<i64>,
    /// Attempts that are left.
    pub attempts_left: u8,
}

impl Challenge {
    /// The challenge of a rebind, if one is open.
    fn of(
        merchant: &DomainMerchant,
        rebind: &DomainRebind,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<Self> {
        let is_standby = merchant.head.standby(&rebind.new_card.card_id).is_some();
        if !merchant.is_open(rebind, now) && !is_standby {
            return None;
        }
        let sms = pending_otp(&rebind.stage, policy, now);
        let sms = sms.filter(|(_, code, _)| code.lives(policy, now) || !rebind.has_deposit());
        let Some((purpose, code, tries)) = sms else {
            return Self::of_deposit(rebind, policy);
        };
        let (phone, method) = match purpose {
            OtpPurpose::Identity | OtpPurpose::Activate => {
                (&merchant.profile.phone_on_file, ChallengeMethod::SmsCode)
            }
            OtpPurpose::Card => (&rebind.reserved_phone, ChallengeMethod::BankCode),
        };
        Some(Self {
            purpose,
            method,
            sent_to: masked_phone(phone),
            expires_at: Time(code.expires_at(policy)),
            resend_after_s: Some((policy.code_gap_s - code.sent_at.age_s_at(now)).max(0)),
            attempts_left: tries.left(attempts_max(&rebind.stage, purpose, policy)),
        })
    }

    /// The deposit whose code is pending. It cannot be sent again.
    fn of_deposit(rebind: &DomainRebind, policy: &Policy) -> Option<Self> {
        let RebindState::CardPending {
            check: CardCheck::Deposit { .. },
            card_attempts,
            ..
        } = &rebind.stage
        else {
            return None;
        };
        let card = &rebind.new_card;
        Some(Self {
            purpose: OtpPurpose::Card,
            method: ChallengeMethod::MicroDeposit,
            sent_to: format!("{} ···{}", card.bank_name(), card.last4),
            expires_at: Time(rebind.expires_at),
            resend_after_s: None,
            attempts_left: card_attempts.left(policy.deposit_tries),
        })
    }
}

/// Why a rebind has ended without its card: the refusal that ended it, or `REQUEST_EXPIRED`, `ACCOUNT_FROZEN`, `QUIET_PERIOD`
/// (phone, password or name was changed) or `TEST_TXN_FAILED` (`reverted`). `MICRO_DEPOSIT_EXPIRED` stands on an `expired`
/// rebind. Absent when the merchant cancelled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EndedReason(pub ErrorCode);

impl EndedReason {
    /// Every reason.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::IdMismatch,
        ErrorCode::OtpTooMany,
        ErrorCode::ElementsMismatch,
        ErrorCode::CardClassIi,
        ErrorCode::CardDormant,
        ErrorCode::CardBlocked,
        ErrorCode::CardInvalid,
        ErrorCode::CardExpired,
        ErrorCode::CardRestricted,
        ErrorCode::CardBoundElsewhere,
        ErrorCode::MicroDepositWrong,
        ErrorCode::MicroDepositExpired,
        ErrorCode::MicroDepositReturned,
        ErrorCode::RequestExpired,
        ErrorCode::AccountFrozen,
        ErrorCode::QuietPeriod,
        ErrorCode::TestTxnFailed,
    ];

    /// The reason of a rebind that has ended. One that is overdue with a deposit ended with the deposit's code, before the
    /// clean-up records it too.
    fn of(rebind: &DomainRebind, now: Timestamp) -> Option<Self> {
        match &rebind.stage {
            RebindState::Ended { reason, .. } => reason.map(Self),
            _ if rebind.is_overdue(now) && rebind.has_deposit() => {
                Some(Self(ErrorCode::MicroDepositExpired))
            }
            _ => None,
        }
    }
}

/// One request to change the settlement card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rebind {
    /// The rebind's id.
    pub rebind_id: String,
    /// Where the rebind is.
    pub state: StateName,
    /// Counts the changes of this rebind.
    pub version: u32,
    /// `standby`: the card is verified and kept for later.
    pub purpose: Purpose,
    /// The card that was asked for.
    pub new_card: Card,
    /// The card that was active when this rebind was started, once activated the one that was replaced; null for a first card.
    pub old_card: Option<Card>,
    /// The mobile number that the bank has for the new card.
    pub reserved_phone_masked: String,
    /// When it was started.
    pub created_at: Time,
    /// When it ends unless the card is confirmed.
    pub expires_at: Time,
    /// What has to be answered now.
    pub challenge: Option<Challenge>,
    /// What an app can offer, in this order.
    pub next_actions: Vec<NextAction>,
    /// When the pointer moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// Payouts created from then on go to the new card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Time>,
    /// No further rebind before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Time>,
    /// When the test transfer arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_succeeded_at: Option<Time>,
    /// Why it ended without its card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_reason: Option<EndedReason>,
}

impl Rebind {
    /// A rebind of this merchant, at `now`.
    #[must_use]
    pub fn new(
        merchant: &DomainMerchant,
        rebind: &DomainRebind,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        // The card of an open rebind is pending, whichever rebind was loaded with the merchant.
        let card = |of: &DomainCard| match merchant.card_status(&of.card_id, now) {
            CardStatus::Removed
                if merchant.is_open(rebind, now) && of.card_id == rebind.new_card.card_id =>
            {
                Card::with(merchant, of, CardStatus::Pending)
            }
            status => Card::with(merchant, of, status),
        };
        let DomainRebind {
            rebind_id,
            revision: _, // the store's
            version,
            purpose,
            reason: _, // shown by what it leads to
            new_card,
            old_card,
            fingerprint: _, // never shown
            reserved_phone,
            created_at,
            expires_at,
            stage: _,         // shown as `state`, `challenge` and the times
            sealed_number: _, // never shown
        } = rebind;
        let activated = rebind.activated_card();
        let times = activated.map(|activated| &activated.times);
        Self {
            rebind_id: rebind_id.as_str().to_owned(),
            state: merchant.state_of(rebind, now),
            version: *version,
            purpose: *purpose,
            new_card: card(new_card),
            old_card: old_card.as_ref().map(card),
            reserved_phone_masked: masked_phone(reserved_phone),
            created_at: Time(*created_at),
            expires_at: Time(*expires_at),
            challenge: Challenge::of(merchant, rebind, policy, now),
            next_actions: next_actions(merchant, rebind, policy, now),
            activated_at: times.map(|times| Time(times.activated_at)),
            effective_at: times.map(|times| Time(times.effective_at)),
            cooldown_until: times.map(|times| Time(times.cooldown_until)),
            test_succeeded_at: activated.and_then(|activated| match &activated.test {
                TestTransfer::Arrived { at, .. } => Some(Time(*at)),
                _ => None,
            }),
            ended_reason: EndedReason::of(rebind, now),
        }
    }

    /// The rebind that was loaded with the merchant.
    #[must_use]
    pub fn loaded(merchant: &DomainMerchant, policy: &Policy, now: Timestamp) -> Option<Self> {
        let rebind = merchant.rebind.as_ref()?;
        Some(Self::new(merchant, rebind, policy, now))
    }
}

/// One page of a list, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page<T> {
    /// At most 20.
    pub items: Vec<T>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Why `POST /v1/rebinds` would be refused now; the first reason in the order of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BlockedBy(pub ErrorCode);

impl BlockedBy {
    /// Every reason, in the order of checks.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::AccountFrozen,
        ErrorCode::StepUpRequired,
        ErrorCode::EntityNeedsSupport,
        ErrorCode::QuietPeriod,
        ErrorCode::RequestInProgress,
        ErrorCode::RebindCooldown,
        ErrorCode::DailyRequestLimit,
    ];
}

/// A merchant's cards.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cards {
    /// The card that the pointer is on.
    pub active: Option<Card>,
    /// Verified cards that can be switched to.
    pub standby: Vec<Card>,
    /// The rebind in one of the three pending states.
    pub open_rebind: Option<Rebind>,
    /// A change that has not taken effect yet.
    pub hold: Option<Hold>,
    /// Whether a rebind can be started now.
    pub can_rebind: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<BlockedBy>,
    /// No further rebind before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Time>,
}

impl Cards {
    /// The cards of this merchant, for the session in this slot.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, slot: Slot, policy: &Policy, now: Timestamp) -> Self {
        let head = &merchant.head;
        let card = |card: &DomainCard| Card::new(merchant, card, now);
        let open = merchant.open_rebind(now);
        let blocked_by = blocked_by(merchant, slot, policy, now).map(BlockedBy);
        Self {
            active: head.active.as_ref().map(|active| card(&active.card)),
            standby: head
                .standby
                .iter()
                .map(|standby| card(&standby.bound.card))
                .collect(),
            open_rebind: open.map(|open| Rebind::new(merchant, open, policy, now)),
            hold: head.hold(now).map(|last| Hold {
                rebind_id: last.rebind_id.as_str().to_owned(),
                paying_card: head.paying_card(now).map(card),
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
pub struct Hold {
    /// The rebind that made it.
    pub rebind_id: String,
    /// Where payouts go until then; null when they are held.
    pub paying_card: Option<Card>,
    /// When it takes effect.
    pub effective_at: Time,
}

/// The agreement about one new card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The version in force.
    pub version: String,
    /// The language of the text.
    pub lang: Lang,
    /// Not repeated in the body.
    pub title: String,
    /// Markdown: headings, numbered lists, bold.
    pub body_markdown: String,
    /// Of the UTF-8 bytes of `body_markdown`.
    pub sha256: String,
    /// A signature before this is refused.
    pub min_read_s: i64,
    /// All of them are needed, in this order.
    pub consents: Vec<Consent>,
    /// Opaque; goes back with the signature.
    pub reading_token: String,
}

impl Agreement {
    /// The text as shown, and the token that proves when.
    #[must_use]
    pub fn new(text: AgreementText, reading_token: String, policy: &Policy) -> Self {
        let AgreementText {
            version,
            lang,
            title,
            body_markdown,
            sha256,
            consents,
        } = text;
        let consents = consents.into_iter();
        Self {
            version: version.to_owned(),
            lang,
            title: title.to_owned(),
            body_markdown,
            sha256,
            min_read_s: policy.agreement_min_read_s,
            consents: consents
                .map(|consent| Consent {
                    id: consent.id,
                    text: consent.text,
                })
                .collect(),
            reading_token,
        }
    }
}

/// One consent as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Consent {
    /// What a signature names.
    pub id: ConsentId,
    /// One sentence, plain text.
    pub text: String,
}

vocabulary! {
    /// How a test transfer stands.
    pub enum TestStatus {
        /// It has arrived.
        Succeeded = "succeeded",
        /// The bank has not answered yet.
        Pending = "pending",
        /// It did not arrive, or came back.
        Failed = "failed",
    }
}

/// A test transfer, and the rebind that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestTransaction {
    /// How the transfer stands.
    pub status: TestStatus,
    /// ¥0.01.
    pub amount_fen: u64,
    /// The rebind as it is now.
    pub rebind: Rebind,
}

impl TestTransaction {
    /// Fen of a test transfer.
    pub const AMOUNT_FEN: u64 = 1;

    /// The test transfer of this rebind.
    #[must_use]
    pub fn new(
        merchant: &DomainMerchant,
        rebind: &DomainRebind,
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        // Without an active card, the change was undone because the transfer came back.
        let test = rebind.activated_card().map(|activated| &activated.test);
        let status = match test {
            Some(TestTransfer::Arrived { .. }) => TestStatus::Succeeded,
            Some(TestTransfer::NotSent | TestTransfer::Sent { .. }) => TestStatus::Pending,
            Some(TestTransfer::CameBack) | None => TestStatus::Failed,
        };
        Self {
            status,
            amount_fen: Self::AMOUNT_FEN,
            rebind: Rebind::new(merchant, rebind, policy, now),
        }
    }
}

/// A payout that is not sent yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Payout {
    /// The acquirer's id.
    pub payout_id: String,
    /// How much, fen.
    pub amount_fen: u64,
    /// When it was created.
    pub created_at: Time,
    /// Where it goes, chosen once; null while it is held without a card.
    pub card: Option<Card>,
    /// Not sent until it has a card, or until the account is no longer frozen.
    pub held: bool,
    /// When it is expected to be sent, if nothing holds it.
    pub expected_at: Time,
}

impl Payout {
    /// A payout of this merchant. One that waits for a hold to end is expected after it.
    #[must_use]
    pub fn new(merchant: &DomainMerchant, payout: &DomainPayout, now: Timestamp) -> Self {
        let DomainPayout {
            payout_id,
            amount_fen,
            created_at,
            card,
            state: _, // the core system's
        } = payout;
        let routed_at = match (card, merchant.head.hold(now)) {
            (None, Some(last)) => last.times.effective_at.max(*created_at),
            _ => *created_at,
        };
        let expected_at = settlement::expected_at(&merchant.profile.settlement, routed_at, now);
        Self {
            payout_id: payout_id.as_str().to_owned(),
            amount_fen: *amount_fen,
            created_at: Time(*created_at),
            card: card.as_ref().map(|card| Card::new(merchant, card, now)),
            held: merchant.holds(payout),
            expected_at: Time(expected_at),
        }
    }
}

/// Settlement settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settlement {
    /// On which day a payout is made.
    pub cycle: Cycle,
    /// Time of the day in Shanghai.
    pub payout_time: String,
    /// Kept back from each payout.
    pub retained_fen: u64,
    /// Paid out a day at most.
    pub daily_limit_fen: u64,
    /// The fee in basis points (1/10000). It can be read only.
    pub fee_rate_bp: u32,
}

impl Settlement {
    /// The settings of this merchant.
    #[must_use]
    pub fn new(merchant: &DomainMerchant) -> Self {
        let settlement::Settlement {
            cycle,
            payout_time,
            retained_fen,
            daily_limit_fen,
        } = &merchant.profile.settlement;
        Self {
            cycle: *cycle,
            payout_time: payout_time.to_string(),
            retained_fen: *retained_fen,
            daily_limit_fen: *daily_limit_fen,
            fee_rate_bp: merchant.profile.fee_rate_bp,
        }
    }
}

/// One event of the history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// `evt_` and the sequence number.
    pub event_id: String,
    /// From 1, without a gap.
    pub sequence: u64,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub kind: EventKind,
    /// The version of the rules that it was decided by.
    pub policy_version: u32,
    /// Facts without personal data. Which ones depends on `kind`; more can be added.
    pub data: Map<String, Value>,
    /// Of the ciphertext of the personal data; null where there is none. Erasing the key leaves the chain whole.
    pub personal_sha256: Option<String>,
    /// The `hash` of the event before; 64 zeros for the first.
    pub prev_hash: String,
    /// SHA-256 of the event's canonical form, see `GET /v1/history`.
    pub hash: String,
}

impl From<&history::ChainedEvent> for Event {
    fn from(event: &history::ChainedEvent) -> Self {
        let history::ChainedEvent {
            merchant_id: _, // known to the merchant
            seq,
            at,
            policy,
            recorded,
            personal: _, // shown by its hash
            prev_hash,
            hash,
            notices: _, // no part of the chain
        } = event;
        Self {
            event_id: format!("evt_{seq}"),
            sequence: *seq,
            at: Time(*at),
            kind: recorded.event().kind(),
            policy_version: *policy,
            data: recorded.data().clone(),
            personal_sha256: event.personal_sha256(),
            prev_hash: prev_hash.clone(),
            hash: hash.clone(),
        }
    }
}

vocabulary! {
    /// The answer to a freeze code. The same whether or not anything was frozen.
    pub enum FreezeStatus {
        /// The request was received.
        Received = "received",
    }
}

/// A freeze code was received.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freeze {
    /// The same whether or not anything was frozen.
    pub status: FreezeStatus,
}

/// An RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Names the kind of problem; there is no page behind it.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// Short English, the same for each occurrence of a code.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Why the request was refused.
    pub code: ErrorCode,
    /// What to do next, for the merchant.
    pub detail_zh: &'static str,
    /// What to do next, for the developer of the app.
    pub detail_en: &'static str,
    /// Whether the very same request may succeed later, when nothing but time has passed.
    pub retryable: bool,
    /// When it is worth sending again; the same as `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<i64>,
    /// Whether this refusal used up one of a limited number of attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_toward_limit: Option<bool>,
    /// Attempts that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_left: Option<u8>,
    /// With `REBIND_COOLDOWN`: its exact end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Time>,
    /// What an app can offer, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next_actions: Vec<NextAction>,
    /// All bad fields of the request at once; `code` is the first one's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Finds this occurrence in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_ref: Option<String>,
}

/// One bad field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    /// Name of the field in the body.
    pub field: &'static str,
    /// What is wrong with it.
    pub code: ErrorCode,
}

impl From<&DomainFieldError> for FieldError {
    fn from(error: &DomainFieldError) -> Self {
        let DomainFieldError { field, code } = error;
        Self { field, code: *code }
    }
}

impl Problem {
    /// The document of a rejection.
    #[must_use]
    pub fn new(rejection: &Rejection, support_ref: &str) -> Self {
        let Rejection {
            code,
            retry_after_s,
            counts_toward_limit,
            attempts_left,
            next_actions,
            errors,
            cooldown_until,
        } = rejection;
        let problems::Entry {
            status,
            title,
            detail_zh,
            detail_en,
            retryable,
        } = problems::entry(*code);
        Self {
            type_uri: problems::type_uri(*code),
            title,
            status,
            code: *code,
            detail_zh,
            detail_en,
            retryable,
            retry_after_s: *retry_after_s,
            counts_toward_limit: *counts_toward_limit,
            attempts_left: *attempts_left,
            cooldown_until: cooldown_until.map(Time),
            next_actions: next_actions.clone(),
            errors: errors.iter().map(FieldError::from).collect(),
            support_ref: Some(support_ref.to_owned()),
        }
    }
}

/// `139****0001` of an E.164 mainland number.
fn masked_phone(e164: &str) -> String {
    mask::phone(e164.strip_prefix("+86").unwrap_or(e164))
}
