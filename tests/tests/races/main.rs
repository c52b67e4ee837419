//! Hundreds of requests at once, in one process: the order in which their calls reach the table is drawn from a seed, and so
//! are transaction conflicts, which the table itself never has.
//!
//! What came out is checked for being one order of the requests, with the history as the witness (`Race::is_one_order`):
//! - the history is one chain, and what it says happened once happened once;
//! - two replies that show the same version of a rebind show the same state of it, and no later version an earlier state;
//! - who asks after a reply was given does not see an older version than that reply (every client asks several times);
//! - who is refused because something has happened was not answered before it was begun;
//! - what the last reply shows is what is stored.

#![recursion_limit = "256"] // futures of futures
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod others;
mod steps;

use domain::history::ChainedEvent;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::dynamodb_table::{Items, Table};
use tests::in_process::{App, InProcess, PeerState, TABLE};
use tests::invariants::violations;
use tests::metrics::metric;
use tests::table_faults::{Chance, impatient};
use tests::transport::Reply;

const NAME: &str = "plain_1";
/// Clients, and how often each asks, one request after the other.
const CLIENTS: usize = 40;
const EACH: usize = 5;
/// Of a hundred writes.
const CONFLICTS_PERCENT: u64 = 10;
/// Seeds, and from how many devices.
const RUNS: [(u64, usize); 3] = [(1, 1), (2, 2), (3, 2)];

/// One request that is raced, by one of the devices.
#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    path: String,
    body: Value,
    /// `None`: a key of its own for every request.
    key: Option<String>,
}

fn post(path: impl Into<String>, body: Value) -> Ask {
    Ask {
        method: "POST",
        path: path.into(),
        body,
        key: None,
    }
}

/// A request that was made: when it began and was answered, in the order of all of these moments.
struct Made {
    from: u64,
    to: u64,
    path: String,
    answer: Reply,
}

impl Made {
    /// What the reply says of a rebind, where it does: its version, and its state. A reply that is repeated says what was.
    fn shown(&self, rebind: &str) -> Option<(u64, &str)> {
        let body = &self.answer.body;
        let shown = if body["rebind"].is_object() {
            &body["rebind"]
        } else {
            body
        };
        let is_it = rebind.ends_with(shown["rebind_id"].as_str()?);
        let now = is_it && !self.answer.is_replayed();
        now.then_some((shown["version"].as_u64()?, shown["state"].as_str()?))
    }

    /// Whether something has happened by it: a try that was counted is something too.
    fn is_done(&self) -> bool {
        self.answer.status < 300
    }

    fn has_done(&self) -> bool {
        self.is_done() || self.answer.body["counts_toward_limit"] == true
    }
}

/// A world in which requests meet.
struct Race {
    world: Arc<InProcess>,
    table: Table,
    clock: AtomicU64,
    begin: (Arc<Items>, PeerState),
}

impl Race {
    async fn prepare() -> Self {
        let table = Table::new(TABLE);
        let world = InProcess::on(&table, impatient, "sandbox").await;
        Self {
            begin: (table.items(), world.peer_state()),
            world,
            table,
            clock: AtomicU64::new(0),
        }
    }

    /// As it was before anybody asked for anything.
    fn begin(&self) {
        self.table.put_back(&self.begin.0);
        self.world.restore_peers(&self.begin.1);
    }

