//! A command of a suite.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::metric::Metric;
use crate::error::Error;
use crate::paths;

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommandResult {
    /// The command, as one would type it.
    pub(super) command: String,
    /// True if the command succeeded and no metric has a failure.
    pub(super) passed: bool,
    /// All metrics that it printed.
    pub(super) metrics: Vec<Metric>,
}

impl CommandResult {
    pub(super) fn new(command: String, succeeded: bool, metrics: Vec<Metric>) -> Self {
        Self {
            command,
            passed: succeeded && metrics.iter().all(|metric| metric.failures == 0),
            metrics,
        }
    }
}

/// A cargo command with its environment.
#[derive(Clone, Debug)]
pub(super) struct SuiteCommand {
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
}

impl SuiteCommand {
    pub(super) fn cargo(arguments: &[&'static str]) -> Self {
        Self {
            arguments: arguments.to_vec(),
            environment: Vec::new(),
        }
    }

    /// One test program of the crate `tests`.
    pub(super) fn test(name: &'static str) -> Self {
        Self::cargo(&[
            "test",
            "--locked",
            "-p",
            "tests",
            "--test",
            name,
            "--",
            "--nocapture",
        ])
    }

    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// The command, as one would type it: without `--locked`, which changes nothing for a reader.
    pub(super) fn text(&self) -> String {
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value} "));
        let environment: String = environment.collect();
        let words = self.arguments.iter().filter(|word| **word != "--locked");
        let words: Vec<&str> = words.copied().collect();
        format!("{environment}cargo {}", words.join(" "))
    }

    pub(super) fn run(&self) -> Result<CommandResult, Error> {
        let mut command = Command::new(paths::cargo());
        command
            .current_dir(paths::workspace())
            .args(&self.arguments)
            .envs(self.environment.iter().copied());
        let (succeeded, metrics) = run_and_show(&mut command, &self.text())?;
        Ok(CommandResult::new(self.text(), succeeded, metrics))
    }
}

/// Runs a command and shows its output line by line. Returns its success and the metrics that it printed.
pub(super) fn run_and_show(
    command: &mut Command,
    text: &str,
) -> Result<(bool, Vec<Metric>), Error> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("starting {text}")))?;
    let mut metrics = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(Error::io(format!("reading the output of {text}")))?;
            println!("{line}");
            metrics.extend(line.parse::<Metric>());
        }
    }
    let status = child
        .wait()
        .map_err(Error::io(format!("waiting for {text}")))?;
    Ok((status.success(), metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_typed() {
        let command = SuiteCommand::test("load").with("LOAD_S", "120");
        assert_eq!(
            command.text(),
            "LOAD_S=120 cargo test -p tests --test load -- --nocapture"
        );
    }

    #[test]
    fn metrics_are_collected_from_the_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo noise; echo 'metric | one | 3 | 1'; exit 4"]);
        let (succeeded, metrics) = run_and_show(&mut command, "sh").unwrap();
        assert!(!succeeded);
        assert_eq!(metrics, ["metric | one | 3 | 1".parse().unwrap()]);
    }

    #[test]
    fn a_failed_attempt_fails_the_command() {
        let one = |failures| Metric {
            name: "one".into(),
            attempts: 3,
            unit: super::super::Unit::Attempts,
            failures,
        };
        assert!(CommandResult::new(String::new(), true, vec![one(0)]).passed);
        assert!(!CommandResult::new(String::new(), true, vec![one(1)]).passed);
        assert!(!CommandResult::new(String::new(), false, vec![one(0)]).passed);
    }
}
