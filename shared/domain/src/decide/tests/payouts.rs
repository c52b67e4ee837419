//! A payout gets its card in the write that creates it, and never changes it.

use super::fixture::*;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::payout::{Payout, PayoutState};
use crate::transfer::TransferAnswer;
use crate::transition::{EndedSessions, PayoutChange, Transition};

fn due(world: &World) -> Option<crate::time::Timestamp> {
    world.merchant.state.due_at(world.now)
}

fn created(transition: &Transition) -> &Payout {
    match transition.payout.as_ref().unwrap() {
        PayoutChange::Created(payout) => payout,
        other => panic!("{other:?}"),
    }
}

#[test]
fn payout_goes_to_new_card_from_effective_at() {
    for (world, hold_s) in [
        (World::new().activated(), DAY_S),
        (World::new().bound_by_deposit(create()), 3 * DAY_S),
    ] {
        let world = world
            .pay("first")
            .at(hold_s - 1)
            .pay("last")
            .at(hold_s)
            .pay("next");
        let paid_to = ["first", "last", "next"].map(|name| world.paid_to(name));
        assert_eq!(paid_to, [Some(0), Some(0), Some(1)]);
        assert_eq!((world.unsent(0), world.unsent(1)), (2, 1));
        // The time of creation decides, not the run of the clean-up.
        let world = world.then(Command::Complete).pay("after");
        assert_eq!(world.paid_to("after"), Some(1));
    }
}

#[test]
fn payout_and_card_are_one_write() {
    let mut world = World::new().at(7);
    world.by = None;
    let before = world.merchant.state.version;
    let transition = world.done(Command::CreatePayout(payout_id("a"), 12_345));
    let payout = created(&transition);
    assert_eq!(
        (payout.amount_fen, payout.created_at, payout.state),
        (12_345, t(7), PayoutState::Unsent)
    );
    assert_eq!(payout.card.as_ref().unwrap().card_id, world.card(0));
    assert_eq!(world.merchant.state.version, before + 1);
    assert!(transition.rebind.is_none());
    assert_eq!(transition.ends_sessions, EndedSessions::None);
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::PayoutCreated);
    assert_eq!(event.event.data()["amount_fen"], 12_345);
    assert_eq!(event.event.data()["card_id"], world.card(0).as_str());
}

#[test]
fn open_rebind_does_not_affect_payouts() {
    for world in [World::new().created(), World::new().matched()] {
        assert_eq!(world.pay("a").paid_to("a"), Some(0));
    }
    assert_eq!(World::new().standby("b").pay("a").paid_to("a"), Some(0));
}

#[test]
fn payout_never_changes_its_card() {
    let world = World::new()
        .pay("a")
        .activated()
        .pay("b")
        .at(DAY_S)
        .pay("c");
    let cards = |world: &World| ["a", "b", "c"].map(|name| world.payout(name).card);
    let before = cards(&world);
    for later in [
        world.clone().then(Command::Complete),
        world.clone().freeze(1),
        world
            .clone()
            .test_sent()
            .test_says(TransferAnswer::Returned),
        world.clone().at(40 * DAY_S).bound_by(create_for("d")),
    ] {
        assert_eq!(cards(&later), before);
        for name in ["a", "b", "c"] {
            let refusal = later.refused(Command::AssignPayout(later.payout(name)));
            assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
        }
    }
}

