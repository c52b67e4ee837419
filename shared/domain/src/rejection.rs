//! The refusal of a request in domain terms. The API layer turns it into a problem document.

use super::error_code::ErrorCode;
use super::next_action::NextAction;
use super::time::Timestamp;

/// One invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the body.
    pub field: &'static str,
    /// The reason.
    pub code: ErrorCode,
}

/// A refusal. It changes nothing unless it is part of a [`super::transition::Transition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub code: ErrorCode,
    /// Seconds until another attempt can succeed.
    pub retry_after_s: Option<i64>,
    /// True if the request counts toward a limit; `None` where there is no limit.
    pub counts_toward_limit: Option<bool>,
    /// Remaining attempts, where attempts are limited.
    pub attempts_left: Option<u8>,
    /// The steps that the caller can take.
    pub next_actions: Vec<NextAction>,
    /// Every invalid field of the request.
    pub errors: Vec<FieldError>,
    /// The end of the cooldown.
    pub cooldown_until: Option<Timestamp>,
    /// True if the same request cannot succeed later, although other requests refused with this code can.
    pub is_final: bool,
}

impl Rejection {
    /// A refusal with a code only.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            retry_after_s: None,
            counts_toward_limit: None,
            attempts_left: None,
            next_actions: Vec::new(),
            errors: Vec::new(),
            cooldown_until: None,
            is_final: false,
        }
    }

    /// The refusal of invalid fields. Each entry is a field, and its error if it is invalid; the first error is the
    /// refusal's code.
    pub fn invalid(fields: impl IntoIterator<Item = (&'static str, Option<ErrorCode>)>) -> Self {
        let errors = fields.into_iter();
        let errors = errors.filter_map(|(field, code)| Some(FieldError { field, code: code? }));
        let errors: Vec<FieldError> = errors.collect();
        let code = errors.first().map(|error| error.code);
        Self {
            errors,
            ..Self::new(code.unwrap_or(ErrorCode::RequestMalformed))
        }
    }

    /// Refuses a request with malformed fields. Each entry is a field, and true if it is malformed.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` with every malformed field.
    pub fn of_malformed<const N: usize>(fields: [(&'static str, bool); N]) -> Result<(), Self> {
        let error = |is_malformed: bool| is_malformed.then_some(ErrorCode::RequestMalformed);
        let refusal =
            Self::invalid(fields.map(|(field, is_malformed)| (field, error(is_malformed))));
        if refusal.errors.is_empty() {
            Ok(())
        } else {
            Err(refusal)
        }
    }

    /// Adds the seconds until another attempt can succeed.
    #[must_use]
    pub const fn retry_after(mut self, seconds: i64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Sets the steps that the caller can take.
    #[must_use]
    pub fn next(mut self, actions: &[NextAction]) -> Self {
        self.next_actions = actions.to_vec();
        self
    }

    /// Only support can help: the same request cannot succeed later.
    #[must_use]
    pub fn for_support(mut self) -> Self {
        self.is_final = true;
        self.next(&[NextAction::ContactSupport])
    }

    /// Adds the invalid field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.errors.push(FieldError {
            field,
            code: self.code,
        });
        self
    }

    /// Marks the request as counted, with the remaining attempts.
    #[must_use]
    pub const fn counted(mut self, attempts_left: u8) -> Self {
        self.counts_toward_limit = Some(true);
        self.attempts_left = Some(attempts_left);
        self
    }

    /// Marks the request as not counted toward its limit.
    #[must_use]
    pub const fn not_counted(mut self) -> Self {
        self.counts_toward_limit = Some(false);
        self
    }
}
