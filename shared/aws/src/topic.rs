//! Events for other systems through an SNS topic.

use crate::settings::{Aws, env};
use api::cloud_event::CloudEvent;
use application::ports::{PortError, PublishEvent};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;

/// The topic, with this function's role.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The client may retry a publish, because subscribers discard a second copy by its id.
    #[must_use]
    pub const fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl PublishEvent for Topic {
    async fn publish(&self, event: &CloudEvent) -> Result<(), PortError> {
        let failed = |cause: String| PortError::Permanent("the topic", cause);
        let message = serde_json::to_string(event).map_err(|error| failed(error.to_string()))?;
        let published = self.client.publish().topic_arn(&self.arn).message(message);
        // Subscribers filter by these attributes.
        let published = published
            .message_attributes("type", attribute(&event.event_type)?)
            .message_attributes("merchant_id", attribute(event.subject.0.as_str())?);
        match published.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.code().unwrap_or("no answer").to_owned();
                Err(PortError::Transient("the topic", code))
            }
        }
    }
}

fn attribute(text: &str) -> Result<MessageAttributeValue, PortError> {
    let attribute = MessageAttributeValue::builder().data_type("String");
    let attribute = attribute.string_value(text).build();
    attribute.map_err(|error| PortError::Permanent("the topic", error.to_string()))
}

impl Aws {
    /// The topic in `EVENTS_TOPIC_ARN`.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn topic(&self) -> Result<Topic, PortError> {
        // With the usual retries: subscribers discard a second copy.
        let client = Client::new(self.config());
        Ok(Topic::new(client, env("EVENTS_TOPIC_ARN")?))
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
