//! 64 clients on release processes, several per function.

use super::build::Built;
use crate::load::{self, CLIENTS};
use crate::processes::{Options, Processes};
use std::time::Duration;

/// The duration of the load.
const TIME: Duration = Duration::from_secs(30);
/// The maximum number of processes of a function, so that clients wait for a processor and not for a process.
const PROCESSES: usize = 16;

/// The figures of the load.
pub struct Run {
    /// Requests per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The functions' processor time per request, in milliseconds.
    pub cpu_ms: f64,
    /// The processor time of clients, system and dynoxide per request, in milliseconds.
    pub own_cpu_ms: f64,
    /// 5xx, wrong replies and lost events.
    pub failures: Vec<String>,
}

/// Runs the load.
pub async fn run(built: &Built) -> Run {
    let system = Processes::with(Options {
        at_most: |_| PROCESSES,
        uncounted: true,
        binaries: built.binaries(),
        ..Options::default()
    })
    .await;
    let load = load::run(system, TIME).await;
    let all = load.marks.all();
    let requests = all.count() as f64;
    let ms = |percent| all.at(percent).as_secs_f64() * 1_000.0;
    Run {
        rate: load.rate(),
        p50_ms: ms(50),
        p99_ms: ms(99),
        cpu_ms: load.functions_cpu_s * 1_000.0 / requests,
        own_cpu_ms: load.own_cpu_s * 1_000.0 / requests,
        failures: load.wrong.into_iter().chain(load.lost).collect(),
    }
}

impl Run {
    /// The figures as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut text = format!(
            "load: {CLIENTS} clients, {:.0} requests a second, {:.0} a core; p50 {:.0} ms, p99 {:.0} ms; processor time a \
             request: functions {:.2} ms, clients, host and services {:.2} ms\n",
            self.rate,
            self.rate / cores as f64,
            self.p50_ms,
            self.p99_ms,
            self.cpu_ms,
            self.own_cpu_ms
        );
        for failure in &self.failures {
            text.push_str(failure);
            text.push('\n');
        }
        text
    }
}
