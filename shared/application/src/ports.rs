//! What the steps need from outside, one small trait per capability: a function's signature says what it may do.

use domain::decide::BankAnswer;
use domain::history::ChainedEvent;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::login::{Account, LoginRead, OpenedSession};
use domain::merchant::{Merchant, Session};
use domain::payout::Payout;
use domain::pii::{CardNumber, IdNumber, PersonName, Phone};
use domain::policy::Policy;
use domain::push::PushPlatform;
use domain::rebind::{Mac, OtpPurpose, Rebind, Sealed};
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use domain::transition::Transition;

/// Why a call to the outside failed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else wrote first. Read again, decide again.
    #[error("a concurrent write came first")]
    Conflict,
    /// It may work in a moment: throttled, timed out, unreachable. Whether it was done is unknown.
    #[error("{0} is unavailable: {1}")]
    Transient(&'static str, String),
    /// A record has a format that only a later release reads. Nothing was written.
    #[error("{0} was written by a later release")]
    TooNew(&'static str),
    /// It will not work: a missing permission, a broken record, a bug.
    #[error("{0} failed: {1}")]
    Permanent(&'static str, String),
}

/// Which rebind is read with the merchant, and what that costs.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// The latest, which is the open one if any is: one query.
    Latest,
    /// This one, for a step; nearly always the latest, else one call more.
    Step(&'a RebindId),
    /// The one of this number, for the clean-up.
    Number(u32),
    /// This one, to be shown: always one call.
    Shown(&'a RebindId),
    /// The one that a card came with: one call, and one more when another rebind is open.
    Card(&'a CardId),
    /// The one of this number, and with it the latest, for a freeze.
    Announced(u32),
}

/// Reads a merchant with one rebind, consistently.
#[allow(async_fn_in_trait)]
pub trait LoadMerchant {
    /// `None` when there is no such merchant. A wanted rebind that does not exist leaves `rebind` empty.
    async fn load(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
    ) -> Result<Option<Merchant>, PortError>;
}

/// Lists a merchant's rebinds.
#[allow(async_fn_in_trait)]
pub trait ListRebinds {
    /// At most `limit`, newest first, numbered below `before` where that is given.
    async fn list(
        &self,
        merchant: &MerchantId,
        before: Option<u32>,
        limit: u8,
    ) -> Result<Vec<Rebind>, PortError>;
}

/// Lists a merchant's history.
#[allow(async_fn_in_trait)]
pub trait ListEvents {
    /// At most `limit`, newest first, with a sequence number below `before` where that is given.
    async fn list_events(
        &self,
        merchant: &MerchantId,
        before: Option<u64>,
        limit: u8,
    ) -> Result<Vec<ChainedEvent>, PortError>;
}

/// Reads payouts.
#[allow(async_fn_in_trait)]
pub trait ReadPayouts {
    /// The unsent ones, at most `limit`, newest first, before `before` where that is given.
    async fn unsent_payouts(
        &self,
        merchant: &MerchantId,
        before: Option<&str>,
        limit: u8,
    ) -> Result<Vec<Payout>, PortError>;
    /// One by its id; with the merchant, when it is known whose it is: in one call.
    async fn payout(
        &self,
        payout_id: &PayoutId,
        merchant: Option<&MerchantId>,
    ) -> Result<(Option<OwnedPayout>, Option<Merchant>), PortError>;
}

/// A device that is told by push, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPushTarget {
    /// Tells a merchant's targets apart.
    pub tag: String,
    /// Which service reaches it.
    pub platform: PushPlatform,
    /// Its token, encrypted under the merchant's history key.
    pub sealed_token: Sealed,
    /// When it was removed or replaced.
    pub removed_at: Option<Timestamp>,
}

/// Finds the devices to tell.
#[allow(async_fn_in_trait)]
pub trait ListPushTargets {
    /// Those that are registered, then those that were.
    async fn push_targets(&self, merchant: &MerchantId) -> Result<Vec<KeptPushTarget>, PortError>;
    /// The merchant's history key, wrapped.
    async fn history_key(&self, merchant: &MerchantId) -> Result<Option<Sealed>, PortError>;
}

/// Whom a freeze code is tried for, and from where: keyed hashes of the account's name and of the source address.
#[derive(Clone, Debug)]
pub struct FreezeKeys {
    /// Of the account's name.
    pub account: String,
    /// Of the source address.
    pub source: String,
    /// Random: tells this request's additions to the counts from those of others when one is repeated.
    pub nonce: [u8; 6],
}

impl FreezeKeys {
    /// Names one addition of this request: counting and refunding are two.
    #[must_use]
    pub const fn nonce_for(&self, more: i64) -> [u8; 6] {
        let mut nonce = self.nonce;
        if more < 0 {
            nonce[0] = !nonce[0];
        }
        nonce
    }
}

/// What is known before a freeze code is looked at.
#[derive(Clone, Debug)]
pub struct FreezeAttempt {
    /// Whose account it is; `None` for a name that nobody has, whose tries are counted all the same.
    pub merchant_id: Option<MerchantId>,
    /// Whether the code is looked at, and this try is counted: neither the address nor the account has had too many.
    pub allowed: bool,
}

/// Counts tries of freeze codes.
#[allow(async_fn_in_trait)]
pub trait FreezeAttempts {
    /// Counts one, before the code is looked at. Never in conflict with another: whoever tries wrong codes cannot keep
    /// the right one from being counted. A try that the address may not make is counted nowhere: one address cannot use
    /// up the account's.
    async fn count_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<FreezeAttempt, PortError>;
    /// It was no wrong one.
    async fn refund_freeze_attempt(
        &self,
        keys: &FreezeKeys,
        now: Timestamp,
    ) -> Result<(), PortError>;
}

/// A request's idempotency key, hashed, with the keyed fingerprint of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Keyed hash of merchant, method, path and key.
    pub scope: String,
    /// Keyed hash of the body.
    pub fingerprint: String,
}

/// A reply as it is kept for a repeated request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON text; empty for none.
    pub body: String,
}

/// What a commit does with the idempotency row.
#[derive(Clone, Debug)]
pub enum IdempotencyMode<'a> {
    /// The row stays as it is, or the request has no key.
    None,
    /// The first write of a use case in two: from now on the key is taken. A repeated request goes on only in the same
    /// context (the hash of the OTP that is being compared).
    Claim(&'a IdempotencyKey, &'a str),
    /// The last write: the reply to repeat.
    Reply(&'a IdempotencyKey, &'a StoredReply),
    /// The promised outcome did not happen: the key is free again.
    Release(&'a IdempotencyKey),
}

/// What is found under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyLookup {
    /// Nothing that still counts.
    Nothing,
    /// The same request, answered.
    Reply(StoredReply),
    /// The same request, begun and not answered, with its context.
    Claimed(String),
    /// The key with another body.
    OtherBody,
}

