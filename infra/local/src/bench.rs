//! `cargo local bench`: runs the benchmark of the crate `tests` in the profile `measure`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::paths;

/// What the benchmark measures, and how often.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The functions; empty for all, and for what concerns no single function.
    pub functions: Vec<String>,
    /// Cold starts of each candidate.
    pub cold_runs: usize,
    /// Warm calls of each candidate.
    pub warm_runs: usize,
    /// A folder with release binaries of another checkout, to compare with.
    pub before: Option<PathBuf>,
    /// True to store table and plot in the repository.
    pub write: bool,
}

/// Runs the benchmark.
///
/// # Errors
/// When it does not build, cannot run, or a budget is broken; it has printed why.
pub fn run(plan: &Plan) -> Result<(), Error> {
    let plan = serde_json::to_string(plan).map_err(|error| Error::Reply {
        what: "the plan of the benchmark".into(),
        reply: error.to_string(),
    })?;
    let status = Command::new(paths::cargo())
        .current_dir(paths::workspace())
        .args(["run", "--profile", "measure", "--locked"])
        .args(["--package", "tests", "--bin", "bench", "--", &plan])
        .stdin(Stdio::null())
        .status()
        .map_err(Error::io("starting the benchmark"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Benchmark)
    }
}
