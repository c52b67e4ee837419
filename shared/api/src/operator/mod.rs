//! The operator's API: its routes, callers, requests and replies (contract, section 8). IAM authenticates its callers and
//! decides which of them may call a route.

mod caller;
mod erasure;
mod grounds;
pub mod new_merchant;
#[cfg(feature = "schema")]
pub mod openapi;
mod proposal;
mod replies;
mod requests;
mod routes;
mod sent;

pub use caller::OperatorRoles;
pub use erasure::{Erasure, ErasurePlan};
pub use grounds::grounds;
pub use new_merchant::NewMerchant;
pub use proposal::{NewProposal, Proposal, Proposals};
#[cfg(feature = "schema")]
use replies::MerchantFault;
pub use replies::{
    Account, AuditedEvents, Document, Log, Merchant, Overdue, OverdueList, PayoutOfMerchant, Phone,
    Proofs, Receipt, Unmasked, UnmaskedEvent, merchant_refused,
};
pub use requests::{
    Approve, ChangeContact, ChangeTier, LookUp, OfRebind, ProposeCoreKey, ProposeOf,
    ProposeUnfreeze, RenewDocument, Resend,
};
pub use routes::OperatorRoute;
pub use sent::{Sent, Strays};

/// The JSON Schema of a line of an import file: a new merchant whose card numbers may be encrypted.
#[cfg(feature = "schema")]
#[must_use]
pub fn new_merchant_schema() -> serde_json::Value {
    let mut schema = crate::openapi::root_schema::<NewMerchant>();
    let number = &mut schema["$defs"]["NewCard"]["properties"]["number"];
    number["pattern"] = r"^([0-9]{15,19}|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4})$".into();
    number["description"] =
        "15 to 19 digits, or a compact JWE of them (ECDH-ES, A256GCM) to the key of `--card-key`."
            .into();
    schema
}
