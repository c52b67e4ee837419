//! Time-driven transitions: readers derive them, the clean-up persists them.

use super::fixture::*;
use crate::decide::{Command, next_actions};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::{End, RebindState};

fn by_clean_up(mut world: World) -> World {
    world.by = None;
    world
}

#[test]
fn overdue_rebind_refuses_every_step() {
    let steps = [
        Command::Cancel,
        document(true),
        resend(crate::rebind::OtpPurpose::Identity),
        Command::ReadAgreement,
        card_check(),
    ];
    for world in [
        World::new().created(),
        World::new().agreement_pending(),
        World::new().matched(),
    ] {
        assert_ne!(world.clone().at(DAY_S - 1).shown(), "expired");
        let overdue = world.at(DAY_S);
        assert_eq!(overdue.shown(), "expired");
        assert_eq!(overdue.next_actions(), [NextAction::NewRebind]);
        let written = by_clean_up(overdue.clone()).then(Command::Expire);
        for world in [overdue, written] {
            for step in &steps {
                let refusal = world.refused(step.clone());
                assert_eq!(refusal.code, ErrorCode::RequestExpired);
                assert_eq!(refusal.next_actions, [NextAction::NewRebind]);
            }
        }
    }
}

#[test]
fn clean_up_expires_overdue_rebinds_only() {
    let world = by_clean_up(World::new().matched());
    assert_eq!(
        world.clone().at(DAY_S - 1).refused(Command::Expire).code,
        ErrorCode::StepOutOfOrder
    );
    let mut overdue = world.at(DAY_S);
    let expired = overdue.done(Command::Expire);
    assert_eq!(
        overdue.stage(),
        &RebindState::Ended {
            how: End::Expired,
            at: t(DAY_S),
            reason: None
        }
    );
    assert_eq!(overdue.merchant.state.open, None);
    assert_eq!(overdue.rebind().sealed_number, None);
    let event = expired.event.unwrap();
    assert_eq!(
        (event.kind(), event.notifications.len()),
        (EventKind::Expired, 0)
    );
    // Repeating it changes nothing.
    assert_eq!(
        overdue.refused(Command::Expire).code,
        ErrorCode::StepOutOfOrder
    );
    for world in [
        World::new().activated(),
        World::new().created().then(Command::Cancel),
    ] {
        assert_eq!(
            world.at(DAY_S).refused(Command::Expire).code,
            ErrorCode::StepOutOfOrder
        );
    }
}

#[test]
fn expiry_leaves_the_open_rebind_unchanged() {
    let first = World::new().identity_sent();
    let older = first.merchant.rebind.clone();
    let mut world = first.at(DAY_S).login().created();
    let state = world.merchant.state.clone();
    world.merchant.rebind = older;
    let world = by_clean_up(world).then(Command::Expire);
    assert_eq!(world.shown(), "expired");
    assert_eq!(world.merchant.state.open, Some(2));
    assert_eq!(world.merchant.state.rebind_version, state.rebind_version);
    assert_eq!(world.merchant.state.version, state.version + 1);
}

#[test]
fn replaced_rebind_stays_expired() {
    let first = World::new().matched();
    let older = first.merchant.rebind.clone();
    let mut world = first.at(DAY_S).login().created().at(60);
    world.merchant.rebind = older;
    for step in [
        reserve(crate::rebind::OtpPurpose::Card),
        Command::Cancel,
        card_check(),
    ] {
        assert_eq!(world.refused(step).code, ErrorCode::RequestExpired);
    }
}

#[test]
fn rebind_completes_after_effective_at() {
    let world = by_clean_up(World::new().activated());
    let early = world.clone().at(DAY_S - 1);
    assert_eq!(early.shown(), "activated");
    assert_eq!(
        early.refused(Command::Complete).code,
        ErrorCode::StepOutOfOrder
    );

    let mut over = world.at(DAY_S);
    assert_eq!(over.shown(), "completed");
    let activated_card = over.rebind().activated_card().unwrap().clone();
    let completed = over.done(Command::Complete);
    assert_eq!(completed.event.unwrap().kind(), EventKind::Completed);
    assert_eq!(over.shown(), "completed");
    assert_eq!(over.stage(), &RebindState::Completed(activated_card));
    // Repeating it changes nothing, and a rebind without an activation never completes.
    assert_eq!(
        over.refused(Command::Complete).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(
        World::new().matched().refused(Command::Complete).code,
        ErrorCode::StepOutOfOrder
    );
}

#[test]
fn cooldown_end_is_announced_once() {
    let world = by_clean_up(World::new().activated());
    let early = world.clone().at(30 * DAY_S - 1);
    assert_eq!(
        early.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
    let mut over = world.at(30 * DAY_S);
    let announced = over.done(Command::EndCooldown);
    assert!(announced.rebind.is_none());
    let event = announced.event.unwrap();
    assert_eq!(event.kind(), EventKind::CooldownEnded);
    let notifications: Vec<_> = event
        .notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(notifications, [Recipient::OnFile]);
    assert_eq!(
        over.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );

    let mut never = by_clean_up(World::new());
    assert_eq!(
        never.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
    // The end of a cancelled cooldown is not announced.
    never.merchant.state.cooldown_end_unannounced = true;
    assert_eq!(
        never.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
}

#[test]
fn clean_up_never_changes_the_cooldown() {
    let until = Some(t(30 * DAY_S));
    let world = by_clean_up(World::new().activated());
    assert_eq!(world.merchant.state.cooldown_until, until);
    let world = world.at(DAY_S).then(Command::Complete);
    assert_eq!(world.merchant.state.cooldown_until, until);
    let world = world.at(40 * DAY_S).then(Command::EndCooldown);
    assert_eq!(world.merchant.state.cooldown_until, until);
    // So a late or failed clean-up neither shortens nor prolongs the cooldown.
    let mut asking = world.at(30 * DAY_S - 1).login();
    asking.by = Some(0);
    assert_eq!(
        asking.refused(create_for("third")).code,
        ErrorCode::RebindCooldown
    );
    assert!(asking.later(1).decide(create_for("third")).is_ok());
}

#[test]
fn clean_up_runs_while_frozen() {
    let mut overdue = by_clean_up(World::new().matched().at(DAY_S));
    overdue.merchant.state.frozen = frozen(t(0));
    overdue.done(Command::Expire);
    let mut held = by_clean_up(World::new().activated().at(DAY_S));
    held.merchant.state.frozen = frozen(t(0));
    held.done(Command::Complete);
}

#[test]
fn cancel_works_before_activation_only() {
    for world in [
        World::new().created(),
        World::new().agreement_pending(),
        World::new().asking(),
    ] {
        let mut world = world.later(5);
        let cancelled = world.done(Command::Cancel);
        assert_eq!(cancelled.event.unwrap().kind(), EventKind::Cancelled);
        assert_eq!(
            world.stage(),
            &RebindState::Ended {
                how: End::Cancelled,
                at: t(5),
                reason: None
            }
        );
        assert_eq!(world.rebind().sealed_number, None);
        assert_eq!(world.merchant.state.open, None);
        let again = world.refused(Command::Cancel);
        assert_eq!(again.code, ErrorCode::StepOutOfOrder);
        assert_eq!(again.next_actions, [NextAction::NewRebind]);
    }
    let activated = World::new().activated();
    let refusal = activated.refused(Command::Cancel);
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        refusal.next_actions,
        next_actions(
            &activated.merchant,
            activated.rebind(),
            &POLICY,
            activated.now
        )
    );
}
