//! `POST /v1/rebinds/{id}/test-transaction`: intent written, ¥0.01 sent, answer written.

use super::{Bank, Verification};
use api::body::{self, Nothing};
use api::event::Request;
use api::reply::Reply;
use api::view;
use application::ports::{KeyService, PortError, QueryOutcome, SendSms, Transfer};
use application::serve::HandlerError;
use application::step::{Keep, KeyRule, Loaded, Outcomes, Rounds, Step, Which};
use domain::decide::Command;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::{BankReference, Rebind, RebindState, TestTransfer};
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use domain::transition::Decision;
use serde_json::{Value, json};
use store::Store;

/// What the payee's statement shows.
const TEST_TEXT: &str = "结算卡测试";

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    pub(crate) async fn test_transfer(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let step = step.showing(the_status);
        let which = Which::Step(&id);
        let mut rounds = Rounds::new();
        let mut claim = Keep::Claim("");
        loop {
            let mut loaded = step.load(which).await?;
            let transition = match step.decide(&loaded.merchant, Command::StartTestTransfer) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            let sends = transition.outcome == Decision::Proceed;
            if sends && transition.rebind.is_none() {
                let answer = self.ask_again(&step, &loaded.merchant).await?;
                return self.settle_test(&step, which, loaded, answer).await;
            }
            // Put together before it is written: a key that cannot be used promises no transfer.
            let transfer = match sends {
                true => Some(self.transfer_of(&loaded.merchant).await?),
                false => None,
            };
            let keep = if sends { claim } else { Keep::Reply };
            match step.write(&loaded.merchant, transition, None, keep).await {
                Ok(Outcomes::Written(after, reply)) => {
                    let Some(transfer) = transfer else {
                        return Ok(reply);
                    };
                    loaded.merchant = *after;
                    let answer = self.bank.transfer(&transfer).await;
                    return self.settle_test(&step, which, loaded, answer).await;
                }
                Ok(Outcomes::Replayed(reply)) => return Ok(reply),
                // This request was begun before and never answered: it goes on under its claim.
                Ok(Outcomes::Claimed(_)) => claim = Keep::Nothing,
                Ok(Outcomes::CodeLimit(_) | Outcomes::BoundElsewhere) => {
                    rounds.again(PortError::Conflict).await?;
                }
                Err(HandlerError::Failed(error @ PortError::Conflict)) => {
                    rounds.again(error).await?
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    async fn transfer_of(&self, merchant: &Merchant) -> Result<Transfer, HandlerError> {
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        Ok(Transfer {
            serial: rebind.serial(BankReference::Test),
            card_number: self.card_number(merchant).await?,
            holder_name: merchant.profile.holder_name().clone(),
            descriptor: Secret::new(TEST_TEXT.to_owned()),
            check_name: true,
        })
    }

    /// What became of a transfer that was sent before. One that the bank has never seen is sent again under its serial, as
    /// long as its answer can change something.
    async fn ask_again(
        &self,
        step: &Step<'_, Store, K>,
        merchant: &Merchant,
    ) -> Result<Option<TransferAnswer>, HandlerError> {
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let activated_card = rebind.activated_card().ok_or(PortError::Conflict)?;
        match self
            .bank
            .transfer_outcome(&rebind.serial(BankReference::Test))
            .await
        {
            QueryOutcome::Answer(answer) => Ok(Some(answer)),
            QueryOutcome::NeverSeen if activated_card.can_be_reverted(step.policy, step.now) => {
                let transfer = self.transfer_of(merchant).await?;
                Ok(self.bank.transfer(&transfer).await)
            }
            QueryOutcome::NeverSeen | QueryOutcome::Unknown => Ok(None),
        }
    }

    /// Writes what came of it. No answer leaves it as it is: it is asked about by its serial, here when the merchant repeats,
    /// and by the clean-up.
    async fn settle_test(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        mut loaded: Loaded,
        answer: Option<TransferAnswer>,
    ) -> Result<Reply, HandlerError> {
        tracing::info!(
            bank.answer = answer.map(TransferAnswer::as_str),
            "test transfer"
        );
        let mut rounds = Rounds::new();
        loop {
            let act = Command::SettleTestTransfer(answer);
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            match step
                .write(&loaded.merchant, transition, None, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(_, reply) | Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(_) => rounds.again(PortError::Conflict).await?,
                Err(HandlerError::Failed(error @ PortError::Conflict)) => {
                    rounds.again(error).await?
                }
                Err(stop) => return Err(stop),
            }
            loaded = step.load(which).await?;
        }
    }
}

/// 200 and how the transfer stands.
fn the_status(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    let rebind = after.rebind.as_ref();
    let shown = rebind.map(|rebind| view::rebind(after, rebind, policy, now));
    Reply::json(
        200,
        json!({
            "status": rebind.map_or(Value::Null, |rebind| Value::from(status(rebind))),
            "amount_fen": 1,
            "rebind": shown,
        }),
    )
}

const fn status(rebind: &Rebind) -> &'static str {
    let activated_card = match &rebind.stage {
        RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
            activated_card
        }
        // Undone, because it came back.
        _ => return "failed",
    };
    match &activated_card.test {
        TestTransfer::Arrived { .. } => "succeeded",
        TestTransfer::CameBack => "failed",
        TestTransfer::NotSent | TestTransfer::Sent { .. } => "pending",
    }
}
