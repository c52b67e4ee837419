//! The generated description of the operator's API, `infra/operator/openapi.json`: schemas from the types, operations from the
//! table of routes.

#![allow(
    clippy::expect_used,
    reason = "a description that cannot be generated is a mistake in this crate; no function links this module"
)]

use super::requests::{
    Approve, ChangeContact, ChangeTier, LookUp, OfRebind, ProposeCoreKey, ProposeOf,
    ProposeUnfreeze, RenewDocument, Resend,
};
use super::{
    Account, AuditedEvents, Erasure, ErasurePlan, Log, Merchant, MerchantFault, NewMerchant,
    NewProposal, OperatorRoute, OverdueList, PayoutOfMerchant, Proposal, Proposals, Receipt,
    Unmasked,
};
use crate::openapi::schemas::{definitions, drop_words, publicly_named, tidy};
use crate::openapi::{numbers, sorted};
use crate::problems;
use crate::replies::{Page, Payout, Problem};
use crate::requests::Empty;
use domain::error_code::ErrorCode;
use domain::operator::ReasonCode;
use schemars::generate::Contract;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DESCRIPTION: &str = "The API of an acquirer's staff (contract, section 8). IAM decides from the role of the session which \
     operations a person may call: each needs a signature (Signature Version 4, service `execute-api`), and the gateway answers \
     403 without a problem document where IAM refuses. Every call names its grounds and is recorded.";

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// What an operation takes and gives, beyond what follows from its route.
struct Operation {
    request: Option<&'static str>,
    status: u16,
    reply: Option<&'static str>,
    codes: &'static [ErrorCode],
}

const fn read(reply: &'static str) -> Operation {
    Operation {
        request: None,
        status: 200,
        reply: Some(reply),
        codes: &[],
    }
}

const fn change(
    request: &'static str,
    status: u16,
    reply: Option<&'static str>,
    codes: &'static [ErrorCode],
) -> Operation {
    Operation {
        request: Some(request),
        status,
        reply,
        codes,
    }
}

/// The codes of values of the record.
const OF_VALUES: &[ErrorCode] = &[
    ErrorCode::PhoneFormat,
    ErrorCode::IdFormat,
    ErrorCode::IdChecksum,
    ErrorCode::NotFound,
];
const OF_PROPOSED: &[ErrorCode] = &[ErrorCode::NotFound];
const OF_APPROVAL: &[ErrorCode] = &[
    ErrorCode::SecondPersonRequired,
    ErrorCode::ProposalStale,
    ErrorCode::NotFound,
];

/// The operation of a route.
#[rustfmt::skip] // a table: one row, one operation
fn operation(route: OperatorRoute) -> Operation {
    use OperatorRoute as Route;
    match route {
        Route::ShowMerchant => read("Merchant"),
        Route::ShowErasure => read("ErasurePlan"),
        Route::ListEvents => read("AuditedEvents"),
        Route::ShowReceipt => read("Receipt"),
        Route::ListOverdue => read("OverdueList"),
        Route::ShowLog => read("Log"),
        Route::ListPayouts => read("PayoutList"),
        Route::ShowPayout => read("PayoutOfMerchant"),
        Route::ListProposals => read("ProposalList"),
        Route::ShowProposal => read("Proposal"),
        Route::LookUp => change("LookUp", 200, Some("Account"), &[ErrorCode::NotFound]),
        Route::Freeze | Route::EndSessions | Route::ClearLogins | Route::RegisterClose => {
            change("Empty", 200, Some("Merchant"), &[])
        }
        Route::ConfirmNotified => change("OfRebind", 200, Some("Merchant"), &[]),
        Route::RenewDocument => change("RenewDocument", 200, Some("Merchant"), OF_VALUES),
        Route::LowerTier | Route::RegisterTier => change("ChangeTier", 200, Some("Merchant"), &[]),
        Route::ReadUnmasked => change("Empty", 200, Some("Unmasked"), &[ErrorCode::ProposalStale]),
        Route::Resend => change("Resend", 204, None, &[]),
        Route::AskBank => change("OfRebind", 204, None, &[]),
        Route::Erase => change("Empty", 200, Some("Erasure"), &[]),
        Route::CreateMerchant => change("NewMerchant", 201, Some("Account"), &[]),
        Route::RegisterContact => change("ChangeContact", 200, Some("Merchant"), OF_VALUES),
        Route::Withdraw => change("Empty", 204, None, &[]),
        Route::ProposeUnfreeze => change("ProposeUnfreeze", 201, Some("NewProposal"), OF_PROPOSED),
        Route::ProposeContactChange => change("ChangeContact", 201, Some("NewProposal"), OF_VALUES),
        Route::ProposeClose | Route::ProposeUnmask | Route::ProposeErase => {
            change("ProposeOf", 201, Some("NewProposal"), OF_PROPOSED)
        }
        Route::ProposeCoreKey => change("ProposeCoreKey", 201, Some("NewProposal"), &[]),
        Route::ApproveUnfreeze
        | Route::ApproveContactChange
        | Route::ApproveClose
        | Route::ApproveUnmask
        | Route::ApproveErase => change("Approve", 200, Some("Merchant"), OF_APPROVAL),
        Route::ApproveCoreKey => change("Approve", 200, Some("Proposal"), OF_APPROVAL),
    }
}

