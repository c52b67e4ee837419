//! `infra/openapi.yaml` says what the code does: its vocabularies are the code's, its examples are true, and no reply can
//! carry a member that is not described.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use api::problems;
use domain::agreement::ConsentId;
use domain::banner_code::BannerCode;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::history;
use domain::lang::Lang;
use domain::next_action::NextAction;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::openapi::{Contract, PROBLEM};

/// The operations of section 2 of the contract, all of them.
const OPERATIONS: [&str; 25] = [
    "delete /v1/push-targets/{id}",
    "delete /v1/sessions/current",
    "get /v1/cards",
    "get /v1/history",
    "get /v1/payouts",
    "get /v1/rebinds",
    "get /v1/rebinds/{id}",
    "get /v1/rebinds/{id}/agreement",
    "get /v1/settlement",
    "post /v1/cards/{card_id}/activate",
    "post /v1/cards/{card_id}/unbind",
    "post /v1/freezes",
    "post /v1/rebinds",
    "post /v1/rebinds/{id}/agreement",
    "post /v1/rebinds/{id}/cancel",
    "post /v1/rebinds/{id}/card-check",
    "post /v1/rebinds/{id}/card-check/code",
    "post /v1/rebinds/{id}/card-check/confirm",
    "post /v1/rebinds/{id}/identity",
    "post /v1/rebinds/{id}/identity/code",
    "post /v1/rebinds/{id}/identity/confirm",
    "post /v1/rebinds/{id}/test-transaction",
    "post /v1/sessions",
    "put /v1/push-targets/{id}",
    "put /v1/settlement",
];

/// Those that anybody may call.
const OPEN: [&str; 2] = ["post /v1/freezes", "post /v1/sessions"];

/// Those that want a login younger than 15 minutes, or a proof as fresh.
const FRESH: [&str; 10] = [
    "put /v1/push-targets/{id}",
    "delete /v1/push-targets/{id}",
    "post /v1/cards/{card_id}/activate",
    "post /v1/cards/{card_id}/unbind",
    "post /v1/rebinds",
    "post /v1/rebinds/{id}/card-check",
    "post /v1/rebinds/{id}/card-check/code",
    "post /v1/rebinds/{id}/card-check/confirm",
    "post /v1/rebinds/{id}/identity/confirm",
    "put /v1/settlement",
];

/// The one object whose members are not listed: what an event says depends on its kind.
const EVENT_DATA: &str = "/components/schemas/Event/properties/data";

fn contract() -> Contract {
    Contract::load().unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    let words = value
        .as_array()
        .unwrap_or_else(|| panic!("a list, not {value}"));
    words.iter().map(|word| word.as_str().unwrap()).collect()
}

fn schema_words<'a>(contract: &'a Contract, name: &str) -> Vec<&'a str> {
    strings(&contract.document()["components"]["schemas"][name]["enum"])
}

/// Calls `visit` with every object of the document and the pointer to it.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    match value {
        Value::Object(members) => {
            visit(at, value);
            for (name, member) in members {
                walk(
                    member,
                    &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                    visit,
                );
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), visit);
            }
        }
        _ => {}
    }
}

/// Examples are data: what stands in them is no part of the description.
fn is_example(at: &str) -> bool {
    at.contains("/example")
}

struct Operation<'a> {
    name: String,
    method: &'a str,
    parameters: Vec<&'a Value>,
    operation: &'a Value,
    /// Status -> response.
    responses: BTreeMap<&'a str, &'a Value>,
}

/// The names between braces in the path of an operation.
fn path_parameters(operation: &str) -> BTreeSet<&str> {
    operation
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

fn operations(contract: &Contract) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in contract.document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            let lists = [&item["parameters"], &operation["parameters"]];
            operations.push(Operation {
                name: format!("{method} {path}"),
                method,
                parameters: lists
                    .iter()
                    .filter_map(|list| list.as_array())
                    .flatten()
                    .map(|parameter| contract.resolve(parameter).unwrap())
                    .collect(),
                operation,
                responses: operation["responses"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(status, response)| {
                        (status.as_str(), contract.resolve(response).unwrap())
                    })
                    .collect(),
            });
        }
    }
    operations
}

