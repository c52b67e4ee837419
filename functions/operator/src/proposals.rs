//! Acts that take two persons: one proposes, another one approves, and the approval executes the act in its own write.

use crate::call::{Call, malformed};
use crate::{Operator, POLICY, acts, values};
use api::body::{self, Body};
use api::operator::{
    Approve, ChangeContact, NewProposal, Proposal as Shown, Proposals, ProposeOf, ProposeUnfreeze,
};
use api::replies::{PAGE_READ, Text};
use api::reply::Reply;
use api::requests::Empty;
use application::error::HandlerError;
use application::ports::{KeyService, LoadMerchant as _, LogPublicKey, ReadLog, Selector};
use application::transact::{Learned, Loaded, nothing_to_prepare};
use domain::decide::{Approval, Command, subject};
use domain::error_code::ErrorCode;
use domain::history::canonical;
use domain::ids::{MerchantId, ProposalId};
use domain::merchant::{Merchant, Profile};
use domain::operator::{Proposal, ProposalKind, ProposalState, ProposedValues, digest};
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::Transition;
use serde_json::{Value, json};
use store::client::Table;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    pub(crate) async fn list_proposals(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let before = call.request.query.get("cursor").map(|cursor| {
            let id = ProposalId::parse(cursor);
            id.ok_or_else(|| malformed("cursor"))
        });
        let before = before.transpose()?;
        let proposals = self.store.proposals(before.as_ref(), PAGE_READ).await?;
        let page = Proposals::new(
            &proposals,
            |proposal| proposal.proposal_id.to_string(),
            |proposal| Shown::new(proposal, POLICY, call.now),
        );
        Ok(Reply::json(200, &page))
    }

    pub(crate) async fn show_proposal(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let proposal = self.proposal(&call.proposal_id()?).await?;
        let text = match &proposal.merchant_id {
            Some(merchant_id) => {
                let merchant = self.merchant(merchant_id).await?;
                self.values(&proposal, &merchant.profile).await?
            }
            None => public(&proposal)?,
        };
        let shown = Shown::new(&proposal, POLICY, call.now);
        let shown = shown.with_values(&proposal, values::shown(parsed(&text)?));
        Ok(Reply::json(200, &shown))
    }

    pub(crate) async fn propose_unfreeze(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let Body { fields, canonical } = body::read::<ProposeUnfreeze>(call.request)?;
        let merchant_id = merchant_id(fields.merchant_id.as_deref())?;
        let values = values::of_unfreeze(&fields)?;
        let of = (ProposalKind::Unfreeze, merchant_id);
        self.propose(call, of, values, &canonical).await
    }

    pub(crate) async fn propose_contact_change(
        &self,
        call: &Call<'_>,
    ) -> Result<Reply, HandlerError> {
        let Body { fields, canonical } = body::read::<ChangeContact>(call.request)?;
        let merchant_id = merchant_id(fields.merchant_id.as_deref())?;
        let values = values::of_contact_change(&fields)?;
        let of = (ProposalKind::ContactChange, merchant_id);
        self.propose(call, of, values, &canonical).await
    }

    /// Proposes what needs no values beside the merchant.
    pub(crate) async fn propose_of(
        &self,
        call: &Call<'_>,
        kind: ProposalKind,
    ) -> Result<Reply, HandlerError> {
        let Body { fields, canonical } = body::read::<ProposeOf>(call.request)?;
        let merchant_id = merchant_id(fields.merchant_id.as_deref())?;
        self.propose(call, (kind, merchant_id), json!({}), &canonical)
            .await
    }

    async fn propose(
        &self,
        call: &Call<'_>,
        (kind, merchant_id): (ProposalKind, MerchantId),
        values: Value,
        canonical_body: &str,
    ) -> Result<Reply, HandlerError> {
        let proposal_id = ProposalId::new(call.now, &self.keys.random()?);
        let text = canonical(&values);
        let read = self.merchant(&merchant_id).await?;
        let selector = selector_of(kind, Some(&read));
        let ctx = self.context(call, merchant_id, canonical_body).await?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let merchant = &loaded.merchant;
            let profile = &merchant.profile;
            let act = self.command(kind, &values, profile, &call.grounds).await?;
            let merchant_id = &profile.merchant_id;
            let proposal = Proposal {
                proposal_id: proposal_id.clone(),
                kind,
                merchant_id: Some(merchant_id.clone()),
                proposer: call.actor.clone(),
                grounds: call.grounds.clone(),
                at: call.now,
                values: ProposedValues::Sealed(self.keys.seal_personal(profile, &text).await?),
                digest: digest(kind, Some(merchant_id), &text, &subject(kind, merchant)),
                state: ProposalState::Open,
            };
            Ok(Command::Propose(Box::new(proposal), Box::new(act)).into())
        };
        let personal = call.personal(None);
        let prepare =
            async |loaded: &Loaded, _: &mut Transition| self.sealed(loaded, &personal).await;
        let made = NewProposal {
            proposal_id: Text(proposal_id.clone()),
        };
        let created = |_: &Merchant, _: &Policy, _: Timestamp| Reply::json(201, &made);
        let ctx = ctx.showing(&created);
        Ok(ctx.transact(selector, plan, prepare).await?.reply)
    }

    pub(crate) async fn approve(
        &self,
        call: &Call<'_>,
        kind: ProposalKind,
    ) -> Result<Reply, HandlerError> {
        let Body { fields, canonical } = body::read::<Approve>(call.request)?;
        let shown = fields.digest.ok_or_else(|| malformed("digest"))?;
        let proposal_id = call.proposal_id()?;
        let (first, merchant_id) = self.proposal_of(&proposal_id, kind).await?;
        // A repeated approval finds no merchant if it was erased.
        let read = self.store.load(&merchant_id, Selector::Latest).await?;
        let selector = selector_of(kind, read.as_ref());
        let ctx = self.context(call, merchant_id, &canonical).await?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let profile = &loaded.merchant.profile;
            let proposal = self.proposal(&proposal_id).await?;
            let values = self.values(&proposal, profile).await?;
            let parsed = parsed(&values)?;
            let act = self.command(kind, &parsed, profile, &proposal.grounds);
            let act = Box::new(act.await?);
            let approval = Approval {
                proposal,
                values,
                approver: call.actor.clone(),
                shown: shown.clone(),
            };
            Ok(Command::Approve(Box::new(approval), act).into())
        };
        let personal = call.personal(Some((&first.proposer, &first.grounds)));
        let prepare =
            async |loaded: &Loaded, _: &mut Transition| self.sealed(loaded, &personal).await;
        let ctx = ctx.showing(&acts::shown);
        Ok(ctx.transact(selector, plan, prepare).await?.reply)
    }

    pub(crate) async fn withdraw(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let canonical = body::read::<Empty>(call.request)?.canonical;
        let proposal_id = call.proposal_id()?;
        let proposal = self.proposal(&proposal_id).await?;
        let Some(merchant_id) = proposal.merchant_id else {
            return self.withdraw_core_key(call, &canonical).await;
        };
        let ctx = self.context(call, merchant_id, &canonical).await?;
        let plan = async |_: &Loaded, _: &Learned| {
            let proposal = self.proposal(&proposal_id).await?;
            let by = call.actor.clone();
            Ok(Command::Withdraw(Box::new(proposal), by).into())
        };
        let done = ctx.transact(Selector::Latest, plan, nothing_to_prepare);
        Ok(done.await?.reply)
    }

    /// The proposal with this id.
    pub(crate) async fn proposal(&self, id: &ProposalId) -> Result<Proposal, HandlerError> {
        let proposal = self.store.proposal(id).await?;
        proposal.ok_or_else(|| Rejection::new(ErrorCode::NotFound).into())
    }

    /// The proposal of this kind, and its merchant. Permission for one kind approves no other.
    async fn proposal_of(
        &self,
        id: &ProposalId,
        kind: ProposalKind,
    ) -> Result<(Proposal, MerchantId), HandlerError> {
        let mut proposal = self.proposal(id).await?;
        let merchant_id = proposal.merchant_id.take();
        let merchant_id = merchant_id.filter(|_| proposal.kind == kind);
        let merchant_id = merchant_id.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        Ok((proposal, merchant_id))
    }

    /// The values as canonical JSON.
    async fn values(&self, proposal: &Proposal, profile: &Profile) -> Result<String, HandlerError> {
        let ProposedValues::Sealed(sealed) = &proposal.values else {
            return public(proposal);
        };
        let history_key = profile.history_key.as_ref();
        let history_key = history_key.ok_or_else(values::unreadable)?;
        let merchant_id = profile.merchant_id.as_str();
        let opened = self.keys.open_personal(merchant_id, history_key, sealed);
        Ok(opened.await?.expose().clone())
    }
}

/// The rebind that the act of a proposal needs: an unfreeze ends the last activation.
fn selector_of(kind: ProposalKind, merchant: Option<&Merchant>) -> Selector<'static> {
    let last = merchant.and_then(|merchant| merchant.state.last_activation.as_ref());
    let number = last.map(|last| last.number).filter(|number| *number > 0);
    match kind {
        ProposalKind::Unfreeze => number.map_or(Selector::Latest, Selector::Announced),
        ProposalKind::ContactChange
        | ProposalKind::Close
        | ProposalKind::Unmask
        | ProposalKind::Erase
        | ProposalKind::CoreKey => Selector::Latest,
    }
}

pub(crate) fn public(proposal: &Proposal) -> Result<String, HandlerError> {
    match &proposal.values {
        ProposedValues::Public(text) => Ok(text.clone()),
        ProposedValues::Sealed(_) => Err(values::unreadable().into()),
    }
}

pub(crate) fn parsed(values: &str) -> Result<Value, HandlerError> {
    serde_json::from_str(values).map_err(|_| values::unreadable().into())
}

fn merchant_id(given: Option<&str>) -> Result<MerchantId, Rejection> {
    let id = given.and_then(MerchantId::parse);
    id.ok_or_else(|| malformed("merchant_id"))
}
