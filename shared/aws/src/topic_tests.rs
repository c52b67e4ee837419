//! Tests the published message with its attributes, and that every failure is retried.

use super::*;
use crate::sns::tests::{Script, error};
use domain::history::event::OfRebind;
use domain::history::{ChainedEvent, Event, GENESIS, Recorded};
use domain::ids::{MerchantId, RebindId};
use domain::time::Timestamp;

const ARN: &str = "arn:aws:sns:us-east-1:000000000000:events";

fn event() -> CloudEvent {
    let rebind_id = RebindId::parse("rbd_000001bcdfghjklmnpqrst").unwrap();
    let event = ChainedEvent {
        merchant_id: MerchantId::parse("mer_plain_1").unwrap(),
        seq: 7,
        at: Timestamp::from_epoch_s(1_795_312_800),
        policy: 3,
        recorded: Recorded::new(Event::Completed(OfRebind { rebind_id })),
        personal: None,
        prev_hash: GENESIS.to_owned(),
        hash: GENESIS.to_owned(),
        notifications: Vec::new(),
    };
    CloudEvent::of(&event, "/card-rebind/tests").unwrap()
}

async fn publish(answer: Option<(u16, String)>) -> (Result<(), PortError>, String) {
    let script = Script::of(answer);
    let topic = Topic::new(script.client(), ARN.to_owned());
    let published = topic.publish(&event()).await;
    (published, script.form())
}

#[tokio::test]
async fn event_is_published_with_its_attributes() {
    let done = "<PublishResponse><PublishResult/></PublishResponse>".to_owned();
    let (published, form) = publish(Some((200, done))).await;
    published.unwrap();
    for part in [
        format!("TopicArn={ARN}"),
        "Name=merchant_id&".to_owned(),
        "StringValue=mer_plain_1".to_owned(),
        "Name=type&".to_owned(),
        "StringValue=card-rebind.completed".to_owned(),
        format!("Message={}", serde_json::to_string(&event()).unwrap()),
    ] {
        assert!(form.contains(&part), "{part}: {form}");
    }
}

#[tokio::test]
async fn every_failure_is_transient() {
    for answer in [
        Some((403, error("AuthorizationError", "not authorized"))),
        Some((400, error("KMSAccessDenied", "the key"))),
        Some((404, error("NotFound", "Topic does not exist"))),
        Some((500, error("InternalError", "mer_plain_1"))),
        None,
    ] {
        let (published, _) = publish(answer.clone()).await;
        let error = published.unwrap_err();
        assert!(matches!(error, PortError::Transient(..)), "{answer:?}");
        assert!(!error.to_string().contains("mer_plain"), "{error}");
    }
}
