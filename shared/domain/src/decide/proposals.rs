//! Commands that take two operators: one proposes, another one approves, and the approval executes the command in its own
//! write.

use super::{Command, Context};
use crate::history::event::{self, Event};
use crate::merchant::{Merchant, Replaced};
use crate::operator::{Actor, Proposal, ProposalKind, ProposalState, digest};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{ProposalChange, Transition};
use serde_json::{Value, json};

/// An approval of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The proposal as read.
    pub proposal: Proposal,
    /// Its values, as canonical JSON.
    pub values: String,
    /// The person who approves it.
    pub approver: Actor,
    /// The digest that the approver was shown.
    pub shown: String,
}

impl Context<'_> {
    pub(super) fn propose(
        &self,
        proposal: &Proposal,
        act: &Command,
    ) -> Result<Transition, Rejection> {
        // A proposal that cannot be executed now is refused now.
        self.execute(act)?;
        let event = Event::ChangeProposed(event::ChangeProposed {
            change: proposal.kind,
            proposal_id: proposal.proposal_id.clone(),
            reason: proposal.grounds.reason.as_str().to_owned(),
        });
        Ok(Transition {
            state: Some(self.changed_state()),
            event: Some(self.event(event, None)),
            proposal: Some(Box::new(ProposalChange::Made(proposal.clone()))),
            ..Transition::none()
        })
    }

    pub(super) fn approve(
        &self,
        approval: &Approval,
        act: &Command,
    ) -> Result<Transition, Rejection> {
        let Approval {
            proposal,
            values,
            approver,
            shown,
        } = approval;
        let subject = subject(proposal.kind, self.merchant);
        let merchant_id = &self.merchant.profile.merchant_id;
        let current = digest(proposal.kind, Some(merchant_id), values, &subject);
        proposal.check_approval(approver, shown, &current, self.policy, self.now)?;
        let decided = Proposal {
            state: ProposalState::Approved(approver.clone(), self.now),
            ..proposal.clone()
        };
        Ok(Transition {
            proposal: Some(Box::new(ProposalChange::Decided(decided))),
            ..self.execute(act)?
        })
    }

    /// Withdraws a proposal. The merchant does not change: nothing of a proposal takes effect before its approval.
    pub(super) fn withdraw(
        &self,
        proposal: &Proposal,
        by: &Actor,
    ) -> Result<Transition, Rejection> {
        proposal.check_open()?;
        let decided = Proposal {
            state: ProposalState::Withdrawn(by.clone(), self.now),
            ..proposal.clone()
        };
        Ok(Transition {
            proposal: Some(Box::new(ProposalChange::Decided(decided))),
            ..Transition::none()
        })
    }
}

/// The part of the merchant that a proposal is about. If it changes, the proposal is stale.
#[must_use]
pub fn subject(kind: ProposalKind, merchant: &Merchant) -> Value {
    let state = &merchant.state;
    match kind {
        ProposalKind::Unfreeze => {
            let active = state.active.as_ref();
            let usable = state.replaced.iter();
            let usable = usable.filter(|replaced| !replaced.state.is_out());
            let usable: Vec<_> = usable
                .map(|replaced| {
                    let is_lost = replaced.state == Replaced::Lost;
                    json!({"card_id": replaced.bound.card.card_id.as_str(), "lost": is_lost})
                })
                .collect();
            json!({
                "active": active.map(|active| active.card.card_id.as_str()),
                "frozen": state.frozen.is_some(),
                "holds_payouts": state.holds_payouts(),
                "last_activation": state.last_activation.as_ref().map(|last| last.number),
                "usable": usable,
            })
        }
        ProposalKind::ContactChange | ProposalKind::Unmask => {
            json!({"record_version": merchant.profile.version})
        }
        ProposalKind::Erase => json!({"closed_at": state.closed_at.map(Timestamp::epoch_s)}),
        ProposalKind::Close => json!({"closed": state.closed_at.is_some()}),
        // The registered keys belong to no merchant; the store compares them.
        ProposalKind::CoreKey => Value::Null,
    }
}
