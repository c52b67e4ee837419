//! New merchants: created as a whole or not at all, once, and never over anything that exists.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use api::operator::NewMerchant;
use application::crypto::Keys;
use domain::contact::{ContactChange, ContactValue, PreviousPhoneRule};
use domain::decide::Command;
use domain::event_kind::EventKind;
use domain::onboarding::{CreatedBy, Fault, FieldFault, Onboarding};
use domain::pii::Phone;
use domain::policy::{DAY_S, Policy};
use jose::jwe::encrypt;
use jose::jwk::EncryptionKey;
use jose::receiver::Receiver;
use rebindctl::import::direct::Direct;
use rebindctl::import::lines::Lines;
use rebindctl::import::{CardKey, Format, Plan, Report, Summary, run};
use serde_json::{Value, json};
use std::sync::Arc;
use store::onboard::{OnboardError, Onboarded};
use tests::in_process::{App, InProcess};
use tests::merchant::{DEVICE, Merchant, Profile, merchant};
use tests::new_merchants::{card_number, new_merchant};
use tests::scripted_peers::MemoryKeys;
use tests::table_faults::Fault as TableFault;

/// The stored items, in a comparable form.
async fn items(world: &InProcess) -> Vec<String> {
    let items = world.items().await.into_iter();
    let mut items: Vec<String> = items
        .map(|item| {
            let mut attributes: Vec<String> = item
                .iter()
                .map(|(name, value)| format!("{name} {value:?}"))
                .collect();
            attributes.sort();
            attributes.join(" ")
        })
        .collect();
    items.sort();
    items
}

fn read(world: &InProcess, line: &Value) -> Onboarding {
    let new = NewMerchant::from_json(line.to_string().as_bytes()).unwrap();
    new.read(&Policy::CURRENT, world.now()).unwrap()
}

async fn onboard_with(
    world: &InProcess,
    keys: &Keys<MemoryKeys>,
    line: &Value,
) -> Result<Onboarded, OnboardError> {
    let new = read(world, line);
    let store = world.store();
    let created = store.onboard(keys, &new, CreatedBy::Registry, world.now());
    let created = created.await;
    let _ = world.boundary.take();
    created
}

async fn onboard(world: &InProcess, line: &Value) -> Result<Onboarded, OnboardError> {
    onboard_with(world, &world.keys(), line).await
}

async fn create(world: &InProcess, line: &Value) {
    assert_eq!(onboard(world, line).await.unwrap(), Onboarded::Created);
}

/// Expects this refusal and that nothing is written.
async fn refuse(world: &InProcess, line: &Value, field: &str, fault: Fault) {
    let before = items(world).await;
    match onboard(world, line).await {
        Err(OnboardError::Refused(faults)) => {
            assert_eq!(faults, [FieldFault::new(field, fault)]);
        }
        other => panic!("{field} {fault}: {other:?}"),
    }
    assert!(
        items(world).await == before,
        "{field}: something is written"
    );
}

async fn log_in(world: &Arc<InProcess>, profile: &Profile) -> App {
    profile.set_clock(world.now());
    Merchant::log_in(Arc::clone(world), profile, DEVICE).await
}

#[tokio::test]
async fn new_merchant_logs_in_and_changes_the_card() {
    let world = InProcess::start().await;
    let (profile, line) = new_merchant("new", 1);
    create(&world, &line).await;
    let first = world.history("new_1").await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].kind(), EventKind::MerchantCreated);
    assert_eq!(first[0].data()["by"], "registry");
    let app = log_in(&world, &profile).await;
    let cards = app.get("/v1/cards").await.ok(200);
    let last4 = profile.active_card.as_ref().unwrap()[15..].to_owned();
    assert_eq!(cards["active"]["last4"], last4);
    assert!(world.history("new_1").await.len() > 1);
}

#[tokio::test]
async fn repetition_is_recognised_after_changes() {
    let world = InProcess::start().await;
    let (profile, mut line) = new_merchant("new", 1);
    create(&world, &line).await;
    log_in(&world, &profile).await;
    let change = ContactChange {
        value: ContactValue::Phone(Phone::parse("13800000001").unwrap()),
        by: "operator-17".to_owned(),
        reason: "new SIM card".to_owned(),
        previous_phone: PreviousPhoneRule::Keep,
    };
    let command = Command::ChangeContact(Box::new(change));
    world.operator("new_1", command).await;
    let before = items(&world).await;
    // Another spelling of the same content.
    line["account"] = json!(format!(" {} ", profile.account));
    line["id_document"]["expires_on"] = json!("9999-12-31");
    line["migration"] = json!({});
    for _ in 0..2 {
        let again = onboard(&world, &line).await.unwrap();
        assert_eq!(again, Onboarded::AlreadyThere);
    }
    assert!(items(&world).await == before);
}

