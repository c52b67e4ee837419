//! The chain and its canonical form, which every other verifier of a history relies on.

use super::*;
use crate::history::event::{AgreementSigned, OfRebind};
use crate::ids::RebindId;
use crate::lang::Lang;

fn rebind_id() -> RebindId {
    RebindId::parse("rbd_000001bcdfghjklmnpqrst").unwrap()
}

fn facts() -> AgreementSigned {
    AgreementSigned {
        rebind_id: rebind_id(),
        version: "\"\\\n换".to_owned(),
        lang: Lang::ZhCn,
        sha256: "ab".to_owned(),
        shown_at: Timestamp::from_epoch_s(1_795_312_700),
        consents: vec!["b".to_owned(), "a".to_owned()],
    }
}

/// An event with nested values, unsorted members, escapes and personal data.
fn event() -> ChainedEvent {
    ChainedEvent {
        merchant_id: MerchantId::parse("mer_test").unwrap(),
        seq: 1,
        at: Timestamp::from_epoch_s(1_795_312_800),
        policy: 1,
        recorded: Recorded::new(Event::AgreementSigned(facts())),
        personal: Some(Sealed(vec![1, 2, 3])),
        prev_hash: GENESIS.to_owned(),
        hash: String::new(),
        notifications: Vec::new(),
    }
}

#[test]
fn hash_is_sha_256_of_the_canonical_form() {
    // Written by hand and hashed by another program.
    let canonical_form = concat!(
        r#"{"at":1795312800,"data":{"consents":["b","a"],"lang":"zh-CN","rebind_id":"rbd_000001bcdfghjklmnpqrst","#,
        r#""sha256":"ab","shown_at":"2026-11-22T09:58:20+08:00","version":"\"\\\n换"},"#,
        r#""kind":"agreement_signed","merchant_id":"mer_test","#,
        r#""personal_sha256":"039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81","#,
        r#""policy":1,"#,
        r#""prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","seq":1}"#,
    );
    assert_eq!(
        hex::encode(Sha256::digest(canonical_form.as_bytes())),
        hash(&event())
    );
    assert_eq!(
        hash(&event()),
        "9ac0aec1da3f5c2b15e1ce9d9ad630d7dd499fd4089365b66646066b1ca209ed"
    );
}

#[test]
fn every_chained_value_changes_the_hash() {
    let changes: [fn(&mut ChainedEvent); 10] = [
        |event| event.merchant_id = MerchantId::parse("mer_other").unwrap(),
        |event| event.seq = 2,
        |event| event.at = event.at.plus_s(1),
        |event| {
            event.recorded = Recorded::new(Event::Expired(OfRebind {
                rebind_id: rebind_id(),
            }));
        },
        |event| event.policy = 2,
        |event| {
            event.recorded = Recorded::new(Event::AgreementSigned(AgreementSigned {
                consents: Vec::new(),
                ..facts()
            }));
        },
        // A member that is unknown to this release.
        |event| {
            let mut data = event.data().clone();
            data.insert("added_later".to_owned(), Value::Null);
            event.recorded = Recorded::read(event.kind(), data).unwrap();
        },
        |event| event.personal = Some(Sealed(vec![1, 2, 4])),
        |event| event.personal = None,
        |event| event.prev_hash = event.prev_hash.replace('0', "1"),
    ];
    let mut hashes = vec![hash(&event())];
    for change in changes {
        let mut changed = event();
        change(&mut changed);
        let hash = hash(&changed);
        assert!(!hashes.contains(&hash), "{changed:?}");
        hashes.push(hash);
    }
}

#[test]
fn notifications_and_the_hash_itself_are_not_chained() {
    let mut sent = event();
    sent.hash = "something".to_owned();
    sent.notifications.push(Notification::OnFile);
    assert_eq!(hash(&sent), hash(&event()));
}
