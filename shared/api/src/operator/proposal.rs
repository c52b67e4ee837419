//! Proposals in replies.

use crate::replies::{Page, Text, Time};
use domain::ids::{MerchantId, ProposalId};
use domain::operator::{
    Actor, Proposal as DomainProposal, ProposalKind, ProposalState, ReasonCode,
};
use domain::policy::Policy;
use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Person {
    /// The AWS account.
    pub account: String,
    /// The name of the session, in lower case.
    pub person: String,
}

impl From<&Actor> for Person {
    fn from(actor: &Actor) -> Self {
        Self {
            account: actor.account().to_owned(),
            person: actor.person().to_owned(),
        }
    }
}

/// A new proposal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct NewProposal {
    /// Its id.
    pub proposal_id: Text<ProposalId>,
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Proposal {
    /// The id.
    pub proposal_id: Text<ProposalId>,
    /// What is proposed.
    pub kind: ProposalKind,
    /// The merchant; null for a key of the core system.
    pub merchant_id: Option<Text<MerchantId>>,
    /// `open`, `approved`, `withdrawn`, `read` or `expired`.
    pub state: &'static str,
    /// Who proposed it.
    pub proposer: Person,
    /// Why.
    pub reason_code: ReasonCode,
    /// In the proposer's words.
    pub comment: String,
    /// The ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it can no longer be approved.
    pub expires_at: Time,
    /// Who approved or withdrew it.
    pub decided_by: Option<Person>,
    /// The proposed values, where a single proposal is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Value>,
    /// What an approval returns, where a single proposal is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Proposal {
    /// A proposal without its values.
    #[must_use]
    pub fn new(proposal: &DomainProposal, policy: &Policy, now: Timestamp) -> Self {
        let expires_at = proposal.expires_at(policy);
        let (state, decided_by) = match &proposal.state {
            ProposalState::Open if expires_at <= now => ("expired", None),
            ProposalState::Open => ("open", None),
            ProposalState::Approved(by, _) => ("approved", Some(by)),
            ProposalState::Withdrawn(by, _) => ("withdrawn", Some(by)),
            ProposalState::Read(by, _) => ("read", Some(by)),
        };
        Self {
            proposal_id: Text(proposal.proposal_id.clone()),
            kind: proposal.kind,
            merchant_id: proposal.merchant_id.clone().map(Text),
            state,
            proposer: (&proposal.proposer).into(),
            reason_code: proposal.grounds.reason,
            comment: proposal.grounds.comment.clone(),
            ticket: proposal.grounds.ticket.clone(),
            created_at: Time(proposal.at),
            expires_at: Time(expires_at),
            decided_by: decided_by.map(Person::from),
            values: None,
            digest: None,
        }
    }

    /// The same with its values.
    #[must_use]
    pub fn with_values(mut self, proposal: &DomainProposal, values: Value) -> Self {
        self.values = Some(values);
        self.digest = Some(proposal.digest.clone());
        self
    }
}

/// Proposals.
pub type Proposals = Page<Proposal>;
