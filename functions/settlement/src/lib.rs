//! Money and who is told of it: payouts (for the acquirer's core, invoked directly, and for the merchant to see), settlement
//! settings, push targets, the history, and the freeze.

mod direct;
mod freeze;
mod history;
mod payouts;
mod push;

pub use direct::Refusal;

use api::body;
use api::event::Request;
use api::reply::Reply;
use api::view;
use application::crypto::Keys;
use application::ports::KeyService;
use application::serve::{Handler, HandlerError, not_found};
use application::step::{KeyRule, Step, Which, nothing_to_seal};
use domain::decide::Command;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::settlement::SettlementChange;
use domain::time::Timestamp;
use domain::usage::Usage;
use serde::Deserialize;
use store::Store;

/// What has to do with being paid.
pub struct Settlement<K> {
    store: Store,
    keys: Keys<K>,
}

const POLICY: &Policy = &Policy::CURRENT;
/// Items a page.
const PAGE: u8 = 20;

impl<K: KeyService> Handler for Settlement<K> {
    fn route(&self, request: &Request) -> &'static str {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("GET", ["v1", "payouts"]) => "GET /v1/payouts",
            ("GET", ["v1", "settlement"]) => "GET /v1/settlement",
            ("PUT", ["v1", "settlement"]) => "PUT /v1/settlement",
            ("PUT", ["v1", "push-targets", _]) => "PUT /v1/push-targets/{id}",
            ("DELETE", ["v1", "push-targets", _]) => "DELETE /v1/push-targets/{id}",
            ("GET", ["v1", "history"]) => "GET /v1/history",
            ("POST", ["v1", "freezes"]) => "POST /v1/freezes",
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        match self.route(request) {
            "GET /v1/payouts" => self.list_payouts(request, now).await,
            "GET /v1/settlement" => self.show_settings(request, now).await,
            "PUT /v1/settlement" => self.change_settings(request, now).await,
            "PUT /v1/push-targets/{id}" => self.put_push_target(request, now).await,
            "DELETE /v1/push-targets/{id}" => self.remove_push_target(request, now).await,
            "GET /v1/history" => self.list_history(request, now).await,
            "POST /v1/freezes" => self.freeze(request, now).await,
            _ => not_found(),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedSettings {
    cycle: Option<String>,
    payout_time: Option<String>,
    retained_fen: Option<i64>,
    daily_limit_fen: Option<i64>,
    fee_rate_bp: Option<i64>,
}

impl<K: KeyService> Settlement<K> {
    /// With this function's store and keys.
    pub const fn new(store: Store, keys: Keys<K>) -> Self {
        Self { store, keys }
    }

    async fn show_settings(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let step = Step::begin(&self.store, &self.keys, request, now, KeyRule::Ignored).await?;
        let loaded = step.load(Which::Latest).await?;
        Ok(settings(&loaded.merchant, POLICY, now))
    }

    async fn change_settings(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<TypedSettings>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let step = Step::begin(&self.store, &self.keys, request, now, key).await?;
        let typed = &body.fields;
        let change = SettlementChange::read(
            typed.cycle.as_deref(),
            typed.payout_time.as_deref(),
            typed.retained_fen,
            typed.daily_limit_fen,
            typed.fee_rate_bp,
        );
        step.showing(settings)
            .one_write(
                Which::Latest,
                async |_| Ok(Command::ChangeSettlement(change.clone())),
                nothing_to_seal,
            )
            .await
    }
}

/// 200 and the settings.
fn settings(after: &Merchant, _: &Policy, _: Timestamp) -> Reply {
    Reply::json(200, view::settlement(after))
}
