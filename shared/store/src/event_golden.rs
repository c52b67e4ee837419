//! Golden files of event items (`golden/v1/event_*.json`, in the JSON form of the DynamoDB API). They are never regenerated:
//! a release that cannot read one of them cannot read its table.

use crate::item::Item;
use crate::record::{event_from, event_item};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::history::event::{
    Activated, AgreementSigned, CodeSent, Event, EventCard, Frozen, NoFacts, Nullable, OfPayout,
    OfRebind, Rejected, SettlementChanged,
};
use domain::history::{ChainedEvent, Recorded, hash};
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::lang::Lang;
use domain::notification::Notification;
use domain::policy::Policy;
use domain::rebind::{OtpPurpose, Reason, Sealed};
use domain::settlement::{Cycle, PayoutTime, Settlement};
use domain::time::Timestamp;
use serde_json::{Map, Value};
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/v1");

/// What a file holds: its name without `event_` and `.json`, the event, and whether it is as the store first writes it.
type Golden = (&'static str, ChainedEvent, bool);

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
        notices: Vec::new(),
    };
    event.hash = hash(&event);
    event
}

fn with_personal(mut event: ChainedEvent) -> ChainedEvent {
    event.personal = Some(Sealed(vec![0, 1, 254, 255]));
    event.hash = hash(&event);
    event
}

fn with_notices<const N: usize>(
    mut event: ChainedEvent,
    notices: [Notification; N],
) -> ChainedEvent {
    event.notices = notices.to_vec();
    event
}

fn on_file() -> Notification {
    Notification::OnFile("+8613900000001".to_owned())
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
        rebind_id: rebind_id(),
        undone: true,
        holds_payouts: false,
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
            "agreement_signed",
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
            "code_sent",
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
            "activated",
            with_notices(
                event(1_234_567_890, activated.clone()),
                [
                    on_file(),
                    Notification::Reserved("+8613900000002".to_owned()),
                    push(&[]),
                ],
            ),
            true,
        ),
        // Claimed; the SMS are sent, and the push reached two devices.
        (
            "activated_claimed",
            with_notices(event(8, activated), [push(&["tag_one", "tag_two"])]),
            false,
        ),
        (
            "frozen",
            with_notices(event(3, frozen.clone()), [on_file(), push(&[])]),
            true,
        ),
        // Every message is sent.
        ("frozen_sent", event(3, frozen), false),
        // Armed again as often as the policy allows.
        (
            "rejected_given_up",
            with_notices(
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
            "payout_created",
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
            "settlement_changed",
            with_notices(
                event(
                    7,
                    Event::SettlementChanged(SettlementChanged {
                        before: settlement(Cycle::T1, "06:00"),
                        after: settlement(Cycle::D1, "23:59"),
                    }),
                ),
                [on_file()],
            ),
            true,
        ),
        // An attribute and a fact of a later release that did not raise the version.
        ("unknown_members", later, false),
    ]
}

fn attribute(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = value.as_str().unwrap();
    match kind.as_str() {
        "S" => AttributeValue::S(text.to_owned()),
        "N" => AttributeValue::N(text.to_owned()),
        "B" => AttributeValue::B(Blob::new(STANDARD.decode(text).unwrap())),
        other => panic!("{other} is not used in an event"),
    }
}

fn item(name: &str) -> Item {
    let path = Path::new(FOLDER).join(format!("event_{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let attributes: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let attributes = attributes.iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

#[test]
fn golden_events_are_read() {
    for (name, event, _) in golden() {
        let read = event_from(&item(name)).unwrap();
        assert_eq!(read, event, "{name}");
        assert_eq!(hash(&read), read.hash, "{name}");
    }
}

#[test]
fn golden_events_are_what_the_store_writes() {
    for (name, event, is_new) in golden() {
        if is_new {
            let written = event_item(&event, &Policy::CURRENT).unwrap();
            assert_eq!(written, item(name), "{name}");
        }
    }
}

#[test]
fn every_golden_event_is_tested() {
    let files = std::fs::read_dir(FOLDER).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut events: Vec<String> = names.filter(|name| name.starts_with("event_")).collect();
    let golden = golden();
    let mut tested: Vec<_> = golden
        .iter()
        .map(|(name, ..)| format!("event_{name}.json"))
        .collect();
    events.sort();
    tested.sort();
    assert_eq!(events, tested);
}

#[test]
fn event_of_a_later_version_is_refused() {
    let mut later = item("code_sent");
    later.insert("v".to_owned(), AttributeValue::N("2".to_owned()));
    assert!(event_from(&later).is_err());
    later.remove("v");
    assert!(event_from(&later).is_err());
}

#[test]
fn event_of_an_unknown_kind_is_refused() {
    let mut unknown = item("code_sent");
    let kind = AttributeValue::S("code_forgotten".to_owned());
    unknown.insert("kind".to_owned(), kind);
    assert!(event_from(&unknown).is_err());
}
