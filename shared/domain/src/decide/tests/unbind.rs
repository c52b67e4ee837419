//! `POST /v1/cards/{card_id}/unbind`, and the clean-up's removal: a card leaves once nothing can be on its way to it.

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
fn the_active_card_is_refused() {
    for world in [World::new(), World::new().activated()] {
        let active = world.active().unwrap();
        let refusal = refused(&world, active);
        assert_eq!(refusal.code, ErrorCode::LastCardCannotUnbind);
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
    }
}

#[test]
fn the_only_card_that_could_be_used_is_refused() {
    let mut world = World::new();
    world.state.head.active = None;
    let world = world.standby("b");
    assert_eq!(refused(&world, 1).code, ErrorCode::LastCardCannotUnbind);
    // One of two may go, and then the other may not.
    let world = world.standby("c").login();
    let first = unbind(&world, 1);
    let world = world.about(1).then(first);
    assert_eq!(refused(&world, 2).code, ErrorCode::LastCardCannotUnbind);
}

#[test]
fn the_old_card_is_in_flight_during_the_hold_and_7_days_after_it() {
    for (world, hold_s) in [
        (World::new().activated(), DAY_S),
        (World::new().bound_by_deposit(create()), 3 * DAY_S),
        (World::new().bound_by(create_lost("b")), DAY_S),
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
fn after_a_switch_the_7_days_begin_at_once() {
    let world = World::new().standby("b").at(DAY_S).switched_to(1);
    let early = world.clone().at(8 * DAY_S - 1);
    assert_eq!(refused(&early, 0).retry_after_s, Some(1));
    let over = world.at(8 * DAY_S).login();
    assert!(over.decide(unbind(&over, 0)).is_ok());
}

#[test]
fn the_old_card_stays_until_its_last_payout_is_out() {
    let world = World::new().pay("a").activated().pay("b").at(8 * DAY_S);
    let refusal = refused(&world, 0);
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::PayoutInFlight, None)
    );
    assert_eq!(world.unsent(0), 2);
    let world = world.system_with("a", Command::PayoutSent);
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    // A payout that comes back is over as well.
    let world = world.system_with("b", Command::PayoutReturned).login();
    assert!(world.decide(unbind(&world, 0)).is_ok());
}

#[test]
fn nobody_unbinds_the_old_card_in_the_hold_to_keep_it_from_coming_back() {
    let world = World::new().activated().at(60);
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    assert_eq!(world.clone().freeze(1).active(), Some(0));
    let world = world.test_sent().at(8 * DAY_S - 1);
    assert_eq!(refused(&world, 0).code, ErrorCode::PayoutInFlight);
    let world = world.test_says(TransferAnswer::Returned);
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_standby_card_is_unbound_at_any_time_and_its_code_for_the_switch_dies() {
    let world = World::new().standby("b").login();
    let mut world = world.clone().at(60);
    let transition = world.done(unbind(&world, 1));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::CardUnbound);
    assert_eq!(event.event.data()["card_id"], world.card(1).as_str());
    assert!(event.notices.is_empty());
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(world.state.head.standby.is_empty());
    assert_eq!(refused(&world, 1).code, ErrorCode::NotFound);
    assert!(world.next_actions().is_empty());
}

#[test]
fn the_card_of_an_open_rebind_is_out_of_order_and_unknown_ones_are_not_found() {
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
fn it_needs_a_fresh_login_no_freeze_and_no_quiet_period() {
    let world = World::new().standby("b").login();
    let late = world.clone().later(15 * MINUTE_S);
    assert_eq!(
        late.refused(unbind(&world, 1)).code,
        ErrorCode::StepUpRequired
    );
    assert!(late.clone().later(-1).decide(unbind(&world, 1)).is_ok());
    let mut quiet = world.clone();
    quiet.state.head.security_changed_at = Some(world.now);
    let almost = quiet.clone().later(DAY_S - 1);
    assert_eq!(refused(&almost, 1).code, ErrorCode::QuietPeriod);
    let over = quiet.later(DAY_S).login();
    assert!(over.decide(unbind(&over, 1)).is_ok());
    let mut ice = world;
    ice.state.head.frozen = frozen(ice.now);
    assert_eq!(refused(&ice, 1).code, ErrorCode::AccountFrozen);
    // Whose card it is comes first: another's card says nothing of this account.
    assert_eq!(refused(&ice, 7).code, ErrorCode::NotFound);
}

#[test]
fn a_cooldown_is_no_reason_to_keep_a_card() {
    let world = World::new().standby("b").bound_by(create_for("c")).login();
    assert!(world.decide(unbind(&world, 1)).is_ok());
}

#[test]
fn the_clean_up_removes_a_card_when_its_week_is_over_and_its_last_payout_is_out() {
    let world = World::new().pay("a").activated();
    let due = |world: &World| world.state.head.due_at(world.now);
    // With a payout on its way it is not due at all.
    assert_eq!(due(&world), Some(t(30 * DAY_S)));
    assert_eq!(
        world.clone().at(8 * DAY_S).refused(remove(&world, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    let world = world.system_with("a", Command::PayoutSent);
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
        Some(FingerprintRule::Release {
            fingerprint: fingerprint("old"),
            card_id: world.card(0)
        })
    );
    // It came with the merchant: its number is kept apart from the rebinds.
    assert_eq!(removed.forgotten_card, Some(world.card(0)));
    assert_eq!(world.state.head.bound(&world.card(0)), None);
    assert_eq!(
        world.refused(remove(&world, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(due(&world), Some(t(30 * DAY_S)));
}

#[test]
fn with_the_card_goes_the_number_that_its_rebind_keeps() {
    let world = World::new().standby("b").login();
    let world = world.clone().then(unbind(&world, 1)).then(create());
    // The latest rebind is another one.
    let before = world.state.head.clone();
    let world = world.about(1);
    assert!(world.rebind().sealed_number.is_some());
    let act = remove(&world, 1);
    let mut world = world;
    world.by = None;
    let removed = world.done(act);
    assert_eq!(removed.forgotten_card, None);
    assert_eq!(world.rebind_of(1).sealed_number, None);
    assert_eq!(world.shown(), "completed");
    assert_eq!(world.state.head.rebind_version, before.rebind_version);
    assert!(world.rebind_of(2).sealed_number.is_some());
}

#[test]
fn while_the_account_is_frozen_only_what_is_out_for_good_is_removed() {
    let frozen = World::new().standby("b").freeze(1);
    assert_eq!(frozen.state.head.due_at(frozen.now), Some(t(0)));
    assert!(frozen.decide(remove(&frozen, 1)).is_ok());
    // The card that was replaced may be the right one: the operator decides first.
    let frozen = World::new()
        .activated()
        .at(8 * DAY_S - 1)
        .freeze(1)
        .at(8 * DAY_S);
    assert_eq!(frozen.state.head.due_at(frozen.now), None);
    assert_eq!(
        frozen.refused(remove(&frozen, 0)).code,
        ErrorCode::StepOutOfOrder
    );
    let world = frozen.unfreeze();
    assert_eq!(world.state.head.due_at(world.now), Some(t(8 * DAY_S)));
    assert!(world.decide(remove(&world, 0)).is_ok());
}

#[test]
fn neither_the_active_card_nor_a_standby_card_is_ever_removed_by_the_clean_up() {
    let world = World::new().standby("b").at(400 * DAY_S);
    for number in [0, 1, 7] {
        assert_eq!(
            world.refused(remove(&world, number)).code,
            ErrorCode::StepOutOfOrder
        );
    }
}
