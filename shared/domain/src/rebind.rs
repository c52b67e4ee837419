//! One rebind: what it is about, and the stage it is in. A stage carries only what that stage has, so that a card check
//! without an identity, or an activation without a signature, cannot be written down.

use super::card::Card;
use super::error_code::ErrorCode;
use super::ids::RebindId;
use super::pii::Phone;
use super::policy::Policy;
use super::secret::Secret;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

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

/// A keyed hash, 64 hex digits or 43 base64url characters; tells nothing without the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub String);

/// The first bytes of a session's token hash: enough to tell a merchant's sessions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTag(pub String);

/// A code that was sent, without the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOtp {
    /// Keyed hash over merchant, rebind, purpose, phone, session and code.
    pub mac: Mac,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The session that asked for it; only that one may use it.
    pub session: SessionTag,
}

impl SentOtp {
    /// When it dies.
    #[must_use]
    pub fn expires_at(&self, policy: &Policy) -> Timestamp {
        self.sent_at.plus_s(policy.code_life_s)
    }

    /// Whether it can still be confirmed.
    #[must_use]
    pub fn lives(&self, policy: &Policy, now: Timestamp) -> bool {
        self.sent_at.age_s_at(now) < policy.code_life_s
    }
}

/// The tries of one purpose, over all codes sent for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Counted, by a write, before anything was compared.
    pub taken: u8,
    /// Found wrong. Less than `taken` while a request is still deciding, or when one died deciding.
    pub wrong: u8,
    /// When the last one was taken.
    pub last_at: Option<Timestamp>,
}

impl Attempts {
    /// What a caller has left of `max`.
    #[must_use]
    pub const fn left(&self, max: u8) -> u8 {
        max.saturating_sub(self.taken)
    }
}

vocabulary! {
    /// What a code proves.
    pub enum OtpPurpose {
        /// Sent to the phone on file: authorises the change.
        Identity = "identity",
        /// Sent to the reserved phone, or to the card itself with a deposit: proves the card.
        Card = "card",
        /// Sent to the phone on file: authorises the activation of a standby card.
        Activate = "activate",
    }
}

/// The document matched and the code to the phone on file was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProof {
    /// When the code was confirmed.
    pub confirmed_at: Timestamp,
}

/// The agreement was read and signed. The evidence is in the history; this is what later steps need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Which text.
    pub version: String,
}

/// How far the bank's check of the new card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardCheck {
    /// Nothing was asked yet.
    NotAsked {
        /// The number of the next serial.
        next: u16,
    },
    /// The question is out under this serial; only its answer, or its repetition, may follow.
    Asking {
        /// The number of the serial.
        number: u16,
        /// The entry in the day's count while it counts; `None` once an answer was lost.
        counted_at: Option<Timestamp>,
        /// When it was first asked.
        since: Timestamp,
        /// When it was last asked.
        asked_at: Timestamp,
        /// The card is verified for another person. Told only after the bank has matched.
        bound_elsewhere: bool,
    },
    /// Name, ID, card and phone belong together.
    Matched {
        /// The number of the serial.
        number: u16,
        /// When the bank answered.
        matched_at: Timestamp,
        /// The code to the reserved phone; `None` when it could not be sent.
        code: Option<SentOtp>,
    },
    /// The bank cannot check this card; ¥0.01 with a code went to it. The code is derived from the serial and kept
    /// nowhere.
    Deposit {
        /// The number of the serial.
        number: u16,
        /// When it was sent.
        sent_at: Timestamp,
        /// The bank has said that the card's holder has it.
        arrived: bool,
        /// When the bank was last heard about it.
        checked_at: Timestamp,
    },
}

/// What is sent to a bank under a serial of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankReference {
    /// The four-element check of this number.
    Check(u16),
    /// The deposit that follows it where the bank cannot check.
    Deposit(u16),
    /// The one test transfer.
    Test,
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

/// When an activation takes effect, and until when no other may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The pointer moved.
    pub activated_at: Timestamp,
    /// Payouts created from here on go to the new card.
    pub effective_at: Timestamp,
    /// No further rebind before this.
    pub cooldown_until: Timestamp,
}

