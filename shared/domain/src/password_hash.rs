//! The hash of a password, with the only cost that a login accepts.

use super::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Memory in KiB: 19 MiB, which is OWASP's minimum together with two passes.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
pub const PASSES: u32 = 2;
/// Parallel lanes.
pub const LANES: u32 = 1;
/// The length of the hash itself.
pub const HASH_BYTES: usize = 32;
/// The lengths of a salt: the algorithm's least one, and the greatest one of a PHC string.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=48;

/// A PHC string of argon2id with exactly these parameters.
///
/// Another cost would tell existing accounts from unknown ones by time, and a greater one could exhaust the memory of the
/// function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash {
    text: Secret<String>,
    salt: Secret<Vec<u8>>,
    hash: Secret<Vec<u8>>,
}

/// The text is not an argon2id hash with the parameters of this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a password hash must be $argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$<salt>$<hash of {HASH_BYTES} bytes>. A hash \
     with other parameters cannot be converted: set a new password for this account"
)]
pub struct OtherPasswordHash;

impl PasswordHash {
    /// The PHC string of this salt, of 8 to 48 bytes, and this hash.
    #[must_use]
    pub fn new(salt: &[u8], hash: [u8; HASH_BYTES]) -> Self {
        let [salt_text, hash_text] = [salt, &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        Self {
            text: format!("{}{salt_text}${hash_text}", prefix()).into(),
            salt: salt.to_vec().into(),
            hash: hash.to_vec().into(),
        }
    }

    /// Parses a PHC string.
    ///
    /// # Errors
    /// [`OtherPasswordHash`] for another algorithm, version or parameter, and for a text that is not a PHC string.
    pub fn parse(text: &str) -> Result<Self, OtherPasswordHash> {
        let rest = text.strip_prefix(&prefix());
        let (salt, hash) = rest
            .and_then(|rest| rest.split_once('$'))
            .ok_or(OtherPasswordHash)?;
        let bytes = |part: &str| STANDARD_NO_PAD.decode(part).map_err(|_| OtherPasswordHash);
        let (salt, hash) = (bytes(salt)?, bytes(hash)?);
        if !SALT_BYTES.contains(&salt.len()) || hash.len() != HASH_BYTES {
            return Err(OtherPasswordHash);
        }
        Ok(Self {
            text: text.to_owned().into(),
            salt: salt.into(),
            hash: hash.into(),
        })
    }

    /// The PHC string.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.salt.expose()
    }

    /// The hash itself.
    #[must_use]
    pub const fn hash(&self) -> &Secret<Vec<u8>> {
        &self.hash
    }
}

/// The algorithm with the parameters, up to the salt.
fn prefix() -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "c2FsdHNhbHQ";
    const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn our_parameters_are_accepted() {
        let text = format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${HASH}");
        let hash = PasswordHash::parse(&text).unwrap();
        assert_eq!(hash.expose(), text);
        assert_eq!(hash, PasswordHash::new(b"saltsalt", [0; HASH_BYTES]));
        assert!(!format!("{hash:?}").contains(HASH));
    }

    #[test]
    fn every_other_hash_is_refused() {
        for text in [
            String::new(),
            "a hash".to_owned(),
            format!("$argon2i$v=19$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=16$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$m=19456,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=1048576,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=8,t=2,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=3,p=1${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=4${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1,keyid=a${SALT}${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${HASH}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}$AAAA"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${HASH}A"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${HASH}$"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}"),
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".to_owned(),
        ] {
            assert_eq!(PasswordHash::parse(&text), Err(OtherPasswordHash), "{text}");
        }
    }

    #[test]
    fn refusal_says_what_to_do() {
        let text = OtherPasswordHash.to_string();
        assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        assert!(text.contains("set a new password"), "{text}");
    }
}
