//! Three bank calls a day per merchant and card, five per merchant.

use super::fixture::*;
use super::states::lost_answer;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::rejection::Rejection;

/// A rebind for this card that is about to ask the bank, an hour after what was before.
fn about_to_ask(world: World, card: &str) -> World {
    let mut world = world.later(HOUR_S).login();
    world.state.head.requests = Default::default();
    let world = world.then(create_for(card)).then(document(true));
    let shown_at = world.now.plus_s(-10);
    world
        .confirmed(crate::rebind::OtpPurpose::Identity)
        .then(sign(shown_at))
}

/// One call that counts for this card; the rebind is given up.
fn called(world: World, card: &str) -> World {
    let matched = bank(Some(BankAnswer::Match));
    about_to_ask(world, card)
        .then(card_check())
        .then(matched)
        .then(Command::Cancel)
}

fn limited(world: &World) -> Rejection {
    let refusal = world.refused(card_check());
    assert_eq!(refusal.code, ErrorCode::CardCheckLimit);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait, NextAction::Cancel]);
    refusal
}

#[test]
fn three_calls_per_card_a_day() {
    let mut world = World::new();
    for _ in 0..3 {
        world = called(world, "a");
    }
    let fourth = about_to_ask(world.clone(), "a");
    // The first was at one o'clock past the start; it is four now.
    assert_eq!(limited(&fourth).retry_after_s, Some(21 * HOUR_S));
    assert_eq!(
        limited(&fourth.clone().at(DAY_S + HOUR_S - 1).login()).retry_after_s,
        Some(1)
    );
    assert!(fourth.at(DAY_S + HOUR_S).decide(card_check()).is_ok());
    // Another card has its own.
    assert!(about_to_ask(world, "b").decide(card_check()).is_ok());
}

#[test]
fn five_calls_per_merchant_a_day() {
    let mut world = World::new();
    for card in ["a", "b", "c", "a", "b"] {
        world = called(world, card);
    }
    let sixth = about_to_ask(world, "d");
    assert_eq!(limited(&sixth).retry_after_s, Some(19 * HOUR_S));
    assert!(sixth.at(DAY_S + HOUR_S).decide(card_check()).is_ok());
}

#[test]
fn the_longer_wait_is_told() {
    let mut world = World::new();
    for card in ["b", "a", "a", "a", "c"] {
        world = called(world, card);
    }
    // At 25 o'clock b's call leaves the day and one would fit, but none for a before 26.
    let sixth = about_to_ask(world, "a");
    assert_eq!(limited(&sixth).retry_after_s, Some(20 * HOUR_S));
}

#[test]
fn busy_and_lost_answers_are_refunded() {
    let mut world = World::new();
    for _ in 0..6 {
        let mut asked = about_to_ask(world, "a").then(card_check());
        assert_eq!(asked.state.head.bank_calls.len(), 1);
        asked.refused_in_writing(bank(Some(BankAnswer::Busy)));
        assert!(asked.state.head.bank_calls.is_empty());
        world = lost_answer(asked).then(Command::Cancel);
    }
    assert!(world.state.head.bank_calls.is_empty());
}

#[test]
fn a_refund_takes_back_its_own_call_only() {
    let mut world = called(called(World::new(), "a"), "b");
    world = lost_answer(about_to_ask(world, "c").then(card_check()));
    let left: Vec<_> = world
        .state
        .head
        .bank_calls
        .iter()
        .map(|call| (call.at, call.card_tag.as_str()))
        .collect();
    assert_eq!(left, [(t(HOUR_S), "-------a"), (t(2 * HOUR_S), "-------b")]);
    // A second lost answer finds nothing to take back.
    world = lost_answer(world.then(card_check()));
    assert_eq!(world.state.head.bank_calls.len(), 2);
}

#[test]
fn calls_older_than_a_day_are_forgotten_when_the_next_is_counted() {
    let world = called(called(World::new(), "a"), "b").at(DAY_S);
    let world = called(world, "a");
    let times: Vec<_> = world
        .state
        .head
        .bank_calls
        .iter()
        .map(|call| call.at)
        .collect();
    assert_eq!(times, [t(2 * HOUR_S), t(DAY_S + HOUR_S)]);
}

#[test]
fn a_question_that_was_asked_and_not_answered_stays_counted_when_the_rebind_ends() {
    let asking = World::new().asking();
    assert_eq!(asking.state.head.bank_calls.len(), 1);
    let cancelled = asking.clone().then(Command::Cancel);
    assert_eq!(cancelled.state.head.bank_calls.len(), 1);
    let expired = asking.clone().at(DAY_S).then(Command::Expire);
    assert_eq!(expired.state.head.bank_calls.len(), 1);
    // So does one that was answered.
    let mut answered = asking.clone();
    answered.refused_in_writing(bank(Some(BankAnswer::Blocked)));
    assert_eq!(answered.state.head.bank_calls.len(), 1);
    let matched = asking
        .then(bank(Some(BankAnswer::Match)))
        .then(Command::Cancel);
    assert_eq!(matched.state.head.bank_calls.len(), 1);
}
