//! Medians and spreads of repeated measurements.

use std::time::Duration;

/// Repeated measurements of one quantity, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds a measurement.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1_000.0);
    }

    /// The number of measurements.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The median, in milliseconds.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// A percentile, in milliseconds. 0 without measurements.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        let place = (last * percent + 50) / 100;
        sorted.get(place).copied().unwrap_or_default()
    }

    /// Half the distance between the quartiles, in per cent of the median: how far the middle half of the measurements is
    /// spread.
    #[must_use]
    pub fn spread_percent(&self) -> f64 {
        let half = (self.percentile(75) - self.percentile(25)) / 2.0;
        100.0 * half / self.median()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_measurements() {
        let mut samples = Samples::default();
        for ms in [5, 1, 3, 2, 4] {
            samples.add(Duration::from_millis(ms));
        }
        assert_eq!(samples.count(), 5);
        assert!((samples.median() - 3.0).abs() < 1e-9);
        assert!((samples.percentile(100) - 5.0).abs() < 1e-9);
        assert!((samples.spread_percent() - 100.0 / 3.0).abs() < 1e-9);
        assert!(Samples::default().median().abs() < 1e-9);
    }
}
