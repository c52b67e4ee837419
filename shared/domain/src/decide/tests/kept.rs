//! What is kept and what is named: what a record leaves out when it is empty, when something is due, the words of the wire.

use super::fixture::*;
use crate::card::CardStatus;
use crate::error_code::ErrorCode;
use crate::merchant::PushTarget;
use crate::policy::Policy;
use crate::rejection::Rejection;
use serde_json::{Value, json};

fn kept(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn a_head_keeps_counts_only_where_there_is_something_to_count() {
    let world = World::new();
    let empty = kept(&world.state.head);
    assert_eq!(
        (&empty["held"], &empty["act"]["out"]),
        (&Value::Null, &Value::Null)
    );
    let paid = kept(&world.pay("one").pay("two").state.head);
    assert_eq!(paid["act"]["out"], 2);
    let held = World::new().asking_for(create_lost("other")).state.head;
    assert_eq!(kept(&held).get("held"), None);
}

#[test]
fn a_push_target_is_kept_as_a_pair() {
    let target = PushTarget {
        id: "phone".to_owned(),
        token_tag: "abc".to_owned(),
    };
    assert_eq!(kept(&target), json!(["phone", "abc"]));
    let read: PushTarget = serde_json::from_value(kept(&target)).unwrap();
    assert_eq!(read, target);
}

#[test]
fn a_test_transfer_is_kept_once_it_was_sent() {
    let activated = World::new().activated();
    let of = |world: &World| {
        kept(&world.rebind().stage)["activated"]
            .get("test")
            .cloned()
    };
    assert_eq!(of(&activated), None);
    assert!(of(&activated.test_sent()).is_some());
}

#[test]
fn a_payout_waits_for_its_card_or_for_the_operators_word() {
    let world = World::new().pay("one");
    let payout = world.payout("one");
    assert!(!world.state.holds(&payout), "it has its card");
    let mut without = payout.clone();
    without.card = None;
    assert!(world.state.holds(&without));
    let mut sent = without;
    sent.state = crate::payout::PayoutState::Sent;
    assert!(!world.state.holds(&sent), "it waits for nothing any more");
    let late = World::new()
        .activated()
        .later(2 * DAY_S)
        .pay("late")
        .freeze(1);
    assert!(
        late.state.holds(&late.payout("late")),
        "nobody knows which card is right"
    );
}

#[test]
fn an_open_rebind_is_due_when_its_time_is_over_and_reads_expired_from_then_on() {
    for world in [World::new().created(), World::new().agreement_pending()] {
        let rebind = world.rebind();
        assert_eq!(rebind.due_at(&POLICY), Some(rebind.expires_at));
        let just_before = rebind.expires_at.plus_s(-1);
        assert_ne!(rebind.state_at(just_before).as_str(), "expired");
        assert_eq!(rebind.state_at(rebind.expires_at).as_str(), "expired");
    }
}

#[test]
fn each_status_of_a_card_has_its_word() {
    let words = [
        (CardStatus::Pending, "pending"),
        (CardStatus::Active, "active"),
        (CardStatus::Standby, "standby"),
        (CardStatus::Retiring, "retiring"),
        (CardStatus::Removed, "removed"),
    ];
    for (status, word) in words {
        assert_eq!(status.as_str(), word);
    }
}

#[test]
fn the_bank_is_asked_again_after_five_minutes_then_ever_later_at_last_once_a_day() {
    let asks = |known_for_s| POLICY.asks_bank_at(t(0), t(known_for_s), false);
    assert_eq!(asks(0), t(5 * 60));
    assert_eq!(asks(HOUR_S), t(HOUR_S + HOUR_S / 4));
    assert_eq!(asks(30 * DAY_S), t(31 * DAY_S));
    assert_eq!(POLICY.asks_bank_at(t(0), t(60), true), t(60 + DAY_S));
}

#[test]
fn what_the_contract_leaves_to_us_is_as_it_is_written_down() {
    let Policy {
        bank_retry_s,
        notice_retry_s,
        notice_retries_max,
        ..
    } = POLICY;
    assert_eq!((bank_retry_s, notice_retry_s), (300, 600));
    assert_eq!(
        notice_retry_s * i64::from(notice_retries_max),
        DAY_S,
        "a day's worth"
    );
}

#[test]
fn a_freeze_code_is_forgotten_in_the_second_in_which_it_ends() {
    let codes = |after_s| {
        let first = World::new().bound_by(create_lost("first"));
        let second = first.later(after_s).login().bound_by(create_for("second"));
        let codes = second.state.head.freeze_codes.into_iter();
        codes.map(|code| code.number).collect::<Vec<_>>()
    };
    assert_eq!(codes(8 * DAY_S - 1), [1, 2]);
    assert_eq!(codes(8 * DAY_S), [2]);
}

#[test]
fn an_answer_decides_when_it_says_something_of_the_card() {
    use crate::decide::BankAnswer as Bank;
    let says = [
        Bank::Match,
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
    assert!(says.iter().all(|answer| answer.decides()));
    assert!(!says_nothing.iter().any(|answer| answer.decides()));
}

#[test]
fn every_malformed_field_is_named_and_a_good_one_is_not() {
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
