//! The counts of a run, for its log line and its caller.

use application::usage::{Usage, whole_ms};
use serde::Serialize;
use std::time::Duration;

/// The counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Overdue rebinds that expired.
    pub expired: u32,
    /// Rebinds completed at the end of their hold.
    pub completed: u32,
    /// Cooldowns whose end was announced.
    pub cooldowns_ended: u32,
    /// Pending settlement settings that took effect or were dropped.
    pub settlements_applied: u32,
    /// Replaced cards removed from the record.
    pub cards_removed: u32,
    /// Held payouts that were assigned a card.
    pub payouts_assigned: u32,
    /// Bank answers that settled an unknown or changeable outcome.
    pub bank_answers: u32,
    /// Unsent notifications that were armed again.
    pub notices_rearmed: u32,
    /// Reminders of announced changes that were armed.
    pub reminders: u32,
    /// Notifications given up after a day of failures.
    pub notices_given_up: u32,
    /// Entries that were done already, or lost to a concurrent write.
    pub skipped: u32,
    /// Entries that failed and stay due.
    pub failed: u32,
    /// How long the oldest entry was due, in seconds.
    pub lag_s: i64,
    /// The time ran out; the next run continues.
    pub stopped_early: bool,
}

impl Summary {
    /// Writes the counts to the log, with what the run used and took.
    pub fn log(&self, usage: Usage, took: Duration) {
        tracing::info!(
            cleanup.expired = self.expired,
            cleanup.completed = self.completed,
            cleanup.cooldowns_ended = self.cooldowns_ended,
            cleanup.settlements_applied = self.settlements_applied,
            cleanup.cards_removed = self.cards_removed,
            cleanup.payouts_assigned = self.payouts_assigned,
            cleanup.bank_answers = self.bank_answers,
            cleanup.notices_rearmed = self.notices_rearmed,
            cleanup.reminders = self.reminders,
            cleanup.notices_given_up = self.notices_given_up,
            cleanup.skipped = self.skipped,
            cleanup.failed = self.failed,
            cleanup.lag_s = self.lag_s,
            cleanup.stopped_early = self.stopped_early,
            store.calls = usage.calls,
            store.rru = usage.rru,
            store.wru = usage.wru,
            duration_ms = whole_ms(took),
            "cleanup.finished"
        );
    }

    /// True unless an entry was done already, lost to a concurrent write, or failed.
    pub(crate) fn has_effect(self) -> bool {
        let without = Self {
            skipped: 0,
            failed: 0,
            lag_s: 0,
            ..self
        };
        without != Self::default()
    }

    /// The sums of two counts.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            expired: self.expired + other.expired,
            completed: self.completed + other.completed,
            cooldowns_ended: self.cooldowns_ended + other.cooldowns_ended,
            settlements_applied: self.settlements_applied + other.settlements_applied,
            cards_removed: self.cards_removed + other.cards_removed,
            payouts_assigned: self.payouts_assigned + other.payouts_assigned,
            bank_answers: self.bank_answers + other.bank_answers,
            notices_rearmed: self.notices_rearmed + other.notices_rearmed,
            reminders: self.reminders + other.reminders,
            notices_given_up: self.notices_given_up + other.notices_given_up,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            lag_s: self.lag_s.max(other.lag_s),
            stopped_early: self.stopped_early || other.stopped_early,
        }
    }
}
