//! The report: one Markdown table with a row for each suite, one with a row for each metric.

use std::fmt::Write;

use super::metric::{Metric, Unit};
use super::result::SuiteResult;

/// Both tables; below them the suites without a result.
pub(super) fn markdown(results: &[SuiteResult], missing: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_suites(&mut text, results);
    let _ = write_metrics(&mut text, results);
    if !missing.is_empty() {
        let _ = writeln!(text, "\nNo result yet: {}.", missing.join(", "));
    }
    text
}

fn write_suites(text: &mut String, results: &[SuiteResult]) -> std::fmt::Result {
    writeln!(
        text,
        "| suite | what it tries | attempts | failures | result | date | commit |\n|---|---|---|---|---|---|---|"
    )?;
    for result in results {
        let counted: Vec<&Metric> = metrics(result)
            .map(|(_, metric)| metric)
            .filter(|metric| metric.unit == Unit::Attempts)
            .collect();
        let attempts: u64 = counted.iter().map(|metric| metric.attempts).sum();
        let failures: u64 = metrics(result).map(|(_, metric)| metric.failures).sum();
        writeln!(
            text,
            "| {} | {} | {attempts} | {failures} | {} | {} | {} |",
            result.suite.name(),
            result.suite.summary(),
            result.verdict(),
            result.date.split('T').next().unwrap_or_default(),
            result.commit,
        )?;
    }
    Ok(())
}

fn write_metrics(text: &mut String, results: &[SuiteResult]) -> std::fmt::Result {
    writeln!(
        text,
        "\n| suite | metric | attempts | failures | command |\n|---|---|---|---|---|"
    )?;
    for result in results {
        let suite = result.suite.name();
        for (command, metric) in metrics(result) {
            let Metric {
                name,
                attempts,
                failures,
                ..
            } = metric;
            writeln!(
                text,
                "| {suite} | {name} | {attempts} | {failures} | `{command}` |"
            )?;
        }
    }
    Ok(())
}

fn metrics(result: &SuiteResult) -> impl Iterator<Item = (&str, &Metric)> {
    let commands = result.commands.iter();
    commands.flat_map(|command| {
        let metrics = command.metrics.iter();
        metrics.map(|metric| (command.command.as_str(), metric))
    })
}

#[cfg(test)]
mod tests {
    use super::super::command::CommandResult;
    use super::super::suite::Suite;
    use super::*;

    #[test]
    fn a_suite_sums_its_attempts_but_not_bytes() {
        let metrics = [
            "metric | notices | 20 | 1",
            "metric | crashes | 14 | 0",
            "metric | bytes searched | 5000 bytes | 2",
        ];
        let metrics = metrics.map(|line| line.parse().unwrap()).to_vec();
        let result = SuiteResult {
            suite: Suite::Streams,
            date: "2026-11-30T12:00:00Z".into(),
            commit: "0820e58".into(),
            seconds: 3,
            passed: false,
            commands: vec![CommandResult::new("cargo streams".into(), true, metrics)],
        };
        let text = markdown(&[result], &["load".into()]);
        for row in [
            "| 34 | 3 | failed | 2026-11-30 | 0820e58 |\n",
            "| streams | notices | 20 | 1 | `cargo streams` |\n",
            "| streams | bytes searched | 5000 | 2 | `cargo streams` |\n",
            "\nNo result yet: load.\n",
        ] {
            assert!(text.contains(row), "{row} in {text}");
        }
    }
}
