//! `cargo local stress`: the suites that try to break the system, run at length, and a report of their results.
//!
//! Each suite runs one or more commands, which can also be run by hand. A suite prints its metrics on standard output, and its
//! result is one JSON file under `target/stress/`.

mod command;
mod metric;
mod mutants;
mod report;
mod result;
mod suite;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;

use crate::error::Error;
use crate::paths;
use command::CommandResult;
pub use metric::{Metric, Unit};
use result::SuiteResult;
pub use suite::Suite;
use suite::Work;

/// Runs the suites one after the other. A failed suite does not stop those after it.
///
/// # Errors
/// When a suite failed, a command cannot be started or a result cannot be written.
pub fn run(suites: &[Suite]) -> Result<(), Error> {
    let mut failed = Vec::new();
    for suite in suites {
        let name = suite.name();
        println!("\n== {name}");
        let started = Instant::now();
        let commands = run_suite(*suite)?;
        let result = SuiteResult::new(*suite, started.elapsed(), commands);
        let path = result.write(&folder())?;
        println!(
            "== {name} {} in {} s; result: {}",
            result.verdict(),
            result.seconds,
            path.display()
        );
        if !result.passed {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Suites(failed.join(", ")))
}

fn run_suite(suite: Suite) -> Result<Vec<CommandResult>, Error> {
    match suite.work() {
        Work::Commands(commands) => commands.iter().map(command::SuiteCommand::run).collect(),
        Work::Mutants(place) => Ok(vec![mutants::run(place)?]),
    }
}

/// The latest result of every suite, as Markdown.
///
/// # Errors
/// When a result cannot be read.
pub fn report() -> Result<String, Error> {
    let mut results = Vec::new();
    let mut missing = Vec::new();
    for suite in Suite::value_variants() {
        match SuiteResult::read(&folder(), *suite)? {
            Some(result) => results.push(result),
            None => missing.push(suite.name()),
        }
    }
    Ok(report::markdown(&results, &missing))
}

fn folder() -> PathBuf {
    paths::target().join("stress")
}
