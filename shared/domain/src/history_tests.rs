//! The chain and its canonical form. Whoever verifies a history elsewhere, in another language, relies on these.

use super::*;
use crate::time::Timestamp;
use serde_json::json;

/// An event with everything that the canonical form has to spell: nesting, an order to restore, escapes, personal data.
fn event() -> Event {
    let Value::Object(data) = json!({
        "b": "last",
        "a": {"y": [{"d": true, "c": null}, 2], "x": "\"\\\n换"},
    }) else {
        unreachable!("an object")
    };
    Event {
        merchant_id: MerchantId::parse("mer_test").unwrap(),
        seq: 1,
        at: Timestamp::from_epoch_s(1_795_312_800),
        kind: EventKind::AgreementSigned,
        policy: 1,
        data,
        personal: Some(Sealed(vec![1, 2, 3])),
        prev_hash: GENESIS.to_owned(),
        hash: String::new(),
        notices: Vec::new(),
    }
}

#[test]
fn the_hash_is_the_sha_256_of_the_canonical_form() {
    // Made by hand, hashed by another program.
    let canonical_form = concat!(
        r#"{"at":1795312800,"data":{"a":{"x":"\"\\\n换","y":[{"c":null,"d":true},2]},"b":"last"},"#,
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
        "6c45df5aa418e48bc23920af4eeca574ed00a0f649aa40bdfe102c81b20e9ab1"
    );
}

#[test]
fn canonical_json_has_one_spelling_at_every_level() {
    let value =
        json!({"b": {"d": [], "c": {}}, "a": [3, {"f": 1.5, "e": -1}], "": false, "B": null});
    let one = r#"{"":false,"B":null,"a":[3,{"e":-1,"f":1.5}],"b":{"c":{},"d":[]}}"#;
    assert_eq!(canonical(&value), one);
    let read: Value = serde_json::from_str(
        " { \"b\": {\"d\":[ ], \"c\":{}}, \"a\":[3,{\"f\":1.5,\"e\":-1}],\n\"B\":null,\"\":false}",
    )
    .unwrap();
    assert_eq!(canonical(&read), one);
    for scalar in ["null", "true", "12", "\"\\u0000\\\"\"", "\"é 换 / <\""] {
        let value: Value = serde_json::from_str(scalar).unwrap();
        assert_eq!(canonical(&value), scalar);
    }
}

#[test]
fn a_change_of_anything_in_the_chain_changes_the_hash() {
    let changes: [fn(&mut Event); 9] = [
        |event| event.merchant_id = MerchantId::parse("mer_other").unwrap(),
        |event| event.seq = 2,
        |event| event.at = event.at.plus_s(1),
        |event| event.kind = EventKind::Activated,
        |event| event.policy = 2,
        |event| {
            event.data.insert("c".to_owned(), Value::Null);
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
fn notices_and_the_hash_itself_are_not_part_of_the_chain() {
    let mut sent = event();
    sent.hash = "something".to_owned();
    sent.notices.push(Notification {
        to: crate::transition::Recipient::OnFile,
        phone: "+8613900000001".to_owned(),
    });
    assert_eq!(hash(&sent), hash(&event()));
}
