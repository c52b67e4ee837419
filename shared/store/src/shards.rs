//! The shards of the index `due`.

use domain::ids::MerchantId;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};

/// The number of shards that a month's index entries are spread over. A shard takes 1,000 index writes a second.
///
/// The number may grow while the system runs: an entry written under a smaller number lies in a shard that is still
/// queried. It must not shrink, because nobody would query the higher shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueShards(u8);

impl DueShards {
    /// The numbers that a deployment may choose.
    pub const ALLOWED: [u8; 5] = [4, 8, 16, 32, 64];
    /// The smallest number. A writer with this number is correct in every deployment.
    pub const DEFAULT: Self = Self(4);

    /// Parses the setting; `None` unless it is one of [`Self::ALLOWED`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.parse().ok()?;
        Self::ALLOWED.contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The hash key of an entry: month and shard.
    #[must_use]
    pub fn bucket(self, merchant: &MerchantId, at: Timestamp) -> String {
        let hash = Sha256::digest(merchant.as_str().as_bytes());
        let shard = hash.first().copied().unwrap_or(0) % self.0;
        bucket(&at.yyyymm_utc(), shard)
    }

    /// The hash keys of all entries of a month.
    pub(super) fn buckets(self, month: &str) -> impl Iterator<Item = String> {
        (0..self.0).map(move |shard| bucket(month, shard))
    }
}

impl Default for DueShards {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The shard has no leading zero, so that a key does not depend on the number of shards.
fn bucket(month: &str, shard: u8) -> String {
    format!("{month}#{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn merchants() -> impl Iterator<Item = MerchantId> {
        (0..1_000).map(|number| MerchantId::parse(&format!("mer_{number}")).unwrap())
    }

    fn all() -> impl Iterator<Item = DueShards> {
        DueShards::ALLOWED.into_iter().map(DueShards)
    }

    #[test]
    fn parses_allowed_numbers_only() {
        assert_eq!(DueShards::parse("4"), Some(DueShards::DEFAULT));
        assert_eq!(DueShards::parse("64").map(DueShards::get), Some(64));
        for bad in [
            "", "0", "1", "5", "12", "128", "256", "-4", "4.0", " 4", "four",
        ] {
            assert_eq!(DueShards::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_shard_is_used() {
        let now = Timestamp::from_epoch_s(0);
        for shards in all() {
            let used: BTreeSet<String> = merchants()
                .map(|merchant| shards.bucket(&merchant, now))
                .collect();
            let queried: BTreeSet<String> = shards.buckets("197001").collect();
            assert_eq!(used, queried);
        }
    }

    #[test]
    fn entries_are_found_after_a_raise() {
        let now = Timestamp::from_epoch_s(0);
        for (before, after) in all().zip(all().skip(1)) {
            let queried: BTreeSet<String> = after.buckets("197001").collect();
            for merchant in merchants() {
                assert!(queried.contains(&before.bucket(&merchant, now)));
            }
        }
    }
}
