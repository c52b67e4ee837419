//! Operators: one person who plays two, a stolen role, and outsiders at the operator's API.

use crate::{NAME, refused};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::InProcess;
use tests::operators::{OPERATIONS, Person, SECURITY, SUPPORT, approve, call, change, propose};
use tests::transport::Transport as _;

const ID: &str = "mer_plain_1";
const PHONE: &str = "+8613700000066";
const KEY: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn new_phone() -> Value {
    json!({"merchant_id": ID, "phone": PHONE})
}

async fn phone_of(world: &InProcess) -> String {
    let profile = world.stored(NAME).await.profile;
    profile.phone_on_file.e164().to_owned()
}

async fn registered(world: &InProcess) -> Vec<String> {
    world.store().registered_core_keys().await.unwrap()
}

/// One person has two roles, and approves in one what they proposed in the other.
#[tokio::test]
async fn own_proposal_approved_under_another_role() {
    let world = InProcess::start().await;
    let proposal = propose(&world, &OPERATIONS, ("contact-change", "p"), &new_phone()).await;
    let same = Person {
        name: OPERATIONS.name,
        ..SECURITY
    };
    let approved = approve(&world, &same, ("contact-change", "a"), &proposal).await;
    refused(&approved, 403, "SECOND_PERSON_REQUIRED");
    assert_ne!(phone_of(&world).await, PHONE);
}

/// The same person, with another spelling of the session's name.
#[tokio::test]
async fn own_proposal_approved_under_another_spelling() {
    let world = InProcess::start().await;
    let body = json!({ "thumbprint": KEY });
    let proposal = propose(&world, &OPERATIONS, ("core-key", "p"), &body).await;
    let same = Person {
        name: "wANG.wEI",
        ..SECURITY
    };
    let approved = approve(&world, &same, ("core-key", "a"), &proposal).await;
    refused(&approved, 403, "SECOND_PERSON_REQUIRED");
    assert!(registered(&world).await.is_empty());
}

/// Another role of the account, whose policy permits everything, calls the API.
#[tokio::test]
async fn another_role_calls_the_operators_api() {
    let world = InProcess::start().await;
    for arn in [
        "arn:aws:sts::111122223333:assumed-role/Administrator/Li.Na",
        "arn:aws:iam::111122223333:root",
        "",
    ] {
        let freeze = change(&format!("acts/freeze/{ID}"), "f", &json!({}));
        let key = "POST /operator/v1/acts/freeze/{id}";
        let reply = world.operate_as(arn, key, freeze).await;
        refused(&reply, 403, "OPERATOR_UNKNOWN");
    }
    assert!(world.stored(NAME).await.state.frozen.is_none());
}

/// A path that the gateway matched to a route of reads reaches an act.
#[tokio::test]
async fn act_sent_through_the_route_of_a_read() {
    let world = InProcess::start().await;
    let freeze = change(&format!("acts/freeze/{ID}"), "f", &json!({}));
    let key = "GET /operator/v1/merchants/{id}";
    world.operate_as(&SUPPORT.arn(), key, freeze).await;
    assert!(world.stored(NAME).await.state.frozen.is_none());
}

/// An approval that was given for the record of yesterday is used for the record of today.
#[tokio::test]
async fn approval_used_after_the_record_changed() {
    let world = InProcess::start().await;
    let proposal = propose(&world, &OPERATIONS, ("contact-change", "p"), &new_phone()).await;
    let name = json!({"merchant_id": ID, "legal_name": "测试商户一甲"});
    let other = propose(&world, &OPERATIONS, ("contact-change", "q"), &name).await;
    let changed = approve(&world, &SECURITY, ("contact-change", "a"), &other).await;
    changed.ok(200);
    let approved = approve(&world, &SECURITY, ("contact-change", "b"), &proposal).await;
    refused(&approved, 409, "PROPOSAL_STALE");
    assert_ne!(phone_of(&world).await, PHONE);
}

/// The approver is shown harmless values, and approves others.
#[tokio::test]
async fn other_values_approved_than_were_shown() {
    let world = InProcess::start().await;
    let harmless = json!({"merchant_id": ID, "phone": "+8613900000055"});
    let (_, shown) = propose(&world, &OPERATIONS, ("contact-change", "p"), &harmless).await;
    let (id, _) = propose(&world, &OPERATIONS, ("contact-change", "q"), &new_phone()).await;
    let approved = approve(&world, &SECURITY, ("contact-change", "a"), &(id, shown)).await;
    refused(&approved, 409, "PROPOSAL_STALE");
    assert_ne!(phone_of(&world).await, PHONE);
}

/// A key was registered, and removed again. The old approval is sent once more.
#[tokio::test]
async fn approval_replayed_to_register_a_removed_key() {
    let world = InProcess::start().await;
    let body = json!({ "thumbprint": KEY });
    let first = propose(&world, &OPERATIONS, ("core-key", "p"), &body).await;
    let approved = approve(&world, &SECURITY, ("core-key", "a"), &first).await;
    approved.ok(200);
    let body = json!({"thumbprint": KEY, "remove": true});
    let second = propose(&world, &OPERATIONS, ("core-key", "q"), &body).await;
    let approved = approve(&world, &SECURITY, ("core-key", "b"), &second).await;
    approved.ok(200);
    let again = approve(&world, &SECURITY, ("core-key", "c"), &first).await;
    refused(&again, 409, "STEP_OUT_OF_ORDER");
    assert!(registered(&world).await.is_empty());
}

/// Who may approve one kind of proposals approves another kind.
#[tokio::test]
async fn permission_for_one_kind_used_for_another() {
    let world = InProcess::start().await;
    let proposal = propose(&world, &OPERATIONS, ("contact-change", "p"), &new_phone()).await;
    let approved = approve(&world, &SECURITY, ("unfreeze", "a"), &proposal).await;
    refused(&approved, 404, "NOT_FOUND");
    assert_ne!(phone_of(&world).await, PHONE);
}

/// A stolen role of support reads one merchant after the other.
#[tokio::test]
async fn merchants_read_without_a_trace() {
    let world = InProcess::start().await;
    let before = world.items_in("U#111122223333#li.na").await;
    for id in ["mer_plain_1", "mer_plain_2"] {
        let show = call("GET", &format!("merchants/{id}"));
        world.operate(&SUPPORT, show).await.ok(200);
    }
    let after = world.items_in("U#111122223333#li.na").await;
    assert_eq!((before, after), (0, 3)); // two entries, and the end of the chain
}

/// Two persons of the acquirer conspire. The owner hears of it before it happens.
#[tokio::test]
async fn change_of_phone_prepared_behind_the_owners_back() {
    let world: Arc<InProcess> = InProcess::start().await;
    let owner = phone_of(&world).await;
    propose(&world, &OPERATIONS, ("contact-change", "p"), &new_phone()).await;
    world.deliver_notifications().await;
    assert_eq!(world.sms(&owner).await.len(), 1);
}
