//! The operator's API, in process: who may call, what two persons decide, and what the histories tell.

#![recursion_limit = "256"] // nested futures
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod budgets;
mod erasure;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::decide::BankAnswer;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::operator::{Actor, AuditEntry, Grounds, ReasonCode, UNMASK_READ_S};
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::item::Item;
use tests::in_process::InProcess;
use tests::log::Log;
use tests::merchant::{GOOD_CARD, Merchant, merchant};
use tests::new_merchants::{card_number, new_merchant};
use tests::operators::{
    OPERATIONS, PERSON_CALLS_MAX, Person, REGISTRY, SECURITY, SUPPORT, approve, call, change,
    propose,
};
use tests::peer_faults::DroppedPart;
use tests::transport::{HttpCall, Transport as _};

const POLICY: &Policy = &Policy::CURRENT;
const MERCHANT: &str = "plain_1";
const ID: &str = "mer_plain_1";
const NEW_PHONE: &str = "+8613700000077";

async fn show(world: &Arc<InProcess>) -> Value {
    let call = call("GET", &format!("merchants/{ID}"));
    world.operate(&SUPPORT, call).await.ok(200)
}

async fn frozen(world: &Arc<InProcess>) -> Value {
    let freeze = change(&format!("acts/freeze/{ID}"), "f", &json!({}));
    world.operate(&SUPPORT, freeze).await.ok(200)
}

/// Proposes to unfreeze to the active card, and returns the id and the digest.
async fn unfreeze_proposed(world: &Arc<InProcess>) -> (String, String) {
    let active = show(world).await["active"]["card_id"].clone();
    let body = json!({"merchant_id": ID, "card_id": active});
    proposed(world, "unfreeze", &body).await
}

async fn proposed(world: &Arc<InProcess>, kind: &str, body: &Value) -> (String, String) {
    propose(world, &OPERATIONS, (kind, "p"), body).await
}

/// The audit chain of a person, entries in order.
async fn audit(world: &InProcess, person: &Person) -> Vec<Item> {
    let pk = format!("U#111122223333#{}", person.name.to_lowercase());
    let query = world.client.query().table_name(&world.table);
    let query = query.key_condition_expression("pk = :pk AND begins_with(sk, :e)");
    let query = query.expression_attribute_values(":pk", AttributeValue::S(pk));
    let query = query.expression_attribute_values(":e", AttributeValue::S("E#".to_owned()));
    query.send().await.unwrap().items.unwrap_or_default()
}

#[tokio::test]
async fn two_persons_end_a_freeze() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    assert_eq!(show(&world).await["frozen"], Value::Null);
    let shown = frozen(&world).await;
    assert_eq!(shown["frozen"]["holds_payouts"], true);
    app.get("/v1/cards")
        .await
        .refused(ErrorCode::SessionExpired);

    let proposal = unfreeze_proposed(&world).await;
    world.deliver_notifications().await;
    let texts = world.sms(&app.profile.phone).await;
    assert!(texts.last().unwrap().contains("解冻"), "{texts:?}");
    // The proposer is one person in every role.
    let same = Person {
        name: "WANG.WEI",
        ..SECURITY
    };
    let refused = approve(&world, &same, ("unfreeze", "a"), &proposal).await;
    refused.refused(ErrorCode::SecondPersonRequired);
    let other = (proposal.0.clone(), "0".repeat(64));
    let refused = approve(&world, &SECURITY, ("unfreeze", "b"), &other).await;
    refused.refused(ErrorCode::ProposalStale);
    // Permission for another kind approves nothing.
    let refused = approve(&world, &SECURITY, ("contact-change", "c"), &proposal).await;
    refused.refused(ErrorCode::NotFound);

    let approved = approve(&world, &SECURITY, ("unfreeze", "d"), &proposal).await;
    assert_eq!(approved.clone().ok(200)["frozen"], Value::Null);
    let again = approve(&world, &SECURITY, ("unfreeze", "d"), &proposal).await;
    assert!(again.is_replayed());
    assert_eq!(again.body, approved.body);
    let later = approve(&world, &SECURITY, ("unfreeze", "e"), &proposal).await;
    later.refused(ErrorCode::StepOutOfOrder);
    let app = world.log_in(MERCHANT).await;
    assert_eq!(app.get("/v1/cards").await.ok(200)["hold"], Value::Null);
}

