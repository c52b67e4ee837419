//! The key service: AWS KMS.

use application::ports::{DataKey, KeyService, PortError};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, MacAlgorithmSpec};
use domain::secret::Secret;
use std::collections::HashMap;

/// KMS with the keys that are configured for this function.
#[derive(Clone, Debug)]
pub struct Kms {
    client: Client,
    hmac_key_id: String,
    data_keys: Vec<(DataKey, String)>,
}

impl Kms {
    /// `hmac_key_id` is an HMAC_256 key, `data_keys` are symmetric encryption keys.
    #[must_use]
    pub const fn new(
        client: Client,
        hmac_key_id: String,
        data_keys: Vec<(DataKey, String)>,
    ) -> Self {
        Self {
            client,
            hmac_key_id,
            data_keys,
        }
    }

    fn key_id(&self, wanted: DataKey) -> Result<&str, PortError> {
        let found = self.data_keys.iter().find(|(key, _)| *key == wanted);
        found
            .map(|(_, id)| id.as_str())
            .ok_or_else(|| failed(format!("no {wanted:?} key is configured")))
    }
}

impl KeyService for Kms {
    async fn hash_key(&self, purpose: &str) -> Result<Secret<Vec<u8>>, PortError> {
        let answer = self
            .client
            .generate_mac()
            .key_id(&self.hmac_key_id)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(format!("settlement-rebind/{purpose}")))
            .send()
            .await
            .map_err(kms_error)?;
        answer
            .mac
            .map(|mac| Secret::new(mac.into_inner()))
            .ok_or_else(|| failed("no MAC".to_owned()))
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        let answer = self
            .client
            .generate_data_key()
            .key_id(self.key_id(key)?)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(owned(context)))
            .send()
            .await
            .map_err(kms_error)?;
        match (answer.plaintext, answer.ciphertext_blob) {
            (Some(plain), Some(wrapped)) => {
                Ok((Secret::new(plain.into_inner()), wrapped.into_inner()))
            }
            _ => Err(failed("no data key".to_owned())),
        }
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        let answer = self
            .client
            .decrypt()
            .key_id(self.key_id(key)?)
            .ciphertext_blob(Blob::new(wrapped))
            .set_encryption_context(Some(owned(context)))
            .send()
            .await
            .map_err(kms_error)?;
        answer
            .plaintext
            .map(|plain| Secret::new(plain.into_inner()))
            .ok_or_else(|| failed("no plaintext".to_owned()))
    }
}

fn owned(context: &[(&str, &str)]) -> HashMap<String, String> {
    context
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn failed(what: String) -> PortError {
    PortError::Permanent("the key service", what)
}

fn kms_error<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> PortError {
    let code = error.code().unwrap_or("no answer").to_owned();
    let transient = matches!(
        error,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
    ) || [
        "ThrottlingException",
        "DependencyTimeoutException",
        "KMSInternalException",
    ]
    .contains(&code.as_str());
    if transient {
        PortError::Transient("the key service", code)
    } else {
        failed(code)
    }
}
