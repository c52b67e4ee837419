//! The bank's check: the intent is written first, then the answer. A lost answer decides nothing.

use super::fixture::*;
use super::states::lost_answer;
use crate::card::{BankCardType, CardType};
use crate::decide::{BankAnswer, BankReply, Command};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::rebind::{BankReference, CardCheck, Mac, RebindState};
use crate::transition::{FingerprintRule, Outcome};

fn check(world: &World) -> &CardCheck {
    match world.stage() {
        RebindState::CardPending { check, .. } => check,
        other => panic!("{other:?}"),
    }
}

fn bound_elsewhere() -> Command {
    Command::StartCardCheck {
        bound_elsewhere: true,
        code: code("card-1"),
    }
}

#[test]
fn intent_is_written_before_the_bank_call() {
    let mut world = World::new().card_pending();
    let before = world.merchant.clone();
    let intent = world.write(card_check());
    assert_eq!(intent.outcome, Outcome::Proceed);
    assert_eq!(
        check(&world),
        &CardCheck::Asking {
            number: 1,
            counted_at: Some(t(0)),
            since: t(0),
            asked_at: t(0),
            bound_elsewhere: false
        }
    );
    assert_eq!(world.merchant.state.bank_calls.len(), 1);
    // Bookkeeping: the versions change without an event.
    assert!(intent.event.is_none() && intent.otp_delivery.is_none());
    assert_eq!(world.merchant.state.version, before.state.version + 1);
    assert_eq!(world.rebind().version, before.rebind.unwrap().version + 1);
    assert_eq!(world.merchant.state.rebind_version, world.rebind().version);
    assert_eq!(
        intent.fingerprint,
        Some(FingerprintRule::Free {
            fingerprint: fingerprint("new"),
            person: Mac("person".to_owned())
        })
    );
    assert_eq!(
        world.rebind().serial(BankReference::Check(1)),
        format!("{}-1", world.rebind().rebind_id)
    );
}

#[test]
fn repeated_check_reuses_its_reference() {
    let mut world = World::new().asking().later(60);
    let repeated = world.write(card_check());
    assert_eq!(repeated.outcome, Outcome::Proceed);
    assert!(repeated.state.is_none() && repeated.rebind.is_none());
    assert_eq!(world.merchant.state.bank_calls.len(), 1);
}

#[test]
fn match_sends_code_to_reserved_phone() {
    let mut world = World::new().asking().later(3);
    let answered = world.done(bank(Some(BankAnswer::DEBIT_MATCH)));
    assert!(matches!(
        check(&world),
        CardCheck::Matched { number: 1, matched_at, code: Some(_) } if *matched_at == t(0)
    ));
    let send = answered.otp_delivery.unwrap();
    assert_eq!((send.phone.e164(), send.purpose), (RESERVED_PHONE, Card));
    assert_eq!(send.card, world.rebind().new_card);
    let event = answered.event.unwrap();
    assert_eq!(event.kind(), EventKind::CardCheckAnswered);
    assert_eq!(event.event.data()["answer"], "match");
    assert_eq!(
        event.event.data()["serial"],
        world.rebind().serial(BankReference::Check(1))
    );
    assert_eq!(world.merchant.state.bank_calls.len(), 1);
}

#[test]
fn repeated_check_after_match_skips_the_bank() {
    let mut world = World::new().matched().at(5 * MINUTE_S - 1);
    let repeated = world.write(card_check());
    assert!(repeated.state.is_none() && repeated.rebind.is_none());
    assert_eq!(
        (repeated.outcome, repeated.otp_delivery),
        (Outcome::Done, None)
    );

    let mut dead = world.at(5 * MINUTE_S);
    let renewed = dead.done(card_check());
    assert!(renewed.otp_delivery.is_some());
    assert_eq!(renewed.event.unwrap().kind(), EventKind::CodeSent);
    assert_eq!(dead.merchant.state.bank_calls.len(), 1);
}

#[test]
fn match_is_kept_without_a_code() {
    let reply = BankReply {
        number: 1,
        answer: Some(BankAnswer::DEBIT_MATCH),
    };
    let mut world = World::new().asking();
    let answered = world.done(Command::SettleCardCheck(reply, None));
    assert!(answered.otp_delivery.is_none());
    assert!(matches!(
        check(&world),
        CardCheck::Matched { code: None, .. }
    ));
    assert_eq!(
        world.next_actions(),
        [NextAction::CardCheckCode, NextAction::Cancel]
    );
    assert!(world.done(resend(Card)).otp_delivery.is_some());
}

