//! The AWS clients, each with its limits spelled out: the SDK has none of its own.
//!
//! Root certificates: the SDK's HTTP client and the bank's read the machine's own store once, when the first of them is made.
//! Left to itself that is a bundle and every file of one or two directories; where `SSL_CERT_FILE` names a bundle, as the
//! template does, it is that file and nothing else. Roots that are compiled in would save the one file too; they would be
//! as old as the last deployment, and a bank with a certificate of its own could not be added.

use crate::kms::Kms;
use crate::push::Push;
use crate::sns::Sns;
use application::crypto::Keys;
use application::ports::{DataKey, PortError};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use std::time::Duration;

/// One attempt at a call. DynamoDB answers in single milliseconds; a connection that froze with its environment never does.
pub const ATTEMPT_TIMEOUT_MS: u64 = 1_500;
/// A call with its repeats: a read and a write that both take as long leave the shortest function time to answer.
pub const OPERATION_TIMEOUT_MS: u64 = 4_000;
/// How often a call is tried. Two attempts that hang, with the pause between them, fit into the operation's time; a third is
/// for what fails at once.
pub const ATTEMPTS_MAX: u32 = 3;
/// A publish: it is not repeated, so it may take as long as the function has left.
pub const PUBLISH_TIMEOUT_MS: u64 = 6_000;
/// A connection, TLS included.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;

/// The region's services with this function's role.
pub struct Aws(SdkConfig);

impl Aws {
    /// From the function's environment.
    pub async fn connect() -> Self {
        Self::limited(aws_config::defaults(BehaviorVersion::latest())).await
    }

    async fn limited(loader: ConfigLoader) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .operation_attempt_timeout(Duration::from_millis(ATTEMPT_TIMEOUT_MS))
            .operation_timeout(Duration::from_millis(OPERATION_TIMEOUT_MS))
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX);
        let loader = loader.timeout_config(timeouts).retry_config(retries);
        Self(loader.load().await)
    }

    /// The hash key named by `HMAC_KEY_ID`, and those data keys that the function has a variable for.
    ///
    /// # Errors
    /// When `HMAC_KEY_ID` is missing.
    pub fn keys(&self) -> Result<Keys<Kms>, PortError> {
        let data_keys = [
            (DataKey::Card, "CARD_KEY_ID"),
            (DataKey::Identity, "IDENTITY_KEY_ID"),
            (DataKey::History, "HISTORY_KEY_ID"),
        ];
        let data_keys = data_keys
            .into_iter()
            .filter_map(|(key, name)| Some((key, env(name).ok()?)));
        Ok(Keys::new(Kms::new(
            aws_sdk_kms::Client::new(&self.0),
            env("HMAC_KEY_ID")?,
            data_keys.collect(),
        )))
    }

    /// SMS through SNS.
    #[must_use]
    pub fn sms(&self) -> Sns {
        Sns::new(publishing_client(&self.0))
    }

    /// Pushes through SNS, for those platforms that `APNS_APPLICATION_ARN` and `FCM_APPLICATION_ARN` name an application of.
    #[must_use]
    pub fn push(&self) -> Push {
        let given = |name| env(name).ok();
        Push::new(
            publishing_client(&self.0),
            given("APNS_APPLICATION_ARN"),
            given("FCM_APPLICATION_ARN"),
        )
    }

    /// Secrets Manager, for the bank's key.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.0)
    }

    /// DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.0)
    }
}

/// A publish is tried once, and is given time: giving up on one that went out would be a second message.
pub(super) fn publishing_client(config: &SdkConfig) -> aws_sdk_sns::Client {
    let config = aws_sdk_sns::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
                .operation_timeout(Duration::from_millis(PUBLISH_TIMEOUT_MS))
                // Said, for what is left unsaid is taken from the clients that repeat.
                .disable_operation_attempt_timeout()
                .build(),
        )
        .build();
    aws_sdk_sns::Client::from_conf(config)
}

/// An environment variable of the function.
///
/// # Errors
/// `Permanent` with its name.
#[expect(clippy::disallowed_methods, reason = "this is where it is asked")]
pub fn env(name: &'static str) -> Result<String, PortError> {
    std::env::var(name)
        .map_err(|_| PortError::Permanent("the environment", format!("{name} is not set")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;

    /// Of every client that a function makes: connection, attempt, operation, attempts.
    #[tokio::test]
    async fn no_client_waits_without_an_end() {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        let aws = Aws::limited(loader.region(Region::new("us-east-1")).no_credentials()).await;
        let limits = |timeouts: Option<&TimeoutConfig>, retries: Option<&RetryConfig>| {
            let (timeouts, retries) = (timeouts.unwrap(), retries.unwrap());
            let ms = |limit: Option<Duration>| limit.map(|limit| limit.as_millis());
            (
                ms(timeouts.connect_timeout()),
                ms(timeouts.operation_attempt_timeout()),
                ms(timeouts.operation_timeout()),
                retries.max_attempts(),
            )
        };
        macro_rules! limits_of {
            ($client:expr) => {{
                let client = $client;
                limits(
                    client.config().timeout_config(),
                    client.config().retry_config(),
                )
            }};
        }
        let usual = (Some(1_000), Some(1_500), Some(4_000), 3);
        assert_eq!(limits_of!(aws.dynamodb()), usual);
        assert_eq!(limits_of!(aws_sdk_kms::Client::new(&aws.0)), usual);
        assert_eq!(limits_of!(aws.secrets()), usual);
        // Its one attempt is its operation.
        let once = (Some(1_000), None, Some(6_000), 1);
        assert_eq!(limits_of!(publishing_client(&aws.0)), once);
    }
}