#[tokio::test]
async fn history_names_the_operator_in_its_sealed_part_only() {
    let world = InProcess::start().await;
    frozen(&world).await;
    let proposal = unfreeze_proposed(&world).await;
    let approved = approve(&world, &SECURITY, ("unfreeze", "a"), &proposal).await;
    approved.ok(200);
    let events = call("GET", &format!("merchants/{ID}/events?after=0"));
    let events = world.operate(&SUPPORT, events).await.ok(200);
    let items = events["items"].as_array().unwrap();
    let kinds: Vec<_> = items.iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["frozen", "change_proposed", "unfrozen"]);
    let text = events.to_string();
    for name in ["li.na", "wang.wei", "zhao.min", "回电核实"] {
        assert!(!text.to_lowercase().contains(name), "{name}");
    }
    for event in items {
        assert!(event["personal_sha256"].is_string());
        assert_eq!(event["data"]["reason"], "owner_request");
    }
    let last = world.history(MERCHANT).await.pop().unwrap();
    assert_eq!(last.kind(), EventKind::Unfrozen);
    let profile = world.stored(MERCHANT).await.profile;
    let keys = world.keys();
    let (history_key, sealed) = (profile.history_key.unwrap(), last.personal.unwrap());
    let opened = keys.open_personal(ID, &history_key, &sealed).await.unwrap();
    let personal: Value = serde_json::from_str(opened.expose()).unwrap();
    assert_eq!(personal["actor"]["person"], "zhao.min");
    assert_eq!(personal["proposer"]["person"], "wang.wei");
    assert_eq!(personal["proposer"]["comment"], "回电核实");
}

#[tokio::test]
async fn only_sessions_of_operator_roles_are_accepted() {
    let world = InProcess::start().await;
    let key = "POST /operator/v1/acts/freeze/{id}";
    let freeze = || change(&format!("acts/freeze/{ID}"), "f", &json!({}));
    for (arn, route_key) in [
        ("", key),
        ("arn:aws:iam::111122223333:root", key),
        ("arn:aws:iam::111122223333:user/support", key),
        ("arn:aws:sts::111122223333:assumed-role/other/Li.Na", key),
        ("arn:aws:sts::444455556666:assumed-role/support/Li.Na", key),
    ] {
        let reply = world.operate_as(arn, route_key, freeze()).await;
        reply.refused(ErrorCode::OperatorUnknown);
    }
    let support = SUPPORT.arn();
    let unmatched = world.operate_as(&support, "$default", freeze()).await;
    unmatched.refused(ErrorCode::NotFound);
    // A merchant's token is nothing here, and an operator's path is nothing at the merchants' API.
    let app = world.log_in(MERCHANT).await;
    let with_token = freeze().token(&app.token);
    let reply = world.operate_as("", key, with_token).await;
    reply.refused(ErrorCode::OperatorUnknown);
    let elsewhere = world.http(freeze().at(world.now())).await;
    elsewhere.refused(ErrorCode::NotFound);
    assert_eq!(audit(&world, &SUPPORT).await, []);
    assert!(world.stored(MERCHANT).await.state.frozen.is_none());
}

#[tokio::test]
async fn every_call_has_grounds_and_a_place_in_the_chain() {
    let world = InProcess::start().await;
    let path = format!("/operator/v1/merchants/{ID}");
    let bare = HttpCall::new("GET", &path);
    let refused = world.operate(&SUPPORT, bare).await;
    let refused = refused.refused(ErrorCode::RequestMalformed);
    assert_eq!(refused["errors"].as_array().unwrap().len(), 2);
    let keyless = call("POST", &format!("acts/freeze/{ID}")).json(&json!({}));
    let refused = world.operate(&SUPPORT, keyless).await;
    refused.refused(ErrorCode::RequestMalformed);
    assert_eq!(audit(&world, &SUPPORT).await, []);

    show(&world).await;
    let unknown = call("GET", "merchants/mer_nobody");
    let unknown = world.operate(&SUPPORT, unknown).await;
    unknown.refused(ErrorCode::NotFound);
    frozen(&world).await;
    let chain = audit(&world, &SUPPORT).await;
    let calls = [
        ("GET /operator/v1/merchants/{id}", ID),
        ("GET /operator/v1/merchants/{id}", "mer_nobody"),
        ("POST /operator/v1/acts/freeze/{id}", ID),
    ];
    assert_eq!(chain.len(), calls.len());
    let mut prev_hash = "0".repeat(64);
    for ((item, (call, subject)), seq) in chain.iter().zip(calls).zip(1..) {
        let text = |name: &str| item[name].as_s().unwrap().clone();
        let at: i64 = item["at"].as_n().unwrap().parse().unwrap();
        let entry = AuditEntry {
            actor: Actor::new("111122223333", SUPPORT.name),
            at: Timestamp::from_epoch_s(at),
            call: call.to_owned(),
            subject: subject.to_owned(),
            grounds: Grounds {
                reason: ReasonCode::OwnerRequest,
                comment: "回电核实".to_owned(),
                ticket: Some("T-1".to_owned()),
            },
        };
        assert_eq!(text("prev_hash"), prev_hash);
        prev_hash = entry.hash(seq, &prev_hash);
        assert_eq!(text("hash"), prev_hash);
    }
}

