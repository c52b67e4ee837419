//! One rebind and its state. Each state has only its own values, so that a card check without an identity, or an
//! activation without a signature, is unrepresentable.

mod bank;

pub use super::activation::{ActivatedCard, Activation, TestTransfer};
use super::card::Card;
use super::error_code::ErrorCode;
use super::ids::RebindId;
use super::pii::Phone;
use super::policy::Policy;
use super::time::Timestamp;
use super::vocabulary::vocabulary;
pub use bank::{BankQuestion, BankReference};

vocabulary! {
    /// The purpose of the new card.
    pub enum Purpose {
        /// Payouts go to it.
        Activate = "activate",
        /// It is verified and kept as a standby card.
        Standby = "standby",
    }
}

vocabulary! {
    /// Why the merchant changes the card.
    pub enum Reason {
        /// The card is replaced by another one.
        Replace = "replace",
        /// The old card is lost: nothing may be paid to it any more.
        Lost = "lost",
    }
}

/// A keyed hash: the version of its key, a dot and 43 base64url characters. Useless without the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub String);

impl Mac {
    /// The hash `encoded` under this version of its key.
    #[must_use]
    pub fn versioned(version: u32, encoded: &str) -> Self {
        Self(format!("{version}.{encoded}"))
    }

    /// The version of its key. `None` for text that is not a keyed hash.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.0.split_once('.')?.0.parse().ok()
    }

    /// The version and the first `characters` of the hash.
    #[must_use]
    pub fn shortened(mut self, characters: usize) -> Self {
        let prefix = self.0.find('.').map_or(0, |dot| dot + 1);
        self.0.truncate(prefix.saturating_add(characters));
        self
    }
}

/// The first bytes of a session's token hash, which distinguish a merchant's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTag(pub String);

/// A sent OTP, without its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOtp {
    /// Keyed hash over merchant, rebind, purpose, phone, session and OTP.
    pub mac: Mac,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The session that requested it. No other session can use it.
    pub session: SessionTag,
}

impl SentOtp {
    /// The end of its validity.
    #[must_use]
    pub fn expires_at(&self, policy: &Policy) -> Timestamp {
        self.sent_at.plus_s(policy.code_life_s)
    }

    /// True if the OTP can still be confirmed.
    #[must_use]
    pub fn is_valid_at(&self, policy: &Policy, now: Timestamp) -> bool {
        self.sent_at.age_s_at(now) < policy.code_life_s
    }
}

/// The attempts of one purpose, over all OTPs sent for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Reserved attempts. A write counts them before the comparison.
    pub reserved: u8,
    /// Wrong attempts. Fewer than `reserved` while a request compares, or after a request failed in between.
    pub wrong: u8,
    /// When the last attempt was reserved.
    pub last_at: Option<Timestamp>,
}

impl Attempts {
    /// The attempts left of `max`.
    #[must_use]
    pub const fn left(&self, max: u8) -> u8 {
        max.saturating_sub(self.reserved)
    }
}

vocabulary! {
    /// The purpose of a code.
    pub enum OtpPurpose {
        /// Sent to the phone on file: authorises the change.
        Identity = "identity",
        /// Sent to the reserved phone, or to the card itself with a deposit: proves the card.
        Card = "card",
        /// Sent to the phone on file: authorises the activation of a standby card.
        Activate = "activate",
    }
}

/// Proof that the document matched and that the OTP to the phone on file was correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProof {
    /// When the OTP was confirmed.
    pub confirmed_at: Timestamp,
}

/// The signature of the agreement, as far as later steps need it. The evidence is in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// When the agreement was signed.
    pub signed_at: Timestamp,
    /// The version of the signed text.
    pub version: String,
}

/// The progress of the bank's check of the new card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardCheck {
    /// The bank was not called yet.
    NotAsked {
        /// The number of the next bank reference.
        next: u16,
    },
    /// A call with this bank reference is pending. Only its answer or its repetition may follow.
    Asking {
        /// The number of the bank reference.
        number: u16,
        /// The time under which the call counts for its day; `None` once an answer was lost.
        counted_at: Option<Timestamp>,
        /// When the bank was first called, or last said that it had not decided.
        since: Timestamp,
        /// When the bank was last called.
        asked_at: Timestamp,
        /// True if the card is verified for another person. Revealed only after the bank has matched.
        bound_elsewhere: bool,
    },
    /// The bank has matched name, ID, card and phone.
    Matched {
        /// The number of the bank reference.
        number: u16,
        /// When the bank was asked. Its answer may have been heard later.
        matched_at: Timestamp,
        /// The OTP to the reserved phone; `None` when its SMS could not be sent.
        code: Option<SentOtp>,
    },
    /// The bank cannot check this card, so ¥0.01 with a code was sent to it. The code is derived from the bank
    /// reference and never stored.
    Deposit {
        /// The number of the bank reference.
        number: u16,
        /// When the deposit was sent.
        sent_at: Timestamp,
        /// True if the bank has confirmed its arrival.
        arrived: bool,
        /// When the bank last answered about it.
        checked_at: Timestamp,
    },
}

