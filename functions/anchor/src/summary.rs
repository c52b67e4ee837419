//! The result of a run.

use application::usage::whole_ms;
use serde::Serialize;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The queue was empty: nothing was written and nothing signed.
    #[default]
    Nothing,
    /// A batch was anchored.
    Anchored,
    /// The checkpoint of an interrupted run was signed. The next run anchors the queue.
    Recovered,
    /// Another run appended its batch first. The next run anchors the messages of this one.
    LostRace,
    /// The log has all checkpoints that it may have today. The messages wait.
    DayFull,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Anchored => "anchored",
            Self::Recovered => "recovered",
            Self::LostRace => "lost_race",
            Self::DayFull => "day_full",
        }
    }
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How the run ended.
    pub outcome: Outcome,
    /// The size of the log after the run.
    pub size: u64,
    /// The entries of the batch that was signed.
    pub entries: u64,
    /// Messages that repeat another one of the batch.
    pub duplicates: u64,
    /// Pairs of entries for the same event with different hashes: a rewritten history.
    pub conflicts: u64,
    /// Messages that are not entries. They stay on the queue until it moves them to its failure queue.
    pub malformed: u64,
}

impl Summary {
    /// Writes the log line of the run.
    pub fn log(&self, took: Duration) {
        tracing::info!(
            anchor.outcome = self.outcome.as_str(),
            anchor.size = self.size,
            anchor.entries = self.entries,
            anchor.duplicates = self.duplicates,
            anchor.conflicts = self.conflicts,
            anchor.malformed = self.malformed,
            duration_ms = whole_ms(took),
            "anchor.finished"
        );
    }
}
