//! `POST /v1/cards/{card_id}/unbind` and removal by the clean-up: a card leaves once no payout can still go to it.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::rejection::Rejection;
use crate::transfer::TransferAnswer;
use crate::transition::FingerprintRule;

fn unbind(world: &World, number: u32) -> Command {
    Command::Unbind(world.card(number))
}

fn refused(world: &World, number: u32) -> Rejection {
    let world = world.clone().login();
    world.refused(unbind(&world, number))
}

fn remove(world: &World, number: u32) -> Command {
    Command::RemoveCard(world.card(number))
}

#[test]
fn active_card_cannot_be_unbound() {
    for world in [World::new(), World::new().activated()] {
        let active = world.active().unwrap();
        let refusal = refused(&world, active);
        assert_eq!(refusal.code, ErrorCode::LastCardCannotUnbind);
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
    }
}

#[test]
fn only_usable_card_cannot_be_unbound() {
    let mut world = World::new();
    world.merchant.state.active = None;
    let world = world.standby("b");
    assert_eq!(refused(&world, 1).code, ErrorCode::LastCardCannotUnbind);
    // One of two standby cards can be unbound, but then not the other.
    let world = world.standby("c").login();
    let first = unbind(&world, 1);
    let world = world.about(1).then(first);
    assert_eq!(refused(&world, 2).code, ErrorCode::LastCardCannotUnbind);
}

#[test]
fn old_card_is_kept_until_7_days_after_hold() {
    for (world, hold_s) in [
        (World::new().activated(), DAY_S),
        (World::new().bound_by_deposit(create()), 3 * DAY_S),
        (World::new().bound_by(create_lost("b")), 3 * DAY_S),
    ] {
        let until = hold_s + 7 * DAY_S;
        for at_s in [0, hold_s - 1, hold_s, until - 1] {
            let refusal = refused(&world.clone().at(at_s), 0);
            assert_eq!(refusal.code, ErrorCode::PayoutInFlight);
            assert_eq!(refusal.retry_after_s, Some(until - at_s));
            assert_eq!(refusal.next_actions, [NextAction::Wait]);
        }
    }
    let over = World::new().activated().at(8 * DAY_S).login();
    let over = over.clone().then(unbind(&over, 0));
    assert_eq!(over.status_of(0), CardStatus::Removed);
    assert_eq!(refused(&over, 0).code, ErrorCode::NotFound);
}

#[test]
fn retention_starts_at_once_after_a_switch() {
    let world = World::new().standby("b").at(DAY_S).switched_to(1);
    let early = world.clone().at(8 * DAY_S - 1);
    assert_eq!(refused(&early, 0).retry_after_s, Some(1));
    let over = world.at(8 * DAY_S).login();
    assert!(over.decide(unbind(&over, 0)).is_ok());
}

#[test]
fn old_card_stays_until_its_last_payout() {
    let world = World::new().pay("a").activated().pay("b").at(8 * DAY_S);
    let refusal = refused(&world, 0);
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::PayoutInFlight, None)
    );
    assert_eq!(world.unsent(0), 2);
    let world = world.sent("a");
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    // A returned payout is no longer pending either.
    let world = world.system_with("b", Command::PayoutReturned).login();
    assert!(world.decide(unbind(&world, 0)).is_ok());
}

#[test]
fn old_card_cannot_be_unbound_during_hold() {
    let world = World::new().activated().at(60);
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    assert_eq!(world.clone().freeze(1).active(), Some(0));
    let world = world.test_sent().at(8 * DAY_S - 1);
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    let world = world.test_says(TransferAnswer::Returned);
    assert_eq!(world.active(), Some(0));
}

#[test]
fn unbinding_standby_card_voids_its_switch_code() {
    let world = World::new().standby("b").login();
    let mut world = world.clone().at(60);
    let transition = world.done(unbind(&world, 1));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::CardUnbound);
    assert_eq!(event.event.data()["card_id"], world.card(1).as_str());
    assert!(event.notifications.is_empty());
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(world.merchant.state.standby.is_empty());
    assert_eq!(refused(&world, 1).code, ErrorCode::NotFound);
    assert!(world.next_actions().is_empty());
}

#[test]
fn pending_and_unknown_cards_cannot_be_unbound() {
    let open = World::new().matched();
    let refusal = refused(&open, 1);
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(refusal.next_actions, open.next_actions());
    assert_eq!(refused(&open, 7).code, ErrorCode::NotFound);
    let ended = open.then(Command::Cancel);
    assert_eq!(refused(&ended, 1).code, ErrorCode::NotFound);
    let overdue = World::new().matched().at(DAY_S);
    assert_eq!(refused(&overdue, 1).code, ErrorCode::NotFound);
}

