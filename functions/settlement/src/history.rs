//! The merchant's own events, with every input of their hashes, and the receipt of the log for them.

use super::Settlement;
use api::event::Request;
use api::replies::{self, PAGE_READ, Page};
use api::reply::Reply;
use application::error::HandlerError;
use application::ports::{KeyService, ListEvents, LogPublicKey, ReadLog, Selector};
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use serde_json::json;
use store::client::Table;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Settlement<T, K, B, S> {
    pub(crate) async fn list_history(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let before = cursor(request)?;
        let ctx = self.context(request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        let events = self
            .store
            .list_events(&loaded.merchant.profile.merchant_id, before, PAGE_READ)
            .await?;
        let page = Page::new(
            &events,
            |event| event.seq.to_string(),
            |event| replies::Event::from(event),
        );
        Ok(Reply::json(200, &page))
    }

    pub(crate) async fn show_receipt(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let ctx = self.context(request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        let merchant = &loaded.merchant;
        let pseudonym = self.store.known_pseudonym(&merchant.profile.merchant_id);
        let newest = match pseudonym.await? {
            Some(pseudonym) => self.log.newest_proof(&pseudonym).await?,
            None => None,
        };
        let anchored = newest.map(|(proof, head)| (json!(proof), head.note));
        let receipt = replies::HistoryReceipt::new(merchant, self.log.name(), anchored);
        Ok(Reply::json(200, &receipt))
    }
}

/// A cursor is the sequence number of the last event shown.
fn cursor(request: &Request) -> Result<Option<u64>, Rejection> {
    match request.query.get("cursor") {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(sequence) if sequence > 0 => Ok(Some(sequence)),
            _ => Err(Rejection::new(ErrorCode::RequestMalformed).field("cursor")),
        },
    }
}
