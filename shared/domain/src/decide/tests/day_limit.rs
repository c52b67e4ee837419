//! The number of rebinds per day. A rebind that is cancelled before the identity code was confirmed does not count.

use super::fixture::*;
use super::states::wrong_documents;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::window::Window;

/// A rebind that was cancelled after the identity code was confirmed.
fn counted(world: World) -> World {
    let mut world = world.login().agreement_pending();
    world.done(Command::Cancel);
    world.later(60)
}

/// The counted rebinds of the session's device.
fn rebinds(world: &World) -> Window {
    let device = &world.merchant.state.sessions[0].as_ref().unwrap().device;
    let counts = &world.merchant.state.device_counts;
    counts.of(device, &POLICY, world.now).rebinds
}

#[test]
fn rebind_above_the_daily_limit_is_refused() {
    let mut world = World::new();
    for _ in 0..POLICY.rebinds_per_day {
        world = counted(world);
    }
    let world = world.at(DAY_S - 100).login();
    let refusal = world.refused(create());
    assert_eq!(refusal.code, ErrorCode::DailyRequestLimit);
    assert_eq!(refusal.retry_after_s, Some(100));
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    // "A day" means the last 24 hours: when the first rebind leaves it, exactly one more is allowed.
    let again = counted(world.later(100)).at(DAY_S + 59).login();
    assert_eq!(again.refused(create()).retry_after_s, Some(1));
}

#[test]
fn early_cancel_is_not_counted() {
    let mut world = World::new();
    for _ in 0..=POLICY.rebinds_per_day {
        world = world.created().then(Command::Cancel);
        world = world.identity_sent().then(Command::Cancel);
        world = wrong_documents(world.created(), 1).then(Command::Cancel);
    }
    assert_eq!(rebinds(&world).times().count(), 0);
}

#[test]
fn late_cancel_and_rejection_are_counted() {
    let requests = |world: &World| rebinds(world).count(DAY_S, world.now);
    assert_eq!(
        requests(&World::new().agreement_pending().then(Command::Cancel)),
        1
    );
    assert_eq!(requests(&World::new().matched().then(Command::Cancel)), 1);
    assert_eq!(requests(&wrong_documents(World::new().created(), 5)), 1);
    let mut refused = World::new().asking();
    refused.refused_with_write(bank(Some(BankAnswer::Blocked)));
    assert_eq!(requests(&refused), 1);
    let expired = World::new().created().at(DAY_S).then(Command::Expire);
    assert_eq!(requests(&expired.at(DAY_S - 1)), 1);
}

#[test]
fn cancel_refunds_only_its_own_request() {
    let world = counted(World::new())
        .login()
        .created()
        .then(Command::Cancel);
    assert_eq!(rebinds(&world).times().collect::<Vec<_>>(), [t(0)]);
}

#[test]
fn old_requests_are_dropped() {
    let world = counted(World::new()).at(DAY_S).login().created();
    assert_eq!(rebinds(&world).times().collect::<Vec<_>>(), [t(DAY_S)]);
}
