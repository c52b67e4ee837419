//! The freeze: before `effective_at` the pointer goes back, later every payout is held; open rebinds, logins, standby cards
//! and the cooldown end in either case. Only the operator ends a freeze.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::merchant::Frozen;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{End, RebindState};
use crate::transfer::TransferAnswer;

/// By nobody: whoever knows the code needs no login.
fn code_given(world: &World, number: u32) -> World {
    let mut world = world.clone().about(number);
    world.by = None;
    world
}

fn is_good(world: &World, number: u32) -> bool {
    code_given(world, number)
        .decide(Command::Freeze(number))
        .is_ok()
}

#[test]
fn before_effective_at_the_pointer_goes_back_and_the_new_card_is_removed() {
    let world = World::new().activated().at(DAY_S - 1).pay("in_hold");
    let mut world = code_given(&world, 1);
    let transition = world.done(Command::Freeze(1));
    assert_eq!((world.active(), world.shown()), (Some(0), "frozen"));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert_eq!(
        world.stage(),
        &RebindState::Ended {
            how: End::Frozen,
            at: world.now,
            reason: None
        }
    );
    assert_eq!(world.rebind().sealed_number, None);
    let head = &world.state.head;
    assert_eq!(
        (head.cooldown_until, head.cooldown_end_untold),
        (None, false)
    );
    assert_eq!(head.last_activation, None);
    assert!(head.freeze_codes.is_empty());
    assert_eq!(
        head.frozen,
        Some(Frozen {
            at: world.now,
            holds_payouts: false
        })
    );
    // Sessions die; the old contact is told.
    assert!(transition.ends_sessions);
    assert!(head.sessions.iter().all(Option::is_none));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::Frozen);
    assert_eq!(event.event.data()["undone"], true);
    let told: Vec<_> = event.notices.iter().map(|notice| notice.to()).collect();
    assert_eq!(told, [Recipient::OnFile]);
    // Payouts go on, to the card of before.
    assert_eq!(world.paid_to("in_hold"), Some(0));
    let world = world
        .pay("next")
        .system_with("in_hold", Command::PayoutSent);
    assert_eq!(world.paid_to("next"), Some(0));
}

#[test]
fn from_effective_at_on_every_payout_is_held() {
    let world = World::new().pay("old").activated().at(DAY_S).pay("new");
    let world = world.freeze(1);
    // Nobody knows which card is right: nothing is undone.
    assert_eq!((world.active(), world.shown()), (Some(1), "completed"));
    let head = &world.state.head;
    assert_eq!(
        head.frozen,
        Some(Frozen {
            at: t(DAY_S),
            holds_payouts: true
        })
    );
    assert_eq!(
        (head.cooldown_until, head.cooldown_end_untold),
        (None, false)
    );
    let world = world.pay("later");
    assert_eq!(world.paid_to("later"), None);
    for name in ["old", "new", "later"] {
        assert!(world.state.holds(&world.payout(name)), "{name}");
        let sent = world.refused(Command::PayoutSent(world.payout(name)));
        let expected = match name {
            "later" => ErrorCode::StepOutOfOrder,
            _ => ErrorCode::AccountFrozen,
        };
        assert_eq!(sent.code, expected, "{name}");
        let assign = world.refused(Command::AssignPayout(world.payout(name)));
        assert_eq!(assign.code, ErrorCode::StepOutOfOrder);
    }
    // One that is not to go out is returned by the acquirer's core.
    let returned = world.system_with("new", Command::PayoutReturned);
    assert_eq!(returned.unsent(1), 0);
}

#[test]
fn the_hold_of_a_deposit_is_longer_and_a_switch_has_none() {
    let deposit = World::new().bound_by_deposit(create());
    assert_eq!(
        deposit.clone().at(3 * DAY_S - 1).freeze(1).active(),
        Some(0)
    );
    assert_eq!(deposit.at(3 * DAY_S).freeze(1).active(), Some(1));
    let switched = World::new().standby("b").at(DAY_S).switched_to(1).freeze(1);
    assert_eq!(switched.active(), Some(1));
    assert!(switched.state.head.frozen.unwrap().holds_payouts);
}

#[test]
fn a_code_works_until_7_days_after_effective_at_and_once() {
    let world = World::new().activated();
    assert!(is_good(&world, 1));
    assert!(is_good(&world.clone().at(8 * DAY_S - 1), 1));
    assert!(!is_good(&world.clone().at(8 * DAY_S), 1));
    assert!(!is_good(&world, 2));
    assert!(!is_good(&World::new().matched(), 1));
    let deposit = World::new().bound_by_deposit(create());
    assert!(is_good(&deposit.clone().at(10 * DAY_S - 1), 1));
    assert!(!is_good(&deposit.at(10 * DAY_S), 1));
    let used = world.freeze(1);
    assert!(!is_good(&used, 1));
    let used = used.unfreeze();
    assert!(!is_good(&used, 1));
    let refusal = code_given(&used, 1).refused(Command::Freeze(1));
    assert_eq!(refusal.code, ErrorCode::NotFound);
}

