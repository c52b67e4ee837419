//! `infra/openapi.json` is generated. This file checks the properties that generation cannot guarantee: the files are up to
//! date, examples satisfy their schemas, every reply is closed, and the rules between operations, headers and problems hold.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use api::operator::OperatorRoute;
use api::problems;
use api::routes::{Authentication, Function, KeyRule, Route};
use domain::error_code::ErrorCode;
use domain::history;
use domain::time::Timestamp;
use local::openapi::Description;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tests::openapi::{Contract, PROBLEM};
use tests::processes::template::Template;

/// The one object without a list of members: an event's data depends on its kind.
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

/// Examples are data, not part of the description.
fn is_example(at: &str) -> bool {
    at.contains("/example")
}

struct Operation<'a> {
    route: Route,
    name: &'static str,
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
    let described = |&route: &Route| {
        let method = route.method().to_ascii_lowercase();
        let operation = &contract.document()["paths"][route.path()][method];
        let parameters = operation["parameters"].as_array();
        let parameters = parameters
            .unwrap_or_else(|| {
                panic!(
                    "{} is not described: run `cargo local openapi`",
                    route.label()
                )
            })
            .iter();
        let responses = operation["responses"].as_object().unwrap().iter();
        Operation {
            route,
            name: route.label(),
            parameters: parameters
                .map(|parameter| contract.resolve(parameter).unwrap())
                .collect(),
            operation,
            responses: responses
                .map(|(status, response)| (status.as_str(), contract.resolve(response).unwrap()))
                .collect(),
        }
    };
    Route::ALL.iter().map(described).collect()
}

fn otp_of(problem: &Value) -> ErrorCode {
    problem["code"].as_str().unwrap().parse().unwrap()
}

/// Returns true if a key is the error code, with or without a suffix for this example.
fn is_named_after(key: &str, code: ErrorCode) -> bool {
    key.strip_prefix(code.as_str())
        .is_some_and(|special| special.is_empty() || special.starts_with('_'))
}

/// The error codes that a response can carry, by its schema.
fn codes_of(response: &Value) -> Vec<ErrorCode> {
    let narrowed = &response["content"][PROBLEM]["schema"]["then"]["properties"]["code"]["enum"];
    strings(narrowed)
        .iter()
        .map(|code| code.parse().unwrap())
        .collect()
}

#[test]
fn the_description_is_up_to_date() {
    assert_eq!(
        local::openapi::check(Description::OpenApi).map_err(|error| error.to_string()),
        Ok(())
    );
}

/// Client generators make a separate type for null unless it is one branch of two.
#[test]
fn null_has_one_form() {
    let contract = contract();
    let mut nullable = 0;
    walk(contract.document(), "", &mut |at, object| {
        if is_example(at) {
            return;
        }
        assert!(
            !object["type"].is_array() && object["oneOf"].is_null(),
            "{at}"
        );
        if let Some(branches) = object["anyOf"]
            .as_array()
            .filter(|_| !at.contains("/then/"))
        {
            assert_eq!(
                (branches.len(), &branches[1]),
                (2, &json!({"type": "null"})),
                "{at}"
            );
            nullable += 1;
        }
    });
    assert!(nullable > 5, "{nullable}");
}

#[test]
fn the_3_0_copy_has_no_later_keyword() {
    let copy = api::openapi::to_3_0(contract().document());
    let mut nullable = 0;
    walk(&copy, "", &mut |at, object| {
        if is_example(at) || at.ends_with("/properties") {
            return;
        }
        for keyword in ["const", "if", "then", "else", "anyOf", "propertyNames"] {
            assert!(object.get(keyword).is_none(), "{at}: {keyword}");
        }
        assert!(
            !object["examples"].is_array() && object["type"] != "null",
            "{at}"
        );
        nullable += usize::from(object["nullable"] == true);
    });
    assert!(nullable > 5, "{nullable}");
}