#[test]
fn payout_is_held_until_effective_at() {
    let mut first = World::new();
    first.merchant.state.active = None;
    for (world, hold_s) in [
        (first.activated(), DAY_S),
        (World::new().bound_by(create_lost("b")), 3 * DAY_S),
    ] {
        let world = world.pay("held").at(hold_s - 1).pay("too");
        assert_eq!(world.paid_to("held"), None);
        assert_eq!(world.merchant.state.held_payouts, 2);
        assert!(world.merchant.holds(&world.payout("held")));
        assert_eq!(due(&world), Some(t(hold_s)));
        let assign = |world: &World| Command::AssignPayout(world.payout("held"));
        assert_eq!(
            world.refused(assign(&world)).code,
            ErrorCode::StepOutOfOrder
        );
        for act in [begin_payment as fn(_) -> _, Command::PayoutSent] {
            let paid = world.refused(act(world.payout("held")));
            assert_eq!(paid.code, ErrorCode::StepOutOfOrder);
        }

        let mut world = world.at(hold_s);
        world.by = None;
        let transition = world.done(assign(&world));
        assert_eq!((world.paid_to("held"), world.unsent(1)), (Some(1), 1));
        assert_eq!(world.merchant.state.held_payouts, 1);
        assert_eq!(transition.event.unwrap().kind(), EventKind::PayoutAssigned);
        assert_eq!(world.payout("held").created_at, t(0));
        // Repeating it changes nothing.
        assert_eq!(
            world.refused(assign(&world)).code,
            ErrorCode::StepOutOfOrder
        );
        let world = world.system_with("too", Command::AssignPayout);
        assert_eq!(world.merchant.state.held_payouts, 0);
        let world = world.sent("held");
        assert_eq!(world.unsent(1), 1);
    }
}

#[test]
fn payout_is_held_without_a_card() {
    let mut world = World::new();
    world.merchant.state.active = None;
    let world = world.pay("held");
    assert_eq!((world.paid_to("held"), due(&world)), (None, None));
    let refusal = world.refused(Command::AssignPayout(world.payout("held")));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    let world = world.activated();
    assert_eq!(due(&world), Some(t(DAY_S)));
}

#[test]
fn repeated_reports_change_nothing() {
    let world = World::new().pay("a").sent("a");
    assert_eq!((world.unsent(0), world.sending(0)), (0, 0));
    let again = world
        .decide(Command::PayoutSent(world.payout("a")))
        .unwrap();
    assert!(again.state.is_none() && again.event.is_none() && again.payout.is_none());
    let world = world.system_with("a", Command::PayoutReturned);
    assert_eq!(
        (world.unsent(0), world.payout("a").state),
        (0, PayoutState::Returned)
    );
    let again = world
        .decide(Command::PayoutReturned(world.payout("a")))
        .unwrap();
    assert!(again.state.is_none() && again.event.is_none());
    // A returned payout cannot be paid or assigned.
    for act in [
        begin_payment(world.payout("a")),
        Command::PayoutSent(world.payout("a")),
        Command::AssignPayout(world.payout("a")),
    ] {
        assert_eq!(world.refused(act).code, ErrorCode::StepOutOfOrder);
    }
}

#[test]
fn payment_starts_before_it_is_reported_sent() {
    let unsent = World::new().pay("a");
    let early = unsent.refused(Command::PayoutSent(unsent.payout("a")));
    assert_eq!(early.code, ErrorCode::StepOutOfOrder);
    let mut sending = unsent;
    sending.by = None;
    let transition = sending.done(begin_payment(sending.payout("a")));
    assert_eq!(transition.event.unwrap().kind(), EventKind::PayoutSending);
    assert_eq!((sending.unsent(0), sending.sending(0)), (0, 1));
    assert_eq!(sending.payout("a").state, PayoutState::Sending);
    // It keeps its card, and the card stays on record until the payment is reported.
    let assign = sending.refused(Command::AssignPayout(sending.payout("a")));
    assert_eq!(assign.code, ErrorCode::StepOutOfOrder);
    let replaced = sending.clone().by(0).activated().at(9 * DAY_S).login();
    let remove = Command::RemoveCard(replaced.card(0));
    assert_eq!(
        replaced.refused(remove.clone()).code,
        ErrorCode::StepOutOfOrder
    );
    let unbind = replaced.refused(Command::Unbind(replaced.card(0)));
    assert_eq!(unbind.code, ErrorCode::PayoutInFlight);
    let sent = replaced.system_with("a", Command::PayoutSent);
    assert!(sent.decide(remove).is_ok());

    let sent = sending.system_with("a", Command::PayoutSent);
    assert_eq!(sent.sending(0), 0);
    let late = sent.refused(begin_payment(sent.payout("a")));
    assert_eq!(late.code, ErrorCode::StepOutOfOrder);
}