vocabulary! {
    /// How a rebind ended without its card.
    pub enum End {
        /// Refused for good.
        Rejected = "rejected",
        /// Its time was over.
        Expired = "expired",
        /// By the merchant.
        Cancelled = "cancelled",
        /// By the old contact.
        Frozen = "frozen",
        /// The test transfer came back.
        Reverted = "reverted",
    }
}

/// A verified card kept as a standby card. Only the merchant state records that it still is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// When it was verified and announced.
    pub ready_at: Timestamp,
    /// The earliest time of its activation.
    pub usable_at: Timestamp,
    /// The OTP that authorises the switch.
    pub code: Option<SentOtp>,
    /// The attempts of such OTPs.
    pub attempts: Attempts,
}

impl Standby {
    /// Seconds until the switch is unlocked after too many wrong OTPs.
    #[must_use]
    pub fn locked_for_s(&self, policy: &Policy, now: Timestamp) -> Option<i64> {
        let age_s = self.attempts.last_at?.age_s_at(now);
        let locked =
            self.attempts.reserved >= policy.code_attempts && age_s < policy.standby_lock_s;
        locked.then(|| (policy.standby_lock_s - age_s).max(1))
    }
}

/// The state of a rebind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebindState {
    /// Waits for the document and the OTP to the phone on file.
    IdentityPending {
        /// The number of mismatches.
        mismatches: u8,
        /// True once the document matched. Further OTPs then need no document.
        matched: bool,
        /// The sent OTP; `None` before the document matched, and when its SMS could not be sent.
        code: Option<SentOtp>,
        /// The attempts of identity OTPs.
        attempts: Attempts,
    },
    /// Waits for the signature.
    AgreementPending {
        /// The identity proof.
        identity: IdentityProof,
        /// The attempts of identity OTPs.
        attempts: Attempts,
    },
    /// Waits for the bank and the OTP to the reserved phone.
    CardPending {
        /// The identity proof.
        identity: IdentityProof,
        /// The OTP that refreshes the identity proof.
        refresh: Option<SentOtp>,
        /// The attempts of identity OTPs.
        identity_attempts: Attempts,
        /// The signature of the agreement.
        signature: Signature,
        /// The bank's check.
        check: CardCheck,
        /// The attempts of card OTPs.
        card_attempts: Attempts,
    },
    /// The card is verified and kept as a standby card. The wire name is `completed`.
    Standby(Standby),
    /// The new card is the active card.
    Activated(ActivatedCard),
    /// The hold is over.
    Completed(ActivatedCard),
    /// Ended without the card.
    Ended {
        /// How it ended.
        how: End,
        /// When it ended.
        at: Timestamp,
        /// The reason, for `rejected` and `reverted`, for `expired` with a deposit, and for `cancelled` by a security change.
        reason: Option<ErrorCode>,
    },
}

impl RebindState {
    /// True for the three pending states.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::IdentityPending { .. } | Self::AgreementPending { .. } | Self::CardPending { .. }
        )
    }
}

vocabulary! {
    /// A rebind's state. `identity_pending`, `agreement_pending` and `card_pending` are open; `activated` waits for
    /// `effective_at`; `completed` is done; the others have ended without the card.
    pub enum StateName {
        /// Waiting for the document and the code to the phone on file.
        IdentityPending = "identity_pending",
        /// Waiting for the signature.
        AgreementPending = "agreement_pending",
        /// Waiting for the proof of the card.
        CardPending = "card_pending",
        /// The pointer has moved; the hold runs.
        Activated = "activated",
        /// The hold is over, or the standby card is verified.
        Completed = "completed",
        /// Refused for good.
        Rejected = "rejected",
        /// The time to prove the card is over.
        Expired = "expired",
        /// Cancelled by the merchant, or because of a security change.
        Cancelled = "cancelled",
        /// Undone by a freeze.
        Frozen = "frozen",
        /// Undone because the test transfer was returned.
        Reverted = "reverted",
    }
}

