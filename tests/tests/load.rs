//! 64 concurrent clients over real processes. Afterwards the table must contain every acknowledged event exactly once, and
//! nothing else.
//!
//! `LOAD_S` sets the duration in seconds; the default is short, for CI. The functions are those of the dev build.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)] // the measurements are the output

use std::time::Duration;
use tests::load::{self, CLIENTS, Load};
use tests::metrics::metric;
use tests::processes::{Options, Processes};

/// The duration without `LOAD_S`.
const SECONDS: u64 = 10;
/// The maximum growth of a process after warm-up. The allocator's reserve for the largest request stays below it; a leak of a
/// few hundred bytes per request exceeds it in two minutes.
const GROWTH_MAX_KIB: u64 = 2 * 1024;

/// The maximum number of processes per function.
fn processes(function: &str) -> usize {
    match function {
        "verification" => 4,
        "cooldown-cleanup" => 1,
        _ => 2,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_of_64_clients_loses_nothing() {
    let given = std::env::var("LOAD_S").ok();
    let seconds = given.map_or(SECONDS, |text| text.parse().unwrap());
    let options = Options {
        at_most: processes,
        uncounted: true,
        ..Options::default()
    };
    let system = Processes::with(options).await;
    let load = load::run(system, Duration::from_secs(seconds)).await;
    let most = load.growth_kib.last().cloned().unwrap_or_default();
    let too_large = load.growth_kib.iter();
    let too_large = too_large.filter(|(grown, _)| *grown > GROWTH_MAX_KIB);

    print_run(&load);
    println!(
        "memory: {} grew most since warm-up, by {} KiB, of {} processes; {} clean-ups",
        most.1,
        most.0,
        load.growth_kib.len(),
        load.clean_ups
    );
    let row = |what: &str| format!("load, {CLIENTS} clients for {seconds} s: {what}");
    metric(
        &row("requests; 5xx or wrong replies"),
        load.marks.all().count(),
        load.wrong.len(),
    );
    metric(
        &row("acknowledged transitions; not in the table exactly once"),
        load.transitions,
        load.lost.len(),
    );
    metric(
        &row("processes; memory grown by more than two MiB"),
        load.growth_kib.len(),
        too_large.count(),
    );
    let failures: Vec<String> = load.wrong.into_iter().chain(load.lost).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(most.0 <= GROWTH_MAX_KIB, "{:?}", load.growth_kib);
}

fn print_run(load: &Load) {
    let (all, lock) = (load.marks.all(), load.lock.all());
    println!(
        "\nload: {} requests in {:.1} s, {:.0} a second; {all}",
        all.count(),
        load.took.as_secs_f64(),
        load.rate()
    );
    for (route, latencies) in load.marks.by_route() {
        println!("  {route}: {} times, {latencies}", latencies.count());
    }
    println!(
        "processor time: the functions {:.1} s; clients, system and dynoxide, in one process, {:.1} s",
        load.functions_cpu_s, load.own_cpu_s
    );
    // A request takes the lock three times, and its reply waits for all of them.
    let limits = 3 * lock.median() > all.median() / 2;
    let verdict = if limits {
        "it limits"
    } else {
        "it does not limit"
    };
    println!("waits for dynoxide's lock: {lock}; {verdict} this run");
}
