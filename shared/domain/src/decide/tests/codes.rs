//! Codes: their session, their lifetime, and resending.

use super::fixture::*;
use crate::decide::{Command, otp_of, pending_otp};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::rebind::OtpPurpose;
use crate::rebind::OtpPurpose::{Card, Identity};

/// For each purpose, a code that was just sent in session 0, and the action that resends it.
fn sent() -> [(OtpPurpose, World, NextAction); 2] {
    [
        (
            Identity,
            World::new().identity_sent(),
            NextAction::IdentityCode,
        ),
        (Card, World::new().matched(), NextAction::CardCheckCode),
    ]
}

#[test]
fn code_of_other_session_uses_no_attempt() {
    for (purpose, world, again) in sent() {
        let world = world.by(1);
        let refusal = world.refused(reserve(purpose));
        assert_eq!(refusal.code, ErrorCode::StepUpRequired);
        assert_eq!(refusal.next_actions, [again]);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        // It requests its own code, which replaces that of the first session.
        let world = world.then(resend(purpose));
        assert!(world.decide(reserve(purpose)).is_ok());
        assert_eq!(
            world.by(0).refused(reserve(purpose)).code,
            ErrorCode::StepUpRequired
        );
    }
}

#[test]
fn expired_code_uses_no_attempt() {
    for (purpose, world, again) in sent() {
        assert!(
            world
                .clone()
                .later(5 * MINUTE_S - 1)
                .decide(reserve(purpose))
                .is_ok()
        );
        let refusal = world.later(5 * MINUTE_S).refused(reserve(purpose));
        assert_eq!(refusal.code, ErrorCode::OtpExpired);
        assert_eq!(refusal.attempts_left, Some(POLICY.code_attempts));
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(refusal.next_actions, [again]);
    }
}

#[test]
fn malformed_code_uses_no_attempt() {
    for (purpose, world, _) in sent() {
        let mut world = world.then(reserve(purpose));
        world.wrong(purpose);
        let refusal = world.refused(Command::ReserveAttempt {
            purpose,
            well_formed: false,
            deposit_polled: true,
        });
        assert_eq!(refusal.code, ErrorCode::OtpWrong);
        assert_eq!(bad_fields(&refusal), [("code", ErrorCode::OtpWrong)]);
        assert_eq!(refusal.attempts_left, Some(POLICY.code_attempts - 2));
        assert_eq!(refusal.counts_toward_limit, Some(false));
    }
}

#[test]
fn resend_replaces_the_code() {
    for (purpose, world, again) in sent() {
        let old = world.mac(purpose);
        let mut world = world.then(reserve(purpose)).later(60).by(1);
        let transition = world.done(resend(purpose));
        assert_ne!(world.mac(purpose), old);
        let (code, _) = otp_of(world.stage(), purpose).unwrap();
        let session = world.merchant.state.sessions[1].as_ref().unwrap();
        assert_eq!((&code.session, code.sent_at), (&session.tag(), t(60)));
        assert_eq!(transition.event.unwrap().kind(), EventKind::CodeSent);
        let send = transition.otp_delivery.unwrap();
        let phone = match purpose {
            Identity => PHONE_ON_FILE,
            Card | OtpPurpose::Activate => RESERVED_PHONE,
        };
        assert_eq!((send.phone.e164(), send.purpose), (phone, purpose));

        // The old code is no longer valid, even for an attempt that was reserved before the resend.
        let refusal = world.refused(settle(purpose, old, true));
        assert_eq!(refusal.code, ErrorCode::OtpExpired);
        assert_eq!(refusal.next_actions, [again]);
        assert_eq!(world.attempts(purpose), (1, 0));
    }
}

#[test]
fn resend_needs_a_matched_document() {
    let refusal = World::new().created().refused(resend(Identity));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    let refusal = World::new().agreement_pending().refused(resend(Identity));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    let refusal = World::new().asking().refused(resend(Card));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
}