fn otp_of(problem: &Value) -> ErrorCode {
    problem["code"].as_str().unwrap().parse().unwrap()
}

/// Whether a key is the code, or the code and what is special about this example of it.
fn is_named_after(key: &str, code: ErrorCode) -> bool {
    key.strip_prefix(code.as_str())
        .is_some_and(|special| special.is_empty() || special.starts_with('_'))
}

/// The codes that a response can carry, by its schema.
fn codes_of(response: &Value) -> Vec<ErrorCode> {
    let narrowed =
        &response["content"][PROBLEM]["schema"]["allOf"][1]["properties"]["code"]["enum"];
    strings(narrowed)
        .iter()
        .map(|code| code.parse().unwrap())
        .collect()
}

#[test]
fn every_reference_points_to_something() {
    let contract = contract();
    let mut referred = BTreeSet::new();
    walk(contract.document(), "", &mut |at, object| {
        if let Some(reference) = object["$ref"].as_str() {
            assert!(contract.resolve(object).is_ok(), "{at}: {reference}");
            referred.insert(reference);
        }
    });
    for (kind, components) in contract.document()["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(
                kind == "securitySchemes" || referred.contains(reference.as_str()),
                "nothing uses {reference}"
            );
        }
    }
}

#[test]
fn every_example_is_valid() {
    let contract = contract();
    let mut checked = 0;
    let mut check = |at: &str, schema: &Value, instance: &Value| {
        checked += 1;
        contract
            .check(schema, instance)
            .unwrap_or_else(|error| panic!("{at}:\n{error}"));
    };
    walk(contract.document(), "", &mut |at, object| {
        if is_example(at) {
            return;
        }
        // A parameter, a header or a body ...
        if object.get("schema").is_some() {
            let single = object.get("example");
            let named = object["examples"]
                .as_object()
                .into_iter()
                .flat_map(|map| map.values());
            let named = named.map(|example| &contract.resolve(example).unwrap()["value"]);
            let before = single.is_some() || object["examples"].is_object();
            assert!(before, "{at} has no example");
            for instance in single.into_iter().chain(named) {
                check(at, &object["schema"], instance);
            }
        }
        // ... or a schema.
        for instance in object["examples"].as_array().into_iter().flatten() {
            check(at, object, instance);
        }
    });
    assert!(checked > 100, "{checked} examples");
}

/// A comma in an unquoted text of a `{ … }` begins a new member, with nothing in it.
#[test]
fn no_text_was_cut_at_a_comma() {
    let contract = contract();
    walk(contract.document(), "", &mut |at, object| {
        for (name, member) in object.as_object().unwrap() {
            assert!(is_example(at) || !member.is_null(), "{at}/{name}");
        }
    });
}

#[test]
fn nothing_can_be_said_that_is_not_described() {
    let contract = contract();
    walk(contract.document(), "", &mut |at, object| {
        // A condition says what one of the described members has to be.
        let is_condition = at.contains("/if/") || at.contains("/then/");
        if is_example(at) || is_condition || object["type"] != "object" || at == EVENT_DATA {
            return;
        }
        assert_eq!(object["additionalProperties"], false, "{at}");
        if object.get("properties").is_none() {
            return;
        }
        let required = strings(&object["required"]);
        assert!(!required.is_empty(), "{at}");
        for name in required {
            assert!(object["properties"].get(name).is_some(), "{at}: {name}");
        }
    });
}

