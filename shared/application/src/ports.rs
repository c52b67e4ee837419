//! The external capabilities of use cases, one small trait each: a function's signature shows what it may do.
#![expect(async_fn_in_trait, reason = "only this workspace implements them")]

mod anchoring;
mod bank;

pub use anchoring::*;
pub use bank::*;

use api::cloud_event::CloudEvent;
use domain::history::ChainedEvent;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::login::{Account, LoginRead, OpenedSession};
use domain::merchant::{Merchant, Session};
use domain::payout::Payout;
use domain::pii::Phone;
use domain::push::PushPlatform;
use domain::rebind::{Mac, OtpPurpose, Rebind, Sealed};
use domain::secret::Secret;
use domain::sms::Message;
use domain::time::Timestamp;
use domain::transition::Transition;

/// A failed call to a port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A concurrent write succeeded first. Read and decide again.
    #[error("a concurrent write succeeded first")]
    Conflict,
    /// A retry may succeed: throttled, timed out or unreachable. It is unknown whether the call took effect.
    #[error("{0} is unavailable: {1}")]
    Transient(&'static str, String),
    /// The record has a format that only a later release reads. Nothing was written.
    #[error("{0} was written by a later release")]
    TooNew(&'static str),
    /// A retry cannot succeed: a missing permission, a damaged record, a bug.
    #[error("{0} failed: {1}")]
    Permanent(&'static str, String),
}

/// Publishes events to other systems.
pub trait PublishEvent {
    /// Publishes an event. If it fails, the event may have been published.
    async fn publish(&self, event: &CloudEvent) -> Result<(), PortError>;
}

/// Selects the rebind that is read with the merchant, at different costs.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// The latest rebind, which is the open one if any is open. One query.
    Latest,
    /// The rebind of a step. Nearly always the latest; otherwise one more call.
    Step(&'a RebindId),
    /// The rebind with this number, for the clean-up.
    Number(u32),
    /// A rebind to show. Always one call.
    Shown(&'a RebindId),
    /// The rebind that a card came with. One call, and one more while another rebind is open.
    Card(&'a CardId),
    /// The rebind with this number and the latest one, for a freeze.
    Announced(u32),
}

/// Connects to the tables.
pub trait ConnectTables {
    /// Opens the connection to each table with a read. Returns the stage that the tables belong to, once it is marked.
    async fn connect(&self) -> Result<Option<String>, PortError>;
}

/// Reads a merchant with one rebind, consistently.
pub trait LoadMerchant {
    /// `None` for an unknown merchant. If the selected rebind does not exist, `rebind` is `None`.
    async fn load(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
    ) -> Result<Option<Merchant>, PortError>;
    /// The same, with the earlier use of an idempotency key: its stored reply, or its claim in the selected rebind.
    async fn load_with_key(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<(Merchant, IdempotencyLookup)>, PortError>;
}

/// Lists a merchant's rebinds.
pub trait ListRebinds {
    /// At most `limit` rebinds, newest first, with numbers below `before` if given.
    async fn list(
        &self,
        merchant: &MerchantId,
        before: Option<u32>,
        limit: u8,
    ) -> Result<Vec<Rebind>, PortError>;
}

/// Lists a merchant's history.
pub trait ListEvents {
    /// At most `limit` events, newest first, with sequence numbers below `before` if given.
    async fn list_events(
        &self,
        merchant: &MerchantId,
        before: Option<u64>,
        limit: u8,
    ) -> Result<Vec<ChainedEvent>, PortError>;
}

/// Reads payouts.
pub trait ReadPayouts {
    /// At most `limit` unsent payouts, newest first, older than `before` if given.
    async fn unsent_payouts(
        &self,
        merchant: &MerchantId,
        before: Option<&str>,
        limit: u8,
    ) -> Result<Vec<Payout>, PortError>;
    /// One payout by its id. If the merchant id is given, the same call also reads the merchant.
    async fn payout(
        &self,
        payout_id: &PayoutId,
        merchant: Option<&MerchantId>,
    ) -> Result<(Option<OwnedPayout>, Option<Merchant>), PortError>;
}

/// A stored push target: a device that receives notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPushTarget {
    /// Distinguishes a merchant's targets.
    pub tag: String,
    /// The platform that delivers to it.
    pub platform: PushPlatform,
    /// The token, encrypted under the merchant's history key.
    pub sealed_token: Sealed,
    /// When the device was registered; `None` for a target of an earlier release.
    pub registered_at: Option<Timestamp>,
    /// Time of its removal or replacement.
    pub removed_at: Option<Timestamp>,
}

/// Finds the devices to notify.
pub trait ListPushTargets {
    /// The registered devices, then the removed ones.
    async fn push_targets(&self, merchant: &MerchantId) -> Result<Vec<KeptPushTarget>, PortError>;
    /// The merchant's history key, wrapped.
    async fn history_key(&self, merchant: &MerchantId) -> Result<Option<Sealed>, PortError>;
}

/// The account and the address of a freeze request: keyed hashes of the account name and of the source address.
#[derive(Clone, Debug)]
pub struct FreezeKeys {
    /// Keyed hash of the account name.
    pub account: String,
    /// The hash of the account name under the previous key, during a rotation.
    pub previous_account: Option<String>,
    /// Keyed hash of the source address.
    pub source: String,
    /// Random nonce. It distinguishes this request's additions to the counts, so that a repeated write is not counted
    /// twice.
    pub nonce: [u8; 6],
}

/// Wrong freeze codes of the last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreezeGuesses {
    /// For the account, known or not.
    pub of_account: usize,
    /// From the source address.
    pub of_source: usize,
}

/// Finds the account of a freeze request, and counts wrong freeze codes.
pub trait FreezeRequests {
    /// The account's merchant. `None` for an unknown account name.
    async fn account_merchant(&self, keys: &FreezeKeys) -> Result<Option<MerchantId>, PortError>;
    /// Counts one wrong code. Counting never conflicts. No count keeps a code from being evaluated.
    async fn count_freeze_guess(
        &self,
        keys: &FreezeKeys,
        now: Timestamp,
    ) -> Result<FreezeGuesses, PortError>;
}

/// A request's hashed idempotency key, with the keyed fingerprint of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Keyed hash of merchant, method, path and key.
    pub scope: String,
    /// Keyed hash of the body.
    pub fingerprint: String,
}

/// A reply stored for repeated requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// The HTTP status.
    pub status: u16,
    /// The body as JSON text; empty for a reply without a body.
    pub body: String,
}

/// The effect of a commit on the idempotency key.
#[derive(Clone, Debug)]
pub enum IdempotencyMode<'a> {
    /// Leaves the key unchanged, or the request has none.
    None,
    /// The first of a use case's two writes claims the key in the rebind that it changes. The key was looked up with the
    /// rebind. A repeated request continues only in the same context (the hash of the OTP being compared).
    Claim(&'a IdempotencyKey, &'a str),
    /// The last write stores the reply to repeat, and ends the claim.
    Reply(&'a IdempotencyKey, &'a StoredReply),
    /// The promised outcome did not happen, so the key is released.
    Release(&'a IdempotencyKey),
}

/// The result of looking up an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyLookup {
    /// The key was not used, or too long ago.
    Nothing,
    /// The same request, with its reply.
    Reply(StoredReply),
    /// The same request, claimed but not answered, with its context.
    Claimed(String),
    /// A request with another body used this key.
    OtherBody,
}

