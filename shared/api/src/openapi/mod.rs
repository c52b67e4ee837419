//! The generated API description: `infra/openapi.json` (OpenAPI 3.1), and a copy in OpenAPI 3.0.3 for tools without 3.1
//! support. Schemas come from the types and their doc comments, operations from the table of routes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a description that cannot be generated is a mistake in this crate; no function links this module"
)]

mod examples;
pub(crate) mod numbers;
mod operations;
mod rejections;
pub(crate) mod schemas;
mod v30;

use crate::problems;
use crate::replies::{Problem, Time};
use crate::routes::{Authentication, KeyRule, Route};
use domain::error_code::ErrorCode;
use domain::time::Timestamp;
use operations::{Body, Operation, Problems, Success};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub use v30::to_3_0;

const DESCRIPTION: &str = include_str!("description.md");

const TAGS: [(&str, &str); 12] = [
    ("sessions", "Log in and out."),
    ("cards", "The cards of a merchant."),
    ("rebinds", "Start, show and cancel rebinds."),
    ("identity", "Step 1. Prove the merchant's identity."),
    ("agreement", "Step 2. Read and sign the agreement."),
    (
        "card check",
        "Step 3. Prove that the card is the merchant's.",
    ),
    (
        "test transfer",
        "Afterwards. Prove that the new card can be paid to.",
    ),
    ("payouts", "Payouts that are not reported as sent yet."),
    ("settlement", "Settlement settings."),
    ("push targets", "Devices that are notified of changes."),
    ("history", "Events, in a chain that can be verified."),
    ("freezes", "Stop a change that was not the merchant's."),
];

/// The reference of every problem example.
const SUPPORT_REF: &str = "JKJaXmPLvHcESHA=";

/// The media type of a problem document (RFC 9457).
const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json";

fn at(text: &str) -> Time {
    Time(Timestamp::parse_rfc3339(text).expect("a time"))
}

/// The JSON Schema of one type, as a document of its own.
#[must_use]
pub(crate) fn root_schema<T: JsonSchema>() -> Value {
    schemas::root::<T>()
}

/// The description in OpenAPI 3.1.
#[must_use]
pub fn document() -> Value {
    let rejected = rejected();
    let mut paths = Map::new();
    let mut shared = BTreeMap::from([
        ("RequestMalformed", operations::REQUEST_MALFORMED),
        ("NotFound", operations::NOT_FOUND),
    ]);
    let schemas = schemas::components();
    for &route in Route::ALL {
        let operation = operations::operation(route);
        for problems in problems_of(route, &operation) {
            shared.extend(problems.name.map(|name| (name, problems)));
        }
        let item = paths.entry(route.path()).or_insert_with(|| json!({}));
        item[route.method().to_ascii_lowercase()] =
            described(route, &operation, &schemas, &rejected);
    }
    let responses = shared.into_iter();
    let responses =
        responses.map(|(name, problems)| (name.to_owned(), response(&problems, false, &rejected)));
    let tags = TAGS.map(|(name, description)| json!({ "name": name, "description": description }));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Settlement-card rebind",
            "version": "1.0.0",
            "summary": "Changes the card that a merchant's takings are paid out to, safely.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": DESCRIPTION,
        },
        "servers": [{
            "url": "https://{host}",
            "description": "The stack's output ApiUrl.",
            "variables": { "host": { "default": "api.example.com", "description": "Host name of the deployed API." } },
        }],
        "tags": tags,
        "security": [{ "session": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "session": {
                "type": "http",
                "scheme": "bearer",
                "description": "The `token` in the reply to `createSession`, opaque. It is valid for {session_idle_s} after the login or \
                                the last change made with it, and for {session_max_s} at most.",
            } },
            "parameters": parameters(),
            "headers": headers(),
            "responses": responses.collect::<Map<_, _>>(),
            "schemas": schemas,
            "examples": all_examples(&rejected),
        },
    });
    numbers::fill(&mut document);
    sorted(document)
}

