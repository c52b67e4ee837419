//! The actions of all alarms: each is set off by hand, and its message has to arrive.

use rebindctl::account::{CLOUDWATCH, SNS};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

use super::queue::{Queue, published};
use super::{Hour, ask, text_of};
use crate::error::Error;

/// The time until the last message is there.
const MESSAGES_LIMIT: Duration = Duration::from_secs(120);
const KINDS: [&str; 2] = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];

/// Gives the alarms a topic, and sets all of them off. Afterwards, their topic does not exist.
pub(super) async fn run(hour: &mut Hour) -> Result<(), Error> {
    let account = hour.system.account().clone();
    let name = format!("{}-first-hour-alarms", hour.system.stack().name);
    let made = ask(&account, SNS, "CreateTopic", &json!({ "Name": name })).await?;
    let topic = text_of(&made, "TopicArn")?;
    let queue = Queue::create(&account, &name).await?;
    queue.subscribe(&topic).await?;
    hour.deploy([
        ("AlarmTopicArn", topic.clone()),
        ("TicketTopicArn", topic.clone()),
    ])
    .await?;

    let alarms = KINDS
        .iter()
        .flat_map(|kind| hour.system.stack().of_kind(kind))
        .map(|alarm| {
            alarm
                .physical_id
                .rsplit(":alarm:")
                .next()
                .unwrap_or_default()
                .to_owned()
        });
    let alarms: BTreeSet<String> = alarms.collect();
    for alarm in &alarms {
        let input = json!({"AlarmName": alarm, "StateValue": "ALARM", "StateReason": "first hour"});
        ask(&account, CLOUDWATCH, "SetAlarmState", &input).await?;
    }
    let named = |envelopes: &[Value]| -> BTreeSet<String> {
        let messages = published(envelopes);
        messages
            .filter_map(|message| Some(message["AlarmName"].as_str()?.to_owned()))
            .collect()
    };
    let envelopes = queue
        .receive(MESSAGES_LIMIT, |all| named(all).is_superset(&alarms))
        .await?;
    let arrived = named(&envelopes);
    let missing: Vec<_> = alarms.difference(&arrived).collect();
    let count = alarms.len();
    hour.report.judge(
        "an alarm sends a message to its topic",
        missing.is_empty() && count > 0,
        format!("{count} alarms, without a message: {missing:?}"),
    );
    queue.delete().await?;
    ask(&account, SNS, "DeleteTopic", &json!({ "TopicArn": topic })).await?;
    Ok(())
}
