//! At confirm the identity is at most 15 min old and the bank's answer at most 30.

use super::fixture::*;
use crate::decide::BankAnswer;
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::rebind::CardCheck;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::rebind::RebindState;

/// Matched at 0, with a card code that lives at `at_s`.
fn matched_with_code_at(at_s: i64) -> World {
    World::new()
        .matched()
        .at(at_s - 60)
        .then(resend(Card))
        .at(at_s)
}

/// The same, with the identity refreshed on the way.
fn refreshed_with_code_at(at_s: i64) -> World {
    World::new()
        .matched()
        .at(20 * MINUTE_S)
        .then(resend(Identity))
        .confirmed(Identity)
        .at(at_s - 60)
        .then(resend(Card))
        .at(at_s)
}

#[test]
fn identity_is_good_up_to_15_min() {
    let mut good = matched_with_code_at(15 * MINUTE_S);
    assert_eq!(
        good.next_actions(),
        [
            NextAction::CardCheckConfirm,
            NextAction::CardCheckCode,
            NextAction::Cancel
        ]
    );
    good.confirm(Card, true);
    assert_eq!(good.shown(), "activated");
}

#[test]
fn a_stale_identity_is_step_up_required_and_uses_no_try() {
    let stale = matched_with_code_at(15 * MINUTE_S + 1);
    let refusal = stale.refused(take(Card));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.next_actions, [NextAction::IdentityCode]);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        stale.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
    assert_eq!(stale.tries(Card), (0, 0));
}

#[test]
fn a_living_code_that_refreshes_a_stale_identity_is_offered_before_a_card_code_that_cannot_be_used()
{
    let refresh = World::new()
        .matched()
        .at(14 * MINUTE_S)
        .then(resend(Identity));
    let both = refresh.at(15 * MINUTE_S).then(resend(Card));
    // Both live, and both can be used: the card's was sent later.
    assert_eq!(both.next_actions()[0], NextAction::CardCheckConfirm);
    let stale = both.at(15 * MINUTE_S + 1);
    assert_eq!(
        stale.next_actions(),
        [
            NextAction::IdentityConfirm,
            NextAction::IdentityCode,
            NextAction::Cancel
        ]
    );
    // Once it is dead, a new one comes first.
    let dead = stale.at(19 * MINUTE_S);
    assert_eq!(
        dead.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
}

#[test]
fn an_identity_that_goes_stale_while_the_code_is_compared_does_not_activate() {
    let taken = matched_with_code_at(15 * MINUTE_S)
        .then(take(Card))
        .later(1);
    let refusal = taken.refused(settle(Card, taken.mac(Card), true));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
}

#[test]
fn a_refreshed_identity_is_good_for_another_15_min() {
    let world = World::new()
        .matched()
        .at(14 * MINUTE_S)
        .then(resend(Identity));
    // While its code lives, that is what comes next.
    assert_eq!(
        world.next_actions(),
        [
            NextAction::IdentityConfirm,
            NextAction::IdentityCode,
            NextAction::Cancel
        ]
    );
    let mut world = world
        .confirmed(Identity)
        .at(29 * MINUTE_S)
        .then(resend(Card));
    world.confirm(Card, true);
    assert_eq!(world.shown(), "activated");
}

#[test]
fn the_banks_answer_is_good_up_to_30_min() {
    let mut good = refreshed_with_code_at(30 * MINUTE_S);
    assert_eq!(
        good.next_actions().first(),
        Some(&NextAction::CardCheckConfirm)
    );
    assert!(good.decide(resend(Card)).is_ok());
    good.confirm(Card, true);
    assert_eq!(good.shown(), "activated");

    let unsent = refreshed_with_code_at(30 * MINUTE_S).not_sent(Card);
    assert_eq!(
        unsent.next_actions(),
        [NextAction::CardCheckCode, NextAction::Cancel]
    );
    assert_eq!(
        unsent.later(1).next_actions(),
        [NextAction::CardCheck, NextAction::Cancel]
    );
}

#[test]
fn a_stale_answer_is_step_up_required_and_uses_no_try() {
    let stale = refreshed_with_code_at(30 * MINUTE_S + 1);
    let refusal = stale.refused(take(Card));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        refusal.next_actions,
        [NextAction::CardCheck, NextAction::IdentityCode]
    );
    assert_eq!(stale.refused(resend(Card)).code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        stale.next_actions(),
        [NextAction::CardCheck, NextAction::Cancel]
    );
}

#[test]
fn a_stale_answer_is_asked_for_again_under_the_next_serial_and_its_tries_go_on() {
    let mut stale = refreshed_with_code_at(30 * MINUTE_S);
    stale.wrong(Card);
    let mut asked = stale.later(1).then(card_check());
    assert_eq!(asked.state.head.bank_calls.len(), 2);
    assert!(matches!(
        asked.stage(),
        RebindState::CardPending {
            check: CardCheck::Asking { number: 2, .. },
            ..
        }
    ));
    asked.done(bank_to(2, Some(BankAnswer::Match)));
    assert_eq!(asked.tries(Card), (1, 1));
    asked.confirm(Card, true);
    assert_eq!(asked.shown(), "activated");
}

#[test]
fn the_identity_code_itself_needs_no_fresh_proof() {
    let world = refreshed_with_code_at(31 * MINUTE_S).then(resend(Identity));
    assert!(world.later(3 * MINUTE_S).decide(take(Identity)).is_ok());
}

#[test]
fn a_stale_identity_comes_first_whatever_the_bank_said() {
    for world in [
        World::new().card_pending(),
        World::new().asking(),
        World::new().matched(),
    ] {
        assert_ne!(
            world.clone().at(15 * MINUTE_S).next_actions()[0],
            NextAction::IdentityCode
        );
        assert_eq!(
            world.at(15 * MINUTE_S + 1).next_actions()[0],
            NextAction::IdentityCode
        );
    }
}