#[tokio::test]
async fn reads_are_masked() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let profile = &app.profile;
    let account = json!({"account": "+86 139 0000 0001"});
    let found = call("POST", "lookups").json(&account);
    let found = world.operate(&SUPPORT, found).await.ok(200);
    assert_eq!(found, json!({"merchant_id": ID}));
    let unknown = call("POST", "lookups").json(&json!({"account": "nobody"}));
    let unknown = world.operate(&SUPPORT, unknown).await;
    unknown.refused(ErrorCode::NotFound);
    let shown = show(&world).await;
    assert_eq!(shown["phone_on_file_masked"], "139****0001");
    assert_eq!(shown["record_version"], 1);
    let text = shown.to_string();
    assert!(!text.contains(&profile.phone), "{text}");
    assert!(!text.contains(&profile.document_number), "{text}");
    let payouts = call("GET", "merchants/mer_plain_2/payouts");
    let payouts = world.operate(&SUPPORT, payouts).await.ok(200);
    assert_eq!(payouts["items"].as_array().unwrap().len(), 2);
    let payout = call("GET", "payouts/pay_sandbox_1");
    let payout = world.operate(&SUPPORT, payout).await.ok(200);
    assert_eq!(payout["merchant_id"], "mer_plain_2");
    let unknown = call("GET", "payouts/pay_unknown");
    let unknown = world.operate(&SUPPORT, unknown).await;
    unknown.refused(ErrorCode::NotFound);
}

#[tokio::test]
async fn two_persons_change_the_phone() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let old_phone = app.profile.phone.clone();
    let body = json!({"merchant_id": ID, "phone": "137 0000 0077"});
    let proposal = proposed(&world, "contact-change", &body).await;
    let shown = call("GET", &format!("proposals/{}", proposal.0));
    let shown = world.operate(&SECURITY, shown).await.ok(200);
    assert_eq!(shown["values"]["phone"], NEW_PHONE);
    let listed = call("GET", "proposals");
    let listed = world.operate(&SUPPORT, listed).await.ok(200);
    assert_eq!(listed["items"][0]["values"], Value::Null);
    assert_eq!(listed["items"][0]["state"], "open");
    world.deliver_notifications().await;
    let texts = world.sms(&old_phone).await;
    assert!(texts.last().unwrap().contains("变更"), "{texts:?}");
    assert_eq!(world.sms(NEW_PHONE).await, [""; 0]);

    let approved = approve(&world, &SECURITY, ("contact-change", "a"), &proposal).await;
    let shown = approved.ok(200);
    assert_eq!(shown["phone_on_file_masked"], "137****0077");
    assert_eq!(shown["previous_phone"]["phone_masked"], "139****0001");
    assert_eq!(
        (&shown["sessions"], &shown["record_version"]),
        (&json!(0), &json!(2))
    );
    world.deliver_notifications().await;
    assert_eq!(world.sms(NEW_PHONE).await.len(), 1);
    let event = world.history(MERCHANT).await.pop().unwrap();
    assert_eq!(event.data()["by"], "operator");
    app.get("/v1/cards")
        .await
        .refused(ErrorCode::SessionExpired);
}

#[tokio::test]
async fn changed_record_or_age_makes_a_proposal_stale() {
    let world = InProcess::start().await;
    let body = json!({"merchant_id": ID, "phone": NEW_PHONE});
    let first = proposed(&world, "contact-change", &body).await;
    let renewal = json!({"document_expires_on": "long_term"});
    let renewed = change(&format!("acts/renew-document/{ID}"), "r", &renewal);
    let renewed = world.operate(&SUPPORT, renewed).await;
    // The document of this merchant is valid for ever, so nothing is later.
    renewed.refused(ErrorCode::StepOutOfOrder);
    let name = json!({"merchant_id": ID, "legal_name": "测试商户一甲"});
    let propose = change("proposals/contact-change", "p2", &name);
    let second = world.operate(&OPERATIONS, propose).await.ok(201);
    let second = second["proposal_id"].as_str().unwrap().to_owned();
    let shown = call("GET", &format!("proposals/{second}"));
    let shown = world.operate(&SECURITY, shown).await.ok(200);
    let digest = shown["digest"].as_str().unwrap().to_owned();
    let approved = approve(
        &world,
        &SECURITY,
        ("contact-change", "a"),
        &(second, digest),
    )
    .await;
    approved.ok(200);
    let stale = approve(&world, &SECURITY, ("contact-change", "b"), &first).await;
    stale.refused(ErrorCode::ProposalStale);

    let body = json!({"merchant_id": "mer_plain_2", "phone": NEW_PHONE});
    let propose = change("proposals/contact-change", "p3", &body);
    let third = world.operate(&OPERATIONS, propose).await.ok(201);
    let id = third["proposal_id"].as_str().unwrap().to_owned();
    let shown = call("GET", &format!("proposals/{id}"));
    let shown = world.operate(&SECURITY, shown).await.ok(200);
    world.pass_s(POLICY.proposal_life_s);
    let digest = shown["digest"].as_str().unwrap().to_owned();
    let stale = approve(&world, &SECURITY, ("contact-change", "c"), &(id, digest)).await;
    stale.refused(ErrorCode::ProposalStale);
}

