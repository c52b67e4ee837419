//! Passwords: argon2id with the parameters of [`PasswordHash`].

use crate::ports::PortError;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use domain::password_hash::{LANES, MEMORY_KIB, PASSES, PasswordHash};
use domain::secret::Secret;
use std::sync::OnceLock;

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
    static NOBODY: OnceLock<PasswordHash> = OnceLock::new();
    let (kept, known) = match (kept, NOBODY.get()) {
        (Some(kept), _) => (kept, true),
        (None, Some(nobody)) => (nobody.expose(), false),
        (None, None) => {
            let nobody = hash_with_salt(b"nobody", &[7; 16])?;
            (NOBODY.get_or_init(|| nobody).expose(), false)
        }
    };
    let parsed = phc::PasswordHash::new(kept).map_err(|error| {
        PortError::Permanent("argon2", format!("a stored hash is damaged: {error}"))
    })?;
    let right = argon2id()?
        .verify_password(password.expose().as_bytes(), &parsed)
        .is_ok();
    Ok(right && known)
}

/// Creates the hash that unknown accounts are compared with. Called in init, so that the first such login takes no
/// longer than others.
///
/// # Errors
/// When argon2 cannot run.
pub fn warm() -> Result<(), PortError> {
    is_right(&Secret::new(String::new()), None).map(|_| ())
}