#[test]
fn a_code_of_a_rebind_that_is_not_at_hand_decides_nothing() {
    let world = World::new().activated();
    let mut other = world.clone().about(1);
    other.by = None;
    other.state.rebind = World::new().standby("b").standby("c").about(2).state.rebind;
    assert_eq!(other.refused(Command::Freeze(1)).code, ErrorCode::NotFound);
}

#[test]
fn with_lost_it_ends_with_the_old_card_whatever_was_said_of_it() {
    let world = World::new().bound_by(create_lost("b")).pay("held");
    assert_eq!(world.paid_to("held"), None);
    assert_eq!(world.state.head.lost_at, Some(t(0)));
    let world = world.at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), Some(0));
    // Who said that it was lost is frozen out: the short cooldown is not used up either.
    assert_eq!(world.state.head.lost_at, None);
    let world = world.pay("next");
    assert_eq!(world.paid_to("next"), Some(0));
    // What was held waits for nothing any more.
    assert_eq!(world.state.head.due_at(world.now), Some(world.now));
    let world = world.system_with("held", Command::AssignPayout);
    assert_eq!(world.paid_to("held"), Some(0));
}

#[test]
fn with_a_first_card_there_is_none_afterwards() {
    let mut world = World::new();
    world.state.head.active = None;
    let world = world.activated().pay("held").at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), None);
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert_eq!(world.clone().pay("next").paid_to("next"), None);
    let world = world.unfreeze();
    // Nothing to assign it to: not due, however long it takes.
    let refusal = world.refused(Command::AssignPayout(world.payout("held")));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert!(
        world
            .state
            .head
            .due_at(world.now)
            .is_some_and(|at| at <= world.now)
    );
    let card = world.card(1);
    let world = world.about(1).system(Command::RemoveCard(card));
    assert_eq!(world.state.head.due_at(world.now), None);
}

#[test]
fn an_open_rebind_ends_with_it() {
    // The code of a standby card, while the next rebind is open.
    let world = World::new().standby("b").matched_for(create_for("c"));
    let mut world = code_given(&world, 1);
    let transition = world.done(Command::Freeze(1));
    assert!(transition.also.is_some());
    let ended = world.rebind_of(2);
    assert_eq!(ended.state_at(world.now).as_str(), "frozen");
    assert_eq!(ended.sealed_number, None);
    assert_eq!(world.state.head.open, None);
    assert_eq!(world.state.head.rebind_version, ended.version);
    // What was in flight for it finds it ended, after the freeze too.
    let world = world.by(0).about(2).unfreeze();
    assert_eq!(world.refused(take(Card)).code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        world.refused(bank(Some(BankAnswer::Match))).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(world.next_actions(), [NextAction::NewRebind]);
}

#[test]
fn an_open_rebind_that_was_not_read_is_not_passed_over() {
    let world = World::new().standby("b").matched_for(create_for("c"));
    let mut world = code_given(&world, 1);
    world.state.latest = None;
    assert_eq!(
        world.refused(Command::Freeze(1)).code,
        ErrorCode::VersionConflict
    );
}

#[test]
fn an_open_rebind_that_is_overdue_is_expired_by_it() {
    let world = World::new().standby("b").matched_for(create_for("c"));
    let world = world.at(DAY_S).freeze(1);
    assert_eq!(world.rebind_of(2).state_at(world.now).as_str(), "expired");
    assert_eq!(world.state.head.open, None);
}

#[test]
fn an_open_rebind_whose_deposit_ran_out_says_so_when_a_freeze_ends_it() {
    let world = World::new()
        .standby("b")
        .deposit_arrived_for(create_for("c"));
    let world = world.at(7 * DAY_S).freeze(1);
    assert!(matches!(
        world.rebind_of(2).stage,
        RebindState::Ended {
            how: End::Expired,
            reason: Some(ErrorCode::MicroDepositExpired),
            ..
        }
    ));
}

#[test]
fn the_code_of_a_standby_card_takes_it_away_and_leaves_the_payouts_alone() {
    let world = World::new().pay("a").standby("b");
    // Until usable_at + 7 days.
    assert!(is_good(&world.clone().at(8 * DAY_S - 1), 1));
    assert!(!is_good(&world.clone().at(8 * DAY_S), 1));
    let world = world.freeze(1).pay("b");
    assert_eq!((world.active(), world.shown()), (Some(0), "frozen"));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(!world.state.head.frozen.unwrap().holds_payouts);
    assert_eq!((world.paid_to("a"), world.paid_to("b")), (Some(0), Some(0)));
    let world = world.system_with("a", Command::PayoutSent);
    assert_eq!(world.unsent(0), 1);
    let event = world
        .history
        .iter()
        .find(|event| event.kind() == EventKind::Frozen);
    assert_eq!(event.unwrap().data()["holds_payouts"], false);
}

#[test]
fn a_freeze_takes_every_standby_card_away_however_long_it_has_been_there() {
    let world = World::new()
        .standby("b")
        .bound_by(create_for("c"))
        .freeze(2);
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(world.state.head.standby.is_empty());
    // The other card's code still works, and freezes what it can.
    assert!(is_good(&world, 1));
    let old = World::new().standby("b").at(80 * DAY_S);
    let old = old.bound_by(create_for("c")).freeze(2);
    assert_eq!(old.status_of(1), CardStatus::Removed);
}

#[test]
fn a_standby_card_that_was_switched_to_has_the_code_of_its_activation_only() {
    let world = World::new().standby("b").at(DAY_S).switched_to(1);
    assert!(is_good(&world.clone().at(8 * DAY_S - 1), 1));
    assert!(!is_good(&world.clone().at(8 * DAY_S), 1));
    let world = world.freeze(1);
    assert_eq!(world.active(), Some(1));
    assert!(world.state.head.frozen.unwrap().holds_payouts);
    assert_eq!(world.state.head.cooldown_until, None);
}

#[test]
fn any_code_undoes_the_activation_whose_hold_is_running() {
    let world = World::new().standby("b").bound_by(create_for("c")).pay("a");
    let world = world.at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), Some(0));
    for number in [1, 2] {
        let ended = world.rebind_of(number);
        assert_eq!(ended.state_at(world.now).as_str(), "frozen");
        assert_eq!(ended.sealed_number, None);
        assert_eq!(world.status_of(number), CardStatus::Removed);
    }
    let head = &world.state.head;
    assert_eq!(head.rebind_version, world.rebind_of(2).version);
    assert_eq!((head.cooldown_until, &head.last_activation), (None, &None));
    assert!(!head.frozen.unwrap().holds_payouts);
    assert_eq!(world.clone().pay("b").paid_to("b"), Some(0));
}

