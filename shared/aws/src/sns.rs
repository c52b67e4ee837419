//! SMS through SNS.

use application::ports::{PortError, SendSms};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use domain::pii::Phone;

/// Sends SMS with this function's role.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
}

impl Sns {
    /// The client must not retry a publish, because a repeated publish is a second SMS.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

impl SendSms for Sns {
    async fn send(&self, phone: &Phone, text: &str) -> Result<(), PortError> {
        // SNS sends transactional messages with priority and at any time of day.
        let kind = MessageAttributeValue::builder()
            .data_type("String")
            .string_value("Transactional")
            .build();
        let kind = kind.map_err(|error| PortError::Permanent("SMS", error.to_string()))?;
        let sent = self
            .client
            .publish()
            .phone_number(phone.e164())
            .message(text)
            .message_attributes("AWS.SNS.SMS.SMSType", kind)
            .send()
            .await;
        // Keep the error code only, because the service's message may contain the phone or the text.
        sent.map(|_| ()).map_err(|error| {
            PortError::Transient("SMS", error.code().unwrap_or("no answer").to_owned())
        })
    }
}
