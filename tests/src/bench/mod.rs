//! The benchmark behind `cargo local bench`: the release functions as processes on the host of [`crate::processes`], with all
//! services behind TLS, beside floors that no function can beat and peers in other languages.
//!
//! - [`build`]: the functions, the floors (`tests/bench/floors`) and the peers (`tests/bench/peers`)
//! - [`scene`]: the measured steps; [`measure`]: cold starts and warm calls, in turn
//! - [`budgets`]: the limits and how they stand
//!
//! Times are medians, compared within one run only: machines differ, and so do their moods.

pub mod budgets;
pub mod build;
pub mod clean_up;
pub mod contract;
pub mod instructions;
pub mod measure;
pub mod peers;
pub mod process_stats;
pub mod scene;
pub mod stats;

use crate::processes::tls::LocalTls;
use crate::processes::{Options, Processes};
use build::{Built, PUT_ITEM, before_name, peer_name};
use measure::{Candidate, Cold, Warm};
use scene::Moment;

/// Prints a line of progress.
#[allow(clippy::print_stderr)] // standard output has the results
fn say(line: &str) {
    eprintln!("{line}");
}

/// How long the benchmark measures, and what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Cold starts of each candidate.
    pub cold_runs: usize,
    /// Warm calls of each candidate.
    pub warm_runs: usize,
    /// The functions; empty for all.
    pub only: Vec<String>,
}

/// A candidate with its results.
pub struct Row {
    /// Its name.
    pub name: String,
    /// The place of its step.
    pub place: usize,
    /// Its cold starts.
    pub cold: Cold,
    /// Its warm calls.
    pub warm: Warm,
    /// The median of the floor that sends the step's requests.
    pub replay_ms: f64,
}

/// Starts the host with everything that was built.
pub async fn host(built: &Built) -> Processes {
    let released = built.packages.iter();
    let released = released.map(|package| (package.function.clone(), package.binary.clone()));
    Processes::with(Options {
        tls: Some(LocalTls::create(&build::folder())),
        binaries: released.collect(),
        variants: built.variants(),
        ..Options::default()
    })
    .await
}

/// Measures all steps. Returns the rows and the cold starts of the PutItem floor.
pub async fn steps(
    system: &Processes,
    built: &Built,
    plan: &Plan,
    moments: &[Moment],
) -> (Vec<Row>, Cold) {
    let is_chosen = |moment: &&Moment| plan.only.is_empty() || plan.only.contains(&moment.function);
    let mut candidates = Vec::new();
    let mut groups = Vec::new();
    for (place, moment) in moments
        .iter()
        .enumerate()
        .filter(|(_, moment)| is_chosen(moment))
    {
        let own = std::iter::once(moment.function.clone());
        let peers = built.peers.iter().filter(|peer| {
            peer.function == moment.function && scene::PEER_STEPS.contains(&moment.step)
        });
        let before = built.before.iter().map(|_| before_name(&moment.function));
        let group: Vec<Candidate> = own
            .chain(before)
            .chain(peers.map(peer_name))
            .map(|name| Candidate { name, moment })
            .collect();
        candidates.extend(group.iter().cloned());
        groups.push((place, group));
    }
    candidates.push(Candidate {
        name: PUT_ITEM.to_owned(),
        moment: &moments[0],
    });
    let mut cold = measure::cold(system, &candidates, plan.cold_runs).await;
    let floor = cold.pop().unwrap();
    let mut cold = cold.into_iter();
    let mut rows = Vec::new();
    for (place, group) in groups {
        let mut warm = measure::warm(system, &group, plan.warm_runs).await;
        let replay = warm.pop().unwrap();
        for (candidate, warm) in group.into_iter().zip(warm) {
            rows.push(Row {
                name: candidate.name,
                place,
                cold: cold.next().unwrap(),
                warm,
                replay_ms: replay.call.median(),
            });
        }
    }
    (rows, floor)
}
