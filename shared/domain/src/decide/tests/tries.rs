//! Five tries per rebind and purpose: taken before the code is compared, found wrong after.

use super::fixture::*;
use super::states::all_taken;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::transition::Decision;

const BOTH: [OtpPurpose; 2] = [Identity, Card];

fn sent(purpose: OtpPurpose) -> World {
    match purpose {
        Identity => World::new().identity_sent(),
        Card | OtpPurpose::Activate => World::new().matched(),
    }
}

#[test]
fn a_try_is_counted_by_a_write_before_the_code_is_compared() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        let before = world.state.clone();
        let taken = world.write(take(purpose));
        assert_eq!(taken.outcome, Decision::Proceed);
        assert_eq!(world.tries(purpose), (1, 0));
        // Only the rebind is written: its revision is the condition, so parallel tries cannot both be the fifth.
        assert!(taken.head.is_none() && taken.event.is_none());
        assert_eq!(world.rebind().revision, before.rebind.unwrap().revision + 1);
    }
}

#[test]
fn a_wrong_code_is_counted_and_says_how_many_are_left() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for left in [4, 3, 2, 1] {
            let refusal = world.wrong(purpose);
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpWrong, Some(left))
            );
            assert_eq!(refusal.counts_toward_limit, Some(true));
        }
        assert_eq!(world.tries(purpose), (4, 4));
    }
}

#[test]
fn what_can_follow_a_wrong_code() {
    use NextAction::{Cancel, CardCheckCode, CardCheckConfirm, IdentityCode, IdentityConfirm};
    let after_wrong = |purpose| sent(purpose).wrong(purpose).next_actions;
    assert_eq!(
        after_wrong(Identity),
        [IdentityConfirm, IdentityCode, Cancel]
    );
    assert_eq!(after_wrong(Card), [CardCheckConfirm, CardCheckCode, Cancel]);
}

#[test]
fn the_fifth_wrong_one_rejects_the_rebind_and_the_phone_on_file_is_told() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for _ in 0..4 {
            world.wrong(purpose);
        }
        let last = world.confirm(purpose, false);
        let Decision::Refused(refusal) = last.outcome else {
            panic!("{:?}", last.outcome)
        };
        assert_eq!(
            (refusal.code, refusal.attempts_left),
            (ErrorCode::OtpTooMany, Some(0))
        );
        assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
        assert_eq!(world.shown(), "rejected");
        assert_eq!(world.state.head.open, None);
        assert_eq!(world.rebind().sealed_number, None);
        let event = last.event.unwrap();
        assert_eq!(event.kind(), EventKind::Rejected);
        assert_eq!(event.event.data()["reason"], "OTP_TOO_MANY");
        let told: Vec<_> = event
            .notices
            .iter()
            .map(|notice| (notice.to(), notice.phone().unwrap().e164()))
            .collect();
        assert_eq!(told, [(Recipient::OnFile, PHONE_ON_FILE)]);
    }
}

#[test]
fn tries_add_up_over_resends() {
    for purpose in BOTH {
        let mut world = sent(purpose);
        for _ in 0..4 {
            world.wrong(purpose);
            world = world.later(60).then(resend(purpose));
        }
        assert_eq!(world.wrong(purpose).code, ErrorCode::OtpTooMany);
    }
    // And over a new document, once the code is dead.
    let mut world = sent(Identity);
    world.wrong(Identity);
    let world = world.later(5 * MINUTE_S).then(document(true));
    assert_eq!(world.tries(Identity), (1, 1));
}

#[test]
fn the_purposes_are_counted_apart() {
    let mut world = sent(Identity);
    for _ in 0..4 {
        world.wrong(Identity);
    }
    let mut world = world.confirmed(Identity).later(10);
    world = world.clone().then(sign(t(0))).then(card_check());
    world = world.then(bank(Some(crate::decide::BankAnswer::Match)));
    assert_eq!(world.tries(Card), (0, 0));
    for left in [4, 3] {
        assert_eq!(world.wrong(Card).attempts_left, Some(left));
    }
}

#[test]
fn wrong_identity_codes_go_on_counting_in_card_pending() {
    let mut world = sent(Identity);
    world.wrong(Identity);
    let mut world = world.confirmed(Identity).then(sign(t(-10)));
    world.done(resend(Identity));
    assert_eq!(world.tries(Identity), (1, 1));
    assert_eq!(world.wrong(Identity).attempts_left, Some(3));
}

