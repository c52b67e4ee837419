//! Explores every order of events in small worlds: requests of two devices, retries, crashes between any two calls, lost
//! answers, torn reads, the stream, the clean-up, the clock.
//!
//! The use cases are the functions' own, from the HTTP event, the stream record or the schedule event on. [`use_cases`] runs
//! them up to each external call, and [`steps`] executes the call. The table evaluates the store's conditions; [`same_table`]
//! verifies it against a real DynamoDB API. Each world starts from the result of running the functions on a real table.
//!
//! `MODEL=deep` explores further.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod beginnings;
mod bugs;
mod calls;
mod expression;
mod facts;
mod invariants;
mod observed;
mod requests;
mod rows;
mod same_table;
mod scenarios;
mod state;
mod steps;
mod use_cases;
mod world;

use bugs::Bug;
use scenarios::Which;
use stateright::{Checker, HasDiscoveries, Model, UniformChooser};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;
use tests::metrics::metric;
use world::World;

/// The number of states of a world that are explored exhaustively from its beginning, and the number of deeper random steps.
fn bounds() -> (usize, usize) {
    match std::env::var("MODEL").as_deref() {
        Ok("deep") => (300_000, 100_000),
        _ => (40_000, 10_000),
    }
}

#[test]
fn every_order_keeps_every_promise() {
    let (mut total, mut walked) = (0, 0);
    let mut seen = BTreeSet::new();
    for which in Which::ALL {
        let started = Instant::now();
        let world = which.world(Bug::None);
        let met = Arc::clone(&world.met);
        let (states, depth, all) = explored(world.clone());
        let (steps, deepest) = walked_at_random(world);
        println!(
            "{:<58} {states:>9} states, {} to depth {depth:>2}; {steps:>7} random steps, to depth {deepest:>2}; {:.1} s",
            which.name(),
            if all { "all" } else { "the nearest" },
            started.elapsed().as_secs_f32()
        );
        total += states;
        walked += steps;
        seen.extend(met.lock().unwrap().iter().copied());
    }
    for what in [
        "a card was activated",
        "a standby card is ready",
        "an account was frozen",
        "a freeze was ended",
        "a waiting payout got its card",
        "an announcement was handed over",
        "a contact was changed",
        "a reply was repeated",
        "a claim was taken over",
        "a write came too late",
        "half a transaction was recognised",
        "a notification was armed again",
        "a notification was sent",
        "the clean-up did something",
        "a lost answer was overcome",
        "an idempotency key was freed",
    ] {
        assert!(seen.contains(what), "never: {what}");
    }
    metric("model: states explored; violated invariants", total, 0);
    metric("model: random steps; violated invariants", walked, 0);
}

/// The number of states, the depth, and true if the exploration is complete. Panics at the first violated invariant.
fn explored(world: World) -> (usize, usize, bool) {
    let (max, _) = bounds();
    let checker = world.checker().threads(2).target_state_count(max);
    let checker = checker.spawn_bfs().join();
    checker.assert_properties();
    let all = checker.state_count() < max;
    (checker.unique_state_count(), checker.max_depth(), all)
}

/// The number of steps, and the depth of the longest walk. Panics as above.
fn walked_at_random(world: World) -> (usize, usize) {
    let (_, max) = bounds();
    let checker = world.checker().threads(2).target_state_count(max);
    let checker = checker.spawn_simulation(1, UniformChooser).join();
    checker.assert_properties();
    (checker.state_count(), checker.max_depth())
}

/// The checker must find every seeded mistake, or its silence would prove nothing.
#[test]
fn every_mistake_is_found() {
    let mut found = 0;
    for (bug, which, broken) in scenarios::MISTAKES {
        let started = Instant::now();
        let world = which.world(*bug);
        let checker = world
            .checker()
            .threads(2)
            .target_state_count(1_000_000)
            .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([*broken])))
            .spawn_bfs()
            .join();
        let path = checker.discovery(broken);
        let path = path.unwrap_or_else(|| {
            let others: Vec<_> = checker.discoveries().into_keys().collect();
            panic!(
                "{bug:?} does not violate «{broken}» in {} states, but {others:?}",
                checker.unique_state_count()
            )
        });
        let steps = path.into_actions().len();
        println!(
            "{bug:?} breaks «{broken}» in {steps} steps, after {} states; {:.1} s",
            checker.unique_state_count(),
            started.elapsed().as_secs_f32()
        );
        found += 1;
    }
    let invariants: BTreeSet<_> = scenarios::MISTAKES
        .iter()
        .map(|(_, _, broken)| *broken)
        .collect();
    assert_eq!(
        invariants,
        invariants::ALL.into(),
        "an invariant without a mistake"
    );
    metric("model: seeded mistakes; not found", found, 0);
}