#[test]
fn bank_refusal_ends_the_rebind() {
    for (answer, code) in [
        (BankAnswer::Mismatch, ErrorCode::ElementsMismatch),
        (BankAnswer::Blocked, ErrorCode::CardBlocked),
        (BankAnswer::Invalid, ErrorCode::CardInvalid),
        (BankAnswer::Dormant, ErrorCode::CardDormant),
        (BankAnswer::Expired, ErrorCode::CardExpired),
        (BankAnswer::Restricted, ErrorCode::CardRestricted),
        (BankAnswer::ClassTwo, ErrorCode::CardClassIi),
    ] {
        for (mut world, calls) in [
            (World::new().asking(), 1),
            (lost_answer(World::new().asking()), 1),
        ] {
            let transition = world.write(bank(Some(answer)));
            let Outcome::Refused(refusal) = transition.outcome else {
                panic!("{answer:?}")
            };
            assert_eq!(refusal.code, code);
            assert_eq!(refusal.counts_toward_limit, Some(true));
            assert_eq!(refusal.next_actions, FINAL_REFUSAL);
            assert_eq!(world.shown(), "rejected");
            assert!(matches!(
                world.stage(),
                RebindState::Ended { reason: Some(reason), .. } if *reason == code
            ));
            assert_eq!(world.rebind().sealed_number, None);
            assert_eq!(world.merchant.state.bank_calls.len(), calls, "{answer:?}");
            let event = transition.event.unwrap();
            assert_eq!(
                event.event.data()["serial"],
                world.rebind().serial(BankReference::Check(1))
            );
            assert!(event.notifications.is_empty());
        }
    }
}

#[test]
fn undecided_answers_do_not_count() {
    for (answer, code, after_s) in [
        (Some(BankAnswer::Busy), ErrorCode::UpstreamBusy, Some(60)),
        // The wait lasts until midnight in Shanghai; the current time is 10:00.
        (
            Some(BankAnswer::Quota),
            ErrorCode::UpstreamQuota,
            Some(14 * HOUR_S),
        ),
        (Some(BankAnswer::Malformed), ErrorCode::Internal, None),
        (None, ErrorCode::UpstreamUnknown, Some(5)),
    ] {
        let mut world = World::new().asking();
        let transition = world.write(bank(answer));
        let Outcome::Refused(refusal) = transition.outcome else {
            panic!("{answer:?}")
        };
        assert_eq!((refusal.code, refusal.retry_after_s), (code, after_s));
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(
            refusal.next_actions,
            [NextAction::CardCheck, NextAction::Cancel]
        );
        assert_eq!(world.shown(), "card_pending");
        assert!(transition.event.is_none());
        assert!(world.merchant.state.bank_calls.is_empty());
    }
}

#[test]
fn bank_day_starts_at_midnight_in_shanghai() {
    let wait_s = |at_s: i64| {
        let mut world = World::new().at(at_s).login().asking();
        world
            .refused_with_write(bank(Some(BankAnswer::Quota)))
            .retry_after_s
    };
    assert_eq!(wait_s(14 * HOUR_S - 1), Some(1));
    assert_eq!(wait_s(14 * HOUR_S), Some(DAY_S));
    assert_eq!(wait_s(14 * HOUR_S + 1), Some(DAY_S - 1));
}

#[test]
fn lost_answer_is_retried_with_its_reference() {
    let mut world = lost_answer(World::new().asking());
    for at_s in [60, 120] {
        world = world.at(at_s);
        let again = world.write(card_check());
        assert_eq!(again.outcome, Outcome::Proceed);
        assert!(matches!(
            check(&world),
            CardCheck::Asking {
                number: 1,
                counted_at: None,
                ..
            }
        ));
        world = lost_answer(world);
        assert!(world.merchant.state.bank_calls.is_empty());
    }
    // When the answer arrives, the call counts at that time.
    world.done(bank(Some(BankAnswer::DEBIT_MATCH)));
    let counted: Vec<_> = world
        .merchant
        .state
        .bank_calls
        .iter()
        .map(|call| call.at)
        .collect();
    assert_eq!(counted, [t(120)]);
}

