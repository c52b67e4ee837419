//! A SHA-256 hash, written as 64 lower-case hexadecimal digits.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The length of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash, or another value of the same form, such as a pseudonym.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; HASH_BYTES]);

/// The text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash must have 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl Hash {
    /// The hash of the concatenated `parts`.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in parts {
            context.update(part);
        }
        Self::from_digest(context.finish().as_ref())
    }

    /// `digest` must have the length of SHA-256, as all digests in this crate have.
    pub(crate) fn from_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; HASH_BYTES];
        for (byte, value) in bytes.iter_mut().zip(digest) {
            *byte = *value;
        }
        Self(bytes)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = NotAHash;

    /// Reads lower-case digits only, so that each hash has one spelling.
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotAHash);
        }
        let mut bytes = [0; HASH_BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAHash)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_has_one_spelling() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let hash = Hash::of(&[]);
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        for other in [&text.to_uppercase(), &text[1..], &text[2..], "", "é"] {
            assert_eq!(other.parse::<Hash>(), Err(NotAHash), "{other}");
        }
        assert_eq!(format!("{text}00").parse::<Hash>(), Err(NotAHash));
    }
}
