//! Asks about each part of a stack, and judges the answers.

use super::stack::{Resource, Stack};
use super::{Finding, Level, Packages, compute, keys, operators, sms, tables};
use crate::account::{
    Account, Answer, DYNAMODB, IAM, KMS, LAMBDA, NoAnswer, SCHEDULER, SECRETS, SNS, SQS, Service,
};
use domain::policy::Policy;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::SystemTime;
use store::{Store, Tables};

/// All findings.
#[derive(Clone, Debug, Serialize)]
pub struct Examined {
    /// What was found, in the order of the parts.
    pub findings: Vec<Finding>,
    /// How many of them are a problem.
    pub problems: usize,
    /// How many could not be found out.
    pub unknown: usize,
}

impl Examined {
    fn of(findings: Vec<Finding>) -> Self {
        let count = |level| findings.iter().filter(|one| one.level == level).count();
        Self {
            problems: count(Level::Problem),
            unknown: count(Level::Unknown),
            findings,
        }
    }
}

/// Examines a stack, for a `rebindctl` of this version. With `packages`, also whether these run.
///
/// # Errors
/// When the stack cannot be read. Anything else that cannot is a finding.
pub async fn examine(
    account: &Account,
    stack: &str,
    version: &str,
    packages: Option<&Packages>,
) -> Result<Examined, NoAnswer> {
    let (stack, date) = Stack::read(account, stack).await?;
    let mut findings = compute::clock(date.as_deref(), SystemTime::now());
    findings.extend(stack.judged(version));
    let mut examination = Examination {
        account,
        stack: &stack,
        findings,
    };
    examination.tables().await;
    examination.queues_and_mappings().await;
    examination.keys().await;
    examination.core_keys().await;
    examination.compute(packages).await;
    examination.operators().await;
    examination.sms().await;
    Ok(Examined::of(examination.findings))
}

