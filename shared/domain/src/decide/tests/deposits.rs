//! Micro-deposit: ¥0.01 with a code of 6 characters, good for 7 days and 3 tries, where the bank cannot check the card.

use super::fixture::*;
use crate::decide::{BankAnswer, BankReply, Command, attempts_max, deposit_of};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::rebind::{BankReference, CardCheck, End, OtpPurpose, RebindState};
use crate::rejection::Rejection;
use crate::transfer::TransferAnswer;
use crate::transition::Decision;

fn says(answer: TransferAnswer) -> Command {
    Command::SettleDeposit(Some(answer))
}

/// By the clean-up.
fn unasked(mut world: World) -> World {
    world.by = None;
    world
}

fn wrong(world: &mut World) -> Rejection {
    match world.confirm_deposit(false).outcome {
        Decision::Refused(refusal) => *refusal,
        other => panic!("{other:?}"),
    }
}

fn checked_at(world: &World) -> i64 {
    match world.stage() {
        RebindState::CardPending {
            check: CardCheck::Deposit { checked_at, .. },
            ..
        } => checked_at.epoch_s() - t(0).epoch_s(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bank_that_cannot_check_is_no_refusal_and_the_question_counts_only_once_a_deposit_went_out() {
    for answer in [BankAnswer::NotEnabled, BankAnswer::IssuerUnsupported] {
        let mut world = World::new().asking_for(create());
        let refusal = world.refused_in_writing(bank(Some(answer)));
        assert_eq!(refusal.code, ErrorCode::UpstreamUnknown);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(world.shown(), "card_pending");
        assert!(world.state.head.bank_calls.is_empty());
        let sent = BankAnswer::Deposited { arrived: false };
        let world = world.later(60).then(bank(Some(sent)));
        assert_eq!(world.state.head.bank_calls.len(), 1);
    }
}

#[test]
fn a_rebind_with_a_deposit_lives_until_7_days_after_it_was_sent() {
    let world = World::new().asking_for(create()).at(3600);
    assert_eq!(world.rebind().expires_at, t(DAY_S));
    let sent = BankAnswer::Deposited { arrived: false };
    let mut world = world;
    let transition = world.done(bank(Some(sent)));
    assert_eq!(world.rebind().expires_at, t(3600 + 7 * DAY_S));
    assert_eq!(
        world.clone().at(3600 + 7 * DAY_S - 1).shown(),
        "card_pending"
    );
    assert_eq!(world.clone().at(3600 + 7 * DAY_S).shown(), "expired");
    assert_eq!(deposit_of(world.stage()), Some((1, false)));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::MicroDepositSent);
    let serial = world.rebind().serial(BankReference::Deposit(1));
    assert_eq!(event.event.data()["serial"], serial.as_str());
    assert!(serial.ends_with("-d1"));
    // Nothing goes to a phone: the code is in the card's statement.
    assert_eq!(transition.otp_delivery, None);
}

#[test]
fn a_deposit_that_has_arrived_already_can_be_confirmed_at_once() {
    let arrived = BankAnswer::Deposited { arrived: true };
    let world = World::new().asking_for(create()).then(bank(Some(arrived)));
    assert_eq!(deposit_of(world.stage()), Some((1, true)));
    assert!(world.decide(take(Card)).is_ok());
}

#[test]
fn until_the_bank_has_confirmed_it_no_try_is_taken() {
    let world = World::new().deposit_sent_for(create()).later(60);
    let refusal = world.refused(take(Card));
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::UpstreamBusy, Some(60))
    );
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        refusal.next_actions,
        [NextAction::CardCheckConfirm, NextAction::Cancel]
    );
    for nothing_new in [says(TransferAnswer::Pending), Command::SettleDeposit(None)] {
        let transition = world.decide(nothing_new).unwrap();
        assert!(transition.head.is_none() && transition.rebind.is_none());
    }
    assert!(
        world
            .then(says(TransferAnswer::Succeeded))
            .decide(take(Card))
            .is_ok()
    );
}

