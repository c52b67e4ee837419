//! The example policies of operators, and the permissions of messages, in a role of the first hour.

use application::clock::wall_clock;
use rebindctl::account::{Account, DYNAMODB, IAM, SNS, Why};
use rebindctl::switches::switch;
use rebindctl::trace::{TraceId, trace};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use store::switches::Switch;

use super::{Hour, ask};
use crate::demo::Changed;
use crate::error::Error;
use crate::operators;

const STOP: &str = include_str!("../../../operator/policies/stop.json");
const TRACE: &str = include_str!("../../../operator/policies/trace.json");
/// On AWS, a new permission holds after some seconds.
const PERMITTED_LIMIT: Duration = Duration::from_secs(60);
/// The time until a line of a function can be found.
const LOGGED_LIMIT: Duration = Duration::from_secs(60);

/// Asks what the policies permit. `changed`: a change of card in this hour.
pub(super) async fn run(hour: &mut Hour, changed: &Changed) -> Result<(), Error> {
    let role = Role::create(hour).await?;
    stop(hour, &role).await?;
    follow(hour, &role, changed).await?;
    phones(hour, &role).await?;
    devices(hour, &role).await?;
    role.delete().await
}

/// A role that gets one policy after the other.
struct Role {
    account: Account,
    name: String,
    arn: String,
}

impl Role {
    async fn create(hour: &Hour) -> Result<Self, Error> {
        let account = hour.system.account().clone();
        let name = format!("{}-first-hour", hour.system.stack().name);
        let arn = operators::create_role(&account, &name, "first-hour").await?;
        Ok(Self { account, name, arn })
    }

    /// A session with this policy only.
    async fn with(&self, policy: &Value) -> Result<Account, Error> {
        operators::permit(&self.account, &self.name, policy).await?;
        let session = operators::assume(&self.account, &self.arn, "first-hour").await?;
        Ok(self.account.with(session.credentials()))
    }

    /// An example policy with the names of the stack.
    fn example(&self, hour: &Hour, policy: &str) -> Result<Value, Error> {
        let endpoints = hour.system.endpoints();
        let id = self.arn.split(':').nth(4).unwrap_or_default();
        let partition = self.arn.split(':').nth(1).unwrap_or_default();
        let text = policy
            .replace("arn:aws:", &format!("arn:{partition}:"))
            .replace("REGION", &endpoints.region)
            .replace("ACCOUNT", id)
            .replace("RECORD_TABLE", &endpoints.record_table)
            .replace("STACK", &endpoints.stack);
        serde_json::from_str(&text).map_err(|error| Error::Reply {
            what: error.to_string(),
            reply: "an example policy".to_owned(),
        })
    }

    async fn delete(&self) -> Result<(), Error> {
        let input = json!({"RoleName": self.name, "PolicyName": "policy"});
        ask(&self.account, IAM, "DeleteRolePolicy", &input).await?;
        let input = json!({"RoleName": self.name});
        ask(&self.account, IAM, "DeleteRole", &input).await?;
        Ok(())
    }
}