/// One complete write.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The state that the decision is based on. The write succeeds only if the state is unchanged.
    pub before: &'a Merchant,
    /// The changes.
    pub transition: &'a Transition,
    /// The transition's event, chained to the history. The merchant state in `transition` holds the chain's new end.
    pub event: Option<&'a ChainedEvent>,
    /// The session's slot. A write of the merchant state requires that its token is still there; a write of the rebind
    /// alone does not.
    pub session: Option<u8>,
    /// The idempotency key.
    pub idempotency: IdempotencyMode<'a>,
    /// The clock of the business rules.
    pub now: Timestamp,
}

/// The result of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Written.
    Written,
    /// Not written: the idempotency key was used before.
    Before(IdempotencyLookup),
    /// Not written: the phone is at its OTP limit.
    OtpLimit {
        /// Seconds until the phone may receive an OTP.
        wait_s: i64,
    },
    /// Not written: the card is verified for another person.
    BoundElsewhere,
    /// Not written: a payout with this id exists.
    PayoutExists(Box<OwnedPayout>),
}

/// A payout and its merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPayout {
    /// The merchant's id.
    pub merchant_id: MerchantId,
    /// The payout.
    pub payout: Payout,
}

/// Writes a transition atomically.
pub trait CommitTransition {
    /// [`PortError::Conflict`] when the state has changed since it was read.
    async fn commit(&self, commit: Commit<'_>) -> Result<CommitOutcome, PortError>;
    /// The stored reply to an idempotency key. Claims are read with their rebind.
    async fn find(
        &self,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError>;
    /// Refunds an OTP that could not be handed over.
    async fn refund_otp(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
        at: Timestamp,
    ) -> Result<(), PortError>;
}

/// The operator's answer to an SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsAnswer {
    /// Handed over. Delivery to the phone is not confirmed.
    Accepted,
    /// The operator accepts nothing for this phone: the number is invalid, or its owner has opted out.
    PhoneRefused,
}

/// Hands an SMS to the operator.
pub trait SendSms {
    /// Sends one SMS. An error is not about the phone, and a retry may succeed.
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError>;
}

/// The data keys that a function may use. It cannot use any others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataKey {
    /// For card numbers.
    Card,
    /// For ID numbers.
    Identity,
    /// For the merchants' history keys.
    History,
}

