//! 64 concurrent clients over real `bootstrap` processes, several per function, and a real DynamoDB API.
//!
//! - [`client`]: a merchant who rebinds repeatedly, and the events that the replies acknowledge
//! - [`marks`]: latencies, and the resources of a process
//!
//! The figures of a machine with two processors show the distribution of the work and the absence of losses, not the
//! performance on AWS: there, each function has its own processor and the table is not a single thread. Here dynoxide takes one
//! lock for every call (SQLite in memory, one connection), and clients and system share a process.

pub mod client;
pub mod marks;

use crate::merchant::Profile;
use crate::processes::template::{BANK_TABLE, TABLE};
use crate::processes::{Outcome, Processes};
use crate::transport::{Clock, freeze_code_in};
use application::clock::wall_clock;
use application::ports::{ListRebinds as _, LoadMerchant as _, Selector};
use client::{Acknowledging, Client, card};
use marks::{Marks, cpu_s, memory_kib};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of clients.
pub const CLIENTS: u32 = 64;
/// The events that the clean-up writes.
const CLEAN_UP: [&str; 4] = [
    "completed",
    "card_removed",
    "cooldown_ended",
    "settlement_applied",
];
/// Written beside a login or a notification, which acknowledge nothing else.
const BESIDE: [&str; 2] = ["device_added", "change_notified"];
/// The label of the waits for the table's lock.
const LOCK: &str = "lock";

/// The result of a run.
pub struct Load {
    /// The latencies of the requests.
    pub marks: Marks,
    /// The waits for dynoxide's lock.
    pub lock: Marks,
    /// The duration.
    pub took: Duration,
    /// The acknowledged transitions, the clean-up's included.
    pub transitions: u64,
    /// The runs of the clean-up.
    pub clean_ups: u32,
    /// Replies that are not part of the flow, 5xx included.
    pub wrong: Vec<String>,
    /// Acknowledged events that the table does not hold exactly once, and events that were not acknowledged.
    pub lost: Vec<String>,
    /// How much the memory of each process grew after warm-up, in KiB, the largest last.
    pub growth_kib: Vec<(u64, String)>,
    /// The processor time of the functions, in seconds.
    pub functions_cpu_s: f64,
    /// The processor time of clients, system and dynoxide together, in seconds.
    pub own_cpu_s: f64,
}

impl Load {
    /// The requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.marks.all().count() as f64 / self.took.as_secs_f64()
    }
}

/// Lets all clients work for `time`. Afterwards compares the table with the acknowledged events.
pub async fn run(system: Processes, time: Duration) -> Load {
    let system = Arc::new(system);
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
    let (marks, lock) = (Arc::new(Marks::default()), Arc::new(Marks::default()));
    let started = Instant::now();
    let own_before_s = cpu_s(std::process::id());
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
    let prober = wait_for_the_table(Arc::clone(&system), Arc::clone(&lock), deadline);
    let prober = tokio::spawn(prober);
    // By then every process has served each kind of its requests.
    tokio::time::sleep(time / 3).await;
    let warm = memory(&system);
    let clients = futures::future::join_all(clients).await;
    let cleaned = cleaner.await.unwrap();
    prober.await.unwrap();
    let took = started.elapsed();
    let functions_cpu_s = system.running().values().map(|pid| cpu_s(*pid)).sum();
    let own_cpu_s = cpu_s(std::process::id()) - own_before_s;
    let growth_kib = growth(&warm, &memory(&system));

    let mut load = Load {
        marks: Marks::default(),
        lock: Marks::default(),
        took,
        transitions: cleaned.transitions,
        clean_ups: cleaned.runs,
        wrong: cleaned.wrong,
        lost: Vec::new(),
        growth_kib,
        functions_cpu_s,
        own_cpu_s,
    };
    let (mut by_clean_up, mut tested) = (0, 0);
    for ended in clients {
        let client = match ended {
            Ok(client) => client,
            Err(stopped) => {
                load.wrong.push(stopped.to_string());
                continue;
            }
        };
        let acknowledged = client.way.acknowledged();
        load.transitions += acknowledged.len() as u64;
        let tests = acknowledged.iter();
        tested += tests
            .filter(|kind| **kind == "test_transfer_succeeded")
            .count();
        match lost_of(&system, &client).await {
            Ok(cleaned) => by_clean_up += cleaned,
            Err(what) => load.lost.push(what),
        }
    }
    if by_clean_up != cleaned.transitions {
        let reported = cleaned.transitions;
        load.lost.push(format!(
            "the clean-up reported {reported} transitions and wrote {by_clean_up}"
        ));
    }
    let transfers = transfers(&system);
    if transfers != tested {
        let what = format!("{tested} test transfers, {transfers} at the bank");
        load.lost.push(what);
    }
    load.marks = Arc::into_inner(marks).unwrap();
    load.lock = Arc::into_inner(lock).unwrap();
    load
}

/// How much the memory of each process grew. A process that ended grew without limit.
fn growth(warm: &BTreeMap<String, u64>, end: &BTreeMap<String, u64>) -> Vec<(u64, String)> {
    let growth = warm.iter().map(|(name, warm)| {
        let end = end.get(name).copied().unwrap_or(u64::MAX);
        (end.saturating_sub(*warm), name.clone())
    });
    let mut growth: Vec<(u64, String)> = growth.collect();
    growth.sort_unstable();
    growth
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
