//! Payouts, for the acquirer's core system. The core system invokes this function directly; no other role may.
//!
//! Section 2 of the contract describes the operations and the payout instruction.

mod instruction;
mod operation;
mod refusal;

pub use instruction::CoreKeys;
pub use refusal::Refusal;

use api::replies::{self, PAGE_READ, Page};
use application::backoff::{Limits, retry};
use application::correlation;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{
    KeyService, LoadMerchant, OwnedPayout, PortError, ReadPayouts, Selector, SignInstruction,
};
use application::serve::Deployment;
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use application::usage::whole_ms;
use domain::decide::Command;
use domain::error_code::ErrorCode;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use futures::FutureExt as _;
use jose::jwk::EncryptionKey;
use operation::{Asked, Operation, Report, Reported, Word};
use serde::Serialize;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use store::Store;
use store::client::Table;
use tracing::Instrument as _;

const POLICY: &Policy = &Policy::CURRENT;

/// Creates payouts, releases their instructions and records their payment.
pub struct Payouts<T, K, S> {
    store: Store<T>,
    keys: Keys<K>,
    signer: S,
    core_keys: CoreKeys,
}

impl<T, K, S> Payouts<T, K, S> {
    /// Creates the function from its parts. `signer` signs the payout instructions.
    pub const fn new(store: Store<T>, keys: Keys<K>, signer: S, core_keys: CoreKeys) -> Self {
        Self {
            store,
            keys,
            signer,
            core_keys,
        }
    }
}

/// A payout in the core system's format.
#[derive(Serialize)]
struct CorePayout<'a> {
    #[serde(flatten)]
    payout: replies::Payout,
    merchant_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<String>,
}

impl<T: Table, K: KeyService, S: SignInstruction> Payouts<T, K, S> {
    /// Executes one operation of the acquirer's core system.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed.
    pub async fn handle(&self, event: Value, deployment: &Deployment) -> Result<Value, Refusal> {
        let answer = self.answer(event, deployment);
        answer.instrument(correlation::operation()).await
    }

    async fn answer(&self, event: Value, deployment: &Deployment) -> Result<Value, Refusal> {
        let started = Instant::now();
        let asked = Asked::read(event);
        let operation = asked.as_ref().map(|asked| asked.operation).ok();
        let done = AssertUnwindSafe(self.operate(asked, deployment));
        let done = done.catch_unwind().await.unwrap_or_else(|_| {
            // Drop the panic's payload, because it can contain personal data. The panic hook does not print it either.
            Err(Refusal::of(ErrorCode::Internal))
        });
        let usage = self.store.meter().take().with_keys(&self.keys);
        tracing::info!(
            payout.operation = operation.map(Word::as_str),
            problem.code = code(&done),
            store.calls = usage.calls,
            store.rru = usage.rru,
            store.wru = usage.wru,
            keys.calls = usage.key_calls,
            duration_ms = whole_ms(started.elapsed()),
            "payout.handled"
        );
        done
    }

    async fn operate(
        &self,
        asked: Result<Asked, Refusal>,
        deployment: &Deployment,
    ) -> Result<Value, Refusal> {
        let asked = asked?;
        let now = asked.now(deployment)?;
        match asked.parse()? {
            Operation::Create {
                payout_id,
                merchant_id,
                amount_fen,
            } => self.create(&merchant_id, &payout_id, amount_fen, now).await,
            Operation::Report(report, reported) => {
                let key = self.key_for(report, deployment).await?;
                self.report(report, &reported, key, now).await
            }
            Operation::ReportAll(report, all) => {
                let key = self.key_for(report, deployment).await?;
                let mut results = Vec::with_capacity(all.len());
                for (payout_id, reported) in all {
                    let span = correlation::payout();
                    let done = match reported {
                        Ok(reported) => {
                            let done = self.report(report, &reported, key, now);
                            done.instrument(span.clone()).await
                        }
                        Err(refusal) => Err(refusal),
                    };
                    span.in_scope(|| tracing::info!(problem.code = code(&done), "payout.reported"));
                    let refused = |error| json!({"payout_id": payout_id, "error": error});
                    results.push(done.unwrap_or_else(refused));
                }
                Ok(json!({"results": results}))
            }
            Operation::ListUnfinished {
                merchant_id,
                before,
            } => self.unfinished(&merchant_id, before.as_deref(), now).await,
        }
    }

    /// The key that instructions are encrypted to; `None` for a report that releases nothing.
    async fn key_for(
        &self,
        report: Report,
        deployment: &Deployment,
    ) -> Result<Option<&EncryptionKey>, Refusal> {
        if report != Report::Sending {
            return Ok(None);
        }
        if deployment.is_sandbox() {
            return self.core_keys.usable(None).map(Some);
        }
        let registered = self.store.registered_core_keys().await?;
        self.core_keys.usable(Some(&registered)).map(Some)
    }

