//! Injects every fault at every call of every step. After each fault the client retries as instructed, the notifications are
//! delivered and the clean-up runs. The merchant must then be in the same state as after a run without a fault, with no
//! attempt or quota consumed.

#![recursion_limit = "256"] // nested futures
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod faults;
mod operators;
mod picture;
mod reasons;
mod seeded;
mod stories;
mod story;

use story::Tally;
use tests::metrics::metric;
use tests::sample::is_whole;
use tests::table_faults::Fault;

#[test]
fn every_call_meets_every_fault() {
    let only = std::env::var("STORY")
        .ok()
        .map(|n| n.parse::<usize>().unwrap());
    let stories: &[fn() -> Tally] = only.map_or(stories::ALL, |n| &stories::ALL[n..=n]);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = stories.iter().map(|story| scope.spawn(story)).collect();
        for story in running {
            tally.add(story.join().unwrap());
        }
    });
    for (step, points) in &tally.steps {
        println!("{step}: {points}");
    }
    for (place, reason) in reasons::REASONS.iter().enumerate() {
        let times = tally.reasons.get(&place).copied().unwrap_or_default();
        println!("{times} differences: {}", reason.why);
        assert!(
            only.is_some() || !is_whole() || times > 0,
            "unused reason: {}",
            reason.why
        );
    }
    for (kind, (points, lost)) in &tally.points {
        metric(&format!("crash: {kind}"), *points, *lost);
    }
    if only.is_none() {
        for fault in Fault::ALL {
            for lasts in [false, true] {
                let is_met = tally.faults.contains(&(fault, lasts));
                assert!(is_met || lasts && !fault.can_last(), "{fault:?} {lasts}");
            }
        }
    }
    let lost = tally.wrong.len();
    assert!(lost == 0, "{lost} points:\n{}", tally.wrong.join("\n"));
}