#[test]
fn every_reference_resolves() {
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

#[test]
fn schemas_reject_undescribed_members() {
    let contract = contract();
    walk(contract.document(), "", &mut |at, object| {
        // A condition constrains members that are described elsewhere.
        let is_condition = at.contains("/if/") || at.contains("/then/");
        if is_example(at) || is_condition || object["type"] != "object" || at == EVENT_DATA {
            return;
        }
        assert_eq!(object["additionalProperties"], false, "{at}");
        if object.get("properties").is_none() {
            return;
        }
        for name in object["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(object["properties"].get(name).is_some(), "{at}: {name}");
        }
    });
}

/// An app reads `code` first and `errors` next, so the two must not contradict each other.
#[test]
fn problem_code_is_first_field_error() {
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
fn error_responses_list_codes_of_status() {
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
                media["schema"]["then"]["properties"]["status"]["const"].to_string(),
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
        assert_eq!(seen.contains(&code), code.is_reply(), "{code}");
    }
}

/// A route that the gateway lacks is answered by `$default`, with 404.
#[test]
fn the_gateway_has_every_route_and_no_other() {
    let routed = Template::load().routes().into_iter();
    let routed: BTreeSet<_> = routed.map(|route| (route.key, route.function)).collect();
    let routes = Route::ALL.iter();
    let routes = routes.map(|route| (route.label(), route.function().folder()));
    let routes = routes.chain([("$default", Function::Cards.folder())]);
    let of_operators = OperatorRoute::ALL.iter();
    let routes = routes.chain(of_operators.map(|route| (route.as_str(), "operator")));
    let routes = routes.map(|(key, function)| (key.to_owned(), function.to_owned()));
    assert_eq!(routed, routes.collect());
}

/// The rows of a section's table, each with its cells.
fn rows<'a>(contract: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = contract.split_once(heading).unwrap();
    let section = section.split("\n##").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = |row: &'a str| row.trim_end_matches(" |").split(" | ").collect();
    rows.skip(1).map(cells).collect()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

const CONTRACT: &str = include_str!("../../shared/CONTRACT.md");

#[test]
fn the_contract_names_every_route() {
    let rows = rows(CONTRACT, "## 2. Endpoints");
    let named: Vec<_> = rows.iter().map(|row| quoted(row[0])[0]).collect();
    let routes: BTreeSet<_> = Route::ALL.iter().map(|route| route.label()).collect();
    assert_eq!(named.len(), routes.len());
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), routes);
}

#[test]
fn the_contract_has_the_vocabularies_of_the_api() {
    let contract = contract();
    let schemas = &contract.document()["components"]["schemas"];
    let words = |name: &str| strings(&schemas[name]["enum"]);
    let rows = rows(CONTRACT, "### Vocabularies");
    let stated: BTreeMap<_, _> = rows.iter().map(|row| (row[0], quoted(row[1]))).collect();
    for (row, schema) in [
        ("`state`", "RebindState"),
        ("`purpose` (rebind)", "RebindPurpose"),
        ("`reason`", "Reason"),
        ("`challenge.purpose`", "ChallengePurpose"),
        ("`challenge.method`", "ChallengeMethod"),
        ("`next_actions`", "NextAction"),
        ("`notices[].code`", "NoticeCode"),
        ("`blocked_by`", "BlockedBy"),
        ("`ended_reason`", "EndedReason"),
        ("history `kind`", "EventKind"),
        ("card `type`", "CardType"),
        ("card `status`", "CardStatus"),
        ("`entity_type`", "EntityType"),
        ("test-transaction `status`", "TestTransactionStatus"),
        ("`cycle`", "Cycle"),
        ("`platform`", "PushPlatform"),
        ("`lang`", "Lang"),
        ("`document_type`", "DocumentType"),
        ("consent `id`", "ConsentId"),
    ] {
        assert_eq!(stated[row], words(schema), "{row}");
    }
    let core = stated.keys().filter(|row| row.starts_with("core "));
    assert_eq!(
        stated.len(),
        19 + core.count(),
        "each vocabulary is compared"
    );
}

#[test]
fn the_contract_has_every_code_with_its_status() {
    let rows = rows(CONTRACT, "## 5. Codes");
    let stated: Vec<(String, &str)> = rows
        .iter()
        .flat_map(|row| {
            quoted(row[1])
                .into_iter()
                .map(|code| (row[0].to_owned(), code))
        })
        .collect();
    let codes: Vec<_> = ErrorCode::ALL
        .iter()
        .map(|&code| match code {
            ErrorCode::TestTxnFailed => ("only as `ended_reason`".to_owned(), code.as_str()),
            ErrorCode::ReleaseLimit | ErrorCode::CoreKeyInvalid => {
                ("to the core system only".to_owned(), code.as_str())
            }
            ErrorCode::OperatorUnknown
            | ErrorCode::SecondPersonRequired
            | ErrorCode::ProposalStale
            | ErrorCode::RecordChanged => {
                let status = problems::entry(code).status;
                (format!("to operators only: {status}"), code.as_str())
            }
            ErrorCode::FrontDoorRequired => {
                ("around the front door: 403".to_owned(), code.as_str())
            }
            _ => (problems::entry(code).status.to_string(), code.as_str()),
        })
        .collect();
    assert_eq!(stated, codes);
}

