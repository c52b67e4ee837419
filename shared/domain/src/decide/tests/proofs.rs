//! At the confirmation, the identity is at most 15 minutes old and the bank's answer at most 30.

use super::fixture::*;
use crate::decide::BankAnswer;
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::rebind::CardCheck;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::rebind::RebindState;

/// Matched at 0, with an unexpired card code at `at_s`.
fn matched_with_code_at(at_s: i64) -> World {
    World::new()
        .matched()
        .at(at_s - 60)
        .then(resend(Card))
        .at(at_s)
}

/// The same, with a refreshed identity.
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
fn identity_is_valid_for_15_minutes() {
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
fn stale_identity_uses_no_attempt() {
    let stale = matched_with_code_at(15 * MINUTE_S + 1);
    let refusal = stale.refused(reserve(Card));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.next_actions, [NextAction::IdentityCode]);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(
        stale.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
    assert_eq!(stale.attempts(Card), (0, 0));
}

#[test]
fn next_action_prefers_identity_refresh() {
    let refresh = World::new()
        .matched()
        .at(14 * MINUTE_S)
        .then(resend(Identity));
    let both = refresh.at(15 * MINUTE_S).then(resend(Card));
    // Both codes are usable, so the later one (the card's) is offered.
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
    // After its expiry, a new identity code comes first.
    let dead = stale.at(19 * MINUTE_S);
    assert_eq!(
        dead.next_actions(),
        [NextAction::IdentityCode, NextAction::Cancel]
    );
}

#[test]
fn identity_stale_during_comparison_is_refused() {
    let reserved = matched_with_code_at(15 * MINUTE_S)
        .then(reserve(Card))
        .later(1);
    let refusal = reserved.refused(settle(Card, reserved.mac(Card), true));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
}

#[test]
fn refreshed_identity_is_valid_for_15_minutes() {
    let world = World::new()
        .matched()
        .at(14 * MINUTE_S)
        .then(resend(Identity));
    // While the identity code is valid, confirming it is the next action.
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
fn bank_answer_is_valid_for_30_minutes() {
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
fn stale_bank_answer_uses_no_attempt() {
    let stale = refreshed_with_code_at(30 * MINUTE_S + 1);
    let refusal = stale.refused(reserve(Card));
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
fn stale_bank_answer_gets_the_next_reference() {
    let mut stale = refreshed_with_code_at(30 * MINUTE_S);
    stale.wrong(Card);
    let mut asked = stale.later(1).then(card_check());
    assert_eq!(asked.merchant.state.bank_calls.len(), 2);
    assert!(matches!(
        asked.stage(),
        RebindState::CardPending {
            check: CardCheck::Asking { number: 2, .. },
            ..
        }
    ));
    asked.done(bank_to(2, Some(BankAnswer::DEBIT_MATCH)));
    assert_eq!(asked.attempts(Card), (1, 1));
    asked.confirm(Card, true);
    assert_eq!(asked.shown(), "activated");
}

#[test]
fn identity_code_needs_no_fresh_proof() {
    let world = refreshed_with_code_at(31 * MINUTE_S).then(resend(Identity));
    assert!(world.later(3 * MINUTE_S).decide(reserve(Identity)).is_ok());
}

#[test]
fn stale_identity_precedes_the_bank_answer() {
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
