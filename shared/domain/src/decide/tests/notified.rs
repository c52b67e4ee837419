//! Nothing takes effect unseen: an activation waits for the hand-over of its notification.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::{Command, NotifiedBy};
use crate::error_code::ErrorCode;
use crate::history::Event;
use crate::policy::{DAY_S, HOUR_S};
use crate::rebind::StateName;

/// An activated card at 60 s whose notification was not handed over.
fn waiting() -> World {
    World::new().unnotified().at(60).activated()
}

fn effective_at(world: &World) -> crate::time::Timestamp {
    world.rebind().activated_card().unwrap().times.effective_at
}

#[test]
fn unseen_activation_never_takes_effect() {
    let world = waiting().at(40 * DAY_S).login();
    assert_eq!(world.paid_to_now(), Some(0), "the old card is paid");
    assert_eq!(world.rebind().state_at(world.now), StateName::Activated);
    assert_eq!(
        world.refused(Command::Complete).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(world.status_of(0), CardStatus::Retiring);
    let remove = Command::RemoveCard(world.card(0));
    assert_eq!(world.refused(remove).code, ErrorCode::StepOutOfOrder);
    // Its card cannot be the old card of another change.
    assert_eq!(
        world.refused(create_for("c")).code,
        ErrorCode::RequestInProgress
    );
    // The freeze code has no end before it was handed over.
    let frozen = world.freeze(1);
    assert_eq!(frozen.active(), Some(0));
}

#[test]
fn effect_comes_12_h_after_the_notification() {
    // Handed over at once: the planned time stays. Late: it moves, and what is counted from it moves along.
    for (notified_s, effective_s) in [
        (61, 60 + DAY_S),
        (60 + 12 * HOUR_S, 60 + DAY_S),
        (60 + 12 * HOUR_S + 1, 60 + DAY_S + 1),
        (9 * DAY_S, 9 * DAY_S + 12 * HOUR_S),
    ] {
        let before = waiting();
        let mut world = before.clone().at(notified_s);
        let done = world.done(notified());
        let Event::ChangeNotified(event) = done.event.unwrap().event else {
            panic!("another event")
        };
        assert_eq!(event.effective_at, Some(t(effective_s)));
        assert_eq!(effective_at(&world), t(effective_s));
        let state = &world.merchant.state;
        assert_eq!(state.cooldown_until, before.merchant.state.cooldown_until);
        assert_eq!(state.replaced[0].removable_at, t(effective_s + 7 * DAY_S));
        assert_eq!(
            state.freeze_codes[0].good_until,
            Some(t(effective_s + 7 * DAY_S))
        );
        assert_eq!(world.clone().at(effective_s - 1).paid_to_now(), Some(0));
        let mut world = world.at(effective_s);
        assert_eq!(world.paid_to_now(), Some(1));
        world.done(Command::Complete);
        assert_eq!(
            world.refused(notified()).code,
            ErrorCode::StepOutOfOrder,
            "once"
        );
    }
}

#[test]
fn operator_can_confirm_with_a_reason() {
    let command =
        Command::ConfirmNotified(NotifiedBy::Operator, Some("told at the shop".to_owned()));
    let mut world = waiting().at(5 * DAY_S);
    let done = world.done(command.clone());
    let Event::ChangeNotified(event) = done.event.unwrap().event else {
        panic!("another event")
    };
    assert_eq!(
        (event.by, event.reason.as_deref()),
        (NotifiedBy::Operator, Some("told at the shop"))
    );
    assert_eq!(world.refused(command).code, ErrorCode::StepOutOfOrder);
    // After a freeze there is nothing to confirm.
    let frozen = waiting().freeze(1);
    assert_eq!(frozen.refused(notified()).code, ErrorCode::StepOutOfOrder);
}

#[test]
fn unseen_standby_card_waits_at_the_switch() {
    let ready = World::new().unnotified().standby("b");
    // Nobody was notified of its completion: the switch waits for a notification of its own.
    let switched = ready.clone().at(2 * DAY_S).login().switched_to(1);
    assert!(switched.merchant.state.hold(switched.now).is_some());
    let switched = switched.then(notified());
    assert_eq!(effective_at(&switched), t(2 * DAY_S + 12 * HOUR_S));
    // Its completion was handed over: no hold, and no notification to wait for.
    let seen = ready.then(notified()).at(2 * DAY_S).login().switched_to(1);
    assert_eq!(effective_at(&seen), t(2 * DAY_S));
    assert_eq!(seen.paid_to_now(), Some(1));
    assert_eq!(seen.refused(notified()).code, ErrorCode::StepOutOfOrder);
}

#[test]
fn returned_test_transfer_undoes_a_waiting_activation() {
    let world = waiting().test_sent().at(20 * DAY_S);
    let world = world.test_says(crate::transfer::TransferAnswer::Returned);
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.shown(), "reverted");
}