#[tokio::test]
async fn proposals_are_withdrawn_once() {
    let world = InProcess::start().await;
    frozen(&world).await;
    let proposal = unfreeze_proposed(&world).await;
    let path = format!("acts/withdraw/{}", proposal.0);
    let withdraw = |key| change(&path, key, &json!({}));
    world.operate(&SUPPORT, withdraw("w")).await.ok(204);
    let again = world.operate(&SUPPORT, withdraw("w")).await;
    assert!(again.is_replayed());
    let later = world.operate(&SUPPORT, withdraw("x")).await;
    later.refused(ErrorCode::StepOutOfOrder);
    let approved = approve(&world, &SECURITY, ("unfreeze", "a"), &proposal).await;
    approved.refused(ErrorCode::StepOutOfOrder);
    assert!(world.stored(MERCHANT).await.state.frozen.is_some());
}

#[tokio::test]
async fn idempotency_keys_belong_to_a_person() {
    let world = InProcess::start().await;
    let end = |body: Value| change(&format!("acts/end-sessions/{ID}"), "same", &body);
    let first = world.operate(&SUPPORT, end(json!({}))).await;
    let again = world.operate(&SUPPORT, end(json!({}))).await;
    assert!(again.is_replayed() && again.body == first.body);
    let other = world.operate(&OPERATIONS, end(json!({}))).await;
    assert!(!other.is_replayed());
    let history = world.history(MERCHANT).await;
    assert_eq!(history.len(), 2);
    let confirm = |rebind: &str| {
        let body = json!({"rebind_id": rebind});
        change(&format!("acts/confirm-notified/{ID}"), "k", &body)
    };
    let unknown = "rbd_000001bcdfghjklmnpqrst";
    let refused = world.operate(&SUPPORT, confirm(unknown)).await;
    refused.refused(ErrorCode::NotFound);
}

#[tokio::test]
async fn operator_freeze_undoes_a_running_activation() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let before = app.get("/v1/cards").await.ok(200)["active"]["card_id"].clone();
    app.activate(GOOD_CARD).await;
    let shown = frozen(&world).await;
    assert_eq!(shown["active"]["card_id"], before);
    assert_eq!(shown["latest_rebind"]["state"], "frozen");
    let proposal = unfreeze_proposed(&world).await;
    let approved = approve(&world, &SECURITY, ("unfreeze", "a"), &proposal).await;
    assert_eq!(approved.ok(200)["active"]["card_id"], before);
}

#[tokio::test]
async fn freeze_after_the_effect_ends_with_the_old_card() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let before = app.get("/v1/cards").await.ok(200)["active"]["card_id"].clone();
    app.activate(GOOD_CARD).await;
    world.deliver_notifications().await;
    world.pass_s(2 * DAY_S);
    world.clean_up().await;
    frozen(&world).await;
    let body = json!({"merchant_id": ID, "card_id": before});
    let proposal = proposed(&world, "unfreeze", &body).await;
    let approved = approve(&world, &SECURITY, ("unfreeze", "a"), &proposal).await;
    assert_eq!(approved.ok(200)["active"]["card_id"], before);
}

#[tokio::test]
async fn two_persons_register_a_core_key() {
    let world = InProcess::start().await;
    let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let body = json!({ "thumbprint": thumbprint });
    let proposal = proposed(&world, "core-key", &body).await;
    let same = approve(&world, &OPERATIONS, ("core-key", "a"), &proposal).await;
    same.refused(ErrorCode::SecondPersonRequired);
    let registered = || async { world.store().registered_core_keys().await.unwrap() };
    assert_eq!(registered().await, [""; 0]);
    let approved = approve(&world, &SECURITY, ("core-key", "b"), &proposal).await;
    assert_eq!(approved.ok(200)["state"], "approved");
    assert_eq!(registered().await, [thumbprint]);
    let again = approve(&world, &SECURITY, ("core-key", "b"), &proposal).await;
    assert!(again.is_replayed());
    let known = change("proposals/core-key", "q", &body);
    let known = world.operate(&OPERATIONS, known).await;
    known.refused(ErrorCode::StepOutOfOrder);
    for bad in [json!({}), json!({"thumbprint": "short"})] {
        let refused = change("proposals/core-key", "z", &bad);
        let refused = world.operate(&OPERATIONS, refused).await;
        refused.refused(ErrorCode::RequestMalformed);
    }
}

