//! Settlement settings and push targets: permissions and notifications.

use super::fixture::*;
use crate::decide::Command;
use crate::device::DeviceTag;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::merchant::PushTarget;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::settlement::SettlementChange;
use crate::transition::NewEvent;

fn bad() -> Command {
    Command::ChangeSettlement(SettlementChange::read(
        Some("T2"),
        Some("25:00"),
        Some(-1),
        Some(0),
        Some(61),
    ))
}

#[test]
fn settings_change_notifies_phone_on_file() {
    let mut world = World::new().at(60);
    let before = world.merchant.clone();
    let transition = world.done(settlement("D1", 3_000_000));
    assert_eq!(world.merchant.state.version, before.state.version + 1);
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::SettlementChanged);
    let notified: Vec<_> = event
        .notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(notified, [Recipient::OnFile]);
    // Repeating it changes nothing and notifies nobody.
    let again = world.decide(settlement("D1", 3_000_000)).unwrap();
    assert!(again.state.is_none() && again.event.is_none());
}

#[test]
fn settings_check_in_contract_order() {
    let mut world = World::new().at(15 * MINUTE_S);
    world.merchant.state.frozen = frozen(t(0));
    world.merchant.state.security_changed_at = Some(t(0));
    assert_eq!(world.refused(bad()).code, ErrorCode::AccountFrozen);
    world.merchant.state.frozen = None;
    assert_eq!(world.refused(bad()).code, ErrorCode::StepUpRequired);
    world = world.login();
    let refusal = world.refused(bad());
    assert_eq!(bad_fields(&refusal).len(), 5);
    assert_eq!(
        world.refused(settlement("D1", 1_000)).code,
        ErrorCode::QuietPeriod
    );
    let almost = world.clone().at(DAY_S - 1).login();
    let refusal = almost.refused(settlement("D1", 1_000));
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::QuietPeriod, Some(1))
    );
    let over = world.at(DAY_S).login();
    assert!(over.decide(settlement("D1", 1_000)).is_ok());
}

#[test]
fn settings_ignore_cooldown_and_rebinds() {
    let in_cooldown = World::new().activated().at(DAY_S).login();
    for world in [World::new().created(), in_cooldown] {
        let mut world = world;
        world.done(settlement("D1", 3_000_000));
        assert!(world.merchant.rebind.is_some());
    }
}

#[test]
fn t0_needs_an_account_of_90_days() {
    let opened = |age_s: i64| {
        let mut world = World::new();
        world.merchant.profile.opened_at = t(-age_s);
        world
    };
    let young = opened(90 * DAY_S - 1);
    let refusal = young.refused(settlement("T0", 1_000));
    assert_eq!(refusal.code, ErrorCode::T0NotAllowed);
    assert_eq!(bad_fields(&refusal), [("cycle", ErrorCode::T0NotAllowed)]);
    assert!(young.decide(settlement("D1", 1_000)).is_ok());
    assert!(opened(90 * DAY_S).decide(settlement("T0", 1_000)).is_ok());
}

#[test]
fn daily_limit_is_capped_by_the_tier() {
    let world = World::new();
    assert!(world.decide(settlement("T1", 5_000_000)).is_ok());
    let refusal = world.refused(settlement("T1", 5_000_001));
    assert_eq!(refusal.code, ErrorCode::LimitAboveTier);
    assert_eq!(
        bad_fields(&refusal),
        [("daily_limit_fen", ErrorCode::LimitAboveTier)]
    );
}

