//! `POST /v1/freezes`: accepts the freeze code that was sent to the old contact. It needs no login. The reply reveals
//! nothing: its body and its time are the same whether or not an account was frozen.

use api::body;
use api::event::Request;
use api::replies::{Freeze, FreezeStatus};
use api::reply::Reply;
use api::requests::{CreateFreeze, Empty};
use api::routes::FreezesRoute;
use application::backoff::{Limits, retry};
use application::crypto::{FREEZE_CODE_CHARS, HashPurpose, Keys, typed_code};
use application::error::HandlerError;
use application::ports::{FreezeKeys, FreezeRequests, KeyService, PortError, Selector};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
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
            FreezesRoute::FreezeRebind => self.freeze_rebind(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T: Table, K: KeyService> Freezes<T, K> {
    async fn create(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let started = Instant::now();
        let (account, code) = read(body::read::<CreateFreeze>(request)?.fields)?;
        let source = [request.source_ip.as_str()];
        let name = [account.expose().as_str()];
        let previous = self.keys.previous_mac(HashPurpose::Account, &name);
        let previous_account = previous.await?.map(|mac| mac.0);
        let keys = FreezeKeys {
            account: self.keys.mac(HashPurpose::Account, &name).await?.0,
            previous_account,
            source: self.keys.mac(HashPurpose::Source, &source).await?.0,
            nonce: self.keys.random()?,
        };
        let evaluated = self.evaluate(&keys, &code, now).await;
        tokio::time::sleep(ANSWER_AFTER.saturating_sub(started.elapsed())).await;
        evaluated?;
        let status = FreezeStatus::Received;
        Ok(Reply::json(202, &Freeze { status }))
    }

    /// Freezes the account if the code is right, however many wrong codes came before: 40 bits cannot be guessed, and a
    /// thief must not be able to use up the owner's attempts. A wrong code is counted.
    async fn evaluate(
        &self,
        keys: &FreezeKeys,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let known = self.store.account_merchant(keys).await?;
        let is_known = known.is_some();
        let Some(merchant_id) = known.or_else(|| MerchantId::parse(NOBODY)) else {
            return Ok(());
        };
        let account = Transactor::system(&self.store, POLICY, merchant_id, now, Limits::FREEZE);
        let read = retry(Limits::FREEZE, async || {
            account.load(Selector::Latest).await
        });
        let loaded = match read.await {
            Ok(loaded) => is_known.then_some(loaded),
            Err(HandlerError::Rejected(_)) => None,
            Err(error) => return Err(too_busy(error)),
        };
        let Some(loaded) = loaded else {
            self.count(keys, now).await?;
            return Ok(());
        };
        match self.announced(&loaded.merchant, typed, now).await? {
            Some(code) => self.freeze(&account, loaded, code, now).await,
            None => {
                let notifies = self.count(keys, now).await?;
                if notifies {
                    notify(&account, loaded).await;
                }
                Ok(())
            }
        }
    }

    /// Counts a wrong code before it is answered. Returns true if there were so many that the owner is notified.
    async fn count(&self, keys: &FreezeKeys, now: Timestamp) -> Result<bool, PortError> {
        let guesses = self.store.count_freeze_guess(keys, now).await?;
        tracing::info!(
            freeze.of_account = guesses.of_account,
            freeze.of_source = guesses.of_source,
            "freeze.wrong_code"
        );
        Ok(guesses.of_account >= POLICY.freeze_guesses_notified_from)
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
        match frozen.await {
            Ok(_) => {
                tracing::info!("account.frozen");
                Ok(())
            }
            // The code was used meanwhile: by a duplicate of this request, or by a write whose answer was lost.
            Err(HandlerError::Rejected(_)) => Ok(()),
            Err(error) => Err(too_busy(error)),
        }
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
            let is_right = self.keys.is_freeze_code(typed, merchant_id, code.seq);
            if is_right.await? && code.works_at(now) {
                found = Some(*code);
            }
        }
        Ok(found)
    }
}

impl<T: Table, K: KeyService> Freezes<T, K> {
    /// Freezes in a session of a known device. Retries as long as a freeze by code, because a thief may keep the account
    /// busy.
    async fn freeze_rebind(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            if loaded.rebind()?.rebind_id != id {
                return Err(Rejection::new(ErrorCode::NotFound).into());
            }
            Ok(Command::FreezeFromDevice.into())
        };
        let selector = Selector::Announced(id.number());
        let frozen = ctx.transact_within(Limits::FREEZE, selector, plan, nothing_to_prepare);
        Ok(frozen.await.map_err(too_busy)?.reply)
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

/// Notifies the owner while a freeze code works, unless that was done lately. A failure is not worth a retry: the next
/// wrong code repeats it.
async fn notify<T: Table>(account: &Transactor<'_, Store<T>>, loaded: Loaded) {
    match account
        .execute_once(loaded, Command::NotifyFreezeGuesses)
        .await
    {
        Ok(_) | Err(HandlerError::Rejected(_)) => {}
        Err(_) => tracing::warn!("freeze.guesses_not_notified"),
    }
}

fn read(typed: CreateFreeze) -> Result<(Secret<String>, Secret<String>), Rejection> {
    Rejection::of_malformed([
        ("account", typed.account.is_none()),
        ("freeze_code", typed.freeze_code.is_none()),
    ])?;
    let (account, code) = typed
        .account
        .map(|account| fold(Field::Account, &account))
        .zip(typed.freeze_code)
        .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed))?;
    // Not a guess: a text that cannot be a code is not counted, and the reply tells a mistyped code from a wrong one.
    let code = typed_code(code.expose(), FREEZE_CODE_CHARS).ok_or_else(|| {
        Rejection::new(ErrorCode::FreezeCodeFormat)
            .field("freeze_code")
            .not_counted()
    })?;
    Ok((account, code))
}