#[tokio::test]
async fn each_kind_of_duplicate_is_refused_by_field() {
    let world = InProcess::start().await;
    let (profile, line) = new_merchant("new", 1);
    create(&world, &line).await;
    let (_, other) = new_merchant("new", 2);
    let with = |member: &str, value: Value| {
        let mut other = other.clone();
        other[member] = value;
        other
    };
    let same_id = with("merchant_id", line["merchant_id"].clone());
    refuse(&world, &same_id, "merchant_id", Fault::MerchantExists).await;
    // A merchant of the test world has no content to compare.
    let seeded = with("merchant_id", json!("mer_plain_1"));
    refuse(&world, &seeded, "merchant_id", Fault::MerchantExists).await;
    let (head, tail) = profile.account.split_at(3);
    let folded = format!("{head}\u{200B} {tail}");
    for account in [folded.as_str(), "+86 139-0000-0001"] {
        let taken = with("account", json!(account));
        refuse(&world, &taken, "account", Fault::AccountTaken).await;
    }
    for number in [
        line["card"]["number"].as_str().unwrap(),
        merchant("plain_1").active_card.as_deref().unwrap(),
    ] {
        let taken = with("card", json!({ "number": number }));
        refuse(&world, &taken, "card.number", Fault::CardBoundElsewhere).await;
    }
    create(&world, &other).await;
}

#[tokio::test]
async fn card_of_the_same_person_gets_a_second_holder() {
    let world = InProcess::start().await;
    let (_, line) = new_merchant("new", 1);
    let (_, mut other) = new_merchant("new", 2);
    other["card"] = line["card"].clone();
    other["id_document"] = line["id_document"].clone();
    create(&world, &line).await;
    create(&world, &other).await;
    let stored = world.items().await;
    let holders = stored.iter().filter_map(|item| item.get("holders"));
    let lengths: Vec<usize> = holders.map(|value| value.as_ss().unwrap().len()).collect();
    assert_eq!(lengths.iter().filter(|length| **length == 2).count(), 1);
}

fn payouts(count: u32, now: domain::time::Timestamp) -> Value {
    let payout = |number| {
        json!({
            "payout_id": format!("pay_new_{number}"),
            "amount_fen": 100 + number,
            "created_at": now.to_rfc3339_shanghai(),
        })
    };
    (0..count).map(payout).collect()
}

#[tokio::test]
async fn payouts_come_with_the_merchant() {
    let world = InProcess::start().await;
    let (profile, mut line) = new_merchant("new", 1);
    line["migration"] = json!({"unsent_payouts": payouts(40, world.now())});
    create(&world, &line).await;
    let app = log_in(&world, &profile).await;
    let listed = app.get("/v1/payouts").await.ok(200);
    assert_eq!(listed["items"][0]["status"], "unsent");
    assert_eq!(listed["items"][0]["held"], false);
    let operation = json!({"operation": "payout_sent", "payout_id": "pay_new_3"});
    assert!(world.core(operation).await.is_err(), "not yet sending");
    assert_eq!(world.stored("new_1").await.state.active.unwrap().unsent, 40);

    let (_, mut other) = new_merchant("new", 2);
    let mut list = payouts(2, world.now());
    list[0]["payout_id"] = json!("pay_other");
    other["migration"] = json!({ "unsent_payouts": list });
    let field = "migration.unsent_payouts[1].payout_id";
    refuse(&world, &other, field, Fault::PayoutExists).await;
}

#[tokio::test]
async fn held_payouts_get_their_card_after_the_hold() {
    let world = InProcess::start().await;
    let (_, mut line) = new_merchant("new", 1);
    let at = |days| world.now().plus_s(days * DAY_S).to_rfc3339_shanghai();
    line["migration"] = json!({
        "cooldown_until": at(5),
        "hold_until": at(1),
        "unsent_payouts": payouts(2, world.now()),
    });
    create(&world, &line).await;
    assert_eq!(world.stored("new_1").await.state.held_payouts, 2);
    world.clean_up().await;
    assert_eq!(world.stored("new_1").await.state.held_payouts, 2);
    world.pass_s(DAY_S);
    world.clean_up().await;
    let state = world.stored("new_1").await.state;
    assert_eq!((state.held_payouts, state.active.unwrap().unsent), (0, 2));
    assert_eq!(world.count("new_1", "payout_assigned").await, 2);
    world.pass_s(5 * DAY_S);
    world.clean_up().await;
    assert_eq!(world.count("new_1", "cooldown_ended").await, 1);
}

