//! Passwords: argon2id with the parameters of [`PasswordHash`].

use crate::ports::PortError;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use domain::password_hash::{HASH_BYTES, LANES, MEMORY_KIB, PASSES, PasswordHash};
use domain::secret::Secret;
use std::sync::{Mutex, PoisonError};

/// The memory of the algorithm, kept between calls: to allocate and to clear it takes a tenth of the processor time of a hash,
/// and one allocation after the other lets the heap grow to twice its size.
static MEMORY: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// The hash of a password with a fresh salt.
///
/// # Errors
/// When there is no randomness.
pub fn hash(password: &Secret<String>) -> Result<PasswordHash, PortError> {
    let salt: [u8; 16] = super::random()?;
    Ok(PasswordHash::new(&salt, hash_with_salt(password, &salt)?))
}

fn hash_with_salt(password: &Secret<String>, salt: &[u8]) -> Result<[u8; HASH_BYTES], PortError> {
    let failed = |error: argon2::Error| PortError::Permanent("argon2", error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)?;
    let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    memory.resize(argon2id.params().block_count(), Block::default());
    let mut hash = [0; HASH_BYTES];
    argon2id
        .hash_password_into_with_memory(
            password.expose().as_bytes(),
            salt,
            &mut hash,
            memory.as_mut_slice(),
        )
        .map_err(failed)?;
    Ok(hash)
}

/// Verifies a password against the stored hash `kept`. Without a hash (an unknown account), it does the same work
/// and returns false, so that the time reveals nothing.
///
/// # Errors
/// When the stored hash is damaged.
pub fn is_right(password: &Secret<String>, kept: Option<&str>) -> Result<bool, PortError> {
    let (kept, is_known) = match kept {
        Some(kept) => (PasswordHash::parse(kept), true),
        None => (Ok(PasswordHash::new(&[0; 16], [0; HASH_BYTES])), false),
    };
    let kept =
        kept.map_err(|_| PortError::Permanent("argon2", "a stored hash is damaged".to_owned()))?;
    let hash = Secret::new(hash_with_salt(password, kept.salt())?.to_vec());
    Ok(hash == *kept.hash() && is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash by the reference implementation, from Python's argon2-cffi.
    const KEPT: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA\
                        $29xYxVOor4e614QAOc2ta/1lntHrnJDsYzWJlfAzyAs";

    #[test]
    fn stored_hash_is_compared() {
        let password = Secret::new("a password".to_owned());
        assert!(is_right(&password, Some(KEPT)).unwrap());
        let kept = hash(&password).unwrap();
        assert!(is_right(&password, Some(kept.expose())).unwrap());
        assert!(!is_right(&Secret::new("another".to_owned()), Some(kept.expose())).unwrap());
        assert!(!is_right(&password, None).unwrap());
        assert!(is_right(&password, Some("$argon2id$")).is_err());
    }
}