#[test]
fn unbind_needs_fresh_login_and_unlocked_account() {
    let world = World::new().standby("b").login();
    let late = world.clone().later(15 * MINUTE_S);
    assert_eq!(
        late.refused(unbind(&world, 1)).code,
        ErrorCode::StepUpRequired
    );
    assert!(late.clone().later(-1).decide(unbind(&world, 1)).is_ok());
    let mut quiet = world.clone();
    quiet.merchant.state.security_changed_at = Some(world.now);
    let almost = quiet.clone().later(DAY_S - 1);
    assert_eq!(refused(&almost, 1).code, ErrorCode::QuietPeriod);
    let over = quiet.later(DAY_S).login();
    assert!(over.decide(unbind(&over, 1)).is_ok());
    let mut ice = world;
    ice.merchant.state.frozen = frozen(ice.now);
    assert_eq!(refused(&ice, 1).code, ErrorCode::AccountFrozen);
    // Ownership is checked first, so that the reply for another merchant's card reveals nothing.
    assert_eq!(refused(&ice, 7).code, ErrorCode::NotFound);
}

#[test]
fn cooldown_does_not_block_unbind() {
    let world = World::new().standby("b").bound_by(create_for("c")).login();
    assert!(world.decide(unbind(&world, 1)).is_ok());
}

#[test]
fn clean_up_removes_card_after_retention_and_payouts() {
    let world = World::new().pay("a").activated();
    let due = |world: &World| world.merchant.state.due_at(world.now);
    // With an unsent payout, the removal is not due.
    assert_eq!(due(&world), Some(t(30 * DAY_S)));
    assert_eq!(
        world.clone().at(8 * DAY_S).refused(remove(&world, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    let world = world.sent("a");
    assert_eq!(due(&world), Some(t(8 * DAY_S)));
    let early = world.clone().at(8 * DAY_S - 1);
    assert_eq!(
        early.refused(remove(&early, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    let mut world = world.at(8 * DAY_S).about(0);
    world.by = None;
    let removed = world.done(remove(&world, 0));
    assert_eq!(removed.event.unwrap().kind(), EventKind::CardRemoved);
    assert_eq!(
        removed.fingerprint,
        Some(FingerprintRule::RemoveHolder {
            fingerprint: fingerprint("old"),
            card_id: world.card(0)
        })
    );
    // A card from onboarding has no rebind; its number is stored separately.
    assert_eq!(removed.forgotten_card, Some(world.card(0)));
    assert_eq!(world.merchant.state.bound(&world.card(0)), None);
    assert_eq!(
        world.refused(remove(&world, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(due(&world), Some(t(30 * DAY_S)));
}

#[test]
fn removing_a_card_deletes_its_number() {
    let world = World::new().standby("b").login();
    let world = world.clone().then(unbind(&world, 1)).then(create());
    // The latest rebind is a different one.
    let before = world.merchant.state.clone();
    let world = world.about(1);
    assert!(world.rebind().sealed_number.is_some());
    let act = remove(&world, 1);
    let mut world = world;
    world.by = None;
    let removed = world.done(act);
    assert_eq!(removed.forgotten_card, None);
    assert_eq!(world.rebind_of(1).sealed_number, None);
    assert_eq!(world.shown(), "completed");
    assert_eq!(world.merchant.state.rebind_version, before.rebind_version);
    assert!(world.rebind_of(2).sealed_number.is_some());
}

#[test]
fn frozen_account_keeps_replaced_cards() {
    let frozen = World::new().standby("b").freeze(1);
    assert_eq!(frozen.merchant.state.due_at(frozen.now), Some(t(0)));
    assert!(frozen.decide(remove(&frozen, 1)).is_ok());
    // The replaced card may be the right one, so the operator decides first.
    let frozen = World::new()
        .activated()
        .at(8 * DAY_S - 1)
        .freeze(1)
        .at(8 * DAY_S);
    assert_eq!(frozen.merchant.state.due_at(frozen.now), None);
    assert_eq!(
        frozen.refused(remove(&frozen, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    let world = frozen.unfreeze();
    assert_eq!(world.merchant.state.due_at(world.now), Some(t(8 * DAY_S)));
    assert!(world.decide(remove(&world, 0)).is_ok());
}

#[test]
fn clean_up_never_removes_usable_cards() {
    let world = World::new().standby("b").at(400 * DAY_S);
    for number in [0, 1, 7] {
        assert_eq!(
            world.refused(remove(&world, number)).code,
            ErrorCode::StepOutOfOrder
        );
    }
}