    /// One device, or two.
    async fn devices(&self, count: usize) -> Vec<App> {
        let mut apps = Vec::new();
        for device in 0..count {
            let name = format!("device-{device}");
            apps.push(self.world.log_in_on(NAME, &name).await);
        }
        apps
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn one(&self, app: &App, ask: Ask, key: String) -> Made {
        let from = self.tick();
        let key = ask.key.unwrap_or(key);
        let answer = app.call_keyed(&key, ask.method, &ask.path, ask.body).await;
        Made {
            from,
            to: self.tick(),
            path: ask.path,
            answer,
        }
    }

    /// All clients at once, each asking one thing after the other, on the devices in turn. `asks` is drawn from at random.
    async fn run(&self, seed: u64, apps: &[App], asks: &[Ask]) -> Vec<Made> {
        self.world.boundary.disturb(seed, CONFLICTS_PERCENT);
        let clients = (0..CLIENTS).map(|client| async move {
            let mut chance = Chance::new(seed * 1_000 + u64::try_from(client).unwrap());
            let app = &apps[client % apps.len()];
            let mut made = Vec::new();
            for round in 0..EACH {
                let ask = &asks[usize::try_from(chance.below(asks.len() as u64)).unwrap()];
                let key = format!("{client}-{round}");
                made.push(self.one(app, ask.clone(), key).await);
            }
            made
        });
        let made = futures::future::join_all(clients).await;
        self.world.boundary.disturb(seed, 0);
        made.into_iter().flatten().collect()
    }

    /// The rules above, for what concerns one rebind; returns the history.
    async fn is_one_order(&self, made: &[Made], rebind: &str) -> Vec<ChainedEvent> {
        let wrong = violations(&self.table.items(), self.world.now());
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut states: BTreeMap<u64, &str> = BTreeMap::new();
        for one in made {
            let Some((version, state)) = one.shown(rebind) else {
                continue;
            };
            let known = states.entry(version).or_insert(state);
            assert_eq!(*known, state, "two states of version {version}");
        }
        let ranks: Vec<usize> = states.values().map(|state| rank(state)).collect();
        assert!(
            ranks.is_sorted(),
            "a later version of an earlier state: {states:?}"
        );
        for one in made {
            for other in made.iter().filter(|other| one.to < other.from) {
                if let (Some((before, _)), Some((after, _))) =
                    (one.shown(rebind), other.shown(rebind))
                {
                    assert!(before <= after, "{after} was seen after {before}");
                }
            }
        }
        let refusals = [
            "STEP_OUT_OF_ORDER",
            "REQUEST_IN_PROGRESS",
            "NOT_FOUND",
            "ACCOUNT_FROZEN",
        ];
        for refused in made
            .iter()
            .filter(|one| refusals.contains(&one.answer.code()))
        {
            let begun = made
                .iter()
                .any(|done| done.has_done() && done.from < refused.to);
            assert!(
                begun,
                "{} was refused before anything happened",
                refused.path
            );
        }
        if let Some((version, state)) = states.last_key_value() {
            let app = self.world.log_in_on(NAME, "another").await;
            let shown = app.get(rebind).await;
            let stored = shown.body["version"].as_u64().unwrap();
            assert!(
                stored >= *version,
                "{stored} is stored, {version} was shown"
            );
            assert!(
                stored > *version || shown.state() == *state,
                "{:?}",
                shown.body
            );
        }
        self.world.history(NAME).await
    }
}

fn rank(state: &str) -> usize {
    let order = [
        "identity_pending",
        "agreement_pending",
        "card_pending",
        "activated",
        "completed",
    ];
    // Whatever ends a rebind comes after everything else.
    order
        .iter()
        .position(|known| *known == state)
        .unwrap_or(order.len())
}

fn count(history: &[ChainedEvent], kind: &str) -> usize {
    let of_kind = history.iter().filter(|event| event.kind().as_str() == kind);
    of_kind.count()
}

/// How often each answer was given: `200`, or its code.
fn tally(made: &[Made]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for one in made {
        let code = one.answer.code();
        let name = match one.answer.status {
            status if status < 300 => status.to_string(),
            _ => code.to_owned(),
        };
        *tally.entry(name).or_default() += 1;
    }
    tally
}

/// No other answers than these.
fn only(made: &[Made], known: &[&str]) {
    let tally = tally(made);
    let strange: Vec<&String> = tally
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "{tally:?}");
}

/// One race for every seed; prints its row.
async fn each(what: &str, race: impl AsyncFn(&Race, u64, usize) -> usize) {
    let arena = Race::prepare().await;
    let mut requests = 0;
    for (seed, devices) in RUNS {
        arena.begin();
        requests += race(&arena, seed, devices).await;
    }
    metric(&format!("races in one process, {what}"), requests, 0);
}

/// What every request may be told when others write at the same time.
const CONFLICT: &str = "VERSION_CONFLICT";