#[test]
fn its_code_is_not_bound_to_a_session_and_asks_for_no_other() {
    let world = World::new().deposit_arrived_for(create());
    let mut world = world.by(1);
    assert_eq!(world.confirm_deposit(true).outcome, Decision::Done);
    assert_eq!(world.shown(), "activated");

    let world = World::new().deposit_arrived_for(create());
    assert_eq!(world.refused(resend(Card)).code, ErrorCode::StepOutOfOrder);
    // Repeated: the same challenge; the bank is not asked again, and nothing is sent.
    let repeated = world.decide(card_check()).unwrap();
    assert!(repeated.head.is_none() && repeated.rebind.is_none());
    assert_eq!(repeated.outcome, Decision::Done);
    assert_eq!(
        world.next_actions(),
        [NextAction::CardCheckConfirm, NextAction::Cancel]
    );
}

#[test]
fn three_tries_and_the_third_wrong_one_rejects() {
    let mut world = World::new().deposit_arrived_for(create());
    assert_eq!(attempts_max(world.stage(), Card, &POLICY), 3);
    assert_eq!(attempts_max(world.stage(), Identity, &POLICY), 5);
    for left in [2, 1] {
        let refusal = wrong(&mut world);
        assert_eq!(
            (refusal.code, refusal.attempts_left),
            (ErrorCode::MicroDepositWrong, Some(left))
        );
        assert_eq!(refusal.counts_toward_limit, Some(true));
        assert_eq!(
            refusal.next_actions,
            [NextAction::CardCheckConfirm, NextAction::Cancel]
        );
        assert_eq!(world.shown(), "card_pending");
    }
    let last = world.confirm_deposit(false);
    let Decision::Refused(refusal) = last.outcome else {
        panic!("{:?}", last.outcome)
    };
    assert_eq!(
        (refusal.code, refusal.attempts_left),
        (ErrorCode::MicroDepositWrong, Some(0))
    );
    assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
    assert_eq!(world.shown(), "rejected");
    // Rejected after wrong codes: the phone on file is told.
    let event = last.event.unwrap();
    assert_eq!(event.kind(), EventKind::Rejected);
    assert_eq!(event.notices[0].to(), Recipient::OnFile);
}

#[test]
fn a_right_code_wins_as_the_third_and_tries_of_an_sms_code_before_do_not_count() {
    let mut world = World::new().deposit_arrived_for(create());
    wrong(&mut world);
    wrong(&mut world);
    assert_eq!(world.confirm_deposit(true).outcome, Decision::Done);

    // The bank matched first; its answer went stale, and the next time it could not check.
    let mut world = World::new().matched();
    for _ in 0..4 {
        world.wrong(Card);
    }
    let world = world.at(31 * MINUTE_S).then(card_check());
    let sent = BankAnswer::Deposited { arrived: true };
    let world = world.then(bank_to(2, Some(sent))).then(resend(Identity));
    let mut world = world.confirmed(Identity);
    assert_eq!(wrong(&mut world).attempts_left, Some(2));
}

#[test]
fn a_code_that_is_none_takes_no_try_and_all_tries_taken_is_a_conflict_for_10_s() {
    let mut world = World::new().deposit_arrived_for(create());
    wrong(&mut world);
    let refusal = world.refused(Command::ReserveAttempt {
        purpose: Card,
        well_formed: false,
        deposit_polled: true,
    });
    assert_eq!(refusal.code, ErrorCode::MicroDepositWrong);
    assert_eq!(
        (refusal.counts_toward_limit, refusal.attempts_left),
        (Some(false), Some(2))
    );

    let world = world.then(take(Card)).then(take(Card));
    assert_eq!(world.refused(take(Card)).code, ErrorCode::VersionConflict);
    assert_eq!(
        world.clone().later(9).refused(take(Card)).code,
        ErrorCode::VersionConflict
    );
    let mut later = world.later(10);
    let refusal = later.refused_in_writing(take(Card));
    assert_eq!(
        (refusal.code, refusal.attempts_left),
        (ErrorCode::MicroDepositWrong, Some(0))
    );
    assert_eq!(later.shown(), "rejected");
}

