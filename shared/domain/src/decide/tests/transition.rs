//! A transition contains everything to write.

use super::fixture::*;
use super::states::{accounts, states};
use crate::decide::{BankAnswer, Command};
use crate::history;
use crate::rebind::OtpPurpose::{Card, Identity};
use crate::rebind::Sealed;
use crate::transition::{Outcome, Transition, as_it_was, next_revision};
use std::fmt::Write as _;

#[test]
fn empty_transition_changes_nothing() {
    let world = World::new().created();
    let mut nothing = Transition::none();
    assert_eq!(nothing.outcome, Outcome::Done);
    assert_eq!(nothing.applied_to(&world.merchant), world.merchant);
    assert_eq!(nothing.chained(&world.merchant, None, &POLICY), None);
}

#[test]
fn revision_counts_writes_and_version_transitions() {
    let world = World::new().created();
    let of = |world: &World| (world.rebind().revision, world.rebind().version);
    assert_eq!(of(&world), (1, 1));
    let world = world.then(document(true));
    assert_eq!(of(&world), (2, 2));
    let mut world = world.then(reserve(Identity));
    assert_eq!(of(&world), (3, 2));
    world.refused_with_write(settle(Identity, world.mac(Identity), false));
    assert_eq!(of(&world), (4, 2));
    // The next rebind starts with its first revision.
    assert_eq!(of(&world.then(Command::Cancel).created()), (1, 1));
}

#[test]
fn created_rebind_has_no_predecessor() {
    let written = |transition: &Transition| transition.rebind.clone().unwrap();
    let world = World::new().created();
    let changed = world.decide(document(true)).unwrap();
    assert_eq!(
        as_it_was(&world.merchant, &written(&changed)),
        world.merchant.rebind.as_ref()
    );
    assert_eq!(next_revision(&world.merchant, &written(&changed)), 2);
    let ended = world.then(Command::Cancel);
    let created = ended.decide(create()).unwrap();
    assert_eq!(as_it_was(&ended.merchant, &written(&created)), None);
    assert_eq!(next_revision(&ended.merchant, &written(&created)), 1);
}

#[test]
fn chaining_consumes_the_event() {
    let world = World::new();
    let mut transition = world.decide(create()).unwrap();
    let personal = Some(Sealed(vec![7]));
    let event = transition
        .chained(&world.merchant, personal.clone(), &POLICY)
        .unwrap();
    assert_eq!((event.seq, event.prev_hash.as_str()), (1, history::GENESIS));
    assert_eq!(
        (event.policy, event.personal.as_ref()),
        (POLICY.version, personal.as_ref())
    );
    assert_eq!(event.merchant_id, world.merchant.profile.merchant_id);
    let state = transition.state.as_ref().unwrap();
    assert_eq!((state.last_seq, &state.last_hash), (1, &event.hash));
    assert_eq!(event.hash, history::hash(&event));
    // The event is consumed, so a second call returns none.
    assert_eq!(transition.chained(&world.merchant, None, &POLICY), None);
}

#[test]
fn every_state_has_a_complete_history() {
    for (name, world) in states().into_iter().chain(accounts()) {
        let mut prev_hash = history::GENESIS;
        for (index, event) in world.history.iter().enumerate() {
            assert_eq!(event.seq, index as u64 + 1, "{name}");
            assert_eq!(event.prev_hash, prev_hash, "{name}");
            assert_eq!(event.hash, history::hash(event), "{name}");
            prev_hash = &event.hash;
        }
        assert_eq!(world.merchant.state.last_hash, prev_hash, "{name}");
        assert_eq!(
            world.merchant.state.last_seq,
            world.history.len() as u64,
            "{name}"
        );
    }
}

#[test]
fn event_has_its_rebind_and_no_personal_data() {
    use crate::event_kind::EventKind as Kind;
    for (name, world) in states().into_iter().chain(accounts()) {
        for event in &world.history {
            let data = serde_json::to_string(event.data()).unwrap();
            // Events of the account: cards, payouts, settings, the end of a freeze and of a cooldown.
            let of_account = matches!(
                event.kind(),
                Kind::CardUnbound
                    | Kind::CardRemoved
                    | Kind::PayoutCreated
                    | Kind::PayoutAssigned
                    | Kind::PayoutSending
                    | Kind::PayoutReleased
                    | Kind::PayoutSent
                    | Kind::PayoutReturned
                    | Kind::SettlementChanged
                    | Kind::PushTargetChanged
                    | Kind::PushTargetRemoved
                    | Kind::PushTargetRefreshed
                    | Kind::DeviceAdded
                    | Kind::Unfrozen
                    | Kind::CodeGuessed
                    | Kind::FreezeCodeGuessed
                    | Kind::CooldownEnded
            );
            let names_rebind = event.data().contains_key("rebind_id");
            assert_eq!(names_rebind, !of_account, "{name}: {}", event.kind());
            for personal in [HOLDER, "1390000", "fingerprint", "person"] {
                assert!(!data.contains(personal), "{name}: {data}");
            }
        }
    }
}

/// The history of one rebind with its detours.
#[test]
fn history_of_one_rebind() {
    let mut world = World::new().created().at(5);
    world.refused_with_write(document(false));
    let mut world = world.then(document(true)).at(70).then(resend(Identity));
    world.wrong(Identity);
    let world = world.confirmed(Identity).at(90).then(sign(t(75)));
    let world = world
        .then(card_check())
        .then(bank(Some(BankAnswer::DEBIT_MATCH)));
    let world = world.at(155).then(resend(Card)).confirmed(Card);
    let world = world.at(155 + DAY_S).then(Command::Complete);
    let mut world = world
        .at(155 + 30 * DAY_S)
        .then(Command::EndCooldown)
        .login();
    world.done(create_for("third"));
    world.done(Command::Cancel);
    let world = world
        .then(create_for("third"))
        .later(DAY_S)
        .then(Command::Expire);
    let mut world = world.login().then(create_for("third")).then(document(true));
    for _ in 0..5 {
        world.wrong(Identity);
    }
    let mut text = String::new();
    for event in &world.history {
        let data = history::canonical(&event.data().clone().into());
        writeln!(text, "{} {}\n    {data}", event.at, event.kind()).unwrap();
        for notification in &event.notifications {
            writeln!(
                text,
                "    notify {:?} {}",
                notification.to(),
                notification
                    .phone(&world.merchant.profile)
                    .map_or("", Phone::e164)
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(text);
}
