//! Push notifications through SNS, which keeps one endpoint per device token.
//!
//! SNS disables an endpoint as soon as the platform refuses its token once, even for a temporary reason, and the app does
//! not talk to SNS to enable it again. So an unusable endpoint is first enabled, then recreated, and only then given up.

use crate::settings::{Aws, env};
use application::ports::{ForgetPush, PortError, Pushed, SendPush};
use aws_sdk_sns::Client;
use aws_sdk_sns::config::http::HttpResponse;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use domain::push::PushPlatform;
use domain::secret::Secret;
use serde_json::{Value, json};

/// SNS with the platform applications of this deployment.
#[derive(Clone, Debug)]
pub struct Push {
    client: Client,
    apns: Option<String>,
    fcm: Option<String>,
}

/// The result of a publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Accepted,
    /// The platform refused the token earlier.
    Disabled,
    /// The endpoint was deleted.
    Missing,
}

impl Push {
    /// `apns` and `fcm` are the ARNs of the platform applications; `None` or an empty text means not configured. The
    /// client must not retry a publish, because a repeated publish is a second notification.
    #[must_use]
    pub fn new(client: Client, apns: Option<String>, fcm: Option<String>) -> Self {
        let configured = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
        Self {
            client,
            apns: configured(apns),
            fcm: configured(fcm),
        }
    }

    fn application(&self, platform: PushPlatform) -> Option<&str> {
        match platform {
            PushPlatform::Apns => self.apns.as_deref(),
            PushPlatform::Fcm => self.fcm.as_deref(),
        }
    }

    /// Creates or finds the token's endpoint. `None` when the platform rejects the token as malformed.
    async fn endpoint(
        &self,
        application: &str,
        token: &Secret<String>,
    ) -> Result<Option<String>, PortError> {
        let created = self
            .client
            .create_platform_endpoint()
            .platform_application_arn(application)
            .token(token.expose())
            .send()
            .await;
        let error = match created {
            Ok(created) => {
                let endpoint = created.endpoint_arn.map(Some);
                return endpoint
                    .ok_or_else(|| PortError::Permanent("push", "no endpoint".to_owned()));
            }
            Err(error) => error,
        };
        let message = match error.code() {
            Some("InvalidParameter") => error.message().unwrap_or_default(),
            _ => return Err(push_error(&error)),
        };
        if let Some(endpoint) = existing_endpoint(message) {
            // The endpoint has other attributes, perhaps from another program. If it is deleted meanwhile, the publish
            // reports that.
            self.enable(endpoint, token).await?;
            return Ok(Some(endpoint.to_owned()));
        }
        // Only the token is at fault. Any other invalid parameter is a defect of this deployment.
        if message.contains("Token Reason") {
            Ok(None)
        } else {
            Err(push_error(&error))
        }
    }

    /// Enables the endpoint. `false` when it does not exist.
    async fn enable(&self, endpoint: &str, token: &Secret<String>) -> Result<bool, PortError> {
        let enabled = self
            .client
            .set_endpoint_attributes()
            .endpoint_arn(endpoint)
            .attributes("Enabled", "true")
            .attributes("Token", token.expose())
            .send()
            .await;
        match enabled {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), Some("NotFound" | "InvalidParameter")) => {
                Ok(false)
            }
            Err(error) => Err(push_error(&error)),
        }
    }

    async fn delete(&self, endpoint: &str) -> Result<(), PortError> {
        let deleted = self.client.delete_endpoint().endpoint_arn(endpoint);
        let deleted = deleted.send().await.map(|_| ());
        deleted.map_err(|error| push_error(&error))
    }

    async fn publish(&self, endpoint: &str, message: &str) -> Result<Delivery, PortError> {
        let published = self
            .client
            .publish()
            .target_arn(endpoint)
            .message_structure("json")
            .message(message)
            .send()
            .await;
        let Err(error) = published else {
            return Ok(Delivery::Accepted);
        };
        match error.code() {
            Some("EndpointDisabled") => Ok(Delivery::Disabled),
            Some("NotFound") => Ok(Delivery::Missing),
            // SNS also reports a missing endpoint this way. The ARN comes from SNS, so it cannot be malformed.
            Some("InvalidParameter")
                if error
                    .message()
                    .is_some_and(|message| message.contains("TargetArn")) =>
            {
                Ok(Delivery::Missing)
            }
            _ => Err(push_error(&error)),
        }
    }
}

impl SendPush for Push {
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError> {
        let Some(application) = self.application(platform) else {
            return Ok(Pushed::NotConfigured);
        };
        let message = message(platform, text).to_string();
        let Some(endpoint) = self.endpoint(application, token).await? else {
            return Ok(Pushed::Gone);
        };
        let mut delivery = self.publish(&endpoint, &message).await?;
        if delivery == Delivery::Disabled && self.enable(&endpoint, token).await? {
            delivery = self.publish(&endpoint, &message).await?;
        }
        if delivery == Delivery::Accepted {
            return Ok(Pushed::Sent);
        }
        self.delete(&endpoint).await?;
        let Some(endpoint) = self.endpoint(application, token).await? else {
            return Ok(Pushed::Gone);
        };
        Ok(match self.publish(&endpoint, &message).await? {
            Delivery::Accepted => Pushed::Sent,
            Delivery::Disabled | Delivery::Missing => Pushed::Gone,
        })
    }
}

impl ForgetPush for Push {
    /// SNS names an endpoint only when it creates or finds it.
    async fn forget(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
    ) -> Result<(), PortError> {
        let Some(application) = self.application(platform) else {
            return Ok(());
        };
        match self.endpoint(application, token).await? {
            Some(endpoint) => self.delete(&endpoint).await,
            None => Ok(()),
        }
    }
}

/// The SNS message: a JSON object that contains the platform's own document as text.
fn message(platform: PushPlatform, text: &str) -> Value {
    match platform {
        PushPlatform::Apns => {
            let document = json!({"aps": {"alert": text, "sound": "default"}}).to_string();
            // A platform application with a development certificate reads `APNS_SANDBOX` only.
            json!({"default": text, "APNS": document, "APNS_SANDBOX": document})
        }
        PushPlatform::Fcm => {
            // High priority wakes a sleeping phone: a victim has only hours to stop a fraudulent change.
            let message = json!({"notification": {"body": text}, "android": {"priority": "high"}});
            let document = json!({"fcmV1Message": {"message": message}}).to_string();
            json!({"default": text, "GCM": document})
        }
    }
}

/// The conflicting endpoint, which SNS reports only in the text of its error.
fn existing_endpoint(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Endpoint ")?;
    let (endpoint, _) = rest.split_once(" already exists")?;
    endpoint.starts_with("arn:").then_some(endpoint)
}

/// Keeps the error code only, because the service's message may contain the token or the text.
fn push_error<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> PortError {
    let code = error.code().unwrap_or("no answer").to_owned();
    let answered = error.raw_response();
    let refused = answered.is_some_and(|response| response.status().is_client_error());
    if refused && !code.starts_with("Throttl") {
        PortError::Permanent("push", code)
    } else {
        PortError::Transient("push", code)
    }
}

impl Aws {
    /// Push through SNS, for each platform whose application is set in `APNS_APPLICATION_ARN` or `FCM_APPLICATION_ARN`.
    #[must_use]
    pub fn push(&self) -> Push {
        let optional = |name| env(name).ok();
        Push::new(
            self.publisher(),
            optional("APNS_APPLICATION_ARN"),
            optional("FCM_APPLICATION_ARN"),
        )
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
