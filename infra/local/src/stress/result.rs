//! The result of one run of a suite: `target/stress/<suite>.json`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::command::CommandResult;
use super::suite::Suite;
use crate::error::Error;
use crate::paths;

/// The time, commit and result of a suite's run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SuiteResult {
    pub(super) suite: Suite,
    /// RFC 3339, UTC, at the end of the run.
    pub(super) date: String,
    /// Abbreviated; ends in `-dirty` if the checkout had changes.
    pub(super) commit: String,
    pub(super) seconds: u64,
    pub(super) passed: bool,
    pub(super) commands: Vec<CommandResult>,
}

impl SuiteResult {
    /// The result of a run that ends now.
    pub(super) fn new(suite: Suite, took: Duration, commands: Vec<CommandResult>) -> Self {
        let now = OffsetDateTime::now_utc();
        let now = now.replace_nanosecond(0).unwrap_or(now);
        Self {
            suite,
            date: now.format(&Rfc3339).unwrap_or_default(),
            commit: commit(),
            seconds: took.as_secs(),
            passed: commands.iter().all(|command| command.passed),
            commands,
        }
    }

    pub(super) const fn verdict(&self) -> &'static str {
        if self.passed { "passed" } else { "failed" }
    }

    /// The stored result of `suite`, if any.
    pub(super) fn read(folder: &Path, suite: Suite) -> Result<Option<Self>, Error> {
        let path = path(folder, suite);
        match std::fs::read_to_string(&path) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(result) => Ok(Some(result)),
                Err(cause) => Err(Error::SuiteResult { path, cause }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io(format!("reading {}", path.display()))(cause)),
        }
    }

    /// Stores the result and returns its path.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let path = path(folder, self.suite);
        let text = serde_json::to_string_pretty(self).map_err(|cause| Error::SuiteResult {
            path: path.clone(),
            cause,
        })?;
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text + "\n"))
            .map_err(Error::io(format!("writing {}", path.display())))?;
        Ok(path)
    }
}

fn path(folder: &Path, suite: Suite) -> PathBuf {
    folder.join(format!("{}.json", suite.name()))
}

/// The commit of the checkout; `unknown` without git.
fn commit() -> String {
    let described = Command::new("git")
        .current_dir(paths::workspace())
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ])
        .output();
    match described {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_survives_its_file() {
        let folder = std::env::temp_dir().join(format!("stress-{}", std::process::id()));
        assert_eq!(SuiteResult::read(&folder, Suite::Races).unwrap(), None);
        let metric = "metric | one | 3 | 1".parse().unwrap();
        let command = CommandResult::new("cargo test".into(), true, vec![metric]);
        let result = SuiteResult::new(Suite::Races, Duration::from_secs(7), vec![command]);
        assert_eq!(result.verdict(), "failed");
        let path = result.write(&folder).unwrap();
        assert!(path.ends_with("races.json"));
        let read = SuiteResult::read(&folder, Suite::Races).unwrap();
        assert_eq!(read, Some(result));
        std::fs::write(&path, "{}").unwrap();
        let error = SuiteResult::read(&folder, Suite::Races).unwrap_err();
        assert!(error.to_string().contains("races.json"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
