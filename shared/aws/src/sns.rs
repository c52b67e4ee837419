//! SMS through SNS, straight to a phone.

use application::ports::{PortError, SendSms};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;

/// SNS.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
}

impl Sns {
    /// With this function's role.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl SendSms for Sns {
    async fn send(&self, phone: &str, text: &str) -> Result<(), PortError> {
        // Transactional: sent before marketing, and not held back at night.
        let kind = MessageAttributeValue::builder()
            .data_type("String")
            .string_value("Transactional")
            .build();
        let kind = kind.map_err(|error| PortError::Permanent("SMS", error.to_string()))?;
        let sent = self
            .client
            .publish()
            .phone_number(phone)
            .message(text)
            .message_attributes("AWS.SNS.SMS.SMSType", kind)
            .send()
            .await;
        // The service's message may repeat the phone or the text: only its code is kept.
        sent.map(|_| ()).map_err(|error| {
            PortError::Transient("SMS", error.code().unwrap_or("no answer").to_owned())
        })
    }
}
