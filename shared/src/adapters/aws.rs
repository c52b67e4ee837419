//! The AWS clients, each with its limits spelled out: the SDK has none of its own.

use crate::adapters::bank::{BankClient, BankKey};
use crate::adapters::kms::Kms;
use crate::adapters::push::Push;
use crate::adapters::sns::Sns;
use crate::crypto::Keys;
use crate::ports::{DataKey, PortError};
use crate::store::Store;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use std::time::Duration;

/// One attempt at a call. DynamoDB answers in single milliseconds; a connection that froze with its environment never does.
const ATTEMPT_TIMEOUT_MS: u64 = 1_500;
/// A call with its repeats: below the shortest function timeout, so that there is time left to answer.
const OPERATION_TIMEOUT_MS: u64 = 4_000;
/// A publish: it is not repeated, so it may take as long as the function has left.
const PUBLISH_TIMEOUT_MS: u64 = 6_000;
/// A connection, TLS included.
const CONNECT_TIMEOUT_MS: u64 = 1_000;

/// The region's services with this function's role.
pub struct Aws(SdkConfig);

impl Aws {
    /// From the function's environment.
    pub async fn connect() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .operation_attempt_timeout(Duration::from_millis(ATTEMPT_TIMEOUT_MS))
            .operation_timeout(Duration::from_millis(OPERATION_TIMEOUT_MS))
            .build();
        Self(
            aws_config::defaults(BehaviorVersion::latest())
                .timeout_config(timeouts)
                .retry_config(RetryConfig::standard())
                .load()
                .await,
        )
    }

    /// The table named by `TABLE`.
    ///
    /// # Errors
    /// When the variable is missing.
    pub fn store(&self) -> Result<Store, PortError> {
        Ok(Store::new(self.dynamodb(), env("TABLE")?))
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
            .filter_map(|(key, name)| Some((key, std::env::var(name).ok()?)));
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
        let given = |name| std::env::var(name).ok();
        Push::new(
            publishing_client(&self.0),
            given("APNS_APPLICATION_ARN"),
            given("FCM_APPLICATION_ARN"),
        )
    }

    /// The bank at `BANK_URL`, with the signing key of `BANK_SECRET_ID`.
    ///
    /// # Errors
    /// When a variable or the secret is missing or unusable.
    pub async fn bank(&self) -> Result<BankClient, PortError> {
        let key = self.bank_key().await?;
        BankClient::new(&env("BANK_URL")?, key).map_err(|error| bank_settings(&error))
    }

    /// The key of `BANK_SECRET_ID`, which this side and the bank's sign with.
    ///
    /// # Errors
    /// When the variable or the secret is missing or unusable.
    pub async fn bank_key(&self) -> Result<BankKey, PortError> {
        let secrets = aws_sdk_secretsmanager::Client::new(&self.0);
        BankKey::load(&secrets, &env("BANK_SECRET_ID")?)
            .await
            .map_err(|error| bank_settings(&error))
    }

    /// DynamoDB, for a table that is not ours: the sandbox bank's.
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
                .build(),
        )
        .build();
    aws_sdk_sns::Client::from_conf(config)
}

fn bank_settings(error: &dyn std::fmt::Display) -> PortError {
    PortError::Permanent("the bank's settings", error.to_string())
}

/// An environment variable of the function.
///
/// # Errors
/// `Permanent` with its name.
pub fn env(name: &'static str) -> Result<String, PortError> {
    std::env::var(name)
        .map_err(|_| PortError::Permanent("the environment", format!("{name} is not set")))
}
