//! `…/test-transaction`: one transfer of ¥0.01 per rebind. If it is returned until `effective_at` + 7 days, the change is
//! undone. A successful transfer shortens no period.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::{BankReference, End, RebindState, TestTransfer};
use crate::transfer::TransferAnswer::{Pending, Returned, Succeeded};
use crate::transition::{EndedSessions, Outcome};

fn says(answer: crate::transfer::TransferAnswer) -> Command {
    Command::SettleTestTransfer(Some(answer))
}

fn test(world: &World) -> &TestTransfer {
    &world.rebind().activated_card().unwrap().test
}

/// Issues the following commands as the clean-up.
fn by_clean_up(mut world: World) -> World {
    world.by = None;
    world
}

#[test]
fn intent_is_written_before_the_transfer() {
    let mut world = World::new().activated().at(60);
    assert_eq!(world.next_actions(), [NextAction::TestTransaction]);
    let started = world.write(Command::StartTestTransfer);
    assert_eq!(started.outcome, Outcome::Proceed);
    assert_eq!(
        test(&world),
        &TestTransfer::Sent {
            sent_at: t(60),
            checked_at: t(60)
        }
    );
    let event = started.event.unwrap();
    assert_eq!(event.kind(), EventKind::TestTransferStarted);
    let serial = world.rebind().serial(BankReference::Test);
    assert_eq!(event.event.data()["serial"], serial.as_str());
    // A repeated request queries the same transfer.
    let again = world
        .clone()
        .later(60)
        .decide(Command::StartTestTransfer)
        .unwrap();
    assert_eq!(again.outcome, Outcome::Proceed);
    assert!(again.state.is_none() && again.rebind.is_none());
    assert_eq!(world.rebind().serial(BankReference::Test), serial);
}

#[test]
fn test_is_possible_until_7_days_after_hold() {
    for (world, hold_s) in [
        (World::new().activated(), DAY_S),
        (World::new().bound_by_deposit(create()), 3 * DAY_S),
        (World::new().standby("b").at(DAY_S).switched_to(1), DAY_S),
    ] {
        let until = hold_s + 7 * DAY_S;
        for at_s in [DAY_S, hold_s, until - 1] {
            assert!(
                world
                    .clone()
                    .at(at_s)
                    .decide(Command::StartTestTransfer)
                    .is_ok()
            );
        }
        let late = world.clone().at(until);
        assert_eq!(
            late.refused(Command::StartTestTransfer).code,
            ErrorCode::StepOutOfOrder
        );
        assert!(late.next_actions().is_empty());
        let completed = world.at(until - 1).then(Command::Complete);
        assert!(completed.decide(Command::StartTestTransfer).is_ok());
        assert_eq!(
            completed.later(1).refused(Command::StartTestTransfer).code,
            ErrorCode::StepOutOfOrder
        );
    }
}

#[test]
fn test_needs_an_activation() {
    for world in [
        World::new().created(),
        World::new().matched(),
        World::new().standby("b"),
        World::new().created().then(Command::Cancel),
    ] {
        assert_eq!(
            world.refused(Command::StartTestTransfer).code,
            ErrorCode::StepOutOfOrder
        );
        assert_eq!(
            world.refused(says(Returned)).code,
            ErrorCode::StepOutOfOrder
        );
    }
}

#[test]
fn replaced_card_gets_no_test() {
    // A lost card with a deposit: its cooldown ends while its test transfer can still revert the change.
    let world = World::new().bound_by_deposit(create_lost("b"));
    let world = world.at(7 * DAY_S).bound_by(create_for("c")).about(1);
    assert_eq!(
        world.refused(Command::StartTestTransfer).code,
        ErrorCode::StepOutOfOrder
    );
    assert!(world.next_actions().is_empty());
}

