//! Payouts, for the acquirer's core system. The core system invokes this function directly; no other role may.
//!
//! Section 2 of the contract describes the operations.

use api::replies;
use application::backoff::{Limits, retry};
use application::error::HandlerError;
use application::ports::{LoadMerchant, OwnedPayout, PortError, ReadPayouts, Selector};
use application::serve::{DeploymentStage, wall_clock};
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
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use store::Store;
use store::client::Table;

const POLICY: &Policy = &Policy::CURRENT;
/// The largest amount that every JSON reader represents exactly.
const AMOUNT_MAX_FEN: u64 = (1 << 53) - 1;

/// Creates payouts and records their payment.
pub struct Payouts<T> {
    store: Store<T>,
}

impl<T> Payouts<T> {
    /// Creates the function from its store.
    pub const fn new(store: Store<T>) -> Self {
        Self { store }
    }
}

/// A refused operation.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code; also the type of the Lambda error.
    pub code: ErrorCode,
    /// The next step for the operator.
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
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Rejected(refusal) => Self::new(refusal.code, advice(refusal.code)),
            // `Answered` needs an idempotency key, which no operation has. `create` answers `PayoutExists` itself.
            HandlerError::Answered(_)
            | HandlerError::PayoutExists { .. }
            | HandlerError::Failed(PortError::Conflict) => Self::new(
                ErrorCode::VersionConflict,
                advice(ErrorCode::VersionConflict),
            ),
            HandlerError::Failed(error) => {
                tracing::error!(problem.cause = error.to_string(), "payout.failed");
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
            "the payout is held without a card, not reported as payout_sending, or final: see GET /v1/payouts"
        }
        ErrorCode::NotFound => "unknown merchant: check merchant_id",
        ErrorCode::VersionConflict => "concurrent writes conflicted: repeat the same operation",
        _ => "repeat the same operation; if it fails again, see the log",
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    CreatePayout,
    PayoutSending,
    PayoutSent,
    PayoutReturned,
}

impl Operation {
    /// The name in the log.
    const fn as_str(self) -> &'static str {
        match self {
            Self::CreatePayout => "create_payout",
            Self::PayoutSending => "payout_sending",
            Self::PayoutSent => "payout_sent",
            Self::PayoutReturned => "payout_returned",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operate {
    operation: Operation,
    payout_id: String,
    merchant_id: Option<String>,
    amount_fen: Option<i64>,
    time: Option<String>,
}

/// A payout in the core system's format.
#[derive(Serialize)]
struct CorePayout<'a> {
    #[serde(flatten)]
    payout: replies::Payout,
    merchant_id: &'a str,
    status: &'static str,
}

impl<T: Table> Payouts<T> {
    /// Executes one operation of the acquirer's core system.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing has changed.
    pub async fn handle(&self, event: Value, stage: &DeploymentStage) -> Result<Value, Refusal> {
        let started = Instant::now();
        let asked = serde_json::from_value::<Operate>(event).ok();
        let operation = asked.as_ref().map(|asked| asked.operation.as_str());
        let done = AssertUnwindSafe(self.operate(asked, stage));
        let done = done.catch_unwind().await.unwrap_or_else(|_| {
            // Drop the panic's payload, because it can contain personal data. The panic hook does not print it either.
            Err(Refusal::new(
                ErrorCode::Internal,
                advice(ErrorCode::Internal),
            ))
        });
        let usage = self.store.meter().take();
        tracing::info!(
            payout.operation = operation,
            problem.code = done.as_ref().err().map(|refusal| refusal.code.as_str()),
            store.calls = usage.calls,
            store.rru = usage.rru,
            store.wru = usage.wru,
            duration_ms = whole_ms(started.elapsed()),
            "payout.handled"
        );
        done
    }