#[tokio::test]
async fn malformed_proposals_name_the_field() {
    let world = InProcess::start().await;
    let propose = async |kind: &str, body: Value| {
        let propose = change(&format!("proposals/{kind}"), "m", &body);
        let reply = world.operate(&OPERATIONS, propose).await;
        reply.body["errors"][0]["field"].clone()
    };
    let id = json!(ID);
    assert_eq!(
        propose("unfreeze", json!({"merchant_id": id})).await,
        "card_id"
    );
    assert_eq!(
        propose("unfreeze", json!({"card_id": null})).await,
        "merchant_id"
    );
    let both = json!({"merchant_id": id, "phone": NEW_PHONE, "legal_name": "甲"});
    assert!(propose("contact-change", both).await.is_string());
    let phone = json!({"merchant_id": id, "phone": "1"});
    assert_eq!(propose("contact-change", phone).await, "phone");
    let hash = json!({"merchant_id": id, "password_hash": "$2b$12$x"});
    assert_eq!(propose("contact-change", hash).await, "password_hash");
    let document = json!({"merchant_id": id, "document_number": "1"});
    assert_eq!(propose("contact-change", document).await, "document_number");
    assert!(world.history(MERCHANT).await.is_empty());
}

/// A merchant that the registry creates logs in, and a repetition with any key changes nothing.
#[tokio::test]
async fn registry_creates_a_merchant() {
    let world = InProcess::start().await;
    let (profile, line) = new_merchant("reg", 1);
    for key in ["c", "c", "another key"] {
        let create = change("registry/create", key, &line);
        let created = world.operate(&REGISTRY, create).await.ok(201);
        assert_eq!(created, json!({"merchant_id": profile.id}));
    }
    let first = &world.history("reg_1").await[0];
    assert_eq!(first.data()["by"], "registry");
    profile.set_clock(world.now());
    let app = Merchant::log_in(Arc::clone(&world), &profile, "a device").await;
    assert!(app.get("/v1/cards").await.ok(200)["active"].is_object());
    // Everything that is wrong, at once, and never a value.
    let mut wrong = new_merchant("reg", 2).1;
    wrong["phone_on_file"] = json!("123");
    wrong["tier"]["fee_rate_bp"] = json!(-1);
    wrong["nickname"] = json!("小明");
    let create = change("registry/create", "w", &wrong);
    let refused = world.operate(&REGISTRY, create).await;
    let refused = refused.refused(ErrorCode::RequestMalformed);
    let faults: Vec<_> = refused["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            (
                fault["field"].as_str().unwrap(),
                fault["fault"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("nickname", "UNKNOWN_MEMBER"),
        ("phone_on_file", "PHONE_FORMAT"),
        ("tier.fee_rate_bp", "MALFORMED"),
    ];
    assert_eq!(BTreeSet::from_iter(faults), expected.into());
    assert!(!refused.to_string().contains("小明"));
    // Nothing is overwritten.
    let mut other = line.clone();
    other["legal_name"] = json!("另一个");
    let create = change("registry/create", "o", &other);
    let refused = world.operate(&REGISTRY, create).await;
    let refused = refused.refused(ErrorCode::RequestMalformed);
    assert_eq!(refused["faults"][0]["fault"], "MERCHANT_EXISTS");
}

#[tokio::test]
async fn registry_changes_a_contact() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let path = format!("registry/contact-change/{ID}");
    let both = json!({"phone": NEW_PHONE, "legal_name": "测试"});
    let named = json!({"phone": NEW_PHONE, "merchant_id": ID});
    for malformed in [both, named] {
        let reply = world
            .operate(&REGISTRY, change(&path, "m", &malformed))
            .await;
        reply.refused(ErrorCode::RequestMalformed);
    }
    let changed = change(&path, "c", &json!({"phone": NEW_PHONE}));
    let shown = world.operate(&REGISTRY, changed).await.ok(200);
    assert_eq!(shown["phone_on_file_masked"], "137****0077");
    let event = world.history(MERCHANT).await.pop().unwrap();
    assert_eq!(event.data()["by"], "registry");
    world.deliver_notifications().await;
    let texts = world.sms(&app.profile.phone).await;
    assert!(texts.last().unwrap().contains("变更"), "{texts:?}");
    let blocked = app.get("/v1/cards").await;
    blocked.refused(ErrorCode::SessionExpired);
}

/// An operator lowers the tier, and with it the limit; only the registry raises it.
#[tokio::test]
async fn tier_falls_by_one_person_and_rises_by_the_registry() {
    let world = InProcess::start().await;
    let set = |path: &str, key: &str, fen: u64| {
        let body = json!({"daily_limit_max_fen": fen});
        change(&format!("{path}/{ID}"), key, &body)
    };
    let lower = |key: &str, fen| set("acts/lower-tier", key, fen);
    let lowered = world.operate(&SUPPORT, lower("a", 100_000)).await.ok(200);
    assert_eq!(lowered["daily_limit_max_fen"], 100_000);
    assert_eq!(lowered["settlement"]["daily_limit_fen"], 100_000);
    assert_eq!(lowered["record_version"], 2);
    let higher = world.operate(&SUPPORT, lower("b", 100_001)).await;
    higher.refused(ErrorCode::StepOutOfOrder);
    let nothing = world.operate(&SUPPORT, lower("c", 0)).await;
    nothing.refused(ErrorCode::RequestMalformed);
    let raise = set("registry/tier", "d", 9_000_000);
    let raised = world.operate(&REGISTRY, raise).await.ok(200);
    assert_eq!(raised["daily_limit_max_fen"], 9_000_000);
    let kinds: Vec<_> = world.history(MERCHANT).await;
    let by = kinds.iter().map(|event| event.data()["by"].clone());
    assert_eq!(by.collect::<Vec<_>>(), ["operator", "registry"]);
}

