//! Every request follows one path: read, decide, write.
//!
//! [`Transactor::transact`] owns retries, conflicts, idempotency claims and replays; it is the only loop of its kind.
//! The contract (section 1) defines the order of checks: body (before this) → token → ownership → idempotency →
//! `decide`. A repeated request is recognised in two places. Its write fails on the idempotency row of the first
//! request; or `decide` rejects it because the first request has advanced the rebind, and the row is looked up before
//! the rejection is returned.

use crate::backoff::{Backoff, Limits};
use crate::error::HandlerError;
use crate::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, IdempotencyMode,
    LoadMerchant, PortError, Selector, StoredReply,
};
use api::reply::Reply;
use api::token::{self, Presented};
use domain::decide::{Command, CommandContext, decide, otp_of};
use domain::error_code::ErrorCode;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::{Mac, Rebind, Sealed, SessionTag};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::{Decision, OtpDelivery, Transition};

/// Renders a use case's reply: the resulting merchant in wire format.
pub type Show = fn(&Merchant, &Policy, Timestamp) -> Reply;

/// A loaded merchant and the session of the request.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merchant.
    pub merchant: Merchant,
    /// The session's tag, which OTPs are bound to; empty for the system.
    pub session: SessionTag,
}

impl Loaded {
    /// The rebind of the request.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn rebind(&self) -> Result<&Rebind, HandlerError> {
        let rebind = self.merchant.rebind.as_ref();
        rebind.ok_or_else(|| Rejection::new(ErrorCode::NotFound).into())
    }
}

/// The start of a transaction: the selector, and a state that was loaded for it already.
pub struct Start<'s> {
    selector: Selector<'s>,
    loaded: Option<Loaded>,
}

impl<'s> From<Selector<'s>> for Start<'s> {
    fn from(selector: Selector<'s>) -> Self {
        Self {
            selector,
            loaded: None,
        }
    }
}

impl<'s> From<(Selector<'s>, Loaded)> for Start<'s> {
    fn from((selector, loaded): (Selector<'s>, Loaded)) -> Self {
        Self {
            selector,
            loaded: Some(loaded),
        }
    }
}

/// The facts learned by earlier attempts of the same transaction.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The card is verified for another person.
    pub bound_elsewhere: bool,
    /// This request made its first write before and was never answered; the context of its claim.
    pub claimed: Option<String>,
    /// Seconds until the phone may receive an OTP.
    pub otp_wait_s: Option<i64>,
}

/// One attempt's plan for the state that was read.
pub enum Plan {
    /// Decide this command and write the transition.
    Write(Write),
    /// Write nothing: this request has already made its first write.
    Resume,
}

/// A command, and how its write treats the idempotency key, OTP limit and claim.
pub struct Write {
    command: Command,
    context: String,
    releases_key: bool,
    leaves_key: bool,
    learns_otp_limit: bool,
}

impl Plan {
    /// Binds the claim of a first write to this context. A repeated request continues only in the same one.
    #[must_use]
    pub fn claiming(self, context: impl Into<String>) -> Self {
        self.with(|write| write.context = context.into())
    }

    /// Releases the idempotency key: the promised outcome did not happen.
    #[must_use]
    pub fn releasing_key(self) -> Self {
        self.with(|write| write.releases_key = true)
    }

    /// Leaves the idempotency key unchanged: this write is between the request's first and last.
    #[must_use]
    pub fn leaving_key(self) -> Self {
        self.with(|write| write.leaves_key = true)
    }

    /// Plans again after meeting a phone's OTP limit, instead of rejecting the request.
    #[must_use]
    pub fn learning_otp_limit(self) -> Self {
        self.with(|write| write.learns_otp_limit = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Write)) -> Self {
        if let Self::Write(write) = &mut self {
            change(write);
        }
        self
    }
}

impl From<Command> for Plan {
    fn from(command: Command) -> Self {
        Self::Write(Write {
            command,
            context: String::new(),
            releases_key: false,
            leaves_key: false,
            learns_otp_limit: false,
        })
    }
}