#[test]
fn the_vocabularies_are_the_codes() {
    let contract = contract();
    let words = |name| schema_words(&contract, name);
    let replies: Vec<_> = ErrorCode::ALL
        .iter()
        .filter(|&&code| code != ErrorCode::TestTxnFailed)
        .map(|code| code.as_str())
        .collect();
    assert_eq!(words("Code"), replies);
    let ended: Vec<_> = ErrorCode::ENDED_REASONS
        .iter()
        .map(|code| code.as_str())
        .collect();
    assert_eq!(words("EndedReason"), ended);

    macro_rules! is_the_enum {
        ($type:ident) => {
            let values: Vec<_> = $type::ALL.iter().map(|value| value.as_str()).collect();
            assert_eq!(words(stringify!($type)), values);
        };
    }
    is_the_enum!(NextAction);
    is_the_enum!(BannerCode);
    is_the_enum!(EventKind);
    is_the_enum!(ConsentId);
    is_the_enum!(Lang);
    for word in words("BlockedBy") {
        assert!(ErrorCode::parse(word).is_some(), "{word}");
    }
}

#[test]
fn every_problem_says_what_the_catalogue_says() {
    let contract = contract();
    let examples = contract.document()["components"]["examples"]
        .as_object()
        .unwrap();
    for (name, example) in examples {
        let problem = &example["value"];
        // What has a type is a problem: an example of the code that it is named after.
        let Some(code) = problem.get("type").map(|_| otp_of(problem)) else {
            assert!(ErrorCode::parse(name).is_none(), "{name}");
            continue;
        };
        assert!(is_named_after(name, code), "{name}");
        let row = problems::entry(code);
        assert_eq!(problem["type"], problems::type_uri(code));
        assert_eq!(problem["status"], row.status, "{name}");
        assert_eq!(problem["title"], row.title, "{name}");
        assert_eq!(problem["detail_zh"], row.detail_zh, "{name}");
        assert_eq!(problem["detail_en"], row.detail_en, "{name}");
        assert_eq!(problem["retryable"], row.retryable, "{name}");
    }
}

/// An app reads `code` first and `errors` next: they must not contradict each other.
#[test]
fn the_first_bad_field_gives_its_code_to_the_problem() {
    let contract = contract();
    let examples = contract.document()["components"]["examples"]
        .as_object()
        .unwrap();
    for (name, example) in examples {
        if let Some(errors) = example["value"]["errors"].as_array() {
            assert_eq!(errors[0]["code"], example["value"]["code"], "{name}");
        }
    }
}

#[test]
fn every_error_is_a_problem_with_the_codes_of_its_status() {
    let contract = contract();
    let mut seen = BTreeSet::new();
    for Operation {
        name, responses, ..
    } in operations(&contract)
    {
        for (&status, response) in responses
            .iter()
            .filter(|(status, _)| status.starts_with(['4', '5']))
        {
            let media = &response["content"][PROBLEM];
            let mut shown = BTreeSet::new();
            for (key, example) in media["examples"].as_object().unwrap() {
                let code = otp_of(&contract.resolve(example).unwrap()["value"]);
                assert!(is_named_after(key, code), "{name} {status} {key}");
                shown.insert(code);
            }
            let codes = codes_of(response);
            assert_eq!(shown, codes.iter().copied().collect(), "{name} {status}");
            assert_eq!(shown.len(), codes.len(), "{name} {status}: a code twice");
            assert_eq!(
                media["schema"]["allOf"][1]["properties"]["status"]["const"].to_string(),
                status,
                "{name}"
            );
            for code in codes {
                assert_eq!(
                    problems::entry(code).status.to_string(),
                    status,
                    "{name} {code}"
                );
                seen.insert(code);
            }
        }
    }
    for &code in ErrorCode::ALL {
        let is_reply = code != ErrorCode::TestTxnFailed;
        assert_eq!(seen.contains(&code), is_reply, "{code}");
    }
}

#[test]
fn every_operation_of_the_contract_is_described() {
    let contract = contract();
    let described: BTreeSet<_> = operations(&contract)
        .into_iter()
        .map(|operation| operation.name)
        .collect();
    let wanted: BTreeSet<_> = OPERATIONS.iter().map(ToString::to_string).collect();
    assert_eq!(described, wanted);
}

