//! The erasure of a merchant: what it would remove, and the removal that two persons have decided.

use crate::Operator;
use crate::call::Call;
use api::body;
use api::operator::{Erasure, ErasurePlan};
use api::replies::{Text, Time};
use api::reply::Reply;
use api::requests::Empty;
use application::backoff::{Limits, retry};
use application::error::HandlerError;
use application::ports::{
    ForgetPush, KeyService, ListPushTargets as _, LoadMerchant as _, LogPublicKey, PortError,
    ReadLog, Selector,
};
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::rejection::Rejection;
use store::client::Table;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P: ForgetPush> Operator<T, K, B, S, P> {
    /// What an erasure would remove and keep, and what forbids it. For an erased merchant, how far the removal is.
    pub(crate) async fn show_erasure(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let merchant_id = call.merchant_id()?;
        let merchant = self.store.load(&merchant_id, Selector::Latest).await?;
        if let Some(merchant) = merchant {
            let plan = ErasurePlan::new(&merchant, self.settings.retention_s, call.now);
            return Ok(Reply::json(200, &plan));
        }
        let found = self.store.erasure(&merchant_id).await?;
        let found = found.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        Ok(shown(merchant_id, found))
    }

    /// Removes what is left of an erased merchant, as far as one call can. It only removes, so it needs no stored reply.
    pub(crate) async fn erase(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        body::read::<Empty>(call.request)?;
        let merchant_id = call.merchant_id()?;
        if self.store.erasure(&merchant_id).await?.is_none() {
            self.merchant(&merchant_id).await?;
            return Err(Rejection::new(ErrorCode::StepOutOfOrder).into());
        }
        self.forget_devices(&merchant_id).await?;
        let erased = retry(Limits::FREEZE, async || {
            Ok(self.store.erase(&merchant_id).await?)
        });
        let erased = erased.await?;
        let erased = erased.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        Ok(shown(merchant_id, erased))
    }

    /// Removes the devices of an erased merchant from the push service, which keeps their tokens.
    async fn forget_devices(&self, merchant_id: &MerchantId) -> Result<(), HandlerError> {
        let Some(history_key) = self.store.history_key(merchant_id).await? else {
            return Ok(());
        };
        for target in self.store.push_targets(merchant_id).await? {
            let id = merchant_id.as_str();
            let token = self
                .keys
                .open_personal(id, &history_key, &target.sealed_token);
            match self.push.forget(target.platform, &token.await?).await {
                // Of a platform application that is gone, for example: a repetition would fail as well.
                Err(PortError::Permanent(..)) => tracing::error!("erasure.push_device_left"),
                forgotten => forgotten?,
            }
        }
        Ok(())
    }
}

fn shown(merchant_id: MerchantId, erasure: store::erasure::Erasure) -> Reply {
    let shown = Erasure {
        merchant_id: Text(merchant_id),
        erased_at: Time(erasure.erased_at),
        done: erasure.is_done,
    };
    Reply::json(200, &shown)
}
