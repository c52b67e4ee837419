//! Wrong codes and created rebinds per day: the limits, the notification of the owner, and the devices that count together.

use super::fixture::*;
use crate::decide::{Command, blocked_by};
use crate::device::SessionDevice;
use crate::device_counts::DeviceCounts;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::transition::Outcome;

/// The most wrong codes that do not end a rebind.
const PER_REBIND: usize = POLICY.code_attempts as usize - 1;

const NOTIFIED_AT: usize = POLICY.wrong_codes_notified_from;

/// Cancels the open rebind and requests another one a minute later.
fn again(world: World) -> World {
    let world = world.then(Command::Cancel).later(60);
    world.login().identity_sent()
}

/// Wrong identity codes over several rebinds. The last rebind is open, with a code that was just sent.
fn guessed(world: World, codes: usize) -> World {
    let mut world = world.login().identity_sent();
    for code in 1..=codes {
        assert_eq!(world.wrong(Identity).code, ErrorCode::OtpWrong);
        if code % PER_REBIND == 0 {
            world = again(world);
        }
    }
    world
}

/// The world with the device of a session first seen this long ago.
fn seen_ago(mut world: World, slot: usize, ago_s: i64) -> World {
    let session = world.merchant.state.sessions[slot].as_mut().unwrap();
    session.device.first_seen = world.now.plus_s(-ago_s);
    world
}

fn day_of_guesses() -> World {
    guessed(World::new(), POLICY.wrong_codes_per_day)
}

#[test]
fn no_code_is_tried_after_the_tenth_wrong_one() {
    let world = day_of_guesses();
    // The code is not compared, so the answer to a right one is the same.
    let refusal = world.refused(reserve(Identity));
    assert_eq!(refusal.code, ErrorCode::OtpTryLimit);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.retry_after_s, Some(DAY_S - 120));
    assert_eq!(
        refusal.next_actions,
        [NextAction::Wait, NextAction::ContactSupport]
    );
    assert_eq!(world.shown(), "identity_pending");
    assert_eq!(world.attempts(Identity), (2, 2));
}

#[test]
fn code_is_tried_again_when_the_day_is_over() {
    let world = day_of_guesses();
    let late = |world: &World, at_s| world.clone().at(at_s).login().then(resend(Identity));
    let refusal = late(&world, DAY_S - 1).refused(reserve(Identity));
    assert_eq!(refusal.code, ErrorCode::OtpTryLimit);
    assert_eq!(refusal.retry_after_s, Some(1));
    let world = late(&world, DAY_S).confirmed(Identity);
    assert_eq!(world.shown(), "agreement_pending");
}

#[test]
fn wrong_codes_of_all_purposes_add_up() {
    let mut world = World::new().standby("standby").at(2 * DAY_S).login();
    world = world.switch_code_for(1);
    for _ in 0..PER_REBIND {
        world.wrong(Activate);
    }
    world = world.matched_for(create_for("second"));
    for _ in 0..PER_REBIND {
        world.wrong(Card);
    }
    world = world.then(Command::Cancel);
    world = world.deposit_arrived_for(create_for("third"));
    for left in [2, 1] {
        let Outcome::Refused(refusal) = world.confirm_deposit(false).outcome else {
            panic!("a wrong code");
        };
        assert_eq!(refusal.code, ErrorCode::MicroDepositWrong);
        assert_eq!(refusal.attempts_left, Some(left));
    }
    assert_eq!(world.refused(reserve(Card)).code, ErrorCode::OtpTryLimit);
    // The bank is not asked about the deposit either.
    let unpolled = Command::ReserveAttempt {
        purpose: Card,
        well_formed: true,
        deposit_polled: false,
    };
    assert_eq!(world.refused(unpolled).code, ErrorCode::OtpTryLimit);
    let world = world.then(Command::Cancel).switch_code_for(1);
    assert_eq!(
        world.refused(reserve(Activate)).code,
        ErrorCode::OtpTryLimit
    );
}

#[test]
fn limit_is_checked_last() {
    let world = day_of_guesses();
    let malformed = Command::ReserveAttempt {
        purpose: Identity,
        well_formed: false,
        deposit_polled: false,
    };
    assert_eq!(world.refused(malformed).code, ErrorCode::OtpWrong);
    let expired = world.clone().later(POLICY.code_life_s);
    assert_eq!(
        expired.refused(reserve(Identity)).code,
        ErrorCode::OtpExpired
    );
    let elsewhere = world.by(1);
    assert_eq!(
        elsewhere.refused(reserve(Identity)).code,
        ErrorCode::StepUpRequired
    );
}

