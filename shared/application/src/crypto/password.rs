//! Passwords: argon2id, 19 MiB, two passes, one lane (OWASP's minimum).

use crate::ports::PortError;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use domain::secret::Secret;
use std::sync::OnceLock;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

fn argon2id() -> Result<Argon2<'static>, PortError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PortError::Permanent("argon2", error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of a password with a fresh salt.
///
/// # Errors
/// When there is no randomness.
pub fn hash(password: &Secret<String>) -> Result<String, PortError> {
    let salt: [u8; 16] = super::random()?;
    hash_with_salt(password.expose().as_bytes(), &salt)
}

fn hash_with_salt(password: &[u8], salt: &[u8]) -> Result<String, PortError> {
    let hash: PasswordHash = argon2id()?
        .hash_password_with_salt(password, salt)
        .map_err(|error| PortError::Permanent("argon2", error.to_string()))?;
    Ok(hash.to_string())
}

/// Verifies a password against the stored hash `kept`. Without a hash (an unknown account), it does the same work
/// and returns false, so that the time reveals nothing.
///
/// # Errors
/// When the stored hash is damaged.
pub fn is_right(password: &Secret<String>, kept: Option<&str>) -> Result<bool, PortError> {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody;
    let (kept, known) = match kept {
        Some(kept) => (kept, true),
        None => {
            if NOBODY.get().is_none() {
                let _ = NOBODY.set(hash_with_salt(b"nobody", &[7; 16])?);
            }
            nobody = NOBODY.get().cloned().unwrap_or_default();
            (nobody.as_str(), false)
        }
    };
    let parsed = PasswordHash::new(kept).map_err(|error| {
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
