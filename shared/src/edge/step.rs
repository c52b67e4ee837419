//! The way of every request that changes a rebind: read, decide, write, in this order and nothing between.
//!
//! The order of checks is the contract's: body (before this) → token → whose object → idempotency → what `decide` says. A
//! repeated request is recognised in two places: its write fails on the row that the first one left, or, when the first
//! one has moved the rebind on, `decide` refuses it and the row is looked up before the refusal is told.

use super::event::Request;
use super::reply::Reply;
use super::serve::Stop;
use super::token::{self, Presented};
use super::view;
use crate::crypto::{HashPurpose, Keys};
use crate::domain::code::Code;
use crate::domain::decide::{Act, Command, decide};
use crate::domain::ids::RebindId;
use crate::domain::merchant::Merchant;
use crate::domain::policy::Policy;
use crate::domain::rebind::{Rebind, Sealed, SessionTag};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::transition::{Outcome, Transition};
use crate::ports::{
    Commit, CommitTransition, Committed, Found, IdempotencyKey, KeyService, LoadMerchant,
    PortError, Remember, StoredReply, Wanted,
};
use std::time::Duration;

/// How often a step begins again after a concurrent write; then the caller is told to.
const ROUNDS_MAX: u32 = 6;

/// The longest idempotency key.
const KEY_MAX_CHARS: usize = 255;

/// One request on its way.
pub struct Step<'a, S, K> {
    /// The store.
    pub store: &'a S,
    /// The keys.
    pub keys: &'a Keys<K>,
    /// The rules.
    pub policy: &'static Policy,
    /// The clock of the rules.
    pub now: Timestamp,
    presented: Presented,
    idempotency: Option<IdempotencyKey>,
    support_ref: String,
}

/// What a route does with `Idempotency-Key`; with the canonical form of the body that a key is bound to.
#[derive(Clone, Copy, Debug)]
pub enum KeyRule<'b> {
    /// A request that changes nothing.
    Ignored,
    /// A request that changes something.
    Optional(&'b str),
    /// A request that makes something new.
    Required(&'b str),
}

/// A loaded merchant and the session that asks.
pub struct Loaded {
    /// The merchant.
    pub merchant: Merchant,
    /// The session's tag; what codes are bound to.
    pub session: SessionTag,
}

/// What became of a write.
pub enum Outcomes {
    /// It is written: the state after it and the reply.
    Written(Box<Merchant>, Reply),
    /// Answered from the idempotency row.
    Replayed(Reply),
    /// The first write of this key was made before and never answered; its context.
    Claimed(String),
    /// Nothing is written: the phone may get no code for so long.
    CodeLimit(i64),
    /// Nothing is written: the card is verified for another person.
    BoundElsewhere,
}

impl Loaded {
    /// The rebind that the request is about.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn rebind(&self) -> Result<&Rebind, Stop> {
        self.merchant
            .rebind
            .as_ref()
            .ok_or_else(|| Rejection::new(Code::NotFound).into())
    }
}

/// How a write remembers the request.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// The reply, where it is one to keep.
    Reply,
    /// Only that the key is taken, with a context.
    Claim(&'a str),
    /// Nothing.
    Nothing,
    /// Frees the key.
    Forget,
}

impl<'a, S: LoadMerchant + CommitTransition, K: KeyService> Step<'a, S, K> {
    /// Reads the headers of a request: idempotency key, then token.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` for a missing or unusable key, `SESSION_EXPIRED` for a token that cannot be one.
    pub async fn begin(
        store: &'a S,
        keys: &'a Keys<K>,
        request: &Request,
        now: Timestamp,
        key: KeyRule<'_>,
    ) -> Result<Self, Stop> {
        let (key, canonical_body) = match key {
            KeyRule::Ignored => (None, ""),
            KeyRule::Optional(body) => (idempotency_header(request)?, body),
            KeyRule::Required(body) => {
                let key = idempotency_header(request)?;
                (
                    Some(key.ok_or_else(|| Rejection::new(Code::RequestMalformed))?),
                    body,
                )
            }
        };
        let presented = token::presented(request)?;
        let idempotency = match key {
            None => None,
            Some(key) => {
                let merchant = presented.merchant_id.as_str();
                let scope = [merchant, &request.method, &request.path, key];
                Some(IdempotencyKey {
                    scope: keys.mac(HashPurpose::Idempotency, &scope).await?.0,
                    fingerprint: keys
                        .mac(HashPurpose::Idempotency, &[merchant, canonical_body])
                        .await?
                        .0,
                })
            }
        };
        let support_ref = request.request_id.clone();
        Ok(Self {
            store,
            keys,
            policy: &Policy::CURRENT,
            now,
            presented,
            idempotency,
            support_ref,
        })
    }