/// The caller has seen another version of the record. A repetition of what was done gets its reply nevertheless.
#[tokio::test]
async fn outdated_view_of_the_record_changes_nothing() {
    let world = InProcess::start().await;
    let lower = |key: &str, fen: u64, seen: &str| {
        let body = json!({"daily_limit_max_fen": fen});
        let lower = change(&format!("acts/lower-tier/{ID}"), key, &body);
        lower.header("if-match", seen)
    };
    let act = async |call| world.operate(&SUPPORT, call).await;
    for seen in ["1", "\"one\"", "*", "\"1"] {
        let malformed = act(lower("m", 5, seen)).await;
        malformed.refused(ErrorCode::RequestMalformed);
    }
    act(lower("a", 5, "\"1\"")).await.ok(200);
    let again = act(lower("a", 5, "\"1\"")).await;
    assert!(again.is_replayed());
    let outdated = act(lower("b", 4, "\"1\"")).await;
    outdated.refused(ErrorCode::RecordChanged);
    act(lower("c", 4, "\"2\"")).await.ok(200);
}

/// A closed account can be read, changes nothing any more, and holds what is not being paid.
#[tokio::test]
async fn closed_account_holds_payouts_and_refuses_changes() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let rebind = app.request(GOOD_CARD).await;
    let pay = |operation: &str, id: &str| {
        let mut event = json!({"operation": operation, "merchant_id": ID, "payout_id": id});
        if operation == "create_payout" {
            event["amount_fen"] = json!(5);
        }
        event
    };
    for id in ["pay_1", "pay_2"] {
        world.core(pay("create_payout", id)).await.unwrap();
    }
    world.core(pay("payout_sending", "pay_1")).await.unwrap();
    let close = change(&format!("registry/close/{ID}"), "c", &json!({}));
    let shown = world.operate(&REGISTRY, close).await.ok(200);
    assert!(shown["closed_at"].is_string());
    assert_eq!(shown["sessions"], 0);
    world.deliver_notifications().await;
    let texts = world.sms(&app.profile.phone).await;
    assert!(texts.last().unwrap().contains("已关闭"), "{texts:?}");
    let again = change(&format!("registry/close/{ID}"), "d", &json!({}));
    let again = world.operate(&REGISTRY, again).await;
    again.refused(ErrorCode::StepOutOfOrder);

    // What was being paid is paid; nothing else is.
    world.core(pay("payout_sent", "pay_1")).await.unwrap();
    let held = world
        .core(pay("payout_sending", "pay_2"))
        .await
        .unwrap_err();
    assert_eq!(held.code, ErrorCode::AccountFrozen);
    let new = world.core(pay("create_payout", "pay_3")).await.unwrap();
    assert_eq!(new["held"], true);
    app.get(&rebind).await.refused(ErrorCode::SessionExpired);
    let app = world.log_in(MERCHANT).await;
    assert_eq!(app.get(&rebind).await.ok(200)["state"], "cancelled");
    let request = app.request_body(GOOD_CARD);
    assert_eq!(
        app.get("/v1/cards").await.ok(200)["blocked_by"],
        "ACCOUNT_FROZEN"
    );
    let refused = app.keyed("after", "/v1/rebinds", request).await;
    refused.refused(ErrorCode::AccountFrozen);
}

#[tokio::test]
async fn two_persons_close_an_account() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let body = json!({"merchant_id": ID});
    let proposal = proposed(&world, "close", &body).await;
    world.deliver_notifications().await;
    let texts = world.sms(&app.profile.phone).await;
    assert!(texts.last().unwrap().contains("关闭"), "{texts:?}");
    let approved = approve(&world, &SECURITY, ("close", "a"), &proposal).await;
    assert!(approved.ok(200)["closed_at"].is_string());
    let event = world.history(MERCHANT).await.pop().unwrap();
    assert_eq!(
        event.data(),
        json!({"by": "operator", "reason": "owner_request"})
            .as_object()
            .unwrap()
    );
}

