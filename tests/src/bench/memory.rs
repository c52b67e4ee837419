//! What a function's memory size means for its speed and price. Lambda grants processor time in proportion to memory.

use super::Row;
use local::prices::Prices;
use std::fmt::Write as _;

/// The memory that comes with one processor, in MB.
const ONE_PROCESSOR_MB: f64 = 1_769.0;
/// The compared sizes, in MB.
const SIZES_MB: [f64; 5] = [128.0, 256.0, 512.0, 1_024.0, ONE_PROCESSOR_MB];

/// The duration of a warm call with this much memory, in milliseconds: the processor time grows as its share shrinks, and the
/// waits for services stay.
fn duration_ms(call_ms: f64, cpu_ms: f64, memory_mb: f64) -> f64 {
    let slower = (ONE_PROCESSOR_MB / memory_mb).max(1.0);
    (call_ms - cpu_ms).max(0.0) + cpu_ms * slower
}

/// Milliseconds of a warm call, and dollars a million of them, for each size.
#[must_use]
pub fn table<'r>(rows: impl Iterator<Item = (&'r Row, String)>, prices: &Prices) -> String {
    let mut text = format!("{:<22} {:<16}", "ms, $ a million, by MB", "processor ms");
    for size in SIZES_MB {
        let _ = write!(text, " {size:>13.0}");
    }
    text.push('\n');
    for (row, step) in rows {
        let (call_ms, cpu_ms) = (row.warm.call.median(), row.warm.cpu_ms);
        let _ = write!(text, "{:<22} {step:<11} {cpu_ms:>4.1}", row.name);
        for size in SIZES_MB {
            let ms = duration_ms(call_ms, cpu_ms, size);
            let gb_seconds = ms / 1_000.0 * size / 1_024.0;
            let dollars = gb_seconds * prices.per_million.lambda_gb_second_arm64;
            let _ = write!(text, " {ms:>6.0} {dollars:>6.2}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processor_time_depends_on_memory() {
        assert!((duration_ms(5.0, 2.0, 1_769.0) - 5.0).abs() < 1e-9);
        assert!((duration_ms(5.0, 2.0, 3_538.0) - 5.0).abs() < 1e-9);
        assert!((duration_ms(5.0, 2.0, 884.5) - 7.0).abs() < 1e-9);
    }
}