#[test]
fn successful_test_shortens_nothing() {
    let before = World::new().pay("a").activated().test_sent().at(60);
    let mut world = before.clone();
    let transition = world.done(says(Succeeded));
    assert_eq!(
        test(&world),
        &TestTransfer::Arrived {
            at: t(60),
            checked_at: t(60)
        }
    );
    assert_eq!(
        transition.event.unwrap().kind(),
        EventKind::TestTransferSucceeded
    );
    let (old, new) = (&before.merchant.state, &world.merchant.state);
    assert_eq!(old.last_activation, new.last_activation);
    assert_eq!(old.cooldown_until, new.cooldown_until);
    assert_eq!((&old.active, &old.replaced), (&new.active, &new.replaced));
    assert_eq!(old.freeze_codes, new.freeze_codes);
    let activated_card = |world: &World| world.rebind().activated_card().unwrap().times.clone();
    assert_eq!(activated_card(&before), activated_card(&world));
    assert_eq!(world.shown(), "activated");
    assert_eq!(world.clone().pay("b").paid_to("b"), Some(0));
    assert_eq!(world.clone().freeze(1).active(), Some(0));
    // A repeated request returns the status. The step is no longer offered.
    let again = world.decide(Command::StartTestTransfer).unwrap();
    assert_eq!(again.outcome, Outcome::Done);
    assert!(again.state.is_none() && again.rebind.is_none());
    assert!(world.next_actions().is_empty());
    // A later poll does not change the time of arrival.
    let later = world.at(120);
    assert!(later.decide(says(Succeeded)).unwrap().rebind.is_none());
    let later = by_clean_up(later).then(says(Succeeded));
    assert!(matches!(
        test(&later),
        TestTransfer::Arrived { at, checked_at } if (*at, *checked_at) == (t(60), t(120))
    ));
}

#[test]
fn unknown_answer_changes_nothing() {
    let world = World::new().activated().test_sent().at(60);
    for answer in [None, Some(Pending)] {
        let transition = world.decide(Command::SettleTestTransfer(answer)).unwrap();
        assert!(transition.state.is_none() && transition.rebind.is_none());
        assert_eq!(transition.outcome, Outcome::Done);
    }
    // An answer to a transfer that was never sent changes nothing either.
    for answer in [Succeeded, Returned] {
        let transition = World::new().activated().decide(says(answer)).unwrap();
        assert!(transition.state.is_none() && transition.rebind.is_none());
    }
}

#[test]
fn returned_test_reverts_and_notifies_both() {
    for arrived in [false, true] {
        let world = World::new().pay("a").activated().test_sent();
        let world = if arrived {
            world.test_says(Succeeded)
        } else {
            world
        };
        let mut world = world.at(60);
        let transition = world.done(says(Returned));
        assert_eq!((world.active(), world.shown()), (Some(0), "reverted"));
        assert_eq!(
            world.stage(),
            &RebindState::Ended {
                how: End::Reverted,
                at: t(60),
                reason: Some(ErrorCode::TestTxnFailed)
            }
        );
        assert_eq!(world.status_of(1), CardStatus::Removed);
        assert_eq!(world.status_of(0), CardStatus::Active);
        let state = &world.merchant.state;
        assert_eq!(
            (state.cooldown_until, state.cooldown_end_unannounced),
            (None, false)
        );
        assert_eq!((&state.last_activation, state.frozen), (&None, None));
        assert_eq!(world.unsent(0), 1);
        let event = transition.event.unwrap();
        assert_eq!(event.kind(), EventKind::Reverted);
        assert_eq!(event.event.data()["reason"], "TEST_TXN_FAILED");
        let notified: Vec<_> = event
            .notifications
            .iter()
            .map(|notification| notification.to())
            .collect();
        assert_eq!(notified, [Recipient::OnFile, Recipient::Reserved]);
        assert_eq!(transition.ends_sessions, EndedSessions::None);
        assert_eq!(world.clone().pay("b").paid_to("b"), Some(0));
        // Repeating it changes nothing, and the next rebind can start.
        // A concurrent request with the same answer gets the same result and changes nothing.
        let again = world.decide(says(Returned)).unwrap();
        assert!(again.state.is_none() && again.rebind.is_none() && again.event.is_none());
        assert!(world.decide(create_for("c")).is_ok());
    }
}

#[test]
fn test_reverts_until_7_days_after_hold() {
    for completes in [false, true] {
        let world = World::new().activated().test_sent();
        let world = match completes {
            true => world.at(DAY_S).then(Command::Complete),
            false => world,
        };
        let last = world.clone().at(8 * DAY_S - 1).test_says(Returned);
        assert_eq!((last.active(), last.shown()), (Some(0), "reverted"));
        let mut late = world.at(8 * DAY_S);
        let transition = late.done(says(Returned));
        assert_eq!((late.active(), late.shown()), (Some(1), "completed"));
        assert_eq!(test(&late), &TestTransfer::CameBack);
        let event = transition.event.unwrap();
        assert_eq!(event.kind(), EventKind::TestTransferFailed);
        assert!(event.notifications.is_empty());
        assert_eq!(late.merchant.state.cooldown_until, Some(t(30 * DAY_S)));
        assert_eq!(late.rebind().due_at(&POLICY).filter(|_| completes), None);
        let again = late.decide(Command::StartTestTransfer).unwrap();
        assert_eq!(again.outcome, Outcome::Done);
    }
}

