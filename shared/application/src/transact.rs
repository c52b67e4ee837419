//! Every request follows one path: read, decide, write.
//!
//! [`Transactor::transact`] owns retries, conflicts, idempotency claims and replays. Logins, marks of the outbox, the
//! read of a freeze and the end of a payout use [`retry`](crate::backoff::retry) with the same `Backoff`.
//!
//! The contract (section 1) defines the order of checks: body (before this) → token → ownership → idempotency →
//! `decide`. A repeated request is recognised in two places. Its write fails on the idempotency row of the first
//! request; or `decide` rejects it because the first request has advanced the rebind, and the row is looked up before
//! the rejection is returned.

mod loaded;
mod plan;
mod retries;

pub use loaded::{Committed, Loaded, Start};
pub use plan::{Learned, Plan, Write};
pub use retries::otp_limit;

use crate::backoff::Limits;
use crate::correlation;
use crate::error::HandlerError;
use crate::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, IdempotencyMode,
    LoadMerchant, PortError, Selector, StoredReply,
};
use crate::request;
use api::reply::Reply;
use api::token::{self, Presented};
use domain::decide::{Command, CommandContext, decide};
use domain::error_code::ErrorCode;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::merchant::{Merchant, Slot};
use domain::policy::Policy;
use domain::rebind::Sealed;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::{Outcome, Transition};
use retries::{Retries, replayed};

/// Renders a use case's reply: the resulting merchant in wire format.
pub type Show<'a> = &'a (dyn Fn(&Merchant, &Policy, Timestamp) -> Reply + Sync);

/// The personal data of the event, if it has any.
pub type Prepared = Result<Option<Sealed>, HandlerError>;

/// Prepares nothing: for writes that need no call to the key service.
///
/// # Errors
/// Never.
pub async fn nothing_to_prepare(_: &Loaded, _: &mut Transition) -> Prepared {
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
    claims_key: bool,
    support_ref: String,
    /// The version of the acquirer's record that the caller has seen.
    seen_record: Option<u32>,
    show: Show<'a>,
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
            claims_key: false,
            support_ref: String::new(),
            seen_record: None,
            show: &request::no_content,
            limits,
        }
    }

    /// For an operator's act. No session is required.
    pub fn operator(
        store: &'a S,
        policy: &'static Policy,
        merchant_id: MerchantId,
        idempotency: Option<IdempotencyKey>,
        support_ref: String,
        now: Timestamp,
    ) -> Self {
        Self {
            idempotency,
            support_ref,
            ..Self::system(store, policy, merchant_id, now, Limits::FREEZE)
        }
    }

    /// For a session of the app.
    pub(crate) fn session(
        store: &'a S,
        presented: Presented,
        idempotency: Option<IdempotencyKey>,
        support_ref: String,
        now: Timestamp,
    ) -> Self {
        Self {
            store,
            policy: &Policy::CURRENT,
            now,
            merchant_id: presented.merchant_id.clone(),
            session: Some(presented),
            idempotency,
            claims_key: false,
            support_ref,
            seen_record: None,
            show: &request::rebind,
            limits: Limits::REQUEST,
        }
    }

    /// The slot of the session.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.session.as_ref().map(|presented| presented.slot)
    }

    /// The same transactor with another reply.
    #[must_use]
    pub fn showing(mut self, show: Show<'a>) -> Self {
        self.show = show;
        self
    }

    /// The same transactor for a caller who has seen this version of the acquirer's record, and refuses to change another.
    #[must_use]
    pub const fn expecting(mut self, seen_record: Option<u32>) -> Self {
        self.seen_record = seen_record;
        self
    }

    /// The same transactor for a use case of two writes, the first of which claims the idempotency key. Each read also looks
    /// up the key.
    #[must_use]
    pub fn claiming(mut self) -> Self {
        self.claims_key = true;
        self
    }
}

