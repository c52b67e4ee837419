//! What the acquirer's core asks for, by invoking the function itself: nobody else's role may.
//!
//! `{"operation": "create_payout" | "payout_sent" | "payout_returned", "merchant_id", "payout_id", "amount_fen", "time"}`:
//! the amount only with a new payout, `merchant_id` needed with a new one, `time` (RFC 3339) in the sandbox only. The reply
//! is the payout; a refusal is a Lambda error whose type is the code.

use super::{POLICY, Settlement};
use api::replies;
use application::ports::{
    KeyService, LoadMerchant, OwnedPayout, PortError, ReadPayouts, SystemCommit, Wanted,
    commit_as_system,
};
use application::serve::{DeploymentStage, HandlerError, wall_clock};
use application::step::Rounds;
use domain::decide::{Command, CommandContext, decide};
use domain::error_code::ErrorCode;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::time::Timestamp;
use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::panic::AssertUnwindSafe;

/// The largest amount: what every JSON reader can hold exactly.
const AMOUNT_MAX_FEN: u64 = (1 << 53) - 1;

/// Why an operation was not done.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code; the type of the Lambda error.
    pub code: ErrorCode,
    /// What to do about it.
    pub message: String,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<Refusal> for lambda_runtime::Diagnostic {
    fn from(refusal: Refusal) -> Self {
        Self {
            error_type: refusal.code.as_str().to_owned(),
            error_message: refusal.message,
        }
    }
}

impl From<HandlerError> for Refusal {
    fn from(stop: HandlerError) -> Self {
        match stop {
            HandlerError::Rejected(refusal) => Self::new(refusal.code, advice(refusal.code)),
            HandlerError::Failed(PortError::Conflict) => Self::new(
                ErrorCode::VersionConflict,
                advice(ErrorCode::VersionConflict),
            ),
            HandlerError::Failed(error) => {
                tracing::error!(problem.cause = error.to_string(), "an operation failed");
                Self::new(ErrorCode::Internal, advice(ErrorCode::Internal))
            }
        }
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        HandlerError::from(error).into()
    }
}

const fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AccountFrozen => {
            "the account is frozen and its payouts are held: an operator has to unfreeze it first"
        }
        ErrorCode::StepOutOfOrder => {
            "the payout is held without a card, or it is over: look at GET /v1/payouts"
        }
        ErrorCode::VersionConflict => "others wrote at the same time: repeat the same operation",
        _ => "repeat the same operation; if it fails again, look at the log",
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    CreatePayout,
    PayoutSent,
    PayoutReturned,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    operation: Operation,
    payout_id: String,
    merchant_id: Option<String>,
    amount_fen: Option<i64>,
    time: Option<String>,
}

/// A payout as the core system reads it.
#[derive(Serialize)]
struct CorePayout<'a> {
    #[serde(flatten)]
    payout: replies::Payout,
    merchant_id: &'a str,
    status: &'static str,
}

impl<K: KeyService> Settlement<K> {
    /// One operation of the acquirer's core.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing is changed then.
    pub async fn direct(&self, event: Value, stage: &DeploymentStage) -> Result<Value, Refusal> {
        let done = AssertUnwindSafe(self.operate(event, stage));
        let done = done.catch_unwind().await.unwrap_or_else(|_| {
            // The panic's text may hold anything; the hook has not printed it either.
            Err(Refusal::new(
                ErrorCode::Internal,
                advice(ErrorCode::Internal),
            ))
        });
        let usage = self.store.meter().take();
        tracing::info!(
            problem.code = done.as_ref().err().map(|refusal| refusal.code.as_str()),
            store.calls = usage.calls,
            store.wru = usage.wru,
            "operation"
        );
        done
    }

    async fn operate(&self, event: Value, stage: &DeploymentStage) -> Result<Value, Refusal> {
        let malformed = |message: &str| Refusal::new(ErrorCode::RequestMalformed, message);
        let asked: Asked = serde_json::from_value(event).map_err(|_| {
            malformed(
                "expected operation (create_payout, payout_sent or payout_returned), payout_id, merchant_id, and amount_fen \
                 with a new payout; nothing else",
            )
        })?;
        let now = match asked.time.as_deref() {
            None => wall_clock(),
            Some(_) if !stage.is_sandbox() => {
                return Err(malformed("time can be set in the sandbox only"));
            }
            Some(text) => {
                Timestamp::parse_rfc3339(text).ok_or_else(|| malformed("time is not RFC 3339"))?
            }
        };
        let payout_id = PayoutId::parse(&asked.payout_id)
            .ok_or_else(|| malformed("payout_id is pay_ and up to 40 letters, digits or _"))?;
        let merchant_id = asked.merchant_id.as_deref().map(|text| {
            MerchantId::parse(text)
                .ok_or_else(|| malformed("merchant_id is mer_ and up to 40 letters, digits or _"))
        });
        let merchant_id = merchant_id.transpose()?;
        match (asked.operation, asked.amount_fen) {
            (Operation::CreatePayout, amount) => {
                let amount_fen = amount
                    .and_then(|fen| u64::try_from(fen).ok())
                    .filter(|fen| (1..=AMOUNT_MAX_FEN).contains(fen))
                    .ok_or_else(|| malformed("amount_fen is a whole number of fen, at least 1"))?;
                let merchant_id = merchant_id
                    .ok_or_else(|| malformed("merchant_id is needed for a new payout"))?;
                self.create(&merchant_id, &payout_id, amount_fen, now).await
            }
            (_, Some(_)) => Err(malformed("amount_fen goes with create_payout only")),
            (operation, None) => {
                self.end(operation, &payout_id, merchant_id.as_ref(), now)
                    .await
            }
        }
    }