#[test]
fn a_right_code_gives_its_try_back_so_that_a_proof_can_be_refreshed_any_number_of_times() {
    let mut world = World::new().card_pending();
    for _ in 0..10 {
        world = world.later(60).then(resend(Identity));
        assert_eq!(world.tries(Identity), (0, 0));
        world = world.confirmed(Identity);
    }
    // What others have taken at the same time stays taken.
    let world = world.later(60).then(resend(Identity));
    let mut world = world.then(take(Identity)).confirmed(Identity);
    world.done(resend(Identity));
    assert_eq!(world.tries(Identity), (1, 0));
}

#[test]
fn a_right_code_wins_whatever_its_number() {
    for purpose in BOTH {
        // As the fifth, after four wrong ones.
        let mut world = sent(purpose);
        for _ in 0..4 {
            world.wrong(purpose);
        }
        assert_eq!(world.confirm(purpose, true).outcome, Decision::Done);

        // As the first of five that are compared at once, decided last but one.
        let mut world = all_taken(sent(purpose), purpose);
        let compared = world.mac(purpose);
        for _ in 0..4 {
            let refusal = world.refused_in_writing(settle(purpose, compared.clone(), false));
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpWrong, Some(0))
            );
        }
        assert_eq!(
            world.write(settle(purpose, compared, true)).outcome,
            Decision::Done
        );
    }
}

#[test]
fn five_wrong_ones_at_once_reject_as_one_after_another() {
    for purpose in BOTH {
        let mut world = all_taken(sent(purpose), purpose);
        let wrong = settle(purpose, world.mac(purpose), false);
        for _ in 0..4 {
            world.refused_in_writing(wrong.clone());
        }
        assert_eq!(world.refused_in_writing(wrong).code, ErrorCode::OtpTooMany);
        assert_eq!(world.shown(), "rejected");
    }
}

#[test]
fn all_tries_taken_is_a_version_conflict_for_10_s_then_as_the_fifth_wrong_one() {
    for purpose in BOTH {
        let world = all_taken(sent(purpose), purpose);
        for act in [take(purpose), resend(purpose)] {
            for (after_s, left_s) in [(0, 10), (9, 1)] {
                let refusal = world.clone().later(after_s).refused(act.clone());
                assert_eq!(refusal.code, ErrorCode::VersionConflict);
                assert_eq!(refusal.retry_after_s, Some(left_s));
                assert_eq!(refusal.counts_toward_limit, None);
            }
            let mut later = world.clone().later(10);
            let refusal = later.refused_in_writing(act);
            assert_eq!(
                (refusal.code, refusal.attempts_left),
                (ErrorCode::OtpTooMany, Some(0))
            );
            assert_eq!(later.shown(), "rejected");
        }
    }
}

#[test]
fn a_try_whose_request_died_stays_taken() {
    let mut world = sent(Identity).then(take(Identity));
    for _ in 0..4 {
        assert_eq!(world.wrong(Identity).code, ErrorCode::OtpWrong);
    }
    assert_eq!(world.tries(Identity), (5, 4));
    assert_eq!(
        world.refused(take(Identity)).code,
        ErrorCode::VersionConflict
    );
    assert_eq!(
        world.later(10).refused_in_writing(take(Identity)).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn card_check_repeated_sends_no_code_once_all_tries_are_taken() {
    let world = all_taken(sent(Card), Card);
    let dead = world.later(5 * MINUTE_S);
    assert_eq!(
        dead.clone().refused_in_writing(card_check()).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn a_refresh_that_finds_all_identity_tries_taken_ends_the_rebind() {
    let world = World::new().card_pending().then(resend(Identity));
    let world = all_taken(world, Identity);
    assert_eq!(
        world.refused(resend(Identity)).code,
        ErrorCode::VersionConflict
    );
    assert_eq!(
        world.later(10).refused_in_writing(resend(Identity)).code,
        ErrorCode::OtpTooMany
    );
}

#[test]
fn a_late_result_finds_the_rebind_where_it_is() {
    // Two right ones at once: the first moved it on.
    let mut world = sent(Identity).then(take(Identity)).then(take(Identity));
    let right = settle(Identity, world.mac(Identity), true);
    world.done(right.clone());
    assert_eq!(world.refused(right).code, ErrorCode::StepOutOfOrder);

    let mut world = sent(Card).then(take(Card)).then(take(Card));
    let compared = world.mac(Card);
    world.done(settle(Card, compared.clone(), true));
    for result in [true, false] {
        let late = settle(Card, compared.clone(), result);
        assert_eq!(world.refused(late).code, ErrorCode::StepOutOfOrder);
    }

    // It was cancelled, or its time was over, while the code was being compared.
    let taken = sent(Card).then(take(Card));
    let right = settle(Card, taken.mac(Card), true);
    let cancelled = taken.clone().then(crate::decide::Command::Cancel);
    assert_eq!(
        cancelled.refused(right.clone()).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(
        taken.at(DAY_S).refused(right).code,
        ErrorCode::RequestExpired
    );
}