impl<S: LoadMerchant + CommitTransition> Transactor<'_, S> {
    /// Reads the merchant and checks the session. Loads a card's rebind if it has one.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, `NOT_FOUND`.
    pub async fn load(&self, selector: Selector<'_>) -> Result<Loaded, HandlerError> {
        let (merchant, key_use) = self.look_up(selector).await?;
        let Some(presented) = &self.session else {
            let Some(merchant) = merchant else {
                // The first run of this request may have erased the merchant.
                return Err(self
                    .refusal(Rejection::new(ErrorCode::NotFound), None)
                    .await);
            };
            return Ok(Loaded::by_system(merchant));
        };
        let merchant = merchant.ok_or_else(token::dead)?;
        let session = presented.session(&merchant, self.policy, self.now)?.tag();
        let exists = match selector {
            Selector::Latest | Selector::Number(_) | Selector::Announced(_) => true,
            Selector::Step(_) | Selector::Shown(_) => merchant.rebind.is_some(),
            // A card from onboarding has no rebind.
            Selector::Card(id) => merchant.rebind.is_some() || merchant.state.bound(id).is_some(),
        };
        if !exists {
            return Err(Rejection::new(ErrorCode::NotFound).into());
        }
        Ok(Loaded {
            merchant,
            session,
            key_use,
        })
    }

    async fn look_up(
        &self,
        selector: Selector<'_>,
    ) -> Result<(Option<Merchant>, Option<IdempotencyLookup>), PortError> {
        let (store, id) = (self.store, &self.merchant_id);
        match self.idempotency.as_ref().filter(|_| self.claims_key) {
            Some(key) => {
                let read = store.load_with_key(id, selector, key, self.now).await?;
                Ok(read.unzip())
            }
            None => Ok((store.load(id, selector).await?, None)),
        }
    }

    /// Decides a command of this caller.
    fn decide(&self, merchant: &Merchant, act: Command) -> Result<Transition, Rejection> {
        let version = merchant.profile.version;
        if self.seen_record.is_some_and(|seen| seen != version) {
            return Err(Rejection::new(ErrorCode::RecordChanged));
        }
        let command = CommandContext {
            by: self.slot(),
            act,
        };
        decide(merchant, &command, self.policy, self.now)
    }

    /// Reads, plans, decides and writes, until a write succeeds.
    ///
    /// `plan` turns the state that was read into a command. `prepare` runs after the decision, so that only an allowed
    /// command costs its calls to the key service: it encrypts personal data or decrypts the question to the bank. Both
    /// run again in each retry.
    ///
    /// # Errors
    /// `Answered` for a repeated request, `Rejected` for a rejection, `Failed` with `Conflict` when no write
    /// succeeded.
    pub async fn transact(
        &self,
        start: impl Into<Start<'_>>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        prepare: impl AsyncFnMut(&Loaded, &mut Transition) -> Prepared,
    ) -> Result<Committed, HandlerError> {
        self.transact_within(self.limits, start, plan, prepare)
            .await
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
        prepare: impl AsyncFnMut(&Loaded, &mut Transition) -> Prepared,
    ) -> Result<Committed, HandlerError> {
        Box::pin(self.repeat(limits, start.into(), plan, prepare)).await
    }

    async fn repeat(
        &self,
        limits: Limits,
        start: Start<'_>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        mut prepare: impl AsyncFnMut(&Loaded, &mut Transition) -> Prepared,
    ) -> Result<Committed, HandlerError> {
        let Start {
            selector,
            mut loaded,
        } = start;
        let mut retries = Retries::new(limits);
        loop {
            let before = self.read(&mut loaded, selector, &mut retries).await?;
            if let Some(committed) = retries.recover(self, &before)? {
                return Ok(committed);
            }
            let write = match plan(&before, &retries.learned).await? {
                Plan::Write(write) => write,
                Plan::Resume => return Ok(self.unchanged(before, Outcome::Proceed)),
            };
            if write.resumes_if_begun && before.was_begun(&write.context) {
                return Ok(self.unchanged(before, Outcome::Proceed));
            }
            let mut transition = match self.decide(&before.merchant, write.command.clone()) {
                Ok(transition) => transition,
                Err(refusal) => return Err(self.refusal(refusal, before.key_use.as_ref()).await),
            };
            if self.has_nothing_to_write(&transition) {
                return Ok(self.unchanged(before, transition.outcome));
            }
            let personal = prepare(&before, &mut transition).await?;
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
                    &retries,
                )
                .await;
            match committed {
                Ok(CommitOutcome::Written) => {
                    correlation::of_loaded(&after);
                    return Ok(Committed {
                        after: before.followed_by(after, &transition.outcome, &write.context),
                        outcome: transition.outcome,
                        reply,
                        otp_delivery: delivery,
                        payout: transition.payout.map(|change| change.payout().clone()),
                        is_written: true,
                        otp_wait_s: retries.learned.otp_wait_s,
                    });
                }
                Ok(not_written) => {
                    let before = &before.merchant;
                    let refused = retries.after_refused_write(not_written, &write, before);
                    refused.await?;
                }
                Err(error) => retries.after_failed_write(error, delivery, &after).await?,
            }
        }
    }

    /// The state to decide on: the one that was loaded already, or the current one.
    async fn read(
        &self,
        loaded: &mut Option<Loaded>,
        selector: Selector<'_>,
        retries: &mut Retries,
    ) -> Result<Loaded, HandlerError> {
        if let Some(loaded) = loaded.take() {
            return Ok(loaded);
        }
        loop {
            match self.load(selector).await {
                Err(error) => retries.after_failed_read(error).await?,
                loaded => return loaded,
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
        let done = self.transact(selector, plan, nothing_to_prepare).await?;
        Ok(done.reply)
    }

    /// Decides a command on a state that the caller has read, and writes it once. The caller repeats both.
    ///
    /// # Errors
    /// As [`Transactor::transact`].
    pub async fn execute_once(
        &self,
        loaded: Loaded,
        command: Command,
    ) -> Result<Committed, HandlerError> {
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        // Only a retry would read by this selector.
        let start = (Selector::Latest, loaded);
        self.transact_within(Limits::ONCE, start, plan, nothing_to_prepare)
            .await
    }

    /// The reply to an outcome: the use case's view of the merchant, or the refusal that was written.
    #[must_use]
    pub fn reply(&self, after: &Merchant, outcome: &Outcome) -> Reply {
        match outcome {
            Outcome::Refused(refusal) => Reply::problem(refusal, &self.support_ref),
            Outcome::Done | Outcome::Proceed | Outcome::PollDeposit => {
                (self.show)(after, self.policy, self.now)
            }
        }
    }

    /// Returns a rejection that changed nothing. A request that was answered before gets its stored reply. `key_use`: the
    /// earlier use of the key, if it was read.
    async fn refusal(
        &self,
        refusal: Rejection,
        key_use: Option<&IdempotencyLookup>,
    ) -> HandlerError {
        let Some(key) = &self.idempotency else {
            return refusal.into();
        };
        let found = match key_use {
            Some(used @ (IdempotencyLookup::Reply(_) | IdempotencyLookup::OtherBody)) => {
                Ok(used.clone())
            }
            // The first run may have been answered since the read.
            Some(IdempotencyLookup::Claimed(_) | IdempotencyLookup::Nothing) | None => {
                self.store.find(key, self.now).await
            }
        };
        match found {
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
        let continues = matches!(transition.outcome, Outcome::Proceed | Outcome::PollDeposit);
        transition.is_empty() && (continues || self.session.is_none())
    }

    fn unchanged(&self, loaded: Loaded, outcome: Outcome) -> Committed {
        Committed {
            reply: self.reply(&loaded.merchant, &outcome),
            after: loaded,
            outcome,
            otp_delivery: None,
            payout: None,
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
        retries: &Retries,
    ) -> Result<CommitOutcome, PortError> {
        let stored = StoredReply {
            status: reply.status,
            body: reply.body_text(),
        };
        let proceeds = transition.outcome == Outcome::Proceed;
        let is_refused = matches!(transition.outcome, Outcome::Refused(_));
        let idempotency = match &self.idempotency {
            Some(key) if write.releases_key => IdempotencyMode::Release(key),
            // Keep the claim of an earlier run of this request.
            Some(key) if proceeds && retries.learned.claimed.is_none() => {
                IdempotencyMode::Claim(key, &write.context)
            }
            // A refusal is always the request's reply, also in an intermediate write.
            Some(_) if write.leaves_key && !is_refused => IdempotencyMode::None,
            Some(key) if !proceeds && reply.is_kept() => IdempotencyMode::Reply(key, &stored),
            _ => IdempotencyMode::None,
        };
        if matches!(idempotency, IdempotencyMode::Claim(..)) && before.key_use.is_none() {
            let what = "the key was not looked up before its claim".to_owned();
            return Err(PortError::Permanent("the use case", what));
        }
        if let Some(used) = before.prevents(&idempotency) {
            return Ok(CommitOutcome::Before(used.clone()));
        }
        let commit = Commit {
            before: &before.merchant,
            transition,
            event,
            session: self.slot(),
            idempotency,
            now: self.now,
        };
        self.store.commit(commit).await
    }
}
