//! `GET /v1/history`: the merchant's own events, with everything that their hashes are made of.

use super::{PAGE, Settlement};
use api::event::Request;
use api::reply::Reply;
use api::view;
use application::ports::{KeyService, ListEvents};
use application::serve::HandlerError;
use application::step::{KeyRule, Step, Which};
use domain::error_code::ErrorCode;
use domain::history::ChainedEvent;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use serde_json::{Value, json};

impl<K: KeyService> Settlement<K> {
    pub(crate) async fn list_history(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let before = cursor(request)?;
        let step = Step::begin(&self.store, &self.keys, request, now, KeyRule::Ignored).await?;
        let loaded = step.load(Which::Latest).await?;
        let mut events = self
            .store
            .list_events(&loaded.merchant.profile.merchant_id, before, PAGE + 1)
            .await?;
        let more = events.len() > usize::from(PAGE);
        events.truncate(usize::from(PAGE));
        let last = events.last().filter(|_| more);
        let next_cursor = last.map(|event| event.seq.to_string());
        let items: Vec<Value> = events.iter().map(shown).collect();
        Ok(Reply::json(
            200,
            json!({"items": items, "next_cursor": next_cursor}),
        ))
    }
}

fn shown(event: &ChainedEvent) -> Value {
    json!({
        "event_id": format!("evt_{}", event.seq),
        "sequence": event.seq,
        "at": view::time(event.at),
        "kind": event.kind().as_str(),
        "policy_version": event.policy,
        "data": event.data(),
        "personal_sha256": event.personal_sha256(),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    })
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
