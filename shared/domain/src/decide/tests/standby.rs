//! Standby cards: verified and announced, then switched to without a hold, because they have already waited. A standby card
//! does not bypass the hold, the cooldown, the quiet period or a freeze.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::format::DocumentExpiry;
use crate::merchant::{EntityType, Replaced};
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{Purpose, Reason, RebindState, Standby};
use crate::transfer::TransferAnswer;
use crate::transition::{FingerprintRule, Outcome};

/// A standby card (#1), added at 0 and ready for a switch.
fn ready() -> World {
    World::new().standby("b").at(DAY_S).login()
}

fn start(world: &World, number: u32) -> Command {
    Command::StartActivation(world.card(number), code("switch-1"))
}

fn stage(world: &World) -> &Standby {
    match world.stage() {
        RebindState::Standby(standby) => standby,
        other => panic!("{other:?}"),
    }
}

#[test]
fn standby_card_is_announced_but_not_active() {
    let mut world = World::new().matched_for(create_standby("b")).at(60);
    let transition = world.confirm(Card, true);
    assert_eq!(world.shown(), "completed");
    assert_eq!(world.rebind().purpose, Purpose::Standby);
    assert_eq!(world.active(), Some(0));
    assert_eq!(world.status_of(1), CardStatus::Standby);
    let state = &world.merchant.state;
    assert_eq!((state.open, state.cooldown_until), (None, None));
    assert!(state.last_activation.is_none() && state.replaced.is_empty());
    let standby = state.standby(&world.card(1)).unwrap();
    assert_eq!(standby.usable_at, t(60 + DAY_S));
    assert_eq!(standby.bound.card.bound_at, t(60));
    // The announced freeze code is valid from now on.
    let [code] = state.freeze_codes[..] else {
        panic!("{:?}", state.freeze_codes)
    };
    assert_eq!((code.rebind, code.activation), (Some(1), false));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::StandbyReady);
    let notified: Vec<_> = event
        .notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(notified, [Recipient::OnFile, Recipient::Reserved]);
    // The number belongs to this person from now on.
    assert!(matches!(
        transition.fingerprint,
        Some(FingerprintRule::AddHolder { .. })
    ));
}

#[test]
fn standby_card_needs_every_proof() {
    let world = World::new().matched_for(create_standby("b"));
    let stale = world.clone().at(15 * MINUTE_S + 1).refused(reserve(Card));
    assert_eq!(stale.code, ErrorCode::StepUpRequired);
    for purpose in [Identity, Card] {
        let mut world = match purpose {
            Identity => World::new().then(create_standby("b")).then(document(true)),
            _ => world.clone(),
        };
        for _ in 1..POLICY.code_attempts {
            world.wrong(purpose);
        }
        assert_eq!(world.wrong(purpose).code, ErrorCode::OtpTooMany);
        assert!(world.merchant.state.standby.is_empty());
    }
}

#[test]
fn standby_card_above_the_limit_is_refused() {
    let mut world = World::new();
    for number in 0..POLICY.standby_max {
        world = world.standby(&format!("standby {number}"));
    }
    let world = world.later(60).login();
    assert_eq!(world.merchant.state.standby.len(), POLICY.standby_max);
    let refusal = world.refused(create_standby("d"));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(
        refusal.next_actions,
        [NextAction::ActivateStandby, NextAction::UnbindCard]
    );
    // A rebind to activate a card is not limited, and unbinding makes room.
    assert!(world.decide(create_for("d")).is_ok());
    let card = world.card(1);
    let world = world.about(1).then(Command::Unbind(card)).latest();
    assert!(world.decide(create_standby("d")).is_ok());
}

#[test]
fn standby_card_is_same_as_current() {
    let world = ready();
    for request in [create_for("b"), create_standby("b")] {
        let refusal = world.refused(request);
        assert_eq!(refusal.code, ErrorCode::CardSameAsCurrent);
        assert_eq!(
            refusal.next_actions,
            [NextAction::ActivateStandby, NextAction::UnbindCard]
        );
        assert_eq!(
            bad_fields(&refusal),
            [("card_number", ErrorCode::CardSameAsCurrent)]
        );
    }
    let card = world.card(1);
    let world = world.then(Command::Unbind(card));
    assert!(world.decide(create_standby("b")).is_ok());
}

