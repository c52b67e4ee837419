//! Hundreds of concurrent requests in one process. A seed determines the order in which their calls reach the table, and the
//! transaction conflicts, which the in-memory table itself never has.
//!
//! The result must be equivalent to one order of the requests, with the history as the witness (`Race::is_one_order`):
//! - the history is one chain, and an event that can happen once occurs once;
//! - two replies with the same version of a rebind show the same state, and a later version shows no earlier state;
//! - a request sent after a reply sees no older version than that reply (every client sends several requests);
//! - a refusal that refers to an effect is answered only after the request with that effect began;
//! - the state of the last reply is the stored one.

#![recursion_limit = "256"] // nested futures
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod others;
mod steps;

use domain::history::ChainedEvent;
use domain::policy::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::dynamodb_table::{Items, Table};
use tests::in_process::{App, InProcess, PeerState, table_of};
use tests::invariants::violations;
use tests::merchant::DEVICE;
use tests::metrics::metric;
use tests::table_faults::{Chance, impatient};
use tests::transport::Reply;

const NAME: &str = "plain_1";
/// The device that the merchant uses beside the one of the sandbox.
const SECOND_DEVICE: &str = "device-2";
/// The number of clients, and of successive requests per client.
const CLIENTS: usize = 40;
const EACH: usize = 5;
/// The percentage of writes that meet a conflict.
const CONFLICTS_PERCENT: u64 = 10;
/// The seeds, and the number of devices.
const RUNS: [(u64, usize); 3] = [(1, 1), (2, 2), (3, 2)];

/// A raced request of one device.
#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    path: String,
    body: Value,
    /// `None`: a separate key for every request.
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

/// A completed request. Its begin and end are positions in the order of all these moments.
struct Made {
    from: u64,
    to: u64,
    path: String,
    answer: Reply,
}

impl Made {
    /// The version and state of the rebind in the reply, if any. A replay shows past values.
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

    /// Returns true if the request succeeded.
    fn is_done(&self) -> bool {
        self.answer.status < 300
    }

    /// Returns true if the request had an effect. A counted attempt is an effect too.
    fn has_done(&self) -> bool {
        self.is_done() || self.answer.body["counts_toward_limit"] == true
    }
}

/// A system for concurrent requests.
struct Race {
    world: Arc<InProcess>,
    table: Table,
    clock: AtomicU64,
    begin: (Arc<Items>, PeerState),
}

impl Race {
    async fn prepare() -> Self {
        let table = Table::new(table_of);
        let world = InProcess::on(&table, impatient, "sandbox").await;
        let peers = world.peer_state();
        world.log_in_on(NAME, SECOND_DEVICE).await;
        world.deliver_due().await;
        // The SMS about the device is forgotten. Neither device is young, so that every hold has its ordinary length.
        world.restore_peers(&peers);
        world.pass_s(Policy::CURRENT.device_young_s);
        Self {
            begin: (table.items(), world.peer_state()),
            world,
            table,
            clock: AtomicU64::new(0),
        }
    }

    /// Resets the system to its initial state.
    fn begin(&self) {
        self.table.reset_to(&self.begin.0);
        self.world.restore_peers(&self.begin.1);
    }

    /// One device, or two. The owner has used both for a week or longer.
    async fn devices(&self, count: usize) -> Vec<App> {
        let mut apps = Vec::new();
        for device in &[DEVICE, SECOND_DEVICE][..count] {
            apps.push(self.world.log_in_on(NAME, device).await);
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

    /// Runs all clients concurrently. Each sends one request after another, on the devices in turn. `asks` is sampled at
    /// random.
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

    /// Checks the rules above for one rebind, and returns the history.
    async fn is_one_order(&self, made: &[Made], rebind: &str) -> Vec<ChainedEvent> {
        let wrong = violations(&self.table.items(), self.world.now());
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut states: BTreeMap<u64, &str> = BTreeMap::new();
        for one in made {
            let Some((version, state)) = one.shown(rebind) else {
                continue;
            };
            let known = states.entry(version).or_insert(state);
            assert_eq!(*known, state, "different states of version {version}");
        }
        let ranks: Vec<usize> = states.values().map(|state| rank(state)).collect();
        assert!(
            ranks.is_sorted(),
            "a later version with an earlier state: {states:?}"
        );
        for one in made {
            for other in made.iter().filter(|other| one.to < other.from) {
                if let (Some((before, _)), Some((after, _))) =
                    (one.shown(rebind), other.shown(rebind))
                {
                    assert!(before <= after, "version {after} was read after {before}");
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
                "{} was refused before any request had an effect",
                refused.path
            );
        }
        if let Some((version, state)) = states.last_key_value() {
            let app = self.world.log_in_on(NAME, "another").await;
            let shown = app.get(rebind).await;
            let stored = shown.body["version"].as_u64().unwrap();
            assert!(
                stored >= *version,
                "version {stored} is stored, but {version} was returned"
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
    // The event that ends a rebind comes last.
    order
        .iter()
        .position(|known| *known == state)
        .unwrap_or(order.len())
}

fn count(history: &[ChainedEvent], kind: &str) -> usize {
    let of_kind = history.iter().filter(|event| event.kind().as_str() == kind);
    of_kind.count()
}

/// The number of replies by status or code: `200`, or the code.
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

/// Panics on any other reply than these.
fn only(made: &[Made], known: &[&str]) {
    let tally = tally(made);
    let strange: Vec<&String> = tally
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "{tally:?}");
}

/// Runs one race per seed and prints its metric.
async fn each(what: &str, race: impl AsyncFn(&Race, u64, usize) -> usize) {
    let arena = Race::prepare().await;
    let mut requests = 0;
    for (seed, devices) in RUNS {
        arena.begin();
        requests += race(&arena, seed, devices).await;
    }
    metric(&format!("races in one process, {what}"), requests, 0);
}

/// The replies that any request may get under concurrent writes.
const CONFLICT: &str = "VERSION_CONFLICT";
