//! `POST /v1/freezes`: the old contact's freeze code. No login is needed, and nothing is told: the answer and its time are
//! the same whether or not anything was frozen.

use super::{POLICY, Settlement};
use api::body;
use api::event::Request;
use api::replies::{Freeze, FreezeStatus};
use api::reply::Reply;
use api::requests::CreateFreeze;
use application::crypto::{HashPurpose, random, same_code, typed_code};
use application::ports::{
    FreezeAttempt, FreezeAttempts, FreezeKeys, KeyService, LoadMerchant, PortError, Wanted,
    commit_as_system,
};
use application::serve::HandlerError;
use domain::decide::{Command, CommandContext, decide};
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use std::time::{Duration, Instant};

/// Every answer takes this long: more than a match needs, so that the time tells nothing.
const ANSWER_AFTER: Duration = Duration::from_millis(800);
/// How long a match is tried to be written.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// Characters of a freeze code.
const CODE_CHARS: usize = 8;
/// Looked up in the place of a merchant that is not there, so that the same work is done.
const NOBODY: &str = "mer_nobody";

impl<K: KeyService> Settlement<K> {
    pub(crate) async fn freeze(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let started = Instant::now();
        let (account, code) = read(body::read::<CreateFreeze>(request)?.fields)?;
        let keys = FreezeKeys {
            account: self.keys.mac(HashPurpose::Account, &[&account]).await?.0,
            source: self
                .keys
                .mac(HashPurpose::Source, &[&request.source_ip])
                .await?
                .0,
        };
        let tried = self.try_code(&keys, &code, now).await;
        tokio::time::sleep(ANSWER_AFTER.saturating_sub(started.elapsed())).await;
        tried?;
        let status = FreezeStatus::Received;
        Ok(Reply::json(202, &Freeze { status }))
    }

    /// Counted first, then looked at, unless there were too many. A right code is no wrong try, and one that could not be
    /// looked at is none either: both are taken back.
    async fn try_code(
        &self,
        keys: &FreezeKeys,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<(), HandlerError> {
        let tried = self.store.count_freeze_attempt(keys, POLICY, now).await?;
        let is_counted = tried.allowed;
        let frozen = self.freeze_with(tried, typed, now).await;
        if is_counted
            && !matches!(frozen, Ok(false))
            // What was asked for is done, or has failed; a try too many in the count is no reason to say otherwise.
            && let Err(error) = self.store.refund_freeze_attempt(keys, now).await
        {
            tracing::warn!(
                store.cause = error.to_string(),
                "a code that was not wrong stays counted"
            );
        }
        frozen.map(|_| ())
    }

    /// Whether the code was right; then the account is frozen.
    async fn freeze_with(
        &self,
        tried: FreezeAttempt,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<bool, HandlerError> {
        let known = tried.merchant_id.is_some();
        let merchant_id = tried.merchant_id.or_else(|| MerchantId::parse(NOBODY));
        let typed = typed_code(typed.expose(), CODE_CHARS);
        let (Some(merchant_id), Some(typed)) = (merchant_id, typed) else {
            return Ok(false);
        };
        let is_looked_at = known && tried.allowed;
        let give_up = Instant::now() + GIVE_UP_AFTER;
        let mut was_right = false;
        loop {
            let read = self.store.load(&merchant_id, Wanted::Latest).await;
            let frozen = match read.map(|read| read.filter(|_| is_looked_at)) {
                Ok(Some(merchant)) => match self.number_of(&merchant, &typed, now).await? {
                    Some(number) => {
                        was_right = true;
                        self.freeze_once(merchant, number, now).await
                    }
                    // One that was right has been used: by the same code sent twice, or by a write that was not answered.
                    None => return Ok(was_right),
                },
                Ok(None) => return Ok(false),
                Err(error) => Err(error),
            };
            match frozen {
                Ok(()) => {
                    tracing::info!(merchant.id = merchant_id.as_str(), "frozen");
                    return Ok(true);
                }
                // Whoever keeps the account busy must not be able to keep it from being frozen.
                Err(error @ (PortError::Conflict | PortError::Transient(..)))
                    if (was_right || matches!(error, PortError::Conflict))
                        && Instant::now() < give_up =>
                {
                    let [chance] = random::<1>()?;
                    tokio::time::sleep(Duration::from_millis(u64::from(chance / 8) + 2)).await;
                }
                Err(PortError::Conflict) => {
                    let cause = "too many concurrent writes".to_owned();
                    return Err(PortError::Transient("the freeze", cause).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The rebind whose code this is. Every code that works is compared, whichever is the right one.
    async fn number_of(
        &self,
        merchant: &Merchant,
        typed: &Secret<String>,
        now: Timestamp,
    ) -> Result<Option<u32>, HandlerError> {
        let mut found = None;
        for code in &merchant.head.freeze_codes {
            let merchant_id = merchant.profile.merchant_id.as_str();
            let kept = self.keys.freeze_code(merchant_id, code.number).await?;
            if same_code(typed, &kept) && now < code.good_until {
                found = Some(code.number);
            }
        }
        Ok(found)
    }

    async fn freeze_once(
        &self,
        mut merchant: Merchant,
        number: u32,
        now: Timestamp,
    ) -> Result<(), PortError> {
        if number != merchant.head.rebinds {
            let wanted = Wanted::Announced(number);
            let read = self.store.load(&merchant.profile.merchant_id, wanted);
            merchant = read.await?.ok_or(PortError::Conflict)?;
        }
        let command = CommandContext {
            by: None,
            act: Command::Freeze(number),
        };
        // Something was written since it was read; read again, a code that was used meanwhile is no longer there.
        let transition =
            decide(&merchant, &command, POLICY, now).map_err(|_| PortError::Conflict)?;
        commit_as_system(&self.store, &merchant, transition, POLICY, now).await?;
        Ok(())
    }
}

fn read(typed: CreateFreeze) -> Result<(String, Secret<String>), Rejection> {
    Rejection::of_malformed([
        ("account", typed.account.is_none()),
        ("freeze_code", typed.freeze_code.is_none()),
    ])?;
    typed
        .account
        .zip(typed.freeze_code)
        .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed))
}