/// The owner has typed a wrong password too often. Support clears the failures, and sets no password.
#[tokio::test]
async fn cleared_logins_let_the_owner_in() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    let login = |password: &str| {
        let body =
            json!({"account": app.profile.account, "password": password, "device_id": "dev-1"});
        HttpCall::new("POST", "/v1/sessions")
            .json(&body)
            .at(world.now())
    };
    for _ in 0..4 {
        world.http(login("wrong")).await;
    }
    let blocked = world.http(login(&app.profile.password)).await;
    blocked.refused(ErrorCode::AuthThrottled);
    let clear = change(&format!("acts/clear-logins/{ID}"), "c", &json!({}));
    for _ in 0..2 {
        world.operate(&SUPPORT, clear.clone()).await.ok(200);
    }
    world.http(login(&app.profile.password)).await.ok(201);
    let refused = world.http(login("wrong")).await;
    assert_eq!(refused.status, 401);
    let kinds: Vec<_> = world.history(MERCHANT).await;
    let cleared = kinds
        .iter()
        .filter(|event| event.kind() == EventKind::LoginsCleared);
    assert_eq!(cleared.count(), 1);
}

/// SNS fails, so the owner does not hear of the freeze. An operator sees it and sends the message again.
#[tokio::test]
async fn failed_notification_is_sent_again() {
    let world = InProcess::start().await;
    world.stop_stream();
    let phone = merchant(MERCHANT).phone;
    frozen(&world).await;
    world.peer_calls.fail(1, DroppedPart::Request);
    world.deliver_due().await;
    let _ = world.peer_calls.take();
    let events = call("GET", &format!("merchants/{ID}/events"));
    let events = world.operate(&SUPPORT, events).await.ok(200);
    assert_eq!(events["items"][0]["not_handed_over"], json!(["on_file"]));
    let resend = async |key: &str, sequence: u64| {
        let body = json!({"sequence": sequence});
        let resend = change(&format!("acts/resend/{ID}"), key, &body);
        world.operate(&SUPPORT, resend).await
    };
    resend("a", 99).await.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(world.sms(&phone).await.len(), 0);
    resend("b", 1).await.ok(204);
    // It is on its way, then it was sent.
    resend("c", 1).await.refused(ErrorCode::StepOutOfOrder);
    world.deliver_due().await;
    assert_eq!(world.sms(&phone).await.len(), 1);
    resend("d", 1).await.refused(ErrorCode::StepOutOfOrder);
    let overdue = world
        .operate(&SUPPORT, call("GET", "overdue"))
        .await
        .ok(200);
    assert_eq!(overdue, json!({"items": []}));
}

/// The clean-up did not run: what it would have done is listed.
#[tokio::test]
async fn overdue_work_is_listed() {
    let world = InProcess::start().await;
    let app = world.log_in(MERCHANT).await;
    app.request(GOOD_CARD).await;
    world.pass_s(POLICY.rebind_life_s + 2 * HOUR_S);
    let overdue = world
        .operate(&SUPPORT, call("GET", "overdue"))
        .await
        .ok(200);
    let items = overdue["items"].as_array().unwrap();
    let own = items.iter().find(|item| item["merchant_id"] == ID).unwrap();
    assert_eq!(
        (&own["kind"], &own["number"]),
        (&json!("rebind"), &json!(1))
    );
}

#[tokio::test]
async fn bank_is_asked_again_at_an_operators_request() {
    let (world, app) = InProcess::with(MERCHANT).await;
    let rebind = app.to_card_pending(GOOD_CARD).await;
    let id = rebind.rsplit('/').next().unwrap().to_owned();
    let ask = async |key: &str| {
        let ask = change(
            &format!("acts/ask-bank/{ID}"),
            key,
            &json!({"rebind_id": id}),
        );
        world.operate(&SUPPORT, ask).await
    };
    ask("a").await.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(show(&world).await["bank_question"], Value::Null);
    world.bank.script([None]);
    let unknown = app.check_card(&rebind).await;
    unknown.refused(ErrorCode::UpstreamUnknown);
    let question = show(&world).await["bank_question"].clone();
    assert_eq!(question["operation"], "card_check");
    assert_eq!(question["since"], question["asked_at"]);

    let serial = world.bank.serials().pop().unwrap();
    world.bank.decide(&serial, BankAnswer::DEBIT_MATCH);
    assert_eq!(world.clean_up().await.bank_answers, 0, "it is not due");
    ask("b").await.ok(204);
    assert_eq!(world.clean_up().await.bank_answers, 1);
    assert_eq!(show(&world).await["bank_question"], Value::Null);
    ask("c").await.refused(ErrorCode::StepOutOfOrder);
    let elsewhere = json!({"rebind_id": "rbd_0000ff0000000000000000"});
    let unknown = change(&format!("acts/ask-bank/{ID}"), "d", &elsewhere);
    let unknown = world.operate(&SUPPORT, unknown).await;
    unknown.refused(ErrorCode::NotFound);
}

