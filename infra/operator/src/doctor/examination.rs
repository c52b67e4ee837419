//! Asks about each part of a stack, and judges the answers.

use super::account::{
    Account, Answer, DYNAMODB, IAM, KMS, LAMBDA, NoAnswer, SCHEDULER, SECRETS, SNS, SQS, Service,
};
use super::stack::{Resource, Stack};
use super::{Finding, Level, compute, keys, operators, sms, tables};
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

/// Examines a stack, for a `rebindctl` of this version.
///
/// # Errors
/// When the stack cannot be read. Anything else that cannot is a finding.
pub async fn examine(account: &Account, stack: &str, version: &str) -> Result<Examined, NoAnswer> {
    let (stack, date) = Stack::read(account, stack).await?;
    let mut findings = compute::clock(date.as_deref(), SystemTime::now());
    findings.extend(stack.judged(version));
    let mut doctor = Examination {
        account,
        stack: &stack,
        findings,
    };
    doctor.tables().await;
    doctor.queues_and_mappings().await;
    doctor.keys().await;
    doctor.secrets().await;
    doctor.core_keys().await;
    doctor.compute().await;
    doctor.operators().await;
    doctor.sms().await;
    Ok(Examined::of(doctor.findings))
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

    fn of_kind(&self, kind: &str) -> Vec<Resource> {
        self.stack.of_kind(kind).cloned().collect()
    }

    async fn tables(&mut self) {
        let requests = self.stack.parameter("RequestsPerSecond").parse();
        let requests = requests.unwrap_or_default();
        for Resource {
            logical_id,
            physical_id,
            ..
        } in self.of_kind("AWS::DynamoDB::Table")
        {
            let input = json!({ "TableName": physical_id });
            let mut ask = async |operation| {
                self.ask(&logical_id, DYNAMODB, operation, input.clone())
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
                logical_id: &logical_id,
                table: &table,
                ttl: &ttl,
                backups: &backups,
            };
            self.findings
                .extend(tables::table(&answers, self.stack.is_durable(), requests));
        }
    }

    async fn queues_and_mappings(&mut self) {
        for Resource {
            logical_id,
            physical_id,
            ..
        } in self.of_kind("AWS::SQS::Queue")
        {
            let input = json!({ "QueueUrl": physical_id, "AttributeNames": ["ApproximateNumberOfMessages"] });
            if let Some(answer) = self
                .ask(&logical_id, SQS, "GetQueueAttributes", input)
                .await
            {
                self.findings.extend(tables::queue(&logical_id, &answer));
            }
        }
        let path = json!("/2015-03-31/event-source-mappings/");
        let expected = self.of_kind("AWS::Lambda::EventSourceMapping");
        let expected: Vec<_> = expected
            .iter()
            .map(|one| (one.logical_id.as_str(), one.physical_id.as_str()))
            .collect();
        let answer = self
            .ask("stream", LAMBDA, "ListEventSourceMappings", path)
            .await;
        if let Some(answer) = answer {
            self.findings.extend(tables::mappings(&answer, &expected));
        }
    }

    async fn keys(&mut self) {
        let of_stack = self.of_kind("AWS::KMS::Key").into_iter();
        let mut all: Vec<_> = of_stack
            .map(|key| (key.logical_id, key.physical_id))
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
    }

    async fn secrets(&mut self) {
        for Resource {
            logical_id,
            physical_id,
            ..
        } in self.of_kind("AWS::SecretsManager::Secret")
        {
            let input = json!({ "SecretId": physical_id });
            if let Some(answer) = self
                .ask(&logical_id, SECRETS, "DescribeSecret", input)
                .await
            {
                let is_bank_real = self.stack.is_durable();
                self.findings
                    .extend(keys::secret(&logical_id, &answer, is_bank_real));
            }
        }
    }

    async fn core_keys(&mut self) {
        let parameter = self.stack.parameter("CoreEncryptionKeys");
        if !self.stack.is_durable() {
            self.findings.extend(keys::core_keys(parameter, None));
            return;
        }
        let config = self.account.sdk().await;
        let client = aws_sdk_dynamodb::Client::new(&config);
        let name = |output: &str| self.stack.output(output).to_owned();
        let tables = Tables::new(name("TableName"), name("RecordTableName"));
        let store = Store::new(client, tables, &Policy::CURRENT);
        self.findings
            .extend(match store.registered_core_keys().await {
                Ok(registered) => keys::core_keys(parameter, Some(&registered)),
                Err(error) => {
                    let why = format!(
                        "the registered keys cannot be read (dynamodb:GetItem, K#core): {error}"
                    );
                    vec![Finding::new(Level::Unknown, "CoreEncryptionKeys", why)]
                }
            });
    }

    async fn compute(&mut self) {
        for Resource {
            logical_id,
            physical_id,
            ..
        } in self.of_kind("AWS::Lambda::Function")
        {
            let path = format!("/2015-03-31/functions/{physical_id}/configuration");
            let operation = "GetFunctionConfiguration";
            if let Some(answer) = self.ask(&logical_id, LAMBDA, operation, path.into()).await {
                self.findings
                    .extend(compute::function(&logical_id, &answer, self.stack));
            }
        }
        for Resource {
            logical_id,
            physical_id,
            ..
        } in self.of_kind("AWS::Scheduler::Schedule")
        {
            let path = format!("/schedules/{physical_id}");
            if let Some(answer) = self
                .ask(&logical_id, SCHEDULER, "GetSchedule", path.into())
                .await
            {
                self.findings
                    .extend(compute::schedule(&logical_id, &answer));
            }
        }
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
