//! The metrics of a suite. Each is one line on standard output, which `cargo local stress` collects.

use local::stress::{Metric, Unit};

/// Prints a metric: how many attempts were made, and how many of them failed.
///
/// # Panics
/// If a number is negative.
pub fn metric(name: &str, attempts: impl TryInto<u64>, failures: impl TryInto<u64>) {
    print(name, attempts, Unit::Attempts, failures);
}

/// Prints a metric whose attempts are bytes that were searched.
///
/// # Panics
/// If a number is negative.
pub fn metric_in_bytes(name: &str, bytes: impl TryInto<u64>, failures: impl TryInto<u64>) {
    print(name, bytes, Unit::Bytes, failures);
}

#[allow(clippy::print_stdout)] // a metric is the output of a suite
fn print(name: &str, attempts: impl TryInto<u64>, unit: Unit, failures: impl TryInto<u64>) {
    let metric = Metric {
        name: name.to_owned(),
        attempts: attempts.try_into().ok().unwrap(),
        unit,
        failures: failures.try_into().ok().unwrap(),
    };
    // The test harness prints a test's name without a line break, so begin a new line.
    println!("\n{metric}");
}
