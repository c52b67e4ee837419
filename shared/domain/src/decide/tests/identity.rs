//! The document step: comparison, limits, and the destination of the code.

use super::fixture::*;
use super::states::{all_reserved, wrong_documents};
use crate::decide::{Command, otp_of};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::format::DocumentExpiry;
use crate::next_action::NextAction;
use crate::rebind::Mac;
use crate::rebind::OtpPurpose::Identity;
use crate::window::Window;

fn typed(number: &str, expires_on: &str) -> Command {
    typed_document(
        Ok(Mac(number.to_owned())),
        DocumentExpiry::parse(expires_on),
    )
}

#[test]
fn code_goes_to_phone_on_file() {
    let mut world = World::new().created().by(1);
    let transition = world.done(document(true));
    let send = transition.otp_delivery.unwrap();
    assert_eq!((send.phone.e164(), send.purpose), (PHONE_ON_FILE, Identity));
    assert_eq!(send.card, world.rebind().new_card);
    assert_eq!(transition.event.unwrap().kind(), EventKind::IdentityMatched);
    let (code, attempts) = otp_of(world.stage(), Identity).unwrap();
    let session = world.merchant.state.sessions[1].as_ref().unwrap();
    assert_eq!((&code.session, code.sent_at), (&session.tag(), t(0)));
    assert_eq!(code.expires_at(&POLICY), t(5 * MINUTE_S));
    assert_eq!(attempts.reserved, 0);
}

#[test]
fn repeated_document_sends_no_second_code() {
    let mut world = World::new().identity_sent().at(5 * MINUTE_S - 1);
    let repeated = world.done(document(true));
    assert!(repeated.state.is_none() && repeated.rebind.is_none());
    assert!(repeated.event.is_none() && repeated.otp_delivery.is_none());
    // After its expiry, a new code is sent.
    let renewed = world.at(5 * MINUTE_S).done(document(true));
    assert!(renewed.otp_delivery.is_some());
}

#[test]
fn malformed_fields_use_no_attempt() {
    let world = World::new().created();
    let number = || Ok(Mac("person".to_owned()));
    let expires_on = || DocumentExpiry::parse("long_term");
    let bad_expiry = DocumentExpiry::parse("tomorrow");
    let refusal = world.refused(typed_document(Err(ErrorCode::IdChecksum), bad_expiry));
    assert_eq!(refusal.code, ErrorCode::IdChecksum);
    assert_eq!(
        bad_fields(&refusal),
        [
            ("document_number", ErrorCode::IdChecksum),
            ("document_expires_on", ErrorCode::IdFormat)
        ]
    );
    let refusal = world.refused(typed_document(number(), bad_expiry));
    assert_eq!(
        bad_fields(&refusal),
        [("document_expires_on", ErrorCode::IdFormat)]
    );
    assert_eq!(refusal.code, ErrorCode::IdFormat);
    let refusal = world.refused(typed_document(Err(ErrorCode::IdFormat), expires_on()));
    assert_eq!(
        bad_fields(&refusal),
        [("document_number", ErrorCode::IdFormat)]
    );
}

#[test]
fn mismatch_hides_which_field_differs() {
    let world = World::new().created();
    let mut answers = [
        typed("somebody else", "2035-01-31"),
        typed("person", "2035-02-01"),
        typed("person", "long_term"),
        typed("somebody else", "long_term"),
    ]
    .map(|act| format!("{:?}", world.decide(act).unwrap()))
    .to_vec();
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[test]
fn expired_document_is_reported_after_a_match() {
    let mut world = World::new().created();
    world.merchant.profile.id_expires_on = DocumentExpiry::parse("2026-11-21").unwrap();
    let refusal = world.refused(typed("person", "2026-11-21"));
    assert_eq!(refusal.code, ErrorCode::IdExpired);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::ContactSupport]);
    for wrong in [
        typed("somebody else", "2026-11-21"),
        typed("person", "2035-01-31"),
    ] {
        let refusal = world.clone().refused_with_write(wrong);
        assert_eq!(refusal.code, ErrorCode::IdMismatch);
    }
    // Valid until the end of its last day.
    world.merchant.profile.id_expires_on = DocumentExpiry::parse("2026-11-22").unwrap();
    assert!(world.decide(typed("person", "2026-11-22")).is_ok());
}

