//! Operators: who acts, on what grounds, and the proposals that two of them decide.

use crate::error_code::ErrorCode;
use crate::history::canonical;
use crate::ids::{MerchantId, ProposalId};
use crate::policy::{MINUTE_S, Policy};
use crate::rebind::Sealed;
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::vocabulary::vocabulary;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The author of an act of the acquirer's registry in a merchant's history.
pub const BY_REGISTRY: &str = "registry";
/// The author of an operator's act in a merchant's history. The person is in the sealed part of the event.
pub const BY_OPERATOR: &str = "operator";

vocabulary! {
    /// Why an operator acts.
    pub enum ReasonCode {
        /// The owner of the account has asked for it.
        OwnerRequest = "owner_request",
        /// A fraud was reported or is suspected.
        FraudReport = "fraud_report",
        /// A court or an authority has ordered it.
        CourtOrder = "court_order",
        /// The record is wrong.
        DataError = "data_error",
        /// A failure of a system.
        Incident = "incident",
        /// A check without a particular cause, for example by an auditor.
        Review = "review",
    }
}

/// A person who operates the system. The same name in another account is another person; the case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    account: String,
    person: String,
}

impl Actor {
    /// From the AWS account, and the name of the person's session.
    #[must_use]
    pub fn new(account: &str, person: &str) -> Self {
        Self {
            account: account.to_owned(),
            person: person.to_lowercase(),
        }
    }

    /// The AWS account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The name, in lower case.
    #[must_use]
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// The grounds of an operator's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// Why.
    pub reason: ReasonCode,
    /// In the operator's words. It can contain personal data, so a merchant's history holds it encrypted.
    pub comment: String,
    /// The ticket in the acquirer's own system.
    pub ticket: Option<String>,
}

/// One call of an operator, in the person's own hash chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who called.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// The operation.
    pub call: String,
    /// The id in its path.
    pub subject: String,
    /// Why.
    pub grounds: Grounds,
}

impl AuditEntry {
    /// The hash of the entry at its place in the chain, in hex.
    #[must_use]
    pub fn hash(&self, seq: u64, prev_hash: &str) -> String {
        let entry = json!({
            "account": self.actor.account,
            "at": self.at.epoch_s(),
            "call": self.call,
            "comment": self.grounds.comment,
            "person": self.actor.person,
            "prev_hash": prev_hash,
            "reason": self.grounds.reason.as_str(),
            "seq": seq,
            "subject": self.subject,
            "ticket": self.grounds.ticket,
        });
        hex::encode(Sha256::digest(canonical(&entry).as_bytes()))
    }
}

vocabulary! {
    /// What takes two persons.
    pub enum ProposalKind {
        /// The end of a freeze, with the choice of the active card.
        Unfreeze = "unfreeze",
        /// A change of phone, password, name or document in the record.
        ContactChange = "contact_change",
        /// The end of the account.
        Close = "close",
        /// One reading of the merchant's personal data in full.
        Unmask = "unmask",
        /// The erasure of the merchant's personal data.
        Erase = "erase",
        /// A key that card numbers may be released to.
        CoreKey = "core_key",
    }
}

/// The proposed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposedValues {
    /// Encrypted under the merchant's history key.
    Sealed(Sealed),
    /// Public values, as canonical JSON.
    Public(String),
}

/// The state of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalState {
    /// Waits for another person.
    Open,
    /// A second person approved it, and it was executed in the same write.
    Approved(Actor, Timestamp),
    /// A person withdrew it.
    Withdrawn(Actor, Timestamp),
    /// Its proposer has read what the approval permitted to read once. By whom and when it was approved.
    Read(Actor, Timestamp),
}

/// How long after its approval personal data can be read.
pub const UNMASK_READ_S: i64 = 15 * MINUTE_S;

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The id.
    pub proposal_id: ProposalId,
    /// What is proposed.
    pub kind: ProposalKind,
    /// The merchant that it concerns, if any.
    pub merchant_id: Option<MerchantId>,
    /// Who proposed it.
    pub proposer: Actor,
    /// Why.
    pub grounds: Grounds,
    /// When.
    pub at: Timestamp,
    /// The values.
    pub values: ProposedValues,
    /// SHA-256 of the values and of the state of their subject ([`digest`]), in hex.
    pub digest: String,
    /// The state.
    pub state: ProposalState,
}

impl Proposal {
    /// The end of its life.
    #[must_use]
    pub fn expires_at(&self, policy: &Policy) -> Timestamp {
        self.at.plus_s(policy.proposal_life_s)
    }

    /// Checks an approval. `shown`: the digest that the approver was shown; `current`: the digest of the subject as it is now.
    ///
    /// # Errors
    /// `STEP_OUT_OF_ORDER` for a decided proposal, `SECOND_PERSON_REQUIRED` for the proposer, `PROPOSAL_STALE` for one that is too
    /// old or whose subject has changed.
    pub fn check_approval(
        &self,
        approver: &Actor,
        shown: &str,
        current: &str,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.check_open()?;
        if self.proposer == *approver {
            return Err(Rejection::new(ErrorCode::SecondPersonRequired));
        }
        let is_current = shown == self.digest && current == self.digest;
        if self.expires_at(policy) <= now || !is_current {
            return Err(Rejection::new(ErrorCode::ProposalStale));
        }
        Ok(())
    }

