//! What time alone brings about: readers compute it, the clean-up writes it down.

use super::fixture::*;
use crate::decide::{Command, next_actions};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::{End, RebindState};

fn by_the_clean_up(mut world: World) -> World {
    world.by = None;
    world
}

#[test]
fn an_overdue_rebind_is_expired_to_every_step_before_the_clean_up_comes_by() {
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
        let written = by_the_clean_up(overdue.clone()).then(Command::Expire);
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
fn the_clean_up_expires_what_is_overdue_and_nothing_else() {
    let world = by_the_clean_up(World::new().matched());
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
    assert_eq!(overdue.state.head.open, None);
    assert_eq!(overdue.rebind().sealed_number, None);
    let event = expired.event.unwrap();
    assert_eq!((event.kind(), event.notices.len()), (EventKind::Expired, 0));
    // Twice changes nothing.
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
fn expiring_an_older_rebind_leaves_the_open_one_alone() {
    let first = World::new().identity_sent();
    let older = first.state.rebind.clone();
    let mut world = first.at(DAY_S).login().created();
    let head = world.state.head.clone();
    world.state.rebind = older;
    let world = by_the_clean_up(world).then(Command::Expire);
    assert_eq!(world.shown(), "expired");
    assert_eq!(world.state.head.open, Some(2));
    assert_eq!(world.state.head.rebind_version, head.rebind_version);
    assert_eq!(world.state.head.version, head.version + 1);
}

#[test]
fn a_rebind_that_was_replaced_when_it_was_overdue_stays_expired_by_a_clock_that_is_behind() {
    let first = World::new().matched();
    let older = first.state.rebind.clone();
    let mut world = first.at(DAY_S).login().created().at(60);
    world.state.rebind = older;
    for step in [
        take(crate::rebind::OtpPurpose::Card),
        Command::Cancel,
        card_check(),
    ] {
        assert_eq!(world.refused(step).code, ErrorCode::RequestExpired);
    }
}

#[test]
fn activated_is_completed_only_when_effective_at_has_passed() {
    let world = by_the_clean_up(World::new().activated());
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
    // Twice changes nothing; and a rebind without an activation has nothing to complete.
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
fn the_end_of_a_cooldown_is_told_once() {
    let world = by_the_clean_up(World::new().activated());
    let early = world.clone().at(30 * DAY_S - 1);
    assert_eq!(
        early.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
    let mut over = world.at(30 * DAY_S);
    let told = over.done(Command::EndCooldown);
    assert!(told.rebind.is_none());
    let event = told.event.unwrap();
    assert_eq!(event.kind(), EventKind::CooldownEnded);
    let notices: Vec<_> = event
        .notices
        .iter()
        .map(|notice| (notice.to(), notice.phone().unwrap().e164()))
        .collect();
    assert_eq!(notices, [(Recipient::OnFile, PHONE_ON_FILE)]);
    assert_eq!(
        over.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );

    let mut never = by_the_clean_up(World::new());
    assert_eq!(
        never.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
    // One that was cancelled has no end to be told.
    never.state.head.cooldown_end_untold = true;
    assert_eq!(
        never.refused(Command::EndCooldown).code,
        ErrorCode::StepOutOfOrder
    );
}

#[test]
fn the_clean_up_never_changes_cooldown_until() {
    let until = Some(t(30 * DAY_S));
    let world = by_the_clean_up(World::new().activated());
    assert_eq!(world.state.head.cooldown_until, until);
    let world = world.at(DAY_S).then(Command::Complete);
    assert_eq!(world.state.head.cooldown_until, until);
    let world = world.at(40 * DAY_S).then(Command::EndCooldown);
    assert_eq!(world.state.head.cooldown_until, until);
    // So a late one, or a dead one, neither shortens nor prolongs it.
    let mut asking = world.at(30 * DAY_S - 1).login();
    asking.by = Some(0);
    assert_eq!(
        asking.refused(create_for("third")).code,
        ErrorCode::RebindCooldown
    );
    assert!(asking.later(1).decide(create_for("third")).is_ok());
}

#[test]
fn the_clean_up_goes_on_while_the_account_is_frozen() {
    let mut overdue = by_the_clean_up(World::new().matched().at(DAY_S));
    overdue.state.head.frozen = frozen(t(0));
    overdue.done(Command::Expire);
    let mut held = by_the_clean_up(World::new().activated().at(DAY_S));
    held.state.head.frozen = frozen(t(0));
    held.done(Command::Complete);
}

#[test]
fn only_before_activation_can_a_rebind_be_cancelled() {
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
        assert_eq!(world.state.head.open, None);
        let again = world.refused(Command::Cancel);
        assert_eq!(again.code, ErrorCode::StepOutOfOrder);
        assert_eq!(again.next_actions, [NextAction::NewRebind]);
    }
    let activated = World::new().activated();
    let refusal = activated.refused(Command::Cancel);
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        refusal.next_actions,
        next_actions(&activated.state, activated.rebind(), &POLICY, activated.now)
    );
}
