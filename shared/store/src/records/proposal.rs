//! A proposal of an operator.

use super::{Attributes, check_version, version};
use crate::item::{Item, b, broken, get_s, opt_b, opt_s, opt_time, s, time};
use application::ports::PortError;
use domain::ids::{MerchantId, ProposalId};
use domain::operator::{
    Actor, Grounds, Proposal, ProposalKind, ProposalState, ProposedValues, ReasonCode,
};
use domain::policy::DAY_S;
use domain::rebind::Sealed;
use domain::time::Timestamp;

/// The attribute of the state.
pub(crate) const STATE: &str = "state";
/// The attribute with the reading of an unmask: the scope of its idempotency key.
pub(crate) const READING: &str = "reading";
/// The state that a decision requires.
pub(crate) const OPEN: &str = "open";
pub(crate) const APPROVED: &str = "approved";
pub(crate) const READ: &str = "read";
const WITHDRAWN: &str = "withdrawn";

/// How long a proposal can be shown. The histories of its merchant and of its persons keep it for ever.
const KEPT_S: i64 = 90 * DAY_S;

/// The attributes of a proposal.
#[must_use]
pub fn attributes(proposal: &Proposal) -> Attributes {
    let Proposal {
        proposal_id: _, // the sort key
        kind,
        merchant_id,
        proposer,
        grounds,
        at,
        values,
        digest,
        state,
    } = proposal;
    let (word, decided) = match state {
        ProposalState::Open => (OPEN, None),
        ProposalState::Approved(by, at) => (APPROVED, Some((by, at))),
        ProposalState::Withdrawn(by, at) => (WITHDRAWN, Some((by, at))),
        ProposalState::Read(by, at) => (READ, Some((by, at))),
    };
    let (sealed, public) = match values {
        ProposedValues::Sealed(sealed) => (Some(b(&sealed.0)), None),
        ProposedValues::Public(text) => (None, Some(s(text))),
    };
    vec![
        version(),
        ("kind", Some(s(kind.as_str()))),
        ("merchant_id", merchant_id.as_ref().map(|id| s(id.as_str()))),
        ("account", Some(s(proposer.account()))),
        ("person", Some(s(proposer.person()))),
        ("reason", Some(s(grounds.reason.as_str()))),
        ("comment", Some(s(&grounds.comment))),
        ("ticket", grounds.ticket.as_ref().map(s)),
        ("at", Some(time(*at))),
        ("sealed", sealed),
        ("public", public),
        ("digest", Some(s(digest))),
        (STATE, Some(s(word))),
        ("decided_account", decided.map(|(by, _)| s(by.account()))),
        ("decided_person", decided.map(|(by, _)| s(by.person()))),
        ("decided_at", decided.map(|(_, at)| time(*at))),
        ("ttl", Some(time(at.plus_s(KEPT_S)))),
    ]
}

/// A proposal, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Proposal, PortError> {
    check_version(item, "a proposal")?;
    let at = |name: &'static str| opt_time(item, name).ok_or_else(|| broken(name));
    let merchant_id = opt_s(item, "merchant_id");
    let merchant_id =
        merchant_id.map(|text| MerchantId::parse(text).ok_or_else(|| broken("merchant_id")));
    let values = match (opt_b(item, "sealed"), opt_s(item, "public")) {
        (Some(sealed), _) => ProposedValues::Sealed(Sealed(sealed)),
        (None, Some(text)) => ProposedValues::Public(text.to_owned()),
        (None, None) => return Err(broken("public")),
    };
    Ok(Proposal {
        proposal_id: ProposalId::parse(get_s(item, "sk")?).ok_or_else(|| broken("sk"))?,
        kind: ProposalKind::parse(get_s(item, "kind")?).ok_or_else(|| broken("kind"))?,
        merchant_id: merchant_id.transpose()?,
        proposer: Actor::new(get_s(item, "account")?, get_s(item, "person")?),
        grounds: Grounds {
            reason: ReasonCode::parse(get_s(item, "reason")?).ok_or_else(|| broken("reason"))?,
            comment: get_s(item, "comment")?.to_owned(),
            ticket: opt_s(item, "ticket").map(str::to_owned),
        },
        at: at("at")?,
        values,
        digest: get_s(item, "digest")?.to_owned(),
        state: state(item, at)?,
    })
}

fn state(
    item: &Item,
    at: impl Fn(&'static str) -> Result<Timestamp, PortError>,
) -> Result<ProposalState, PortError> {
    let word = get_s(item, STATE)?;
    if word == OPEN {
        return Ok(ProposalState::Open);
    }
    let by = Actor::new(
        get_s(item, "decided_account")?,
        get_s(item, "decided_person")?,
    );
    match word {
        APPROVED => Ok(ProposalState::Approved(by, at("decided_at")?)),
        WITHDRAWN => Ok(ProposalState::Withdrawn(by, at("decided_at")?)),
        READ => Ok(ProposalState::Read(by, at("decided_at")?)),
        _ => Err(broken(STATE)),
    }
}