    /// Checks that this person may read now what an approved unmask permits: the proposer, and not for long. Whether a proposal
    /// that was read may be read again depends on the idempotency key, which the store compares.
    ///
    /// # Errors
    /// `NOT_FOUND` for another person or kind, `STEP_OUT_OF_ORDER` unless it is approved, `PROPOSAL_STALE` when the time is over.
    pub fn check_reading(&self, reader: &Actor, now: Timestamp) -> Result<(), Rejection> {
        if self.kind != ProposalKind::Unmask || self.proposer != *reader {
            return Err(Rejection::new(ErrorCode::NotFound));
        }
        match self.state {
            ProposalState::Approved(_, at) | ProposalState::Read(_, at)
                if now < at.plus_s(UNMASK_READ_S) =>
            {
                Ok(())
            }
            ProposalState::Approved(..) | ProposalState::Read(..) => {
                Err(Rejection::new(ErrorCode::ProposalStale))
            }
            ProposalState::Open | ProposalState::Withdrawn(..) => {
                Err(Rejection::new(ErrorCode::StepOutOfOrder))
            }
        }
    }

    /// Checks that the proposal was not decided yet.
    ///
    /// # Errors
    /// `STEP_OUT_OF_ORDER`.
    pub fn check_open(&self) -> Result<(), Rejection> {
        match self.state {
            ProposalState::Open => Ok(()),
            ProposalState::Approved(..)
            | ProposalState::Withdrawn(..)
            | ProposalState::Read(..) => Err(Rejection::new(ErrorCode::StepOutOfOrder)),
        }
    }
}

/// The digest of proposed values and of the part of the state that they are about. An approver returns it, so that nobody
/// approves what was not shown, or what has changed since.
#[must_use]
pub fn digest(
    kind: ProposalKind,
    merchant_id: Option<&MerchantId>,
    values: &str,
    subject: &Value,
) -> String {
    let proposed = json!({
        "kind": kind.as_str(),
        "merchant_id": merchant_id.map(MerchantId::as_str),
        "subject": subject,
        "values": values,
    });
    hex::encode(Sha256::digest(canonical(&proposed).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &Policy = &Policy::CURRENT;

    fn proposal(at: Timestamp) -> Proposal {
        Proposal {
            proposal_id: ProposalId::new(at, &[7; 16]),
            kind: ProposalKind::Unfreeze,
            merchant_id: MerchantId::parse("mer_1"),
            proposer: Actor::new("1", "Li.Na"),
            grounds: Grounds {
                reason: ReasonCode::OwnerRequest,
                comment: "called back".to_owned(),
                ticket: None,
            },
            at,
            values: ProposedValues::Public("{}".to_owned()),
            digest: "d".to_owned(),
            state: ProposalState::Open,
        }
    }

    #[test]
    fn only_another_person_approves() {
        let at = Timestamp::from_epoch_s(1_795_312_800);
        let check = |account, person| {
            let approver = Actor::new(account, person);
            let checked = proposal(at).check_approval(&approver, "d", "d", POLICY, at);
            checked.map_err(|refusal| refusal.code)
        };
        let refused = Err(ErrorCode::SecondPersonRequired);
        assert_eq!(check("1", "li.na"), refused);
        assert_eq!(check("1", "LI.NA"), refused);
        assert_eq!(check("2", "li.na"), Ok(()));
        assert_eq!(check("1", "wang.wei"), Ok(()));
    }

    #[test]
    fn old_or_changed_proposals_are_stale() {
        let at = Timestamp::from_epoch_s(1_795_312_800);
        let approver = Actor::new("1", "wang.wei");
        let check = |shown, current, after_s| {
            let now = at.plus_s(after_s);
            let checked = proposal(at).check_approval(&approver, shown, current, POLICY, now);
            checked.map_err(|refusal| refusal.code)
        };
        let life = POLICY.proposal_life_s;
        assert_eq!(check("d", "d", life - 1), Ok(()));
        for (shown, current, after_s) in [("d", "d", life), ("e", "d", 0), ("d", "e", 0)] {
            let refused = Err(ErrorCode::ProposalStale);
            assert_eq!(check(shown, current, after_s), refused);
        }
    }

    #[test]
    fn decided_proposals_stay_decided() {
        let at = Timestamp::from_epoch_s(1_795_312_800);
        let other = Actor::new("1", "wang.wei");
        for state in [
            ProposalState::Approved(other.clone(), at),
            ProposalState::Withdrawn(other.clone(), at),
        ] {
            let decided = Proposal {
                state,
                ..proposal(at)
            };
            let refused = decided.check_approval(&other, "d", "d", POLICY, at);
            assert_eq!(refused.unwrap_err().code, ErrorCode::StepOutOfOrder);
        }
    }

    #[test]
    fn digest_covers_values_and_subject() {
        let merchant = MerchantId::parse("mer_1");
        let of = |kind, values, version| {
            digest(
                kind,
                merchant.as_ref(),
                values,
                &json!({ "version": version }),
            )
        };
        let one = of(ProposalKind::Unfreeze, "{}", 1);
        assert_eq!(one.len(), 64);
        assert_ne!(one, of(ProposalKind::ContactChange, "{}", 1));
        assert_ne!(one, of(ProposalKind::Unfreeze, "{\"a\":1}", 1));
        assert_ne!(one, of(ProposalKind::Unfreeze, "{}", 2));
    }
}
