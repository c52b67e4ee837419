//! `GET /v1/cards`, `POST /v1/cards/{card_id}/unbind`. Also the gateway's `$default`: unknown paths and methods are
//! answered here, by a function that can decrypt nothing and send nothing.

use api::body;
use api::event::Request;
use api::replies;
use api::reply::Reply;
use api::requests::Empty;
use api::routes::CardsRoute;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{KeyService, PortError, Selector};
use application::request::no_content;
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::Transactor;
use application::usage::Usage;
use domain::decide::Command;
use domain::time::Timestamp;
use store::Store;
use store::client::Table;

/// Lists and unbinds a merchant's cards.
pub struct Cards<T, K> {
    store: Store<T>,
    keys: Keys<K>,
}

impl<T: Table, K: KeyService> Handler for Cards<T, K> {
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

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T, K> Cards<T, K> {
    /// Creates the function from its store and keys.
    pub const fn new(store: Store<T>, keys: Keys<K>) -> Self {
        Self { store, keys }
    }
}

impl<T: Table, K: KeyService> Cards<T, K> {
    async fn list(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, "").await?;
        let merchant = ctx.load(Selector::Latest).await?.merchant;
        let cards = replies::Cards::new(&merchant, ctx.slot(), ctx.policy, now);
        Ok(Reply::json(200, &cards))
    }

    async fn unbind(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
        let id = ctx.card_id(request).await?;
        ctx.showing(&no_content)
            .execute(Selector::Latest, Command::Unbind(id))
            .await
    }
}
