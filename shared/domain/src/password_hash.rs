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
const HASH_BYTES: usize = 32;
/// The lengths of a salt: the algorithm's least one, and the greatest one of a PHC string.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=48;

/// A PHC string of argon2id with exactly these parameters.
///
/// A login verifies with the parameters of the stored hash. Another cost would tell existing accounts from unknown ones by
/// time, and a greater one could exhaust the memory of the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash(Secret<String>);

/// The text is not an argon2id hash with the parameters of this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a password hash must be $argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$<salt>$<hash of {HASH_BYTES} bytes>. A hash \
     with other parameters cannot be converted: set a new password for this account"
)]
pub struct OtherPasswordHash;

impl PasswordHash {
    /// Parses a PHC string.
    ///
    /// # Errors
    /// [`OtherPasswordHash`] for another algorithm, version or parameter, and for a text that is not a PHC string.
    pub fn parse(text: &str) -> Result<Self, OtherPasswordHash> {
        let ours = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
        let rest = text.strip_prefix(&ours);
        let (salt, hash) = rest
            .and_then(|rest| rest.split_once('$'))
            .ok_or(OtherPasswordHash)?;
        let length = |part: &str| STANDARD_NO_PAD.decode(part).ok().map(|bytes| bytes.len());
        let has_salt = length(salt).is_some_and(|length| SALT_BYTES.contains(&length));
        if has_salt && length(hash) == Some(HASH_BYTES) {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err(OtherPasswordHash)
        }
    }

    /// The PHC string.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
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
