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
use api::replies;
use api::reply::Reply;
use api::requests::PutSettlement;
use api::routes::Route;
use application::crypto::Keys;
use application::ports::KeyService;
use application::serve::{Handler, HandlerError};
use application::step::{Step, Which, nothing_to_seal};
use domain::decide::Command;
use domain::error_code::ErrorCode;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::settlement::SettlementChange;
use domain::time::Timestamp;
use domain::usage::Usage;
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
    type Route = Route;

    async fn handle(
        &self,
        route: Route,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            Route::ListPayouts => self.list_payouts(request, now).await,
            Route::GetSettlement => self.show_settings(request, now).await,
            Route::PutSettlement => self.change_settings(request, now).await,
            Route::PutPushTarget => self.put_push_target(request, now).await,
            Route::DeletePushTarget => self.remove_push_target(request, now).await,
            Route::ListHistory => self.list_history(request, now).await,
            Route::CreateFreeze => self.freeze(request, now).await,
            _ => Err(Rejection::new(ErrorCode::NotFound).into()),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
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
        let step = Step::begin(&self.store, &self.keys, request, now, "").await?;
        let loaded = step.load(Which::Latest).await?;
        Ok(settings(&loaded.merchant, POLICY, now))
    }

    async fn change_settings(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<PutSettlement>(request)?;
        let step = Step::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
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
    Reply::json(200, &replies::Settlement::new(after))
}
