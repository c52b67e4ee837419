//! The merchant's settlement: pending payouts, settings, push targets and history.

mod history;
mod payouts;
mod push_targets;
mod settings;

use api::event::Request;
use api::reply::Reply;
use api::routes::SettlementRoute;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, PortError, ReadLog};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::Transactor;
use application::usage::Usage;
use domain::time::Timestamp;
use proof::published::PublishedLog;
use store::Store;
use store::client::Table;

/// Shows payouts, settings and history; changes settings and push targets.
pub struct Settlement<T, K, B, S> {
    store: Store<T>,
    keys: Keys<K>,
    log: PublishedLog<B, S>,
}

impl<T, K, B, S> Settlement<T, K, B, S> {
    /// Creates the function from its store, its keys and the log of the histories.
    pub const fn new(store: Store<T>, keys: Keys<K>, log: PublishedLog<B, S>) -> Self {
        Self { store, keys, log }
    }
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Handler for Settlement<T, K, B, S> {
    type Route = SettlementRoute;

    async fn handle(
        &self,
        route: SettlementRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            SettlementRoute::ListPayouts => self.list_payouts(request, now).await,
            SettlementRoute::GetSettlement => self.show_settings(request, now).await,
            SettlementRoute::PutSettlement => self.change_settings(request, now).await,
            SettlementRoute::PutPushTarget => self.put_push_target(request, now).await,
            SettlementRoute::DeletePushTarget => self.remove_push_target(request, now).await,
            SettlementRoute::ListHistory => self.list_history(request, now).await,
            SettlementRoute::GetReceipt => self.show_receipt(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Settlement<T, K, B, S> {
    async fn context(
        &self,
        request: &Request,
        now: Timestamp,
        canonical_body: &str,
    ) -> Result<Transactor<'_, Store<T>>, HandlerError> {
        Transactor::begin(&self.store, &self.keys, request, now, canonical_body).await
    }
}
