//! Keyed hashes, sealed data, codes, tokens and passwords, with the purpose of every key.
//!
//! **Keyed hashes.** The stack has four hash keys, and a function may use only those that it needs. In init, KMS computes
//! the MAC of a fixed label under each of them. HKDF expands that secret into one HMAC-SHA256 key
//! per purpose, and the function computes the hashes itself: no request costs a KMS call. The price is that the secret is
//! in the function's memory, through which the protected data passes anyway. The hash keys never leave KMS. Each stored
//! hash begins with the version of its key; see `infra/hash-keys.md` for a rotation.
//!
//! **Sealed data.** AES-256-GCM under a fresh data key, wrapped by the KMS key of its kind. Merchant and record are the
//! associated data and the KMS encryption context, so that a ciphertext copied to another record cannot be opened.

mod claims;
mod codes;
mod hashes;
pub mod password;
mod purpose;

pub use codes::{DEPOSIT_CODE_CHARS, FREEZE_CODE_CHARS, typed_code};
pub use purpose::HashPurpose;

use crate::ports::{DataKey, KeyService, PortError};
use aes_gcm::aead::{Aead, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::merchant::Profile;
use domain::pii::{IdNumber, Phone};
use domain::rebind::{Mac, Otp, OtpPurpose, Sealed};
use domain::secret::Secret;
use domain::time::Timestamp;
use hashes::HashSecrets;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use subtle::ConstantTimeEq;

/// A key service with the secrets of its hash keys.
pub struct Keys<K> {
    service: K,
    secrets: HashSecrets,
    /// Calls to the service since the last [`Keys::take_calls`].
    calls: AtomicU32,
}

const SEALED_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Length of a device's keyed hash: 132 bits distinguish an account's devices.
const DEVICE_CHARS: usize = 22;

impl<K> Keys<K> {
    /// The number of calls to the key service since the last call of this function.
    pub(crate) fn take_calls(&self) -> u32 {
        self.calls.swap(0, Relaxed)
    }
}

impl<K: KeyService> Keys<K> {
    /// Creates the keys. Each hash key's secret is fetched on its first use, or by [`Keys::warm`].
    pub fn new(service: K) -> Self {
        Self {
            service,
            secrets: HashSecrets::default(),
            calls: AtomicU32::new(0),
        }
    }

    /// The service, for one call.
    fn call(&self) -> &K {
        self.calls.fetch_add(1, Relaxed);
        &self.service
    }

    /// The keyed hash of a device id within an account.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn device(&self, account: &str, device_id: &str) -> Result<String, PortError> {
        let parts = [account, device_id];
        let hash = self.mac(HashPurpose::Device, &parts).await?;
        Ok(hash.shortened(DEVICE_CHARS).0)
    }

    /// The keyed hash of a device id under the previous key. `None` outside a rotation.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn previous_device(
        &self,
        account: &str,
        device_id: &str,
    ) -> Result<Option<String>, PortError> {
        let parts = [account, device_id];
        let hash = self.previous_mac(HashPurpose::Device, &parts).await?;
        Ok(hash.map(|hash| hash.shortened(DEVICE_CHARS).0))
    }

    /// The keyed hash of an identity document: its kind and its number.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn document(&self, document: &IdNumber) -> Result<Mac, PortError> {
        self.mac(HashPurpose::IdNumber, &document_parts(document))
            .await
    }

    /// The keyed hash of an identity document under the version of a stored hash, to compare the two.
    ///
    /// # Errors
    /// As [`Keys::mac_as`].
    pub async fn document_as(&self, stored: &Mac, document: &IdNumber) -> Result<Mac, PortError> {
        self.mac_as(stored, HashPurpose::IdNumber, &document_parts(document))
            .await
    }

    /// The keyed hash of an identity document under the previous key. `None` outside a rotation.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn previous_document(&self, document: &IdNumber) -> Result<Option<Mac>, PortError> {
        self.previous_mac(HashPurpose::IdNumber, &document_parts(document))
            .await
    }

    /// Random bytes.
    ///
    /// # Errors
    /// When the OS has none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], PortError> {
        let mut bytes = [0; N];
        self.service.fill_random(&mut bytes)?;
        Ok(bytes)
    }

    /// Six uniformly random digits.
    ///
    /// # Errors
    /// When the OS has no randomness.
    pub fn six_digits(&self) -> Result<Secret<String>, PortError> {
        // Uniform below one million: redraw the few top values that would favour small numbers.
        const FAIR: u32 = u32::MAX - u32::MAX % 1_000_000;
        loop {
            let drawn = u32::from_be_bytes(self.random()?);
            if drawn < FAIR {
                return Ok(Secret::new(format!("{:06}", drawn % 1_000_000)));
            }
        }
    }

    /// The random part of a new session token: 256 bits.
    ///
    /// # Errors
    /// When the OS has no randomness.
    pub fn token_secret(&self) -> Result<Secret<String>, PortError> {
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(self.random::<32>()?)))
    }

    /// Encrypts under a fresh data key.
    ///
    /// # Errors
    /// When the key service fails.
    pub async fn seal(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        plain: &str,
    ) -> Result<Sealed, PortError> {
        let (data_key, wrapped) = self.call().new_data_key(key, context).await?;
        let encrypted = self.encrypt(&data_key, context, plain)?;
        let wrapped_len = u16::try_from(wrapped.len())
            .map_err(|_| PortError::Permanent("seal", "the wrapped key is too long".to_owned()))?;
        let mut sealed = Vec::with_capacity(3 + wrapped.len() + encrypted.len());
        sealed.push(SEALED_VERSION);
        sealed.extend_from_slice(&wrapped_len.to_be_bytes());
        sealed.extend_from_slice(&wrapped);
        sealed.extend_from_slice(&encrypted);
        Ok(Sealed(sealed))
    }

    /// Opens a value that [`Keys::seal`] sealed for the same context.
    ///
    /// # Errors
    /// `Permanent` for another context, another key or a damaged record.
    pub async fn open(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        sealed: &Sealed,
    ) -> Result<Secret<String>, PortError> {
        let (version, rest) = sealed.0.split_first().ok_or_else(broken)?;
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
        let (wrapped, encrypted) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*len)))
            .ok_or_else(broken)?;
        if *version != SEALED_VERSION {
            return Err(broken());
        }
        let data_key = self.call().data_key(key, context, wrapped).await?;
        decrypt(&data_key, context, encrypted)
    }

    /// The decrypted number of the record's ID document.
    ///
    /// # Errors
    /// As [`Keys::open`]; `Permanent` also for a record without a valid number.
    pub async fn id_number(&self, record: &Profile) -> Result<IdNumber, PortError> {
        let invalid = || {
            let what = "the ID number is missing or damaged";
            PortError::Permanent("the record", what.to_owned())
        };
        let sealed = record.sealed_id_number.as_ref().ok_or_else(invalid)?;
        let context = [("merchant_id", record.merchant_id.as_str())];
        let opened = self.open(DataKey::Identity, &context, sealed).await?;
        IdNumber::parse(record.document_type, opened.expose()).map_err(|_| invalid())
    }

    /// Wraps a new history key for a merchant. The key seals the merchant's personal data in events.
    ///
    /// # Errors
    /// When the key service fails.
    pub async fn new_history_key(&self, merchant: &str) -> Result<Sealed, PortError> {
        let (_, wrapped) = self
            .call()
            .new_data_key(DataKey::History, &[("merchant_id", merchant)])
            .await?;
        Ok(Sealed(wrapped))
    }

    /// Opens a value that [`Keys::seal_personal`] sealed for the same merchant.
    ///
    /// # Errors
    /// `Permanent` for another merchant, another key or a damaged record.
    pub async fn open_personal(
        &self,
        merchant: &str,
        history_key: &Sealed,
        sealed: &Sealed,
    ) -> Result<Secret<String>, PortError> {
        let context = [("merchant_id", merchant)];
        let wrapped = &history_key.0;
        let key = self.call().data_key(DataKey::History, &context, wrapped);
        decrypt(&key.await?, &context, &sealed.0)
    }

    /// Encrypts a merchant's personal data under the merchant's history key. Without that key, the data is unreadable.
    ///
    /// # Errors
    /// When the key service fails. `Permanent` for a merchant without a history key.
    pub async fn seal_personal(&self, profile: &Profile, plain: &str) -> Result<Sealed, PortError> {
        let history_key = profile.history_key.as_ref().ok_or_else(|| {
            PortError::Permanent("the profile", "the merchant has no history key".to_owned())
        })?;
        let context = [("merchant_id", profile.merchant_id.as_str())];
        let wrapped = &history_key.0;
        let key = self.call().data_key(DataKey::History, &context, wrapped);
        Ok(Sealed(self.encrypt(&key.await?, &context, plain)?))
    }

    /// The nonce, then the ciphertext.
    fn encrypt(
        &self,
        key: &Secret<Vec<u8>>,
        context: &[(&str, &str)],
        plain: &str,
    ) -> Result<Vec<u8>, PortError> {
        let nonce: [u8; NONCE_BYTES] = self.random()?;
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: &associated_data(context),
        };
        let ciphertext = cipher(key)?
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| PortError::Permanent("seal", "encryption failed".to_owned()))?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    /// The keyed hash of an OTP for this rebind, purpose, phone and session.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn otp(
        &self,
        scope: &OtpScope<'_>,
        digits: &Secret<String>,
    ) -> Result<Otp, PortError> {
        Ok(Otp {
            phone_hash: self.mac(HashPurpose::Phone, &[scope.phone.e164()]).await?,
            mac: self
                .mac(HashPurpose::Code, &scope.parts(digits.expose()))
                .await?,
        })
    }

    /// Compares `typed` with the OTP of the stored hash `kept`, in constant time.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn otp_is_right(
        &self,
        scope: &OtpScope<'_>,
        typed: &str,
        kept: &Mac,
    ) -> Result<bool, PortError> {
        let parts = scope.parts(typed);
        let mac = self.mac_as(kept, HashPurpose::Code, &parts).await?;
        Ok(mac.0.as_bytes().ct_eq(kept.0.as_bytes()).into())
    }

    /// A token that proves when this agreement was shown for this rebind.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn reading_token(
        &self,
        about: &[&str],
        issued_at: Timestamp,
    ) -> Result<String, PortError> {
        let mac = self.reading_mac(about, issued_at).await?;
        Ok(URL_SAFE_NO_PAD.encode([issued_at.epoch_s().to_be_bytes().as_slice(), &mac].concat()))
    }

    /// The time at which the token was issued for `about`. `None` for a forged token, or one for another agreement or
    /// rebind.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn read_at(
        &self,
        about: &[&str],
        token: &str,
    ) -> Result<Option<Timestamp>, PortError> {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return Ok(None);
        };
        let Some((at, mac)) = bytes.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let issued_at = Timestamp::from_epoch_s(i64::from_be_bytes(*at));
        let expected = self.reading_mac(about, issued_at).await?;
        Ok(bool::from(expected.as_slice().ct_eq(mac)).then_some(issued_at))
    }

    async fn reading_mac(
        &self,
        about: &[&str],
        issued_at: Timestamp,
    ) -> Result<[u8; 32], PortError> {
        let at = issued_at.epoch_s().to_string();
        let parts: Vec<&str> = about.iter().copied().chain([at.as_str()]).collect();
        self.mac_bytes(HashPurpose::Reading, &parts).await
    }
}

