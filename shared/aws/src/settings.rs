//! The AWS clients: one HTTP client for all, and explicit timeouts, because the SDK has none by default.
//!
//! The configuration comes from the variables that Lambda sets. The SDK's default chain would also look for profile files
//! and for other sources of credentials, which a function does not have; this took a tenth of a cold start.
//!
//! Root certificates: the HTTP client reads the machine's store once, when it makes its first connection. By default, the
//! store is a bundle plus every file in one or two directories. The template sets `SSL_CERT_FILE`, so that only one file
//! is read, which shortens a cold start. Compiled-in roots would age with the deployment and could not include a bank's
//! own authority.

use crate::kms::{HashKeyIds, Kms, Signer};
use crate::push::Push;
use crate::s3::LogBucket;
use crate::sns::Sns;
use crate::sqs::EntryQueue;
use crate::topic::Topic;
use application::crypto::Keys;
use application::ports::{DataKey, HashKey, PortError};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
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
/// After this time, an idle connection is closed: the other side may have closed it while the environment was frozen.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The clients' shared configuration: region, role, limits and HTTP client. The second one is for messages that are sent once:
/// each gets its own connection, because one that was frozen with its execution environment is often dead, and there is no second
/// attempt.
pub struct Aws(SdkConfig, SharedHttpClient);

impl Aws {
    /// Reads the configuration from the function's environment. Opens no connection.
    ///
    /// # Errors
    /// `Permanent` when a variable that Lambda sets is missing.
    pub fn from_environment() -> Result<Self, PortError> {
        let credentials = Credentials::new(
            env("AWS_ACCESS_KEY_ID")?,
            env("AWS_SECRET_ACCESS_KEY")?,
            env("AWS_SESSION_TOKEN").ok(),
            None,
            "environment",
        );
        Ok(Self::new(env("AWS_REGION")?, credentials))
    }

    fn new(region: String, credentials: Credentials) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(CONNECT_TIMEOUT_MS))
            .operation_attempt_timeout(Duration::from_millis(ATTEMPT_TIMEOUT_MS))
            .operation_timeout(Duration::from_millis(OPERATION_TIMEOUT_MS))
            .build();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http_client(usize::MAX))
            .sleep_impl(TokioSleep::new())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
            .service_config(Endpoints);
        Self(config.build(), http_client(0))
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

    /// The key in `PAYOUT_SIGNING_KEY_ID`, for payout instructions.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn signer(&self) -> Result<Signer, PortError> {
        let client = aws_sdk_kms::Client::new(&self.0);
        Ok(Signer::new(client, env("PAYOUT_SIGNING_KEY_ID")?))
    }

    fn publisher(&self) -> aws_sdk_sns::Client {
        publishing_client(&self.0.to_builder().http_client(self.1.clone()).build())
    }

    /// SMS through SNS, with the signature in `SMS_SIGNATURE`.
    ///
    /// # Errors
    /// `Permanent` when the signature is missing, or could be taken for a code.
    pub fn sms(&self) -> Result<Sns, PortError> {
        Ok(Sns::new(self.publisher(), signature(&env(SMS_SIGNATURE)?)?))
    }

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

    /// The topic in `EVENTS_TOPIC_ARN`.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn topic(&self) -> Result<Topic, PortError> {
        // With the usual retries: subscribers discard a second copy.
        let client = aws_sdk_sns::Client::new(&self.0);
        Ok(Topic::new(client, env("EVENTS_TOPIC_ARN")?))
    }

    /// The key in `ANCHOR_SIGNING_KEY_ID`, for checkpoints of the log. The client does not retry, so a run signs once at most;
    /// the next run repeats a failed signature.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn log_signer(&self) -> Result<Signer, PortError> {
        let config = aws_sdk_kms::config::Builder::from(&self.0);
        let config = config.retry_config(RetryConfig::disabled()).build();
        let client = aws_sdk_kms::Client::from_conf(config);
        Ok(Signer::new(client, env("ANCHOR_SIGNING_KEY_ID")?))
    }

    /// The queue in `ANCHOR_QUEUE_URL`.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn anchor_queue(&self) -> Result<EntryQueue, PortError> {
        let client = aws_sdk_sqs::Client::new(&self.0);
        Ok(EntryQueue::new(client, env("ANCHOR_QUEUE_URL")?))
    }

    /// The bucket `LOG_BUCKET`, whose host name is in `LOG_BUCKET_HOST`. With an endpoint, as in tests, the bucket's name is the
    /// first part of the path.
    ///
    /// # Errors
    /// `Permanent` when a variable is not set.
    pub fn log_bucket(&self) -> Result<LogBucket, PortError> {
        let (bucket, host) = (env("LOG_BUCKET")?, env("LOG_BUCKET_HOST")?);
        let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let url = match endpoint {
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{host}"),
        };
        let missing = |what: &str| PortError::Permanent("environment", format!("no {what}"));
        let region = self.0.region().ok_or_else(|| missing("region"))?;
        let credentials = self.0.credentials_provider();
        let credentials = credentials.ok_or_else(|| missing("credentials"))?;
        Ok(LogBucket::new(url, region.to_string(), credentials))
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

/// The endpoints of `AWS_ENDPOINT_URL_<SERVICE>` and `AWS_ENDPOINT_URL`, which only tests and the local cloud set.
#[derive(Debug)]
struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        variable(&format!("{}_{service}", key.env())).or_else(|| variable(key.env()))
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

/// The SDK's HTTP client on the TLS stack of all clients; `idle_max`: idle connections that it keeps per host.
fn http_client(idle_max: usize) -> SharedHttpClient {
    HttpClientBuilder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .build_https()
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
pub fn env(name: &'static str) -> Result<String, PortError> {
    variable(name).ok_or_else(|| PortError::Permanent("environment", format!("{name} is not set")))
}

/// Reads a number from the environment.
///
/// # Errors
/// `Permanent` with the name of the variable when it is not set or not a number.
pub fn env_number(name: &'static str) -> Result<u32, PortError> {
    env(name)?.parse().map_err(|_| {
        let message = format!("{name} must be a whole number");
        PortError::Permanent("environment", message)
    })
}

#[expect(clippy::disallowed_methods, reason = "settings are read here only")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_starts_with_a_valid_signature_only() {
        assert!(signature("示例收单").is_ok());
        for bad in ["", "示", "123456", "ABCDEFGH"] {
            let refused = signature(bad).unwrap_err();
            assert!(refused.to_string().contains(SMS_SIGNATURE), "{refused}");
        }
    }

    /// Each tuple holds the limits for connecting, one attempt and the operation, and the maximum of attempts.
    #[test]
    fn every_client_has_timeouts() {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let aws = Aws::new("us-east-1".to_owned(), credentials);
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
