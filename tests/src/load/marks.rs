//! Latencies of the requests, and resource usage of the processes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// Latencies by route, measured at the client, including the wait for an idle process.
#[derive(Debug, Default)]
pub struct Marks(Mutex<BTreeMap<String, Vec<Duration>>>);

impl Marks {
    /// Records the latency of one request.
    pub fn note(&self, route: &str, took: Duration) {
        let mut all = self.0.lock().unwrap();
        all.entry(route.to_owned()).or_default().push(took);
    }

    /// The latencies of all requests.
    #[must_use]
    pub fn all(&self) -> Latencies {
        let all = self.0.lock().unwrap();
        Latencies::of(all.values().flatten().copied().collect())
    }

    /// The latencies of each route.
    #[must_use]
    pub fn by_route(&self) -> BTreeMap<String, Latencies> {
        let all = self.0.lock().unwrap();
        let routes = all.iter();
        routes
            .map(|(route, times)| (route.clone(), Latencies::of(times.clone())))
            .collect()
    }
}

/// Sorted latencies.
#[derive(Debug)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The number of latencies.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// The latency that `percent` of the requests do not exceed.
    #[must_use]
    pub fn at(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let place = (self.0.len() * percent / 100).min(last);
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| self.at(percent).as_millis());
        write!(f, "p50 {p50} ms, p95 {p95} ms, p99 {p99} ms")
    }
}

/// Resident memory of a process.
#[must_use]
pub fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// The processor time of a process, in seconds.
#[must_use]
pub fn cpu_s(pid: u32) -> f64 {
    /// Linux counts in hundredths of a second on every supported machine.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may contain spaces.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_A_SECOND
}
