//! The operations of the bank protocol, and which of them a key may sign.

use api::event::Request;
use bank::protocol::path;

/// The operations of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Check,
    CheckQuery,
    Transfer,
    TransferQuery,
    Statement,
}

impl Operation {
    const ALL: [Self; 5] = [
        Self::Check,
        Self::CheckQuery,
        Self::Transfer,
        Self::TransferQuery,
        Self::Statement,
    ];

    /// Matches the end of the path, because a gateway may add a prefix such as its stage.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let is_post = request.method == "POST";
        let mut all = Self::ALL.into_iter();
        all.find(|operation| is_post && request.path.ends_with(operation.path()))
    }

    /// A statement is unsigned, so that a tester can read it without the secret.
    pub(crate) const fn is_signed(self) -> bool {
        !matches!(self, Self::Statement)
    }

    pub(crate) const fn is_query(self) -> bool {
        matches!(self, Self::CheckQuery | Self::TransferQuery)
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Check => path::CHECK,
            Self::CheckQuery => path::CHECK_QUERY,
            Self::Transfer => path::TRANSFER,
            Self::TransferQuery => path::TRANSFER_QUERY,
            Self::Statement => path::STATEMENT,
        }
    }
}
