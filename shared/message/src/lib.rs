//! The channels of SMS. One parameter of the template chooses.
//!
//! | channel | what it is | where |
//! |---|---|---|
//! | `sns` | SNS, with the text of the message | where SNS sends SMS: not in AWS China |
//! | [`gateway`] | an HTTP gateway to a provider, by template and values | everywhere |
//! | [`outbox`] | a table that keeps the messages; nothing leaves | the sandbox |
//!
//! `infra/message-protocol.md` is the specification of the gateway.

pub mod gateway;
pub mod outbox;
pub mod protocol;

use application::COUNTED;
use application::ports::{PortError, SendSms, SmsAnswer};
use aws::settings::{Aws, env};
use aws::sns::Sns;
use domain::pii::Phone;
use domain::sms::Message;
use gateway::Gateway;
use outbox::Outbox;

/// The chosen channel.
#[derive(Debug)]
pub enum Channel {
    /// SNS.
    Sns(Sns),
    /// A gateway to a provider.
    Gateway(Box<Gateway>),
    /// A table that keeps the messages.
    Outbox(Outbox),
}

impl Channel {
    /// The channel in `MESSAGE_CHANNEL`, with the settings of that channel.
    ///
    /// # Errors
    /// `Permanent` for an unknown channel, or when one of its settings is missing or malformed.
    pub fn connect(aws: &Aws) -> Result<Self, PortError> {
        let channel = env("MESSAGE_CHANNEL")?;
        match channel.as_str() {
            "sns" => aws.sms().map(Self::Sns),
            "gateway" => Gateway::connect(aws).map(|gateway| Self::Gateway(Box::new(gateway))),
            "outbox" => Ok(Self::Outbox(Outbox::new(
                aws.dynamodb(),
                env("OUTBOX_TABLE")?,
                aws.sms_signature()?,
            ))),
            other => Err(PortError::Permanent(
                "environment",
                format!("MESSAGE_CHANNEL must be sns, gateway or outbox, not {other}"),
            )),
        }
    }
}

impl SendSms for Channel {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        let sent = match self {
            Self::Sns(sns) => sns.send(phone, message).await,
            Self::Gateway(gateway) => gateway.send(phone, message).await,
            Self::Outbox(outbox) => outbox.send(phone, message).await,
        };
        tracing::info!(target: COUNTED, { sms.template = message.template }, "sms.tried");
        if sent.is_err() {
            tracing::info!(target: COUNTED, { sms.template = message.template }, "sms.failed");
        }
        sent
    }
}
