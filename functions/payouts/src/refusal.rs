//! Refused operations, in the form of Lambda errors.

use application::error::HandlerError;
use application::ports::PortError;
use domain::error_code::ErrorCode;
use serde::Serialize;

/// A refused operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The error code; also the type of the Lambda error.
    pub code: ErrorCode,
    /// The next step for the operator.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A refusal with the usual advice for its code.
    pub(crate) fn of(code: ErrorCode) -> Self {
        Self::new(code, advice(code))
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::RequestMalformed, message)
    }
}

impl From<Refusal> for lambda_runtime::Diagnostic {
    fn from(refusal: Refusal) -> Self {
        Self {
            error_type: refusal.code.as_str().to_owned(),
            error_message: refusal.message,
        }
    }
}

impl From<HandlerError> for Refusal {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Rejected(refusal) => Self::of(refusal.code),
            // `Answered` needs an idempotency key, which no operation has. `create` answers `PayoutExists` itself.
            HandlerError::Answered(_)
            | HandlerError::PayoutExists { .. }
            | HandlerError::Failed(PortError::Conflict) => Self::of(ErrorCode::VersionConflict),
            HandlerError::Failed(error) => {
                tracing::error!(problem.cause = error.to_string(), "payout.failed");
                Self::of(ErrorCode::Internal)
            }
        }
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        HandlerError::from(error).into()
    }
}

const fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::AccountFrozen => {
            "the account is frozen and its payouts are held: an operator has to unfreeze it first"
        }
        ErrorCode::StepOutOfOrder => {
            "the payout is held without a card, not reported as payout_sending, or final: see payouts_unfinished"
        }
        ErrorCode::NotFound => "unknown merchant: check merchant_id",
        ErrorCode::VersionConflict => "concurrent writes conflicted: repeat the same operation",
        ErrorCode::ReleaseLimit => {
            "the card number was released for this payout too often in the last 24 h: use the last instruction, or report \
             the payout as returned and create another one"
        }
        _ => "repeat the same operation; if it fails again, see the log",
    }
}
