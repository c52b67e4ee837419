//! Erasure in replies.

use crate::replies::{Text, Time};
use domain::erasure::{self, BACKUP_DAYS, Erased, ErasureObstacle, Kept};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::time::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

/// What an erasure of a merchant would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ErasurePlan {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// When the account was closed; null for an open one.
    pub closed_at: Option<Time>,
    /// When the retention is over; null for an open account.
    pub retained_until: Option<Time>,
    /// What forbids the erasure; empty if it can be proposed.
    pub obstacles: Vec<ErasureObstacle>,
    /// What it removes.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Erased>"))]
    pub erased: &'static [Erased],
    /// What it keeps.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Kept>"))]
    pub kept: &'static [Kept],
    /// For how many days backups still hold what was removed.
    pub backup_days: u32,
}

impl ErasurePlan {
    /// The plan at `now`. `retention_s`: how long the records of a closed account must be kept.
    #[must_use]
    pub fn new(merchant: &Merchant, retention_s: i64, now: Timestamp) -> Self {
        let Merchant { state, profile, .. } = merchant;
        Self {
            merchant_id: Text(profile.merchant_id.clone()),
            closed_at: state.closed_at.map(Time),
            retained_until: erasure::retained_until(state, retention_s).map(Time),
            obstacles: erasure::obstacles(state, retention_s, now),
            erased: Erased::ALL,
            kept: Kept::ALL,
            backup_days: BACKUP_DAYS,
        }
    }
}

/// An erasure that two persons have decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Erasure {
    /// The merchant.
    pub merchant_id: Text<MerchantId>,
    /// When it was decided.
    pub erased_at: Time,
    /// False if something is left to remove: repeat the call.
    pub done: bool,
}