#[test]
fn any_code_holds_the_payouts_while_an_activation_is_in_effect_that_can_still_be_frozen() {
    let world = World::new().standby("b").bound_by(create_for("c"));
    let held = world.clone().at(8 * DAY_S - 1).freeze(1).pay("a");
    assert_eq!((held.active(), held.paid_to("a")), (Some(2), None));
    assert!(held.state.head.frozen.unwrap().holds_payouts);
    // Only the cooldown of the code's own activation is cancelled.
    assert_eq!(held.state.head.cooldown_until, Some(t(30 * DAY_S)));
    // Once nobody can freeze it any more, it is the merchant's.
    let later = World::new()
        .bound_by(create_for("c"))
        .at(30 * DAY_S)
        .standby("b");
    let later = later.freeze(2).pay("a");
    assert_eq!(later.paid_to("a"), Some(1));
}

// An activation that was undone already, by another code or by its test transfer, is not in force any more.
#[test]
fn the_code_of_an_activation_that_was_undone_already_holds_nothing() {
    let world = World::new().standby("b").bound_by(create_for("c"));
    let world = world.at(60).freeze(1).freeze(2);
    assert_eq!(world.active(), Some(0));
    assert!(!world.state.head.frozen.unwrap().holds_payouts);
    let world = World::new().activated().test_sent();
    let world = world.test_says(TransferAnswer::Returned).at(60).freeze(1);
    assert_eq!(world.active(), Some(0));
    assert!(!world.state.head.frozen.unwrap().holds_payouts);
}

#[test]
fn a_hold_that_is_undone_leaves_the_older_activation_in_effect_and_its_payouts_held() {
    // A lost card with a deposit: its code still works when the next activation is possible.
    let lost = World::new().bound_by_deposit(create_lost("b"));
    let second = lost.at(7 * DAY_S).bound_by(create_for("c"));
    for number in [1, 2] {
        let held = second.clone().at(8 * DAY_S - 1).freeze(number);
        assert_eq!(held.active(), Some(1));
        assert_eq!(held.state.head.cooldown_until, None);
        assert!(held.state.head.frozen.unwrap().holds_payouts);
        assert_eq!(held.clone().pay("x").paid_to("x"), None);
        // Another freeze does not end it.
        let other = 3 - number;
        let both = held.at(8 * DAY_S).freeze(other);
        assert!(both.state.head.frozen.unwrap().holds_payouts);
        assert_eq!(both.state.head.frozen.unwrap().at, t(8 * DAY_S - 1));
    }
}

