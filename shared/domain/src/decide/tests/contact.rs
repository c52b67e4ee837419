//! Changes of the acquirer's record: phone, password, name, document.

use super::fixture::*;
use crate::contact::{
    ContactChange, ContactField, ContactValue, DocumentRenewal, PreviousPhoneRule, RecordDocument,
    TierChange,
};
use crate::decide::Command;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::format::DocumentExpiry;
use crate::history::event::{self, Event};
use crate::notification::{Notification, Recipient};
use crate::password_hash::PasswordHash;
use crate::pii::{DocumentType, PersonName, Phone};
use crate::policy::DAY_S;
use crate::rebind::Mac;
use crate::rebind::OtpPurpose::Identity;
use crate::settlement::Cycle;
use crate::transition::EndedSessions;

pub(super) const NEW_PHONE: &str = "+8613900000077";
const OTHER_PHONE: &str = "+8613900000088";

fn change(value: ContactValue, previous_phone: PreviousPhoneRule) -> Command {
    Command::ChangeContact(Box::new(ContactChange {
        value,
        by: "operator-17".to_owned(),
        reason: "asked at the shop".to_owned(),
        previous_phone,
    }))
}

pub(super) fn phone(number: &str, previous_phone: PreviousPhoneRule) -> Command {
    change(
        ContactValue::Phone(Phone::parse(number).unwrap()),
        previous_phone,
    )
}

fn new_password() -> PasswordHash {
    let hash = format!(
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ${}",
        "A".repeat(43)
    );
    PasswordHash::parse(&hash).unwrap()
}

pub(super) fn password() -> Command {
    change(
        ContactValue::Password(new_password()),
        PreviousPhoneRule::Keep,
    )
}

fn name(legal_name: &str) -> Command {
    let value = ContactValue::Name {
        legal_name: PersonName::new(legal_name),
        settlement_name: None,
    };
    change(value, PreviousPhoneRule::Keep)
}

fn document(number: &str, expires_on: &str) -> Command {
    document_in_rotation(number, None, expires_on)
}

fn document_in_rotation(number: &str, previous: Option<&str>, expires_on: &str) -> Command {
    let value = ContactValue::Document(RecordDocument {
        document_type: DocumentType::Passport,
        number_mac: Mac(number.to_owned()),
        previous_mac: previous.map(|previous| Mac(previous.to_owned())),
        sealed_number: None,
        expires_on: DocumentExpiry::parse(expires_on).unwrap(),
    });
    change(value, PreviousPhoneRule::Keep)
}

pub(super) fn renewal(number: &str, expires_on: &str) -> Command {
    Command::RenewDocument(Box::new(DocumentRenewal {
        number_mac: Mac(number.to_owned()),
        expires_on: DocumentExpiry::parse(expires_on).unwrap(),
        by: "operator-17".to_owned(),
    }))
}

pub(super) fn tier(daily_limit_max_fen: u64, may_rise: bool) -> Command {
    Command::ChangeTier(Box::new(TierChange {
        daily_limit_max_fen,
        may_rise,
        by: if may_rise { "registry" } else { "operator" }.to_owned(),
        reason: "review".to_owned(),
    }))
}

fn every_change() -> Vec<(ContactField, Command)> {
    vec![
        (
            ContactField::Phone,
            phone(NEW_PHONE, PreviousPhoneRule::Keep),
        ),
        (ContactField::Password, password()),
        (ContactField::Name, name("另一个名字")),
        (ContactField::Document, document("other", "2036-01-31")),
    ]
}

fn by_operator(mut world: World) -> World {
    world.by = None;
    world
}

/// The merchant logs in again.
fn by_merchant(mut world: World) -> World {
    world.by = Some(0);
    world.merchant.state.sessions = merchant().state.sessions;
    world.login()
}

/// The recipients of the last event, with their phones.
fn notified(world: &World) -> Vec<(Recipient, Option<String>)> {
    let record = &world.merchant.profile;
    let event = world.history.last().unwrap();
    let notifications = event.notifications.iter();
    notifications
        .map(|one| {
            (
                one.to(),
                one.phone(record).map(|phone| phone.e164().to_owned()),
            )
        })
        .collect()
}

#[test]
fn contact_change_ends_rebind_and_sessions() {
    for (field, command) in every_change() {
        let mut world = by_operator(World::new().identity_sent().later(60));
        let transition = world.done(command);
        assert_eq!(transition.ends_sessions, EndedSessions::All, "{field}");
        assert_eq!(world.shown(), "cancelled", "{field}");
        let state = &world.merchant.state;
        assert_eq!(state.open, None);
        assert!(state.sessions.iter().all(Option::is_none));
        assert_eq!(state.security_changed_at, Some(world.now));
        let rebind = world.rebind();
        assert_eq!(rebind.sealed_number, None);
        let event = transition.event.unwrap();
        assert_eq!(event.kind(), EventKind::SecurityChanged);
        let data = event.event.data();
        assert_eq!(data["change"], field.as_str());
        assert_eq!(data["rebind_id"], rebind.rebind_id.as_str());
        assert_eq!(
            (&data["by"], &data["reason"]),
            (&"operator-17".into(), &"asked at the shop".into())
        );
    }
}