#[tokio::test]
async fn replaced_card_is_paid_during_the_hold_and_removed() {
    let world = InProcess::start().await;
    let (profile, mut line) = new_merchant("new", 1);
    let at = |days| world.now().plus_s(days * DAY_S).to_rfc3339_shanghai();
    let old = card_number(900);
    line["migration"] = json!({
        "cooldown_until": at(5),
        "hold_until": at(1),
        "replaced_card": {"number": old},
    });
    create(&world, &line).await;
    let app = log_in(&world, &profile).await;
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["hold"]["paying_card"]["last4"], old[15..]);
    assert_eq!(cards["can_rebind"], false);
    world.pass_s(DAY_S + Policy::CURRENT.retire_after_effective_s);
    world.clean_up().await;
    assert!(world.stored("new_1").await.state.replaced.is_empty());
    assert_eq!(world.count("new_1", "card_removed").await, 1);
}

#[tokio::test]
async fn nothing_is_half_done_after_a_fault() {
    for fault in [
        TableFault::RequestLost,
        TableFault::ReplyLost,
        TableFault::Throttled,
        TableFault::CancelledForThroughput,
        TableFault::Conflict,
        TableFault::Failed,
        TableFault::FailedAndDone,
        TableFault::Unavailable,
    ] {
        // The first call only reads; no transaction is cancelled.
        let calls = if fault == TableFault::CancelledForThroughput {
            2..=2
        } else {
            1..=2
        };
        for call in calls {
            let world = InProcess::start().await;
            let (_, line) = new_merchant("new", 1);
            let before = world.items().await.len();
            world.boundary.fail(call, fault);
            let first = onboard(&world, &line).await;
            let met = world.boundary.calm();
            let stored = world.items().await.len() - before;
            // Profile, account, state, event, card and the holders of its number.
            assert!(stored == 0 || stored == 6, "{fault:?} {call}: {stored}");
            if met > 0 && fault != TableFault::Conflict {
                assert!(first.is_err(), "{fault:?} {call}");
            }
            let again = onboard(&world, &line).await.unwrap();
            let expected = if stored == 0 {
                Onboarded::Created
            } else {
                Onboarded::AlreadyThere
            };
            assert_eq!(again, expected, "{fault:?} {call}");
            assert_eq!(world.items().await.len() - before, 6);
        }
    }
}

#[tokio::test]
async fn same_merchant_at_once_is_created_once() {
    for seed in 0..10 {
        let world = InProcess::start().await;
        let (_, line) = new_merchant("new", 1);
        world.boundary.disturb(seed, 20);
        let all = futures::future::join_all((0..8).map(|_| onboard(&world, &line))).await;
        let created = |one: &Result<Onboarded, OnboardError>| matches!(one, Ok(Onboarded::Created));
        assert_eq!(all.iter().filter(|one| created(one)).count(), 1, "{all:?}");
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    }
}

#[tokio::test]
async fn rotation_finds_what_the_previous_key_stored() {
    let world = InProcess::start().await;
    let (profile, line) = new_merchant("new", 1);
    create(&world, &line).await;
    let rotating = Keys::new(world.key_service().rotating());
    let again = onboard_with(&world, &rotating, &line).await.unwrap();
    assert_eq!(again, Onboarded::AlreadyThere);
    let (_, mut other) = new_merchant("new", 2);
    other["account"] = json!(profile.account);
    other["card"] = line["card"].clone();
    match onboard_with(&world, &rotating, &other).await {
        Err(OnboardError::Refused(faults)) => {
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, ["account", "card.number"]);
        }
        other => panic!("{other:?}"),
    }
    // The same person may have the card under the new key.
    other["account"] = json!("another");
    other["id_document"] = line["id_document"].clone();
    let created = onboard_with(&world, &rotating, &other).await.unwrap();
    assert_eq!(created, Onboarded::Created);
    // Without the previous key, a repetition cannot be told from another content.
    let after = Keys::new(world.key_service().in_versions(2, false));
    let refused = onboard_with(&world, &after, &line).await;
    assert!(matches!(refused, Err(OnboardError::Refused(_))));
}

async fn import(world: &InProcess, text: &str) -> (Summary, String) {
    import_with(world, text, None).await
}

