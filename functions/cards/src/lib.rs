//! `GET /v1/cards`. Also the gateway's `$default`: every path and method that is not there ends here, in the function that
//! can do the least.

use serde_json::{Value, json};
use shared::domain::card::CardStatus;
use shared::domain::decide::blocked_by;
use shared::domain::merchant::Merchant;
use shared::domain::policy::Policy;
use shared::domain::time::Timestamp;
use shared::domain::usage::Usage;
use shared::edge::event::Request;
use shared::edge::reply::Reply;
use shared::edge::serve::{Handler, Stop, not_found};
use shared::edge::{token, view};
use shared::ports::{LoadMerchant, Wanted};
use shared::store::Store;

/// Shows a merchant's cards.
pub struct Cards {
    store: Store,
}

const POLICY: &Policy = &Policy::CURRENT;

impl Handler for Cards {
    fn route(&self, request: &Request) -> &'static str {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("GET", ["v1", "cards"]) => "GET /v1/cards",
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, Stop> {
        match self.route(request) {
            "GET /v1/cards" => self.list(request, now).await,
            _ => not_found(),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

impl Cards {
    /// With this function's store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    async fn list(&self, request: &Request, now: Timestamp) -> Result<Reply, Stop> {
        let presented = token::presented(request)?;
        let merchant = self
            .store
            .load(&presented.merchant_id, Wanted::Latest)
            .await?
            .ok_or_else(token::dead)?;
        presented.session(&merchant, POLICY, now)?;
        Ok(Reply::json(200, cards(&merchant, presented.slot, now)))
    }
}

fn cards(merchant: &Merchant, slot: u8, now: Timestamp) -> Value {
    let head = &merchant.head;
    let active = head
        .active
        .as_ref()
        .map(|active| view::card(&active.card, CardStatus::Active));
    let open = merchant
        .open_rebind(now)
        .map(|open| view::rebind(merchant, open, POLICY, now));
    let hold = head.last_activation.as_ref().filter(|last| now < last.times.effective_at).map(|last| {
        json!({
            "rebind_id": last.rebind_id.as_str(),
            "paying_card": last.old_card.as_ref().map(|old| view::card(old, merchant.card_status(old, now, POLICY))),
            "effective_at": view::time(last.times.effective_at),
        })
    });
    let blocked_by = blocked_by(merchant, slot, POLICY, now);
    let mut reply = json!({
        "active": active,
        "standby": [],
        "open_rebind": open,
        "hold": hold,
        "can_rebind": blocked_by.is_none(),
    });
    if let (Some(code), Value::Object(reply)) = (blocked_by, &mut reply) {
        reply.insert("blocked_by".to_owned(), Value::from(code.as_str()));
    }
    if let (Some(until), Value::Object(reply)) = (merchant.cooldown(now), &mut reply) {
        reply.insert("cooldown_until".to_owned(), view::time(until));
    }
    reply
}
