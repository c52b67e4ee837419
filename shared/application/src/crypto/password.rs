//! Passwords: argon2id with the parameters of [`PasswordHash`].

use crate::ports::PortError;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use domain::password_hash::{LANES, MEMORY_KIB, PASSES, PasswordHash};
use domain::secret::Secret;

fn argon2id() -> Result<Argon2<'static>, PortError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PortError::Permanent("argon2", error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of a password with a fresh salt.
///
/// # Errors
/// When there is no randomness.
pub fn hash(password: &Secret<String>) -> Result<PasswordHash, PortError> {
    let salt: [u8; 16] = super::random()?;
    hash_with_salt(password.expose().as_bytes(), &salt)
}

fn hash_with_salt(password: &[u8], salt: &[u8]) -> Result<PasswordHash, PortError> {
    let hash: phc::PasswordHash = argon2id()?
        .hash_password_with_salt(password, salt)
        .map_err(|error| PortError::Permanent("argon2", error.to_string()))?;
    PasswordHash::parse(&hash.to_string())
        .map_err(|error| PortError::Permanent("argon2", error.to_string()))
}

/// Verifies a password against the stored hash `kept`. Without a hash (an unknown account), it does the same work
/// and returns false, so that the time reveals nothing.
///
/// # Errors
/// When the stored hash is damaged.
pub fn is_right(password: &Secret<String>, kept: Option<&str>) -> Result<bool, PortError> {
    let decoy = decoy();
    let (kept, known) = match kept {
        Some(kept) => (kept, true),
        None => (decoy.as_str(), false),
    };
    let parsed = phc::PasswordHash::new(kept).map_err(|error| {
        PortError::Permanent("argon2", format!("a stored hash is damaged: {error}"))
    })?;
    let right = argon2id()?
        .verify_password(password.expose().as_bytes(), &parsed)
        .is_ok();
    Ok(right && known)
}

/// A hash with the parameters of all others, for unknown accounts. It belongs to no known password.
fn decoy() -> String {
    let (salt, hash) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_account_is_compared_with_a_full_hash() {
        assert!(PasswordHash::parse(&decoy()).is_ok());
        let password = Secret::new("a password".to_owned());
        assert!(!is_right(&password, None).unwrap());
        let kept = hash(&password).unwrap();
        assert!(is_right(&password, Some(kept.expose())).unwrap());
    }
}