/// A transaction that was written, or that had nothing to write.
#[derive(Debug)]
pub struct Committed {
    /// The resulting state.
    pub after: Loaded,
    /// The decision.
    pub decision: Decision,
    /// The reply to the request, if this was its last write.
    pub reply: Reply,
    /// The OTP to hand over now.
    pub otp_delivery: Option<OtpDelivery>,
    /// True if this transaction wrote anything.
    pub is_written: bool,
    /// The OTP limit that the write met.
    pub otp_wait_s: Option<i64>,
}

impl Committed {
    /// Continues the use case after [`Decision::Proceed`] or [`Decision::PollDeposit`]. Any other decision is its
    /// reply.
    ///
    /// # Errors
    /// `Answered` with the reply.
    pub fn proceeding(self) -> Result<Self, HandlerError> {
        match self.decision {
            Decision::Proceed | Decision::PollDeposit => Ok(self),
            Decision::Done | Decision::Refused(_) => {
                Err(HandlerError::Answered(Box::new(self.reply)))
            }
        }
    }
}

/// Encrypts nothing, for writes without personal data.
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

/// The caller's context: merchant, session, time and idempotency key.
pub struct Transactor<'a, S> {
    /// The store.
    pub store: &'a S,
    /// The policy.
    pub policy: &'static Policy,
    /// The clock of the business rules.
    pub now: Timestamp,
    merchant_id: MerchantId,
    session: Option<Presented>,
    idempotency: Option<IdempotencyKey>,
    support_ref: String,
    show: Show,
    limits: Limits,
}

impl<'a, S> Transactor<'a, S> {
    /// For the system: clean-up, the acquirer's core system, a freeze. No session is required.
    pub fn system(
        store: &'a S,
        policy: &'static Policy,
        merchant_id: MerchantId,
        now: Timestamp,
        limits: Limits,
    ) -> Self {
        Self {
            store,
            policy,
            now,
            merchant_id,
            session: None,
            idempotency: None,
            support_ref: String::new(),
            show: |_, _, _| Reply::no_content(),
            limits,
        }
    }

    /// For a session of the app.
    pub(crate) fn session(
        store: &'a S,
        policy: &'static Policy,
        presented: Presented,
        idempotency: Option<IdempotencyKey>,
        support_ref: String,
        now: Timestamp,
    ) -> Self {
        Self {
            store,
            policy,
            now,
            merchant_id: presented.merchant_id.clone(),
            session: Some(presented),
            idempotency,
            support_ref,
            show: |_, _, _| Reply::no_content(),
            limits: Limits::REQUEST,
        }
    }

    /// The same transactor with another reply.
    #[must_use]
    pub fn showing(mut self, show: Show) -> Self {
        self.show = show;
        self
    }
}

