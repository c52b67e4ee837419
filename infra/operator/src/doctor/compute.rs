//! Functions, schedules and clocks.

use super::stack::Stack;
use super::{Finding, Findings};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A clock that differs more than this makes times in commands and replies misleading, in seconds.
const CLOCK_S_MAX: u64 = 30;

/// The digests of the packages that should run, as `cargo local package` lists them in `packages.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Packages {
    functions: BTreeMap<String, Listed>,
}

#[derive(Clone, Debug, Deserialize)]
struct Listed {
    code_sha256: String,
}

impl Packages {
    /// The digest of a function: `RebindRequestFunction` has the package `rebind-request`.
    fn of(&self, logical_id: &str) -> Option<&str> {
        let name = logical_id.strip_suffix("Function").unwrap_or(logical_id);
        let mut folder = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !folder.is_empty() {
                folder.push('-');
            }
            folder.push(letter.to_ascii_lowercase());
        }
        let listed = self.functions.get(&folder)?;
        Some(&listed.code_sha256)
    }
}

/// Judges the version of a function that callers get, from `GetFunctionConfiguration`.
pub(super) fn function(
    logical_id: &str,
    answer: &Value,
    stack: &Stack,
    packages: Option<&Packages>,
) -> Vec<Finding> {
    let mut found = Findings::about(logical_id);
    // Both are absent where every function is ready at once.
    let is = |name: &str, wanted: &str| answer[name].as_str().is_none_or(|state| state == wanted);
    found.problem_unless(
        is("State", "Active") && is("LastUpdateStatus", "Successful"),
        format!(
            "it cannot run its newest code: {}",
            answer["StateReason"].as_str().unwrap_or("deploy again")
        ),
    );
    let architecture = answer["Architectures"][0].as_str().unwrap_or_default();
    let wanted = stack.parameter("Architecture");
    found.problem_unless(
        architecture == wanted,
        format!("it is built for {architecture}, and the stack is for {wanted}: build and deploy with the same Architecture"),
    );
    let stage = answer["Environment"]["Variables"]["STAGE"]
        .as_str()
        .unwrap_or_default();
    found.problem_unless(
        stage == stack.parameter("Stage"),
        format!("it runs as {stage}, unlike the stack: find out who changed its environment, and deploy again"),
    );
    if let Some(packages) = packages {
        found.problem_unless(
            packages.of(logical_id) == answer["CodeSha256"].as_str(),
            "it runs other code than packages.json lists: deploy the packages beside that file",
        );
    }
    found.or_ok(format!("ready, {architecture}"))
}

/// Judges a schedule, from `GetSchedule`.
pub(super) fn schedule(logical_id: &str, answer: &Value) -> Vec<Finding> {
    let mut found = Findings::about(logical_id);
    found.problem_unless(
        answer["State"] == "ENABLED",
        "it is disabled, so nothing that time decides happens: enable it",
    );
    found.or_ok("enabled")
}

/// Judges the clock of this machine. `date`: the time of a service, as in HTTP.
pub(super) fn clock(date: Option<&str>, now: SystemTime) -> Vec<Finding> {
    let mut found = Findings::about("clock");
    let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return found.or_ok("a service did not say its time");
    };
    let (seconds, side) = match now.duration_since(theirs) {
        Ok(ahead) => (ahead.as_secs(), "ahead of"),
        Err(behind) => (behind.duration().as_secs(), "behind"),
    };
    found.warning_unless(
        seconds <= CLOCK_S_MAX,
        format!("this machine is {seconds} s {side} AWS, which refuses signatures five minutes off: synchronize it"),
    );
    found.or_ok("this machine agrees with AWS")
}