/// One rebind of one merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebind {
    /// The id, which contains the number within the merchant.
    pub rebind_id: RebindId,
    /// Counts writes, including attempts. It is the condition of the next write.
    pub revision: u64,
    /// Counts transitions, from 1. Callers see it.
    pub version: u32,
    /// The purpose of the card.
    pub purpose: Purpose,
    /// The reason for the change.
    pub reason: Reason,
    /// The requested card.
    pub new_card: Card,
    /// The active card at the request; after the activation, the card that was replaced.
    pub old_card: Option<Card>,
    /// Keyed hash of the card number, which finds duplicates.
    pub fingerprint: Mac,
    /// The phone that the bank has on record for the card.
    pub reserved_phone: Phone,
    /// When the rebind was requested.
    pub created_at: Timestamp,
    /// The first login of the youngest device that created this rebind or confirmed its identity or card.
    pub youngest_device: Option<Timestamp>,
    /// When it expires unless it is activated.
    pub expires_at: Timestamp,
    /// The state.
    pub stage: RebindState,
    /// The encrypted card number, deleted when the rebind ends without the card.
    pub sealed_number: Option<Sealed>,
}

/// Encrypted bytes; the application crate defines their layout.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Rebind {
    /// True if the rebind is open but overdue. Every reader treats it as expired, even before the clean-up has run.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.stage.is_open() && now >= self.expires_at
    }

    /// True if the rebind is open and not overdue.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.stage.is_open() && now < self.expires_at
    }

    /// The wire name of the state at `now`: an overdue rebind is `expired`, and an activated rebind whose hold is over
    /// is `completed`.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> StateName {
        match &self.stage {
            _ if self.is_overdue(now) => StateName::Expired,
            RebindState::IdentityPending { .. } => StateName::IdentityPending,
            RebindState::AgreementPending { .. } => StateName::AgreementPending,
            RebindState::CardPending { .. } => StateName::CardPending,
            RebindState::Activated(activated_card) if !activated_card.times.is_over(now) => {
                StateName::Activated
            }
            RebindState::Activated(_) | RebindState::Completed(_) | RebindState::Standby(_) => {
                StateName::Completed
            }
            RebindState::Ended { how, .. } => match how {
                End::Rejected => StateName::Rejected,
                End::Expired => StateName::Expired,
                End::Cancelled => StateName::Cancelled,
                End::Frozen => StateName::Frozen,
                End::Reverted => StateName::Reverted,
            },
        }
    }

    /// The activation with its test transfer, if the rebind has one.
    #[must_use]
    pub const fn activated_card(&self) -> Option<&ActivatedCard> {
        match &self.stage {
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                Some(activated_card)
            }
            _ => None,
        }
    }

    /// True if the rebind waits for a deposit's code.
    #[must_use]
    pub const fn has_deposit(&self) -> bool {
        matches!(
            self.stage,
            RebindState::CardPending {
                check: CardCheck::Deposit { .. },
                ..
            }
        )
    }

    /// When the clean-up must next process this rebind; `None` when time alone changes nothing.
    #[must_use]
    pub fn due_at(&self, policy: &Policy) -> Option<Timestamp> {
        match &self.stage {
            RebindState::CardPending { check, .. } => {
                let asks_at = check
                    .bank_question()
                    .map(|question| question.asks_at(policy));
                Some(asks_at.map_or(self.expires_at, |at| at.min(self.expires_at)))
            }
            stage if stage.is_open() => Some(self.expires_at),
            RebindState::Activated(activated_card) => {
                let times = &activated_card.times;
                let over_at = times.effective_at.max(times.activated_at.plus_s(1));
                let over_at = (!times.waits).then_some(over_at);
                [over_at, activated_card.asks_at(policy)]
                    .into_iter()
                    .flatten()
                    .min()
            }
            RebindState::Completed(activated_card) => activated_card.asks_at(policy),
            _ => None,
        }
    }
}

/// A new OTP with its keyed hash. It is generated outside the domain, which has no randomness.
#[derive(Clone, Debug)]
pub struct Otp {
    /// The hash to store.
    pub mac: Mac,
    /// Keyed hash of the phone. Limits per phone are counted under it.
    pub phone_hash: Mac,
}