impl<S: LoadMerchant + CommitTransition> Transactor<'_, S> {
    /// Reads the merchant and checks the session. Loads a card's rebind if it has one.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, `NOT_FOUND`.
    pub async fn load(&self, selector: Selector<'_>) -> Result<Loaded, HandlerError> {
        let merchant = self.store.load(&self.merchant_id, selector).await?;
        let Some(presented) = &self.session else {
            let merchant = merchant.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
            return Ok(Loaded {
                merchant,
                session: SessionTag(String::new()),
            });
        };
        let merchant = merchant.ok_or_else(token::dead)?;
        let session = presented.session(&merchant, self.policy, self.now)?.tag();
        let exists = match selector {
            Selector::Latest | Selector::Number(_) | Selector::Announced(_) => true,
            Selector::Step(_) | Selector::Shown(_) => merchant.rebind.is_some(),
            // A card that came with the merchant has no rebind.
            Selector::Card(id) => merchant.rebind.is_some() || merchant.head.bound(id).is_some(),
        };
        if !exists {
            return Err(Rejection::new(ErrorCode::NotFound).into());
        }
        Ok(Loaded { merchant, session })
    }

    /// Decides a command of this caller.
    ///
    /// # Errors
    /// The core's rejection.
    pub fn decide(&self, merchant: &Merchant, act: Command) -> Result<Transition, Rejection> {
        let command = CommandContext {
            by: self.session.as_ref().map(|presented| presented.slot),
            act,
        };
        decide(merchant, &command, self.policy, self.now)
    }

    /// True if this request has made its first write before, in this context, and was never answered.
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

    /// Reads, plans, decides and writes, until a write succeeds.
    ///
    /// `plan` turns the state that was read into a command. `seal` encrypts the write's personal data after the
    /// decision, so that only an allowed command costs a call to the key service. Both run again with each attempt.
    ///
    /// # Errors
    /// `Answered` for a repeated request, `Rejected` for a rejection, `Failed` with `Conflict` when no attempt
    /// succeeded.
    pub async fn transact(
        &self,
        start: impl Into<Start<'_>>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        seal: impl AsyncFnMut(&Loaded, &mut Transition) -> Result<Option<Sealed>, HandlerError>,
    ) -> Result<Committed, HandlerError> {
        self.transact_within(self.limits, start, plan, seal).await
    }

    /// [`Transactor::transact`] with other limits.
    ///
    /// Boxed, so that the futures of use cases stay small: they contain several transactions.
    ///
    /// # Errors
    /// As [`Transactor::transact`].
    pub async fn transact_within(
        &self,
        limits: Limits,
        start: impl Into<Start<'_>>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        seal: impl AsyncFnMut(&Loaded, &mut Transition) -> Result<Option<Sealed>, HandlerError>,
    ) -> Result<Committed, HandlerError> {
        Box::pin(self.attempts(limits, start.into(), plan, seal)).await
    }

    async fn attempts(
        &self,
        limits: Limits,
        start: Start<'_>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        mut seal: impl AsyncFnMut(&Loaded, &mut Transition) -> Result<Option<Sealed>, HandlerError>,
    ) -> Result<Committed, HandlerError> {
        let Start {
            selector,
            mut loaded,
        } = start;
        let mut attempts = Attempts::new(limits);
        loop {
            let before = match loaded.take() {
                Some(loaded) => loaded,
                None => match self.load(selector).await {
                    Ok(loaded) => loaded,
                    Err(error) => {
                        attempts.after_failed_read(error).await?;
                        continue;
                    }
                },
            };
            if let Some(committed) = attempts.recover(self, &before)? {
                return Ok(committed);
            }
            let write = match plan(&before, &attempts.learned).await? {
                Plan::Write(write) => write,
                Plan::Resume => return Ok(self.unchanged(before, Decision::Proceed)),
            };
            let mut transition = match self.decide(&before.merchant, write.command.clone()) {
                Ok(transition) => transition,
                Err(refusal) => return Err(self.refusal(refusal).await),
            };
            if self.has_nothing_to_write(&transition) {
                return Ok(self.unchanged(before, transition.outcome));
            }
            let personal = seal(&before, &mut transition).await?;
            let event = transition.chained(&before.merchant, personal, self.policy);
            let delivery = transition.otp_delivery.clone();
            let after = transition.applied_to(&before.merchant);
            let reply = self.reply(&after, &transition.outcome);
            let committed = self
                .commit(
                    &before,
                    &transition,
                    event.as_ref(),
                    &reply,
                    &write,
                    &attempts,
                )
                .await;
            match committed {
                Ok(CommitOutcome::Written) => {
                    return Ok(Committed {
                        after: Loaded {
                            merchant: after,
                            session: before.session,
                        },
                        decision: transition.outcome,
                        reply,
                        otp_delivery: delivery,
                        is_written: true,
                        otp_wait_s: attempts.learned.otp_wait_s,
                    });
                }
                Ok(not_written) => attempts.after_refused_write(not_written, &write).await?,
                Err(error) => attempts.after_failed_write(error, delivery, &after).await?,
            }
        }
    }

    /// Runs one transaction whose plan does not depend on the state, and returns its reply.
    ///
    /// # Errors
    /// As [`Transactor::transact`].
    pub async fn execute(
        &self,
        selector: Selector<'_>,
        command: Command,
    ) -> Result<Reply, HandlerError> {
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        Ok(self.transact(selector, plan, nothing_to_seal).await?.reply)
    }

    /// The reply to a decision: the use case's view of the merchant, or the refusal that was written.
    #[must_use]
    pub fn reply(&self, after: &Merchant, decision: &Decision) -> Reply {
        match decision {
            Decision::Refused(refusal) => Reply::problem(refusal, &self.support_ref),
            Decision::Done | Decision::Proceed | Decision::PollDeposit => {
                (self.show)(after, self.policy, self.now)
            }
        }
    }

    /// Returns a rejection that changed nothing. A request that was answered before gets its stored reply.
    async fn refusal(&self, refusal: Rejection) -> HandlerError {
        let Some(key) = &self.idempotency else {
            return refusal.into();
        };
        match self.store.find(key, self.now).await {
            Ok(IdempotencyLookup::Reply(kept)) => replayed(&kept),
            Ok(IdempotencyLookup::OtherBody) => {
                Rejection::new(ErrorCode::IdempotencyMismatch).into()
            }
            Ok(IdempotencyLookup::Claimed(_) | IdempotencyLookup::Nothing) => refusal.into(),
            Err(error) => error.into(),
        }
    }

    /// True for a first write or a system transition without changes. A request's last write is never empty, because it
    /// stores the reply.
    fn has_nothing_to_write(&self, transition: &Transition) -> bool {
        let proceeds = matches!(
            transition.outcome,
            Decision::Proceed | Decision::PollDeposit
        );
        transition.is_empty() && (proceeds || self.session.is_none())
    }

    fn unchanged(&self, loaded: Loaded, decision: Decision) -> Committed {
        Committed {
            reply: self.reply(&loaded.merchant, &decision),
            after: loaded,
            decision,
            otp_delivery: None,
            is_written: false,
            otp_wait_s: None,
        }
    }

    async fn commit(
        &self,
        before: &Loaded,
        transition: &Transition,
        event: Option<&ChainedEvent>,
        reply: &Reply,
        write: &Write,
        attempts: &Attempts,
    ) -> Result<CommitOutcome, PortError> {
        let stored = StoredReply {
            status: reply.status,
            body: reply.body_text(),
        };
        let proceeds = transition.outcome == Decision::Proceed;
        let is_refused = matches!(transition.outcome, Decision::Refused(_));
        let idempotency = match &self.idempotency {
            Some(key) if write.releases_key => IdempotencyMode::Release(key),
            // Keep the claim of an earlier attempt of this request.
            Some(key) if proceeds && attempts.learned.claimed.is_none() => {
                IdempotencyMode::Claim(key, &write.context)
            }
            // A refusal is always the request's reply, also in an intermediate write.
            Some(_) if write.leaves_key && !is_refused => IdempotencyMode::None,
            Some(key) if !proceeds && reply.is_kept() => IdempotencyMode::Reply(key, &stored),
            _ => IdempotencyMode::None,
        };
        let commit = Commit {
            before: &before.merchant,
            transition,
            event,
            session: self.session.as_ref().map(|presented| presented.slot),
            idempotency,
            now: self.now,
        };
        self.store.commit(commit).await
    }
}

