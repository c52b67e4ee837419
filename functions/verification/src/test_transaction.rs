//! `POST /v1/rebinds/{id}/test-transaction`: writes the intent, sends one fen, writes the answer.

use super::{Bank, Context, Verification};
use api::body;
use api::event::Request;
use api::replies::TestTransaction;
use api::reply::Reply;
use api::requests::Empty;
use application::error::HandlerError;
use application::ports::{KeyService, PortError, QueryOutcome, Selector, SendSms, Transfer};
use application::transact::{Learned, Loaded, nothing_to_prepare};
use domain::decide::Command;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::BankReference;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use domain::transition::{Outcome, Transition};
use store::client::Table;

/// The descriptor on the payee's statement.
const TEST_TEXT: &str = "结算卡测试";

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    pub(crate) async fn test_transaction(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        let ctx = ctx.claiming().showing(&status_reply);
        let selector = Selector::Step(&id);
        let start = async |_: &Loaded, _: &Learned| Ok(Command::StartTestTransfer.into());
        let mut transfer = None;
        // Prepare the transfer before its intent is written: an unusable key must not leave an intent.
        let prepare = async |loaded: &Loaded, transition: &mut Transition| {
            transfer = match transition.outcome {
                Outcome::Proceed => Some(self.transfer_of(&loaded.merchant).await?),
                _ => None,
            };
            Ok(None)
        };
        let begun = ctx.transact(selector, start, prepare).await?.proceeding()?;
        let answer = match transfer.filter(|_| begun.is_written) {
            Some(transfer) => self.bank.transfer(&transfer).await,
            None => self.query_again(&ctx, &begun.after.merchant).await?,
        };
        tracing::info!(
            bank.answer = answer.map(TransferAnswer::as_str),
            "test_transfer.answered"
        );
        // Without an answer the transfer stays pending. The merchant's next request and the clean-up query it by its
        // bank reference.
        let settle = async |_: &Loaded, _: &Learned| Ok(Command::SettleTestTransfer(answer).into());
        let settled = ctx
            .transact((selector, begun.after), settle, nothing_to_prepare)
            .await?;
        Ok(settled.reply)
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

    /// Queries the outcome of an earlier transfer. A transfer that the bank has never seen is sent again under the same
    /// bank reference, while its answer can still change something.
    async fn query_again(
        &self,
        ctx: &Context<'_, T>,
        merchant: &Merchant,
    ) -> Result<Option<TransferAnswer>, HandlerError> {
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let activated = rebind.activated_card().ok_or(PortError::Conflict)?;
        let reference = rebind.serial(BankReference::Test);
        match self.bank.transfer_outcome(&reference).await {
            QueryOutcome::Answer(answer) => Ok(Some(answer)),
            QueryOutcome::NeverSeen if activated.can_be_reverted(ctx.policy, ctx.now) => {
                let transfer = self.transfer_of(merchant).await?;
                Ok(self.bank.transfer(&transfer).await)
            }
            QueryOutcome::NeverSeen | QueryOutcome::Unknown => Ok(None),
        }
    }
}

/// 200 and the status of the transfer.
fn status_reply(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    let rebind = after.rebind.as_ref();
    let shown = rebind.map(|rebind| TestTransaction::new(after, rebind, policy, now));
    Reply::json(200, &shown)
}
