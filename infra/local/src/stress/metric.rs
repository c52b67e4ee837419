//! One number that a suite prints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The first word of a metric's line, to tell it from all other output of a suite.
const MARK: &str = "metric";
const SEPARATOR: &str = " | ";
const BYTES: &str = " bytes";

/// How many attempts of one kind a suite made, and how many of them failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// The name of the attempt.
    pub name: String,
    /// How often.
    pub attempts: u64,
    /// The unit of `attempts`.
    pub unit: Unit,
    /// How many attempts failed.
    pub failures: u64,
}

/// The unit of a metric. Numbers of different units are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Attempts.
    Attempts,
    /// Bytes searched for secrets.
    Bytes,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            attempts,
            unit,
            failures,
        } = self;
        let unit = match unit {
            Unit::Attempts => "",
            Unit::Bytes => BYTES,
        };
        write!(
            f,
            "{MARK}{SEPARATOR}{name}{SEPARATOR}{attempts}{unit}{SEPARATOR}{failures}"
        )
    }
}

/// A line that is not a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMetric;

impl FromStr for Metric {
    type Err = NotAMetric;

    fn from_str(line: &str) -> Result<Self, NotAMetric> {
        let cells: Vec<&str> = line.trim_end().split(SEPARATOR).collect();
        let [MARK, name, attempts, failures] = cells.as_slice() else {
            return Err(NotAMetric);
        };
        let (attempts, unit) = match attempts.strip_suffix(BYTES) {
            Some(bytes) => (bytes, Unit::Bytes),
            None => (*attempts, Unit::Attempts),
        };
        Ok(Self {
            name: (*name).to_owned(),
            attempts: attempts.parse().map_err(|_| NotAMetric)?,
            unit,
            failures: failures.parse().map_err(|_| NotAMetric)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_survives_its_line() {
        for (unit, line) in [
            (Unit::Attempts, "metric | model: states | 370739 | 2"),
            (Unit::Bytes, "metric | model: states | 370739 bytes | 2"),
        ] {
            let metric = Metric {
                name: "model: states".into(),
                attempts: 370_739,
                unit,
                failures: 2,
            };
            assert_eq!(metric.to_string(), line);
            assert_eq!(line.parse(), Ok(metric));
        }
    }

    #[test]
    fn other_lines_are_not_metrics() {
        for line in [
            "test model ... ok",
            "metric | half",
            "metric | words | many | 0",
            "metric | one | too | many | cells",
        ] {
            assert_eq!(line.parse::<Metric>(), Err(NotAMetric), "{line}");
        }
    }
}
