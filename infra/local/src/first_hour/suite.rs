//! The end-to-end suite against the stack.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Hour;
use crate::error::Error;
use crate::paths;

/// The lines of the output that the report shows.
const LINES: usize = 5;

/// Runs the cases that can be run on any deployed system. `cases`: texts of their names, all cases if it is empty.
pub(super) fn run(hour: &mut Hour, endpoints: &Path, cases: &str) -> Result<(), Error> {
    let log = hour.folder.join("suite.log");
    let failed = || format!("writing {}", log.display());
    let output = File::create(&log).map_err(Error::io(failed()))?;
    let errors = output.try_clone().map_err(Error::io(failed()))?;
    // With all packages, or the libraries would be built again with fewer features.
    let status = Command::new(paths::cargo())
        .current_dir(paths::workspace())
        .args([
            "test",
            "--workspace",
            "--locked",
            "--test",
            "e2e",
            "--",
            "--nocapture",
        ])
        .env("E2E_ENDPOINTS", endpoints)
        .env("E2E", cases)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(Error::io("starting cargo"))?;
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    hour.report.judge(
        "the end-to-end suite passes on the stack",
        status.success(),
        summary(&text, status.success()),
    );
    Ok(())
}

/// The line with the numbers, or the end of the output with the failed cases.
fn summary(output: &str, is_passed: bool) -> String {
    let numbers = output
        .lines()
        .find(|line| line.contains("replies validated"));
    match numbers {
        Some(line) if is_passed => line.to_owned(),
        _ => {
            let mut end: Vec<&str> = output.lines().rev().take(LINES).collect();
            end.reverse();
            end.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_cases_are_shown() {
        let output = "a\nb\n3 cases, 40 replies validated, 1 failed, 9.0 s\nc\nd\ncase: why\nerror";
        assert_eq!(
            summary(output, true),
            "3 cases, 40 replies validated, 1 failed, 9.0 s"
        );
        assert!(summary(output, false).ends_with("case: why error"));
    }
}
