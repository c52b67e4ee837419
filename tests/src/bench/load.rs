//! 64 clients on release processes, several per function.

use super::build::Built;
use crate::load::marks::Latencies;
use crate::load::{self, CLIENTS};
use crate::processes::{Options, Processes};
use std::fmt::Write as _;
use std::time::Duration;

/// The duration of the load.
const TIME: Duration = Duration::from_secs(30);
/// The maximum number of processes of a function, so that clients wait for a processor and not for a process.
const PROCESSES: usize = 16;
/// The requests of a route below which a percentile is noise.
const REQUESTS_MIN: usize = 200;

/// The figures of the load.
pub struct Run {
    /// Requests per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// Each route with enough requests: its median and 99th percentile in milliseconds.
    pub routes: Vec<(String, f64, f64)>,
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
    let ms = |latencies: &Latencies, percent| latencies.at(percent).as_secs_f64() * 1_000.0;
    let routes = load.marks.by_route().into_iter();
    let routes = routes.filter(|(_, latencies)| latencies.count() >= REQUESTS_MIN);
    Run {
        rate: load.rate(),
        p50_ms: ms(&all, 50),
        p99_ms: ms(&all, 99),
        routes: routes
            .map(|(route, one)| (route, ms(&one, 50), ms(&one, 99)))
            .collect(),
        cpu_ms: load.functions_cpu_s * 1_000.0 / requests,
        own_cpu_ms: load.own_cpu_s * 1_000.0 / requests,
        failures: load.wrong.into_iter().chain(load.lost).collect(),
    }
}

impl Run {
    /// The largest 99th percentile of a route in relation to its median.
    #[must_use]
    pub fn longest_tail(&self) -> f64 {
        let tails = self
            .routes
            .iter()
            .map(|(_, p50_ms, p99_ms)| p99_ms / p50_ms);
        tails.fold(0.0, f64::max)
    }

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
        for (route, p50_ms, p99_ms) in &self.routes {
            let _ = writeln!(
                text,
                "{route:<44} p50 {p50_ms:>6.0} ms, p99 {p99_ms:>6.0} ms"
            );
        }
        for failure in &self.failures {
            text.push_str(failure);
            text.push('\n');
        }
        text
    }
}
