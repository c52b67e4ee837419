//! `POST /v1/rebinds`: the refusals and their order.

use super::fixture::*;
use crate::card::CardType;
use crate::decide::{Command, blocked_by};
use crate::device_counts::DeviceCounts;
use crate::error_code::ErrorCode;
use crate::format::DocumentExpiry;
use crate::ids::RebindId;
use crate::merchant::EntityType;
use crate::next_action::NextAction;
use crate::rebind::{Attempts, Purpose, Reason, RebindState};
use crate::window::Window;

/// A merchant with every obstacle that can exist at the same time.
fn every_obstacle() -> World {
    let mut world = World::new().created();
    let state = &mut world.merchant.state;
    state.frozen = frozen(t(0));
    state.security_changed_at = Some(t(0));
    state.cooldown_until = Some(t(DAY_S));
    let device = &state.sessions[0].as_ref().unwrap().device;
    let counts = state.device_counts.of_mut(device, &POLICY, t(0));
    counts.rebinds = Window::from_iter([t(0); POLICY.rebinds_per_day]);
    for session in state.sessions.iter_mut().flatten() {
        session.login_at = t(-HOUR_S);
    }
    world.merchant.profile.entity_type = EntityType::Company;
    world.merchant.profile.id_expires_on = expired();
    world
}

/// A document whose last day is long over.
fn expired() -> DocumentExpiry {
    DocumentExpiry::parse("2000-01-01").unwrap()
}

fn wrong_request() -> Command {
    create_with(|request| {
        request.card.as_mut().unwrap().has_check_digit = false;
        request.holder_name = PersonName::new("别人");
        request.reserved_phone = Err(ErrorCode::PhoneFormat);
        request.reason = None;
    })
}

fn credit_card() -> Command {
    create_with(|request| request.card.as_mut().unwrap().card_type = CardType::Credit)
}

#[test]
fn create_checks_in_contract_order() {
    let mut world = every_obstacle();
    let refused = |world: &World, act: Command| world.refused(act).code;

    assert_eq!(refused(&world, wrong_request()), ErrorCode::AccountFrozen);
    world.merchant.state.frozen = None;
    assert_eq!(refused(&world, wrong_request()), ErrorCode::StepUpRequired);
    world = world.login();
    assert_eq!(refused(&world, wrong_request()), ErrorCode::CardLuhn);
    assert_eq!(
        refused(&world, credit_card()),
        ErrorCode::EntityNeedsSupport
    );
    world.merchant.profile.entity_type = EntityType::NaturalPerson;
    assert_eq!(refused(&world, credit_card()), ErrorCode::IdExpired);
    world.merchant.profile.id_expires_on = DocumentExpiry::LongTerm;
    assert_eq!(refused(&world, credit_card()), ErrorCode::QuietPeriod);
    world.merchant.state.security_changed_at = None;
    assert_eq!(refused(&world, credit_card()), ErrorCode::RequestInProgress);
    world.merchant.state.open = None;
    assert_eq!(refused(&world, credit_card()), ErrorCode::RebindCooldown);
    world.merchant.state.cooldown_until = None;
    assert_eq!(refused(&world, credit_card()), ErrorCode::CardTypeCredit);
    assert_eq!(refused(&world, create()), ErrorCode::DailyRequestLimit);
    world.merchant.state.device_counts = DeviceCounts::default();
    assert!(world.decide(create()).is_ok());
}

#[test]
fn blocked_by_is_the_first_reason() {
    let mut world = every_obstacle();
    let blocked = |world: &World| blocked_by(&world.merchant, Some(0), &POLICY, world.now);

    assert_eq!(blocked(&world), Some(ErrorCode::AccountFrozen));
    world.merchant.state.frozen = None;
    assert_eq!(blocked(&world), Some(ErrorCode::StepUpRequired));
    world = world.login();
    assert_eq!(blocked(&world), Some(ErrorCode::EntityNeedsSupport));
    world.merchant.profile.entity_type = EntityType::NaturalPerson;
    assert_eq!(blocked(&world), Some(ErrorCode::IdExpired));
    world.merchant.profile.id_expires_on = DocumentExpiry::LongTerm;
    assert_eq!(blocked(&world), Some(ErrorCode::QuietPeriod));
    world.merchant.state.security_changed_at = None;
    assert_eq!(blocked(&world), Some(ErrorCode::RequestInProgress));
    world.merchant.state.open = None;
    assert_eq!(blocked(&world), Some(ErrorCode::RebindCooldown));
    world.merchant.state.cooldown_until = None;
    assert_eq!(blocked(&world), Some(ErrorCode::DailyRequestLimit));
    world.merchant.state.device_counts = DeviceCounts::default();
    assert_eq!(blocked(&world), None);
}

#[test]
fn expired_document_refuses_before_anything_begins() {
    let mut world = World::new();
    world.merchant.profile.id_expires_on = expired();
    let refusal = world.refused(create());
    assert_eq!(refusal.code, ErrorCode::IdExpired);
    assert_eq!(refusal.counts_toward_limit, Some(false));
    assert_eq!(refusal.next_actions, [NextAction::ContactSupport]);
}

