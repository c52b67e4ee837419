//! `rebindctl doctor`: what is not right with a deployment, and what to do.
//!
//! - [`stack`]: the stack, its parameters and its resources.
//! - `tables`, `keys`, `compute`, `sms`, `operators`: what each finds. They judge replies and call nothing.
//!
//! It only reads, and it reads no secret and no record of a merchant.

mod compute;
mod examination;
mod keys;
mod operators;
mod sms;
pub mod stack;
mod tables;

use serde::Serialize;
use std::io::{self, Write};

pub use compute::Packages;
pub use examination::{Examined, examine};

/// The column of the subjects is at most as wide.
const WIDTH_MAX: usize = 32;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not well, or not for long.
    Warning,
    /// The service did not answer the question.
    Unknown,
    /// It does not work, or it is not safe.
    Problem,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The logical id of a resource, or the name of a parameter or of a service.
    pub subject: String,
    /// What was found and, unless it is right, what to do.
    pub message: String,
}

impl Finding {
    fn new(level: Level, subject: &str, message: impl Into<String>) -> Self {
        Self {
            level,
            subject: subject.to_owned(),
            message: message.into(),
        }
    }
}

/// Collects what is not right with one thing.
struct Findings<'a> {
    subject: &'a str,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    const fn about(subject: &'a str) -> Self {
        Self {
            subject,
            all: Vec::new(),
        }
    }

    fn add(&mut self, level: Level, message: impl Into<String>) {
        self.all.push(Finding::new(level, self.subject, message));
    }

    fn problem_unless(&mut self, is_right: bool, message: impl Into<String>) {
        if !is_right {
            self.add(Level::Problem, message);
        }
    }

    fn warning_unless(&mut self, is_right: bool, message: impl Into<String>) {
        if !is_right {
            self.add(Level::Warning, message);
        }
    }

    /// A problem with real merchants, a warning in the sandbox.
    fn serious_if(&mut self, is_durable: bool, message: impl Into<String>) {
        let level = match is_durable {
            true => Level::Problem,
            false => Level::Warning,
        };
        self.add(level, message);
    }

    /// What was found; `right` if nothing was.
    fn or_ok(mut self, right: impl Into<String>) -> Vec<Finding> {
        if self.all.is_empty() {
            self.add(Level::Ok, right);
        }
        self.all
    }
}

/// Prints the findings, one a line, and their numbers.
///
/// # Errors
/// When the output is closed.
pub fn print(output: &mut impl Write, examined: &Examined, colours: bool) -> io::Result<()> {
    let subjects = examined
        .findings
        .iter()
        .map(|one| one.subject.chars().count());
    let width = subjects.max().unwrap_or_default().min(WIDTH_MAX);
    for Finding {
        level,
        subject,
        message,
    } in &examined.findings
    {
        let (word, colour) = match level {
            Level::Ok => ("ok", "32"),
            Level::Warning => ("warning", "33"),
            Level::Unknown => ("unknown", "35"),
            Level::Problem => ("problem", "31"),
        };
        let word = match colours {
            true => format!("\x1b[{colour}m{word:<7}\x1b[0m"),
            false => format!("{word:<7}"),
        };
        writeln!(output, "{word}  {subject:<width$}  {message}")?;
    }
    let (problems, unknown) = (examined.problems, examined.unknown);
    writeln!(output, "{problems} problems, {unknown} unknown")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