#[test]
fn after_7_days_it_is_expired_and_says_so() {
    let world = World::new().deposit_arrived_for(create());
    let almost = world.clone().at(7 * DAY_S - 1).then(resend(Identity));
    let mut almost = almost.confirmed(Identity);
    assert_eq!(almost.confirm_deposit(true).outcome, Decision::Done);

    let overdue = world.at(7 * DAY_S);
    let expired = unasked(overdue.clone()).then(Command::Expire).by(0);
    assert_eq!(
        expired.stage(),
        &RebindState::Ended {
            how: End::Expired,
            at: t(7 * DAY_S),
            reason: Some(ErrorCode::MicroDepositExpired)
        }
    );
    for world in [overdue, expired] {
        assert_eq!(world.shown(), "expired");
        let refusal = world.refused(take(Card));
        assert_eq!(refusal.code, ErrorCode::MicroDepositExpired);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
        // Every other step on it: 410.
        for step in [
            Command::Cancel,
            card_check(),
            resend(Identity),
            take(Identity),
        ] {
            assert_eq!(world.refused(step).code, ErrorCode::RequestExpired);
        }
    }
}

#[test]
fn a_code_that_was_right_comes_too_late_when_the_rebind_is_over() {
    let world = World::new().deposit_arrived_for(create()).at(7 * DAY_S - 1);
    let world = world.then(resend(Identity)).confirmed(Identity);
    let world = world.then(take(Card)).later(1);
    let right = settle(Card, crate::rebind::Mac("derived".to_owned()), true);
    assert_eq!(world.refused(right).code, ErrorCode::RequestExpired);
}

#[test]
fn a_name_return_rejects_whether_or_not_it_had_arrived() {
    for mut world in [
        World::new().deposit_sent_for(create()).later(60),
        World::new().deposit_arrived_for(create()).later(60),
    ] {
        let transition = world.write(says(TransferAnswer::Returned));
        let Decision::Refused(refusal) = transition.outcome else {
            panic!("{:?}", transition.outcome)
        };
        assert_eq!(refusal.code, ErrorCode::MicroDepositReturned);
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
        assert_eq!(world.shown(), "rejected");
        assert!(matches!(
            world.stage(),
            RebindState::Ended {
                reason: Some(ErrorCode::MicroDepositReturned),
                ..
            }
        ));
        let event = transition.event.unwrap();
        assert_eq!(event.kind(), EventKind::MicroDepositReturned);
        assert_eq!(
            event.event.data()["serial"],
            world.rebind().serial(BankReference::Deposit(1))
        );
        // Twice changes nothing.
        let again = world.refused(says(TransferAnswer::Returned));
        assert_eq!(again.code, ErrorCode::StepOutOfOrder);
    }
    // It came back before its sending was even written down.
    let mut world = World::new().asking_for(create());
    let refusal = world.refused_in_writing(bank(Some(BankAnswer::DepositReturned)));
    assert_eq!(refusal.code, ErrorCode::MicroDepositReturned);
    assert_eq!(
        world.history.last().unwrap().kind(),
        EventKind::MicroDepositReturned
    );
}

#[test]
fn a_right_code_for_a_card_of_someone_else_rejects() {
    let mut world = World::new().deposit_arrived_for(create()).then(take(Card));
    let refusal = world.refused_in_writing(Command::SettleAttempt {
        purpose: Card,
        compared: crate::rebind::Mac("derived".to_owned()),
        right: true,
        bound_elsewhere: true,
    });
    assert_eq!(refusal.code, ErrorCode::CardBoundElsewhere);
    assert_eq!(world.active(), Some(0));
    // Where that was known before, it is not told to whoever has typed the card's number: the code has to be right first.
    let world = World::new().card_pending().then(Command::StartCardCheck {
        bound_elsewhere: true,
        code: code("card-1"),
    });
    let arrived = BankAnswer::Deposited { arrived: true };
    let mut world = world.then(bank(Some(arrived)));
    assert_eq!(world.shown(), "card_pending");
    assert_eq!(wrong(&mut world).code, ErrorCode::MicroDepositWrong);
}

#[test]
fn the_deposit_has_its_own_7_days_but_the_identity_must_be_15_min_young() {
    let world = World::new().deposit_arrived_for(create());
    assert!(world.clone().at(15 * MINUTE_S).decide(take(Card)).is_ok());
    let stale = world.clone().at(15 * MINUTE_S + 1);
    let refusal = stale.refused(take(Card));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.next_actions, [NextAction::IdentityCode]);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        stale.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
    // Days later: the identity anew, and the old code of the statement.
    let refreshed = world.at(6 * DAY_S).then(resend(Identity));
    assert_eq!(refreshed.next_actions()[0], NextAction::IdentityConfirm);
    let mut refreshed = refreshed.confirmed(Identity);
    assert_eq!(refreshed.confirm_deposit(true).outcome, Decision::Done);
}