    /// The same for a request about one rebind, with the id in its path. A text that is no id is answered like an id that
    /// is not there, after the token is proven.
    ///
    /// # Errors
    /// As [`Step::begin`]; `NOT_FOUND`.
    pub async fn on_rebind(
        store: &'a S,
        keys: &'a Keys<K>,
        request: &Request,
        now: Timestamp,
        key: KeyRule<'_>,
    ) -> Result<(Self, RebindId), Stop> {
        let step = Self::begin(store, keys, request, now, key).await?;
        // `/v1/rebinds/{id}/…`
        match request
            .segments()
            .get(2)
            .and_then(|text| RebindId::parse(text))
        {
            Some(id) => Ok((step, id)),
            None => {
                step.load(None).await?;
                Err(Rejection::new(Code::NotFound).into())
            }
        }
    }

    /// Reads the merchant and proves the session; with `rebind_id`, the rebind must be this merchant's.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, `NOT_FOUND`.
    pub async fn load(&self, rebind_id: Option<&RebindId>) -> Result<Loaded, Stop> {
        let wanted = rebind_id.map_or(Wanted::Latest, Wanted::Step);
        self.load_wanted(wanted, rebind_id.is_some()).await
    }

    /// The same, to show a rebind: one call, however old it is.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, `NOT_FOUND`.
    pub async fn load_shown(&self, rebind_id: &RebindId) -> Result<Loaded, Stop> {
        self.load_wanted(Wanted::Shown(rebind_id), true).await
    }

    async fn load_wanted(&self, wanted: Wanted<'_>, needs_rebind: bool) -> Result<Loaded, Stop> {
        let merchant = self
            .store
            .load(&self.presented.merchant_id, wanted)
            .await?
            .ok_or_else(token::dead)?;
        let session = self
            .presented
            .session(&merchant, self.policy, self.now)?
            .tag();
        if needs_rebind && merchant.rebind.is_none() {
            return Err(Rejection::new(Code::NotFound).into());
        }
        Ok(Loaded { merchant, session })
    }

    /// Decides for this session.
    ///
    /// # Errors
    /// What `decide` refuses.
    pub fn decide(&self, state: &Merchant, act: Act) -> Result<Transition, Rejection> {
        decide(
            state,
            &Command {
                by: Some(self.presented.slot),
                act,
            },
            self.policy,
            self.now,
        )
    }

    /// A refusal that changed nothing: unless this request was answered before, the caller is told.
    ///
    /// # Errors
    /// The refusal itself, or `IDEMPOTENCY_MISMATCH`.
    pub async fn refuse(&self, refusal: Rejection) -> Result<Reply, Stop> {
        let Some(key) = &self.idempotency else {
            return Err(refusal.into());
        };
        match self.store.find(key, self.now).await? {
            Found::Reply(kept) => Ok(Reply::replay(kept.status, &kept.body)),
            Found::OtherBody => Err(Rejection::new(Code::IdempotencyMismatch).into()),
            Found::Claimed(_) | Found::Nothing => Err(refusal.into()),
        }
    }