#[test]
fn standby_card_is_not_ready_before_usable_at() {
    let world = World::new().standby("b");
    let early = world.clone().at(DAY_S - 1).login();
    let refusal = early.refused(start(&early, 1));
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::StandbyNotReady, Some(1))
    );
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    let ready = world.at(DAY_S).login();
    assert!(ready.decide(start(&ready, 1)).is_ok());
    // The card is also not ready if the clock goes back after the code was sent.
    let sent = ready.switch_code_for(1).at(DAY_S - 1);
    assert_eq!(
        sent.refused(reserve(Activate)).code,
        ErrorCode::StandbyNotReady
    );
}

#[test]
fn switch_code_goes_to_phone_on_file() {
    let mut world = ready();
    let transition = world.done(start(&world, 1));
    let send = transition.otp_delivery.unwrap();
    assert_eq!((send.phone.e164(), send.purpose), (PHONE_ON_FILE, Activate));
    assert_eq!(send.card, world.rebind().new_card);
    assert_eq!(send.of, Purpose::Standby);
    assert_eq!(
        transition.event.unwrap().event.data()["purpose"],
        "activate"
    );
    assert_eq!(world.next_actions(), [NextAction::ActivateStandby]);

    let on_its_way = world.clone().later(MINUTE_S - 1);
    let repeated = on_its_way.decide(start(&on_its_way, 1)).unwrap();
    assert!(repeated.state.is_none() && repeated.otp_delivery.is_none());
    let dead = world.later(5 * MINUTE_S);
    assert_eq!(dead.refused(reserve(Activate)).code, ErrorCode::OtpExpired);
    assert!(dead.decide(start(&dead, 1)).unwrap().otp_delivery.is_some());
}

#[test]
fn switch_has_no_hold_but_a_cooldown() {
    let mut world = ready().pay("before").switch_code_for(1).later(60);
    let transition = world.confirm(Activate, true);
    let at = DAY_S + 60;
    assert_eq!(world.shown(), "activated");
    assert_eq!(
        (world.active(), world.status_of(0)),
        (Some(1), CardStatus::Retiring)
    );
    let times = &world.rebind().activated_card().unwrap().times;
    assert_eq!((times.activated_at, times.effective_at), (t(at), t(at)));
    assert_eq!(
        world.merchant.state.cooldown_until,
        Some(t(at + 30 * DAY_S))
    );
    assert!(world.merchant.state.standby.is_empty());
    // The switch belongs to the same rebind. Its old card is the one in use now, not at the request.
    assert_eq!(world.rebind().rebind_id.number(), 1);
    assert_eq!(world.rebind().purpose, Purpose::Standby);
    assert_eq!(
        world.rebind().old_card.as_ref().unwrap().card_id,
        world.card(0)
    );
    let world_after = world.clone().pay("after");
    assert_eq!(
        (world_after.paid_to("before"), world_after.paid_to("after")),
        (Some(0), Some(1))
    );
    // Both phones are notified, with a freeze code for 7 days.
    let [standby, code] = world.merchant.state.freeze_codes[..] else {
        panic!("{:?}", world.merchant.state.freeze_codes)
    };
    assert_eq!((code.rebind, code.activation), (Some(1), true));
    assert_eq!(code.good_until, Some(t(at + 7 * DAY_S)));
    assert_eq!(standby.good_until, code.good_until);
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::Activated);
    assert_eq!(event.notifications.len(), 2);
    // It completes one second later, so that the app sees `activated` once.
    assert_eq!(world.clone().later(1).shown(), "completed");
    assert_eq!(world.rebind().due_at(&POLICY), Some(t(at + 1)));
    assert_eq!(
        world.refused(Command::Complete).code,
        ErrorCode::StepOutOfOrder
    );
    assert!(world.later(1).decide(Command::Complete).is_ok());
}

#[test]
fn switch_never_counts_as_a_lost_card() {
    let request = create_with(|request| {
        request.purpose = Purpose::Standby;
        request.reason = Some(Reason::Lost);
    });
    let world = World::new().bound_by(request).at(DAY_S);
    let world = world.switched_to(1);
    let replaced = world.merchant.state.replaced(&world.card(0)).unwrap();
    assert_eq!(replaced.state, Replaced::Usable);
    assert_eq!(world.merchant.state.cooldown_until, Some(t(31 * DAY_S)));
    assert_eq!(world.merchant.state.lost_at, None);
    assert_eq!(world.clone().pay("next").paid_to("next"), Some(1));
    let world = world.test_sent().test_says(TransferAnswer::Returned);
    assert_eq!(world.active(), Some(0));
}

