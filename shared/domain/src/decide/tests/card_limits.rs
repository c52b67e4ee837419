//! The bank calls per card and day, and per merchant and day.

use super::fixture::*;
use super::states::lost_answer;
use crate::decide::{BankAnswer, Command};
use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::rejection::Rejection;

/// A rebind for this card that is about to call the bank, an hour later.
fn about_to_ask(world: World, card: &str) -> World {
    let mut world = world.later(HOUR_S).login();
    world.merchant.state.device_counts = Default::default();
    let world = world.then(create_for(card)).then(document(true));
    let shown_at = world.now.plus_s(-10);
    world
        .confirmed(crate::rebind::OtpPurpose::Identity)
        .then(sign(shown_at))
}

/// One counted bank call for this card; the rebind is cancelled.
fn called(world: World, card: &str) -> World {
    let matched = bank(Some(BankAnswer::DEBIT_MATCH));
    about_to_ask(world, card)
        .then(card_check())
        .then(matched)
        .then(Command::Cancel)
}

/// The wait until the call of this hour leaves the day.
fn until_hour_leaves_s(hour: i64, world: &World) -> Option<i64> {
    Some(t(hour * HOUR_S + DAY_S).epoch_s() - world.now.epoch_s())
}

fn limited(world: &World) -> Rejection {
    let refusal = world.refused(card_check());
    assert_eq!(refusal.code, ErrorCode::CardCheckLimit);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait, NextAction::Cancel]);
    refusal
}

#[test]
fn bank_calls_per_card_and_day_are_limited() {
    let mut world = World::new();
    for _ in 0..POLICY.bank_calls_per_card_day {
        world = called(world, "a");
    }
    let next = about_to_ask(world.clone(), "a");
    // The first call was one hour after the start.
    assert_eq!(limited(&next).retry_after_s, until_hour_leaves_s(1, &next));
    assert_eq!(
        limited(&next.clone().at(DAY_S + HOUR_S - 1).login()).retry_after_s,
        Some(1)
    );
    assert!(next.at(DAY_S + HOUR_S).decide(card_check()).is_ok());
    // Another card has its own limit.
    assert!(about_to_ask(world, "b").decide(card_check()).is_ok());
}

#[test]
fn bank_calls_per_merchant_and_day_are_limited() {
    let mut world = World::new();
    let cards = ["a", "b", "c"].into_iter().cycle();
    for card in cards.take(POLICY.bank_calls_per_day) {
        world = called(world, card);
    }
    let next = about_to_ask(world, "d");
    assert_eq!(limited(&next).retry_after_s, until_hour_leaves_s(1, &next));
    assert!(next.at(DAY_S + HOUR_S).decide(card_check()).is_ok());
}

#[test]
fn refusal_reports_the_longer_wait() {
    let mut world = World::new();
    let calls = ["a"; POLICY.bank_calls_per_card_day].into_iter();
    let cards = ["b"]
        .into_iter()
        .chain(calls)
        .chain(["c"].into_iter().cycle());
    for card in cards.take(POLICY.bank_calls_per_day) {
        world = called(world, card);
    }
    // At hour 25 the call for b leaves the day, but card a is limited until hour 26.
    let next = about_to_ask(world, "a");
    assert_eq!(limited(&next).retry_after_s, until_hour_leaves_s(2, &next));
}

#[test]
fn busy_and_lost_answers_are_refunded() {
    let mut world = World::new();
    for _ in 0..6 {
        let mut asked = about_to_ask(world, "a").then(card_check());
        assert_eq!(asked.merchant.state.bank_calls.len(), 1);
        asked.refused_with_write(bank(Some(BankAnswer::Busy)));
        assert!(asked.merchant.state.bank_calls.is_empty());
        world = lost_answer(asked).then(Command::Cancel);
    }
    assert!(world.merchant.state.bank_calls.is_empty());
}

#[test]
fn refund_removes_its_own_call_only() {
    let mut world = called(called(World::new(), "a"), "b");
    world = lost_answer(about_to_ask(world, "c").then(card_check()));
    let left: Vec<_> = world
        .merchant
        .state
        .bank_calls
        .iter()
        .map(|call| (call.at, call.card_tag.as_str()))
        .collect();
    assert_eq!(left, [(t(HOUR_S), "-------a"), (t(2 * HOUR_S), "-------b")]);
    // A second lost answer refunds nothing.
    world = lost_answer(world.then(card_check()));
    assert_eq!(world.merchant.state.bank_calls.len(), 2);
}

#[test]
fn old_bank_calls_are_dropped() {
    let world = called(called(World::new(), "a"), "b").at(DAY_S);
    let world = called(world, "a");
    let times: Vec<_> = world
        .merchant
        .state
        .bank_calls
        .iter()
        .map(|call| call.at)
        .collect();
    assert_eq!(times, [t(2 * HOUR_S), t(DAY_S + HOUR_S)]);
}

#[test]
fn unanswered_call_stays_counted() {
    let asking = World::new().asking();
    assert_eq!(asking.merchant.state.bank_calls.len(), 1);
    let cancelled = asking.clone().then(Command::Cancel);
    assert_eq!(cancelled.merchant.state.bank_calls.len(), 1);
    let expired = asking.clone().at(DAY_S).then(Command::Expire);
    assert_eq!(expired.merchant.state.bank_calls.len(), 1);
    // An answered call also stays counted.
    let mut answered = asking.clone();
    answered.refused_with_write(bank(Some(BankAnswer::Blocked)));
    assert_eq!(answered.merchant.state.bank_calls.len(), 1);
    let matched = asking
        .then(bank(Some(BankAnswer::DEBIT_MATCH)))
        .then(Command::Cancel);
    assert_eq!(matched.merchant.state.bank_calls.len(), 1);
}