/// Sorts the members of objects, independent of `serde_json`'s map type.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.into_iter().collect();
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(name, member)| (name, sorted(member)))
                    .collect(),
            )
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}

/// The problem examples by name, with their summaries.
fn rejected() -> BTreeMap<&'static str, (String, Problem)> {
    let examples = rejections::examples().into_iter();
    let examples = examples.map(|example| {
        let problem = Problem::new(&example.rejection, SUPPORT_REF);
        let summary = match example.summary {
            "" => format!("{}.", problem.title),
            summary => summary.to_owned(),
        };
        (example.name, (summary, problem))
    });
    examples.collect()
}

fn all_examples(rejected: &BTreeMap<&'static str, (String, Problem)>) -> Map<String, Value> {
    let bodies = examples::replies().into_iter().chain(examples::requests());
    let bodies = bodies.map(|example| {
        (
            example.name,
            json!({ "summary": example.summary, "value": example.value }),
        )
    });
    let problems = rejected.iter();
    let problems = problems
        .map(|(name, (summary, problem))| (*name, json!({ "summary": summary, "value": problem })));
    bodies
        .chain(problems)
        .map(|(name, example)| (name.to_owned(), example))
        .collect()
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn described(
    route: Route,
    operation: &Operation,
    schemas: &Map<String, Value>,
    rejected: &BTreeMap<&'static str, (String, Problem)>,
) -> Value {
    let (summary, description) = prose(route.doc());
    let mut described = json!({
        "operationId": route.operation_id(),
        "tags": [operation.tag],
        "summary": summary,
        "parameters": parameters_of(route, &operation.success),
        "responses": responses(route, operation, rejected),
    });
    if !description.is_empty() {
        described["description"] = description.into();
    }
    if route.authentication() == Authentication::Open {
        described["security"] = json!([]);
    }
    if let Some(body) = &operation.request {
        let required = schemas[body.schema].get("required").is_some();
        described["requestBody"] =
            json!({ "required": required, "content": { JSON: media(body) } });
    }
    described
}

/// A route's documentation: the first line is the summary, and the lines of a paragraph are joined.
fn prose(lines: &[&str]) -> (String, String) {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let (summary, rest) = lines.split_first().expect("a route is documented");
    let paragraphs = rest
        .split(|line| line.is_empty())
        .filter(|lines| !lines.is_empty());
    let paragraphs: Vec<String> = paragraphs.map(|lines| lines.join(" ")).collect();
    ((*summary).to_owned(), paragraphs.join("\n\n"))
}

fn parameters_of(route: Route, success: &Success) -> Vec<Value> {
    let path = route.path();
    let in_path = if path.contains("{card_id}") {
        Some("PathCardId")
    } else if path.contains("/push-targets/") {
        Some("PathPushTargetId")
    } else {
        path.contains('{').then_some("PathRebindId")
    };
    let in_query = match (route, success.body.as_ref().map(|body| body.schema)) {
        (Route::GetAgreement, _) => Some("QueryLang"),
        (_, Some("RebindList")) => Some("QueryRebindsCursor"),
        (_, Some("PayoutList")) => Some("QueryPayoutsCursor"),
        (_, Some("EventList")) => Some("QueryHistoryCursor"),
        _ => None,
    };
    let key = match route.key_rule() {
        KeyRule::Required => Some("HeaderIdempotencyKeyRequired"),
        KeyRule::Optional => Some("HeaderIdempotencyKey"),
        KeyRule::Ignored => None,
    };
    let all = [in_path, in_query, key, Some("HeaderSandboxNow")]
        .into_iter()
        .flatten();
    all.map(|name| reference("parameters", name)).collect()
}

/// The problems of an operation: the general ones that follow from its route, and its own. An own problem replaces the
/// general one of the same status.
fn problems_of(route: Route, operation: &Operation) -> Vec<Problems> {
    let own = &operation.problems;
    let changes = route.key_rule() != KeyRule::Ignored;
    let general = [
        Some(operations::REQUEST_MALFORMED),
        (route.authentication() == Authentication::Session).then_some(operations::SESSION_EXPIRED),
        route.path().contains('{').then_some(operations::NOT_FOUND),
        (route.method() != "GET").then_some(operations::BODY_TOO_LARGE),
        changes.then_some(operations::ACCOUNT_FROZEN),
        changes.then_some(operations::DEVICE_TOO_NEW),
        Some(operations::INTERNAL),
        route
            .can_be_stopped()
            .then_some(operations::CHANGES_STOPPED),
    ];
    let general = general.into_iter().flatten();
    let general = general.filter(|problems| own.iter().all(|own| status(own) != status(problems)));
    general.chain(own.iter().copied()).collect()
}

fn status(problems: &Problems) -> u16 {
    let name = problems.examples.first().expect("a status has a problem");
    let code = code_in(name).expect("an example is named after its code");
    problems::entry(code).status
}

/// The longest code that the example's name starts with.
fn code_in(name: &str) -> Option<ErrorCode> {
    let codes = ErrorCode::ALL.iter().copied();
    let codes = codes.filter(|code| name.starts_with(code.as_str()));
    codes.max_by_key(|code| code.as_str().len())
}

fn responses(
    route: Route,
    operation: &Operation,
    rejected: &BTreeMap<&'static str, (String, Problem)>,
) -> Map<String, Value> {
    let takes_key = route.key_rule() != KeyRule::Ignored;
    let mut responses = Map::new();
    let success = &operation.success;
    responses.insert(success.status.to_string(), succeeded(success, takes_key));
    for problems in problems_of(route, operation) {
        let status = status(&problems).to_string();
        let described = match problems.name {
            Some(name) => reference("responses", name),
            None => response(&problems, takes_key, rejected),
        };
        let before = responses.insert(status, described);
        assert!(before.is_none(), "{route:?} describes a status twice");
    }
    responses
}

fn succeeded(success: &Success, takes_key: bool) -> Value {
    let mut described = json!({
        "description": success.description,
        "headers": headers_of(false, takes_key),
    });
    if let Some(body) = &success.body {
        described["content"] = json!({ JSON: media(body) });
    }
    let links = success.links.iter();
    let links = links.map(|link| {
        let parameters = json!({ link.parameter: link.from });
        let to = json!({ "operationId": link.to.operation_id(), "parameters": parameters });
        (link.name.to_owned(), to)
    });
    let links: Map<_, _> = links.collect();
    if !links.is_empty() {
        described["links"] = links.into();
    }
    described
}

fn media(body: &Body) -> Value {
    let examples = body.examples.iter();
    let examples: Map<_, _> = examples
        .map(|name| ((*name).to_owned(), reference("examples", name)))
        .collect();
    json!({ "schema": reference("schemas", body.schema), "examples": examples })
}

/// The schema of a problem response. Narrower rules are placed where validators find them and client generators do not,
/// because generators would create a type for each response.
fn response(
    problems: &Problems,
    takes_key: bool,
    rejected: &BTreeMap<&'static str, (String, Problem)>,
) -> Value {
    let shown = problems.examples.iter().map(|name| {
        let (_, problem) = rejected
            .get(name)
            .unwrap_or_else(|| panic!("no example {name}"));
        (*name, problem)
    });
    let shown: Vec<(&str, &Problem)> = shown.collect();
    let mut codes: Vec<ErrorCode> = Vec::new();
    for (_, problem) in &shown {
        if !codes.contains(&problem.code) {
            codes.push(problem.code);
        }
    }
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let can_wait = shown
        .iter()
        .any(|(_, problem)| problem.retryable || problem.retry_after_s.is_some());
    let is_kept = shown
        .iter()
        .any(|(_, problem)| problem.counts_toward_limit == Some(true));
    let examples = shown
        .iter()
        .map(|(name, _)| ((*name).to_owned(), reference("examples", name)));
    let examples: Map<_, _> = examples.collect();
    let mut schema = reference("schemas", "Problem");
    schema["if"] = json!(true);
    schema["then"] = json!({ "properties": {
        "status": { "const": status(problems) },
        "code": { "enum": codes },
    } });
    json!({
        "description": problems.description,
        "headers": headers_of(can_wait, is_kept && (takes_key || problems.name.is_some())),
        "content": { PROBLEM: { "schema": schema, "examples": examples } },
    })
}

fn headers_of(can_wait: bool, is_kept: bool) -> Value {
    let mut headers = json!({ "Cache-Control": reference("headers", "CacheControl") });
    if can_wait {
        headers["Retry-After"] = reference("headers", "RetryAfter");
    }
    if is_kept {
        headers["Idempotent-Replayed"] = reference("headers", "IdempotentReplayed");
    }
    headers
}

fn headers() -> Value {
    json!({
        "CacheControl": {
            "description": "No cache may store a reply.",
            "required": true,
            "schema": { "type": "string", "const": "no-store" },
            "example": "no-store",
        },
        "RetryAfter": {
            "description": "Seconds; the same as `retry_after_s` in the body, and absent without it.",
            "required": false,
            "schema": { "type": "integer", "minimum": 0 },
            "example": 42,
        },
        "IdempotentReplayed": {
            "description": "Present when the reply is a kept one; the request was not carried out again.",
            "required": false,
            "schema": { "type": "string", "const": "true" },
            "example": "true",
        },
    })
}

fn parameters() -> Value {
    let cursor = |example: &str| {
        json!({
            "name": "cursor",
            "in": "query",
            "required": false,
            "description": "The `next_cursor` of the previous page; opaque, and valid for this list only.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 512 },
            "example": example,
        })
    };
    let key = |required: bool| {
        json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": required,
            "description": "1 to 255 printable ASCII characters, a new one for each new intent (for example a UUID).",
            "schema": reference("schemas", "IdempotencyKey"),
            "example": "0f3d2f0e-8a43-4f44-9d0b-5a1f5f2b6c11",
        })
    };
    let id = |name: &str, description: &str, example: &str| {
        json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": description,
            "schema": { "type": "string", "minLength": 1, "maxLength": 64 },
            "example": example,
        })
    };
    json!({
        "PathRebindId": id(
            "id",
            "A `rebind_id`. One of another merchant is 404, like one that does not exist.",
            "rbd_000001h3kq7vbn2fdw9s4m",
        ),
        "PathCardId": id(
            "card_id",
            "A `card_id`. One of another merchant is 404, like one that does not exist or was removed.",
            "card_000002n4vtx8bqr2kzjw6d",
        ),
        "PathPushTargetId": {
            "name": "id",
            "in": "path",
            "required": true,
            "description": "The app's own name for the installation, chosen by it (for example a UUID).",
            "schema": { "type": "string", "pattern": "^[0-9A-Za-z_-]{1,36}$", "maxLength": 36 },
            "example": "9b2e1c54-6f0d-4a7e-8d3b-52c1a0f4e7d6",
        },
        "HeaderIdempotencyKey": key(false),
        "HeaderIdempotencyKeyRequired": key(true),
        "HeaderSandboxNow": {
            "name": "X-Sandbox-Now",
            "in": "header",
            "required": false,
            "description": "Sandbox only: the time at which this one request is decided, for every rule of this API. \
                            Refused with 400 in any other stack.",
            "schema": { "type": "string", "format": "date-time" },
            "example": "2026-12-23T10:00:00+08:00",
        },
        "QueryRebindsCursor": cursor("000002"),
        "QueryPayoutsCursor": cursor("MDAxNzk1MzEyODAwI3BheV8yMDI2MTEyMl83"),
        "QueryHistoryCursor": cursor("21"),
        "QueryLang": {
            "name": "lang",
            "in": "query",
            "required": false,
            "description": "The language of the text; `zh-CN` if absent.",
            "schema": reference("schemas", "Lang"),
            "example": "zh-CN",
        },
    })
}