#[test]
fn while_frozen_every_change_is_refused() {
    let world = World::new().activated().freeze(1).unfreeze();
    let mut world = world
        .standby("b")
        .freeze(2)
        .unfreeze()
        .matched_for(create_for("c"));
    world.state.head.frozen = frozen(world.now);
    let card = world.card(0);
    for act in [
        create_for("d"),
        Command::Cancel,
        document(true),
        resend(Identity),
        take(Identity),
        take(Card),
        settle(Card, world.mac(Card), true),
        settle(Card, world.mac(Card), false),
        sign(world.now),
        card_check(),
        bank(Some(BankAnswer::Match)),
        resend(Card),
        Command::SettleDeposit(Some(TransferAnswer::Returned)),
        Command::StartTestTransfer,
        Command::SettleTestTransfer(Some(TransferAnswer::Returned)),
        Command::StartActivation(card.clone(), code("x")),
        Command::Unbind(card),
        settlement("D1", 1_000),
        push("phone", "token"),
    ] {
        let refusal = world.refused(act.clone());
        assert_eq!(refusal.code, ErrorCode::AccountFrozen, "{act:?}");
        assert_eq!(refusal.next_actions, [NextAction::ContactSupport]);
    }
    // A try that was taken before cannot win, and a late try is none.
    let taken = World::new().standby("b").at(DAY_S).switch_code_for(1);
    let taken = taken.then(take(Activate));
    let right = settle(Activate, taken.mac(Activate), true);
    let frozen = taken.freeze(1).by(0);
    assert_eq!(frozen.refused(right).code, ErrorCode::AccountFrozen);
}

#[test]
fn only_unfreeze_ends_it_and_says_why() {
    let world = World::new().activated().freeze(1);
    for at_s in [60, 9 * DAY_S, 400 * DAY_S] {
        let late = world.clone().at(at_s);
        for act in [Command::Expire, Command::Complete, Command::EndCooldown] {
            assert_eq!(late.refused(act).code, ErrorCode::StepOutOfOrder);
        }
        assert!(late.state.head.frozen.is_some());
    }
    let mut by_operator = world.clone();
    by_operator.by = None;
    let transition = by_operator.done(Command::Unfreeze("asked at the shop".to_owned()));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::Unfrozen);
    assert_eq!(event.event.data()["reason"], "asked at the shop");
    assert_eq!(event.event.data()["card_id"], world.card(0).as_str());
    assert_eq!(by_operator.state.head.frozen, None);
    let again = by_operator.refused(Command::Unfreeze("again".to_owned()));
    assert_eq!(again.code, ErrorCode::StepOutOfOrder);
    // A rebind can be asked for at once: its cooldown was cancelled.
    let world = world.unfreeze().latest();
    assert!(world.decide(create()).is_ok());
}

#[test]
fn after_a_freeze_that_held_the_payouts_go_on_to_the_cards_they_had() {
    let world = World::new().pay("old").activated().at(DAY_S).pay("new");
    let world = world.freeze(1).pay("held").unfreeze();
    assert_eq!(world.state.head.due_at(world.now), Some(world.now));
    let world = world.system_with("held", Command::AssignPayout);
    assert_eq!(world.paid_to("held"), Some(1));
    let world = world.system_with("old", Command::PayoutSent);
    let world = world.system_with("new", Command::PayoutSent);
    assert_eq!((world.unsent(0), world.unsent(1)), (0, 1));
    // The change is not undone by the freeze: its test transfer still can.
    let world = world.test_sent().test_says(TransferAnswer::Returned);
    assert_eq!(world.active(), Some(0));
}

#[test]
fn frozen_before_effective_at_with_a_deposit_a_push_and_a_test_transfer_on_their_way() {
    let world = World::new().then(push("phone", "token"));
    let world = world.activated().test_sent().at(60).freeze(1);
    let notices = &world.history.last().unwrap().notices;
    let told: Vec<_> = notices.iter().map(|notice| notice.to()).collect();
    assert_eq!(told, [Recipient::OnFile, Recipient::Push]);
    assert_eq!(world.rebind().due_at(&POLICY), None);
    let world = world.unfreeze();
    let late = world.refused(Command::SettleTestTransfer(Some(TransferAnswer::Returned)));
    assert_eq!(late.code, ErrorCode::StepOutOfOrder);
}

/// The deposit's hold of three days, and seven more: in that second it is the merchant's card.
#[test]
fn the_code_of_another_card_holds_the_payouts_up_to_the_last_second_of_the_activations_own() {
    let world = World::new().bound_by_deposit(create_lost("b"));
    let world = world.at(7 * DAY_S).standby("c");
    for (at, holds) in [(10 * DAY_S - 1, true), (10 * DAY_S, false)] {
        let frozen = world.clone().at(at).freeze(2).state.head.frozen;
        assert_eq!(frozen.unwrap().holds_payouts, holds, "{at}");
    }
}
