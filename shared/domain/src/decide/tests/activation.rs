//! Activation is one atomic write: active card, old card, hold, cooldown, history and notifications.

use super::fixture::*;
use crate::card::CardStatus;
use crate::decide::Command;
use crate::event_kind::EventKind;
use crate::merchant::{LastActivation, Replaced};
use crate::notification::Recipient;
use crate::rebind::OtpPurpose::Card;
use crate::rebind::{ActivatedCard, Activation, Mac, Reason, RebindState, TestTransfer};
use crate::transition::{FingerprintRule, Transition};

/// Every proof at `at_s`, up to the correct card code.
fn about_to_activate(world: World, at_s: i64, request: Command) -> World {
    let world = world.at(at_s).login().then(request).then(document(true));
    world
        .confirmed(crate::rebind::OtpPurpose::Identity)
        .then(sign(t(at_s - 10)))
        .then(card_check())
        .then(bank(Some(crate::decide::BankAnswer::DEBIT_MATCH)))
}

fn activate(mut world: World) -> (World, Transition) {
    let transition = world.confirm(Card, true);
    (world, transition)
}

fn lost(card: &str) -> Command {
    let card = fingerprint(card);
    create_with(|request| {
        request.reason = Some(Reason::Lost);
        request.card.as_mut().unwrap().fingerprint = card;
    })
}

fn cooldown_days(world: &World) -> i64 {
    let activation = &world.rebind().activated_card().unwrap().times;
    let until = world.merchant.state.cooldown_until.unwrap();
    assert_eq!(activation.cooldown_until, until);
    (until.epoch_s() - activation.activated_at.epoch_s()) / DAY_S
}

#[test]
fn activation_retires_the_old_card() {
    let before = World::new().matched().at(60);
    let old = before.merchant.state.active.clone().unwrap().card;
    let (world, _) = activate(before);
    let new = &world.rebind().new_card;
    let active = world.merchant.state.active.as_ref().unwrap();
    assert_eq!(
        (&active.card, &active.fingerprint),
        (new, &fingerprint("new"))
    );
    assert_eq!(new.bound_at, t(60));
    assert_eq!(world.rebind().old_card.as_ref(), Some(&old));
    assert_eq!(world.merchant.state.open, None);

    let status = |of: &crate::card::Card, at_s| world.merchant.card_status(&of.card_id, t(at_s));
    assert_eq!(status(new, 60), CardStatus::Active);
    assert_eq!(status(&old, 60), CardStatus::Retiring);
    let gone = 60 + DAY_S + 7 * DAY_S;
    assert_eq!(status(&old, gone - 1), CardStatus::Retiring);
    assert_eq!(status(&old, gone), CardStatus::Removed);
}

#[test]
fn hold_is_24_h_and_cooldown_30_days() {
    let (world, _) = activate(World::new().matched().at(60));
    let times = Activation {
        activated_at: t(60),
        effective_at: t(60 + DAY_S),
        cooldown_until: t(60 + 30 * DAY_S),
        waits: false,
    };
    let activated_card = ActivatedCard {
        times: times.clone(),
        test: TestTransfer::NotSent,
    };
    assert_eq!(world.stage(), &RebindState::Activated(activated_card));
    assert_eq!(
        world.merchant.state.cooldown_until,
        Some(times.cooldown_until)
    );
    assert!(world.merchant.state.cooldown_end_unannounced);
    assert_eq!(
        world.merchant.state.last_activation,
        Some(LastActivation {
            number: 1,
            rebind_id: world.rebind().rebind_id.clone(),
            times,
            old_card: world.rebind().old_card.clone().map(|old| old.card_id),
        })
    );
}

#[test]
fn activation_adds_the_card_to_its_holders() {
    let (_, transition) = activate(World::new().matched());
    assert_eq!(
        transition.fingerprint,
        Some(FingerprintRule::AddHolder {
            fingerprint: fingerprint("new"),
            person: Mac("person".to_owned())
        })
    );
    assert!(transition.state.is_some() && transition.rebind.is_some());
}