/// What is not routed is answered by `$default`, with 404, however well it is described.
#[test]
fn the_gateway_has_these_routes_and_no_others() {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/template.yaml");
    let template = std::fs::read_to_string(template).unwrap();
    let routed: BTreeSet<_> = template
        .lines()
        .filter_map(|line| {
            let item = line
                .trim_start()
                .strip_prefix("- ")?
                .trim_start_matches("- ");
            let (method, path) = item.split_once(' ')?;
            let path = path.split_whitespace().next()?;
            path.starts_with("/v1/")
                .then(|| format!("{} {path}", method.to_lowercase()))
        })
        .collect();
    let described: BTreeSet<_> = OPERATIONS.iter().map(ToString::to_string).collect();
    assert_eq!(routed, described);
}

/// These answers never pass through our code, so no schema can speak of them.
#[test]
fn the_description_says_which_answers_are_the_gateways_own() {
    let contract = contract();
    let description = contract.document()["info"]["description"].as_str().unwrap();
    let (_, gateway) = description
        .split_once("**Not problem documents**")
        .expect("a paragraph on them");
    for status in ["413", "429", "503", "504"] {
        assert!(gateway.contains(status), "{status}");
    }
}

#[test]
fn every_link_leads_to_an_operation_with_these_parameters() {
    let contract = contract();
    let operations = operations(&contract);
    let mut links = 0;
    for Operation {
        name, responses, ..
    } in &operations
    {
        let all = responses
            .values()
            .filter_map(|response| response["links"].as_object())
            .flatten();
        for (link, to) in all {
            links += 1;
            let target = operations
                .iter()
                .find(|target| target.operation["operationId"] == to["operationId"])
                .unwrap_or_else(|| panic!("{name} {link}"));
            let given = to["parameters"].as_object().unwrap().keys();
            let given: BTreeSet<_> = given.map(String::as_str).collect();
            let path = path_parameters(&target.name);
            let all = target.parameters.iter();
            let all: BTreeSet<_> = all.map(|known| known["name"].as_str().unwrap()).collect();
            // The path's all, and of the query what there is.
            assert!(
                path.is_subset(&given) && given.is_subset(&all),
                "{name} {link}"
            );
        }
    }
    assert!(links > 3, "{links} links");
}

/// The history's description says how to check it; whoever does so with its own example must succeed.
#[test]
fn the_history_that_is_shown_is_a_chain() {
    let contract = contract();
    let examples = &contract.document()["components"]["examples"];
    let merchant_id = &examples["Session"]["value"]["merchant"]["merchant_id"];
    let mut prev_hash = history::GENESIS.to_owned();
    let events = examples["EventList"]["value"]["items"].as_array().unwrap();
    for (event, sequence) in events.iter().rev().zip(1..) {
        assert_eq!(event["sequence"], sequence);
        assert_eq!(event["event_id"], format!("evt_{sequence}"));
        assert_eq!(event["prev_hash"], prev_hash);
        let at = Timestamp::parse_rfc3339(event["at"].as_str().unwrap()).unwrap();
        let hashed = history::canonical(&json!({
            "at": at.epoch_s(),
            "data": event["data"],
            "kind": event["kind"],
            "merchant_id": merchant_id,
            "personal_sha256": event["personal_sha256"],
            "policy": event["policy_version"],
            "prev_hash": event["prev_hash"],
            "seq": event["sequence"],
        }));
        prev_hash = history::hex(&Sha256::digest(hashed.as_bytes()));
        assert_eq!(event["hash"], prev_hash);
    }
    assert!(events.len() > 1);
}

