//! Operators: persons in the acquirer's roles, and their calls.

use crate::in_process::InProcess;
use crate::transport::{HttpCall, Reply};
use domain::policy::DAY_S;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// The account of the operators.
const ACCOUNT: &str = "111122223333";

/// The roles of the operators.
pub const OPERATOR_ROLES: [&str; 4] = [
    "arn:aws:iam::111122223333:role/support",
    "arn:aws:iam::111122223333:role/operations",
    "arn:aws:iam::111122223333:role/team/security",
    "arn:aws:iam::111122223333:role/registry",
];

/// Calls of one person in an hour above which an alarm is raised.
pub const PERSON_CALLS_MAX: u32 = 100;

/// How long the records of a closed account are kept.
pub const RETENTION_S: i64 = 30 * DAY_S;

/// A person in a role.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name of the role.
    pub role: &'static str,
    /// The name of the session.
    pub name: &'static str,
}

/// A person in the role `support`.
pub const SUPPORT: Person = Person {
    role: "support",
    name: "Li.Na",
};
/// A person in the role `operations`.
pub const OPERATIONS: Person = Person {
    role: "operations",
    name: "Wang.Wei",
};
/// A person in the role `security`.
pub const SECURITY: Person = Person {
    role: "security",
    name: "Zhao.Min",
};

/// The acquirer's registry.
pub const REGISTRY: Person = Person {
    role: "registry",
    name: "registry",
};

impl Person {
    /// The ARN of the session.
    #[must_use]
    pub fn arn(&self) -> String {
        let Self { role, name } = self;
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}")
    }
}

/// A call of an operator with its grounds, and without an idempotency key.
#[must_use]
pub fn call(method: &str, path: &str) -> HttpCall {
    let comment = utf8_percent_encode("回电核实", NON_ALPHANUMERIC).to_string();
    HttpCall::new(method, &format!("/operator/v1/{path}"))
        .header("operator-reason", "owner_request")
        .header("operator-comment", &comment)
        .header("operator-ticket", "T-1")
}

/// The event of a call that the gateway has authenticated as this session, at one of its routes.
#[must_use]
pub fn event_as(arn: &str, route_key: &str, call: &HttpCall) -> Value {
    let mut event = call.event();
    let context = &mut event["requestContext"];
    context["routeKey"] = json!(route_key);
    context["authorizer"] = authorizer(arn);
    event
}

/// How the gateway names the session that IAM has authenticated.
fn authorizer(arn: &str) -> Value {
    json!({"iam": {"userArn": arn}})
}

/// The same for a person, at the route of the call.
#[must_use]
pub fn event_of(person: &Person, call: &HttpCall) -> Value {
    let mut event = call.event();
    event["requestContext"]["authorizer"] = authorizer(&person.arn());
    event
}

/// Proposes, and returns the id with the digest that the approver is shown.
pub async fn propose(
    world: &InProcess,
    person: &Person,
    (kind, key): (&str, &str),
    body: &Value,
) -> (String, String) {
    let propose = change(&format!("proposals/{kind}"), key, body);
    let made = world.operate(person, propose).await.ok(201);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&made["proposal_id"]);
    let show = call("GET", &format!("proposals/{id}"));
    let shown = world.operate(&SECURITY, show).await.ok(200);
    (id, text(&shown["digest"]))
}

/// Approves a proposal with this digest.
pub async fn approve(
    world: &InProcess,
    person: &Person,
    (kind, key): (&str, &str),
    (id, digest): &(String, String),
) -> Reply {
    let path = format!("approvals/{kind}/{id}");
    let approval = change(&path, key, &json!({"digest": digest}));
    world.operate(person, approval).await
}

/// A change with its own idempotency key.
#[must_use]
pub fn change(path: &str, key: &str, body: &Value) -> HttpCall {
    call("POST", path).key(key).json(body)
}
