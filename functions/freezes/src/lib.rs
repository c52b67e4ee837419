//! `POST /v1/freezes`: accepts the freeze code that was sent to the old contact. It needs no login. The reply reveals
//! nothing: its body and its time are the same whether or not an account was frozen.

use api::body;
use api::event::Request;
use api::replies::{Freeze, FreezeStatus};
use api::reply::Reply;
use api::requests::CreateFreeze;
use api::routes::FreezesRoute;
use application::backoff::{Limits, retry};
use application::crypto::{FREEZE_CODE_CHARS, HashPurpose, Keys, typed_code};
use application::error::HandlerError;
use application::ports::{
    FreezeAttempt, FreezeAttempts, FreezeKeys, KeyService, PortError, Selector,
};
use application::serve::Handler;
use application::transact::{Learned, Loaded, Start, Transactor, nothing_to_prepare};
use application::usage::Usage;
use domain::decide::Command;
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::merchant::{FreezeCode, Merchant};
use domain::pii::typed::{Field, fold};
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use std::time::{Duration, Instant};
use store::Store;
use store::client::Table;

/// The duration of every reply: longer than a successful freeze needs, so that the time reveals nothing.
const ANSWER_AFTER: Duration = Duration::from_millis(800);
/// Stands in for the merchant of an unknown account, so that the same work is done.
const NOBODY: &str = "mer_nobody";
const POLICY: &Policy = &Policy::CURRENT;

/// Freezes accounts.
pub struct Freezes<T, K> {
    store: Store<T>,
    keys: Keys<K>,
}

impl<T, K> Freezes<T, K> {
    /// Creates the function from its store and keys.
    pub const fn new(store: Store<T>, keys: Keys<K>) -> Self {
        Self { store, keys }
    }
}

impl<T: Table, K: KeyService> Handler for Freezes<T, K> {
    type Route = FreezesRoute;

    async fn handle(
        &self,
        route: FreezesRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            FreezesRoute::CreateFreeze => self.create(request, now).await,
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

impl<T: Table, K: KeyService> Freezes<T, K> {
    async fn create(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let started = Instant::now();
        let (account, code) = read(body::read::<CreateFreeze>(request)?.fields)?;
        let source = [request.source_ip.as_str()];
        let keys = FreezeKeys {
            account: self
                .keys
                .mac(HashPurpose::Account, &[account.expose()])
                .await?
                .0,
            source: self.keys.mac(HashPurpose::Source, &source).await?.0,
            nonce: self.keys.random()?,
        };
        let attempted = self.attempt(&keys, &code, now).await;
        tokio::time::sleep(ANSWER_AFTER.saturating_sub(started.elapsed())).await;
        attempted?;
        let status = FreezeStatus::Received;
        Ok(Reply::json(202, &Freeze { status }))
    }

    /// Counts the attempt, then evaluates the code unless a limit is reached. A right code and a code that could not be
    /// evaluated are refunded, because neither is a wrong guess.
    async fn attempt(
        &self,
        keys: &FreezeKeys,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let attempt = self.store.count_freeze_attempt(keys, POLICY, now).await?;
        let is_counted = attempt.allowed;
        let frozen = self.freeze_if_right(attempt, typed, now).await;
        if is_counted
            && !matches!(frozen, Ok(false))
            // The freeze has already succeeded or failed. One attempt too many in the count changes neither.
            && let Err(error) = self.store.refund_freeze_attempt(keys, now).await
        {
            tracing::warn!(store.cause = error.to_string(), "freeze.not_refunded");
        }
        frozen.map(|_| ())
    }

    /// Freezes the account if the code is right. Returns true for a right code.
    async fn freeze_if_right(
        &self,
        attempt: FreezeAttempt,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<bool, HandlerError> {
        let is_evaluated = attempt.merchant_id.is_some() && attempt.allowed;
        let merchant_id = attempt.merchant_id.or_else(|| MerchantId::parse(NOBODY));
        let typed = typed_code(typed.expose(), FREEZE_CODE_CHARS);
        let (Some(merchant_id), Some(typed)) = (merchant_id, typed) else {
            return Ok(false);
        };
        let account = Transactor::system(
            &self.store,
            POLICY,
            merchant_id.clone(),
            now,
            Limits::FREEZE,
        );
        let read = retry(Limits::FREEZE, async || {
            account.load(Selector::Latest).await
        })
        .await;
        let loaded = match read {
            Ok(loaded) if is_evaluated => loaded,
            Ok(_) | Err(HandlerError::Rejected(_)) => return Ok(false),
            Err(error) => return Err(too_busy(error)),
        };
        let Some(code) = self.announced(&loaded.merchant, &typed, now).await? else {
            return Ok(false);
        };
        match self.freeze(&account, loaded, code, now).await {
            Ok(()) => {
                tracing::info!(merchant.id = merchant_id.as_str(), "account.frozen");
                Ok(true)
            }
            // The code was used meanwhile: by a duplicate of this request, or by a write whose answer was lost.
            Err(HandlerError::Rejected(_)) => Ok(true),
            Err(error) => Err(too_busy(error)),
        }
    }

    /// Freezes in one write. Retries until the time limit of [`Limits::FREEZE`], because a thief may keep the account
    /// busy.
    async fn freeze(
        &self,
        account: &Transactor<'_, Store<T>>,
        loaded: Loaded,
        code: FreezeCode,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let state = &loaded.merchant.state;
        let number = state.rebind_to_freeze(&code, now);
        let selector = number.map_or(Selector::Latest, Selector::Announced);
        let freeze = async |_: &Loaded, _: &Learned| Ok(Command::Freeze(code.seq).into());
        let limits = Limits {
            after_transient: true,
            ..Limits::FREEZE
        };
        let is_latest = |number| number == state.rebinds;
        let start: Start<'_> = match number.is_none_or(is_latest) {
            true => (selector, loaded).into(),
            false => selector.into(),
        };
        let frozen = account.transact_within(limits, start, freeze, nothing_to_prepare);
        frozen.await.map(|_| ())
    }

    /// The announced code that was typed. Every code is compared, so that the time reveals nothing.
    async fn announced(
        &self,
        merchant: &Merchant,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<FreezeCode>, HandlerError> {
        let mut found = None;
        for code in &merchant.state.freeze_codes {
            let merchant_id = merchant.profile.merchant_id.as_str();
            let expected = self.keys.freeze_code(merchant_id, code.seq).await?;
            if *typed == expected && code.works_at(now) {
                found = Some(*code);
            }
        }
        Ok(found)
    }
}

/// A freeze that lost to concurrent writes in every retry is a server failure, not a conflict for the caller.
fn too_busy(error: HandlerError) -> HandlerError {
    match error {
        HandlerError::Failed(PortError::Conflict) => {
            PortError::Transient("the freeze", "too many concurrent writes".to_owned()).into()
        }
        error => error,
    }
}

fn read(typed: CreateFreeze) -> Result<(Secret<String>, Secret<String>), Rejection> {
    Rejection::of_malformed([
        ("account", typed.account.is_none()),
        ("freeze_code", typed.freeze_code.is_none()),
    ])?;
    typed
        .account
        .map(|account| fold(Field::Account, &account))
        .zip(typed.freeze_code)
        .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed))
}
