//! `GET /v1/payouts`: the payouts that are not reported as sent, each with the card it goes to.

use super::Settlement;
use api::event::Request;
use api::replies::{PAGE_READ, Page, Payout};
use api::reply::Reply;
use application::error::HandlerError;
use application::ports::{KeyService, ReadPayouts, Selector};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use store::client::Table;
use store::payout::place;

impl<T: Table, K: KeyService> Settlement<T, K> {
    pub(crate) async fn list_payouts(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let before = cursor(request)?;
        let ctx = self.context(request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        let merchant = &loaded.merchant;
        let payouts = self
            .store
            .unsent_payouts(&merchant.profile.merchant_id, before.as_deref(), PAGE_READ)
            .await?;
        let cursor = |payout: &_| URL_SAFE_NO_PAD.encode(place(payout));
        let show = |payout: &_| Payout::new(merchant, payout, ctx.policy, now);
        let page = Page::new(&payouts, cursor, show);
        Ok(Reply::json(200, &page))
    }
}

/// A cursor is the sort position of the last payout shown.
fn cursor(request: &Request) -> Result<Option<String>, Rejection> {
    /// Format: time, `#`, payout id.
    const PLACE_MAX_CHARS: usize = 64;
    let Some(text) = request.query.get("cursor") else {
        return Ok(None);
    };
    let place = URL_SAFE_NO_PAD.decode(text).ok();
    let place = place.and_then(|bytes| String::from_utf8(bytes).ok());
    place
        .filter(|place| {
            place.len() <= PLACE_MAX_CHARS && place.starts_with(|c: char| c.is_ascii_digit())
        })
        .map(Some)
        .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed).field("cursor"))
}
