//! The freeze: before `effective_at` the old card is restored, later every payout is held. Open rebinds, sessions, standby
//! cards and the cooldown end in both cases. Only the operator ends a freeze.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::merchant::Frozen;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::payout::PayoutState;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{End, RebindState};
use crate::transfer::TransferAnswer;
use crate::transition::EndedSessions;

/// Freezes without a session, because the code needs no login.
fn freeze_without_session(world: &World, number: u32) -> World {
    let mut world = world.clone().about(number);
    world.by = None;
    world
}

fn is_good(world: &World, number: u32) -> bool {
    let command = world.freeze_command(number);
    freeze_without_session(world, number)
        .decide(command)
        .is_ok()
}

#[test]
fn freeze_in_hold_restores_the_old_card() {
    let world = World::new().activated().at(DAY_S - 1).pay("in_hold");
    let mut world = freeze_without_session(&world, 1);
    let transition = world.done(world.freeze_command(1));
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
    let state = &world.merchant.state;
    assert_eq!(
        (state.cooldown_until, state.cooldown_end_unannounced),
        (None, false)
    );
    assert_eq!(state.last_activation, None);
    assert!(state.freeze_codes.is_empty());
    assert_eq!(
        state.frozen,
        Some(Frozen {
            at: world.now,
            holds_payouts: false
        })
    );
    // All sessions end, and the old contact is notified.
    assert_eq!(transition.ends_sessions, EndedSessions::All);
    assert!(state.sessions.iter().all(Option::is_none));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::Frozen);
    assert_eq!(event.event.data()["undone"], true);
    let notified: Vec<_> = event
        .notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(notified, [Recipient::OnFile]);
    // Payouts continue, to the old card.
    assert_eq!(world.paid_to("in_hold"), Some(0));
    let world = world.pay("next").sent("in_hold");
    assert_eq!(world.paid_to("next"), Some(0));
}

#[test]
fn freeze_after_hold_holds_payouts() {
    let world = World::new().pay("old").activated().at(DAY_S).pay("new");
    let world = world.freeze(1);
    // It is unknown which card is right, so nothing is undone.
    assert_eq!((world.active(), world.shown()), (Some(1), "completed"));
    let state = &world.merchant.state;
    assert_eq!(
        state.frozen,
        Some(Frozen {
            at: t(DAY_S),
            holds_payouts: true
        })
    );
    assert_eq!(
        (state.cooldown_until, state.cooldown_end_unannounced),
        (None, false)
    );
    let world = world.pay("later");
    assert_eq!(world.paid_to("later"), None);
    for name in ["old", "new", "later"] {
        assert!(world.merchant.holds(&world.payout(name)), "{name}");
        let sending = world.refused(begin_payment(world.payout(name)));
        let expected = match name {
            "later" => ErrorCode::StepOutOfOrder,
            _ => ErrorCode::AccountFrozen,
        };
        assert_eq!(sending.code, expected, "{name}");
        let assign = world.refused(Command::AssignPayout(world.payout(name)));
        assert_eq!(assign.code, ErrorCode::StepOutOfOrder);
    }
    // To stop a payout, the acquirer's core returns it.
    let returned = world.system_with("new", Command::PayoutReturned);
    assert_eq!(returned.unsent(1), 0);
}

#[test]
fn freeze_follows_the_hold_of_its_activation() {
    let deposit = World::new().bound_by_deposit(create());
    assert_eq!(
        deposit.clone().at(3 * DAY_S - 1).freeze(1).active(),
        Some(0)
    );
    assert_eq!(deposit.at(3 * DAY_S).freeze(1).active(), Some(1));
    let switched = World::new().standby("b").at(DAY_S).switched_to(1).freeze(1);
    assert_eq!(switched.active(), Some(1));
    assert!(switched.merchant.state.frozen.unwrap().holds_payouts);
}

#[test]
fn freeze_code_works_once_within_7_days() {
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
    let refusal = freeze_without_session(&used, 1).refused(used.freeze_command(1));
    assert_eq!(refusal.code, ErrorCode::NotFound);
}

#[test]
fn freeze_needs_its_rebind_loaded() {
    let world = World::new().activated();
    let mut other = world.clone().about(1);
    other.by = None;
    other.merchant.rebind = World::new()
        .standby("b")
        .standby("c")
        .about(2)
        .merchant
        .rebind;
    assert_eq!(
        other.refused(other.freeze_command(1)).code,
        ErrorCode::VersionConflict
    );
}

