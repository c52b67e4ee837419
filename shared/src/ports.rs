//! What the steps need from outside, one small trait per capability: a function's signature says what it may do.

use crate::domain::decide::BankAnswer;
use crate::domain::format::{CardNumber, PersonName, Phone, ResidentId};
use crate::domain::history::Event;
use crate::domain::ids::{MerchantId, RebindId};
use crate::domain::login::{Account, LoginRead, OpenedSession};
use crate::domain::merchant::{Merchant, Session};
use crate::domain::rebind::{CodePurpose, Rebind};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::transition::Transition;

/// Why a call to the outside failed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else wrote first. Read again, decide again.
    #[error("a concurrent write came first")]
    Conflict,
    /// It may work in a moment: throttled, timed out, unreachable. Whether it was done is unknown.
    #[error("{0} is unavailable: {1}")]
    Transient(&'static str, String),
    /// It will not work: a missing permission, a broken record, a bug.
    #[error("{0} failed: {1}")]
    Permanent(&'static str, String),
}

/// Which rebind is wanted with the merchant.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The latest, which is the open one if any is: one query.
    Latest,
    /// This one, for a step; nearly always the latest, else one call more.
    Step(&'a RebindId),
    /// The one of this number, for the clean-up.
    Number(u32),
    /// This one, to be shown: always one call.
    Shown(&'a RebindId),
}

/// Reads a merchant with one rebind, consistently.
#[allow(async_fn_in_trait)]
pub trait LoadMerchant {
    /// `None` when there is no such merchant. A wanted rebind that does not exist leaves `rebind` empty.
    async fn load(
        &self,
        merchant: &MerchantId,
        wanted: Wanted<'_>,
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
pub enum Remember<'a> {
    /// There is no key.
    Nothing,
    /// The first write of a step in two: from now on the key is taken. `context` must be the same when a repetition takes
    /// the step over (the hash of the code that is being tried).
    Claim(&'a IdempotencyKey, &'a str),
    /// The last write: the reply to repeat.
    Reply(&'a IdempotencyKey, &'a StoredReply),
    /// What was promised did not happen after all: the key is free again.
    Forget(&'a IdempotencyKey),
}

/// What is found under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
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
    pub event: Option<&'a Event>,
    /// The keyed hash of the phone that a code goes to, where the transition sends one.
    pub phone_key: Option<&'a str>,
    /// The session's slot, whose token must still be there when the write happens.
    pub session: Option<u8>,
    /// The idempotency row.
    pub remember: Remember<'a>,
    /// The clock of the rules.
    pub now: Timestamp,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is written.
    Written,
    /// Nothing is written: the idempotency key was used before.
    Before(Found),
    /// Nothing is written: no code may go to this phone for so many seconds.
    CodeLimit {
        /// Until one may.
        wait_s: i64,
    },
    /// Nothing is written: the card is verified for another person.
    BoundElsewhere,
}

/// Writes a transition, whole or not at all.
#[allow(async_fn_in_trait)]
pub trait CommitTransition {
    /// [`PortError::Conflict`] when the state has changed since it was read.
    async fn commit(&self, commit: Commit<'_>) -> Result<Committed, PortError>;
    /// What is kept under an idempotency key.
    async fn find(&self, key: &IdempotencyKey, now: Timestamp) -> Result<Found, PortError>;
    /// A code that could not be handed over does not count.
    async fn uncount_code(
        &self,
        phone_key: &str,
        purpose: CodePurpose,
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
    pub id_number: ResidentId,
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