/// Repeats an attempt until it is permitted, because a new permission does not hold at once.
async fn settled<T, E>(is_aws: bool, attempt: impl AsyncFn() -> Result<T, E>) -> Result<T, E> {
    let deadline = Instant::now() + PERMITTED_LIMIT;
    loop {
        let result = attempt().await;
        if result.is_ok() || !is_aws || Instant::now() > deadline {
            return result;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// The switches, and the stage that the same role must not change.
async fn stop(hour: &mut Hour, role: &Role) -> Result<(), Error> {
    let session = role.with(&role.example(hour, STOP)?).await?;
    let stack = hour.system.stack().name.clone();
    let stopped = settled(hour.is_aws(), async || {
        switch(
            &session,
            &stack,
            Switch::Changes,
            Some("first hour"),
            wall_clock(),
        )
        .await
    });
    let stopped = stopped.await.map(|stopped| stopped.to_string());
    let resumed = switch(&session, &stack, Switch::Changes, None, wall_clock()).await;
    let holds = stopped.is_ok() && resumed.is_ok();
    let answer = stopped.unwrap_or_else(|error| error.to_string());
    let report = &mut hour.report;
    report.judge(
        "policies/stop.json permits a stop and its end",
        holds,
        answer,
    );

    let (pk, sk) = store::keys::STAGE;
    let input = json!({
        "TableName": hour.system.endpoints().record_table,
        "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
        "UpdateExpression": "SET stage = :stage",
        "ConditionExpression": "attribute_exists(first_hour)",
        "ExpressionAttributeValues": {":stage": {"S": "production"}},
    });
    let answer = session.ask(DYNAMODB, "UpdateItem", &input).await;
    let refusal = answer.err();
    let holds = refusal
        .as_ref()
        .is_some_and(|refusal| refusal.why == Why::Denied);
    let answer = format!("{:?}", super::roles::permitted(refusal));
    hour.report.judge_on_aws(
        "policies/stop.json permits no change of the stage",
        holds,
        format!("permitted: {answer}"),
        "the local cloud does not evaluate dynamodb:Attributes",
    );
    Ok(())
}

/// The lines of a change of card.
async fn follow(hour: &mut Hour, role: &Role, changed: &Changed) -> Result<(), Error> {
    let policy = match hour.is_aws() {
        true => TRACE.to_owned(),
        // The local cloud has its own names for logs.
        false => TRACE.replace("log-group:STACK-", "log-group:/aws/cloudformation/STACK/"),
    };
    let session = role.with(&role.example(hour, &policy)?).await?;
    let stack = hour.system.stack().name.clone();
    let since = changed.began_ms;
    let deadline = Instant::now() + LOGGED_LIMIT;
    let found = loop {
        let Some(id) = TraceId::parse(&changed.rebind_id) else {
            break Ok(0);
        };
        match trace(&session, &stack, id, since).await {
            Ok(lines) if lines.is_empty() && Instant::now() < deadline => {}
            Err(_) if Instant::now() < deadline => {}
            Ok(lines) => break Ok(lines.len()),
            Err(error) => break Err(error.to_string()),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let holds = found.as_ref().is_ok_and(|lines| *lines > 0);
    let answer = found.map_or_else(|error| error, |lines| format!("{lines} lines"));
    let expectation =
        "policies/trace.json permits `rebindctl trace`, and FilterLogEvents finds a quoted id";
    hour.report.judge(expectation, holds, answer);
    Ok(())
}

/// A message to a phone, in the statement that the functions have with MessageChannel=sns. The number does not exist.
async fn phones(hour: &mut Hour, role: &Role) -> Result<(), Error> {
    let partition = role.arn.split(':').nth(1).unwrap_or_default();
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sns:Publish", "NotResource": format!("arn:{partition}:sns:*:*:*"),
    }]});
    let session = role.with(&policy).await?;
    let sms = json!({"PhoneNumber": "+1", "Message": "first hour"});
    let answer = settled(hour.is_aws(), async || {
        match session.ask(SNS, "Publish", &sms).await.map_err(|no| no.why) {
            Err(Why::Denied) => Err("refused for lack of a permission".to_owned()),
            Err(why) => Ok(format!("{why:?}")),
            Ok(_) => Ok("accepted".to_owned()),
        }
    });
    let answer = answer.await;
    let holds = answer.is_ok();
    hour.report.judge(
        "sns:Publish with NotResource permits SMS, and needs no permission of End User Messaging",
        holds,
        answer.unwrap_or_else(|refused| refused),
    );
    let topic = hour.system.endpoints().events_topic.clone();
    let input = json!({"TopicArn": topic, "Message": "first hour"});
    let answer = session.ask(SNS, "Publish", &input).await;
    let refusal = answer.err().map(|no| no.why);
    hour.report.judge(
        "sns:Publish with NotResource permits no topic",
        refusal == Some(Why::Denied),
        format!("{refusal:?}"),
    );
    Ok(())
}

/// The calls of push devices, in the statement of a function. The application does not exist.
async fn devices(hour: &mut Hour, role: &Role) -> Result<(), Error> {
    let endpoints = hour.system.endpoints();
    let id = role.arn.split(':').nth(4).unwrap_or_default();
    let partition = role.arn.split(':').nth(1).unwrap_or_default();
    let sns = format!("arn:{partition}:sns:{}:{id}", endpoints.region);
    let application = format!("{sns}:app/GCM/first-hour");
    let device = format!("{sns}:endpoint/GCM/first-hour");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": ["sns:CreatePlatformEndpoint", "sns:Publish", "sns:SetEndpointAttributes", "sns:DeleteEndpoint"],
        "Resource": [application, format!("{device}/*")],
    }]});
    let session = role.with(&policy).await?;
    let device = format!("{device}/00000000-0000-0000-0000-000000000000");
    let calls = [
        (
            "CreatePlatformEndpoint",
            json!({"PlatformApplicationArn": application, "Token": "first-hour"}),
        ),
        (
            "SetEndpointAttributes",
            json!({"EndpointArn": device, "Attributes.entry.1.key": "Enabled", "Attributes.entry.1.value": "true"}),
        ),
        (
            "Publish",
            json!({"TargetArn": device, "Message": "first hour"}),
        ),
        ("DeleteEndpoint", json!({"EndpointArn": device})),
    ];
    let mut refused = Vec::new();
    for (operation, input) in calls {
        let answer = settled(hour.is_aws(), async || {
            match session.ask(SNS, operation, &input).await {
                Err(no_answer) if no_answer.why == Why::Denied => Err(()),
                _ => Ok(()),
            }
        });
        if answer.await.is_err() {
            refused.push(operation);
        }
    }
    hour.report.judge_on_aws(
        "the ARNs of an application and of its endpoints are the resources of the calls of push devices",
        refused.is_empty(),
        format!("refused: {refused:?}"),
        "the local cloud knows no resource of these calls",
    );
    Ok(())
}
