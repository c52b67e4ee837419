//! The values of the golden records of operators.

use super::{Record, record};
use crate::keys::{audit_end_key, proposal_key};
use crate::records::audit::AuditEnd;
use crate::records::{audit, item_of, proposal};
use domain::ids::{MerchantId, ProposalId};
use domain::operator::{
    Actor, Grounds, Proposal, ProposalKind, ProposalState, ProposedValues, ReasonCode,
};
use domain::rebind::Sealed;
use domain::time::Timestamp;

fn at(after_s: i64) -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800 + after_s)
}

fn person(name: &str) -> Actor {
    Actor::new("111122223333", name)
}

fn unfreeze() -> Proposal {
    Proposal {
        proposal_id: ProposalId::parse("prp_006b02cb60bcdfghjklmnpqrst").unwrap(),
        kind: ProposalKind::Unfreeze,
        merchant_id: MerchantId::parse("mer_golden_1"),
        proposer: person("Wang.Wei"),
        grounds: Grounds {
            reason: ReasonCode::OwnerRequest,
            comment: "called back".to_owned(),
            ticket: Some("T-1".to_owned()),
        },
        at: at(0),
        values: ProposedValues::Sealed(Sealed(vec![1, 2, 3])),
        digest: "ab".repeat(32),
        state: ProposalState::Open,
    }
}

fn of(name: &'static str, proposal: Proposal) -> Record {
    let attributes = proposal::attributes(&proposal);
    let item = item_of(proposal_key(&proposal.proposal_id), attributes);
    record(name, proposal, item, proposal::read)
}

pub(super) fn records() -> Vec<Record> {
    let core_key = Proposal {
        kind: ProposalKind::CoreKey,
        merchant_id: None,
        grounds: Grounds {
            ticket: None,
            ..unfreeze().grounds
        },
        values: ProposedValues::Public("{\"remove\":false}".to_owned()),
        state: ProposalState::Approved(person("Zhao.Min"), at(60)),
        ..unfreeze()
    };
    let withdrawn = Proposal {
        state: ProposalState::Withdrawn(person("Li.Na"), at(60)),
        ..unfreeze()
    };
    let end = AuditEnd {
        seq: 7,
        hash: "cd".repeat(32),
        hour: 500_000,
        calls: 3,
    };
    let key = audit_end_key(&person("Li.Na"));
    let item = item_of(key, audit::end_attributes(&end));
    vec![
        of("proposal_open", unfreeze()),
        of("proposal_approved", core_key),
        of("proposal_withdrawn", withdrawn),
        record("audit_end", end, item, audit::read_end),
    ]
}