/// What must not pass: of an example, one member set to another value, or left out (null).
#[test]
#[rustfmt::skip] // a table: one row, one shape
fn the_shapes_refuse_what_the_contract_rules_out() {
    let rows = [
        // A standby card says from when it is usable, and nothing else stands among them.
        ("Cards", "CardsWithStandby", "/standby/0", "usable_at", json!(null)),
        ("Cards", "CardsWithStandby", "/standby/0", "status", json!("active")),
        ("Cards", "CardsWithStandby", "/standby/0", "card_id", json!("card_7fqk2mhd9wzr4tbn")),
        // A document that expires has its days; one that has expired has none left.
        ("Session", "Session", "/notices/0", "days_left", json!(null)),
        ("Session", "Session", "/notices/0", "days_left", json!(91)),
        ("Session", "Session", "/notices/0", "until", json!(null)),
        ("Session", "Session", "/notices/0", "code", json!("ID_EXPIRED")),
        ("Session", "Session", "/notices/0", "code", json!("REBIND_HOLD")),
        // A payout that is not held goes somewhere; nothing is no amount.
        ("PayoutList", "PayoutList", "/items/0", "held", json!(false)),
        ("PayoutList", "PayoutList", "/items/0", "amount_fen", json!(0)),
        ("PutSettlement", "PutSettlement", "", "payout_time", json!("24:00")),
        ("PutSettlement", "PutSettlement", "", "cycle", json!("T2")),
        ("PutSettlement", "PutSettlement", "", "retained_fen", json!(-1)),
        ("PutSettlement", "PutSettlement", "", "daily_limit_fen", json!(null)),
        ("PushTarget", "PushTarget", "", "platform", json!("sms")),
        ("Freeze", "Freeze", "", "status", json!("frozen")),
        // A transfer of one fen, which has its time once it has arrived.
        ("TestTransaction", "TestSucceeded", "", "amount_fen", json!(2)),
        ("TestTransaction", "TestSucceeded", "/rebind", "test_succeeded_at", json!(null)),
        // A verified card asks for the one code that switches to it, a rebind that is over for none.
        ("Rebind", "StandbyActivating", "/challenge", "purpose", json!("identity")),
        ("Rebind", "StandbyActivating", "", "purpose", json!("activate")),
        ("Rebind", "RebindIdentityCode", "", "state", json!("cancelled")),
        // What undid a change is said, and only where one was undone.
        ("TestTransaction", "TestFailed", "/rebind", "ended_reason", json!(null)),
        ("TestTransaction", "TestFailed", "/rebind", "ended_reason", json!("CARD_BLOCKED")),
        ("Rebind", "StandbyReady", "", "ended_reason", json!("TEST_TXN_FAILED")),
        ("Rebind", "StandbyActivated", "", "cooldown_until", json!(null)),
    ];
    let contract = contract();
    let components = &contract.document()["components"];
    for (schema, example, at, member, bad) in rows {
        let schema = &components["schemas"][schema];
        let mut body = components["examples"][example]["value"].clone();
        assert_eq!(contract.check(schema, &body), Ok(()), "{example}");
        let object = body.pointer_mut(at).and_then(Value::as_object_mut).unwrap();
        object.remove(member);
        if !bad.is_null() {
            object.insert(member.to_owned(), bad.clone());
        }
        assert!(contract.check(schema, &body).is_err(), "{example} {at} {member}: {bad}");
    }
}

/// A code of a deposit is typed off a bank statement.
#[test]
fn the_code_of_a_deposit_may_hold_spaces_and_small_letters() {
    let contract = contract();
    let schema = &contract.document()["components"]["schemas"]["ConfirmCard"];
    for code in ["K7M2QX", "k7m 2qx", " K7 M2 QX ", "731055"] {
        assert_eq!(contract.check(schema, &json!({ "code": code })), Ok(()));
    }
    for code in ["K7M2Q", "K7M2QXX", "K7M-2QX", "", "      "] {
        assert!(
            contract.check(schema, &json!({ "code": code })).is_err(),
            "{code}"
        );
    }
}

#[test]
fn a_standby_card_is_activated_in_two_requests() {
    let contract = contract();
    let activate = &contract.document()["paths"]["/v1/cards/{card_id}/activate"]["post"];
    let request = &activate["requestBody"]["content"]["application/json"]["schema"];
    for body in [json!({}), json!({ "code": "402917" })] {
        assert_eq!(contract.check(request, &body), Ok(()));
    }
    for body in [
        json!({ "code": "K7M2QX" }),
        json!({ "card_id": "card_1" }),
        json!(null),
    ] {
        assert!(contract.check(request, &body).is_err(), "{body}");
    }
    let reply = &activate["responses"]["200"]["content"]["application/json"]["schema"];
    let mut challenge =
        contract.document()["components"]["examples"]["ActivationChallenge"]["value"].clone();
    assert_eq!(contract.check(reply, &challenge), Ok(()));
    challenge["challenge"]["purpose"] = json!("identity");
    assert!(contract.check(reply, &challenge).is_err());
}

