//! The agreement: read for a minimum time, then signed with all consents.

use super::fixture::*;
use crate::decide::{Command, SignedAgreement};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::rebind::OtpPurpose::Identity;
use crate::rebind::{Attempts, CardCheck, RebindState, Signature};
use serde_json::json;

fn pending() -> World {
    World::new().agreement_pending()
}

fn signed(change: impl FnOnce(&mut SignedAgreement)) -> Command {
    let mut signed = signature(t(0));
    change(&mut signed);
    Command::SignAgreement(Box::new(signed))
}

#[test]
fn reading_takes_at_least_10_seconds() {
    let early = pending().at(9);
    let refusal = early.refused(sign(t(0)));
    assert_eq!(refusal.code, ErrorCode::AgreementNotRead);
    assert_eq!(refusal.retry_after_s, Some(1));
    assert_eq!(
        bad_fields(&refusal),
        [("reading_token", ErrorCode::AgreementNotRead)]
    );
    // A refused signature can be repeated with the same token.
    assert!(early.later(1).decide(sign(t(0))).is_ok());
}

#[test]
fn reading_token_is_valid_for_30_minutes() {
    let world = pending();
    assert!(world.clone().at(30 * MINUTE_S).decide(sign(t(0))).is_ok());
    let refusal = world.at(30 * MINUTE_S + 1).refused(sign(t(0)));
    assert_eq!(refusal.code, ErrorCode::AgreementStale);
    assert_eq!(
        bad_fields(&refusal),
        [("reading_token", ErrorCode::AgreementStale)]
    );
    assert_eq!(refusal.retry_after_s, None);
}

#[test]
fn reading_token_signs_once() {
    let world = pending().at(10).then(sign(t(0)));
    assert_eq!(world.refused(sign(t(0))).code, ErrorCode::StepOutOfOrder);
}

#[test]
fn all_invalid_fields_are_reported() {
    let refusal = pending().at(10).refused(signed(|signed| {
        signed.version = None;
        signed.issued_at = None;
        signed.signed_name = PersonName::new("别人");
        signed.consents.clear();
    }));
    assert_eq!(refusal.code, ErrorCode::AgreementStale);
    assert_eq!(
        bad_fields(&refusal),
        [
            ("sha256", ErrorCode::AgreementStale),
            ("reading_token", ErrorCode::AgreementNotRead),
            ("signed_name", ErrorCode::HolderNotMerchant),
            ("consents", ErrorCode::ConsentMissing),
        ]
    );
}

#[test]
fn each_invalid_field_is_reported() {
    let cases: [(ErrorCode, &str, Command); 4] = [
        (
            ErrorCode::AgreementStale,
            "sha256",
            signed(|signed| signed.sha256 = None),
        ),
        (
            ErrorCode::AgreementNotRead,
            "reading_token",
            signed(|signed| signed.issued_at = None),
        ),
        (
            ErrorCode::HolderNotMerchant,
            "signed_name",
            signed(|signed| signed.signed_name = PersonName::new("")),
        ),
        (
            ErrorCode::ConsentMissing,
            "consents",
            signed(|signed| signed.consents.clear()),
        ),
    ];
    for (code, field, act) in cases {
        let refusal = pending().at(10).refused(act);
        assert_eq!(
            (refusal.code, bad_fields(&refusal)),
            (code, vec![(field, code)])
        );
    }
}

#[test]
fn signed_name_is_folded() {
    let mut world = pending().at(10);
    world.merchant.profile.settlement_name = Some(PersonName::new("阿依古丽·测试"));
    let named = |name: &str| signed(|signed| signed.signed_name = PersonName::new(name));
    assert!(world.decide(named("阿依古丽•测试")).is_ok());
    assert_eq!(
        world.refused(named(HOLDER)).code,
        ErrorCode::HolderNotMerchant
    );
}

#[test]
fn signature_is_recorded_in_the_history() {
    let mut world = World::new().identity_sent();
    world.wrong(Identity);
    let mut world = world.confirmed(Identity).at(25);
    let transition = world.done(sign(t(15)));
    let RebindState::CardPending {
        identity,
        refresh: None,
        identity_attempts,
        signature,
        check,
        card_attempts,
    } = world.stage()
    else {
        panic!("{:?}", world.stage())
    };
    assert_eq!(identity.confirmed_at, t(0));
    assert_eq!(
        (identity_attempts.reserved, identity_attempts.wrong),
        (1, 1)
    );
    assert_eq!(
        signature,
        &Signature {
            signed_at: t(25),
            version: "2026-11-22".to_owned()
        }
    );
    assert_eq!(check, &CardCheck::NotAsked { next: 1 });
    assert_eq!(card_attempts, &Attempts::default());

    let event = transition.event.unwrap();
    assert_eq!(event.kind(), EventKind::AgreementSigned);
    assert_eq!(
        serde_json::Value::from(event.event.data()),
        json!({
            "rebind_id": world.rebind().rebind_id.as_str(),
            "version": "2026-11-22",
            "lang": "zh-CN",
            "sha256": "5ha",
            "shown_at": "2026-11-22T10:00:15+08:00",
            "consents": ["sensitive_card", "sensitive_identity", "settlement_change"],
        })
    );
}

#[test]
fn agreement_is_shown_in_its_state_only() {
    let shown = pending().decide(Command::ReadAgreement).unwrap();
    assert!(shown.state.is_none() && shown.rebind.is_none() && shown.event.is_none());
    for world in [
        World::new().created(),
        World::new().card_pending(),
        World::new().activated(),
    ] {
        let refusal = world.refused(Command::ReadAgreement);
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
        assert_eq!(refusal.next_actions, world.next_actions());
        let refusal = world.refused(sign(t(0)));
        assert_eq!(refusal.code, ErrorCode::StepOutOfOrder);
    }
}

#[test]
fn frozen_account_can_read_but_not_sign() {
    let mut world = pending().at(10);
    world.merchant.state.frozen = frozen(t(5));
    assert!(world.decide(Command::ReadAgreement).is_ok());
    assert_eq!(world.refused(sign(t(0))).code, ErrorCode::AccountFrozen);
    // A read that is out of order reports that, not the freeze.
    let mut world = World::new().card_pending();
    world.merchant.state.frozen = frozen(t(0));
    assert_eq!(
        world.refused(Command::ReadAgreement).code,
        ErrorCode::StepOutOfOrder
    );
    assert_eq!(
        world.at(DAY_S).refused(Command::ReadAgreement).code,
        ErrorCode::RequestExpired
    );
}
