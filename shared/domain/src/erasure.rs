//! Erasure of a merchant's personal data: what forbids it, and what it removes and keeps.

use super::merchant::MerchantState;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

vocabulary! {
    /// What forbids an erasure.
    pub enum ErasureObstacle {
        /// The account is not closed.
        AccountOpen = "account_open",
        /// A rebind is open.
        RebindOpen = "rebind_open",
        /// The hold of a card is running.
        HoldRunning = "hold_running",
        /// The account is frozen: an operator decides first.
        AccountFrozen = "account_frozen",
        /// A payout is unsent or being paid.
        PayoutsUnsent = "payouts_unsent",
        /// The law requires the records to be kept for longer.
        RetentionRunning = "retention_running",
    }
}

vocabulary! {
    /// What an erasure removes.
    pub enum Erased {
        /// The acquirer's record: names, phones, ID document, tier.
        Record = "record",
        /// The account: its name's hash, its password and its known devices.
        Account = "account",
        /// All sessions.
        Sessions = "sessions",
        /// The rebinds.
        Rebinds = "rebinds",
        /// The encrypted card numbers.
        CardNumbers = "card_numbers",
        /// The merchant among the holders of its card numbers.
        CardHolders = "card_holders",
        /// The devices registered for push.
        PushDevices = "push_devices",
        /// The key of the personal parts of all events.
        HistoryKey = "history_key",
        /// What connects the merchant with its entries in the log.
        LogPseudonym = "log_pseudonym",
    }
}

vocabulary! {
    /// What an erasure keeps.
    pub enum Kept {
        /// The merchant's id, which no new merchant gets.
        MerchantId = "merchant_id",
        /// The events without their personal parts, as a whole chain.
        Events = "events",
        /// The payouts, without card numbers.
        Payouts = "payouts",
        /// What operators did, with their comments.
        AuditChains = "audit_chains",
        /// The entries of the log. Nobody can connect them with the merchant.
        LogEntries = "log_entries",
    }
}

/// How long backups of the tables still hold erased data.
pub const BACKUP_DAYS: u32 = 35;

/// When the retention of a closed account is over; `None` for an open one.
#[must_use]
pub fn retained_until(state: &MerchantState, retention_s: i64) -> Option<Timestamp> {
    Some(state.closed_at?.plus_s(retention_s))
}

/// Everything that forbids an erasure at `now`. `retention_s`: how long the law requires the records of a closed account to be kept.
#[must_use]
pub fn obstacles(state: &MerchantState, retention_s: i64, now: Timestamp) -> Vec<ErasureObstacle> {
    let retained_until = retained_until(state, retention_s);
    let has_pending =
        state.held_payouts > 0 || state.all_bound().any(|bound| bound.has_pending_payout());
    let all = [
        (ErasureObstacle::AccountOpen, state.closed_at.is_none()),
        (ErasureObstacle::RebindOpen, state.open.is_some()),
        (ErasureObstacle::HoldRunning, state.hold(now).is_some()),
        (ErasureObstacle::AccountFrozen, state.frozen.is_some()),
        (ErasureObstacle::PayoutsUnsent, has_pending),
        (
            ErasureObstacle::RetentionRunning,
            retained_until.is_some_and(|until| now < until),
        ),
    ];
    let found = all.into_iter().filter(|(_, is_there)| *is_there);
    found.map(|(obstacle, _)| obstacle).collect()
}
