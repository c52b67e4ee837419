//! Values that are derived from a merchant's state at a given time.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::merchant::Session;

fn session() -> Session {
    World::new().merchant.state.sessions[0].clone().unwrap()
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
    let tag = |slot: usize| {
        world.merchant.state.sessions[slot]
            .as_ref()
            .unwrap()
            .tag()
            .0
    };
    assert_eq!(tag(0), "0101010101010101");
    assert_ne!(tag(0), tag(1));
}

#[test]
fn card_status_follows_merchant_state() {
    let world = World::new().created();
    let status = |world: &World| {
        let new = &world.rebind().new_card;
        world.merchant.card_status(&new.card_id, world.now)
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
    for merchant in [&world.merchant, &World::new().merchant] {
        let status = merchant.card_status(&other.card_id, t(0));
        assert_eq!(status, CardStatus::Removed);
    }
}

#[test]
fn open_rebind_is_named_and_in_time() {
    let world = World::new().created();
    assert_eq!(
        world.merchant.open_rebind(t(DAY_S - 1)),
        world.merchant.rebind.as_ref()
    );
    assert_eq!(world.merchant.open_rebind(t(DAY_S)), None);
    let mut replaced = world.merchant.clone();
    replaced.state.open = Some(2);
    assert_eq!(replaced.open_rebind(t(0)), None);
    assert_eq!(World::new().activated().merchant.open_rebind(t(0)), None);
    assert_eq!(World::new().merchant.open_rebind(t(0)), None);
}

#[test]
fn cooldown_and_quiet_period_end_exactly() {
    let mut merchant = World::new().merchant;
    assert_eq!(
        (merchant.cooldown(t(0)), merchant.quiet_until(&POLICY, t(0))),
        (None, None)
    );
    merchant.state.cooldown_until = Some(t(100));
    assert_eq!(merchant.cooldown(t(99)), Some(t(100)));
    assert_eq!(merchant.cooldown(t(100)), None);
    merchant.state.security_changed_at = Some(t(0));
    assert_eq!(merchant.quiet_until(&POLICY, t(DAY_S - 1)), Some(t(DAY_S)));
    assert_eq!(merchant.quiet_until(&POLICY, t(DAY_S)), None);
}
