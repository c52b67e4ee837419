//! The AWS clients with explicit timeouts, because the SDK has no timeouts by default.
//!
//! Root certificates: the HTTP client reads the machine's store once, when the first client is created. By default, the
//! store is a bundle plus every file in one or two directories. The template sets `SSL_CERT_FILE`, so that only one file
//! is read, which shortens a cold start. Compiled-in roots would age with the deployment and could not include a bank's
//! own authority.

use crate::kms::{HashKeyIds, Kms};
use crate::push::Push;
use crate::sns::Sns;
use application::crypto::Keys;
use application::ports::{DataKey, HashKey, PortError};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use domain::sms::SmsSignature;
use std::time::Duration;

/// Limit for one attempt. DynamoDB answers within milliseconds; a connection that was frozen with its execution
/// environment never answers.
pub const ATTEMPT_TIMEOUT_MS: u64 = 1_500;
/// Limit for a call with its retries. After a read and a write that both use it up, the function with the shortest
/// timeout can still answer.
pub const OPERATION_TIMEOUT_MS: u64 = 4_000;
/// Maximum attempts of a call. Two attempts that time out, with the pause between them, fit into the limit of the
/// operation; the third helps after immediate failures.
pub const ATTEMPTS_MAX: u32 = 3;
/// Limit for a publish. It is never retried, so it may use most of the function's remaining time.
pub const PUBLISH_TIMEOUT_MS: u64 = 6_000;
/// Limit for connecting, including TLS.
pub const CONNECT_TIMEOUT_MS: u64 = 1_000;

/// The clients' shared configuration: region, role and limits.
pub struct Aws(SdkConfig);

impl Aws {
    /// Loads the configuration from the function's environment.
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

    /// The wanted hash keys, and each data key whose variable is set.
    ///
    /// # Errors
    /// `Permanent` when the variable of a wanted hash key is not set or malformed.
    pub fn keys(&self, wanted: &[HashKey]) -> Result<Keys<Kms>, PortError> {
        let hash_keys: Result<_, _> = wanted.iter().map(|key| hash_key(*key)).collect();
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
            hash_keys?,
            data_keys.collect(),
        )))
    }

    /// SMS through SNS, with the signature in `SMS_SIGNATURE`.
    ///
    /// # Errors
    /// `Permanent` when the signature is missing, or could be taken for a code.
    pub fn sms(&self) -> Result<Sns, PortError> {
        Ok(Sns::new(
            publishing_client(&self.0),
            signature(&env(SMS_SIGNATURE)?)?,
        ))
    }

    /// Push through SNS, for each platform whose application is set in `APNS_APPLICATION_ARN` or `FCM_APPLICATION_ARN`.
    #[must_use]
    pub fn push(&self) -> Push {
        let optional = |name| env(name).ok();
        Push::new(
            publishing_client(&self.0),
            optional("APNS_APPLICATION_ARN"),
            optional("FCM_APPLICATION_ARN"),
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

/// The variable with the sender's signature.
const SMS_SIGNATURE: &str = "SMS_SIGNATURE";

fn signature(text: &str) -> Result<SmsSignature, PortError> {
    SmsSignature::parse(text).ok_or_else(|| {
        let rule = "2 to 12 characters, no run of 6 digits or of 8 letters and digits of a code";
        PortError::Permanent(
            "environment",
            format!("{SMS_SIGNATURE} is not valid: {rule}"),
        )
    })
}

/// The ids of a hash key. The variable of the previous version is empty outside a rotation.
fn hash_key(key: HashKey) -> Result<HashKeyIds, PortError> {
    let (current, previous) = match key {
        HashKey::LookUp => ("LOOK_UP_KEY", "PREVIOUS_LOOK_UP_KEY_ID"),
        HashKey::CardAndId => ("CARD_AND_ID_KEY", "PREVIOUS_CARD_AND_ID_KEY_ID"),
        HashKey::Codes => ("CODES_KEY", "PREVIOUS_CODES_KEY_ID"),
        HashKey::Freeze => ("FREEZE_KEY", "PREVIOUS_FREEZE_KEY_ID"),
    };
    HashKeyIds::parse(key, &env(current)?, &env(previous).unwrap_or_default()).ok_or_else(|| {
        PortError::Permanent("environment", format!("{current} must be <version>=<id>"))
    })
}

/// An SNS client that publishes once, with a long timeout: a retry of a publish that succeeded late would send a
/// second message.
pub(super) fn publishing_client(config: &SdkConfig) -> aws_sdk_sns::Client {
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
    aws_sdk_sns::Client::from_conf(config)
}

/// Reads an environment variable.
///
/// # Errors
/// `Permanent` with the name of the variable when it is not set.
#[expect(clippy::disallowed_methods, reason = "settings are read here only")]
pub fn env(name: &'static str) -> Result<String, PortError> {
    std::env::var(name)
        .map_err(|_| PortError::Permanent("environment", format!("{name} is not set")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;

    #[test]
    fn function_starts_with_a_valid_signature_only() {
        assert!(signature("示例收单").is_ok());
        for bad in ["", "示", "123456", "ABCDEFGH"] {
            let refused = signature(bad).unwrap_err();
            assert!(refused.to_string().contains(SMS_SIGNATURE), "{refused}");
        }
    }

    /// Each tuple holds the limits for connecting, one attempt and the operation, and the maximum of attempts.
    #[tokio::test]
    async fn every_client_has_timeouts() {
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
        // A single attempt needs no limit of its own.
        let once = (Some(1_000), None, Some(6_000), 1);
        assert_eq!(limits_of!(publishing_client(&aws.0)), once);
    }
}
