//! The key service: AWS KMS.

use crate::settings::{Aws, env};
use application::crypto::Keys;
use application::ports::{
    DataKey, HashKey, HashKeyVersions, KeyService, LogPublicKey, PortError, SignCheckpoint,
    SignInstruction,
};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, MacAlgorithmSpec, MessageType, SigningAlgorithmSpec};
use domain::secret::Secret;
use std::collections::HashMap;

/// The message whose MAC is the secret of a hash key.
pub const LABEL: &str = "settlement-rebind/hash-key/v1";

/// A hash key with its versions: `HMAC_256` keys of KMS.
#[derive(Clone, Debug)]
pub struct HashKeyIds {
    /// The key.
    pub key: HashKey,
    /// Its current version.
    pub version: u32,
    /// The id of the current version.
    pub current: String,
    /// The id of the previous version, during a rotation.
    pub previous: Option<String>,
}

impl HashKeyIds {
    /// From the settings: `<version>=<id>`, and the id of the previous version or an empty text.
    #[must_use]
    pub fn parse(key: HashKey, current: &str, previous: &str) -> Option<Self> {
        let (version, id) = current.split_once('=')?;
        let version = version.parse().ok().filter(|version| *version > 0)?;
        Some(Self {
            key,
            version,
            current: id.to_owned(),
            previous: Some(previous.to_owned()).filter(|id| !id.is_empty()),
        })
    }
}

/// KMS with the keys that are configured for this function.
#[derive(Clone, Debug)]
pub struct Kms {
    client: Client,
    hash_keys: Vec<HashKeyIds>,
    data_keys: Vec<(DataKey, String)>,
}

impl Kms {
    /// `data_keys` are symmetric encryption keys.
    #[must_use]
    pub const fn new(
        client: Client,
        hash_keys: Vec<HashKeyIds>,
        data_keys: Vec<(DataKey, String)>,
    ) -> Self {
        Self {
            client,
            hash_keys,
            data_keys,
        }
    }

    fn hash_key(&self, wanted: HashKey) -> Option<&HashKeyIds> {
        self.hash_keys.iter().find(|ids| ids.key == wanted)
    }

    fn key_id(&self, wanted: DataKey) -> Result<&str, PortError> {
        let found = self.data_keys.iter().find(|(key, _)| *key == wanted);
        found
            .map(|(_, id)| id.as_str())
            .ok_or_else(|| failed(format!("no {wanted:?} key is configured")))
    }
}

impl KeyService for Kms {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        self.hash_key(key).map(|ids| HashKeyVersions {
            current: ids.version,
            has_previous: ids.previous.is_some(),
        })
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        let id = self.hash_key(key).and_then(|ids| {
            if ids.version == version {
                Some(&ids.current)
            } else {
                ids.previous.as_ref()
            }
        });
        let id = id.ok_or_else(|| failed(format!("no {key:?} hash key is configured")))?;
        let answer = self
            .client
            .generate_mac()
            .key_id(id)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(LABEL))
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

/// A P-256 key of KMS that signs payout instructions, or checkpoints of the log.
#[derive(Clone, Debug)]
pub struct Signer {
    client: Client,
    key_id: String,
}

impl Signer {
    /// `key_id`: a key for `ECDSA_SHA_256`.
    #[must_use]
    pub const fn new(client: Client, key_id: String) -> Self {
        Self { client, key_id }
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let answer = self
            .client
            .sign()
            .key_id(&self.key_id)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(kms_error)?;
        answer
            .signature
            .map(Blob::into_inner)
            .ok_or_else(|| failed("no signature".to_owned()))
    }
}

impl SignInstruction for Signer {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PortError> {
        self.signature(message).await
    }
}

impl LogPublicKey for Signer {
    async fn public_key(&self) -> Result<Vec<u8>, PortError> {
        let answer = self
            .client
            .get_public_key()
            .key_id(&self.key_id)
            .send()
            .await
            .map_err(kms_error)?;
        answer
            .public_key
            .map(Blob::into_inner)
            .ok_or_else(|| failed("no public key".to_owned()))
    }
}

impl SignCheckpoint for Signer {
    /// A checkpoint is far below the limit of 4096 bytes.
    async fn sign_checkpoint(&self, text: &[u8]) -> Result<Vec<u8>, PortError> {
        self.signature(text).await
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

impl Aws {
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
            Client::new(self.config()),
            hash_keys?,
            data_keys.collect(),
        )))
    }

    /// The key in `PAYOUT_SIGNING_KEY_ID`, for payout instructions.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn signer(&self) -> Result<Signer, PortError> {
        let client = Client::new(self.config());
        Ok(Signer::new(client, env("PAYOUT_SIGNING_KEY_ID")?))
    }

    /// The key in `ANCHOR_SIGNING_KEY_ID`, for checkpoints of the log. The client does not retry, so a run signs once at most;
    /// the next run repeats a failed signature.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn log_signer(&self) -> Result<Signer, PortError> {
        let config = aws_sdk_kms::config::Builder::from(self.config());
        let config = config
            .retry_config(aws_smithy_types::retry::RetryConfig::disabled())
            .build();
        let client = Client::from_conf(config);
        Ok(Signer::new(client, env("ANCHOR_SIGNING_KEY_ID")?))
    }
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