/// Every code of an operation, those that follow from its route included.
fn codes(route: OperatorRoute) -> BTreeSet<ErrorCode> {
    let general = [
        ErrorCode::RequestMalformed,
        ErrorCode::OperatorUnknown,
        ErrorCode::Internal,
        // Every call is an entry of its person's audit chain.
        ErrorCode::VersionConflict,
    ];
    let of_id = route.path().contains('{').then_some(ErrorCode::NotFound);
    let of_body = (route.method() == "POST").then_some(ErrorCode::BodyTooLarge);
    let of_change = [
        ErrorCode::IdempotencyMismatch,
        ErrorCode::StepOutOfOrder,
        ErrorCode::VersionConflict,
    ];
    let of_change = of_change.into_iter().filter(|_| route.changes());
    let of_record = changes_merchant(route).then_some(ErrorCode::RecordChanged);
    let own = operation(route).codes.iter().copied();
    general
        .into_iter()
        .chain(of_id)
        .chain(of_body)
        .chain(of_change)
        .chain(of_record)
        .chain(own)
        .collect()
}

/// True for a change of one merchant that one call decides.
fn changes_merchant(route: OperatorRoute) -> bool {
    let is_approval = route.path().contains("/approvals/");
    route.changes() && !is_approval && operation(route).reply == Some("Merchant")
}

/// The description in OpenAPI 3.1.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for (&route, (_, doc)) in OperatorRoute::ALL.iter().zip(OperatorRoute::DOCS) {
        let item = paths.entry(route.path()).or_insert_with(|| json!({}));
        item[route.method().to_ascii_lowercase()] = described(route, &joined(doc));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Settlement-card rebind: operators",
            "version": "1.0.0",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": DESCRIPTION,
        },
        "servers": [{
            "url": "https://{host}",
            "description": "The stack's output OperatorApiUrl.",
            "variables": { "host": { "default": "operators.example.com", "description": "Host name of the deployed API." } },
        }],
        "tags": TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "security": [{ "sigv4": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "sigv4": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "AWS Signature Version 4, service `execute-api`.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            } },
            "parameters": parameters(),
            "schemas": schemas(),
        },
    });
    numbers::fill(&mut document);
    sorted(document)
}

const TAGS: [(&str, &str); 6] = [
    ("reads", "What operators may see. Personal data is masked."),
    ("lookups", "Find a merchant without its id."),
    ("acts", "What one person may do."),
    ("registry", "What the acquirer's own system does."),
    ("proposals", "What takes two persons: the first one."),
    ("approvals", "What takes two persons: the second one."),
];

fn joined(lines: &[&str]) -> String {
    let lines = lines.iter().map(|line| line.trim());
    lines.collect::<Vec<_>>().join(" ")
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn described(route: OperatorRoute, doc: &str) -> Value {
    let Operation {
        request,
        status,
        reply,
        ..
    } = operation(route);
    let (summary, rest) = doc.split_once(". ").unwrap_or((doc, ""));
    let level = route.path().split('/').nth(3).expect("a level");
    let tag = if route.method() == "GET" {
        "reads"
    } else {
        level
    };
    let mut success = json!({ "description": "Done." });
    if let Some(schema) = reply {
        let schema = match route {
            // After an erasure, how far it is.
            OperatorRoute::ShowErasure => {
                let either = ["ErasurePlan", "Erasure"].map(|name| reference("schemas", name));
                json!({ "anyOf": either })
            }
            _ => reference("schemas", schema),
        };
        success["content"] = json!({ JSON: { "schema": schema } });
    }
    let mut responses = json!({ status.to_string(): success });
    for (status, codes) in by_status(route) {
        let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let titles = codes.iter().map(|code| problems::entry(*code).title);
        let description = titles.collect::<Vec<_>>().join(". ");
        let mut schema = reference("schemas", "Problem");
        schema["if"] = json!(true);
        schema["then"] = json!({ "properties": {
            "status": { "const": status },
            "code": { "enum": words },
        } });
        responses[status.to_string()] = json!({
            "description": format!("{description}."),
            "content": { PROBLEM: { "schema": schema } },
        });
    }
    let mut described = json!({
        "operationId": operation_id(route),
        "tags": [tag],
        "summary": format!("{}.", summary.trim_end_matches('.')),
        "parameters": parameters_of(route),
        "responses": responses,
    });
    if !rest.is_empty() {
        described["description"] = rest.into();
    }
    if let Some(schema) = request {
        described["requestBody"] = json!({
            "required": schema != "Empty",
            "content": { JSON: { "schema": reference("schemas", schema) } },
        });
    }
    described
}

fn by_status(route: OperatorRoute) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut all: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes(route) {
        all.entry(problems::entry(code).status)
            .or_default()
            .push(code);
    }
    all
}