#[test]
fn wrong_check_digit_is_a_question() {
    let unchecked = |confirmed: bool| {
        create_with(|request| {
            request.card.as_mut().unwrap().has_check_digit = false;
            request.number_confirmed = confirmed;
        })
    };
    let refusal = World::new().refused(unchecked(false));
    assert_eq!(refusal.code, ErrorCode::CardLuhn);
    assert_eq!(refusal.next_actions, [NextAction::ConfirmCardNumber]);
    assert!(World::new().decide(unchecked(true)).is_ok());
    // The confirmation is about the check digit only.
    let credit = create_with(|request| {
        request.card.as_mut().unwrap().card_type = CardType::Credit;
        request.number_confirmed = true;
    });
    let refusal = World::new().refused(credit);
    assert_eq!(refusal.code, ErrorCode::CardTypeCredit);
    assert_eq!(refusal.next_actions, [NextAction::ContactSupport]);
}

#[test]
fn all_invalid_fields_are_reported() {
    let refusal = World::new().refused(wrong_request());
    assert_eq!(
        refusal.next_actions,
        [NextAction::ConfirmCardNumber, NextAction::ContactSupport]
    );
    assert_eq!(refusal.code, ErrorCode::CardLuhn);
    assert_eq!(
        bad_fields(&refusal),
        [
            ("card_number", ErrorCode::CardLuhn),
            ("holder_name", ErrorCode::HolderNotMerchant),
            ("reserved_phone", ErrorCode::PhoneFormat),
            ("reason", ErrorCode::RequestMalformed),
        ]
    );
}

#[test]
fn each_invalid_field_is_reported() {
    let cases: [(&str, ErrorCode, Command); 4] = [
        (
            "card_number",
            ErrorCode::CardFormat,
            create_with(|request| request.card = Err(ErrorCode::CardFormat)),
        ),
        (
            "holder_name",
            ErrorCode::HolderNotMerchant,
            create_with(|request| request.holder_name = PersonName::new("测试商户二")),
        ),
        (
            "reserved_phone",
            ErrorCode::PhoneFormat,
            create_with(|request| request.reserved_phone = Err(ErrorCode::PhoneFormat)),
        ),
        (
            "reason",
            ErrorCode::RequestMalformed,
            create_with(|request| request.reason = None),
        ),
    ];
    for (field, code, act) in cases {
        let refusal = World::new().refused(act);
        assert_eq!(
            (refusal.code, bad_fields(&refusal)),
            (code, vec![(field, code)])
        );
    }
}

#[test]
fn holder_name_is_the_settlement_or_legal_name() {
    let named = |name: &str| {
        let name = PersonName::new(name);
        create_with(|request| request.holder_name = name)
    };
    let mut world = World::new();
    world.merchant.profile.legal_name = PersonName::new("阿依古丽·测试");
    assert!(world.decide(named("阿依古丽•测试")).is_ok());
    assert!(world.decide(named("阿依古丽・测试")).is_ok());
    world.merchant.profile.settlement_name = Some(PersonName::new("测试 SHOP"));
    assert!(world.decide(named("测试　ＳＨＯＰ")).is_ok());
    assert_eq!(
        world.refused(named("阿依古丽·测试")).code,
        ErrorCode::HolderNotMerchant
    );
}

#[test]
fn create_needs_login_within_15_minutes() {
    let world = World::new();
    assert!(world.clone().at(15 * MINUTE_S - 1).decide(create()).is_ok());
    let late = world.clone().at(15 * MINUTE_S);
    let refusal = late.refused(create());
    assert_eq!(refusal.code, ErrorCode::StepUpRequired);
    assert_eq!(refusal.next_actions, [NextAction::Login]);

    // The login of the requesting session counts, not another one's. Without a session, no login counts.
    let mut other = late;
    other.merchant.state.sessions[1].as_mut().unwrap().login_at = other.now;
    assert_eq!(other.refused(create()).code, ErrorCode::StepUpRequired);
    assert!(other.clone().by(1).decide(create()).is_ok());
    other.by = None;
    assert_eq!(other.refused(create()).code, ErrorCode::StepUpRequired);
    assert_eq!(
        world.by(4).refused(create()).code,
        ErrorCode::StepUpRequired
    );
}

#[test]
fn companies_need_support() {
    for (kind, allowed) in [
        (EntityType::NaturalPerson, true),
        (EntityType::SoleTrader, true),
        (EntityType::Company, false),
    ] {
        let mut world = World::new();
        world.merchant.profile.entity_type = kind;
        assert_eq!(world.decide(create()).is_ok(), allowed);
        if !allowed {
            let refusal = world.refused(create());
            assert_eq!(refusal.code, ErrorCode::EntityNeedsSupport);
            assert_eq!(refusal.next_actions, [NextAction::ContactSupport]);
        }
    }
}