#[test]
fn the_description_has_the_contract_order_of_checks() {
    let (_, order) = CONTRACT.split_once("### Order of checks").unwrap();
    let order = order.split("\n###").next().unwrap().lines();
    let order: Vec<_> = order
        .filter_map(|line| Some(line.split_once(". ")?.1))
        .collect();
    let contract = contract();
    let description = contract.document()["info"]["description"].as_str().unwrap();
    let description = description.replace('\n', " ");
    assert!(
        description.contains(&format!(": {}.", order.join(", "))),
        "{order:?}"
    );
}

/// The refusals of `decide`, as its tests print them.
const TABLES: [&str; 2] = [
    include_str!(
        "../../shared/domain/src/decide/tests/snapshots/domain__decide__tests__table__state_command_table_is_unchanged.snap"
    ),
    include_str!(
        "../../shared/domain/src/decide/tests/snapshots/domain__decide__tests__table__account_command_table_is_unchanged.snap"
    ),
];

/// Examples whose code is in the tables, but only in other forms.
const NOT_IN_TABLES: [&str; 5] = [
    "CARD_SAME_AS_CURRENT_STANDBY",
    "INTERNAL", // not from `decide`
    "MICRO_DEPOSIT_WRONG",
    "OTP_EXPIRED_ACTIVATION",
    "OTP_WRONG_ACTIVATION",
];

/// A problem in the form of the tables, without numbers.
fn refusal(problem: &Value) -> String {
    let mut text = problem["code"].as_str().unwrap().to_owned();
    match problem["counts_toward_limit"].as_bool() {
        Some(true) => text += ", counted",
        Some(false) => text += ", not counted",
        None => {}
    }
    for (member, shown) in [("attempts_left", ", left"), ("retry_after_s", ", retry")] {
        text += problem.get(member).map_or("", |_| shown);
    }
    if let Some(errors) = problem["errors"].as_array() {
        let word = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
        let errors = errors.iter();
        let errors = errors.map(|error| word(error, "field") + " " + &word(error, "code"));
        text += &format!(", fields [{}]", errors.collect::<Vec<_>>().join(", "));
    }
    if problem.get("next_actions").is_some() {
        text += &format!(", next [{}]", strings(&problem["next_actions"]).join(", "));
    }
    text
}

#[test]
fn problem_examples_have_the_form_of_refusals() {
    let rows = TABLES.iter().flat_map(|table| table.lines());
    let rows = rows.filter_map(|row| row.trim().strip_prefix("refused "));
    let refused: BTreeSet<String> = rows
        .map(|row| {
            let row = row.split(" -> ").next().unwrap().split(", ");
            let parts = row.map(|part| match part {
                part if part.starts_with("retry after ") => "retry",
                part if part.ends_with(" left") => "left",
                part => part,
            });
            parts.collect::<Vec<_>>().join(", ")
        })
        .collect();
    let contract = contract();
    let examples = &contract.document()["components"]["examples"];
    let mut compared = 0;
    for (name, example) in examples.as_object().unwrap() {
        let problem = &example["value"];
        let code = problem["code"].as_str().unwrap_or("-");
        let is_decided = refused
            .iter()
            .any(|row| row.split(", ").next() == Some(code));
        if is_decided && problem["status"].is_u64() {
            let is_shown = refused.contains(&refusal(problem));
            assert_eq!(
                is_shown,
                !NOT_IN_TABLES.contains(&name.as_str()),
                "{name}: {}",
                refusal(problem)
            );
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared}");
}

/// These replies never pass through the product's code, so no schema can describe them.
#[test]
fn description_lists_gateway_errors() {
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
fn links_target_existing_operations() {
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
            let path = path_parameters(target.route.path());
            let all = target.parameters.iter();
            let all: BTreeSet<_> = all.map(|known| known["name"].as_str().unwrap()).collect();
            // All path parameters, and only parameters that exist.
            assert!(
                path.is_subset(&given) && given.is_subset(&all),
                "{name} {link}"
            );
        }
    }
    assert!(links > 3, "{links} links");
}

/// The history's description explains the verification. It must succeed on the description's own example.
#[test]
fn history_example_is_a_valid_chain() {
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
        prev_hash = hex::encode(Sha256::digest(hashed.as_bytes()));
        assert_eq!(event["hash"], prev_hash);
    }
    assert!(events.len() > 1);
}

