//! The AWS clients: one HTTP client for all, and explicit timeouts, because the SDK has none by default.
//!
//! The configuration comes from the variables that Lambda sets. The SDK's default chain would also look for profile files
//! and for other sources of credentials, which a function does not have; this took a tenth of a cold start.
//!
//! Root certificates: the HTTP client reads the machine's store once, when it makes its first connection. By default, the
//! store is a bundle plus every file in one or two directories. The template sets `SSL_CERT_FILE`, so that only one file
//! is read, which shortens a cold start. Compiled-in roots would age with the deployment and could not include a bank's
//! own authority.

use application::ports::PortError;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms::config::{BehaviorVersion, Region};
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

    /// The configuration of a client.
    pub(crate) const fn config(&self) -> &SdkConfig {
        &self.0
    }

    /// The same for messages that are sent once.
    #[cfg(feature = "sns")]
    pub(crate) fn config_for_messages(&self) -> SdkConfig {
        self.0.to_builder().http_client(self.1.clone()).build()
    }

    /// The signature of SMS, in `SMS_SIGNATURE`.
    ///
    /// # Errors
    /// `Permanent` when the signature is missing, or could be taken for a code.
    pub fn sms_signature(&self) -> Result<SmsSignature, PortError> {
        signature(&env(SMS_SIGNATURE)?)
    }

    /// Secrets Manager, for the keys shared with partners.
    #[cfg(feature = "secrets")]
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.0)
    }

    /// DynamoDB.
    #[cfg(feature = "dynamodb")]
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

/// The SDK's HTTP client on the TLS stack of all clients; `idle_max`: idle connections that it keeps per host.
fn http_client(idle_max: usize) -> SharedHttpClient {
    HttpClientBuilder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .build_https()
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
pub(crate) fn variable(name: &str) -> Option<String> {
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

    #[test]
    fn every_client_has_timeouts() {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let aws = Aws::new("us-east-1".to_owned(), credentials);
        let (timeouts, retries) = (aws.config().timeout_config(), aws.config().retry_config());
        let limit = |ms| Some(Duration::from_millis(ms));
        let timeouts = timeouts.unwrap();
        assert_eq!(timeouts.connect_timeout(), limit(1_000));
        assert_eq!(timeouts.operation_attempt_timeout(), limit(1_500));
        assert_eq!(timeouts.operation_timeout(), limit(4_000));
        assert_eq!(retries.unwrap().max_attempts(), 3);
    }
}