#[test]
fn switch_is_blocked_like_a_rebind() {
    let base = ready();
    let refused = |change: fn(&mut World)| {
        let mut world = base.clone();
        change(&mut world);
        // The checks run before the code is sent, before it is compared, and before it takes effect.
        let code = world.refused(start(&world, 1)).code;
        let mut sent = base.clone().switch_code_for(1);
        change(&mut sent);
        assert_eq!(sent.refused(reserve(Activate)).code, code);
        let mut reserved = base.clone().switch_code_for(1).then(reserve(Activate));
        change(&mut reserved);
        let right = settle(Activate, reserved.mac(Activate), true);
        assert_eq!(reserved.refused(right).code, code);
        code
    };
    assert_eq!(
        refused(|world| world.merchant.state.frozen = frozen(world.now)),
        ErrorCode::AccountFrozen
    );
    assert_eq!(
        refused(|world| world.now = world.now.plus_s(15 * MINUTE_S)),
        ErrorCode::StepUpRequired
    );
    assert_eq!(
        refused(|world| world.merchant.profile.entity_type = EntityType::Company),
        ErrorCode::EntityNeedsSupport
    );
    assert_eq!(
        refused(|world| world.merchant.state.security_changed_at = Some(t(1))),
        ErrorCode::QuietPeriod
    );
    assert_eq!(
        refused(|world| world.merchant.state.cooldown_until = Some(world.now.plus_s(1))),
        ErrorCode::RebindCooldown
    );
    assert_eq!(
        refused(|world| {
            world.merchant.profile.id_expires_on = DocumentExpiry::parse("2026-11-22").unwrap();
        }),
        ErrorCode::IdExpired
    );
}

#[test]
fn standby_does_not_bypass_the_hold() {
    // Adding a standby card and switching to it takes as long as the hold of an activation.
    for world in [
        World::new().standby("b"),
        World::new().bound_by_deposit(create_standby("b")),
    ] {
        let hold_s = match &world.rebind().stage {
            RebindState::Standby(standby) => {
                standby.usable_at.epoch_s() - standby.ready_at.epoch_s()
            }
            other => panic!("{other:?}"),
        };
        assert!(hold_s >= POLICY.hold_s);
        let early = world.at(hold_s - 1).login();
        assert_eq!(
            early.refused(start(&early, 1)).code,
            ErrorCode::StandbyNotReady
        );
    }
}

#[test]
fn standby_does_not_bypass_the_cooldown() {
    // A card that was added before an activation cannot be switched to after it, nor can one be added in the cooldown.
    let world = World::new().standby("b").bound_by(create_for("c"));
    let world = world.at(30 * DAY_S - 1).login().about(1);
    assert_eq!(
        world.refused(start(&world, 1)).code,
        ErrorCode::RebindCooldown
    );
    let refusal = world.clone().latest().refused(create_standby("d"));
    assert_eq!(refusal.code, ErrorCode::RebindCooldown);
    let over = world.at(30 * DAY_S).login();
    assert!(over.decide(start(&over, 1)).is_ok());
    // Two standby cards do not allow two switches.
    let world = World::new().standby("b").standby("c").at(DAY_S);
    let world = world.switched_to(1).about(2);
    assert_eq!(
        world.refused(start(&world, 2)).code,
        ErrorCode::RebindCooldown
    );
}

#[test]
fn standby_does_not_bypass_the_quiet_period() {
    let mut world = ready();
    world.merchant.state.security_changed_at = Some(world.now);
    assert_eq!(
        world.refused(create_standby("c")).code,
        ErrorCode::QuietPeriod
    );
    let almost = world.clone().later(DAY_S - 1).login();
    assert_eq!(
        almost.refused(start(&almost, 1)).code,
        ErrorCode::QuietPeriod
    );
    let over = world.later(DAY_S).login();
    assert!(over.decide(start(&over, 1)).is_ok());
}

#[test]
fn standby_does_not_bypass_a_freeze() {
    let world = ready().switch_code_for(1).freeze(1);
    assert_eq!(world.shown(), "frozen");
    assert_eq!(world.status_of(1), CardStatus::Removed);
    let world = world.unfreeze();
    // The standby card is gone, also after the freeze has ended.
    assert_eq!(world.refused(start(&world, 1)).code, ErrorCode::NotFound);
    assert_eq!(world.refused(reserve(Activate)).code, ErrorCode::NotFound);
}