/// Each row sets one member of an example to an invalid value, or removes it (null). The schema must reject the result.
#[test]
#[rustfmt::skip] // a table: one row, one shape
fn schemas_reject_contract_violations() {
    let rows = [
        // A standby card has `usable_at`, and only standby cards are in the list.
        ("Cards", "CardsWithStandby", "/standby/0", "usable_at", json!(null)),
        ("Cards", "CardsWithStandby", "/standby/0", "status", json!("active")),
        ("Cards", "CardsWithStandby", "/standby/0", "card_id", json!("card_7fqk2mhd9wzr4tbn")),
        // An expiring document has days left; an expired one has none.
        ("Session", "Session", "/notices/0", "days_left", json!(null)),
        ("Session", "Session", "/notices/0", "days_left", json!(91)),
        ("Session", "Session", "/notices/0", "until", json!(null)),
        ("Session", "Session", "/notices/0", "code", json!("ID_EXPIRED")),
        ("Session", "Session", "/notices/0", "code", json!("REBIND_HOLD")),
        // A payout that is not held has a card, and an amount is positive.
        ("PayoutList", "PayoutList", "/items/0", "held", json!(false)),
        ("PayoutList", "PayoutList", "/items/0", "amount_fen", json!(0)),
        ("PutSettlement", "PutSettlement", "", "payout_time", json!("24:00")),
        ("PutSettlement", "PutSettlement", "", "cycle", json!("T2")),
        ("PutSettlement", "PutSettlement", "", "retained_fen", json!(-1)),
        ("PutSettlement", "PutSettlement", "", "daily_limit_fen", json!(null)),
        ("PutPushTarget", "PutPushTarget", "", "platform", json!("sms")),
        ("Freeze", "Freeze", "", "status", json!("frozen")),
        // A test transfer is one fen, and has its time once it has arrived.
        ("TestTransaction", "TestSucceeded", "", "amount_fen", json!(2)),
        ("TestTransaction", "TestSucceeded", "/rebind", "test_succeeded_at", json!(null)),
        // A verified card's challenge is the one that switches to it. A rebind that has ended has no challenge.
        ("Rebind", "StandbyActivating", "/challenge", "purpose", json!("identity")),
        ("Rebind", "StandbyActivating", "", "purpose", json!("activate")),
        ("Rebind", "RebindIdentityCode", "", "state", json!("cancelled")),
        // `ended_reason` gives the cause of an undone change, and appears only then.
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

/// A deposit code is typed off a bank statement.
#[test]
fn deposit_code_allows_spaces_and_lower_case() {
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
fn every_operation_follows_conventions() {
    let contract = contract();
    let mut ids = BTreeSet::new();
    for Operation {
        route,
        name,
        parameters,
        operation,
        responses,
    } in operations(&contract)
    {
        let in_path = path_parameters(route.path());
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{name}"
        );
        assert!(operation["summary"].is_string(), "{name}");

        let statuses: BTreeSet<_> = responses.keys().copied().collect();
        let is_open = route.authentication() == Authentication::Open;
        let security = operation.get("security");
        assert_eq!(security, is_open.then_some(&json!([])), "{name}");
        for status in ["400", "500"] {
            assert!(statuses.contains(status), "{name} {status}");
        }
        assert_eq!(statuses.contains("413"), route.method() != "GET", "{name}");
        // The reply to a freeze reveals neither an unknown account nor a busy one.
        let is_freeze = route == Route::CreateFreeze;
        assert_eq!(statuses.contains("401"), !is_freeze, "{name}");
        assert!(
            !is_freeze
                || statuses
                    .iter()
                    .copied()
                    .eq(["202", "400", "413", "422", "500"])
        );
        assert_eq!(statuses.contains("404"), !in_path.is_empty(), "{name}");
        // Changes ignore keys if they end sessions. Each needs a known device, and none is possible in a freeze.
        let ends_sessions = matches!(route, Route::DeleteSessions | Route::FreezeRebind);
        let takes_key = route.key_rule() != KeyRule::Ignored;
        let is_change = ends_sessions || takes_key;
        assert_eq!(statuses.contains("403"), is_change, "{name}");
        assert_eq!(statuses.contains("423"), is_change, "{name}");

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
        let key = parameter("Idempotency-Key");
        assert_eq!(key.is_some(), takes_key, "{name}");
        assert_eq!(
            key.is_some_and(|key| key["required"] == true),
            route.key_rule() == KeyRule::Required,
            "{name}"
        );
        assert_eq!(
            operation.get("requestBody").is_some(),
            ["POST", "PUT"].contains(&route.method()),
            "{name}"
        );
        let can_mismatch = responses
            .get("422")
            .is_some_and(|response| codes_of(response).contains(&ErrorCode::IdempotencyMismatch));
        assert_eq!(can_mismatch, takes_key, "{name}");
        let can_conflict = responses
            .get("409")
            .is_some_and(|response| codes_of(response).contains(&ErrorCode::VersionConflict));
        assert_eq!(
            can_conflict,
            route.method() != "GET" && !is_freeze,
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
