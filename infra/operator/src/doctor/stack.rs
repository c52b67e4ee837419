//! The stack: its parameters, outputs and resources.

use super::{Finding, Findings};
use crate::account::{Account, Answer, CLOUDFORMATION, NoAnswer, Why};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A resource of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The name in the template.
    pub logical_id: String,
    /// The name in the account.
    pub physical_id: String,
    /// For example `AWS::KMS::Key`.
    pub kind: String,
}

/// A deployed stack.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    id: String,
    pub(super) status: String,
    pub(super) is_protected: bool,
    pub(super) account: String,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    pub(super) resources: Vec<Resource>,
}

impl Stack {
    /// Reads a stack. The answer's date comes with it.
    ///
    /// # Errors
    /// When the account does not tell.
    pub async fn read(account: &Account, name: &str) -> Result<(Self, Option<String>), NoAnswer> {
        let input = json!({ "StackName": name });
        let Answer { mut body, date } = account
            .ask(CLOUDFORMATION, "DescribeStacks", &input)
            .await?;
        let mut stack = Self::described(&body["Stacks"][0].take());
        let mut input = input;
        loop {
            let page = account
                .ask(CLOUDFORMATION, "ListStackResources", &input)
                .await?;
            let resources = page.body["StackResourceSummaries"].as_array();
            stack
                .resources
                .extend(resources.into_iter().flatten().map(resource));
            match page.body["NextToken"].as_str() {
                Some(token) => input["NextToken"] = token.into(),
                None => break,
            }
        }
        if stack.resources.is_empty() {
            return Err(NoAnswer {
                permission: "cloudformation:ListStackResources".to_owned(),
                why: Why::Refused("the stack has no resources".to_owned()),
            });
        }
        Ok((stack, date))
    }

    pub(super) fn described(body: &Value) -> Self {
        let pairs = |list: &str, key: &str, value: &str| {
            let items = body[list].as_array().into_iter().flatten();
            items
                .filter_map(|item| {
                    Some((
                        item[key].as_str()?.to_owned(),
                        item[value].as_str()?.to_owned(),
                    ))
                })
                .collect()
        };
        let id = body["StackId"].as_str().unwrap_or_default();
        Self {
            id: id.to_owned(),
            status: body["StackStatus"].as_str().unwrap_or_default().to_owned(),
            is_protected: body["EnableTerminationProtection"] == "true",
            account: id.split(':').nth(4).unwrap_or_default().to_owned(),
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
            outputs: pairs("Outputs", "OutputKey", "OutputValue"),
            resources: Vec::new(),
        }
    }

    /// The ARN.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The value of a parameter; empty if the stack has none of this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// An output; empty if the stack has none of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// True for a stack with real merchants, or for the one that is like it.
    pub(super) fn is_durable(&self) -> bool {
        self.parameter("Stage") != "sandbox"
    }

    /// The name in the account of a resource of the template; empty if the stack has none.
    #[must_use]
    pub fn resource(&self, logical_id: &str) -> &str {
        let mut all = self.resources.iter();
        let found = all.find(|one| one.logical_id == logical_id);
        found.map_or("", |one| &one.physical_id)
    }

    /// The resources of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |one| one.kind == kind)
    }

    /// What is wrong with the stack itself, for a `rebindctl` of this version.
    pub(super) fn judged(&self, version: &str) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut stack = Findings::about("stack");
        let status = &self.status;
        let is_complete = ["CREATE_COMPLETE", "UPDATE_COMPLETE"].contains(&status.as_str());
        let events = "see `aws cloudformation describe-stack-events`, and deploy again";
        stack.problem_unless(is_complete, format!("its status is {status}: {events}"));
        stack.warning_unless(
            self.is_protected || !self.is_durable(),
            "anybody who may delete stacks can delete it: `aws cloudformation update-termination-protection`",
        );
        all.extend(stack.or_ok(format!("{status}, stage {}", self.parameter("Stage"))));

        let mut versions = Findings::about("version");
        let theirs = self.output("Version");
        versions.warning_unless(
            theirs == version,
            format!("the stack has {theirs}, and this rebindctl {version}: use the rebindctl of the stack's release"),
        );
        all.extend(versions.or_ok(format!("stack and rebindctl have {version}")));

        let mut alarms = Findings::about("AlarmTopicArn");
        alarms.problem_unless(
            !(self.is_durable() && self.parameter("AlarmTopicArn").is_empty()),
            "the alarms have no topic: create one, subscribe, and deploy with its ARN",
        );
        all.extend(alarms.or_ok(match self.parameter("AlarmTopicArn") {
            "" => "alarms only show in CloudWatch, which is enough for a sandbox",
            _ => "the alarms have a topic",
        }));
        all
    }
}

fn resource(item: &Value) -> Resource {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    Resource {
        logical_id: text("LogicalResourceId"),
        physical_id: text("PhysicalResourceId"),
        kind: text("ResourceType"),
    }
}
