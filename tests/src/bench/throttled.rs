//! First calls with as little processor time as Lambda grants a function with 256 MB: a seventh. Initialisation is not
//! throttled on Lambda, and so it is not here.

use super::measure::Candidate;
use crate::processes::Processes;
use crate::walk::Step;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The period of Linux's CPU quota on Lambda's order of magnitude.
const PERIOD: Duration = Duration::from_millis(20);
/// The share of 256 MB of the 1,769 MB that come with one processor.
const SHARE: u32 = 7;

/// A first call under the quota.
#[derive(Clone, Debug)]
pub struct Throttled {
    /// The function.
    pub name: String,
    /// The step.
    pub step: Step,
    /// Its duration.
    pub call: Duration,
    /// False if a limit was exceeded, so that the step failed or did less.
    pub is_complete: bool,
}

/// Makes the first call of a started process of each candidate, one after the other.
pub async fn run(system: &Processes, candidates: &[Candidate<'_>]) -> Vec<Throttled> {
    let mut results = Vec::new();
    for candidate in candidates {
        let moment = candidate.moment;
        system.end(&candidate.name);
        moment.restore(system);
        let quota = Quota::of(system.prepare(&candidate.name).await);
        let (reply, timing) = system.timed(&candidate.name, &moment.event).await;
        drop(quota);
        system.end(&candidate.name);
        results.push(Throttled {
            name: candidate.name.clone(),
            step: moment.step,
            call: timing.call,
            is_complete: is_complete(moment.step, &reply),
        });
    }
    results
}

/// A bank that could not be reached in time leaves a card check without a challenge.
fn is_complete(step: Step, reply: &Value) -> bool {
    let body: Value = serde_json::from_str(reply["body"].as_str().unwrap_or("{}")).unwrap();
    let is_ok = reply["statusCode"]
        .as_u64()
        .is_none_or(|status| status < 300);
    match step {
        Step::CheckCard => is_ok && body["challenge"].is_object(),
        Step::TestTransfer => is_ok && body["status"] == "succeeded",
        Step::CleanUp => reply["failed"] == 0,
        _ => is_ok,
    }
}

/// Stops a process for six sevenths of the time, until it is dropped.
struct Quota {
    pid: Pid,
    task: JoinHandle<()>,
}

impl Quota {
    fn of(pid: u32) -> Self {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let task = tokio::spawn(async move {
            loop {
                // An error means that the process has ended.
                let _ = kill_process(pid, Signal::STOP);
                tokio::time::sleep(PERIOD * (SHARE - 1) / SHARE).await;
                let _ = kill_process(pid, Signal::CONT);
                tokio::time::sleep(PERIOD / SHARE).await;
            }
        });
        Self { pid, task }
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.task.abort();
        let _ = kill_process(self.pid, Signal::CONT);
    }
}
