//! The operator's commands: a freeze without a code, and the end of a freeze with a choice of the active card.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::ids::CardId;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::payout::PayoutState;
use crate::rebind::{End, RebindState, TestTransfer};
use crate::transfer::TransferAnswer;

fn by_operator() -> Command {
    Command::FreezeByOperator {
        reason: "the owner called".to_owned(),
    }
}

/// The state without what only the history and the sessions tell.
fn comparable(world: &World) -> String {
    let mut state = world.merchant.state.clone();
    state.last_hash = String::new();
    format!("{state:?} {:?}", world.merchant.rebind)
}

/// The thief's card is in effect, with a payout from before and one after, and the account is frozen.
fn stolen() -> World {
    let world = World::new().pay("old").activated().test_sent();
    world.at(DAY_S).pay("new").freeze(1).pay("later")
}

fn choose(world: World, card_id: Option<CardId>) -> World {
    world.system(Command::Unfreeze {
        reason: "decided".to_owned(),
        card_id,
    })
}

#[test]
fn operator_freezes_like_the_last_live_code() {
    let switched = World::new().standby("b").at(DAY_S).switched_to(1);
    for world in [
        World::new().activated(),
        World::new().activated().at(DAY_S).pay("a"),
        World::new().bound_by_deposit(create_lost("b")).at(60),
        switched,
        World::new().standby("b").bound_by(create_for("c")).about(2),
    ] {
        let number = world
            .merchant
            .state
            .last_activation
            .as_ref()
            .unwrap()
            .number;
        let with_code = world.clone().freeze(number);
        let without = world.system(by_operator());
        assert_eq!(comparable(&without), comparable(&with_code));
        let event = without.history.last().unwrap();
        assert_eq!(event.kind(), EventKind::Frozen);
        assert_eq!(event.data()["reason"], "the owner called");
    }
}

#[test]
fn operator_freeze_without_live_code_holds_all_payouts() {
    let expired = World::new().activated().at(8 * DAY_S);
    for world in [
        World::new(),
        World::new().matched(),
        World::new().standby("b"),
        expired,
    ] {
        let active = world.active();
        let world = world.pay("before").system(by_operator()).pay("after");
        assert_eq!(world.active(), active);
        assert!(world.merchant.state.frozen.unwrap().holds_payouts);
        for name in ["before", "after"] {
            assert!(world.merchant.holds(&world.payout(name)), "{name}");
        }
        assert_eq!(world.merchant.state.open, None);
        assert!(world.merchant.state.standby.is_empty());
        assert!(world.merchant.state.sessions.iter().all(Option::is_none));
        let frozen = world
            .history
            .iter()
            .find(|event| event.kind() == EventKind::Frozen);
        assert_eq!(frozen.unwrap().data()["holds_payouts"], true);
    }
}

#[test]
fn chosen_old_card_ends_the_thiefs_activation() {
    let world = stolen();
    let old = world.card(0);
    let world = choose(world, Some(old));
    let state = &world.merchant.state;
    assert_eq!(
        (world.active(), world.status_of(1)),
        (Some(0), CardStatus::Retiring)
    );
    assert_eq!((state.frozen, &state.last_activation), (None, &None));
    assert_eq!(
        (state.cooldown_until, state.cooldown_end_unannounced),
        (None, false)
    );
    assert!(state.freeze_codes.is_empty());
    assert_eq!(
        world.stage(),
        &RebindState::Ended {
            how: End::Reverted,
            at: world.now,
            reason: Some(ErrorCode::AccountFrozen)
        }
    );
    assert_eq!(world.rebind().sealed_number, None);
    assert_eq!(world.rebind().due_at(&POLICY), None);
    let mut late = world.clone();
    late.by = None;
    let returned = late.refused(Command::SettleTestTransfer(Some(TransferAnswer::Returned)));
    assert_eq!(returned.code, ErrorCode::StepOutOfOrder);
    // Both contacts are notified, and nothing may change for a day.
    let event = world.history.last().unwrap();
    assert_eq!(event.kind(), EventKind::Unfrozen);
    let notified: Vec<_> = event.notifications.iter().map(|one| one.to()).collect();
    assert_eq!(notified, [Recipient::OnFile, Recipient::Reserved]);
    let mut world = world.latest();
    world.merchant.state.sessions = World::new().merchant.state.sessions;
    let world = world.login();
    assert_eq!(world.refused(create_for("c")).code, ErrorCode::QuietPeriod);
    assert!(
        world
            .later(POLICY.quiet_period_s)
            .login()
            .decide(create_for("c"))
            .is_ok()
    );
}

#[test]
fn unsent_payouts_leave_the_card_that_lost() {
    let world = stolen();
    let old = world.card(0);
    let world = choose(world, Some(old));
    let state = &world.merchant.state;
    assert_eq!(state.waiting_payouts(), 2);
    assert_eq!(state.due_at(world.now), Some(world.now));
    for (name, waits) in [("old", false), ("new", true), ("later", true)] {
        let payout = world.payout(name);
        assert_eq!(world.merchant.holds(&payout), waits, "{name}");
        assert_eq!(world.decide(begin_payment(payout.clone())).is_err(), waits);
        assert_eq!(world.decide(Command::AssignPayout(payout)).is_ok(), waits);
    }
    let refused = world.refused(begin_payment(world.payout("new")));
    assert_eq!(refused.code, ErrorCode::StepOutOfOrder);
    let world = world.system_with("new", Command::AssignPayout);
    let world = world.system_with("later", Command::AssignPayout);
    assert_eq!(
        ["old", "new", "later"].map(|name| world.paid_to(name)),
        [Some(0); 3]
    );
    assert_eq!((world.unsent(0), world.unsent(1)), (3, 0));
    assert_eq!(world.merchant.state.waiting_payouts(), 0);
    assert_eq!(world.status_of(1), CardStatus::Removed);
    let remove = Command::RemoveCard(world.card(1));
    let world = world.about(1).system(remove);
    assert_eq!(world.merchant.state.due_at(world.now), None);
}

