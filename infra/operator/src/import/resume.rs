//! The resume file: how far an import is. It holds numbers and a hash, no personal data.

use super::Error;
use super::lines::Mark;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// How far an import is. Every line before the position is done: its merchant exists, or its faults were reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    v: u32,
    target: String,
    lines: u64,
    bytes: u64,
    sha256: String,
    refused: u64,
}

/// A position with the number of refused lines before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The position.
    pub mark: Mark,
    /// The lines before it that have faults.
    pub refused: u64,
}

/// A resume file.
#[derive(Clone, Debug)]
pub struct ResumeFile {
    path: PathBuf,
    target: String,
}

impl ResumeFile {
    /// `target`: the name of the place where merchants are created.
    pub fn new(path: impl Into<PathBuf>, target: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            target: target.into(),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far the import is; `None` before its first line.
    ///
    /// # Errors
    /// When the file cannot be read, is not a resume file, or is about another target.
    pub fn load(&self) -> Result<Option<Progress>, Error> {
        let name = || self.path.display().to_string();
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("reading {}", name()))(error)),
        };
        let stored: Stored =
            serde_json::from_str(&text).map_err(|_| Error::NotAResumeFile(name()))?;
        if stored.v != VERSION {
            return Err(Error::NotAResumeFile(name()));
        }
        if stored.target != self.target {
            return Err(Error::OtherTarget {
                resume: name(),
                theirs: stored.target,
                ours: self.target.clone(),
            });
        }
        Ok(Some(Progress {
            mark: Mark {
                lines: stored.lines,
                bytes: stored.bytes,
                sha256: stored.sha256,
            },
            refused: stored.refused,
        }))
    }

    /// Replaces the file as a whole, so that a process that is killed leaves the old or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn store(&self, progress: &Progress) -> Result<(), Error> {
        let stored = Stored {
            v: VERSION,
            target: self.target.clone(),
            lines: progress.mark.lines,
            bytes: progress.mark.bytes,
            sha256: progress.mark.sha256.clone(),
            refused: progress.refused,
        };
        let writing = Error::io(format!("writing {}", self.path.display()));
        self.replace(&stored).map_err(writing)
    }

    fn replace(&self, stored: &Stored) -> std::io::Result<()> {
        let mut next = self.path.clone().into_os_string();
        next.push(".next");
        let mut file = std::fs::File::create(&next)?;
        let text = serde_json::to_string(stored)?;
        writeln!(file, "{text}")?;
        std::fs::rename(&next, &self.path)
    }
}
