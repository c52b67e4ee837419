//! Published events: the stream records of history events, and a topic that keeps what it receives.

use crate::iam_policy::{Context, IamRecorder};
use crate::peer_faults::{DroppedPart, PeerCalls};
use api::cloud_event::CloudEvent;
use application::ports::{PortError, PublishEvent};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use store::item::Item;

/// The template's name of the topic.
pub const TOPIC: &str = "EventsTopic";

/// The topic, with every event in the order of its publication.
#[derive(Clone, Debug, Default)]
pub struct TopicBox {
    pub(crate) published: Arc<Mutex<Vec<Value>>>,
    pub(crate) peer_calls: PeerCalls,
    pub(crate) iam: IamRecorder,
}

impl TopicBox {
    /// A topic of a system of its own.
    #[must_use]
    pub fn new(peer_calls: &PeerCalls, iam: &IamRecorder) -> Self {
        Self {
            published: Arc::default(),
            peer_calls: peer_calls.clone(),
            iam: iam.clone(),
        }
    }

    /// Every event, copies included.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        self.published.lock().unwrap().clone()
    }
}

impl PublishEvent for TopicBox {
    async fn publish(&self, event: &CloudEvent) -> Result<(), PortError> {
        let context = Context::default();
        let allowed = self.iam.authorize("events", "sns:Publish", TOPIC, &context);
        allowed.unwrap_or_else(|refusal| panic!("{refusal}"));
        let lost = self.peer_calls.call("topic");
        if lost != Some(DroppedPart::Request) {
            let event = serde_json::to_value(event).unwrap();
            self.published.lock().unwrap().push(event);
        }
        match lost {
            None => Ok(()),
            Some(_) => Err(PortError::Transient("the topic", "lost".to_owned())),
        }
    }
}

/// The insertion of an item, as a record of the table's stream. The item is in DynamoDB's JSON.
#[must_use]
pub fn insertion(item: &Value) -> Value {
    let key = |name: &str| item[name]["S"].as_str().unwrap();
    let number = format!("{} {}", key("pk"), key("sk"));
    json!({"eventID": number, "eventName": "INSERT", "dynamodb": {
        "SequenceNumber": number,
        "Keys": {"pk": item["pk"], "sk": item["sk"]},
        "NewImage": item,
    }})
}

/// The insertions of all history events among these items, each merchant's in order.
#[must_use]
pub fn insertions(items: impl IntoIterator<Item = Value>) -> Value {
    let is_event = |item: &Value| item["sk"]["S"].as_str().unwrap().starts_with("E#");
    let events = items.into_iter().filter(is_event);
    let mut records: Vec<Value> = events.map(|item| insertion(&item)).collect();
    records.sort_by_key(|record| record["eventID"].to_string());
    json!({"Records": records})
}

/// An item in DynamoDB's JSON, without attributes of types that an event has not.
#[must_use]
pub fn image(item: &Item) -> Value {
    let attributes = item.iter().filter_map(|(name, value)| {
        let value = match value {
            AttributeValue::S(text) => json!({"S": text}),
            AttributeValue::N(number) => json!({"N": number}),
            AttributeValue::B(bytes) => json!({"B": STANDARD.encode(bytes)}),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    Value::Object(attributes.collect::<Map<_, _>>())
}
