//! The operator's API, in the role of the acquirer's registry.

use super::target::{Answer, Entry, Target};
use crate::api::{Api, CallError, Grounds, Reply, Request};
use domain::onboarding::{Fault, FieldFault};
use serde_json::Value;

/// The operator's API.
#[derive(Debug)]
pub struct Registry {
    api: Api,
    grounds: Grounds,
}

impl Registry {
    /// `grounds`: those of every call.
    #[must_use]
    pub const fn new(api: Api, grounds: Grounds) -> Self {
        Self { api, grounds }
    }
}

impl Target for Registry {
    fn name(&self) -> String {
        format!("the API {}", self.api.url())
    }

    fn batch(&self) -> usize {
        1
    }

    async fn create(&self, entries: &[Entry]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            // The engine has read it, so it is JSON.
            let body = serde_json::from_slice(&entry.json).unwrap_or_default();
            let create = Request::post("/operator/v1/registry/create", body);
            // A repetition is recognised by its content.
            let create = create.on(&self.grounds, &format!("line-{}", entry.line));
            answers.push(match self.api.send(&create).await {
                Ok(reply) => answer(&reply, &create),
                Err(error @ CallError::NoReply { .. }) => Answer::Unavailable(error.to_string()),
                Err(error) => Answer::Failed(error.to_string()),
            });
        }
        answers
    }
}

/// The API does not tell a new merchant from one that was created before from the same content.
fn answer(reply: &Reply, create: &Request) -> Answer {
    let Some(refusal) = reply.refusal(create) else {
        return Answer::Created;
    };
    // All lines in flight append to the audit chain of one session.
    let is_conflict = reply.body["code"] == "VERSION_CONFLICT";
    if is_conflict || reply.status == 429 || reply.status >= 500 {
        return Answer::Unavailable(refusal);
    }
    let faults = reply.body["faults"].as_array();
    let faults = faults.map(|faults| faults.iter().map(fault).collect::<Option<Vec<_>>>());
    match faults.flatten() {
        Some(faults) if !faults.is_empty() => Answer::Refused(faults),
        _ => Answer::Failed(refusal),
    }
}

fn fault(sent: &Value) -> Option<FieldFault> {
    let fault = Fault::parse(sent["fault"].as_str()?)?;
    Some(FieldFault::new(sent["field"].as_str()?, fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reply_decides_what_becomes_of_the_line() {
        let create = Request::post("/operator/v1/registry/create", json!({}));
        let answer = |status, body| answer(&Reply { status, body }, &create);
        let created = answer(201, json!({"merchant_id": "mer_1"}));
        assert_eq!(created, Answer::Created);
        let taken = json!({"field": "account", "fault": "ACCOUNT_TAKEN", "message": "…"});
        let refused = answer(400, json!({"code": "REQUEST_MALFORMED", "faults": [taken]}));
        let fault = FieldFault::new("account", Fault::AccountTaken);
        assert_eq!(refused, Answer::Refused(vec![fault]));
        for (status, body) in [
            (429, json!({"message": "Too Many Requests"})),
            (503, json!(null)),
            (500, json!({"code": "INTERNAL"})),
            (409, json!({"code": "VERSION_CONFLICT"})),
        ] {
            let unavailable = answer(status, body);
            assert!(matches!(unavailable, Answer::Unavailable(_)), "{status}");
        }
        let unknown = json!({"field": "account", "fault": "OF_A_LATER_RELEASE"});
        for (status, body) in [
            (403, json!({"message": "Forbidden"})),
            (400, json!({"code": "REQUEST_MALFORMED", "faults": []})),
            (
                400,
                json!({"code": "REQUEST_MALFORMED", "faults": [unknown]}),
            ),
        ] {
            let failed = answer(status, body);
            assert!(matches!(failed, Answer::Failed(_)), "{status}");
        }
    }
}