#[test]
fn freeze_restores_the_old_card_even_if_lost() {
    let world = World::new().bound_by(create_lost("b")).pay("held");
    assert_eq!(world.paid_to("held"), None);
    assert_eq!(world.merchant.state.lost_at, Some(t(0)));
    let world = world.at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), Some(0));
    // The report of the loss is not trusted, so the short cooldown does not count as used.
    assert_eq!(world.merchant.state.lost_at, None);
    let world = world.pay("next");
    assert_eq!(world.paid_to("next"), Some(0));
    // Held payouts can be assigned now.
    assert_eq!(world.merchant.state.due_at(world.now), Some(world.now));
    let world = world.system_with("held", Command::AssignPayout);
    assert_eq!(world.paid_to("held"), Some(0));
}

#[test]
fn freeze_of_a_first_card_leaves_none() {
    let mut world = World::new();
    world.merchant.state.active = None;
    let world = world.activated().pay("held").at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), None);
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert_eq!(world.clone().pay("next").paid_to("next"), None);
    let world = world.unfreeze();
    // Without a card to assign, the payout is never due.
    let refusal = world.refused(Command::AssignPayout(world.payout("held")));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert!(
        world
            .merchant
            .state
            .due_at(world.now)
            .is_some_and(|at| at <= world.now)
    );
    let card = world.card(1);
    let world = world.about(1).system(Command::RemoveCard(card));
    assert_eq!(world.merchant.state.due_at(world.now), None);
}