/// One write, whole.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The state that was decided on; the write holds only if it still is.
    pub before: &'a Merchant,
    /// What changes.
    pub transition: &'a Transition,
    /// The transition's event in its chain; the head in `transition` ends it.
    pub event: Option<&'a ChainedEvent>,
    /// The session's slot, whose token must still be there when the write happens.
    pub session: Option<u8>,
    /// The idempotency row.
    pub idempotency: IdempotencyMode<'a>,
    /// The clock of the rules.
    pub now: Timestamp,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is written.
    Written,
    /// Nothing is written: the idempotency key was used before.
    Before(IdempotencyLookup),
    /// Nothing is written: no code may go to this phone for so many seconds.
    OtpLimit {
        /// Until one may.
        wait_s: i64,
    },
    /// Nothing is written: the card is verified for another person.
    BoundElsewhere,
    /// Nothing is written: there is a payout of this id.
    PayoutExists(Box<OwnedPayout>),
}

/// A payout, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPayout {
    /// Whose.
    pub merchant_id: MerchantId,
    /// The payout.
    pub payout: Payout,
}

/// Writes a transition, whole or not at all.
#[allow(async_fn_in_trait)]
pub trait CommitTransition {
    /// [`PortError::Conflict`] when the state has changed since it was read.
    async fn commit(&self, commit: Commit<'_>) -> Result<CommitOutcome, PortError>;
    /// What is kept under an idempotency key.
    async fn find(
        &self,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError>;
    /// A code that could not be handed over does not count.
    async fn refund_otp(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
        at: Timestamp,
    ) -> Result<(), PortError>;
}

/// Hands a text to the operator. Whether the phone got it is not known.
#[allow(async_fn_in_trait)]
pub trait SendSms {
    /// `phone`: E.164.
    async fn send(&self, phone: &str, text: &str) -> Result<(), PortError>;
}

/// One question to the bank.
#[derive(Clone)]
pub struct CardQuestion {
    /// Ours; the same question always carries the same one.
    pub serial: String,
    /// The number.
    pub card_number: CardNumber,
    /// The name on the card.
    pub holder_name: PersonName,
    /// The ID number.
    pub id_number: IdNumber,
    /// The reserved phone.
    pub phone: Phone,
}

/// Asks the bank whether name, ID, card and phone belong together.
#[allow(async_fn_in_trait)]
pub trait CheckCard {
    /// `None`: no answer, late, garbled, or one to another question. Never an error: no answer decides nothing.
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer>;
}

/// The keys that a function may use, and nothing of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKey {
    /// Card numbers.
    Card,
    /// ID numbers.
    Identity,
    /// Each merchant's history key.
    History,
}

/// A key service: keys never leave it but as data keys and derived hash keys.
#[allow(async_fn_in_trait)]
pub trait KeyService {
    /// 32 bytes derived from the hash key for one purpose; the same every time.
    async fn hash_key(&self, purpose: &str) -> Result<Secret<Vec<u8>>, PortError>;
    /// A fresh 256-bit data key and its wrapped form.
    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError>;
    /// Unwraps a data key; fails for another context.
    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError>;
    /// Fills `bytes` from the OS random source.
    ///
    /// # Errors
    /// When the OS has none.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PortError> {
        getrandom::fill(bytes)
            .map_err(|error| PortError::Permanent("random source", error.to_string()))
    }
}