    async fn operate(
        &self,
        asked: Option<Operate>,
        stage: &DeploymentStage,
    ) -> Result<Value, Refusal> {
        let malformed = |message: &str| Refusal::new(ErrorCode::RequestMalformed, message);
        let asked = asked.ok_or_else(|| {
            malformed(
                "expected operation (create_payout, payout_sending, payout_sent or payout_returned), payout_id, \
                 merchant_id, and amount_fen with a new payout; nothing else",
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
        let payout_id = PayoutId::parse(&asked.payout_id).ok_or_else(|| {
            malformed("payout_id must be `pay_` followed by 1 to 40 letters, digits or `_`")
        })?;
        let merchant_id = asked.merchant_id.as_deref().map(|text| {
            MerchantId::parse(text).ok_or_else(|| {
                malformed("merchant_id must be `mer_` followed by 1 to 40 letters, digits or `_`")
            })
        });
        let merchant_id = merchant_id.transpose()?;
        match (asked.operation, asked.amount_fen) {
            (Operation::CreatePayout, amount) => {
                let amount_fen = amount
                    .and_then(|fen| u64::try_from(fen).ok())
                    .filter(|fen| (1..=AMOUNT_MAX_FEN).contains(fen))
                    .ok_or_else(|| {
                        malformed(&format!(
                            "amount_fen must be a whole number from 1 to {AMOUNT_MAX_FEN}"
                        ))
                    })?;
                let merchant_id = merchant_id
                    .ok_or_else(|| malformed("merchant_id is needed for a new payout"))?;
                self.create(&merchant_id, &payout_id, amount_fen, now).await
            }
            (_, Some(_)) => Err(malformed("amount_fen is allowed with create_payout only")),
            (Operation::PayoutSending, None) => {
                self.report(
                    Command::PayoutSending,
                    &payout_id,
                    merchant_id.as_ref(),
                    now,
                )
                .await
            }
            (Operation::PayoutSent, None) => {
                self.report(Command::PayoutSent, &payout_id, merchant_id.as_ref(), now)
                    .await
            }
            (Operation::PayoutReturned, None) => {
                self.report(
                    Command::PayoutReturned,
                    &payout_id,
                    merchant_id.as_ref(),
                    now,
                )
                .await
            }
        }
    }

    /// Creates a payout, with its card assigned in the same write. A known payout is returned unchanged.
    async fn create(
        &self,
        merchant_id: &MerchantId,
        payout_id: &PayoutId,
        amount_fen: u64,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let account = self.account(merchant_id, now);
        let command = Command::CreatePayout(payout_id.clone(), amount_fen);
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        let created = account.transact(Selector::Latest, plan, nothing_to_prepare);
        match created.await {
            Ok(written) => self.shown(&written.after.merchant, written.payout.as_ref(), now),
            Err(HandlerError::PayoutExists { known, merchant }) => {
                let is_same =
                    known.merchant_id == *merchant_id && known.payout.amount_fen == amount_fen;
                if is_same {
                    self.shown(&merchant, Some(&known.payout), now)
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

    /// Moves a payout along: it is being paid, was sent or was returned.
    async fn report(
        &self,
        command: fn(Payout) -> Command,
        payout_id: &PayoutId,
        merchant_id: Option<&MerchantId>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        // The payout is read together with its merchant, so that a conflict repeats both reads.
        let reported = retry(Limits::REQUEST, async || {
            let Some((loaded, payout)) = self.owned(payout_id, merchant_id).await? else {
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
        match reported.await? {
            Some((merchant, payout)) => self.shown(&merchant, Some(&payout), now),
            None => Err(Refusal::new(
                ErrorCode::NotFound,
                "this merchant has no such payout: check payout_id and merchant_id",
            )),
        }
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
    async fn owned(
        &self,
        payout_id: &PayoutId,
        merchant_id: Option<&MerchantId>,
    ) -> Result<Option<(Loaded, Payout)>, HandlerError> {
        let (known, merchant) = self.store.payout(payout_id, merchant_id).await?;
        let Some(OwnedPayout {
            merchant_id: owner,
            payout,
        }) = known.filter(|known| merchant_id.is_none_or(|asked| known.merchant_id == *asked))
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

    fn shown(
        &self,
        merchant: &Merchant,
        payout: Option<&Payout>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let internal = || Refusal::new(ErrorCode::Internal, advice(ErrorCode::Internal));
        let payout = payout.ok_or_else(internal)?;
        let shown = CorePayout {
            payout: replies::Payout::new(merchant, payout, self.store.policy(), now),
            merchant_id: merchant.profile.merchant_id.as_str(),
            status: payout.state.as_str(),
        };
        serde_json::to_value(shown).map_err(|_| internal())
    }
}