#[test]
fn payment_under_way_keeps_its_card() {
    let world = World::new().activated().at(DAY_S).pay("a").pay("b");
    let world = world.system_with("a", begin_payment).freeze(1);
    let old = world.card(0);
    let world = choose(world, Some(old));
    let begun = world.payout("a");
    assert!(!world.merchant.holds(&begun));
    assert!(world.decide(Command::AssignPayout(begun)).is_err());
    let world = world.system_with("a", Command::PayoutSent);
    assert_eq!(
        (world.paid_to("a"), world.payout("a").state),
        (Some(1), PayoutState::Sent)
    );
    // One that is cancelled instead gets no other card.
    let returned = world.system_with("b", Command::PayoutReturned);
    assert_eq!(
        (
            returned.unsent(1),
            returned.merchant.state.waiting_payouts()
        ),
        (0, 0)
    );
}

#[test]
fn chosen_new_card_makes_the_activation_final() {
    let arrived = World::new().pay("old").activated().test_sent();
    let arrived = arrived.test_says(TransferAnswer::Succeeded);
    let not_sent = World::new().pay("old").activated();
    let sent = World::new().pay("old").activated().test_sent();
    for (world, arrived_at) in [
        (sent, Some(None)),
        (arrived, Some(Some(t(0)))),
        (not_sent, None),
    ] {
        let world = world.at(DAY_S).then(Command::Complete).freeze(1);
        let new = world.card(1);
        let world = choose(world, Some(new));
        assert_eq!((world.active(), world.shown()), (Some(1), "completed"));
        let state = &world.merchant.state;
        assert_eq!(state.last_activation, None);
        assert!(state.freeze_codes.is_empty());
        let test = &world.rebind().activated_card().unwrap().test;
        match arrived_at {
            Some(arrived_at) => assert_eq!(test, &TestTransfer::Closed { arrived_at }),
            None => assert_eq!(test, &TestTransfer::NotSent),
        }
        assert_eq!(world.rebind().due_at(&POLICY), None);
        assert!(!world.next_actions().contains(&NextAction::TestTransaction));
        let returned = Command::SettleTestTransfer(Some(TransferAnswer::Returned));
        let mut late = world.clone();
        late.by = None;
        assert!(late.decide(returned).is_err(), "no transfer undoes it");
        // The payouts of the old card go to the card that the operator confirmed.
        let world = world.system_with("old", Command::AssignPayout);
        assert_eq!(world.paid_to("old"), Some(1));
    }
}

#[test]
fn without_a_chosen_card_payouts_wait() {
    let world = choose(stolen(), None).pay("next");
    assert_eq!(world.active(), None);
    assert_eq!(world.rebind().state_at(world.now).as_str(), "reverted");
    for name in ["old", "new", "later", "next"] {
        let payout = world.payout(name);
        assert!(world.merchant.holds(&payout), "{name}");
        assert!(world.decide(Command::AssignPayout(payout.clone())).is_err());
        assert!(world.decide(begin_payment(payout)).is_err());
    }
    assert_eq!(world.merchant.state.waiting_payouts(), 4);
    // The next card receives them.
    let mut world = world.later(POLICY.quiet_period_s);
    world.merchant.state.sessions = World::new().merchant.state.sessions;
    let world = world.bound_by(create_for("c")).later(DAY_S);
    let world = world.system_with("new", Command::AssignPayout);
    assert_eq!(world.paid_to("new"), Some(2));
}

#[test]
fn only_a_usable_card_can_be_chosen() {
    let decide = |world: &World, card_id| {
        let reason = String::new();
        let card_id = Some(card_id);
        world.decide(Command::Unfreeze { reason, card_id })
    };
    let code = |decided: Result<_, crate::rejection::Rejection>| match decided {
        Ok(_) => None,
        Err(refusal) => Some(refusal.code),
    };
    // Frozen out in its hold, and a standby card that the freeze removed.
    let world = World::new()
        .standby("b")
        .bound_by(create_for("c"))
        .freeze(2);
    for number in [1, 2] {
        let refused = code(decide(&world, world.card(number)));
        assert_eq!(refused, Some(ErrorCode::StepOutOfOrder), "{number}");
    }
    assert_eq!(code(decide(&world, world.card(0))), None);
    assert_eq!(
        code(decide(&world, CardId::new(7, &[7; 16]))),
        Some(ErrorCode::NotFound)
    );
    // A card that lost an earlier choice.
    let old = stolen().card(0);
    let world = choose(stolen(), Some(old)).system(by_operator());
    assert_eq!(
        code(decide(&world, world.card(1))),
        Some(ErrorCode::StepOutOfOrder)
    );
    assert_eq!(code(decide(&world, world.card(0))), None);
    let running = World::new().activated();
    assert_eq!(
        code(decide(&running, running.card(0))),
        Some(ErrorCode::StepOutOfOrder)
    );
}

#[test]
fn unfreeze_needs_the_last_rebind_loaded() {
    let mut world = stolen();
    world.merchant.rebind = None;
    world.merchant.latest = None;
    let refused = world.refused(Command::Unfreeze {
        reason: String::new(),
        card_id: Some(world.card(0)),
    });
    assert_eq!(refused.code, ErrorCode::VersionConflict);
}