async fn import_with(
    world: &InProcess,
    text: &str,
    card_key: Option<&CardKey>,
) -> (Summary, String) {
    let clock = application::clock::wall_clock;
    let target = Direct::new("rebind", world.store(), world.keys(), clock);
    let mut output = Vec::new();
    let mut report: Report<_, Vec<u8>> = Report::new(&mut output, Format::Json, "m.jsonl");
    let plan = Plan {
        file: "m.jsonl",
        total_bytes: text.len() as u64,
        in_flight: 32,
        rate: None,
        dry_run: false,
        card_key,
        policy: &Policy::CURRENT,
        clock,
    };
    let lines = Lines::new(text.as_bytes());
    let never = std::future::pending();
    let summary = run(plan, lines, &target, None, &mut report, never).await;
    let _ = world.boundary.take();
    (summary.unwrap(), String::from_utf8(output).unwrap())
}

#[tokio::test]
async fn file_with_duplicates_creates_each_merchant_once() {
    let world = InProcess::start().await;
    let lines: Vec<Value> = (1..=3)
        .map(|number| new_merchant("new", number).1)
        .collect();
    let mut other = lines[1].clone();
    other["merchant_id"] = json!("mer_new_9");
    let mut file: Vec<String> = lines.iter().map(Value::to_string).collect();
    file.push(lines[0].to_string());
    file.push(other.to_string());
    let text = file.join("\r\n");
    let (summary, output) = import(&world, &text).await;
    assert_eq!(
        (summary.created, summary.already_there, summary.refused),
        (3, 1, 1)
    );
    assert!(output.contains("ACCOUNT_TAKEN"), "{output}");
    let (again, _) = import(&world, &text).await;
    assert_eq!(
        (again.created, again.already_there, again.refused),
        (0, 4, 1)
    );
    for number in 1..=3 {
        assert_eq!(world.history(&format!("new_{number}")).await.len(), 1);
    }
}

#[tokio::test]
async fn encrypted_card_number_is_the_same_content() {
    let world = InProcess::start().await;
    let receiver = Receiver::generate("import-1").unwrap();
    let public = EncryptionKey::read_set(&receiver.public_set()).unwrap();
    let key = CardKey::from(receiver);
    let (_, line) = new_merchant("new", 1);
    let number = line["card"]["number"].as_str().unwrap();
    let mut sealed = line.clone();
    sealed["card"]["number"] = json!(encrypt(&public[0], "text/plain", number.as_bytes()).unwrap());
    let schema: Value = serde_json::from_str(&committed("merchant.schema.json")).unwrap();
    assert!(jsonschema::is_valid(&schema, &sealed));
    let (closed, output) = import(&world, &sealed.to_string()).await;
    assert_eq!((closed.created, closed.refused), (0, 1));
    assert!(output.contains("CARD_ENCRYPTED"), "{output}");
    assert!(!output.contains(number), "{output}");
    let (opened, _) = import_with(&world, &sealed.to_string(), Some(&key)).await;
    assert_eq!(opened.created, 1);
    let (again, _) = import(&world, &line.to_string()).await;
    assert_eq!(again.already_there, 1);
    assert!(read(&world, &line).card.is_some());
    // The API has no key: it takes numbers.
    let new = NewMerchant::from_json(sealed.to_string().as_bytes()).unwrap();
    let faults = new.read(&Policy::CURRENT, world.now()).unwrap_err();
    assert_eq!(faults, [FieldFault::new("card.number", Fault::CardFormat)]);
}

/// A file of the repository.
fn committed(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/operator");
    std::fs::read_to_string(path.join(name)).unwrap()
}

#[tokio::test]
async fn example_file_is_imported() {
    let world = InProcess::start().await;
    let text = committed("merchants.example.jsonl");
    let schema: Value = serde_json::from_str(&committed("merchant.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let faults: Vec<String> = schema
            .iter_errors(&line)
            .map(|error| error.to_string())
            .collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    let (summary, output) = import(&world, &text).await;
    assert!(summary.is_complete(), "{output}");
    assert_eq!(summary.created, text.lines().count() as u64);
}

#[tokio::test]
async fn schema_knows_every_member() {
    let schema: Value = serde_json::from_str(&committed("merchant.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let (_, line) = new_merchant("new", 1);
    assert!(schema.is_valid(&line));
    for (member, value) in [
        ("merchant_id", json!("x")),
        ("password_hash", json!("password")),
        ("id_document", json!({"number": "x"})),
        ("other", json!(1)),
        ("card", json!({"number": 6_222_020})),
        ("tier", Value::Null),
    ] {
        let mut wrong = line.clone();
        wrong[member] = value;
        assert!(!schema.is_valid(&wrong), "{member}");
        let new = NewMerchant::from_json(wrong.to_string().as_bytes()).unwrap();
        assert!(
            new.read(&Policy::CURRENT, application::clock::wall_clock())
                .is_err()
        );
    }
}