impl Activation {
    /// Whether payouts that are created at `now` go to the new card.
    #[must_use]
    pub fn is_effective(&self, now: Timestamp) -> bool {
        now >= self.effective_at
    }

    /// Whether the hold is over. One without a hold (a standby card's) is over the moment after.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_effective(now) && now > self.activated_at
    }
}

/// The one transfer of ¥0.01 that shows the merchant that the new card can be paid to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TestTransfer {
    /// Not asked for.
    #[default]
    NotSent,
    /// On its way, or its answer was lost: the bank is asked by the serial.
    Sent {
        /// When it was asked for.
        sent_at: Timestamp,
        /// When the bank was last asked.
        checked_at: Timestamp,
    },
    /// It arrived; it can still come back.
    Arrived {
        /// When that was heard.
        at: Timestamp,
        /// When the bank was last heard about it.
        checked_at: Timestamp,
    },
    /// It came back when nothing could be undone any more.
    CameBack,
}

/// An activation and the test transfer to its card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivatedCard {
    /// Its times.
    pub times: Activation,
    /// The test transfer.
    pub test: TestTransfer,
}

impl ActivatedCard {
    /// Whether a transfer that comes back at `now` still undoes the activation.
    #[must_use]
    pub fn can_be_reverted(&self, policy: &Policy, now: Timestamp) -> bool {
        now < self
            .times
            .effective_at
            .plus_s(policy.revert_after_effective_s)
    }

    /// When the bank is to be asked about the test transfer; `None` once its answer changes nothing.
    fn asks_at(&self, policy: &Policy) -> Option<Timestamp> {
        let (since, checked_at, arrived) = match &self.test {
            TestTransfer::Sent {
                sent_at,
                checked_at,
            } => (*sent_at, *checked_at, false),
            TestTransfer::Arrived { at, checked_at } => (*at, *checked_at, true),
            TestTransfer::NotSent | TestTransfer::CameBack => return None,
        };
        let next = policy.asks_bank_at(since, checked_at, arrived);
        // The last chance is not missed by a day that ends after it.
        let last_chance = self
            .times
            .effective_at
            .plus_s(policy.revert_after_effective_s - 1);
        (checked_at < last_chance).then(|| next.min(last_chance))
    }
}

/// A verified card that waits to be switched to. Whether it still does is said by the merchant's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// When it was verified and announced.
    pub ready_at: Timestamp,
    /// From when it can be activated.
    pub usable_at: Timestamp,
    /// The code that authorises the switch.
    pub code: Option<SentOtp>,
    /// Tries of such codes.
    pub tries: Attempts,
}

impl Standby {
    /// All tries were wrong: how long the switch is still locked, seconds.
    #[must_use]
    pub fn locked_for_s(&self, policy: &Policy, now: Timestamp) -> Option<i64> {
        let age_s = self.tries.last_at?.age_s_at(now);
        let locked = self.tries.taken >= policy.code_tries && age_s < policy.standby_lock_s;
        locked.then(|| (policy.standby_lock_s - age_s).max(1))
    }
}

/// Where a rebind is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebindState {
    /// Waiting for the document and the code to the phone on file.
    IdentityPending {
        /// Wrong documents so far.
        mismatches: u8,
        /// The document is the registered one: codes may be asked for without it.
        matched: bool,
        /// The code that was sent; `None` before the document matched, and when an SMS could not be handed over.
        code: Option<SentOtp>,
        /// Tries of identity codes.
        tries: Attempts,
    },
    /// Waiting for the signature.
    AgreementPending {
        /// Who asked is the merchant.
        identity: IdentityProof,
        /// Tries of identity codes.
        tries: Attempts,
    },
    /// Waiting for the bank and the code to the reserved phone.
    CardPending {
        /// Who asked is the merchant.
        identity: IdentityProof,
        /// A code on its way to refresh the identity.
        refresh: Option<SentOtp>,
        /// Tries of identity codes.
        identity_attempts: Attempts,
        /// The merchant agreed.
        signature: Signature,
        /// The bank's side.
        check: CardCheck,
        /// Tries of card codes.
        card_attempts: Attempts,
    },
    /// The card is verified and waits; on the wire `completed`.
    Standby(Standby),
    /// The pointer is on the new card.
    Activated(ActivatedCard),
    /// The hold is over.
    Completed(ActivatedCard),
    /// Over, without the card.
    Ended {
        /// How.
        how: End,
        /// When.
        at: Timestamp,
        /// The code that says why: for `rejected` and `reverted`, and for `expired` with a deposit.
        reason: Option<ErrorCode>,
    },
}

