//! The way of every request that changes a rebind: read, decide, write, in this order and nothing between.
//!
//! The order of checks is the contract's: body (before this) → token → whose object → idempotency → what `decide` says. A
//! repeated request is recognised in two places: its write fails on the row that the first one left, or, when the first
//! one has moved the rebind on, `decide` refuses it and the row is looked up before the refusal is told.

use super::serve::HandlerError;
use crate::crypto::{HashPurpose, Keys};
use crate::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, KeyService,
    LoadMerchant, PortError, Remember, StoredReply, Wanted,
};
use api::event::Request;
use api::reply::Reply;
use api::token::{self, Presented};
use api::view;
use domain::decide::{Command, CommandContext, decide};
use domain::error_code::ErrorCode;
use domain::ids::{CardId, RebindId};
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::{Rebind, Sealed, SessionTag};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::{Decision, Transition};
use std::time::Duration;
use tokio::time::Instant;

/// How often a step begins again after a concurrent write; then the caller is told to.
const ROUNDS_MAX: u32 = 6;
/// … and for how long: after a call that hung there is time for another round, and then for the answer.
const ROUNDS_FOR: Duration = Duration::from_secs(6);

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
    show: Show,
}

/// What a step that was done answers: the merchant as it is after it, on the wire.
pub type Show = fn(&Merchant, &Policy, Timestamp) -> Reply;

/// 200 and the rebind: what most steps answer.
#[must_use]
pub fn the_rebind(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    let rebind = after.rebind.as_ref();
    Reply::json(
        200,
        rebind.map_or(serde_json::Value::Null, |rebind| {
            view::rebind(after, rebind, policy, now)
        }),
    )
}

