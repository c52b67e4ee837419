//! The JSON of events, compared with the vectors (`vectors.json`), whose hashes come from another program (`vectors.py`).

use super::*;
use crate::history::{hash, vectors};

#[test]
fn vectors_cover_every_kind() {
    let kinds: Vec<EventKind> = vectors().iter().map(|event| event.kind()).collect();
    for kind in EventKind::ALL {
        assert!(kinds.contains(kind), "{kind}");
    }
}

#[test]
fn vectors_have_their_hashes() {
    for event in vectors() {
        assert_eq!(hash(&event), event.hash, "{} {}", event.seq, event.kind());
    }
}

#[test]
fn facts_survive_both_directions() {
    for vector in vectors() {
        let (kind, data) = (vector.kind(), vector.data().clone());
        let event = Event::read(kind, &data).unwrap();
        assert_eq!(event.kind(), kind);
        assert_eq!(event.data(), data, "{kind}");
        assert_eq!(Recorded::new(event), Recorded::read(kind, data).unwrap());
    }
}

#[test]
fn missing_or_malformed_fact_is_named() {
    for vector in vectors() {
        let (kind, data) = (vector.kind(), vector.data().clone());
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
                "effective_at" => {
                    matches!(kind, EventKind::ChangeNotified | EventKind::MerchantCreated)
                }
                "cooldown_until" => kind == EventKind::MerchantCreated,
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
        let (kind, mut data) = (vector.kind(), vector.data().clone());
        data.insert("added_later".to_owned(), Value::from(1));
        let recorded = Recorded::read(kind, data.clone()).unwrap();
        assert_eq!(recorded.data(), &data);
    }
}
