//! Where merchants are created.

use domain::onboarding::{FieldFault, Onboarding};
use zeroize::Zeroizing;

/// A line that is valid in itself.
#[derive(Debug)]
pub struct Entry {
    /// The number of the line.
    pub line: u64,
    /// The JSON of the line, for a target that sends it on.
    pub json: Zeroizing<Vec<u8>>,
    /// The merchant.
    pub merchant: Onboarding,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The merchant was created.
    Created,
    /// The merchant was created before, from the same content.
    AlreadyThere,
    /// The merchant was not created, and the same line never will be.
    Refused(Vec<FieldFault>),
    /// Throttled or out of reach; perhaps created. The entry is sent again later.
    Unavailable(String),
    /// The target does not work. The import stops.
    Failed(String),
}

/// Creates merchants.
#[expect(async_fn_in_trait, reason = "only this workspace implements it")]
pub trait Target {
    /// The name of the place, for the resume file: an import that was stopped goes on at the same place only.
    fn name(&self) -> String;
    /// The number of entries in one call.
    fn batch(&self) -> usize;
    /// Creates these merchants. One answer for each entry, in order. A repetition is safe.
    async fn create(&self, entries: &[Entry]) -> Vec<Answer>;
}

/// Creates nothing.
#[derive(Clone, Copy, Debug)]
pub struct DryRun;

impl Target for DryRun {
    fn name(&self) -> String {
        "a dry run".to_owned()
    }

    fn batch(&self) -> usize {
        100
    }

    async fn create(&self, entries: &[Entry]) -> Vec<Answer> {
        entries.iter().map(|_| Answer::Created).collect()
    }
}
