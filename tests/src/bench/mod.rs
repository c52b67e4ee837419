//! The benchmark behind `cargo local bench`: the release functions as processes on the host of [`crate::processes`], with all
//! services behind TLS, beside floors that no function can beat and peers in other languages.
//!
//! - [`build`]: the functions, the floors (`tests/bench/floors`) and the peers (`tests/bench/peers`)
//! - [`scene`]: the measured steps; [`measure`]: cold starts and warm calls, in turn
//! - [`capacity`]: what a large acquirer needs
//! - [`clean_up`]: what the clean-up costs among many merchants; [`instructions`]: counts that do not depend on the machine
//! - [`contract`]: the peers do what the product does
//! - [`load`]: many clients at once
//! - [`memory`]: what a memory size costs
//! - [`throttled`]: first calls with a seventh of a processor
//! - [`report`]: the tables; [`budgets`]: the limits and how they stand; [`plot`]: the picture
//!
//! Times are medians, compared within one run only: machines differ, and so do their moods.

pub mod budgets;
pub mod build;
pub mod capacity;
pub mod clean_up;
pub mod contract;
pub mod instructions;
pub mod load;
pub mod measure;
pub mod memory;
pub mod peers;
pub mod plot;
pub mod process_stats;
pub mod report;
pub mod scene;
pub mod stats;
pub mod throttled;

use crate::processes::tls::LocalTls;
use crate::processes::{Options, Processes};
use budgets::Verdict;
use build::{Built, PUT_ITEM, before_name, peer_name};
use local::bench::Plan;
use local::prices::Prices;
use measure::{Candidate, Cold, Warm};
use report::Results;
use scene::{Moment, Scene};

/// Prints a line of progress.
#[allow(clippy::print_stderr)] // standard output has the results
fn say(line: &str) {
    eprintln!("{line}");
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
    Processes::with(Options {
        tls: Some(LocalTls::create(&build::folder())),
        binaries: built.binaries(),
        variants: built.variants(),
        ..Options::default()
    })
    .await
}

/// The function that makes one TLS PutItem and nothing else.
pub struct Floor {
    /// Its cold starts.
    pub cold: Cold,
    /// Its warm calls.
    pub warm: Warm,
}

/// Measures all steps. Returns the rows and the PutItem floor.
pub async fn steps(
    system: &Processes,
    built: &Built,
    plan: &Plan,
    moments: &[Moment],
) -> (Vec<Row>, Floor) {
    let is_chosen =
        |moment: &&Moment| plan.functions.is_empty() || plan.functions.contains(&moment.function);
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
        let ours = own.chain(before).map(|name| (name, false));
        let group: Vec<Candidate> = ours
            .chain(peers.map(|peer| (peer_name(peer), true)))
            .map(|(name, is_peer)| Candidate {
                name,
                moment,
                is_peer,
            })
            .collect();
        candidates.extend(group.iter().cloned());
        groups.push((place, group));
    }
    candidates.push(Candidate {
        name: PUT_ITEM.to_owned(),
        moment: &moments[0],
        is_peer: false,
    });
    let mut cold = measure::cold(system, &candidates, plan.cold_runs).await;
    let put_item = candidates.split_off(candidates.len() - 1);
    let floor = Floor {
        cold: cold.pop().unwrap(),
        warm: measure::warm(system, &put_item, plan.warm_runs)
            .await
            .swap_remove(0),
    };
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

/// The numbers of stored merchants among which the clean-up runs.
const STORED: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Runs the benchmark and prints its tables. Returns the broken budgets.
///
/// # Errors
/// When something does not build, or a result cannot be written.
#[allow(clippy::print_stdout)] // the result of a command-line tool
pub async fn run(plan: &Plan) -> Result<usize, String> {
    let mut built = build::all(&plan.functions)?;
    built.before.clone_from(&plan.before);
    say("checking the peers against the contract");
    contract::check_peers(&built.peers).await;
    let system = host(&built).await;
    let Scene {
        moments,
        empty,
        after,
        uses,
    } = scene::walk(&system).await;
    say("measuring");
    let (rows, floor) = steps(&system, &built, plan, &moments).await;
    let own: Vec<Candidate> = rows
        .iter()
        .filter(|row| row.name == moments[row.place].function)
        .map(|row| Candidate {
            name: row.name.clone(),
            moment: &moments[row.place],
            is_peer: false,
        })
        .collect();
    let throttled = throttled::run(&system, &own).await;
    let (mut runs, mut load) = (Vec::new(), None);
    if plan.functions.is_empty() {
        say("the load");
        load = Some(load::run(&built).await);
        for stored in STORED {
            say(&format!("the clean-up among {stored} merchants"));
            runs.push(clean_up::run(&built, stored).await);
        }
    }
    let results = Results {
        built: &built,
        moments: &moments,
        floor: &floor,
        rows: &rows,
        throttled: &throttled,
        clean_up: &runs,
        load: load.as_ref(),
    };
    let budgets = results.budgets();
    let prices = Prices::load().map_err(|error| error.to_string())?;
    let mut tables = vec![
        format!(
            "Milliseconds: medians of {} cold starts and {} warm calls. `cold` is init and first call; `floor` is cold in \
             relation to one PutItem, `replay` is p50 in relation to the step's own requests.",
            plan.cold_runs, plan.warm_runs
        ),
        results.times(),
        results.usage(),
        results.throttled(),
        memory::table(results.named(), &prices),
        results.sizes(),
    ];
    if let Some(load) = &load {
        tables.push(load.table());
        tables.push(results.clean_up());
        tables.push(capacity::table(empty, after, uses, &prices));
    }
    tables.push(budgets::table(&budgets));
    println!("{}", tables.join("\n"));
    print!("{}", results.changes());
    if plan.write {
        plot::write(&results, &tables)?;
    }
    let broken = budgets
        .iter()
        .filter(|budget| budget.verdict() == Verdict::Broken);
    Ok(broken.count())
}