    /// Creates a payout, with its card assigned in the same write. A known payout is returned unchanged.
    async fn create(
        &self,
        merchant_id: &MerchantId,
        payout_id: &PayoutId,
        amount_fen: u64,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        correlation::of_payout(payout_id);
        let account = self.account(merchant_id, now);
        let command = Command::CreatePayout(payout_id.clone(), amount_fen);
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        let created = account.transact(Selector::Latest, plan, nothing_to_prepare);
        match created.await {
            Ok(written) => {
                let payout = written
                    .payout
                    .ok_or_else(|| Refusal::of(ErrorCode::Internal))?;
                shown(&self.core_payout(&written.after.merchant, &payout, now))
            }
            Err(HandlerError::PayoutExists { known, merchant }) => {
                let is_same =
                    known.merchant_id == *merchant_id && known.payout.amount_fen == amount_fen;
                if is_same {
                    shown(&self.core_payout(&merchant, &known.payout, now))
                } else {
                    Err(Refusal::new(
                        ErrorCode::IdempotencyMismatch,
                        "this payout_id was used with another merchant or amount: choose a new one",
                    ))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a payout along: it is being paid, was sent or was returned. With a key, its card number is released.
    async fn report(
        &self,
        report: Report,
        reported: &Reported,
        key: Option<&EncryptionKey>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let thumbprint = key.map(EncryptionKey::thumbprint).unwrap_or_default();
        let command = |payout| match report {
            Report::Sending => Command::PayoutSending(payout, thumbprint.to_owned()),
            Report::Sent => Command::PayoutSent(payout),
            Report::Returned => Command::PayoutReturned(payout),
        };
        // The payout is read together with its merchant, so that a conflict repeats both reads.
        let written = retry(Limits::REQUEST, async || {
            let Some((loaded, payout)) = self.owned(reported).await? else {
                return Ok(None);
            };
            let account = self.account(&loaded.merchant.profile.merchant_id, now);
            let written = account
                .execute_once(loaded, command(payout.clone()))
                .await?;
            Ok(Some((
                written.after.merchant,
                written.payout.unwrap_or(payout),
            )))
        });
        let written = written.await.inspect_err(warn_of_limit)?;
        let (merchant, payout) = written.ok_or_else(|| {
            Refusal::new(
                ErrorCode::NotFound,
                "this merchant has no such payout: check payout_id and merchant_id",
            )
        })?;
        let mut answer = self.core_payout(&merchant, &payout, now);
        if let Some(key) = key {
            answer.instruction = Some(self.instruction(&merchant, &payout, key, now).await?);
        }
        shown(&answer)
    }

    async fn instruction(
        &self,
        merchant: &Merchant,
        payout: &Payout,
        key: &EncryptionKey,
        now: Timestamp,
    ) -> Result<String, PortError> {
        let missing =
            || PortError::Permanent("the payout", "its card number is missing".to_owned());
        let card = payout.card.as_ref().ok_or_else(missing)?;
        let merchant_id = &merchant.profile.merchant_id;
        let sealed = self.store.sealed_card_number(merchant_id, &card.card_id);
        let sealed = sealed.await?.ok_or_else(missing)?;
        let parts = (&self.keys, &self.signer);
        instruction::instruction(parts, (merchant, payout), &sealed, key, now).await
    }

    /// The payouts that are not reported as sent or returned.
    async fn unfinished(
        &self,
        merchant_id: &MerchantId,
        before: Option<&str>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let merchant = self.store.load(merchant_id, Selector::Latest).await?;
        let merchant = merchant.ok_or_else(|| Refusal::of(ErrorCode::NotFound))?;
        let payouts = self.store.unsent_payouts(merchant_id, before, PAGE_READ);
        let payouts = payouts.await?;
        let show = |payout: &_| self.core_payout(&merchant, payout, now);
        shown(&Page::new(&payouts, store::payout::cursor, show))
    }

    fn account(&self, merchant_id: &MerchantId, now: Timestamp) -> Transactor<'_, Store<T>> {
        Transactor::system(
            &self.store,
            POLICY,
            merchant_id.clone(),
            now,
            Limits::REQUEST,
        )
    }

    /// Loads the payout and its merchant, in one call if the core system names the merchant. `None`: unknown payout id.
    async fn owned(&self, reported: &Reported) -> Result<Option<(Loaded, Payout)>, HandlerError> {
        correlation::of_payout(&reported.payout_id);
        let asked = reported.merchant_id.as_ref();
        let (known, merchant) = self.store.payout(&reported.payout_id, asked).await?;
        let Some(OwnedPayout {
            merchant_id: owner,
            payout,
        }) = known.filter(|known| asked.is_none_or(|asked| known.merchant_id == *asked))
        else {
            return Ok(None);
        };
        let merchant = match merchant {
            Some(merchant) => merchant,
            None => self
                .store
                .load(&owner, Selector::Latest)
                .await?
                .ok_or_else(|| Rejection::new(ErrorCode::NotFound))?,
        };
        Ok(Some((Loaded::by_system(merchant), payout)))
    }

    fn core_payout<'m>(
        &self,
        merchant: &'m Merchant,
        payout: &Payout,
        now: Timestamp,
    ) -> CorePayout<'m> {
        CorePayout {
            payout: replies::Payout::new(merchant, payout, self.store.policy(), now),
            merchant_id: merchant.profile.merchant_id.as_str(),
            status: payout.state.as_str(),
            instruction: None,
        }
    }
}

fn shown(answer: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|_| Refusal::of(ErrorCode::Internal))
}

/// The code of a refusal, for the log.
fn code<A>(done: &Result<A, Refusal>) -> Option<&'static str> {
    Some(done.as_ref().err()?.code.as_str())
}

/// Somebody asks for the same card number again and again: an alarm watches this event.
fn warn_of_limit(error: &HandlerError) {
    let is_limit =
        matches!(error, HandlerError::Rejected(refusal) if refusal.code == ErrorCode::ReleaseLimit);
    if is_limit {
        tracing::error!("payout.release_limit");
    }
}