/// Counts and opens logins.
#[allow(async_fn_in_trait)]
pub trait Logins {
    /// The account with the failures that matter to this login.
    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError>;
    /// Writes a failure before the password is compared. [`PortError::Conflict`] when another login wrote first.
    async fn count_login(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<(), PortError>;
    /// Opens the session: the token's hash into the merchant's head, the device among the known ones, the counted failure
    /// taken back. [`PortError::Conflict`] when the account has changed since.
    async fn open_session(
        &self,
        keys: &LoginKeys,
        account: &Account,
        opened: &OpenedSession,
        cleared: Option<&LoginRead>,
        now: Timestamp,
    ) -> Result<(), PortError>;
    /// Ends the session of this token, and returns it as it was; `None` when there is none.
    async fn close_session(
        &self,
        merchant: &MerchantId,
        slot: u8,
        token_hash: &[u8; 32],
    ) -> Result<Option<Session>, PortError>;
}

/// The keyed hashes that a login is looked up by.
#[derive(Clone, Debug)]
pub struct LoginKeys {
    /// Of the account's name.
    pub account: String,
    /// Of the device id, within the account.
    pub device: String,
    /// Of the source address.
    pub source: String,
}

/// One fen to a card: a micro-deposit or a test transaction. There is no other amount.
#[derive(Clone)]
pub struct Transfer {
    /// Ours; the same transfer always carries the same one.
    pub serial: String,
    /// The number.
    pub card_number: CardNumber,
    /// The payee's name.
    pub holder_name: PersonName,
    /// What the payee's statement shows, 1 to 64 characters; a micro-deposit's ends in its code.
    pub descriptor: Secret<String>,
    /// Return it when the payee's name is not the holder's.
    pub check_name: bool,
}

/// Sends one fen to a card.
#[allow(async_fn_in_trait)]
pub trait SendTransfer {
    /// `None`: no answer, late, garbled, or one to another transfer. It may have been sent all the same.
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer>;
}

/// What the bank says about a serial that it was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryOutcome<A> {
    /// As it stands now.
    Answer(A),
    /// The bank has not seen the serial so far. The request may still be on its way: it may only be sent again under the
    /// same serial.
    NeverSeen,
    /// No answer to this either.
    Unknown,
}

impl<A> QueryOutcome<A> {
    /// The answer, if there is one.
    pub fn answer(self) -> Option<A> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::NeverSeen | Self::Unknown => None,
        }
    }
}

/// Asks again about a card check whose answer was lost, without knowing the card.
#[allow(async_fn_in_trait)]
pub trait QueryCheck {
    /// Decides nothing at the bank.
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer>;
}

/// Asks what became of a transfer, without knowing the card.
#[allow(async_fn_in_trait)]
pub trait QueryTransfer {
    /// Sends nothing.
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer>;
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Handed over. Whether the app got it is not known.
    Sent,
    /// The token is good for nothing any more.
    Gone,
    /// This deployment has no application for the platform.
    NotConfigured,
}

/// Hands a notification for an app to its platform.
#[allow(async_fn_in_trait)]
pub trait SendPush {
    /// `token`: the platform's name for one app on one phone; whoever has it can write to that phone.
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError>;
}
