//! `infra/openapi.yaml` says what the code does: its vocabularies are the code's, its examples are true, and no reply can
//! carry a member that is not described.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::domain::agreement::ConsentId;
use shared::domain::code::Code;
use shared::domain::event_kind::EventKind;
use shared::domain::lang::Lang;
use shared::domain::next_action::NextAction;
use shared::domain::notice_code::NoticeCode;
use shared::edge::catalogue;
use tests::openapi::{Contract, PROBLEM};

/// Codes of endpoints that are not described yet.
const NOT_YET: [Code; 5] = [
    Code::StandbyNotReady,
    Code::LastCardCannotUnbind,
    Code::PayoutInFlight,
    Code::T0NotAllowed,
    Code::LimitAboveTier,
];

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
    assert!(operations.len() >= 15);
    operations
}

/// The codes that a response can carry, by its schema.
fn codes_of(response: &Value) -> Vec<Code> {
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
            // The history that speaks these words is not described yet.
            let alone = kind == "securitySchemes" || name == "EventKind";
            assert!(
                alone || referred.contains(reference.as_str()),
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
        if is_example(at) || object["type"] != "object" || object.get("properties").is_none() {
            return;
        }
        assert_eq!(object["additionalProperties"], false, "{at}");
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
    let replies: Vec<_> = Code::ALL
        .iter()
        .filter(|&&code| code != Code::TestTxnFailed)
        .map(|code| code.as_str())
        .collect();
    assert_eq!(words("Code"), replies);
    let ended: Vec<_> = Code::ENDED_REASONS
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
    is_the_enum!(NoticeCode);
    is_the_enum!(EventKind);
    is_the_enum!(ConsentId);
    is_the_enum!(Lang);
    for word in words("BlockedBy") {
        assert!(Code::parse(word).is_some(), "{word}");
    }
}

#[test]
fn every_problem_says_what_the_catalogue_says() {
    let contract = contract();
    let examples = contract.document()["components"]["examples"]
        .as_object()
        .unwrap();
    for (name, example) in examples {
        let Some(code) = Code::parse(name) else {
            continue;
        };
        let problem = &example["value"];
        let row = catalogue::entry(code);
        assert_eq!(problem["code"], name.as_str());
        assert_eq!(problem["type"], catalogue::type_uri(code));
        assert_eq!(problem["status"], row.status, "{name}");
        assert_eq!(problem["title"], row.title, "{name}");
        assert_eq!(problem["detail_zh"], row.detail_zh, "{name}");
        assert_eq!(problem["detail_en"], row.detail_en, "{name}");
        assert_eq!(problem["retryable"], row.retryable, "{name}");
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
            let shown: BTreeSet<_> = media["examples"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let codes = codes_of(response);
            assert_eq!(
                shown,
                codes.iter().map(|code| code.as_str()).collect(),
                "{name} {status}"
            );
            assert_eq!(
                media["schema"]["allOf"][1]["properties"]["status"]["const"].to_string(),
                status,
                "{name}"
            );
            for code in codes {
                assert_eq!(
                    catalogue::entry(code).status.to_string(),
                    status,
                    "{name} {code}"
                );
                seen.insert(code);
            }
        }
    }
    for &code in Code::ALL {
        let is_absent = NOT_YET.contains(&code) || code == Code::TestTxnFailed;
        assert_eq!(seen.contains(&code), !is_absent, "{code}");
    }
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
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{name}"
        );
        assert!(operation["summary"].is_string(), "{name}");

        let statuses: BTreeSet<_> = responses.keys().copied().collect();
        let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(is_open, name == "post /v1/sessions");
        for status in ["400", "401", "413", "500"] {
            assert!(statuses.contains(status), "{name} {status}");
        }
        let has_id = name.contains("{id}");
        assert_eq!(statuses.contains("404"), has_id, "{name}");

        let parameter = |wanted: &str| {
            parameters
                .iter()
                .find(|parameter| parameter["name"] == wanted)
        };
        assert!(
            parameter("X-Sandbox-Now").is_some_and(|parameter| parameter["required"] == false),
            "{name}"
        );
        assert_eq!(parameter("id").is_some(), has_id, "{name}");
        // Ignored on sessions.
        let takes_key = method == "post" && !name.contains("/v1/sessions");
        let key = parameter("Idempotency-Key");
        assert_eq!(key.is_some(), takes_key, "{name}");
        assert_eq!(
            key.is_some_and(|key| key["required"] == true),
            name == "post /v1/rebinds",
            "{name}"
        );
        assert_eq!(
            operation.get("requestBody").is_some(),
            method == "post",
            "{name}"
        );

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
            let can_wait = problems().any(|problem| problem["retryable"] == true);
            assert_eq!(
                headers.get("Retry-After").is_some(),
                can_wait,
                "{name} {status}"
            );
        }
    }
}
