//! A queue that receives what topics publish.

use rebindctl::account::{Account, SNS, SQS};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::{ask, text_of};
use crate::error::Error;

/// A queue of the first hour.
pub(super) struct Queue {
    account: Account,
    url: String,
    arn: String,
}

impl Queue {
    /// Creates a queue that topics of this account may send to.
    pub(super) async fn create(account: &Account, name: &str) -> Result<Self, Error> {
        let input = json!({ "QueueName": name });
        let made = ask(account, SQS, "CreateQueue", &input).await?;
        let url = text_of(&made, "QueueUrl")?;
        let input = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let attributes = ask(account, SQS, "GetQueueAttributes", &input).await?;
        let arn = text_of(&attributes["Attributes"], "QueueArn")?;
        let topics = format!(
            "{}:*",
            arn.replacen(":sqs:", ":sns:", 1)
                .rsplit_once(':')
                .map_or("", |(account, _)| account)
        );
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnLike": {"aws:SourceArn": topics}},
        }]});
        let attributes = json!({ "Policy": policy.to_string() });
        let input = json!({"QueueUrl": url, "Attributes": attributes});
        ask(account, SQS, "SetQueueAttributes", &input).await?;
        Ok(Self {
            account: account.clone(),
            url,
            arn,
        })
    }

    /// Receives everything of a topic, in SNS's envelope.
    pub(super) async fn subscribe(&self, topic: &str) -> Result<(), Error> {
        let input = json!({"TopicArn": topic, "Protocol": "sqs", "Endpoint": self.arn});
        ask(&self.account, SNS, "Subscribe", &input).await?;
        Ok(())
    }

    /// Receives envelopes until `is_enough` or until the time is over. Returns all.
    pub(super) async fn receive(
        &self,
        limit: Duration,
        is_enough: impl Fn(&[Value]) -> bool,
    ) -> Result<Vec<Value>, Error> {
        let deadline = Instant::now() + limit;
        let mut all = Vec::new();
        while !is_enough(&all) && Instant::now() < deadline {
            let input =
                json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1});
            let received = ask(&self.account, SQS, "ReceiveMessage", &input).await?;
            for message in received["Messages"].as_array().into_iter().flatten() {
                let envelope = message["Body"].as_str().unwrap_or_default();
                all.extend(serde_json::from_str::<Value>(envelope));
                let handle = &message["ReceiptHandle"];
                let input = json!({"QueueUrl": self.url, "ReceiptHandle": handle});
                ask(&self.account, SQS, "DeleteMessage", &input).await?;
            }
        }
        Ok(all)
    }

    /// Deletes the queue. Its subscriptions stay.
    pub(super) async fn delete(&self) -> Result<(), Error> {
        let input = json!({ "QueueUrl": self.url });
        ask(&self.account, SQS, "DeleteQueue", &input).await?;
        Ok(())
    }
}

/// The published documents in envelopes.
pub(super) fn published(envelopes: &[Value]) -> impl Iterator<Item = Value> {
    envelopes
        .iter()
        .filter_map(|envelope| serde_json::from_str(envelope["Message"].as_str()?).ok())
}