#[test]
fn recalled_match_ages_from_its_question() {
    let half_an_hour_s = 30 * MINUTE_S;
    let recalled = |at_s: i64| {
        let mut world = lost_answer(World::new().asking()).at(at_s);
        let answered = world.done(bank(Some(BankAnswer::DEBIT_MATCH)));
        assert!(matches!(
            check(&world),
            CardCheck::Matched { matched_at, .. } if *matched_at == t(0)
        ));
        (world, answered.otp_delivery.is_some())
    };
    assert!(recalled(half_an_hour_s).1);
    // Too old to be proof: no code is sent, and the bank is asked anew under another reference.
    let (mut stale, is_sent) = recalled(half_an_hour_s + 1);
    assert!(!is_sent);
    assert_eq!(stale.write(card_check()).outcome, Outcome::Proceed);
    assert!(matches!(check(&stale), CardCheck::Asking { number: 2, .. }));
}

#[test]
fn busy_answer_restarts_the_age_of_the_next() {
    let mut world = World::new().asking().at(40 * MINUTE_S);
    world.refused_with_write(bank(Some(BankAnswer::Busy)));
    let answered = world.done(bank(Some(BankAnswer::DEBIT_MATCH)));
    assert!(answered.otp_delivery.is_some());
    assert!(matches!(
        check(&world),
        CardCheck::Matched { matched_at, .. } if *matched_at == t(40 * MINUTE_S)
    ));
}

#[test]
fn answer_to_other_reference_conflicts() {
    let world = World::new().asking();
    let refusal = world.refused(bank_to(2, Some(BankAnswer::DEBIT_MATCH)));
    assert_eq!(refusal.code, ErrorCode::VersionConflict);
    assert_eq!(refusal.retry_after_s, Some(1));
}

#[test]
fn settled_answer_changes_nothing() {
    for world in [World::new().matched(), World::new().card_pending()] {
        let late = world.decide(bank(Some(BankAnswer::Mismatch))).unwrap();
        assert!(late.state.is_none() && late.rebind.is_none() && late.event.is_none());
        assert_eq!(late.outcome, Outcome::Done);
    }
}