/// What the keyed hash of a document covers.
fn document_parts(document: &IdNumber) -> [&str; 2] {
    [document.kind().as_str(), document.expose()]
}

/// The scope that an OTP is bound to.
#[derive(Clone, Copy, Debug)]
pub struct OtpScope<'a> {
    /// The merchant.
    pub merchant: &'a str,
    /// The rebind.
    pub rebind: &'a str,
    /// The purpose of the OTP.
    pub purpose: OtpPurpose,
    /// The phone that receives it.
    pub phone: &'a Phone,
    /// The session that requested it.
    pub session: &'a str,
}

impl<'a> OtpScope<'a> {
    /// What the keyed hash of an OTP covers.
    fn parts(&self, code: &'a str) -> [&'a str; 6] {
        [
            self.merchant,
            self.rebind,
            self.purpose.as_str(),
            self.phone.e164(),
            self.session,
            code,
        ]
    }
}

/// Decrypts what [`Keys::encrypt`] encrypted for the same context.
fn decrypt(
    key: &Secret<Vec<u8>>,
    context: &[(&str, &str)],
    encrypted: &[u8],
) -> Result<Secret<String>, PortError> {
    let (nonce, ciphertext) = encrypted
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or_else(broken)?;
    let payload = Payload {
        msg: ciphertext,
        aad: &associated_data(context),
    };
    let plain = cipher(key)?
        .decrypt(&Nonce::from(*nonce), payload)
        .map_err(|_| broken())?;
    Ok(Secret::new(String::from_utf8(plain).map_err(|_| broken())?))
}

fn broken() -> PortError {
    PortError::Permanent("open", "the record cannot be opened".to_owned())
}

fn cipher(key: &Secret<Vec<u8>>) -> Result<Aes256Gcm, PortError> {
    Aes256Gcm::new_from_slice(key.expose())
        .map_err(|_| PortError::Permanent("keys", "the data key is not 256 bits long".to_owned()))
}

fn associated_data(context: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in context.iter().flat_map(|(name, value)| [name, value]) {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

/// Bytes of the OS random source.
///
/// # Errors
/// When the OS provides none.
pub fn random<const N: usize>() -> Result<[u8; N], PortError> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), PortError> {
    getrandom::fill(bytes).map_err(|error| PortError::Permanent("random source", error.to_string()))
}