impl RebindState {
    /// Whether it is one of the three pending stages.
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
    /// The id; carries the number within the merchant.
    pub rebind_id: RebindId,
    /// Counts writes, tries included; the condition of the next write.
    pub revision: u64,
    /// Counts transitions, from 1; shown to callers.
    pub version: u32,
    /// What the card is for.
    pub purpose: Purpose,
    /// Why.
    pub reason: Reason,
    /// The card asked for.
    pub new_card: Card,
    /// The card in use when it was asked for; once activated, the one that was replaced.
    pub old_card: Option<Card>,
    /// Keyed hash of the card number; finds duplicates.
    pub fingerprint: Mac,
    /// The phone that the bank has for the card.
    pub reserved_phone: Phone,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it dies unless activated.
    pub expires_at: Timestamp,
    /// Where it is.
    pub stage: RebindState,
    /// The encrypted card number; dropped when the rebind ends without the card.
    pub sealed_number: Option<Sealed>,
}

/// Ciphertext with its wrapped key; see `crypto::seal`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Rebind {
    /// Open, but past its time: every reader treats it as expired, whether or not the clean-up has come by.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.stage.is_open() && now >= self.expires_at
    }

    /// Open and in time.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.stage.is_open() && now < self.expires_at
    }

    /// The state's name on the wire, at `now`: an overdue rebind reads `expired`, one whose hold is over `completed`.
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

    /// The activation with its test transfer, of a rebind that has one.
    #[must_use]
    pub const fn activated_card(&self) -> Option<&ActivatedCard> {
        match &self.stage {
            RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
                Some(activated_card)
            }
            _ => None,
        }
    }

    /// Whether a deposit's code is what it waits for.
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

    /// The serial under which the bank is asked: the same question always carries the same serial.
    #[must_use]
    pub fn serial(&self, serial: BankReference) -> String {
        match serial {
            BankReference::Check(number) => format!("{}-{number}", self.rebind_id),
            BankReference::Deposit(number) => format!("{}-d{number}", self.rebind_id),
            BankReference::Test => format!("{}-t1", self.rebind_id),
        }
    }

    /// When the clean-up has to look at it next; `None` when time alone brings nothing about.
    #[must_use]
    pub fn due_at(&self, policy: &Policy) -> Option<Timestamp> {
        match &self.stage {
            RebindState::CardPending { check, .. } => {
                let asks_at = match check {
                    CardCheck::Asking {
                        since, asked_at, ..
                    } => Some(policy.asks_bank_at(*since, *asked_at, false)),
                    CardCheck::Deposit {
                        sent_at,
                        arrived,
                        checked_at,
                        ..
                    } => Some(policy.asks_bank_at(*sent_at, *checked_at, *arrived)),
                    CardCheck::NotAsked { .. } | CardCheck::Matched { .. } => None,
                };
                Some(asks_at.map_or(self.expires_at, |at| at.min(self.expires_at)))
            }
            stage if stage.is_open() => Some(self.expires_at),
            RebindState::Activated(activated_card) => {
                let over_at = activated_card
                    .times
                    .effective_at
                    .max(activated_card.times.activated_at.plus_s(1));
                let asks_at = activated_card.asks_at(policy);
                Some(asks_at.map_or(over_at, |at| at.min(over_at)))
            }
            RebindState::Completed(activated_card) => activated_card.asks_at(policy),
            _ => None,
        }
    }
}

/// A fresh six-digit code with its keyed hash: made outside the core, where the randomness is.
#[derive(Clone, Debug)]
pub struct Otp {
    /// Six digits; goes into the SMS and nowhere else.
    pub digits: Secret<String>,
    /// What is kept.
    pub mac: Mac,
    /// Keyed hash of the phone, under which its OTPs are counted.
    pub phone_hash: Mac,
}