#[test]
fn unsent_code_is_dropped() {
    let refresh = World::new().card_pending().then(resend(Identity));
    let refresh = (Identity, refresh, NextAction::CardCheck);
    for (purpose, mut world, next) in sent().into_iter().chain([refresh]) {
        let before = world.merchant.clone();
        let mac = world.mac(purpose);
        let transition = world.done(Command::OtpNotSent(purpose, mac.clone()));
        assert!(transition.state.is_none() && transition.event.is_none());
        assert_eq!(world.rebind().version, before.rebind.unwrap().version);
        assert!(otp_of(world.stage(), purpose).is_none());
        let refusal = world.refused(reserve(purpose));
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
        assert_eq!(refusal.next_actions, [next, NextAction::Cancel]);
        // Repeating it changes nothing; repeating the request sends another code.
        assert!(
            world
                .done(Command::OtpNotSent(purpose, mac))
                .rebind
                .is_none()
        );
        assert!(world.done(resend(purpose)).otp_delivery.is_some());
    }
}

#[test]
fn unsent_code_does_not_drop_a_newer_one() {
    for (purpose, world, _) in sent() {
        let older = world.mac(purpose);
        let mut world = world.later(60).then(resend(purpose));
        let newer = world.mac(purpose);
        let transition = world.done(Command::OtpNotSent(purpose, older.clone()));
        assert!(transition.rebind.is_none());
        assert_eq!(world.mac(purpose), newer);
        // It also has no effect after the rebind has advanced.
        let ended = world.then(Command::Cancel);
        let transition = ended.decide(Command::OtpNotSent(purpose, older)).unwrap();
        assert!(transition.rebind.is_none());
    }
}

#[test]
fn pending_code_is_unexpired_then_latest() {
    let waits_for = |world: &World| {
        pending_otp(world.stage(), &POLICY, world.now).map(|(purpose, _, _)| purpose)
    };
    assert_eq!(waits_for(&World::new().created()), None);
    assert_eq!(waits_for(&World::new().identity_sent()), Some(Identity));
    assert_eq!(waits_for(&World::new().agreement_pending()), None);
    assert_eq!(waits_for(&World::new().matched()), Some(Card));
    let both = World::new().matched().at(60).then(resend(Identity));
    assert_eq!(waits_for(&both), Some(Identity));
    let both = both.at(120).then(resend(Card));
    assert_eq!(waits_for(&both), Some(Card));
    // The card's code has expired and the other has not; then the other way round.
    let refresh = World::new()
        .matched()
        .at(5 * MINUTE_S)
        .then(resend(Identity));
    assert_eq!(waits_for(&refresh), Some(Identity));
    let card = World::new()
        .card_pending()
        .then(resend(Identity))
        .at(5 * MINUTE_S)
        .then(card_check())
        .then(bank(Some(crate::decide::BankAnswer::DEBIT_MATCH)));
    assert_eq!(waits_for(&card), Some(Card));
}

#[test]
fn correct_code_advances_and_refresh_stays() {
    let mut world = World::new().identity_sent();
    assert_eq!(
        world.confirm(Identity, true).event.unwrap().kind(),
        EventKind::IdentityConfirmed
    );
    assert_eq!(world.shown(), "agreement_pending");

    let mut world = World::new().matched().later(60).then(resend(Identity));
    let before = world.mac(Card);
    world.confirm(Identity, true);
    assert_eq!(world.shown(), "card_pending");
    assert!(otp_of(world.stage(), Identity).is_none());
    assert_eq!(world.mac(Card), before);
}

#[test]
fn out_of_order_step_lists_next_actions() {
    for world in [World::new().created(), World::new().agreement_pending()] {
        for purpose in [Identity, Card] {
            let refusal = world.refused(reserve(purpose));
            assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
            assert_eq!(refusal.next_actions, world.next_actions());
        }
    }
}
