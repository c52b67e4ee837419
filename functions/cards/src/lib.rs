//! `GET /v1/cards`, `POST /v1/cards/{card_id}/unbind`. Also the gateway's `$default`: every path and method that is not there
//! ends here, in a function that can decrypt nothing and send nothing.

use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::Empty;
use api::routes::CardsRoute;
use api::{token, view};
use application::crypto::Keys;
use application::ports::{KeyService, LoadMerchant, Wanted};
use application::serve::{Handler, HandlerError};
use application::step::{Step, Which, nothing, nothing_to_seal};
use domain::card::Card;
use domain::decide::{Command, blocked_by};
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::time::Timestamp;
use domain::usage::Usage;
use serde_json::{Value, json};
use store::Store;

/// Shows a merchant's cards, and takes them off.
pub struct Cards<K> {
    store: Store,
    keys: Keys<K>,
}

const POLICY: &Policy = &Policy::CURRENT;

impl<K: KeyService> Handler for Cards<K> {
    type Route = CardsRoute;

    async fn handle(
        &self,
        route: CardsRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            CardsRoute::GetCards => self.list(request, now).await,
            CardsRoute::UnbindCard => self.unbind(request, now).await,
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

impl<K: KeyService> Cards<K> {
    /// With this function's store and keys.
    pub const fn new(store: Store, keys: Keys<K>) -> Self {
        Self { store, keys }
    }

    async fn list(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let presented = token::presented(request)?;
        let merchant = self
            .store
            .load(&presented.merchant_id, Wanted::Latest)
            .await?
            .ok_or_else(token::dead)?;
        presented.session(&merchant, POLICY, now)?;
        Ok(Reply::json(200, cards(&merchant, presented.slot, now)))
    }

    async fn unbind(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let (step, id) =
            Step::on_card(&self.store, &self.keys, request, now, &body.canonical).await?;
        step.showing(nothing)
            .one_write(
                Which::Latest,
                async |_| Ok(Command::Unbind(id.clone())),
                nothing_to_seal,
            )
            .await
    }
}

fn cards(merchant: &Merchant, slot: u8, now: Timestamp) -> Value {
    let head = &merchant.head;
    let show = |card: &Card| view::card(merchant, card, now);
    let active = head.active.as_ref().map(|active| show(&active.card));
    let standby = head.standby.iter().map(|standby| show(&standby.bound.card));
    let open = merchant
        .open_rebind(now)
        .map(|open| view::rebind(merchant, open, POLICY, now));
    let hold = head.hold(now).map(|last| {
        json!({
            "rebind_id": last.rebind_id.as_str(),
            "paying_card": head.paying_card(now).map(show),
            "effective_at": view::time(last.times.effective_at),
        })
    });
    let blocked_by = blocked_by(merchant, slot, POLICY, now);
    let mut reply = json!({
        "active": active,
        "standby": standby.collect::<Vec<_>>(),
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
