//! The table calls of each function, with the credentials of its role: permitted ones, and those of its neighbours.

use percent_encoding::percent_decode_str;
use rebindctl::account::{Account, DYNAMODB, IAM, NoAnswer, Why};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::grants::{Grants, Request, add, key_like, neighbour};
use super::{Hour, ask, text_of};
use crate::error::Error;
use crate::operators;

const IGNORED: &str = "the local cloud does not evaluate dynamodb:LeadingKeys";

/// A role of a function, and what it may call.
struct Role {
    name: String,
    session: Account,
    grants: Grants,
}

/// Requests of one sort, and those that were answered otherwise than expected.
#[derive(Default)]
struct Tally {
    asked: usize,
    otherwise: Vec<String>,
}

impl Tally {
    async fn add(&mut self, role: &Role, request: Option<Request>, is_permitted: bool) {
        let Some(Request { operation, input }) = request else {
            return;
        };
        self.asked += 1;
        let answer = role.session.ask(DYNAMODB, operation, &input).await;
        let permitted = permitted(answer.err());
        if permitted != Ok(is_permitted) {
            self.otherwise
                .push(format!("{} {operation}: {permitted:?}", role.name));
        }
    }

    fn text(&self) -> String {
        let otherwise = self.otherwise.len();
        let first = self.otherwise.first().map_or("", String::as_str);
        format!("{} requests, {otherwise} otherwise {first}", self.asked)
    }
}

/// True if the account let a request through, whatever the service said of it then.
pub(super) fn permitted(refusal: Option<NoAnswer>) -> Result<bool, String> {
    match refusal.map(|refusal| refusal.why) {
        None => Ok(true),
        Some(Why::Denied) => Ok(false),
        Some(Why::Refused(why))
            if why.contains("ConditionalCheckFailed") || why.contains("TransactionCanceled") =>
        {
            Ok(true)
        }
        Some(Why::Refused(why) | Why::NoReply(why)) => Err(why),
    }
}

/// Makes the calls of all functions.
pub(super) async fn run(hour: &mut Hour) -> Result<(), Error> {
    let roles = roles(hour).await?;
    let kinds = roles.iter().flat_map(|role| role.grants.values().flatten());
    let kinds: BTreeSet<String> = kinds.cloned().collect();
    let [mut alone, mut together, mut neighbours, mut beside] = [(); 4].map(|()| Tally::default());
    for role in &roles {
        for (call, keys) in &role.grants {
            let own = keys
                .first()
                .map_or("first-hour".to_owned(), |key| key_like(key));
            alone.add(role, call.alone(&own), true).await;
            together.add(role, call.in_transaction(&[&own]), true).await;
            if keys.is_empty() {
                continue;
            }
            if let Some(other) = neighbour(keys, &kinds) {
                neighbours.add(role, call.alone(&other), false).await;
                let both = call.in_transaction(&[&own, &other]);
                beside.add(role, both, false).await;
            }
        }
    }
    let report = &mut hour.report;
    report.judge(
        "each role may make its calls, those of the index included",
        alone.otherwise.is_empty() && alone.asked > 0,
        alone.text(),
    );
    report.judge(
        "each role may make its calls in transactions",
        together.otherwise.is_empty() && together.asked > 0,
        together.text(),
    );
    let expectation = "another kind of item is refused, also in the index";
    let holds = neighbours.otherwise.is_empty() && neighbours.asked > 0;
    report.judge_on_aws(expectation, holds, neighbours.text(), IGNORED);
    let expectation =
        "another kind of item is refused beside a permitted one in the same transaction";
    let holds = beside.otherwise.is_empty() && beside.asked > 0;
    report.judge_on_aws(expectation, holds, beside.text(), IGNORED);
    Ok(())
}

/// The permitted calls again, in a stack that demands keys: an account that names none in transactions would refuse these.
pub(super) async fn with_demanded_keys(hour: &mut Hour) -> Result<(), Error> {
    let expectation = "DemandLeadingKeys=true refuses no permitted call";
    if !hour.is_aws() {
        hour.report.open(expectation, IGNORED);
        return Ok(());
    }
    hour.deploy([("DemandLeadingKeys", "true".to_owned())])
        .await?;
    let mut tally = Tally::default();
    for role in &roles(hour).await? {
        for (call, keys) in &role.grants {
            let own = keys
                .first()
                .map_or("first-hour".to_owned(), |key| key_like(key));
            tally.add(role, call.alone(&own), true).await;
            tally.add(role, call.in_transaction(&[&own]), true).await;
        }
    }
    let holds = tally.otherwise.is_empty() && tally.asked > 0;
    hour.report.judge(expectation, holds, tally.text());
    if holds {
        return Ok(());
    }
    let keep = [("DemandLeadingKeys", "false".to_owned())];
    hour.deploy(keep).await // nothing else would work
}

async fn roles(hour: &Hour) -> Result<Vec<Role>, Error> {
    let account = hour.system.account();
    let mut roles = Vec::new();
    for resource in hour.system.stack().of_kind("AWS::IAM::Role") {
        let name = &resource.physical_id;
        let mut grants = Grants::new();
        let listed = ask(account, IAM, "ListRolePolicies", &json!({"RoleName": name})).await?;
        for policy in listed["PolicyNames"].as_array().into_iter().flatten() {
            let input = json!({"RoleName": name, "PolicyName": policy});
            let got = ask(account, IAM, "GetRolePolicy", &input).await?;
            add(&mut grants, &document(&text_of(&got, "PolicyDocument")?)?);
        }
        if grants.is_empty() {
            continue; // it calls no table
        }
        roles.push(Role {
            name: resource.logical_id.clone(),
            session: session(account, name).await?,
            grants,
        });
    }
    Ok(roles)
}

/// A session of a function's role. Its trust policy, which lets Lambda in only, is put back.
async fn session(account: &Account, name: &str) -> Result<Account, Error> {
    let input = json!({ "RoleName": name });
    let role = ask(account, IAM, "GetRole", &input).await?;
    let arn = text_of(&role["Role"], "Arn")?;
    let trust = document(&text_of(&role["Role"], "AssumeRolePolicyDocument")?)?;
    let trusting = async |trust: &Value| {
        let input = json!({"RoleName": name, "PolicyDocument": trust.to_string()});
        ask(account, IAM, "UpdateAssumeRolePolicy", &input).await
    };
    let mut with_us = trust.clone();
    if let Some(statements) = with_us["Statement"].as_array_mut() {
        statements.push(operators::trusted(&arn, "first-hour"));
    }
    trusting(&with_us).await?;
    let assumed = operators::assume(account, &arn, "first-hour").await;
    trusting(&trust).await?;
    Ok(account.with(assumed?.credentials()))
}

/// A policy, which IAM returns percent-encoded.
fn document(encoded: &str) -> Result<Value, Error> {
    let decoded = percent_decode_str(encoded).decode_utf8_lossy();
    serde_json::from_str(&decoded).map_err(|error| Error::Reply {
        what: error.to_string(),
        reply: "a policy".to_owned(),
    })
}
