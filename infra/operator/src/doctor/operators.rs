//! The roles of the operators.

use super::{Finding, Findings};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The roles in the parameter OperatorRoleArns.
pub(super) fn roles(parameter: &str) -> impl Iterator<Item = &str> {
    parameter.split(',').filter(|arn| !arn.is_empty())
}

/// What the parameter itself lacks.
pub(super) fn listed(parameter: &str, is_durable: bool) -> Vec<Finding> {
    let mut found = Findings::about("OperatorRoleArns");
    if roles(parameter).next().is_none() {
        found.serious_if(
            is_durable,
            "no operator can act, so a frozen account stays frozen: deploy with the ARNs of their roles",
        );
    }
    found.or_ok(format!("{} roles", roles(parameter).count()))
}

/// Judges a role, from `GetRole`: each of its sessions must have the name of a person.
pub(super) fn role(arn: &str, answer: &Value) -> Vec<Finding> {
    let mut found = Findings::about(arn);
    let is_of_identity_center = arn.contains(":role/aws-reserved/sso.amazonaws.com/");
    let document = answer["Role"]["AssumeRolePolicyDocument"].as_str();
    let document = percent_decode_str(document.unwrap_or_default()).decode_utf8_lossy();
    let trust: Value = serde_json::from_str(&document).unwrap_or_default();
    let statements = match &trust["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let mut allowing = statements
        .into_iter()
        .filter(|one| one["Effect"] == "Allow")
        .peekable();
    let exists = allowing.peek().is_some();
    let names_persons = exists && allowing.all(fixes_session_name);
    found.problem_unless(
        is_of_identity_center || names_persons,
        "a session of it may have any name, so one person could be two: its trust policy must fix sts:RoleSessionName \
         (infra/operator/policies/trust.json)",
    );
    found.or_ok("each session has the name of a person")
}

/// True if a statement demands a session name. A condition that also matches a session without the name does not.
fn fixes_session_name(statement: &Value) -> bool {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    let mut fixed = operators.filter(|(operator, keys)| {
        let is_named = keys.as_object().is_some_and(|keys| {
            keys.keys()
                .any(|key| key.eq_ignore_ascii_case("sts:RoleSessionName"))
        });
        is_named
            && ["StringEquals", "StringEqualsIgnoreCase", "StringLike"].contains(&operator.as_str())
    });
    fixed.next().is_some()
}