#[test]
fn removed_device_is_notified_for_7_days() {
    let is_notified = |world: &World| world.merchant.state.receives_pushes(&POLICY, world.now);
    let world = World::new();
    assert!(!is_notified(&world));
    let mut world = world.at(60);
    let transition = world.done(push("phone-1", "token"));
    assert!(is_notified(&world));
    let change = transition.push.unwrap();
    assert_eq!(change.removed, None);
    assert_eq!(change.added.unwrap().target.id, "phone-1");
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::PushTargetChanged);
    assert_eq!(event.event.data()["platform"], "apns");
    // The event does not contain the token.
    assert_eq!(event.event.data().get("token"), None);
    // The phone on file and the new device learn of it.
    let to = |event: &NewEvent| -> Vec<Recipient> {
        event.notifications.iter().map(|one| one.to()).collect()
    };
    assert_eq!(to(&event), [Recipient::OnFile, Recipient::Push]);
    let settings = world.clone().then(settlement("D1", 1_000));
    let notifications = &settings.history.last().unwrap().notifications;
    assert_eq!(notifications[1].to(), Recipient::Push);
    assert_eq!(notifications[1].phone(&world.merchant.profile), None);

    let transition = world.done(Command::RemovePushTarget("phone-1".to_owned()));
    let change = transition.push.unwrap();
    assert_eq!(change.removed.unwrap().id, "phone-1");
    assert_eq!(change.added, None);
    assert!(world.merchant.state.push_targets.is_empty());
    assert!(is_notified(&world.clone().at(60 + 7 * DAY_S - 1)));
    assert!(!is_notified(&world.at(60 + 7 * DAY_S)));
}

#[test]
fn device_removal_needs_fresh_login() {
    let remove = || Command::RemovePushTarget("phone-1".to_owned());
    let world = World::new().then(push("phone-1", "token"));
    assert_eq!(
        world
            .refused(Command::RemovePushTarget("other".to_owned()))
            .code,
        ErrorCode::NotFound
    );
    let late = world.clone().at(15 * MINUTE_S);
    assert_eq!(late.refused(remove()).code, ErrorCode::StepUpRequired);
    assert!(world.clone().at(15 * MINUTE_S - 1).decide(remove()).is_ok());
    let mut frozen_world = world.clone();
    frozen_world.merchant.state.frozen = frozen(t(0));
    assert_eq!(
        frozen_world.refused(remove()).code,
        ErrorCode::AccountFrozen
    );
    assert_eq!(
        frozen_world.refused(push("phone-2", "token")).code,
        ErrorCode::AccountFrozen
    );
    assert_eq!(
        late.refused(push("phone-2", "token")).code,
        ErrorCode::StepUpRequired
    );
    // A second removal finds no device.
    assert_eq!(
        world.then(remove()).refused(remove()).code,
        ErrorCode::NotFound
    );
}

#[test]
fn replaced_device_is_notified_for_7_days() {
    let world = World::new().then(push("phone-1", "token"));
    let same = world.decide(push("phone-1", "token")).unwrap();
    assert!(same.state.is_none() && same.push.is_none());
    let mut world = world.at(60);
    let transition = world.done(push("phone-1", "other"));
    let change = transition.push.unwrap();
    assert_eq!(
        change.removed,
        Some(PushTarget {
            id: "phone-1".to_owned(),
            token_tag: "token".to_owned(),
            device: DeviceTag("device1".to_owned()),
            registered_at: t(0),
        })
    );
    let added = change.added.unwrap().target;
    assert_eq!(
        (added.token_tag.as_str(), added.registered_at),
        ("other", t(0))
    );
    assert_eq!(world.merchant.state.push_targets.len(), 1);
    assert_eq!(world.merchant.state.push_removed_at, Some(t(60)));
}

#[test]
fn device_replacement_needs_fresh_login() {
    let world = World::new()
        .then(push("phone-1", "token"))
        .at(15 * MINUTE_S);
    let other = world.clone().by(1);
    assert_eq!(
        other.refused(push("phone-1", "other")).code,
        ErrorCode::StepUpRequired
    );
    let mut other = other.login();
    let transition = other.done(push("phone-1", "other"));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::PushTargetChanged);
    let target = &other.merchant.state.push_targets[0];
    assert_eq!(target.device, DeviceTag("device2".to_owned()));
    assert_eq!(target.registered_at, t(15 * MINUTE_S));
}

#[test]
fn own_device_refreshes_its_token_in_silence() {
    let mut world = World::new().then(push("phone-1", "token")).at(10 * HOUR_S);
    let before = world.merchant.state.clone();
    let transition = world.done(push("phone-1", "other"));
    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::PushTargetRefreshed);
    assert!(event.notifications.is_empty());
    let state = &world.merchant.state;
    assert_eq!(state.setting_changes, before.setting_changes);
    assert_eq!(state.notice_sms, before.notice_sms);
    let [before] = &before.push_targets[..] else {
        panic!("one target")
    };
    assert_eq!(state.push_targets[0].registered_at, before.registered_at);
    // The old token is still pushed for some days.
    assert_eq!(transition.push.unwrap().removed.as_ref(), Some(before));
    assert_eq!(state.push_removed_at, Some(t(10 * HOUR_S)));
}