#[test]
fn owner_is_notified_once_at_the_fifth_wrong_code() {
    let mut world = World::new().login().identity_sent();
    let mut events = Vec::new();
    for code in 1..=POLICY.wrong_codes_per_day {
        let wrong = world.confirm(Identity, false);
        events.extend(wrong.event.map(|event| (code, event)));
        if code % PER_REBIND == 0 {
            world = again(world);
        }
    }
    let [(NOTIFIED_AT, event)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(event.kind(), EventKind::CodeGuessed);
    let notified = event.notifications.iter();
    let notified: Vec<_> = notified.map(|notification| notification.to()).collect();
    assert_eq!(notified, [Recipient::OnFile]);
    // Another day's wrong codes notify again.
    let next = guessed(world.then(Command::Cancel).at(2 * DAY_S), 5);
    let kinds = next.history.iter().map(|event| event.kind());
    assert_eq!(
        kinds.filter(|kind| *kind == EventKind::CodeGuessed).count(),
        2
    );
}

#[test]
fn end_of_the_rebind_is_the_only_notification() {
    let mut world = World::new().identity_sent();
    for _ in 0..PER_REBIND {
        assert_eq!(world.confirm(Identity, false).event, None);
    }
    let last = world.confirm(Identity, false).event.unwrap();
    assert_eq!(last.kind(), EventKind::Rejected);
    // The code that ended the rebind counts, so the fifth one is over.
    let mut world = guessed(world, 0);
    for _ in 0..PER_REBIND {
        assert_eq!(world.confirm(Identity, false).event, None);
    }
    let mut world = again(world);
    world.wrong(Identity);
    assert_eq!(
        world.refused(reserve(Identity)).code,
        ErrorCode::OtpTryLimit
    );
}

#[test]
fn lock_of_a_switch_counts_its_code() {
    let mut world = World::new().standby("standby").at(2 * DAY_S);
    world = world.switch_code_for(1);
    for _ in 0..POLICY.code_attempts {
        world.wrong(Activate);
    }
    let mut world = guessed(world.later(60), PER_REBIND);
    world.wrong(Identity);
    assert_eq!(
        world.refused(reserve(Identity)).code,
        ErrorCode::OtpTryLimit
    );
}

#[test]
fn crashed_attempts_count_for_their_rebind_only() {
    let mut world = World::new().identity_sent();
    for _ in 0..POLICY.code_attempts {
        world = world.then(reserve(Identity));
    }
    let mut world = world.later(POLICY.code_deciding_s);
    let ended = world.refused_with_write(reserve(Identity));
    assert_eq!(ended.code, ErrorCode::OtpTooMany);
    let mut counts = world.merchant.state.device_counts.all();
    assert!(counts.all(|counts| counts.wrong_codes.is_empty()));
}

#[test]
fn stranger_does_not_use_up_the_owners_codes() {
    let world = seen_ago(World::new(), 1, DAY_S).by(1);
    let strange = guessed(world, POLICY.wrong_codes_per_day);
    assert_eq!(
        strange.refused(reserve(Identity)).code,
        ErrorCode::OtpTryLimit
    );
    let owner = again(strange.by(0)).confirmed(Identity);
    assert_eq!(owner.shown(), "agreement_pending");
}

#[test]
fn young_devices_count_together() {
    let world = seen_ago(seen_ago(World::new(), 0, DAY_S), 1, 2 * DAY_S);
    let world = guessed(world, POLICY.wrong_codes_per_day - 1).by(1);
    let mut world = again(world);
    world.wrong(Identity);
    for slot in [0, 1] {
        let world = world.clone().by(slot).then(resend(Identity));
        assert_eq!(
            world.refused(reserve(Identity)).code,
            ErrorCode::OtpTryLimit
        );
    }
    // From its seventh day on, a device counts on its own.
    let older = seen_ago(world, 1, POLICY.device_young_s);
    assert!(
        older
            .then(resend(Identity))
            .decide(reserve(Identity))
            .is_ok()
    );
}

/// Counts a wrong code of a device.
fn count(counts: &mut DeviceCounts, device: &SessionDevice, at_s: i64) {
    let counts = counts.of_mut(device, &POLICY, t(at_s));
    counts.wrong_codes.add(DAY_S, t(at_s));
}

#[test]
fn third_older_device_counts_with_the_young_ones() {
    let [first, second, third] = ["a", "b", "c"].map(|tag| device(tag, -90 * DAY_S));
    let young = device("d", 0);
    let mut counts = DeviceCounts::default();
    for (at_s, device) in [
        (0, &first),
        (1, &second),
        (2, &third),
        (3, &first),
        (4, &young),
    ] {
        count(&mut counts, device, at_s);
    }
    let wrong = |counts: &DeviceCounts, device, at_s| {
        let counts = counts.of(device, &POLICY, t(at_s));
        counts.wrong_codes.count(DAY_S, t(at_s))
    };
    let all = |counts: &DeviceCounts, at_s| {
        [&first, &second, &third, &young].map(|device| wrong(counts, device, at_s))
    };
    assert_eq!(all(&counts, 4), [2, 1, 2, 2]);
    // It takes the place of a device without counts in the last day.
    let at_s = DAY_S + 1;
    assert_eq!(all(&counts, at_s), [1, 0, 0, 2]);
    count(&mut counts, &third, at_s);
    assert_eq!(all(&counts, at_s), [1, 2, 1, 2]);
    assert_eq!(counts.older.len(), DeviceCounts::OLDER_MAX);
}

#[test]
fn oldest_devices_count_on_their_own() {
    let [first, second] = ["a", "b"].map(|tag| device(tag, -8 * DAY_S));
    let owners = device("c", -90 * DAY_S);
    let mut counts = DeviceCounts::default();
    for device in [&first, &second, &second] {
        count(&mut counts, device, 0);
    }
    // The counts of the device that gives way are not lost.
    count(&mut counts, &owners, 1);
    let wrong = |device| {
        let counts = counts.of(device, &POLICY, t(1));
        counts.wrong_codes.count(DAY_S, t(1))
    };
    assert_eq!([&owners, &first, &second].map(wrong), [1, 1, 2]);
    assert_eq!(counts.young.wrong_codes.count(DAY_S, t(1)), 2);
}

#[test]
fn cancel_after_a_wrong_code_counts() {
    let mut world = World::new();
    for _ in 0..POLICY.rebinds_per_day {
        world = world.later(60).login().identity_sent();
        world.wrong(Identity);
        world = world.then(Command::Cancel);
    }
    assert_eq!(world.refused(create()).code, ErrorCode::DailyRequestLimit);
    // A wrong document is not a wrong code.
    let mut world = World::new();
    for _ in 0..=POLICY.rebinds_per_day {
        world = world.later(60).login().created();
        world.refused_with_write(document(false));
        world = world.then(Command::Cancel);
    }
    assert!(world.decide(create()).is_ok());
}

#[test]
fn twenty_first_creation_is_refused() {
    let mut world = World::new();
    let create_and_cancel = |world: World| world.created().then(Command::Cancel);
    for _ in 0..POLICY.creations_per_day {
        assert_eq!(
            blocked_by(&world.merchant, Some(0), &POLICY, world.now),
            None
        );
        world = create_and_cancel(world).later(1);
    }
    let refusal = world.refused(create());
    assert_eq!(refusal.code, ErrorCode::DailyRequestLimit);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    let created = i64::try_from(POLICY.creations_per_day).unwrap();
    assert_eq!(refusal.retry_after_s, Some(DAY_S - created));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    assert_eq!(
        blocked_by(&world.merchant, Some(0), &POLICY, world.now),
        Some(ErrorCode::DailyRequestLimit)
    );
    // Another older device has limits of its own, and the first one fits in again after a day.
    assert_eq!(
        blocked_by(&world.merchant, Some(1), &POLICY, world.now),
        None
    );
    let world = create_and_cancel(world.at(DAY_S).login());
    assert_eq!(world.refused(create()).retry_after_s, Some(1));
}

#[test]
fn both_limits_of_rebinds_must_allow_the_next_one() {
    // 15 refunded creations, then five rebinds that count.
    let mut world = World::new();
    for _ in POLICY.rebinds_per_day..POLICY.creations_per_day {
        world = world.created().then(Command::Cancel);
    }
    world = world.at(HOUR_S).login();
    for _ in 0..POLICY.rebinds_per_day {
        world = world.agreement_pending().then(Command::Cancel);
    }
    assert_eq!(world.refused(create()).retry_after_s, Some(DAY_S));
    assert!(world.at(HOUR_S + DAY_S).login().decide(create()).is_ok());
}

#[test]
fn refund_finds_the_device_that_created_the_rebind() {
    let world = seen_ago(World::new(), 1, DAY_S).by(1).created();
    let counts = world
        .by(0)
        .then(Command::Cancel)
        .merchant
        .state
        .device_counts;
    assert_eq!(counts.young.refunded.times().count(), 1);
    assert!(counts.older.is_empty() && counts.young.rebinds.is_empty());
}
