//! Keyed hashes under the current and the previous version of a hash key.

use super::{HashPurpose, Keys};
use crate::ports::{HashKey, HashKeyVersions, KeyService, PortError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::rebind::Mac;
use domain::secret::Secret;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// The secrets of the hash keys, current and previous version.
#[derive(Default)]
pub(super) struct HashSecrets([[OnceCell<Secret<Vec<u8>>>; 2]; HashKey::ALL.len()]);

impl HashSecrets {
    fn cell(
        &self,
        key: HashKey,
        versions: HashKeyVersions,
        version: u32,
    ) -> Option<&OnceCell<Secret<Vec<u8>>>> {
        let index = HashKey::ALL.iter().position(|each| *each == key)?;
        let [current, previous] = self.0.get(index)?;
        match versions.current.checked_sub(version)? {
            0 => Some(current),
            1 if versions.has_previous => Some(previous),
            _ => None,
        }
    }
}

impl<K: KeyService> Keys<K> {
    /// The keyed hash of `parts` under the current version. Each part is hashed with its length, so that different lists
    /// never collide.
    ///
    /// # Errors
    /// When the function may not use the key, or the key service fails.
    pub async fn mac(&self, purpose: HashPurpose, parts: &[&str]) -> Result<Mac, PortError> {
        let version = self.versions(purpose)?.current;
        self.mac_in(version, purpose, parts).await
    }

    /// The keyed hash of `parts` under the previous version. `None` outside a rotation.
    ///
    /// # Errors
    /// As [`Keys::mac`].
    pub async fn previous_mac(
        &self,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<Option<Mac>, PortError> {
        match self.previous_version(purpose)? {
            Some(version) => self.mac_in(version, purpose, parts).await.map(Some),
            None => Ok(None),
        }
    }

    /// The keyed hash of `parts` under the version of a stored hash, to compare the two.
    ///
    /// # Errors
    /// As [`Keys::mac`]. `TooNew` for a newer version: an environment that is still running after a rotation has begun may
    /// meet one. `Permanent` for an older version that this environment does not have.
    pub async fn mac_as(
        &self,
        stored: &Mac,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<Mac, PortError> {
        let version = stored.version().unwrap_or_default();
        self.mac_in(version, purpose, parts).await
    }

    async fn mac_in(
        &self,
        version: u32,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<Mac, PortError> {
        let bytes = self.mac_bytes_in(version, purpose, parts).await?;
        Ok(Mac::versioned(version, &URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub(super) async fn mac_bytes(
        &self,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<[u8; 32], PortError> {
        let version = self.versions(purpose)?.current;
        self.mac_bytes_in(version, purpose, parts).await
    }

    pub(super) async fn mac_bytes_in(
        &self,
        version: u32,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<[u8; 32], PortError> {
        let unusable = |_| PortError::Permanent("keys", "the secret has no usable length".into());
        let secret = self.secret(purpose.key(), version).await?;
        let expand = Hkdf::<Sha256>::from_prk(secret.expose()).map_err(|_| unusable(()))?;
        let mut key = Zeroizing::new([0; 32]);
        expand
            .expand(purpose.label().as_bytes(), key.as_mut())
            .map_err(|_| unusable(()))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_ref()).map_err(|_| unusable(()))?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Ok(mac.finalize().into_bytes().into())
    }

    /// Fetches the secrets of all hash keys of this function, in a function's init: one KMS call for each. One after the
    /// other, over one connection: in parallel, each further call would cost a handshake. Measured with two keys, that takes
    /// 1.3 ms of a cold start of 13.5 ms; where a call takes longer than a handshake, parallel calls would be faster.
    ///
    /// # Errors
    /// When the key service fails.
    pub async fn warm(&self) -> Result<(), PortError> {
        for key in HashKey::ALL {
            if let Some(versions) = self.service.hash_key_versions(key) {
                self.secret(key, versions.current).await?;
                if versions.has_previous {
                    self.secret(key, versions.current.saturating_sub(1)).await?;
                }
            }
        }
        Ok(())
    }

    fn versions(&self, purpose: HashPurpose) -> Result<HashKeyVersions, PortError> {
        let key = purpose.key();
        self.service
            .hash_key_versions(key)
            .ok_or_else(|| PortError::Permanent("keys", format!("no key {key:?} for {purpose:?}")))
    }

    pub(super) fn previous_version(&self, purpose: HashPurpose) -> Result<Option<u32>, PortError> {
        let versions = self.versions(purpose)?;
        Ok(versions
            .current
            .checked_sub(1)
            .filter(|_| versions.has_previous))
    }

    /// Checks that this environment has the version of a stored hash.
    pub(super) fn check_has_version(
        &self,
        stored: &Mac,
        purpose: HashPurpose,
    ) -> Result<(), PortError> {
        let versions = self.versions(purpose)?;
        let version = stored.version().unwrap_or_default();
        if version == versions.current || Some(version) == self.previous_version(purpose)? {
            return Ok(());
        }
        Err(lacks_version(version, versions, purpose.key()))
    }

    async fn secret(&self, key: HashKey, version: u32) -> Result<&Secret<Vec<u8>>, PortError> {
        let versions = self.service.hash_key_versions(key);
        let versions =
            versions.ok_or_else(|| PortError::Permanent("keys", format!("no key {key:?}")))?;
        let cell = self.secrets.cell(key, versions, version);
        let cell = cell.ok_or_else(|| lacks_version(version, versions, key))?;
        match cell.get() {
            Some(secret) => Ok(secret),
            // Boxed, because the callers' futures are nested deeply enough.
            None => {
                let fetch = cell.get_or_try_init(|| self.call().hash_secret(key, version));
                Box::pin(fetch).await
            }
        }
    }
}

/// An environment that is still running after a rotation has begun lacks the new version; one after its end lacks the old
/// one, which means that a hash was not moved.
fn lacks_version(version: u32, versions: HashKeyVersions, key: HashKey) -> PortError {
    if version > versions.current {
        PortError::TooNew("a keyed hash")
    } else {
        PortError::Permanent("keys", format!("no version {version} of {key:?}"))
    }
}
