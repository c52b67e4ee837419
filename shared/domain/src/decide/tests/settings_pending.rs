//! Settlement settings take effect a day after they were accepted. Until then they can be withdrawn, and a freeze or an
//! activation drops them.

use super::contact;
use super::fixture::*;
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::merchant::{FreezeCode, PendingSettlement, Settlement};
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::settlement::{Cycle, SettlementChange};

/// The settings from onboarding, as typed.
fn unchanged(world: &World) -> Command {
    Command::ChangeSettlement(SettlementChange::from(&world.merchant.state.settlement))
}

fn in_force(world: &World) -> &Settlement {
    world.merchant.settlement(&POLICY, world.now)
}

fn limit_fen(world: &World) -> u64 {
    in_force(world).daily_limit_fen
}

fn pending(world: &World) -> Option<&PendingSettlement> {
    world.merchant.pending_settlement(world.now)
}

/// The valid freeze codes that belong to no rebind.
fn codes(world: &World) -> Vec<FreezeCode> {
    let codes = world.merchant.state.freeze_codes.iter();
    let codes = codes.filter(|code| code.rebind.is_none() && code.works_at(world.now));
    codes.copied().collect()
}

#[test]
fn settings_take_effect_after_a_day() {
    let mut world = World::new().at(60);
    let before = world.merchant.state.settlement.clone();
    let event = world.done(settlement("D1", 3_000_000)).event.unwrap();
    assert_eq!(event.kind(), EventKind::SettlementChanged);
    assert_eq!(event.event.data()["before"]["cycle"], "T1");
    assert_eq!(event.event.data()["after"]["cycle"], "D1");
    assert_eq!(*in_force(&world), before);
    assert_eq!(pending(&world).unwrap().effective_at, t(60 + DAY_S));
    assert_eq!(world.merchant.state.due_at(world.now), Some(t(60 + DAY_S)));

    let early = world.clone().at(60 + DAY_S - 1);
    assert_eq!(*in_force(&early), before);
    assert_eq!(
        early.refused(Command::ApplySettlement).code,
        ErrorCode::StepOutOfOrder
    );
    // Readers do not wait for the clean-up.
    let mut world = world.at(60 + DAY_S);
    let settings = in_force(&world).clone();
    assert_eq!(
        (settings.cycle, settings.daily_limit_fen),
        (Cycle::D1, 3_000_000)
    );
    assert_eq!(pending(&world), None);
    world.by = None;
    let event = world.done(Command::ApplySettlement).event.unwrap();
    assert_eq!(event.kind(), EventKind::SettlementApplied);
    assert!(event.notifications.is_empty());
    assert_eq!(world.merchant.state.settlement, settings);
    assert_eq!(world.merchant.state.pending_settlement, None);
    assert_eq!(world.merchant.state.due_at(world.now), None);
    assert_eq!(
        world.refused(Command::ApplySettlement).code,
        ErrorCode::StepOutOfOrder
    );
}

#[test]
fn another_change_restarts_the_day() {
    let world = World::new().then(settlement("D1", 3_000_000));
    let mut world = world.at(HOUR_S).login();
    // A repeat is no other change.
    let repeat = world.decide(settlement("D1", 3_000_000)).unwrap();
    assert!(repeat.is_empty());
    world.done(settlement("D1", 4_000_000));
    let world = world.at(DAY_S);
    assert_eq!(in_force(&world).cycle, Cycle::T1);
    let world = world.at(HOUR_S + DAY_S);
    assert_eq!(limit_fen(&world), 4_000_000);
    // The next change begins with the settings in force, even before the clean-up has run.
    let mut world = world.login();
    let event = world.done(settlement("D1", 5_000_000)).event.unwrap();
    assert_eq!(event.event.data()["before"]["daily_limit_fen"], 4_000_000);
    assert_eq!(limit_fen(&world), 4_000_000);
}

#[test]
fn settings_in_force_withdraw_pending_ones_always() {
    let mut world = World::new();
    for n in 1..=POLICY.setting_changes_per_day {
        let limit = 1_000 + i64::try_from(n).unwrap();
        world = world.then(settlement("D1", limit));
    }
    assert_eq!(
        world.refused(settlement("D1", 1_000)).code,
        ErrorCode::DailyRequestLimit
    );
    // A lower tier forbids even the settings in force, but not the withdrawal.
    world.merchant.profile.daily_limit_max_fen = 1;
    world.merchant.state.security_changed_at = Some(world.now);
    let withdraw = unchanged(&world);
    let event = world.done(withdraw).event.unwrap();
    assert_eq!(event.kind(), EventKind::SettlementDropped);
    assert_eq!(event.event.data()["withdrawn"], true);
    assert_eq!(pending(&world), None);
    assert_eq!(in_force(&world.clone().later(DAY_S)).cycle, Cycle::T1);
    // Without pending settings it is a change like any other.
    assert_eq!(
        world.refused(unchanged(&world)).code,
        ErrorCode::LimitAboveTier
    );
    world.merchant.profile.daily_limit_max_fen = 5_000_000;
    assert_eq!(
        world.refused(unchanged(&world)).code,
        ErrorCode::QuietPeriod
    );
    world.merchant.state.security_changed_at = None;
    assert!(world.decide(unchanged(&world)).unwrap().is_empty());
}

