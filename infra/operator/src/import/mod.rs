//! The import of a file with one new merchant a line.
//!
//! - [`lines`]: reads the file line by line, with a limit and a running hash.
//! - [`card_key`]: opens card numbers that the file holds encrypted.
//! - [`target`]: where merchants are created; [`direct`]: the tables themselves; [`registry`]: the operator's API.
//! - [`engine`]: reads, checks, sends and reports, with a bounded number of lines in flight.
//! - [`pace`]: how many are in flight, and how often one starts.
//! - [`resume`]: the file that lets a stopped import go on.
//! - [`report`]: what the user sees: faults, progress, the summary.
//!
//! Memory is bounded by the lines in flight: nothing is kept of a line that is done.

pub mod card_key;
pub mod direct;
pub mod engine;
pub mod lines;
pub mod pace;
pub mod registry;
pub mod report;
pub mod resume;
pub mod target;

pub use card_key::CardKey;
pub use engine::{Ending, Plan, Summary, run};
pub use report::{Format, Report};
pub use target::{Answer, Entry, Target};

/// Why an import cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{what}: {cause}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// The file has no lines.
    #[error("{0} has no lines: nothing to import")]
    Empty(String),
    /// The resume file cannot be read.
    #[error("{0} is not a resume file of this version; delete it to start from the first line")]
    NotAResumeFile(String),
    /// The resume file is about another file.
    #[error(
        "the first {lines} lines of {file} are not those that {resume} is about; delete {resume} to start from the first line"
    )]
    OtherFile {
        /// The file with the merchants.
        file: String,
        /// The resume file.
        resume: String,
        /// The number of lines that were done.
        lines: u64,
    },
    /// The resume file is about another target.
    #[error(
        "{resume} is about {theirs}, and this import goes to {ours}; use another --resume file"
    )]
    OtherTarget {
        /// The resume file.
        resume: String,
        /// Its target.
        theirs: String,
        /// The target of this import.
        ours: String,
    },
    /// The target does not work.
    #[error("{0}")]
    Target(String),
}

impl Error {
    /// Maps an error of the operating system.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}
