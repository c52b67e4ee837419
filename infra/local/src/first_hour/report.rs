//! The questions of the first hour, and what the account answered.

use std::fmt::Write as _;

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    AsExpected,
    Otherwise,
    Open,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::AsExpected => "as expected",
            Self::Otherwise => "OTHERWISE",
            Self::Open => "open",
        }
    }
}

/// An answered question.
#[derive(Clone, Debug)]
struct Row {
    expectation: String,
    verdict: Verdict,
    answer: String,
}

/// All answers, in the order of the questions.
#[derive(Clone, Debug)]
pub(super) struct Report {
    is_aws: bool,
    rows: Vec<Row>,
}

impl Report {
    /// `is_aws`: of an account, and not of a local cloud.
    pub(super) const fn new(is_aws: bool) -> Self {
        Self {
            is_aws,
            rows: Vec::new(),
        }
    }

    /// An answer that any cloud can give.
    pub(super) fn judge(&mut self, expectation: &str, holds: bool, answer: impl Into<String>) {
        let verdict = match holds {
            true => Verdict::AsExpected,
            false => Verdict::Otherwise,
        };
        self.add(expectation, verdict, answer.into());
    }

    /// An answer that only AWS can give. `why`: what the local cloud lacks.
    pub(super) fn judge_on_aws(
        &mut self,
        expectation: &str,
        holds: bool,
        answer: impl Into<String>,
        why: &str,
    ) {
        match self.is_aws {
            true => self.judge(expectation, holds, answer),
            false => self.open(expectation, format!("{why}. Here: {}", answer.into())),
        }
    }

    /// A question that stays without an answer.
    pub(super) fn open(&mut self, expectation: &str, why: impl Into<String>) {
        self.add(expectation, Verdict::Open, why.into());
    }

    fn add(&mut self, expectation: &str, verdict: Verdict, answer: String) {
        println!("        {}: {expectation}: {answer}", verdict.text());
        self.rows.push(Row {
            expectation: expectation.to_owned(),
            verdict,
            answer,
        });
    }

    /// How many answers differ from what is expected.
    pub(super) fn otherwise(&self) -> usize {
        self.count(Verdict::Otherwise)
    }

    fn count(&self, verdict: Verdict) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.verdict == verdict).count()
    }

    /// The report as a table in Markdown.
    pub(super) fn markdown(&self, stack: &str) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let mut text = format!(
            "# First hour of {stack}\n\n{} as expected, {} otherwise, {} open.\n\n| expected | verdict | answer |\n|---|---|---|\n",
            self.count(Verdict::AsExpected),
            self.otherwise(),
            self.count(Verdict::Open)
        );
        for row in &self.rows {
            let (expected, answer) = (cell(&row.expectation), cell(&row.answer));
            let verdict = row.verdict.text();
            let _ = writeln!(text, "| {expected} | {verdict} | {answer} |"); // a String takes every line
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_cloud_leaves_questions_open() {
        let mut local = Report::new(false);
        local.judge_on_aws("a", false, "permitted", "it ignores conditions");
        local.judge("b", true, "yes");
        assert_eq!(local.otherwise(), 0);
        let mut aws = Report::new(true);
        aws.judge_on_aws("a", false, "permitted", "it ignores conditions");
        assert_eq!(aws.otherwise(), 1);
        let text = local.markdown("trial");
        assert!(text.contains("1 as expected, 0 otherwise, 1 open."));
        assert!(text.contains("| a | open | it ignores conditions. Here: permitted |"));
    }
}
