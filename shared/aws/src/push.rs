//! Pushes through SNS, which keeps an endpoint for each token that it was ever given.
//!
//! SNS disables an endpoint when the platform refuses its token once, also for a passing reason; the app, which alone could
//! tell, does not talk to SNS. So an endpoint that cannot be published to is mended, then made anew, and only then given up.

use application::ports::{PortError, Pushed, SendPush};
use aws_sdk_sns::Client;
use aws_sdk_sns::config::http::HttpResponse;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use domain::push::PushPlatform;
use domain::secret::Secret;
use serde_json::{Value, json};

/// SNS with the applications of this deployment.
#[derive(Clone, Debug)]
pub struct Push {
    client: Client,
    apns: Option<String>,
    fcm: Option<String>,
}

/// What SNS says to a publish.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Accepted,
    /// The platform has refused the token before.
    Disabled,
    /// Somebody has deleted the endpoint.
    Missing,
}

impl Push {
    /// `apns`, `fcm`: the ARNs of the platform applications; none, or an empty one, means not configured. The client must
    /// not repeat a publish by itself: the second one would be a second notification.
    #[must_use]
    pub fn new(client: Client, apns: Option<String>, fcm: Option<String>) -> Self {
        let given = |arn: Option<String>| arn.filter(|arn| !arn.is_empty());
        Self {
            client,
            apns: given(apns),
            fcm: given(fcm),
        }
    }

    fn application(&self, platform: PushPlatform) -> Option<&str> {
        match platform {
            PushPlatform::Apns => self.apns.as_deref(),
            PushPlatform::Fcm => self.fcm.as_deref(),
        }
    }

    /// The token's endpoint, made or found; `None` for a token that is of no form the platform knows.
    async fn endpoint(
        &self,
        application: &str,
        token: &Secret<String>,
    ) -> Result<Option<String>, PortError> {
        let made = self
            .client
            .create_platform_endpoint()
            .platform_application_arn(application)
            .token(token.expose())
            .send()
            .await;
        let error = match made {
            Ok(made) => {
                let endpoint = made.endpoint_arn.map(Some);
                return endpoint
                    .ok_or_else(|| PortError::Permanent("push", "no endpoint".to_owned()));
            }
            Err(error) => error,
        };
        let message = match error.code() {
            Some("InvalidParameter") => error.message().unwrap_or_default(),
            _ => return Err(push_error(&error)),
        };
        if let Some(endpoint) = existing(message) {
            // It was made with other attributes, perhaps by another program. One that is gone by now shows at the publish.
            self.enable(endpoint, token).await?;
            return Ok(Some(endpoint.to_owned()));
        }
        // Not the application's ARN or anything else of ours.
        if message.contains("Token Reason") {
            Ok(None)
        } else {
            Err(push_error(&error))
        }
    }

    /// `false` when there is nothing to enable.
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
            // The same in other words. The ARN comes from SNS itself, so it is of its form.
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
        let deleted = self.client.delete_endpoint().endpoint_arn(&endpoint);
        deleted.send().await.map_err(|error| push_error(&error))?;
        let Some(endpoint) = self.endpoint(application, token).await? else {
            return Ok(Pushed::Gone);
        };
        Ok(match self.publish(&endpoint, &message).await? {
            Delivery::Accepted => Pushed::Sent,
            Delivery::Disabled | Delivery::Missing => Pushed::Gone,
        })
    }
}

/// What SNS is given: each platform's own document, as text within the text.
fn message(platform: PushPlatform, text: &str) -> Value {
    match platform {
        PushPlatform::Apns => {
            let document = json!({"aps": {"alert": text, "sound": "default"}}).to_string();
            // An application for development certificates reads the second name only.
            json!({"default": text, "APNS": document, "APNS_SANDBOX": document})
        }
        PushPlatform::Fcm => {
            // A phone that sleeps is woken: who did not make the change has hours to stop it, not days.
            let message = json!({"notification": {"body": text}, "android": {"priority": "high"}});
            let document = json!({"fcmV1Message": {"message": message}}).to_string();
            json!({"default": text, "GCM": document})
        }
    }
}

/// The endpoint that stands in the way of a new one, which only the message names.
fn existing(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Endpoint ")?;
    let (endpoint, _) = rest.split_once(" already exists")?;
    endpoint.starts_with("arn:").then_some(endpoint)
}

/// The service's message may repeat the token or the text: only its code is kept.
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

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
