//! The attempts per rebind and purpose: reserved before the comparison, counted as wrong after it.

use super::fixture::*;
use super::states::all_reserved;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::transition::Outcome;

const BOTH: [OtpPurpose; 2] = [Identity, Card];

fn sent(purpose: OtpPurpose) -> World {
    match purpose {
        Identity => World::new().identity_sent(),
        Card | OtpPurpose::Activate => World::new().matched(),
    }
}

#[test]
fn attempt_is_reserved_before_comparison() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        let before = world.merchant.clone();
        let reserved = world.write(reserve(purpose));
        assert_eq!(reserved.outcome, Outcome::Proceed);
        assert_eq!(world.attempts(purpose), (1, 0));
        // Only the rebind is written. Its revision is the condition, so two parallel attempts cannot both be the last.
        assert!(reserved.state.is_none() && reserved.event.is_none());
        assert_eq!(world.rebind().revision, before.rebind.unwrap().revision + 1);
    }
}

#[test]
fn wrong_code_counts_and_reports_remaining() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for left in (1..POLICY.code_attempts).rev() {
            let refusal = world.wrong(purpose);
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpWrong, Some(left))
            );
            assert_eq!(refusal.counts_toward_limit, Some(true));
        }
        let wrong = POLICY.code_attempts - 1;
        assert_eq!(world.attempts(purpose), (wrong, wrong));
    }
}

#[test]
fn wrong_code_suggests_next_actions() {
    use NextAction::{Cancel, CardCheckCode, CardCheckConfirm, IdentityCode, IdentityConfirm};
    let after_wrong = |purpose| sent(purpose).wrong(purpose).next_actions;
    assert_eq!(
        after_wrong(Identity),
        [IdentityConfirm, IdentityCode, Cancel]
    );
    assert_eq!(after_wrong(Card), [CardCheckConfirm, CardCheckCode, Cancel]);
}

#[test]
fn last_wrong_code_rejects_and_notifies() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for _ in 1..POLICY.code_attempts {
            world.wrong(purpose);
        }
        let last = world.confirm(purpose, false);
        let Outcome::Refused(refusal) = last.outcome else {
            panic!("{:?}", last.outcome)
        };
        assert_eq!(
            (refusal.code, refusal.attempts_left),
            (ErrorCode::OtpTooMany, Some(0))
        );
        assert_eq!(refusal.next_actions, FINAL_REFUSAL);
        assert_eq!(world.shown(), "rejected");
        assert_eq!(world.merchant.state.open, None);
        assert_eq!(world.rebind().sealed_number, None);
        let event = last.event.unwrap();
        assert_eq!(event.kind(), EventKind::Rejected);
        assert_eq!(event.event.data()["reason"], "OTP_TOO_MANY");
        let notified: Vec<_> = event
            .notifications
            .iter()
            .map(|notification| notification.to())
            .collect();
        assert_eq!(notified, [Recipient::OnFile]);
    }
}

#[test]
fn attempts_add_up_over_resends() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for _ in 1..POLICY.code_attempts {
            world.wrong(purpose);
            world = world.later(60).then(resend(purpose));
        }
        assert_eq!(world.wrong(purpose).code, ErrorCode::OtpTooMany);
    }
    // They also add up over a new document check after the code has expired.
    let mut world = sent(Identity);
    world.wrong(Identity);
    let world = world.later(5 * MINUTE_S).then(document(true));
    assert_eq!(world.attempts(Identity), (1, 1));
}

#[test]
fn each_purpose_has_its_own_attempts() {
    let mut world = sent(Identity);
    for _ in 1..POLICY.code_attempts {
        world.wrong(Identity);
    }
    let mut world = world.confirmed(Identity).later(10);
    world = world.clone().then(sign(t(0))).then(card_check());
    world = world.then(bank(Some(crate::decide::BankAnswer::DEBIT_MATCH)));
    assert_eq!(world.attempts(Card), (0, 0));
    for left in (1..POLICY.code_attempts).rev().take(2) {
        assert_eq!(world.wrong(Card).attempts_left, Some(left));
    }
}

#[test]
fn identity_attempts_persist_in_card_pending() {
    let mut world = sent(Identity);
    world.wrong(Identity);
    let mut world = world.confirmed(Identity).then(sign(t(-10)));
    world.done(resend(Identity));
    assert_eq!(world.attempts(Identity), (1, 1));
    assert_eq!(
        world.wrong(Identity).attempts_left,
        Some(POLICY.code_attempts - 2)
    );
}

