//! Rules that depend on the device of a session: its age, and whether it became known.

use super::fixture::*;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::merchant::Replaced;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::transition::EndedSessions;

/// The world, with the device of the session in `slot` first seen at `first_s`.
fn first_seen(mut world: World, slot: usize, first_s: i64) -> World {
    let session = world.merchant.state.sessions[slot].as_mut().unwrap();
    session.device.first_seen = t(first_s);
    world
}

/// The world, with the device of the session in slot 0 beyond the day's new devices.
fn unknown(mut world: World) -> World {
    let session = world.merchant.state.sessions[0].as_mut().unwrap();
    session.device.known = false;
    world
}

fn hold_s(world: &World) -> i64 {
    let last = world.merchant.state.last_activation.as_ref().unwrap();
    last.times.activated_at.age_s_at(last.times.effective_at)
}

#[test]
fn device_beyond_the_day_can_only_read() {
    let world = World::new().created();
    let unknown = unknown(world);
    for act in [
        create(),
        Command::Cancel,
        document(true),
        Command::FreezeFromDevice,
        Command::EndOtherSessions,
        push("phone", "token"),
        settlement("D1", 1_000),
    ] {
        let refusal = unknown.refused(act.clone());
        assert_eq!(refusal.code, ErrorCode::DeviceTooNew, "{act:?}");
    }
    // The order of checks: frozen, fresh login, device.
    let late = unknown.clone().at(15 * MINUTE_S);
    assert_eq!(late.refused(create()).code, ErrorCode::StepUpRequired);
    let mut frozen_world = unknown;
    frozen_world.merchant.state.frozen = frozen(t(0));
    assert_eq!(
        frozen_world.refused(create()).code,
        ErrorCode::AccountFrozen
    );
}

#[test]
fn first_login_of_a_device_is_notified() {
    let mut world = World::new();
    let transition = world.done(add_device(2, "new"));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::DeviceAdded);
    assert_eq!(event.notifications[0].to(), Recipient::OnFile);
    assert_eq!(transition.opens_session, Some(2));
    assert!(world.merchant.state.sessions[2].is_some());
    assert_eq!(world.merchant.state.notice_sms.times().count(), 1);
}

#[test]
fn other_sessions_end_and_own_stays() {
    let mut world = World::new().by(1);
    let transition = world.done(Command::EndOtherSessions);
    assert_eq!(transition.ends_sessions, EndedSessions::Others);
    let sessions = &world.merchant.state.sessions;
    assert!(sessions[0].is_none() && sessions[1].is_some());
    let late = World::new().at(15 * MINUTE_S);
    let refusal = late.refused(Command::EndOtherSessions);
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
}

#[test]
fn young_device_at_creation_holds_72_hours() {
    for (first_s, expected) in [(-7 * DAY_S, DAY_S), (-7 * DAY_S + 3_600, 3 * DAY_S)] {
        let world = first_seen(World::new(), 0, first_s).activated();
        assert_eq!(hold_s(&world), expected);
    }
}

#[test]
fn young_device_at_confirmation_holds_72_hours() {
    let world = World::new().identity_sent();
    let identity = first_seen(world, 0, -60).confirmed(Identity);
    assert_eq!(
        identity.merchant.rebind.as_ref().unwrap().youngest_device,
        Some(t(-60))
    );
    // An older device confirms the card, and the young one still counts.
    let world = World::new().matched();
    let card = first_seen(world, 0, -60).confirmed(Card);
    assert_eq!(hold_s(&card), 3 * DAY_S);
}

#[test]
fn old_device_freezes_without_a_code() {
    let mut world = World::new().activated().by(1);
    let late = world.clone().later(10 * MINUTE_S);
    assert!(late.decide(Command::FreezeFromDevice).is_ok());
    let transition = world.done(Command::FreezeFromDevice);
    assert_eq!(transition.ends_sessions, EndedSessions::All);
    let state = &world.merchant.state;
    assert!(state.frozen.is_some() && state.freeze_codes.is_empty());
    assert!(state.last_activation.is_none());
    assert_eq!(state.replaced.last().unwrap().state, Replaced::Out);
}

#[test]
fn device_younger_than_a_day_freezes_nothing() {
    let activated = World::new().activated();
    let created_at = activated.merchant.rebind.as_ref().unwrap().created_at;
    let created_s = t(0).age_s_at(created_at);
    let young = first_seen(activated.clone(), 0, created_s - DAY_S + 1);
    let refusal = young.refused(Command::FreezeFromDevice);
    assert_eq!(refusal.code, ErrorCode::DeviceTooNew);
    let old = first_seen(activated, 0, created_s - DAY_S);
    assert!(old.decide(Command::FreezeFromDevice).is_ok());
}

#[test]
fn device_freeze_needs_a_code_that_would_work() {
    let open = World::new().created();
    let refusal = open.refused(Command::FreezeFromDevice);
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(refusal.next_actions, [NextAction::Cancel]);
    let cancelled = open.then(Command::Cancel);
    let refusal = cancelled.refused(Command::FreezeFromDevice);
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    let mut frozen_world = World::new().activated();
    frozen_world.done(Command::FreezeFromDevice);
    let again = frozen_world.login();
    let refusal = again.refused(Command::FreezeFromDevice);
    assert_eq!(refusal.code, ErrorCode::AccountFrozen);
}
