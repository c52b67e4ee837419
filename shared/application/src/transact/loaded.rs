//! The state that a transaction starts from, and the one that it ends with.

use crate::error::HandlerError;
use crate::ports::{IdempotencyLookup, IdempotencyMode, Selector};
use api::reply::Reply;
use domain::error_code::ErrorCode;
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::rebind::{Rebind, SessionTag};
use domain::rejection::Rejection;
use domain::transition::{OtpDelivery, Outcome};

/// A loaded merchant and the session of the request.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merchant.
    pub merchant: Merchant,
    /// The session's tag, which OTPs are bound to; empty for the system.
    pub session: SessionTag,
    /// The earlier use of the request's idempotency key; `None` if it was not looked up with this read.
    pub(super) key_use: Option<IdempotencyLookup>,
}

impl Loaded {
    /// A merchant that the system has loaded; there is no session.
    #[must_use]
    pub const fn by_system(merchant: Merchant) -> Self {
        Self {
            merchant,
            session: SessionTag(String::new()),
            key_use: None,
        }
    }

    /// The earlier use of the key that keeps a write from taking place. A reply's write has a condition of its own. A claim
    /// has none: it is written on the rebind as it was read, so another claim since then is a conflict.
    pub(super) fn prevents(&self, mode: &IdempotencyMode<'_>) -> Option<&IdempotencyLookup> {
        let used = self.key_use.as_ref()?;
        match (mode, used) {
            (IdempotencyMode::Claim(..), IdempotencyLookup::Claimed(_))
            | (
                IdempotencyMode::Claim(..) | IdempotencyMode::Reply(..),
                IdempotencyLookup::Reply(_) | IdempotencyLookup::OtherBody,
            ) => Some(used),
            (IdempotencyMode::Claim(..) | IdempotencyMode::Reply(..), _)
            | (IdempotencyMode::None | IdempotencyMode::Release(_), _) => None,
        }
    }

    /// True if this request has made its first write before, in this context, and was never answered.
    pub(super) fn was_begun(&self, context: &str) -> bool {
        matches!(&self.key_use, Some(IdempotencyLookup::Claimed(kept)) if kept == context)
    }

    /// The state after a write. A write that the use case continues from has claimed the key.
    pub(super) fn followed_by(self, merchant: Merchant, outcome: &Outcome, context: &str) -> Self {
        let key_use = match outcome {
            Outcome::Proceed => self
                .key_use
                .map(|_| IdempotencyLookup::Claimed(context.to_owned())),
            Outcome::PollDeposit | Outcome::Done | Outcome::Refused(_) => self.key_use,
        };
        Self {
            merchant,
            key_use,
            ..self
        }
    }

    /// The rebind of the request.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn rebind(&self) -> Result<&Rebind, HandlerError> {
        let rebind = self.merchant.rebind.as_ref();
        rebind.ok_or_else(|| Rejection::new(ErrorCode::NotFound).into())
    }
}

/// The start of a transaction: the selector, and a state that was loaded for it already.
pub struct Start<'s> {
    pub(super) selector: Selector<'s>,
    pub(super) loaded: Option<Loaded>,
}

impl<'s> From<Selector<'s>> for Start<'s> {
    fn from(selector: Selector<'s>) -> Self {
        Self {
            selector,
            loaded: None,
        }
    }
}

impl<'s> From<(Selector<'s>, Loaded)> for Start<'s> {
    fn from((selector, loaded): (Selector<'s>, Loaded)) -> Self {
        Self {
            selector,
            loaded: Some(loaded),
        }
    }
}

/// A transaction that was written, or that had nothing to write.
#[derive(Debug)]
pub struct Committed {
    /// The resulting state.
    pub after: Loaded,
    /// The outcome of the decision.
    pub outcome: Outcome,
    /// The reply to the request, if this was its last write.
    pub reply: Reply,
    /// The OTP to hand over now.
    pub otp_delivery: Option<OtpDelivery>,
    /// The payout that was written.
    pub payout: Option<Payout>,
    /// True if this transaction wrote anything.
    pub is_written: bool,
    /// The OTP limit that the write met.
    pub otp_wait_s: Option<i64>,
}

impl Committed {
    /// Continues the use case after [`Outcome::Proceed`] or [`Outcome::PollDeposit`]. Any other outcome is its
    /// reply.
    ///
    /// # Errors
    /// `Answered` with the reply.
    pub fn proceeding(self) -> Result<Self, HandlerError> {
        match self.outcome {
            Outcome::Proceed | Outcome::PollDeposit => Ok(self),
            Outcome::Done | Outcome::Refused(_) => {
                Err(HandlerError::Answered(Box::new(self.reply)))
            }
        }
    }
}