/// The attempts of one transaction, with the facts they learned.
struct Attempts {
    limits: Limits,
    backoff: Backoff,
    learned: Learned,
    unconfirmed: Option<Unconfirmed>,
}

/// A write with an OTP whose answer was lost. It may have taken effect.
struct Unconfirmed {
    delivery: OtpDelivery,
    otp: Option<Mac>,
    /// The reply found under the request's key afterwards.
    replay: Option<StoredReply>,
}

impl Attempts {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            backoff: Backoff::new(limits),
            learned: Learned::default(),
            unconfirmed: None,
        }
    }

    async fn after_failed_read(&mut self, error: HandlerError) -> Result<(), HandlerError> {
        match error {
            HandlerError::Failed(error @ (PortError::Conflict | PortError::Transient(..)))
                if self.unconfirmed.is_some() || self.limits.after_transient =>
            {
                Ok(self.backoff.pause(error).await?)
            }
            error => Err(error),
        }
    }

    /// After an unconfirmed write, the state shows whether it took effect. If so, its OTP is handed over now.
    fn recover<S: LoadMerchant + CommitTransition>(
        &mut self,
        transactor: &Transactor<'_, S>,
        loaded: &Loaded,
    ) -> Result<Option<Committed>, HandlerError> {
        let Some(unconfirmed) = &mut self.unconfirmed else {
            return Ok(None);
        };
        let purpose = unconfirmed.delivery.purpose;
        let rebind = loaded.merchant.rebind.as_ref();
        let stored = rebind.and_then(|rebind| otp_of(&rebind.stage, purpose));
        if stored.is_some_and(|(stored, _)| Some(&stored.mac) == unconfirmed.otp.as_ref()) {
            let delivery = unconfirmed.delivery.clone();
            return Ok(Some(Committed {
                otp_delivery: Some(delivery),
                is_written: true,
                ..transactor.unchanged(loaded.clone(), Decision::Done)
            }));
        }
        match unconfirmed.replay.take() {
            Some(kept) => Err(replayed(&kept)),
            None => Ok(None),
        }
    }

    async fn after_refused_write(
        &mut self,
        outcome: CommitOutcome,
        write: &Write,
    ) -> Result<(), HandlerError> {
        match outcome {
            CommitOutcome::Before(IdempotencyLookup::Reply(kept)) => {
                let Some(unconfirmed) = &mut self.unconfirmed else {
                    return Err(replayed(&kept));
                };
                unconfirmed.replay = Some(kept);
                self.backoff.pause(PortError::Conflict).await?;
            }
            CommitOutcome::Before(IdempotencyLookup::OtherBody) => {
                return Err(Rejection::new(ErrorCode::IdempotencyMismatch).into());
            }
            CommitOutcome::Before(IdempotencyLookup::Claimed(context))
                if self.learned.claimed.is_none() =>
            {
                self.learned.claimed = Some(context);
            }
            CommitOutcome::OtpLimit { wait_s } if write.learns_otp_limit => {
                self.learned.otp_wait_s = Some(wait_s);
            }
            CommitOutcome::OtpLimit { wait_s } => return Err(otp_limit(wait_s).into()),
            CommitOutcome::BoundElsewhere if !self.learned.bound_elsewhere => {
                self.learned.bound_elsewhere = true;
            }
            CommitOutcome::PayoutExists(known) => return Err(HandlerError::PayoutExists(known)),
            CommitOutcome::Written
            | CommitOutcome::BoundElsewhere
            // The row was removed between the write and its failure.
            | CommitOutcome::Before(IdempotencyLookup::Nothing | IdempotencyLookup::Claimed(_)) => {
                self.backoff.pause(PortError::Conflict).await?;
            }
        }
        Ok(())
    }

    /// An unanswered write without an OTP is not repeated, because it may have counted something.
    async fn after_failed_write(
        &mut self,
        error: PortError,
        delivery: Option<OtpDelivery>,
        after: &Merchant,
    ) -> Result<(), HandlerError> {
        let is_transient = matches!(error, PortError::Transient(..));
        let repeats = matches!(error, PortError::Conflict)
            || is_transient
                && (delivery.is_some()
                    || self.unconfirmed.is_some()
                    || self.limits.after_transient);
        if !repeats {
            return Err(error.into());
        }
        self.backoff.pause(error).await?;
        if let (true, Some(delivery)) = (is_transient, delivery) {
            let rebind = after.rebind.as_ref();
            let otp = rebind.and_then(|rebind| otp_of(&rebind.stage, delivery.purpose));
            self.unconfirmed = Some(Unconfirmed {
                otp: otp.map(|(otp, _)| otp.mac.clone()),
                delivery,
                replay: None,
            });
        }
        Ok(())
    }
}

fn replayed(kept: &StoredReply) -> HandlerError {
    HandlerError::Answered(Box::new(Reply::replay(kept.status, &kept.body)))
}

/// `OTP_SEND_LIMIT` with the time until the phone may receive another OTP.
#[must_use]
pub fn otp_limit(wait_s: i64) -> Rejection {
    Rejection::new(ErrorCode::OtpSendLimit)
        .not_counted()
        .retry_after(wait_s)
}
