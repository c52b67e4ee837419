//! Proposals: two operators, the subject that they decide about, and the executed command.

use super::contact;
use super::fixture::*;
use crate::contact::PreviousPhoneRule;
use crate::decide::{Approval, Command, subject};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::ids::ProposalId;
use crate::notification::Recipient;
use crate::operator::{
    Actor, Grounds, Proposal, ProposalKind, ProposalState, ProposedValues, ReasonCode, digest,
};
use crate::time::Timestamp;
use crate::transition::{ProposalChange, Transition};

const VALUES: &str = "{}";

fn kind(act: &Command) -> ProposalKind {
    match act {
        Command::Unfreeze { .. } => ProposalKind::Unfreeze,
        _ => ProposalKind::ContactChange,
    }
}

/// A proposal that was made at the time of the world.
fn proposal(world: &World, kind: ProposalKind) -> Proposal {
    let merchant_id = &world.merchant.profile.merchant_id;
    let subject = subject(kind, &world.merchant);
    Proposal {
        proposal_id: ProposalId::new(world.now, &[7; 16]),
        kind,
        merchant_id: Some(merchant_id.clone()),
        proposer: Actor::new("1", "li.na"),
        grounds: Grounds {
            reason: ReasonCode::OwnerRequest,
            comment: "called back".to_owned(),
            ticket: None,
        },
        at: world.now,
        values: ProposedValues::Public(VALUES.to_owned()),
        digest: digest(kind, Some(merchant_id), VALUES, &subject),
        state: ProposalState::Open,
    }
}

pub(super) fn propose(world: &World, act: Command) -> Command {
    Command::Propose(Box::new(proposal(world, kind(&act))), Box::new(act))
}

pub(super) fn approve(world: &World, act: Command) -> Command {
    approve_one(proposal(world, kind(&act)), act)
}

pub(super) fn withdraw(world: &World) -> Command {
    let proposal = proposal(world, ProposalKind::Unfreeze);
    Command::Withdraw(Box::new(proposal), Actor::new("1", "wang.wei"))
}

fn approve_one(proposal: Proposal, act: Command) -> Command {
    let approval = Approval {
        shown: proposal.digest.clone(),
        proposal,
        values: VALUES.to_owned(),
        approver: Actor::new("1", "wang.wei"),
    };
    Command::Approve(Box::new(approval), Box::new(act))
}

fn unfreeze() -> Command {
    Command::Unfreeze {
        reason: "owner_request".to_owned(),
        card_id: None,
    }
}

fn decided(transition: &Transition) -> &ProposalState {
    match transition.proposal.as_deref() {
        Some(ProposalChange::Decided(proposal)) => &proposal.state,
        other => panic!("not decided: {other:?}"),
    }
}

#[test]
fn proposal_changes_nothing_but_notifies() {
    let world = World::new().activated().freeze(1);
    let transition = world.decide(propose(&world, unfreeze())).unwrap();
    let event = transition.event.as_ref().unwrap();
    assert_eq!(event.kind(), EventKind::ChangeProposed);
    let to: Vec<_> = event.notifications.iter().map(|one| one.to()).collect();
    assert!(to.contains(&Recipient::OnFile));
    let state = transition.state.unwrap();
    assert_eq!(state.frozen, world.merchant.state.frozen);
    assert_eq!(state.active, world.merchant.state.active);
    assert!(transition.record.is_none());
}

#[test]
fn approval_does_what_the_command_does() {
    let world = World::new().activated().freeze(1);
    let alone = world.decide(unfreeze()).unwrap();
    let approved = world.decide(approve(&world, unfreeze())).unwrap();
    assert_eq!(
        (&approved.state, &approved.rebind, &approved.event),
        (&alone.state, &alone.rebind, &alone.event)
    );
    let approver = Actor::new("1", "wang.wei");
    assert_eq!(
        *decided(&approved),
        ProposalState::Approved(approver, world.now)
    );
}

#[test]
fn what_cannot_be_done_cannot_be_proposed() {
    let world = World::new();
    let refused = world.decide(propose(&world, unfreeze())).unwrap_err();
    assert_eq!(refused.code, ErrorCode::StepOutOfOrder);
}

#[test]
fn changed_subject_makes_a_proposal_stale() {
    let world = World::new().activated().freeze(1);
    let of_freeze = proposal(&world, ProposalKind::Unfreeze);
    let change = contact::phone(contact::NEW_PHONE, PreviousPhoneRule::Keep);
    let of_contact = proposal(&world, ProposalKind::ContactChange);
    // A change of the record leaves the choice of the card as it was.
    let world = world.system(change.clone());
    assert!(
        world
            .decide(approve_one(of_freeze.clone(), unfreeze()))
            .is_ok()
    );
    let refused = world.decide(approve_one(of_contact, change)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::ProposalStale);
    // The freeze was ended meanwhile, and the account frozen again.
    let world = world.system(unfreeze()).system(Command::FreezeByOperator {
        reason: "fraud_report".to_owned(),
    });
    let refused = world.decide(approve_one(of_freeze, unfreeze()));
    assert_eq!(refused.unwrap_err().code, ErrorCode::ProposalStale);
}

#[test]
fn only_what_was_shown_is_approved() {
    let world = World::new().activated().freeze(1);
    let mut other = proposal(&world, ProposalKind::Unfreeze);
    let Command::Approve(mut approval, act) = approve_one(other.clone(), unfreeze()) else {
        panic!("not an approval");
    };
    approval.values = "{\"card_id\":\"x\"}".to_owned();
    let refused = world.decide(Command::Approve(approval, act));
    assert_eq!(refused.unwrap_err().code, ErrorCode::ProposalStale);
    other.at = Timestamp::from_epoch_s(world.now.epoch_s() - POLICY.proposal_life_s);
    let refused = world.decide(approve_one(other, unfreeze()));
    assert_eq!(refused.unwrap_err().code, ErrorCode::ProposalStale);
}

#[test]
fn withdrawn_proposal_is_never_executed() {
    let world = World::new().activated().freeze(1);
    let transition = world.decide(withdraw(&world)).unwrap();
    assert!(transition.state.is_none() && transition.event.is_none());
    let state = decided(&transition).clone();
    let withdrawn = Proposal {
        state,
        ..proposal(&world, ProposalKind::Unfreeze)
    };
    let refused = world.decide(approve_one(withdrawn, unfreeze()));
    assert_eq!(refused.unwrap_err().code, ErrorCode::StepOutOfOrder);
}

#[test]
fn operator_ends_all_sessions() {
    let world = World::new();
    assert!(world.merchant.state.sessions.iter().any(Option::is_some));
    let ended = world.decide(Command::EndSessions {
        reason: "incident".to_owned(),
    });
    let transition = ended.unwrap();
    assert_eq!(transition.event.unwrap().kind(), EventKind::SessionsEnded);
    let mut sessions = transition.state.unwrap().sessions.into_iter();
    assert!(sessions.all(|session| session.is_none()));
}
