//! `GET` and `PUT /v1/settlement`: schedule and amounts of payouts.

use super::Settlement;
use api::body;
use api::event::Request;
use api::replies;
use api::reply::Reply;
use api::requests::PutSettlement;
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, ReadLog, Selector};
use domain::decide::Command;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::settlement::SettlementChange;
use domain::time::Timestamp;
use store::client::Table;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Settlement<T, K, B, S> {
    pub(crate) async fn show_settings(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let ctx = self.context(request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        Ok(settings(&loaded.merchant, ctx.policy, now))
    }

    pub(crate) async fn change_settings(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<PutSettlement>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let typed = &body.fields;
        let change = SettlementChange::read(
            typed.cycle.as_deref(),
            typed.payout_time.as_deref(),
            typed.retained_fen,
            typed.daily_limit_fen,
            typed.fee_rate_bp,
        );
        ctx.showing(&settings)
            .execute(Selector::Latest, Command::ChangeSettlement(change))
            .await
    }
}

/// 200 and the settings.
fn settings(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    Reply::json(200, &replies::Settlement::new(after, policy, now))
}