#[test]
fn standby_proof_is_valid_for_90_days() {
    let world = World::new().standby("b");
    let good = world.clone().at(90 * DAY_S).login();
    assert!(good.decide(start(&good, 1)).is_ok());
    let stale = world.at(90 * DAY_S + 1).login();
    let refusal = stale.refused(start(&stale, 1));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(
        refusal.next_actions,
        [NextAction::UnbindCard, NextAction::NewRebind]
    );
    // The proof expired after the code was sent.
    let sent = good.switch_code_for(1).then(reserve(Activate)).later(1);
    let right = settle(Activate, sent.mac(Activate), true);
    assert_eq!(sent.refused(right).code, ErrorCode::StepUpRequired);
}

#[test]
fn only_standby_cards_can_be_activated() {
    let world = ready();
    let refusal = world.refused(start(&world, 0));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert_eq!(world.refused(start(&world, 7)).code, ErrorCode::NotFound);
    // A pending card is known, but not a standby card.
    let open = World::new().then(create_standby("b"));
    assert_eq!(
        open.refused(start(&open, 1)).code,
        ErrorCode::StepOutOfOrder
    );
    // An active card that was a standby card.
    let active = ready().switched_to(1).later(60);
    assert_eq!(
        active.refused(start(&active, 1)).code,
        ErrorCode::StepOutOfOrder
    );
    // The card that was replaced.
    assert_eq!(
        active.refused(start(&active, 0)).code,
        ErrorCode::StepOutOfOrder
    );
}

#[test]
fn last_wrong_code_locks_the_switch() {
    let mut world = ready().switch_code_for(1);
    for left in (1..POLICY.code_attempts).rev() {
        let refusal = world.wrong(Activate);
        assert_eq!(
            (refusal.code, refusal.attempts_left),
            (ErrorCode::OtpWrong, Some(left))
        );
        assert_eq!(refusal.next_actions, [NextAction::ActivateStandby]);
    }
    let last = world.confirm(Activate, false);
    let Outcome::Refused(refusal) = last.outcome else {
        panic!("{:?}", last.outcome)
    };
    assert_eq!(
        (refusal.code, refusal.attempts_left),
        (ErrorCode::OtpTooMany, Some(0))
    );
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    assert_eq!(world.shown(), "completed");
    assert_eq!(world.status_of(1), CardStatus::Standby);
    let event = last.event.unwrap();
    assert_eq!(event.kind(), EventKind::CodeWrong);
    assert_eq!(event.notifications[0].to(), Recipient::OnFile);

    let locked = world.clone().later(DAY_S - 1).login();
    assert_eq!(
        locked.refused(reserve(Activate)).code,
        ErrorCode::OtpTooMany
    );
    let refusal = locked.refused(start(&locked, 1));
    assert_eq!(
        (refusal.code, refusal.retry_after_s, refusal.attempts_left),
        (ErrorCode::OtpTooMany, Some(1), Some(0))
    );
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    let open = world.later(DAY_S).switch_code_for(1);
    assert_eq!(stage(&open).attempts, crate::rebind::Attempts::default());
    assert_eq!(open.confirmed(Activate).active(), Some(1));
}

#[test]
fn switch_attempts_add_up_over_codes() {
    let mut world = ready().switch_code_for(1);
    for _ in 2..POLICY.code_attempts {
        world.wrong(Activate);
    }
    let mut world = world.later(5 * MINUTE_S).switch_code_for(1);
    assert_eq!(world.wrong(Activate).attempts_left, Some(1));
    // All but one are wrong; the last attempt is reserved and unsettled.
    let reserved = world.then(reserve(Activate));
    assert_eq!(
        reserved.refused(reserve(Activate)).code,
        ErrorCode::VersionConflict
    );
    let dead = reserved.clone().later(5 * MINUTE_S);
    assert_eq!(dead.refused(start(&dead, 1)).code, ErrorCode::OtpTooMany);
    // It counts as wrong once no request can still settle it.
    let mut later = reserved.clone().later(10);
    assert_eq!(
        later.refused_with_write(reserve(Activate)).code,
        ErrorCode::OtpTooMany
    );
    // A correct code wins on any attempt.
    let right = settle(Activate, reserved.mac(Activate), true);
    assert_eq!(reserved.then(right).active(), Some(1));
}

#[test]
fn switch_code_is_bound_to_its_session() {
    let world = ready().switch_code_for(1);
    let other = world.clone().by(1).refused(reserve(Activate));
    assert_eq!(other.code, ErrorCode::StepUpRequired);
    assert_eq!(other.next_actions, [NextAction::ActivateStandby]);
    let old = world.mac(Activate);
    let world = world.then(reserve(Activate)).later(5 * MINUTE_S).login();
    let world = world
        .clone()
        .then(Command::StartActivation(world.card(1), code("switch-2")));
    let late = world.refused(settle(Activate, old, true));
    assert_eq!(late.code, ErrorCode::OtpExpired);
}

