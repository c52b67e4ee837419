//! The acquirer's registry: a system with its own maker-checker, so one call decides.

use crate::call::{Call, malformed};
use crate::{Operator, POLICY, values};
use api::body::{self, Body};
use api::operator::{Account, ChangeContact, NewMerchant, merchant_refused};
use api::replies::Text;
use api::reply::Reply;
use api::requests::Empty;
use application::backoff::{Limits, retry};
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, ReadLog, Selector};
use application::transact::{Learned, Loaded};
use domain::decide::Command;
use domain::onboarding::{CreatedBy, FieldFault};
use domain::operator::{BY_REGISTRY, ProposalKind};
use store::client::Table;
use store::onboard::OnboardError;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    /// Creates a merchant. A repetition is recognised by its content, for ever.
    pub(crate) async fn create_merchant(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        body::check_size(call.request)?;
        let body = call.request.body.as_deref().unwrap_or_default();
        let refused = |faults: Vec<FieldFault>| {
            let reference = &call.request.request_id;
            Ok(merchant_refused(&faults, reference))
        };
        let new = match NewMerchant::from_json(body).and_then(|new| new.read(POLICY, call.now)) {
            Ok(new) => new,
            Err(faults) => return refused(faults),
        };
        let created = retry(Limits::REQUEST, async || {
            let onboarded = self
                .store
                .onboard(&self.keys, &new, CreatedBy::Registry, call.now);
            match Box::pin(onboarded).await {
                Ok(_) => Ok(Vec::new()),
                Err(OnboardError::Refused(faults)) => Ok(faults),
                Err(OnboardError::Port(error)) => Err(HandlerError::from(error)),
            }
        });
        match created.await? {
            faults if faults.is_empty() => {
                let created = Account {
                    merchant_id: Text(new.merchant_id.clone()),
                };
                Ok(Reply::json(201, &created))
            }
            faults => refused(faults),
        }
    }

    /// Changes phone, password, name or document.
    pub(crate) async fn register_contact(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let Body { fields, canonical } = body::read::<ChangeContact>(call.request)?;
        if fields.merchant_id.is_some() {
            return Err(malformed("merchant_id").into());
        }
        let values = values::of_contact_change(&fields)?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let profile = &loaded.merchant.profile;
            let kind = ProposalKind::ContactChange;
            let mut act = self.command(kind, &values, profile, &call.grounds).await?;
            if let Command::ChangeContact(change) = &mut act {
                change.by = BY_REGISTRY.to_owned();
            }
            Ok(act.into())
        };
        self.execute(
            call,
            call.merchant_id()?,
            Selector::Latest,
            plan,
            &canonical,
        )
        .await
    }

    /// Changes the tier.
    pub(crate) async fn register_tier(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        self.change_tier(call, BY_REGISTRY, true).await
    }

    /// Closes a merchant's account.
    pub(crate) async fn register_close(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(call.request)?;
        let close = Command::Close {
            by: BY_REGISTRY.to_owned(),
            reason: call.reason(),
        };
        let merchant_id = call.merchant_id()?;
        self.act(call, merchant_id, Selector::Latest, close, &body.canonical)
            .await
    }
}