#[test]
fn overdue_rebind_expires_at_contact_change() {
    let mut world = by_operator(World::new().identity_sent().later(POLICY.rebind_life_s));
    world.done(password());
    assert_eq!(world.shown(), "expired");
}

#[test]
fn contact_change_starts_quiet_period() {
    for (field, command) in every_change() {
        let mut world = by_operator(World::new());
        world.done(command);
        let world = by_merchant(world.later(POLICY.quiet_period_s - 1));
        let create = match field {
            ContactField::Name => create_with(|request| {
                request.holder_name = PersonName::new("另一个名字");
            }),
            _ => create(),
        };
        assert_eq!(
            world.refused(create.clone()).code,
            ErrorCode::QuietPeriod,
            "{field}"
        );
        assert!(world.later(1).decide(create).is_ok(), "{field}");
    }
}

#[test]
fn contact_change_moves_both_versions() {
    for (field, command) in every_change() {
        let mut world = by_operator(World::new());
        let before = world.merchant.clone();
        world.done(command);
        let after = &world.merchant;
        assert_eq!(
            (after.profile.version, after.state.record_version),
            (2, 2),
            "{field}"
        );
        assert_eq!(after.state.version, before.state.version + 1);
    }
}

#[test]
fn previous_phone_hears_everything_for_30_days() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let both = [
        (Recipient::OnFile, Some(NEW_PHONE.to_owned())),
        (Recipient::Previous, Some(PHONE_ON_FILE.to_owned())),
    ];
    assert_eq!(notified(&world), both);

    let mut last_day = world.clone().later(30 * DAY_S - 1);
    last_day.done(password());
    assert_eq!(notified(&last_day), both);
    let mut after = world.later(30 * DAY_S);
    after.done(password());
    assert_eq!(notified(&after), both[..1]);
}

#[test]
fn dropped_phone_hears_nothing() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Drop));
    let new = [(Recipient::OnFile, Some(NEW_PHONE.to_owned()))];
    assert_eq!(notified(&world), new);

    // A later change can drop the previous phone, too.
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let hash = ContactValue::Password(new_password());
    world.done(change(hash, PreviousPhoneRule::Drop));
    assert_eq!(notified(&world), new);
    assert_eq!(world.merchant.profile.previous_phone, None);
}

#[test]
fn second_phone_needs_the_previous_one_dropped() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let second = || phone(OTHER_PHONE, PreviousPhoneRule::Keep);
    let world = world.later(30 * DAY_S - 1);
    assert_eq!(world.refused(second()).code, ErrorCode::StepOutOfOrder);
    assert!(world.clone().later(1).decide(second()).is_ok());
    assert!(
        world
            .decide(phone(OTHER_PHONE, PreviousPhoneRule::Drop))
            .is_ok()
    );
    // The way back for a change that someone talked the acquirer into.
    let mut back = world;
    back.done(phone(PHONE_ON_FILE, PreviousPhoneRule::Drop));
    assert_eq!(
        notified(&back),
        [(Recipient::OnFile, Some(PHONE_ON_FILE.to_owned()))]
    );
}

#[test]
fn value_already_on_record_is_refused() {
    let world = by_operator(World::new());
    for command in [
        phone(PHONE_ON_FILE, PreviousPhoneRule::Keep),
        name(HOLDER),
        document("person", "2036-01-31"),
        document_in_rotation("new hash", Some("person"), "2036-01-31"),
    ] {
        assert_eq!(world.refused(command).code, ErrorCode::StepOutOfOrder);
    }
}

#[test]
fn contact_change_announces_a_freeze_code_for_7_days() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let code = world.merchant.state.freeze_codes[0];
    assert_eq!(code.seq, world.merchant.state.last_seq);
    assert_eq!((code.rebind, code.activation), (None, false));
    let freeze = || Command::Freeze(code.seq);
    let week = POLICY.freeze_after_effective_s;
    let late = world.clone().later(week);
    assert_eq!(late.refused(freeze()).code, ErrorCode::NotFound);
    let mut world = world.later(week - 1);
    world.done(freeze());
    let frozen = world.merchant.state.frozen.unwrap();
    assert!(!frozen.holds_payouts, "no card was changed");
}

#[test]
fn contact_can_be_changed_back_while_frozen() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let code = world.merchant.state.freeze_codes[0];
    world.done(Command::Freeze(code.seq));
    world.done(phone(PHONE_ON_FILE, PreviousPhoneRule::Drop));
    assert_eq!(world.merchant.profile.phone_on_file.e164(), PHONE_ON_FILE);
    assert!(world.merchant.state.frozen.is_some());
}

