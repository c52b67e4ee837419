//! The ways in which a use case ends early.

use crate::ports::{OwnedPayout, PortError};
use api::reply::Reply;
use domain::merchant::Merchant;
use domain::rejection::Rejection;

/// The reason why a use case ends early. `?` carries it to the reply.
#[derive(Debug)]
pub enum HandlerError {
    /// The request already has its reply: from an earlier request with the same key, or from a refusal that was
    /// written.
    Answered(Box<Reply>),
    /// Rejected; nothing has changed.
    Rejected(Box<Rejection>),
    /// The payout id exists already. Only the creation of a payout returns this.
    PayoutExists {
        /// The stored payout.
        known: Box<OwnedPayout>,
        /// The merchant of the request.
        merchant: Box<Merchant>,
    },
    /// A server failure. The caller learns no details.
    Failed(PortError),
}

impl HandlerError {
    /// For callers without a request of their own. A rejection becomes a conflict, because the state has changed
    /// meanwhile.
    #[must_use]
    pub fn into_port_error(self) -> PortError {
        match self {
            Self::Failed(error) => error,
            Self::Answered(_) | Self::Rejected(_) | Self::PayoutExists { .. } => {
                PortError::Conflict
            }
        }
    }
}

impl From<Rejection> for HandlerError {
    fn from(refusal: Rejection) -> Self {
        Self::Rejected(Box::new(refusal))
    }
}

impl From<PortError> for HandlerError {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}
