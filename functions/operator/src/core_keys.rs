//! The keys of the core system that card numbers may be released to. They belong to no merchant, so their proposals have a
//! write of their own.

use crate::call::{Call, malformed};
use crate::proposals::{parsed, public};
use crate::{Operator, POLICY};
use api::body;
use api::operator::NewProposal;
use api::operator::{Approve, Proposal as Shown, ProposeCoreKey};
use api::replies::Text;
use api::reply::Reply;
use application::backoff::{Limits, retry};
use application::error::HandlerError;
use application::ports::{
    IdempotencyKey, IdempotencyLookup, KeyService, LogPublicKey, PortError, ReadLog, StoredReply,
};
use domain::error_code::ErrorCode;
use domain::history::canonical;
use domain::ids::ProposalId;
use domain::operator::{Proposal, ProposalKind, ProposalState, ProposedValues, digest};
use domain::rejection::Rejection;
use domain::transition::ProposalChange;
use serde_json::{Value, json};
use store::client::Table;
use store::operator::CoreKeyChange;

/// Characters of a thumbprint: SHA-256 as base64url.
const THUMBPRINT_CHARS: usize = 43;

/// The proposed keys: the registered ones, with one more or one fewer.
fn changed(values: &Value, registered: &[String]) -> Result<Vec<String>, Rejection> {
    let nothing_to_do = || Rejection::new(ErrorCode::StepOutOfOrder);
    let thumbprint = values.get("thumbprint").and_then(Value::as_str);
    let thumbprint = thumbprint.ok_or_else(nothing_to_do)?;
    let removes = values.get("remove") == Some(&Value::Bool(true));
    let is_known = registered.iter().any(|known| known == thumbprint);
    if removes != is_known {
        return Err(nothing_to_do());
    }
    let others = registered.iter().filter(|known| *known != thumbprint);
    let mut changed: Vec<String> = others.cloned().collect();
    if !removes {
        changed.push(thumbprint.to_owned());
        changed.sort();
    }
    Ok(changed)
}

fn subject(registered: &[String]) -> Value {
    json!({ "registered": registered })
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    pub(crate) async fn propose_core_key(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<ProposeCoreKey>(call.request)?;
        let thumbprint = body.fields.thumbprint.unwrap_or_default();
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if thumbprint.len() != THUMBPRINT_CHARS || !thumbprint.bytes().all(is_base64url) {
            return Err(malformed("thumbprint").into());
        }
        let removes = body.fields.remove.unwrap_or_default();
        let values = json!({"remove": removes, "thumbprint": thumbprint});
        let text = canonical(&values);
        let key = call.key(&self.keys, &body.canonical).await?;
        let proposal_id = ProposalId::new(call.now, &self.keys.random()?);
        let made = NewProposal {
            proposal_id: Text(proposal_id.clone()),
        };
        let reply = Reply::json(201, &made);
        let written = retry(Limits::REQUEST, async || {
            let registered = self.store.registered_core_keys().await?;
            if let Err(refusal) = changed(&values, &registered) {
                return self.refusal(call, &key, refusal).await;
            }
            let proposal = ProposalChange::Made(Proposal {
                proposal_id: proposal_id.clone(),
                kind: ProposalKind::CoreKey,
                merchant_id: None,
                proposer: call.actor.clone(),
                grounds: call.grounds.clone(),
                at: call.now,
                values: ProposedValues::Public(text.clone()),
                digest: digest(ProposalKind::CoreKey, None, &text, &subject(&registered)),
                state: ProposalState::Open,
            });
            self.write(call, &key, &proposal, None, &reply).await
        });
        written.await
    }

    pub(crate) async fn approve_core_key(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Approve>(call.request)?;
        let shown = body.fields.digest.ok_or_else(|| malformed("digest"))?;
        let key = call.key(&self.keys, &body.canonical).await?;
        let proposal_id = call.proposal_id()?;
        let written = retry(Limits::REQUEST, async || {
            let proposal = self.proposal(&proposal_id).await?;
            if proposal.kind != ProposalKind::CoreKey {
                return Err(Rejection::new(ErrorCode::NotFound).into());
            }
            let text = public(&proposal)?;
            let before = self.store.registered_core_keys().await?;
            let current = digest(proposal.kind, None, &text, &subject(&before));
            let checked = proposal.check_approval(&call.actor, &shown, &current, POLICY, call.now);
            let values = parsed(&text)?;
            let after = match checked.and_then(|()| changed(&values, &before)) {
                Ok(after) => after,
                Err(refusal) => return self.refusal(call, &key, refusal).await,
            };
            let state = ProposalState::Approved(call.actor.clone(), call.now);
            let decided = Proposal { state, ..proposal };
            let reply = Reply::json(200, &Shown::new(&decided, POLICY, call.now));
            let decided = ProposalChange::Decided(decided);
            let registers = Some((before.as_slice(), after.as_slice()));
            self.write(call, &key, &decided, registers, &reply).await
        });
        written.await
    }

    pub(crate) async fn withdraw_core_key(
        &self,
        call: &Call<'_>,
        canonical_body: &str,
    ) -> Result<Reply, HandlerError> {
        let key = call.key(&self.keys, canonical_body).await?;
        let proposal_id = call.proposal_id()?;
        let written = retry(Limits::REQUEST, async || {
            let proposal = self.proposal(&proposal_id).await?;
            if let Err(refusal) = proposal.check_open() {
                return self.refusal(call, &key, refusal).await;
            }
            let state = ProposalState::Withdrawn(call.actor.clone(), call.now);
            let withdrawn = ProposalChange::Decided(Proposal { state, ..proposal });
            let reply = Reply::no_content();
            self.write(call, &key, &withdrawn, None, &reply).await
        });
        written.await
    }

    async fn write(
        &self,
        call: &Call<'_>,
        key: &IdempotencyKey,
        proposal: &ProposalChange,
        registers: Option<(&[String], &[String])>,
        reply: &Reply,
    ) -> Result<Reply, HandlerError> {
        let stored = StoredReply {
            status: reply.status,
            body: reply.body_text(),
        };
        let change = CoreKeyChange {
            proposal,
            registers,
            key,
            reply: &stored,
            now: call.now,
        };
        match self.store.change_core_key(change).await? {
            None => Ok(reply.clone()),
            Some(earlier) => repeated(earlier)?.ok_or_else(|| PortError::Conflict.into()),
        }
    }

    /// A refusal, unless the request was answered before.
    async fn refusal(
        &self,
        call: &Call<'_>,
        key: &IdempotencyKey,
        refusal: Rejection,
    ) -> Result<Reply, HandlerError> {
        use application::ports::CommitTransition as _;
        let earlier = self.store.find(key, call.now).await?;
        repeated(earlier)?.ok_or_else(|| refusal.into())
    }
}

/// The reply of an earlier request with the same key.
fn repeated(earlier: IdempotencyLookup) -> Result<Option<Reply>, Rejection> {
    match earlier {
        IdempotencyLookup::Reply(kept) => Ok(Some(Reply::replay(kept.status, &kept.body))),
        IdempotencyLookup::OtherBody => Err(Rejection::new(ErrorCode::IdempotencyMismatch)),
        IdempotencyLookup::Nothing | IdempotencyLookup::Claimed(_) => Ok(None),
    }
}