#[test]
fn activation_is_announced_to_both_contacts() {
    let mut world = by_operator(World::new());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let world = by_merchant(world.later(POLICY.quiet_period_s)).activated();
    let to: Vec<_> = notified(&world).into_iter().map(|one| one.0).collect();
    assert_eq!(
        to,
        [Recipient::OnFile, Recipient::Previous, Recipient::Reserved]
    );
}

#[test]
fn reserved_phone_on_record_is_notified_once() {
    let mut world = by_operator(World::new());
    world.done(phone(RESERVED_PHONE, PreviousPhoneRule::Drop));
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let world = by_merchant(world.later(POLICY.quiet_period_s)).activated();
    let notifications = &world.history.last().unwrap().notifications;
    assert_eq!(
        notifications[..],
        [Notification::OnFile, Notification::Previous]
    );
}

#[test]
fn otp_of_cancelled_rebind_is_refused() {
    let mut world = by_operator(World::new().identity_sent());
    world.done(phone(NEW_PHONE, PreviousPhoneRule::Keep));
    let refusal = by_merchant(world).refused(reserve(Identity));
    assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
}

#[test]
fn renewed_document_changes_nothing_else() {
    for expires_on in ["2035-02-01", "long_term"] {
        let mut world = by_operator(World::new().identity_sent());
        let before = world.merchant.clone();
        let transition = world.done(renewal("person", expires_on));
        assert_eq!(transition.ends_sessions, EndedSessions::None);
        let after = &world.merchant;
        assert_eq!(
            after.profile.id_expires_on,
            DocumentExpiry::parse(expires_on).unwrap()
        );
        assert_eq!((after.profile.version, after.state.record_version), (2, 2));
        assert_eq!(after.state.open, before.state.open);
        assert_eq!(after.state.sessions, before.state.sessions);
        assert_eq!(after.state.security_changed_at, None);
        assert!(after.state.freeze_codes.is_empty());
        let event = transition.event.unwrap();
        assert!(matches!(event.event, Event::DocumentRenewed(_)));
        assert!(event.notifications.is_empty());
    }
}

#[test]
fn other_document_is_not_a_renewal() {
    let world = by_operator(World::new());
    for (number, expires_on) in [
        ("other", "2036-01-31"),
        ("person", "2035-01-31"),
        ("person", "2034-12-31"),
    ] {
        let refusal = world.refused(renewal(number, expires_on));
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder, "{expires_on}");
    }
}

#[test]
fn limit_falls_with_the_tier_and_does_not_rise_with_it() {
    let mut world = by_operator(World::new());
    let transition = world.done(tier(1_000_000, false));
    assert_eq!(transition.ends_sessions, EndedSessions::None);
    let after = &world.merchant;
    assert_eq!(after.profile.daily_limit_max_fen, 1_000_000);
    assert_eq!(after.state.settlement.daily_limit_fen, 1_000_000);
    assert_eq!((after.profile.version, after.state.record_version), (2, 2));
    let event = transition.event.unwrap();
    assert!(matches!(
        event.event,
        Event::TierChanged(event::TierChanged {
            before_fen: 5_000_000,
            after_fen: 1_000_000,
            ..
        })
    ));
    assert!(event.notifications.is_empty());
    for (limit, may_rise) in [(1_000_000, false), (1_000_000, true), (1_000_001, false)] {
        let refusal = world.refused(tier(limit, may_rise));
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder, "{limit}");
    }
    world.done(tier(6_000_000, true));
    let after = &world.merchant;
    assert_eq!(after.profile.daily_limit_max_fen, 6_000_000);
    assert_eq!(after.state.settlement.daily_limit_fen, 1_000_000);
}

#[test]
fn retained_amount_stays_within_a_lower_limit() {
    let mut world = by_operator(World::new());
    world.merchant.state.settlement.retained_fen = 500;
    world.done(tier(400, false));
    let settings = &world.merchant.state.settlement;
    assert_eq!(
        (settings.daily_limit_fen, settings.retained_fen),
        (400, 400)
    );
}

/// Settings that are in force, although the clean-up has not recorded them, stay with a lower limit.
#[test]
fn due_settings_stay_when_the_tier_falls() {
    let world = World::new().then(settlement("D1", 3_000_000));
    let mut world = by_operator(world.later(POLICY.settlement_wait_s));
    world.done(tier(1_000_000, false));
    let state = &world.merchant.state;
    assert_eq!(state.pending_settlement, None);
    let settings = &state.settlement;
    assert_eq!(
        (settings.cycle, settings.daily_limit_fen),
        (Cycle::D1, 1_000_000)
    );
}
