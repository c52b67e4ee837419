//! The contract, end to end, on a running local system: the deployed template, with the real functions as processes.
//!
//! One test and one system serve all cases. With `cargo test` and with `cargo nextest` alike there is one process, which owns
//! the system and stops it after the last case. If that process is killed, the system stops by itself. `E2E=<text>` runs the
//! cases whose name contains the text, or one of several: `E2E=cards,payouts`. `E2E_ENDPOINTS=<file>` runs on the system that a
//! file like `endpoints.json` describes, here or on AWS, without the cases that need a system of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod aftermath;
mod agreement;
mod alarms;
mod anchoring;
mod banners;
mod card_check;
mod cases;
mod cleanup;
mod codes;
mod deposit;
mod edges;
mod events;
mod freezes;
mod frozen;
mod happy;
mod history;
mod identity;
mod leaks;
mod needed;
mod operators;
mod order;
mod payloads;
mod payouts;
mod permissions;
mod races;
mod replays;
mod requests;
mod roles;
mod see;
mod sessions;
mod settings;
mod standby;
mod switches;
mod test_transfer;
mod unbind;

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tests::local_cloud::LocalCloud;
use tests::transport::CODES;
use tokio::sync::Semaphore;

/// Maximum number of concurrent cases. A call mostly waits, but each concurrent call needs a separate process.
const AT_ONCE: usize = 16;
/// The time limit of one case.
const CASE_LIMIT: Duration = Duration::from_secs(180);

/// The result of a case.
struct Done {
    name: &'static str,
    /// The reason for a failure.
    failure: Option<String>,
    /// The error codes that the case asserted.
    codes: BTreeSet<&'static str>,
}

/// The failed cases with their reasons. As the test's error they are the last lines of its output, without a backtrace.
struct Failed(Vec<String>);

impl Debug for Failed {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|case| write!(f, "\n{case}"))
    }
}

#[test]
fn running_system_obeys_contract() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run())
}

async fn run() -> Result<(), Failed> {
    let wanted = std::env::var("E2E").unwrap_or_default();
    let started = Instant::now();
    let attached = std::env::var_os("E2E_ENDPOINTS").map(PathBuf::from);
    let live = match &attached {
        Some(endpoints) => LocalCloud::attach(endpoints).await,
        None => LocalCloud::up().await,
    };
    let live = Arc::new(live.unwrap_or_else(|error| panic!("{error}")));
    println!("up after {:.1} s", started.elapsed().as_secs_f32());

    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let is_wanted = |case: &&cases::Case| {
        let is_possible = attached.is_none() || !case.needs_own_system();
        is_possible && wanted.split(',').any(|text| case.name.contains(text))
    };
    let side_by_side = cases::SIDE_BY_SIDE.iter().filter(is_wanted);
    let running: Vec<_> = side_by_side
        .map(|case| {
            let (live, turns) = (Arc::clone(&live), Arc::clone(&turns));
            tokio::spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                run_case(case, live).await
            })
        })
        .collect();
    let mut all = Vec::new();
    for case in running {
        all.push(case.await.unwrap());
    }
    for case in cases::AT_THE_END.iter().filter(is_wanted) {
        all.push(run_case(case, Arc::clone(&live)).await);
    }

    let failed: Vec<String> = all
        .iter()
        .filter_map(|done| Some(format!("{}: {}", done.name, done.failure.as_ref()?)))
        .collect();
    println!(
        "{} cases, {} replies validated, {} failed, {:.1} s",
        all.len(),
        live.replies.load(Ordering::Relaxed),
        failed.len(),
        started.elapsed().as_secs_f32()
    );
    drop(live); // stops the system
    if !failed.is_empty() {
        return Err(Failed(failed));
    }
    if let Some(endpoints) = attached {
        for (cases, reason) in cases::OF_OWN_SYSTEM {
            println!("left out on {}: {cases} {reason}", endpoints.display());
        }
    } else if wanted.is_empty() {
        let met: BTreeMap<&str, BTreeSet<&str>> = all
            .into_iter()
            .map(|done| (done.name, done.codes))
            .collect();
        codes::each_has_its_case(&met);
    }
    Ok(())
}

async fn run_case(case: &'static cases::Case, live: Arc<LocalCloud>) -> Done {
    let started = Instant::now();
    let body = CODES.scope(RefCell::default(), async {
        (case.run)(live).await;
        CODES.with(RefCell::take)
    });
    let result = tokio::spawn(tokio::time::timeout(CASE_LIMIT, body)).await;
    let (failure, codes) = match result {
        Ok(Ok(codes)) => (None, codes),
        Ok(Err(_)) => (
            Some(format!("took more than {} s", CASE_LIMIT.as_secs())),
            BTreeSet::new(),
        ),
        Err(error) => (Some(message(error.into_panic().as_ref())), BTreeSet::new()),
    };
    let seconds = started.elapsed().as_secs_f32();
    match &failure {
        // 200 lines of passed cases would hide a failed one.
        None if std::env::var("E2E").is_err() => {}
        None => println!("ok     {seconds:5.1} s  {}", case.name),
        Some(failure) => println!("FAILED {seconds:5.1} s  {}\n{failure}", case.name),
    }
    Done {
        name: case.name,
        failure,
        codes,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}