/// 204.
#[must_use]
pub fn nothing(_: &Merchant, _: &Policy, _: Timestamp) -> Reply {
    Reply::no_content()
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

/// Which rebind is loaded with the merchant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'i> {
    /// The latest, for what is not about a certain one.
    Latest,
    /// This one, to change it.
    Step(&'i RebindId),
    /// This one, to show it: one call, however old it is.
    Shown(&'i RebindId),
    /// The one that this card came with.
    Card(&'i CardId),
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
    pub fn rebind(&self) -> Result<&Rebind, HandlerError> {
        self.merchant
            .rebind
            .as_ref()
            .ok_or_else(|| Rejection::new(ErrorCode::NotFound).into())
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
    ) -> Result<Self, HandlerError> {
        let (key, canonical_body) = match key {
            KeyRule::Ignored => (None, ""),
            KeyRule::Optional(body) => (idempotency_header(request)?, body),
            KeyRule::Required(body) => {
                let key = idempotency_header(request)?;
                (
                    Some(key.ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed))?),
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
            show: the_rebind,
        })
    }

    /// … that answers something else than the rebind.
    #[must_use]
    pub fn showing(mut self, show: Show) -> Self {
        self.show = show;
        self
    }

    /// The same for a request about one card, `/v1/cards/{card_id}/…`.
    ///
    /// # Errors
    /// As [`Step::begin`]; `NOT_FOUND`.
    pub async fn on_card(
        store: &'a S,
        keys: &'a Keys<K>,
        request: &Request,
        now: Timestamp,
        key: KeyRule<'_>,
    ) -> Result<(Self, CardId), HandlerError> {
        let step = Self::begin(store, keys, request, now, key).await?;
        let id = step.id_in(request, CardId::parse).await?;
        Ok((step, id))
    }

    /// The same for a request about one rebind, `/v1/rebinds/{id}/…`.
    ///
    /// # Errors
    /// As [`Step::begin`]; `NOT_FOUND`.
    pub async fn on_rebind(
        store: &'a S,
        keys: &'a Keys<K>,
        request: &Request,
        now: Timestamp,
        key: KeyRule<'_>,
    ) -> Result<(Self, RebindId), HandlerError> {
        let step = Self::begin(store, keys, request, now, key).await?;
        let id = step.id_in(request, RebindId::parse).await?;
        Ok((step, id))
    }

    /// The id in the path. A text that is no id is answered like an id that is not there, after the token is proven.
    async fn id_in<I>(
        &self,
        request: &Request,
        parse: fn(&str) -> Option<I>,
    ) -> Result<I, HandlerError> {
        if let Some(id) = request.segments().get(2).and_then(|text| parse(text)) {
            return Ok(id);
        }
        self.load(Which::Latest).await?;
        Err(Rejection::new(ErrorCode::NotFound).into())
    }

    /// Reads the merchant and proves the session. What is asked for must be this merchant's; a card's rebind is
    /// loaded where it has one.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, `NOT_FOUND`.
    pub async fn load(&self, which: Which<'_>) -> Result<Loaded, HandlerError> {
        let wanted = match which {
            Which::Latest => Wanted::Latest,
            Which::Step(id) => Wanted::Step(id),
            Which::Shown(id) => Wanted::Shown(id),
            Which::Card(id) => Wanted::Card(id),
        };
        let merchant = self
            .store
            .load(&self.presented.merchant_id, wanted)
            .await?
            .ok_or_else(token::dead)?;
        let session = self
            .presented
            .session(&merchant, self.policy, self.now)?
            .tag();
        let is_there = match which {
            Which::Latest => true,
            Which::Step(_) | Which::Shown(_) => merchant.rebind.is_some(),
            // A card that came with the merchant has no rebind.
            Which::Card(id) => merchant.rebind.is_some() || merchant.head.bound(id).is_some(),
        };
        if !is_there {
            return Err(Rejection::new(ErrorCode::NotFound).into());
        }
        Ok(Loaded { merchant, session })
    }

    /// Decides for this session.
    ///
    /// # Errors
    /// What `decide` refuses.
    pub fn decide(&self, state: &Merchant, act: Command) -> Result<Transition, Rejection> {
        decide(
            state,
            &CommandContext {
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
    pub async fn refuse(&self, refusal: Rejection) -> Result<Reply, HandlerError> {
        let Some(key) = &self.idempotency else {
            return Err(refusal.into());
        };
        match self.store.find(key, self.now).await? {
            IdempotencyLookup::Reply(kept) => Ok(Reply::replay(kept.status, &kept.body)),
            IdempotencyLookup::OtherBody => {
                Err(Rejection::new(ErrorCode::IdempotencyMismatch).into())
            }
            IdempotencyLookup::Claimed(_) | IdempotencyLookup::Nothing => Err(refusal.into()),
        }
    }

    /// Whether this very request was begun before, in this context, and never answered.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn was_begun(&self, context: &str) -> Result<bool, HandlerError> {
        let Some(key) = &self.idempotency else {
            return Ok(false);
        };
        let found = self.store.find(key, self.now).await?;
        Ok(matches!(found, IdempotencyLookup::Claimed(kept) if kept == context))
    }

    /// The reply to a transition: what the step shows after it, or the refusal that it carries.
    #[must_use]
    pub fn reply(&self, after: &Merchant, transition: &Transition) -> Reply {
        match &transition.outcome {
            Decision::Refused(refusal) => Reply::problem(refusal, &self.support_ref),
            Decision::Done | Decision::Proceed => (self.show)(after, self.policy, self.now),
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
        keep: Keep<'_>,
    ) -> Result<Outcomes, HandlerError> {
        let event = transition.chained(before, personal, self.policy);
        let after = transition.applied_to(before);
        let reply = self.reply(&after, &transition);
        let phone_key = match &transition.otp_delivery {
            Some(send) => Some(
                self.keys
                    .mac(HashPurpose::Phone, &[send.phone.e164()])
                    .await?
                    .0,
            ),
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
            CommitOutcome::Written => Ok(Outcomes::Written(Box::new(after), reply)),
            CommitOutcome::Before(IdempotencyLookup::Reply(kept)) => {
                Ok(Outcomes::Replayed(Reply::replay(kept.status, &kept.body)))
            }
            CommitOutcome::Before(IdempotencyLookup::OtherBody) => {
                Err(Rejection::new(ErrorCode::IdempotencyMismatch).into())
            }
            CommitOutcome::Before(IdempotencyLookup::Claimed(context)) => {
                Ok(Outcomes::Claimed(context))
            }
            // The row went between the write and its failure: begin again.
            CommitOutcome::Before(IdempotencyLookup::Nothing) => Err(PortError::Conflict.into()),
            CommitOutcome::CodeLimit { wait_s } => Ok(Outcomes::CodeLimit(wait_s)),
            CommitOutcome::BoundElsewhere => Ok(Outcomes::BoundElsewhere),
            // No caller of a step names a payout.
            CommitOutcome::PayoutExists(_) => Err(PortError::Conflict.into()),
        }
    }

    /// A step with one write, begun again when somebody else wrote first. `act` says what is asked of the merchant that was
    /// read; `seal` fills in what is encrypted, once the decision has fallen.
    ///
    /// # Errors
    /// Whatever refuses or fails.
    pub async fn one_write(
        &self,
        which: Which<'_>,
        act: impl AsyncFn(&Loaded) -> Result<Command, HandlerError>,
        seal: impl AsyncFn(&Loaded, &mut Transition) -> Result<Option<Sealed>, HandlerError>,
    ) -> Result<Reply, HandlerError> {
        let mut rounds = Rounds::new();
        loop {
            let loaded = self.load(which).await?;
            let mut transition = match self.decide(&loaded.merchant, act(&loaded).await?) {
                Ok(transition) => transition,
                Err(refusal) => return self.refuse(refusal).await,
            };
            let personal = seal(&loaded, &mut transition).await?;
            match self
                .write(&loaded.merchant, transition, personal, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(_, reply) | Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(HandlerError::Failed(error @ PortError::Conflict)) => {
                    rounds.again(error).await?
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}

/// `OTP_SEND_LIMIT` with the time until the phone may get another code.
#[must_use]
pub fn code_limit(wait_s: i64) -> Rejection {
    Rejection::new(ErrorCode::OtpSendLimit)
        .not_counted()
        .retry_after(wait_s)
}

/// Nothing to seal.
///
/// # Errors
/// Never.
#[allow(clippy::unused_async)]
pub async fn nothing_to_seal(
    _: &Loaded,
    _: &mut Transition,
) -> Result<Option<Sealed>, HandlerError> {
    Ok(None)
}

/// Begins a step again, a bounded number of times, with a growing random pause.
pub struct Rounds {
    round: u32,
    began: Instant,
}

impl Rounds {
    /// The first round.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            round: 1,
            began: Instant::now(),
        }
    }

    /// Waits for the next round.
    ///
    /// # Errors
    /// `error`, when there is none.
    pub async fn again(&mut self, error: PortError) -> Result<(), HandlerError> {
        if self.round >= ROUNDS_MAX || self.began.elapsed() > ROUNDS_FOR {
            return Err(error.into());
        }
        let [chance] = crate::crypto::random::<1>()?;
        let pause_ms = (u64::from(chance) % 16 + 4) << self.round;
        self.round += 1;
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
                Err(Rejection::new(ErrorCode::RequestMalformed))
            }
        }
    }
}
