//! What operators may see. Personal data is masked.

use crate::call::{Call, malformed};
use crate::{Operator, POLICY};
use api::body;
use api::operator::{
    Account, AuditedEvents, Log, LookUp, Merchant, Overdue, OverdueList, PayoutOfMerchant, Proofs,
    Receipt,
};
use api::replies::{PAGE, PAGE_READ, Page, Payout, Text, Time};
use api::reply::Reply;
use application::crypto::HashPurpose;
use application::error::HandlerError;
use application::ports::{
    KeyService, LoadMerchant as _, LogPublicKey, OwnedPayout, ReadLog, ReadPayouts as _, Selector,
};
use domain::error_code::ErrorCode;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::Merchant as DomainMerchant;
use domain::pii::typed::{Field, fold};
use domain::policy::HOUR_S;
use domain::rejection::Rejection;
use serde_json::json;
use store::client::Table;

/// The most entries of a list of what is overdue. Once they are done, the next ones are listed.
const OVERDUE_MAX: usize = 200;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    pub(crate) async fn show_merchant(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let merchant = self.merchant(&call.merchant_id()?).await?;
        Ok(Reply::json(
            200,
            &Merchant::new(&merchant, POLICY, call.now),
        ))
    }

    pub(crate) async fn list_events(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let after = match call.request.query.get("after") {
            None => 0,
            Some(text) => text.parse().map_err(|_| malformed("after"))?,
        };
        let merchant_id = call.merchant_id()?;
        let events = self.store.events_after(&merchant_id, after, PAGE_READ);
        let events = events.await?;
        if events.is_empty() {
            self.merchant(&merchant_id).await?;
        }
        let page = AuditedEvents::new(&events, usize::from(PAGE));
        Ok(Reply::json(200, &page))
    }

    pub(crate) async fn show_receipt(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let kept = match call.request.query.get("kept") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| malformed("kept"))?),
        };
        let merchant = self.merchant(&call.merchant_id()?).await?;
        let pseudonym = self.store.known_pseudonym(&merchant.profile.merchant_id);
        let proven = match pseudonym.await? {
            Some(pseudonym) => self.log.proofs(&pseudonym, kept).await?,
            None => None,
        };
        let proven = proven.map(|proven| Proofs {
            proofs: proven.proofs.iter().map(|proof| json!(proof)).collect(),
            checkpoint: proven.checkpoint,
            consistency: proven.consistency.map(|proof| json!(proof)),
        });
        let receipt = Receipt::new(&merchant, self.log.name(), proven);
        Ok(Reply::json(200, &receipt))
    }

    pub(crate) async fn list_overdue(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let before = call.now.plus_s(-HOUR_S);
        let mut items = Vec::new();
        for bucket in self.store.due_buckets(before) {
            let page = self.store.due_in(&bucket, before, None).await?;
            items.extend(page.due.into_iter().map(|due| Overdue {
                merchant_id: Text(due.merchant_id),
                kind: due.kind.as_str(),
                number: due.kind.number(),
                due_at: Time(due.due_at),
            }));
            if items.len() >= OVERDUE_MAX {
                break;
            }
        }
        items.truncate(OVERDUE_MAX);
        Ok(Reply::json(200, &OverdueList { items }))
    }

    pub(crate) async fn show_log(&self) -> Result<Reply, HandlerError> {
        let shown = Log {
            name: self.log.name().to_owned(),
            public_key: self.log.key().await?.to_pem(),
            checkpoint: self.log.newest().await?.map(|head| head.note),
        };
        Ok(Reply::json(200, &shown))
    }

    pub(crate) async fn list_payouts(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let before = call.request.query.get("cursor").map(|cursor| {
            let position = store::payout::position(cursor);
            position.ok_or_else(|| malformed("cursor"))
        });
        let before = before.transpose()?;
        let merchant_id = call.merchant_id()?;
        let merchant = self.merchant(&merchant_id).await?;
        let payouts = self
            .store
            .unsent_payouts(&merchant_id, before.as_deref(), PAGE_READ);
        let payouts = payouts.await?;
        let show = |payout: &_| Payout::new(&merchant, payout, POLICY, call.now);
        let page = Page::new(&payouts, store::payout::cursor, show);
        Ok(Reply::json(200, &page))
    }

    pub(crate) async fn show_payout(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let not_found = || Rejection::new(ErrorCode::NotFound);
        let payout_id = PayoutId::parse(&call.request.path_id).ok_or_else(not_found)?;
        let (known, _) = self.store.payout(&payout_id, None).await?;
        let OwnedPayout {
            merchant_id,
            payout,
        } = known.ok_or_else(not_found)?;
        let merchant = self.merchant(&merchant_id).await?;
        let shown = PayoutOfMerchant {
            payout: Payout::new(&merchant, &payout, POLICY, call.now),
            merchant_id: Text(merchant_id),
        };
        Ok(Reply::json(200, &shown))
    }

    pub(crate) async fn look_up(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let account = body::read::<LookUp>(call.request)?.fields.account;
        let account = account.ok_or_else(|| malformed("account"))?;
        let folded = fold(Field::Account, account.expose());
        let name = [folded.expose().as_str()];
        let hash = self.keys.mac(HashPurpose::Account, &name).await?;
        let previous = self.keys.previous_mac(HashPurpose::Account, &name).await?;
        let found = self.store.merchant_of_account(&hash, previous.as_ref());
        let merchant_id = found
            .await?
            .ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        let shown = Account {
            merchant_id: Text(merchant_id),
        };
        Ok(Reply::json(200, &shown))
    }

    pub(crate) async fn merchant(
        &self,
        merchant_id: &MerchantId,
    ) -> Result<DomainMerchant, HandlerError> {
        let merchant = self.store.load(merchant_id, Selector::Latest).await?;
        merchant.ok_or_else(|| Rejection::new(ErrorCode::NotFound).into())
    }
}
