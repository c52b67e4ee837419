//! Reminders of an announced change: the owner hears of it more than once before it takes effect.

use super::policy::Policy;
use super::time::Timestamp;
use super::vocabulary::vocabulary;

vocabulary! {
    /// A reminder, in the order of their times.
    pub enum Reminder {
        /// After a part of the time to the effect.
        First = "first",
        /// Shortly before the effect.
        Last = "last",
    }
}

/// The reminder that follows a message handed over at `sent_at`, with its time. `sent`: the reminder in that message; `None`
/// for the announcement itself. A late message also replaces the reminders that it has overtaken.
#[must_use]
pub fn next(
    policy: &Policy,
    sent: Option<Reminder>,
    sent_at: Timestamp,
    takes_effect_at: Timestamp,
) -> Option<(Reminder, Timestamp)> {
    let last_at = takes_effect_at.plus_s(-policy.reminder_before_s);
    let left_s = takes_effect_at.epoch_s() - sent_at.epoch_s();
    let first_at = sent_at.plus_s(left_s / policy.reminder_part);
    match sent {
        None if first_at < last_at => Some((Reminder::First, first_at)),
        None | Some(Reminder::First) if sent_at < last_at => Some((Reminder::Last, last_at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DAY_S, HOUR_S};

    const POLICY: Policy = Policy::CURRENT;

    fn after(sent: Option<Reminder>, sent_at_s: i64, effect_s: i64) -> Option<(Reminder, i64)> {
        let t = Timestamp::from_epoch_s;
        let next = next(&POLICY, sent, t(sent_at_s), t(effect_s));
        next.map(|(reminder, at)| (reminder, at.epoch_s()))
    }

    #[test]
    fn reminders_come_after_a_third_and_2_h_before() {
        use Reminder::{First, Last};
        assert_eq!(after(None, 0, DAY_S), Some((First, 8 * HOUR_S)));
        assert_eq!(after(None, 0, 3 * DAY_S), Some((First, DAY_S)));
        assert_eq!(
            after(Some(First), 8 * HOUR_S, DAY_S),
            Some((Last, 22 * HOUR_S))
        );
        assert_eq!(after(Some(Last), 22 * HOUR_S, DAY_S), None);
        // A late one replaces the reminders before it.
        assert_eq!(after(Some(First), 22 * HOUR_S, DAY_S), None);
        assert_eq!(
            after(Some(First), 21 * HOUR_S, DAY_S),
            Some((Last, 22 * HOUR_S))
        );
        assert_eq!(
            after(None, 20 * HOUR_S, DAY_S),
            Some((First, 21 * HOUR_S + 1_200))
        );
        assert_eq!(
            after(None, 21 * HOUR_S, DAY_S),
            None.or(Some((Last, 22 * HOUR_S)))
        );
        assert_eq!(after(None, 22 * HOUR_S, DAY_S), None);
        // Without a hold there is nothing to remind of.
        assert_eq!(after(None, 0, 0), None);
    }
}