#[test]
fn undelivered_switch_code_is_replaced_after_1_min() {
    let world = ready().switch_code_for(1).then(reserve(Activate));
    let again = || Command::StartActivation(world.card(1), code("switch-2"));
    let repeated = world.clone().later(MINUTE_S - 1).decide(again()).unwrap();
    assert!(repeated.state.is_none() && repeated.otp_delivery.is_none());
    let world = world.clone().later(MINUTE_S).then(again());
    assert_ne!(
        world.mac(Activate),
        ready().switch_code_for(1).mac(Activate)
    );
    // The reserved attempt stays reserved.
    assert_eq!(stage(&world).attempts.reserved, 1);
}

#[test]
fn unsent_switch_code_is_dropped() {
    let mut world = ready().switch_code_for(1);
    let mac = world.mac(Activate);
    let forgotten = world.done(Command::OtpNotSent(Activate, mac));
    assert!(forgotten.state.is_none() && forgotten.event.is_none());
    assert_eq!(
        world.refused(reserve(Activate)).code,
        ErrorCode::StepOutOfOrder
    );
    assert!(
        world
            .decide(start(&world, 1))
            .unwrap()
            .otp_delivery
            .is_some()
    );
}

#[test]
fn unbound_card_is_not_switched_to() {
    let reserved = ready().switch_code_for(1).then(reserve(Activate));
    let right = settle(Activate, reserved.mac(Activate), true);
    let card = reserved.card(1);
    let gone = reserved.then(Command::Unbind(card));
    assert_eq!(gone.refused(right).code, ErrorCode::NotFound);
    assert_eq!(gone.active(), Some(0));
}

#[test]
fn returned_test_transfer_reverts_a_switch() {
    let world = ready().switched_to(1).test_sent();
    let world = world
        .later(7 * DAY_S - 1)
        .test_says(TransferAnswer::Returned);
    assert_eq!((world.active(), world.shown()), (Some(0), "reverted"));
    assert_eq!(world.status_of(1), CardStatus::Removed);
    assert_eq!(world.merchant.state.cooldown_until, None);
}

#[test]
fn switch_to_first_card_releases_held_payouts() {
    let mut world = World::new();
    world.merchant.state.active = None;
    let world = world.pay("held").standby("b").at(DAY_S).switched_to(1);
    assert_eq!(world.paid_to("held"), None);
    assert_eq!(world.merchant.state.due_at(world.now), Some(t(DAY_S)));
    let world = world.system_with("held", Command::AssignPayout);
    assert_eq!((world.paid_to("held"), world.unsent(1)), (Some(1), 1));
}

#[test]
fn open_rebind_blocks_a_switch() {
    let world = ready().then(create_for("c")).about(1);
    assert_eq!(world.merchant.state.open, Some(2));
    assert_eq!(
        world.refused(start(&world, 1)).code,
        ErrorCode::RequestInProgress
    );
}

// In any order of commands, two activations are at least a cooldown apart.
#[test]
fn open_rebind_is_blocked_by_switch_cooldown() {
    let world = ready().matched_for(create_for("c"));
    let mut world = world.about(1).login();
    for act in [start(&world, 1), reserve(Activate)] {
        if let Ok(transition) = world.decide(act) {
            world.apply(transition);
        }
    }
    if let Some((code, _)) = crate::decide::otp_of(world.stage(), Activate) {
        let right = settle(Activate, code.mac.clone(), true);
        if let Ok(transition) = world.decide(right) {
            world.apply(transition);
        }
    }
    let mut world = world.about(2);
    for act in [reserve(Card), settle(Card, world.mac(Card), true)] {
        if let Ok(transition) = world.decide(act) {
            world.apply(transition);
        }
    }
    let activations = world.history.iter();
    let activations = activations.filter(|event| event.kind() == EventKind::Activated);
    assert_eq!(activations.count(), 1);
}

#[test]
fn other_session_gets_its_own_code() {
    let world = ready().switch_code_for(1).later(60).by(1);
    let refusal = world.refused(reserve(Activate));
    assert_eq!(refusal.next_actions, [NextAction::ActivateStandby]);
    let mut world = world;
    let transition = world.done(start(&world, 1));
    assert!(transition.otp_delivery.is_some());
    assert!(world.decide(reserve(Activate)).is_ok());
    // The first session's code is then invalid.
    assert_eq!(
        world.by(0).refused(reserve(Activate)).code,
        ErrorCode::StepUpRequired
    );
}
