//! The secret shared with a partner.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// A shorter key could be guessed from one signed request. 32 bytes is the output size of HMAC-SHA256.
const MIN_KEY_BYTES: usize = 32;

/// Signs and verifies all messages between this system and a partner. Prints as `***`.
///
/// Holds a keyed HMAC that each use clones, so that an invalid key fails at construction and never later.
#[derive(Clone)]
pub struct PartnerKey(Hmac<Sha256>);

impl fmt::Debug for PartnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartnerKey(***)")
    }
}

/// Why the key could not be loaded. Contains nothing of the key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The secret is too short.
    #[error("the shared secret is shorter than {MIN_KEY_BYTES} bytes")]
    Short,
    /// The secret could not be read, or its value is binary.
    #[error("cannot read the shared secret: {0}")]
    Unreadable(String),
}

impl PartnerKey {
    /// Uses the bytes of the whole text, without surrounding white space, as the key.
    ///
    /// # Errors
    /// [`KeyError::Short`] when fewer than 32 bytes remain.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() < MIN_KEY_BYTES {
            return Err(KeyError::Short);
        }
        Hmac::new_from_slice(text.as_bytes())
            .map(Self)
            .map_err(|_| KeyError::Short)
    }

    /// True for the same key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.mac_hex(b"") == other.mac_hex(b"")
    }

    /// HMAC-SHA256 of `message` in lower-case hex.
    #[must_use]
    pub fn mac_hex(&self, message: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(message);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// SHA-256 of `message` in lower-case hex.
#[must_use]
pub fn sha256_hex(message: &[u8]) -> String {
    hex::encode(Sha256::digest(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_needs_at_least_32_bytes() {
        assert!(PartnerKey::from_secret_text(&"k".repeat(32)).is_ok());
        assert!(PartnerKey::from_secret_text(&format!("{}\n ", "k".repeat(31))).is_err());
        let key = PartnerKey::from_secret_text(&"k".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "PartnerKey(***)");
    }

    /// The vectors of RFC 4231 use keys below the minimum; these values come from `openssl dgst -sha256 -hmac`.
    #[test]
    fn mac_is_hmac_sha256() {
        let key = PartnerKey::from_secret_text("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            key.mac_hex(b"message"),
            "ceb822ce5aae1ff09b7cf2085037ab77b4dc84502b3c4aa6266a665f7753b09a"
        );
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
