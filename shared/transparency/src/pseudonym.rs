//! Names of merchants in the log.

use crate::hash::{HASH_BYTES, Hash};
use aws_lc_rs::hmac;

/// Separates these values from every other use of a key.
const CONTEXT: &[u8] = b"pseudonym/v1\0";

/// The pseudonym of a merchant: HMAC-SHA-256 of `pseudonym/v1`, a zero byte and the merchant's id, under the merchant's salt.
///
/// Each merchant has a random salt. Erasing it makes the pseudonym unlinkable: nobody can connect the merchant with the entries
/// of the log any more, although these cannot be erased.
#[must_use]
pub fn pseudonym(salt: &[u8; HASH_BYTES], merchant_id: &str) -> Hash {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let mut context = hmac::Context::with_key(&key);
    context.update(CONTEXT);
    context.update(merchant_id.as_bytes());
    Hash::from_digest(context.sign().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf 'pseudonym/v1\0mer_plain_1' | openssl dgst -sha256 -mac hmac -macopt hexkey:0707…`.
    #[test]
    fn pseudonym_matches_openssl() {
        let found = pseudonym(&[7; 32], "mer_plain_1");
        assert_eq!(
            found.to_string(),
            "b1087ba18926d7b88f9ed3c97e2150dc6ddde7fb6c11099a680670cac7999945"
        );
        assert_ne!(found, pseudonym(&[8; 32], "mer_plain_1"));
        assert_ne!(found, pseudonym(&[7; 32], "mer_plain_2"));
    }
}
