//! The checks can fail: they find every seeded mistake.

use crate::operators;
use crate::stories;
use crate::story::{Manners, Story};
use domain::policy::Policy;
use serde_json::{Value, json};
use tests::dynamodb_table::{Items, Key};
use tests::invariants::violations;
use tests::merchant::{GOOD_CARD, SECOND_CARD};

const POLICY: &Policy = &Policy::CURRENT;

/// An app that retries with another key gets another reply, and its merchant ends in another state.
#[test]
fn careless_client_is_found() {
    let only = ["POST rebinds", "POST identity/confirm, wrong"];
    let tally = stories::run_as("careless", Manners::Careless, &only, stories::proofs);
    let found = |step: &str| tally.wrong.iter().any(|wrong| wrong.contains(step));
    assert!(found("POST rebinds"), "a second rebind is requested");
    assert!(
        found("POST identity/confirm, wrong"),
        "a second attempt is reserved"
    );
}

/// A table that ignores transaction conditions lets a late write overwrite newer ones.
#[test]
fn detects_table_without_conditions() {
    let only = ["POST card-check/confirm"];
    let tally = stories::run_as("forgetful", Manners::Keyed, &only, async |story| {
        story.table.ignore_conditions();
        stories::proofs(story).await;
    });
    let late = tally.wrong.iter().filter(|wrong| wrong.contains("TooLate"));
    assert!(late.count() > 0, "a late write overwrites newer ones");
}

/// A merchant with one item of every kind: an active card and a replaced one with pending payouts, a standby card, a device,
/// an open rebind; two calls of an operator, and a proposal.
async fn one_of_everything(story: &Story) {
    let app = story.log_in().await;
    let target = json!({"platform": "apns", "token": "a-token"});
    app.put("/v1/push-targets/phone", target).await;
    app.standby(SECOND_CARD).await;
    story.world.pass_s(POLICY.code_gap_s + 1);
    app.activate(GOOD_CARD).await;
    story.deliver("deliver").await;
    for id in ["pay_1", "pay_2", "pay_3"] {
        story.payout("create_payout", "create_payout", id).await;
    }
    for id in ["pay_2", "pay_3"] {
        story.payout("payout_sending", "payout_sending", id).await;
    }
    story.payout("payout_sent", "payout_sent", "pay_2").await;
    story.world.pass_s(POLICY.cooldown_s);
    let app = story.log_in().await;
    app.request("6222020000009002007").await;
    operators::calls(story).await;
}

type Spoil = fn(&mut Items);

fn at(pk: &str, sk: &str) -> Key {
    (pk.to_owned(), sk.to_owned())
}

fn of_merchant(sk: &str) -> Key {
    at("M#mer_plain_1", sk)
}

/// The key with this prefix.
fn first(items: &Items, pk: &str, sk: &str) -> Key {
    let mut keys = items.keys();
    let found = keys.find(|key| key.0.starts_with(pk) && key.1.starts_with(sk));
    found.unwrap_or_else(|| panic!("no {pk} {sk}")).clone()
}

/// Changes the JSON value of an attribute.
fn change(items: &mut Items, key: &Key, attribute: &str, change: impl FnOnce(&mut Value)) {
    let text = &mut items.get_mut(key).unwrap()[attribute]["S"];
    let mut value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut value);
    *text = json!(value.to_string());
}

fn merchant_state(items: &mut Items, change_state: impl FnOnce(&mut Value)) {
    change(items, &of_merchant("Y"), "state", change_state);
}

fn rebind(items: &mut Items, number: u32, change_rebind: impl FnOnce(&mut Value)) {
    let key = of_merchant(&format!("R#{number:06x}"));
    change(items, &key, "state", change_rebind);
}

