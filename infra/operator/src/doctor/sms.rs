//! What SNS lets this account send.

use super::{Finding, Findings};
use serde_json::Value;

/// What a new account may spend in a month, in dollars.
const SPEND_LIMIT_OF_NEW_ACCOUNTS: f64 = 1.0;

/// Judges the answer of `GetSMSSandboxAccountStatus`.
pub(super) fn sandbox(answer: &Value, is_durable: bool) -> Vec<Finding> {
    let mut found = Findings::about("SMS sandbox");
    if answer["IsInSandbox"] == "true" {
        found.serious_if(
            is_durable,
            "SNS sends to verified phones only: ask AWS Support to move the account out of the SMS sandbox",
        );
    }
    found.or_ok("the account has left it")
}

/// Judges the answer of `GetSMSAttributes`.
pub(super) fn spend_limit(answer: &Value, is_durable: bool) -> Vec<Finding> {
    let mut found = Findings::about("SMS spend limit");
    let entries = answer["attributes"].as_array().into_iter().flatten();
    let mut limits = entries.filter(|entry| entry["key"] == "MonthlySpendLimit");
    let limit = limits.find_map(|entry| entry["value"].as_str()?.parse::<f64>().ok());
    let limit = limit.unwrap_or(SPEND_LIMIT_OF_NEW_ACCOUNTS);
    found.problem_unless(
        !is_durable || limit > SPEND_LIMIT_OF_NEW_ACCOUNTS,
        format!(
            "${limit} a month, that of a new account; above it SNS sends nothing and reports no error: have it raised, then \
             `aws sns set-sms-attributes --attributes MonthlySpendLimit=…`"
        ),
    );
    found.or_ok(format!("${limit} a month"))
}