    /// Whether this very request was begun before, in this context, and never answered.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn was_begun(&self, context: &str) -> Result<bool, Stop> {
        let Some(key) = &self.idempotency else {
            return Ok(false);
        };
        let found = self.store.find(key, self.now).await?;
        Ok(matches!(found, Found::Claimed(kept) if kept == context))
    }

    /// The reply to a transition: the rebind as it is after it, or the refusal that it carries.
    #[must_use]
    pub fn reply(&self, after: &Merchant, transition: &Transition, status: u16) -> Reply {
        match &transition.outcome {
            Outcome::Refused(refusal) => Reply::problem(refusal, &self.support_ref),
            Outcome::Done | Outcome::Proceed => {
                let rebind = after.rebind.as_ref();
                let shown = rebind.map_or(serde_json::Value::Null, |rebind| {
                    view::rebind(after, rebind, self.policy, self.now)
                });
                Reply::json(status, shown)
            }
        }
    }

    /// Writes a transition. `personal`: its event's personal data, sealed.
    ///
    /// # Errors
    /// `Conflict` when the state has changed: begin again. `IDEMPOTENCY_MISMATCH`.
    pub async fn write(
        &self,
        before: &Merchant,
        mut transition: Transition,
        personal: Option<Sealed>,
        status: u16,
        keep: Keep<'_>,
    ) -> Result<Outcomes, Stop> {
        let event = transition.chained(before, personal, self.policy);
        let after = transition.applied_to(before);
        let reply = self.reply(&after, &transition, status);
        let phone_key = match &transition.code_send {
            Some(send) => Some(self.keys.mac(HashPurpose::Phone, &[&send.phone]).await?.0),
            None => None,
        };
        let stored = StoredReply {
            status: reply.status,
            body: reply.body_text(),
        };
        let remember = match (&self.idempotency, keep) {
            (Some(key), Keep::Claim(context)) => Remember::Claim(key, context),
            (Some(key), Keep::Reply) if reply.is_kept() => Remember::Reply(key, &stored),
            (Some(key), Keep::Forget) => Remember::Forget(key),
            _ => Remember::Nothing,
        };
        let committed = self
            .store
            .commit(Commit {
                before,
                transition: &transition,
                event: event.as_ref(),
                phone_key: phone_key.as_deref(),
                session: Some(self.presented.slot),
                remember,
                now: self.now,
            })
            .await?;
        match committed {
            Committed::Written => Ok(Outcomes::Written(Box::new(after), reply)),
            Committed::Before(Found::Reply(kept)) => {
                Ok(Outcomes::Replayed(Reply::replay(kept.status, &kept.body)))
            }
            Committed::Before(Found::OtherBody) => {
                Err(Rejection::new(Code::IdempotencyMismatch).into())
            }
            Committed::Before(Found::Claimed(context)) => Ok(Outcomes::Claimed(context)),
            // The row went between the write and its failure: begin again.
            Committed::Before(Found::Nothing) => Err(PortError::Conflict.into()),
            Committed::CodeLimit { wait_s } => Ok(Outcomes::CodeLimit(wait_s)),
            Committed::BoundElsewhere => Ok(Outcomes::BoundElsewhere),
        }
    }

    /// A step with one write, begun again when somebody else wrote first. `act` says what is asked of the merchant that was
    /// read; `seal` fills in what is encrypted, once the decision has fallen.
    ///
    /// # Errors
    /// Whatever refuses or fails.
    pub async fn one_write(
        &self,
        rebind_id: Option<&RebindId>,
        status: u16,
        act: impl AsyncFn(&Loaded) -> Result<Act, Stop>,
        seal: impl AsyncFn(&Loaded, &mut Transition) -> Result<Option<Sealed>, Stop>,
    ) -> Result<Reply, Stop> {
        let mut rounds = Rounds::new();
        loop {
            let loaded = self.load(rebind_id).await?;
            let mut transition = match self.decide(&loaded.merchant, act(&loaded).await?) {
                Ok(transition) => transition,
                Err(refusal) => return self.refuse(refusal).await,
            };
            let personal = seal(&loaded, &mut transition).await?;
            match self
                .write(&loaded.merchant, transition, personal, status, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(_, reply) | Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
        }
    }
}

/// `OTP_SEND_LIMIT` with the time until the phone may get another code.
#[must_use]
pub fn code_limit(wait_s: i64) -> Rejection {
    Rejection::new(Code::OtpSendLimit)
        .not_counted()
        .retry_after(wait_s)
}

/// Nothing to seal.
///
/// # Errors
/// Never.
#[allow(clippy::unused_async)]
pub async fn nothing_to_seal(_: &Loaded, _: &mut Transition) -> Result<Option<Sealed>, Stop> {
    Ok(None)
}

/// Begins a step again, a bounded number of times, with a growing random pause.
pub struct Rounds(u32);

impl Rounds {
    /// The first round.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(1)
    }

    /// Waits for the next round.
    ///
    /// # Errors
    /// `error`, when there is none.
    pub async fn again(&mut self, error: PortError) -> Result<(), Stop> {
        if self.0 >= ROUNDS_MAX {
            return Err(error.into());
        }
        let [chance] = crate::crypto::random::<1>()?;
        let pause_ms = (u64::from(chance) % 16 + 4) << self.0;
        self.0 += 1;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        Ok(())
    }
}

fn idempotency_header(request: &Request) -> Result<Option<&str>, Rejection> {
    match request.header("idempotency-key") {
        None => Ok(None),
        Some(key) => {
            let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            let fits = (1..=KEY_MAX_CHARS).contains(&key.len()) && printable;
            if fits {
                Ok(Some(key))
            } else {
                Err(Rejection::new(Code::RequestMalformed))
            }
        }
    }
}
