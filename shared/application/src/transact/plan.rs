//! The writes of one transaction.

use domain::decide::Command;

/// The facts that a transaction has learned before a retry.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The card is verified for another person.
    pub bound_elsewhere: bool,
    /// This request made its first write before and was never answered; the context of its claim.
    pub claimed: Option<String>,
    /// Seconds until the phone may receive an OTP.
    pub otp_wait_s: Option<i64>,
}

/// The plan for the state that was read.
pub enum Plan {
    /// Decide this command and write the transition.
    Write(Box<Write>),
    /// Write nothing: this request has already made its first write.
    Resume,
}

/// A command, and how its write treats the idempotency key, OTP limit and claim.
pub struct Write {
    pub(super) command: Command,
    pub(super) context: String,
    pub(super) releases_key: bool,
    pub(super) leaves_key: bool,
    pub(super) learns_otp_limit: bool,
    pub(super) resumes_if_begun: bool,
}

impl Plan {
    /// Binds the claim of a first write to this context. A repeated request continues only in the same one.
    #[must_use]
    pub fn claiming(self, context: impl Into<String>) -> Self {
        self.with(|write| write.context = context.into())
    }

    /// Releases the idempotency key: the promised outcome did not happen.
    #[must_use]
    pub fn releasing_key(self) -> Self {
        self.with(|write| write.releases_key = true)
    }

    /// Leaves the idempotency key unchanged: this write is between the request's first and last.
    #[must_use]
    pub fn leaving_key(self) -> Self {
        self.with(|write| write.leaves_key = true)
    }

    /// Plans again after meeting a phone's OTP limit, instead of rejecting the request.
    #[must_use]
    pub fn learning_otp_limit(self) -> Self {
        self.with(|write| write.learns_otp_limit = true)
    }

    /// Writes nothing if this request has already made its first write; looks up its claim before the decision.
    #[must_use]
    pub fn resuming_if_begun(self) -> Self {
        self.with(|write| write.resumes_if_begun = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Write)) -> Self {
        if let Self::Write(write) = &mut self {
            change(write);
        }
        self
    }
}

impl From<Command> for Plan {
    fn from(command: Command) -> Self {
        Self::Write(Box::new(Write {
            command,
            context: String::new(),
            releases_key: false,
            leaves_key: false,
            learns_otp_limit: false,
            resumes_if_begun: false,
        }))
    }
}
