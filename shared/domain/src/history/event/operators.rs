//! The facts of what the acquirer does: its registry, and its operators.

use super::{Data, Member, Nullable};
use crate::contact::ContactField;
use crate::ids::{ProposalId, RebindId};
use crate::operator::ProposalKind;

facts! {
    /// See [`EventKind::ChangeProposed`].
    ChangeProposed {
        /// What is proposed.
        change: ProposalKind,
        /// The proposal.
        proposal_id: ProposalId,
        /// The operator's reason.
        reason: String,
    }

    /// An operator's act without other facts.
    ForReason {
        /// The operator's reason.
        reason: String,
    }

    /// See [`EventKind::Closed`].
    Closed {
        /// Who closed the account: `registry` or `operator`.
        by: String,
        /// Why.
        reason: String,
    }

    /// See [`EventKind::SecurityChanged`].
    SecurityChanged {
        /// The part of the record.
        change: ContactField,
        /// Who made the change.
        by: String,
        /// Why.
        reason: String,
        /// The open rebind that the change ended.
        rebind_id: Nullable<RebindId>,
    }

    /// See [`EventKind::DocumentRenewed`].
    DocumentRenewed {
        /// Who made the change.
        by: String,
    }

    /// See [`EventKind::TierChanged`].
    TierChanged {
        /// Who changed the tier: `registry` or `operator`.
        by: String,
        /// Why.
        reason: String,
        /// The highest daily limit before, in fen.
        before_fen: u64,
        /// The highest daily limit after, in fen.
        after_fen: u64,
    }
}