struct Examination<'a> {
    account: &'a Account,
    stack: &'a Stack,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    /// The answer to a question about `subject`. Without one, that is the finding.
    async fn ask(
        &mut self,
        subject: &str,
        service: Service,
        operation: &str,
        input: Value,
    ) -> Option<Value> {
        match self.account.ask(service, operation, &input).await {
            Ok(Answer { body, .. }) => Some(body),
            Err(no_answer) => {
                let finding = Finding::new(Level::Unknown, subject, no_answer.to_string());
                self.findings.push(finding);
                None
            }
        }
    }

    /// Asks about each resource of a kind, by its physical id, and judges the answers.
    async fn each(
        &mut self,
        kind: &str,
        (service, operation): (Service, &str),
        input: impl Fn(&str) -> Value,
        judge: impl Fn(&str, &Value) -> Vec<Finding>,
    ) {
        let stack = self.stack;
        for one in stack.of_kind(kind) {
            let (subject, input) = (&one.logical_id, input(&one.physical_id));
            if let Some(answer) = self.ask(subject, service, operation, input).await {
                self.findings.extend(judge(subject, &answer));
            }
        }
    }

    async fn tables(&mut self) {
        let stack = self.stack;
        let requests = stack.parameter("RequestsPerSecond").parse();
        let requests = requests.unwrap_or_default();
        for Resource {
            logical_id,
            physical_id,
            ..
        } in stack.of_kind("AWS::DynamoDB::Table")
        {
            let input = json!({ "TableName": physical_id });
            let mut ask = async |operation| {
                self.ask(logical_id, DYNAMODB, operation, input.clone())
                    .await
            };
            let (Some(table), Some(ttl), Some(backups)) = (
                ask("DescribeTable").await,
                ask("DescribeTimeToLive").await,
                ask("DescribeContinuousBackups").await,
            ) else {
                continue;
            };
            let answers = tables::TableAnswers {
                logical_id,
                table: &table,
                ttl: &ttl,
                backups: &backups,
            };
            self.findings
                .extend(tables::table(&answers, stack.is_durable(), requests));
        }
    }

    async fn queues_and_mappings(&mut self) {
        let input = |url: &str| json!({ "QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let question = (SQS, "GetQueueAttributes");
        self.each("AWS::SQS::Queue", question, input, tables::queue)
            .await;
        let kind = "AWS::Lambda::EventSourceMapping";
        let path = |id: &str| json!(format!("/2015-03-31/event-source-mappings/{id}"));
        let question = (LAMBDA, "GetEventSourceMapping");
        self.each(kind, question, path, tables::mapping).await;
    }

    async fn keys(&mut self) {
        let of_stack = self.stack.of_kind("AWS::KMS::Key");
        let mut all: Vec<_> = of_stack
            .map(|key| (key.logical_id.clone(), key.physical_id.clone()))
            .collect();
        let previous =
            ["LookUp", "CardAndId", "Codes", "Freeze"].map(|name| format!("Previous{name}KeyArn"));
        for name in previous {
            let arn = self.stack.parameter(&name).to_owned();
            if !arn.is_empty() {
                all.push((name, arn));
            }
        }
        for (subject, id) in all {
            let input = json!({ "KeyId": id });
            let Some(key) = self.ask(&subject, KMS, "DescribeKey", input.clone()).await else {
                continue;
            };
            let mut rotation = None;
            if keys::rotates(&key) {
                rotation = self.ask(&subject, KMS, "GetKeyRotationStatus", input).await;
                if rotation.is_none() {
                    continue;
                }
            }
            self.findings
                .extend(keys::kms_key(&subject, &key, rotation.as_ref()));
        }
        let is_bank_real = self.stack.is_durable();
        let kind = "AWS::SecretsManager::Secret";
        let input = |id: &str| json!({ "SecretId": id });
        let judge = |subject: &str, answer: &Value| keys::secret(subject, answer, is_bank_real);
        self.each(kind, (SECRETS, "DescribeSecret"), input, judge)
            .await;
    }

    async fn core_keys(&mut self) {
        let stack = self.stack;
        let client = aws_sdk_dynamodb::Client::new(&self.account.sdk());
        let tables = Tables::new(stack.output("TableName"), stack.output("RecordTableName"));
        let store = Store::new(client, tables, &Policy::CURRENT);
        let found = match store.registered_core_keys().await {
            Ok(registered) => {
                let parameter = stack.parameter("CoreEncryptionKeys");
                keys::core_keys(parameter, &registered, stack.is_durable())
            }
            Err(error) => {
                let why = format!(
                    "the registered keys cannot be read (dynamodb:GetItem, K#core): {error}"
                );
                vec![Finding::new(Level::Unknown, "CoreEncryptionKeys", why)]
            }
        };
        self.findings.extend(found);
    }

    async fn compute(&mut self, packages: Option<&Packages>) {
        let stack = self.stack;
        let path = |name: &str| {
            json!(format!(
                "/2015-03-31/functions/{name}/configuration?Qualifier=live"
            ))
        };
        let judge =
            |subject: &str, answer: &Value| compute::function(subject, answer, stack, packages);
        let question = (LAMBDA, "GetFunctionConfiguration");
        self.each("AWS::Lambda::Function", question, path, judge)
            .await;
        let path = |name: &str| json!(format!("/schedules/{name}"));
        let question = (SCHEDULER, "GetSchedule");
        let kind = "AWS::Scheduler::Schedule";
        self.each(kind, question, path, compute::schedule).await;
    }

    async fn operators(&mut self) {
        let stack = self.stack;
        let parameter = stack.parameter("OperatorRoleArns");
        self.findings
            .extend(operators::listed(parameter, stack.is_durable()));
        for arn in operators::roles(parameter) {
            if arn.split(':').nth(4) != Some(&stack.account) {
                let message = "it is of another account: check there that its trust policy fixes sts:RoleSessionName";
                self.findings
                    .push(Finding::new(Level::Unknown, arn, message));
                continue;
            }
            let name = arn.rsplit('/').next().unwrap_or_default();
            if let Some(answer) = self
                .ask(arn, IAM, "GetRole", json!({ "RoleName": name }))
                .await
            {
                self.findings.extend(operators::role(arn, &answer));
            }
        }
    }

    async fn sms(&mut self) {
        let is_durable = self.stack.is_durable();
        let operation = "GetSMSSandboxAccountStatus";
        if let Some(answer) = self.ask("SMS sandbox", SNS, operation, json!({})).await {
            self.findings.extend(sms::sandbox(&answer, is_durable));
        }
        if let Some(answer) = self
            .ask("SMS spend limit", SNS, "GetSMSAttributes", json!({}))
            .await
        {
            self.findings.extend(sms::spend_limit(&answer, is_durable));
        }
    }
}
