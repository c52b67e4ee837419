//! The JSON of events, compared with vectors (`vectors.json`) whose hashes come from another program (`vectors.py`).

use super::*;
use crate::history::{ChainedEvent, GENESIS, hash};
use crate::ids::MerchantId;
use crate::rebind::Sealed;

/// One chain with every kind of event and every form of its facts. Vectors are only appended, because stored and published
/// histories have this form.
const VECTORS: &str = include_str!("vectors.json");

fn vectors() -> Vec<Map<String, Value>> {
    serde_json::from_str(VECTORS).unwrap()
}

fn kind_and_data(vector: &Map<String, Value>) -> (EventKind, Data) {
    let kind = EventKind::parse(vector["kind"].as_str().unwrap()).unwrap();
    (kind, vector["data"].as_object().unwrap().clone())
}

#[test]
fn vectors_cover_every_kind() {
    let kinds: Vec<EventKind> = vectors().iter().map(|one| kind_and_data(one).0).collect();
    for kind in EventKind::ALL {
        assert!(kinds.contains(kind), "{kind}");
    }
}

#[test]
fn vectors_have_their_hashes() {
    let mut prev_hash = GENESIS.to_owned();
    for (seq, vector) in (1..).zip(vectors()) {
        let (kind, data) = kind_and_data(&vector);
        let event = ChainedEvent {
            merchant_id: MerchantId::parse("mer_plain_1").unwrap(),
            seq,
            at: Timestamp::from_epoch_s(vector["at"].as_i64().unwrap()),
            policy: 1,
            recorded: Recorded::read(kind, data).unwrap(),
            personal: vector["personal"]
                .as_str()
                .map(|text| Sealed(hex::decode(text).unwrap())),
            prev_hash,
            hash: String::new(),
            notifications: Vec::new(),
        };
        prev_hash = hash(&event);
        assert_eq!(prev_hash, vector["hash"], "{seq} {kind}");
    }
}

#[test]
fn facts_survive_both_directions() {
    for vector in vectors() {
        let (kind, data) = kind_and_data(&vector);
        let event = Event::read(kind, &data).unwrap();
        assert_eq!(event.kind(), kind);
        assert_eq!(event.data(), data, "{kind}");
        assert_eq!(Recorded::new(event), Recorded::read(kind, data).unwrap());
    }
}

#[test]
fn missing_or_malformed_fact_is_named() {
    for vector in vectors() {
        let (kind, data) = kind_and_data(&vector);
        for name in data.keys() {
            let mut malformed = data.clone();
            malformed.insert(name.clone(), Value::from(-1));
            let error = Event::read(kind, &malformed).unwrap_err();
            assert_eq!((error.kind, error.member), (kind, name.as_str()));
            let mut missing = data.clone();
            missing.remove(name);
            let is_optional = match name.as_str() {
                "serial" => matches!(kind, EventKind::CodeSent | EventKind::Rejected),
                "rebind_id" => kind == EventKind::Frozen,
                "reason" => matches!(kind, EventKind::Frozen | EventKind::ChangeNotified),
                "release" | "key_thumbprint" => kind == EventKind::PayoutSending,
                "effective_at" => kind == EventKind::ChangeNotified,
                _ => false,
            };
            match Event::read(kind, &missing) {
                Ok(_) => assert!(is_optional, "{kind} {name}"),
                Err(error) => {
                    assert!(!is_optional, "{kind} {name}");
                    assert_eq!(error.member, name);
                }
            }
        }
    }
}

#[test]
fn unknown_member_is_kept() {
    for vector in vectors() {
        let (kind, mut data) = kind_and_data(&vector);
        data.insert("added_later".to_owned(), Value::from(1));
        let recorded = Recorded::read(kind, data.clone()).unwrap();
        assert_eq!(recorded.data(), &data);
    }
}
