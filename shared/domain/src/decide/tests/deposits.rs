//! Micro-deposits: ¥0.01 with a code of 6 characters, valid for 7 days and 3 attempts, if the bank cannot check the card.

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
use crate::transition::Outcome;

fn says(answer: TransferAnswer) -> Command {
    Command::SettleDeposit(Some(answer))
}

/// Issues the following commands as the clean-up.
fn by_clean_up(mut world: World) -> World {
    world.by = None;
    world
}

fn wrong(world: &mut World) -> Rejection {
    match world.confirm_deposit(false).outcome {
        Outcome::Refused(refusal) => *refusal,
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
fn uncheckable_card_counts_once_deposit_is_sent() {
    for answer in [BankAnswer::NotEnabled, BankAnswer::IssuerUnsupported] {
        let mut world = World::new().asking_for(create());
        let refusal = world.refused_with_write(bank(Some(answer)));
        assert_eq!(refusal.code, ErrorCode::UpstreamUnknown);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(world.shown(), "card_pending");
        assert!(world.merchant.state.bank_calls.is_empty());
        let sent = BankAnswer::Deposited { arrived: false };
        let world = world.later(60).then(bank(Some(sent)));
        assert_eq!(world.merchant.state.bank_calls.len(), 1);
    }
}

#[test]
fn deposit_extends_the_rebind_to_7_days() {
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
    // No SMS is sent, because the code is in the card's statement.
    assert_eq!(transition.otp_delivery, None);
}

#[test]
fn arrived_deposit_can_be_confirmed() {
    let arrived = BankAnswer::Deposited { arrived: true };
    let world = World::new().asking_for(create()).then(bank(Some(arrived)));
    assert_eq!(deposit_of(world.stage()), Some((1, true)));
    assert!(world.decide(reserve(Card)).is_ok());
}

#[test]
fn unconfirmed_deposit_uses_no_attempt() {
    let world = World::new().deposit_sent_for(create()).later(60);
    let refusal = world.refused(reserve(Card));
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
        assert!(transition.state.is_none() && transition.rebind.is_none());
    }
    assert!(
        world
            .then(says(TransferAnswer::Succeeded))
            .decide(reserve(Card))
            .is_ok()
    );
}

#[test]
fn deposit_code_works_in_any_session() {
    let world = World::new().deposit_arrived_for(create());
    let mut world = world.by(1);
    assert_eq!(world.confirm_deposit(true).outcome, Outcome::Done);
    assert_eq!(world.shown(), "activated");

    let world = World::new().deposit_arrived_for(create());
    assert_eq!(world.refused(resend(Card)).code, ErrorCode::StepOutOfOrder);
    // A repeated request gets the same challenge, without a bank call or a message.
    let repeated = world.decide(card_check()).unwrap();
    assert!(repeated.state.is_none() && repeated.rebind.is_none());
    assert_eq!(repeated.outcome, Outcome::Done);
    assert_eq!(
        world.next_actions(),
        [NextAction::CardCheckConfirm, NextAction::Cancel]
    );
}

#[test]
fn last_wrong_deposit_code_rejects() {
    let mut world = World::new().deposit_arrived_for(create());
    assert_eq!(
        attempts_max(world.stage(), Card, &POLICY),
        POLICY.deposit_attempts
    );
    assert_eq!(
        attempts_max(world.stage(), Identity, &POLICY),
        POLICY.code_attempts
    );
    for left in (1..POLICY.deposit_attempts).rev() {
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
    let Outcome::Refused(refusal) = last.outcome else {
        panic!("{:?}", last.outcome)
    };
    assert_eq!(
        (refusal.code, refusal.attempts_left),
        (ErrorCode::MicroDepositWrong, Some(0))
    );
    assert_eq!(refusal.next_actions, FINAL_REFUSAL);
    assert_eq!(world.shown(), "rejected");
    // A rejection after wrong codes notifies the phone on file.
    let event = last.event.unwrap();
    assert_eq!(event.kind(), EventKind::Rejected);
    assert_eq!(event.notifications[0].to(), Recipient::OnFile);
}

#[test]
fn deposit_code_has_its_own_attempts() {
    let mut world = World::new().deposit_arrived_for(create());
    for _ in 1..POLICY.deposit_attempts {
        wrong(&mut world);
    }
    assert_eq!(world.confirm_deposit(true).outcome, Outcome::Done);

    // The bank matched first; its answer became outdated, and the next check was not possible.
    let mut world = World::new().matched();
    for _ in 1..POLICY.code_attempts {
        world.wrong(Card);
    }
    let world = world.at(31 * MINUTE_S).then(card_check());
    let sent = BankAnswer::Deposited { arrived: true };
    let world = world.then(bank_to(2, Some(sent))).then(resend(Identity));
    let mut world = world.confirmed(Identity);
    assert_eq!(
        wrong(&mut world).attempts_left,
        Some(POLICY.deposit_attempts - 1)
    );
}

#[test]
fn malformed_deposit_code_uses_no_attempt() {
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
        (Some(false), Some(POLICY.deposit_attempts - 1))
    );

    for _ in 1..POLICY.deposit_attempts {
        world.done(reserve(Card));
    }
    assert_eq!(
        world.refused(reserve(Card)).code,
        ErrorCode::VersionConflict
    );
    assert_eq!(
        world.clone().later(9).refused(reserve(Card)).code,
        ErrorCode::VersionConflict
    );
    let mut later = world.later(10);
    let refusal = later.refused_with_write(reserve(Card));
    assert_eq!(
        (refusal.code, refusal.attempts_left),
        (ErrorCode::MicroDepositWrong, Some(0))
    );
    assert_eq!(later.shown(), "rejected");
}

#[test]
fn deposit_expires_after_7_days() {
    let world = World::new().deposit_arrived_for(create());
    let almost = world.clone().at(7 * DAY_S - 1).then(resend(Identity));
    let mut almost = almost.confirmed(Identity);
    assert_eq!(almost.confirm_deposit(true).outcome, Outcome::Done);

    let overdue = world.at(7 * DAY_S);
    let expired = by_clean_up(overdue.clone()).then(Command::Expire).by(0);
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
        let refusal = world.refused(reserve(Card));
        assert_eq!(refusal.code, ErrorCode::MicroDepositExpired);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
        // Every other step is refused as expired.
        for step in [
            Command::Cancel,
            card_check(),
            resend(Identity),
            reserve(Identity),
        ] {
            assert_eq!(world.refused(step).code, ErrorCode::RequestExpired);
        }
    }
}