#[test]
fn correct_code_refunds_its_attempt() {
    let mut world = World::new().card_pending();
    for _ in 0..10 {
        world = world.later(60).then(resend(Identity));
        assert_eq!(world.attempts(Identity), (0, 0));
        world = world.confirmed(Identity);
    }
    // Attempts that concurrent requests reserved stay reserved.
    let world = world.later(60).then(resend(Identity));
    let mut world = world.then(reserve(Identity)).confirmed(Identity);
    world.done(resend(Identity));
    assert_eq!(world.attempts(Identity), (1, 0));
}

#[test]
fn correct_code_wins_on_any_attempt() {
    for purpose in BOTH {
        // As the last attempt, after wrong ones only.
        let mut world = sent(purpose);
        for _ in 1..POLICY.code_attempts {
            world.wrong(purpose);
        }
        assert_eq!(world.confirm(purpose, true).outcome, Outcome::Done);

        // As the first of all concurrent attempts, settled last.
        let mut world = all_reserved(sent(purpose), purpose);
        let compared = world.mac(purpose);
        for _ in 1..POLICY.code_attempts {
            let refusal = world.refused_with_write(settle(purpose, compared.clone(), false));
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpWrong, Some(0))
            );
        }
        assert_eq!(
            world.write(settle(purpose, compared, true)).outcome,
            Outcome::Done
        );
    }
}

#[test]
fn concurrent_wrong_codes_reject() {
    for purpose in BOTH {
        let mut world = all_reserved(sent(purpose), purpose);
        let wrong = settle(purpose, world.mac(purpose), false);
        for _ in 1..POLICY.code_attempts {
            world.refused_with_write(wrong.clone());
        }
        assert_eq!(world.refused_with_write(wrong).code, ErrorCode::OtpTooMany);
        assert_eq!(world.shown(), "rejected");
    }
}

#[test]
fn exhausted_attempts_conflict_for_10_s() {
    for purpose in BOTH {
        let world = all_reserved(sent(purpose), purpose);
        for act in [reserve(purpose), resend(purpose)] {
            for (after_s, left_s) in [(0, 10), (9, 1)] {
                let refusal = world.clone().later(after_s).refused(act.clone());
                assert_eq!(refusal.code, ErrorCode::VersionConflict);
                assert_eq!(refusal.retry_after_s, Some(left_s));
                assert_eq!(refusal.counts_toward_limit, None);
            }
            let mut later = world.clone().later(10);
            let refusal = later.refused_with_write(act);
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpTooMany, Some(0))
            );
            assert_eq!(later.shown(), "rejected");
        }
    }
}

#[test]
fn abandoned_attempt_stays_reserved() {
    let mut world = sent(Identity).then(reserve(Identity));
    for _ in 1..POLICY.code_attempts {
        assert_eq!(world.wrong(Identity).code, ErrorCode::OtpWrong);
    }
    let all = POLICY.code_attempts;
    assert_eq!(world.attempts(Identity), (all, all - 1));
    assert_eq!(
        world.refused(reserve(Identity)).code,
        ErrorCode::VersionConflict
    );
    assert_eq!(
        world.later(10).refused_with_write(reserve(Identity)).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn card_check_sends_no_code_without_attempts() {
    let world = all_reserved(sent(Card), Card);
    let dead = world.later(5 * MINUTE_S);
    assert_eq!(
        dead.clone().refused_with_write(card_check()).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn refresh_without_attempts_ends_the_rebind() {
    let world = World::new().card_pending().then(resend(Identity));
    let world = all_reserved(world, Identity);
    assert_eq!(
        world.refused(resend(Identity)).code,
        ErrorCode::VersionConflict
    );
    assert_eq!(
        world.later(10).refused_with_write(resend(Identity)).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn late_result_does_not_change_the_rebind() {
    // Of two concurrent correct codes, the first one advances the rebind.
    let mut world = sent(Identity)
        .then(reserve(Identity))
        .then(reserve(Identity));
    let right = settle(Identity, world.mac(Identity), true);
    world.done(right.clone());
    assert_eq!(world.refused(right).code, ErrorCode::StepOutOfOrder);

    let mut world = sent(Card).then(reserve(Card)).then(reserve(Card));
    let compared = world.mac(Card);
    world.done(settle(Card, compared.clone(), true));
    for result in [true, false] {
        let late = settle(Card, compared.clone(), result);
        assert_eq!(world.refused(late).code, ErrorCode::StepOutOfOrder);
    }

    // The rebind was cancelled or expired during the comparison.
    let reserved = sent(Card).then(reserve(Card));
    let right = settle(Card, reserved.mac(Card), true);
    let cancelled = reserved.clone().then(crate::decide::Command::Cancel);
    assert_eq!(
        cancelled.refused(right.clone()).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(
        reserved.at(DAY_S).refused(right).code,
        ErrorCode::RequestExpired
    );
}
