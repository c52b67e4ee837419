//! The operator's API: its routes, callers, requests and replies (contract, section 8). IAM authenticates its callers and
//! decides which of them may call a route.

mod caller;
mod grounds;
mod replies;
mod requests;
mod routes;

pub use caller::OperatorRoles;
pub use grounds::grounds;
pub use replies::{Account, AuditedEvents, Document, Merchant, Phone, Proposal, Proposals};
pub use requests::{
    Approve, ConfirmNotified, LookUp, ProposeContactChange, ProposeCoreKey, ProposeUnfreeze,
    RenewDocument,
};
pub use routes::OperatorRoute;
