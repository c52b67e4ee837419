//! Why a request is refused, in the domain's terms. The edge turns it into a problem document.

use super::error_code::ErrorCode;
use super::next_action::NextAction;
use super::time::Timestamp;

/// One bad field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its name in the body.
    pub field: &'static str,
    /// What is wrong with it.
    pub code: ErrorCode,
}

/// A refusal. Nothing was changed, unless it came inside a [`super::transition::Transition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub code: ErrorCode,
    /// When it is worth another try, seconds.
    pub retry_after_s: Option<i64>,
    /// Whether it was counted toward a limit; `None` where nothing is counted.
    pub counts_toward_limit: Option<bool>,
    /// Tries left, where tries are counted.
    pub attempts_left: Option<u8>,
    /// What the caller can do.
    pub next_actions: Vec<NextAction>,
    /// Every bad field of the request.
    pub errors: Vec<FieldError>,
    /// The end of the cooldown.
    pub cooldown_until: Option<Timestamp>,
}

impl Rejection {
    /// A refusal with nothing but its code.
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
        }
    }

    /// All bad fields at once; the code is the first one's. `Ok` when there are none.
    ///
    /// # Errors
    /// A refusal that names every entry of `errors`.
    pub fn of_fields(errors: Vec<FieldError>) -> Result<(), Self> {
        match errors.first() {
            None => Ok(()),
            Some(first) => Err(Self {
                errors: errors.clone(),
                ..Self::new(first.code)
            }),
        }
    }

    /// The same for fields that have no code of their own; each with whether it is bad.
    ///
    /// # Errors
    /// `REQUEST_MALFORMED` that names every bad one.
    pub fn of_malformed<const N: usize>(fields: [(&'static str, bool); N]) -> Result<(), Self> {
        let bad = fields.into_iter().filter(|(_, bad)| *bad);
        let errors = bad.map(|(field, _)| FieldError {
            field,
            code: ErrorCode::RequestMalformed,
        });
        Self::of_fields(errors.collect())
    }

    /// … worth another try after this many seconds.
    #[must_use]
    pub const fn retry_after(mut self, seconds: i64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// … with what to do next.
    #[must_use]
    pub fn next(mut self, actions: &[NextAction]) -> Self {
        self.next_actions = actions.to_vec();
        self
    }

    /// … about one field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.errors.push(FieldError {
            field,
            code: self.code,
        });
        self
    }

    /// … that was counted, with what is left.
    #[must_use]
    pub const fn counted(mut self, attempts_left: u8) -> Self {
        self.counts_toward_limit = Some(true);
        self.attempts_left = Some(attempts_left);
        self
    }

    /// … that was not counted, although others of its kind are.
    #[must_use]
    pub const fn not_counted(mut self) -> Self {
        self.counts_toward_limit = Some(false);
        self
    }
}
