//! The values of the golden event records.

use super::values::POLICY;
use super::{Record, of_json, record, stored};
use crate::keys::{event_sk, key, merchant_pk};
use crate::records::{event, item_of};
use crate::shards::DueShards;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::contact::ContactField;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::history::event::{
    Activated, AgreementSigned, ChangeProposed, Closed, CodeSent, Event, EventCard, Frozen,
    MerchantCreated, NoFacts, Nullable, OfPayout, OfRebind, PayoutReleased, PayoutSending,
    Rejected, SecurityChanged, SettlementChanged, TierChanged,
};
use domain::history::{ChainedEvent, Recorded, hash};
use domain::ids::{CardId, MerchantId, PayoutId, ProposalId, RebindId};
use domain::lang::Lang;
use domain::merchant::EntityType;
use domain::notification::Notification;
use domain::onboarding::CreatedBy;
use domain::operator::ProposalKind;
use domain::pii::Phone;
use domain::rebind::{OtpPurpose, Reason, Sealed};
use domain::settlement::{Cycle, PayoutTime, Settlement};
use domain::time::Timestamp;
use serde_json::Value;

/// The name of a file, its event, and whether it is unchanged since the first write.
type Golden = (&'static str, ChainedEvent, bool);

/// The thumbprint of an encryption key of the core system.
const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn at(epoch_s: i64) -> Timestamp {
    Timestamp::from_epoch_s(epoch_s)
}

fn rebind_id() -> RebindId {
    RebindId::parse("rbd_000001bcdfghjklmnpqrst").unwrap()
}

fn card() -> EventCard {
    EventCard {
        card_id: CardId::parse("card_000001bcdfghjklmnpqrst").unwrap(),
        bank_code: "ICBC".to_owned(),
        last4: "1009".to_owned(),
    }
}

fn settlement(cycle: Cycle, time: &str) -> Settlement {
    Settlement {
        cycle,
        payout_time: PayoutTime::parse(time).unwrap(),
        retained_fen: 0,
        daily_limit_fen: 5_000_000,
    }
}

fn event(seq: u64, event: Event) -> ChainedEvent {
    let mut event = ChainedEvent {
        merchant_id: MerchantId::parse("mer_plain_1").unwrap(),
        seq,
        at: at(1_795_312_800),
        policy: 1,
        recorded: Recorded::new(event),
        personal: None,
        prev_hash: "ab".repeat(32),
        hash: String::new(),
        notifications: Vec::new(),
    };
    event.hash = hash(&event);
    event
}

fn with_personal(mut event: ChainedEvent) -> ChainedEvent {
    event.personal = Some(Sealed(vec![0, 1, 254, 255]));
    event.hash = hash(&event);
    event
}

fn with_notifications<const N: usize>(
    mut event: ChainedEvent,
    notifications: [Notification; N],
) -> ChainedEvent {
    event.notifications = notifications.to_vec();
    event
}

fn on_file() -> Notification {
    Notification::OnFile
}

fn push(delivered: &[&str]) -> Notification {
    Notification::Push {
        delivered: delivered.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

fn golden() -> Vec<Golden> {
    let activated = Event::Activated(Activated {
        rebind_id: rebind_id(),
        card: card(),
        old_card_id: Nullable(None),
        reason: Reason::Lost,
        effective_at: at(1_795_312_800 + 86_400),
        cooldown_until: at(1_795_312_800 + 604_800),
    });
    let frozen = Event::Frozen(Frozen {
        rebind_id: Some(rebind_id()),
        undone: true,
        holds_payouts: false,
        reason: None,
    });
    let mut unknown_member = Event::Expired(OfRebind {
        rebind_id: rebind_id(),
    })
    .data();
    unknown_member.insert("added_later".to_owned(), Value::from("kept"));
    let mut later = event(9, Event::CooldownEnded(NoFacts));
    later.recorded = Recorded::read(EventKind::Expired, unknown_member).unwrap();
    later.hash = hash(&later);
    vec![
        (
            "event_agreement_signed",
            with_personal(event(
                5,
                Event::AgreementSigned(AgreementSigned {
                    rebind_id: rebind_id(),
                    version: "2026-11-22".to_owned(),
                    lang: Lang::ZhCn,
                    sha256: "cd".repeat(32),
                    shown_at: at(1_795_312_770),
                    consents: vec!["settlement_change".to_owned(), "sensitive_card".to_owned()],
                }),
            )),
            true,
        ),
        (
            "event_code_sent",
            event(
                2,
                Event::CodeSent(CodeSent {
                    rebind_id: rebind_id(),
                    purpose: OtpPurpose::Identity,
                    serial: None,
                }),
            ),
            true,
        ),
        (
            "event_activated",
            with_notifications(
                event(1_234_567_890, activated.clone()),
                [
                    on_file(),
                    Notification::Reserved(Phone::parse("+8613900000002").unwrap()),
                    push(&[]),
                ],
            ),
            true,
        ),
        // Leased; the SMS are sent, and the push reached two devices.
        (
            "event_activated_claimed",
            with_notifications(event(8, activated), [push(&["tag_one", "tag_two"])]),
            false,
        ),
        (
            "event_frozen",
            with_notifications(event(3, frozen.clone()), [on_file(), push(&[])]),
            true,
        ),
        // Every message is sent.
        ("event_frozen_sent", event(3, frozen), false),
        // Armed again as often as the policy allows.
        (
            "event_rejected_given_up",
            with_notifications(
                event(
                    4,
                    Event::Rejected(Rejected {
                        rebind_id: rebind_id(),
                        card: card(),
                        reason: ErrorCode::OtpTooMany,
                        serial: None,
                    }),
                ),
                [on_file()],
            ),
            false,
        ),
        (
            "event_payout_created",
            event(
                6,
                Event::PayoutCreated(OfPayout {
                    payout_id: PayoutId::parse("pay_20261122_1").unwrap(),
                    amount_fen: 12_345,
                    card_id: Nullable(None),
                    last4: Nullable(None),
                }),
            ),
            true,
        ),
        (
            "event_payout_sending",
            event(
                6,
                Event::PayoutSending(PayoutSending {
                    payout_id: PayoutId::parse("pay_20261122_1").unwrap(),
                    amount_fen: 12_345,
                    card_id: Nullable(Some(card().card_id)),
                    last4: Nullable(Some(card().last4)),
                    release: Some(1),
                    key_thumbprint: Some(THUMBPRINT.to_owned()),
                }),
            ),
            true,
        ),
        (
            "event_payout_released",
            event(
                7,
                Event::PayoutReleased(PayoutReleased {
                    payout_id: PayoutId::parse("pay_20261122_1").unwrap(),
                    card_id: Nullable(Some(card().card_id)),
                    release: 2,
                    key_thumbprint: THUMBPRINT.to_owned(),
                }),
            ),
            true,
        ),
        (
            "event_change_proposed",
            event(
                33,
                Event::ChangeProposed(ChangeProposed {
                    change: ProposalKind::Unfreeze,
                    proposal_id: ProposalId::parse("prp_006b02cb60bcdfghjklmnpqrst").unwrap(),
                    reason: "owner_request".to_owned(),
                }),
            ),
            true,
        ),
        (
            "event_tier_changed",
            event(
                34,
                Event::TierChanged(TierChanged {
                    by: "operator".to_owned(),
                    reason: "review".to_owned(),
                    before_fen: 5_000_000,
                    after_fen: 1_000_000,
                }),
            ),
            true,
        ),
        (
            "event_settlement_changed",
            with_notifications(
                event(
                    7,
                    Event::SettlementChanged(SettlementChanged {
                        before: settlement(Cycle::T1, "06:00"),
                        after: settlement(Cycle::D1, "23:59"),
                        effective_at: at(1_795_399_200),
                        freeze_code_seq: 7,
                    }),
                ),
                [on_file()],
            ),
            true,
        ),
        (
            "event_security_changed",
            with_notifications(
                event(
                    10,
                    Event::SecurityChanged(SecurityChanged {
                        change: ContactField::Phone,
                        by: "operator-17".to_owned(),
                        reason: "new SIM card".to_owned(),
                        rebind_id: Nullable(Some(rebind_id())),
                    }),
                ),
                [on_file(), Notification::Previous],
            ),
            true,
        ),
        (
            "event_merchant_created",
            event(
                1,
                Event::MerchantCreated(MerchantCreated {
                    by: CreatedBy::Registry,
                    entity_type: EntityType::SoleTrader,
                    card_id: Nullable(Some(card().card_id)),
                    last4: Nullable(Some("1009".to_owned())),
                    old_card_id: Nullable(None),
                    effective_at: Some(at(1_795_399_200)),
                    cooldown_until: Some(at(1_795_399_200)),
                    settings: settlement(Cycle::T1, "06:00"),
                    unsent_payouts: 2,
                }),
            ),
            true,
        ),
        (
            "event_closed",
            event(
                11,
                Event::Closed(Closed {
                    by: "registry".to_owned(),
                    reason: "owner_request".to_owned(),
                }),
            ),
            true,
        ),
        // An attribute and a fact of a later release that did not raise the version.
        ("event_unknown_members", later, false),
    ]
}

pub(super) fn records() -> Vec<Record> {
    let record_of = |(name, event, is_new): Golden| {
        let key = key(merchant_pk(&event.merchant_id), event_sk(event.seq));
        let attributes = event::attributes(&event, &POLICY, DueShards::DEFAULT).unwrap();
        let mut record = record(name, event, item_of(key, attributes), event::read);
        // The outbox has changed the others since they were written.
        record.written = record.written.filter(|_| is_new);
        record
    };
    golden().into_iter().map(record_of).collect()
}

#[test]
fn golden_events_keep_their_hashes() {
    for record in records() {
        let read = event::read(&of_json(&stored(record.name))).unwrap();
        assert_eq!(hash(&read), read.hash, "{}", record.name);
    }
}

#[test]
fn event_of_unknown_kind_is_refused() {
    let mut unknown = of_json(&stored("event_code_sent"));
    let kind = AttributeValue::S("code_forgotten".to_owned());
    unknown.insert("kind".to_owned(), kind);
    assert!(event::read(&unknown).is_err());
}
