//! What can go wrong, said so that the reader knows what to do about it.

use std::path::PathBuf;

/// Why the local system could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter to run the local cloud with.
    #[error(
        "python3 is not on the PATH. The local cloud needs Python 3.10 or newer: install it and run this again."
    )]
    NoPython,
    /// An interpreter too old for the local cloud.
    #[error(
        "python3 is {0}, but the local cloud needs 3.10 or newer. Put a newer one first on the PATH."
    )]
    OldPython(String),
    /// Debian and Ubuntu ship `venv` apart from Python.
    #[error(
        "python3 cannot make a virtual environment. On Debian or Ubuntu: apt install python3-venv\n{0}"
    )]
    NoVenv(String),
    /// The pinned packages could not be installed.
    #[error(
        "installing the local cloud's packages failed. pip needs to reach its package index once.\n{0}"
    )]
    Pip(String),
    /// The compiler has said why.
    #[error("the functions did not build")]
    Build,
    /// The template names a function that the build did not make.
    #[error("infra/template.yaml deploys `{0}`, but no binary of that name was built")]
    NoBinary(String),
    /// Somebody else listens where we were told to.
    #[error(
        "port {0} on 127.0.0.1 is taken. Choose another with --port, or leave --port out for a free one."
    )]
    PortTaken(u16),
    /// A system of this state directory is there already.
    #[error(
        "a local system is already up (state in {0}). End it with `cargo local down`, then run this again."
    )]
    AlreadyUp(PathBuf),
    /// Somebody claimed the state directory, but there is no process yet.
    #[error(
        "the local system is only just coming up. End it there with Ctrl-C, or wait and try again."
    )]
    ComingUp,
    /// The local cloud ended or never answered.
    #[error("the local cloud {what}; the end of {log}:\n{tail}", log = log.display())]
    Cloud {
        /// What it did instead of answering.
        what: &'static str,
        /// Where it logs to.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// A file of the API description differs from the types and routes.
    #[error("{} is not up to date. Run `cargo local openapi` and commit the result.", .0.display())]
    StaleDescription(PathBuf),
    /// A call was answered with something else than success.
    #[error("{what} was answered {status}: {body}")]
    Call {
        /// The operation.
        what: String,
        /// HTTP status.
        status: u16,
        /// The reply.
        body: String,
    },
    /// A call was not answered.
    #[error("{what}: {cause}")]
    Unreachable {
        /// The operation.
        what: String,
        /// What the client said.
        cause: String,
    },
    /// A reply that lacks what it must have.
    #[error("{what} is missing or malformed in: {reply}")]
    Reply {
        /// What was looked for.
        what: String,
        /// Where.
        reply: String,
    },
    /// CloudFormation gave up.
    #[error("deploying the template ended in {status}:\n{reasons}")]
    Deploy {
        /// The stack's status.
        status: String,
        /// Each failed resource with its reason, one a line.
        reasons: String,
    },
    /// The sandbox's merchants could not be loaded.
    #[error("loading the sandbox failed: {0}")]
    Seed(String),
    /// A step of the demo did something else than the contract says.
    #[error("the contract was broken at `{step}`: {what}")]
    Contract {
        /// The demo's step.
        step: String,
        /// What was expected and what came.
        what: String,
    },
    /// Something gave way.
    #[error("it did not hold: {0}. What was printed above says where.")]
    Tortured(String),
    /// The file system or a process said no.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        cause: std::io::Error,
    },
}

impl Error {
    /// Names what was tried when the operating system refused it.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}
