//! Values that are derived from a merchant's state at a given time.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::merchant::Session;

fn session() -> Session {
    World::new().state.head.sessions[0].clone().unwrap()
}

#[test]
fn session_idles_out_after_15_minutes() {
    let mut session = session();
    assert!(session.is_valid_at(&POLICY, t(15 * MINUTE_S - 1)));
    assert!(!session.is_valid_at(&POLICY, t(15 * MINUTE_S)));
    session.last_change_at = t(60);
    assert!(session.is_valid_at(&POLICY, t(15 * MINUTE_S + 59)));
    assert!(!session.is_valid_at(&POLICY, t(15 * MINUTE_S + 60)));
    assert!(session.is_valid_at(&POLICY, t(-DAY_S)));
}

#[test]
fn session_ends_after_12_hours() {
    let mut session = session();
    session.last_change_at = t(12 * HOUR_S - 1);
    assert!(session.is_valid_at(&POLICY, t(12 * HOUR_S - 1)));
    assert!(!session.is_valid_at(&POLICY, t(12 * HOUR_S)));
}

#[test]
fn session_tag_hides_the_token() {
    let world = World::new();
    let tag = |slot: usize| world.state.head.sessions[slot].as_ref().unwrap().tag().0;
    assert_eq!(tag(0), "0101010101010101");
    assert_ne!(tag(0), tag(1));
}

#[test]
fn card_status_follows_merchant_state() {
    let world = World::new().created();
    let status = |world: &World| {
        let new = &world.rebind().new_card;
        world.state.card_status(&new.card_id, world.now)
    };
    assert_eq!(status(&world), CardStatus::Pending);
    assert_eq!(status(&world.clone().at(DAY_S)), CardStatus::Removed);
    assert_eq!(
        status(&world.clone().then(Command::Cancel)),
        CardStatus::Removed
    );
    assert_eq!(status(&World::new().activated()), CardStatus::Active);
    // An unknown card has no status, with an open rebind or without a rebind.
    let mut other = world.rebind().new_card.clone();
    other.card_id = crate::ids::CardId::new(9, &[9; 16]);
    for state in [&world.state, &World::new().state] {
        let status = state.card_status(&other.card_id, t(0));
        assert_eq!(status, CardStatus::Removed);
    }
}

#[test]
fn open_rebind_is_named_and_in_time() {
    let world = World::new().created();
    assert_eq!(
        world.state.open_rebind(t(DAY_S - 1)),
        world.state.rebind.as_ref()
    );
    assert_eq!(world.state.open_rebind(t(DAY_S)), None);
    let mut replaced = world.state.clone();
    replaced.head.open = Some(2);
    assert_eq!(replaced.open_rebind(t(0)), None);
    assert_eq!(World::new().activated().state.open_rebind(t(0)), None);
    assert_eq!(World::new().state.open_rebind(t(0)), None);
}

#[test]
fn cooldown_and_quiet_period_end_exactly() {
    let mut state = World::new().state;
    assert_eq!(
        (state.cooldown(t(0)), state.quiet_until(&POLICY, t(0))),
        (None, None)
    );
    state.head.cooldown_until = Some(t(100));
    assert_eq!(state.cooldown(t(99)), Some(t(100)));
    assert_eq!(state.cooldown(t(100)), None);
    state.head.security_changed_at = Some(t(0));
    assert_eq!(state.quiet_until(&POLICY, t(DAY_S - 1)), Some(t(DAY_S)));
    assert_eq!(state.quiet_until(&POLICY, t(DAY_S)), None);
}
