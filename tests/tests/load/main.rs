//! 64 clients at once over real `bootstrap` processes, several of each function, and a real DynamoDB API. Afterwards the
//! table is asked: is everything that was acknowledged there, once, and nothing else?
//!
//! `LOAD_S` says for how many seconds; without it few, as in CI. The figures of a machine with two processors say how the
//! work is shared out and that nothing is lost, not what AWS would do: there each function has a processor of its own and
//! the table is not one thread. Here dynoxide takes one lock for every call (SQLite in memory, one connection), the clients
//! and the system live in the same process, and all of it is compiled without optimisation.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![allow(clippy::print_stdout)] // what is measured is printed

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
use tests::processes::{Outcome, Processes};
use tests::transport::{Clock, freeze_code_in};

const CLIENTS: u32 = 64;
/// Without `LOAD_S`.
const SECONDS: u64 = 10;
/// What a process may have more at the end than once it was warm. What the allocator keeps of the largest request so far
/// stays below it; a leak of a few hundred bytes a request does not, in two minutes.
const GROWTH_MAX_KIB: u64 = 2 * 1024;
/// What the waits for the table's lock are noted as.
const LOCK: &str = "lock";
/// What the clean-up writes into a history.
const CLEAN_UP: [&str; 3] = ["completed", "card_removed", "cooldown_ended"];

/// How many processes a function has at most.
fn processes(function: &str) -> usize {
    match function {
        "verification" => 4,
        "cooldown-cleanup" => 1,
        _ => 2,
    }
}

/// What the clean-up says that it did.
#[derive(Default)]
struct CleanedUp {
    runs: u32,
    transitions: u64,
    wrong: Vec<String>,
}

/// Runs the clean-up by the slowest merchant's clock until the clients are done: nothing is cut short for anybody.
async fn clean_up(system: Arc<Processes>, clocks: Vec<Clock>, deadline: Instant) -> CleanedUp {
    let mut done = CleanedUp::default();
    while Instant::now() < deadline {
        let now = clocks.iter().map(Clock::now).min().unwrap();
        let run = json!({"time": now.to_rfc3339_shanghai()});
        match system.run("cooldown-cleanup", &run).await {
            Outcome::Answered(summary) if summary["failed"] == 0 => {
                let count = |name: &str| summary[name].as_u64().unwrap();
                done.transitions +=
                    count("completed") + count("cards_removed") + count("cooldowns_ended");
            }
            other => done.wrong.push(format!("the clean-up: {other:?}")),
        }
        done.runs += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    done
}

/// Memory of each process, in KiB.
fn memory(system: &Processes) -> BTreeMap<String, u64> {
    let running = system.running().into_iter();
    running.map(|(name, pid)| (name, memory_kib(pid))).collect()
}

/// What is wrong with a merchant's history, cards or notices, given what the client was told.
async fn lost_of(system: &Processes, client: &Client) -> Result<u64, String> {
    let merchant = client.profile.merchant_id();
    let events = system.cloud.history(&merchant).await?;
    let kinds = events.iter().map(|event| event.kind().as_str());
    let (cleaned, kinds): (Vec<&str>, Vec<&str>) = kinds.partition(|kind| CLEAN_UP.contains(kind));
    let acknowledged = client.way.acknowledged();
    if kinds != acknowledged {
        return Err(format!(
            "{merchant}: acknowledged {acknowledged:?}, written {kinds:?}"
        ));
    }
    let count = |wanted: &str| kinds.iter().filter(|kind| **kind == wanted).count();
    let store = system.cloud.store();
    let head = store
        .load(&merchant, Selector::Latest)
        .await
        .unwrap()
        .unwrap()
        .head;
    let rebinds = store.list(&merchant, None, 255).await.unwrap();
    let activated_card = rebinds.iter().filter(|rebind| {
        let card = &rebind.new_card.card_id;
        head.active
            .as_ref()
            .is_some_and(|active| active.card.card_id == *card)
    });
    if activated_card.count() != usize::from(count("activated") > 0) {
        return Err(format!("{merchant}: not one card in use"));
    }
    // Who was stopped between an activation and its notice has one to tell still.
    let announced = count("activated") + count("standby_ready");
    let told = system.cloud.texts.to(&client.profile.phone);
    let told = told
        .iter()
        .filter(|text| freeze_code_in(text).is_some())
        .count();
    if told > announced || told + 1 < announced {
        return Err(format!(
            "{merchant}: {announced} to announce, {told} announced"
        ));
    }
    Ok(cleaned.len() as u64)
}

/// Asks the table for something small ten times a second, past HTTP: what that takes is the wait for its one lock.
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
    let system = Arc::new(Processes::with_processes(processes, true).await);
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
    // Every process has served what it serves by then.
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
        let said = cleaned.transitions;
        lost.push(format!(
            "the clean-up said {said} transitions and wrote {by_clean_up}"
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
        "memory: {} has grown most since it was warm, by {} KiB, of {} processes; {} clean-ups",
        most.1,
        most.0,
        growth.len(),
        cleaned.runs
    );
    let row = |what: &str| format!("load, {CLIENTS} clients for {seconds} s: {what}");
    let all = marks.all();
    metric(
        &row("requests, answered with 5xx or wrongly"),
        all.count(),
        wrong.len(),
    );
    let transitions = transitions + cleaned.transitions;
    metric(
        &row("transitions acknowledged, not in the table exactly once"),
        transitions,
        lost.len(),
    );
    metric(
        &row("processes whose memory was watched, grown by more than two MiB"),
        growth.len(),
        too_large.count(),
    );
    wrong.extend(lost);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(most.0 <= GROWTH_MAX_KIB, "{growth:?}");
}

/// Transfers in the bank's own table.
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
    println!("dynoxide's one lock is waited for: {lock}; {verdict} this run");
}