    /// The payout gets its card in this write. One that is known is shown as it is.
    async fn create(
        &self,
        merchant_id: &MerchantId,
        payout_id: &PayoutId,
        amount_fen: u64,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let mut rounds = Rounds::new();
        loop {
            let before = self.store.load(merchant_id, Wanted::Latest).await?;
            let before = before.ok_or_else(no_merchant)?;
            let act = Command::CreatePayout(payout_id.clone(), amount_fen);
            let transition = decided(&before, act, now)?;
            let created = transition
                .payout
                .as_ref()
                .map(|change| change.payout().clone());
            match commit_as_system(&self.store, &before, transition, POLICY, now).await {
                Ok(SystemCommit::Written(after)) => return shown(&after, created.as_ref(), now),
                Ok(SystemCommit::PayoutExists(known)) => {
                    let same =
                        known.merchant_id == *merchant_id && known.payout.amount_fen == amount_fen;
                    if !same {
                        return Err(Refusal::new(
                            ErrorCode::IdempotencyMismatch,
                            "this payout_id was used with another merchant or amount: choose a new one",
                        ));
                    }
                    return shown(&before, Some(&known.payout), now);
                }
                Err(error @ PortError::Conflict) => rounds.again(error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn end(
        &self,
        operation: Operation,
        payout_id: &PayoutId,
        merchant_id: Option<&MerchantId>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let mut rounds = Rounds::new();
        loop {
            let (before, payout) = self.known(payout_id, merchant_id).await?;
            let act = match operation {
                Operation::PayoutReturned => Command::PayoutReturned(payout.clone()),
                Operation::PayoutSent | Operation::CreatePayout => {
                    Command::PayoutSent(payout.clone())
                }
            };
            let transition = decided(&before, act, now)?;
            let changed = transition
                .payout
                .as_ref()
                .map(|change| change.payout().clone());
            match commit_as_system(&self.store, &before, transition, POLICY, now).await {
                Ok(SystemCommit::Written(after)) => {
                    return shown(&after, changed.as_ref().or(Some(&payout)), now);
                }
                Ok(SystemCommit::PayoutExists(_)) => rounds.again(PortError::Conflict).await?,
                Err(error @ PortError::Conflict) => rounds.again(error).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The payout with its merchant: in one call when the core says whose it is.
    async fn known(
        &self,
        payout_id: &PayoutId,
        merchant_id: Option<&MerchantId>,
    ) -> Result<(Merchant, Payout), Refusal> {
        let unknown = || {
            Refusal::new(
                ErrorCode::NotFound,
                "there is no such payout of this merchant: check payout_id and merchant_id",
            )
        };
        let (known, merchant) = self.store.payout(payout_id, merchant_id).await?;
        let OwnedPayout {
            merchant_id: owner,
            payout,
        } = known
            .filter(|known| merchant_id.is_none_or(|asked| known.merchant_id == *asked))
            .ok_or_else(unknown)?;
        let merchant = match merchant {
            Some(merchant) => merchant,
            None => self
                .store
                .load(&owner, Wanted::Latest)
                .await?
                .ok_or_else(no_merchant)?,
        };
        Ok((merchant, payout))
    }
}

fn no_merchant() -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        "there is no such merchant: check merchant_id",
    )
}

fn decided(
    before: &Merchant,
    act: Command,
    now: Timestamp,
) -> Result<domain::transition::Transition, Refusal> {
    let command = CommandContext { by: None, act };
    decide(before, &command, POLICY, now).map_err(|refusal| HandlerError::from(refusal).into())
}

fn shown(merchant: &Merchant, payout: Option<&Payout>, now: Timestamp) -> Result<Value, Refusal> {
    let payout =
        payout.ok_or_else(|| Refusal::new(ErrorCode::Internal, advice(ErrorCode::Internal)))?;
    let shown = CorePayout {
        payout: replies::Payout::new(merchant, payout, now),
        merchant_id: merchant.profile.merchant_id.as_str(),
        status: payout.state.as_str(),
    };
    serde_json::to_value(shown)
        .map_err(|_| Refusal::new(ErrorCode::Internal, advice(ErrorCode::Internal)))
}