/// The hash keys. A function may use only those that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKey {
    /// To find accounts, devices, addresses and idempotency keys.
    LookUp,
    /// Card numbers and ID numbers.
    CardAndId,
    /// OTPs, the phones they go to, and codes of micro-deposits.
    Codes,
    /// Freeze codes.
    Freeze,
}

impl HashKey {
    /// Every hash key.
    pub const ALL: [Self; 4] = [Self::LookUp, Self::CardAndId, Self::Codes, Self::Freeze];
}

/// The versions of a hash key. The previous version is `current - 1` and exists during a rotation only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKeyVersions {
    /// The version that new hashes are computed with.
    pub current: u32,
    /// True during a rotation.
    pub has_previous: bool,
}

/// A key service. Only data keys and the secrets of hash keys leave it.
pub trait KeyService {
    /// The versions of a hash key. `None` if this function may not use the key.
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions>;
    /// The 32-byte secret of a version of a hash key; the same on every call.
    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError>;
    /// A fresh 256-bit data key and its wrapped form.
    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError>;
    /// Unwraps a data key. Fails for another context.
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
        crate::crypto::fill_random(bytes)
    }
}

/// Signs payout instructions with a key that no other function may use.
pub trait SignInstruction {
    /// The id of the key, by which the core system finds the public one.
    fn key_id(&self) -> &str;
    /// The `ES256` signature of the message, in DER.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError>;
}

/// A session to open in one write.
#[derive(Clone, Copy, Debug)]
pub struct OpenSession<'a> {
    /// The keyed hashes of this login.
    pub keys: &'a LoginKeys,
    /// The account as read.
    pub account: &'a Account,
    /// The session.
    pub opened: &'a OpenedSession,
    /// The logins and failures after this login.
    pub after: &'a LoginRead,
    /// True to refund the failure that was counted for the address.
    pub refunds_source: bool,
    /// The decision that announces a new device. It opens the session itself.
    pub announced: Option<&'a Commit<'a>>,
    /// The clock of the business rules.
    pub now: Timestamp,
}

/// Counts and opens logins.
pub trait Logins {
    /// Reads the account with the failures relevant to this login.
    async fn read_login(&self, keys: &LoginKeys) -> Result<LoginRead, PortError>;
    /// The hashes under which the account is stored. Reads nothing outside a rotation.
    async fn stored_keys(&self, keys: LoginKeys) -> Result<LoginKeys, PortError>;
    /// Writes a failure before the password is compared. [`PortError::Conflict`] when another login wrote first.
    async fn count_login(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<(), PortError>;
    /// Opens the session: adds the token's hash to the merchant state and the device to the known ones, and refunds the
    /// counted failure. [`PortError::Conflict`] when the account or its logins have changed since they were read.
    async fn open_session(&self, open: OpenSession<'_>) -> Result<(), PortError>;
    /// Ends the session with this token and returns its former value; `None` if no such session exists.
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
    /// Hash of the account name.
    pub account: String,
    /// Hash of the device id within the account.
    pub device: String,
    /// Hash of the source address.
    pub source: String,
    /// Random nonce. It marks this login's counted failure, so that a repeated write is recognised.
    pub nonce: [u8; 6],
    /// The hashes of account and device under the previous key, during a rotation.
    pub previous: Option<PreviousLoginKeys>,
}

/// The hashes under which an account and its devices may still be stored.
#[derive(Clone, Debug)]
pub struct PreviousLoginKeys {
    /// Hash of the account name.
    pub account: String,
    /// Hash of the device id within the account.
    pub device: String,
}

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Handed over. Delivery to the app is not confirmed.
    Sent,
    /// The token is no longer valid.
    Gone,
    /// This deployment has no application for the platform.
    NotConfigured,
}

/// Removes a device from the push service.
pub trait ForgetPush {
    /// Removes what the service keeps about this token. A token that it does not know is no error.
    async fn forget(&self, platform: PushPlatform, token: &Secret<String>)
    -> Result<(), PortError>;
}

/// Hands a push notification to its platform.
pub trait SendPush {
    /// `token`: the platform's address of one app on one phone. Any holder can send to that phone.
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError>;
}