#[test]
fn every_operation_keeps_the_conventions() {
    let contract = contract();
    let mut ids = BTreeSet::new();
    for Operation {
        name,
        method,
        parameters,
        operation,
        responses,
    } in operations(&contract)
    {
        let in_path = path_parameters(&name);
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{name}"
        );
        assert!(operation["summary"].is_string(), "{name}");

        let statuses: BTreeSet<_> = responses.keys().copied().collect();
        let is_open = OPEN.contains(&name.as_str());
        let security = operation.get("security");
        assert_eq!(security, is_open.then_some(&json!([])), "{name}");
        for status in ["400", "413", "500"] {
            assert!(statuses.contains(status), "{name} {status}");
        }
        // The answer to a freeze code says nothing: neither that there is no such account, nor that it is busy.
        let is_freeze = name == "post /v1/freezes";
        assert_eq!(statuses.contains("401"), !is_freeze, "{name}");
        assert!(!is_freeze || statuses.iter().copied().eq(["202", "400", "413", "500"]));
        assert_eq!(statuses.contains("404"), !in_path.is_empty(), "{name}");
        let wants_fresh = FRESH.contains(&name.as_str());
        assert_eq!(statuses.contains("403"), wants_fresh, "{name}");
        let changes = method != "get" && !is_open && name != "delete /v1/sessions/current";
        // The agreement is a read that is good for nothing in a frozen account.
        let is_refused_frozen = changes || name == "get /v1/rebinds/{id}/agreement";
        assert_eq!(statuses.contains("423"), is_refused_frozen, "{name}");

        let parameter = |wanted: &str| {
            parameters
                .iter()
                .find(|parameter| parameter["name"] == wanted)
        };
        assert!(
            parameter("X-Sandbox-Now").is_some_and(|parameter| parameter["required"] == false),
            "{name}"
        );
        let declared: BTreeSet<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(declared, in_path, "{name}");
        let pages = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            .as_str()
            .is_some_and(|schema| schema.ends_with("List"));
        assert_eq!(parameter("cursor").is_some(), pages, "{name}");
        // Ignored on sessions and freezes.
        let takes_key = changes;
        let key = parameter("Idempotency-Key");
        assert_eq!(key.is_some(), takes_key, "{name}");
        assert_eq!(
            key.is_some_and(|key| key["required"] == true),
            name == "post /v1/rebinds",
            "{name}"
        );
        assert_eq!(
            operation.get("requestBody").is_some(),
            ["post", "put"].contains(&method),
            "{name}"
        );
        let can_mismatch = responses
            .get("422")
            .is_some_and(|response| codes_of(response).contains(&ErrorCode::IdempotencyMismatch));
        assert_eq!(can_mismatch, takes_key, "{name}");
        let can_conflict = responses
            .get("409")
            .is_some_and(|response| codes_of(response).contains(&ErrorCode::VersionConflict));
        assert_eq!(can_conflict, method != "get" && !is_freeze, "{name}");

        for (status, response) in responses {
            let headers = &response["headers"];
            assert!(headers.get("Cache-Control").is_some(), "{name} {status}");
            let errors = response["content"][PROBLEM]["examples"].as_object();
            let problems = || {
                let errors = errors.into_iter().flat_map(|map| map.values());
                errors.map(|example| &contract.resolve(example).unwrap()["value"])
            };
            let is_kept = status.starts_with('2')
                || problems().any(|problem| problem["counts_toward_limit"] == true);
            let is_replayed = headers.get("Idempotent-Replayed").is_some();
            assert_eq!(is_replayed, takes_key && is_kept, "{name} {status}");
            let can_wait = problems().any(|problem| {
                problem["retryable"] == true || problem.get("retry_after_s").is_some()
            });
            assert_eq!(
                headers.get("Retry-After").is_some(),
                can_wait,
                "{name} {status}"
            );
        }
    }
}
