//! Published events, received by queues that are subscribed with filter policies.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::aws::{SQS, element};
use tests::local_cloud::LocalCloud;
use tests::merchant::Profile;
use tests::transport::Transport as _;

use crate::see::without;

/// The maximum time from a transition to its event.
const EVENT_LIMIT: Duration = Duration::from_secs(30);

/// A queue that is subscribed to the topic.
struct Subscriber<'l> {
    live: &'l LocalCloud,
    url: String,
    /// Events by id: a second copy has the same id.
    received: BTreeMap<String, Value>,
}

impl<'l> Subscriber<'l> {
    /// A queue that receives the events with these message attributes.
    async fn subscribe(live: &'l LocalCloud, name: &str, filter: &Value) -> Self {
        let topic = &live.system.endpoints().events_topic;
        let (account, _) = topic.rsplit_once(':').unwrap();
        let arn = format!("{}:{name}", account.replacen(":sns:", ":sqs:", 1));
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }]});
        let body = json!({"QueueName": name, "Attributes": {"Policy": policy.to_string()}});
        let made = live.root.json(&SQS, "CreateQueue", &body).await.unwrap();
        let filter = filter.to_string();
        let fields = [
            ("TopicArn", topic.as_str()),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
            ("Attributes.entry.2.key", "FilterPolicy"),
            ("Attributes.entry.2.value", &filter),
        ];
        let subscribed = live.root.query("sns", "2010-03-31", "Subscribe", &fields);
        let subscribed = subscribed.await.unwrap();
        assert!(element(&subscribed, "SubscriptionArn").is_some());
        Self {
            live,
            url: made["QueueUrl"].as_str().unwrap().to_owned(),
            received: BTreeMap::new(),
        }
    }

    /// Receives until there are this many events, and then until the queue is empty. Returns them in the order of the history.
    async fn receive(&mut self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + EVENT_LIMIT;
        loop {
            let body =
                json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1});
            let reply = self.live.root.json(&SQS, "ReceiveMessage", &body).await;
            let reply = reply.unwrap();
            let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() && (self.received.len() >= count || Instant::now() > deadline) {
                break;
            }
            for message in messages {
                let text = message["Body"].as_str().unwrap();
                self.live.note("a published event", text.to_owned());
                let event: Value = serde_json::from_str(text).unwrap();
                let id = event["id"].as_str().unwrap().to_owned();
                let before = self.received.insert(id, event.clone());
                assert!(before.is_none_or(|before| before == event), "{event}");
                let handle = &message["ReceiptHandle"];
                let body = json!({"QueueUrl": self.url, "ReceiptHandle": handle});
                self.live
                    .root
                    .json(&SQS, "DeleteMessage", &body)
                    .await
                    .unwrap();
            }
        }
        let mut events: Vec<Value> = self.received.values().cloned().collect();
        events.sort_by_key(|event| event["sequence"].to_string());
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }
}

/// The kinds of the history that are published, in the order of the history.
fn published<'h>(history: &'h [Value], kinds: &[&str]) -> Vec<&'h Value> {
    let is_published = |event: &&Value| kinds.contains(&event["kind"].as_str().unwrap());
    history.iter().filter(is_published).collect()
}

/// The event is the history's, without its facts.
fn is_of_history(live: &LocalCloud, event: &Value, shown: &Value, merchant: &Profile) {
    let data = &event["data"];
    for name in [
        "event_id",
        "sequence",
        "kind",
        "policy_version",
        "prev_hash",
        "hash",
    ] {
        assert_eq!(data[name], shown[name], "{name}");
    }
    for name in ["rebind_id", "card_id"] {
        if let Some(id) = data.get(name) {
            assert_eq!(*id, shown["data"][name], "{name}");
        }
    }
    let kind = shown["kind"].as_str().unwrap();
    let id = format!("{}.{}", merchant.id, shown["event_id"].as_str().unwrap());
    assert_eq!(
        without(event, &["data"]),
        json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/card-rebind/{}", live.system.endpoints().stack),
            "type": format!("card-rebind.{kind}"),
            "subject": merchant.id,
            "time": shown["at"],
            "datacontenttype": "application/json",
            "sequence": format!("{:016}", shown["sequence"].as_u64().unwrap()),
        })
    );
}

/// A change that its owner freezes: one queue receives everything about the merchant, another one two types only.
pub async fn subscribers_receive_what_they_filter_for(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let all = json!({"merchant_id": [merchant.id]});
    let some = json!({"merchant_id": [merchant.id], "type": ["card-rebind.activated", "card-rebind.frozen"]});
    let mut everything = Subscriber::subscribe(live, "all-events", &all).await;
    let mut two_types = Subscriber::subscribe(live, "two-types", &some).await;

    let app = live.app(&merchant).await;
    app.activate(&live.card()).await;
    live.notifications(&merchant.phone, 1).await;
    let code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(600);
    let frozen = live.freeze(merchant.now(), &merchant.account, &code).await;
    frozen.ok(202);

    let history = live.app(&merchant).await.history().await;
    let kinds = [
        "rebind_requested",
        "identity_confirmed",
        "agreement_signed",
        "activated",
        "frozen",
    ];
    let expected = published(&history, &kinds);
    assert_eq!(expected.len(), kinds.len(), "{history:#?}");
    let received = everything.receive(expected.len()).await;
    for (event, shown) in received.iter().zip(&expected) {
        is_of_history(live, event, shown, &merchant);
    }
    let received = two_types.receive(2).await;
    let expected = published(&history, &["activated", "frozen"]);
    for (event, shown) in received.iter().zip(&expected) {
        is_of_history(live, event, shown, &merchant);
    }
    assert_eq!(received[1]["data"]["state"], "frozen");
}