#[test]
fn a_hold_after_a_deposit_is_72_h() {
    let world = World::new().bound_by_deposit(create());
    let times = &world.rebind().activated_card().unwrap().times;
    assert_eq!(times.effective_at, t(3 * DAY_S));
    assert_eq!(times.cooldown_until, t(30 * DAY_S));
    let paying = |at_s| {
        let card = world.state.head.paying_card(t(at_s)).unwrap();
        card.card_id.number()
    };
    assert_eq!((paying(3 * DAY_S - 1), paying(3 * DAY_S)), (0, 1));
    assert_eq!(world.clone().at(3 * DAY_S - 1).shown(), "activated");
    assert_eq!(world.clone().at(3 * DAY_S).shown(), "completed");
}

#[test]
fn a_standby_card_with_a_deposit_waits_as_long_as_an_activation_would_be_held() {
    let world = World::new().bound_by_deposit(create_standby("b"));
    let standby = world.state.head.standby(&world.card(1)).unwrap();
    assert_eq!(standby.usable_at, t(3 * DAY_S));
}

#[test]
fn the_clean_up_asks_every_5_min_until_it_arrived_then_every_day() {
    let due = |world: &World| world.rebind().due_at(&POLICY).unwrap();
    let world = World::new().deposit_sent_for(create());
    assert_eq!(due(&world), t(5 * MINUTE_S));
    let world = unasked(world.at(5 * MINUTE_S)).then(says(TransferAnswer::Succeeded));
    assert_eq!((checked_at(&world), due(&world)), (300, t(300 + DAY_S)));
    // Heard again, it is asked again a day later; without a word in the history.
    let mut world = world.at(300 + DAY_S);
    let again = world.done(says(TransferAnswer::Succeeded));
    assert!(again.event.is_none() && again.head.is_some());
    assert_eq!(due(&world), t(300 + 2 * DAY_S));
    // A merchant who asks does not put it off.
    let asked = world.by(0).at(2 * DAY_S);
    let transition = asked.decide(says(TransferAnswer::Succeeded)).unwrap();
    assert!(transition.head.is_none() && transition.rebind.is_none());
    // Never later than its end.
    let late = unasked(asked.at(7 * DAY_S - 60)).then(says(TransferAnswer::Succeeded));
    assert_eq!(due(&late), t(7 * DAY_S));
}

#[test]
fn the_clean_ups_question_without_an_answer_is_put_off_and_counts_as_it_did() {
    let asking = unasked(World::new().asking_for(create()).later(5 * MINUTE_S));
    assert_eq!(asking.rebind().due_at(&POLICY), Some(asking.now));
    for answer in [None, Some(BankAnswer::Busy), Some(BankAnswer::Quota)] {
        let reply = BankReply { number: 1, answer };
        let mut asked = asking.clone();
        let transition = asked.done(Command::SettleCardCheck(reply, None));
        assert!(transition.event.is_none());
        assert_eq!(asked.rebind().due_at(&POLICY), Some(t(10 * MINUTE_S)));
        assert_eq!(asked.state.head.bank_calls, asking.state.head.bank_calls);
    }
    // The longer it is not known, the longer it waits: a quarter of the time, but a day at most.
    let later = World::new().deposit_sent_for(create()).at(2 * HOUR_S);
    let later = unasked(later).then(Command::SettleDeposit(None));
    assert_eq!(
        later.rebind().due_at(&POLICY),
        Some(t(2 * HOUR_S + 30 * MINUTE_S))
    );
    let later = later.at(6 * DAY_S - 1).then(says(TransferAnswer::Pending));
    assert_eq!(later.rebind().due_at(&POLICY), Some(t(7 * DAY_S - 1)));
    assert_eq!(deposit_of(later.stage()), Some((1, false)));
}

#[test]
fn a_deposit_is_no_step_of_another_stage() {
    for world in [
        World::new().created(),
        World::new().card_pending(),
        World::new().asking_for(create()),
        World::new().matched(),
        World::new().activated(),
    ] {
        let refusal = world.refused(says(TransferAnswer::Returned));
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    }
    assert_eq!(
        OtpPurpose::Card.as_str(),
        "card",
        "the challenge's purpose stays that of the card"
    );
}