#[test]
fn revert_after_lost_card_holds_payouts() {
    let world = World::new().bound_by(create_lost("b")).pay("in_hold");
    let world = world.test_sent().at(60).test_says(Returned).pay("after");
    assert_eq!((world.active(), world.shown()), (None, "reverted"));
    assert_eq!(world.merchant.state.held_payouts, 2);
    assert_eq!(
        (world.paid_to("in_hold"), world.paid_to("after")),
        (None, None)
    );
    assert_eq!(world.merchant.state.cooldown_until, None);
    // The short cooldown does not count as used.
    assert_eq!(world.merchant.state.lost_at, None);
    // The payout is assigned when the next card takes effect.
    let world = world.bound_by(create_for("c"));
    let refusal = world.refused(Command::AssignPayout(world.payout("after")));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    let world = world
        .at(60 + DAY_S)
        .system_with("after", Command::AssignPayout);
    assert_eq!(world.paid_to("after"), Some(2));
}

#[test]
fn reverting_a_first_card_leaves_no_active_card() {
    let mut world = World::new();
    world.merchant.state.active = None;
    let world = world.activated().at(DAY_S).pay("a").test_sent();
    let world = world.test_says(Returned);
    assert_eq!(world.active(), None);
    // A payout keeps its card, and the card stays on record until the payout is sent.
    assert_eq!((world.paid_to("a"), world.unsent(1)), (Some(1), 1));
    assert_eq!(
        world.refused(Command::RemoveCard(world.card(1))).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(world.clone().pay("b").paid_to("b"), None);
    let world = world.system_with("a", Command::PayoutReturned);
    assert!(world.decide(Command::RemoveCard(world.card(1))).is_ok());
}

#[test]
fn later_activation_prevents_revert() {
    let world = World::new().bound_by_deposit(create_lost("b")).test_sent();
    let world = world.at(7 * DAY_S).bound_by(create_for("c"));
    let before = world.merchant.state.clone();
    let world = world.about(1).at(8 * DAY_S).test_says(Returned);
    assert_eq!(test(&world), &TestTransfer::CameBack);
    let state = &world.merchant.state;
    assert_eq!(world.active(), Some(2));
    assert_eq!(state.last_activation, before.last_activation);
    assert_eq!(state.cooldown_until, before.cooldown_until);
}

#[test]
fn frozen_account_defers_the_test_result() {
    let world = World::new().activated().test_sent().at(DAY_S).freeze(1);
    for act in [Command::StartTestTransfer, says(Returned), says(Succeeded)] {
        assert_eq!(world.refused(act.clone()).code, ErrorCode::AccountFrozen);
    }
    // The clean-up only records its poll, because the operator decides first.
    for answer in [Returned, Succeeded] {
        let mut asked = by_clean_up(world.clone());
        let transition = asked.done(says(answer));
        assert!(transition.event.is_none());
        assert_eq!(asked.active(), Some(1));
        let expected = TestTransfer::Sent {
            sent_at: t(0),
            checked_at: t(DAY_S),
        };
        assert_eq!(test(&asked), &expected);
    }
    // The operator's choice is final: the transfer no longer undoes it.
    let world = world.unfreeze().test_says(Returned);
    assert_eq!((world.active(), world.shown()), (Some(1), "completed"));
}

#[test]
fn clean_up_polls_test_while_revertible() {
    let due = |world: &World| world.rebind().due_at(&POLICY);
    let world = World::new().activated();
    assert_eq!(due(&world), Some(t(DAY_S)));
    let world = world.test_sent();
    assert_eq!(due(&world), Some(t(5 * MINUTE_S)));
    let arrived = by_clean_up(world.at(5 * MINUTE_S)).then(says(Succeeded));
    // The end of the hold is due first.
    assert_eq!(due(&arrived), Some(t(DAY_S)));
    let completed = arrived.at(DAY_S).then(Command::Complete);
    assert_eq!(due(&completed), Some(t(300 + DAY_S)));
    let late = completed.at(7 * DAY_S - 1).then(says(Succeeded));
    assert_eq!(due(&late), Some(t(8 * DAY_S - 1)));
    // The last poll comes before the revert period ends, although a full day has not passed.
    let last = late.at(7 * DAY_S).then(says(Succeeded));
    assert_eq!(due(&last), Some(t(8 * DAY_S - 1)));
    let last = last.at(8 * DAY_S - 1);
    assert_eq!(due(&last.clone().then(says(Succeeded))), None);
    assert_eq!(last.then(says(Returned)).shown(), "reverted");
}
