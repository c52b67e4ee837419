//! 64 concurrent clients over real `bootstrap` processes, several per function, and a real DynamoDB API. Afterwards the table
//! must contain every acknowledged event exactly once, and nothing else.
//!
//! `LOAD_S` sets the duration in seconds; the default is short, for CI. The metrics of a machine with two processors show the
//! distribution of the work and the absence of losses, not the performance on AWS: there, each function has its own processor
//! and the table is not a single thread. Here dynoxide takes one lock for every call (SQLite in memory, one connection),
//! clients and system share a process, and the build is not optimised.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)] // the measurements are the output

mod client;
mod marks;

use application::ports::{ListRebinds as _, LoadMerchant as _, Selector};
use application::serve::wall_clock;
use client::{Acknowledging, Client, card};
use marks::{Marks, cpu_s, memory_kib};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::merchant::Profile;
use tests::metrics::metric;
use tests::processes::template::{BANK_TABLE, TABLE};
use tests::processes::{Options, Outcome, Processes};
use tests::transport::{Clock, freeze_code_in};

const CLIENTS: u32 = 64;
/// The duration without `LOAD_S`.
const SECONDS: u64 = 10;
/// The maximum growth of a process after warm-up. The allocator's reserve for the largest request stays below it; a leak of a
/// few hundred bytes per request exceeds it in two minutes.
const GROWTH_MAX_KIB: u64 = 2 * 1024;
/// The label of the waits for the table's lock.
const LOCK: &str = "lock";
/// The events that the clean-up writes.
const CLEAN_UP: [&str; 4] = [
    "completed",
    "card_removed",
    "cooldown_ended",
    "settlement_applied",
];
/// Written beside a login or a notification, which acknowledge nothing else.
const BESIDE: [&str; 2] = ["device_added", "change_notified"];

/// The maximum number of processes per function.
fn processes(function: &str) -> usize {
    match function {
        "verification" => 4,
        "cooldown-cleanup" => 1,
        _ => 2,
    }
}

/// The counters that the clean-up reports.
#[derive(Default)]
struct CleanedUp {
    runs: u32,
    transitions: u64,
    wrong: Vec<String>,
}

