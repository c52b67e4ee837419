//! Rebinds.

use super::{Card, Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::card::{Card as DomainCard, CardStatus};
use domain::decide::{attempts_max, next_actions, pending_otp};
use domain::error_code::ErrorCode;
use domain::ids::RebindId;
use domain::merchant::Merchant as DomainMerchant;
use domain::next_action::NextAction;
use domain::policy::Policy;
use domain::rebind::{
    CardCheck, OtpPurpose, Purpose, Rebind as DomainRebind, RebindState, StateName, TestTransfer,
};
use domain::time::Timestamp;
use domain::vocabulary;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;
use std::ops::Not;

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

/// The pending challenge.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Challenge {
    /// The purpose of the code. `activate`: the switch to a standby card.
    pub purpose: OtpPurpose,
    /// How the code reaches the merchant.
    pub method: ChallengeMethod,
    /// The phone, masked; for a deposit, the card's bank name, ` ···` and last four.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub sent_to: String,
    /// When the code expires.
    pub expires_at: Time,
    /// Seconds until another code can be requested; null for a deposit.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub resend_after_s: Option<i64>,
    /// The number of remaining attempts.
    #[cfg_attr(feature = "schema", schemars(range(max = Policy::CURRENT.code_attempts)))]
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
        let is_standby = merchant.state.standby(&rebind.new_card.card_id).is_some();
        if !merchant.is_open(rebind, now) && !is_standby {
            return None;
        }
        let sms = pending_otp(&rebind.stage, policy, now);
        let sms = sms.filter(|(_, code, _)| code.is_valid_at(policy, now) || !rebind.has_deposit());
        let Some((purpose, code, attempts)) = sms else {
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
            sent_to: phone.masked(),
            expires_at: Time(code.expires_at(policy)),
            resend_after_s: Some((policy.code_gap_s - code.sent_at.age_s_at(now)).max(0)),
            attempts_left: attempts.left(attempts_max(&rebind.stage, purpose, policy)),
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
            attempts_left: card_attempts.left(policy.deposit_attempts),
        })
    }
}

/// Why the rebind was rejected or reverted, or `MICRO_DEPOSIT_EXPIRED`. Absent for any other end: `state` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(
    feature = "schema",
    derive(JsonSchema),
    schemars(transform = schema::rules::ended_reason)
)]
pub struct EndedReason(pub ErrorCode);

impl EndedReason {
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
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::rebind))]
pub struct Rebind {
    /// The rebind's id.
    pub rebind_id: Text<RebindId>,
    /// The state of the rebind.
    pub state: StateName,
    /// Counts the changes of this rebind.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub version: u32,
    /// `standby`: the card is verified and kept for later.
    pub purpose: Purpose,
    /// The requested card.
    pub new_card: Card,
    /// The active card at the start; after activation, the replaced card. Null for a first card.
    pub old_card: Option<Card>,
    /// The mobile number that the bank has for the new card.
    #[cfg_attr(feature = "schema", schemars(with = "schema::PhoneMasked"))]
    pub reserved_phone_masked: String,
    /// When it was started.
    pub created_at: Time,
    /// When it expires unless the card is confirmed.
    pub expires_at: Time,
    /// The pending challenge.
    pub challenge: Option<Challenge>,
    /// The actions that an app can offer, in this order.
    #[cfg_attr(feature = "schema", schemars(extend("uniqueItems" = true)))]
    pub next_actions: Vec<NextAction>,
    /// When the pointer moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Time>,
    /// Payouts created from this time on go to the new card. Planned while `waiting_for_notification`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Time>,
    /// True while the owner's notification is not handed over: payouts go as during the hold.
    #[serde(skip_serializing_if = "Not::not")]
    pub waiting_for_notification: bool,
    /// The end of the cooldown.
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
        // An open rebind's card is pending, also when another rebind was loaded with the merchant.
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
            youngest_device: _,
            created_at,
            expires_at,
            stage: _,         // shown as `state`, `challenge` and the times
            sealed_number: _, // never shown
        } = rebind;
        let activated = rebind.activated_card();
        let times = activated.map(|activated| &activated.times);
        Self {
            rebind_id: Text(rebind_id.clone()),
            state: merchant.state_of(rebind, now),
            version: *version,
            purpose: *purpose,
            new_card: card(new_card),
            old_card: old_card.as_ref().map(card),
            reserved_phone_masked: reserved_phone.masked(),
            created_at: Time(*created_at),
            expires_at: Time(*expires_at),
            challenge: Challenge::of(merchant, rebind, policy, now),
            next_actions: next_actions(merchant, rebind, policy, now),
            activated_at: times.map(|times| Time(times.activated_at)),
            effective_at: times.map(|times| Time(times.effective_at)),
            waiting_for_notification: times.is_some_and(|times| times.waits),
            cooldown_until: times.map(|times| Time(times.cooldown_until)),
            test_succeeded_at: activated.and_then(|activated| match &activated.test {
                TestTransfer::Arrived { at, .. } => Some(Time(*at)),
                TestTransfer::Closed { arrived_at } => arrived_at.map(Time),
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

vocabulary! {
    /// The status of a test transfer.
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
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(transform = schema::rules::test_transaction))]
pub struct TestTransaction {
    /// The status of the test transfer.
    pub status: TestStatus,
    /// ¥0.01.
    #[cfg_attr(feature = "schema", schemars(extend("const" = Self::AMOUNT_FEN)))]
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
        // A reverted rebind has no activation: the transfer was returned.
        let test = rebind.activated_card().map(|activated| &activated.test);
        let status = match test {
            Some(
                TestTransfer::Arrived { .. }
                | TestTransfer::Closed {
                    arrived_at: Some(_),
                },
            ) => TestStatus::Succeeded,
            Some(
                TestTransfer::NotSent
                | TestTransfer::Sent { .. }
                | TestTransfer::Closed { arrived_at: None },
            ) => TestStatus::Pending,
            Some(TestTransfer::CameBack) | None => TestStatus::Failed,
        };
        Self {
            status,
            amount_fen: Self::AMOUNT_FEN,
            rebind: Rebind::new(merchant, rebind, policy, now),
        }
    }
}
