//! Held payouts, due times and the wire vocabularies.

use super::fixture::*;
use crate::card::{Card, CardType};
use crate::error_code::ErrorCode;
use crate::ids::CardId;
use crate::policy::Policy;
use crate::rejection::Rejection;

#[test]
fn payout_is_held_without_card_or_in_freeze() {
    let world = World::new().pay("one");
    let payout = world.payout("one");
    assert!(
        !world.merchant.holds(&payout),
        "a payout with a card is not held"
    );
    let mut without = payout.clone();
    without.card = None;
    assert!(world.merchant.holds(&without));
    let mut sent = without;
    sent.state = crate::payout::PayoutState::Sent;
    assert!(!world.merchant.holds(&sent), "a sent payout is not held");
    let late = World::new()
        .activated()
        .later(2 * DAY_S)
        .pay("late")
        .freeze(1);
    assert!(
        late.merchant.holds(&late.payout("late")),
        "a freeze after the hold holds every payout"
    );
}

#[test]
fn open_rebind_is_due_at_its_expiry() {
    for world in [World::new().created(), World::new().agreement_pending()] {
        let rebind = world.rebind();
        assert_eq!(rebind.due_at(&POLICY), Some(rebind.expires_at));
        let just_before = rebind.expires_at.plus_s(-1);
        assert_ne!(rebind.state_at(just_before).as_str(), "expired");
        assert_eq!(rebind.state_at(rebind.expires_at).as_str(), "expired");
    }
}

#[test]
fn poll_interval_grows_to_one_day() {
    let asks = |known_for_s| POLICY.asks_bank_at(t(0), t(known_for_s), false);
    assert_eq!(asks(0), t(5 * 60));
    assert_eq!(asks(HOUR_S), t(HOUR_S + HOUR_S / 4));
    assert_eq!(asks(30 * DAY_S), t(31 * DAY_S));
    assert_eq!(POLICY.asks_bank_at(t(0), t(60), true), t(60 + DAY_S));
}

#[test]
fn policy_choices_match_the_contract() {
    let Policy {
        bank_retry_s,
        notification_retry_s,
        notification_retries_max,
        ..
    } = POLICY;
    assert_eq!((bank_retry_s, notification_retry_s), (300, 600));
    assert_eq!(
        notification_retry_s * i64::from(notification_retries_max),
        DAY_S,
        "retries cover a day"
    );
}

#[test]
fn freeze_code_is_dropped_at_its_end() {
    let codes = |after_s| {
        let first = World::new().bound_by(create_lost("first"));
        let second = first.later(after_s).login().bound_by(create_for("second"));
        let codes = second.merchant.state.freeze_codes.into_iter();
        codes.filter_map(|code| code.rebind).collect::<Vec<_>>()
    };
    assert_eq!(codes(10 * DAY_S - 1), [1, 2]);
    assert_eq!(codes(10 * DAY_S), [2]);
}

#[test]
fn answer_decides_only_about_the_card() {
    use crate::decide::BankAnswer as Bank;
    let says = [
        Bank::DEBIT_MATCH,
        Bank::Mismatch,
        Bank::Blocked,
        Bank::Invalid,
        Bank::Dormant,
        Bank::Expired,
        Bank::Restricted,
        Bank::ClassTwo,
        Bank::Deposited { arrived: false },
        Bank::DepositReturned,
    ];
    let says_nothing = [
        Bank::NotEnabled,
        Bank::IssuerUnsupported,
        Bank::Malformed,
        Bank::Busy,
        Bank::Quota,
    ];
    let debit = request().card.unwrap().card(CardId::new(1, &[0; 16]), t(0));
    assert!(says.iter().all(|answer| answer.decides(&debit)));
    assert!(!says_nothing.iter().any(|answer| answer.decides(&debit)));
    // No deposit goes to a card of another type, so the answer itself decides.
    let other = Card {
        card_type: CardType::Unknown,
        ..debit
    };
    for answer in [Bank::NotEnabled, Bank::IssuerUnsupported] {
        assert!(answer.decides(&other));
    }
    assert!(!Bank::Busy.decides(&other));
}

#[test]
fn only_malformed_fields_are_reported() {
    let fields = [("a", true), ("b", false), ("c", true)];
    let refusal = Rejection::of_malformed(fields).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RequestMalformed);
    let named = [
        ("a", ErrorCode::RequestMalformed),
        ("c", ErrorCode::RequestMalformed),
    ];
    assert_eq!(bad_fields(&refusal), named);
    assert!(Rejection::of_malformed([("b", false)]).is_ok());
}
