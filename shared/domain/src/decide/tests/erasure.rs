//! Erasure: only of a closed account of which nothing is pending, and for good.

use super::fixture::*;
use crate::decide::Command;
use crate::erasure::{ErasureObstacle, obstacles};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::policy::DAY_S;
use crate::transition::EndedSessions;

const RETENTION_S: i64 = 10 * DAY_S;

fn erase() -> Command {
    Command::Erase {
        reason: "owner_request".to_owned(),
        retention_s: RETENTION_S,
    }
}

fn close() -> Command {
    Command::Close {
        by: "registry".to_owned(),
        reason: "owner_request".to_owned(),
    }
}

/// What forbids the erasure, which is refused exactly as long as something does.
fn forbidding(world: &World) -> Vec<ErasureObstacle> {
    let found = obstacles(&world.merchant.state, RETENTION_S, world.now);
    let refused = world.decide(erase()).map_err(|refusal| refusal.code).err();
    let expected = (!found.is_empty()).then_some(ErrorCode::StepOutOfOrder);
    assert_eq!(refused, expected, "{found:?}");
    found
}

#[test]
fn each_obstacle_forbids_it() {
    use ErasureObstacle::{
        AccountFrozen, AccountOpen, HoldRunning, PayoutsUnsent, RebindOpen, RetentionRunning,
    };
    assert_eq!(forbidding(&World::new()), [AccountOpen]);
    let open = World::new().created();
    assert_eq!(forbidding(&open), [AccountOpen, RebindOpen]);
    let closed = World::new().then(close());
    assert_eq!(forbidding(&closed), [RetentionRunning]);
    assert_eq!(
        forbidding(&closed.clone().later(RETENTION_S - 1)),
        [RetentionRunning]
    );
    assert_eq!(forbidding(&closed.later(RETENTION_S)), []);
    let held = World::new().activated().then(close());
    assert_eq!(forbidding(&held), [HoldRunning, RetentionRunning]);
    let frozen = World::new().activated().freeze(1).then(close());
    assert!(forbidding(&frozen.later(RETENTION_S)).contains(&AccountFrozen));
    let unsent = World::new().then(Command::CreatePayout(payout_id("new"), 100));
    let unsent = unsent.then(close()).later(RETENTION_S);
    assert_eq!(forbidding(&unsent), [PayoutsUnsent]);
}

#[test]
fn erased_merchant_has_no_session_and_nothing_due() {
    let world = World::new().activated().then(close()).later(RETENTION_S);
    let erased = world.decide(erase()).unwrap();
    let state = erased.state.unwrap();
    assert_eq!(state.erased_at, Some(world.now));
    assert_eq!(state.version, world.merchant.state.version + 1);
    assert!(state.sessions.iter().all(Option::is_none));
    assert_eq!(erased.ends_sessions, EndedSessions::All);
    assert_eq!(state.due_at(world.now), None);
    let event = erased.event.unwrap();
    assert_eq!(event.kind(), EventKind::Erased);
    assert!(event.notifications.is_empty());
    // What the removal needs is still there.
    assert_eq!(state.active, world.merchant.state.active);
}