#[test]
fn releases_of_a_card_number_are_counted_per_payout_and_day() {
    let mut world = World::new().pay("a").pay("b");
    world.by = None;
    for release in 1..=5 {
        let event = world.done(begin_payment(world.payout("a"))).event.unwrap();
        let kind = if release == 1 {
            EventKind::PayoutSending
        } else {
            EventKind::PayoutReleased
        };
        assert_eq!(event.kind(), kind);
        let data = event.event.data();
        assert_eq!(
            (&data["release"], &data["key_thumbprint"]),
            (&release.into(), &THUMBPRINT.into())
        );
        assert_eq!((world.unsent(0), world.sending(0)), (1, 1));
        world.now = world.now.plus_s(HOUR_S);
    }
    let refused = world.refused(begin_payment(world.payout("a")));
    assert_eq!(refused.code, ErrorCode::ReleaseLimit);
    assert_eq!(refused.retry_after_s, Some(19 * HOUR_S));
    assert!(world.decide(begin_payment(world.payout("b"))).is_ok());
    world.now = world.now.plus_s(19 * HOUR_S);
    let event = world.done(begin_payment(world.payout("a"))).event.unwrap();
    assert_eq!(event.event.data()["release"], 6);
    let sent = world.system_with("a", Command::PayoutSent);
    assert_eq!(sent.payout("a").releases.number, 6);
}

#[test]
fn returned_payout_ends_and_a_new_one_is_routed() {
    let world = World::new().pay("a").activated().at(DAY_S);
    let world = world.system_with("a", Command::PayoutReturned).pay("again");
    assert_eq!(
        (world.paid_to("a"), world.paid_to("again")),
        (Some(0), Some(1))
    );
    assert_eq!((world.unsent(0), world.unsent(1)), (0, 1));
    // A held payout can be returned too.
    let held = World::new().bound_by(create_lost("b")).pay("held");
    let held = held.system_with("held", Command::PayoutReturned);
    assert_eq!(held.merchant.state.held_payouts, 0);
    assert_eq!(held.paid_to("held"), None);
}

#[test]
fn unsent_payouts_are_counted_with_their_card() {
    let world = World::new().pay("a").pay("b");
    assert_eq!(world.unsent(0), 2);
    let world = world.activated();
    assert_eq!((world.unsent(0), world.unsent(1)), (2, 0));
    let world = world.at(DAY_S).pay("c").sent("a");
    assert_eq!((world.unsent(0), world.unsent(1)), (1, 1));
    let reverted = world
        .clone()
        .test_sent()
        .test_says(TransferAnswer::Returned);
    assert_eq!(reverted.active(), Some(0));
    assert_eq!((reverted.unsent(0), reverted.unsent(1)), (1, 1));
    let reverted = reverted.sent("c");
    assert_eq!((reverted.unsent(0), reverted.unsent(1)), (1, 0));
    let frozen = world.freeze(1).system_with("b", Command::PayoutReturned);
    assert_eq!((frozen.unsent(0), frozen.unsent(1)), (0, 1));
}

#[test]
fn revert_leaves_payouts_unchanged() {
    let world = World::new().activated().pay("a").test_sent();
    let world = world
        .test_says(TransferAnswer::Returned)
        .pay("b")
        .at(DAY_S)
        .pay("c");
    let paid_to = ["a", "b", "c"].map(|name| world.paid_to(name));
    assert_eq!(paid_to, [Some(0); 3]);
    assert_eq!(world.unsent(0), 3);
}

#[test]
fn assignable_payout_is_due() {
    let world = World::new().activated().at(DAY_S).freeze(1).pay("held");
    let world = world.unfreeze().bound_by(create_for("c"));
    assert!(
        world
            .decide(Command::AssignPayout(world.payout("held")))
            .is_ok()
    );
    assert_eq!(due(&world), Some(world.now));
}