#[test]
fn activation_event_contains_the_change() {
    let (world, transition) = activate(World::new().matched());
    let event = transition.event.unwrap();
    assert_eq!((event.kind(), event.at), (EventKind::Activated, t(0)));
    let new = &world.rebind().new_card;
    let old = world.rebind().old_card.as_ref().unwrap();
    let mut expected = serde_json::json!({
        "rebind_id": world.rebind().rebind_id.as_str(),
        "card_id": new.card_id.as_str(),
        "bank_code": "CMB",
        "last4": "0020",
        "old_card_id": old.card_id.as_str(),
        "reason": "replace",
        "effective_at": "2026-11-23T10:00:00+08:00",
        "cooldown_until": "2026-12-22T10:00:00+08:00",
    });
    assert_eq!(serde_json::Value::from(event.event.data()), expected);

    let mut first_card = World::new();
    first_card.merchant.state.active = None;
    let (first_card, transition) = activate(first_card.matched());
    assert_eq!(first_card.rebind().old_card, None);
    expected["old_card_id"] = serde_json::Value::Null;
    assert_eq!(
        serde_json::Value::from(transition.event.unwrap().event.data()),
        expected
    );
}

#[test]
fn equal_phones_are_notified_once() {
    let notified = |world: World| -> Vec<_> {
        let record = world.merchant.profile.clone();
        let notifications = activate(world).1.event.unwrap().notifications;
        notifications
            .iter()
            .map(|notification| {
                let phone = notification.phone(&record).unwrap();
                (notification.to(), phone.clone())
            })
            .collect()
    };
    let on_file = (Recipient::OnFile, Phone::parse(PHONE_ON_FILE).unwrap());
    let reserved = (Recipient::Reserved, Phone::parse(RESERVED_PHONE).unwrap());
    assert_eq!(
        notified(World::new().matched()),
        [on_file.clone(), reserved]
    );

    let same = create_with(|request| request.reserved_phone = Phone::parse(PHONE_ON_FILE));
    assert_eq!(
        notified(about_to_activate(World::new(), 0, same)),
        [on_file]
    );
}

#[test]
fn lost_card_has_short_cooldown_once_a_year() {
    let (world, _) = activate(about_to_activate(World::new(), 0, lost("a")));
    assert_eq!(
        (cooldown_days(&world), world.merchant.state.lost_at),
        (7, Some(t(0)))
    );

    // A second loss a day too early has the long cooldown and does not restart the year.
    let early = 365 * DAY_S - 1;
    let (second, _) = activate(about_to_activate(world.clone(), early, lost("b")));
    assert_eq!(
        (cooldown_days(&second), second.merchant.state.lost_at),
        (30, Some(t(0)))
    );

    let (second, _) = activate(about_to_activate(world, early + 1, lost("b")));
    assert_eq!(
        (cooldown_days(&second), second.merchant.state.lost_at),
        (7, Some(t(early + 1)))
    );
}

#[test]
fn replace_does_not_use_the_short_cooldown() {
    let (world, _) = activate(about_to_activate(World::new(), 0, create()));
    assert_eq!(
        (cooldown_days(&world), world.merchant.state.lost_at),
        (30, None)
    );
    let (world, _) = activate(about_to_activate(world, 31 * DAY_S, lost("third")));
    assert_eq!(cooldown_days(&world), 7);
}

#[test]
fn lost_without_a_card_has_no_effect() {
    let mut first_card = World::new();
    first_card.merchant.state.active = None;
    let (world, _) = activate(about_to_activate(first_card, 0, lost("a")));
    assert_eq!(
        (cooldown_days(&world), world.merchant.state.lost_at),
        (30, None)
    );
    assert!(world.merchant.state.replaced.is_empty());
}

#[test]
fn lost_card_is_unusable_during_the_hold() {
    let (world, _) = activate(about_to_activate(World::new(), 0, lost("a")));
    let last = world.merchant.state.last_activation.as_ref().unwrap();
    let old = last.old_card.as_ref().unwrap();
    let replaced = world.merchant.state.replaced(old).unwrap();
    assert_eq!(replaced.state, Replaced::Lost);
    assert_eq!(world.merchant.state.paying_card(world.now), None);
    // Payouts wait, so a thief who reports the card lost waits three times as long.
    assert_eq!(last.times.effective_at, t(3 * DAY_S));
    // Payouts from before the change still go to it.
    let old = world.rebind().old_card.as_ref().unwrap();
    assert_eq!(
        world.merchant.card_status(&old.card_id, world.now),
        CardStatus::Retiring
    );
}

#[test]
fn old_card_is_the_active_one_at_activation() {
    let mut world = World::new().matched();
    let mut moved = world.merchant.state.active.clone().unwrap();
    moved.card.last4 = "9999".to_owned();
    world.merchant.state.active = Some(moved.clone());
    let (world, _) = activate(world);
    assert_eq!(world.rebind().old_card, Some(moved.card));
}
