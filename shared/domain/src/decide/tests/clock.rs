//! The clock may go backwards: a negative age counts as 0, and a session's last change never moves back.

use super::fixture::*;
use super::states::all_reserved;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::merchant::Merchant;
use crate::rebind::OtpPurpose::{Card, Identity};

/// An hour before the start of the test.
const BEFORE: i64 = -HOUR_S;

#[test]
fn future_times_have_age_zero() {
    assert!(World::new().at(BEFORE).decide(create()).is_ok());
    assert!(
        World::new()
            .identity_sent()
            .at(BEFORE)
            .decide(reserve(Identity))
            .is_ok()
    );
    let mut world = World::new().matched().at(BEFORE);
    world.confirm(Card, true);
    assert_eq!(world.shown(), "activated");
}

#[test]
fn limits_count_future_entries() {
    let mut world = World::new();
    for _ in 0..POLICY.rebinds_per_day {
        world = world.login().agreement_pending().then(Command::Cancel);
    }
    let refusal = world.at(BEFORE).refused(create());
    assert_eq!(refusal.code, ErrorCode::DailyRequestLimit);
    assert_eq!(refusal.retry_after_s, Some(DAY_S));

    let mut world = World::new().card_pending();
    let call = crate::merchant::BankCall {
        at: t(0),
        card_tag: "-----new".to_owned(),
    };
    world.merchant.state.bank_calls = vec![call; POLICY.bank_calls_per_card_day];
    let refusal = world.at(BEFORE).refused(card_check());
    assert_eq!(refusal.code, ErrorCode::CardCheckLimit);
    assert_eq!(refusal.retry_after_s, Some(DAY_S));
}

#[test]
fn waits_never_exceed_their_period() {
    let mut quiet = World::new();
    quiet.merchant.state.security_changed_at = Some(t(0));
    assert_eq!(
        quiet.at(BEFORE).refused(create()).code,
        ErrorCode::QuietPeriod
    );

    let reserved = all_reserved(World::new().identity_sent(), Identity);
    let refusal = reserved.at(BEFORE).refused(reserve(Identity));
    assert_eq!(refusal.code, ErrorCode::VersionConflict);
    assert_eq!(refusal.retry_after_s, Some(POLICY.code_deciding_s));

    let refusal = World::new()
        .agreement_pending()
        .at(BEFORE)
        .refused(sign(t(0)));
    assert_eq!(refusal.code, ErrorCode::AgreementNotRead);
    assert_eq!(refusal.retry_after_s, Some(POLICY.agreement_min_read_s));
}

#[test]
fn cooldown_holds_under_a_backward_clock() {
    let world = World::new().activated().at(BEFORE);
    assert_eq!(
        world.refused(create_for("third")).code,
        ErrorCode::RebindCooldown
    );
}

#[test]
fn last_change_never_moves_back() {
    let last_changes = |merchant: &Merchant| {
        let sessions = &merchant.state.sessions;
        [0, 1].map(|slot: usize| sessions[slot].as_ref().unwrap().last_change_at)
    };
    let mut world = World::new().at(60);
    world.done(create());
    assert_eq!(last_changes(&world.merchant), [t(60), t(0)]);
    world = world.at(30);
    world.done(document(true));
    assert_eq!(last_changes(&world.merchant), [t(60), t(0)]);
    world = world.by(1).at(90);
    world.done(resend(Identity));
    assert_eq!(last_changes(&world.merchant), [t(60), t(90)]);
    // A refusal with a write is also a change.
    world = world.at(120).not_sent(Identity);
    world.refused_with_write(document(false));
    assert_eq!(last_changes(&world.merchant), [t(60), t(120)]);
}

#[test]
fn clean_up_touches_no_session() {
    let mut world = World::new().created().at(DAY_S);
    let before = world.merchant.state.sessions.clone();
    world.by = None;
    let world = world.then(Command::Expire);
    assert_eq!(world.merchant.state.sessions, before);
}

#[test]
fn event_has_the_time_of_its_request() {
    let mut world = World::new().at(60).created().at(30);
    let event = world.done(document(true)).event.unwrap();
    assert_eq!(event.at, t(30));
}