/// The name of the route's variant, with a small first letter.
fn operation_id(route: OperatorRoute) -> String {
    let name = format!("{route:?}");
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_lowercase())
}

fn parameters_of(route: OperatorRoute) -> Vec<Value> {
    use OperatorRoute as Route;
    let in_path = route.path().contains('{').then(|| {
        let is_proposal = route.path().contains("/proposals/")
            || route.path().contains("/approvals/")
            || matches!(route, Route::Withdraw | Route::ReadUnmasked);
        match route {
            Route::ShowPayout => "PathPayoutId",
            _ if is_proposal => "PathProposalId",
            _ => "PathMerchantId",
        }
    });
    let in_query = match route {
        Route::ListEvents => Some("QueryAfter"),
        Route::ShowReceipt => Some("QueryKept"),
        Route::ListPayouts | Route::ListProposals => Some("QueryCursor"),
        _ => None,
    };
    let key = route.changes().then_some("HeaderIdempotencyKey");
    let record = changes_merchant(route).then_some("HeaderIfMatch");
    let grounds = [
        "HeaderReason",
        "HeaderComment",
        "HeaderTicket",
        "HeaderSandboxNow",
    ];
    let all = in_path
        .into_iter()
        .chain(in_query)
        .chain(key)
        .chain(record)
        .chain(grounds);
    all.map(|name| reference("parameters", name)).collect()
}

fn parameters() -> Value {
    let parameter = |place: &str, name: &str, required: bool, description: &str, schema: Value| {
        json!({
            "name": name,
            "in": place,
            "required": required,
            "description": description,
            "schema": schema,
        })
    };
    let text = |max: u16| json!({ "type": "string", "minLength": 1, "maxLength": max });
    let number = json!({ "type": "integer", "minimum": 0 });
    let reasons: Vec<&str> = ReasonCode::ALL.iter().map(|word| word.as_str()).collect();
    let comment = "Why, in the person's words: 1 to 500 characters, percent-encoded UTF-8.";
    let key = "1 to 255 printable ASCII characters, a new one for each new intent. Its scope is the person, the method and the path.";
    let record = "The `record_version` that the caller has seen, as an entity tag. Another version is refused.";
    let now = "Sandbox only: the time at which this one request is decided. Refused with 400 in any other stack.";
    json!({
        "PathMerchantId": parameter("path", "id", true, "The merchant.", text(64)),
        "PathPayoutId": parameter("path", "id", true, "The payout.", text(64)),
        "PathProposalId": parameter("path", "id", true, "The proposal.", text(64)),
        "QueryAfter": parameter("query", "after", false, "Begin after this sequence number.", number.clone()),
        "QueryKept": parameter("query", "kept", false, "The size of a checkpoint that was kept.", number),
        "QueryCursor": parameter("query", "cursor", false, "The `next_cursor` of the previous page.", text(512)),
        "HeaderReason": parameter("header", "Operator-Reason", true, "Why.", json!({ "type": "string", "enum": reasons })),
        "HeaderComment": parameter("header", "Operator-Comment", true, comment, text(4500)),
        "HeaderTicket": parameter("header", "Operator-Ticket", false, "The ticket in the acquirer's own system.", text(64)),
        "HeaderIdempotencyKey": parameter("header", "Idempotency-Key", true, key, text(255)),
        "HeaderIfMatch": parameter("header", "If-Match", false, record, json!({ "type": "string", "pattern": "^\"[0-9]+\"$" })),
        "HeaderSandboxNow": parameter("header", "X-Sandbox-Now", false, now, json!({ "type": "string", "format": "date-time" })),
    })
}

/// Every schema by its name.
fn schemas() -> Map<String, Value> {
    let replies = definitions!(
        Contract::Serialize,
        Account,
        AuditedEvents,
        Erasure,
        ErasurePlan,
        Log,
        NewProposal,
        Merchant,
        MerchantFault,
        OverdueList,
        Page<Payout>,
        PayoutOfMerchant,
        Problem,
        Proposal,
        Proposals,
        Receipt,
        Unmasked<'_>,
    );
    let requests = definitions!(
        Contract::Deserialize,
        Empty,
        Approve,
        ChangeContact,
        ChangeTier,
        LookUp,
        OfRebind,
        NewMerchant,
        ProposeCoreKey,
        ProposeOf,
        ProposeUnfreeze,
        RenewDocument,
        Resend,
    );
    let mut schemas: Map<String, Value> = replies.into_iter().chain(requests).collect();
    schemas.values_mut().for_each(tidy);
    let described: BTreeSet<ErrorCode> =
        OperatorRoute::ALL.iter().copied().flat_map(codes).collect();
    let others = ErrorCode::ALL
        .iter()
        .filter(|code| !described.contains(code));
    let others: Vec<&str> = others.map(|code| code.as_str()).collect();
    drop_words(&mut schemas["ErrorCode"], &others);
    schemas["Problem"]["properties"]["faults"] = json!({
        "type": "array",
        "description": "Everything that is wrong with a new merchant.",
        "items": reference("schemas", "MerchantFault"),
    });
    publicly_named(schemas)
}