#[test]
fn answer_to_ended_rebind_is_dropped() {
    let asking = World::new().asking();
    let cancelled = asking.clone().then(Command::Cancel);
    let late = bank(Some(BankAnswer::DEBIT_MATCH));
    assert_eq!(
        cancelled.refused(late.clone()).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(
        asking.at(DAY_S).refused(late).code,
        ErrorCode::RequestExpired
    );
}

#[test]
fn other_owner_is_revealed_after_a_match() {
    let mut world = World::new().card_pending();
    // The first write found another owner. The check continues without that condition.
    let intent = world.write(bound_elsewhere());
    assert_eq!(
        (intent.outcome, intent.fingerprint),
        (Outcome::Proceed, None)
    );
    assert_eq!(world.merchant.state.bank_calls.len(), 1);

    let mut mismatched = world.clone();
    let refusal = mismatched.refused_with_write(bank(Some(BankAnswer::Mismatch)));
    assert_eq!(refusal.code, ErrorCode::ElementsMismatch);

    // A lost answer does not clear this fact.
    let mut matched = lost_answer(world);
    let refusal = matched.refused_with_write(bank(Some(BankAnswer::DEBIT_MATCH)));
    assert_eq!(refusal.code, ErrorCode::CardBoundElsewhere);
    assert_eq!(refusal.next_actions, FINAL_REFUSAL);
    assert_eq!(matched.shown(), "rejected");
}

#[test]
fn activation_detects_a_new_other_owner() {
    let mut world = World::new().matched().then(reserve(Card));
    let refusal = world.refused_with_write(Command::SettleAttempt {
        purpose: Card,
        compared: Some(world.mac(Card)),
        right: true,
        bound_elsewhere: true,
    });
    assert_eq!(refusal.code, ErrorCode::CardBoundElsewhere);
    assert_eq!(refusal.counts_toward_limit, Some(true));
    assert_eq!(world.shown(), "rejected");
    let active = world.merchant.state.active.unwrap();
    assert_eq!(active.fingerprint, fingerprint("old"));

    // This concerns the card's code only, not the identity code.
    let mut world = World::new().identity_sent().then(reserve(Identity));
    world.done(Command::SettleAttempt {
        purpose: Identity,
        compared: Some(world.mac(Identity)),
        right: true,
        bound_elsewhere: true,
    });
    assert_eq!(world.shown(), "agreement_pending");
}

#[test]
fn card_check_needs_a_signed_agreement() {
    for world in [
        World::new().created(),
        World::new().identity_sent(),
        World::new().agreement_pending(),
        World::new().activated(),
    ] {
        assert_eq!(world.refused(card_check()).code, ErrorCode::StepOutOfOrder);
        let answer = bank(Some(BankAnswer::DEBIT_MATCH));
        assert_eq!(world.refused(answer).code, ErrorCode::StepOutOfOrder);
    }
}

/// A world that waits for the bank's answer about a card of this type in the table.
fn asking_about(card_type: CardType) -> World {
    World::new().asking_for(create_with(|request| {
        request.card.as_mut().unwrap().card_type = card_type;
    }))
}

#[test]
fn card_type_of_a_match_decides() {
    use BankCardType as Bank;
    let debit = (None, CardType::Debit);
    let credit = (Some(ErrorCode::CardTypeCredit), CardType::Credit);
    let prepaid = (Some(ErrorCode::CardTypePrepaid), CardType::Prepaid);
    for (table, stated, (refused, shown)) in [
        (CardType::Debit, Bank::Debit, debit),
        (CardType::Debit, Bank::Unknown, debit),
        (CardType::Debit, Bank::Credit, credit),
        (CardType::Debit, Bank::Prepaid, prepaid),
        (CardType::Unknown, Bank::Debit, debit),
        (CardType::Unknown, Bank::Credit, credit),
        (CardType::Unknown, Bank::Prepaid, prepaid),
        (
            CardType::Unknown,
            Bank::Unknown,
            (Some(ErrorCode::CardTypeUnknown), CardType::Unknown),
        ),
    ] {
        let mut world = asking_about(table);
        let answer = bank(Some(BankAnswer::Match(stated)));
        if let Some(code) = refused {
            let refusal = world.refused_with_write(answer);
            assert_eq!(refusal.code, code, "{table} {stated}");
            assert_eq!(refusal.counts_toward_limit, Some(true));
            assert_eq!(refusal.next_actions, FINAL_REFUSAL);
            assert_eq!(world.shown(), "rejected");
            assert!(
                matches!(world.stage(), RebindState::Ended { reason, .. } if *reason == Some(code))
            );
            assert_eq!(world.merchant.state.bank_calls.len(), 1);
        } else {
            let matched = world.done(answer);
            assert!(matched.otp_delivery.is_some(), "{table} {stated}");
        }
        assert_eq!(world.rebind().new_card.card_type, shown);
    }
}

#[test]
fn bank_that_cannot_check_refuses_a_card_of_unknown_type() {
    for answer in [
        BankAnswer::NotEnabled,
        BankAnswer::IssuerUnsupported,
        BankAnswer::Deposited { arrived: true },
        BankAnswer::DepositReturned,
    ] {
        // The request of the merchant and the clean-up decide alike.
        for by_clean_up in [false, true] {
            let mut world = asking_about(CardType::Unknown);
            world.by = world.by.filter(|_| !by_clean_up);
            let refusal = world.refused_with_write(bank(Some(answer)));
            assert_eq!(refusal.code, ErrorCode::CardTypeUnknown, "{answer:?}");
            assert_eq!(world.shown(), "rejected");
        }
    }
    let world =
        asking_about(CardType::Debit).then(bank(Some(BankAnswer::Deposited { arrived: true })));
    assert!(matches!(check(&world), CardCheck::Deposit { .. }));
}

#[test]
fn type_once_stated_by_the_bank_is_kept() {
    let asked = asking_about(CardType::Unknown)
        .then(bank(Some(BankAnswer::DEBIT_MATCH)))
        .later(POLICY.bank_proof_s + 1);
    let mut again = asked.then(card_check());
    again.done(bank_to(2, Some(BankAnswer::Match(BankCardType::Unknown))));
    assert_eq!(again.rebind().new_card.card_type, CardType::Debit);
}

#[test]
fn type_is_refused_before_another_owner_is_revealed() {
    let mut world = World::new().card_pending().then(bound_elsewhere());
    let credit = BankAnswer::Match(BankCardType::Credit);
    let refusal = world.refused_with_write(bank(Some(credit)));
    assert_eq!(refusal.code, ErrorCode::CardTypeCredit);
}