#[test]
fn correct_code_after_expiry_is_too_late() {
    let world = World::new().deposit_arrived_for(create()).at(7 * DAY_S - 1);
    let world = world.then(resend(Identity)).confirmed(Identity);
    let world = world.then(reserve(Card)).later(1);
    let right = settle(Card, crate::rebind::Mac("derived".to_owned()), true);
    assert_eq!(world.refused(right).code, ErrorCode::RequestExpired);
}

#[test]
fn returned_deposit_rejects_the_rebind() {
    for mut world in [
        World::new().deposit_sent_for(create()).later(60),
        World::new().deposit_arrived_for(create()).later(60),
    ] {
        let transition = world.write(says(TransferAnswer::Returned));
        let Outcome::Refused(refusal) = transition.outcome else {
            panic!("{:?}", transition.outcome)
        };
        assert_eq!(refusal.code, ErrorCode::MicroDepositReturned);
        assert_eq!(refusal.next_actions, FINAL_REFUSAL);
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
        // Repeating it changes nothing.
        let again = world.refused(says(TransferAnswer::Returned));
        assert_eq!(again.code, ErrorCode::StepOutOfOrder);
    }
    // The deposit was returned before its sending was recorded.
    let mut world = World::new().asking_for(create());
    let refusal = world.refused_with_write(bank(Some(BankAnswer::DepositReturned)));
    assert_eq!(refusal.code, ErrorCode::MicroDepositReturned);
    assert_eq!(
        world.history.last().unwrap().kind(),
        EventKind::MicroDepositReturned
    );
}

#[test]
fn correct_code_for_other_owner_rejects() {
    let mut world = World::new()
        .deposit_arrived_for(create())
        .then(reserve(Card));
    let refusal = world.refused_with_write(Command::SettleAttempt {
        purpose: Card,
        compared: None,
        right: true,
        bound_elsewhere: true,
    });
    assert_eq!(refusal.code, ErrorCode::CardBoundElsewhere);
    assert_eq!(world.active(), Some(0));
    // Even if that was known before, it is revealed only after a correct code.
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
fn deposit_needs_identity_within_15_min() {
    let world = World::new().deposit_arrived_for(create());
    assert!(
        world
            .clone()
            .at(15 * MINUTE_S)
            .decide(reserve(Card))
            .is_ok()
    );
    let stale = world.clone().at(15 * MINUTE_S + 1);
    let refusal = stale.refused(reserve(Card));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.next_actions, [NextAction::IdentityCode]);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        stale.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
    // Days later, a new identity proof and the same deposit code are enough.
    let refreshed = world.at(6 * DAY_S).then(resend(Identity));
    assert_eq!(refreshed.next_actions()[0], NextAction::IdentityConfirm);
    let mut refreshed = refreshed.confirmed(Identity);
    assert_eq!(refreshed.confirm_deposit(true).outcome, Outcome::Done);
}