/// Runs the clean-up at the slowest merchant's clock until the clients are done, so that no state expires early for any
/// merchant.
async fn clean_up(system: Arc<Processes>, clocks: Vec<Clock>, deadline: Instant) -> CleanedUp {
    let mut done = CleanedUp::default();
    while Instant::now() < deadline {
        let now = clocks.iter().map(Clock::now).min().unwrap();
        let run = json!({"time": now.to_rfc3339_shanghai()});
        match system.run("cooldown-cleanup", &run).await {
            Outcome::Answered(summary) if summary["failed"] == 0 => {
                let count = |name: &str| summary[name].as_u64().unwrap();
                done.transitions += count("completed")
                    + count("cards_removed")
                    + count("cooldowns_ended")
                    + count("settlements_applied");
            }
            other => done.wrong.push(format!("the clean-up: {other:?}")),
        }
        done.runs += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    done
}

/// The memory of each process, in KiB.
fn memory(system: &Processes) -> BTreeMap<String, u64> {
    let running = system.running().into_iter();
    running.map(|(name, pid)| (name, memory_kib(pid))).collect()
}

/// The violations in a merchant's history, cards or notifications, given the acknowledged events.
async fn lost_of(system: &Processes, client: &Client) -> Result<u64, String> {
    let merchant = client.profile.merchant_id();
    let events = system.cloud.history(&merchant).await?;
    let kinds = events.iter().map(|event| event.kind().as_str());
    let kinds = kinds.filter(|kind| !BESIDE.contains(kind));
    let (cleaned, kinds): (Vec<&str>, Vec<&str>) = kinds.partition(|kind| CLEAN_UP.contains(kind));
    let acknowledged = client.way.acknowledged();
    if kinds != acknowledged {
        return Err(format!(
            "{merchant}: acknowledged {acknowledged:?}, written {kinds:?}"
        ));
    }
    let count = |wanted: &str| kinds.iter().filter(|kind| **kind == wanted).count();
    let store = system.cloud.store();
    let state = store
        .load(&merchant, Selector::Latest)
        .await
        .unwrap()
        .unwrap()
        .state;
    let rebinds = store.list(&merchant, None, 255).await.unwrap();
    let activated_card = rebinds.iter().filter(|rebind| {
        let card = &rebind.new_card.card_id;
        state
            .active
            .as_ref()
            .is_some_and(|active| active.card.card_id == *card)
    });
    if activated_card.count() != usize::from(count("activated") > 0) {
        return Err(format!("{merchant}: not exactly one active card"));
    }
    // A client that stopped between a change and its notification still has one pending.
    let announced = count("activated") + count("standby_ready") + count("settlement_changed");
    let texts = system.cloud.texts.to(&client.profile.phone);
    let sent = texts
        .iter()
        .filter(|text| freeze_code_in(text).is_some())
        .count();
    if sent > announced || sent + 1 < announced {
        return Err(format!(
            "{merchant}: {announced} notifications expected, {sent} sent"
        ));
    }
    Ok(cleaned.len() as u64)
}

/// Makes a small request to the table ten times a second, bypassing HTTP. Its latency is the wait for the lock.
async fn wait_for_the_table(system: Arc<Processes>, marks: Arc<Marks>, deadline: Instant) {
    while Instant::now() < deadline {
        let database = system.cloud.database.clone();
        let asked = move || {
            let get = json!({"TableName": TABLE, "Key": {"pk": {"S": "-"}, "sk": {"S": "-"}}});
            let get = serde_json::from_value(get).unwrap();
            let started = Instant::now();
            database.get_item(get).unwrap();
            started.elapsed()
        };
        marks.note(LOCK, tokio::task::spawn_blocking(asked).await.unwrap());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_of_64_clients_loses_nothing() {
    let given = std::env::var("LOAD_S").ok();
    let seconds = given.map_or(SECONDS, |text| text.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let options = Options {
        at_most: processes,
        uncounted: true,
        ..Options::default()
    };
    let system = Arc::new(Processes::with(options).await);
    let begins = wall_clock();
    let merchants: Vec<_> = (1..=CLIENTS)
        .map(|number| Profile::new("load", number, &card(number, 0), &json!({})))
        .collect();
    let seeded = merchants.iter().map(|(_, described)| {
        let (system, described) = (Arc::clone(&system), described.clone());
        tokio::spawn(async move { system.cloud.seed(&described, begins).await })
    });
    for seeded in futures::future::join_all(seeded).await {
        seeded.unwrap();
    }
    let (marks, table) = (Arc::new(Marks::default()), Arc::new(Marks::default()));
    let started = Instant::now();
    let deadline = started + time;
    let clocks: Vec<Clock> = merchants.iter().map(|one| one.0.clock.clone()).collect();
    let clients = (1..).zip(merchants).map(|(number, (profile, _))| {
        profile.set_clock(begins);
        let (system, marks) = (Arc::clone(&system), Arc::clone(&marks));
        let way = Acknowledging::new(system, marks, number, deadline);
        tokio::spawn(Client::new(way, profile, number).run())
    });
    let clients: Vec<_> = clients.collect();
    let cleaner = tokio::spawn(clean_up(Arc::clone(&system), clocks, deadline));
    let prober = wait_for_the_table(Arc::clone(&system), Arc::clone(&table), deadline);
    let prober = tokio::spawn(prober);
    // By then every process has served each kind of its requests.
    tokio::time::sleep(time / 3).await;
    let warm = memory(&system);
    let clients = futures::future::join_all(clients).await;
    let cleaned = cleaner.await.unwrap();
    prober.await.unwrap();
    let took = started.elapsed();
    let end = memory(&system);

    let mut wrong = cleaned.wrong;
    let mut lost = Vec::new();
    let (mut transitions, mut by_clean_up, mut tested) = (0, 0, 0);
    for ended in clients {
        let client = match ended {
            Ok(client) => client,
            Err(stopped) => {
                wrong.push(stopped.to_string());
                continue;
            }
        };
        let acknowledged = client.way.acknowledged();
        transitions += acknowledged.len() as u64;
        let tests = acknowledged.iter();
        tested += tests
            .filter(|kind| **kind == "test_transfer_succeeded")
            .count();
        match lost_of(&system, &client).await {
            Ok(cleaned) => by_clean_up += cleaned,
            Err(what) => lost.push(what),
        }
    }
    if by_clean_up != cleaned.transitions {
        let reported = cleaned.transitions;
        lost.push(format!(
            "the clean-up reported {reported} transitions and wrote {by_clean_up}"
        ));
    }
    let transfers = transfers(&system);
    if transfers != tested {
        lost.push(format!("{tested} test transfers, {transfers} at the bank"));
    }
    let growth = warm.iter().map(|(name, warm)| {
        let grown = end
            .get(name)
            .map_or(u64::MAX, |end| end.saturating_sub(*warm));
        (grown, name.as_str())
    });
    let mut growth: Vec<(u64, &str)> = growth.collect();
    growth.sort_unstable();
    let most = growth.last().copied().unwrap_or_default();
    let too_large = growth.iter().filter(|(grown, _)| *grown > GROWTH_MAX_KIB);

    print_run(&system, &marks, &table, took);
    println!(
        "memory: {} grew most since warm-up, by {} KiB, of {} processes; {} clean-ups",
        most.1,
        most.0,
        growth.len(),
        cleaned.runs
    );
    let row = |what: &str| format!("load, {CLIENTS} clients for {seconds} s: {what}");
    let all = marks.all();
    metric(
        &row("requests; 5xx or wrong replies"),
        all.count(),
        wrong.len(),
    );
    let transitions = transitions + cleaned.transitions;
    metric(
        &row("acknowledged transitions; not in the table exactly once"),
        transitions,
        lost.len(),
    );
    metric(
        &row("processes; memory grown by more than two MiB"),
        growth.len(),
        too_large.count(),
    );
    wrong.extend(lost);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(most.0 <= GROWTH_MAX_KIB, "{growth:?}");
}

/// The transfers in the bank's own table.
fn transfers(system: &Processes) -> usize {
    let is_transfer = |item: &&serde_json::Value| {
        let sk = item["sk"]["S"].as_str();
        sk.is_some_and(|sk| sk.starts_with("TRANSFER#"))
    };
    system
        .cloud
        .items(BANK_TABLE)
        .iter()
        .filter(is_transfer)
        .count()
}

fn print_run(system: &Processes, marks: &Marks, table: &Marks, took: Duration) {
    let (all, lock) = (marks.all(), table.all());
    println!(
        "\nload: {} requests in {:.1} s, {:.0} a second; {all}",
        all.count(),
        took.as_secs_f64(),
        all.count() as f64 / took.as_secs_f64()
    );
    for (route, latencies) in marks.by_route() {
        println!("  {route}: {} times, {latencies}", latencies.count());
    }
    let functions: f64 = system.running().values().map(|pid| cpu_s(*pid)).sum();
    let own = cpu_s(std::process::id());
    println!(
        "processor time: the functions {functions:.1} s; clients, system and dynoxide, in one process, {own:.1} s"
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
