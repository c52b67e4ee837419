//! Cold and warm measurements. All candidates of a comparison take turns, so that the machine's moods hit them alike.

use super::process_stats::{cpu, peak_mib};
use super::scene::Moment;
use super::stats::Samples;
use crate::processes::Processes;
use crate::processes::traffic::Totals;
use serde_json::{Value, json};
use std::time::Duration;

/// A pause before each cold start, in which the kernel frees the memory of the process before.
const PAUSE: Duration = Duration::from_millis(20);
/// The warm-up calls before a warm measurement.
const WARM_UP: usize = 10;

/// A function or a variant with the step that it runs.
#[derive(Clone)]
pub struct Candidate<'m> {
    /// The name by which the host knows it.
    pub name: String,
    /// The step.
    pub moment: &'m Moment,
    /// True for a peer.
    pub is_peer: bool,
}

impl Candidate<'_> {
    fn restore(&self, system: &Processes) {
        self.moment.restore(system);
    }
}

/// The result of cold starts.
#[derive(Clone, Debug, Default)]
pub struct Cold {
    /// From the start of the process to its request for an event.
    pub init: Samples,
    /// The first call.
    pub first: Samples,
    /// Both, of each run.
    pub total: Samples,
    /// The processor time of both.
    pub cpu: Samples,
    /// The traffic of one cold start.
    pub traffic: Totals,
}

/// Starts each candidate `runs` times, in turn.
pub async fn cold(system: &Processes, candidates: &[Candidate<'_>], runs: usize) -> Vec<Cold> {
    let mut results = vec![Cold::default(); candidates.len()];
    // The peers come last: each displaces much more of the processor's caches.
    let mut turns: Vec<usize> = (0..candidates.len()).collect();
    turns.sort_by_key(|place| candidates[*place].is_peer);
    for _ in 0..runs {
        for place in &turns {
            let (candidate, result) = (&candidates[*place], &mut results[*place]);
            system.end(&candidate.name);
            candidate.restore(system);
            tokio::time::sleep(PAUSE).await;
            let _ = system.cloud.traffic.take();
            let event = &candidate.moment.event;
            let (reply, timing) = system.timed(&candidate.name, event).await;
            check(candidate, &reply);
            let init = timing.init.unwrap();
            result.init.add(init);
            result.first.add(timing.call);
            result.total.add(init + timing.call);
            result.cpu.add(cpu(timing.pid));
            result.traffic = system.cloud.traffic.take();
            system.end(&candidate.name);
        }
    }
    results
}

/// The result of warm calls.
#[derive(Clone, Debug, Default)]
pub struct Warm {
    /// One call.
    pub call: Samples,
    /// The processor time of a call, in milliseconds.
    pub cpu_ms: f64,
    /// The highest resident memory, in MiB.
    pub peak_mib: f64,
    /// The traffic of one call.
    pub traffic: Totals,
}

/// A floor of a warm step: a process that sends the step's own requests and does nothing else.
pub const REPLAY: &str = "floor-replay";

/// Calls each candidate of one step `runs` times, in turn, and the replay floor of the first. The floor is the last result.
pub async fn warm(system: &Processes, candidates: &[Candidate<'_>], runs: usize) -> Vec<Warm> {
    let first = &candidates[0];
    let mut results = vec![Warm::default(); candidates.len() + 1];
    for candidate in candidates {
        system.end(&candidate.name);
    }
    let mut requests = Vec::new();
    let mut started = vec![0.0; results.len()];
    for run in 0..runs + WARM_UP {
        for (place, candidate) in candidates.iter().enumerate() {
            candidate.restore(system);
            let _ = system.cloud.traffic.take();
            if run == WARM_UP && place == 0 {
                system.cloud.traffic.record();
            }
            let event = &candidate.moment.event;
            let (reply, timing) = system.timed(&candidate.name, event).await;
            check(candidate, &reply);
            if run == WARM_UP && place == 0 {
                requests = system.cloud.traffic.recorded();
            }
            note(&mut results[place], &mut started[place], run, &timing);
            results[place].traffic = system.cloud.traffic.take();
        }
        if run >= WARM_UP {
            first.restore(system);
            let event = json!({"groups": [fresh(&requests, run)]});
            let (reply, timing) = system.timed(REPLAY, &event).await;
            assert_eq!(reply["statusCode"], 200, "{reply}");
            let place = candidates.len();
            note(&mut results[place], &mut started[place], run, &timing);
        }
    }
    for (result, started) in results.iter_mut().zip(started) {
        result.cpu_ms = (result.cpu_ms - started) / (result.call.count().max(2) - 1) as f64;
    }
    results
}

/// Notes a warm call, once the process is warm. The processor time is counted from the first noted call.
fn note(result: &mut Warm, started: &mut f64, run: usize, timing: &crate::processes::Timing) {
    if run < WARM_UP {
        return;
    }
    if result.call.count() == 0 {
        *started = cpu(timing.pid).as_secs_f64() * 1_000.0;
    }
    result.call.add(timing.call);
    result.cpu_ms = cpu(timing.pid).as_secs_f64() * 1_000.0;
    result.peak_mib = peak_mib(timing.pid);
}

/// The recorded requests with other idempotency tokens: the table would recognise a repeated transaction and do nothing.
pub(super) fn fresh(requests: &[Value], run: usize) -> Vec<Value> {
    let renewed = requests.iter().map(|request| {
        let mut request = request.clone();
        let body = request["body"].as_str().unwrap();
        let Ok(mut parsed) = serde_json::from_str::<Value>(body) else {
            return request; // a form
        };
        if let Some(token) = parsed.get_mut("ClientRequestToken") {
            let text = token.as_str().unwrap();
            let renewed = format!("{}{run:08}", &text[..text.len() - 8]);
            *token = json!(renewed);
            request["body"] = json!(parsed.to_string());
        }
        request
    });
    renewed.collect()
}

/// Fails when a candidate did not do its work.
fn check(candidate: &Candidate<'_>, reply: &Value) {
    let status = reply["statusCode"].as_u64();
    let is_ok = status.is_none_or(|status| status < 300);
    let failures = reply.get("batchItemFailures");
    let none_failed = failures.is_none_or(|failures| failures == &json!([]));
    assert!(is_ok && none_failed, "{}: {reply}", candidate.name);
}