#[test]
fn settings_are_refused_during_a_hold() {
    let world = World::new().activated().at(HOUR_S).login();
    let refusal = world.refused(settlement("D1", 3_000_000));
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::HoldRunning, Some(DAY_S - HOUR_S))
    );
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    // Fields and quiet period come first.
    let bad = settlement("T1", 5_000_001);
    assert_eq!(world.refused(bad).code, ErrorCode::LimitAboveTier);
    let mut quiet = world.clone();
    quiet.merchant.state.security_changed_at = Some(quiet.now);
    assert_eq!(
        quiet.refused(settlement("D1", 3_000_000)).code,
        ErrorCode::QuietPeriod
    );
    let over = world.at(DAY_S).login();
    assert!(over.decide(settlement("D1", 3_000_000)).is_ok());
}

#[test]
fn hold_that_waits_refuses_settings_too() {
    let world = World::new().unnotified().activated();
    let world = world.at(3 * DAY_S).login();
    let refusal = world.refused(settlement("D1", 3_000_000));
    assert_eq!(refusal.code, ErrorCode::HoldRunning);
    assert_eq!(refusal.retry_after_s, Some(POLICY.notified_hold_s));
}

#[test]
fn freeze_activation_and_contact_change_drop_settings() {
    let world = || World::new().then(settlement("D1", 3_000_000));
    let by_code = |mut world: World| {
        let [code] = codes(&world)[..] else {
            panic!("one code")
        };
        world.by = None;
        world.then(Command::Freeze(code.seq))
    };
    let ended: [(&str, World); 4] = [
        ("freeze", by_code(world())),
        (
            "operator's freeze",
            world().system(Command::FreezeByOperator {
                reason: "the merchant called".to_owned(),
            }),
        ),
        ("activation", world().activated()),
        ("contact", world().system(contact::password())),
    ];
    for (name, world) in ended {
        assert_eq!(world.merchant.state.pending_settlement, None, "{name}");
        assert_eq!(in_force(&world.later(DAY_S)).cycle, Cycle::T1, "{name}");
    }
    // Settings in force stay, whether the clean-up has run or not.
    let world = by_code(world().at(DAY_S));
    assert_eq!(world.merchant.state.settlement.cycle, Cycle::D1);
}

#[test]
fn limits_are_checked_again_when_settings_take_effect() {
    let mut world = World::new().then(settlement("D1", 3_000_000));
    world.merchant.profile.daily_limit_max_fen = 2_999_999;
    let mut world = world.at(DAY_S);
    assert_eq!(in_force(&world).cycle, Cycle::T1);
    world.by = None;
    let event = world.done(Command::ApplySettlement).event.unwrap();
    assert_eq!(event.kind(), EventKind::SettlementDropped);
    assert_eq!(event.event.data()["withdrawn"], false);
    assert_eq!(event.event.data()["settings"]["cycle"], "D1");
    assert_eq!(event.notifications[0].to(), Recipient::OnFile);
    assert_eq!(world.merchant.state.settlement.cycle, Cycle::T1);
    assert_eq!(world.merchant.state.pending_settlement, None);
}

#[test]
fn freeze_code_of_settings_works_7_days_beyond_their_effect() {
    let mut world = World::new();
    let seq = world.merchant.state.last_seq + 1;
    let event = world.done(settlement("D1", 3_000_000)).event.unwrap();
    assert_eq!(event.event.data()["freeze_code_seq"], seq);
    let until = DAY_S + POLICY.freeze_after_effective_s;
    assert_eq!(codes(&world).len(), 1);
    let frozen = |world: World| world.system(Command::Freeze(seq)).merchant.state.frozen;
    assert!(frozen(world.clone().at(until - 1)).is_some());
    let mut late = world.at(until);
    late.by = None;
    assert_eq!(late.refused(Command::Freeze(seq)).code, ErrorCode::NotFound);
}

#[test]
fn changes_of_a_day_share_one_freeze_code() {
    let mut world = World::new();
    let seq = world.merchant.state.last_seq + 1;
    for n in 0..5 {
        world = world.at(n * HOUR_S).login();
        let event = world.done(settlement("D1", 1_000 + n)).event.unwrap();
        assert_eq!(event.event.data()["freeze_code_seq"], seq);
        // A withdrawal in between does not matter.
        let withdraw = unchanged(&world);
        world.done(withdraw);
        world.done(settlement("D1", 2_000 + n));
    }
    let until = t(4 * HOUR_S + DAY_S + POLICY.freeze_after_effective_s);
    let [code] = codes(&world)[..] else {
        panic!("one code")
    };
    assert_eq!((code.seq, code.good_until), (seq, Some(until)));
    // Settings after the effect have a code of their own, and so has a change of contact.
    let world = world.later(DAY_S).login().then(settlement("D1", 9_000));
    assert_eq!(codes(&world).len(), 2);
    let world = world.system(contact::password());
    assert_eq!(codes(&world).len(), 3);
}