#[test]
fn quiet_period_lasts_24_hours() {
    let mut world = World::new();
    world.merchant.state.security_changed_at = Some(t(0));
    let world = world.at(DAY_S - 60).login();
    let refusal = world.refused(create());
    assert_eq!(
        (refusal.code, refusal.retry_after_s),
        (ErrorCode::QuietPeriod, Some(60))
    );
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    assert!(world.later(60).decide(create()).is_ok());
}

#[test]
fn one_open_rebind_per_merchant() {
    for open in [
        World::new().created(),
        World::new().agreement_pending(),
        World::new().card_pending(),
    ] {
        let refusal = open.refused(create());
        assert_eq!(refusal.code, ErrorCode::RequestInProgress);
        assert_eq!(refusal.next_actions, open.next_actions());

        let almost = open.at(DAY_S - 1).login();
        assert_eq!(almost.refused(create()).code, ErrorCode::RequestInProgress);
        let overdue = almost.later(1).created();
        assert_eq!(overdue.merchant.state.open, Some(2));
    }
}

#[test]
fn cooldown_blocks_until_its_end() {
    let until = 30 * DAY_S;
    let world = World::new().activated().at(until - 60).login();
    let refusal = world.refused(create_for("third"));
    assert_eq!(refusal.code, ErrorCode::RebindCooldown);
    assert_eq!(refusal.cooldown_until, Some(t(until)));
    assert_eq!(refusal.retry_after_s, Some(60));
    assert_eq!(refusal.next_actions, [NextAction::Wait]);
    assert!(world.later(60).decide(create_for("third")).is_ok());
}

#[test]
fn credit_and_prepaid_prefixes_are_refused() {
    for (card_type, refused) in [
        (CardType::Credit, Some(ErrorCode::CardTypeCredit)),
        (CardType::QuasiCredit, Some(ErrorCode::CardTypeCredit)),
        (CardType::Prepaid, Some(ErrorCode::CardTypePrepaid)),
        (CardType::Debit, None),
        (CardType::Unknown, None),
    ] {
        let act = create_with(|request| request.card.as_mut().unwrap().card_type = card_type);
        let decided = World::new().decide(act);
        assert_eq!(decided.as_ref().err().map(|refusal| refusal.code), refused);
        if let Err(refusal) = decided {
            assert_eq!(bad_fields(&refusal), [("card_number", refusal.code)]);
        }
    }
}

#[test]
fn active_card_of_before_a_rotation_is_the_same() {
    let act = create_with(|request| {
        let card = request.card.as_mut().unwrap();
        card.previous_fingerprint = Some(fingerprint("old"));
    });
    let refusal = World::new().refused(act);
    assert_eq!(refusal.code, ErrorCode::CardSameAsCurrent);
}

#[test]
fn active_card_is_same_as_current() {
    let refusal = World::new().refused(create_for("old"));
    assert_eq!(refusal.code, ErrorCode::CardSameAsCurrent);
    assert_eq!(
        bad_fields(&refusal),
        [("card_number", ErrorCode::CardSameAsCurrent)]
    );
    let mut first_card = World::new();
    first_card.merchant.state.active = None;
    assert!(first_card.decide(create_for("old")).is_ok());
}

#[test]
fn rebind_starts_in_identity_pending_for_24_h() {
    let mut world = World::new().at(7);
    let transition = world.done(create_with(|request| {
        request.reason = Some(Reason::Lost);
        request.purpose = Purpose::Standby;
    }));
    let rebind = world.rebind();
    assert_eq!(rebind.rebind_id, RebindId::new(1, &[2; 16]));
    assert_eq!((rebind.version, rebind.revision), (1, 1));
    assert_eq!(
        (rebind.reason, rebind.purpose),
        (Reason::Lost, Purpose::Standby)
    );
    assert_eq!((rebind.created_at, rebind.expires_at), (t(7), t(7 + DAY_S)));
    assert_eq!(rebind.new_card.bound_at, t(7));
    assert_eq!(rebind.new_card.last4, "0020");
    assert_eq!(rebind.reserved_phone.e164(), RESERVED_PHONE);
    assert_eq!(rebind.fingerprint, fingerprint("new"));
    let active = world.merchant.state.active.as_ref().unwrap();
    assert_eq!(rebind.old_card.as_ref(), Some(&active.card));
    assert_eq!(
        rebind.stage,
        RebindState::IdentityPending {
            mismatches: 0,
            matched: false,
            code: None,
            attempts: Attempts::default()
        }
    );
    assert_eq!(
        (world.merchant.state.rebinds, world.merchant.state.open),
        (1, Some(1))
    );
    // The history shows only the first character of a name.
    let event = serde_json::to_string(&transition.event.unwrap().event.data()).unwrap();
    assert!(event.contains("测*") && !event.contains(HOLDER), "{event}");
}

#[test]
fn rebind_numbers_end_at_their_maximum() {
    let mut world = World::new();
    world.merchant.state.rebinds = RebindId::NUMBER_MAX - 1;
    let mut world = world.created();
    assert_eq!(world.rebind().rebind_id.number(), RebindId::NUMBER_MAX);
    world.done(Command::Cancel);
    assert_eq!(
        world.refused(create()).next_actions,
        [NextAction::ContactSupport]
    );
}
