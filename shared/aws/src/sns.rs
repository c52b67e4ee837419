//! SMS through SNS.

use crate::settings::{Aws, CONNECT_TIMEOUT_MS, PUBLISH_TIMEOUT_MS};
use application::ports::{PortError, SendSms, SmsAnswer};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use domain::pii::Phone;
use domain::sms::{Message, SmsSignature};
use std::time::Duration;

/// Sends SMS with this function's role.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
    signature: SmsSignature,
}

impl Sns {
    /// The client must not retry a publish, because a repeated publish is a second SMS.
    #[must_use]
    pub const fn new(client: Client, signature: SmsSignature) -> Self {
        Self { client, signature }
    }
}

impl SendSms for Sns {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
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
            .message(self.signature.sign(&message.text))
            .message_attributes("AWS.SNS.SMS.SMSType", kind)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(SmsAnswer::Accepted),
            Err(error) if is_about_the_phone(&error) => Ok(SmsAnswer::PhoneRefused),
            // Keep the error code only, because the service's message may contain the phone or the text.
            Err(error) => {
                let code = error.code().unwrap_or("no answer").to_owned();
                Err(PortError::Transient("SMS", code))
            }
        }
    }
}

/// True if the same request fails for this phone only. Missing permissions and quotas are ours: another day they are mended.
fn is_about_the_phone(error: &impl ProvideErrorMetadata) -> bool {
    let names = |words: &str| error.message().is_some_and(|text| text.contains(words));
    match error.code() {
        Some("OptedOut") => true,
        // SNS names the parameter only in the text of its error.
        Some("InvalidParameter" | "InvalidParameterValue") => {
            names("PhoneNumber") || names("phone number") || names("opted out")
        }
        _ => false,
    }
}

impl Aws {
    /// The client of messages.
    pub(crate) fn publisher(&self) -> Client {
        publishing_client(&self.config_for_messages())
    }

    /// SMS through SNS, with the signature in `SMS_SIGNATURE`.
    ///
    /// # Errors
    /// `Permanent` when the signature is missing, or could be taken for a code.
    pub fn sms(&self) -> Result<Sns, PortError> {
        Ok(Sns::new(self.publisher(), self.sms_signature()?))
    }
}

/// An SNS client that publishes once, with a long timeout: a retry of a publish that succeeded late would send a
/// second message.
pub(crate) fn publishing_client(config: &SdkConfig) -> Client {
    let config = aws_sdk_sns::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
                .operation_timeout(Duration::from_millis(PUBLISH_TIMEOUT_MS))
                // Must be explicit, or the builder keeps the attempt timeout of the shared configuration.
                .disable_operation_attempt_timeout()
                .build(),
        )
        .build();
    Client::from_conf(config)
}

#[cfg(test)]
#[path = "sns_tests.rs"]
pub(crate) mod tests;