/// The bank answers too few questions of a run. What the others are about is asked in the next one.
#[tokio::test]
async fn question_to_a_silent_bank_waits_for_the_next_run() {
    let world = InProcess::start().await;
    let mut serials = Vec::new();
    for number in 1..=4 {
        let app = world.log_in(&format!("plain_{number}")).await;
        let card = card_number(number);
        let rebind = app.to_card_pending(&card).await;
        world.bank.script([None]);
        let unknown = app.check_card(&rebind).await;
        unknown.refused(ErrorCode::UpstreamUnknown);
        serials.push(world.bank.serials().pop().unwrap());
        let id = rebind.rsplit('/').next().unwrap();
        let path = format!("acts/ask-bank/mer_plain_{number}");
        let ask = change(&path, "a", &json!({"rebind_id": id}));
        world.operate(&SUPPORT, ask).await.ok(204);
    }
    world.bank.set_silent(true);
    world.clean_up().await;
    world.bank.set_silent(false);
    for serial in serials {
        world.bank.decide(&serial, BankAnswer::DEBIT_MATCH);
    }
    assert_eq!(world.clean_up().await.bank_answers, 1);
}

#[tokio::test]
async fn many_calls_of_one_person_are_reported() {
    let world = InProcess::start().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let reported = || log.text().matches("operator.many_calls").count();
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let proposals = async |person: &Person, times: u32| {
        for _ in 0..times {
            let list = world.operate(person, call("GET", "proposals")).await;
            list.ok(200);
        }
    };
    // The whole hour is before this one.
    world.pass_s(HOUR_S - world.now().epoch_s() % HOUR_S);
    proposals(&SUPPORT, PERSON_CALLS_MAX).await;
    proposals(&SECURITY, 1).await;
    assert_eq!(reported(), 0);
    proposals(&SUPPORT, 2).await;
    assert_eq!(reported(), 2);
    world.pass_s(HOUR_S);
    proposals(&SUPPORT, 1).await;
    assert_eq!(reported(), 2);
}

/// Two persons decide; the proposer reads once, and soon.
#[tokio::test]
async fn unmasked_data_is_read_once_by_the_proposer() {
    let world = InProcess::start().await;
    let phone = merchant(MERCHANT).phone;
    frozen(&world).await;
    let proposal = proposed(&world, "unmask", &json!({"merchant_id": ID})).await;
    let path = format!("acts/read-unmasked/{}", proposal.0);
    let read_with = async |person: &Person, key| {
        let read = change(&path, key, &json!({}));
        world.operate(person, read).await
    };
    let read = async |person: &Person| read_with(person, "r").await;
    read(&OPERATIONS).await.refused(ErrorCode::StepOutOfOrder);
    let approved = approve(&world, &SECURITY, ("unmask", "a"), &proposal).await;
    let masked = approved.ok(200).to_string();
    assert!(!masked.contains(&phone), "{masked}");
    for other in [&SECURITY, &SUPPORT] {
        read(other).await.refused(ErrorCode::NotFound);
    }
    let shown = read(&OPERATIONS).await.ok(200);
    assert_eq!(shown["phone_on_file"], phone);
    assert_eq!(shown["legal_name"], "测试商户一");
    let events = shown["events"].as_array().unwrap();
    let sequences: Vec<_> = events
        .iter()
        .map(|event| event["sequence"].clone())
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    let first: Value = serde_json::from_str(events[0]["personal"].as_str().unwrap()).unwrap();
    assert_eq!(first["actor"]["person"], "li.na");
    let id = merchant(MERCHANT).document_number;
    assert!(!shown.to_string().contains(&id));
    // A reply that was lost can be read again, and only by the same call.
    assert_eq!(read(&OPERATIONS).await.ok(200), shown);
    let other = read_with(&OPERATIONS, "other").await;
    other.refused(ErrorCode::StepOutOfOrder);
    let kinds: Vec<_> = world.history(MERCHANT).await;
    assert_eq!(kinds.last().unwrap().kind(), EventKind::Unmasked);

    world.pass_s(1);
    let propose = change("proposals/unmask", "p2", &json!({"merchant_id": ID}));
    let made = world.operate(&OPERATIONS, propose).await.ok(201);
    let id = made["proposal_id"].as_str().unwrap().to_owned();
    let shown = call("GET", &format!("proposals/{id}"));
    let shown = world.operate(&SECURITY, shown).await.ok(200);
    let digest = shown["digest"].as_str().unwrap().to_owned();
    let late = (id, digest);
    approve(&world, &SECURITY, ("unmask", "b"), &late)
        .await
        .ok(200);
    world.pass_s(UNMASK_READ_S);
    let read = change(&format!("acts/read-unmasked/{}", late.0), "r2", &json!({}));
    let read = world.operate(&OPERATIONS, read).await;
    read.refused(ErrorCode::ProposalStale);
    let again = change(&path, "r", &json!({}));
    let again = world.operate(&OPERATIONS, again).await;
    again.refused(ErrorCode::ProposalStale);
}