#[test]
fn freeze_ends_the_open_rebind() {
    // The code of a standby card is used while the next rebind is open.
    let world = World::new().standby("b").matched_for(create_for("c"));
    let mut world = freeze_without_session(&world, 1);
    let transition = world.done(world.freeze_command(1));
    assert!(transition.also.is_some());
    let ended = world.rebind_of(2);
    assert_eq!(ended.state_at(world.now).as_str(), "frozen");
    assert_eq!(ended.sealed_number, None);
    assert_eq!(world.merchant.state.open, None);
    assert_eq!(world.merchant.state.rebind_version, ended.version);
    // Results that were in flight find the rebind ended, also after the freeze.
    let world = world.by(0).about(2).unfreeze();
    assert_eq!(world.refused(reserve(Card)).code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        world.refused(bank(Some(BankAnswer::DEBIT_MATCH))).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(world.next_actions(), FINAL_REFUSAL);
}

#[test]
fn freeze_needs_the_open_rebind_loaded() {
    let world = World::new().standby("b").matched_for(create_for("c"));
    let mut world = freeze_without_session(&world, 1);
    world.merchant.latest = None;
    assert_eq!(
        world.refused(world.freeze_command(1)).code,
        ErrorCode::VersionConflict
    );
}

#[test]
fn freeze_expires_an_overdue_rebind() {
    let world = World::new().standby("b").matched_for(create_for("c"));
    let world = world.at(DAY_S).freeze(1);
    assert_eq!(world.rebind_of(2).state_at(world.now).as_str(), "expired");
    assert_eq!(world.merchant.state.open, None);
}

#[test]
fn freeze_reports_an_expired_deposit() {
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
fn standby_freeze_code_retires_the_card_only() {
    let world = World::new().pay("a").standby("b");
    // The code is valid as long as the card is a standby card.
    assert!(is_good(&world.clone().at(80 * DAY_S), 1));
    let world = world.freeze(1).pay("b");
    assert_eq!((world.active(), world.shown()), (Some(0), "frozen"));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(!world.merchant.state.frozen.unwrap().holds_payouts);
    assert_eq!((world.paid_to("a"), world.paid_to("b")), (Some(0), Some(0)));
    let world = world.sent("a");
    assert_eq!(world.unsent(0), 1);
    let event = world
        .history
        .iter()
        .find(|event| event.kind() == EventKind::Frozen);
    assert_eq!(event.unwrap().data()["holds_payouts"], false);
}

#[test]
fn freeze_retires_every_standby_card() {
    let world = World::new()
        .standby("b")
        .bound_by(create_for("c"))
        .freeze(2);
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert!(world.merchant.state.standby.is_empty());
    // The other card's code is still valid and freezes what it can.
    assert!(is_good(&world, 1));
    let old = World::new().standby("b").at(80 * DAY_S);
    let old = old.bound_by(create_for("c")).freeze(2);
    assert_eq!(old.status_of(1), CardStatus::Removed);
}

#[test]
fn switched_card_has_two_freeze_codes() {
    let world = World::new().standby("b");
    let of_announcement = world.freeze_command(1);
    let world = world.at(20 * DAY_S).switched_to(1);
    let of_switch = world.freeze_command(1);
    for code in [of_announcement, of_switch] {
        let world = freeze_without_session(&world, 1);
        assert!(
            world
                .clone()
                .at(27 * DAY_S - 1)
                .decide(code.clone())
                .is_ok()
        );
        assert!(world.at(27 * DAY_S).decide(code).is_err());
    }
    let world = world.freeze(1);
    assert!(world.merchant.state.freeze_codes.is_empty());
    assert_eq!(world.active(), Some(1));
    assert!(world.merchant.state.frozen.unwrap().holds_payouts);
    assert_eq!(world.merchant.state.cooldown_until, None);
}

#[test]
fn any_freeze_code_undoes_the_running_hold() {
    let world = World::new().standby("b").bound_by(create_for("c")).pay("a");
    let world = world.at(DAY_S - 1).freeze(1);
    assert_eq!(world.active(), Some(0));
    for number in [1, 2] {
        let ended = world.rebind_of(number);
        assert_eq!(ended.state_at(world.now).as_str(), "frozen");
        assert_eq!(ended.sealed_number, None);
        assert_eq!(world.status_of(number), CardStatus::Removed);
    }
    let state = &world.merchant.state;
    assert_eq!(state.rebind_version, world.rebind_of(2).version);
    assert_eq!(
        (state.cooldown_until, &state.last_activation),
        (None, &None)
    );
    assert!(!state.frozen.unwrap().holds_payouts);
    assert_eq!(world.clone().pay("b").paid_to("b"), Some(0));
}

#[test]
fn any_freeze_code_holds_freezable_payouts() {
    let world = World::new().standby("b").bound_by(create_for("c"));
    let held = world.clone().at(8 * DAY_S - 1).freeze(1).pay("a");
    assert_eq!((held.active(), held.paid_to("a")), (Some(2), None));
    assert!(held.merchant.state.frozen.unwrap().holds_payouts);
    // The freeze cancels only the cooldown of the code's own activation.
    assert_eq!(held.merchant.state.cooldown_until, Some(t(30 * DAY_S)));
    // After the freeze period, the activation is final.
    let later = World::new()
        .bound_by(create_for("c"))
        .at(30 * DAY_S)
        .standby("b");
    let later = later.freeze(2).pay("a");
    assert_eq!(later.paid_to("a"), Some(1));
}

// An activation that another code or its test transfer has undone is no longer in force.
#[test]
fn code_of_undone_activation_holds_nothing() {
    let world = World::new().standby("b").bound_by(create_for("c"));
    let world = world.at(60).freeze(1).freeze(2);
    assert_eq!(world.active(), Some(0));
    assert!(!world.merchant.state.frozen.unwrap().holds_payouts);
    let world = World::new().activated().test_sent();
    let world = world.test_says(TransferAnswer::Returned).at(60).freeze(1);
    assert_eq!(world.active(), Some(0));
    assert!(!world.merchant.state.frozen.unwrap().holds_payouts);
}

#[test]
fn undone_hold_keeps_older_payouts_held() {
    // A lost card with a deposit: its code is still valid when the next activation is possible.
    let lost = World::new().bound_by_deposit(create_lost("b"));
    let second = lost.at(7 * DAY_S).bound_by(create_for("c"));
    for number in [1, 2] {
        let held = second.clone().at(8 * DAY_S - 1).freeze(number);
        assert_eq!(held.active(), Some(1));
        assert_eq!(held.merchant.state.cooldown_until, None);
        assert!(held.merchant.state.frozen.unwrap().holds_payouts);
        assert_eq!(held.clone().pay("x").paid_to("x"), None);
        // Another freeze does not release the payouts.
        let other = 3 - number;
        let both = held.at(8 * DAY_S).freeze(other);
        assert!(both.merchant.state.frozen.unwrap().holds_payouts);
        assert_eq!(both.merchant.state.frozen.unwrap().at, t(8 * DAY_S - 1));
    }
}

#[test]
fn frozen_account_refuses_every_change() {
    let world = World::new().activated().freeze(1).unfreeze();
    let mut world = world
        .standby("b")
        .freeze(2)
        .unfreeze()
        .matched_for(create_for("c"));
    world.merchant.state.frozen = frozen(world.now);
    let card = world.card(0);
    for act in [
        create_for("d"),
        Command::Cancel,
        document(true),
        resend(Identity),
        reserve(Identity),
        reserve(Card),
        settle(Card, world.mac(Card), true),
        settle(Card, world.mac(Card), false),
        sign(world.now),
        card_check(),
        bank(Some(BankAnswer::DEBIT_MATCH)),
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
    // An attempt that was reserved before cannot succeed, and no new one can be reserved.
    let reserved = World::new().standby("b").at(DAY_S).switch_code_for(1);
    let reserved = reserved.then(reserve(Activate));
    let right = settle(Activate, reserved.mac(Activate), true);
    let frozen = reserved.freeze(1).by(0);
    assert_eq!(frozen.refused(right).code, ErrorCode::AccountFrozen);
}

#[test]
fn only_unfreeze_ends_a_freeze() {
    let world = World::new().activated().freeze(1);
    for at_s in [60, 9 * DAY_S, 400 * DAY_S] {
        let late = world.clone().at(at_s);
        for act in [Command::Expire, Command::Complete, Command::EndCooldown] {
            assert_eq!(late.refused(act).code, ErrorCode::StepOutOfOrder);
        }
        assert!(late.merchant.state.frozen.is_some());
    }
    let mut by_operator = world.clone();
    by_operator.by = None;
    let unfreeze = |reason: &str| Command::Unfreeze {
        reason: reason.to_owned(),
        card_id: Some(world.card(0)),
    };
    let transition = by_operator.done(unfreeze("asked at the shop"));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::Unfrozen);
    assert_eq!(event.event.data()["reason"], "asked at the shop");
    assert_eq!(event.event.data()["card_id"], world.card(0).as_str());
    assert_eq!(by_operator.merchant.state.frozen, None);
    let again = by_operator.refused(unfreeze("again"));
    assert_eq!(again.code, ErrorCode::StepOutOfOrder);
    // A new rebind is possible at once, because the cooldown was cancelled.
    let world = world.unfreeze().latest();
    assert!(world.decide(create()).is_ok());
}

#[test]
fn freeze_in_hold_with_pending_operations() {
    let world = World::new().then(push("phone", "token"));
    let world = world.activated().test_sent().at(60).freeze(1);
    let notifications = &world.history.last().unwrap().notifications;
    let notified: Vec<_> = notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(notified, [Recipient::OnFile, Recipient::Push]);
    assert_eq!(world.rebind().due_at(&POLICY), None);
    let world = world.unfreeze();
    let late = world.refused(Command::SettleTestTransfer(Some(TransferAnswer::Returned)));
    assert_eq!(late.code, ErrorCode::StepOutOfOrder);
}

#[test]
fn owner_is_notified_of_guesses_once_a_day() {
    let world = World::new();
    let refused = world.refused(Command::NotifyFreezeGuesses);
    assert_eq!(refused.code, ErrorCode::StepOutOfOrder, "no code works");
    let mut world = world.activated().at(60);
    world.by = None;
    let event = world.done(Command::NotifyFreezeGuesses).event.unwrap();
    assert_eq!(event.kind(), EventKind::FreezeCodeGuessed);
    let notified: Vec<_> = event.notifications.iter().map(|one| one.to()).collect();
    assert_eq!(notified, [Recipient::OnFile]);
    for (at_s, notifies) in [
        (60, false),
        (DAY_S + 59, false),
        (DAY_S + 60, true),
        (8 * DAY_S, false),
    ] {
        let decided = world.clone().at(at_s).decide(Command::NotifyFreezeGuesses);
        assert_eq!(decided.is_ok(), notifies, "{at_s}");
    }
}

// The money of such a payout may have left already.
#[test]
fn freeze_leaves_a_payment_under_way_alone() {
    let begun = World::new().pay("old").activated().at(DAY_S).pay("new");
    let begun = begun.system_with("old", begin_payment);
    let begun = begun.system_with("new", begin_payment);
    let frozen = begun.freeze(1);
    assert!(frozen.merchant.state.frozen.unwrap().holds_payouts);
    for (name, card) in [("old", 0), ("new", 1)] {
        let payout = frozen.payout(name);
        assert!(!frozen.merchant.holds(&payout), "{name}");
        assert_eq!(
            (payout.state, frozen.sending(card)),
            (PayoutState::Sending, 1)
        );
        // The core system may have lost the instruction.
        let again = frozen.decide(begin_payment(payout)).unwrap();
        assert_eq!(again.event.unwrap().kind(), EventKind::PayoutReleased);
        let sent = frozen.clone().system_with(name, Command::PayoutSent);
        assert_eq!(
            (sent.payout(name).state, sent.sending(card)),
            (PayoutState::Sent, 0)
        );
        for world in [frozen.clone(), sent] {
            let returned = world.system_with(name, Command::PayoutReturned);
            assert_eq!(returned.payout(name).state, PayoutState::Returned);
            assert_eq!((returned.unsent(card), returned.sending(card)), (0, 0));
        }
    }
}

/// The freeze period after a deposit is the hold of three days and seven more. It ends exactly then.
#[test]
fn other_code_holds_payouts_until_the_same_second() {
    let world = World::new().bound_by_deposit(create_lost("b"));
    let world = world.at(7 * DAY_S).standby("c");
    for (at, holds) in [(10 * DAY_S - 1, true), (10 * DAY_S, false)] {
        let frozen = world.clone().at(at).freeze(2).merchant.state.frozen;
        assert_eq!(frozen.unwrap().holds_payouts, holds, "{at}");
    }
}