/// Each violates one of the invariants.
const SPOILS: &[(&str, Spoil)] = &[
    ("a missing event", |items| {
        items.remove(&of_merchant("E#0000000003"));
    }),
    ("an altered event", |items| {
        change(items, &of_merchant("E#0000000003"), "data", |data| {
            data["more"] = json!(1);
        });
    }),
    (
        "an event after the last one of the merchant state",
        |items| {
            let last = items[&of_merchant("E#0000000003")].clone();
            items.insert(of_merchant("E#0000000099"), last);
        },
    ),
    ("another last event in the merchant state", |items| {
        merchant_state(items, |state| state["seq"] = json!(3));
    }),
    ("a missing rebind", |items| {
        items.remove(&of_merchant("R#000002"));
    }),
    ("half of a transaction", |items| {
        rebind(items, 3, |rebind| rebind["ver"] = json!(9));
    }),
    ("two open rebinds", |items| {
        let stage = items[&of_merchant("R#000003")]["state"]["S"]
            .as_str()
            .unwrap();
        let stage: Value = serde_json::from_str(stage).unwrap();
        rebind(items, 2, |rebind| {
            for name in ["st", "exp"] {
                rebind[name] = stage[name].clone();
            }
        });
    }),
    ("another open rebind in the merchant state", |items| {
        merchant_state(items, |state| state["open"] = json!(2));
    }),
    ("a missing open rebind", |items| {
        merchant_state(items, |state| state["open"] = json!(7));
    }),
    ("an active card without its number", |items| {
        let item = items.get_mut(&of_merchant("R#000002")).unwrap();
        item.as_object_mut().unwrap().remove("number");
    }),
    ("a card attached twice", |items| {
        merchant_state(items, |state| {
            let active = state["act"].clone();
            state["stby"][0]["c"] = active["c"].clone();
        });
    }),
    ("a card without a rebind", |items| {
        merchant_state(items, |state| {
            state["act"]["fp"] = json!("another");
        });
    }),
    ("a first card without its number", |items| {
        let key = first(items, "M#mer_plain_1", "C#");
        items.remove(&key);
    }),
    ("the number of an unknown card", |items| {
        let key = first(items, "M#mer_plain_1", "C#");
        let item = items[&key].clone();
        items.insert(of_merchant("C#card_0000000000000000000000"), item);
    }),
    ("an active card that is on standby", |items| {
        merchant_state(items, |state| {
            let mut standby = state["stby"][0].clone();
            standby.as_object_mut().unwrap().remove("use");
            state["act"] = standby;
            state["stby"] = json!([]);
        });
    }),
    ("an activated standby card", |items| {
        merchant_state(items, |state| {
            let mut active = state["act"].clone();
            active["use"] = json!(1_700_000_000);
            state["stby"] = json!([active]);
            state.as_object_mut().unwrap().remove("act");
        });
    }),
    ("a cooldown of another activation", |items| {
        let state = items.get_mut(&of_merchant("Y")).unwrap();
        state["cooldown_until"]["N"] = json!("1900000000");
    }),
    ("an activation without an event", |items| {
        rebind(items, 2, |rebind| {
            rebind["id"] = json!("rbd_0000020000000000000000");
        });
    }),
    ("a pending payout counted twice", |items| {
        merchant_state(items, |state| state["rp"][0]["out"] = json!(2));
    }),
    ("a held payout is counted", |items| {
        merchant_state(items, |state| state["hd"] = json!(1));
    }),
    ("an unlisted payout", |items| {
        let key = first(items, "M#mer_plain_1", "P#");
        items.remove(&key);
    }),
    ("a payout without a record", |items| {
        items.remove(&at("O#pay_1", "O"));
    }),
    ("a completed payout in the list", |items| {
        change(items, &at("O#pay_1", "O"), "state", |payout| {
            payout["st"] = json!("sent");
        });
    }),
    ("an attached card that does not hold its number", |items| {
        let key = first(items, "F#", "F");
        items.remove(&key);
    }),
    ("a number held by an unknown card", |items| {
        let key = first(items, "F#", "F");
        let holders = items.get_mut(&key).unwrap()["holders"]["SS"].as_array_mut();
        holders
            .unwrap()
            .push(json!("mer_plain_1#card_00000a0000000000000000"));
    }),
    ("a number held by another person", |items| {
        let key = first(items, "F#", "F");
        items.get_mut(&key).unwrap()["person"]["S"] = json!("another");
    }),
    ("a device missing in the merchant state", |items| {
        merchant_state(items, |state| state["pt"] = json!([]));
    }),
    ("a device in the merchant state only", |items| {
        let key = first(items, "M#mer_plain_1", "N#");
        items.remove(&key);
    }),
    ("a due entry in a wrong bucket", |items| {
        let state = items.get_mut(&of_merchant("Y")).unwrap();
        state["due_bucket"]["S"] = json!("200001#0");
    }),
    ("a missing call of an operator", |items| {
        let key = first(items, "U#", "E#");
        items.remove(&key);
    }),
    ("an altered call of an operator", |items| {
        let key = first(items, "U#", "E#");
        items.get_mut(&key).unwrap()["subject"]["S"] = json!("mer_plain_2");
    }),
    ("a call after the end of an audit chain", |items| {
        let key = first(items, "U#", "Y");
        items.get_mut(&key).unwrap()["seq"]["N"] = json!("1");
    }),
    ("a proposal about an unknown merchant", |items| {
        let key = first(items, "V#", "");
        items.get_mut(&key).unwrap()["merchant_id"]["S"] = json!("mer_nobody");
    }),
    ("an item without an owner", |items| {
        items.insert(at("M#mer_nobody", "E#0000000001"), json!({}));
    }),
    ("an item of an unknown kind", |items| {
        items.insert(at("X#1", "X"), json!({}));
    }),
];

#[test]
fn every_spoiled_record_violates_a_rule() {
    stories::run("spoiled", async |story| {
        story.skim(one_of_everything(story)).await;
        let (whole, now) = (story.table.items(), story.world.now());
        assert_eq!(violations(&whole, now), Vec::<String>::new());
        for (what, spoil) in SPOILS {
            let mut items = (*whole).clone();
            spoil(&mut items);
            let found = violations(&items, now);
            assert!(!found.is_empty(), "{what}");
        }
    });
}
