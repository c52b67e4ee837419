//! Five rebinds a day, those given up before the identity code was confirmed not counted.

use super::fixture::*;
use super::states::wrong_documents;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;

/// A rebind that was given up after the identity code was confirmed.
fn counted(world: World) -> World {
    let mut world = world.login().agreement_pending();
    world.done(Command::Cancel);
    world.later(60)
}

#[test]
fn five_a_day_and_the_sixth_is_told_when() {
    let mut world = World::new();
    for _ in 0..5 {
        world = counted(world);
    }
    let world = world.at(DAY_S - 100).login();
    let refusal = world.refused(create());
    assert_eq!(refusal.code, ErrorCode::DailyRequestLimit);
    assert_eq!(refusal.retry_after_s, Some(100));
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    // "A day" is the last 24 h: the first leaves it, one more fits, the next does not.
    let again = counted(world.later(100)).at(DAY_S + 59).login();
    assert_eq!(again.refused(create()).retry_after_s, Some(1));
}

#[test]
fn cancelled_before_the_identity_code_was_confirmed_is_not_counted() {
    let mut world = World::new();
    for _ in 0..6 {
        world = world.created().then(Command::Cancel);
        world = world.identity_sent().then(Command::Cancel);
        world = wrong_documents(world.created(), 1).then(Command::Cancel);
    }
    assert!(world.state.head.requests.is_empty());
}

#[test]
fn cancelled_after_that_rejected_and_expired_are_counted() {
    let requests = |world: &World| world.state.head.requests.count(DAY_S, world.now);
    assert_eq!(
        requests(&World::new().agreement_pending().then(Command::Cancel)),
        1
    );
    assert_eq!(requests(&World::new().matched().then(Command::Cancel)), 1);
    assert_eq!(requests(&wrong_documents(World::new().created(), 5)), 1);
    let mut refused = World::new().asking();
    refused.refused_in_writing(bank(Some(BankAnswer::Blocked)));
    assert_eq!(requests(&refused), 1);
    let expired = World::new().created().at(DAY_S).then(Command::Expire);
    assert_eq!(requests(&expired.at(DAY_S - 1)), 1);
}

#[test]
fn only_its_own_request_is_taken_back() {
    let world = counted(World::new())
        .login()
        .created()
        .then(Command::Cancel);
    assert_eq!(
        world.state.head.requests.times().collect::<Vec<_>>(),
        [t(0)]
    );
}

#[test]
fn what_has_left_the_day_is_forgotten_when_the_next_is_counted() {
    let world = counted(World::new()).at(DAY_S).login().created();
    assert_eq!(
        world.state.head.requests.times().collect::<Vec<_>>(),
        [t(DAY_S)]
    );
}
