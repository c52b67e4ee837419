//! SMS through an HTTP gateway.

use super::protocol::{HEADERS, PATH, Parameter, SendReply, SendRequest, SendStatus};
use application::crypto;
use application::ports::{PortError, SendSms, SmsAnswer};
use aws::settings::{Aws, env};
use domain::pii::Phone;
use domain::sms::{Message, SmsSignature};
use partner::{BadUrl, Fault, KeyRing, Partner};
use std::time::Duration;

/// Limit for connecting, including TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Limit for one request. Two fit into the time that a publish through SNS may take.
const TIMEOUT: Duration = Duration::from_millis(3_000);

/// A gateway to a provider.
#[derive(Debug)]
pub struct Gateway {
    partner: Partner,
    signature: SmsSignature,
}

impl Gateway {
    /// The gateway at `base_url`.
    ///
    /// # Errors
    /// [`BadUrl`] unless the URL is `https`, or `http` on a loopback address.
    pub fn new(base_url: &str, keys: KeyRing, signature: SmsSignature) -> Result<Self, BadUrl> {
        let partner = Partner::new(base_url, HEADERS, keys, CONNECT_TIMEOUT)?;
        Ok(Self { partner, signature })
    }

    /// The gateway at `GATEWAY_URL`, with the key in the secret `GATEWAY_SECRET_ID`.
    pub(crate) fn connect(aws: &Aws) -> Result<Self, PortError> {
        let keys = KeyRing::of_secret(aws.secrets(), env("GATEWAY_SECRET_ID")?);
        let gateway = Self::new(&env("GATEWAY_URL")?, keys, aws.sms_signature()?);
        gateway.map_err(|error| PortError::Permanent("GATEWAY_URL", error.to_string()))
    }

    async fn post(&self, request: &SendRequest) -> Result<SendReply, Fault> {
        let body = self.partner.post(PATH, request, TIMEOUT).await?;
        let reply = serde_json::from_slice::<SendReply>(&body).ok();
        reply
            .filter(|reply| reply.id == request.id)
            .ok_or(Fault::Forged)
    }
}

impl SendSms for Gateway {
    /// Sends a request, and once again under the same id after a lost reply: the gateway sends one SMS for both.
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        let down = |cause: String| PortError::Transient("SMS", cause);
        let id = crypto::random::<16>().map_err(|error| down(error.to_string()))?;
        let values = message.values.iter();
        let parameters = values.map(|(name, value)| Parameter {
            name: (*name).to_owned(),
            value: value.clone(),
        });
        let request = SendRequest {
            id: hex::encode(id),
            phone: phone.e164().to_owned(),
            sign_name: self.signature.name().to_owned(),
            template: message.template.to_owned(),
            parameters: parameters.collect(),
        };
        let mut reply = self.post(&request).await;
        if let Err(Fault::Timeout | Fault::Dropped(_)) = &reply {
            reply = self.post(&request).await;
        }
        match reply {
            Ok(reply) => match reply.status {
                SendStatus::Accepted => Ok(SmsAnswer::Accepted),
                SendStatus::PhoneRefused => Ok(SmsAnswer::PhoneRefused),
                SendStatus::Busy => Err(down("the gateway is busy".to_owned())),
            },
            Err(fault) => {
                if fault.is_alarm() {
                    tracing::error!(gateway.fault = %fault, "gateway_reply.rejected");
                }
                Err(down(fault.to_string()))
            }
        }
    }
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;
