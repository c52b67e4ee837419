//! Every operation of the operator's API. The kind of an act stands in the path, so that IAM can permit each alone.

use crate::event::Request;
use crate::routes::{self, Routed};
use domain::vocabulary::vocabulary;

vocabulary! {
    /// An operation of the operator's API.
    pub enum OperatorRoute {
        /// Show a merchant. Personal data is masked.
        ShowMerchant = "GET /operator/v1/merchants/{id}",
        /// Show what an erasure of a merchant would remove and keep, and what forbids it; for an erased merchant, how far it is.
        ShowErasure = "GET /operator/v1/merchants/{id}/erasure",
        /// List the events of a merchant in order, from `?after=` on. It fills gaps of the published events.
        ListEvents = "GET /operator/v1/merchants/{id}/events",
        /// Show the proofs that the log has anchored a merchant's events. `?kept=` adds the proof that the log continues a
        /// checkpoint of this size.
        ShowReceipt = "GET /operator/v1/merchants/{id}/receipt",
        /// List what has been due for more than an hour, oldest first: rebinds, merchant states and notifications that the clean-up
        /// did not get done.
        ListOverdue = "GET /operator/v1/overdue",
        /// Show the log: its name, its public key and its newest checkpoint.
        ShowLog = "GET /operator/v1/log",
        /// List the payouts of a merchant that are not reported as sent, newest first.
        ListPayouts = "GET /operator/v1/merchants/{id}/payouts",
        /// Show a payout.
        ShowPayout = "GET /operator/v1/payouts/{id}",
        /// Find the merchant of an account. An account is a phone number, so it stands in no URL.
        LookUp = "POST /operator/v1/lookups",
        /// Freeze a merchant's account without a code.
        Freeze = "POST /operator/v1/acts/freeze/{id}",
        /// End all sessions of a merchant.
        EndSessions = "POST /operator/v1/acts/end-sessions/{id}",
        /// Record that the owner was informed of the change that waits for it.
        ConfirmNotified = "POST /operator/v1/acts/confirm-notified/{id}",
        /// Record a later date of the merchant's document.
        RenewDocument = "POST /operator/v1/acts/renew-document/{id}",
        /// Lower the highest daily limit of a merchant. A limit above it falls to it.
        LowerTier = "POST /operator/v1/acts/lower-tier/{id}",
        /// Read a merchant's personal data in full, once: the proposer of an approved unmask, within 15 minutes.
        ReadUnmasked = "POST /operator/v1/acts/read-unmasked/{id}",
        /// Send a notification again that was not handed over, to the recipients that it had.
        Resend = "POST /operator/v1/acts/resend/{id}",
        /// Ask the bank again, with the next run of the clean-up, about an operation whose outcome is unknown or can still change.
        AskBank = "POST /operator/v1/acts/ask-bank/{id}",
        /// Forget the failed logins of a merchant's account. No password is set.
        ClearLogins = "POST /operator/v1/acts/clear-logins/{id}",
        /// Remove what is left of an erased merchant. A reply that is not `done` asks for a repetition.
        Erase = "POST /operator/v1/acts/erase/{id}",
        /// Create a merchant.
        CreateMerchant = "POST /operator/v1/registry/create",
        /// Change phone, password, name or document in the record.
        RegisterContact = "POST /operator/v1/registry/contact-change/{id}",
        /// Change the highest daily limit of a merchant. A limit above it falls to it.
        RegisterTier = "POST /operator/v1/registry/tier/{id}",
        /// Close a merchant's account.
        RegisterClose = "POST /operator/v1/registry/close/{id}",
        /// Withdraw a proposal.
        Withdraw = "POST /operator/v1/acts/withdraw/{id}",
        /// List the proposals, newest first, without their values.
        ListProposals = "GET /operator/v1/proposals",
        /// Show a proposal with its values and the digest that approves it.
        ShowProposal = "GET /operator/v1/proposals/{id}",
        /// Propose the end of a freeze, with the choice of the active card.
        ProposeUnfreeze = "POST /operator/v1/proposals/unfreeze",
        /// Propose a change of phone, password, name or document.
        ProposeContactChange = "POST /operator/v1/proposals/contact-change",
        /// Propose to close a merchant's account.
        ProposeClose = "POST /operator/v1/proposals/close",
        /// Propose to read a merchant's personal data in full.
        ProposeUnmask = "POST /operator/v1/proposals/unmask",
        /// Propose to erase a merchant's personal data.
        ProposeErase = "POST /operator/v1/proposals/erase",
        /// Propose a key of the core system that card numbers may be released to.
        ProposeCoreKey = "POST /operator/v1/proposals/core-key",
        /// Approve the end of a freeze, and execute it.
        ApproveUnfreeze = "POST /operator/v1/approvals/unfreeze/{id}",
        /// Approve a change of phone, password, name or document, and execute it.
        ApproveContactChange = "POST /operator/v1/approvals/contact-change/{id}",
        /// Approve the end of an account, and execute it.
        ApproveClose = "POST /operator/v1/approvals/close/{id}",
        /// Approve the reading of a merchant's personal data.
        ApproveUnmask = "POST /operator/v1/approvals/unmask/{id}",
        /// Approve the erasure of a merchant, after which no use case finds it.
        ApproveErase = "POST /operator/v1/approvals/erase/{id}",
        /// Approve a key of the core system, and register it.
        ApproveCoreKey = "POST /operator/v1/approvals/core-key/{id}",
    }
}

impl OperatorRoute {
    /// The route that a gateway finds for a request, and the parameter of its path; empty for a path without one.
    #[must_use]
    pub fn find<'p>(method: &str, path: &'p str) -> Option<(Self, &'p str)> {
        routes::find(Self::ALL, Self::as_str, method, path)
    }

    /// The method, in upper case.
    #[must_use]
    pub fn method(self) -> &'static str {
        routes::split(self.as_str()).0
    }

    /// The path template.
    #[must_use]
    pub fn path(self) -> &'static str {
        routes::split(self.as_str()).1
    }

    /// The path with `id` in the place of its parameter.
    #[must_use]
    pub fn path_to(self, id: &str) -> String {
        routes::path_to(self.path(), id)
    }

    /// True for an operation of the acquirer's registry.
    #[must_use]
    pub fn is_of_registry(self) -> bool {
        self.path().starts_with("/operator/v1/registry/")
    }

    /// True for an operation that changes something. It requires an `Idempotency-Key`.
    #[must_use]
    pub fn changes(self) -> bool {
        self.method() == "POST" && self != Self::LookUp
    }
}

impl Routed for OperatorRoute {
    fn of(request: &Request) -> Option<(Self, &'static str)> {
        let route = Self::parse(&request.route_key)?;
        Some((route, route.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_finds_itself() {
        for &route in OperatorRoute::ALL {
            let path = route.path_to("x_1");
            let id = if path == route.path() { "" } else { "x_1" };
            assert_eq!(
                OperatorRoute::find(route.method(), &path),
                Some((route, id))
            );
            assert!(path.starts_with("/operator/v1/"), "{path}");
        }
        assert_eq!(OperatorRoute::find("GET", "/v1/cards"), None);
    }

    #[test]
    fn the_kind_of_a_change_stands_in_its_path() {
        for route in OperatorRoute::ALL.iter().filter(|route| route.changes()) {
            let levels = ["acts", "registry", "proposals", "approvals"];
            let kind = route.path().split('/').nth(4);
            let level = route.path().split('/').nth(3);
            assert!(levels.contains(&level.unwrap()), "{route}");
            assert!(kind.is_some_and(|kind| !kind.contains('{')), "{route}");
        }
    }
}
