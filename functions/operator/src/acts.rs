//! Acts that one person may do: they stop something, or end what is harmless to end.

use crate::call::{Call, malformed};
use crate::{Operator, POLICY};
use api::body;
use api::operator::new_merchant::FEN_MAX;
use api::operator::{ChangeTier, Merchant, OfRebind, RenewDocument, Resend};
use api::reply::Reply;
use api::requests::Empty;
use application::backoff::{Limits, retry};
use application::error::HandlerError;
use application::ports::{KeyService, LoadMerchant as _, LogPublicKey, ReadLog, Selector};
use application::transact::{Learned, Loaded, Plan, Transactor};
use domain::contact::{DocumentRenewal, TierChange};
use domain::decide::{Command, NotifiedBy};
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::{MerchantId, RebindId};
use domain::merchant::Merchant as DomainMerchant;
use domain::operator::BY_OPERATOR;
use domain::policy::Policy;
use domain::rebind::Sealed;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::Transition;
use store::Store;
use store::client::Table;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    pub(crate) async fn freeze(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(call.request)?;
        let merchant_id = call.merchant_id()?;
        let read = self.merchant(&merchant_id).await?;
        let number = read.state.rebind_to_freeze_by_operator(call.now);
        let selector = number.map_or(Selector::Latest, Selector::Announced);
        let reason = call.reason();
        let freeze = Command::FreezeByOperator { reason };
        self.act(call, merchant_id, selector, freeze, &body.canonical)
            .await
    }

    pub(crate) async fn end_sessions(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(call.request)?;
        let reason = call.reason();
        let end = Command::EndSessions { reason };
        let merchant_id = call.merchant_id()?;
        self.act(call, merchant_id, Selector::Latest, end, &body.canonical)
            .await
    }

    pub(crate) async fn confirm_notified(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<OfRebind>(call.request)?;
        let rebind_id = rebind_id(&body.fields)?;
        let confirm = Command::ConfirmNotified(NotifiedBy::Operator, Some(call.reason()));
        let selector = Selector::Step(&rebind_id);
        self.act(
            call,
            call.merchant_id()?,
            selector,
            confirm,
            &body.canonical,
        )
        .await
    }

    pub(crate) async fn renew_document(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<RenewDocument>(call.request)?;
        let given = body.fields.document_expires_on.as_deref();
        let expires_on = given.ok_or_else(|| malformed("document_expires_on"))?;
        let expires_on = DocumentExpiry::parse(expires_on)
            .map_err(|code| Rejection::invalid([("document_expires_on", Some(code))]))?;
        let merchant_id = call.merchant_id()?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let renewal = DocumentRenewal {
                // The document stays the same.
                number_mac: loaded.merchant.profile.id_number_mac.clone(),
                expires_on,
                by: BY_OPERATOR.to_owned(),
            };
            Ok(Command::RenewDocument(Box::new(renewal)).into())
        };
        self.execute(call, merchant_id, Selector::Latest, plan, &body.canonical)
            .await
    }

    pub(crate) async fn lower_tier(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        self.change_tier(call, BY_OPERATOR, false).await
    }

    /// Changes the tier, which only the registry may raise.
    pub(crate) async fn change_tier(
        &self,
        call: &Call<'_>,
        by: &str,
        may_rise: bool,
    ) -> Result<Reply, HandlerError> {
        const FIELD: &str = "daily_limit_max_fen";
        let body = body::read::<ChangeTier>(call.request)?;
        let limit = body
            .fields
            .daily_limit_max_fen
            .filter(|fen| (1..=FEN_MAX).contains(fen));
        let change = Command::ChangeTier(Box::new(TierChange {
            daily_limit_max_fen: limit.ok_or_else(|| malformed(FIELD))?,
            may_rise,
            by: by.to_owned(),
            reason: call.reason(),
        }));
        let merchant_id = call.merchant_id()?;
        self.act(call, merchant_id, Selector::Latest, change, &body.canonical)
            .await
    }

    /// Writes no event: the outbox belongs to none. The call is in the audit chain of its person.
    pub(crate) async fn resend(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Resend>(call.request)?;
        let sequence = body.fields.sequence.ok_or_else(|| malformed("sequence"))?;
        let merchant_id = call.merchant_id()?;
        self.merchant(&merchant_id).await?;
        let armed = self
            .store
            .resend_notification(&merchant_id, sequence, call.now);
        match armed.await? {
            true => Ok(Reply::no_content()),
            false => Err(Rejection::new(ErrorCode::StepOutOfOrder).into()),
        }
    }

    /// Writes no event: it only moves the rebind's entry in the due index.
    pub(crate) async fn ask_bank(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let rebind_id = rebind_id(&body::read::<OfRebind>(call.request)?.fields)?;
        let merchant_id = call.merchant_id()?;
        let moved = retry(Limits::REQUEST, async || {
            let selector = Selector::Step(&rebind_id);
            let merchant = self.store.load(&merchant_id, selector).await?;
            let rebind = merchant
                .as_ref()
                .and_then(|merchant| merchant.rebind.as_ref());
            let rebind = rebind.filter(|rebind| rebind.rebind_id == rebind_id);
            let rebind = rebind.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
            if rebind.bank_question(call.now).is_none() {
                return Err(Rejection::new(ErrorCode::StepOutOfOrder).into());
            }
            let moved = self.store.ask_bank_next(&merchant_id, rebind, call.now);
            Ok(moved.await?)
        });
        moved.await?;
        Ok(Reply::no_content())
    }

    pub(crate) async fn clear_logins(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(call.request)?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let account = &loaded.merchant.profile.account.0;
            let clear = Command::ClearLogins {
                reason: call.reason(),
                logins: Box::new(self.store.logins_of(account).await?),
            };
            Ok(clear.into())
        };
        let merchant_id = call.merchant_id()?;
        self.execute(call, merchant_id, Selector::Latest, plan, &body.canonical)
            .await
    }

    pub(crate) async fn act(
        &self,
        call: &Call<'_>,
        merchant_id: MerchantId,
        selector: Selector<'_>,
        command: Command,
        canonical_body: &str,
    ) -> Result<Reply, HandlerError> {
        let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
        self.execute(call, merchant_id, selector, plan, canonical_body)
            .await
    }

    /// Executes a command. The event holds the person and the grounds in its encrypted part. The reply shows the merchant.
    pub(crate) async fn execute(
        &self,
        call: &Call<'_>,
        merchant_id: MerchantId,
        selector: Selector<'_>,
        plan: impl AsyncFn(&Loaded, &Learned) -> Result<Plan, HandlerError>,
        canonical_body: &str,
    ) -> Result<Reply, HandlerError> {
        let ctx = self.context(call, merchant_id, canonical_body).await?;
        let personal = call.personal(None);
        let prepare =
            async |loaded: &Loaded, _: &mut Transition| self.sealed(loaded, &personal).await;
        let ctx = ctx.showing(&shown).expecting(call.if_match()?);
        Ok(ctx.transact(selector, plan, prepare).await?.reply)
    }

    /// The encrypted part of a merchant's event.
    pub(crate) async fn sealed(
        &self,
        loaded: &Loaded,
        personal: &str,
    ) -> Result<Option<Sealed>, HandlerError> {
        let profile = &loaded.merchant.profile;
        Ok(Some(self.keys.seal_personal(profile, personal).await?))
    }

    pub(crate) async fn context(
        &self,
        call: &Call<'_>,
        merchant_id: MerchantId,
        canonical_body: &str,
    ) -> Result<Transactor<'_, Store<T>>, HandlerError> {
        let key = call.key(&self.keys, canonical_body).await?;
        let support_ref = call.request.request_id.clone();
        Ok(Transactor::operator(
            &self.store,
            POLICY,
            merchant_id,
            Some(key),
            support_ref,
            call.now,
        ))
    }
}

fn rebind_id(fields: &OfRebind) -> Result<RebindId, Rejection> {
    let rebind_id = fields.rebind_id.as_deref().and_then(RebindId::parse);
    rebind_id.ok_or_else(|| malformed("rebind_id"))
}

/// 200 and the merchant, masked.
pub(crate) fn shown(after: &DomainMerchant, policy: &Policy, now: Timestamp) -> Reply {
    Reply::json(200, &Merchant::new(after, policy, now))
}