#[test]
fn deposit_hold_is_72_hours() {
    let world = World::new().bound_by_deposit(create());
    let times = &world.rebind().activated_card().unwrap().times;
    assert_eq!(times.effective_at, t(3 * DAY_S));
    assert_eq!(times.cooldown_until, t(30 * DAY_S));
    let paying = |at_s| {
        let card = world.merchant.state.paying_card(t(at_s)).unwrap();
        card.card_id.number()
    };
    assert_eq!((paying(3 * DAY_S - 1), paying(3 * DAY_S)), (0, 1));
    assert_eq!(world.clone().at(3 * DAY_S - 1).shown(), "activated");
    assert_eq!(world.clone().at(3 * DAY_S).shown(), "completed");
}

#[test]
fn standby_card_by_deposit_waits_72_hours() {
    let world = World::new().bound_by_deposit(create_standby("b"));
    let standby = world.merchant.state.standby(&world.card(1)).unwrap();
    assert_eq!(standby.usable_at, t(3 * DAY_S));
}

#[test]
fn clean_up_polls_the_deposit() {
    let due = |world: &World| world.rebind().due_at(&POLICY).unwrap();
    let world = World::new().deposit_sent_for(create());
    assert_eq!(due(&world), t(5 * MINUTE_S));
    let world = by_clean_up(world.at(5 * MINUTE_S)).then(says(TransferAnswer::Succeeded));
    assert_eq!((checked_at(&world), due(&world)), (300, t(300 + DAY_S)));
    // After an arrival, the next poll is a day later and writes no event.
    let mut world = world.at(300 + DAY_S);
    let again = world.done(says(TransferAnswer::Succeeded));
    assert!(again.event.is_none() && again.state.is_some());
    assert_eq!(due(&world), t(300 + 2 * DAY_S));
    // A merchant's request does not delay the poll.
    let asked = world.by(0).at(2 * DAY_S);
    let transition = asked.decide(says(TransferAnswer::Succeeded)).unwrap();
    assert!(transition.state.is_none() && transition.rebind.is_none());
    // The poll is never later than the expiry.
    let late = by_clean_up(asked.at(7 * DAY_S - 60)).then(says(TransferAnswer::Succeeded));
    assert_eq!(due(&late), t(7 * DAY_S));
}

#[test]
fn unanswered_poll_is_delayed_and_still_counts() {
    let asking = by_clean_up(World::new().asking_for(create()).later(5 * MINUTE_S));
    assert_eq!(asking.rebind().due_at(&POLICY), Some(asking.now));
    for answer in [None, Some(BankAnswer::Busy), Some(BankAnswer::Quota)] {
        let reply = BankReply { number: 1, answer };
        let mut asked = asking.clone();
        let transition = asked.done(Command::SettleCardCheck(reply, None));
        assert!(transition.event.is_none());
        assert_eq!(asked.rebind().due_at(&POLICY), Some(t(10 * MINUTE_S)));
        assert_eq!(
            asked.merchant.state.bank_calls,
            asking.merchant.state.bank_calls
        );
    }
    // The interval is a quarter of the elapsed time, at most a day.
    let later = World::new().deposit_sent_for(create()).at(2 * HOUR_S);
    let later = by_clean_up(later).then(Command::SettleDeposit(None));
    assert_eq!(
        later.rebind().due_at(&POLICY),
        Some(t(2 * HOUR_S + 30 * MINUTE_S))
    );
    let later = later.at(6 * DAY_S - 1).then(says(TransferAnswer::Pending));
    assert_eq!(later.rebind().due_at(&POLICY), Some(t(7 * DAY_S - 1)));
    assert_eq!(deposit_of(later.stage()), Some((1, false)));
}

#[test]
fn deposit_needs_its_own_state() {
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
        "the purpose of the challenge is still the card"
    );
}
