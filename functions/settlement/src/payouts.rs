//! `GET /v1/payouts`: the payouts that are not reported as sent, each with the card it goes to.

use super::Settlement;
use api::event::Request;
use api::replies::{PAGE_READ, Page, Payout};
use api::reply::Reply;
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, ReadLog, ReadPayouts, Selector};
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use store::client::Table;
use store::payout;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Settlement<T, K, B, S> {
    pub(crate) async fn list_payouts(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let before = before(request)?;
        let ctx = self.context(request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        let merchant = &loaded.merchant;
        let payouts = self
            .store
            .unsent_payouts(&merchant.profile.merchant_id, before.as_deref(), PAGE_READ)
            .await?;
        let show = |payout: &_| Payout::new(merchant, payout, ctx.policy, now);
        let page = Page::new(&payouts, payout::cursor, show);
        Ok(Reply::json(200, &page))
    }
}

/// A cursor is the sort position of the last payout shown.
fn before(request: &Request) -> Result<Option<String>, Rejection> {
    let cursor = request.query.get("cursor");
    let position = cursor.map(|cursor| {
        let position = payout::position(cursor);
        position.ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed).field("cursor"))
    });
    position.transpose()
}
