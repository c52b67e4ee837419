//! The budgets. One that is missed for a known reason has a second limit, the *known* one: the measured figure with the noise
//! of a run. Beyond it the benchmark fails.

use std::fmt::Write as _;

/// One measured figure with its limit.
#[derive(Clone, Debug)]
pub struct Budget {
    /// What is measured.
    pub what: String,
    /// The figure.
    pub measured: f64,
    /// The limit.
    pub limit: Limit,
    /// The limit of a budget that is missed, with the reason.
    pub known: Option<(f64, &'static str)>,
}

/// A limit.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Limit {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit) => measured <= limit,
            Self::AtLeast(limit) => measured >= limit,
        }
    }
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within its limit.
    Met,
    /// Beyond its limit, within the known one.
    Missed,
    /// Beyond both.
    Broken,
}

impl Budget {
    /// A budget with an upper limit.
    #[must_use]
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self {
            what: what.into(),
            measured,
            limit: Limit::AtMost(limit),
            known: None,
        }
    }

    /// A budget with a lower limit.
    #[must_use]
    pub fn at_least(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self {
            limit: Limit::AtLeast(limit),
            ..Self::at_most(what, measured, limit)
        }
    }

    /// The same, known to be missed up to `limit`.
    #[must_use]
    pub fn known(mut self, limit: f64, reason: &'static str) -> Self {
        self.known = Some((limit, reason));
        self
    }

    /// How it stands.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.limit.holds(self.measured) {
            return Verdict::Met;
        }
        let is_known = self.known.is_some_and(|(limit, _)| match self.limit {
            Limit::AtMost(_) => self.measured <= limit,
            Limit::AtLeast(_) => self.measured >= limit,
        });
        if is_known {
            Verdict::Missed
        } else {
            Verdict::Broken
        }
    }
}

/// The budgets as a table, with the reasons of the missed ones.
#[must_use]
pub fn table(budgets: &[Budget]) -> String {
    let mut text = format!("{:<58} {:>9}  {:>9}\n", "budget", "measured", "limit");
    for budget in budgets {
        let limit = match budget.limit {
            Limit::AtMost(limit) => format!("<= {limit:.2}"),
            Limit::AtLeast(limit) => format!(">= {limit:.2}"),
        };
        let note = match (budget.verdict(), budget.known) {
            (Verdict::Met, _) => String::new(),
            (Verdict::Missed, Some((_, reason))) => format!("  missed: {reason}"),
            _ => "  BROKEN".to_owned(),
        };
        let (what, measured) = (&budget.what, budget.measured);
        let _ = writeln!(text, "{what:<58} {measured:>9.2}  {limit:>9}{note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_follow_both_limits() {
        let at_most = |measured| Budget::at_most("x", measured, 1.0).known(2.0, "y");
        assert_eq!(at_most(1.0).verdict(), Verdict::Met);
        assert_eq!(at_most(1.5).verdict(), Verdict::Missed);
        assert_eq!(at_most(2.5).verdict(), Verdict::Broken);
        let at_least = |measured| Budget::at_least("x", measured, 2.0);
        assert_eq!(at_least(2.0).verdict(), Verdict::Met);
        assert_eq!(at_least(1.9).verdict(), Verdict::Broken);
        assert!(table(&[at_most(2.5)]).contains("BROKEN"));
    }
}