#[test]
fn refresh_beyond_the_day_is_a_replacement() {
    let mut world = World::new().then(push("phone-1", "token"));
    for n in 0..POLICY.push_refreshes_per_day {
        world = world.later(60).then(push("phone-1", &format!("token-{n}")));
    }
    let late = world.clone().at(15 * MINUTE_S);
    let refusal = late.refused(push("phone-1", "another"));
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    let mut fresh = late.clone().login();
    let event = fresh.done(push("phone-1", "another")).event.unwrap();
    assert_eq!(event.kind(), EventKind::PushTargetChanged);
    assert!(!event.notifications.is_empty());
    assert_eq!(fresh.merchant.state.setting_changes.times().count(), 2);
    // A day after the first refresh there is one more.
    let mut later = late.at(DAY_S + 60);
    let event = later.done(push("phone-1", "another")).event.unwrap();
    assert_eq!(event.kind(), EventKind::PushTargetRefreshed);
    let refreshes = later.merchant.state.push_refreshes.times().count();
    assert_eq!(refreshes, POLICY.push_refreshes_per_day);
}

#[test]
fn device_registrations_per_day_are_limited() {
    let mut world = World::new();
    for n in 0..POLICY.setting_changes_per_day {
        // A refresh by the same device would not count.
        let slot = u8::from(n % 2 == 1);
        world = world
            .later(60)
            .login()
            .by(slot)
            .then(push("phone", &format!("token-{n}")));
    }
    let world = world.at(DAY_S + 59).login().by(0);
    let refusal = world.refused(push("phone", "another"));
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::DailyRequestLimit, Some(1))
    );
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    // Repeating a registration is not a change, and removals never count.
    let last = format!("token-{}", POLICY.setting_changes_per_day - 1);
    assert!(world.decide(push("phone", &last)).is_ok());
    assert!(
        world
            .decide(Command::RemovePushTarget("phone".to_owned()))
            .is_ok()
    );
    assert!(world.later(1).decide(push("phone", "another")).is_ok());
}

#[test]
fn push_devices_are_limited() {
    let mut world = World::new();
    for n in 1..=POLICY.push_targets_max {
        world = world.then(push(&format!("phone-{n}"), "token"));
    }
    let refusal = world.refused(push("another", "token"));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    assert!(!refusal.next_actions.contains(&NextAction::Cancel));
    assert!(world.decide(push("phone-1", "other")).is_ok());
    let world = world.then(Command::RemovePushTarget("phone-1".to_owned()));
    assert!(world.decide(push("another", "token")).is_ok());
}

#[test]
fn sixth_notice_of_a_day_is_push_only() {
    let mut world = World::new().then(push("phone", "token"));
    // Announces the freeze code of all further changes. It is sent in any case and does not count.
    world.done(settlement("D1", 1_000));
    for n in 1..=POLICY.notice_sms_per_day + 1 {
        let change = settlement("D1", 1_000 + i64::try_from(n).unwrap());
        let event = world.done(change).event.unwrap();
        let sent = event.notifications.iter();
        let sms = sent.filter(|one| one.to() == Recipient::OnFile).count();
        // The new device was the first notice.
        assert_eq!(sms, usize::from(n < POLICY.notice_sms_per_day), "{n}");
        assert!(
            event
                .notifications
                .iter()
                .any(|one| one.to() == Recipient::Push)
        );
    }
    // A new freeze code is sent in any case.
    let mut world = world.at(DAY_S).login();
    let event = world.done(settlement("D1", 2_000)).event.unwrap();
    let first = event.notifications.first().unwrap();
    assert_eq!(first.to(), Recipient::OnFile);
}

#[test]
fn removed_device_still_learns_of_a_change() {
    let world = World::new().then(push("phone-1", "token"));
    let world = world.then(Command::RemovePushTarget("phone-1".to_owned()));
    let world = world.activated();
    let notifications = &world.history.last().unwrap().notifications;
    let notified: Vec<_> = notifications
        .iter()
        .map(|notification| notification.to())
        .collect();
    assert_eq!(
        notified,
        [Recipient::OnFile, Recipient::Reserved, Recipient::Push]
    );
}