#[test]
fn long_term_matches_long_term_only() {
    let mut world = World::new().created();
    world.merchant.profile.id_expires_on = DocumentExpiry::LongTerm;
    let refusal = world.clone().refused_with_write(document(true));
    assert_eq!(refusal.code, ErrorCode::IdMismatch);
    world.done(typed("person", "long_term"));
}

#[test]
fn last_mismatch_rejects_the_rebind() {
    let mut world = World::new().created();
    for left in (1..POLICY.id_mismatches_per_rebind).rev() {
        let refusal = world.refused_with_write(document(false));
        assert_eq!(refusal.code, ErrorCode::IdMismatch);
        assert_eq!(refusal.attempts_left, Some(left));
        assert_eq!(refusal.counts_toward_limit, Some(true));
        assert_eq!(
            refusal.next_actions,
            [NextAction::Identity, NextAction::Cancel]
        );
        assert_eq!(world.shown(), "identity_pending");
    }
    let last = world.refused_with_write(document(false));
    assert_eq!(
        (last.code, last.attempts_left),
        (ErrorCode::IdMismatch, Some(0))
    );
    assert_eq!(last.next_actions, FINAL_REFUSAL);
    assert_eq!(world.shown(), "rejected");
    assert_eq!(world.merchant.state.open, None);
}

#[test]
fn daily_mismatches_stop_comparison() {
    let mut world = World::new();
    for _ in 2..POLICY.id_mismatches_per_day {
        world = wrong_documents(world.created(), 1).then(Command::Cancel);
    }
    let mut world = wrong_documents(world.later(120).created(), 1);
    let last = world.refused_with_write(document(false));
    assert_eq!(
        (last.code, last.attempts_left),
        (ErrorCode::IdMismatch, Some(0))
    );
    assert_eq!(world.shown(), "rejected");
    assert_eq!(
        world.merchant.state.id_mismatches.count(DAY_S, world.now),
        POLICY.id_mismatches_per_day
    );

    let mut next = world.created();
    let refusal = next.refused_with_write(document(true));
    assert_eq!(refusal.code, ErrorCode::IdMismatch);
    assert_eq!(refusal.attempts_left, Some(0));
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(next.shown(), "rejected");
    assert_eq!(
        next.merchant.state.id_mismatches.count(DAY_S, next.now),
        POLICY.id_mismatches_per_day
    );
    // Another rebind would not help, so the refusal reports when the first mismatch leaves the day.
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    assert_eq!(refusal.retry_after_s, Some(DAY_S - 120));

    // A day after the first mismatches, attempts are possible again.
    next.at(DAY_S).login().created().done(document(true));
}

#[test]
fn remaining_attempts_are_the_smaller_limit() {
    let mut world = World::new().created();
    world.merchant.state.id_mismatches =
        Window::from_iter([t(0); POLICY.id_mismatches_per_day - 3]);
    assert_eq!(
        world.refused_with_write(document(false)).attempts_left,
        Some(2)
    );
    assert_eq!(
        world.refused_with_write(document(false)).attempts_left,
        Some(1)
    );
    assert_eq!(
        world.refused_with_write(document(false)).attempts_left,
        Some(0)
    );
    assert_eq!(world.shown(), "rejected");
}

#[test]
fn mismatch_keeps_the_sent_code() {
    let mut world = World::new()
        .identity_sent()
        .then(super::fixture::reserve(Identity));
    let before = world.mac(Identity);
    world.refused_with_write(document(false));
    assert_eq!(world.mac(Identity), before);
    assert_eq!(world.attempts(Identity), (1, 0));
}

#[test]
fn document_sends_no_code_without_attempts() {
    let dead = all_reserved(World::new().identity_sent(), Identity).at(5 * MINUTE_S);
    assert_eq!(
        dead.clone().refused_with_write(document(true)).code,
        ErrorCode::OtpTooMany
    );
}
