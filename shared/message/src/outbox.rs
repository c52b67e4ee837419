//! A table in the place of a provider: nothing leaves. For a sandbox on AWS, whose phones belong to strangers.

use application::clock::wall_clock_ms;
use application::crypto;
use application::ports::{PortError, SendSms, SmsAnswer};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::pii::Phone;
use domain::sms::{Message, SmsSignature};

/// A message is kept for a day, in seconds.
const KEPT_S: i64 = 24 * 60 * 60;

/// The table of a sandbox's messages: `pk` is the phone, `sk` the id of the message, `at` its time in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Outbox {
    client: Client,
    table: String,
    signature: SmsSignature,
}

impl Outbox {
    /// Messages are kept as they would arrive, with the signature.
    #[must_use]
    pub const fn new(client: Client, table: String, signature: SmsSignature) -> Self {
        Self {
            client,
            table,
            signature,
        }
    }
}

/// Whether a message was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept now.
    Now,
    /// It was kept before, under the same id.
    Before,
}

impl Outbox {
    /// Keeps a message under an id. The same id again keeps nothing.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn keep(
        &self,
        phone: &Phone,
        message: &Message,
        id: &str,
    ) -> Result<Kept, PortError> {
        let now_ms = wall_clock_ms();
        let text = |text: String| AttributeValue::S(text);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(phone.e164().to_owned()))
            .item("sk", text(id.to_owned()))
            .item("at", AttributeValue::N(now_ms.to_string()))
            .item("template", text(message.template.to_owned()))
            .item("text", text(self.signature.sign(&message.text)))
            .item(
                "ttl",
                AttributeValue::N((now_ms / 1_000 + KEPT_S).to_string()),
            )
            .condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => Ok(Kept::Now),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                Ok(Kept::Before)
            }
            Err(error) => {
                let code = error.code().unwrap_or("no answer").to_owned();
                Err(PortError::Transient("SMS", code))
            }
        }
    }
}

impl SendSms for Outbox {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        let id = hex::encode(crypto::random::<16>()?);
        self.keep(phone, message, &id).await?;
        Ok(SmsAnswer::Accepted)
    }
}
