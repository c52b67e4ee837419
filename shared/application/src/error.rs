//! How a use case ends without a success of its own.

use crate::ports::{OwnedPayout, PortError};
use api::reply::Reply;
use domain::rejection::Rejection;

/// Why a use case stops. `?` carries it to the reply.
#[derive(Debug)]
pub enum HandlerError {
    /// The request is answered already: an earlier one with the same key got this reply, or a refusal was written.
    Answered(Box<Reply>),
    /// Refused; nothing has changed.
    Rejected(Box<Rejection>),
    /// There is a payout of this id. Only a new payout meets it.
    PayoutExists(Box<OwnedPayout>),
    /// A failure of ours. The caller learns no more than that.
    Failed(PortError),
}

impl HandlerError {
    /// For a caller that is no request: whatever the core refused has changed meanwhile.
    #[must_use]
    pub fn into_port_error(self) -> PortError {
        match self {
            Self::Failed(error) => error,
            Self::Answered(_) | Self::Rejected(_) | Self::PayoutExists(_) => PortError::Conflict,
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
